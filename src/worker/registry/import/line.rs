//! The lines of an export.

use std::io::{self, Read};

use serde::Deserialize;

use crate::clock::Micros;
use crate::journal::{Kind, LINE_MAX};
use crate::json::{self, LenientLine, Read as JsonRead};
use crate::worker::error::WorkerError;

/// Bytes that are read at once.
const PIECE_BYTES: usize = 64 * 1024;
/// Capacity up to which a buffer is kept for the next line, in bytes.
const KEPT_BYTES: usize = 4 * 1024 * 1024;

/// A reader of the lines of an export, with a limit on their length.
pub(super) struct ExportLines<'r> {
    source: &'r mut dyn Read,
    line_max: usize,
    buffer: Vec<u8>,
    /// The part of `buffer` that is read: up to `start` it has been returned, up to `searched` it has no newline.
    start: usize,
    searched: usize,
    ended: bool,
    number: u64,
}

impl<'r> ExportLines<'r> {
    pub(super) fn new(source: &'r mut dyn Read, line_max: usize) -> Self {
        Self { source, line_max, buffer: Vec::new(), start: 0, searched: 0, ended: false, number: 0 }
    }

    /// Returns the number of the last line, from 1.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Returns the next line that is not blank, without its newline.
    ///
    /// # Errors
    /// Fails when it is too long, which is detected early, or the source fails.
    pub(super) fn next(&mut self) -> Result<Option<&[u8]>, WorkerError> {
        loop {
            let Some((start, end)) = self.advance()? else { return Ok(None) };
            if !self.buffer[start..end].trim_ascii().is_empty() {
                return Ok(Some(&self.buffer[start..end]));
            }
        }
    }

    fn advance(&mut self) -> Result<Option<(usize, usize)>, WorkerError> {
        loop {
            let newline = memchr::memchr(b'\n', &self.buffer[self.searched..]).map(|at| self.searched + at);
            let end = newline.unwrap_or(self.buffer.len());
            if end - self.start > self.line_max {
                return Err(WorkerError::TooLarge(format!(
                    "line {} is longer than {} bytes",
                    self.number + 1,
                    self.line_max
                )));
            }
            if newline.is_some() || (self.ended && self.start < end) {
                let start = self.start;
                self.start = (end + 1).min(self.buffer.len());
                self.searched = self.start;
                self.number += 1;
                return Ok(Some((start, end)));
            }
            if self.ended {
                return Ok(None);
            }
            self.fill()?;
        }
    }

    fn fill(&mut self) -> Result<(), WorkerError> {
        self.buffer.drain(..self.start);
        self.start = 0;
        if self.buffer.len() < KEPT_BYTES {
            self.buffer.shrink_to(KEPT_BYTES);
        }
        self.searched = self.buffer.len();
        let have = self.buffer.len();
        self.buffer.resize(have + PIECE_BYTES, 0);
        let read = loop {
            match self.source.read(&mut self.buffer[have..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        self.buffer.truncate(have + read.as_ref().map_or(0, |&count| count));
        let count = read.map_err(|error| WorkerError::Unavailable(format!("the import broke off: {error}")))?;
        self.ended = count == 0;
        Ok(())
    }
}

/// A line of an export, whose event is ignored.
#[derive(Deserialize)]
pub(super) struct ExportLine {
    #[serde(default)]
    pub(super) records: Vec<ExportedRecord>,
}

impl ExportLine {
    pub(super) fn parse(line: &[u8]) -> Result<Self, String> {
        let strict = serde_json::from_slice(line);
        strict.or_else(|error: serde_json::Error| match json::read(line) {
            JsonRead::Lenient(LenientLine { mut values, broken: None }) if values.len() == 1 => {
                serde_json::from_value(values.remove(0)).map_err(|error| error.to_string())
            }
            _ => Err(error.to_string()),
        })
    }
}

/// A record of a journal in the format of an export.
#[derive(Deserialize)]
pub(super) struct ExportedRecord {
    time: u64,
    kind: String,
    text: Option<String>,
    /// The payload when it is not UTF-8.
    hex: Option<String>,
}

impl ExportedRecord {
    pub(super) fn time(&self) -> Micros {
        Micros(self.time)
    }

    /// Returns its kind and payload.
    pub(super) fn read(self) -> Result<(Kind, Vec<u8>), String> {
        let kind = Kind::parse(self.kind.as_bytes()).ok_or_else(|| format!("no kind of record: {:?}", self.kind))?;
        let payload = match (self.text, self.hex) {
            (Some(text), None) => text.into_bytes(),
            (None, Some(hex)) => from_hex(&hex).ok_or("hex should be pairs of hexadecimal digits")?,
            _ => return Err("a record has either text or hex".to_owned()),
        };
        if payload.contains(&b'\n') || payload.len() > LINE_MAX {
            return Err(format!("a record is one line of at most {LINE_MAX} bytes"));
        }
        Ok((kind, payload))
    }
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let bytes = pairs.iter().map(|&[high, low]| Some(digit(high)? << 4 | digit(low)?)).collect();
    if rest.is_empty() { bytes } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Record;
    use crate::worker::history::export::exported;

    /// A source that yields its bytes in small pieces, then an error if there is one.
    struct Pieces<'b>(&'b [u8], usize, Option<io::ErrorKind>);

    impl Read for Pieces<'_> {
        fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
            if let (true, Some(kind)) = (self.0.is_empty(), self.2) {
                return Err(kind.into());
            }
            let count = self.1.min(self.0.len()).min(target.len());
            target[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    fn all(bytes: &[u8], piece: usize, line_max: usize) -> Result<Vec<(u64, String)>, String> {
        let mut source = Pieces(bytes, piece, None);
        let mut lines = ExportLines::new(&mut source, line_max);
        let mut all = Vec::new();
        while let Some(line) = lines.next().map_err(|error| error.to_string())? {
            let line = String::from_utf8_lossy(line).into_owned();
            all.push((lines.number(), line));
        }
        Ok(all)
    }

    #[test]
    fn lines_have_their_numbers_however_they_are_cut() {
        let wanted = vec![(1, "one".to_owned()), (4, "four\r".to_owned()), (5, "fünf".to_owned())];
        for piece in 1..30 {
            for end in ["", "\n", "\n\n", "\n  "] {
                let text = format!("one\n\n \t\nfour\r\nfünf{end}");
                assert_eq!(all(text.as_bytes(), piece, 5).as_ref(), Ok(&wanted), "{piece} {end:?}");
            }
        }
        assert_eq!(all(b"", 1, 5), Ok(Vec::new()));
    }

    #[test]
    fn a_line_too_long_is_refused_before_its_end() {
        let long = Err("line 2 is longer than 5 bytes".to_owned());
        for piece in [1, 3, 100] {
            assert_eq!(all(b"12345\n123456\n", piece, 5), long);
            assert_eq!(all(b"12345\n123456", piece, 5), long);
            assert_eq!(all(b"12345\n      \n", piece, 5), long, "blank ones too");
        }
        let mut endless = io::repeat(b' ');
        assert!(matches!(ExportLines::new(&mut endless, 1 << 20).next(), Err(WorkerError::TooLarge(_))));
    }

    #[test]
    fn a_source_that_breaks_off_gives_no_last_line() {
        let mut source = Pieces(b"one\ntw", 100, Some(io::ErrorKind::ConnectionReset));
        let mut lines = ExportLines::new(&mut source, 100);
        assert_eq!(lines.next().unwrap(), Some(b"one".as_slice()));
        assert!(matches!(lines.next(), Err(WorkerError::Unavailable(_))));
    }

    #[test]
    fn invalid_utf8_survives_as_hexadecimal_digits() {
        let record = Record { seq: 0, time: Micros(7), kind: Kind::Out, payload: &[0xff, 0x00, b'a'], len: 9 };
        let recorded: ExportedRecord = serde_json::from_value(exported(&record, true)).unwrap();
        assert_eq!(recorded.read(), Ok((Kind::Out, vec![0xff, 0x00, b'a'])));
        for wrong in ["f", "0g", "é"] {
            assert_eq!(from_hex(wrong), None);
        }
    }

    #[test]
    fn environment_variables_and_keys_stay_here() {
        let made = br#"{"type":"created","worker_id":"w","name":"n","project_path":"p","ai_cli_type":"c","options":{"model":"m","env":[["K","secret"]],"idempotency_key":"key"}}"#;
        let record = Record { seq: 0, time: Micros(7), kind: Kind::Ctl, payload: made, len: 9 };
        let text = exported(&record, true).to_string();
        assert!(
            text.contains("\\\"model\\\":\\\"m\\\"") && !text.contains("secret") && !text.contains("key"),
            "{text}"
        );
    }
}
