//! `diff`: the changes of a worker's project, in a scope.

use serde_json::Value;

use super::args::Args;
use super::http::ApiServer;
use super::output::{field, print, print_json};
use super::terminal::plain;
use super::workers;
use crate::percent;

/// Names of scopes; any other is the id of a commit.
const SCOPES: [&str; 3] = ["base", "head", "uncommitted"];

/// Returns the query of a scope, for a diff.
pub(super) fn query(scope: Option<&str>) -> String {
    match scope {
        None => String::new(),
        Some(name) if SCOPES.contains(&name) => format!("?scope={name}"),
        Some(commit) => format!("?scope=commit&commit={}", percent::encode(commit)),
    }
}

/// Returns the scope and its commit as fields of a request.
pub(super) fn add_scope(body: &mut Value, scope: Option<&str>) {
    match scope {
        None => {}
        Some(name) if SCOPES.contains(&name) => body["scope"] = name.into(),
        Some(commit) => {
            body["scope"] = "commit".into();
            body["commit"] = commit.into();
        }
    }
}

pub(super) fn diff(server: &ApiServer, worker: &str, args: &Args) -> Result<(), String> {
    let path = format!("{}/diff{}", workers::path(server, worker)?, query(args.scope.as_deref()));
    let answer = server.json("GET", &path, None)?;
    if args.json {
        return print_json(&answer);
    }
    print_changes(&answer, args)
}

/// Prints a diff of the server, or the counts of its files.
pub(super) fn print_changes(answer: &Value, args: &Args) -> Result<(), String> {
    if answer["git"] == false {
        return Err(field(answer, "detail").to_owned());
    }
    let text = if args.stat { stat(answer) } else { plain(field(answer, "diff").trim_end()) };
    if !text.is_empty() {
        print(&text)?;
    }
    if answer["truncated"] == true {
        eprintln!("rs-worker diff: there is more; the server has cut the diff");
    }
    for file in answer["not_shown"].as_array().into_iter().flatten() {
        eprintln!("rs-worker diff: not shown: {}: {}", plain(field(file, "path")), field(file, "reason"));
    }
    Ok(())
}

/// Formats one line per file, and their sum.
fn stat(answer: &Value) -> String {
    let files = answer["files"].as_array().map(Vec::as_slice).unwrap_or_default();
    if files.is_empty() {
        return String::new();
    }
    let count = |file: &Value, name: &str| file[name].as_u64().unwrap_or_default();
    let mut lines = Vec::new();
    let name = |file: &Value| match file["old_path"].as_str() {
        Some(old) => one_line(&format!("{old} => {}", field(file, "path"))),
        None => one_line(field(file, "path")),
    };
    let width = files.iter().map(|file| name(file).chars().count()).max().unwrap_or_default();
    for file in files {
        let counts = match (file["binary"] == true, field(file, "status")) {
            (true, _) => "binary".to_owned(),
            (_, "mode") => "mode".to_owned(),
            _ => format!("+{} -{}", count(file, "added"), count(file, "removed")),
        };
        lines.push(format!("{:<width$}  {counts}", name(file)));
    }
    let sum = |name: &str| files.iter().map(|file| count(file, name)).sum::<u64>();
    let noun = if files.len() == 1 { "file" } else { "files" };
    lines.push(format!("{} {noun} changed, +{} -{}", files.len(), sum("added"), sum("removed")));
    lines.join("\n")
}

/// Formats a name as one line that is safe for a terminal.
pub(super) fn one_line(name: &str) -> String {
    plain(name).replace(['\n', '\t'], "?")
}
