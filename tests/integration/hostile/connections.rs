//! More connections than the limit, and more than there are descriptors for.

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde_json::json;

use super::{assert_error, assert_serves, builder};
use crate::support::http::Raw;
use crate::support::server::TestServer;
use crate::support::wait::{DEADLINE, eventually};

/// Lets this process, and the servers that it starts, open many files.
fn raise_descriptor_limit(wanted: u64) {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    if soft < wanted {
        setrlimit(Resource::RLIMIT_NOFILE, wanted.min(hard), hard).unwrap();
        assert!(hard >= wanted, "this test needs {wanted} file descriptors; the hard limit is {hard} (ulimit -Hn)");
    }
}

fn ask(raw: &mut Raw, server: &TestServer) {
    raw.send(format!("GET /health HTTP/1.1\r\nhost: {}\r\n\r\n", server.addr()).as_bytes()).unwrap();
}

#[test]
fn connections_over_the_limit_are_refused() {
    const LIMIT: usize = 1_024;
    const ALL: usize = 2_000;
    raise_descriptor_limit(4_096);
    let server = builder().env("MAX_CONNECTIONS", LIMIT.to_string()).env("HEAD_TIMEOUT_SECS", "300").start();
    // The check of its health may still be open.
    eventually(DEADLINE, "the first connection is closed", || {
        Raw::connect(server.addr()).unwrap().is_closed_within(std::time::Duration::ZERO);
        Some(())
    });
    // Authenticated ones keep their places.
    let connect = || {
        let mut raw = Raw::connect(server.addr()).unwrap();
        raw.send(format!("GET /api/workers HTTP/1.1\r\nhost: {}\r\n\r\n", server.addr()).as_bytes()).unwrap();
        raw
    };
    let mut held: Vec<Raw> = (0..LIMIT).map(|_| connect()).collect();
    for raw in &mut held {
        assert_eq!(raw.reply(false).unwrap().status, 200);
    }
    let mut over: Vec<Raw> = (LIMIT..ALL).map(|_| connect()).collect();
    for raw in &mut over {
        let reply = raw.reply(false).unwrap();
        assert_error(&reply, 503, "too many open connections");
        assert_eq!((reply.header("retry-after"), reply.header("connection")), (Some("1"), Some("close")));
        assert!(raw.is_closed_within(DEADLINE));
    }
    // Each accepted connection is served, even while no further one is accepted.
    for raw in &mut held {
        ask(raw, &server);
        assert_eq!(raw.reply(false).unwrap().status, 200);
    }
    assert_error(&server.get("/health"), 503, "too many open connections");
    drop(held.split_off(LIMIT / 2));
    eventually(DEADLINE, "there is room again", || (server.get("/health").status == 200).then_some(()));
    assert_serves(&server);
}

#[test]
fn server_without_descriptors_recovers_when_some_are_free() {
    let server = builder().under(&["sh", "-c", "ulimit -n 64; exec \"$0\" \"$@\""]).start();
    let mut first = Raw::connect(server.addr()).unwrap();
    ask(&mut first, &server);
    assert_eq!(first.reply(false).unwrap().status, 200);
    // The kernel accepts these; the server has no descriptors for most of them.
    let mut others: Vec<Raw> = (0..100).map(|_| Raw::connect(server.addr()).unwrap()).collect();
    eventually(DEADLINE, "a word about it in the log", || {
        server
            .output()
            .contains("cannot accept connections: No file descriptors available")
            .then_some(())
            .or_else(|| server.output().contains("cannot accept connections: Too many open files").then_some(()))
    });
    // Accepted clients are served without files, and get an error where a file is needed.
    ask(&mut first, &server);
    assert_eq!(first.reply(false).unwrap().status, 200);
    let body = json!({"name": "n", "project_path": server.project(), "ai_cli_type": "claude"}).to_string();
    let head = format!(
        "POST /api/workers HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        server.addr(),
        body.len()
    );
    first.send(head.as_bytes()).unwrap();
    let refused = first.reply(false).unwrap();
    assert_eq!(refused.status, 500, "{}", refused.text());
    assert!(refused.text().contains("Too many open files"), "{}", refused.text());
    assert_eq!(server.worker_ids(), Vec::<String>::new(), "nothing is left of it");

    // Waiting clients are served as soon as others leave.
    let mut last = others.pop().unwrap();
    ask(&mut last, &server);
    drop(others);
    assert_eq!(last.reply(false).unwrap().status, 200);
    assert_serves(&server);
}

#[test]
fn running_workers_leave_descriptors_for_connections() {
    const LIMIT: usize = 48;
    let limited = format!("ulimit -n {LIMIT}; exec \"$0\" \"$@\"");
    let server = builder().under(&["sh", "-c", &limited]).env("MAX_WORKERS", "40").start();
    let body = json!({"name": "n", "project_path": server.project(), "ai_cli_type": "claude"});
    let refused = (0..LIMIT).map(|_| server.post("/api/workers", &body)).find(|reply| reply.status != 201).unwrap();
    assert!(refused.status == 400 && refused.text().contains("file descriptors"), "{}", refused.text());
    let ids = server.worker_ids();
    assert!(ids.len() >= 2, "{ids:?}");
    let mut held: Vec<Raw> = (0..8).map(|_| Raw::connect(server.addr()).unwrap()).collect();
    for raw in &mut held {
        ask(raw, &server);
        assert_eq!(raw.reply(false).unwrap().status, 200);
    }
    server.post(&format!("/api/workers/{}/stop", ids[0]), &json!({})).expect(200);
    server.post("/api/workers", &body).expect(201);
}
