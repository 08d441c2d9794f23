//! Every bound and time-out of the transport, in one struct that the server fills from its configuration.

use std::time::Duration;

/// Header fields of one request; one more is refused with 431. A constant, since the parser keeps them on its stack.
pub(crate) const HEAD_FIELDS_MAX: usize = 64;

/// The transport's bounds. [`Limits::default`] is what a server on one small machine wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Open connections. One more gets the place of one that never authenticated, or is answered 503. Each costs a thread and about 12 KiB.
    pub connections: usize,
    /// Open connections from one address (one /64 network for IPv6), so that no single peer can take them all.
    pub connections_per_address: usize,
    /// Open connections from one loopback address. Higher than the above, since everything behind a reverse proxy on
    /// this machine comes from there.
    pub connections_per_loopback_address: usize,
    /// Bytes of a request's head, from the request line to the empty line; more is refused with 431.
    pub head_bytes: usize,
    /// Bytes by which a head may be longer when they are cookies.
    pub cookie_bytes: usize,
    /// Time for a whole head, from its first byte (from the accept for a connection's first request). It is absolute: a
    /// sender of one byte a second does not extend it.
    pub head_time: Duration,
    /// Time that a connection may stay open without a request.
    pub idle_time: Duration,
    /// Time for a body before its sender has to keep up with `body_rate`.
    pub body_grace: Duration,
    /// Bytes a second that the sender of a body must keep up on average after `body_grace`.
    pub body_rate: u64,
    /// Time that the peer may take to make room for a piece of the answer ([`WRITE_PIECE_BYTES`]).
    pub write_time: Duration,
    /// Time that a closing connection stays half open, so that the peer can read the last answer (closing at once with
    /// unread input would reset the connection and may throw the answer away).
    pub linger_time: Duration,
    /// Bytes of input that are thrown away meanwhile.
    pub linger_bytes: usize,
}

/// Bytes of an answer that share one write time-out, which gives every reader of a long answer a minimum rate.
pub(crate) const WRITE_PIECE_BYTES: usize = 64 * 1024;

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1_024,
            connections_per_address: 256,
            connections_per_loopback_address: 1_024,
            head_bytes: 16 * 1024,
            cookie_bytes: 48 * 1024,
            head_time: Duration::from_secs(10),
            idle_time: Duration::from_secs(60),
            body_grace: Duration::from_secs(10),
            body_rate: 1_024,
            write_time: Duration::from_secs(30),
            linger_time: Duration::from_secs(2),
            linger_bytes: 32 * 1024 * 1024,
        }
    }
}
