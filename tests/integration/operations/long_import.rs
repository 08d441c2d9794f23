//! Imports that are larger than the memory, and clients that send them badly.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::support::http::{Raw, Reply};
use crate::support::server::TestServer;
use crate::support::wait::{DEADLINE, eventually};
use crate::wire;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;
/// The longest line of an export that a server reads, in bytes.
const LINE_MAX: usize = 192 * MIB;

fn server(more: &[(&str, &str)]) -> TestServer {
    let builder = wire::builder().env("MAX_BODY_BYTES", "64KiB");
    wire::start(more.iter().fold(builder, |builder, (name, value)| builder.env(name, value)))
}

fn line(record: &Value) -> Vec<u8> {
    format!("{}\n", json!({"records": [record]})).into_bytes()
}

fn control(control: &Value) -> Vec<u8> {
    line(&json!({"time": 1_700_000_000_000_000_u64, "kind": "ctl", "text": control.to_string()}))
}

/// The first line of an export: the worker's creation record.
fn made(server: &TestServer) -> Vec<u8> {
    control(
        &json!({"type": "created", "worker_id": "original", "name": "long", "project_path": server.project(), "ai_cli_type": "claude"}),
    )
}

/// A line of an export with a record of about `bytes`, identified by its number.
fn numbered(number: usize, bytes: usize) -> Vec<u8> {
    let text = format!("line {number} {}", "x".repeat(bytes));
    line(&json!({"time": 1_700_000_000_000_000_u64 + number as u64, "kind": "err", "text": text}))
}

/// An import in progress, in chunks.
struct Import(Raw);

impl Import {
    fn begin(server: &TestServer) -> Self {
        let mut raw = Raw::connect(server.addr()).unwrap();
        let head = format!(
            "POST /api/import HTTP/1.1\r\nhost: {}\r\ncontent-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\n\r\n",
            server.addr()
        );
        raw.send(head.as_bytes()).unwrap();
        Self(raw)
    }

    /// Sends a piece. A server that has refused the import may not take it.
    fn send(&mut self, piece: &[u8]) -> bool {
        let framed = [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat();
        self.0.send(&framed).is_ok()
    }

    fn end(mut self) -> Reply {
        let _ = self.0.send(b"0\r\n\r\n");
        self.0.reply(false).unwrap()
    }
}

fn folders(server: &TestServer) -> Vec<PathBuf> {
    let entries = fs::read_dir(server.data_dir()).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.is_dir()).collect()
}

/// Returns the journal of an import in progress, once it has `bytes`.
fn wait_unfinished(server: &TestServer, bytes: u64) -> PathBuf {
    eventually(DEADLINE, "the import is being written", || {
        let journals = folders(server).into_iter().map(|folder| folder.join("journal.new"));
        journals.into_iter().find(|path| fs::metadata(path).is_ok_and(|found| found.len() >= bytes))
    })
}

fn assert_nothing_is_left(server: &TestServer, of: &str) {
    eventually(DEADLINE, &format!("nothing is left of {of}"), || folders(server).is_empty().then_some(()));
    assert_eq!(server.worker_ids(), Vec::<String>::new(), "{of}");
}

/// The most memory that the server had resident, in bytes.
fn peak(server: &TestServer) -> usize {
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * KIB
}

#[test]
fn a_long_import_arrives_whole_in_little_memory() {
    const COUNT: usize = 4_000;
    const BYTES: usize = 24 * KIB;
    let mut server = server(&[]);
    let before = peak(&server);
    let mut import = Import::begin(&server);
    assert!(import.send(&made(&server)));
    for number in 0..COUNT {
        assert!(import.send(&numbered(number, BYTES)));
    }
    let made = import.end().expect(201).json();
    let grown = peak(&server) - before;
    assert!(grown < COUNT * BYTES / 4, "{grown} bytes of memory for {} bytes of history", COUNT * BYTES);
    let id = made["id"].as_str().unwrap();
    let check = |server: &TestServer| {
        let journal = fs::read_to_string(server.data_dir().join(id).join("journal")).unwrap();
        let numbers: Vec<usize> = journal
            .lines()
            .filter_map(|line| line.split(" err line ").nth(1)?.split(' ').next()?.parse().ok())
            .collect();
        assert_eq!(numbers, (0..COUNT).collect::<Vec<_>>());
        assert_eq!(server.get(&format!("/api/workers/{id}")).expect(200).json()["status"], "stopped");
        assert_eq!(folders(server).len(), 1);
    };
    check(&server);
    server.restart();
    check(&server);
}

#[test]
fn imports_that_are_refused_or_broken_off_leave_nothing() {
    let server = server(&[("IMPORT_MAX_BYTES", "4MiB")]);
    let begin = || {
        let mut import = Import::begin(&server);
        import.send(&made(&server));
        (0..40).for_each(|number| assert!(import.send(&numbered(number, 10 * KIB))));
        wait_unfinished(&server, 1);
        import
    };
    let refused = |import: Import, status, reported: &str| {
        let answer = import.end().expect(status).json();
        assert!(answer["detail"].as_str().unwrap().contains(reported), "{reported}: {answer}");
        assert_nothing_is_left(&server, reported);
    };

    let mut import = begin();
    import.send(b"{\"records\":\n");
    // The response comes before the end of the body.
    let answer = import.0.reply(false).unwrap().expect(400).json();
    assert!(answer["detail"].as_str().unwrap().starts_with("line 42: not a line of a JSONL export"), "{answer}");
    assert!(import.0.is_closed_within(DEADLINE));
    assert_nothing_is_left(&server, "a broken line");

    let mut import = begin();
    import.send(&made(&server));
    refused(import, 400, "line 42: a worker is made once");

    drop(begin());
    assert_nothing_is_left(&server, "a client that has gone");

    let mut import = begin();
    import.0.finish().unwrap();
    let answer = import.0.reply(false).unwrap().expect(400).json();
    assert_eq!(answer["detail"], "the request body ended early");
    assert_nothing_is_left(&server, "a client that has stopped sending");

    let mut import = begin();
    import.0.send(b"zz\r\n").unwrap();
    refused(import, 400, "the chunked body is broken");

    let mut import = begin();
    while import.send(&numbered(0, 60 * KIB)) {}
    let answer = import.0.reply(false).unwrap().expect(413).json();
    assert_eq!(
        (&answer["detail"], &answer["code"]),
        (&json!("the request body is longer than 4194304 bytes"), &json!("too_large"))
    );
    assert_nothing_is_left(&server, "an import that is too long");
    let headers = [("Content-Type", "application/x-ndjson")];
    let too_long = vec![b'\n'; 4 * MIB + 1];
    server.client.request("POST", "/api/import", &headers, &too_long).expect(413);
    // All other routes have their own limit.
    let message = vec![b' '; 65 * KIB];
    let path = "/api/workers";
    server.client.request("POST", path, &[("Content-Type", "application/json")], &message).expect(413);
}

#[test]
fn import_of_a_client_that_falls_silent_leaves_nothing() {
    let server = server(&[("BODY_TIMEOUT_SECS", "5")]);
    let mut import = Import::begin(&server);
    import.send(&made(&server));
    (0..40).for_each(|number| assert!(import.send(&numbered(number, 10 * KIB))));
    wait_unfinished(&server, 1);
    let answer = import.0.reply(false).unwrap().expect(408).json();
    assert_eq!(
        (&answer["detail"], &answer["code"]),
        (&json!("the request body did not arrive in time"), &json!("timeout"))
    );
    assert_nothing_is_left(&server, "a client that is silent");
}

#[test]
fn line_over_the_limit_of_exports_is_refused_at_once() {
    let server = server(&[]);
    let mut import = Import::begin(&server);
    import.send(&made(&server));
    let piece = vec![b' '; MIB];
    let mut sent = 0;
    while sent < 2 * LINE_MAX && import.send(&piece) {
        sent += piece.len();
    }
    let answer = import.0.reply(false).unwrap().expect(413).json();
    assert_eq!(answer["detail"], format!("line 2 is longer than {LINE_MAX} bytes"));
    assert_nothing_is_left(&server, "a line that is too long");
}

#[test]
fn history_that_fills_the_memory_with_its_state_is_refused() {
    let server = server(&[]);
    let mut import = Import::begin(&server);
    import.send(&made(&server));
    let content = "x".repeat(MIB);
    for number in 0..100 {
        let message = json!({"type": "message_queued", "message_id": number.to_string(), "content": content});
        if !import.send(&control(&message)) {
            break;
        }
    }
    let answer = import.end().expect(413).json();
    assert!(answer["detail"].as_str().unwrap().contains("waiting messages"), "{answer}");
    assert_nothing_is_left(&server, "a queue that is too long");
}

#[test]
fn nothing_is_left_of_an_import_whose_server_is_killed() {
    let mut server = server(&[]);
    let mut import = Import::begin(&server);
    import.send(&made(&server));
    (0..100).for_each(|number| assert!(import.send(&numbered(number, 10 * KIB))));
    let journal = wait_unfinished(&server, 300 * KIB as u64);
    server.kill9();
    assert!(journal.is_file(), "it was in the middle");
    // A folder of another program stays.
    let other = server.data_dir().join("notes");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("journal.new"), "mine").unwrap();
    server.start();
    assert_eq!(folders(&server), [other]);
    assert_eq!(server.get("/api/workers").expect(200).json()["workers"], json!([]));
}

#[test]
fn imports_at_once_are_kept_apart_and_have_a_bound() {
    const IMPORTS_MAX: usize = 4;
    let server = server(&[]);
    let mut imports: Vec<Import> = (0..IMPORTS_MAX).map(|_| Import::begin(&server)).collect();
    imports.iter_mut().for_each(|import| assert!(import.send(&made(&server))));
    for number in 0..50 {
        for (at, import) in imports.iter_mut().enumerate() {
            assert!(import.send(&numbered(1_000 * at + number, 10 * KIB)));
        }
    }
    eventually(DEADLINE, "all are under way", || (folders(&server).len() == IMPORTS_MAX).then_some(()));
    let answer = Import::begin(&server).end().expect(503).json();
    assert!(answer["detail"].as_str().unwrap().contains("imports run already"), "{answer}");
    for (at, import) in imports.into_iter().enumerate() {
        let id = import.end().expect(201).json()["id"].as_str().unwrap().to_owned();
        let journal = fs::read_to_string(server.data_dir().join(&id).join("journal")).unwrap();
        for number in 0..50 * IMPORTS_MAX {
            let (of, number) = (number / 50, number % 50);
            let is_there = journal.contains(&format!(" err line {} ", 1_000 * of + number));
            assert_eq!(is_there, of == at, "line {number} of {of} in {at}");
        }
    }
    assert_eq!(server.worker_ids().len(), IMPORTS_MAX);
    Import::begin(&server).end().expect(400);
}

#[test]
fn project_of_an_import_is_checked_wherever_it_moves() {
    let server = server(&[]);
    let (moved, other) = (server.project_named("moved"), server.project_named("other"));
    let import = |query: &str, to: &str| {
        let body = [made(&server), control(&json!({"type": "moved", "project_path": to}))].concat();
        let headers = [("Content-Type", "application/x-ndjson")];
        server.client.request("POST", &format!("/api/import{query}"), &headers, &body)
    };
    let project = |reply: Reply| PathBuf::from(reply.expect(201).json()["project_path"].as_str().unwrap());
    let moved = moved.canonicalize().unwrap();
    assert_eq!(project(import("", moved.to_str().unwrap())), moved);
    let given = format!("?project_path={}", other.display());
    assert_eq!(project(import(&given, moved.to_str().unwrap())), other.canonicalize().unwrap());
    assert_eq!(project(import(&given, "/nowhere/at/all")), other.canonicalize().unwrap());
    let answer = import("", "/nowhere/at/all").expect(400).json();
    assert!(answer["detail"].as_str().unwrap().contains("does not exist"), "{answer}");
    assert_eq!(server.worker_ids().len(), 3);
}
