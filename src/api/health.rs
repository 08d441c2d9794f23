//! Liveness.

use serde_json::json;

use super::{ApiCall, RouteResult};
use crate::access::Identity;
use crate::http::Response;

/// `GET /health`
pub(super) fn service(_call: &ApiCall<'_>) -> RouteResult {
    Ok(alive().into())
}

/// Answers that the process is alive, whatever it can do at present.
pub(super) fn alive() -> Response {
    Response::json(200, &json!({"status": "healthy", "service": "AI Code Worker Manager"}))
}

/// `GET /api/health`
pub(super) fn health(call: &ApiCall<'_>) -> RouteResult {
    let (total, running) = call.api.registry.counts_in(call.reach());
    Ok(Response::json(
        200,
        &json!({
            "status": "healthy",
            "version": env!("CARGO_PKG_VERSION"),
            "total_workers": total,
            "running_workers": running,
            "scope": call.head().identity().map(Identity::scope),
            "narrowed": !call.sees_everything(),
            "max_workers": call.api.registry.max_running(),
            "enabled_ai_clis": call.api.clis.adapters.enabled_kinds(&call.api.clis.probes),
        }),
    )
    .into())
}
