//! A request without TLS, and what names resolve to.

use std::io::{self, ErrorKind, Read as _};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::time::{Duration, Instant};

use super::address;
use super::request::{OutboundResponse, Post, RequestFailure, TEXT_BYTES_MAX, text};
use super::target::OutboundTarget;
use crate::http::client::{self, ClientConnection, ResponseHead};

/// Most addresses of a name that are tried.
const ADDRESSES_MAX: usize = 8;
/// Shortest time-out that is given to the kernel, which takes 0 for "none".
const SHORTEST_WAIT: Duration = Duration::from_millis(1);

/// The target's addresses. What its name means is asked once, all of its addresses are looked at, and the connection goes
/// to one of these: a name that means something else a moment later changes nothing.
pub(super) fn resolve(target: &OutboundTarget, allow_private: bool) -> Result<Vec<SocketAddr>, RequestFailure> {
    let addresses: Vec<SocketAddr> = (target.host.as_str(), target.port).to_socket_addrs()?.collect();
    if !allow_private {
        addresses.iter().try_for_each(|at| address::check(at.ip())).map_err(RequestFailure::Private)?;
    }
    Ok(addresses)
}

/// Sends a request to one of these addresses and reads its answer.
pub(super) fn send(post: &Post<'_>, addresses: &[SocketAddr]) -> Result<OutboundResponse, RequestFailure> {
    let mut connection = ClientConnection::new(connect(addresses, post.deadline)?);
    let mut fields = vec![
        ("Host", post.target.authority.as_str()),
        ("User-Agent", concat!("rs-worker/", env!("CARGO_PKG_VERSION"))),
        ("Connection", "close"),
    ];
    fields.extend_from_slice(post.headers);
    let mut request = client::request_head("POST", &post.target.path, &fields, Some(post.body.len() as u64));
    request.extend_from_slice(post.body);
    connection.set_deadline(post.deadline);
    let head = connection.send(&request).and_then(|()| connection.head()).map_err(|error| named(&error))?;
    let text = if post.wants_text { body(&mut connection, &head) } else { String::new() };
    Ok(OutboundResponse { status: head.status, retry_after: head.header("retry-after").map(str::to_owned), text })
}

/// Connects to one of these addresses.
fn connect(addresses: &[SocketAddr], deadline: Instant) -> Result<TcpStream, RequestFailure> {
    let mut last = io::Error::new(ErrorKind::NotFound, "the receiver's name has no address");
    for address in addresses.iter().take(ADDRESSES_MAX) {
        match TcpStream::connect_timeout(address, remaining_time(deadline)?) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last.into())
}

/// The beginning of the body; empty if it can't be read.
fn body(connection: &mut ClientConnection, head: &ResponseHead) -> String {
    let mut bytes = Vec::new();
    if let Ok(body) = connection.body(head) {
        // A body that is cut off is shown as far as it came.
        let _ = body.take(TEXT_BYTES_MAX as u64).read_to_end(&mut bytes);
    }
    text(&bytes)
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
pub(super) fn remaining_time(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(too_late());
    }
    Ok(left.max(SHORTEST_WAIT))
}
