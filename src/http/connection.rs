//! One connection's socket: buffered reading under deadlines, and writing in bounded pieces.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::limits::WRITE_PIECE_BYTES;
use crate::metrics;

/// Bytes that a connection's buffer begins with: most heads fit.
const BUFFER_BYTES: usize = 4 * 1024;
/// Shortest time-out that is given to the kernel, which takes 0 for "none".
const SHORTEST_WAIT: Duration = Duration::from_millis(1);

/// A socket with what was read from it and not yet used.
#[derive(Debug)]
pub(super) struct Connection {
    stream: Arc<TcpStream>,
    /// `start..end` of it is unread input.
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// The read time-out that the socket has, so that it is set only when it changes.
    armed: Option<Duration>,
    write_time: Duration,
}

impl Connection {
    pub(super) fn new(stream: Arc<TcpStream>, write_time: Duration) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(write_time.max(SHORTEST_WAIT)))?;
        Ok(Self { stream, buffer: vec![0; BUFFER_BYTES], start: 0, end: 0, armed: None, write_time })
    }

    /// Input that was read and not yet used.
    pub(super) fn buffered(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Drops the first `count` bytes of [`Self::buffered`].
    pub(super) fn consume(&mut self, count: usize) {
        self.start = self.start.saturating_add(count).min(self.end);
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
    }

    /// Reads once more, up to `limit` bytes buffered in all. `Ok(0)`: the peer has closed its side, or the limit is
    /// reached.
    ///
    /// # Errors
    /// `TimedOut` when nothing came in time.
    pub(super) fn fill(&mut self, wait: Wait, limit: usize) -> io::Result<usize> {
        if self.end == self.buffer.len() {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
            if self.end == self.buffer.len() {
                self.buffer.resize((self.end * 2).min(limit.max(self.end)), 0);
            }
        }
        let room = self.buffer.len().min(self.start.saturating_add(limit)).max(self.end);
        let count = timed_read(&self.stream, &mut self.armed, wait, &mut self.buffer[self.end..room])?;
        metrics::HTTP_RECEIVED.add(count as u64);
        self.end += count;
        Ok(count)
    }

    /// Reads once into `target`, past the buffer, which must be empty.
    pub(super) fn read_past_buffer(&mut self, wait: Wait, target: &mut [u8]) -> io::Result<usize> {
        debug_assert_eq!(self.start, self.end, "buffered input comes first");
        timed_read(&self.stream, &mut self.armed, wait, target)
            .inspect(|&count| metrics::HTTP_RECEIVED.add(count as u64))
    }

    /// Writes all of `bytes`.
    ///
    /// # Errors
    /// `TimedOut` when the peer takes longer than the write time to make room for one piece.
    pub(super) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        metrics::HTTP_SENT.add(bytes.len() as u64);
        send(&self.stream, self.write_time, bytes)
    }

    /// Says goodbye: no more output, and what still comes is thrown away for a while, so that the peer reads our last
    /// answer and not a reset.
    pub(super) fn linger(&mut self, time: Duration, mut bytes: usize) {
        let deadline = Instant::now() + time;
        if self.stream.shutdown(Shutdown::Write).is_err() {
            return;
        }
        self.consume(usize::MAX);
        let mut sink = vec![0; BUFFER_BYTES];
        while let Ok(count @ 1..) = self.read_past_buffer(Wait::Until(deadline), &mut sink) {
            let Some(rest) = bytes.checked_sub(count) else { break };
            bytes = rest;
            if sink.len() < WRITE_PIECE_BYTES {
                sink.resize(WRITE_PIECE_BYTES, 0);
            }
        }
    }

    /// Gives up the socket for another protocol, with what was read of it already. Read and write time-outs are off.
    pub(super) fn into_upgraded(mut self) -> io::Result<(Arc<TcpStream>, Vec<u8>)> {
        self.stream.set_read_timeout(None)?;
        self.stream.set_write_timeout(None)?;
        self.buffer.truncate(self.end);
        self.buffer.drain(..self.start);
        Ok((self.stream, self.buffer))
    }
}

/// Returns the time that a read may take.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wait {
    /// Ends after this duration: the same each time, so that the socket's time-out need not be set again.
    For(Duration),
    /// Ends at this time.
    Until(Instant),
}

fn timed_read(
    mut stream: &TcpStream,
    armed: &mut Option<Duration>,
    wait: Wait,
    target: &mut [u8],
) -> io::Result<usize> {
    if target.is_empty() {
        return Ok(0);
    }
    loop {
        let time = match wait {
            Wait::For(time) => time.max(SHORTEST_WAIT),
            Wait::Until(deadline) => {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return Err(ErrorKind::TimedOut.into());
                }
                left.max(SHORTEST_WAIT)
            }
        };
        if *armed != Some(time) {
            stream.set_read_timeout(Some(time))?;
            *armed = Some(time);
        }
        match stream.read(target) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                if matches!(wait, Wait::For(_)) {
                    return Err(ErrorKind::TimedOut.into());
                }
            }
            result => return result,
        }
    }
}

/// Writes all of `bytes`; each piece of [`WRITE_PIECE_BYTES`] has `time` of its own. The socket's own write time-out is
/// `time` too, so a write returns short only when it has passed: one that began just before the deadline can double it.
pub(super) fn send(mut stream: &TcpStream, time: Duration, bytes: &[u8]) -> io::Result<()> {
    for mut piece in bytes.chunks(WRITE_PIECE_BYTES) {
        let began = Instant::now();
        while !piece.is_empty() {
            match stream.write(piece) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => piece = &piece[count..],
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Err(ErrorKind::TimedOut.into()),
                Err(error) => return Err(error),
            }
            if !piece.is_empty() && began.elapsed() >= time {
                return Err(ErrorKind::TimedOut.into());
            }
        }
    }
    Ok(())
}
