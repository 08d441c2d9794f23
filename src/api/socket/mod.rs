//! The WebSocket API: `/ws/{id}` for one worker, as the reference has it, and `/ws` for all of them.
//!
//! The connection's own thread reads what the client says; a second one writes what its [`Outbox`] holds. A client that
//! does not read costs neither the workers nor the other clients anything: see [`hub`](crate::hub).

mod commands;
mod connection;
mod serve;

use std::sync::Arc;
use std::time::Duration;

use super::error::ApiError;
use super::input::number;
use super::{Call, Handled};
use crate::http::Reply;
use crate::websocket::{ReaderLimits, handshake};
use crate::worker::Registry;
use serve::Wanted;

/// Bounds of a WebSocket.
#[derive(Clone, Debug)]
pub struct SocketLimits {
    /// Longest message of a client, in bytes.
    pub message_bytes: usize,
    /// From one ping to the next; who is silent over two of them is taken for dead.
    pub ping_interval: Duration,
    /// How long a client may read nothing at all while something waits for it.
    pub write_time: Duration,
    /// Bytes that wait for a client in memory before it is served from the journal.
    pub queue_bytes: usize,
}

impl SocketLimits {
    fn reader(&self) -> ReaderLimits {
        ReaderLimits { message_bytes: self.message_bytes, ping_interval: self.ping_interval }
    }
}

/// `GET /ws`
pub(super) fn all(call: &Call<'_>) -> Handled {
    upgrade(call, Wanted::All)
}

/// `GET /ws/{id}?since&raw`
pub(super) fn one(call: &Call<'_>) -> Handled {
    let id = call.params.first().copied().unwrap_or_default().to_owned();
    let since = number(call.head(), "since")?;
    let raw = call.head().query_value("raw").is_some_and(|raw| !matches!(raw, "" | "0" | "false"));
    upgrade(call, Wanted::Worker { id, since, raw })
}

fn upgrade(call: &Call<'_>, wanted: Wanted) -> Handled {
    let response = match handshake::accept(call.head()) {
        Ok(response) => response,
        Err(refusal) => return Ok(refusal.into()),
    };
    let registry: Arc<Registry> = Arc::clone(&call.api.registry);
    let limits = call.api.socket_limits.clone();
    let body = move |upgraded| serve::run(upgraded, wanted, registry, &limits);
    Ok(Reply::Upgrade(response, Box::new(body)))
}

impl From<serde_json::Error> for ApiError {
    fn from(error: serde_json::Error) -> Self {
        Self::bad_request(format!("not a JSON object: {error}"))
    }
}
