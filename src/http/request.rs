//! A request as a service sees it: a head that was understood and a body that was read.

use super::head::Head;

/// A whole request.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// Method, path, query, headers, peer.
    pub head: Head,
    /// The body, decoded; empty when there was none. Never longer than what
    /// [`Service::body_limit`](super::Service::body_limit) allowed.
    pub body: Vec<u8>,
}
