//! The client's side of HTTP/1.1: writes a request and reads its response, on a connection that the caller has opened.
//!
//! The command line, the webhook, the tests and the benches use it. It opens no connections itself, because each of these
//! has rules of its own for where it may connect to. It knows no redirections, no compression and no TLS.
//!
//! ```text
//! ClientConnection::new(stream) -> send(request) -> head() -> body(&head), then the next request
//! ```

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// Longest head of a response, in bytes.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Most header fields of a response.
const HEAD_FIELDS_MAX: usize = 96;
/// Longest line that begins a chunk, in bytes.
const CHUNK_LINE_MAX: u64 = 4 * 1024;
/// Shortest time-out of a socket, since the system takes zero for none.
const SHORTEST_WAIT: Duration = Duration::from_millis(1);

/// Returns the bytes of a request's head, with a `Content-Length` if `body` is given. Header names and values go out as they
/// are: the caller has checked them.
pub fn request_head(method: &str, target: &str, headers: &[(&str, &str)], body: Option<u64>) -> Vec<u8> {
    let mut head = format!("{method} {target} HTTP/1.1\r\n");
    for (name, value) in headers {
        head.extend([name, ": ", value, "\r\n"]);
    }
    if let Some(length) = body {
        head.push_str(&format!("Content-Length: {length}\r\n"));
    }
    head.push_str("\r\n");
    head.into_bytes()
}

/// The head of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResponseHead {
    /// The status code.
    pub status: u16,
    /// All of it, with the empty line.
    bytes: Vec<u8>,
}

impl ResponseHead {
    /// Returns the header fields in order, as names and values.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        let lines = self.bytes.split(|&byte| byte == b'\n').skip(1);
        // No caller looks for values that are not UTF-8.
        lines
            .filter_map(|line| std::str::from_utf8(line).ok()?.split_once(':'))
            .map(|(name, value)| (name, value.trim()))
    }

    /// Returns the value of the first field with this name, in any case of letters.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.fields().find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// Returns how the end of the body is found (RFC 9112, 6.3), for a request that was not a HEAD.
    fn framing(&self) -> io::Result<Framing> {
        if matches!(self.status, 100..=199 | 204 | 304) {
            return Ok(Framing::Length(0));
        }
        if self.header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
            return Ok(Framing::Chunked { left: 0, first: true });
        }
        match self.header("content-length").map(str::parse) {
            Some(Ok(length)) => Ok(Framing::Length(length)),
            Some(Err(_)) => Err(invalid("the response has a Content-Length that is not a number")),
            None => Ok(Framing::UntilClose),
        }
    }
}

/// The rule that ends a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    /// Ends after this many more bytes.
    Length(u64),
    /// Ends with the last chunk. `left` bytes of the current one are still to come.
    Chunked { left: u64, first: bool },
    /// Ends with the connection.
    UntilClose,
    /// Ended.
    Ended,
}

/// A connection to a server.
#[derive(Debug)]
pub struct ClientConnection {
    reader: BufReader<TimedStream>,
}

impl ClientConnection {
    /// Takes over an open connection. Reads and writes have the time-outs that are set on it.
    pub fn new(stream: TcpStream) -> Self {
        Self { reader: BufReader::new(TimedStream { stream, deadline: None }) }
    }

    /// Sets the time at which every read and write fails with `TimedOut`; it replaces the stream's own time-outs.
    pub fn set_deadline(&mut self, deadline: Instant) {
        self.reader.get_mut().deadline = Some(deadline);
    }

    /// Returns the stream below.
    pub fn stream(&self) -> &TcpStream {
        &self.reader.get_ref().stream
    }

    /// Writes bytes: a whole request, or a part of one.
    ///
    /// # Errors
    /// The connection's. A server may answer and close before it has read a whole body: try to read the response all the
    /// same.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.reader.get_mut().write_all(bytes)
    }

    /// Reads the head of the next final response: interim ones (100 to 199, but for 101) are skipped. The body of the
    /// response before it must have been read.
    ///
    /// # Errors
    /// The connection's; `UnexpectedEof` when it ends first; `InvalidData` for what is not HTTP or larger than the bounds.
    pub fn head(&mut self) -> io::Result<ResponseHead> {
        loop {
            let head = self.next_head()?;
            if !matches!(head.status, 100 | 102..=199) {
                return Ok(head);
            }
        }
    }

    /// Reads the head of the next response, be it an interim one.
    ///
    /// # Errors
    /// As [`ClientConnection::head`].
    pub fn next_head(&mut self) -> io::Result<ResponseHead> {
        let mut bytes = Vec::new();
        // Line by line, so that what follows the head stays in the buffer.
        while !bytes.ends_with(b"\r\n\r\n") && !bytes.ends_with(b"\n\n") {
            let room = (HEAD_BYTES_MAX + 1).saturating_sub(bytes.len());
            let read = (&mut self.reader).take(room as u64).read_until(b'\n', &mut bytes)?;
            if bytes.len() > HEAD_BYTES_MAX {
                return Err(invalid("the head of the response is too long"));
            }
            if read == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            // Reported at once, for a server that speaks another protocol and waits.
            if !b"HTTP/1.".starts_with(&bytes[..bytes.len().min(7)]) {
                return Err(invalid("the response is not HTTP"));
            }
        }
        let mut fields = [httparse::EMPTY_HEADER; HEAD_FIELDS_MAX];
        let mut response = httparse::Response::new(&mut fields);
        response.parse(&bytes).map_err(|error| invalid(&format!("the response is not HTTP: {error}")))?;
        let status = response.code.ok_or_else(|| invalid("the response has no status"))?;
        Ok(ResponseHead { status, bytes })
    }

    /// Returns a reader of the body that follows `head`, for a request that was not a HEAD.
    ///
    /// # Errors
    /// `InvalidData` when the head does not say where the body ends.
    pub fn body(&mut self, head: &ResponseHead) -> io::Result<ResponseBody<&mut Self>> {
        Ok(ResponseBody { framing: head.framing()?, connection: self })
    }

    /// Works like [`ClientConnection::body`], for the last response on this connection.
    ///
    /// # Errors
    /// See there.
    pub fn into_body(self, head: &ResponseHead) -> io::Result<ResponseBody<Self>> {
        Ok(ResponseBody { framing: head.framing()?, connection: self })
    }

    /// Reads what has come and what comes, without looking at it.
    ///
    /// # Errors
    /// The connection's.
    pub fn read_raw(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.reader.read(buffer)
    }
}

impl AsMut<Self> for ClientConnection {
    fn as_mut(&mut self) -> &mut Self {
        self
    }
}

/// Reads one response's body. It ends where the body ends; a connection that ends before is an error.
#[derive(Debug)]
pub struct ResponseBody<C> {
    framing: Framing,
    connection: C,
}

impl<C: AsMut<ClientConnection>> ResponseBody<C> {
    /// Moves to where bytes of the body come next, over what frames chunks.
    fn advance(&mut self) -> io::Result<()> {
        let reader = &mut self.connection.as_mut().reader;
        match self.framing {
            Framing::Length(0) => self.framing = Framing::Ended,
            Framing::Chunked { left: 0, first } => {
                if !first && !chunk_line(reader)?.is_empty() {
                    return Err(invalid("a chunk of the response is longer than it says"));
                }
                let line = chunk_line(reader)?;
                let size = line.split(';').next().unwrap_or_default().trim();
                let size = u64::from_str_radix(size, 16).map_err(|_| invalid("a chunk of the response has no size"))?;
                self.framing = if size == 0 { Framing::Ended } else { Framing::Chunked { left: size, first: false } };
                // Trailers, up to the empty line.
                while size == 0 && !chunk_line(reader)?.is_empty() {}
            }
            _ => {}
        }
        Ok(())
    }
}

/// Reads a line of the framing of chunks, without its end.
fn chunk_line(reader: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    reader.take(CHUNK_LINE_MAX).read_line(&mut line)?;
    match line.strip_suffix('\n') {
        Some(line) => Ok(line.strip_suffix('\r').unwrap_or(line).to_owned()),
        None if line.len() as u64 >= CHUNK_LINE_MAX => Err(invalid("the frame of a chunk is too long")),
        None => Err(ErrorKind::UnexpectedEof.into()),
    }
}

impl<C: AsMut<ClientConnection>> BufRead for ResponseBody<C> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.advance()?;
        let limit = match self.framing {
            Framing::Ended => return Ok(&[]),
            Framing::UntilClose => u64::MAX,
            Framing::Length(left) | Framing::Chunked { left, .. } => left,
        };
        let filled = self.connection.as_mut().reader.fill_buf()?;
        if filled.is_empty() && self.framing != Framing::UntilClose {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let count = filled.len().min(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(&filled[..count])
    }

    fn consume(&mut self, count: usize) {
        self.connection.as_mut().reader.consume(count);
        if let Framing::Length(left) | Framing::Chunked { left, .. } = &mut self.framing {
            *left -= count as u64;
        }
    }
}

impl<C: AsMut<ClientConnection>> Read for ResponseBody<C> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(buffer)?;
        self.consume(count);
        Ok(count)
    }
}

/// A stream whose reads and writes end at a deadline, if there is one.
#[derive(Debug)]
struct TimedStream {
    stream: TcpStream,
    deadline: Option<Instant>,
}

impl TimedStream {
    /// Returns the time left. A time-out of the socket is followed by a look at the deadline.
    fn remaining_time(&self) -> io::Result<Option<Duration>> {
        let Some(deadline) = self.deadline else { return Ok(None) };
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::Error::new(ErrorKind::TimedOut, "no answer in time"));
        }
        Ok(Some(left.max(SHORTEST_WAIT)))
    }

    /// Does one read or write, again after a time-out of the socket as long as the deadline has not passed.
    fn in_time(
        &mut self,
        limit: fn(&TcpStream, Option<Duration>) -> io::Result<()>,
        mut transfer: impl FnMut(&mut TcpStream) -> io::Result<usize>,
    ) -> io::Result<usize> {
        loop {
            if let Some(left) = self.remaining_time()? {
                limit(&self.stream, Some(left))?;
            }
            match transfer(&mut self.stream) {
                Err(error) if self.is_retried(&error) => {}
                done => return done,
            }
        }
    }

    fn is_retried(&self, error: &io::Error) -> bool {
        let timed_out = matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
        error.kind() == ErrorKind::Interrupted || timed_out && self.deadline.is_some()
    }
}

impl Read for TimedStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.in_time(TcpStream::set_read_timeout, |stream| stream.read(buffer))
    }
}

impl Write for TimedStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.in_time(TcpStream::set_write_timeout, |stream| stream.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn invalid(text: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, text)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// Reads `count` responses that a server sends as these bytes and then closes.
    fn responses(bytes: &'static [u8], count: usize) -> Vec<io::Result<(u16, String)>> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let server = thread::spawn(move || listener.accept().unwrap().0.write_all(bytes).unwrap());
        let mut connection = ClientConnection::new(stream);
        connection.set_deadline(Instant::now() + Duration::from_secs(30));
        let read = (0..count).map(|_| {
            let head = connection.head()?;
            let mut text = String::new();
            connection.body(&head)?.read_to_string(&mut text)?;
            Ok((head.status, text))
        });
        let read = read.collect();
        server.join().unwrap();
        read
    }

    #[test]
    fn responses_of_every_framing_follow_each_other() {
        let bytes = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\noneHTTP/1.1 204 No Content\r\n\r\n\
            HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n2;x=y\r\ntw\r\n1\r\no\r\n0\r\ntrailer: t\r\n\r\n\
            HTTP/1.0 500 x\r\n\r\nuntil the end";
        let read: Vec<_> = responses(bytes, 4).into_iter().map(Result::unwrap).collect();
        let text = |status: u16, text: &str| (status, text.to_owned());
        assert_eq!(read, [text(200, "one"), text(204, ""), text(200, "two"), text(500, "until the end")]);
    }

    #[test]
    fn responses_that_are_cut_or_malformed_are_errors() {
        let cut: [&[u8]; 4] = [
            b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\non",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
            b"HTTP/1.1 200 OK\r\n",
            b"",
        ];
        for bytes in cut {
            assert_eq!(responses(bytes, 1)[0].as_ref().unwrap_err().kind(), ErrorKind::UnexpectedEof, "{bytes:?}");
        }
        let malformed: [&[u8]; 5] = [
            b"SSH-2.0-x\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 3x\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n",
            b"HTTP/1.1 abc\r\n\r\n",
        ];
        for bytes in malformed {
            assert_eq!(responses(bytes, 1)[0].as_ref().unwrap_err().kind(), ErrorKind::InvalidData, "{bytes:?}");
        }
    }

    #[test]
    fn endless_heads_are_refused() {
        let bytes = format!("HTTP/1.1 200 OK\r\nx: {}", "y".repeat(HEAD_BYTES_MAX)).leak();
        assert_eq!(responses(bytes.as_bytes(), 1)[0].as_ref().unwrap_err().kind(), ErrorKind::InvalidData);
    }

    #[test]
    fn silent_server_is_left_at_the_deadline() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut connection = ClientConnection::new(TcpStream::connect(listener.local_addr().unwrap()).unwrap());
        connection.set_deadline(Instant::now() + Duration::from_millis(50));
        assert_eq!(connection.head().unwrap_err().kind(), ErrorKind::TimedOut);
    }
}
