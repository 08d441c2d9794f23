//! A request as a service sees it: a head that was understood and a body that was read.

use std::net::TcpStream;
use std::os::fd::AsRawFd as _;
use std::sync::Arc;

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv};

use super::head::Head;

/// A whole request.
#[derive(Clone, Debug)]
pub struct Request {
    /// Method, path, query, headers, peer.
    pub head: Head,
    /// The body, decoded; empty when there was none. Never longer than what
    /// [`Service::body_limit`](super::Service::body_limit) allowed.
    pub body: Vec<u8>,
    /// The client that waits for the response.
    pub client: Client,
}

/// The client of a request, for work that is not worth doing when nobody waits for it.
#[derive(Clone, Debug)]
pub struct Client(pub(super) Arc<TcpStream>);

impl Client {
    /// Returns whether the client has closed the connection, or it is broken.
    pub fn has_gone(&self) -> bool {
        let mut byte = [0];
        match recv(self.0.as_raw_fd(), &mut byte, MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT) {
            Ok(count) => count == 0,
            Err(errno) => !matches!(errno, Errno::EAGAIN | Errno::EINTR),
        }
    }
}
