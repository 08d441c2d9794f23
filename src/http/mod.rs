//! The HTTP transport: parses requests from the bytes of a TCP connection, and writes responses. It knows nothing of
//! workers; a [`Service`] handles the requests.
//!
//! **Why not tiny_http's own server.** As observed with tiny_http 0.12: an upgraded request gives one stream that
//! cannot be read and written at the same time, reads have no time-out, the size of a request head has no limit, and any
//! error of `accept` ends its loop. So the accept loop, the request head (`httparse`) and its deadlines are the
//! project's own; tiny_http's `Response`, `Header` and `StatusCode` print the responses.
//!
//! **Threads.** One thread accepts ([`Server::start`]); each connection has its own thread, which reads requests one
//! after another, calls the service, and writes the responses. A service may block it; an upgraded connection
//! (WebSocket) keeps it until its closure returns. All limits are in [`Limits`].
//!
//! ```text
//! listener ── accept ──> serve ── head ──> Service::body_limit ── body ──> Service::call ── response ──> socket
//!                                                    └─────────> Service::receive, which reads the body ┘
//! ```

mod body;
pub(crate) mod client;
mod coding;
mod connection;
pub(crate) mod guard;
mod head;
mod limits;
mod listener;
mod method;
mod page;
mod peer;
mod request;
mod response;
mod serve;
mod table;
pub(crate) mod throttle;
mod uri;

#[cfg(test)]
mod tests;

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

pub(crate) use coding::Coding;
pub use head::Head;
pub use limits::Limits;
pub use listener::Server;
pub(crate) use method::Method;
pub use request::Request;
pub(crate) use response::Content;
pub use response::Response;
pub use response::error_code;

/// The handler of requests. It is called on the connections' threads, concurrently, and may block them.
pub trait Service: Send + Sync + 'static {
    /// Decides by the head alone, before a byte of the body is read: how long the body may be. Whatever can be refused
    /// here (a wrong host, origin or token, an unknown path or method) costs no body.
    ///
    /// # Errors
    /// The answer, when the request is refused. A connection whose request has a body is then closed after it.
    fn body_limit(&self, head: &Head) -> Result<BodyLimit, Response>;

    /// Answers a whole request. A panic here is answered 500 where the build unwinds.
    fn call(&self, request: &Request) -> Reply;

    /// Answers a request whose body is [`BodyLimit::Streamed`], and reads it. An error of `body` must leave nothing behind:
    /// the transport answers it. A connection whose body was not read to its end is closed after the answer.
    fn receive(&self, request: &Request, body: &mut dyn Read) -> Reply;

    /// Adds what every answer to a request carries, made by the service, or the transport for a body that
    /// it refuses. Not called for a request whose head could not be read.
    fn finish(&self, _head: &Head, response: Response) -> Response {
        response
    }

    /// Takes note of an answer, for counters: called once for each, after it was sent (a streamed one's head).
    fn answered(&self, _answer: ServedResponse) {}
}

/// The longest body of a request, in bytes, and the way in which the service gets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyLimit {
    /// The service gets it whole, in memory, with [`Service::call`].
    Whole(usize),
    /// The service reads it as it arrives, with [`Service::receive`]: it may be larger than the memory.
    Streamed(u64),
}

/// An answer that was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServedResponse {
    /// The tag that the service set with [`Response::with_tag`]; none if the transport itself refused.
    pub tag: Option<usize>,
    /// The status.
    pub status: u16,
    /// The time since the request's head had come; zero where none has.
    pub time: Duration,
}

/// Writes the content of a streamed answer. Each flush sends what was written so far. An error leaves the answer without
/// its end, so that the peer knows that something is missing.
pub(crate) type StreamBody = Box<dyn FnOnce(&mut dyn Write) -> io::Result<()> + Send>;

/// Takes over a connection that speaks another protocol from here on.
pub(crate) type UpgradeBody = Box<dyn FnOnce(UpgradedConnection) + Send>;

/// A service's answer.
pub enum Reply {
    /// A response that is there as a whole.
    Response(Response),
    /// A response whose content is written as it comes: in chunks, or until the connection closes for HTTP/1.0. It runs
    /// on the connection's thread. It does not run for HEAD.
    Stream(Response, StreamBody),
    /// A 101 response, after which the closure owns the connection. It runs on the connection's thread, and the
    /// connection counts against the limits until it returns.
    Upgrade(Response, UpgradeBody),
}

impl From<Response> for Reply {
    fn from(response: Response) -> Self {
        Self::Response(response)
    }
}

/// A connection after its upgrade.
#[derive(Debug)]
pub struct UpgradedConnection {
    /// The socket, blocking, without time-outs, with `TCP_NODELAY`. `&TcpStream` reads and writes, so that one thread
    /// can read it while another writes.
    pub stream: Arc<TcpStream>,
    /// Bytes that were read after the request.
    pub early: Vec<u8>,
}
