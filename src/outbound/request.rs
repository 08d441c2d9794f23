//! A request, its answer, and the reasons why there is none.

use std::fmt;
use std::io;
use std::time::Instant;

use super::target::OutboundTarget;

/// Most bytes of an answer's body that are kept, for people.
pub(super) const TEXT_BYTES_MAX: usize = 1024;

/// One request.
pub(crate) struct Post<'a> {
    /// The receiver.
    pub(crate) target: &'a OutboundTarget,
    /// Header fields, besides those that every request has.
    pub(crate) headers: &'a [(&'a str, &'a str)],
    /// The body.
    pub(crate) body: &'a [u8],
    /// True if addresses inside the own network are allowed.
    pub(crate) allow_private: bool,
    /// True if the beginning of the answer's body is read.
    pub(crate) wants_text: bool,
    /// The time at which it is given up.
    pub(crate) deadline: Instant,
}

/// The answer to a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct OutboundResponse {
    /// The status code.
    pub(crate) status: u16,
    /// The value of `Retry-After`.
    pub(crate) retry_after: Option<String>,
    /// The beginning of the body, where that was asked for.
    pub(crate) text: String,
}

/// The reason that there is no answer.
#[derive(Debug)]
pub(crate) enum RequestFailure {
    /// The address is one that is not allowed.
    Private(String),
    /// The network, or the receiver's protocol.
    Io(io::Error),
}

impl fmt::Display for RequestFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Private(reason) => f.write_str(reason),
            Self::Io(error) => write!(f, "{error}"),
        }
    }
}

impl From<io::Error> for RequestFailure {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Returns the beginning of a body as one line of text.
pub(super) fn text(body: &[u8]) -> String {
    let body = String::from_utf8_lossy(&body[..body.len().min(TEXT_BYTES_MAX)]);
    let plain: String = body.chars().map(|char| if char.is_control() { ' ' } else { char }).collect();
    plain.trim().to_owned()
}
