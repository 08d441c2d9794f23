//! One connection, from its first request to its end. Runs on the connection's own thread.

use std::io::{self, ErrorKind, Write};
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::time::{Duration, Instant};

use log::Level;

use super::body::{self, BodyError, StreamedBody};
use super::connection::{Connection, Wait};
use super::head::{self, BodyLength, Head, HeadError};
use super::limits::Limits;
use super::method::Method;
use super::page;
use super::request::{Client, Request};
use super::response::{Length, Persistence, Response};
use super::table::ConnectionSlot;
use super::{BodyLimit, Reply, ServedResponse, Service, StreamBody, UpgradeBody, UpgradedConnection};

/// Content up to this size is sent in one write with its head, in bytes.
const ONE_WRITE_BYTES: usize = 16 * 1024;
/// Bytes of a streamed answer that are collected into one chunk, unless it is flushed before.
const CHUNK_BYTES: usize = 16 * 1024;
/// Bytes of an error answer that are logged.
const LOGGED_BYTES_MAX: usize = 512;
/// Bytes by which a head grows over its limit before it is looked at again whether that is cookies.
const COOKIE_STEP_BYTES: usize = 4 * 1024;
/// Room for a chunk's size line before its data: four digits and a line end, as [`CHUNK_BYTES`] needs.
const CHUNK_HEAD_BYTES: usize = 6;

/// Serves requests until the peer, an error, a limit or a stop ends the connection.
pub(super) fn serve(admission: &ConnectionSlot, service: &dyn Service, limits: &Limits) {
    let entry = admission.entry();
    let connection = match Connection::new(Arc::clone(&entry.stream), limits.write_time) {
        Ok(connection) => connection,
        Err(error) => return log::debug!("connection from {:?}: {error}", entry.peer),
    };
    let mut serving = ConnectionCourse {
        admission,
        service,
        limits,
        connection,
        began: Instant::now(),
        asked: None,
        line: None,
        out: Vec::new(),
    };
    match serving.run() {
        Ok(ConnectionEnd::Linger) => {
            if admission.set_idle() {
                serving.connection.linger(limits.linger_time, limits.linger_bytes);
            }
        }
        Ok(ConnectionEnd::Upgrade(body)) => match serving.connection.into_upgraded() {
            Ok((stream, early)) => body(UpgradedConnection { stream, early }),
            Err(error) => log::debug!("connection from {:?}: {error}", entry.peer),
        },
        Ok(ConnectionEnd::Gone) => {}
        Err(error) => log::debug!("connection from {:?}: {error}", entry.peer),
    }
}

struct ConnectionCourse<'a> {
    admission: &'a ConnectionSlot,
    service: &'a dyn Service,
    limits: &'a Limits,
    connection: Connection,
    began: Instant,
    /// The time at which the head of the current request was complete.
    asked: Option<Instant>,
    /// Method and path of that request, where refusals are logged.
    line: Option<String>,
    /// The bytes to write next; kept for its memory.
    out: Vec<u8>,
}

/// The fate of a connection after its last response.
enum ConnectionEnd {
    /// The peer may still send; it is given time to read the answer.
    Linger,
    /// Speaks another protocol from here on.
    Upgrade(UpgradeBody),
    /// The peer has gone.
    Gone,
}

impl ConnectionCourse<'_> {
    fn run(&mut self) -> io::Result<ConnectionEnd> {
        let mut first = true;
        loop {
            let head = match self.next_head(first) {
                Ok(Some(head)) => head,
                Ok(None) => return Ok(ConnectionEnd::Gone),
                Err(error) => return self.refuse_head(&error),
            };
            if let Some(end) = self.exchange(head)? {
                return Ok(end);
            }
            first = false;
        }
    }

    /// The next request's head; `None` when there will be none.
    fn next_head(&mut self, first: bool) -> Result<Option<Head>, HeadError> {
        let Limits { head_bytes, head_time, idle_time, .. } = *self.limits;
        if self.connection.buffered().is_empty() {
            let wait = Wait::For(if first { head_time } else { idle_time });
            if !self.admission.set_idle() || !matches!(self.connection.fill(wait, head_bytes), Ok(1..)) {
                return Ok(None);
            }
            self.admission.set_busy();
        }
        let deadline = if first { self.began } else { Instant::now() } + head_time;
        // Bytes that are known to hold no end of a head. Looking for it before parsing keeps a head that comes byte by
        // byte from being parsed as often; the first bytes are always parsed, to recognize other protocols at once.
        let mut searched = 0_usize;
        let mut limit = head_bytes;
        loop {
            while self.connection.buffered().starts_with(b"\r\n") {
                // RFC 9112 (2.2): empty lines before a request are ignored.
                self.connection.consume(2);
                searched = 0;
            }
            let buffered = self.connection.buffered();
            let may_end = searched == 0 || has_end(&buffered[searched.saturating_sub(END_OF_HEAD.len())..]);
            if may_end && let Some((head, length)) = Head::parse_from(buffered, &self.admission.entry().peer)? {
                if length > head_bytes && head::bytes_beside_cookies(&buffered[..length]) > head_bytes {
                    return Err(HeadError::TooLarge(head_bytes));
                }
                self.connection.consume(length);
                return Ok(Some(head));
            }
            searched = buffered.len();
            if searched >= limit {
                limit = self.longer_head(limit).ok_or(HeadError::TooLarge(head_bytes))?;
            }
            match self.connection.fill(Wait::Until(deadline), limit) {
                Ok(1..) => {}
                Err(error) if error.kind() == ErrorKind::TimedOut && searched > 0 => return Err(HeadError::Slow),
                Ok(0) | Err(_) => return Ok(None),
            }
        }
    }

    /// Returns the length to which an unfinished head of `limit` bytes may grow: a step more, while what is too much
    /// of it is cookies. Every program on a host can set cookies that browsers then send to all of its ports.
    fn longer_head(&self, limit: usize) -> Option<usize> {
        let Limits { head_bytes, cookie_bytes, .. } = *self.limits;
        let is_short = head::bytes_beside_cookies(self.connection.buffered()) < head_bytes;
        (is_short && limit < head_bytes + cookie_bytes)
            .then(|| (limit + COOKIE_STEP_BYTES).min(head_bytes + cookie_bytes))
    }

    /// Answers a head that could not be read. Browsers have no other way to learn that they send too many cookies.
    fn refuse_head(&mut self, error: &HeadError) -> io::Result<ConnectionEnd> {
        let is_browser = memchr::memmem::find(self.connection.buffered(), b"text/html").is_some();
        if error.status() != 431 || !is_browser {
            return self.refuse(error.status(), &error.to_string());
        }
        let paragraphs = [
            format!("This server did not read the request: {error}."),
            "Mostly that is because of cookies: every program that serves pages under this host name, on any port, can set \
             some, and the browser sends all of them. Delete the cookies of this host in the browser, and open this page \
             again."
                .to_owned(),
        ];
        self.send(page::page(431, "The request is too large", &paragraphs), false, Persistence::Close)?;
        Ok(ConnectionEnd::Linger)
    }

    /// Answers one request. `None`: the connection is ready for the next.
    fn exchange(&mut self, head: Head) -> io::Result<Option<ConnectionEnd>> {
        self.asked = Some(Instant::now());
        // Without the query, which may hold what people search for.
        self.line = log::log_enabled!(Level::Debug).then(|| format!("{} {}", head.method().as_str(), head.path()));
        if !self.admission.entry().peer.is_authenticated() {
            self.admission.touch();
        }
        let service = self.service;
        let limit = match caught(|| service.body_limit(&head)).unwrap_or_else(|| Err(panicked())) {
            Ok(BodyLimit::Whole(limit)) => limit,
            Ok(BodyLimit::Streamed(limit)) => return self.receive(head, limit),
            Err(response) => {
                let terms = self.terms(&head);
                // Nobody reads the body.
                let keep_alive = terms.keep_alive && head.body_length() == BodyLength::None;
                return self.respond(service.finish(&head, response), Terms { keep_alive, ..terms });
            }
        };
        let body = match body::read(&mut self.connection, &head, limit, self.limits) {
            Ok(body) => body,
            Err(error) => return self.refuse_body(&head, &error),
        };
        let terms = self.terms(&head);
        let request = Request { head, body, client: self.client() };
        let reply = caught(|| service.call(&request)).unwrap_or_else(|| panicked().into());
        self.reply(&request.head, reply, terms)
    }

    /// Answers one request whose body the service reads.
    fn receive(&mut self, head: Head, limit: u64) -> io::Result<Option<ConnectionEnd>> {
        let (service, terms) = (self.service, self.terms(&head));
        let request = Request { head, body: Vec::new(), client: self.client() };
        let mut body = match StreamedBody::open(&mut self.connection, &request.head, limit, self.limits) {
            Ok(body) => body,
            Err(error) => return self.refuse_body(&request.head, &error),
        };
        let reply = caught(|| service.receive(&request, &mut body)).unwrap_or_else(|| panicked().into());
        match body.finish() {
            Ok(is_read) => self.reply(&request.head, reply, Terms { keep_alive: terms.keep_alive && is_read, ..terms }),
            Err(error) => self.refuse_body(&request.head, &error),
        }
    }

    fn client(&self) -> Client {
        Client(Arc::clone(&self.admission.entry().stream))
    }

    /// Answers a body that can't be read; nobody knows where the next request begins.
    fn refuse_body(&mut self, head: &Head, error: &BodyError) -> io::Result<Option<ConnectionEnd>> {
        let Some(status) = error.status() else { return Ok(Some(ConnectionEnd::Gone)) };
        let response = self.service.finish(head, Response::error(status, error.to_string()));
        self.respond(response, Terms { keep_alive: false, ..self.terms(head) })
    }

    fn reply(&mut self, head: &Head, reply: Reply, mut terms: Terms) -> io::Result<Option<ConnectionEnd>> {
        let service = self.service;
        // A stop in the meantime makes this the last answer.
        terms.keep_alive &= !self.admission.is_stopping();
        match reply {
            Reply::Response(response) => self.respond(service.finish(head, response), terms),
            Reply::Stream(response, body) => self.stream(service.finish(head, response), body, terms),
            Reply::Upgrade(response, body) => {
                self.send(response, false, Persistence::Keep)?;
                Ok(Some(ConnectionEnd::Upgrade(body)))
            }
        }
    }

    fn terms(&self, head: &Head) -> Terms {
        Terms {
            head_only: head.method() == Method::Head,
            http_1_0: head.is_http_1_0(),
            keep_alive: head.keeps_alive() && !self.admission.is_stopping(),
        }
    }

    fn respond(&mut self, response: Response, terms: Terms) -> io::Result<Option<ConnectionEnd>> {
        self.send(response, terms.head_only, terms.persistence())?;
        Ok((!terms.keep_alive).then_some(ConnectionEnd::Linger))
    }

    /// Answers a malformed request, and closes.
    fn refuse(&mut self, status: u16, detail: &str) -> io::Result<ConnectionEnd> {
        self.send(Response::error(status, detail), false, Persistence::Close)?;
        Ok(ConnectionEnd::Linger)
    }

    /// Sends an answer that is there as a whole, and has it counted, whether the peer took it or not.
    fn send(&mut self, response: Response, head_only: bool, persistence: Persistence) -> io::Result<()> {
        let (tag, status) = (response.tag(), response.status());
        let sent = self.send_whole(response, head_only, persistence);
        self.count(tag, status);
        sent
    }

    fn count(&mut self, tag: Option<usize>, status: u16) {
        let time = self.asked.take().map_or(Duration::ZERO, |asked| asked.elapsed());
        self.service.answered(ServedResponse { tag, status, time });
    }

    fn send_whole(&mut self, response: Response, head_only: bool, persistence: Persistence) -> io::Result<()> {
        self.out.clear();
        let status = response.status();
        let content = response.print_head(Length::Content, persistence, &mut self.out);
        if status >= 400 && log::log_enabled!(Level::Debug) {
            let line = self.line.take().unwrap_or_else(|| "a request".to_owned());
            let shown = &content.bytes()[..content.bytes().len().min(LOGGED_BYTES_MAX)];
            log::debug!(
                "{}: {line}: {status} {}",
                self.admission.entry().peer.address(),
                String::from_utf8_lossy(shown)
            );
        }
        let content = if head_only { &[] } else { content.bytes() };
        if content.len() <= ONE_WRITE_BYTES {
            self.out.extend_from_slice(content);
            return self.connection.send(&self.out);
        }
        self.connection.send(&self.out)?;
        self.connection.send(content)
    }

    fn stream(&mut self, response: Response, body: StreamBody, mut terms: Terms) -> io::Result<Option<ConnectionEnd>> {
        terms.keep_alive &= !terms.http_1_0;
        let length = if terms.http_1_0 { Length::UntilClose } else { Length::Chunked };
        self.out.clear();
        let (tag, status) = (response.tag(), response.status());
        let _ = response.print_head(length, terms.persistence(), &mut self.out);
        let sent = self.connection.send(&self.out);
        self.count(tag, status);
        sent?;
        if !terms.head_only {
            let mut writer = StreamWriter::new(&mut self.connection, !terms.http_1_0);
            caught(|| body(&mut writer)).unwrap_or_else(|| Err(io::Error::other("the service panicked")))?;
            writer.finish()?;
        }
        Ok((!terms.keep_alive).then_some(ConnectionEnd::Linger))
    }
}

/// The form in which a request wants its response.
#[derive(Clone, Copy)]
struct Terms {
    head_only: bool,
    http_1_0: bool,
    keep_alive: bool,
}

impl Terms {
    const fn persistence(self) -> Persistence {
        match (self.keep_alive, self.http_1_0) {
            (false, _) => Persistence::Close,
            (true, true) => Persistence::KeepSaid,
            (true, false) => Persistence::Keep,
        }
    }
}

const END_OF_HEAD: &[u8] = b"\n\r\n";

/// Returns whether the end of a head may be in `bytes`, even with bare line feeds, which the parser then refuses.
fn has_end(bytes: &[u8]) -> bool {
    bytes.windows(END_OF_HEAD.len()).any(|window| window == END_OF_HEAD || window.starts_with(b"\n\n"))
        || bytes.ends_with(b"\n\n")
}

/// Runs a piece of the service. `None` when it panicked, which has been reported by then; a build that aborts on panics
/// never comes that far.
fn caught<T>(run: impl FnOnce() -> T) -> Option<T> {
    panic::catch_unwind(AssertUnwindSafe(run)).ok()
}

fn panicked() -> Response {
    Response::error(500, "internal error, see the server's log")
}

/// The content of a streamed answer, on its way to the socket.
struct StreamWriter<'a> {
    connection: &'a mut Connection,
    chunked: bool,
    /// Room for the size line, then what was not sent yet.
    buffer: Vec<u8>,
}

impl<'a> StreamWriter<'a> {
    fn new(connection: &'a mut Connection, chunked: bool) -> Self {
        let mut buffer = Vec::with_capacity(CHUNK_HEAD_BYTES + CHUNK_BYTES + 2);
        buffer.resize(CHUNK_HEAD_BYTES, 0);
        Self { connection, chunked, buffer }
    }

    fn finish(mut self) -> io::Result<()> {
        self.flush()?;
        if self.chunked { self.connection.send(b"0\r\n\r\n") } else { Ok(()) }
    }
}

impl Write for StreamWriter<'_> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let room = CHUNK_HEAD_BYTES + CHUNK_BYTES - self.buffer.len();
        let count = room.min(data.len());
        self.buffer.extend_from_slice(&data[..count]);
        if count == room {
            self.flush()?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        let size = self.buffer.len() - CHUNK_HEAD_BYTES;
        // A chunk without data would be the end of the answer.
        if size == 0 {
            return Ok(());
        }
        let mut start = CHUNK_HEAD_BYTES;
        if self.chunked {
            let head = format!("{size:x}\r\n");
            start -= head.len();
            self.buffer[start..CHUNK_HEAD_BYTES].copy_from_slice(head.as_bytes());
            self.buffer.extend_from_slice(b"\r\n");
        }
        let sent = self.connection.send(&self.buffer[start..]);
        self.buffer.truncate(CHUNK_HEAD_BYTES);
        sent
    }
}
