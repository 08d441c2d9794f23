//! Workers that run somewhere else than the server: in a sandbox of real bubblewrap, and behind a real sshd.

mod sandbox;
mod ssh;

use std::fs;
use std::path::Path;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::support::clis;
use crate::support::processes::{self, Process};
use crate::support::server::TestServer;
use crate::support::wait::{DEADLINE, eventually};
use crate::support::workers::{TestWorker, server_for_programs};

/// A server whose workers run by way of `runner`, and whose Claude Code is the stand-in, in the project's folder: a
/// sandbox has a `/tmp` of its own.
fn prepared(name: &str, runner: &str) -> TestServer {
    let mut server = server_for_programs(name, &[("RUNNER", runner)]);
    let cli = server.project().join("cli");
    fs::copy(clis::fake_cli(), &cli).unwrap();
    server.set_env("CLAUDE_BINARY", cli.to_str().unwrap());
    server
}

/// Something that ignores its input and SIGTERM, with a child in a session of its own.
const STUBBORN: &str = "trap '' TERM; setsid sleep 1000 & echo up >> ups; while :; do sleep 1; done";

/// What a script wrote in the project's folder.
fn written(path: &Path) -> String {
    eventually(DEADLINE, "the file is whole", || fs::read_to_string(path).ok().filter(|text| text.ends_with("end\n")))
}

/// A permission prompt, a server that is killed while it is open, an answer, and the turn's end: all by way of a runner.
#[track_caller]
fn a_turn_with_a_killed_server(server: &mut TestServer) {
    // Its memory is not to be in the home directory of whoever runs the tests.
    let worker = TestWorker::create(server, "claude", &json!({"env": {"HOME": server.home()}}));
    let pid = worker.wait_status(server, "idle")["pid"].clone();
    worker.say(server, "permission Bash {\"command\":\"ls\"}");
    worker.wait_prompt(server);
    server.kill9();
    server.start();
    assert_eq!(worker.show(server)["pid"], pid, "it works on");
    let prompt = worker.wait_prompt(server);
    worker.answer(server, &prompt, &json!({"option_id": "allow"})).expect(200);
    worker.wait_turn(server, 1);
    worker.call(server, "stop").expect(200);
    assert_eq!(cli(&worker), []);
    // Its session goes on where it was.
    worker.say(server, "hello");
    let turn = worker.wait_turn(server, 2);
    assert_eq!(turn["is_error"], Value::Bool(false), "{turn}");
    worker.call(server, "stop").expect(200);
}

/// A stop, and the death of the shim, leave nothing of a stubborn tree.
#[track_caller]
fn nothing_is_left(server: &TestServer) {
    let stubborn = |count: usize| {
        let worker = crate::support::workers::run_script(server, STUBBORN);
        let ups = server.project().join("ups");
        eventually(DEADLINE, "it is up", || {
            fs::read_to_string(&ups).is_ok_and(|text| text.lines().count() == count).then_some(())
        });
        worker
    };
    let worker = stubborn(1);
    assert!(server.processes_of(&worker.id).len() >= 3);
    worker.call(server, "stop").expect(200);
    assert_eq!(cli(&worker), [], "stop means stopped");
    let worker = stubborn(2);
    let shim = shim(server, &worker);
    assert!(processes::signal(&shim, Signal::SIGKILL));
    server.wait_no_processes_of(&worker.id);
}

/// Living processes of a worker's CLI. Its shim may need a moment to leave after it has said that all is over.
fn cli(worker: &TestWorker) -> Vec<Process> {
    processes::with_env("RS_WORKER_ID", &worker.id)
}

fn shim(server: &TestServer, worker: &TestWorker) -> Process {
    let started = eventually(DEADLINE, "it has started", || worker.controls(server, "started").pop());
    processes::process(started["shim_pid"].as_i64().unwrap() as i32).expect("its shim lives")
}
