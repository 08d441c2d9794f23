//! Markdown for the page, which has no parser of its own.

use serde_json::json;

use super::error::ApiError;
use super::input::Body;
use super::{Call, Handled};
use crate::http::Response;
use crate::markdown;

/// Most texts of one request.
const TEXTS_MAX: usize = 100;

/// `POST /api/markdown`: the blocks of each text.
pub(super) fn read(call: &Call<'_>) -> Handled {
    let mut body = Body::parse(&call.request.body)?;
    let texts = body.texts("texts");
    body.finish()?;
    if texts.len() > TEXTS_MAX {
        return Err(ApiError::mistake(
            "body",
            "texts",
            format!("Input should have at most {TEXTS_MAX} entries"),
            "too_long",
        ));
    }
    let read = |text: &String| markdown::blocks_json(text).and_then(|json| serde_json::from_slice(&json).ok());
    let documents: Vec<serde_json::Value> = texts.iter().map(|text| read(text).unwrap_or_else(|| json!([]))).collect();
    Ok(Response::json(200, &json!({"documents": documents})).into())
}
