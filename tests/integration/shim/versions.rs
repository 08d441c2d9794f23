//! Shims and servers of different builds: they use the newest version that both support. If there is none, users get a
//! message and can stop the worker.

use std::time::Instant;

use rs_worker::testing::shim::protocol::{ShimCommand, VERSION, Versions};
use rs_worker::testing::shim::{IncomingBytes, greeted};
use serde_json::json;

use super::{DEADLINE, Worker, eventually};
use crate::support::between::between;
use crate::support::server::TestServer;
use crate::support::workers::{TestWorker, server_for_programs};

/// A version that this build does not know yet.
const NEWER: u32 = VERSION + 6;

/// A server that was killed, and its worker, which has had one turn.
fn left_behind(name: &str) -> (TestServer, TestWorker) {
    let mut server = server_for_programs(name, &[]);
    server.start();
    let worker = TestWorker::create(&server, "claude", &json!({}));
    worker.say(&server, "echo first");
    worker.wait_turn(&server, 1);
    server.kill9();
    (server, worker)
}

/// Makes a greeting announce another version.
fn greet_with(line: &mut Vec<u8>, version: u32) {
    let own = format!("rs-worker-shim {VERSION} ").into_bytes();
    if line.starts_with(&own) {
        line.splice(..own.len(), format!("rs-worker-shim {version} ").into_bytes());
    }
}

/// Waits for the problem of a worker that the API reports.
fn warning(server: &TestServer, worker: &TestWorker) -> String {
    eventually("a warning", || worker.show(server)["warning"].as_str().map(str::to_owned))
}

#[test]
fn newer_server_talks_to_an_older_shim_in_its_version() {
    let worker = Worker::running("older", "echo hello; read line; echo \"$line\"; read line");
    let mut server = worker.dial();
    let greeting = greeted(&server.stream, Versions { oldest: VERSION, newest: NEWER }).unwrap();
    assert_eq!(greeting.version, VERSION);
    server.incoming = IncomingBytes::new(worker.start());
    server.send(0, &ShimCommand::Attach { version: greeting.version, offset: worker.start() });
    server.hear("the first line", |heard| heard.has_out("hello"));
    server.send(1, &ShimCommand::Append(b"in still understood\n"));
    server.hear("the answer", |heard| heard.has_out("still understood"));
    server.send(2, &ShimCommand::Stop { grace_ms: 100 });
    server.hear_all();
}

#[test]
fn older_server_talks_to_a_newer_shim_in_its_version() {
    let (mut server, worker) = left_behind("rollback");
    let heard = between(&worker.dir(&server).join("shim.sock"), |line| greet_with(line, NEWER));
    server.start();
    worker.wait_status(&server, "idle");
    assert!(heard.recv_timeout(DEADLINE).unwrap().starts_with(&format!("attach {VERSION} ")));
    worker.say(&server, "echo second");
    assert_eq!(worker.wait_turn(&server, 2)["result"], "second");
    worker.call(&server, "stop").expect(200);
    // The shim itself may need a moment longer than its connection, which ends in between here.
    server.wait_no_processes_of(&worker.id);
}

#[test]
fn outdated_shim_is_reported_and_its_worker_can_be_stopped() {
    let (mut server, worker) = left_behind("too-old");
    let _heard = between(&worker.dir(&server).join("shim.sock"), |line| greet_with(line, 0));
    server.start();
    let reported = warning(&server, &worker);
    assert_eq!(reported, "the worker's shim speaks protocol 0, and this build 1 or later: restart the worker");
    // It is still shown with its whole history.
    assert_eq!(worker.wait_turn(&server, 1)["result"], "first");
    worker.call(&server, "stop").expect(200);
    assert_eq!(server.processes_of(&worker.id), []);
    // The result of following the advice: a shim of this build.
    worker.say(&server, "echo second");
    assert_eq!(worker.wait_turn(&server, 2)["result"], "second");
    assert!(worker.show(&server)["warning"].is_null());
}

#[test]
fn shim_without_a_common_version_is_reported_and_not_retried() {
    let (mut server, worker) = left_behind("too-new");
    let heard = between(&worker.dir(&server).join("shim.sock"), |line| {
        let own = format!("attach {VERSION} ").into_bytes();
        if line.starts_with(&own) {
            line.splice(..own.len(), format!("attach {} ", VERSION + 1).into_bytes());
        }
    });
    let begin = Instant::now();
    server.start();
    let reported = warning(&server, &worker);
    let theirs = VERSION + 1;
    let why = format!("this shim speaks protocol 1 to {VERSION}, not {theirs}");
    assert_eq!(reported, format!("the worker's shim refuses the connection: {why}"));
    // The pauses between two attempts grow to seconds: the eighth comes after more than one.
    let attaches = std::iter::from_fn(|| heard.recv_timeout(DEADLINE).ok()).filter(|line| line.starts_with("attach "));
    assert_eq!(attaches.take(8).count(), 8);
    assert!(begin.elapsed().as_millis() > 500, "{:?}", begin.elapsed());
    assert_eq!(warning(&server, &worker), reported, "it stays told");
    worker.call(&server, "stop").expect(200);
    assert_eq!(server.processes_of(&worker.id), []);
}
