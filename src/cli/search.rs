//! `search` and `import`.

use std::fs::File;
use std::io::{self, IsTerminal as _, Read};

use serde_json::{Value, json};

use super::args::Args;
use super::http::{ApiServer, LinesFile};
use super::output::{field, print, print_json};
use super::progress::Progress;
use super::terminal::plain;
use super::workers;
use crate::{home, percent};

/// Default number of results.
const LIMIT: usize = 20;
/// Maximum number of results of one request.
const PAGE: usize = 100;

/// Prints the results, newest first.
pub(super) fn search(server: &ApiServer, text: &str, args: &Args) -> Result<(), String> {
    let limit = args.limit.unwrap_or(LIMIT);
    let mut path = format!("/api/search?q={}", percent::encode(text));
    if let Some(worker) = &args.worker {
        let found = workers::path(server, worker)?;
        path += &format!("&worker_id={}", found.trim_start_matches("/api/workers/"));
    }
    if let Some(kind) = &args.kind {
        path += &format!("&kind={}", percent::encode(kind));
    }
    let progress = Progress::of("searching");
    let (mut results, mut next) = (Vec::new(), None);
    while results.len() < limit {
        let page = (limit - results.len()).min(PAGE);
        let cursor = next.as_deref().map_or_else(String::new, |next| format!("&cursor={}", percent::encode(next)));
        let answer = server.json("GET", &format!("{path}&limit={page}{cursor}"), None)?;
        results.extend(answer["results"].as_array().into_iter().flatten().cloned());
        next = answer["next"].as_str().map(str::to_owned);
        if next.is_none() {
            break;
        }
    }
    drop(progress);
    if args.json {
        return print_json(&json!({"results": results, "next": next}));
    }
    let marks = if io::stdout().is_terminal() { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
    for result in &results {
        print(&format!(
            "{}  {}  {} {}\n    {}",
            field(result, "timestamp"),
            one_line(field(result, "worker_name")),
            field(result, "type"),
            result["seq"],
            marked(result, marks)
        ))?;
    }
    Ok(())
}

/// Returns the snippet with its match between `marks`.
fn marked(result: &Value, marks: (&str, &str)) -> String {
    let snippet = field(result, "snippet");
    let bound = |name: &str| result["match"][name].as_u64().and_then(|at| usize::try_from(at).ok()).unwrap_or_default();
    let (start, end) = (bound("start"), bound("end"));
    let part = |from: usize, to: usize| {
        one_line(&snippet.chars().skip(from).take(to.saturating_sub(from)).collect::<String>())
    };
    format!("{}{}{}{}{}", part(0, start), marks.0, part(start, end), marks.1, part(end, usize::MAX))
}

fn one_line(text: &str) -> String {
    plain(text).replace(['\n', '\t'], " ")
}

/// Creates a worker from an export.
pub(super) fn import(server: &ApiServer, file: &str, args: &Args) -> Result<(), String> {
    let reported = |error: io::Error| format!("{file}: {error}");
    let (source, length): (Box<dyn Read>, _) = if file == "-" {
        (Box::new(io::stdin().lock()), None)
    } else {
        let opened = File::open(file).map_err(reported)?;
        let found = opened.metadata().map_err(reported)?;
        (Box::new(opened), found.is_file().then_some(found.len()))
    };
    let mut path = "/api/import".to_owned();
    if let Some(project) = &args.project {
        let project =
            &home::expand(project, home::directory().as_deref()).map_err(|error| format!("{project}: {error}"))?;
        let project = std::path::absolute(project).map_err(|error| format!("{project}: {error}"))?;
        path += &format!("?project_path={}", percent::encode(&project.to_string_lossy()));
    }
    let progress = Progress::of("importing");
    let worker = server.lines(&path, LinesFile { name: file, source, length })?;
    drop(progress);
    if args.json { print_json(&worker) } else { print(field(&worker, "id")) }
}
