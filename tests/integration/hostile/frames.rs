//! WebSocket frames that violate the protocol, and peers that stop responding.

use std::time::{Duration, Instant};

use rs_worker::testing::http::error_code;
use serde_json::{Value, json};

use super::{assert_error, assert_serves, builder};
use crate::support::http::Raw;
use crate::support::server::TestServer;
use crate::support::wait::DEADLINE;
use crate::support::ws::{WsClient, WsReceipt};

const TEXT: u8 = 0x81;
const BINARY: u8 = 0x82;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;
/// The mask of the test's frames; any would do.
const MASK: [u8; 4] = [0x12, 0x34, 0x56, 0x78];

/// A masked frame with any first byte.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        short @ ..126 => bytes.push(0x80 | short as u8),
        middle @ 126..65_536 => {
            bytes.push(0x80 | 126);
            bytes.extend((middle as u16).to_be_bytes());
        }
        long => {
            bytes.push(0x80 | 127);
            bytes.extend((long as u64).to_be_bytes());
        }
    }
    bytes.extend(MASK);
    bytes.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

/// The beginning of a frame that announces `length` bytes.
fn announced(first: u8, length: u64) -> Vec<u8> {
    let mut bytes = vec![first, 0x80 | 127];
    bytes.extend(length.to_be_bytes());
    bytes.extend(MASK);
    bytes
}

fn handshake(server: &TestServer, path: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nhost: {}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        server.addr()
    )
}

/// Opens a WebSocket and sends `bytes` after the request, in the same write.
fn open(server: &TestServer, bytes: &[u8]) -> Raw {
    let mut raw = Raw::connect(server.addr()).unwrap();
    let mut all = handshake(server, "/ws").into_bytes();
    all.extend(bytes);
    raw.send(&all).unwrap();
    let reply = raw.reply(true).unwrap();
    assert_eq!(reply.status, 101);
    raw
}

/// Parses the frames that a server has sent: first byte and payload.
fn taken_apart(mut bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut frames = Vec::new();
    while let [first, length, rest @ ..] = bytes {
        let (length, rest) = match length {
            126 => (usize::from(u16::from_be_bytes([rest[0], rest[1]])), &rest[2..]),
            127 => (u64::from_be_bytes(rest[..8].try_into().unwrap()) as usize, &rest[8..]),
            &short => (usize::from(short), rest),
        };
        frames.push((*first, rest[..length].to_vec()));
        bytes = &rest[length..];
    }
    frames
}

/// Sends `bytes` and returns the code and the reason of the server's close frame.
fn closed_with(server: &TestServer, bytes: &[u8]) -> (u16, String) {
    let mut raw = open(server, bytes);
    let frames = taken_apart(&raw.rest(DEADLINE).unwrap());
    let (first, payload) = frames.last().expect("a last frame");
    assert_eq!(*first, CLOSE, "nothing follows a close: {frames:?}");
    match payload.as_slice() {
        [high, low, reason @ ..] => (u16::from_be_bytes([*high, *low]), String::from_utf8(reason.to_vec()).unwrap()),
        _ => (1005, String::new()),
    }
}

#[test]
fn frames_that_break_the_protocol_close_with_a_matching_code() {
    let server = builder().env("MAX_WS_MESSAGE_BYTES", "1KiB").start();
    let mut unmasked = vec![TEXT, 2];
    unmasked.extend(b"{}");
    let halves = |first: &[u8], second: &[u8]| [frame(0x01, first), frame(0x80, second)].concat();
    for (name, bytes, code) in [
        ("unmasked", unmasked, 1002),
        ("a reserved bit", frame(0xc1, b"{}"), 1002),
        ("a reserved opcode", frame(0x83, b"{}"), 1002),
        ("a reserved control opcode", frame(0x8b, b""), 1002),
        ("a control frame in fragments", frame(0x09, b"x"), 1002),
        ("a control frame that is too long", frame(PING, &[b'x'; 126]), 1002),
        ("a fragment of nothing", frame(0x80, b"x"), 1002),
        ("a message within a message", [frame(0x01, b"{"), frame(TEXT, b"{}")].concat(), 1002),
        ("a close of one byte", frame(CLOSE, b"x"), 1002),
        ("a close with a code that nobody may send", frame(CLOSE, &1005_u16.to_be_bytes()), 1002),
        ("a close with a code below 1000", frame(CLOSE, &999_u16.to_be_bytes()), 1002),
        ("a close whose reason is not UTF-8", frame(CLOSE, b"\x03\xe8\xff"), 1007),
        ("a text that is not UTF-8", frame(TEXT, b"\xff"), 1007),
        ("a text that ends within a character", frame(TEXT, b"\xc3"), 1007),
        ("an overlong character", frame(TEXT, b"\xc0\x80"), 1007),
        ("half of a surrogate pair", frame(TEXT, b"\xed\xa0\x80"), 1007),
        ("fragments that make no UTF-8", halves(b"\xc3", b"x"), 1007),
        ("a message over the limit", frame(TEXT, &[b'x'; 1025]), 1009),
        ("a binary message over the limit", frame(BINARY, &[0; 1025]), 1009),
        ("fragments over the limit", halves(&[b'x'; 1000], &[b'x'; 25]), 1009),
        ("an announcement of more than there is memory", announced(TEXT, u64::MAX >> 1), 1009),
        ("an announcement with the highest bit", announced(TEXT, u64::MAX), 1009),
    ] {
        let (found, reason) = closed_with(&server, &bytes);
        assert_eq!(found, code, "{name}: {reason}");
        assert!(!reason.is_empty(), "{name}: people are told why");
    }
    // A clean close is answered with its own code.
    assert_eq!(closed_with(&server, &frame(CLOSE, &1000_u16.to_be_bytes())).0, 1000);
    assert_serves(&server);
}

#[test]
fn nonsensical_messages_get_an_error_and_the_connection_stays() {
    let server = builder().start();
    let worker = server.create_worker("claude", &json!({}));
    let mut client = server.ws(&format!("/ws/{worker}?deltas=1"));
    client.wait_for("connected", DEADLINE, |frame| frame["type"] == "connected");
    let deep = "[".repeat(100_000);
    for (text, content) in [
        ("", "a frame must be JSON: EOF while parsing a value at line 1 column 0"),
        ("{", "a frame must be JSON: EOF while parsing an object at line 1 column 1"),
        (&deep, "a frame must be JSON: recursion limit exceeded at line 1 column 128"),
        ("[]", "a frame must be a JSON object"),
        ("null", "a frame must be a JSON object"),
        ("{}", "a frame needs a type"),
        (r#"{"type":1}"#, "type must be a string"),
        (r#"{"type":"no such"}"#, "unknown type: no such"),
        (r#"{"type":"message"}"#, "content: Field required"),
        (r#"{"type":"message","content":null}"#, "content: Input should be a valid string"),
        (r#"{"type":"message","content":{"a":1}}"#, "content: Input should be a valid string"),
        (r#"{"type":"message","content":" \n"}"#, "content must not be empty"),
        (r#"{"type":"message","content":"a\u0000b"}"#, "content: Input should not contain NUL"),
        (r#"{"type":"message","content":"x","worker_id":"../../etc"}"#, "Worker not found: ../../etc"),
        (r#"{"type":"subscribe","worker_id":"no such"}"#, "Worker not found: no such"),
        (r#"{"type":"permission","request_id":"x","decision":"allow"}"#, "prompt not found: x"),
    ] {
        client.send_text(text);
        let error = client.wait_for(text, DEADLINE, |frame| frame["type"] == "error");
        assert_eq!(error["content"], content, "{text}");
    }
    client.send(tungstenite::Message::binary(vec![0; 10])).unwrap();
    let error = client.wait_for("error", DEADLINE, |frame| frame["type"] == "error");
    assert_eq!(error["content"], "send text frames with JSON");
    client.send_json(&json!({"type": "ping"}));
    client.wait_for("pong", DEADLINE, |frame| frame["type"] == "pong");
    let mut lost = server.ws("/ws/no%20such");
    assert_eq!(lost.recv_json(DEADLINE)["content"], "Worker not found: no such");
    assert_serves(&server);
}

#[test]
fn broken_handshakes_are_refused() {
    let server = builder().start();
    let good = handshake(&server, "/ws");
    for (from, to, status, detail) in [
        ("GET", "POST", 405, "Method Not Allowed"),
        ("version: 13", "version: 8", 426, "the only WebSocket version is 13"),
        ("dGhlIHNhbXBsZSBub25jZQ==", "short", 400, "Sec-WebSocket-Key is not 16 bytes in Base64"),
        ("connection: upgrade", "connection: close", 400, "the header Connection: upgrade is missing"),
        ("upgrade: websocket", "upgrade: h2c", 426, "this address is a WebSocket: connect with ws://"),
    ] {
        let mut raw = Raw::connect(server.addr()).unwrap();
        raw.send(good.replacen(from, to, 1).as_bytes()).unwrap();
        let reply = raw.reply(false).unwrap();
        assert_eq!(
            (reply.status, reply.json()),
            (status, json!({ "detail": detail, "code": error_code(status) })),
            "{to}"
        );
    }
    let mut raw = Raw::connect(server.addr()).unwrap();
    raw.send(handshake(&server, "/ws/x?since=many").as_bytes()).unwrap();
    assert_eq!(raw.reply(false).unwrap().status, 422);
    let mut raw = Raw::connect(server.addr()).unwrap();
    raw.send(handshake(&server, "/wss").as_bytes()).unwrap();
    assert_error(&raw.reply(false).unwrap(), 404, "Not Found");
    assert_serves(&server);
}

#[test]
fn peer_without_pongs_is_closed_and_a_live_one_stays() {
    /// Attempts on a machine that may keep the responsive peer from answering in time.
    const TRIES: usize = 5;
    let server = builder().env("WS_PING_SECS", "1").start();
    let mut alive = (0..TRIES).find_map(|_| outlasts_a_silent_peer(&server)).expect("a peer that could answer");
    alive.send_json(&json!({"type": "ping"}));
    alive.wait_for("pong", DEADLINE, |frame| frame["type"] == "pong");
    assert_serves(&server);
}

/// Reads, which answers pings, until a silent peer is disconnected. Returns `None` if this test was too late to see it.
fn outlasts_a_silent_peer(server: &TestServer) -> Option<WsClient> {
    /// Less than the time between two pings.
    const LATE: Duration = Duration::from_millis(800);
    let mut answered = Instant::now();
    let mut silent = open(server, b"");
    silent.stream().set_nonblocking(true).unwrap();
    let mut alive = server.ws("/ws");
    loop {
        let is_closed = matches!(alive.receive(Duration::from_millis(100)), WsReceipt::Closed(_));
        let mut piece = [0; 4096];
        let is_gone = match silent.read(&mut piece) {
            Ok(count) => count == 0,
            Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
        };
        if answered.elapsed() > LATE {
            return None;
        }
        answered = Instant::now();
        assert!(!is_closed, "the living peer is let go");
        if is_gone {
            return Some(alive);
        }
    }
}

#[test]
fn peer_that_asks_without_end_and_reads_nothing_is_closed() {
    let server = builder().env("WRITE_TIMEOUT_SECS", "1").start();
    let mut raw = open(&server, b"");
    let mut pings = Vec::new();
    for _ in 0..500 {
        pings.extend(frame(PING, &[b'p'; 125]));
        pings.extend(frame(TEXT, br#"{"type":"ping"}"#));
    }
    let refused = std::iter::repeat_with(|| raw.send(&pings)).take(10_000).find_map(Result::err);
    let kind = refused.expect("the server must not take 10 million pings").kind();
    assert!(matches!(kind, std::io::ErrorKind::ConnectionReset | std::io::ErrorKind::BrokenPipe), "{kind:?}");
    assert_serves(&server);
}

#[test]
fn frames_in_any_pieces_and_with_the_handshake_are_understood() {
    let server = builder().start();
    let asked = frame(TEXT, br#"{"type":"ping","ref":1}"#);
    let mut raw = open(&server, &asked);
    for byte in [&asked[..], &frame(0x01, b"{\"type\":"), &frame(PING, b"between"), &frame(0x80, b"\"ping\"}")].concat()
    {
        raw.send(&[byte]).unwrap();
    }
    raw.send(&frame(CLOSE, &1000_u16.to_be_bytes())).unwrap();
    let frames = taken_apart(&raw.rest(DEADLINE).unwrap());
    let texts: Vec<Value> = frames
        .iter()
        .filter(|(first, _)| *first == TEXT)
        .map(|(_, payload)| serde_json::from_slice(payload).unwrap())
        .filter(|frame: &Value| frame["type"] != "workers")
        .collect();
    let pong = json!({"type": "pong", "ref": 1});
    assert_eq!(texts, [pong.clone(), pong, json!({"type": "pong"})]);
    assert!(frames.contains(&(0x8a, b"between".to_vec())), "{frames:?}");
}

#[test]
fn deeply_nested_cli_json_does_not_hide_the_history() {
    let server = builder().start();
    let worker = server.create_worker("claude", &json!({}));
    let mut client = server.ws(&format!("/ws/{worker}?deltas=1"));
    // serde_json reads 127 levels; the tool's input is the fifth.
    let deep = format!("{}{}", "[".repeat(120), "]".repeat(120));
    let line = format!(
        "{{\"type\":\"assistant\",\"message\":{{\"role\":\"assistant\",\"content\":[{{\"type\":\"tool_use\",\"id\":\"t\",\
         \"name\":\"Bash\",\"input\":{deep}}}]}}}}"
    );
    client.send_json(&json!({"type": "message", "content": format!("raw {line}")}));
    client.wait_for_event("turn_completed", DEADLINE);
    let shown = server.get(&format!("/api/workers/{worker}")).expect(200);
    assert!(shown.text().contains(&deep), "{}", shown.text());
    assert!(shown.text().contains("\"content\":\"printed\""), "{}", shown.text());
}
