//! The takeover of a followed session, unless another process holds it.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::json;

use super::{Elsewhere, answer, builder, end_writing, follow, prompt, stay_written, wait_said};
use crate::support::wait::{DEADLINE, eventually};
use crate::support::workers::TestWorker;

const HELD: &str = "0a1b2c3d-0000-4000-8000-000000000002";
const DAEMON: &str = "0a1b2c3d-0000-4000-8000-000000000004";
const KILLED: &str = "0a1b2c3d-0000-4000-8000-000000000003";

/// A process that seems to hold the session: it names the session, and waits for the end of its input.
struct Holder(Child);

impl Holder {
    fn start(session: &str) -> Self {
        Self::of("read line", &["claude", "--resume", session])
    }

    fn of(script: &str, args: &[&str]) -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", script]).args(args).stdin(Stdio::piped());
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
fn session_is_taken_over_when_no_other_process_has_it() {
    let server = builder("take-over").start();
    let elsewhere = Elsewhere::of(&server, HELD);
    elsewhere.write(&(prompt("p1", "1") + &answer("a1", "2")));
    let worker = TestWorker::create(&server, "claude", &json!({"follow_session": HELD}));
    wait_said(&worker, &server, &["1", "2"]);

    let holder = Holder::start(HELD);
    let refused = worker.call(&server, "takeover").expect(409).json();
    assert_eq!(refused["pid"], holder.0.id(), "{refused}");
    let body = json!({"resume_session": HELD, "name": "n", "project_path": server.project()});
    assert_eq!(server.post("/api/workers", &body).expect(409).json()["pid"], holder.0.id());
    drop(holder);

    // A file that was just written is in use by some process.
    elsewhere.write_just_now(&prompt("p2", "3"));
    let refused = worker.call(&server, "takeover").expect(409).json();
    assert!(refused["detail"].as_str().unwrap().contains("written"), "{refused}");
    end_writing(&elsewhere.path);
    let taken = eventually(DEADLINE, "nobody writes it", || {
        let reply = worker.call(&server, "takeover");
        (reply.status != 409).then(|| reply.expect(200).json())
    });
    assert_eq!((&taken["read_only"], &taken["session_id"]), (&json!(false), &json!(HELD)));
    worker.wait_status(&server, "idle");
    worker.say(&server, "hello");
    wait_said(&worker, &server, &["1", "2", "3", "hello", "You said: hello"]);
    worker.wait_turn(&server, 2);
    let launched = worker.controls(&server, "started").pop().unwrap()["argv"].to_string();
    assert!(launched.contains(&format!("\"--resume\",\"{HELD}\"")), "{launched}");
    worker.call(&server, "takeover").expect(409);
}

#[test]
fn codex_daemon_is_distinguished_from_a_terminal_with_the_session() {
    let server = builder("take-over-daemon").start();
    let folder = server.home().join(".codex/sessions/2026/11/29");
    std::fs::create_dir_all(&folder).unwrap();
    let rollout = folder.join(format!("rollout-2026-11-29T10-00-00-{DAEMON}.jsonl"));
    let meta = json!({"id": DAEMON, "cwd": server.project()});
    std::fs::write(&rollout, format!("{}\n", json!({"type": "session_meta", "payload": meta}))).unwrap();
    // It cannot be taken over before the daemon has it open.
    stay_written(&rollout);
    let worker = TestWorker::create(&server, "codex", &json!({"follow_session": DAEMON}));

    let daemon = Holder::of(
        &format!("exec 3>>{}; read line", rollout.display()),
        &["codex", "app-server", "--listen", "unix://"],
    );
    let refused = eventually(DEADLINE, "it has the file open", || {
        let refused = worker.call(&server, "takeover").expect(409).json();
        (refused["code"] != "written_lately").then_some(refused)
    });
    assert_eq!((&refused["code"], &refused["pid"]), (&json!("held_by_daemon"), &json!(daemon.0.id())));
    assert!(refused["detail"].as_str().unwrap().contains("about a minute later"), "{refused}");

    let terminal = Holder::of("read line", &["codex", "resume", DAEMON]);
    let refused = worker.call(&server, "takeover").expect(409).json();
    assert_eq!((&refused["code"], &refused["pid"]), (&json!("held_by_process"), &json!(terminal.0.id())));
}

#[test]
fn killed_processs_turn_is_interrupted_until_its_next_line() {
    let server = builder("abandoned").start();
    let elsewhere = Elsewhere::of(&server, KILLED);
    let holder = Holder::start(KILLED);
    elsewhere.write(&prompt("p1", "1"));
    let worker = TestWorker::create(&server, "claude", &json!({"follow_session": KILLED}));
    wait_said(&worker, &server, &["1"]);
    worker.wait_status(&server, "busy");
    // While its process runs, a turn may be silent for any time.
    let written = std::time::Instant::now();
    eventually(DEADLINE, "a while has passed", || (written.elapsed() > Duration::from_secs(5)).then_some(()));
    assert_eq!(worker.show(&server)["status"], "busy");

    drop(holder);
    let ended = worker.wait_turn(&server, 1);
    assert_eq!((&ended["stop_reason"], &ended["is_error"]), (&json!("interrupted"), &json!(true)));
    worker.wait_status(&server, "idle");
    let noted = worker.events_of(&server, "notice");
    assert!(noted.iter().any(|notice| notice["code"] == "session_abandoned"), "{noted:#?}");

    elsewhere.write(&answer("a1", "2"));
    wait_said(&worker, &server, &["1", "2"]);
    worker.wait_status(&server, "idle");
}

#[test]
fn turn_killed_before_following_does_not_stay_busy() {
    let server = builder("abandoned-before").start();
    let elsewhere = Elsewhere::new(&server);
    // A Claude Code that keeps files about its processes would have one of this session's, too.
    std::fs::create_dir_all(server.home().join(".claude/sessions")).unwrap();
    elsewhere.write(&prompt("p1", "1"));
    let worker = follow(&server);
    assert_eq!(worker.wait_turn(&server, 1)["stop_reason"], "interrupted");
    worker.wait_status(&server, "idle");
}

#[test]
fn force_takes_over_all_the_same_and_nothing_is_missed() {
    let mut server = builder("take-over-force").start();
    let elsewhere = Elsewhere::new(&server);
    elsewhere.write(&prompt("p1", "1"));
    let worker = follow(&server);
    elsewhere.write_just_now(&answer("a1", "2"));
    worker.call(&server, "takeover").expect(409);
    server.post(&worker.path("/takeover"), &json!({"force": true})).expect(200);
    wait_said(&worker, &server, &["1", "2"]);
    worker.wait_status(&server, "idle");
    server.restart();
    assert_eq!(worker.wait_status(&server, "idle")["read_only"], false);
}
