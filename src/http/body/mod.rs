//! Request bodies: by length or in chunks, within a limit that is checked before anything is read, and at a minimum rate.
//! Most are read as a whole before the service sees them ([`read`]); one that the service takes as it comes is a
//! [`StreamedBody`] one.

mod chunks;
mod streamed;

use std::fmt;
use std::io::{self, ErrorKind};
use std::time::{Duration, Instant};

use super::connection::{Connection, Wait};
use super::head::{BodyLength, Head};
use super::limits::Limits;
use chunks::{ChunkDecoder, ChunkError, FeedError};
pub(super) use streamed::StreamedBody;

/// A refusal of a body. Its text is the response's `detail`.
#[derive(Debug)]
pub(super) enum BodyError {
    /// Longer than the route allows, in bytes: 413.
    TooLarge(u64),
    /// Breaks the grammar of chunks: 400.
    Chunk(ChunkError),
    /// The peer stopped in the middle: 400.
    Ended,
    /// Came too slowly: 408.
    Slow,
    /// The connection broke; nobody is left to answer.
    Io(io::Error),
}

impl BodyError {
    /// The status of the answer; `None` when there is nobody to answer.
    pub(super) fn status(&self) -> Option<u16> {
        match self {
            Self::TooLarge(_) => Some(413),
            Self::Chunk(_) | Self::Ended => Some(400),
            Self::Slow => Some(408),
            Self::Io(_) => None,
        }
    }
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge(limit) => write!(f, "the request body is longer than {limit} bytes"),
            Self::Chunk(error) => write!(f, "the chunked body is broken: {}", error.0),
            Self::Ended => f.write_str("the request body ended early"),
            Self::Slow => f.write_str("the request body did not arrive in time"),
            Self::Io(error) => error.fmt(f),
        }
    }
}

/// Bytes that are read of a body at once; its buffer grows with what has come, not with what was announced.
const READ_BYTES: usize = 64 * 1024;
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Reads the whole body of `head`, at most `limit` bytes.
pub(super) fn read(
    connection: &mut Connection,
    head: &Head,
    limit: usize,
    limits: &Limits,
) -> Result<Vec<u8>, BodyError> {
    let pace = Pace { began: Instant::now(), grace: limits.body_grace, rate: limits.body_rate.max(1) };
    match head.body_length() {
        BodyLength::None => Ok(Vec::new()),
        BodyLength::Known(length) => match usize::try_from(length) {
            Ok(length) if length <= limit => {
                invite(connection, head)?;
                read_known(connection, length, &pace)
            }
            _ => Err(BodyError::TooLarge(limit as u64)),
        },
        BodyLength::Chunked => {
            invite(connection, head)?;
            read_chunked(connection, limit, limits.head_bytes, &pace)
        }
    }
}

fn invite(connection: &mut Connection, head: &Head) -> Result<(), BodyError> {
    if head.expects_continue() && connection.buffered().is_empty() {
        connection.send(CONTINUE).map_err(BodyError::Io)?;
    }
    Ok(())
}

fn read_known(connection: &mut Connection, length: usize, pace: &Pace) -> Result<Vec<u8>, BodyError> {
    let early = connection.buffered().len().min(length);
    let mut body = Vec::with_capacity(length.min(early + READ_BYTES));
    body.extend_from_slice(&connection.buffered()[..early]);
    connection.consume(early);
    while body.len() < length {
        let have = body.len();
        body.resize(length.min(have + READ_BYTES), 0);
        let count = received(connection.read_past_buffer(pace.wait(have), &mut body[have..]))?;
        body.truncate(have + count);
    }
    Ok(body)
}

fn read_chunked(
    connection: &mut Connection,
    limit: usize,
    buffer_bytes: usize,
    pace: &Pace,
) -> Result<Vec<u8>, BodyError> {
    let mut decoder = ChunkDecoder::new(limit as u64);
    let mut body = Vec::new();
    loop {
        let used = decoder.feed(connection.buffered(), &mut body).map_err(|error| broken(error, limit as u64))?;
        connection.consume(used);
        if decoder.is_done() {
            return Ok(body);
        }
        received(connection.fill(pace.wait(body.len()), buffer_bytes))?;
    }
}

fn broken(error: FeedError, limit: u64) -> BodyError {
    match error {
        FeedError::TooLarge => BodyError::TooLarge(limit),
        FeedError::Grammar(error) => BodyError::Chunk(error),
    }
}

fn received(read: io::Result<usize>) -> Result<usize, BodyError> {
    match read {
        Ok(0) => Err(BodyError::Ended),
        Ok(count) => Ok(count),
        Err(error) if error.kind() == ErrorKind::TimedOut => Err(BodyError::Slow),
        Err(error) => Err(BodyError::Io(error)),
    }
}

/// Returns the time that the sender of a body has left.
struct Pace {
    began: Instant,
    grace: Duration,
    rate: u64,
}

impl Pace {
    /// The grace, and a second for each `rate` bytes that have come.
    fn wait(&self, received: usize) -> Wait {
        let earned = Duration::from_millis((received as u64).saturating_mul(1_000) / self.rate);
        Wait::Until(self.began + self.grace + earned)
    }
}
