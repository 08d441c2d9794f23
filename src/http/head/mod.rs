//! The head of a request: parsed by `httparse`, then held to the rules that make its meaning the same for us and for any
//! proxy before us (one Host, one body length, no line tricks). Pure: bytes in, [`Head`] or [`HeadError`] out.

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use crate::access::Identity;
use crate::http::limits::HEAD_FIELDS_MAX;
use crate::http::method::Method;
use crate::http::peer::Peer;
use crate::http::uri;

/// The length of a request's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyLength {
    /// The request has no body.
    None,
    /// This many bytes, from `Content-Length`; never 0.
    Known(u64),
    /// The sum of its chunks.
    Chunked,
}

/// A request's head, decoded and checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Head {
    /// The head as it came; the fields are ranges of it.
    text: String,
    fields: Vec<(Range<usize>, Range<usize>)>,
    method: Method,
    path: String,
    query: Vec<(String, String)>,
    peer: Arc<Peer>,
    body: BodyLength,
    http_1_0: bool,
    keep_alive: bool,
    expects_continue: bool,
    /// The credential behind it, once that is known.
    identity: OnceLock<Identity>,
}

/// A refusal of a head. Its text is the response's `detail`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeadError {
    /// Breaks HTTP's grammar or one of the rules above: 400.
    Bad(Cow<'static, str>),
    /// Did not arrive in time: 408.
    Slow,
    /// An `Expect` that we know nothing of: 417.
    Expectation,
    /// Over the size limit, which it names: 431.
    TooLarge(usize),
    /// More than [`HEAD_FIELDS_MAX`] fields: 431.
    TooManyFields,
    /// A method that is not served: 501.
    Method(String),
    /// A transfer coding other than `chunked`: 501.
    TransferCoding,
    /// Neither HTTP/1.0 nor HTTP/1.1: 505.
    Version,
}

impl HeadError {
    /// The status of the answer.
    pub const fn status(&self) -> u16 {
        match self {
            Self::Bad(_) => 400,
            Self::Slow => 408,
            Self::Expectation => 417,
            Self::TooLarge(_) | Self::TooManyFields => 431,
            Self::Method(_) | Self::TransferCoding => 501,
            Self::Version => 505,
        }
    }
}

impl fmt::Display for HeadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bad(detail) => f.write_str(detail),
            Self::Slow => f.write_str("the request head did not arrive in time"),
            Self::Expectation => f.write_str("the only expectation that is understood is 100-continue"),
            Self::TooLarge(limit) => {
                write!(f, "the request head is longer than {limit} bytes, or has more cookies than there is room for")
            }
            Self::TooManyFields => write!(f, "the request has more than {HEAD_FIELDS_MAX} header fields"),
            Self::Method(name) => write!(f, "method not supported: {name}"),
            Self::TransferCoding => f.write_str("the only transfer coding that is understood is chunked"),
            Self::Version => f.write_str("only HTTP/1.1 and HTTP/1.0 are spoken here"),
        }
    }
}

impl std::error::Error for HeadError {}

const fn bad(detail: &'static str) -> HeadError {
    HeadError::Bad(Cow::Borrowed(detail))
}

/// Fields that a request may have once: two of them would let two readers see two different requests.
const SINGLE_FIELDS: [&str; 10] = [
    "host",
    "content-length",
    "transfer-encoding",
    "content-type",
    "authorization",
    "origin",
    "expect",
    "sec-fetch-site",
    "sec-websocket-key",
    "sec-websocket-version",
];

/// Fields of an upgrade or of a body, which a derived request does not have.
const OF_UPGRADES: [&str; 6] =
    ["upgrade", "connection", "expect", "content-length", "transfer-encoding", "content-type"];

/// Longest name of a method that an error repeats, in bytes.
const METHOD_NAME_MAX: usize = 16;

impl Head {
    /// Reads the head that `bytes` begin with. `None` when its end is not there yet, else also the number of its bytes.
    ///
    /// # Errors
    /// Fails when no bytes to come could make it a request that we serve.
    pub fn parse(bytes: &[u8], peer: SocketAddr) -> Result<Option<(Self, usize)>, HeadError> {
        Self::parse_from(bytes, &Arc::new(Peer::at(peer)))
    }

    /// Works like [`Self::parse`], for a connection.
    pub(in crate::http) fn parse_from(bytes: &[u8], peer: &Arc<Peer>) -> Result<Option<(Self, usize)>, HeadError> {
        reject_other_protocols(bytes)?;
        let mut fields = [const { MaybeUninit::uninit() }; HEAD_FIELDS_MAX];
        let mut raw = httparse::Request::new(&mut []);
        let length = match raw.parse_with_uninit_headers(bytes, &mut fields) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(error) => return Err(grammar(error, bytes)),
        };
        let text = std::str::from_utf8(&bytes[..length]).map_err(|_| bad("the request head is not valid UTF-8"))?;
        if text.bytes().zip(text.bytes().skip(1)).any(|(before, byte)| byte == b'\n' && before != b'\r') {
            return Err(bad("the lines of a request head end in CR LF"));
        }
        let name = raw.method.unwrap_or_default();
        let method = Method::parse(name)
            .ok_or_else(|| HeadError::Method(name.chars().take(METHOD_NAME_MAX).collect::<String>()))?;
        let mut head = Self {
            fields: raw.headers.iter().map(|field| ranges(bytes, field)).collect(),
            text: text.to_owned(),
            method,
            path: String::new(),
            query: Vec::new(),
            peer: Arc::clone(peer),
            body: BodyLength::None,
            http_1_0: raw.version == Some(0),
            keep_alive: false,
            expects_continue: false,
            identity: OnceLock::new(),
        };
        head.check_single_fields()?;
        head.read_target(raw.path.unwrap_or_default())?;
        head.body = head.read_body_length()?;
        head.expects_continue = head.read_expectation()?;
        head.keep_alive = if head.http_1_0 {
            head.header_has("connection", "keep-alive")
        } else {
            !head.header_has("connection", "close")
        };
        Ok(Some((head, length)))
    }

    /// Returns the head of another request that the same client makes over this connection: with its fields, apart from
    /// those of the upgrade and of the body, which is JSON if there is one.
    ///
    /// # Errors
    /// Fails when the target is not one.
    pub(crate) fn derive(&self, method: Method, target: &str) -> Result<Self, HeadError> {
        let mut text = format!("{} {target} HTTP/1.1\r\n", method.as_str());
        let is_own = |name: &str| {
            let name = name.to_ascii_lowercase();
            name.starts_with("sec-websocket-") || OF_UPGRADES.contains(&name.as_str())
        };
        for (name, value) in self.headers().filter(|(name, _)| !is_own(name)) {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("Content-Type: application/json\r\n\r\n");
        match Self::parse_from(text.as_bytes(), &self.peer)? {
            Some((head, _)) => Ok(head),
            None => Err(bad("the request head is incomplete")),
        }
    }

    fn check_single_fields(&self) -> Result<(), HeadError> {
        let mut seen = [false; SINGLE_FIELDS.len()];
        for (name, _) in self.headers() {
            if let Some(at) = SINGLE_FIELDS.iter().position(|single| single.eq_ignore_ascii_case(name))
                && std::mem::replace(&mut seen[at], true)
            {
                return Err(HeadError::Bad(format!("the header {} is there twice", SINGLE_FIELDS[at]).into()));
            }
        }
        Ok(())
    }

    fn read_target(&mut self, target: &str) -> Result<(), HeadError> {
        if self.host().is_none() && !self.http_1_0 {
            return Err(bad("the Host header is missing"));
        }
        if target == "*" && self.method == Method::Options {
            target.clone_into(&mut self.path);
            return Ok(());
        }
        let parts = uri::split(target).map_err(|error| bad(error.detail()))?;
        if let Some(authority) = parts.authority
            && !self.host().is_some_and(|host| host.eq_ignore_ascii_case(authority))
        {
            return Err(bad("the request target and the Host header name different hosts"));
        }
        self.path = uri::decode_path(parts.path).map_err(|error| bad(error.detail()))?;
        if let Some(query) = parts.query {
            self.query = uri::decode_query(query).map_err(|error| bad(error.detail()))?;
        }
        Ok(())
    }

    fn read_body_length(&self) -> Result<BodyLength, HeadError> {
        match (self.header("transfer-encoding"), self.header("content-length")) {
            (Some(_), Some(_)) => Err(bad("Transfer-Encoding and Content-Length exclude each other")),
            (Some(_), None) if self.http_1_0 => Err(bad("HTTP/1.0 knows no Transfer-Encoding")),
            (Some(coding), None) if coding.eq_ignore_ascii_case("chunked") => Ok(BodyLength::Chunked),
            (Some(_), None) => Err(HeadError::TransferCoding),
            (None, Some(length)) => {
                // `parse` alone would take a sign.
                let digits = length.bytes().all(|byte| byte.is_ascii_digit());
                match length.parse::<u64>() {
                    Ok(0) if digits => Ok(BodyLength::None),
                    Ok(length) if digits => Ok(BodyLength::Known(length)),
                    _ => Err(bad("Content-Length is not a number of bytes")),
                }
            }
            (None, None) => Ok(BodyLength::None),
        }
    }

    fn read_expectation(&self) -> Result<bool, HeadError> {
        match self.header("expect") {
            None => Ok(false),
            Some(value) if value.eq_ignore_ascii_case("100-continue") => Ok(!self.http_1_0),
            Some(_) => Err(HeadError::Expectation),
        }
    }

    /// The method.
    pub const fn method(&self) -> Method {
        self.method
    }

    /// The path, percent-decoded, without `.` and `..` segments and control characters. It begins with `/`, but for
    /// `OPTIONS *`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The first value that the query has for `name`.
    pub fn query_value(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The query as it came, still encoded; `None` when there is none.
    pub fn raw_query(&self) -> Option<&str> {
        let target = self.text.split(' ').nth(1)?;
        target.split_once('?').map(|(_, query)| query)
    }

    /// All header fields, in order.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields.iter().map(|(name, value)| (&self.text[name.clone()], &self.text[value.clone()]))
    }

    /// The first value of the header `name`, in any case of letters, without space around it.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// Returns whether one of the comma-separated words of the header `name` is `word`, in any case of letters.
    pub fn header_has(&self, name: &str, word: &str) -> bool {
        self.headers()
            .filter(|(key, _)| key.eq_ignore_ascii_case(name))
            .any(|(_, value)| value.split(',').any(|part| part.trim().eq_ignore_ascii_case(word)))
    }

    /// The Host header, with its port. It is always there in HTTP/1.1.
    pub fn host(&self) -> Option<&str> {
        self.header("host")
    }

    /// The other end of the connection, which may be a proxy.
    pub fn peer(&self) -> &Arc<Peer> {
        &self.peer
    }

    /// A request that this one causes within the server: by the same client, with the same headers.
    pub(crate) fn within(&self, method: Method, path: String, query: Vec<(String, String)>) -> Self {
        Self { method, path, query, body: BodyLength::None, ..self.clone() }
    }

    /// Notes who the request is from.
    pub(crate) fn identify(&self, identity: Identity) {
        // A request is identified once, before anything reads its body.
        let _ = self.identity.set(identity);
    }

    /// The credential behind the request; `None` where nobody has asked.
    pub(crate) fn identity(&self) -> Option<&Identity> {
        self.identity.get()
    }

    /// Returns the length of the body.
    pub const fn body_length(&self) -> BodyLength {
        self.body
    }

    /// Returns whether the peer speaks HTTP/1.0.
    pub(in crate::http) const fn is_http_1_0(&self) -> bool {
        self.http_1_0
    }

    /// Returns whether the peer wants to use the connection again.
    pub(in crate::http) const fn keeps_alive(&self) -> bool {
        self.keep_alive
    }

    /// Returns whether the peer waits for `100 Continue` before it sends the body.
    pub(in crate::http) const fn expects_continue(&self) -> bool {
        self.expects_continue
    }
}

/// Returns the number of bytes of a head, complete or not, that are not cookies.
pub(in crate::http) fn bytes_beside_cookies(bytes: &[u8]) -> usize {
    const NAME: &[u8] = b"cookie:";
    let is_cookie = |line: &&[u8]| line.get(..NAME.len()).is_some_and(|name| name.eq_ignore_ascii_case(NAME));
    bytes.split_inclusive(|&byte| byte == b'\n').filter(|line| !is_cookie(line)).map(<[u8]>::len).sum()
}

/// A clear refusal of other protocols on this port.
fn reject_other_protocols(bytes: &[u8]) -> Result<(), HeadError> {
    if bytes.starts_with(&[0x16, 0x03]) {
        return Err(bad("this port speaks plain HTTP, not TLS: use http://"));
    }
    if bytes.starts_with(b"PRI * HTTP/2") {
        return Err(bad("HTTP/2 is not spoken here, use HTTP/1.1"));
    }
    Ok(())
}

fn grammar(error: httparse::Error, bytes: &[u8]) -> HeadError {
    match error {
        httparse::Error::TooManyHeaders => HeadError::TooManyFields,
        httparse::Error::Version if names_a_version(bytes) => HeadError::Version,
        error => HeadError::Bad(format!("the request is not HTTP: {error}").into()),
    }
}

/// Returns whether the request line ends in `HTTP/` and something.
fn names_a_version(bytes: &[u8]) -> bool {
    let line = bytes.split(|&byte| byte == b'\r' || byte == b'\n').next().unwrap_or_default();
    line.split(|&byte| byte == b' ').nth(2).is_some_and(|word| word.starts_with(b"HTTP/"))
}

/// Returns the places of a field's name and value in `bytes`, of which they are slices.
fn ranges(bytes: &[u8], field: &httparse::Header<'_>) -> (Range<usize>, Range<usize>) {
    let range = |slice: &[u8]| {
        let start = (slice.as_ptr() as usize).saturating_sub(bytes.as_ptr() as usize);
        start..start + slice.len()
    };
    (range(field.name.as_bytes()), range(field.value.trim_ascii()))
}
