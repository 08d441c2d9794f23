//! Readers of streams, fast enough not to be what is measured: WebSocket frames from a server, lines from a relay.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::printer::{DIGITS, MARK};

/// Bytes read at once.
const BUFFER: usize = 256 * 1024;

/// The framing of a stream.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum StreamFraming {
    /// WebSocket frames of a server.
    Frames,
    /// Lines.
    Lines,
}

/// A stream.
pub(crate) struct Stream {
    /// The socket.
    pub(crate) socket: TcpStream,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    cut: StreamFraming,
}

impl Stream {
    /// A stream of lines.
    pub(crate) fn lines(socket: TcpStream) -> Self {
        Self { socket, buffer: vec![0; BUFFER], start: 0, end: 0, cut: StreamFraming::Lines }
    }

    /// Connects a WebSocket to `path`.
    pub(crate) fn connect(address: SocketAddr, path: &str) -> Self {
        let mut socket = TcpStream::connect(address).unwrap();
        socket.set_nodelay(true).unwrap();
        socket.set_read_timeout(Some(super::DEADLINE)).unwrap();
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        );
        socket.write_all(request.as_bytes()).unwrap();
        let mut stream = Self { socket, buffer: vec![0; BUFFER], start: 0, end: 0, cut: StreamFraming::Frames };
        loop {
            stream.fill().unwrap();
            let got = &stream.buffer[..stream.end];
            if let Some(at) = got.windows(4).position(|window| window == b"\r\n\r\n") {
                assert!(got.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&got[..at]));
                stream.start = at + 4;
                return stream;
            }
        }
    }

    /// A smaller buffer, for a thousand streams.
    pub(crate) fn shrink(&mut self) {
        self.buffer.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        self.buffer.truncate(self.end.max(4096));
        self.buffer.shrink_to_fit();
    }

    /// Reads once. `Ok(0)` is the end.
    pub(crate) fn fill(&mut self) -> std::io::Result<usize> {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.end == self.buffer.len() {
            self.buffer.resize(self.end * 2, 0);
        }
        let count = self.socket.read(&mut self.buffer[self.end..])?;
        self.end += count;
        Ok(count)
    }

    /// The next whole item that was read already.
    pub(crate) fn item(&mut self) -> Option<&[u8]> {
        let got = &self.buffer[self.start..self.end];
        let (skipped, length, newline) = match self.cut {
            StreamFraming::Lines => (0, memchr::memchr(b'\n', got)?, 1),
            StreamFraming::Frames => {
                let &[_, short, ..] = got else { return None };
                let (skipped, length) = match short {
                    126 => (4, usize::from(u16::from_be_bytes(got.get(2..4)?.try_into().unwrap()))),
                    127 => (10, u64::from_be_bytes(got.get(2..10)?.try_into().unwrap()) as usize),
                    length => (2, usize::from(length)),
                };
                (got.len() >= skipped + length).then_some((skipped, length, 0))?
            }
        };
        let begin = self.start + skipped;
        self.start = begin + length + newline;
        Some(&self.buffer[begin..begin + length])
    }

    /// Reads until `count` items of at least `least` bytes have come; the number of the last of them.
    pub(crate) fn count(&mut self, count: u64, least: usize) -> u64 {
        let mut seen = 0;
        loop {
            while let Some(item) = self.item() {
                if item.len() >= least {
                    seen += 1;
                    if seen == count {
                        return number(item).unwrap_or(0);
                    }
                }
            }
            match self.fill() {
                Ok(0) => panic!("the stream ended after {seen} of {count}"),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => panic!("{error} after {seen} of {count}"),
            }
        }
    }

    /// Reads frames until one holds `text`.
    pub(crate) fn wait_text(&mut self, text: &str) {
        loop {
            while let Some(item) = self.item() {
                if memchr::memmem::find(item, text.as_bytes()).is_some() {
                    return;
                }
            }
            assert!(self.fill().unwrap() > 0, "the stream ended before {text}");
        }
    }
}

/// The number in a line of the printer, or in a frame that carries one.
pub(crate) fn number(item: &[u8]) -> Option<u64> {
    let at = memchr::memmem::find(item, MARK.as_bytes())? + MARK.len();
    std::str::from_utf8(item.get(at..at + DIGITS)?).ok()?.parse().ok()
}
