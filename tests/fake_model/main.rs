//! The fake model of the tests as a program, for benches of other tools: it prints its address, and ends with its stdin.
#![allow(dead_code, reason = "the program uses a part of what tests do")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a fake model that cannot go on says so and ends")]

mod support;

use std::io::{self, Read, Write};

fn main() -> io::Result<()> {
    let model = support::model::FakeModel::start();
    writeln!(io::stdout(), "{}", model.url())?;
    io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
