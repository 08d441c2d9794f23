//! Terminals of a worker: their list, creation and end, and the WebSocket of one.

mod serve;

use serde_json::json;

use super::error::ApiError;
use super::input::JsonBody;
use super::{ApiCall, RouteResult};
use crate::http::{Reply, Response};
use crate::terminal::Size;
use crate::websocket::handshake;

/// Default size of a terminal.
const USUAL_SIZE: (u16, u16) = (80, 24);

/// Refuses the request if the operator has turned terminals off.
fn admit(call: &ApiCall<'_>) -> Result<(), ApiError> {
    if call.api.settings.terminal {
        Ok(())
    } else {
        Err(ApiError::Detail(403, "terminals are switched off on this server (TERMINAL=off)".to_owned()))
    }
}

/// Returns the terminal that the path names.
fn terminal<'c>(call: &'c ApiCall<'_>) -> &'c str {
    call.params.get(1).copied().unwrap_or_default()
}

/// `GET /api/workers/{id}/terminals`
pub(super) fn list(call: &ApiCall<'_>) -> RouteResult {
    admit(call)?;
    Ok(Response::json(200, &json!({"terminals": call.worker()?.terminals()})).into())
}

/// `POST /api/workers/{id}/terminals` with `{"program", "cols", "rows"}`
pub(super) fn open(call: &ApiCall<'_>) -> RouteResult {
    admit(call)?;
    let worker = call.worker()?;
    let mut body = JsonBody::parse_optional(&call.request.body)?;
    let program = body.texts("program");
    let (cols, rows) = (cells(&mut body, "cols", USUAL_SIZE.0), cells(&mut body, "rows", USUAL_SIZE.1));
    body.finish()?;
    let info = worker.open_terminal(program, Size::new(cols, rows))?;
    log::info!("worker {}: terminal {} opened", worker.id(), info.id);
    Ok(Response::json(201, &info).into())
}

/// Parses a number of cells, clamped to the limits.
fn cells(body: &mut JsonBody, name: &str, usual: u16) -> u16 {
    match body.value(name) {
        None | Some(serde_json::Value::Null) => usual,
        Some(value) => match value.as_u64().map(|cells| u16::try_from(cells).unwrap_or(u16::MAX)) {
            Some(cells) => cells,
            None => {
                body.mistake(name, "Input should be a number of cells", "int_type");
                usual
            }
        },
    }
}

/// `DELETE /api/workers/{id}/terminals/{terminal}`
pub(super) fn end(call: &ApiCall<'_>) -> RouteResult {
    admit(call)?;
    call.worker()?.end_terminal(terminal(call))?;
    Ok(Response::json(200, &json!({"status": "ended"})).into())
}

/// `GET /ws/{id}/terminals/{terminal}`
pub(super) fn socket(call: &ApiCall<'_>) -> RouteResult {
    admit(call)?;
    let socket = call.worker()?.terminal(terminal(call))?;
    let response = match handshake::accept(call.head()) {
        Ok(response) => response,
        Err(refusal) => return Ok(refusal.into()),
    };
    let limits = call.api.settings.sockets.clone();
    Ok(Reply::Upgrade(response, Box::new(move |upgraded| serve::run(upgraded, socket, &limits))))
}
