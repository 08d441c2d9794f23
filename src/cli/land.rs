//! `commit`, `update` and `land`.

use serde_json::{Value, json};

use super::args::Args;
use super::http::ApiServer;
use super::output::{counted, field, print, print_json};
use super::terminal::plain;
use super::workers::path;
use crate::percent;

/// Characters of a commit's id that are printed.
const ID_CHARS: usize = 10;

pub(super) fn commit(server: &ApiServer, worker: &str, files: &[&str], args: &Args) -> Result<(), String> {
    let message = args.message.as_ref().ok_or_else(|| "give a message with -m".to_owned())?;
    let mut body = json!({"message": message});
    if !files.is_empty() {
        body["files"] = json!(files);
    }
    let done = post(server, worker, "commit", &body)?;
    print_outcome(args, &done, &format!("committed {} to {}", list(&done["files"]), field(&done, "branch")))
}

pub(super) fn update(server: &ApiServer, worker: &str, args: &Args) -> Result<(), String> {
    let mut body = json!({"strategy": args.strategy.unwrap_or("merge")});
    if let Some(from) = &args.from {
        body["from"] = json!(from);
    }
    let done = post(server, worker, "update", &body)?;
    let branch = field(&done, "branch");
    let words = match done["commits"].as_u64() {
        Some(0) => format!("{branch} is up to date"),
        _ => format!("updated {branch} by {}", counted(&done["commits"], "commit")),
    };
    print_outcome(args, &done, &words)
}

pub(super) fn land(server: &ApiServer, worker: &str, args: &Args) -> Result<(), String> {
    if args.dry_run {
        return dry_run(server, worker, args);
    }
    let strategy = args
        .strategy
        .ok_or_else(|| "choose --merge, --squash or --rebase; --dry-run prints what each would do".to_owned())?;
    let mut body = json!({"strategy": strategy, "leave_uncommitted": args.leave_uncommitted});
    for (name, value) in [("into", &args.into), ("message", &args.message)] {
        if let Some(value) = value {
            body[name] = json!(value);
        }
    }
    body["then"] = json!(if args.delete { "delete" } else { "keep" });
    let done = post(server, worker, "land", &body)?;
    let more = match done["left"].as_str() {
        Some(left) => format!("; {left}"),
        None => String::new(),
    };
    print_outcome(
        args,
        &done,
        &format!("landed on {}: {}{more}", field(&done, "branch"), counted(&done["commits"], "commit")),
    )
}

fn dry_run(server: &ApiServer, worker: &str, args: &Args) -> Result<(), String> {
    let into = args.into.as_ref().map(|into| format!("?into={}", percent::encode(into))).unwrap_or_default();
    let dry = server.json("GET", &format!("{}/land{into}", path(server, worker)?), None)?;
    if args.json {
        return print_json(&dry);
    }
    let names = |name: &str, fallback| dry[name].as_str().map_or(fallback, |_| field(&dry, name)).to_owned();
    let mut lines = vec![format!(
        "{} to {}: {} ahead, {} behind",
        names("branch", "no branch"),
        names("into", "no branch"),
        counted(&dry["ahead"], "commit"),
        dry["behind"]
    )];
    let wanted = |name: &&String| args.strategy.is_none_or(|strategy| strategy == name.as_str());
    let strategies = dry["strategies"].as_object().into_iter().flatten();
    for (name, outlook) in strategies.filter(|(name, _)| wanted(name)) {
        let is_possible = outlook["possible"] == true;
        let words = field(outlook, if is_possible { "result" } else { "reason" });
        lines.push(format!("{name}: {}{words}", if is_possible { "" } else { "not possible: " }));
    }
    for (name, about) in [("uncommitted", "not committed"), ("conflicts", "conflicts")] {
        if dry[name].as_array().is_some_and(|files| !files.is_empty()) {
            lines.push(format!("{about}: {}", list(&dry[name])));
        }
    }
    print(&plain(&lines.join("\n")))
}

fn post(server: &ApiServer, worker: &str, what: &str, body: &Value) -> Result<Value, String> {
    Ok(server.json("POST", &format!("{}/{what}", path(server, worker)?), Some(body))?)
}

fn print_outcome(args: &Args, done: &Value, words: &str) -> Result<(), String> {
    if args.json {
        return print_json(done);
    }
    let id: String = field(done, "commit").chars().take(ID_CHARS).collect();
    print(&plain(&format!("{words} ({id})")))
}

/// Lists files, or conflicts with their kinds, on one line.
fn list(files: &Value) -> String {
    let one = |file: &Value| match file.as_str() {
        Some(path) => path.to_owned(),
        None => format!("{} ({})", field(file, "path"), field(file, "kind")),
    };
    files.as_array().into_iter().flatten().map(one).collect::<Vec<_>>().join(", ")
}
