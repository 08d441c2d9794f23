//! The other end of a connection, as far as it identifies the client.

use std::fmt;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use nix::unistd::Uid;

use crate::socket_owner::Ends;

/// The other end of one connection; all requests of the connection share it.
pub struct Peer {
    address: SocketAddr,
    /// The connection; none where a request was made up.
    stream: Option<Arc<TcpStream>>,
    /// The user behind it, looked up once; else the reason why that is not known.
    owner: OnceLock<Result<Uid, String>>,
    authenticated: AtomicBool,
}

impl Peer {
    /// The peer of an accepted connection.
    pub(super) fn of(stream: Arc<TcpStream>, address: SocketAddr) -> Self {
        Self { stream: Some(stream), ..Self::at(address) }
    }

    /// A peer without a connection.
    pub(super) const fn at(address: SocketAddr) -> Self {
        Self { address, stream: None, owner: OnceLock::new(), authenticated: AtomicBool::new(false) }
    }

    /// A peer that belongs to this user.
    #[cfg(test)]
    pub(super) fn owned(address: SocketAddr, owner: Result<Uid, String>) -> Self {
        let peer = Self::at(address);
        peer.owner.get_or_init(|| owner);
        peer
    }

    /// Its address.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The connection's socket.
    pub const fn stream(&self) -> Option<&Arc<TcpStream>> {
        self.stream.as_ref()
    }

    /// The user of this machine that owns the connection's other end. The kernel is asked until it has answered once.
    ///
    /// # Errors
    /// The reason why that is not known.
    pub fn owner(&self) -> Result<Uid, String> {
        if let Some(known) = self.owner.get() {
            return known.clone();
        }
        let stream = self.stream.as_ref().ok_or("not connected")?;
        let local = stream.local_addr().map_err(|error| error.to_string())?;
        match Ends::new(self.address, local).peer_owner() {
            Err(error) if error.is_passing() => Err(error.to_string()),
            answer => self.owner.get_or_init(|| answer.map_err(|error| error.to_string())).clone(),
        }
    }

    /// Notes that a request of this connection has shown that it may use the server.
    pub fn set_authenticated(&self) {
        self.authenticated.store(true, Ordering::Relaxed);
    }

    /// Returns whether one has.
    pub fn is_authenticated(&self) -> bool {
        self.authenticated.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)
    }
}

impl PartialEq for Peer {
    fn eq(&self, other: &Self) -> bool {
        self.address == other.address
    }
}
