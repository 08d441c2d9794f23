//! A small HTTP client: one request a connection, and raw bytes for hostile tests.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::wait::DEADLINE;

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    /// Its status code.
    pub(crate) status: u16,
    /// Its headers, names in lower case, in order.
    pub(crate) headers: Vec<(String, String)>,
    /// Its body, chunks put together.
    pub(crate) body: Vec<u8>,
}

impl Reply {
    /// The first header of that name (in lower case).
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("not JSON ({error}), status {}: {}", self.status, self.text()))
    }

    /// Itself, when it has this status.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text());
        self
    }
}

/// Sends requests to one server, each with the same extra headers.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    /// The server.
    pub(crate) addr: SocketAddr,
    /// Headers that every request carries; one of the same name in a request replaces it.
    pub(crate) headers: Vec<(String, String)>,
}

impl Client {
    /// A client without extra headers.
    pub(crate) fn new(addr: SocketAddr) -> Self {
        Self { addr, headers: Vec::new() }
    }

    /// The same with one more header.
    pub(crate) fn with(&self, name: &str, value: &str) -> Self {
        let mut client = self.clone();
        client.headers.retain(|(header, _)| !header.eq_ignore_ascii_case(name));
        client.headers.push((name.to_owned(), value.to_owned()));
        client
    }

    /// GET.
    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> Reply {
        self.request("GET", path, &[], b"")
    }

    /// POST of a JSON body.
    #[track_caller]
    pub(crate) fn post(&self, path: &str, body: &Value) -> Reply {
        self.send("POST", path, body)
    }

    /// PATCH with a JSON body.
    #[track_caller]
    pub(crate) fn patch(&self, path: &str, body: &Value) -> Reply {
        self.send("PATCH", path, body)
    }

    /// PUT of a JSON body.
    #[track_caller]
    pub(crate) fn put(&self, path: &str, body: &Value) -> Reply {
        self.send("PUT", path, body)
    }

    /// DELETE. It says that its (absent) body is JSON, as every request that changes something has to.
    #[track_caller]
    pub(crate) fn delete(&self, path: &str) -> Reply {
        self.request("DELETE", path, &[("content-type", "application/json")], b"")
    }

    #[track_caller]
    fn send(&self, method: &str, path: &str, body: &Value) -> Reply {
        self.request(method, path, &[("content-type", "application/json")], body.to_string().as_bytes())
    }

    /// Any request.
    ///
    /// # Panics
    /// When no whole answer comes within [`DEADLINE`].
    #[track_caller]
    pub(crate) fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        self.try_request(method, path, headers, body)
            .unwrap_or_else(|error| panic!("{method} {path} at {}: {error}", self.addr))
    }

    /// Any request, where no answer is a result too.
    pub(crate) fn try_request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> std::io::Result<Reply> {
        let mut all: Vec<(&str, &str)> = headers.to_vec();
        let own = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in own {
            if !all.iter().any(|(header, _)| header.eq_ignore_ascii_case(name)) {
                all.push((name, value));
            }
        }
        let host = self.addr.to_string();
        if !all.iter().any(|(header, _)| header.eq_ignore_ascii_case("host")) {
            all.push(("host", &host));
        }
        let mut head = format!("{method} {path} HTTP/1.1\r\n");
        for (name, value) in all {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if !body.is_empty() || matches!(method, "POST" | "PUT" | "PATCH") {
            head.push_str(&format!("content-length: {}\r\n", body.len()));
        }
        head.push_str("connection: close\r\n\r\n");

        let mut raw = Raw::connect(self.addr)?;
        // A server may answer and close before it has read the whole body; the answer counts, not the write.
        let written = raw.send(head.as_bytes()).and_then(|()| raw.send(body));
        match raw.reply(method == "HEAD") {
            Ok(reply) => Ok(reply),
            Err(error) => Err(written.err().unwrap_or(error)),
        }
    }
}

/// A connection that sends what no honest client would.
#[derive(Debug)]
pub(crate) struct Raw {
    /// The socket itself.
    pub(crate) stream: TcpStream,
    buffer: Vec<u8>,
}

impl Raw {
    /// Connects; reads and writes get [`DEADLINE`] as their time-out.
    pub(crate) fn connect(addr: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect_timeout(&addr, DEADLINE)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        stream.set_write_timeout(Some(DEADLINE))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::new() })
    }

    /// Sends bytes as they are.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Says that nothing more will be sent.
    pub(crate) fn finish(&mut self) -> std::io::Result<()> {
        self.stream.shutdown(Shutdown::Write)
    }

    /// Reads one answer; what follows it stays for the next.
    pub(crate) fn reply(&mut self, without_body: bool) -> std::io::Result<Reply> {
        let end = self.fill_until(|bytes| find(bytes, b"\r\n\r\n").map(|at| at + 4))?;
        let head: Vec<u8> = self.buffer.drain(..end).collect();
        let (status, headers) = parse_head(&head)?;
        let mut reply = Reply { status, headers, body: Vec::new() };
        if without_body || status == 204 || status == 304 || (100..200).contains(&status) {
            return Ok(reply);
        }
        let chunked = reply.header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked"));
        reply.body = if chunked {
            self.chunks()?
        } else if let Some(length) = reply.header("content-length") {
            let length: usize = length.parse().map_err(|_| bad("content-length"))?;
            self.fill_until(|bytes| (bytes.len() >= length).then_some(length))?;
            self.buffer.drain(..length).collect()
        } else {
            self.rest(DEADLINE)?
        };
        Ok(reply)
    }

    /// Everything up to the end of the stream, or an error when that does not come in time.
    pub(crate) fn rest(&mut self, deadline: Duration) -> std::io::Result<Vec<u8>> {
        let end = Instant::now() + deadline;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(ErrorKind::TimedOut.into());
            }
            self.stream.set_read_timeout(Some(left))?;
            if !self.fill()? {
                self.stream.set_read_timeout(Some(DEADLINE))?;
                return Ok(std::mem::take(&mut self.buffer));
            }
        }
    }

    /// Whether the peer closes the connection (in order or by a reset) before the deadline, whatever it sends till then.
    pub(crate) fn is_closed_within(&mut self, deadline: Duration) -> bool {
        match self.rest(deadline) {
            Ok(_) => true,
            Err(error) => !matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::WouldBlock),
        }
    }

    fn chunks(&mut self) -> std::io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let end = self.fill_until(|bytes| find(bytes, b"\r\n"))?;
            let line: Vec<u8> = self.buffer.drain(..end + 2).collect();
            let digits = String::from_utf8_lossy(&line[..end]).into_owned();
            let size = digits.split(';').next().unwrap_or_default().trim();
            let size = usize::from_str_radix(size, 16).map_err(|_| bad("chunk size"))?;
            self.fill_until(|bytes| (bytes.len() >= size + 2).then_some(0))?;
            body.extend(self.buffer.drain(..size));
            self.buffer.drain(..2);
            if size == 0 {
                return Ok(body);
            }
        }
    }

    fn fill_until(&mut self, found: impl Fn(&[u8]) -> Option<usize>) -> std::io::Result<usize> {
        loop {
            if let Some(at) = found(&self.buffer) {
                return Ok(at);
            }
            if !self.fill()? {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
    }

    fn fill(&mut self) -> std::io::Result<bool> {
        let mut piece = [0; 16 * 1024];
        loop {
            match self.stream.read(&mut piece) {
                Ok(0) => return Ok(false),
                Ok(count) => {
                    self.buffer.extend_from_slice(&piece[..count]);
                    return Ok(true);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// Sends `bytes`, and gives what comes back until the server closes or the deadline passes.
pub(crate) fn raw(addr: SocketAddr, bytes: &[u8], deadline: Duration) -> Vec<u8> {
    let mut raw = Raw::connect(addr).unwrap();
    let _ = raw.send(bytes);
    match raw.rest(deadline) {
        Ok(answer) => answer,
        Err(_) => raw.buffer,
    }
}

fn parse_head(head: &[u8]) -> std::io::Result<(u16, Vec<(String, String)>)> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut headers);
    response.parse(head).map_err(|_| bad("response head"))?;
    let status = response.code.ok_or_else(|| bad("status"))?;
    let headers = response
        .headers
        .iter()
        .map(|header| (header.name.to_ascii_lowercase(), String::from_utf8_lossy(header.value).into_owned()))
        .collect();
    Ok((status, headers))
}

fn bad(what: &str) -> std::io::Error {
    std::io::Error::new(ErrorKind::InvalidData, format!("bad {what}"))
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}
