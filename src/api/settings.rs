//! The settings of the API.

use std::path::PathBuf;
use std::time::Duration;

use crate::websocket::ReaderLimits;

/// The settings of the API.
pub(crate) struct ApiSettings {
    /// Folders that projects must be in, resolved; empty means anywhere.
    pub project_roots: Vec<PathBuf>,
    /// The path below which all routes are; empty is the root.
    pub base_path: String,
    /// Longest body that carries a message, in bytes.
    pub body_bytes_max: usize,
    /// Longest import, in bytes.
    pub import_bytes_max: u64,
    /// Limits of WebSockets.
    pub sockets: SocketLimits,
    /// Maximum number of connections.
    pub connections_max: usize,
    /// True if workers can have terminals.
    pub terminal: bool,
    /// Capacity of the webhook's queue; 0 without a webhook.
    pub webhook_queue_max: usize,
}

/// Limits of a WebSocket.
#[derive(Clone, Debug)]
pub(crate) struct SocketLimits {
    /// Longest message from a client, in bytes.
    pub message_bytes: usize,
    /// Interval of pings; a client that is silent for two of them is considered dead.
    pub ping_interval: Duration,
    /// Time for which a client may read nothing while data waits for it.
    pub write_time: Duration,
    /// Bytes that wait for a client in memory before it is served from the journal.
    pub queue_bytes: usize,
}

impl SocketLimits {
    /// Returns the limits of the reader.
    pub(super) fn reader(&self) -> ReaderLimits {
        ReaderLimits { message_bytes: self.message_bytes, ping_interval: self.ping_interval }
    }
}
