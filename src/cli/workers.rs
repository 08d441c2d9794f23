//! `ls`, `new`, `stop`, `start`, `rm` and `export`, and how a worker is named.

use std::io::{self, IsTerminal as _};

use serde_json::{Value, json};

use super::http::Server;
use super::progress::Progress;
use super::{Args, field, plain, print};
use crate::percent;

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
    Err(format!("there is no worker {named}; `rs-worker ls` lists them"))
}

/// Whether a worker's CLI tells when it has answered; nobody waits for one that does not.
pub(super) fn tells_turns(server: &Server, path: &str) -> Result<bool, String> {
    let worker = server.json("GET", path, None)?;
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
        return print(&answer.to_string());
    }
    if args.names {
        let all = answer["workers"].as_array().into_iter().flatten();
        // A name that holds a line's end cannot be one line.
        return all
            .map(|worker| field(worker, "name"))
            .filter(|name| !name.contains(char::is_control))
            .try_for_each(print);
    }
    let mut rows = vec![["ID", "NAME", "CLI", "STATUS", "PROJECT"].map(str::to_owned)];
    for worker in answer["workers"].as_array().into_iter().flatten() {
        let cell = |name| plain(field(worker, name)).replace(['\n', '\t'], " ");
        rows.push(["id", "name", "ai_cli_type", "status", "project_path"].map(cell));
    }
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let [id, name, cli, status] = [0, 1, 2, 3].map(width);
    for row in &rows {
        let [a, b, c, d, e] = row;
        print(&format!("{a:id$}  {b:name$}  {c:cli$}  {d:status$}  {e}"))?;
    }
    Ok(())
}

pub(super) fn create(server: &Server, name: &str, dir: &str, args: &Args) -> Result<(), String> {
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
    print(&if args.json { worker.to_string() } else { field(&worker, "id").to_owned() })
}

pub(super) fn call(server: &Server, worker: &str, what: &str, as_json: bool) -> Result<(), String> {
    let path = path(server, worker)?;
    let _progress = Progress::of("waiting for its processes");
    let answer = server.json("POST", &format!("{path}/{what}"), Some(&json!({})))?;
    if as_json { print(&answer.to_string()) } else { Ok(()) }
}

pub(super) fn delete(server: &Server, worker: &str, args: &Args) -> Result<(), String> {
    let force = if args.force { "?force=true" } else { "" };
    let answer = server.json("DELETE", &format!("{}{force}", path(server, worker)?), None)?;
    if args.json { print(&answer.to_string()) } else { Ok(()) }
}

pub(super) fn export(server: &Server, worker: &str, format: &str) -> Result<(), String> {
    let path = format!("{}/export?format={}", path(server, worker)?, percent::encode(format));
    let mut body = server.open("GET", &path, None)?;
    let _progress = (!io::stdout().is_terminal()).then(|| Progress::of("exporting"));
    io::copy(&mut body, &mut io::stdout().lock()).map_err(|error| format!("the export is not whole: {error}"))?;
    Ok(())
}
