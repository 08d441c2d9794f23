//! `GET /acp`: workers as sessions of the Agent Client Protocol, for editors. JSON-RPC 2.0, one message in each text frame of
//! a WebSocket, as the protocol's proposal for remote transports has it.
//!
//! A session is a worker, and its id the worker's. The connection's own thread reads the client's messages
//! ([`methods`]); those that change something become requests to the routes of the API, in the client's name, so that
//! access rules, scopes and the audit are the same. The connection subscribes to the workers' streams as the WebSocket
//! API does ([`connection`]); its writing thread turns their frames into messages ([`stream`], [`view`]).
//!
//! | room | responsibility |
//! | --- | --- |
//! | [`rpc`] | messages and errors |
//! | [`content`], [`options`], [`form`], [`updates`] | what the protocol has of prompts, options, questions and events. Pure |
//! | [`shared`] | prompts and requests without a response; cursors |
//! | [`view`], [`stream`] | from events to messages, on the writing thread |
//! | [`creation_body`], [`connection`], [`methods`], [`serve`] | from messages to requests, on the reading thread |

mod connection;
mod content;
mod creation_body;
mod form;
mod methods;
mod options;
mod rpc;
mod serve;
mod shared;
mod stream;
mod updates;
mod view;

use super::error::ApiError;
use super::{ApiCall, RouteResult};
use crate::http::Reply;
use crate::websocket::handshake;
use shared::Binding;

/// The header that names the connection.
const CONNECTION_ID: &str = "Acp-Connection-Id";

/// `GET /acp?worker&cli&project`
pub(super) fn socket(call: &ApiCall<'_>) -> RouteResult {
    let query = |name: &str| call.head().query_value(name).filter(|value| !value.is_empty()).map(str::to_owned);
    let binding = Binding { worker: query("worker"), cli: query("cli"), project: query("project") };
    if let Some(worker) = &binding.worker {
        call.visible(worker)?;
    }
    let response = match handshake::accept(call.head()) {
        Ok(response) => response,
        Err(refusal) => return Ok(refusal.into()),
    };
    let Some(api) = call.api.itself.upgrade() else {
        return Err(ApiError::Detail(503, "the server is stopping".to_owned()));
    };
    let opened_by = call.request.clone();
    let response = response.with_header(CONNECTION_ID, &uuid::Uuid::new_v4().to_string());
    Ok(Reply::Upgrade(response, Box::new(move |upgraded| serve::run(upgraded, api, opened_by, binding))))
}
