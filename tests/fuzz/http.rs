//! Request heads, and whole connections with bodies and pipelined requests.

use std::io::{Read, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rs_worker::testing::config::Secret;
use rs_worker::testing::http::guard::GuardRules;
use rs_worker::testing::http::{BodyLimit, Head, Limits, Reply, Request, Response, Server, Service};
use rs_worker::testing::token::AuthToken;
use rs_worker::testing::websocket::handshake;
use serde_json::json;

use crate::mutate::Mutator;
use crate::run::{bounded, fuzz};

/// Longest body that the service takes, in bytes.
const BODY_MAX: usize = 10_000;
/// Time that a client waits for the server to end the connection.
const PATIENCE: Duration = Duration::from_secs(20);

const WORDS: [&str; 44] = [
    "GET ",
    "POST ",
    "HEAD ",
    "OPTIONS * ",
    "PATCH ",
    " HTTP/1.1\r\n",
    " HTTP/1.0\r\n",
    " HTTP/2.0\r\n",
    "\r\n",
    "\r\n\r\n",
    "\n\n",
    "\r",
    "host: localhost\r\n",
    "Host: x\r\n",
    "content-length: 5\r\n",
    "content-length: 0\r\n",
    "content-length: 18446744073709551615\r\n",
    "transfer-encoding: chunked\r\n",
    "Transfer-Encoding: gzip\r\n",
    "connection: close\r\n",
    "connection: keep-alive, upgrade\r\n",
    "upgrade: websocket\r\n",
    "expect: 100-continue\r\n",
    "sec-websocket-version: 13\r\n",
    "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
    "origin: http://localhost\r\n",
    "origin: null\r\n",
    "cookie: a=b; c\r\n",
    "authorization: Bearer x\r\n",
    "authorization: Basic eDp5\r\n",
    "content-type: application/json\r\n",
    "x-forwarded-for: 1.2.3.4\r\n",
    "sec-fetch-site: cross-site\r\n",
    "http://localhost/",
    "/../",
    "/%2e%2e/",
    "%00",
    "%",
    "?since=1&raw=1",
    "#",
    "0\r\n\r\n",
    "5\r\nhello\r\n",
    "ffffffffffffffff\r\n",
    "1;ext=\"x\"\r\n",
];

fn seeds() -> Vec<Vec<u8>> {
    let ws = "GET /ws/x?since=12&raw=1 HTTP/1.1\r\nHost: localhost:7788\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: http://localhost:7788\r\n\r\n";
    [
        "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /api/workers/a%20b?limit=10&q=a+b HTTP/1.1\r\nhost: 127.0.0.1:7788\r\naccept: */*\r\ncookie: token=x\r\n\r\n",
        "POST /api/workers HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 13\r\n\r\n{\"name\":\"abc\"}",
        "POST /x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n3;a=b\r\nabc\r\n0\r\nX: y\r\n\r\n",
        "GET /health HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: [::1]:80\r\n\r\n",
        "GET http://localhost/health HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer secret\r\n\r\n",
        ws,
    ]
    .map(|text| text.as_bytes().to_vec())
    .into()
}

/// One or several requests, changed.
fn input(mutator: &mut Mutator, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = mutator.pick(seeds).clone();
    for _ in 0..mutator.below(3) {
        bytes.extend_from_slice(mutator.pick(seeds).as_slice());
    }
    mutator.bytes(&mut bytes, &WORDS, seeds);
    bytes
}

fn check(head: &Head) {
    let path = head.path();
    assert!(path.starts_with('/') || path == "*", "{path:?}");
    assert!(!path.bytes().any(|byte| byte < b' ' || byte == 0x7f), "{path:?}");
    assert!(!path.split('/').any(|part| part == ".." || part == "."), "{path:?}");
    for (name, value) in head.headers() {
        assert!(!name.is_empty() && !value.contains(['\r', '\n', '\0']), "{name:?}: {value:?}");
    }
    let _ = (handshake::is_wanted(head), handshake::accept(head).is_ok());
}

#[test]
fn any_bytes_are_a_whole_or_partial_head_or_refused() {
    let seeds = seeds();
    let peer = SocketAddr::from(([127, 0, 0, 1], 1));
    let guards = [None, Some("secret")].map(|token| {
        let token = token.map(|token| AuthToken::chosen(Secret::new(token)));
        GuardRules::new(["localhost"], false, ["http://a"], token)
    });
    fuzz("request head", |mutator| {
        let bytes = input(mutator, &seeds);
        bounded(64 * 1024 + 16 * bytes.len(), || match Head::parse(&bytes, peer) {
            Err(error) => assert!((400..=505).contains(&error.status()) && !error.to_string().is_empty()),
            Ok(None) => {}
            Ok(Some((head, length))) => {
                assert!(length <= bytes.len());
                check(&head);
                for guard in &guards {
                    let _ = (guard.check(&head), guard.preflight(&head, "GET"), guard.authenticate(&head));
                    let _ = guard.shared(&head, Response::new(204));
                }
                // The same head whatever follows it, and none before its end.
                assert!(Head::parse(&bytes[..length], peer) == Ok(Some((head, length))));
                let cut = mutator.below(length);
                assert!(!matches!(Head::parse(&bytes[..cut], peer), Ok(Some(_))), "a head in {cut} of {length} bytes");
            }
        });
    });
}

/// Answers everything, and remembers what it should not have seen.
#[derive(Default)]
struct CheckingService {
    called: AtomicUsize,
    wrong: AtomicUsize,
}

impl Service for CheckingService {
    fn body_limit(&self, head: &Head) -> Result<BodyLimit, Response> {
        // Half of the requests, by their heads.
        let is_streamed = head.path().len().is_multiple_of(2);
        Ok(if is_streamed { BodyLimit::Streamed(BODY_MAX as u64) } else { BodyLimit::Whole(BODY_MAX) })
    }

    fn receive(&self, request: &Request, body: &mut dyn Read) -> Reply {
        let mut read = Vec::new();
        match body.read_to_end(&mut read) {
            Ok(_) => self.call(&Request { body: read, ..request.clone() }),
            Err(error) => Response::error(500, error.to_string()).into(),
        }
    }

    fn call(&self, request: &Request) -> Reply {
        self.called.fetch_add(1, Ordering::SeqCst);
        if request.body.len() > BODY_MAX {
            self.wrong.fetch_add(1, Ordering::SeqCst);
        }
        check(&request.head);
        Response::json(200, &json!({"path": request.head.path(), "body": request.body.len()})).into()
    }
}

#[test]
fn any_bytes_on_a_connection_are_answered_and_end() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let service = Arc::new(CheckingService::default());
    let seeds = seeds();
    let server = Server::start(listener, Arc::clone(&service) as Arc<dyn Service>, Limits::default()).unwrap();
    fuzz("HTTP connection", |mutator| {
        let bytes = input(mutator, &seeds);
        let answer = bounded(2 * 1024 * 1024 + 64 * bytes.len(), || talk(port, &bytes));
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 "), "{}", String::from_utf8_lossy(&answer));
        assert!(!contains(&answer, b"HTTP/1.1 500"), "the service has panicked");
        assert_eq!(service.wrong.load(Ordering::SeqCst), 0);
    });
    assert!(service.called.load(Ordering::SeqCst) > 0);
    assert_eq!(server.shutdown(PATIENCE), 0);
}

/// Sends all, ends its side, and reads until the server ends the connection.
fn talk(port: u16, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    // Reset at the end, so that no port stays taken.
    set_abrupt(&stream);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    // A server that has refused the beginning may not read the rest.
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(Shutdown::Write);
    let (mut answer, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        match stream.read(&mut piece) {
            Ok(0) => return answer,
            Ok(count) => answer.extend_from_slice(&piece[..count]),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return answer,
            Err(error) => panic!("the connection does not end: {error}"),
        }
    }
}

/// Lets the socket's end be a reset.
fn set_abrupt(stream: &TcpStream) {
    let linger = nix::libc::linger { l_onoff: 1, l_linger: 0 };
    nix::sys::socket::setsockopt(stream, nix::sys::socket::sockopt::Linger, &linger).unwrap();
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}
