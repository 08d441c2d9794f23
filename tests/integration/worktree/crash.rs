//! Servers that are killed while they create a worktree.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use serde_json::json;

use super::{IDLE, folder, git, repository};
use crate::support::server::TestServer;
use crate::support::wait::{DEADLINE, eventually};
use crate::support::workers::{TestWorker, server_for_programs};

/// Installs a `git` before the real one in the server's PATH. `script` gets git's arguments and has the real one as
/// `$real`.
pub(crate) fn wrapped_git(server: &mut TestServer, script: &str) {
    let bin = server.dir().join("bin");
    fs::create_dir_all(&bin).unwrap();
    let path = std::env::var("PATH").unwrap();
    let real = std::env::split_paths(&path).map(|dir| dir.join("git")).find(|file| file.exists()).unwrap();
    let text = format!("#!/bin/sh\nreal='{}'\ndir='{}'\n{script}", real.display(), server.dir().display());
    fs::write(bin.join("git"), text).unwrap();
    fs::set_permissions(bin.join("git"), fs::Permissions::from_mode(0o755)).unwrap();
    server.set_env("PATH", &format!("{}:{path}", bin.display()));
}

/// Installs a `git` that hangs at this subcommand, after `before` was run, as long as its caller runs.
fn hanging_git(server: &mut TestServer, command: &str, before: &str) -> PathBuf {
    let script = format!(
        "case \"$*\" in *'{command}'*) {before};;\n*) exec \"$real\" \"$@\";; esac\n\
         touch \"$dir/reached\"\nwhile kill -0 $PPID 2>/dev/null; do sleep 0.05; done\n"
    );
    wrapped_git(server, &script);
    server.dir().join("reached")
}

/// A server that is killed while it creates a worktree has a worker that can be started normally.
#[track_caller]
fn killed_while_making(name: &str, command: &str, before: &str) {
    let mut server = server_for_programs(name, &[]);
    let project = repository(&server);
    let reached = hanging_git(&mut server, command, before);
    server.start();
    let (addr, body) = (
        server.client.clone(),
        json!({"name": "torn", "project_path": project, "ai_cli_type": "program", "args": IDLE, "worktree": {"branch": "topic"}}),
    );
    let asking = std::thread::spawn(move || {
        addr.try_request("POST", "/api/workers", &[("content-type", "application/json")], body.to_string().as_bytes())
    });
    eventually(DEADLINE, "git is at work", || reached.exists().then_some(()));
    server.kill9();
    let _ = asking.join();
    server.set_env("PATH", &std::env::var("PATH").unwrap());
    server.start();
    let [id] = server.worker_ids().try_into().expect("one worker");
    let worker = TestWorker { id };
    worker.call(&server, "start").expect(200);
    worker.wait_status(&server, "idle");
    let path = folder(&server, &worker);
    assert_eq!(git(&path, &["symbolic-ref", "--short", "HEAD"]), "topic");
    assert_eq!(git(&path, &["status", "--porcelain"]), "", "it is whole");
    server.delete(&worker.path("")).expect(200);
    assert_eq!(git(&project, &["worktree", "list", "--porcelain"]).matches("worktree ").count(), 1);
    assert_eq!(git(&project, &["branch", "--list", "topic"]), "");
}

#[test]
fn server_killed_before_git_has_begun_blocks_nothing() {
    killed_while_making("worktree-torn-before", "update-ref", ":");
}

#[test]
fn server_killed_before_the_checkout_blocks_nothing() {
    killed_while_making("worktree-torn-branch", "read-tree", ":");
}

#[test]
fn server_killed_after_git_has_ended_blocks_nothing() {
    killed_while_making("worktree-torn-after", "read-tree", "\"$real\" \"$@\"");
}

#[test]
fn half_made_worktree_is_made_whole() {
    killed_while_making("worktree-torn-half", "read-tree", "\"$real\" \"$@\"; rm \"$GIT_WORK_TREE/a.txt\"");
}
