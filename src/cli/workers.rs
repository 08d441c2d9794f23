//! `ls`, `new`, `stop`, `start`, `rm` and `export`, and how a worker is named.

use std::io::{self, BufRead, IsTerminal as _, Write};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::args::Args;
use super::http::Server;
use super::output::{field, print, print_json};
use super::progress::Progress;
use super::terminal::{plain, plain_json};
use crate::{home, percent};

/// Time for which a new worker is watched for a failure of its start.
const START_WAIT: Duration = Duration::from_secs(2);
/// Pause between two looks at it.
const START_TICK: Duration = Duration::from_millis(20);
/// Characters of a reason in the table.
const REASON_CHARS_MAX: usize = 120;

/// The path of the worker that `named` means: its id, its name, or the beginning of its id, if only one fits.
pub(super) fn path(server: &Server, named: &str) -> Result<String, String> {
    let all = server.json("GET", "/api/workers", None)?;
    let all = all["workers"].as_array().map(Vec::as_slice).unwrap_or_default();
    let ids = |fits: &dyn Fn(&Value) -> bool| -> Vec<&str> {
        all.iter().filter(|worker| fits(worker)).map(|worker| field(worker, "id")).collect()
    };
    let fits: [&dyn Fn(&Value) -> bool; 3] =
        [&|worker| field(worker, "id") == named, &|worker| field(worker, "name") == named, &|worker| {
            !named.is_empty() && field(worker, "id").starts_with(named)
        }];
    for fit in fits {
        match ids(fit).as_slice() {
            [] => {}
            [id] => return Ok(format!("/api/workers/{}", percent::encode(id))),
            several => return Err(format!("{named} means several workers; give one's id: {}", several.join(", "))),
        }
    }
    Err(format!("no such worker: {named}; `rs-worker ls` lists them"))
}

/// Returns whether a worker's CLI reports the end of a turn; without that, nobody waits for it.
pub(super) fn reports_turns(server: &Server, worker: &Value) -> Result<bool, String> {
    let clis = server.json("GET", "/api/ai-clis", None)?;
    let of_worker = |cli: &&Value| cli["type"] == worker["ai_cli_type"];
    let cli = clis["available_clis"].as_array().into_iter().flatten().find(of_worker);
    // Of a CLI that is not declared any more nothing is known.
    let Some(capabilities) = cli.and_then(|cli| cli["capabilities"].as_array()) else { return Ok(true) };
    Ok(capabilities.iter().any(|it| it == "turns"))
}

pub(super) fn list(server: &Server, args: &Args) -> Result<(), String> {
    let answer = server.json("GET", "/api/workers", None)?;
    if args.json {
        return print_json(&answer);
    }
    if args.names {
        let all = answer["workers"].as_array().into_iter().flatten();
        // A name that holds a line's end cannot be one line.
        return all
            .map(|worker| field(worker, "name"))
            .filter(|name| !name.contains(char::is_control))
            .try_for_each(print);
    }
    let mut rows = vec![["ID", "NAME", "CLI", "STATUS", "PROJECT", "REASON"].map(str::to_owned)];
    for worker in answer["workers"].as_array().into_iter().flatten() {
        let cell = |name| plain(field(worker, name)).replace(['\n', '\t'], " ");
        let mut row = ["id", "name", "ai_cli_type", "status", "project_path", "reason"].map(cell);
        row[5] = row[5].chars().take(REASON_CHARS_MAX).collect();
        rows.push(row);
    }
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let [id, name, cli, status, project] = [0, 1, 2, 3, 4].map(width);
    for row in &rows {
        let [a, b, c, d, e, f] = row;
        print(format!("{a:id$}  {b:name$}  {c:cli$}  {d:status$}  {e:project$}  {f}").trim_end())?;
    }
    Ok(())
}

pub(super) fn create(server: &Server, name: &str, dir: &str, args: &Args) -> Result<(), String> {
    let dir = &home::expand(dir, home::directory().as_deref()).map_err(|error| format!("{dir}: {error}"))?;
    let dir = std::path::absolute(dir).map_err(|error| format!("{dir}: {error}"))?;
    let dir = dir.to_str().ok_or_else(|| format!("{} is not UTF-8", dir.display()))?;
    let mut body = json!({"name": name, "project_path": dir});
    if let Some(cli) = &args.cli {
        body["ai_cli_type"] = json!(cli);
    }
    if args.worktree {
        body["worktree"] = json!(true);
    }
    let worker = server.json("POST", "/api/workers", Some(&body))?;
    warn_of_failure(server, &worker)?;
    if args.json { print_json(&worker) } else { print(field(&worker, "id")) }
}

/// Says on standard error why a worker has failed at its start, which takes a moment to be known.
fn warn_of_failure(server: &Server, worker: &Value) -> Result<(), String> {
    let path = format!("/api/workers/{}", percent::encode(field(worker, "id")));
    let end = Instant::now() + START_WAIT;
    loop {
        let now = server.json("GET", &path, None)?;
        match field(&now, "status") {
            "failed" => {
                let reason = plain(field(&now, "reason"));
                eprintln!("rs-worker new: the worker was made, and its CLI cannot start: {reason}");
                return Ok(());
            }
            "starting" if Instant::now() < end => std::thread::sleep(START_TICK),
            _ => return Ok(()),
        }
    }
}

pub(super) fn call(server: &Server, worker: &str, what: &str, as_json: bool) -> Result<(), String> {
    let path = path(server, worker)?;
    let _progress = Progress::of("waiting for its processes");
    let answer = server.json("POST", &format!("{path}/{what}"), Some(&json!({})))?;
    if as_json { print_json(&answer) } else { Ok(()) }
}

pub(super) fn delete(server: &Server, worker: &str, args: &Args) -> Result<(), String> {
    let force = if args.force { "?force=true" } else { "" };
    let answer = server.json("DELETE", &format!("{}{force}", path(server, worker)?), None)?;
    if args.json { print_json(&answer) } else { Ok(()) }
}

pub(super) fn export(server: &Server, worker: &str, format: &str) -> Result<(), String> {
    let path = format!("{}/export?format={}", path(server, worker)?, percent::encode(format));
    let mut body = server.open("GET", &path, None)?;
    let _progress = (!io::stdout().is_terminal()).then(|| Progress::of("exporting"));
    let copied = if io::stdout().is_terminal() {
        export_to_terminal(body, format, &mut io::stdout().lock())
    } else {
        io::copy(&mut body, &mut io::stdout().lock()).map(drop)
    };
    copied.map_err(|error| format!("the export is not whole: {error}"))
}

/// Copies an export line by line, without anything that a terminal would obey.
fn export_to_terminal(export: impl BufRead, format: &str, out: &mut impl Write) -> io::Result<()> {
    for line in export.lines() {
        let line = line?;
        if format == "md" {
            writeln!(out, "{}", plain(&line))?;
        } else {
            writeln!(out, "{}", plain_json(&line))?;
        }
    }
    out.flush()
}
