//! A body that its service reads as it comes, however long it is, in the memory of one piece.

use std::io::{self, Read};
use std::time::{Duration, Instant};

use super::chunks::ChunkDecoder;
use super::{BodyError, CONTINUE, broken, received};
use crate::http::connection::{Connection, Wait};
use crate::http::head::{BodyLength, Head};
use crate::http::limits::Limits;

/// Bytes that must come within the grace of a body, again and again: so a sender who has been fast cannot stop for as
/// long as that has earned it.
const PIECE_BYTES: u64 = 64 * 1024;

/// The body of a request, read as it comes.
///
/// Only the time that is spent waiting for the sender counts against it, not the time that the service takes in between.
pub(in crate::http) struct StreamedBody<'c> {
    connection: &'c mut Connection,
    limits: &'c Limits,
    limit: u64,
    rest: Rest,
    /// True if the sender waits to be asked for the body.
    is_expected: bool,
    received: u64,
    waited: Duration,
    /// Bytes of the current piece, and the time spent waiting for them.
    piece: (u64, Duration),
    failure: Option<BodyError>,
}

/// The part of a body that has not been read.
enum Rest {
    Known(u64),
    /// The coding, with decoded bytes from an index on.
    Chunked(ChunkDecoder, Vec<u8>, usize),
}

impl<'c> StreamedBody<'c> {
    /// The body of `head`, of at most `limit` bytes; nothing is read yet.
    ///
    /// # Errors
    /// Fails when the head says that the body is longer.
    pub(in crate::http) fn open(
        connection: &'c mut Connection,
        head: &Head,
        limit: u64,
        limits: &'c Limits,
    ) -> Result<Self, BodyError> {
        let rest = match head.body_length() {
            BodyLength::None => Rest::Known(0),
            BodyLength::Known(length) if length > limit => return Err(BodyError::TooLarge(limit)),
            BodyLength::Known(length) => Rest::Known(length),
            BodyLength::Chunked => Rest::Chunked(ChunkDecoder::new(limit), Vec::new(), 0),
        };
        Ok(Self {
            connection,
            limits,
            limit,
            rest,
            is_expected: head.expects_continue(),
            received: 0,
            waited: Duration::ZERO,
            piece: (0, Duration::ZERO),
            failure: None,
        })
    }

    /// Returns whether the body was read to its end, so that the next request begins after it; or its failure.
    pub(in crate::http) fn finish(self) -> Result<bool, BodyError> {
        match self.failure {
            Some(error) => Err(error),
            None => Ok(match self.rest {
                Rest::Known(left) => left == 0,
                Rest::Chunked(decoder, decoded, at) => decoder.is_done() && at == decoded.len(),
            }),
        }
    }

    fn next(&mut self, target: &mut [u8]) -> Result<usize, BodyError> {
        match self.rest {
            Rest::Known(0) => Ok(0),
            Rest::Known(left) => self.next_known(left, target),
            Rest::Chunked(..) => self.next_decoded(target),
        }
    }

    fn next_known(&mut self, left: u64, target: &mut [u8]) -> Result<usize, BodyError> {
        let most = usize::try_from(left).map_or(target.len(), |left| left.min(target.len()));
        let target = &mut target[..most];
        let early = self.connection.buffered().len().min(target.len());
        let count = if early > 0 {
            target[..early].copy_from_slice(&self.connection.buffered()[..early]);
            self.connection.consume(early);
            early
        } else {
            self.await_sender(|connection, wait| connection.read_past_buffer(wait, target))?
        };
        self.progress(count);
        self.rest = Rest::Known(left - count as u64);
        Ok(count)
    }

    fn next_decoded(&mut self, target: &mut [u8]) -> Result<usize, BodyError> {
        loop {
            let Rest::Chunked(decoder, decoded, at) = &mut self.rest else { return Ok(0) };
            if *at < decoded.len() {
                let count = target.len().min(decoded.len() - *at);
                target[..count].copy_from_slice(&decoded[*at..*at + count]);
                *at += count;
                return Ok(count);
            }
            if decoder.is_done() {
                return Ok(0);
            }
            decoded.clear();
            *at = 0;
            let used = decoder.feed(self.connection.buffered(), decoded).map_err(|error| broken(error, self.limit))?;
            self.connection.consume(used);
            let (count, is_done) = (decoded.len(), decoder.is_done());
            self.progress(count);
            if count == 0 && !is_done {
                let buffer_bytes = self.limits.head_bytes;
                self.await_sender(|connection, wait| connection.fill(wait, buffer_bytes))?;
            }
        }
    }

    /// Reads once from the socket, within the time that the sender has left.
    fn await_sender(
        &mut self,
        read: impl FnOnce(&mut Connection, Wait) -> io::Result<usize>,
    ) -> Result<usize, BodyError> {
        if std::mem::take(&mut self.is_expected) && self.received == 0 {
            self.connection.send(CONTINUE).map_err(BodyError::Io)?;
        }
        let began = Instant::now();
        let wait = Wait::Until(began + self.time_left());
        let count = received(read(self.connection, wait))?;
        let took = began.elapsed();
        self.waited += took;
        self.piece.1 += took;
        Ok(count)
    }

    /// The grace for each piece; and over all, as for every body, the grace and a second for each `body_rate` bytes.
    fn time_left(&self) -> Duration {
        let Limits { body_grace, body_rate, .. } = *self.limits;
        let earned = Duration::from_millis(self.received.saturating_mul(1_000) / body_rate.max(1));
        (body_grace + earned).saturating_sub(self.waited).min(body_grace.saturating_sub(self.piece.1))
    }

    fn progress(&mut self, count: usize) {
        self.received += count as u64;
        self.piece.0 += count as u64;
        if self.piece.0 >= PIECE_BYTES {
            self.piece = (0, Duration::ZERO);
        }
    }
}

impl Read for StreamedBody<'_> {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        if target.is_empty() {
            return Ok(0);
        }
        if self.failure.is_some() {
            return Err(io::Error::other("the request body has failed before"));
        }
        self.next(target).map_err(|error| {
            let reported = io::Error::other(error.to_string());
            self.failure = Some(error);
            reported
        })
    }
}
