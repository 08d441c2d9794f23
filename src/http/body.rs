//! Request bodies: by length or in chunks, within a limit that is checked before anything is read, and at a minimum rate.

use std::fmt;
use std::io::{self, ErrorKind};
use std::time::{Duration, Instant};

use super::connection::{Connection, Wait};
use super::head::{BodyLength, Head};
use super::limits::Limits;
use super::uri::hex;

/// Why a body is refused. Its text is the answer's `detail`.
#[derive(Debug)]
pub(super) enum BodyError {
    /// Longer than the route allows, in bytes: 413.
    TooLarge(usize),
    /// It breaks the grammar of chunks: 400.
    Chunk(ChunkError),
    /// The peer stopped in the middle: 400.
    Ended,
    /// It came too slowly: 408.
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
            _ => Err(BodyError::TooLarge(limit)),
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
    let mut decoder = ChunkDecoder::new(limit);
    let mut body = Vec::new();
    loop {
        let used = decoder.feed(connection.buffered(), &mut body).map_err(|error| match error {
            FeedError::TooLarge => BodyError::TooLarge(limit),
            FeedError::Grammar(error) => BodyError::Chunk(error),
        })?;
        connection.consume(used);
        if decoder.is_done() {
            return Ok(body);
        }
        received(connection.fill(pace.wait(body.len()), buffer_bytes))?;
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

/// How long the sender of a body may still take.
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

/// What is wrong with a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ChunkError(&'static str);

#[derive(Debug, PartialEq, Eq)]
enum FeedError {
    TooLarge,
    Grammar(ChunkError),
}

/// Longest line of a chunk's size and extensions, in bytes.
const SIZE_LINE_MAX: usize = 256;
/// Most bytes of trailers, whose content is ignored.
const TRAILERS_MAX: usize = 4 * 1024;

/// Takes a chunked body apart, however its bytes are cut.
#[derive(Debug)]
struct ChunkDecoder {
    limit: usize,
    state: ChunkState,
    /// Bytes of the current size line, or of the trailers so far.
    line: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ChunkState {
    /// In the size; `digits` of it have been read.
    Size {
        value: usize,
        digits: usize,
    },
    /// In an extension, up to the CR.
    Extension(usize),
    /// Before the LF of the size line.
    SizeEnd(usize),
    /// In the data, with this many bytes to come.
    Data(usize),
    /// Before the CR, then the LF after the data.
    DataCr,
    DataLf,
    /// At the beginning of a trailer line, in it, before its LF, and before the last LF of all.
    TrailerStart,
    Trailer,
    TrailerLf,
    LastLf,
    Done,
}

impl ChunkDecoder {
    const fn new(limit: usize) -> Self {
        Self { limit, state: ChunkState::Size { value: 0, digits: 0 }, line: 0 }
    }

    fn is_done(&self) -> bool {
        self.state == ChunkState::Done
    }

    /// Decodes `input` onto `body` and returns how much of it belongs to this body: all, unless it is done.
    fn feed(&mut self, input: &[u8], body: &mut Vec<u8>) -> Result<usize, FeedError> {
        let mut at = 0;
        while at < input.len() && !self.is_done() {
            if let ChunkState::Data(left) = self.state {
                let count = left.min(input.len() - at);
                body.extend_from_slice(&input[at..at + count]);
                at += count;
                self.state = if count == left { ChunkState::DataCr } else { ChunkState::Data(left - count) };
            } else {
                self.state = self.step(input[at], body.len())?;
                at += 1;
            }
        }
        Ok(at)
    }

    /// One byte outside of the data.
    fn step(&mut self, byte: u8, have: usize) -> Result<ChunkState, FeedError> {
        use ChunkState as S;
        let wrong = |detail| Err(FeedError::Grammar(ChunkError(detail)));
        self.line += 1;
        match (self.state, byte) {
            (S::Size { .. } | S::Extension(_), _) if self.line > SIZE_LINE_MAX => wrong("a size line is too long"),
            (S::Size { value, digits }, b'\r') if digits > 0 => Ok(S::SizeEnd(value)),
            (S::Size { value, digits }, b';') if digits > 0 => Ok(S::Extension(value)),
            (S::Size { value, digits }, digit) => match hex(digit) {
                // Past the limit a longer size is only too large, never an overflow.
                Some(_) if value > self.limit => Err(FeedError::TooLarge),
                Some(digit) => {
                    Ok(S::Size { value: value.saturating_mul(16).saturating_add(digit.into()), digits: digits + 1 })
                }
                None => wrong("a size is not a hexadecimal number"),
            },
            (S::Extension(value), b'\r') => Ok(S::SizeEnd(value)),
            (S::Extension(_), b'\n' | b'\0') => wrong("a size line does not end in CR LF"),
            (S::Extension(value), _) => Ok(S::Extension(value)),
            (S::SizeEnd(0), b'\n') => {
                self.line = 0;
                Ok(S::TrailerStart)
            }
            (S::SizeEnd(size), b'\n') if size > self.limit.saturating_sub(have) => Err(FeedError::TooLarge),
            (S::SizeEnd(size), b'\n') => Ok(S::Data(size)),
            (S::SizeEnd(_), _) => wrong("a size line does not end in CR LF"),
            (S::DataCr, b'\r') => Ok(S::DataLf),
            (S::DataLf, b'\n') => {
                self.line = 0;
                Ok(S::Size { value: 0, digits: 0 })
            }
            (S::DataCr | S::DataLf, _) => wrong("CR LF does not follow the data"),
            (S::TrailerStart | S::Trailer, _) if self.line > TRAILERS_MAX => wrong("the trailers are too long"),
            (S::TrailerStart, b'\r') => Ok(S::LastLf),
            (S::Trailer, b'\r') => Ok(S::TrailerLf),
            (S::TrailerStart | S::Trailer, b'\n') => wrong("a trailer line does not end in CR LF"),
            (S::TrailerStart | S::Trailer, _) => Ok(S::Trailer),
            (S::TrailerLf, b'\n') => Ok(S::TrailerStart),
            (S::LastLf, b'\n') => Ok(S::Done),
            (S::TrailerLf | S::LastLf, _) => wrong("a trailer line does not end in CR LF"),
            (S::Data(_) | S::Done, _) => Ok(self.state),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMIT: usize = 1_000;

    /// Feeds `pieces` one after another; returns the body and what was left over of the last piece.
    fn decode(pieces: &[&[u8]]) -> Result<(Vec<u8>, usize, bool), FeedError> {
        let (mut decoder, mut body, mut left) = (ChunkDecoder::new(LIMIT), Vec::new(), 0);
        for piece in pieces {
            left += piece.len() - decoder.feed(piece, &mut body)?;
        }
        Ok((body, left, decoder.is_done()))
    }

    #[test]
    fn chunks_extensions_and_trailers_are_understood() {
        let input = b"5\r\nhello\r\n00006;a=\"b\"\r\n world\r\n0\r\nX: y\r\nZ: 1\r\n\r\nGET /";
        assert_eq!(decode(&[input]), Ok((b"hello world".to_vec(), 5, true)));
        assert_eq!(decode(&[b"0\r\n\r\n"]), Ok((Vec::new(), 0, true)));
        assert_eq!(decode(&[b"A\r\n0123456789\r\n"]), Ok((b"0123456789".to_vec(), 0, false)));
    }

    #[test]
    fn broken_chunks_are_refused() {
        let long_extension = format!("1;{}\r\n", "x".repeat(SIZE_LINE_MAX));
        let long_size = format!("{}1\r\n", "0".repeat(SIZE_LINE_MAX));
        let long_trailer = format!("0\r\n{}", "X: y\r\n".repeat(TRAILERS_MAX / 6 + 1));
        for input in [
            "\r\n",
            ";a\r\n",
            "x\r\n",
            "-1\r\n",
            "0x5\r\n",
            " 5\r\n",
            "5 \r\n",
            "5\nhello\r\n",
            "5\r\r",
            "5\r\nhelloX",
            "5\r\nhello\rX",
            "5\r\nhello\n",
            "0\r\n\n",
            "0\r\nX: y\n",
            "1;a\n",
            &long_extension,
            &long_size,
            &long_trailer,
        ] {
            let found = decode(&[input.as_bytes()]);
            assert!(matches!(found, Err(FeedError::Grammar(_))), "{input:?}: {found:?}");
        }
    }

    #[test]
    fn a_chunk_over_the_limit_is_refused_before_its_data() {
        for size in ["3e9\r\n", "ffffffffffffffff\r\n", "10000000000000000000000\r\n"] {
            assert_eq!(decode(&[size.as_bytes()]), Err(FeedError::TooLarge), "{size}");
        }
        let mut input = b"3e8\r\n".to_vec();
        input.extend_from_slice(&[b'x'; LIMIT]);
        input.extend_from_slice(b"\r\n1\r\n");
        assert_eq!(decode(&[&input]), Err(FeedError::TooLarge));
    }

    proptest! {
        #[test]
        fn any_bytes_are_decoded_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&[&bytes]);
        }

        #[test]
        fn however_the_bytes_are_cut_the_body_is_the_same(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..8),
            cuts in prop::collection::vec(0_usize..400, 0..20),
        ) {
            let mut input = Vec::new();
            for chunk in &chunks {
                input.extend_from_slice(format!("{:X}\r\n", chunk.len()).as_bytes());
                input.extend_from_slice(chunk);
                input.extend_from_slice(b"\r\n");
            }
            input.extend_from_slice(b"0\r\nT: v\r\n\r\n");
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(input.len())).collect();
            cuts.extend([0, input.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|pair| &input[pair[0]..pair[1]]).collect();
            prop_assert_eq!(decode(&pieces), Ok((chunks.concat(), 0, true)));
        }
    }
}
