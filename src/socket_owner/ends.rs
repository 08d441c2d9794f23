//! A connection, and a socket as the kernel lists it.

use std::net::{IpAddr, SocketAddr};

/// The two ends of a TCP connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ends {
    /// The end whose owner is wanted.
    pub(super) peer: SocketAddr,
    /// The other end.
    pub(super) local: SocketAddr,
}

/// A socket as the kernel lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ListedSocket {
    pub(super) state: u8,
    pub(super) uid: u32,
    pub(super) inode: u64,
}

/// The bytes of an address as the kernel writes them, in the byte order of networks.
pub(super) fn octets(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}
