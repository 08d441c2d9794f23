//! The transport on real sockets: a tiny service on 127.0.0.1, and clients that write bytes.

mod connections;
mod requests;
mod streamed;

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};
use serde_json::{Value, json};

use super::{BodyLimit, Head, Limits, Method, Reply, Request, Response, Server, Service};

/// Longest wait for anything that must happen.
const PATIENCE: Duration = Duration::from_secs(20);
/// Body limit of `/echo`.
const ECHO_MAX: usize = 1_000;
/// Body limit of `/count`.
const COUNT_MAX: u64 = 40 * 1024 * 1024;
/// Length of the response of `/long`.
const LONG_BYTES: usize = 3 * 1024 * 1024;

struct Tiny {
    /// `/block` says that it runs, then waits for a word.
    entered: Sender<()>,
    release: Receiver<()>,
}

impl Service for Tiny {
    fn body_limit(&self, head: &Head) -> Result<BodyLimit, Response> {
        if head.header("authorization").is_some() {
            head.peer().set_authenticated();
        }
        match head.path() {
            "/refused" => Err(Response::error(401, "no")),
            "/unsure" => panic!("the service is unsure"),
            "/large" => Ok(BodyLimit::Whole(8 * 1024 * 1024)),
            path if path.starts_with("/count") => Ok(BodyLimit::Streamed(COUNT_MAX)),
            _ => Ok(BodyLimit::Whole(ECHO_MAX)),
        }
    }

    fn finish(&self, _head: &Head, response: Response) -> Response {
        response.with_header("X-Finished", "yes")
    }

    /// `/count` counts the bytes of the body and adds them up; `/count/4` leaves after so many.
    fn receive(&self, request: &Request, body: &mut dyn Read) -> Reply {
        let most = request.head.path().strip_prefix("/count/").map_or(u64::MAX, |most| most.parse().unwrap());
        let (mut body, mut piece) = (body.take(most), [0; 777]);
        let (mut count, mut sum) = (0_u64, 0_u64);
        loop {
            match body.read(&mut piece) {
                Ok(0) => return Response::json(200, &json!([count, sum])).into(),
                Ok(read) => {
                    count += read as u64;
                    sum += piece[..read].iter().map(|&byte| u64::from(byte)).sum::<u64>();
                }
                Err(error) => return Response::error(500, error.to_string()).into(),
            }
        }
    }

    fn call(&self, request: &Request) -> Reply {
        let head = &request.head;
        match head.path() {
            "/echo" | "/large" => Response::with_content(200, "text/plain", request.body.clone()).into(),
            "/reflect" => Response::json(200, &reflect(request)).into(),
            "/length" => Response::json(200, &request.body.len()).into(),
            "/long" => Response::with_content(200, "text/plain", vec![b'x'; LONG_BYTES]).into(),
            "/empty" => Response::new(204).into(),
            "/same" => Response::with_content(304, "text/plain", "12345").into(),
            "/panic" => panic!("the service fails"),
            "/block" => {
                let _ = self.entered.send(());
                let _ = self.release.recv_timeout(PATIENCE);
                Response::json(200, &"released").into()
            }
            "/stream" => stream(|out| {
                out.write_all(b"one ")?;
                out.write_all(b"two ")?;
                out.flush()?;
                out.flush()?;
                out.write_all(&[b'3'; 50_000])
            }),
            "/torn" => stream(|out| {
                out.write_all(b"half")?;
                out.flush()?;
                Err(io::Error::other("no more"))
            }),
            "/endless" => {
                let _ = self.entered.send(());
                stream(|out| {
                    loop {
                        out.write_all(&[b'x'; 10_000])?;
                    }
                })
            }
            "/shout" => Reply::Upgrade(
                Response::new(101).with_upgrade("shout"),
                Box::new(|mut upgraded| {
                    let mut buffer = [0; 100];
                    let mut stream = &*upgraded.stream;
                    while !upgraded.early.is_empty() {
                        upgraded.early.make_ascii_uppercase();
                        stream.write_all(&upgraded.early).unwrap();
                        let count = stream.read(&mut buffer).unwrap_or(0);
                        upgraded.early = buffer[..count].to_vec();
                    }
                }),
            ),
            _ => Response::json(200, &json!({"hello": "world"})).into(),
        }
    }
}

fn stream(body: impl FnOnce(&mut dyn Write) -> io::Result<()> + Send + 'static) -> Reply {
    Reply::Stream(Response::new(200).with_header("Content-Type", "text/plain"), Box::new(body))
}

fn reflect(request: &Request) -> Value {
    let head = &request.head;
    json!({
        "method": head.method().as_str(),
        "path": head.path(),
        "query": {"q": head.query_value("q"), "since": head.query_value("since"), "raw": head.raw_query()},
        "headers": head.headers().collect::<Vec<_>>(),
        "body": String::from_utf8_lossy(&request.body),
    })
}

/// A server with the other ends of `/block`'s channels.
struct TestHttpServer {
    server: Server,
    entered: Receiver<()>,
    release: Sender<()>,
}

impl TestHttpServer {
    fn new(limits: Limits) -> Self {
        let (listener, service, entered, release) = Self::parts();
        let server = Server::start(listener, service, limits).unwrap();
        Self { server, entered, release }
    }

    fn parts() -> (TcpListener, Arc<dyn Service>, Receiver<()>, Sender<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (say_entered, entered) = bounded(16);
        let (release, wait_release) = bounded(16);
        (listener, Arc::new(Tiny { entered: say_entered, release: wait_release }), entered, release)
    }

    fn client(&self) -> Client {
        let stream = TcpStream::connect(self.server.address()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Client { stream, buffer: Vec::new() }
    }

    /// Waits until `count` connections are open.
    fn wait_connections(&self, count: usize) {
        let deadline = Instant::now() + PATIENCE;
        while self.server.connections() != count {
            assert!(Instant::now() < deadline, "{} connections are open, not {count}", self.server.connections());
            std::thread::yield_now();
        }
    }
}

struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// A response as the client saw it.
#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            line.split_once(": ").filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
        })
    }

    fn detail(&self) -> String {
        let value: Value = serde_json::from_slice(&self.body).unwrap();
        value["detail"].as_str().unwrap().to_owned()
    }
}

impl Client {
    fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.stream.write_all(bytes.as_ref()).unwrap();
        self
    }

    fn get(&mut self, path: &str) -> Answer {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).answer(Method::Get)
    }

    fn more(&mut self) -> usize {
        let mut piece = [0; 64 * 1024];
        let count = self.stream.read(&mut piece).unwrap();
        self.buffer.extend_from_slice(&piece[..count]);
        count
    }

    /// Takes everything up to and with `mark`.
    fn take_through(&mut self, mark: &[u8]) -> Vec<u8> {
        loop {
            if let Some(at) = self.buffer.windows(mark.len()).position(|window| window == mark) {
                return self.take(at + mark.len());
            }
            assert_ne!(self.more(), 0, "closed after {:?}", String::from_utf8_lossy(&self.buffer));
        }
    }

    fn take(&mut self, count: usize) -> Vec<u8> {
        while self.buffer.len() < count {
            assert_ne!(self.more(), 0, "closed after {} of {count} bytes", self.buffer.len());
        }
        self.buffer.drain(..count).collect()
    }

    fn head(&mut self) -> Answer {
        let head = String::from_utf8(self.take_through(b"\r\n\r\n")).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head, body: Vec::new() }
    }

    /// Reads the answer to a request with this method.
    fn answer(&mut self, method: Method) -> Answer {
        let mut answer = self.head();
        if method == Method::Head || answer.status < 200 || matches!(answer.status, 204 | 304) {
            return answer;
        }
        if answer.header("transfer-encoding") == Some("chunked") {
            loop {
                let line = self.take_through(b"\r\n");
                let size = usize::from_str_radix(std::str::from_utf8(&line).unwrap().trim_end(), 16).unwrap();
                answer.body.extend(self.take(size));
                assert_eq!(self.take(2), b"\r\n");
                if size == 0 {
                    return answer;
                }
            }
        }
        match answer.header("content-length").map(str::to_owned) {
            Some(length) => answer.body = self.take(length.parse().unwrap()),
            None => {
                while self.more() > 0 {}
                answer.body = std::mem::take(&mut self.buffer);
            }
        }
        answer
    }

    /// Says that nothing more will be sent.
    fn finish(&mut self) -> &mut Self {
        self.stream.shutdown(Shutdown::Write).unwrap();
        self
    }

    /// Waits for the server to close, after which there must be nothing unread.
    fn expect_end(&mut self) {
        assert_eq!(self.more(), 0, "more came: {:?}", String::from_utf8_lossy(&self.buffer));
        assert!(self.buffer.is_empty());
    }
}
