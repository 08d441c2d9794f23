//! The program: dispatches the arguments to a command and returns its exit code.

use std::ffi::OsString;
use std::process::ExitCode;

use crate::config::Config;
use crate::{cli, client, demo, logging, server, shim, terminal};

const HELP: &str = "\
rs-worker: start, supervise and stream AI coding CLIs.

Usage:
  rs-worker [serve] [--host ADDRESS] [--port PORT]    run the server
  rs-worker COMMAND ...                               use it from the command line
  rs-worker --version
  rs-worker --help
";

/// Exit code for wrong arguments, as in shells.
const USAGE: u8 = 2;

/// Runs the command that the arguments of the process name.
pub fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    let words: Vec<&str> = args.iter().map(|arg| arg.to_str().unwrap_or("?")).collect();
    match words.as_slice() {
        ["shim", ..] => shim::main(args.into_iter().skip(1)),
        [terminal::HOST, ..] => terminal::main(args.into_iter().skip(1)),
        [terminal::PROGRAM, ..] => terminal::become_program(args.into_iter().skip(1)),
        [demo::ARGUMENT] => demo::main(),
        ["serve", "-h" | "--help"] => {
            cli::emit_stdout(&cli::help_of("serve"));
            ExitCode::SUCCESS
        }
        ["serve", ..] => serve(args.into_iter().skip(1)),
        [] => serve(args.into_iter()),
        [option, ..] if option.starts_with("--host") || option.starts_with("--port") => serve(args.into_iter()),
        ["stop", "--all"] => stop_all(),
        ["-h" | "--help" | "help"] => {
            cli::emit_stdout(&format!("{HELP}\n{}", cli::help()));
            ExitCode::SUCCESS
        }
        ["-V" | "--version"] => {
            cli::emit_stdout(concat!("rs-worker ", env!("CARGO_PKG_VERSION"), "\n"));
            ExitCode::SUCCESS
        }
        [name, rest @ ..] if cli::is_command(name) => {
            if rest.iter().any(|word| matches!(*word, "-h" | "--help")) {
                cli::emit_stdout(&cli::help_of(name));
                return ExitCode::SUCCESS;
            }
            cli::main(name, args.iter().skip(1).cloned())
        }
        _ => {
            let name = words.first().unwrap_or(&"");
            cli::emit_stderr(&format!("rs-worker: unknown command: {name}; rs-worker --help lists the commands\n"));
            ExitCode::from(USAGE)
        }
    }
}

fn serve(args: impl Iterator<Item = OsString>) -> ExitCode {
    server::respect_nohup();
    let options = match cli::serve_options(args) {
        Ok(options) => options,
        Err(error) => {
            cli::emit_stderr(&format!("rs-worker serve: {error}\n\n{}", cli::help_of("serve")));
            return ExitCode::from(USAGE);
        }
    };
    let config = match Config::from_system_and(&options) {
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
            let workers = if count == 1 { "worker" } else { "workers" };
            cli::emit_stdout(&format!("{count} {workers} stopped\n"));
            ExitCode::SUCCESS
        }
        Err(error) => fail(&error),
    }
}

fn fail(error: &(impl std::fmt::Display + ?Sized)) -> ExitCode {
    eprintln!("rs-worker: {error}");
    ExitCode::FAILURE
}
