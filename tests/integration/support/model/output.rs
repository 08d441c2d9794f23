//! Writes responses: JSON at once, or a stream of events that can pause, wait for the test, or be cut.

use std::io::{self, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use serde_json::Value;

use super::ModelState;
use super::script::Step;
use crate::support::wait::pace;

/// The answering side of one connection.
pub(super) struct Output<'a> {
    shared: &'a ModelState,
    stream: &'a TcpStream,
}

impl<'a> Output<'a> {
    pub(super) fn new(shared: &'a ModelState, stream: &'a TcpStream) -> Self {
        Self { shared, stream }
    }

    /// Writes a complete response.
    pub(super) fn json(&mut self, status: u16, headers: &[(&str, &str)], body: &Value) -> io::Result<()> {
        let body = body.to_string();
        let mut head = format!(
            "HTTP/1.1 {status} Fake\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
             request-id: req_fake\r\nconnection: close\r\n",
            body.len()
        );
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        self.stream.write_all(head.as_bytes())?;
        self.stream.write_all(body.as_bytes())
    }

    /// Begins a stream of server-sent events.
    pub(super) fn begin(&mut self) -> io::Result<()> {
        self.stream.write_all(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\n\
              transfer-encoding: chunked\r\nrequest-id: req_fake\r\nconnection: close\r\n\r\n",
        )
    }

    /// Writes one event, with its name if the protocol has names.
    pub(super) fn event(&mut self, name: Option<&str>, data: &Value) -> io::Result<()> {
        match name {
            Some(name) => self.chunk(&format!("event: {name}\ndata: {data}\n\n")),
            None => self.chunk(&format!("data: {data}\n\n")),
        }
    }

    /// Writes raw bytes to the stream.
    pub(super) fn chunk(&mut self, text: &str) -> io::Result<()> {
        self.stream.write_all(format!("{:x}\r\n{text}\r\n", text.len()).as_bytes())
    }

    /// Ends a stream.
    pub(super) fn end(&mut self) -> io::Result<()> {
        self.stream.write_all(b"0\r\n\r\n")
    }

    /// Calls `write` with each delta of a step, with its pauses, holds and cuts.
    pub(super) fn words(
        &mut self,
        step: &Step,
        mut write: impl FnMut(&mut Self, &str) -> io::Result<()>,
    ) -> io::Result<()> {
        let words = step.words();
        for (at, word) in words.iter().enumerate() {
            self.before_delta(step, at)?;
            if at > 0 && step.delay_ms > 0 {
                pace(Duration::from_millis(step.delay_ms));
            }
            write(self, word)?;
        }
        // A hold or cut at or past the end comes after the last delta.
        if step.hold.is_some_and(|hold| hold >= words.len()) {
            self.hold()?;
        }
        if step.cut.is_some_and(|cut| cut >= words.len()) {
            self.cut()?;
        }
        Ok(())
    }

    fn before_delta(&mut self, step: &Step, at: usize) -> io::Result<()> {
        if step.hold == Some(at) {
            self.hold()?;
        }
        if step.cut == Some(at) {
            self.cut()?;
        }
        Ok(())
    }

    /// Blocks until the test releases the streams.
    pub(super) fn hold(&mut self) -> io::Result<()> {
        let mut state = self.shared.state();
        let before = state.releases;
        state.held += 1;
        while state.releases == before && !state.down {
            state = self.shared.changed.wait(state).unwrap_or_else(std::sync::PoisonError::into_inner);
        }
        state.held -= 1;
        if state.down { Err(io::ErrorKind::ConnectionAborted.into()) } else { Ok(()) }
    }

    fn cut(&mut self) -> io::Result<()> {
        let _ = self.stream.shutdown(Shutdown::Both);
        Err(io::ErrorKind::ConnectionAborted.into())
    }
}
