//! `restore`: restores files to what they were before a turn.

use serde_json::{Value, json};

use super::args::Args;
use super::http::ApiServer;
use super::output::{counted, field, print, print_json};
use super::terminal::plain;
use super::workers;
use crate::percent;

pub(super) fn restore(server: &ApiServer, worker: &str, files: &[&str], args: &Args) -> Result<(), String> {
    let path = workers::path(server, worker)?;
    let turn = match &args.turn {
        Some(turn) => turn.clone(),
        None => latest(server, &path)?,
    };
    if args.dry_run {
        return preview(server, &path, &turn, files, args.json);
    }
    let answer = server.json("POST", &format!("{path}/restore"), Some(&json!({"turn": turn, "files": files})))?;
    if args.json {
        return print_json(&answer);
    }
    print_untouched(&answer)?;
    print(&format!("{} restored", counted(&answer["changed"], "file")))?;
    if let Some(recorded) = answer["recorded"].as_str() {
        let undo = format!("rs-worker restore {worker} --turn {recorded}");
        print(&plain(&format!("what was overwritten is recorded; to get it back: {undo}")))?;
    }
    Ok(())
}

/// Finds the newest turn before which the files were recorded.
fn latest(server: &ApiServer, path: &str) -> Result<String, String> {
    let answer = server.json("GET", &format!("{path}/turns"), None)?;
    let turns = answer["turns"].as_array().map(Vec::as_slice).unwrap_or_default();
    let found = turns.iter().find(|turn| turn["can_restore"] == true).map(|turn| field(turn, "turn_id").to_owned());
    found.ok_or_else(|| "no turn has recorded files: is the project in a git repository, and TURN_TREES on?".to_owned())
}

fn preview(server: &ApiServer, path: &str, turn: &str, files: &[&str], as_json: bool) -> Result<(), String> {
    let file = match files {
        [] => String::new(),
        [file] => format!("&file={}", percent::encode(file)),
        _ => return Err("--dry-run takes one file or folder, or none for all".to_owned()),
    };
    let answer = server.json("GET", &format!("{path}/restore?turn={}{file}", percent::encode(turn)), None)?;
    if as_json {
        return print_json(&answer);
    }
    for file in answer["files"].as_array().into_iter().flatten() {
        print(&plain(&format!("{:<8}  {}", field(file, "change"), field(file, "path"))))?;
    }
    print_untouched(&answer)?;
    print(&format!("{} would change", counted(&answer["count"], "file")))
}

fn print_untouched(answer: &Value) -> Result<(), String> {
    let mut untouched = answer["untouched"].as_array().into_iter().flatten();
    untouched.try_for_each(|file| {
        print(&plain(&format!("left as it is: {}: {}", field(file, "path"), field(file, "reason"))))
    })
}
