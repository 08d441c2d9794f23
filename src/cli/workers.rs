//! `ls`, `new`, `stop`, `start`, `rm` and `export`, and the lookup of workers.

use std::collections::{HashMap, HashSet};
use std::io::{self, BufRead, IsTerminal as _, Write};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::args::Args;
use super::http::ApiServer;
use super::output::{field, print, print_json};
use super::progress::Progress;
use super::terminal::{plain, plain_json};
use crate::{home, percent};

/// Time for which a new worker is watched for a failed start.
const START_WAIT: Duration = Duration::from_secs(2);
/// Pause between two checks of it.
const START_TICK: Duration = Duration::from_millis(20);
/// Characters of a reason in the table.
const REASON_CHARS_MAX: usize = 120;

/// Returns the path of the worker that `named` means: its id, its name, or a unique prefix of its id.
pub(super) fn path(server: &ApiServer, named: &str) -> Result<String, String> {
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
            several => return Err(format!("{named} is ambiguous; give the id of one worker: {}", several.join(", "))),
        }
    }
    Err(format!("no such worker: {named}; `rs-worker ls` lists them"))
}

/// Returns whether a worker's CLI reports the end of a turn; without that, commands do not wait for it.
pub(super) fn reports_turns(server: &ApiServer, worker: &Value) -> Result<bool, String> {
    let clis = server.json("GET", "/api/ai-clis", None)?;
    let of_worker = |cli: &&Value| cli["type"] == worker["ai_cli_type"];
    let cli = clis["available_clis"].as_array().into_iter().flatten().find(of_worker);
    // Nothing is known of a CLI that is not declared any more.
    let Some(capabilities) = cli.and_then(|cli| cli["capabilities"].as_array()) else { return Ok(true) };
    Ok(capabilities.iter().any(|it| it == "turns"))
}

pub(super) fn list(server: &ApiServer, args: &Args) -> Result<(), String> {
    let answer = server.json("GET", &list_path(args)?, None)?;
    if args.json {
        return print_json(&answer);
    }
    if args.names {
        let all = answer["workers"].as_array().into_iter().flatten();
        // A name with a line break cannot be one line.
        return all
            .map(|worker| field(worker, "name"))
            .filter(|name| !name.contains(char::is_control))
            .try_for_each(print);
    }
    let mut rows = vec![["ID", "NAME", "CLI", "STATUS", "PROJECT", "REASON"].map(str::to_owned)];
    for (depth, worker) in tree(answer["workers"].as_array().map(Vec::as_slice).unwrap_or_default()) {
        let cell = |name| plain(field(worker, name)).replace(['\n', '\t'], " ");
        let mut row = ["id", "name", "ai_cli_type", "status", "project_path", "reason"].map(cell);
        if worker["hibernated"] == true {
            row[3] = "asleep".to_owned();
        }
        match worker["parent"]["name"].as_str() {
            Some(_) if depth > 0 => row[1] = format!("{}- {}", "  ".repeat(depth - 1), row[1]),
            Some(parent) => row[1] = format!("{} (of {})", row[1], plain(parent).replace(['\n', '\t'], " ")),
            None => {}
        }
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

/// Workers with their depth below others of the list, each behind the one whose agent has made it.
fn tree(all: &[Value]) -> Vec<(usize, &Value)> {
    let mut children: HashMap<&str, Vec<&Value>> = HashMap::new();
    let ids: HashSet<&str> = all.iter().map(|worker| field(worker, "id")).collect();
    let parent = |worker: &'_ Value| worker["parent"]["id"].as_str().and_then(|id| ids.get(id).copied());
    for worker in all {
        children.entry(parent(worker).unwrap_or_default()).or_default().push(worker);
    }
    let mut waiting: Vec<(usize, &Value)> =
        children.remove("").into_iter().flatten().rev().map(|worker| (0, worker)).collect();
    let mut listed = Vec::new();
    while let Some((depth, worker)) = waiting.pop() {
        listed.push((depth, worker));
        let below = children.remove(field(worker, "id")).into_iter().flatten().rev();
        waiting.extend(below.map(|child| (depth + 1, child)));
    }
    listed
}

/// The path of the list of those workers that the arguments ask for.
fn list_path(args: &Args) -> Result<String, String> {
    let mut query = Vec::new();
    if let Some(status) = &args.status {
        query.push(format!("status={}", percent::encode(status)));
    }
    if let Some(dir) = &args.project {
        let dir = folder(dir)?;
        // The server knows projects by their resolved paths. One that is not here may be on the server's machine.
        let resolved = std::fs::canonicalize(&dir).ok().and_then(|path| path.into_os_string().into_string().ok());
        query.push(format!("project={}", percent::encode(resolved.as_deref().unwrap_or(&dir))));
    }
    Ok(if query.is_empty() { "/api/workers".to_owned() } else { format!("/api/workers?{}", query.join("&")) })
}

pub(super) fn create(server: &ApiServer, name: &str, dir: &str, args: &Args) -> Result<(), String> {
    let dir = folder(dir)?;
    let mut body = json!({"name": name, "project_path": dir});
    if let Some(cli) = &args.cli {
        body["ai_cli_type"] = json!(cli);
    }
    for (name, value) in [("model", &args.model), ("effort", &args.effort)] {
        if let Some(value) = value {
            body[name] = json!(value);
        }
    }
    if args.worktree {
        body["worktree"] = json!(true);
    }
    if args.mcp {
        body["mcp"] = json!(true);
    }
    if let Some(preset) = preset_of(server, &dir, args)? {
        body["preset"] = json!(preset);
    }
    if !args.set.is_empty() {
        body["placeholders"] = values(args)?;
    }
    let worker = server.json("POST", "/api/workers", Some(&body))?;
    warn_of_failure(server, &worker)?;
    if args.json { print_json(&worker) } else { print(field(&worker, "id")) }
}

/// Returns the values of a preset's placeholders.
pub(super) fn values(args: &Args) -> Result<Value, String> {
    let mut values = json!({});
    for pair in &args.set {
        let (name, value) = pair.split_once('=').ok_or_else(|| format!("--set takes KEY=VALUE, not {pair:?}"))?;
        values[name] = json!(value);
    }
    Ok(values)
}

/// Returns the preset of a new worker: the named one, else that of the project's file. With an explicit CLI there is
/// none, because models and arguments belong to a CLI.
fn preset_of(server: &ApiServer, dir: &str, args: &Args) -> Result<Option<String>, String> {
    if args.preset.is_some() || args.cli.is_some() {
        return Ok(args.preset.clone());
    }
    let answer = server.json("GET", &format!("/api/projects?path={}", percent::encode(dir)), None)?;
    Ok(answer["projects"][0]["preset"].as_str().map(str::to_owned))
}

/// Returns the absolute path of a folder.
pub(super) fn folder(dir: &str) -> Result<String, String> {
    let dir = &home::expand(dir, home::directory().as_deref()).map_err(|error| format!("{dir}: {error}"))?;
    let dir = std::path::absolute(dir).map_err(|error| format!("{dir}: {error}"))?;
    dir.to_str().map(str::to_owned).ok_or_else(|| format!("{} is not UTF-8", dir.display()))
}

pub(super) fn presets(server: &ApiServer, args: &Args) -> Result<(), String> {
    let answer = server.json("GET", "/api/presets", None)?;
    if args.json {
        return print_json(&answer);
    }
    for preset in answer["presets"].as_array().into_iter().flatten() {
        let names: Vec<&str> =
            preset["placeholders"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let cell = |name| plain(field(preset, name)).replace(['\n', '\t'], " ");
        let line = format!(
            "{}  {} {}  {}  {}",
            cell("name"),
            cell("ai_cli_type"),
            cell("model"),
            names.join(","),
            cell("error")
        );
        print(line.trim_end())?;
    }
    Ok(())
}

/// Reports on standard error why a worker's start has failed, which takes a moment to be known.
fn warn_of_failure(server: &ApiServer, worker: &Value) -> Result<(), String> {
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

pub(super) fn call(server: &ApiServer, worker: &str, what: &str, as_json: bool) -> Result<(), String> {
    let path = path(server, worker)?;
    let _progress = Progress::of("waiting for its processes");
    let answer = server.json("POST", &format!("{path}/{what}"), Some(&json!({})))?;
    if as_json { print_json(&answer) } else { Ok(()) }
}

pub(super) fn delete(server: &ApiServer, worker: &str, args: &Args) -> Result<(), String> {
    let force = if args.force { "?force=true" } else { "" };
    let answer = server.json("DELETE", &format!("{}{force}", path(server, worker)?), None)?;
    if args.json { print_json(&answer) } else { Ok(()) }
}

pub(super) fn export(server: &ApiServer, worker: &str, format: &str) -> Result<(), String> {
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

/// Copies an export line by line, made safe for a terminal.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_are_listed_behind_their_parent() {
        let worker = |id: &str, parent: Option<&str>| json!({"id": id, "parent": parent.map(|id| json!({"id": id, "name": id.to_uppercase()}))});
        let all = [
            worker("a", None),
            worker("b", None),
            worker("c", Some("a")),
            worker("d", Some("c")),
            worker("e", Some("gone")),
            worker("f", Some("a")),
        ];
        let listed: Vec<(usize, &str)> = tree(&all).into_iter().map(|(depth, it)| (depth, field(it, "id"))).collect();
        assert_eq!(listed, [(0, "a"), (1, "c"), (2, "d"), (1, "f"), (0, "b"), (0, "e")]);
    }
}
