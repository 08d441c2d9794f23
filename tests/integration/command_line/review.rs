//! `diff` and `review`: changes are printed, and comments written in an editor reach the agent.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use super::{printed, refused, start};
use crate::support::server::TestServer;
use crate::support::workers::TestWorker;

fn git(project: &Path, args: &[&str]) {
    let settings = ["-c", "user.name=Test", "-c", "user.email=test@example.org"];
    let ran = Command::new("git").arg("-C").arg(project).args(settings).args(args).status().unwrap();
    assert!(ran.success(), "{args:?}");
}

/// A worker with changes in a repository.
fn changed(server: &TestServer) -> (PathBuf, TestWorker) {
    let project = server.project();
    git(&project, &["init", "-q"]);
    fs::write(project.join("a.txt"), "one\ntwo\nthree\n").unwrap();
    git(&project, &["add", "."]);
    git(&project, &["commit", "-qm", "begin"]);
    fs::write(project.join("a.txt"), "one\n2\nthree\n").unwrap();
    fs::write(project.join("ü\u{1b}.txt"), "new\u{1b}]0;x\u{7}\n").unwrap();
    let worker = TestWorker::create(server, "claude", &json!({"name": "w", "project_path": project}));
    (project, worker)
}

/// Runs `review` with a script as the editor; `$1` is the text.
fn edited(server: &TestServer, script: &str, args: &[&str]) -> Output {
    let editor = server.dir().join("editor");
    fs::write(&editor, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&editor, fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = server.command(["review", "w"].into_iter().chain(args.iter().copied()));
    command.env_remove("VISUAL").env("EDITOR", &editor).env("TMPDIR", server.dir());
    command.stdin(Stdio::null()).output().unwrap()
}

fn comments(server: &TestServer, worker: &TestWorker) -> Vec<Value> {
    server.get(&worker.path("/review")).expect(200).json()["comments"].as_array().unwrap().clone()
}

/// Returns the texts that were kept for their authors.
fn kept(server: &TestServer) -> Vec<PathBuf> {
    let folders = fs::read_dir(server.dir()).unwrap().map(|entry| entry.unwrap().path());
    folders.filter(|path| path.to_str().unwrap().contains("rs-worker-review-")).collect()
}

#[test]
fn diff_prints_changes_and_their_size() {
    let server = start("command-diff", &[]);
    let (project, _) = changed(&server);
    let diff = printed(&server, &["diff", "w"]);
    assert!(diff.contains("-two\n+2\n") && !diff.contains('\u{1b}'), "{diff:?}");
    let stat = printed(&server, &["diff", "w", "--stat"]);
    assert_eq!(stat, "a.txt  +1 -1\nü.txt  +1 -0\n2 files changed, +2 -1\n");
    git(&project, &["commit", "-qam", "Change a"]);
    assert_eq!(printed(&server, &["diff", "w", "--stat", "--scope", "head"]).lines().count(), 2);
    let json: Value = serde_json::from_str(&printed(&server, &["diff", "w", "--json"])).unwrap();
    let id = json["commits"][0]["id"].as_str().unwrap();
    assert!(printed(&server, &["diff", "w", "--scope", id]).contains("+2\n"));
    let (code, reported) = refused(&server, &["diff", "w", "--scope", "HEAD"]);
    assert!(code == 1 && reported.contains("commit"), "{reported}");
}

#[test]
fn comments_of_an_editor_are_drafts_until_they_are_sent() {
    let server = start("command-review", &[]);
    let (_, worker) = changed(&server);
    let output = edited(&server, "sed -i '/ +2$/a Why two?' \"$1\"", &[]);
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 draft comments"), "{output:?}");
    let found = comments(&server, &worker);
    assert_eq!(
        (&found[0]["text"], &found[0]["start"], &found[0]["state"]),
        (&json!("Why two?"), &json!(2), &json!("draft"))
    );
    assert_eq!(found[0]["quoted"], json!(["2"]));
    // The draft is in the next text, where it is changed.
    let output = edited(&server, "sed -i 's/Why two/Why not three/' \"$1\"", &["--send"]);
    assert!(output.status.success(), "{output:?}");
    let said = worker.wait_event(&server, "user", 1);
    assert!(said["content"].as_str().unwrap().contains("a.txt, line 2\n> 2\n\nWhy not three?"), "{said}");
    assert_eq!(kept(&server), Vec::<PathBuf>::new());
    let output = edited(&server, "true", &["--send"]);
    assert_eq!(output.status.code(), Some(1), "nothing is left to send");
}

#[test]
fn editor_that_fails_loses_no_comment() {
    let mut server = start("command-review-fails", &[]);
    let (_, worker) = changed(&server);
    let failed = edited(&server, "echo precious >> \"$1\"; exit 3", &[]);
    assert_eq!(failed.status.code(), Some(1));
    let reported = String::from_utf8(failed.stderr).unwrap();
    let file = reported.lines().last().unwrap().rsplit(' ').next().unwrap();
    assert!(fs::read_to_string(file).unwrap().contains("precious"), "{reported}");
    let mode = fs::metadata(file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(comments(&server, &worker).is_empty());
    fs::remove_dir_all(Path::new(file).parent().unwrap()).unwrap();
    assert_eq!(edited(&server, "exit 3", &[]).status.code(), Some(1));
    assert_eq!(kept(&server), Vec::<PathBuf>::new(), "what was not changed is not kept");
    // The server stops while the editor is open.
    let pid = server.pid();
    let lost = edited(&server, &format!("echo precious >> \"$1\"; kill -9 {pid}"), &[]);
    assert_eq!(lost.status.code(), Some(1));
    let reported = String::from_utf8(lost.stderr).unwrap();
    assert!(reported.contains("your comments are kept in"), "{reported}");
    server.kill9();
    server.start();
}
