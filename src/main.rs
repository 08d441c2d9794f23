//! The program `rs-worker`.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    match args.next() {
        Some(command) if command == "shim" => rs_worker::shim::main(args),
        _ => ExitCode::FAILURE,
    }
}
