//! A WebSocket client that waits with deadlines and stores what it has received.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::Value;
use tungstenite::handshake::client::{Request, generate_key};
use tungstenite::protocol::CloseFrame;
use tungstenite::{Error, HandshakeError, Message, WebSocket};

use super::wait::DEADLINE;

/// A connected client.
pub(crate) struct WsClient {
    socket: WebSocket<TcpStream>,
    /// Every JSON frame so far, in order.
    pub(crate) frames: Vec<Value>,
    /// The close of the connection by the server, once it has happened.
    pub(crate) closed: Option<Option<CloseFrame>>,
}

/// The result of one read.
#[derive(Debug)]
pub(crate) enum WsReceipt {
    /// A text frame.
    Frame(Value),
    /// The server has closed the connection, with its reason if there is one.
    Closed(Option<CloseFrame>),
    /// The deadline has passed.
    Nothing,
}

impl WsClient {
    /// Connects with more headers (one named `host`, `origin`, ... replaces the default one).
    ///
    /// # Errors
    /// The status code with which the server refused the upgrade.
    #[track_caller]
    pub(crate) fn connect(addr: SocketAddr, path: &str, headers: &[(&str, &str)]) -> Result<Self, u16> {
        Self::try_connect(addr, path, headers)
            .unwrap_or_else(|error| panic!("no WebSocket at ws://{addr}{path}: {error}"))
    }

    /// Does the same as [`WsClient::connect`], where a missing response is a result too.
    pub(crate) fn try_connect(
        addr: SocketAddr,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Result<Result<Self, u16>, Error> {
        let mut request = Request::builder().uri(format!("ws://{addr}{path}"));
        let host = addr.to_string();
        let key = generate_key();
        let usual = [
            ("host", host.as_str()),
            ("connection", "Upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", key.as_str()),
        ];
        for (name, value) in usual {
            if !headers.iter().any(|(header, _)| header.eq_ignore_ascii_case(name)) {
                request = request.header(name, value);
            }
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let stream = TcpStream::connect_timeout(&addr, DEADLINE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        stream.set_write_timeout(Some(DEADLINE))?;
        match tungstenite::client(request.body(()).unwrap(), stream) {
            Ok((socket, _)) => Ok(Ok(Self { socket, frames: Vec::new(), closed: None })),
            Err(HandshakeError::Failure(Error::Http(response))) => Ok(Err(response.status().as_u16())),
            Err(HandshakeError::Failure(error)) => Err(error),
            Err(HandshakeError::Interrupted(_)) => Err(Error::Io(ErrorKind::TimedOut.into())),
        }
    }

    /// Sends one JSON frame.
    #[track_caller]
    pub(crate) fn send_json(&mut self, frame: &Value) {
        self.send_text(&frame.to_string());
    }

    /// Sends any text.
    #[track_caller]
    pub(crate) fn send_text(&mut self, text: &str) {
        self.socket.send(Message::text(text)).unwrap();
    }

    /// Sends any message, where a failure is a result too.
    pub(crate) fn send(&mut self, message: Message) -> Result<(), Error> {
        self.socket.send(message)
    }

    /// Returns the next text frame, the end of the connection, or nothing within the deadline. Pings are answered
    /// meanwhile.
    #[track_caller]
    pub(crate) fn receive(&mut self, deadline: Duration) -> WsReceipt {
        let end = Instant::now() + deadline;
        loop {
            if let Some(closed) = &self.closed {
                return WsReceipt::Closed(closed.clone());
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return WsReceipt::Nothing;
            }
            self.socket.get_ref().set_read_timeout(Some(left)).unwrap();
            match self.socket.read() {
                Ok(Message::Text(text)) => {
                    let frame: Value =
                        serde_json::from_str(&text).unwrap_or_else(|error| panic!("not JSON ({error}): {text}"));
                    self.frames.push(frame.clone());
                    return WsReceipt::Frame(frame);
                }
                Ok(Message::Close(reason)) => {
                    // Answers the close, so that the server sees a clean end.
                    let _ = self.socket.flush();
                    self.closed = Some(reason);
                }
                Ok(_) => {}
                Err(Error::Io(error)) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(_) => self.closed = Some(None),
            }
        }
    }

    /// Returns the next frame.
    ///
    /// # Panics
    /// Fails when none arrives in time, or the connection ends.
    #[track_caller]
    pub(crate) fn recv_json(&mut self, deadline: Duration) -> Value {
        match self.receive(deadline) {
            WsReceipt::Frame(frame) => frame,
            other => panic!("no frame but {other:?}; before that: {}", self.history()),
        }
    }

    /// Reads until a frame satisfies `wanted`, and returns that frame. Frames received before the call are ignored.
    ///
    /// # Panics
    /// Fails when none arrives in time, or the connection ends; the message shows the received frames.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, what: &str, deadline: Duration, wanted: impl Fn(&Value) -> bool) -> Value {
        let end = Instant::now() + deadline;
        loop {
            match self.receive(end.saturating_duration_since(Instant::now())) {
                WsReceipt::Frame(frame) if wanted(&frame) => return frame,
                WsReceipt::Frame(_) => {}
                other => panic!("waited {deadline:?} for {what}: {other:?}; before that: {}", self.history()),
            }
        }
    }

    /// Reads until an `output` frame whose content has this type, and returns its content.
    #[track_caller]
    pub(crate) fn wait_for_event(&mut self, kind: &str, deadline: Duration) -> Value {
        let frame =
            self.wait_for(kind, deadline, |frame| frame["type"] == "output" && frame["content"]["type"] == kind);
        frame["content"].clone()
    }

    /// Reads until the server closes, and returns its reason.
    #[track_caller]
    pub(crate) fn wait_for_close(&mut self, deadline: Duration) -> Option<CloseFrame> {
        let end = Instant::now() + deadline;
        loop {
            match self.receive(end.saturating_duration_since(Instant::now())) {
                WsReceipt::Frame(_) => {}
                WsReceipt::Closed(reason) => return reason,
                WsReceipt::Nothing => panic!("the server keeps the connection open; so far: {}", self.history()),
            }
        }
    }

    /// Returns the contents of all `output` frames so far.
    pub(crate) fn events(&self) -> Vec<&Value> {
        self.frames.iter().filter(|frame| frame["type"] == "output").map(|frame| &frame["content"]).collect()
    }

    /// Returns the greatest `seq` seen: the cursor for a reconnection.
    pub(crate) fn last_seq(&self) -> Option<u64> {
        self.frames.iter().filter_map(|frame| frame["seq"].as_u64()).max()
    }

    /// Returns the socket, for tests that stop reading or cut the connection.
    pub(crate) fn stream(&self) -> &TcpStream {
        self.socket.get_ref()
    }

    fn history(&self) -> String {
        /// Number of frames shown in a failure: the last ones are the most useful.
        const SHOWN: usize = 30;
        let from = self.frames.len().saturating_sub(SHOWN);
        let lines: Vec<String> = self.frames[from..].iter().map(|frame| format!("\n  {}", shortened(frame))).collect();
        format!("{} frames{}", self.frames.len(), lines.concat())
    }
}

fn shortened(frame: &Value) -> String {
    /// Characters of a frame that a failure shows.
    const SHOWN: usize = 2_000;
    frame.to_string().chars().take(SHOWN).collect()
}
