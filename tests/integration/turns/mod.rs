//! The files of projects before and after turns, with real git and an agent that runs its messages.

mod recording;
mod restoring;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::server::TestServer;
use crate::support::wait::{DEADLINE, eventually};
use crate::support::workers::{TestWorker, declare, server_for_programs};
use crate::worktree::{git, repository_at};

/// An agent that runs each message as a shell's command.
const SHELL: &str = "shell";

/// A server with this agent, not started yet.
fn prepare(name: &str, more: &[(&str, &str)]) -> TestServer {
    let server = server_for_programs(name, more);
    let script = "while read -r line; do eval \"$line\"; echo '<<END>>'; done";
    declare(
        &server,
        SHELL,
        &json!({
            "family": "text",
            "command": ["sh", "-c", script],
            "input": {"encoding": "line", "newlines": "space"},
            "turn_end": {"line": "<<END>>"},
        }),
    );
    server
}

fn start(name: &str, more: &[(&str, &str)]) -> TestServer {
    let mut server = prepare(name, more);
    server.start();
    server
}

/// A repository with one commit in the project's folder.
fn repository(server: &TestServer) -> PathBuf {
    let project = server.project();
    repository_at(&project);
    project
}

fn worker(server: &TestServer, more: &Value) -> TestWorker {
    let worker = TestWorker::create(server, SHELL, more);
    worker.wait_status(server, "idle");
    worker
}

fn turns(server: &TestServer, worker: &TestWorker) -> Value {
    server.get(&worker.path("/turns")).expect(200).json()
}

/// Makes the agent run a script in a turn whose beginning was recorded; returns the turn when its end was recorded too.
#[track_caller]
fn turn(server: &TestServer, worker: &TestWorker, script: &str) -> Value {
    let count = turns(server, worker)["turns"].as_array().unwrap().len();
    let gate = server.dir().join(format!("gate-{}-{count}", worker.id));
    worker.say(server, &format!("until [ -e '{}' ]; do sleep 0.01; done; {script}", gate.display()));
    // One response shows both that the turn is new and that its beginning is recorded.
    let newest = || {
        let turns = turns(server, worker);
        let turns = turns["turns"].as_array()?;
        (turns.len() > count).then(|| turns[0].clone())
    };
    eventually(DEADLINE, "a turn's beginning is recorded", || newest().filter(|turn| turn["can_restore"] == true));
    fs::write(gate, "").unwrap();
    eventually(DEADLINE, "a turn's end is recorded", || newest().filter(|turn| turn["has_trees"] == true))
}

/// Returns the tree of a worker that the repository's reference keeps, as its entries.
fn kept(project: &Path, worker: &TestWorker) -> Vec<String> {
    let listed = git(project, &["ls-tree", "--name-only", &format!("refs/rs-worker/{}/turns", worker.id)]);
    listed.lines().map(str::to_owned).collect()
}

/// Returns the trees before and after a turn, from the journal.
fn trees(server: &TestServer, worker: &TestWorker, turn: &Value) -> [String; 2] {
    let controls = worker.controls(server, "tree_recorded");
    ["begin", "end"].map(|at| {
        let found = controls.iter().find(|control| control["turn_id"] == turn["turn_id"] && control["at"] == at);
        found.unwrap()["tree"].as_str().unwrap().to_owned()
    })
}

/// Returns a turn's changes in git's format: `M path`.
fn changes(server: &TestServer, project: &Path, worker: &TestWorker, turn: &Value) -> Vec<String> {
    let [before, after] = trees(server, worker, turn);
    let listed =
        git(project, &["-c", "core.quotePath=false", "diff", "--name-status", "--no-renames", &before, &after]);
    listed.lines().map(|line| line.replace('\t', " ")).collect()
}
