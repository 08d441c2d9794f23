//! Request heads and bodies that are slow, oversized, truncated, ambiguous, or pipelined.

use std::time::Duration;

use rs_worker::testing::http::error_code;
use serde_json::json;

use super::{assert_error, assert_serves, builder};
use crate::support::http::Raw;
use crate::support::server::TestServer;
use crate::support::wait::DEADLINE;

/// Time for which a slow sender listens between two bytes.
const DRIBBLE: Duration = Duration::from_millis(50);

/// A server with short deadlines.
fn impatient() -> TestServer {
    builder().env("HEAD_TIMEOUT_SECS", "1").env("BODY_TIMEOUT_SECS", "1").env("WRITE_TIMEOUT_SECS", "1").start()
}

/// A server with deadlines longer than any test's own process needs.
fn patient() -> TestServer {
    builder().env("MAX_BODY_BYTES", "64KiB").start()
}

/// A connection that has sent `bytes`.
fn sent(server: &TestServer, bytes: &[u8]) -> Raw {
    let mut raw = Raw::connect(server.addr()).unwrap();
    raw.send(bytes).unwrap();
    raw
}

/// Sends a byte now and then until the server answers or closes.
fn dribble(raw: &mut Raw) {
    let mut first = [0];
    raw.stream().set_read_timeout(Some(DRIBBLE)).unwrap();
    while raw.stream().peek(&mut first).is_err() && raw.send(b"x").is_ok() {}
    raw.stream().set_read_timeout(Some(DEADLINE)).unwrap();
}

fn request(server: &TestServer, line: &str, fields: &str) -> Vec<u8> {
    format!("{line} HTTP/1.1\r\nhost: {}\r\n{fields}\r\n", server.addr()).into_bytes()
}

#[test]
fn slow_and_broken_off_senders_are_cut_at_their_deadline() {
    let server = impatient();

    let mut raw = sent(&server, b"GET /health HTTP/1.1\r\nx-slow: ");
    dribble(&mut raw);
    assert_error(&raw.reply(false).unwrap(), 408, "the request head did not arrive in time");
    assert!(raw.is_closed_within(DEADLINE));

    let mut raw = sent(
        &server,
        &request(&server, "POST /api/workers", "content-type: application/json\r\ncontent-length: 999\r\n"),
    );
    dribble(&mut raw);
    assert_error(&raw.reply(false).unwrap(), 408, "the request body did not arrive in time");
    assert!(raw.is_closed_within(DEADLINE));

    let chunked = "content-type: application/json\r\ntransfer-encoding: chunked\r\n";
    let mut raw = sent(&server, &[&request(&server, "POST /api/workers", chunked), &b"fff\r\n"[..]].concat());
    dribble(&mut raw);
    assert_error(&raw.reply(false).unwrap(), 408, "the request body did not arrive in time");

    // A silent client, or one that leaves in the middle of a head, gets no response.
    assert_eq!(sent(&server, b"").rest(DEADLINE).unwrap(), b"");
    let server = patient();
    let mut raw = sent(&server, b"GET /health HTTP/1.1\r\n");
    raw.finish().unwrap();
    assert_eq!(raw.rest(DEADLINE).unwrap(), b"");

    // A half-closed peer still gets a response.
    let mut raw = sent(&server, &request(&server, "GET /health", ""));
    raw.finish().unwrap();
    assert_eq!(raw.reply(false).unwrap().status, 200);
    let mut raw = sent(
        &server,
        &request(&server, "POST /api/workers", "content-type: application/json\r\ncontent-length: 9\r\n"),
    );
    raw.send(b"{").unwrap();
    raw.finish().unwrap();
    assert_error(&raw.reply(false).unwrap(), 400, "the request body ended early");

    assert_serves(&server);
}

#[test]
fn oversized_requests_are_refused_before_they_are_read() {
    let server = patient();
    let long = "x".repeat(20 * 1024);
    let many: String = (0..65).map(|number| format!("x-{number}: y\r\n")).collect();
    let head = "the request head is longer than 16384 bytes, or has more cookies than there is room for";
    for (bytes, status, detail) in [
        (request(&server, "GET /health", &format!("x-long: {long}\r\n")), 431, head),
        (request(&server, &format!("GET /{long}"), ""), 431, head),
        (long.clone().into_bytes(), 431, head),
        (request(&server, "GET /health", &many), 431, "the request has more than 64 header fields"),
    ] {
        let mut raw = sent(&server, &bytes);
        assert_error(&raw.reply(false).unwrap(), status, detail);
        assert!(raw.is_closed_within(DEADLINE));
    }
    let json = "content-type: application/json\r\n";
    for (line, fields, body, status, detail) in [
        ("POST /api/workers", "content-length: 65537\r\n", "", 413, "the request body is longer than 65536 bytes"),
        (
            "POST /api/workers",
            "content-length: 18446744073709551615\r\n",
            "",
            413,
            "the request body is longer than 65536 bytes",
        ),
        (
            "POST /api/workers",
            "content-length: 99999999999999999999\r\n",
            "",
            400,
            "Content-Length is not a number of bytes",
        ),
        ("POST /api/workers", "content-length: -1\r\n", "", 400, "Content-Length is not a number of bytes"),
        ("POST /api/workers", "content-length: +1\r\n", "", 400, "Content-Length is not a number of bytes"),
        (
            "POST /api/workers",
            "transfer-encoding: chunked\r\n",
            "10001\r\n",
            413,
            "the request body is longer than 65536 bytes",
        ),
        ("POST /api/login", "content-length: 1048577\r\n", "", 413, "the request body is longer than 1048576 bytes"),
        ("GET /health", "content-length: 1\r\n", "x", 413, "the request body is longer than 0 bytes"),
    ] {
        let mut raw = sent(&server, &request(&server, line, &format!("{json}{fields}")));
        raw.send(body.as_bytes()).unwrap();
        assert_error(&raw.reply(false).unwrap(), status, detail);
        assert!(raw.is_closed_within(DEADLINE), "{line} {fields}");
    }
    assert_serves(&server);
}

#[test]
fn requests_that_two_readers_would_read_differently_are_refused() {
    let server = patient();
    let host = format!("host: {}\r\n", server.addr());
    let json = "content-type: application/json\r\n";
    let both = format!(
        "POST /api/workers HTTP/1.1\r\n{host}{json}content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"
    );
    let twice = format!("POST /api/workers HTTP/1.1\r\n{host}{json}content-length: 2\r\ncontent-length: 3\r\n\r\n{{}}");
    let listed = format!("POST /api/workers HTTP/1.1\r\n{host}{json}content-length: 2, 2\r\n\r\n{{}}");
    let coding = format!("POST /api/workers HTTP/1.1\r\n{host}{json}transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n");
    let chunk = format!("POST /api/workers HTTP/1.1\r\n{host}{json}transfer-encoding: chunked\r\n\r\n2\r\n{{}}X");
    let folded = format!("GET /health HTTP/1.1\r\n{host}x-a: 1\r\n folded: 2\r\n\r\n");
    let spaced = format!("GET /health HTTP/1.1\r\n{host}x-a : 1\r\n\r\n");
    let bare = format!("GET /health HTTP/1.1\n{}\n\n", host.trim_end());
    for (bytes, status, detail) in [
        (both.as_str(), 400, "Transfer-Encoding and Content-Length exclude each other"),
        (&twice, 400, "the header content-length is there twice"),
        (&listed, 400, "Content-Length is not a number of bytes"),
        (&coding, 501, "the only transfer coding that is understood is chunked"),
        (&chunk, 400, "the chunked body is broken: CR LF does not follow the data"),
        (&folded, 400, "the request is not HTTP: invalid header name"),
        (&spaced, 400, "the request is not HTTP: invalid header name"),
        (&bare, 400, "the lines of a request head end in CR LF"),
        ("GET /health HTTP/1.1\r\n\r\n", 400, "the Host header is missing"),
        ("GET /health HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n", 400, "the header host is there twice"),
        (
            &format!("GET http://other/ HTTP/1.1\r\n{host}\r\n"),
            400,
            "the request target and the Host header name different hosts",
        ),
        (&format!("BREW / HTTP/1.1\r\n{host}\r\n"), 501, "method not supported: BREW"),
        (&format!("GET / HTTP/9.9\r\n{host}\r\n"), 505, "only HTTP/1.1 and HTTP/1.0 are spoken here"),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "HTTP/2 is not spoken here, use HTTP/1.1"),
        ("\u{16}\u{3}\u{1}\u{2}", 400, "this port speaks plain HTTP, not TLS: use http://"),
        ("\u{0}\u{1}\u{2}\r\n\r\n", 400, "the request is not HTTP: invalid token"),
    ] {
        let mut raw = sent(&server, bytes.as_bytes());
        // Further bytes on the same connection are not read as a request.
        let _ = raw.send(&request(&server, "GET /health", ""));
        let reply = raw.reply(false).unwrap_or_else(|error| panic!("{bytes:?}: {error}"));
        assert_eq!(
            (reply.status, reply.json()),
            (status, json!({ "detail": detail, "code": error_code(status) })),
            "{bytes:?}"
        );
        assert_eq!(reply.header("connection"), Some("close"), "{bytes:?}");
        assert_eq!(raw.rest(DEADLINE).unwrap_or_default(), b"", "{bytes:?}");
    }
    assert_serves(&server);
}

#[test]
fn pipelined_requests_are_answered_in_order_until_the_last() {
    let server = patient();
    let mut bytes = Vec::new();
    for _ in 0..50 {
        bytes.extend(request(&server, "GET /health", ""));
        bytes.extend(request(&server, "GET /nothing", ""));
        bytes.extend(request(&server, "HEAD /health", ""));
        bytes.extend(request(&server, "POST /api/workers", "content-type: application/json\r\ncontent-length: 2\r\n"));
        bytes.extend(b"{}\r\n");
    }
    bytes.extend(request(&server, "GET /health", "connection: close\r\n"));
    bytes.extend(request(&server, "GET /health", ""));
    let mut raw = sent(&server, &bytes);
    for _ in 0..50 {
        assert_eq!(raw.reply(false).unwrap().status, 200);
        assert_error(&raw.reply(false).unwrap(), 404, "Not Found");
        assert_eq!(raw.reply(true).unwrap().status, 200);
        assert_eq!(raw.reply(false).unwrap().status, 422);
    }
    assert_eq!(raw.reply(false).unwrap().header("connection"), Some("close"));
    assert_eq!(raw.rest(DEADLINE).unwrap(), b"");
    assert_serves(&server);
}

#[test]
fn client_that_asks_without_end_and_reads_nothing_is_disconnected() {
    let server = impatient();
    let mut raw = Raw::connect(server.addr()).unwrap();
    let requests = request(&server, "GET /static/js/joined/list.js", "").repeat(1_000);
    // The server stops reading when its responses are not read, so this ends with the connection or with the time-out.
    let refused = std::iter::repeat_with(|| raw.send(&requests)).take(10_000).find_map(Result::err);
    let kind = refused.expect("the server must not take 10 million requests").kind();
    assert!(
        matches!(kind, std::io::ErrorKind::ConnectionReset | std::io::ErrorKind::BrokenPipe),
        "disconnected, not just ignored: {kind:?}"
    );
    assert_serves(&server);
}
