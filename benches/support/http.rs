//! A small HTTP client: one connection, kept alive.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use serde_json::Value;

/// One connection.
pub(crate) struct Client {
    stream: TcpStream,
    address: SocketAddr,
    buffer: Vec<u8>,
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
        Ok(Self { stream, address, buffer: vec![0; 64 * 1024] })
    }

    /// The bytes of a GET request.
    pub(crate) fn get_request(&self, path: &str) -> Vec<u8> {
        format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.address).into_bytes()
    }

    /// Sends a request and reads its answer: status and body.
    pub(crate) fn exchange(&mut self, request: &[u8]) -> std::io::Result<(u16, &[u8])> {
        self.stream.write_all(request)?;
        let mut filled = 0;
        loop {
            if filled == self.buffer.len() {
                self.buffer.resize(filled * 2, 0);
            }
            let count = self.stream.read(&mut self.buffer[filled..])?;
            if count == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            filled += count;
            let Some((head, length)) = head(&self.buffer[..filled]) else { continue };
            while filled < head + length {
                self.buffer.resize(self.buffer.len().max(head + length), 0);
                let count = self.stream.read(&mut self.buffer[filled..])?;
                if count == 0 {
                    return Err(std::io::ErrorKind::UnexpectedEof.into());
                }
                filled += count;
            }
            let status = String::from_utf8_lossy(&self.buffer[9..12]).parse().unwrap_or(0);
            return Ok((status, &self.buffer[head..head + length]));
        }
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
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        );
        let (status, answer) = self.exchange(request.as_bytes()).unwrap();
        assert!(status < 300, "POST {path}: {status} {}", String::from_utf8_lossy(answer));
        serde_json::from_slice(answer).unwrap_or_default()
    }
}

/// Where the body begins, and its length. Fast, so that the server is what is measured.
fn head(bytes: &[u8]) -> Option<(usize, usize)> {
    const NAME: &[u8] = b"content-length:";
    let end = memchr::memmem::find(bytes, b"\r\n\r\n")? + 4;
    let mut lines = bytes[..end].split(|&byte| byte == b'\n');
    let line = lines.find(|line| line.get(..NAME.len()).is_some_and(|name| name.eq_ignore_ascii_case(NAME)))?;
    let length = std::str::from_utf8(&line[NAME.len()..]).ok()?.trim().parse().ok()?;
    Some((end, length))
}
