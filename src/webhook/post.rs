//! One POST: to an address that was looked at, within a deadline, and without following anywhere else.

use std::fmt;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::time::{Duration, Instant};

use super::address;
use super::target::Target;

/// Most bytes of an answer's head; its content is not read at all.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Most fields of it.
const HEAD_FIELDS_MAX: usize = 64;
/// Most addresses of a name that are tried.
const ADDRESSES_MAX: usize = 8;
/// Shortest time-out that is given to the kernel, which takes 0 for "none".
const SHORTEST_WAIT: Duration = Duration::from_millis(1);

/// Why a message was not taken.
#[derive(Debug)]
pub(super) enum Failure {
    /// The address is one that is not allowed.
    Private(String),
    /// The network, or the receiver's protocol.
    Io(io::Error),
    /// The receiver has said no.
    Status(u16),
}

impl Failure {
    /// Whether another try may go better.
    pub(super) const fn is_passing(&self) -> bool {
        match self {
            Self::Private(_) => false,
            Self::Io(_) => true,
            Self::Status(status) => *status >= 500 || matches!(*status, 408 | 425 | 429),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Private(reason) => write!(f, "{reason} (see WEBHOOK_ALLOW_PRIVATE)"),
            Self::Io(error) => write!(f, "{error}"),
            Self::Status(status @ 300..=399) => {
                write!(
                    f,
                    "the receiver answers {status}: redirections are not followed, set WEBHOOK_URL to where it leads"
                )
            }
            Self::Status(status) => write!(f, "the receiver answers {status}"),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// The target's addresses. What its name means is asked once, all of its addresses are looked at, and the connection goes
/// to one of these: a name that means something else a moment later changes nothing.
pub(super) fn resolve(target: &Target, allow_private: bool) -> Result<Vec<SocketAddr>, Failure> {
    let addresses: Vec<SocketAddr> = (target.host.as_str(), target.port).to_socket_addrs()?.collect();
    if !allow_private {
        addresses.iter().try_for_each(|at| address::check(at.ip())).map_err(Failure::Private)?;
    }
    Ok(addresses)
}

/// Connects to one of these addresses.
pub(super) fn connect(addresses: &[SocketAddr], deadline: Instant) -> Result<TcpStream, Failure> {
    let mut last = io::Error::new(ErrorKind::NotFound, "the webhook's name has no address");
    for address in addresses.iter().take(ADDRESSES_MAX) {
        match TcpStream::connect_timeout(address, left(deadline)?) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last.into())
}

/// Sends a message and reads whether it was taken.
pub(super) fn post(
    mut stream: TcpStream,
    target: &Target,
    headers: &[(&str, &str)],
    body: &[u8],
    deadline: Instant,
) -> Result<(), Failure> {
    let version = env!("CARGO_PKG_VERSION");
    let mut request = format!(
        "POST {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: rs-worker/{version}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n",
        target.path,
        target.authority,
        body.len()
    );
    headers.iter().for_each(|(name, value)| request.push_str(&format!("{name}: {value}\r\n")));
    request.push_str("\r\n");
    let mut request = request.into_bytes();
    request.extend_from_slice(body);
    let mut rest = request.as_slice();
    while !rest.is_empty() {
        stream.set_write_timeout(Some(left(deadline)?))?;
        match stream.write(rest) {
            Ok(count) => rest = &rest[count..],
            Err(error) if is_retried(&error) => {}
            Err(error) => return Err(error.into()),
        }
    }
    match status(&mut stream, deadline)? {
        200..=299 => Ok(()),
        status => Err(Failure::Status(status)),
    }
}

/// Reads the answer's head, and tells its status.
fn status(stream: &mut TcpStream, deadline: Instant) -> Result<u16, Failure> {
    let (mut head, mut chunk) = (Vec::new(), [0; 4096]);
    loop {
        stream.set_read_timeout(Some(left(deadline)?))?;
        match stream.read(&mut chunk) {
            Ok(0) => return Err(io::Error::new(ErrorKind::UnexpectedEof, "the receiver has hung up").into()),
            Ok(count) => head.extend_from_slice(&chunk[..count]),
            Err(error) if is_retried(&error) => continue,
            Err(error) => return Err(error.into()),
        }
        let mut fields = [httparse::EMPTY_HEADER; HEAD_FIELDS_MAX];
        let mut response = httparse::Response::new(&mut fields);
        let parsed = response.parse(&head).map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
        match (parsed, response.code) {
            // An interim answer: the real one comes behind it.
            (httparse::Status::Complete(length), Some(100..=199)) => drop(head.drain(..length)),
            (httparse::Status::Complete(_), Some(code)) => return Ok(code),
            _ if head.len() > HEAD_BYTES_MAX => {
                return Err(
                    io::Error::new(ErrorKind::InvalidData, "the receiver's answer has a head without end").into()
                );
            }
            _ => {}
        }
    }
}

/// A time-out of the socket is looked at by the deadline.
fn is_retried(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

pub(super) fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(io::Error::new(ErrorKind::TimedOut, "the receiver has not answered in time"));
    }
    Ok(left.max(SHORTEST_WAIT))
}
