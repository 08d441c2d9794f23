//! Workers in separate git worktrees, and reads of their projects, with real git.

pub(crate) mod crash;
mod deleting;
mod hostile;
mod kept;
mod looks;
mod making;
mod review;
mod review_limits;
mod scopes;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};

pub(crate) use crash::wrapped_git;

use crate::support::server::TestServer;
use crate::support::workers::{TestWorker, server_for_programs};

/// A program that does nothing until it is signalled to end.
const IDLE: [&str; 2] = ["sleep", "1000"];

/// Runs git in a folder, with settings of the test's own.
pub(crate) fn try_git(folder: &Path, args: &[&str]) -> Output {
    let settings = [
        "-c",
        "user.name=Test",
        "-c",
        "user.email=test@example.org",
        "-c",
        "init.defaultBranch=main",
        "-c",
        "protocol.file.allow=always",
    ];
    Command::new("git")
        .arg("-C")
        .arg(folder)
        .args(settings)
        .args(args)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .output()
        .unwrap()
}

/// Runs git as [`try_git`] does, must succeed, and returns the output.
#[track_caller]
pub(crate) fn git(folder: &Path, args: &[&str]) -> String {
    let output = try_git(folder, args);
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A repository with one commit in a new folder.
pub(crate) fn repository_at(project: &Path) {
    fs::create_dir_all(project.join("part")).unwrap();
    git(project, &["init", "-q"]);
    fs::write(project.join("a.txt"), "first\n").unwrap();
    fs::write(project.join("part/b.txt"), "second\n").unwrap();
    git(project, &["add", "."]);
    git(project, &["commit", "-q", "-m", "begin"]);
}

/// A repository with one commit in the project's folder.
fn repository(server: &TestServer) -> PathBuf {
    let project = server.project();
    repository_at(&project);
    project
}

/// A worker in this project, which does nothing.
fn in_project(server: &TestServer, project: &Path) -> TestWorker {
    TestWorker::create(server, "program", &json!({"args": IDLE, "project_path": project}))
}

/// Returns its diff.
#[track_caller]
fn diff(server: &TestServer, worker: &TestWorker) -> Value {
    server.get(&worker.path("/diff")).expect(200).json()
}

fn start(name: &str, more: &[(&str, &str)]) -> TestServer {
    let mut server = server_for_programs(name, more);
    server.start();
    server
}

/// A worker in a worktree, which does nothing.
#[track_caller]
fn in_worktree(server: &TestServer, more: &Value) -> TestWorker {
    let mut body = json!({"args": IDLE, "worktree": true});
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    TestWorker::create(server, "program", &body)
}

pub(crate) fn folder(server: &TestServer, worker: &TestWorker) -> PathBuf {
    PathBuf::from(worker.show(server)["worktree"]["path"].as_str().unwrap())
}

/// Returns the refusal of a request for a worker in a worktree.
#[track_caller]
fn refused(server: &TestServer, more: &Value, status: u16) -> String {
    let mut body = json!({"name": "x", "project_path": server.project(), "ai_cli_type": "program", "args": IDLE, "worktree": true});
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    server.post("/api/workers", &body).expect(status).json()["detail"].to_string()
}

#[track_caller]
fn delete_refused(server: &TestServer, worker: &TestWorker) -> String {
    server.delete(&worker.path("")).expect(409).json()["detail"].as_str().unwrap().to_owned()
}
