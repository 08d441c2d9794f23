//! The command line: commands that ask a running server.

mod args;
mod attach;
mod commands;
mod completions;
mod doctor;
mod http;
mod login;
mod man;
mod output;
mod permissions;
mod progress;
mod prompt;
mod screen;
mod search;
mod send;
mod serve;
mod terminal;
mod workers;

use std::ffi::OsString;
use std::process::ExitCode;

use args::Args;
pub(crate) use commands::{help, help_of};
use http::{RequestError, Server};
use output::print;
pub(crate) use serve::serve_options;
use terminal::plain;

/// Exit code for arguments that make no sense, as shells have it.
const USAGE: u8 = 2;
/// Exit code of `send` when the turn has failed.
const TURN_FAILED: u8 = 3;

/// The reason for which a command failed.
enum Failure {
    Usage(String),
    Work(String),
}

impl From<String> for Failure {
    fn from(reported: String) -> Self {
        Self::Work(reported)
    }
}

impl From<RequestError> for Failure {
    fn from(error: RequestError) -> Self {
        Self::Work(error.into())
    }
}

impl From<lexopt::Error> for Failure {
    fn from(error: lexopt::Error) -> Self {
        Self::Usage(error.to_string())
    }
}

/// Returns whether there is a command of this name.
#[must_use]
pub(crate) fn is_command(name: &str) -> bool {
    commands::find(name).is_some()
}

/// Runs the command `name` with the arguments behind it.
#[must_use]
pub(crate) fn main(name: &str, args: impl Iterator<Item = OsString>) -> ExitCode {
    match parse(args).and_then(|args| run(name, &args)) {
        Ok(code) => code,
        Err(Failure::Usage(reported)) => {
            eprint!("rs-worker {name}: {reported}\n\n{}", help_of(name));
            ExitCode::from(USAGE)
        }
        Err(Failure::Work(reported)) => {
            eprintln!("rs-worker {name}: {}", plain(&reported));
            ExitCode::FAILURE
        }
    }
}

fn parse(args: impl Iterator<Item = OsString>) -> Result<Args, Failure> {
    use lexopt::prelude::*;
    let mut parser = lexopt::Parser::from_args(args);
    let mut parsed = Args::default();
    while let Some(arg) = parser.next()? {
        match arg {
            Long("json") => parsed.json = true,
            Short('f') | Long("follow") => parsed.follow = true,
            Long("names") => parsed.names = true,
            Long("worker") => parsed.worker = Some(parser.value()?.string()?),
            Long("kind") => parsed.kind = Some(parser.value()?.string()?),
            Long("project") => parsed.project = Some(parser.value()?.string()?),
            Long("limit") => parsed.limit = Some(parser.value()?.parse()?),
            Long("worktree") => parsed.worktree = true,
            Long("force") => parsed.force = true,
            Long("with-history") => parsed.with_history = true,
            Long("cli") => parsed.cli = Some(parser.value()?.string()?),
            Long("url") => parsed.url = Some(parser.value()?.string()?),
            Long("token") => parsed.token = Some(parser.value()?.string()?),
            Value(word) => parsed.words.push(word.string()?),
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(parsed)
}

fn run(name: &str, args: &Args) -> Result<ExitCode, Failure> {
    let words: Vec<&str> = args.words.iter().map(String::as_str).collect();
    match (name, words.as_slice()) {
        ("man", []) => {
            print(man::page().trim_end())?;
            return Ok(ExitCode::SUCCESS);
        }
        ("doctor", []) => return Ok(if doctor::run(args)? { ExitCode::SUCCESS } else { ExitCode::FAILURE }),
        ("completions", [shell]) => {
            let script = completions::script(shell);
            print(script.ok_or_else(|| Failure::Usage(format!("there are no completions for {shell}")))?.trim_end())?;
            return Ok(ExitCode::SUCCESS);
        }
        _ => {}
    }
    let server = Server::find(args.url.clone(), args.token.clone())?;
    match (name, words.as_slice()) {
        ("ls", []) => workers::list(&server, args)?,
        ("attach", [worker]) => {
            let well = attach::attach(&server, worker)?;
            return Ok(if well { ExitCode::SUCCESS } else { ExitCode::from(TURN_FAILED) });
        }
        ("search", text) if !text.is_empty() => search::search(&server, &text.join(" "), args)?,
        ("import", [file]) => search::import(&server, file, args)?,
        ("new", [name]) => workers::create(&server, name, ".", args)?,
        ("new", [name, dir]) => workers::create(&server, name, dir, args)?,
        ("send", [worker, text @ ..]) if !text.is_empty() => {
            let well = send::send(&server, worker, text, args)?;
            return Ok(if well { ExitCode::SUCCESS } else { ExitCode::from(TURN_FAILED) });
        }
        ("logs", [worker]) => send::logs(&server, worker, args)?,
        ("login-link", []) => login::link(&server, args)?,
        ("stop" | "start", [worker]) => workers::call(&server, worker, name, args.json)?,
        ("rm", [worker]) => workers::delete(&server, worker, args)?,
        ("permissions", []) => permissions::list(&server, args.json)?,
        ("permissions", [decision @ ("allow" | "deny"), worker, request]) => {
            permissions::answer(&server, decision, worker, request, args.json)?;
        }
        ("export", [worker]) => workers::export(&server, worker, "md")?,
        ("export", [worker, format]) => workers::export(&server, worker, format)?,
        _ => {
            return Err(Failure::Usage(
                format!("unexpected or missing arguments: {}", words.join(" ")).trim_end().to_owned(),
            ));
        }
    }
    Ok(ExitCode::SUCCESS)
}
