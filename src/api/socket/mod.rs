//! The WebSocket API: `/ws/{id}` for one worker, compatible with the reference, and `/ws` for all of them.
//!
//! The connection's own thread reads the client's frames; a second one writes the contents of the outbox. A client that
//! does not read delays neither the workers nor the other clients: see [`hub`](crate::hub).

mod commands;
mod connection;
mod serve;

use std::sync::Arc;

use super::error::ApiError;
use super::input::{cursor, message_blocks, one_or_zero};
use super::selection::selection;
use super::{ApiCall, RouteResult, audited};
use crate::access::{Identity, Scope};
use crate::http::Reply;
use crate::hub::FrameKind;
use crate::websocket::handshake;
use crate::worker::Registry;
pub(super) use commands::{COMMANDS, SocketCommand};
use connection::SocketClient;
use serve::ConnectionPurpose;
pub(super) use serve::{ControlFrames, LINGER};

/// `GET /ws?limit&cursor&status&project`
pub(super) fn all(call: &ApiCall<'_>) -> RouteResult {
    let selection = selection(call.head())?;
    upgrade(call, ConnectionPurpose::All { selection })
}

/// The query parameters that request the full stream: clients of the reference send none of them.
const FULL_STREAM: [&str; 4] = ["since", "raw", "deltas", "blocks"];

/// `GET /ws/{id}?since&at&raw&deltas&blocks`
pub(super) fn one(call: &ApiCall<'_>) -> RouteResult {
    let id = call.params.first().copied().unwrap_or_default().to_owned();
    let since = cursor(call.head(), "since")?;
    let raw = call.head().query_value("raw").is_some_and(|raw| !matches!(raw, "" | "0" | "false"));
    one_or_zero(call.head(), "deltas")?;
    let simple = !FULL_STREAM.iter().any(|name| call.head().query_value(name).is_some());
    let kind = FrameKind { raw, blocks: message_blocks(call.head())?, simple };
    upgrade(call, ConnectionPurpose::Worker { id, since, kind })
}

fn upgrade(call: &ApiCall<'_>, wanted: ConnectionPurpose) -> RouteResult {
    let response = match handshake::accept(call.head()) {
        Ok(response) => response,
        Err(refusal) => return Ok(refusal.into()),
    };
    let registry: Arc<Registry> = Arc::clone(&call.api.registry);
    let limits = call.api.settings.sockets.clone();
    let page = call.api.push.in_view().page();
    let scope = call.head().identity().map_or(Scope::Read, Identity::scope);
    let (reach, actor) = (call.reach().clone(), audited::actor(call.api, call.head()));
    let client = SocketClient { scope, reach, actor, audit: Arc::clone(&call.api.audit) };
    let body = move |upgraded| serve::run(upgraded, wanted, client, (registry, page), &limits);
    Ok(Reply::Upgrade(response, Box::new(body)))
}

impl From<serde_json::Error> for ApiError {
    fn from(error: serde_json::Error) -> Self {
        Self::bad_request(format!("not a JSON object: {error}"))
    }
}
