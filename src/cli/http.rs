//! One request to the server on a connection of its own, and its answer as JSON or as lines while they come; or a
//! WebSocket, which also tells of a message while it is written.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

use serde_json::Value;
use tungstenite::handshake::HandshakeError;
use tungstenite::handshake::client::generate_key;
use tungstenite::{Bytes, Message, WebSocket};

use crate::api::mistakes_in_words;
use crate::config::Config;
use crate::token;

/// How long the server may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the server may say nothing; a stream is kept alive more often.
const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// Longest head of an answer, in bytes.
const HEAD_MAX: u64 = 64 * 1024;
/// Where the server is, when not on this machine with these settings.
const URL: &str = "RS_WORKER_URL";
/// The token of that server.
const TOKEN: &str = "RS_WORKER_TOKEN";

/// A server that can be asked.
#[derive(Clone)]
pub(super) struct Server {
    addresses: Vec<SocketAddr>,
    host: String,
    base: String,
    token: Option<String>,
    /// Whether another one than that of this machine's settings was asked for.
    elsewhere: bool,
}

impl Server {
    /// The server of `--url` and `--token`, of the environment, or of this machine's settings.
    ///
    /// The token of this machine's settings goes only to the server of these settings, never to an address that was
    /// given.
    pub(super) fn find(url: Option<String>, token: Option<String>) -> Result<Self, String> {
        let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let token = token.or_else(|| variable(TOKEN));
        // It becomes a line of the request's head.
        if token.as_deref().is_some_and(|token| !token.bytes().all(|byte| byte.is_ascii_graphic())) {
            return Err("the token holds blanks or control characters".to_owned());
        }
        if let Some(url) = url.or_else(|| variable(URL)) {
            return Self::at(&url, token);
        }
        let config = Config::from_system().map_err(|error| error.to_string())?;
        let ip = match config.host {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        let token = match token {
            None if config.needs_token() => match &config.auth_token {
                Some(secret) => Some(secret.expose().to_owned()),
                None => token::read(&config.auth_token_file)
                    .map_err(|error| error.to_string())?
                    .map(|secret| secret.expose().to_owned()),
            },
            given => given,
        };
        let address = SocketAddr::new(ip, config.port);
        Ok(Self {
            addresses: vec![address],
            host: address.to_string(),
            base: config.base_path,
            token,
            elsewhere: false,
        })
    }

    fn at(url: &str, token: Option<String>) -> Result<Self, String> {
        let rest = url.strip_prefix("http://").ok_or_else(|| {
            format!("{url}: give an address that begins with http:// (for https, forward a port: ssh -L 8000:localhost:8000)")
        })?;
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let base = if path.is_empty() { String::new() } else { format!("/{}", path.trim_end_matches('/')) };
        let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let dialled = if has_port { host.to_owned() } else { format!("{host}:80") };
        let addresses = dialled.to_socket_addrs().map_err(|error| format!("{url}: {error}"))?.collect();
        Ok(Self { addresses, host: host.to_owned(), base, token, elsewhere: true })
    }

    /// Asks, and gives the answer's JSON. An error answer's `detail` is the error.
    pub(super) fn json(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, String> {
        let body = body.map(Value::to_string).unwrap_or_default();
        self.read_json(self.answered(method, path, "application/json", body.as_bytes())?)
    }

    /// Sends lines of JSON, and gives the answer's JSON.
    pub(super) fn lines(&self, method: &str, path: &str, lines: &[u8]) -> Result<Value, String> {
        self.read_json(self.answered(method, path, "application/x-ndjson", lines)?)
    }

    fn read_json(&self, mut body: Box<dyn BufRead>) -> Result<Value, String> {
        let mut text = String::new();
        body.read_to_string(&mut text).map_err(|error| self.lost(&error))?;
        serde_json::from_str(&text).map_err(|error| format!("http://{}: no JSON: {error}", self.host))
    }

    /// Asks, and gives the answer's body to be read as it comes.
    pub(super) fn open(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Box<dyn BufRead>, String> {
        let body = body.map(Value::to_string).unwrap_or_default();
        self.answered(method, path, "application/json", body.as_bytes())
    }

    fn answered(&self, method: &str, path: &str, media: &str, body: &[u8]) -> Result<Box<dyn BufRead>, String> {
        let mut reader = BufReader::new(self.send(method, path, media, body)?);
        let (status, chunked, length) = read_head(&mut reader).map_err(|error| self.lost(&error))?;
        let mut body: Box<dyn BufRead> = match (chunked, length) {
            (true, _) => Box::new(BufReader::new(Chunks { inner: reader, left: 0, ended: false })),
            (false, Some(length)) => Box::new(reader.take(length)),
            (false, None) => Box::new(reader),
        };
        if (200..300).contains(&status) {
            return Ok(body);
        }
        let mut text = Vec::new();
        body.read_to_end(&mut text).map_err(|error| self.lost(&error))?;
        Err(refused(status, &text))
    }

    /// Opens a WebSocket.
    pub(super) fn socket(&self, path: &str) -> Result<Socket, String> {
        let mut request = tungstenite::http::Request::get(format!("ws://{}{}{path}", self.host, self.base))
            .header("Host", &self.host)
            .header("Connection", "Upgrade")
            .header("Upgrade", "websocket")
            .header("Sec-WebSocket-Version", "13")
            .header("Sec-WebSocket-Key", generate_key());
        if let Some(token) = &self.token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        let request = request.body(()).map_err(|error| format!("{path}: {error}"))?;
        match tungstenite::client(request, self.connect()?) {
            Ok((socket, _)) => Ok(Socket { inner: socket, asked: false }),
            Err(HandshakeError::Failure(tungstenite::Error::Http(answer))) => {
                Err(refused(answer.status().as_u16(), answer.body().as_deref().unwrap_or_default()))
            }
            Err(HandshakeError::Failure(error)) => Err(self.lost(&error)),
            Err(HandshakeError::Interrupted(_)) => Err(self.lost(&"the server says nothing")),
        }
    }

    fn connect(&self) -> Result<TcpStream, String> {
        let mut failure = None;
        let connected = self.addresses.iter().find_map(|address| {
            TcpStream::connect_timeout(address, CONNECT_TIMEOUT).map_err(|error| failure = Some(error)).ok()
        });
        let Some(stream) = connected else {
            let why = failure.map_or_else(|| "no address".to_owned(), |error| error.to_string());
            return Err(format!(
                "no server at http://{}: {why}; start one with `rs-worker serve`, or name another with --url or {URL}",
                self.host
            ));
        };
        stream.set_read_timeout(Some(READ_TIMEOUT)).map_err(|error| self.lost(&error))?;
        Ok(stream)
    }

    fn send(&self, method: &str, path: &str, media: &str, body: &[u8]) -> Result<TcpStream, String> {
        let mut stream = self.connect()?;
        let mut head = format!("{method} {}{path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", self.base, self.host);
        if let Some(token) = &self.token {
            head += &format!("Authorization: Bearer {token}\r\n");
        }
        if !body.is_empty() {
            head += &format!("Content-Type: {media}\r\n");
        }
        head += &format!("Content-Length: {}\r\n\r\n", body.len());
        let sent = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
        // A server that refuses a long body does not read all of it, and its answer says why.
        match sent {
            Err(error) if body.is_empty() => Err(self.lost(&error)),
            _ => Ok(stream),
        }
    }

    /// Whether it was named, instead of found in the settings.
    pub(super) const fn is_elsewhere(&self) -> bool {
        self.elsewhere
    }

    /// Where it is, for people.
    pub(super) fn place(&self) -> String {
        format!("http://{}{}", self.host, self.base)
    }

    fn lost(&self, error: &dyn fmt::Display) -> String {
        format!("the connection to http://{} was lost: {error}", self.host)
    }
}

/// An open WebSocket.
pub(super) struct Socket {
    inner: WebSocket<TcpStream>,
    /// Whether the server was asked for a sign of life and has given none yet.
    asked: bool,
}

impl Socket {
    /// The next message; `None` when the server has closed it.
    pub(super) fn read(&mut self) -> Result<Option<Value>, String> {
        loop {
            let read = self.inner.read();
            self.asked &= read.is_err();
            match read {
                Ok(Message::Text(text)) => {
                    return serde_json::from_str(&text).map(Some).map_err(|error| format!("no JSON: {error}"));
                }
                // Pings are answered while reading.
                Ok(Message::Close(_)) | Err(tungstenite::Error::ConnectionClosed) => return Ok(None),
                Ok(_) => {}
                // A server that is set to ping seldom may be well.
                Err(tungstenite::Error::Io(error)) if is_timeout(&error) && !self.asked => {
                    self.asked = true;
                    self.inner.send(Message::Ping(Bytes::new())).map_err(|error| lost(&error))?;
                }
                Err(error) => return Err(lost(&error)),
            }
        }
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

fn lost(error: &tungstenite::Error) -> String {
    format!("the stream of events was lost: {error}")
}

/// What an answer that is an error says.
fn refused(status: u16, body: &[u8]) -> String {
    let detail = serde_json::from_slice::<Value>(body).ok().and_then(|value| value.get("detail").cloned());
    let told = match detail {
        Some(Value::String(detail)) => detail,
        Some(mistakes @ Value::Array(_)) => mistakes_in_words(&mistakes),
        _ => format!("the server answered with status {status}"),
    };
    let hint = if status == 401 { format!(" (give --token, or set {TOKEN})") } else { String::new() };
    told + &hint
}

/// The status, whether the body comes in chunks, and else its length.
fn read_head(reader: &mut impl BufRead) -> io::Result<(u16, bool, Option<u64>)> {
    let bad = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let mut lines = reader.take(HEAD_MAX);
    let mut line = String::new();
    lines.read_line(&mut line)?;
    let status = line.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5)).and_then(|code| code.parse().ok());
    let status = status.ok_or_else(|| bad("that is no HTTP server"))?;
    let (mut chunked, mut length) = (false, None);
    loop {
        line.clear();
        lines.read_line(&mut line)?;
        if !line.ends_with('\n') {
            return Err(bad("the head of the answer is cut off or too long"));
        }
        let header = line.trim_end();
        let Some((name, value)) = header.split_once(':') else { break };
        match name.to_ascii_lowercase().as_str() {
            "transfer-encoding" => chunked = value.trim().eq_ignore_ascii_case("chunked"),
            "content-length" => length = value.trim().parse().ok(),
            _ => {}
        }
    }
    Ok((status, chunked, length))
}

/// A body that comes in chunks.
struct Chunks {
    inner: BufReader<TcpStream>,
    left: u64,
    ended: bool,
}

impl Read for Chunks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.left == 0 && !self.ended {
            let mut line = String::new();
            (&mut self.inner).take(HEAD_MAX).read_line(&mut line)?;
            if line == "\r\n" {
                continue;
            }
            let size = line.trim_end().split(';').next().unwrap_or_default();
            self.left = u64::from_str_radix(size, 16).map_err(|_| io::Error::from(io::ErrorKind::UnexpectedEof))?;
            self.ended = self.left == 0;
        }
        let read = (&mut self.inner).take(self.left).read(buffer)?;
        if read == 0 && self.left > 0 && !buffer.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// A WebSocket that waits for so long only, to a server that does this with it.
    fn socket(wait: Duration, server: fn(WebSocket<TcpStream>)) -> Socket {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let server = thread::spawn(move || server(tungstenite::accept(listener.accept().unwrap().0).unwrap()));
        let here =
            Server { addresses: vec![at], host: at.to_string(), base: String::new(), token: None, elsewhere: true };
        let socket = here.socket("/ws/x?since=0").unwrap();
        socket.inner.get_ref().set_read_timeout(Some(wait)).unwrap();
        drop(server);
        socket
    }

    #[test]
    fn a_server_that_is_silent_and_answers_a_ping_is_waited_for() {
        // A busy machine answers late.
        let mut socket = socket(Duration::from_secs(2), |mut server| {
            for number in 0..2 {
                assert!(matches!(server.read(), Ok(Message::Ping(_))), "it is asked for a sign of life");
                server.send(Message::text(number.to_string())).unwrap();
            }
            server.close(None).unwrap();
            while server.read().is_ok() {}
        });
        assert_eq!(socket.read(), Ok(Some(0.into())));
        assert_eq!(socket.read(), Ok(Some(1.into())));
        assert_eq!(socket.read(), Ok(None));
    }

    #[test]
    fn a_server_that_gives_no_sign_of_life_is_lost() {
        let mut socket = socket(Duration::from_millis(50), |server| {
            let mut deaf = server.into_inner();
            while matches!(deaf.read(&mut [0; 64]), Ok(1..)) {}
        });
        assert!(socket.read().unwrap_err().starts_with("the stream of events was lost"));
    }
}
