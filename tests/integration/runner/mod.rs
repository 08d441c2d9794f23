//! Workers that run elsewhere than the server: in a sandbox of real bubblewrap, behind a real sshd,
//! as jobs of a real Slurm, and in containers of a real Podman.

mod escapes;
mod looks;
mod places;
mod podman;
mod sandbox;
mod setup;
mod slurm;
mod ssh;
mod tools;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::support::clis;
use crate::support::processes::{self, Process};
use crate::support::server::TestServer;
use crate::support::wait::{DEADLINE, eventually, within};
use crate::support::workers::{TestWorker, declare, server_for_programs};

/// A server whose workers run in `runner`, and whose Claude Code is a stub in the project's folder: a sandbox
/// has a private `/tmp`.
fn prepared(name: &str, runner: &str) -> TestServer {
    let mut server = server_for_programs(name, &[("RUNNER", runner)]);
    let cli = server.project().join("cli");
    fs::copy(clis::fake_cli(), &cli).unwrap();
    server.set_env("CLAUDE_BINARY", cli.to_str().unwrap());
    server
}

/// A token, which a server with sandboxes requires.
const TOKEN: &str = "0123456789abcdef0123";

/// A running server with `runner` and a token, after `setup` has put files into its folders.
#[track_caller]
fn sandboxed(name: &str, runner: &str, setup: impl FnOnce(&mut TestServer)) -> TestServer {
    let mut server = prepared(name, runner);
    setup(&mut server);
    start_with_token(&mut server);
    server
}

/// Starts a server with a token, which its client sends.
#[track_caller]
fn start_with_token(server: &mut TestServer) {
    server.set_env("AUTH_TOKEN", TOKEN);
    server.client = server.client.with("authorization", &format!("Bearer {TOKEN}"));
    server.start();
}

/// Writes a file, and creates the folders above it.
fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// A repository with one commit.
fn repository(folder: &Path) {
    let script = "git init -q -b main && echo 1 > file && git add file && \
                  git -c user.name=a -c user.email=a@example.org commit -qm one";
    let done = Command::new("sh").args(["-c", script]).current_dir(folder).status().unwrap();
    assert!(done.success());
}

/// An adapter `the-NAME` whose program has that name and runs its arguments.
fn named_program(server: &TestServer, name: &str) {
    let program = server.project().join("bin").join(name);
    write(&program, "#!/bin/sh\nexec env \"$@\"\n");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let adapter = json!({"family": "text", "command": [program], "stop_by_eof": false});
    declare(server, &format!("the-{name}"), &adapter);
}

/// Creates a worker, and returns it with the output of a script in it. `more` is merged into the request.
#[track_caller]
fn look(server: &TestServer, script: &str, more: &Value) -> (TestWorker, String) {
    let worker = start_look(server, script, more);
    let seen = end_look(server, &worker);
    (worker, seen)
}

/// Creates a worker whose script begins to run.
#[track_caller]
fn start_look(server: &TestServer, script: &str, more: &Value) -> TestWorker {
    let script = format!(
        "out=$PWD/out-$RS_WORKER_ID\n{{\n{script}\n}} > \"$out.part\" 2> \"$out.err\"\nmv \"$out.part\" \"$out\""
    );
    let mut request = json!({"args": ["sh", "-c", script]});
    request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let cli = request["ai_cli_type"].as_str().unwrap_or("program").to_owned();
    TestWorker::create(server, &cli, &request)
}

/// Returns the output of that script, once it has ended.
#[track_caller]
fn end_look(server: &TestServer, worker: &TestWorker) -> String {
    let shown = worker.show(server);
    let out = Path::new(shown["project_path"].as_str().unwrap()).join(format!("out-{}", worker.id));
    let found = within(DEADLINE, || fs::read_to_string(&out).ok());
    let Some(text) = found else { panic!("nothing was printed: {}\n{}", worker.show(server), server.log()) };
    fs::remove_file(&out).unwrap();
    text
}

/// A script that ignores its input and SIGTERM, with a child in a separate session.
const STUBBORN: &str = "trap '' TERM; setsid sleep 1000 & echo up >> ups; while :; do sleep 1; done";

/// Returns the text that a script wrote in the project's folder.
fn written(path: &Path) -> String {
    eventually(DEADLINE, "the file is whole", || fs::read_to_string(path).ok().filter(|text| text.ends_with("end\n")))
}

/// A permission prompt, a server that is killed while it is open, an answer, and the turn's end: all in a runner.
#[track_caller]
fn a_turn_with_a_killed_server(server: &mut TestServer) {
    // Its memory must not be in the home directory of the user who runs the tests.
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
    // Its session continues where it was.
    worker.say(server, "hello");
    let turn = worker.wait_turn(server, 2);
    assert_eq!(turn["is_error"], Value::Bool(false), "{turn}");
    worker.call(server, "stop").expect(200);
}

/// A stop, and the death of the shim, leave nothing of a stubborn process tree.
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

/// Returns the running processes of a worker's CLI. Its shim may need a moment to exit after it has reported the end.
fn cli(worker: &TestWorker) -> Vec<Process> {
    processes::with_env("RS_WORKER_ID", &worker.id)
}

/// Returns the record of a worker's start. The CLI may run before its shim has written that.
#[track_caller]
fn started(server: &TestServer, worker: &TestWorker) -> Value {
    eventually(DEADLINE, "it has started", || worker.controls(server, "started").pop())
}

fn shim(server: &TestServer, worker: &TestWorker) -> Process {
    let started = started(server, worker);
    processes::process(started["shim_pid"].as_i64().unwrap() as i32).expect("its shim lives")
}
