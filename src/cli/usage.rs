//! Checks of the arguments that need no server: options that a command requires, and values from a fixed set.

use super::args::Args;
use super::expiry::expiry;
use crate::access::Scope;
use crate::clock::Micros;
use crate::worker::history::search::KINDS;
use crate::worker::state::status::Status;

/// The formats of exports.
const FORMATS: [&str; 4] = ["md", "markdown", "json", "jsonl"];

/// Returns the first mistake in the arguments of a command.
pub(super) fn check(name: &str, words: &[&str], args: &Args) -> Result<(), String> {
    match (name, words) {
        ("ls", _) => {
            let known: Vec<&str> = Status::ALL.into_iter().map(Status::as_str).collect();
            args.status.as_deref().map_or(Ok(()), |named| list("--status", named, &known))
        }
        ("search", _) => args.kind.as_deref().map_or(Ok(()), |named| list("--kind", named, &KINDS)),
        ("new", _) => placeholders(args),
        ("best", _) => attempts(args),
        ("commit", _) => required(args.message.is_some(), "-m is missing: the message of the commit"),
        ("land", _) => required(
            args.dry_run || args.strategy.is_some(),
            "choose --merge, --squash or --rebase; --dry-run prints what each would do",
        ),
        ("restore", [_, _, _, ..]) => required(!args.dry_run, "--dry-run takes one file or folder, or none for all"),
        ("export", [_, format]) => list("the format", format, &FORMATS),
        ("rules", ["add", ..]) => required(args.name.is_some(), "--name is missing").and_then(|()| expires(args)),
        ("rules", ["preview", ..]) => expires(args),
        ("budgets", ["add", _]) => required(
            args.cost.is_some() || args.tokens.is_some() || args.turns.is_some() || args.running_secs.is_some(),
            "a limit is missing: --cost, --tokens, --turns or --running-secs",
        ),
        ("schedules", ["add", ..]) => schedule(args),
        ("token", ["add", ..]) => {
            required(args.scope.is_some(), "--scope is missing: read, answer, send or admin")?;
            token(args)
        }
        ("token", _) => token(args),
        _ => Ok(()),
    }
}

fn required(is_given: bool, mistake: &str) -> Result<(), String> {
    if is_given { Ok(()) } else { Err(mistake.to_owned()) }
}

/// Checks a value, or several between commas, against those that are known.
fn list(option: &str, named: &str, known: &[&str]) -> Result<(), String> {
    match named.split(',').find(|one| !known.contains(one)) {
        Some(other) => Err(format!("{option} cannot be {other:?}: give {}", known.join(", "))),
        None => Ok(()),
    }
}

fn attempts(args: &Args) -> Result<(), String> {
    required(args.prompt.is_some(), "--prompt is missing")?;
    required(!args.attempts.is_empty(), "--attempt is missing: name a CLI, or a CLI and a model as CLI:MODEL")
}

fn schedule(args: &Args) -> Result<(), String> {
    required(args.name.is_some(), "--name is missing")?;
    required(args.at.is_some() != args.cron.is_some(), "give --at or --cron, one of the two")?;
    required(args.worker.is_some() != args.preset.is_some(), "give --worker or --preset, one of the two")?;
    args.missed.as_deref().map_or(Ok(()), |named| list("--missed", named, &["run_once", "skip"]))?;
    args.busy.as_deref().map_or(Ok(()), |named| list("--busy", named, &["queue", "skip"]))?;
    if let Some(at) = &args.at
        && Micros::parse_iso(at).is_none()
        && expiry(at, Micros::now()).is_err()
    {
        return Err(format!("--at {at}: give a time as in 2026-11-30T09:00:00Z, or one from now as in 90m or 2d"));
    }
    placeholders(args)
}

fn token(args: &Args) -> Result<(), String> {
    let known = Scope::ALL.map(Scope::as_str);
    args.scope.as_deref().map_or(Ok(()), |named| list("--scope", named, &known))?;
    expires(args)
}

fn expires(args: &Args) -> Result<(), String> {
    args.expires.as_deref().map_or(Ok(()), |given| expiry(given, Micros::now()).map(drop))
}

fn placeholders(args: &Args) -> Result<(), String> {
    let wrong = args.set.iter().find(|pair| !pair.contains('='));
    wrong.map_or(Ok(()), |pair| Err(format!("--set takes KEY=VALUE, not {pair:?}")))
}
