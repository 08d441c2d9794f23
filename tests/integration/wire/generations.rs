//! Cursors of a journal that is gone: an older one was restored and has grown past them.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::{LOOP, events, frames_before_pong, idle_worker, say, seqs, server, wait_event};
use crate::support::http::Raw;
use crate::support::server::TestServer;
use crate::support::wait::DEADLINE;
use crate::support::ws::WsClient;

/// The cursor of an event: its number and time.
#[derive(Clone, Debug)]
pub(crate) struct Mark {
    pub(crate) seq: u64,
    pub(crate) at: String,
}

impl Mark {
    fn of(event: &Value) -> Self {
        Self { seq: event["seq"].as_u64().unwrap(), at: event["timestamp"].as_str().unwrap().to_owned() }
    }

    fn query(&self) -> String {
        format!("since={}&at={}", self.seq, self.at)
    }
}

fn journal(server: &TestServer, worker: &str) -> PathBuf {
    server.data_dir().join(worker).join("journal")
}

fn stop(server: &TestServer, worker: &str) {
    server.post(&format!("/api/workers/{worker}/stop"), &json!({})).expect(200);
    server.wait_status(worker, "stopped");
    server.wait_no_processes_of(worker);
}

fn converse(server: &TestServer, worker: &str, texts: &[&str]) {
    for text in texts {
        say(server, worker, text);
        wait_event(server, worker, "assistant", &format!("you said: {text}"));
    }
    server.wait_status(worker, "idle");
}

/// A worker whose journal was restored to an earlier state and has grown again.
struct RewoundWorker {
    id: String,
    /// Every event of the lost time.
    lost: Vec<Value>,
    /// Their ids in an event stream.
    ids: Vec<String>,
}

#[track_caller]
fn restored(server: &mut TestServer) -> RewoundWorker {
    let id = idle_worker(server, LOOP);
    converse(server, &id, &["kept"]);
    stop(server, &id);
    let path = journal(server, &id);
    let older = fs::read(&path).unwrap();
    converse(server, &id, &["lost", "lost too", "and this one"]);
    stop(server, &id);
    let all = events(server, &id);
    let last = seqs(&all).pop().unwrap();
    let lost: Vec<Value> = all.into_iter().filter(|event| event["seq"].as_u64() >= Some(older.len() as u64)).collect();
    let mut ids = streamed(server, &id, "?since=0", None, last);
    ids.drain(..ids.len() - lost.len());
    server.terminate();
    // The saved folds stay: they are of the lost time, too.
    fs::write(&path, &older).unwrap();
    server.start();
    // Each text is unique: a wait for its answer would otherwise end with an earlier one.
    let text = "said after the restore, at some length, so that the journal grows past every old cursor";
    for number in 0.. {
        if fs::metadata(&path).unwrap().len() >= 3 * older.len() as u64 + 8_000 {
            break;
        }
        converse(server, &id, &[&format!("{text}, {number}")]);
    }
    RewoundWorker { id, lost, ids }
}

fn outputs(frames: &[Value]) -> Vec<u64> {
    seqs(&frames.iter().filter(|frame| frame["seq"].is_u64() && frame["type"] == "output").cloned().collect::<Vec<_>>())
}

/// Checks that the frames are those of a client that gets everything again, after a `resync_required`.
#[track_caller]
fn assert_resync(ws: &WsClient, all: &[Value], cursor: &Mark) {
    let at = ws.frames.iter().position(|frame| frame["type"] == "resync_required");
    let first = ws.frames.iter().position(|frame| frame["type"] == "output");
    assert!(at.is_some() && at < first, "{cursor:?}: {:?}", &ws.frames[..ws.frames.len().min(4)]);
    assert_eq!(outputs(&ws.frames), seqs(all), "{cursor:?}");
}

#[test]
fn a_cursor_of_another_generation_gets_the_history_again() {
    let mut server = server();
    let RewoundWorker { id, lost, .. } = restored(&mut server);
    let all = events(&server, &id);
    assert!(lost.len() > 8, "{lost:?}");
    for event in &lost {
        let cursor = Mark::of(event);
        let mut ws = server.ws(&format!("/ws/{id}?{}", cursor.query()));
        ws.wait_for("replay_complete", DEADLINE, |frame| frame["type"] == "replay_complete");
        assert_resync(&ws, &all, &cursor);

        let mut many = server.ws("/ws");
        frames_before_pong(&mut many);
        many.frames.clear();
        many.send_json(&json!({"type": "subscribe", "worker_id": id, "since": cursor.seq, "at": cursor.at}));
        many.wait_for("replay_complete", DEADLINE, |frame| frame["type"] == "replay_complete");
        assert_resync(&many, &all, &cursor);
    }
    let cursor = Mark::of(lost.last().unwrap());
    let page = server.get(&format!("/api/workers/{id}/messages?types=all&limit=1000&{}", cursor.query())).json();
    assert_eq!((&page["messages"], &page["resync_required"]), (&json!(all), &json!(true)));
    let before = format!("/api/workers/{id}/messages?types=all&limit=1000&before={}&at={}", cursor.seq, cursor.at);
    let page = server.get(&before).json();
    assert_eq!((&page["messages"], &page["resync_required"]), (&json!(all), &json!(true)));
}

/// Returns the ids of the events in a stream, `resync_required` among them, up to the event `until`.
#[track_caller]
fn streamed(server: &TestServer, worker: &str, query: &str, last_event_id: Option<&str>, until: u64) -> Vec<String> {
    let header = last_event_id.map_or(String::new(), |id| format!("Last-Event-ID: {id}\r\n"));
    let head = format!("GET /api/workers/{worker}/events{query} HTTP/1.1\r\nHost: {}\r\n{header}\r\n", server.addr());
    let mut client = Raw::connect(server.addr()).unwrap();
    client.send(head.as_bytes()).unwrap();
    let wanted = format!("\"seq\":{until},");
    let (mut bytes, mut text, mut piece) = (Vec::new(), String::new(), [0; 4096]);
    while !text.contains(&wanted) {
        let count = client.read(&mut piece).unwrap();
        assert!(count > 0, "the stream ends: {text}");
        bytes.extend_from_slice(&piece[..count]);
        text = unchunked(&bytes);
    }
    let of = |line: &str| line.strip_prefix("id: ").or_else(|| line.strip_prefix("event: ")).map(str::to_owned);
    text.lines().filter_map(of).collect()
}

/// Returns the body so far of a chunked response.
fn unchunked(answer: &[u8]) -> String {
    let text = String::from_utf8_lossy(answer);
    let mut rest = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let mut body = String::new();
    while let Some((size, chunk)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        body.push_str(&chunk[..size.min(chunk.len())]);
        rest = chunk.get(size + 2..).unwrap_or_default();
    }
    body
}

/// The event's number in the id of an event stream.
fn number(id: &str) -> u64 {
    id.split('.').next().unwrap().parse().unwrap()
}

#[test]
fn event_streams_notice_another_generation_by_their_ids() {
    let mut server = server();
    let RewoundWorker { id, lost, ids } = restored(&mut server);
    let all = seqs(&events(&server, &id));
    let last = *all.last().unwrap();
    assert_eq!(ids.iter().map(|id| number(id)).collect::<Vec<_>>(), seqs(&lost));
    for old in &ids {
        let reported = streamed(&server, &id, "?since=0", Some(old), last);
        assert_eq!(reported[0], "resync_required", "{old}");
        assert_eq!(reported[1..].iter().map(|id| number(id)).collect::<Vec<_>>(), all, "{old}");
        let cursor = Mark::of(&lost[0]);
        let reported = streamed(&server, &id, &format!("?{}", cursor.query()), None, last);
        assert_eq!((reported[0].as_str(), reported.len()), ("resync_required", all.len() + 1), "{cursor:?}");
    }
    // Ids of this generation select later events, with the time and, as in older builds, without.
    let now = streamed(&server, &id, "?since=0", None, last);
    for (at, event) in now[..now.len() - 1].iter().enumerate() {
        for form in [event.clone(), number(event).to_string()] {
            assert_eq!(streamed(&server, &id, "", Some(&form), last), now[at + 1..], "{form}");
        }
    }
}

#[test]
fn a_number_that_is_no_event_gets_the_history_again() {
    let server = server();
    let id = idle_worker(&server, LOOP);
    converse(&server, &id, &["one", "two"]);
    let all = events(&server, &id);
    let numbers = seqs(&all);
    let end = server.get(&format!("/api/workers/{id}")).json()["last_seq"].as_u64().unwrap();
    let bytes = fs::read(journal(&server, &id)).unwrap();
    let is_end_of_record = |seq: u64| bytes[usize::try_from(seq).unwrap()] == b'\n';
    let (mut right, mut wrong) = (0, 0);
    for seq in numbers[numbers.len() - 6]..end {
        let path = format!("/api/workers/{id}/messages?types=all&limit=1000&since={seq}");
        let page = server.get(&path).expect(200).json();
        if numbers.contains(&seq) || is_end_of_record(seq) {
            let later: Vec<u64> = numbers.iter().copied().filter(|&number| number > seq).collect();
            assert_eq!(seqs(page["messages"].as_array().unwrap()), later, "{seq}");
            assert!(page["resync_required"].is_null(), "{seq}");
            right += 1;
        } else {
            assert_eq!((&page["messages"], &page["resync_required"]), (&json!(all), &json!(true)), "{seq}");
            wrong += 1;
        }
    }
    assert!(right > 6 && wrong > 50, "{right} {wrong}");
    let last = numbers[numbers.len() - 4];
    let mut ws = server.ws(&format!("/ws/{id}?since={}", (last..).find(|seq| !numbers.contains(seq)).unwrap()));
    ws.wait_for("replay_complete", DEADLINE, |frame| frame["type"] == "replay_complete");
    assert_resync(&ws, &all, &Mark::of(&all[0]));
}

#[test]
fn every_cursor_of_this_history_gives_what_follows_it() {
    let mut server = server();
    let id = idle_worker(&server, "claude");
    say(&server, &id, "echo one");
    // It is idle before the message is delivered, too.
    wait_event(&server, &id, "assistant", "one");
    server.wait_status(&id, "idle");
    let before = events(&server, &id);
    server.kill9();
    server.start();
    server.wait_status(&id, "idle");
    let all = events(&server, &id);
    for (at, event) in before.iter().enumerate() {
        let cursor = Mark::of(event);
        for query in [cursor.query(), cursor.query().replace(':', "%3A"), format!("since={}", cursor.seq)] {
            let page = server.get(&format!("/api/workers/{id}/messages?types=all&limit=1000&{query}")).json();
            assert_eq!((&page["messages"], page.get("resync_required")), (&json!(all[at + 1..]), None), "{query}");
        }
        let path = format!("/api/workers/{id}/messages?types=all&limit=1000&before={}&at={}", cursor.seq, cursor.at);
        let page = server.get(&path).json();
        assert_eq!((&page["messages"], page.get("resync_required")), (&json!(all[..at]), None), "{path}");
    }
    let page = server.get(&format!("/api/workers/{id}/messages?types=all&limit=1")).json();
    let (seq, at) = (&page["last_seq"], page["last_timestamp"].as_str().unwrap());
    let mut ws = server.ws(&format!("/ws/{id}?since={seq}&at={at}"));
    let complete = ws.wait_for("replay_complete", DEADLINE, |frame| frame["type"] == "replay_complete");
    assert_eq!((&complete["seq"], complete["timestamp"].as_str()), (seq, Some(at)));
    assert_eq!(ws.frames.len(), 2, "{:?}", ws.frames);
    let summary = server.get(&format!("/api/workers/{id}")).json();
    assert_eq!((&summary["last_seq"], summary["last_activity"].as_str()), (seq, Some(at)));
}

#[test]
fn a_time_that_cannot_be_read_is_refused() {
    let server = server();
    let id = idle_worker(&server, LOOP);
    for path in ["messages", "events"] {
        let reply = server.get(&format!("/api/workers/{id}/{path}?since=0&at=yesterday")).expect(422);
        assert_eq!(reply.json()["detail"][0]["loc"], json!(["query", "at"]));
    }
    let mut ws = server.ws("/ws");
    ws.send_json(&json!({"type": "subscribe", "worker_id": id, "since": 0, "at": "yesterday", "ref": 1}));
    let error = ws.wait_for("an error", DEADLINE, |frame| frame["type"] == "error");
    assert_eq!(error["status"], 422);
}
