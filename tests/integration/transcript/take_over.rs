//! A followed session becomes a worker's own, unless another process has it.

use std::process::{Child, Command, Stdio};

use serde_json::json;

use super::{Elsewhere, SESSION, answer, builder, follow, prompt, wait_said};
use crate::support::wait::{DEADLINE, eventually};

/// A process that has the session, as far as anybody can see: it names it, and waits for the end of its input.
struct Holder(Child);

impl Holder {
    fn start() -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", "read line", "claude", "--resume", SESSION]).stdin(Stdio::piped());
        Self(command.spawn().unwrap())
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_session_is_taken_over_when_no_other_process_has_it() {
    let server = builder("take-over").start();
    let elsewhere = Elsewhere::new(&server);
    elsewhere.write(&(prompt("p1", "1") + &answer("a1", "2")));
    let worker = follow(&server);
    wait_said(&worker, &server, &["1", "2"]);

    let holder = Holder::start();
    let refused = worker.call(&server, "takeover").expect(409).json();
    assert_eq!(refused["pid"], holder.0.id(), "{refused}");
    let body = json!({"resume_session": SESSION, "name": "n", "project_path": server.project()});
    assert_eq!(server.post("/api/workers", &body).expect(409).json()["pid"], holder.0.id());
    drop(holder);

    // What has just been written is in use, whoever wrote it.
    elsewhere.write(&prompt("p2", "3"));
    let refused = worker.call(&server, "takeover").expect(409).json();
    assert!(refused["detail"].as_str().unwrap().contains("written"), "{refused}");
    let taken = eventually(DEADLINE, "nobody writes it", || {
        let reply = worker.call(&server, "takeover");
        (reply.status != 409).then(|| reply.expect(200).json())
    });
    assert_eq!((&taken["read_only"], &taken["session_id"]), (&json!(false), &json!(SESSION)));
    worker.wait_status(&server, "idle");
    worker.say(&server, "hello");
    wait_said(&worker, &server, &["1", "2", "3", "hello", "You said: hello"]);
    worker.wait_turn(&server, 2);
    let launched = worker.controls(&server, "started").pop().unwrap()["argv"].to_string();
    assert!(launched.contains(&format!("\"--resume\",\"{SESSION}\"")), "{launched}");
    worker.call(&server, "takeover").expect(409);
}

#[test]
fn force_takes_over_all_the_same_and_nothing_is_missed() {
    let mut server = builder("take-over-force").start();
    let elsewhere = Elsewhere::new(&server);
    elsewhere.write(&prompt("p1", "1"));
    let worker = follow(&server);
    elsewhere.write(&answer("a1", "2"));
    worker.call(&server, "takeover").expect(409);
    server.post(&worker.path("/takeover"), &json!({"force": true})).expect(200);
    wait_said(&worker, &server, &["1", "2"]);
    worker.wait_status(&server, "idle");
    server.restart();
    assert_eq!(worker.wait_status(&server, "idle")["read_only"], false);
}
