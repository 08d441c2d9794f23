//! Reads a client's messages one after another. Runs on the connection's own thread, which it blocks.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tungstenite::error::{CapacityError, ProtocolError};
use tungstenite::protocol::{Role, WebSocketConfig};
use tungstenite::{Error, Message, WebSocket};

use super::frame;
use crate::metrics;

/// Bytes that a reader's buffer begins with: a client's messages are short, and there is one buffer for each client.
const BUFFER_BYTES: usize = 4 * 1024;
/// Pings that may go unanswered; the peer is taken for dead when the next one would be due.
const UNANSWERED_PINGS_MAX: u32 = 2;
/// Shortest time-out that is given to the kernel, which takes 0 for "none".
const SHORTEST_WAIT: Duration = Duration::from_millis(1);

/// The place where a reader's own frames go: pings, pongs, closes. It is called on the reader's thread with one or
/// more whole
/// frames, which must reach the socket between other frames, never within one. It must not block on the socket.
pub trait ControlOut: Send {
    /// Sends `bytes` as soon as the frame before them is out.
    fn frame(&self, bytes: &[u8]);

    /// Sends `bytes`, of which the last frame is a close: nothing may be sent after it.
    fn close(&self, bytes: &[u8]) {
        self.frame(bytes);
    }
}

impl<F: Fn(&[u8]) + Send> ControlOut for F {
    fn frame(&self, bytes: &[u8]) {
        self(bytes);
    }
}

/// Bounds of a reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReaderLimits {
    /// Longest message, in bytes, whole or in fragments; a longer one ends the connection with 1009.
    pub message_bytes: usize,
    /// Silence after which the peer is pinged; after two pings without a sign of life it is taken for dead.
    pub ping_interval: Duration,
}

impl Default for ReaderLimits {
    fn default() -> Self {
        Self { message_bytes: 1024 * 1024, ping_interval: Duration::from_secs(20) }
    }
}

/// The received message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incoming {
    /// A text message, whole.
    Text(String),
    /// A binary message, which the API has no use for.
    Binary,
    /// The deadline has passed.
    Tick,
    /// The connection has ended. [`ControlOut`] has the close frame for the peer.
    Closed(CloseReason),
}

/// The reason that a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// The peer closed it, with this code (1005: without one).
    Peer(u16),
    /// The connection was lost without a word.
    Lost,
    /// The peer answered no pings.
    Silent,
    /// The peer broke the protocol; it was sent this code and reason.
    Refused(u16, String),
}

/// Reads a client's messages.
pub struct MessageReader {
    socket: WebSocket<Half>,
    ping_interval: Duration,
    /// Pings since the peer was last heard of.
    pings: u32,
    last_ping: Option<Instant>,
    next_ping: Instant,
    closed: Option<CloseReason>,
}

impl std::fmt::Debug for MessageReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("pings", &self.pings).field("closed", &self.closed).finish_non_exhaustive()
    }
}

impl MessageReader {
    /// A reader of `stream`, from which `early` was read already. It sets the socket's read time-out, so nobody else may.
    pub fn new(stream: Arc<TcpStream>, early: Vec<u8>, control: Box<dyn ControlOut>, limits: ReaderLimits) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(BUFFER_BYTES)
            .write_buffer_size(0)
            .max_message_size(Some(limits.message_bytes))
            .max_frame_size(Some(limits.message_bytes));
        let now = Instant::now();
        let half = Half { stream, control, deadline: now, heard: now };
        Self {
            socket: WebSocket::from_partially_read(half, early, Role::Server, Some(config)),
            ping_interval: limits.ping_interval,
            pings: 0,
            last_ping: None,
            next_ping: now + limits.ping_interval,
            closed: None,
        }
    }

    /// Waits for the next message, until `deadline` if there is one. Pings a silent peer meanwhile. After
    /// [`Incoming::Closed`] it says the same again.
    pub fn next(&mut self, deadline: Option<Instant>) -> Incoming {
        if let Some(reason) = &self.closed {
            return Incoming::Closed(reason.clone());
        }
        loop {
            self.socket.get_mut().deadline = deadline.map_or(self.next_ping, |deadline| deadline.min(self.next_ping));
            match self.socket.read() {
                Ok(Message::Text(text)) => return Incoming::Text(text.as_str().to_owned()),
                Ok(Message::Binary(_)) => return Incoming::Binary,
                Ok(Message::Ping(_)) => {
                    // Gives the pong to the control side now, and not when the next message has come.
                    let _ = self.socket.flush();
                }
                Ok(Message::Pong(_) | Message::Frame(_)) => {}
                Ok(Message::Close(close)) => {
                    // Gives the reply to the control side; that this ends the socket is what the error says.
                    let _ = self.socket.flush();
                    return self.close(CloseReason::Peer(close.map_or(1005, |close| close.code.into())));
                }
                Err(Error::Io(error)) if error.kind() == ErrorKind::TimedOut => {
                    let now = Instant::now();
                    if let Some(reason) = self.ping(now) {
                        return self.close(reason);
                    }
                    if deadline.is_some_and(|deadline| deadline <= now) {
                        return Incoming::Tick;
                    }
                }
                Err(error) => return self.fail(&error),
            }
        }
    }

    /// Pings the peer when that is due.
    fn ping(&mut self, now: Instant) -> Option<CloseReason> {
        let heard = self.socket.get_ref().heard;
        if self.last_ping.is_some_and(|pinged| pinged <= heard) {
            // Anything that came since is a sign of life, however late we look.
            (self.last_ping, self.pings) = (None, 0);
        }
        if self.pings == 0 {
            self.next_ping = heard + self.ping_interval;
        }
        if self.next_ping <= now {
            if self.pings >= UNANSWERED_PINGS_MAX {
                return Some(CloseReason::Silent);
            }
            self.pings += 1;
            self.last_ping = Some(now);
            self.next_ping = now + self.ping_interval;
            let mut ping = Vec::new();
            frame::encode_ping(&mut ping, b"");
            self.socket.get_ref().control.frame(&ping);
        }
        None
    }

    /// Ends the connection for an error, with the close frame that says which.
    fn fail(&mut self, error: &Error) -> Incoming {
        let code = match error {
            Error::Utf8(_) => 1007,
            Error::Capacity(CapacityError::MessageTooLong { .. }) => 1009,
            Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => return self.close(CloseReason::Lost),
            Error::Protocol(_) | Error::Capacity(_) => 1002,
            _ => return self.close(CloseReason::Lost),
        };
        let reason = error.to_string();
        let mut close = Vec::new();
        frame::encode_close(&mut close, code, &reason);
        self.socket.get_ref().control.close(&close);
        self.close(CloseReason::Refused(code, reason))
    }

    fn close(&mut self, reason: CloseReason) -> Incoming {
        self.closed = Some(reason.clone());
        Incoming::Closed(reason)
    }

    /// Waits for the peer to end the connection after the last frame was written, up to `time`: closing with unread
    /// input would reset it, and the peer might never read that frame. Call it when the writer is done.
    pub fn linger(&mut self, time: Duration) {
        let half = self.socket.get_mut();
        half.deadline = Instant::now() + time;
        if half.stream.shutdown(Shutdown::Write).is_ok() {
            let mut sink = [0; BUFFER_BYTES];
            while matches!(half.read(&mut sink), Ok(1..)) {}
        }
    }
}

/// The reader's side of the socket: it reads from the stream; what tungstenite writes goes to the control side.
struct Half {
    stream: Arc<TcpStream>,
    control: Box<dyn ControlOut>,
    deadline: Instant,
    /// The time when the peer last sent anything.
    heard: Instant,
}

impl Read for Half {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        loop {
            let left = self.deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(ErrorKind::TimedOut.into());
            }
            self.stream.set_read_timeout(Some(left.max(SHORTEST_WAIT)))?;
            match (&*self.stream).read(target) {
                Ok(count) => {
                    metrics::WEBSOCKET_RECEIVED.add(count as u64);
                    self.heard = Instant::now();
                    return Ok(count);
                }
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl Write for Half {
    /// tungstenite writes its whole buffer, which holds whole frames because this takes all of it each time.
    fn write(&mut self, frames: &[u8]) -> io::Result<usize> {
        if frame::ends_in_close(frames) {
            self.control.close(frames);
        } else {
            self.control.frame(frames);
        }
        Ok(frames.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
