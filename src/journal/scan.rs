//! Positioned reads, and the search for newlines around an offset, in bounded pieces.
//!
//! All reads name their offset, so that any number of threads share one file without sharing a position.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use memchr::{memchr, memrchr};

/// First piece of a search in bytes. Most records are shorter, so most searches are one small read.
const PIECE_MIN: usize = 4 * 1024;
/// Largest piece of a search in bytes; pieces grow up to it while nothing is found.
const PIECE_MAX: usize = 256 * 1024;

/// Fills `buf` from `offset` on; the count is short only where the file ends.
pub(super) fn fill(file: &File, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buf.len() {
        match file.read_at(&mut buf[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
            Err(err) => return Err(err),
        }
    }
    Ok(filled)
}

/// The start of the line that ends at or goes over `before`: the offset after the last newline in `floor..before`, or
/// `floor` when there is none.
pub(super) fn line_start(file: &File, floor: u64, before: u64) -> io::Result<u64> {
    let mut piece = Vec::new();
    let mut size = PIECE_MIN;
    let mut end = before;
    while end > floor {
        size = size.min(usize::try_from(end - floor).unwrap_or(size));
        let from = end - size as u64;
        piece.resize(size, 0);
        file.read_exact_at(&mut piece, from)?;
        if let Some(at) = memrchr(b'\n', &piece) {
            return Ok(from + at as u64 + 1);
        }
        end = from;
        size = (size * 4).min(PIECE_MAX);
    }
    Ok(floor)
}

/// The offset after the first newline in `from..before`.
pub(super) fn line_end(file: &File, from: u64, before: u64) -> io::Result<Option<u64>> {
    let mut piece = Vec::new();
    let mut size = PIECE_MIN;
    let mut at = from;
    while at < before {
        size = size.min(usize::try_from(before - at).unwrap_or(size));
        piece.resize(size, 0);
        let count = fill(file, at, &mut piece)?;
        if let Some(found) = memchr(b'\n', &piece[..count]) {
            return Ok(Some(at + found as u64 + 1));
        }
        if count < size {
            break;
        }
        at += count as u64;
        size = (size * 4).min(PIECE_MAX);
    }
    Ok(None)
}
