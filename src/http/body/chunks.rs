//! The chunked coding of a body.

use crate::http::uri::hex;

/// A malformed chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) struct ChunkError(pub(super) &'static str);

#[derive(Debug, PartialEq, Eq)]
pub(super) enum FeedError {
    TooLarge,
    Grammar(ChunkError),
}

/// Longest line of a chunk's size and extensions, in bytes.
const SIZE_LINE_MAX: usize = 256;
/// Most bytes of trailers, whose content is ignored.
const TRAILERS_MAX: usize = 4 * 1024;

/// Takes a chunked body apart, however its bytes are cut.
#[derive(Debug)]
pub(super) struct ChunkDecoder {
    limit: u64,
    /// Bytes of data in the chunks so far.
    have: u64,
    state: ChunkState,
    /// Bytes of the current size line, or of the trailers so far.
    line: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ChunkState {
    /// Inside the size; `digits` of it have been read.
    Size {
        value: u64,
        digits: usize,
    },
    /// Inside an extension, up to the CR.
    Extension(u64),
    /// The next byte is the LF of the size line.
    SizeEnd(u64),
    /// Inside the data, with this many bytes to come.
    Data(u64),
    /// The next byte is the CR, then the LF, after the data.
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
    pub(super) const fn new(limit: u64) -> Self {
        Self { limit, have: 0, state: ChunkState::Size { value: 0, digits: 0 }, line: 0 }
    }

    pub(super) fn is_done(&self) -> bool {
        self.state == ChunkState::Done
    }

    /// Decodes `input` onto `body` and returns how much of it belongs to this body: all, unless it is done.
    pub(super) fn feed(&mut self, input: &[u8], body: &mut Vec<u8>) -> Result<usize, FeedError> {
        let mut at = 0;
        while at < input.len() && !self.is_done() {
            if let ChunkState::Data(left) = self.state {
                let rest = &input[at..];
                let data = &rest[..usize::try_from(left).map_or(rest.len(), |left| left.min(rest.len()))];
                body.extend_from_slice(data);
                at += data.len();
                let count = data.len() as u64;
                self.state = if count == left { ChunkState::DataCr } else { ChunkState::Data(left - count) };
            } else {
                self.state = self.step(input[at])?;
                at += 1;
            }
        }
        Ok(at)
    }

    /// One byte outside of the data.
    fn step(&mut self, byte: u8) -> Result<ChunkState, FeedError> {
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
            (S::SizeEnd(size), b'\n') if size > self.limit.saturating_sub(self.have) => Err(FeedError::TooLarge),
            (S::SizeEnd(size), b'\n') => {
                self.have += size;
                Ok(S::Data(size))
            }
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

    const LIMIT: u64 = 1_000;

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
        input.extend_from_slice(&[b'x'; LIMIT as usize]);
        input.extend_from_slice(b"\r\n1\r\n");
        assert_eq!(decode(&[&input]), Err(FeedError::TooLarge));
    }

    proptest! {
        #[test]
        fn decoded_bytes_never_exceed_what_was_sent(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok((body, unread, _)) = decode(&[&bytes]) {
                prop_assert!(body.len() + unread <= bytes.len());
            }
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
