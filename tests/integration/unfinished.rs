//! Unfinished messages, piece by piece: every client can assemble them, whatever happens to the server, the connections
//! and the client's own pace.

use std::collections::HashMap;
use std::fs;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::blocks::Blocks;
use crate::support::clis;
use crate::support::random::Random;
use crate::support::server::TestServer;
use crate::support::wait::{DEADLINE, eventually, pace};
use crate::support::workers::{TestWorker, declare};
use crate::support::ws::{WsClient, WsReceipt};

/// Number of kills; a longer run sets it.
const KILLS: &str = "RS_WORKER_TEST_KILLS";
const KILLS_DEFAULT: u64 = 4;
/// Longest time from a start of the server to its kill.
const LIFE_MS_MAX: u64 = 250;

#[track_caller]
fn start(name: &str) -> TestServer {
    let fake = clis::fake_cli();
    let mut server = TestServer::builder()
        .name(name)
        .env("CLAUDE_BINARY", &fake)
        .env("CODEX_BINARY", &fake)
        .env("ENABLED_AI_CLIS", "claude,codex,agent,parts")
        .env("STOP_GRACE_SECS", "1")
        .prepare();
    declare(&server, "agent", &json!({"family": "acp", "command": [fake, "acp"]}));
    server.start();
    server
}

/// An unfinished message from a client's view.
#[derive(Default)]
struct AssembledText {
    text: String,
    /// Characters of the text.
    chars: usize,
    /// True if this connection has received a piece of it.
    had: bool,
    blocks: Blocks,
}

/// The messages that a client has assembled from the pieces that it received.
#[derive(Default)]
pub(crate) struct Pieces {
    /// Each unfinished message, by id and kind.
    open: HashMap<(String, String), AssembledText>,
    /// Number of times that a message continued where an earlier connection had ended.
    pub(crate) resumed: usize,
    /// Number of pieces so far.
    pub(crate) count: usize,
    /// Complete messages that came after pieces of them.
    pub(crate) wholes: usize,
}

impl Pieces {
    /// Begins a new connection: received parts of a message may be repeated, from its first character.
    pub(crate) fn reconnected(&mut self) {
        self.open.values_mut().for_each(|written| written.had = false);
    }

    /// Applies an event and checks that it fits the earlier ones.
    #[track_caller]
    pub(crate) fn take(&mut self, event: &Value) {
        let text = event["content"].as_str().unwrap_or_default();
        let id = event["message_id"].as_str().unwrap_or_default().to_owned();
        match event["type"].as_str().unwrap_or_default() {
            "delta" => {
                assert!(event["text"].is_null(), "the text is there once: {event}");
                let of = event["of"].as_str().unwrap().to_owned();
                let offset = usize::try_from(event["offset"].as_u64().unwrap()).unwrap();
                let written = self.open.entry((id, of)).or_default();
                let known = written.chars;
                if written.had {
                    assert_eq!(offset, known, "each piece comes once: {event} after {:?}", written.text);
                } else {
                    assert!(offset <= known, "no piece is missing: {event} after {:?}", written.text);
                    self.resumed += usize::from(known > 0);
                }
                if offset < known {
                    let kept: String = written.text.chars().take(offset).collect();
                    let before = std::mem::replace(&mut written.text, kept + text);
                    let same = written.text.starts_with(&before) || before.starts_with(&written.text);
                    assert!(same, "{event} is another text than {before:?}");
                } else {
                    written.text.push_str(text);
                }
                if !written.had {
                    written.blocks = Blocks::default();
                }
                written.blocks.take(event);
                (written.chars, written.had) = (offset + text.chars().count(), true);
                self.count += 1;
            }
            kind @ ("assistant" | "thinking") => {
                if let Some(known) = self.open.remove(&(id, kind.to_owned())) {
                    assert!(text.starts_with(&known.text), "{text:?} began as {:?}", known.text);
                    self.wholes += 1;
                    known.blocks.check(event);
                }
            }
            "turn_completed" => self.open.clear(),
            _ => {}
        }
    }
}

/// A client that received more pieces than this has seen the message grow.
pub(crate) const PIECES_MIN: usize = 20;
/// The same as [`PIECES_MIN`], for parsed pieces of a long message: each contains everything since the one before was
/// parsed, so a busy server sends few, and fewer the longer the message is.
const LONG_PIECES_MIN: usize = 3;

/// A way in which a client requests a worker's events.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Way {
    Plain,
    Raw,
    /// The way of clients of older builds: by the number only.
    NumberAlone,
    Multiplexed,
    Blocks,
}

const WAYS: [Way; 5] = [Way::Plain, Way::Raw, Way::NumberAlone, Way::Multiplexed, Way::Blocks];

/// The state that clients and test share.
#[derive(Default)]
pub(crate) struct Course {
    /// Number of pieces that each client has received.
    counts: [AtomicUsize; WAYS.len()],
    /// Number of times that a message continued where an earlier connection had ended, for all clients.
    resumed: AtomicUsize,
    /// True when the clients must give up.
    over: AtomicBool,
}

/// Follows a worker over any number of connections until its turn has ended; returns the assembled messages.
fn follow(addr: SocketAddr, worker: &str, way: Way, course: &Course) -> Pieces {
    let mut pieces = Pieces::default();
    let (mut seq, mut at) = (0, String::new());
    while !course.over.load(Ordering::SeqCst) {
        let path = match way {
            Way::Plain => format!("/ws/{worker}?since={seq}&at={at}"),
            Way::Raw => format!("/ws/{worker}?since={seq}&at={at}&raw=1"),
            Way::NumberAlone => format!("/ws/{worker}?since={seq}"),
            Way::Multiplexed => "/ws".to_owned(),
            Way::Blocks => format!("/ws/{worker}?since={seq}&at={at}&blocks=1"),
        };
        let Ok(Ok(mut ws)) = WsClient::try_connect(addr, &path, &[]) else {
            pace(Duration::from_millis(5));
            continue;
        };
        pieces.reconnected();
        if matches!(way, Way::Multiplexed) {
            let at = if at.is_empty() { json!(null) } else { json!(at) };
            let frame = json!({"type": "subscribe", "worker_id": worker, "since": seq, "at": at});
            if ws.send(tungstenite::Message::text(frame.to_string())).is_err() {
                continue;
            }
        }
        while let WsReceipt::Frame(frame) = ws.receive(DEADLINE) {
            assert_ne!(frame["type"], "resync_required", "{way:?}: the cursor {seq} {at} is good");
            if frame["type"] != "output" {
                continue;
            }
            if let Some(number) = frame["seq"].as_u64() {
                if number <= seq {
                    // A prompt that is also sent for the list of workers.
                    continue;
                }
                (seq, at) = (number, frame["timestamp"].as_str().unwrap().to_owned());
            }
            let before = pieces.resumed;
            pieces.take(&frame["content"]);
            course.counts[way as usize].store(pieces.count, Ordering::SeqCst);
            course.resumed.fetch_add(pieces.resumed - before, Ordering::SeqCst);
            if frame["content"]["type"] == "turn_completed" {
                return pieces;
            }
        }
    }
    pieces
}

/// A fake CLI writes until the kills are over, and then as much more as `prompt` requires.
fn kill_with(name: &str, cli: &str, prompt: &str, least: fn(Way) -> usize) {
    let mut server = start(name);
    let worker = TestWorker::create(&server, cli, &json!({}));
    let over = server.dir().join("kills-are-over");
    let prompt = format!("{prompt} {}", over.display());
    kill_in_mid_message(&mut server, &worker, &prompt, least, |course| {
        eventually(DEADLINE, "each client gets pieces", || {
            let mut counts = WAYS.iter().zip(&course.counts);
            counts.all(|(way, count)| count.load(Ordering::SeqCst) > least(*way)).then_some(())
        });
        fs::write(&over, "").unwrap();
    });
}

/// Kills the server again and again while a worker answers `prompt` with one long message, and five clients follow it,
/// each of which must receive more than `least` pieces. The message does not end before `go_on` is called, after the
/// kills.
pub(crate) fn kill_in_mid_message(
    server: &mut TestServer,
    worker: &TestWorker,
    prompt: &str,
    least: fn(Way) -> usize,
    go_on: impl FnOnce(&Course),
) {
    let kills = std::env::var(KILLS).ok().and_then(|text| text.parse().ok()).unwrap_or(KILLS_DEFAULT);
    let mut random = Random::new();
    worker.wait_status(server, "idle");
    let (addr, course) = (server.addr(), Course::default());
    let seen: Vec<(Way, Pieces)> = thread::scope(|scope| {
        let clients = WAYS.map(|way| {
            let (id, course) = (&worker.id, &course);
            (way, scope.spawn(move || follow(addr, id, way, course)))
        });
        let mut first = worker.watch(server);
        worker.say(server, prompt);
        first.wait_for_event("delta", DEADLINE);
        for _ in 0..kills {
            pace(Duration::from_millis(random.below(LIFE_MS_MAX)));
            server.kill9();
            pace(Duration::from_millis(random.below(LIFE_MS_MAX / 4)));
            server.start();
        }
        eventually(DEADLINE, "messages go on after kills", || {
            (course.resumed.load(Ordering::SeqCst) >= WAYS.len()).then_some(())
        });
        go_on(&course);
        worker.wait_turn(server, 1);
        let seen = clients.map(|(way, client)| (way, client.join()));
        course.over.store(true, Ordering::SeqCst);
        seen.map(|(way, pieces)| (way, pieces.unwrap())).into()
    });
    for (way, pieces) in &seen {
        assert!(pieces.count > least(*way) && pieces.wholes > 0, "{way:?}: {} {}", pieces.count, pieces.wholes);
    }
}

#[test]
fn pieces_of_claude_code_are_whole_over_any_kill() {
    kill_with("unfinished-claude", "claude", "deltas 600 250", |_| PIECES_MIN);
}

#[test]
fn pieces_of_an_oversized_message_are_whole_after_any_kill() {
    // The shim stores four mebibytes of pieces; the journal gets earlier ones.
    kill_with("unfinished-long", "claude", "deltas 12000 8000", |way| match way {
        Way::Blocks => LONG_PIECES_MIN,
        _ => PIECES_MIN,
    });
}

#[test]
fn pieces_of_codex_are_whole_over_any_kill() {
    kill_with("unfinished-codex", "codex", "deltas 600 4", |_| PIECES_MIN);
}

#[test]
fn pieces_of_an_acp_agent_are_whole_over_any_kill() {
    kill_with("unfinished-acp", "agent", "deltas 600 4", |_| PIECES_MIN);
}

#[test]
fn late_subscriber_gets_the_message_so_far_in_one_piece() {
    let server = start("unfinished-late");
    let worker = TestWorker::create(&server, "claude", &json!({}));
    let mut first = worker.watch(&server);
    worker.say(&server, "deltas 100000 50");
    // A client that is still catching up gets several words in one piece.
    first.wait_for("some words", DEADLINE, |frame| {
        frame["content"]["content"].as_str().is_some_and(|text| text.contains("w9 "))
    });
    for path in ["?deltas=1", "?since=0", "?since=0&raw=1"] {
        let mut late = server.ws(&format!("/ws/{}{path}", worker.id));
        let piece = late.wait_for_event("delta", DEADLINE);
        assert_eq!(piece["offset"], 0, "{path}");
        assert!(piece["content"].as_str().unwrap().starts_with("w0 w1 w2 w3 w4 w5 w6 w7 w8 w9 "), "{path}: {piece}");
        let next = late.wait_for_event("delta", DEADLINE);
        assert_eq!(next["offset"], piece["content"].as_str().unwrap().len(), "{path}");
    }
    worker.call(&server, "interrupt").expect(200);
}

#[test]
fn raw_clients_get_every_piece_with_its_line() {
    let server = start("unfinished-raw");
    let worker = TestWorker::create(&server, "claude", &json!({}));
    worker.wait_status(&server, "idle");
    let of = |query: &str| {
        let mut ws = server.ws(&format!("/ws/{}{query}", worker.id));
        ws.send_json(&json!({"type": "ping"}));
        ws.wait_for("pong", DEADLINE, |frame| frame["type"] == "pong");
        eventually(DEADLINE, "it keeps up", || {
            let metrics = server.get("/metrics").text();
            metrics
                .lines()
                .any(|line| line.starts_with("rs_worker_subscriptions_lagging") && line.ends_with(" 0"))
                .then_some(())
        });
        worker.say(&server, "deltas 50 200");
        ws.wait_for_event("turn_completed", DEADLINE);
        let mut pieces = Pieces::default();
        ws.events().iter().for_each(|event| pieces.take(event));
        (pieces.count, ws.frames)
    };
    let (plain, _) = of("?deltas=1");
    let (raw, frames) = of("?raw=1");
    assert!(plain > 25 && raw > 25, "{plain} {raw}");
    let lines: Vec<&Value> = frames.iter().filter(|frame| frame["content"]["type"] == "delta").collect();
    let with_line = lines.iter().filter(|frame| frame["raw"]["event"]["delta"]["text"] == frame["content"]["content"]);
    assert!(with_line.count() > 25, "{:?}", lines.first());
}

#[test]
fn a_client_that_reads_slowly_can_put_the_message_together() {
    let mut server = TestServer::builder()
        .name("unfinished-slow")
        .env("CLAUDE_BINARY", clis::fake_cli())
        .env("SUBSCRIBER_QUEUE_BYTES", "64KiB")
        .env("WRITE_TIMEOUT_SECS", "600")
        .env("WS_PING_SECS", "600")
        .prepare();
    server.start();
    let worker = TestWorker::create(&server, "claude", &json!({}));
    worker.wait_status(&server, "idle");
    let mut clients: Vec<WsClient> =
        ["?since=0", "?since=0&raw=1"].map(|query| server.ws(&format!("/ws/{}{query}", worker.id))).into();
    worker.say(&server, "deltas 20000");
    worker.wait_turn(&server, 1);
    for ws in &mut clients {
        ws.wait_for_event("turn_completed", DEADLINE);
        let mut pieces = Pieces::default();
        ws.events().iter().for_each(|event| pieces.take(event));
        assert_eq!(pieces.wholes, 1, "{}", pieces.count);
    }
}

#[test]
fn subscriber_during_a_pause_gets_the_message_so_far() {
    let mut server = start("unfinished-pause");
    let worker = TestWorker::create(&server, "claude", &json!({}));
    let mut first = worker.watch(&server);
    // The second word would come after a quarter of an hour.
    worker.say(&server, "deltas 2 0.001");
    first.wait_for_event("delta", DEADLINE);
    let assert_comes = |server: &TestServer| {
        for path in ["?deltas=1", "?since=0", "?since=0&raw=1"] {
            let piece = server.ws(&format!("/ws/{}{path}", worker.id)).wait_for_event("delta", DEADLINE);
            assert_eq!((&piece["offset"], &piece["content"]), (&json!(0), &json!("w0 ")), "{path}");
        }
    };
    assert_comes(&server);
    server.kill9();
    server.start();
    assert_comes(&server);
    worker.call(&server, "interrupt").expect(200);
}
