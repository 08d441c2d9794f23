//! The user behind the other end of a loopback connection, as the kernel knows it. A leaf module.
//!
//! The kernel is queried by netlink (`man 7 sock_diag`), which finds one socket at once however many there are. Where
//! that is not available (a system call filter, gVisor), `/proc/net/tcp` and `tcp6` are searched.
//!
//! A socket without an open descriptor has lost its owner, and kernels report it as root's. So only an established
//! socket with an inode counts, and root is accepted as the owner when a second query returns the same: in between, a
//! socket can lose its owner, but never get one back.

mod ends;
mod netlink;
mod table;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::unistd::{Uid, geteuid};

pub(crate) use self::ends::Ends;
use self::ends::ListedSocket;

/// States in which a socket's owner is believed: `TCP_ESTABLISHED`, and the two of a peer that sends no more and still reads.
const OPEN_STATES: [u8; 3] = [1, 4, 5];
/// The user id of all users that a user namespace does not map, unless the system was set up differently.
const OVERFLOW_UID: u32 = 65_534;

/// The reason why a socket's owner is not known.
#[derive(Debug)]
pub(crate) enum OwnerError {
    /// The kernel lists no such socket: its process is in another network namespace, or has closed it already.
    NotFound,
    /// The peer has closed its end.
    Closing,
    /// The server runs as the user that represents all users outside of its user namespace.
    Ambiguous,
    /// The kernel did not answer.
    Io(io::Error),
}

impl OwnerError {
    /// Returns whether the next look may have another outcome.
    pub(crate) const fn is_passing(&self) -> bool {
        matches!(self, Self::Io(_))
    }
}

impl fmt::Display for OwnerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound => {
                f.write_str("the kernel lists no such connection here, as when it comes from a container")
            }
            Self::Closing => f.write_str("the connection is closed on the other side already"),
            Self::Ambiguous => f.write_str("this server's user id represents all users outside of its container"),
            Self::Io(error) => write!(f, "the kernel does not report it: {error}"),
        }
    }
}

impl std::error::Error for OwnerError {}

impl Ends {
    /// The ends of a connection that was accepted on this machine. An IPv4 address that is mapped to an IPv6 one counts as
    /// the IPv4 address.
    pub(crate) fn new(peer: SocketAddr, local: SocketAddr) -> Self {
        let plain = |end: SocketAddr| SocketAddr::new(end.ip().to_canonical(), end.port());
        Self { peer: plain(peer), local: plain(local) }
    }

    /// The user that owns the peer's socket.
    ///
    /// # Errors
    /// Fails when that is not certain.
    pub(crate) fn peer_owner(&self) -> Result<Uid, OwnerError> {
        if geteuid().as_raw() == OVERFLOW_UID && !has_all_users() {
            return Err(OwnerError::Ambiguous);
        }
        settled(|| self.look())
    }

    fn look(&self) -> Result<Option<ListedSocket>, OwnerError> {
        /// True if the kernel has found a socket by netlink before. One without the module for it answers as if there
        /// were
        /// no such socket.
        static ANSWERS: AtomicBool = AtomicBool::new(false);
        match netlink::find(self) {
            Ok(Some(found)) => {
                ANSWERS.store(true, Ordering::Relaxed);
                Ok(Some(found))
            }
            Ok(None) if ANSWERS.load(Ordering::Relaxed) => Ok(None),
            Ok(None) | Err(_) => table::find(self).map_err(OwnerError::Io),
        }
    }
}

/// Gets ready for [`Ends::peer_owner`], so that it needs no descriptor later. Without that it works all the same, while there
/// are some.
pub(crate) fn prepare() {
    if let Err(error) = netlink::prepare() {
        log::debug!("the kernel is not asked by netlink for the owners of connections: {error}");
    }
}

/// The owner that `look` finds, looked for again where it is root.
fn settled(mut look: impl FnMut() -> Result<Option<ListedSocket>, OwnerError>) -> Result<Uid, OwnerError> {
    let first = owned(look()?)?;
    if first.uid == 0 {
        let second = owned(look()?)?;
        if (second.uid, second.inode) != (first.uid, first.inode) {
            return Err(OwnerError::Closing);
        }
    }
    Ok(Uid::from_raw(first.uid))
}

fn owned(found: Option<ListedSocket>) -> Result<ListedSocket, OwnerError> {
    let found = found.ok_or(OwnerError::NotFound)?;
    if OPEN_STATES.contains(&found.state) && found.inode != 0 { Ok(found) } else { Err(OwnerError::Closing) }
}

/// Returns whether every user of the machine has a name in this user namespace.
fn has_all_users() -> bool {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    map.split_ascii_whitespace().eq(["0", "0", "4294967295"])
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::net::{Shutdown, TcpListener, TcpStream};

    use super::*;

    fn pair(address: &str) -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind(address).unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (client, listener.accept().unwrap().0)
    }

    fn ends(server: &TcpStream) -> Ends {
        Ends::new(server.peer_addr().unwrap(), server.local_addr().unwrap())
    }

    #[test]
    fn both_ways_find_the_owner_of_a_connection() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let (_client, server) = pair(address);
            let ends = ends(&server);
            assert_eq!(ends.peer_owner().unwrap(), geteuid(), "{address}");
            let listed = table::find(&ends).unwrap().unwrap();
            assert_eq!((listed.state, listed.uid), (1, geteuid().as_raw()), "{address}");
            if let Ok(found) = netlink::find(&ends) {
                assert_eq!(found, Some(listed), "{address}");
            }
        }
    }

    #[test]
    fn ipv4_clients_of_an_ipv6_listener_are_found() {
        let listener = TcpListener::bind("[::]:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        for target in ["127.0.0.1", "::ffff:127.0.0.1"] {
            let _client = TcpStream::connect((target, port)).unwrap();
            let server = listener.accept().unwrap().0;
            assert_eq!(ends(&server).peer_owner().unwrap(), geteuid(), "{target}");
            assert!(table::find(&ends(&server)).unwrap().is_some(), "{target}");
        }
    }

    #[test]
    fn closed_sockets_have_no_owner_and_half_closed_ones_do() {
        let (client, server) = pair("127.0.0.1:0");
        let ends = ends(&server);
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(ends.peer_owner().unwrap(), geteuid());
        drop(client);
        assert!(matches!(ends.peer_owner(), Err(OwnerError::Closing | OwnerError::NotFound)));
        for find in [netlink::find, table::find] {
            if let Ok(Some(left)) = find(&ends) {
                assert!(owned(Some(left)).is_err(), "{left:?}");
            }
        }
    }

    #[test]
    fn connections_of_nobody_are_not_found() {
        let (_client, server) = pair("127.0.0.1:0");
        let mut ends = ends(&server);
        // A listener at the peer's address is not the peer.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        ends.peer = listener.local_addr().unwrap();
        assert!(ends.peer_owner().is_err());
    }

    #[test]
    fn root_is_believed_only_when_two_looks_agree() {
        let listed = |uid, inode, state| ListedSocket { state, uid, inode };
        let ask = |looks: &[ListedSocket]| {
            let mut looks: VecDeque<ListedSocket> = looks.iter().copied().collect();
            settled(move || Ok(looks.pop_front())).map(Uid::as_raw)
        };
        assert_eq!(ask(&[listed(1000, 7, 1)]).unwrap(), 1000);
        assert_eq!(ask(&[listed(0, 7, 1), listed(0, 7, 1)]).unwrap(), 0);
        assert_eq!(ask(&[listed(0, 7, 1), listed(0, 7, 4)]).unwrap(), 0);
        for lost in [listed(0, 0, 1), listed(0, 7, 8), listed(0, 8, 1), listed(1000, 7, 1)] {
            assert!(ask(&[listed(0, 7, 1), lost]).is_err(), "{lost:?}");
        }
        assert!(ask(&[listed(0, 7, 1)]).is_err(), "gone at the second look");
        for state in (2..=12).filter(|state| !OPEN_STATES.contains(state)) {
            assert!(ask(&[listed(1000, 7, state)]).is_err(), "state {state}");
        }
        assert!(ask(&[listed(1000, 0, 1)]).is_err(), "without an inode");
    }
}
