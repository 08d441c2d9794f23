//! The CLIs that workers can use.

use std::time::Duration;

use serde_json::json;

use super::{Call, Handled};
use crate::http::Response;

/// How long an answer waits for a program that is just being asked for its version.
const PROBE_WAIT: Duration = Duration::from_secs(2);

/// `GET /api/ai-clis`
pub(super) fn list(call: &Call<'_>) -> Handled {
    let listed = call.api.adapters.list(&call.api.probes, PROBE_WAIT);
    Ok(Response::json(200, &json!({"available_clis": listed, "default": call.api.default_cli})).into())
}
