//! Responses, and how they are put on the wire.
//!
//! tiny_http's `Response` writes the status line, the headers and `Date`; it leaves no way to say `Connection`, and
//! gives 204 a `Content-Length`. So it prints the head, and the last lines of it are settled here.

use std::borrow::Cow;
use std::io;
use std::sync::Arc;

use serde::Serialize;
use tiny_http::{HTTPVersion, Header, StatusCode};

/// The content of a response.
#[derive(Clone, Debug, Default)]
pub enum Content {
    /// None.
    #[default]
    Empty,
    /// Made for this response.
    Owned(Vec<u8>),
    /// A part of the program.
    Static(&'static [u8]),
    /// Shared with other responses.
    Shared(Arc<[u8]>),
}

impl Content {
    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Empty => &[],
            Self::Owned(bytes) => bytes,
            Self::Static(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }
}

impl From<Vec<u8>> for Content {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Owned(bytes)
    }
}

impl From<String> for Content {
    fn from(text: String) -> Self {
        Self::Owned(text.into_bytes())
    }
}

impl From<&'static [u8]> for Content {
    fn from(bytes: &'static [u8]) -> Self {
        Self::Static(bytes)
    }
}

impl From<&'static str> for Content {
    fn from(text: &'static str) -> Self {
        Self::Static(text.as_bytes())
    }
}

impl From<Arc<[u8]>> for Content {
    fn from(bytes: Arc<[u8]>) -> Self {
        Self::Shared(bytes)
    }
}

/// A response: status, headers, content. `Connection`, `Content-Length`, `Transfer-Encoding` and `Date` are the
/// transport's, and so is leaving the content away where HEAD, 204 or 304 want that.
#[derive(Clone, Debug)]
pub struct Response {
    status: u16,
    headers: Vec<Header>,
    content: Content,
    /// The protocol that an `Upgrade` header names.
    upgrade: Option<&'static str>,
    tag: Option<usize>,
}

#[derive(Serialize)]
struct Detail<'a> {
    detail: &'a str,
    code: &'static str,
}

/// Returns the `code` of an error that has no more specific one. Codes never change, so that programs can decide on them.
pub const fn error_code(status: u16) -> &'static str {
    match status {
        400 => "invalid_request",
        401 => "unauthorized",
        403 => "forbidden",
        404 => "not_found",
        405 => "method_not_allowed",
        408 => "timeout",
        409 => "conflict",
        411 => "length_required",
        413 => "too_large",
        415 => "unsupported_media_type",
        416 => "range_not_satisfiable",
        422 => "validation_failed",
        426 => "upgrade_required",
        429 => "limit_reached",
        431 => "headers_too_large",
        501 => "not_implemented",
        503 => "unavailable",
        505 => "version_not_supported",
        _ => "internal",
    }
}

impl Response {
    /// A response without content.
    pub const fn new(status: u16) -> Self {
        Self { status, headers: Vec::new(), content: Content::Empty, upgrade: None, tag: None }
    }

    /// A response with content of the given type.
    pub fn with_content(status: u16, content_type: &str, content: impl Into<Content>) -> Self {
        let mut response = Self::new(status).with_header("Content-Type", content_type);
        response.content = content.into();
        response
    }

    /// A JSON response. A value that cannot be serialised (a map whose keys are not strings) becomes a 500.
    pub fn json(status: u16, value: &impl Serialize) -> Self {
        match serde_json::to_vec(value) {
            Ok(json) => Self::with_content(status, "application/json", json),
            Err(error) => {
                log::error!("an answer could not be written as JSON: {error}");
                Self::error(500, "the answer could not be written as JSON")
            }
        }
    }

    /// An error as the reference answers it, `{"detail": "..."}`, with the [code](error_code) of its status.
    pub fn error(status: u16, detail: impl AsRef<str>) -> Self {
        Self::json(status, &Detail { detail: detail.as_ref(), code: error_code(status) })
    }

    /// Adds a header; `Content-Type` replaces the one there was. Bytes that a header must not have (line ends, other
    /// control characters, anything outside ASCII) become `?`.
    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: &str) -> Self {
        let value = if value.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\t')) {
            Cow::Borrowed(value)
        } else {
            let clean = |letter| if matches!(letter, ' '..='~' | '\t') { letter } else { '?' };
            Cow::Owned(value.chars().map(clean).collect())
        };
        match Header::from_bytes(name.as_bytes(), value.as_bytes()) {
            Ok(header) => {
                if name.eq_ignore_ascii_case("content-type") {
                    self.headers.retain(|old| !old.field.equiv("Content-Type"));
                }
                self.headers.push(header);
            }
            Err(()) => log::error!("not a header name: {name}"),
        }
        self
    }

    /// Names the protocol that the connection changes to (101) or should change to (426).
    #[must_use]
    pub const fn with_upgrade(mut self, protocol: &'static str) -> Self {
        self.upgrade = Some(protocol);
        self
    }

    /// Puts a number of the service's own on it, which [`ServedResponse`](super::ServedResponse) will carry; the peer never sees it.
    #[must_use]
    pub const fn with_tag(mut self, tag: usize) -> Self {
        self.tag = Some(tag);
        self
    }

    /// The service's own number.
    pub const fn tag(&self) -> Option<usize> {
        self.tag
    }

    /// The status.
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// The content.
    pub const fn content(&self) -> &Content {
        &self.content
    }

    /// The value of the first header called `name`, in any case of letters.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|header| header.field.as_str().as_str().eq_ignore_ascii_case(name))
            .map(|header| header.value.as_str())
    }

    /// Appends the head to `out` and returns the content.
    pub(super) fn print_head(self, length: Length, connection: Persistence, out: &mut Vec<u8>) -> Content {
        let bare = self.status < 200 || self.status == 204 || self.status == 304;
        let declared = match length {
            // A 304 has the length of the full response, if that is known.
            Length::Content if !bare || self.status == 304 => Some(self.content.bytes().len()),
            Length::Content | Length::UntilClose => Some(0),
            Length::Chunked => None,
        };
        let undeclared = bare && declared == Some(0) || length == Length::UntilClose;
        let mut headers = self.headers;
        if !headers.iter().any(|header| header.field.equiv("Server"))
            && let Ok(server) = Header::from_bytes("Server", "rs-worker")
        {
            headers.push(server);
        }
        // It is always answered in our own version, as RFC 9110 (6.2) wants: 1.0 peers get no chunks, that is all.
        let printed = tiny_http::Response::new(StatusCode(self.status), headers, io::empty(), declared, None)
            .with_chunked_threshold(usize::MAX)
            .raw_print(&mut *out, HTTPVersion(1, 1), &[], true, None);
        debug_assert!(printed.is_ok(), "memory takes everything");
        out.truncate(out.len().saturating_sub(END_OF_LINE.len()));
        if undeclared && out.ends_with(NO_LENGTH) {
            out.truncate(out.len() - NO_LENGTH.len());
        }
        let connection: &[&str] = match (self.upgrade, connection) {
            (Some(protocol), Persistence::Close) => &["Connection: close, upgrade\r\nUpgrade: ", protocol, "\r\n"],
            (Some(protocol), _) => &["Connection: upgrade\r\nUpgrade: ", protocol, "\r\n"],
            (None, Persistence::Close) => &["Connection: close\r\n"],
            (None, Persistence::KeepSaid) => &["Connection: keep-alive\r\n"],
            (None, Persistence::Keep) => &[],
        };
        connection.iter().for_each(|part| out.extend_from_slice(part.as_bytes()));
        out.extend_from_slice(END_OF_LINE);
        if bare { Content::Empty } else { self.content }
    }
}

const END_OF_LINE: &[u8] = b"\r\n";
const NO_LENGTH: &[u8] = b"Content-Length: 0\r\n";

/// The way in which the peer finds the end of the content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Length {
    /// Knows the length of the content.
    Content,
    /// Comes in chunks.
    Chunked,
    /// Ends with the connection.
    UntilClose,
}

/// The fate of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Persistence {
    /// Stays open, as HTTP/1.1 takes for granted.
    Keep,
    /// Stays open, and an HTTP/1.0 peer needs a header that says so.
    KeepSaid,
    /// Closed.
    Close,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(response: Response, length: Length, connection: Persistence) -> String {
        let mut out = Vec::new();
        let content = response.print_head(length, connection, &mut out);
        out.extend_from_slice(content.bytes());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn an_error_is_json_with_its_detail_and_code() {
        let text = printed(Response::error(404, "no \"such\" thing"), Length::Content, Persistence::Close);
        assert!(text.starts_with("HTTP/1.1 404 Not Found\r\n"), "{text}");
        assert!(text.contains("\r\nContent-Type: application/json\r\n"), "{text}");
        assert!(text.contains("\r\nContent-Length: 49\r\n"), "{text}");
        assert!(text.contains("\r\nDate: "), "{text}");
        assert!(text.contains("\r\nServer: rs-worker\r\n"), "{text}");
        assert!(
            text.ends_with(
                "\r\nConnection: close\r\n\r\n{\"detail\":\"no \\\"such\\\" thing\",\"code\":\"not_found\"}"
            ),
            "{text}"
        );
    }

    #[test]
    fn only_what_has_a_length_says_so() {
        for (status, length, says) in [
            (200, Length::Content, "Content-Length: 0\r\n"),
            (200, Length::Chunked, "Transfer-Encoding: chunked\r\n"),
            (200, Length::UntilClose, ""),
            (204, Length::Content, ""),
            (101, Length::Content, ""),
            (304, Length::Content, ""),
        ] {
            let text = printed(Response::new(status), length, Persistence::Keep);
            assert_eq!(text.contains("Content-Length"), says.contains("Content-Length"), "{text}");
            assert_eq!(text.contains("Transfer-Encoding"), says.contains("Transfer-Encoding"), "{text}");
            assert!(text.ends_with("\r\n\r\n") && !text.contains("\r\n\r\n\r\n"), "{text}");
        }
    }

    #[test]
    fn header_values_cannot_begin_a_new_line() {
        let response = Response::new(200).with_header("X", "a\r\nSet-Cookie: b\u{e9}");
        assert_eq!(response.header("x"), Some("a??Set-Cookie: b?"));
    }

    #[test]
    fn the_last_content_type_counts() {
        let response = Response::json(200, &1).with_header("content-type", "text/plain");
        assert_eq!(response.header("Content-Type"), Some("text/plain"));
        assert_eq!(response.headers.len(), 1);
    }

    #[test]
    fn upgrades_name_their_protocol() {
        let text = printed(Response::new(101).with_upgrade("websocket"), Length::Content, Persistence::Keep);
        assert!(text.ends_with("\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"), "{text}");
        let text = printed(Response::error(426, "").with_upgrade("websocket"), Length::Content, Persistence::Close);
        assert!(text.contains("\r\nConnection: close, upgrade\r\nUpgrade: websocket\r\n\r\n{"), "{text}");
    }
}
