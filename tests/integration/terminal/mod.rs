//! Terminals of workers: real programs in them, with a client like the page, compared with tmux.

mod client;
mod limits;
mod programs;
mod real;
mod sandbox;
mod shell;
mod tmux;

use serde_json::{Value, json};

use crate::support::server::TestServer;
use crate::support::workers::TestWorker;
use client::Terminal;

/// A server with one worker, which need not run.
fn server(name: &str, env: &[(&str, &str)]) -> (TestServer, TestWorker) {
    let mut builder = TestServer::builder().name(name).env("CLAUDE_BINARY", crate::support::clis::fake_cli());
    for (key, value) in env {
        builder = builder.env(key, value);
    }
    let server = builder.start();
    let worker = TestWorker::create(&server, "claude", &json!({}));
    (server, worker)
}

/// Opens a terminal with a program, and a client of it.
fn open(server: &TestServer, worker: &TestWorker, program: &[&str], (cols, rows): (u16, u16)) -> Terminal {
    let body = json!({"program": program, "cols": cols, "rows": rows});
    let made = server.post(&worker.path("/terminals"), &body).expect(201).json();
    Terminal::connect(server, worker, made["id"].as_str().unwrap(), (cols, rows))
}

/// Returns the ids of a worker's terminals.
fn listed(server: &TestServer, worker: &TestWorker) -> Vec<String> {
    let list = server.get(&worker.path("/terminals")).expect(200).json();
    let id = |terminal: &Value| terminal["id"].as_str().unwrap().to_owned();
    list["terminals"].as_array().unwrap().iter().map(id).collect()
}

/// A shell without the settings of the user who runs the tests.
const BASH: [&str; 3] = ["bash", "--norc", "--noprofile"];
