//! The page and its files, and the two pages that show the API.

use super::{ApiCall, RouteResult};
use crate::http::Response;

/// `GET /`
pub(super) fn index(call: &ApiCall<'_>) -> RouteResult {
    Ok(call.api.assets.respond(call.head(), "index.html").into())
}

/// `GET /manifest.webmanifest`: at the root, so that its relative addresses are those of the page.
pub(super) fn manifest(call: &ApiCall<'_>) -> RouteResult {
    Ok(call.api.assets.respond(call.head(), "manifest.webmanifest").into())
}

/// `GET /sw.js`: the service worker. It controls only paths below its own, so it is at the root.
pub(super) fn service_worker(call: &ApiCall<'_>) -> RouteResult {
    Ok(call.api.assets.respond(call.head(), "sw.js").into())
}

/// `GET /docs`: Swagger UI.
pub(super) fn swagger(call: &ApiCall<'_>) -> RouteResult {
    Ok(call.api.assets.respond(call.head(), "swagger.html").into())
}

/// `GET /redoc`
pub(super) fn redoc(call: &ApiCall<'_>) -> RouteResult {
    Ok(call.api.assets.respond(call.head(), "redoc.html").into())
}

/// `GET /static/{*}`
pub(super) fn asset(call: &ApiCall<'_>) -> RouteResult {
    let path = call.params.first().copied().unwrap_or_default();
    Ok(call.api.assets.respond(call.head(), path).into())
}

/// `GET /favicon.ico`: the page names its own icon; this serves clients that request it without reading the page.
pub(super) fn favicon(_call: &ApiCall<'_>) -> RouteResult {
    Ok(Response::new(204).with_header("Cache-Control", "max-age=86400").into())
}
