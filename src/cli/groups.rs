//! `best` and `group`: one prompt to several CLIs and models, and the choice of the best.

use std::time::Duration;

use serde_json::{Value, json};

use super::args::Args;
use super::diff;
use super::http::ApiServer;
use super::output::{field, print, print_json, print_rows};
use super::progress::Progress;
use super::terminal::plain;
use super::workers;
use crate::percent;

/// Characters of a name in the table.
const NAME_CHARS_MAX: usize = 40;
/// Characters of a prompt that are used as a group's name.
const TITLE_CHARS_MAX: usize = 60;

/// Interval of the requests for the state of checks.
const CHECK_LOOK: Duration = Duration::from_millis(300);

/// Creates a group and prints its id.
pub(super) fn best(server: &ApiServer, project: &str, args: &Args) -> Result<(), String> {
    let prompt = args.prompt.as_deref().ok_or("--prompt is missing")?;
    if args.attempts.is_empty() {
        return Err("--attempt is missing: name a CLI, or a CLI and a model as CLI:MODEL".to_owned());
    }
    let attempts: Vec<Value> = args.attempts.iter().map(|attempt| self::attempt(attempt)).collect();
    let title: String = prompt.lines().next().unwrap_or_default().chars().take(TITLE_CHARS_MAX).collect();
    let mut body = json!({
        "name": args.name.clone().unwrap_or(title),
        "project_path": workers::folder(project)?,
        "prompt": prompt,
        "attempts": attempts,
        // A repeated request, after a lost connection, returns the same group.
        "idempotency_key": uuid::Uuid::new_v4().to_string(),
    });
    if let Some(base) = &args.base {
        body["base"] = json!(base);
    }
    let progress = Progress::of("making worktrees");
    let made = server.json("POST", "/api/groups", Some(&body))?;
    drop(progress);
    if args.json { print_json(&made) } else { print(field(&made, "id")) }
}

/// Parses `CLI`, `CLI:MODEL` or `preset:NAME`; a model may have colons.
fn attempt(text: &str) -> Value {
    match text.split_once(':') {
        Some(("preset", name)) => json!({"preset": name}),
        Some((cli, model)) => json!({"ai_cli_type": cli, "model": model}),
        None => json!({"ai_cli_type": text}),
    }
}

/// Prints all groups, or the workers of one.
pub(super) fn show(server: &ApiServer, named: Option<&str>, args: &Args) -> Result<(), String> {
    let Some(named) = named else {
        let answer = server.json("GET", "/api/groups", None)?;
        if args.json {
            return print_json(&answer);
        }
        let mut rows = vec![["ID", "NAME", "WORKERS", "KEPT", "CREATED"].map(str::to_owned)];
        for group in answer["groups"].as_array().into_iter().flatten() {
            let count = group["workers"].as_array().map_or(0, Vec::len);
            let kept = if group["kept"].is_string() { "yes" } else { "" };
            rows.push([
                field(group, "id").to_owned(),
                cell(field(group, "name")),
                count.to_string(),
                kept.to_owned(),
                field(group, "created_at").to_owned(),
            ]);
        }
        return print_rows(&rows);
    };
    let group = server.json("GET", &path(server, named)?, None)?;
    if args.json {
        return print_json(&group);
    }
    let titles = ["", "WORKER", "NAME", "STATUS", "SECONDS", "TOKENS", "USD", "FILES", "+", "-", "CHECK"];
    let mut rows = vec![titles.map(str::to_owned)];
    for worker in group["workers"].as_array().into_iter().flatten() {
        rows.push(row(worker, worker["id"] == group["kept"]));
    }
    print_rows(&rows)
}

fn row(worker: &Value, is_kept: bool) -> [String; 11] {
    let tokens: u64 = worker["usage"].as_object().into_iter().flatten().filter_map(|(_, count)| count.as_u64()).sum();
    let changed = |name: &str| worker["changed"][name].as_u64().map_or_else(String::new, |count| count.to_string());
    [
        if is_kept { "*".to_owned() } else { String::new() },
        field(worker, "id").to_owned(),
        cell(field(worker, "name")),
        field(worker, "status").to_owned(),
        (worker["worked_ms"].as_u64().unwrap_or_default() / 1_000).to_string(),
        tokens.to_string(),
        format!("{:.2}", worker["cost_usd"].as_f64().unwrap_or_default()),
        changed("files"),
        changed("added"),
        changed("removed"),
        outcome(&worker["check"]),
    ]
}

/// Formats the outcome of a check in a few words.
fn outcome(check: &Value) -> String {
    let code = check["code"].as_u64().filter(|code| *code > 0);
    let code = code.map_or_else(String::new, |code| format!(" ({code})"));
    let stale = if check["stale"] == true { ", of earlier files" } else { "" };
    if check.is_null() { String::new() } else { format!("{}{code}{stale}", field(check, "state")) }
}

/// Checks the workers of a group, waits for the outcomes, and prints the last lines of failed checks. Fails if a check
/// has failed.
pub(super) fn check(server: &ApiServer, named: &str, args: &Args) -> Result<(), String> {
    let path = path(server, named)?;
    let progress = Progress::of("checking");
    let begun = server.json("POST", &format!("{path}/check"), Some(&json!({})))?;
    let ids: Vec<&Value> = begun["checked"].as_array().into_iter().flatten().map(|worker| &worker["id"]).collect();
    let group = loop {
        let group = server.json("GET", &path, None)?;
        let runs = |worker: &Value| {
            let state = field(&worker["check"], "state");
            ids.contains(&&worker["id"]) && matches!(state, "waiting" | "running")
        };
        if !group["workers"].as_array().into_iter().flatten().any(runs) {
            break group;
        }
        std::thread::sleep(CHECK_LOOK);
    };
    drop(progress);
    if args.json {
        print_json(&group)?;
    }
    let mut failed = 0;
    for worker in group["workers"].as_array().into_iter().flatten().filter(|worker| ids.contains(&&worker["id"])) {
        let check = &worker["check"];
        let has_passed = check["state"] == "passed";
        failed += usize::from(!has_passed);
        if args.json {
            continue;
        }
        print(&format!("{}: {}", cell(field(worker, "name")), outcome(check)))?;
        if !has_passed {
            print(&format!("  {}", plain(field(check, "error"))))?;
            field(check, "output").lines().try_for_each(|line| print(&format!("  {}", plain(line))))?;
        }
    }
    let left: Vec<&Value> = begun["left"].as_array().into_iter().flatten().collect();
    for other in &left {
        let name = cell(field(other, "name"));
        eprintln!("rs-worker group: {name} is not checked: {}", plain(field(other, "detail")));
    }
    match failed + left.len() {
        0 => Ok(()),
        count => Err(format!("{count} workers have not passed the check")),
    }
}

/// Prints the difference between the files of two workers of a group.
pub(super) fn diff(server: &ApiServer, named: &str, workers: (&str, &str), args: &Args) -> Result<(), String> {
    let id = |named| workers::path(server, named).map(|path| path.trim_start_matches("/api/workers/").to_owned());
    let (from, to) = (id(workers.0)?, id(workers.1)?);
    let answer = server.json("GET", &format!("{}/diff?from={from}&to={to}", path(server, named)?), None)?;
    if args.json {
        return print_json(&answer);
    }
    diff::print_changes(&answer, args)
}

/// Chooses a worker of a group and deletes the others.
pub(super) fn keep(server: &ApiServer, named: &str, worker: &str, args: &Args) -> Result<(), String> {
    let worker = workers::path(server, worker)?;
    let id = worker.trim_start_matches("/api/workers/");
    let progress = Progress::of("deleting the other workers");
    let body = json!({"worker": id, "force": args.force});
    let answer = server.json("POST", &format!("{}/keep", path(server, named)?), Some(&body))?;
    drop(progress);
    if args.json {
        return print_json(&answer);
    }
    let others = |list: &str| answer[list].as_array().into_iter().flatten().cloned().collect::<Vec<Value>>();
    for other in others("deleted") {
        let detail = other["detail"].as_str().map_or_else(String::new, |detail| format!("; {}", plain(detail)));
        print(&format!("deleted {}{detail}", cell(field(&other, "name"))))?;
    }
    let left = others("left");
    for other in &left {
        eprintln!("rs-worker group: {} is left: {}", cell(field(other, "name")), plain(field(other, "detail")));
    }
    if left.is_empty() { Ok(()) } else { Err(format!("{} workers are left", left.len())) }
}

/// Returns the path of the group that `named` means: its id, its name, or a unique prefix of its id.
fn path(server: &ApiServer, named: &str) -> Result<String, String> {
    let answer = server.json("GET", "/api/groups", None)?;
    let all: Vec<&Value> = answer["groups"].as_array().into_iter().flatten().collect();
    let fits: [&dyn Fn(&Value) -> bool; 3] =
        [&|group| field(group, "id") == named, &|group| field(group, "name") == named, &|group| {
            !named.is_empty() && field(group, "id").starts_with(named)
        }];
    for fit in fits {
        match all.iter().filter(|group| fit(group)).map(|group| field(group, "id")).collect::<Vec<_>>().as_slice() {
            [] => {}
            [id] => return Ok(format!("/api/groups/{}", percent::encode(id))),
            several => return Err(format!("{named} means several groups; give one's id: {}", several.join(", "))),
        }
    }
    Err(format!("no such group: {named}; `rs-worker group` lists them"))
}

fn cell(text: &str) -> String {
    plain(text).replace(['\n', '\t'], " ").chars().take(NAME_CHARS_MAX).collect()
}
