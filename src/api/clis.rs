//! The CLIs that workers can use.

use serde_json::{Value, json};

use super::{Call, Handled, options};
use crate::http::Response;

/// `GET /api/ai-clis`
pub(super) fn list(call: &Call<'_>) -> Handled {
    let listed: Vec<Value> = call
        .api
        .clis
        .adapters
        .list(&call.api.clis.probes)
        .into_iter()
        .map(|cli| {
            let known = options::known(&call.api.registry, &cli.kind);
            let mut listed = json!(cli);
            listed["known_options"] = json!(known);
            listed
        })
        .collect();
    Ok(Response::json(200, &json!({"available_clis": listed, "default": call.api.clis.default})).into())
}
