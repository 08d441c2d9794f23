//! Parsed Markdown: for clients that request it, on every route with events; none for the others.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use serde_json::{Value, json};

use super::{CAT, builder, command, events, idle_worker, say, server, start, wait_event};
use crate::support::blocks::Blocks;
use crate::support::server::TestServer;
use crate::support::wait::DEADLINE;
use crate::support::ws::WsClient;

/// An answer in pieces.
const PIECES: [&str; 9] = [
    "# A *title*\n\nSome ",
    "words and\nmore\n",
    "\n```rust\nlet é = 1;\n",
    "let b = \"🦀\";\n",
    "```\n\n- one\n",
    "- two\n\nlast\n| a | b |\n",
    "|---|---|\n| 1 ",
    "| `2` |\n\nSee [it",
    "](https://example.com/).",
];

fn stream_event(event: &Value) -> String {
    // The type comes first, as in the CLI's output, so that the line stays out of the journal.
    format!(r#"{{"type":"stream_event","session_id":"s","parent_tool_use_id":null,"event":{event}}}"#)
}

/// Makes the fake Claude print lines, so many milliseconds after each other.
#[track_caller]
fn play(server: &TestServer, worker: &str, lines: &[String], ms: u32) {
    let file = server.dir().join("lines.jsonl");
    fs::write(&file, lines.concat()).unwrap();
    say(server, worker, &format!("play {} {ms}", file.display()));
}

/// Returns the lines of [`PIECES`] as deltas; with `is_whole` the complete message too.
fn lines(is_whole: bool) -> Vec<String> {
    let start = json!({"type": "message_start", "message": {"id": "msg", "role": "assistant", "content": []}});
    let block = json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}});
    let mut lines = vec![stream_event(&start), stream_event(&block)];
    lines.extend(PIECES.iter().map(|text| {
        let delta = json!({"type": "text_delta", "text": text});
        stream_event(&json!({"type": "content_block_delta", "index": 0, "delta": delta}))
    }));
    if is_whole {
        let content = json!([{"type": "text", "text": PIECES.concat()}]);
        let message = json!({"id": "msg", "role": "assistant", "content": content});
        lines.push(
            json!({"type": "assistant", "session_id": "s", "parent_tool_use_id": null, "message": message}).to_string(),
        );
    }
    lines.into_iter().map(|line| line + "\n").collect()
}

/// Returns the event without the members of clients that request blocks.
fn bare(event: &Value) -> Value {
    let mut event = event.clone();
    for name in ["blocks", "blocks_from", "blocks_end"] {
        event.as_object_mut().unwrap().remove(name);
    }
    event
}

/// Reads until the complete message has arrived; returns it, and the blocks of its deltas. `None` if it came before the
/// last of them, which are useless then.
#[track_caller]
fn put_together(ws: &mut WsClient) -> Option<(Value, Blocks)> {
    let whole = ws.wait_for_event("assistant", DEADLINE);
    let (mut text, mut blocks) = (String::new(), Blocks::default());
    for event in ws.events().into_iter().filter(|event| event["type"] == "delta") {
        assert_eq!(event["offset"], text.chars().count(), "{event}");
        text.push_str(event["content"].as_str().unwrap());
        blocks.take(event);
        assert!(blocks.end <= PIECES.concat().chars().count(), "{event}");
    }
    assert!(PIECES.concat().starts_with(&text), "{text:?}");
    (text == PIECES.concat()).then_some((whole, blocks))
}

/// The events of an event stream, up to the first of the type `last`.
#[track_caller]
fn streamed(server: &TestServer, path: &str, last: &str) -> Vec<Value> {
    let mut stream = TcpStream::connect(server.addr()).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {}\r\n\r\n", server.addr()).unwrap();
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let text = String::from_utf8_lossy(&bytes);
        let frames = text.lines().filter_map(|line| serde_json::from_str(line.strip_prefix("data: ")?).ok());
        let mut events: Vec<Value> = frames.map(|frame: Value| frame["content"].clone()).collect();
        if let Some(at) = events.iter().position(|event| event["type"] == last) {
            events.truncate(at + 1);
            return events;
        }
        let read = stream.read(&mut buffer).unwrap();
        assert!(read > 0, "it has ended: {text}");
        bytes.extend_from_slice(&buffer[..read]);
    }
}

#[test]
fn blocks_come_to_clients_that_ask_and_to_no_other() {
    let server = server();
    // A client that lags gets several pieces in one: on a busy machine, only a slow message is seen to grow.
    let grows = [30, 300, 3_000].into_iter().any(|ms| blocks_of_a_message(&server, ms) > Some(4));
    assert!(grows, "blocks come while the message is written");
}

/// Makes the CLI write a message with so many milliseconds between its pieces, checks what each client receives of it,
/// and returns how often its blocks have changed. Returns `None` if a client lagged too far to get every piece.
#[track_caller]
fn blocks_of_a_message(server: &TestServer, ms: u32) -> Option<usize> {
    let worker = idle_worker(server, "claude");
    let mut asking = server.ws(&format!("/ws/{worker}?since=0&blocks=1"));
    let mut plain = server.ws(&format!("/ws/{worker}?since=0"));
    let mut raw = server.ws(&format!("/ws/{worker}?since=0&raw=1&blocks=1"));
    let mut many = server.ws("/ws");
    command(&mut many, json!({"type": "subscribe", "worker_id": worker, "blocks": true}));
    play(server, &worker, &lines(true), ms);
    let (whole, blocks) = put_together(&mut asking)?;
    assert_eq!(json!(blocks.list), whole["blocks"]);
    assert_eq!(blocks.end, PIECES.concat().chars().count());
    let kinds: Vec<&Value> = blocks.list.iter().map(|block| &block["t"]).collect();
    assert_eq!(kinds, ["heading", "paragraph", "code", "list", "paragraph", "table", "paragraph"]);
    for other in [&mut raw, &mut many] {
        let (whole_here, blocks_here) = put_together(other)?;
        assert_eq!((&whole_here, &blocks_here.list), (&whole, &blocks.list));
    }
    assert!(raw.frames.iter().any(|frame| frame["content"]["type"] == "assistant" && frame["raw"].is_object()));
    let unparsed = plain.wait_for_event("assistant", DEADLINE);
    assert_eq!(unparsed, bare(&whole));
    for frame in &plain.frames {
        assert!(!frame.to_string().contains("\"blocks"), "{frame}");
    }
    let numbered = |ws: &WsClient| {
        let frames = ws.frames.iter().filter(|frame| frame["type"] == "output" && frame["seq"].is_u64());
        frames.map(|frame| (frame["seq"].clone(), bare(&frame["content"]))).collect::<Vec<_>>()
    };
    assert_eq!(numbered(&asking), numbered(&plain));
    Some(blocks.changes)
}

#[test]
fn pages_and_event_streams_have_blocks_on_request() {
    let server = server();
    let worker = idle_worker(&server, "claude");
    say(&server, &worker, "tool Bash {\"command\":\"true\"}");
    wait_event(&server, &worker, "assistant", "done");
    server.wait_status(&worker, "idle");
    play(&server, &worker, &lines(true), 1);
    let text = PIECES.concat();
    wait_event(&server, &worker, "assistant", &text);
    let all = events(&server, &worker);
    assert!(all.iter().all(|event| event["blocks"].is_null()));
    let page = |query: &str| {
        let page =
            server.get(&format!("/api/workers/{worker}/messages?types=all&limit=1000&{query}")).expect(200).json();
        page["messages"].as_array().unwrap().clone()
    };
    let parsed = |events: &[Value], types: &[&str]| {
        assert_eq!(events.iter().map(bare).collect::<Vec<_>>(), all);
        for event in events {
            let has = types.contains(&event["type"].as_str().unwrap());
            assert_eq!(event["blocks"].is_array(), has, "{event}");
        }
    };
    for direction in ["", "since=0"] {
        parsed(&page(direction), &[]);
        parsed(&page(&format!("blocks=0&{direction}")), &[]);
        parsed(&page(&format!("blocks=1&{direction}")), &["assistant", "thinking"]);
        parsed(&page(&format!("blocks=all&{direction}")), &["assistant", "thinking", "tool_result"]);
    }
    let path = format!("/api/workers/{worker}/events?since=0");
    let without_seq = |events: &[Value]| {
        let remove = |event: &Value| {
            let mut event = event.clone();
            event.as_object_mut().unwrap().remove("seq");
            event
        };
        events.iter().map(remove).collect::<Vec<_>>()
    };
    let stream = streamed(&server, &format!("{path}&blocks=1"), "tool_result");
    let shown = &page("blocks=1&since=0")[..stream.len()];
    assert_eq!(stream, without_seq(shown));
    assert_eq!(streamed(&server, &path, "tool_result"), without_seq(&all[..stream.len()]));
    for path in ["messages?blocks=some", "events?blocks=true", "messages?blocks="] {
        assert_eq!(server.get(&format!("/api/workers/{worker}/{path}")).status, 422, "{path}");
    }
    let mut ws = server.ws(&format!("/ws/{worker}?blocks=1"));
    let history = ws.wait_for("the short history", DEADLINE, |frame| frame["type"] == "history");
    let whole = history["messages"].as_array().unwrap().iter().find(|event| event["content"] == text.as_str());
    assert!(whole.unwrap()["blocks"].is_array());
}

#[test]
fn client_that_comes_in_mid_message_gets_all_its_blocks() {
    let mut server = builder().start();
    let worker = idle_worker(&server, "claude");
    let mut first = server.ws(&format!("/ws/{worker}?since=0&blocks=1"));
    play(&server, &worker, &lines(false), 1);
    let last = PIECES.concat().chars().count();
    let is_last = |frame: &Value| frame["content"]["blocks_end"] == last;
    first.wait_for("the last piece", DEADLINE, is_last);
    let mut blocks = Blocks::default();
    first.events().iter().filter(|event| event["type"] == "delta").for_each(|event| blocks.take(event));
    assert_eq!(blocks.list.len(), 7);
    let all_at_once = |server: &TestServer| {
        let mut late = server.ws(&format!("/ws/{worker}?since=0&blocks=1"));
        let piece = late.wait_for("the last piece", DEADLINE, is_last)["content"].clone();
        assert_eq!((&piece["offset"], &piece["blocks_from"]), (&json!(0), &json!(0)));
        assert_eq!(piece["content"], PIECES.concat());
        assert_eq!(piece["blocks"], json!(blocks.list));
        late
    };
    all_at_once(&server);
    // The others disconnect, and the cached blocks are dropped with them.
    drop(first);
    let mut plain = server.ws(&format!("/ws/{worker}?since=0"));
    plain.wait_for_event("delta", DEADLINE);
    all_at_once(&server);
    server.kill9();
    server.start();
    all_at_once(&server);
}

#[test]
fn one_connection_gets_the_blocks_of_so_many_workers_only() {
    let server = start(builder().env("MAX_WORKERS", "20"));
    let workers: Vec<String> = (0..17).map(|_| server.create_worker(CAT, &json!({}))).collect();
    let mut ws = server.ws("/ws");
    let mut subscribe = |worker: &String, blocks: bool| {
        command(&mut ws, json!({"type": "subscribe", "worker_id": worker, "blocks": blocks}))["type"].clone()
    };
    for worker in workers[..16].iter().chain(&workers[..2]) {
        assert_eq!(subscribe(worker, true), "ack");
    }
    assert_eq!(subscribe(&workers[16], true), "error");
    assert_eq!(subscribe(&workers[16], false), "ack");
    assert_eq!(subscribe(&workers[3], false), "ack");
    assert_eq!(subscribe(&workers[16], true), "ack");
}

#[test]
fn text_over_the_bounds_has_no_blocks() {
    let server = server();
    let worker = idle_worker(&server, "claude");
    let history = |query: &str| {
        let mut ws = server.ws(&format!("/ws/{worker}{query}"));
        ws.wait_for("the short history", DEADLINE, |frame| frame["type"] == "history")["messages"].clone()
    };
    let mut ws = server.ws(&format!("/ws/{worker}?since=0&blocks=1"));
    let mut answer = |message: &str| {
        say(&server, &worker, message);
        let event = ws.wait_for_event("assistant", DEADLINE);
        ws.wait_for_event("turn_completed", DEADLINE);
        event["blocks"].is_array()
    };
    assert!(answer("long 1000"));
    assert_ne!(history("?blocks=1"), history(""));
    assert!(!answer("long 300000"));
    for _ in 0..3 {
        assert!(answer("long 260000"));
    }
    assert_eq!(history("?blocks=1"), history(""), "it would be too long");
}

#[test]
fn plans_have_blocks_on_request() {
    let server = server();
    let worker = idle_worker(&server, "claude");
    say(&server, &worker, r##"permission ExitPlanMode {"plan":"# Dig\n\n- one"}"##);
    server.wait_status(&worker, "waiting");
    let path = format!("/api/workers/{worker}/messages?types=permission_request,tool_call");
    for (query, has_blocks) in [("", false), ("&blocks=1", true), ("&blocks=all", true)] {
        let page = server.get(&format!("{path}{query}")).expect(200).json();
        let events = page["messages"].as_array().unwrap();
        assert_eq!(events.len(), 2, "{page}");
        for event in events {
            let kinds: Vec<&Value> =
                event["blocks"].as_array().into_iter().flatten().map(|block| &block["t"]).collect();
            let wanted: &[&str] = if has_blocks { &["heading", "list"] } else { &[] };
            assert_eq!(kinds, wanted, "{event}");
        }
    }
}
