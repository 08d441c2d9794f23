//! The command line: commands that send requests to a running server.

mod acp;
mod args;
mod attach;
mod budgets;
mod command;
mod commands;
mod completions;
mod diff;
mod doctor;
mod expiry;
mod groups;
mod handover;
mod help;
mod http;
mod land;
mod login;
mod man;
mod output;
mod permissions;
mod progress;
mod prompt;
mod relay;
mod remote;
mod restore;
mod review;
mod rules;
mod runner_checks;
mod schedules;
mod screen;
mod search;
mod send;
mod serve;
mod shell;
mod terminal;
mod tokens;
mod workers;

use std::ffi::OsString;
use std::process::ExitCode;

use args::Args;
pub(crate) use help::{help, help_of};
use http::{ApiServer, RequestError};
use output::print;
pub(crate) use output::{emit_stderr, emit_stdout};
pub(crate) use serve::serve_options;
use terminal::plain;

/// Exit code for invalid arguments, as in shells.
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
        Self::Usage(match error {
            lexopt::Error::UnexpectedOption(option) => format!("unexpected argument: {option}"),
            lexopt::Error::MissingValue { option: Some(option) } => format!("{option} needs a value"),
            lexopt::Error::ParsingFailed { value, .. } => format!("not a whole number: {value}"),
            other => other.to_string(),
        })
    }
}

/// Returns whether there is a command with this name.
#[must_use]
pub(crate) fn is_command(name: &str) -> bool {
    help::find(name).is_some()
}

/// Runs the command `name` with the arguments after it.
#[must_use]
pub(crate) fn main(name: &str, args: impl Iterator<Item = OsString>) -> ExitCode {
    match parse(name, args).and_then(|args| run(name, &args)) {
        Ok(code) => code,
        Err(Failure::Usage(reported)) => {
            emit_stderr(&format!("rs-worker {name}: {}\n\n{}", plain(&reported), help_of(name)));
            ExitCode::from(USAGE)
        }
        Err(Failure::Work(reported)) => {
            emit_stderr(&format!("rs-worker {name}: {}\n", plain(&reported)));
            ExitCode::FAILURE
        }
    }
}

fn parse(name: &str, args: impl Iterator<Item = OsString>) -> Result<Args, Failure> {
    use lexopt::prelude::*;
    let mut parser = lexopt::Parser::from_args(args);
    let mut parsed = Args::default();
    while let Some(arg) = parser.next()? {
        // An option of another command would be ignored without a word.
        let option = match &arg {
            Long(long) => Some(format!("--{long}")),
            Short('f') => Some("--follow".to_owned()),
            Short('m') => Some("--message".to_owned()),
            _ => None,
        };
        if option.is_some_and(|option| !help::takes(name, &option)) {
            return Err(arg.unexpected().into());
        }
        match arg {
            Long("json") => parsed.json = true,
            Short('f') | Long("follow") => parsed.follow = true,
            Long("stat") => parsed.stat = true,
            Long("send") => parsed.send = true,
            Long("scope") => parsed.scope = Some(parser.value()?.string()?),
            Long("names") => parsed.names = true,
            Long("worker") => {
                parsed.workers.push(parser.value()?.string()?);
                parsed.worker = parsed.workers.last().cloned();
            }
            Long("kind") => parsed.kind = Some(parser.value()?.string()?),
            Long("project") => {
                parsed.projects.push(parser.value()?.string()?);
                parsed.project = parsed.projects.last().cloned();
            }
            Long("page") => parsed.page = Some(parser.value()?.string()?),
            Long("who") => parsed.who = Some(parser.value()?.string()?),
            Long("status") => parsed.status = Some(parser.value()?.string()?),
            Long("limit") => parsed.limit = Some(parser.value()?.parse()?),
            Long("worktree") => parsed.worktree = true,
            Long("mcp") => parsed.mcp = true,
            Long("turn") => parsed.turn = Some(parser.value()?.string()?),
            Long("dry-run") => parsed.dry_run = true,
            Long("preset") => parsed.preset = Some(parser.value()?.string()?),
            Long("set") => parsed.set.push(parser.value()?.string()?),
            Long("force") => parsed.force = true,
            Long("with-history") => parsed.with_history = true,
            Long("model") => parsed.model = Some(parser.value()?.string()?),
            Long("effort") => parsed.effort = Some(parser.value()?.string()?),
            Long("name") => parsed.name = Some(parser.value()?.string()?),
            Long("prompt") => parsed.prompt = Some(parser.value()?.string()?),
            Long("attempt") => parsed.attempts.push(parser.value()?.string()?),
            Long("base") => parsed.base = Some(parser.value()?.string()?),
            Long("copy") => parsed.copy = true,
            Long("file") => parsed.file = true,
            Short('m') | Long("message") => parsed.message = Some(parser.value()?.string()?),
            Long("into") => parsed.into = Some(parser.value()?.string()?),
            Long("from") => parsed.from = Some(parser.value()?.string()?),
            Long("merge") => parsed.strategy = Some("merge"),
            Long("squash") => parsed.strategy = Some("squash"),
            Long("rebase") => parsed.strategy = Some("rebase"),
            Long("remote") => parsed.remote = Some(parser.value()?.string()?),
            Long("branch") => parsed.branch = Some(parser.value()?.string()?),
            Long("to") => parsed.to = Some(parser.value()?.string()?),
            Long("body") => parsed.body = Some(parser.value()?.string()?),
            Long("set-upstream") => parsed.set_upstream = true,
            Long("draft") => parsed.draft = true,
            Long("force-with-lease") => {
                let id = parser.optional_value().map(lexopt::ValueExt::string).transpose()?;
                parsed.lease = Some(id.unwrap_or_default());
            }
            Long("delete") => parsed.delete = true,
            Long("leave-uncommitted") => parsed.leave_uncommitted = true,
            Long("cli") => parsed.cli = Some(parser.value()?.string()?),
            Long("join") => parsed.join = Some(parser.value()?.string()?),
            Long("command") => parsed.commands.push(parser.value()?.string()?),
            Long("path") => parsed.paths.push(parser.value()?.string()?),
            Long("tool") => parsed.tool = Some(parser.value()?.string()?),
            Long("expires") => parsed.expires = Some(parser.value()?.string()?),
            Long("days") => parsed.days = Some(parser.value()?.parse()?),
            Long("cost") => parsed.cost = Some(parser.value()?.parse()?),
            Long("tokens") => parsed.tokens = Some(parser.value()?.parse()?),
            Long("turns") => parsed.turns = Some(parser.value()?.parse()?),
            Long("running-secs") => parsed.running_secs = Some(parser.value()?.parse()?),
            Long("total") => parsed.total = true,
            Long("at") => parsed.at = Some(parser.value()?.string()?),
            Long("cron") => parsed.cron = Some(parser.value()?.string()?),
            Long("time-zone") => parsed.time_zone = Some(parser.value()?.string()?),
            Long("missed") => parsed.missed = Some(parser.value()?.string()?),
            Long("busy") => parsed.busy = Some(parser.value()?.string()?),
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
    let server = ApiServer::find(args.url.clone(), args.token.clone())?;
    match (name, words.as_slice()) {
        ("ls", []) => workers::list(&server, args)?,
        ("attach", [worker]) => {
            let well = attach::attach(&server, worker)?;
            return Ok(if well { ExitCode::SUCCESS } else { ExitCode::from(TURN_FAILED) });
        }
        ("shell", [worker, program @ ..]) => return Ok(shell::shell(&server, worker, program, args)?),
        ("acp", []) => acp::serve(&server, args)?,
        ("search", text) if !text.is_empty() => search::search(&server, &text.join(" "), args)?,
        ("import", [file]) => search::import(&server, file, args)?,
        ("mcp", []) => relay::relay(&server)?,
        ("new", [name]) => workers::create(&server, name, ".", args)?,
        ("new", [name, dir]) => workers::create(&server, name, dir, args)?,
        ("best", [project]) => groups::best(&server, project, args)?,
        ("group", []) => groups::show(&server, None, args)?,
        ("group", [group]) => groups::show(&server, Some(group), args)?,
        ("group", [group, "check"]) => groups::check(&server, group, args)?,
        ("group", [group, "diff", from, to]) => groups::diff(&server, group, (from, to), args)?,
        ("group", [group, "keep", worker]) => groups::keep(&server, group, worker, args)?,
        ("handover", [worker, text @ ..]) => handover::hand_over(&server, worker, &text.join(" "), args)?,
        ("send", [worker, text @ ..]) if !text.is_empty() => {
            let well = send::send(&server, worker, text, args)?;
            return Ok(if well { ExitCode::SUCCESS } else { ExitCode::from(TURN_FAILED) });
        }
        ("diff", [worker]) => diff::diff(&server, worker, args)?,
        ("review", [worker]) => review::review(&server, worker, args)?,
        ("logs", [worker]) => send::logs(&server, worker, args)?,
        ("login-link", []) => login::link(&server, args)?,
        ("presets", []) => workers::presets(&server, args)?,
        ("stop" | "start" | "prepare", [worker]) => workers::call(&server, worker, name, args.json)?,
        ("token", ["ls"]) => tokens::list(&server, args)?,
        ("token", ["add", name]) => tokens::add(&server, name, args)?,
        ("token", ["rm", name]) => tokens::remove(&server, name, args)?,
        ("token", ["pair", name]) => tokens::pair(&server, name, args)?,
        ("audit", []) => tokens::audit(&server, args)?,
        ("rm", [worker]) => workers::delete(&server, worker, args)?,
        ("restore", [worker, files @ ..]) => restore::restore(&server, worker, files, args)?,
        ("commit", [worker, files @ ..]) => land::commit(&server, worker, files, args)?,
        ("update", [worker]) => land::update(&server, worker, args)?,
        ("land", [worker]) => land::land(&server, worker, args)?,
        ("push", [worker]) => remote::push(&server, worker, args)?,
        ("pr", [worker]) => remote::pull_request(&server, worker, args)?,
        ("permissions", []) => permissions::list(&server, args.json)?,
        ("permissions", [decision @ ("allow" | "deny"), worker, request]) => {
            permissions::answer(&server, decision, worker, request, args.json)?;
        }
        ("rules", [] | ["ls"]) => rules::list(&server, args)?,
        ("rules", ["add", effect @ ("allow" | "ask" | "deny")]) => rules::add(&server, effect, args)?,
        ("rules", ["preview", effect @ ("allow" | "ask" | "deny")]) => rules::preview(&server, effect, args)?,
        ("rules", ["rm", rule]) => rules::remove(&server, rule, args)?,
        ("budgets", [] | ["ls"]) => budgets::list(&server, args)?,
        ("budgets", ["add", name]) => budgets::add(&server, name, args)?,
        ("budgets", ["rm", budget]) => budgets::remove(&server, budget, args)?,
        ("schedules", [] | ["ls"]) => schedules::list(&server, args)?,
        ("schedules", ["add", text @ ..]) => schedules::add(&server, text, args)?,
        ("schedules", ["runs", schedule]) => schedules::runs(&server, schedule, args)?,
        ("schedules", [what @ ("rm" | "run" | "pause" | "resume"), schedule]) => {
            schedules::change(&server, what, schedule, args)?;
        }
        ("export", [worker]) => workers::export(&server, worker, "md")?,
        ("export", [worker, format]) => workers::export(&server, worker, format)?,
        _ => return Err(Failure::Usage(help::misuse(name, &words))),
    }
    Ok(ExitCode::SUCCESS)
}
