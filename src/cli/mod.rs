//! The command line: commands that ask a running server.

mod http;
mod permissions;
mod send;
mod workers;

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::process::ExitCode;

use serde_json::Value;

use http::Server;

/// What the commands are, with examples.
pub const HELP: &str = "\
Commands that ask a running server (WORKER is a name, an id, or the beginning of an id):
  rs-worker ls                            list the workers
  rs-worker new NAME [DIR] [--cli CLI]    make a worker for a project directory (here, when DIR is left out);
                                          --worktree: in a new git worktree and branch of it
  rs-worker send WORKER TEXT              send a message, wait for the turn's end and print the answer;
                                          TEXT `-` is read from standard input:  git diff | rs-worker send bob -
  rs-worker logs WORKER [-f]              print the history; -f goes on with what comes
  rs-worker stop WORKER                   end a worker's processes; `start` goes on with its session
  rs-worker start WORKER
  rs-worker rm WORKER [--force]           delete a worker; --force: with what is not committed in its worktree
  rs-worker permissions                   list what waits for an answer
  rs-worker permissions allow|deny WORKER REQUEST
  rs-worker export WORKER [md|json|jsonl] write a worker's history to standard output

  --json         print the server's JSON
  --url URL      the server, when it is another one than that of .env and the environment (or RS_WORKER_URL)
  --token TOKEN  its token (or RS_WORKER_TOKEN, which other users of this machine do not see)

`send` ends with 0 when the turn ended well, with 3 when it failed or was cut short; every command ends with 1 when it
could not do its work and with 2 when its arguments make no sense.
";

/// Names of the commands.
const COMMANDS: [&str; 9] = ["ls", "new", "send", "logs", "stop", "start", "rm", "permissions", "export"];
/// Exit code for arguments that make no sense, as shells have it.
const USAGE: u8 = 2;
/// Exit code of `send` when the turn has failed.
const TURN_FAILED: u8 = 3;

/// Why a command has not done its work.
enum Failure {
    Usage(String),
    Work(String),
}

impl From<String> for Failure {
    fn from(told: String) -> Self {
        Self::Work(told)
    }
}

impl From<lexopt::Error> for Failure {
    fn from(error: lexopt::Error) -> Self {
        Self::Usage(error.to_string())
    }
}

/// What stands behind the command's name.
#[derive(Default)]
struct Args {
    words: Vec<String>,
    json: bool,
    follow: bool,
    worktree: bool,
    force: bool,
    cli: Option<String>,
    url: Option<String>,
    token: Option<String>,
}

/// Whether there is a command of this name.
#[must_use]
pub fn is_command(name: &str) -> bool {
    COMMANDS.contains(&name)
}

/// Runs the command `name` with the arguments behind it.
#[must_use]
pub fn main(name: &str, args: impl Iterator<Item = OsString>) -> ExitCode {
    match parse(args).and_then(|args| run(name, &args)) {
        Ok(code) => code,
        Err(Failure::Usage(told)) => {
            eprintln!("rs-worker {name}: {told}\n\n{HELP}");
            ExitCode::from(USAGE)
        }
        Err(Failure::Work(told)) => {
            eprintln!("rs-worker {name}: {}", plain(&told));
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
            Long("worktree") => parsed.worktree = true,
            Long("force") => parsed.force = true,
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
    let server = Server::find(args.url.clone(), args.token.clone())?;
    let words: Vec<&str> = args.words.iter().map(String::as_str).collect();
    match (name, words.as_slice()) {
        ("ls", []) => workers::list(&server, args.json)?,
        ("new", [name]) => workers::create(&server, name, ".", args)?,
        ("new", [name, dir]) => workers::create(&server, name, dir, args)?,
        ("send", [worker, text @ ..]) if !text.is_empty() => {
            let well = send::send(&server, worker, text, args.json)?;
            return Ok(if well { ExitCode::SUCCESS } else { ExitCode::from(TURN_FAILED) });
        }
        ("logs", [worker]) => send::logs(&server, worker, args)?,
        ("stop" | "start", [worker]) => workers::call(&server, worker, name, args.json)?,
        ("rm", [worker]) => workers::delete(&server, worker, args)?,
        ("permissions", []) => permissions::list(&server, args.json)?,
        ("permissions", [decision @ ("allow" | "deny"), worker, request]) => {
            permissions::answer(&server, decision, worker, request, args.json)?;
        }
        ("export", [worker]) => workers::export(&server, worker, "md")?,
        ("export", [worker, format]) => workers::export(&server, worker, format)?,
        _ => return Err(Failure::Usage("these arguments do not fit".to_owned())),
    }
    Ok(ExitCode::SUCCESS)
}

/// `text` without what a terminal would obey: agents' words come from anywhere.
fn plain(text: &str) -> String {
    text.chars().filter(|&char| !char.is_control() || matches!(char, '\n' | '\t')).collect()
}

/// Prints a line; a reader that has gone away is an error as any other.
fn print(text: &str) -> Result<(), String> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).map_err(|error| format!("standard output: {error}"))
}

/// A field's text, or nothing.
fn field<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}
