//! A small HTTP client: one request a connection, and raw bytes for hostile tests.

use std::io::{ErrorKind, Read};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rs_worker::testing::http::{ClientConnection, request_head};
use serde_json::Value;

use super::wait::DEADLINE;

/// A response.
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
    /// Returns the first header with that name (in lower case).
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

    /// Returns the response if it has this status, and fails otherwise.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text());
        self
    }
}

/// A client of one server, whose requests have the same extra headers.
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

    /// Sends DELETE. It declares its (absent) body as JSON, as every request with a change must.
    #[track_caller]
    pub(crate) fn delete(&self, path: &str) -> Reply {
        self.request("DELETE", path, &[("content-type", "application/json")], b"")
    }

    #[track_caller]
    fn send(&self, method: &str, path: &str, body: &Value) -> Reply {
        self.request(method, path, &[("content-type", "application/json")], body.to_string().as_bytes())
    }

    /// Sends any request.
    ///
    /// # Panics
    /// Fails when no complete response arrives within [`DEADLINE`].
    #[track_caller]
    pub(crate) fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        self.try_request(method, path, headers, body)
            .unwrap_or_else(|error| panic!("{method} {path} at {}: {error}", self.addr))
    }

    /// Sends any request, where a missing response is a result too.
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
        all.push(("connection", "close"));
        let has_body = !body.is_empty() || matches!(method, "POST" | "PUT" | "PATCH");
        let head = request_head(method, path, &all, has_body.then_some(body.len() as u64));

        let mut raw = Raw::connect(self.addr)?;
        // A server may answer and close before it has read the whole body; the response counts, not the write.
        let written = raw.send(&head).and_then(|()| raw.send(body));
        match raw.reply(method == "HEAD") {
            Ok(reply) => Ok(reply),
            Err(error) => Err(written.err().unwrap_or(error)),
        }
    }
}

/// A connection for malformed requests.
#[derive(Debug)]
pub(crate) struct Raw {
    connection: ClientConnection,
}

impl Raw {
    /// Connects; reads and writes get [`DEADLINE`] as their time-out.
    pub(crate) fn connect(addr: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect_timeout(&addr, DEADLINE)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        stream.set_write_timeout(Some(DEADLINE))?;
        stream.set_nodelay(true)?;
        Ok(Self { connection: ClientConnection::new(stream) })
    }

    /// Returns the socket itself.
    pub(crate) fn stream(&self) -> &TcpStream {
        self.connection.stream()
    }

    /// Sends raw bytes.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.connection.send(bytes)
    }

    /// Reads all bytes that have arrived, without parsing them.
    pub(crate) fn read(&mut self, piece: &mut [u8]) -> std::io::Result<usize> {
        self.connection.read_raw(piece)
    }

    /// Shuts the write side down.
    pub(crate) fn finish(&mut self) -> std::io::Result<()> {
        self.stream().shutdown(Shutdown::Write)
    }

    /// Reads one response, which may be an interim one; later bytes stay for the next call.
    pub(crate) fn reply(&mut self, without_body: bool) -> std::io::Result<Reply> {
        let head = self.connection.next_head()?;
        let headers = head.fields().map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
        let mut reply = Reply { status: head.status, headers, body: Vec::new() };
        if !without_body {
            self.connection.body(&head)?.read_to_end(&mut reply.body)?;
        }
        Ok(reply)
    }

    /// Reads everything up to the end of the stream, or returns an error when that does not arrive in time.
    pub(crate) fn rest(&mut self, deadline: Duration) -> std::io::Result<Vec<u8>> {
        let mut all = Vec::new();
        self.rest_into(&mut all, deadline).map(|()| all)
    }

    fn rest_into(&mut self, all: &mut Vec<u8>, deadline: Duration) -> std::io::Result<()> {
        let end = Instant::now() + deadline;
        let mut piece = [0; 16 * 1024];
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(ErrorKind::TimedOut.into());
            }
            self.stream().set_read_timeout(Some(left))?;
            match self.read(&mut piece) {
                Ok(0) => return self.stream().set_read_timeout(Some(DEADLINE)),
                Ok(count) => all.extend_from_slice(&piece[..count]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Returns whether the peer closes the connection (cleanly or by a reset) before the deadline, whatever it sends
    /// until then.
    pub(crate) fn is_closed_within(&mut self, deadline: Duration) -> bool {
        match self.rest(deadline) {
            Ok(_) => true,
            Err(error) => !matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::WouldBlock),
        }
    }
}

/// Sends `bytes`, and returns what arrives until the server closes or the deadline passes.
pub(crate) fn raw(addr: SocketAddr, bytes: &[u8], deadline: Duration) -> Vec<u8> {
    let mut raw = Raw::connect(addr).unwrap();
    let _ = raw.send(bytes);
    let mut answer = Vec::new();
    let _ = raw.rest_into(&mut answer, deadline);
    answer
}
