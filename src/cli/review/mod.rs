//! `review`: comments on a worker's changes, written in an editor below the lines that they refer to.

mod text;

use std::fs::{DirBuilder, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::args::Args;
use super::diff::{add_scope, query};
use super::http::ApiServer;
use super::output::{field, print, print_json};
use super::workers;
use text::{ReviewEdit, Sheet};

/// Longest text that is read back from the editor, in bytes.
const TEXT_BYTES_MAX: u64 = 16 * 1024 * 1024;

pub(super) fn review(server: &ApiServer, worker: &str, args: &Args) -> Result<(), String> {
    let path = workers::path(server, worker)?;
    if args.json {
        return print_json(&server.json("GET", &format!("{path}/review"), None)?);
    }
    let diff = server.json("GET", &format!("{path}/diff{}", query(args.scope.as_deref())), None)?;
    let known = server.json("GET", &format!("{path}/review"), None)?;
    let sheet = Sheet::new(worker, &diff, &known);
    let file = write(&sheet.text())?;
    let result = edit(&file).and_then(|edited| store(server, &path, args, &sheet, &edited));
    let all_sheet_lines = match result {
        Ok(is_clean) => is_clean,
        Err(reported) => return Err(kept(&file, &sheet.text(), &reported)),
    };
    remove(&file);
    let drafts = drafts(&server.json("GET", &format!("{path}/review"), None)?);
    if !args.send {
        let hint = if drafts > 0 { "; `rs-worker review --send` sends them" } else { "" };
        return print(&format!("{drafts} draft comments{hint}"));
    }
    if !all_sheet_lines {
        return Err(format!(
            "not sent: lines that begin with > and are not of the diff are part of comments now ({drafts} drafts); \
             review them and send again"
        ));
    }
    if drafts == 0 {
        return Err("no draft comments to send".to_owned());
    }
    let message = json!({"client_message_id": uuid::Uuid::new_v4().to_string()});
    server.json("POST", &format!("{path}/review/send"), Some(&message))?;
    print(&format!("sent {drafts} comments"))
}

/// Counts the comments that were not sent.
fn drafts(review: &Value) -> usize {
    let comments = review["comments"].as_array().into_iter().flatten();
    comments.filter(|it| it["state"] != "resolved" && it["message_id"].is_null()).count()
}

/// Writes a text for the editor into a private folder.
fn write(text: &str) -> Result<PathBuf, String> {
    let folder = std::env::temp_dir().join(format!("rs-worker-review-{}", uuid::Uuid::new_v4()));
    let file = folder.join("review.diff");
    let written = DirBuilder::new().mode(0o700).create(&folder).and_then(|()| {
        let mut open = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&file)?;
        open.write_all(text.as_bytes())
    });
    written.map(|()| file.clone()).map_err(|error| format!("{}: {error}", file.display()))
}

fn remove(file: &Path) {
    if let Some(folder) = file.parent() {
        // The remaining file belongs to the user.
        let _ = std::fs::remove_dir_all(folder);
    }
}

/// Runs the user's editor and returns what it has saved.
fn edit(file: &Path) -> Result<String, String> {
    let editor = ["VISUAL", "EDITOR"].into_iter().find_map(|name| std::env::var(name).ok().filter(|it| !it.is_empty()));
    let editor = editor.unwrap_or_else(|| "vi".to_owned());
    // Like git: the variable may have arguments.
    let script = format!("{editor} \"$@\"");
    let ended = Command::new("sh").args(["-c", &script, &editor]).arg(file).status();
    match ended {
        Err(error) => return Err(format!("the editor {editor} cannot be run: {error}")),
        Ok(status) if !status.success() => return Err(format!("the editor {editor} failed: {status}")),
        Ok(_) => {}
    }
    let found = file.metadata().map_err(|error| format!("{}: {error}", file.display()))?;
    if found.len() > TEXT_BYTES_MAX {
        return Err(format!("the text has {} bytes, and at most {TEXT_BYTES_MAX} are read", found.len()));
    }
    let bytes = std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
    String::from_utf8(bytes).map_err(|_| "the text is not valid UTF-8".to_owned())
}

/// Stores the comments; returns false if some lines that begin with `>` were read as parts of comments.
fn store(server: &ApiServer, path: &str, args: &Args, sheet: &Sheet, edited: &str) -> Result<bool, String> {
    let (changes, is_clean) = sheet.read(edited);
    for change in changes {
        match change {
            ReviewEdit::New(mut comment) => {
                comment["client_comment_id"] = uuid::Uuid::new_v4().to_string().into();
                add_scope(&mut comment, args.scope.as_deref());
                let shown = server.json("POST", &format!("{path}/review"), Some(&comment))?;
                if shown["state"] == "outdated" {
                    eprintln!("rs-worker review: the agent has changed {} meanwhile", field(&comment, "file"));
                }
            }
            ReviewEdit::Edited(id, change) => {
                server.json("PATCH", &format!("{path}/review/{id}"), Some(&change))?;
            }
            ReviewEdit::Deleted(id) => {
                server.json("DELETE", &format!("{path}/review/{id}"), None)?;
            }
        }
    }
    Ok(is_clean)
}

/// Reports a failure, and keeps the user's text if there is any.
fn kept(file: &Path, original: &str, reported: &str) -> String {
    let is_same = std::fs::read(file).is_ok_and(|bytes| bytes == original.as_bytes());
    if is_same {
        remove(file);
        return reported.to_owned();
    }
    format!("{reported}\nyour comments are kept in {}", file.display())
}
