//! The open connections: how many there are, from where, which of them only wait for a request, and which have never shown
//! that they may use the server. When there is no room for a new one, it gets the place of the one of these last that has
//! been silent for longest.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::limits::Limits;
use super::peer::Peer;
use crate::metrics::{self, GaugeHold};

/// The key by which connections and failed logins are counted: an IPv4 address, or the /64 network of an IPv6 address, since a
/// host has at least that many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Origin(IpAddr);

impl Origin {
    pub(super) fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V6(v6) if !v6.is_loopback() => {
                let [a, b, c, d, ..] = v6.segments();
                Self(IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0)))
            }
            other => Self(other),
        }
    }

    fn share(self, limits: &Limits) -> usize {
        if self.0.is_loopback() { limits.connections_per_loopback_address } else { limits.connections_per_address }
    }
}

/// Connections that have lost their place and whose threads have not ended yet. While there are so many, a new connection
/// is refused, so that a flood of them does not become a flood of threads.
const EVICTED_MAX: usize = 256;

/// A refusal of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    /// The server has too many.
    Server,
    /// Its address has too many.
    Address,
}

/// All open connections. Its lock is never held across a system call that may block.
#[derive(Debug, Default)]
pub(super) struct ConnectionTable {
    inner: Mutex<TableInner>,
    /// Notified when the last connection ends.
    empty: Condvar,
    stopping: AtomicBool,
}

#[derive(Debug, Default)]
struct TableInner {
    next: u64,
    /// Connections that have lost their place and still have a thread.
    evicted: usize,
    entries: HashMap<u64, Arc<OpenConnection>>,
    origins: HashMap<Origin, usize>,
}

/// One open connection.
#[derive(Debug)]
pub(super) struct OpenConnection {
    pub(super) stream: Arc<TcpStream>,
    pub(super) peer: Arc<Peer>,
    /// True while it waits for a request: then a stop ends it at once.
    idle: AtomicBool,
    /// Its place in the order of all connections by their last request, or by their beginning.
    last: AtomicU64,
}

impl TableInner {
    /// The next place in the order of requests and connections.
    fn now(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Returns the reason if there is no room for a connection from `origin`.
    fn full(&self, origin: Origin, limits: &Limits) -> Option<Full> {
        if self.entries.len() >= limits.connections {
            return Some(Full::Server);
        }
        let count = self.origins.get(&origin).copied().unwrap_or_default();
        (count >= origin.share(limits)).then_some(Full::Address)
    }

    /// Ends the connection that has been silent for longest and has never shown that it may use the server; of those of
    /// the same origin, where that has too many. False when there is none.
    fn evict(&mut self, full: Full, origin: Origin) -> bool {
        if self.evicted >= EVICTED_MAX {
            return false;
        }
        let may_go = |entry: &OpenConnection| {
            !entry.peer.is_authenticated() && (full == Full::Server || Origin::of(entry.peer.address().ip()) == origin)
        };
        let strangers = self.entries.iter().filter(|(_, entry)| may_go(entry));
        let silent = strangers.min_by_key(|(_, entry)| entry.last.load(Ordering::Relaxed)).map(|(id, _)| *id);
        let Some(entry) = silent.and_then(|id| self.entries.remove(&id)) else { return false };
        self.leave(Origin::of(entry.peer.address().ip()));
        self.evicted += 1;
        let _ = entry.stream.shutdown(Shutdown::Both);
        true
    }

    fn leave(&mut self, origin: Origin) {
        if let Some(count) = self.origins.get_mut(&origin) {
            *count -= 1;
            if *count == 0 {
                self.origins.remove(&origin);
            }
        }
    }

    /// Connections that have a thread.
    fn len(&self) -> usize {
        self.entries.len() + self.evicted
    }
}

impl ConnectionTable {
    pub(super) fn admit(
        self: &Arc<Self>,
        stream: TcpStream,
        peer: SocketAddr,
        limits: &Limits,
    ) -> Result<ConnectionSlot, (Full, TcpStream)> {
        let origin = Origin::of(peer.ip());
        let mut inner = self.lock();
        while let Some(full) = inner.full(origin, limits) {
            if !inner.evict(full, origin) {
                return Err((full, stream));
            }
        }
        *inner.origins.entry(origin).or_default() += 1;
        let id = inner.now();
        let stream = Arc::new(stream);
        let peer = Arc::new(Peer::of(Arc::clone(&stream), peer));
        let entry = Arc::new(OpenConnection { stream, peer, idle: AtomicBool::new(true), last: AtomicU64::new(id) });
        inner.entries.insert(id, Arc::clone(&entry));
        Ok(ConnectionSlot { table: Arc::clone(self), id, origin, entry, _counted: metrics::CONNECTIONS.hold() })
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// Ends the connections that wait for a request, now and from here on.
    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        for entry in self.lock().entries.values() {
            if entry.idle.load(Ordering::SeqCst) {
                // Ends the wait; a request that is in the socket already is still read and answered.
                let _ = entry.stream.shutdown(Shutdown::Read);
            }
        }
    }

    /// Breaks all connections.
    pub(super) fn abort(&self) {
        for entry in self.lock().entries.values() {
            let _ = entry.stream.shutdown(Shutdown::Both);
        }
    }

    /// Waits until no connection is open, or the deadline has passed; returns how many are left.
    pub(super) fn wait_empty(&self, deadline: Instant) -> usize {
        let mut inner = self.lock();
        while inner.len() > 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            inner = self.empty.wait_timeout(inner, left).map_or_else(|poison| poison.into_inner().0, |pair| pair.0);
        }
        inner.len()
    }

    fn lock(&self) -> MutexGuard<'_, TableInner> {
        // The table is consistent at every statement that can panic: there are none.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection's place in the table, until it is dropped.
#[derive(Debug)]
pub(super) struct ConnectionSlot {
    table: Arc<ConnectionTable>,
    id: u64,
    origin: Origin,
    entry: Arc<OpenConnection>,
    _counted: GaugeHold,
}

impl ConnectionSlot {
    pub(super) fn entry(&self) -> &OpenConnection {
        &self.entry
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.table.is_stopping()
    }

    /// Notes that a request has come.
    pub(super) fn touch(&self) {
        let now = self.table.lock().now();
        self.entry.last.store(now, Ordering::Relaxed);
    }

    /// Says that the connection waits for a request. False when the server is stopping and it must not.
    pub(super) fn set_idle(&self) -> bool {
        // Either `ConnectionTable::stop` sees this mark, or we see its flag: both are sequentially consistent.
        self.entry.idle.store(true, Ordering::SeqCst);
        !self.table.is_stopping()
    }

    /// Says that a request has begun.
    pub(super) fn set_busy(&self) {
        self.entry.idle.store(false, Ordering::SeqCst);
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        let mut inner = self.table.lock();
        match inner.entries.remove(&self.id) {
            Some(_) => inner.leave(self.origin),
            None => inner.evicted = inner.evicted.saturating_sub(1),
        }
        if inner.len() == 0 {
            self.table.empty.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ipv6_hosts_count_by_network_and_mapped_ipv4_by_address() {
        let origin = |text: &str| Origin::of(text.parse().unwrap());
        assert_eq!(origin("2001:db8::1"), origin("2001:db8::ffff:1"));
        assert_ne!(origin("2001:db8::1"), origin("2001:db8:0:1::1"));
        assert_eq!(origin("::ffff:192.0.2.1"), origin("192.0.2.1"));
        assert_ne!(origin("192.0.2.1"), origin("192.0.2.2"));
        assert_ne!(origin("::1"), origin("::2"));
    }

    #[test]
    fn loopback_has_a_share_of_its_own() {
        let limits = Limits { connections_per_address: 3, connections_per_loopback_address: 7, ..Limits::default() };
        let share = |text: &str| Origin::of(text.parse().unwrap()).share(&limits);
        assert_eq!((share("127.0.0.1"), share("::1"), share("::ffff:127.0.0.1"), share("192.0.2.1")), (7, 7, 7, 3));
    }
}
