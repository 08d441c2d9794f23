//! The API, rule by rule: REST and WebSocket of the real program, over workers that are ordinary programs (declared in
//! a file) or the fake Claude CLI.

mod blocks;
mod cursors;
mod generations;
mod images;
mod life;
mod listing;
mod messages;
mod multiplexed;
mod odd_lines;
mod openapi;
mod page_files;
mod paging;
mod permissions;
mod queue;
mod reference_stream;
mod rest;
mod usage;
mod validation;
mod websocket;
mod whole_text;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::Barrier;
use std::thread;

use serde_json::{Value, json};

use crate::support::clis;
use crate::support::http::Reply;
use crate::support::server::{Builder, TestServer};
use crate::support::wait::{DEADLINE, eventually};
use crate::support::ws::WsClient;

/// A CLI type whose worker answers each line `x` with `you said: x`, in a separate turn.
pub(crate) const LOOP: &str = "loop";
/// A CLI type whose worker repeats each line. It has no turns.
pub(crate) const CAT: &str = "cat";

/// Makes a folder a repository: `main` is checked out, and `other` has one commit more.
pub(crate) fn repository_with_branches(folder: &Path) {
    let git = |args: &[&str]| {
        let person = ["-c", "user.name=Agent", "-c", "user.email=agent@example.org", "-c", "init.defaultBranch=main"];
        let ran = Command::new("git").arg("-C").arg(folder).args(person).args(args).output().unwrap();
        assert!(ran.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&ran.stderr));
    };
    git(&["init", "-q"]);
    git(&["add", "."]);
    git(&["commit", "-q", "--allow-empty", "-m", "begin"]);
    git(&["checkout", "-q", "-b", "other"]);
    git(&["commit", "-q", "--allow-empty", "-m", "more"]);
    git(&["checkout", "-q", "main"]);
}

/// A server whose `claude` is the fake one.
pub(crate) fn builder() -> Builder {
    TestServer::builder().env("CLAUDE_BINARY", clis::fake_cli()).env("STOP_GRACE_SECS", "2")
}

/// A server that has [`LOOP`], [`CAT`] and the fake Claude.
#[track_caller]
pub(crate) fn server() -> TestServer {
    start(builder())
}

/// Such a server of the given builder.
#[track_caller]
pub(crate) fn start(builder: Builder) -> TestServer {
    let mut server = builder.prepare();
    declare(
        &server,
        LOOP,
        &json!({
            "family": "text",
            "command": ["sh", "-c", "while read -r line; do echo \"you said: $line\"; echo '<<END>>'; done"],
            "input": {"encoding": "line", "newlines": "space"},
            "turn_end": {"line": "<<END>>"},
        }),
    );
    declare(&server, CAT, &json!({"family": "text", "command": ["cat"]}));
    server.start();
    server
}

/// Declares a CLI; must be called before the server starts.
pub(crate) fn declare(server: &TestServer, kind: &str, adapter: &Value) {
    let folder = server.dir().join("adapters");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(format!("{kind}.json")), adapter.to_string()).unwrap();
}

/// A worker that is ready for messages.
#[track_caller]
pub(crate) fn idle_worker(server: &TestServer, kind: &str) -> String {
    let id = server.create_worker(kind, &json!({}));
    server.wait_status(&id, "idle");
    id
}

/// Posts a message, which must be accepted.
#[track_caller]
pub(crate) fn say(server: &TestServer, worker: &str, content: &str) -> Value {
    server.post(&format!("/api/workers/{worker}/messages"), &json!({"content": content})).expect(202).json()
}

/// Returns every event of a worker, oldest first, from pages of history.
#[track_caller]
pub(crate) fn events(server: &TestServer, worker: &str) -> Vec<Value> {
    let mut all = Vec::new();
    let mut since = 0;
    loop {
        let page = server
            .get(&format!("/api/workers/{worker}/messages?types=all&since={since}&limit=1000"))
            .expect(200)
            .json();
        all.extend(page["messages"].as_array().unwrap().iter().cloned());
        if page["has_more"] == false {
            return all;
        }
        since = all.last().unwrap()["seq"].as_u64().unwrap();
    }
}

/// Waits until the history has an event of this type and text, and returns it.
#[track_caller]
pub(crate) fn wait_event(server: &TestServer, worker: &str, kind: &str, content: &str) -> Value {
    eventually(DEADLINE, &format!("{kind} {content:?}"), || {
        events(server, worker).into_iter().find(|event| event["type"] == kind && event["content"] == content)
    })
}

/// The `seq` of each of some events or frames.
#[track_caller]
pub(crate) fn seqs(events: &[Value]) -> Vec<u64> {
    events.iter().map(|event| event["seq"].as_u64().unwrap()).collect()
}

/// Returns the text of a `{"detail": ...}` response.
#[track_caller]
pub(crate) fn detail(reply: &Reply) -> String {
    let body = reply.json();
    let mut rest = body.clone();
    // Named where one field is at fault.
    rest.as_object_mut().unwrap().remove("field");
    assert_eq!(keys(&rest), ["code", "detail"], "{body}");
    body["detail"].as_str().unwrap().to_owned()
}

/// The names of an object's fields, sorted.
#[track_caller]
pub(crate) fn keys(object: &Value) -> Vec<&str> {
    object.as_object().unwrap().keys().map(String::as_str).collect::<BTreeSet<_>>().into_iter().collect()
}

/// Returns whether this is a time as in `2024-01-01T00:00:00Z`, with or without a fraction of the second.
pub(crate) fn is_utc_time(value: &Value) -> bool {
    let Some(text) = value.as_str() else { return false };
    let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    let (whole, fraction) =
        shape.strip_suffix('Z').map_or((shape.as_str(), "?"), |shape| shape.split_once('.').unwrap_or((shape, "")));
    whole == "0000-00-00T00:00:00" && fraction.bytes().all(|byte| byte == b'0')
}

/// Sends a frame with a `ref` and returns the reply to it.
#[track_caller]
pub(crate) fn command(ws: &mut WsClient, mut frame: Value) -> Value {
    let reference = format!("ref-{}", ws.frames.len());
    frame["ref"] = json!(reference);
    ws.send_json(&frame);
    ws.wait_for("the answer to a command", DEADLINE, |answer| answer["ref"] == *reference)
}

/// Returns the frames up to the reply to a ping that is sent now, without that reply.
#[track_caller]
pub(crate) fn frames_before_pong(ws: &mut WsClient) -> Vec<Value> {
    let from = ws.frames.len();
    ws.send_json(&json!({"type": "ping"}));
    ws.wait_for("pong", DEADLINE, |frame| frame["type"] == "pong");
    ws.frames[from..ws.frames.len() - 1].to_vec()
}

/// Does the same from several threads at the same moment, and returns all results.
pub(crate) fn at_once<T: Send>(threads: usize, act: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let barrier = Barrier::new(threads);
    let run = |number| {
        barrier.wait();
        act(number)
    };
    thread::scope(|scope| {
        let run = &run;
        let threads: Vec<_> = (0..threads).map(|number| scope.spawn(move || run(number))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}
