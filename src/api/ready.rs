//! Readiness, for load balancers and supervisors: `GET /api/ready`.
//!
//! Liveness means that the process answers; readiness means that it can work. Probes usually carry no token, so no
//! authentication is needed, and the response names no path.

use serde_json::json;

use super::{ApiCall, RouteResult};
use crate::http::Response;

/// `GET /api/ready`
pub(super) fn ready(call: &ApiCall<'_>) -> RouteResult {
    let waiting = call.api.registry.waiting_for_disk();
    let disk = match waiting {
        0 => Ok(()),
        _ => Err(format!("the journals of {waiting} workers cannot be written (is the disk full?)")),
    };
    Ok(match disk.and_then(|()| call.api.readiness.check()) {
        Ok(()) => Response::json(200, &json!({"status": "ready"})).into(),
        Err(reason) => not_ready(&reason).into(),
    })
}

/// The response of a server that is not ready, with the reason.
pub(super) fn not_ready(reason: &str) -> Response {
    Response::error(503, reason).with_header("Retry-After", "1")
}
