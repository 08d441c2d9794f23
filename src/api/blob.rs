//! Pictures of events, and files of projects.
//!
//! Nothing that an agent has written may act on behalf of this server's page: the type is that of the content, only
//! pictures are shown inline, and all else is downloaded. The policy blocks all scripts, even if the address is opened
//! directly.

use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;

use super::error::ApiError;
use super::input::event_time;
use super::range::{self, FilePart};
use super::{ApiCall, RouteResult};
use crate::assets;
use crate::fnv;
use crate::http::{Reply, Response};
use crate::percent;
use crate::picture;
use crate::worker::history::cursor::{Cursor, counted};

/// Bytes at the beginning of a file that determine its type.
const HEAD_BYTES: usize = 4 * 1024;
/// Buffer size of downloads, in bytes.
const PIECE_BYTES: usize = 64 * 1024;
/// Longest name in a `Content-Disposition`, in characters.
const NAME_CHARS_MAX: usize = 200;
/// Blocks scripts, styles and requests in a shown file, and gives it no origin.
const POLICY: &str = "sandbox; default-src 'none'";
/// An image of an event never changes, but it belongs to a private conversation: browsers keep it for a week.
const KEPT: &str = "private, max-age=604800, immutable";
/// A file may change at any time.
const REVALIDATED: &str = "private, no-cache";

/// `GET /api/workers/{id}/blob?path=plots/a.png`: a file of the project.
pub(super) fn file(call: &ApiCall<'_>) -> RouteResult {
    let Some(path) = call.head().query_value("path") else {
        return Err(ApiError::mistake("query", "path", "Field required", "missing"));
    };
    let mut found = call.worker()?.open_file(path)?;
    let tag = format!("\"{:016x}\"", found.version);
    let mut head = Vec::new();
    Read::by_ref(&mut found.file).take(HEAD_BYTES as u64).read_to_end(&mut head)?;
    let (media_type, is_shown) = content_type(&head);
    let name = path.rsplit('/').next().unwrap_or_default();
    let part = range::requested(call.head(), found.size, &tag);
    let (status, first, last) = match part {
        _ if assets::matches(call.head().header("if-none-match"), &tag) => (304, 0, 0),
        FilePart::Whole => (200, 0, found.size),
        FilePart::Bytes { first, last } => (206, first, last + 1),
        FilePart::Unsatisfiable => {
            let refused = Response::error(416, format!("the file has {} bytes, and none of that range", found.size));
            return Ok(with_policy(refused).with_header("Content-Range", &format!("bytes */{}", found.size)).into());
        }
    };
    let mut response = with_policy(Response::new(status))
        .with_header("Content-Type", media_type)
        .with_header("Accept-Ranges", "bytes")
        .with_header("Content-Disposition", &disposition(name, is_shown))
        .with_header("Cache-Control", REVALIDATED)
        .with_header("ETag", &tag);
    if status == 304 {
        return Ok(response.into());
    }
    if status == 206 {
        response = response.with_header("Content-Range", &format!("bytes {first}-{}/{}", last - 1, found.size));
    }
    Ok(Reply::Stream(response, Box::new(move |out| send(&mut found.file, first..last, out))))
}

/// `GET /api/workers/{id}/images/{seq}/{index}?at=`: an image of an event.
pub(super) fn image(call: &ApiCall<'_>) -> RouteResult {
    let worker = call.worker()?;
    let param = |place: usize| counted(call.params.get(place).copied().unwrap_or_default());
    let missing = || ApiError::Detail(404, "the history has no such image".to_owned());
    let (seq, index) = (param(1).ok_or_else(missing)?, param(2).ok_or_else(missing)?);
    let cursor = Cursor { seq, at: event_time(call.head())? };
    let archive = worker.archive();
    if !archive.holds(cursor, worker.views().place().end)? {
        return Err(missing());
    }
    let index = usize::try_from(index).unwrap_or(usize::MAX);
    let found = archive.image(seq, index)?.ok_or_else(missing)?;
    let bytes = picture::decode(&found.data).ok_or_else(missing)?;
    let tag = format!("\"{:016x}-{:x}\"", fnv::hash(&bytes), bytes.len());
    let status = if assets::matches(call.head().header("if-none-match"), &tag) { 304 } else { 200 };
    let response = with_policy(Response::with_content(status, found.media_type, bytes))
        .with_header("Content-Disposition", "inline")
        .with_header("Cache-Control", if cursor.at.is_some() { KEPT } else { REVALIDATED })
        .with_header("ETag", &tag);
    Ok(response.into())
}

fn with_policy(response: Response) -> Response {
    response
        .with_header("Content-Security-Policy", POLICY)
        .with_header("Cross-Origin-Resource-Policy", "same-origin")
        .with_header("X-Content-Type-Options", "nosniff")
}

/// Returns the type of a content and whether it is shown inline, as pictures are.
fn content_type(head: &[u8]) -> (&'static str, bool) {
    if let Some(media_type) = picture::media_type(head) {
        return (media_type, true);
    }
    let is_text = match std::str::from_utf8(head) {
        Ok(_) => true,
        // The last character may be cut at the end of the head.
        Err(error) => error.error_len().is_none() && head.len() == HEAD_BYTES,
    };
    match is_text && !head.contains(&0) {
        true if picture::is_svg(head) => ("image/svg+xml", true),
        true => ("text/plain; charset=utf-8", false),
        false => ("application/octet-stream", false),
    }
}

/// Builds the `Content-Disposition` of a file called `name`: agents choose file names.
fn disposition(name: &str, is_shown: bool) -> String {
    let name: String = name.chars().filter(|letter| !letter.is_control()).take(NAME_CHARS_MAX).collect();
    let safe = |letter: char| if letter.is_ascii_alphanumeric() || "._-".contains(letter) { letter } else { '_' };
    let plain: String = name.chars().map(safe).collect();
    let how = if is_shown { "inline" } else { "attachment" };
    format!("{how}; filename=\"{plain}\"; filename*=UTF-8''{}", percent::encode(&name))
}

/// Sends a part of a file: at most the bytes that it had, so that one that grows has an end.
fn send(file: &mut (impl Read + Seek), part: Range<u64>, out: &mut dyn Write) -> io::Result<()> {
    file.seek(SeekFrom::Start(part.start))?;
    let (mut piece, mut rest) = (vec![0; PIECE_BYTES], file.take(part.end - part.start));
    loop {
        let count = rest.read(&mut piece)?;
        if count == 0 {
            return Ok(());
        }
        out.write_all(&piece[..count])?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn type_is_the_contents_and_only_pictures_are_shown() {
        let text = "text/plain; charset=utf-8";
        let cut = [&[b'a'; HEAD_BYTES - 1][..], &[0xc3]].concat();
        for (head, expected) in [
            (&b"\x89PNG\r\n\x1a\n"[..], ("image/png", true)),
            (b"<?xml version='1.0'?><svg onload='x'/>", ("image/svg+xml", true)),
            (b"<!doctype html><script>alert(1)</script>", (text, false)),
            (b"", (text, false)),
            (b"a\0b", ("application/octet-stream", false)),
            (b"\xc3", ("application/octet-stream", false)),
            (&cut, (text, false)),
        ] {
            assert_eq!(content_type(head), expected, "{:?}", String::from_utf8_lossy(head));
        }
    }

    #[test]
    fn names_cannot_break_out_of_their_header() {
        let written = disposition("a\"; x=\r\né.html", false);
        assert_eq!(written, "attachment; filename=\"a___x__.html\"; filename*=UTF-8''a%22%3B%20x%3D%C3%A9.html");
        assert!(disposition(&"x".repeat(5000), true).len() < 500);
    }
}
