//! Sessions that were started elsewhere: followed by read-only workers, and taken over.

mod files;
mod real;
mod real_codex;
mod stalled;
mod take_over;

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde_json::{Value, json};

use crate::support::clis;
use crate::support::model::{FakeModel, Step};
use crate::support::server::{Builder, TestServer};
use crate::support::wait::{DEADLINE, eventually, patience};
use crate::support::workers::TestWorker;

const SESSION: &str = "0a1b2c3d-0000-4000-8000-000000000001";

fn builder(name: &str) -> Builder {
    TestServer::builder().name(name).env("CLAUDE_BINARY", clis::fake_cli()).env("STOP_GRACE_SECS", "1")
}

/// A session of Claude Code on disk.
struct Elsewhere {
    path: PathBuf,
    session: String,
}

impl Elsewhere {
    fn new(server: &TestServer) -> Self {
        Self::of(server, SESSION)
    }

    /// Creates one with a unique id, for tests with a process that seems to hold it: others would be affected too.
    fn of(server: &TestServer, session: &str) -> Self {
        let path = server.home().join(format!(".claude/projects/-project/{session}.jsonl"));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "").unwrap();
        // The fake CLI resumes sessions in its memory.
        fs::create_dir_all(server.home().join(".fake_cli")).unwrap();
        fs::write(server.home().join(".fake_cli").join(session), "").unwrap();
        Self { path, session: session.to_owned() }
    }

    fn sub_agents(&self) -> PathBuf {
        let folder = self.path.with_extension("").join("subagents");
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    fn write(&self, text: &str) {
        append(&self.path, &text.replace(SESSION, &self.session));
    }

    /// Does the same as [`Self::write`], for a test that checks at once: the file counts as just written, however busy
    /// the machine is, until the next write.
    fn write_just_now(&self, text: &str) {
        self.write(text);
        stay_written(&self.path);
    }
}

/// Sets the time of a file's last write so far ahead that it stays recent for the rest of a test.
fn stay_written(path: &Path) {
    let later = SystemTime::now() + 2 * DEADLINE * patience();
    OpenOptions::new().append(true).open(path).unwrap().set_modified(later).unwrap();
}

/// Sets the time of a file's last write to now.
fn end_writing(path: &Path) {
    OpenOptions::new().append(true).open(path).unwrap().set_modified(SystemTime::now()).unwrap();
}

fn append(path: &Path, text: &str) {
    OpenOptions::new().append(true).create(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
}

/// Returns a line with a prompt.
fn prompt(uuid: &str, text: &str) -> String {
    let message = json!({"role": "user", "content": text});
    let line = json!({"type": "user", "uuid": uuid, "sessionId": SESSION, "cwd": "/project", "message": message,
                      "timestamp": "2026-01-01T00:00:00.000Z", "parentUuid": null, "isSidechain": false});
    format!("{line}\n")
}

/// Returns a line with the answer that ends the turn.
fn answer(uuid: &str, text: &str) -> String {
    let message = json!({"id": format!("msg_{uuid}"), "role": "assistant", "model": "m", "stop_reason": "end_turn",
                         "content": [{"type": "text", "text": text}], "usage": {"input_tokens": 5, "output_tokens": 2}});
    let line = json!({"type": "assistant", "uuid": uuid, "sessionId": SESSION, "cwd": "/project", "message": message,
                      "timestamp": "2026-01-01T00:00:01.000Z", "isSidechain": false});
    format!("{line}\n")
}

/// Creates a worker that follows the session.
#[track_caller]
fn follow(server: &TestServer) -> TestWorker {
    TestWorker::create(server, "claude", &json!({"follow_session": SESSION}))
}

/// Returns the texts of the conversation, in order.
fn said(worker: &TestWorker, server: &TestServer) -> Vec<String> {
    let events = worker.events(server);
    let said = events.iter().filter(|event| event["type"] == "user" || event["type"] == "assistant");
    said.map(|event| event["content"].as_str().unwrap().to_owned()).collect()
}

#[track_caller]
fn wait_said(worker: &TestWorker, server: &TestServer, expected: &[&str]) {
    eventually(DEADLINE, &format!("{expected:?}"), || {
        let said = said(worker, server);
        assert!(said.len() <= expected.len(), "{said:?}");
        (said == expected).then_some(())
    });
}

fn notices(worker: &TestWorker, server: &TestServer) -> Vec<Value> {
    worker.events_of(server, "notice").iter().map(|event| event["code"].clone()).collect()
}

/// Takes over a session that has had two turns, and asks for the word of the first message.
#[track_caller]
fn take_over_and_recall(server: &TestServer, model: &FakeModel, worker: &TestWorker, session: &str) {
    model.respond_with(Step::text("rhubarb"));
    let taken = eventually(DEADLINE, "nobody writes it any more", || {
        let reply = worker.call(server, "takeover");
        (reply.status != 409).then(|| reply.expect(200).json())
    });
    assert_eq!(taken["read_only"], false);
    worker.say(server, "which word?");
    assert_eq!(worker.wait_turn(server, 3)["result"], "rhubarb");
    assert_eq!(worker.show(server)["session_id"], session);
    let asked = model.turns().last().unwrap().body.to_string();
    assert!(asked.contains("remember the word rhubarb"), "the session goes on: {asked}");
    let unknown = worker.events_of(server, "unknown");
    assert!(unknown.is_empty(), "every line of the transcript is understood: {unknown:#?}");
}
