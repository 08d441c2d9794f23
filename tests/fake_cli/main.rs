//! A program that plays an AI coding CLI in tests: Claude Code's stream-json protocol as recorded from the real one, or
//! plain lines, with the prompt as a script. It needs no model, no network and no keys.
//!
//! ```text
//! fake_cli -p --input-format stream-json ...      Claude Code: see claude.rs and script.rs
//! fake_cli lines COUNT [--rate PER_SECOND] [--pad BYTES] [--from FIRST] [--tally FOLDER]    numbered lines, then the end
//! fake_cli echo                                   every line of stdin comes back as `you said: LINE`
//! fake_cli acp                                    an agent of the Agent Client Protocol: see acp.rs
//! fake_cli app-server                             Codex: see codex.rs
//! fake_cli stubborn [orphan]                      a process that ignores all signals but SIGKILL, in its own session
//! fake_cli --version
//! ```

mod acp;
mod claude;
mod codex;
mod lines;
mod pace;
mod script;
mod stubborn;

use std::io::{self, BufRead, Write};
use std::process::ExitCode;

/// The version that it claims, that of the real CLI whose protocol it plays.
const VERSION: &str = "2.1.197 (Claude Code, fake)";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let played = match args.first().map(String::as_str) {
        Some("--version" | "-v") => writeln!(io::stdout(), "{VERSION}").map(|()| ExitCode::SUCCESS),
        Some("lines") => lines::run(&args[1..]),
        Some("acp") => acp::run(),
        _ if args.iter().any(|word| word == "app-server") => codex::run(),
        Some("echo") => echo(),
        Some("stubborn") => stubborn::run(args.get(1).is_some_and(|word| word == "orphan")),
        _ => claude::run(&args),
    };
    played.unwrap_or_else(|error| {
        // A reader that has gone away is the usual end of a test.
        let _ = writeln!(io::stderr(), "fake_cli: {error}");
        ExitCode::from(2)
    })
}

fn echo() -> io::Result<ExitCode> {
    let mut stdout = io::stdout();
    for line in io::stdin().lock().split(b'\n') {
        let mut answer = b"you said: ".to_vec();
        answer.extend(line?);
        answer.push(b'\n');
        stdout.write_all(&answer)?;
        stdout.flush()?;
    }
    Ok(ExitCode::SUCCESS)
}
