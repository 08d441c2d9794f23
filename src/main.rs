//! The program `rs-worker`: arguments to one of its parts, and its exit code.

use std::ffi::OsString;
use std::process::ExitCode;

use rs_worker::config::Config;
use rs_worker::{cli, client, logging, server, shim};

const HELP: &str = "\
rs-worker: starts, supervises and streams AI coding CLIs.

Usage:
  rs-worker [serve]       run the server (settings: .env and the environment, see .env.example)
  rs-worker stop --all    end the workers that a stopped server has left running
  rs-worker --version
  rs-worker --help
";

/// Exit code for arguments that make no sense, as shells have it.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    let words: Vec<&str> = args.iter().map(|arg| arg.to_str().unwrap_or("?")).collect();
    match words.as_slice() {
        ["shim", ..] => shim::main(args.into_iter().skip(1)),
        [] | ["serve"] => serve(),
        ["stop", "--all"] => stop_all(),
        ["-h" | "--help" | "help"] => {
            print!("{HELP}\n{}", cli::help());
            ExitCode::SUCCESS
        }
        ["-V" | "--version"] => {
            println!("rs-worker {}", env!("CARGO_PKG_VERSION"));
            ExitCode::SUCCESS
        }
        [name, rest @ ..] if cli::is_command(name) => {
            if rest.iter().any(|word| matches!(*word, "-h" | "--help")) {
                print!("{}", cli::help_of(name));
                return ExitCode::SUCCESS;
            }
            cli::main(name, args.iter().skip(1).cloned())
        }
        _ => {
            eprintln!("rs-worker: no such command: {}\n\n{HELP}", words.join(" "));
            ExitCode::from(USAGE)
        }
    }
}

fn serve() -> ExitCode {
    let config = match Config::from_system() {
        Ok(config) => config,
        Err(error) => return fail(&error),
    };
    let _logging = match logging::init(&config) {
        Ok(logging) => logging,
        Err(error) => return fail(&error),
    };
    match server::run(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&*error),
    }
}

fn stop_all() -> ExitCode {
    let stopped = Config::from_system().map_err(|error| error.to_string()).and_then(|config| client::stop_all(&config));
    match stopped {
        Ok(count) => {
            println!("{count} workers stopped");
            ExitCode::SUCCESS
        }
        Err(error) => fail(&error),
    }
}

fn fail(error: &(impl std::fmt::Display + ?Sized)) -> ExitCode {
    eprintln!("rs-worker: {error}");
    ExitCode::FAILURE
}
