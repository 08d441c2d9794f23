//! One POST: to an address that was looked at, within a deadline, and without following anywhere else.

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::time::{Duration, Instant};

use super::address;
use super::target::Target;
use crate::http::client::{self, ClientConnection};

/// Most addresses of a name that are tried.
const ADDRESSES_MAX: usize = 8;
/// Shortest time-out that is given to the kernel, which takes 0 for "none".
const SHORTEST_WAIT: Duration = Duration::from_millis(1);

/// The reason that a message was not taken.
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
    /// Returns whether another try may go better.
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

/// Sends a message and reads whether it was taken. The content of the answer is not read.
pub(super) fn post(
    stream: TcpStream,
    target: &Target,
    headers: &[(&str, &str)],
    body: &[u8],
    deadline: Instant,
) -> Result<(), Failure> {
    let mut fields = vec![
        ("Host", target.authority.as_str()),
        ("User-Agent", concat!("rs-worker/", env!("CARGO_PKG_VERSION"))),
        ("Content-Type", "application/json"),
        ("Connection", "close"),
    ];
    fields.extend_from_slice(headers);
    let mut request = client::request_head("POST", &target.path, &fields, Some(body.len() as u64));
    request.extend_from_slice(body);
    let mut connection = ClientConnection::new(stream);
    connection.set_deadline(deadline);
    let answer = connection.send(&request).and_then(|()| connection.head());
    match answer.map_err(|error| named(&error))?.status {
        200..=299 => Ok(()),
        status => Err(Failure::Status(status)),
    }
}

/// Says of the errors that have no words of their own what the receiver did.
fn named(error: &io::Error) -> io::Error {
    match error.kind() {
        ErrorKind::TimedOut => too_late(),
        ErrorKind::UnexpectedEof => io::Error::new(ErrorKind::UnexpectedEof, "the receiver has hung up"),
        kind => io::Error::new(kind, error.to_string()),
    }
}

fn too_late() -> io::Error {
    io::Error::new(ErrorKind::TimedOut, "the receiver has not answered in time")
}

/// Returns the time left until the deadline.
pub(super) fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(too_late());
    }
    Ok(left.max(SHORTEST_WAIT))
}
