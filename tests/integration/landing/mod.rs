//! Commits, updates and landings of workers' work, with real git.

mod agents;
mod command_line;
mod commit;
mod crash;
mod imported;
mod land;
mod real;
mod remote;
mod sides;
mod update;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::support::server::TestServer;
use crate::support::workers::{TestWorker, server_for_programs};

/// A program that does nothing until it is ended.
const IDLE: [&str; 2] = ["sleep", "1000"];

fn try_git(folder: &Path, args: &[&str]) -> Output {
    let settings = ["-c", "user.name=Agent", "-c", "user.email=agent@example.org", "-c", "init.defaultBranch=main"];
    Command::new("git")
        .arg("-C")
        .arg(folder)
        .args(settings)
        .args(["-c", "protocol.file.allow=always"])
        .args(args)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .output()
        .unwrap()
}

/// Runs git in a folder as the agent does, and returns its output.
#[track_caller]
fn git(folder: &Path, args: &[&str]) -> String {
    let output = try_git(folder, args);
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Writes a file and commits it.
#[track_caller]
fn commit(folder: &Path, file: &str, text: &str) -> String {
    let path = folder.join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
    git(folder, &["add", "-A"]);
    git(folder, &["commit", "-q", "-m", &format!("write {file}")]);
    git(folder, &["rev-parse", "HEAD"])
}

/// A server whose user is Person <person@example.org>, not started.
fn prepared(name: &str, more: &[(&str, &str)]) -> TestServer {
    let server = server_for_programs(name, more);
    set_person(&server, "");
    server
}

/// Sets the user's own configuration of git.
fn set_person(server: &TestServer, more: &str) {
    let text = format!("[user]\n\tname = Person\n\temail = person@example.org\n{more}");
    fs::write(server.dir().join("home/.gitconfig"), text).unwrap();
}

/// A repository on `main` with two files, a worker in a worktree of it on `topic`, and the worktree's folder.
struct Scene {
    server: TestServer,
    project: PathBuf,
    worker: TestWorker,
    tree: PathBuf,
}

impl Scene {
    #[track_caller]
    fn new(name: &str) -> Self {
        Self::started(prepared(name, &[]))
    }

    #[track_caller]
    fn started(mut server: TestServer) -> Self {
        let project = server.project();
        git(&project, &["init", "-q"]);
        fs::write(project.join("a.txt"), "one\ntwo\nthree\n").unwrap();
        commit(&project, "part/b.txt", "second\n");
        server.start();
        let body = json!({"args": IDLE, "name": "Fix it", "worktree": {"branch": "topic"}});
        let worker = TestWorker::create(&server, "program", &body);
        worker.wait_status(&server, "idle");
        let tree = PathBuf::from(worker.show(&server)["worktree"]["path"].as_str().unwrap());
        Self { server, project, worker, tree }
    }

    #[track_caller]
    fn dry_run(&self) -> Value {
        self.server.get(&self.worker.path("/land")).expect(200).json()
    }

    #[track_caller]
    fn post(&self, what: &str, body: &Value, status: u16) -> Value {
        self.server.post(&self.worker.path(what), body).expect(status).json()
    }

    #[track_caller]
    fn refused(&self, what: &str, body: &Value) -> (String, Value) {
        let answer = self.post(what, body, 409);
        (answer["code"].as_str().unwrap().to_owned(), answer)
    }

    /// All references of the repository with their commits.
    fn refs(&self) -> String {
        git(&self.project, &["for-each-ref", "--format=%(refname) %(objectname)"])
    }

    /// Asserts that a folder has nothing uncommitted, and its index is whole.
    #[track_caller]
    fn assert_clean(&self, folder: &Path) {
        assert_eq!(git(folder, &["status", "--porcelain"]), "", "{}", folder.display());
        git(folder, &["fsck", "--no-dangling"]);
        assert!(!self.project.join(".git/index.lock").exists());
    }
}

/// The contents of a commit's file.
#[track_caller]
fn shown(folder: &Path, what: &str) -> String {
    git(folder, &["show", what])
}
