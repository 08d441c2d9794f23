//! The options of a worker's CLI: models, modes, and other choices of the CLI.

use std::sync::Arc;

use serde_json::{Value, json};

use super::input::JsonBody;
use super::{ApiCall, RouteResult};
use crate::clock::Micros;
use crate::http::Response;
use crate::worker::{Worker, WorkerError};

/// `GET /api/workers/{id}/options`
pub(super) fn list(call: &ApiCall<'_>) -> RouteResult {
    let worker = call.worker()?;
    Ok(Response::json(200, &shown(&worker)?).into())
}

/// `PUT /api/workers/{id}/options/{option}` with `{"value"}`: a value that the CLI refuses changes nothing, and the
/// history reports it.
pub(super) fn set(call: &ApiCall<'_>) -> RouteResult {
    let worker = call.worker()?;
    let option = call.params.get(1).copied().unwrap_or_default();
    let mut body = JsonBody::parse(&call.request.body)?;
    let value = body.value("value").filter(|value| !value.is_null());
    if value.is_none() {
        body.mistake("value", "Field required", "missing");
    }
    body.finish()?;
    worker.choose(option, &value.unwrap_or_default())?;
    Ok(Response::json(200, &shown(&worker)?).into())
}

fn shown(worker: &Worker) -> Result<Value, WorkerError> {
    let options = worker.options()?.unwrap_or_default();
    let state = worker.state();
    let listed_at = state.options_listed_at.map(Micros);
    Ok(json!({"options": options, "listed_at": listed_at, "is_running": state.is_running()}))
}

/// The options of a CLI as the worker that last listed them knows them: what is known before a start.
pub(super) fn known(workers: Vec<Arc<Worker>>, kind: &str) -> Option<Value> {
    let listed = |worker: Arc<Worker>| {
        let state = worker.state();
        let time = state.options_listed_at.filter(|_| state.ai_cli_type == kind)?;
        Some((time, state.name.clone(), worker))
    };
    let (time, name, worker) = workers.into_iter().filter_map(listed).max_by_key(|(time, ..)| *time)?;
    let options = worker.options().ok().flatten()?;
    Some(json!({"options": options, "worker_id": worker.id(), "worker_name": name, "listed_at": Micros(time)}))
}
