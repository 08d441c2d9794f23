//! One connection to a server, kept alive: the program's own client, which panics where a bench can't continue.

use std::io::Read as _;
use std::net::{SocketAddr, TcpStream};

use rs_worker::testing::http::{ClientConnection, request_head};
use serde_json::Value;

/// One connection.
pub(crate) struct Client {
    connection: ClientConnection,
    host: String,
    body: Vec<u8>,
}

impl Client {
    /// Connects.
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self::try_new(address).unwrap()
    }

    /// Connects, if somebody listens.
    pub(crate) fn try_new(address: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(super::DEADLINE))?;
        Ok(Self { connection: ClientConnection::new(stream), host: address.to_string(), body: Vec::new() })
    }

    /// The bytes of a GET request.
    pub(crate) fn get_request(&self, path: &str) -> Vec<u8> {
        request_head("GET", path, &[("Host", &self.host)], None)
    }

    /// Sends a request and reads its answer: status and body.
    pub(crate) fn exchange(&mut self, request: &[u8]) -> std::io::Result<(u16, &[u8])> {
        self.connection.send(request)?;
        let head = self.connection.head()?;
        self.body.clear();
        self.connection.body(&head)?.read_to_end(&mut self.body)?;
        Ok((head.status, &self.body))
    }

    /// A GET whose answer is JSON.
    pub(crate) fn get(&mut self, path: &str) -> Value {
        let request = self.get_request(path);
        let (status, body) = self.exchange(&request).unwrap();
        assert!(status < 300, "GET {path}: {status} {}", String::from_utf8_lossy(body));
        serde_json::from_slice(body).unwrap()
    }

    /// A POST of JSON.
    pub(crate) fn post(&mut self, path: &str, body: &Value) -> Value {
        let body = body.to_string();
        let fields = [("Host", self.host.as_str()), ("Content-Type", "application/json")];
        let mut request = request_head("POST", path, &fields, Some(body.len() as u64));
        request.extend_from_slice(body.as_bytes());
        let (status, answer) = self.exchange(&request).unwrap();
        assert!(status < 300, "POST {path}: {status} {}", String::from_utf8_lossy(answer));
        serde_json::from_slice(answer).unwrap_or_default()
    }
}
