//! The program `rs-worker`.

use std::process::ExitCode;

fn main() -> ExitCode {
    rs_worker::main()
}
