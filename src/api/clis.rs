//! The CLIs that workers can use.

use serde_json::json;

use super::{Call, Handled};
use crate::http::Response;

/// `GET /api/ai-clis`
pub(super) fn list(call: &Call<'_>) -> Handled {
    let listed = call.api.adapters.list(&call.api.probes);
    Ok(Response::json(200, &json!({"available_clis": listed, "default": call.api.default_cli})).into())
}
