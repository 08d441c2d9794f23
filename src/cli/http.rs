//! One request per connection to the server, and its response as JSON or as streamed lines; or a WebSocket, which also
//! carries deltas of unfinished messages.

use std::fmt;
use std::io::{self, BufRead, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

use serde_json::Value;
use tungstenite::handshake::HandshakeError;
use tungstenite::handshake::client::generate_key;
use tungstenite::{Bytes, Message, WebSocket};

use crate::api::mistakes_in_words;
use crate::banner::urls;
use crate::config::Config;
use crate::http::client::{ClientConnection, request_head};
use crate::token;

/// Time limit for the server to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Time for which the server may send nothing; streams have keep-alives more often.
const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// Time for which the server may read nothing of a body.
const WRITE_TIMEOUT: Duration = Duration::from_secs(60);
/// Buffer size for bodies, in bytes.
const PIECE_BYTES: usize = 64 * 1024;
/// The server's address, if it is not that of the local settings.
const URL: &str = "RS_WORKER_URL";
/// The token of that server.
const TOKEN: &str = "RS_WORKER_TOKEN";

/// The failure of a request to the server.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct RequestError {
    /// The status of the response; `None` when there was none.
    status: Option<u16>,
    text: String,
}

impl RequestError {
    /// Returns whether a server refused the client itself: its token is missing or wrong.
    pub(super) const fn is_unauthorized(&self) -> bool {
        matches!(self.status, Some(401))
    }

    /// Returns whether the server does not have what the request names.
    pub(super) const fn is_not_found(&self) -> bool {
        matches!(self.status, Some(404))
    }

    /// Returns whether a repeated request will be refused again: the worker is gone, or access is denied.
    pub(super) const fn is_final(&self) -> bool {
        matches!(self.status, Some(401 | 403 | 404))
    }
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<RequestError> for String {
    fn from(error: RequestError) -> Self {
        error.text
    }
}

/// The body of a request.
enum RequestBody<'c> {
    /// JSON.
    Json(&'c [u8]),
    /// Lines of JSON.
    Lines(LinesFile<'c>),
}

/// A file of lines of JSON that is streamed.
pub(super) struct LinesFile<'c> {
    /// Its name, for people.
    pub(super) name: &'c str,
    /// Its content.
    pub(super) source: Box<dyn Read>,
    /// Its length in bytes, if it is known.
    pub(super) length: Option<u64>,
}

/// A server that accepts requests.
#[derive(Clone)]
pub(super) struct ApiServer {
    addresses: Vec<SocketAddr>,
    host: String,
    base: String,
    token: Option<String>,
    /// True if a server other than that of the local settings was requested.
    elsewhere: bool,
    /// The addresses by which browsers reach it.
    pages: Vec<String>,
}

impl ApiServer {
    /// Finds the server of `--url` and `--token`, of the environment, or of this machine's settings.
    ///
    /// The token of this machine's settings goes only to the server of these settings, never to another address.
    pub(super) fn find(url: Option<String>, token: Option<String>) -> Result<Self, String> {
        let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let token = token.or_else(|| variable(TOKEN));
        // The token becomes a line of the request's head.
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
            pages: urls(&config, address),
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
        let pages = vec![format!("http://{host}{base}")];
        Ok(Self { addresses, host: host.to_owned(), base, token, elsewhere: true, pages })
    }

    /// Sends a request, and returns the response's JSON. An error response becomes an error with its `detail`.
    pub(super) fn json(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, RequestError> {
        let body = body.map(Value::to_string).unwrap_or_default();
        self.read_json(self.answered(method, path, RequestBody::Json(body.as_bytes()))?)
    }

    /// Sends a body of JSON, and returns that of the response, without parsing either.
    pub(super) fn post_bytes(&self, path: &str, body: &[u8]) -> Result<Vec<u8>, RequestError> {
        let mut answer = Vec::new();
        let mut stream = self.answered("POST", path, RequestBody::Json(body))?;
        stream.read_to_end(&mut answer).map_err(|error| self.lost(&error))?;
        Ok(answer)
    }

    /// Sends lines of JSON, and returns the response's JSON.
    pub(super) fn lines(&self, path: &str, file: LinesFile<'_>) -> Result<Value, RequestError> {
        self.read_json(self.answered("POST", path, RequestBody::Lines(file))?)
    }

    fn read_json(&self, mut body: Box<dyn BufRead>) -> Result<Value, RequestError> {
        let mut text = String::new();
        body.read_to_string(&mut text).map_err(|error| self.lost(&error))?;
        serde_json::from_str(&text).map_err(|error| unanswered(format!("http://{}: not JSON: {error}", self.host)))
    }

    /// Sends a request, and returns the response's body as a stream.
    pub(super) fn open(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Box<dyn BufRead>, RequestError> {
        let body = body.map(Value::to_string).unwrap_or_default();
        self.answered(method, path, RequestBody::Json(body.as_bytes()))
    }

    fn answered(&self, method: &str, path: &str, content: RequestBody<'_>) -> Result<Box<dyn BufRead>, RequestError> {
        let mut connection = ClientConnection::new(self.send(method, path, content)?);
        let head = connection.head().map_err(|error| self.lost(&error))?;
        let mut body = connection.into_body(&head).map_err(|error| self.lost(&error))?;
        if (200..300).contains(&head.status) {
            return Ok(Box::new(body));
        }
        let mut text = Vec::new();
        body.read_to_end(&mut text).map_err(|error| self.lost(&error))?;
        Err(refused(head.status, &text))
    }

    /// Opens a WebSocket.
    pub(super) fn socket(&self, path: &str) -> Result<Socket, RequestError> {
        let mut request = tungstenite::http::Request::get(format!("ws://{}{}{path}", self.host, self.base))
            .header("Host", &self.host)
            .header("Connection", "Upgrade")
            .header("Upgrade", "websocket")
            .header("Sec-WebSocket-Version", "13")
            .header("Sec-WebSocket-Key", generate_key());
        if let Some(token) = &self.token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        let request = request.body(()).map_err(|error| unanswered(format!("{path}: {error}")))?;
        match tungstenite::client(request, self.connect()?) {
            Ok((socket, _)) => Ok(Socket { inner: socket, asked: false }),
            Err(HandshakeError::Failure(tungstenite::Error::Http(answer))) => {
                Err(refused(answer.status().as_u16(), answer.body().as_deref().unwrap_or_default()))
            }
            Err(HandshakeError::Failure(error)) => Err(self.lost(&error)),
            Err(HandshakeError::Interrupted(_)) => Err(self.lost(&"the server does not respond")),
        }
    }

    fn connect(&self) -> Result<TcpStream, RequestError> {
        let mut failure = None;
        let connected = self.addresses.iter().find_map(|address| {
            TcpStream::connect_timeout(address, CONNECT_TIMEOUT).map_err(|error| failure = Some(error)).ok()
        });
        let Some(stream) = connected else {
            let why = failure.map_or_else(|| "no address".to_owned(), |error| error.to_string());
            return Err(unanswered(format!(
                "no server at http://{}: {why}; start one with `rs-worker serve`, or name another with --url or {URL}",
                self.host
            )));
        };
        stream.set_read_timeout(Some(READ_TIMEOUT)).map_err(|error| self.lost(&error))?;
        Ok(stream)
    }

    fn send(&self, method: &str, path: &str, content: RequestBody<'_>) -> Result<TcpStream, RequestError> {
        let mut stream = self.connect()?;
        let authorization = self.token.as_ref().map(|token| format!("Bearer {token}"));
        let mut fields = vec![("Host", self.host.as_str()), ("Connection", "close")];
        fields.extend(authorization.as_deref().map(|token| ("Authorization", token)));
        fields.extend(match &content {
            RequestBody::Json(b"") => None,
            RequestBody::Json(_) => Some(("Content-Type", "application/json")),
            RequestBody::Lines(_) => Some(("Content-Type", "application/x-ndjson")),
        });
        let length = match &content {
            RequestBody::Json(body) => Some(body.len() as u64),
            RequestBody::Lines(file) => file.length,
        };
        if length.is_none() {
            fields.push(("Transfer-Encoding", "chunked"));
        }
        let head = request_head(method, &format!("{}{path}", self.base), &fields, length);
        let sent = stream.write_all(&head);
        // A server that refuses a long body does not read all of it, and its response has the reason.
        match content {
            RequestBody::Json(b"") => sent.map_err(|error| self.lost(&error))?,
            RequestBody::Json(body) => drop(sent.and_then(|()| stream.write_all(body))),
            RequestBody::Lines(file) => {
                stream.set_write_timeout(Some(WRITE_TIMEOUT)).map_err(|error| self.lost(&error))?;
                send_lines(&mut stream, file)?;
            }
        }
        Ok(stream)
    }

    /// Returns whether it was given explicitly instead of found in the settings.
    pub(super) const fn is_elsewhere(&self) -> bool {
        self.elsewhere
    }

    /// Returns the addresses by which browsers reach it.
    pub(super) fn pages(&self) -> &[String] {
        &self.pages
    }

    /// Returns its address, for people.
    pub(super) fn place(&self) -> String {
        format!("http://{}{}", self.host, self.base)
    }

    fn lost(&self, error: &dyn fmt::Display) -> RequestError {
        unanswered(format!("the connection to http://{} was lost: {error}", self.host))
    }
}

/// Streams a body, in chunks if its length is not known, until the server accepts no more of it.
fn send_lines(stream: &mut TcpStream, file: LinesFile<'_>) -> Result<(), RequestError> {
    let LinesFile { name, source, length: mut left } = file;
    let mut piece = vec![0; PIECE_BYTES];
    let mut lines = source.take(left.unwrap_or(u64::MAX));
    loop {
        let count = match lines.read(&mut piece) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(unanswered(format!("{name}: {error}"))),
        };
        let sent = match &mut left {
            Some(left) => {
                *left -= count as u64;
                stream.write_all(&piece[..count])
            }
            None => write!(stream, "{count:x}\r\n")
                .and_then(|()| stream.write_all(&piece[..count]))
                .and_then(|()| stream.write_all(b"\r\n")),
        };
        match (count, left) {
            (0, Some(left @ 1..)) => {
                return Err(unanswered(format!("{name} became {left} bytes shorter while it was sent")));
            }
            (0, _) => return Ok(()),
            _ if sent.is_err() => return Ok(()),
            _ => {}
        }
    }
}

/// An open WebSocket.
pub(super) struct Socket {
    inner: WebSocket<TcpStream>,
    /// True if the server has not answered the last ping yet.
    asked: bool,
}

impl Socket {
    /// Returns the connection itself, for a caller that both reads and writes.
    pub(super) fn into_inner(self) -> WebSocket<TcpStream> {
        self.inner
    }

    /// Returns the next message; `None` when the server has closed the connection.
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
                // A server with a long ping interval may be healthy.
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

const fn unanswered(text: String) -> RequestError {
    RequestError { status: None, text }
}

/// The error of a response with its `detail`.
fn refused(status: u16, body: &[u8]) -> RequestError {
    let answer = serde_json::from_slice::<Value>(body).unwrap_or_default();
    let mut text = match answer.get("detail").cloned() {
        Some(Value::String(detail)) => detail,
        Some(mistakes @ Value::Array(_)) => mistakes_in_words(&mistakes),
        _ => format!("the server answered with status {status}"),
    };
    if let Some(ask) = answer["ask"].as_str() {
        text += &format!("\n\nA message that asks the agent to resolve them:\n\n{ask}");
    }
    if status == 401 {
        text += &format!(
            " (give --token, or set {TOKEN}: the token is AUTH_TOKEN, or in data/auth_token where the server runs. It is \
             found without these in the server's directory, if HOST is set in .env and not in the environment alone)"
        );
    }
    RequestError { status: Some(status), text }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// Opens a WebSocket with this time limit, to a server that runs this function.
    fn socket(wait: Duration, server: fn(WebSocket<TcpStream>)) -> Socket {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let server = thread::spawn(move || server(tungstenite::accept(listener.accept().unwrap().0).unwrap()));
        let here = ApiServer {
            addresses: vec![at],
            host: at.to_string(),
            base: String::new(),
            token: None,
            elsewhere: true,
            pages: Vec::new(),
        };
        let socket = here.socket("/ws/x?since=0").unwrap();
        socket.inner.get_ref().set_read_timeout(Some(wait)).unwrap();
        drop(server);
        socket
    }

    #[test]
    fn silent_server_that_answers_pings_is_waited_for() {
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
