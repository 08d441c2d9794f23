//! The table of routes.

use super::route::{Access, BodySize, Handler, Route};
use super::{
    Call, Handled, answer, blob, clis, creation, events, export, files, health, import, login, logins, messages,
    metrics, openapi, options, page, permissions, push, ready, search, sessions, socket, usage, whole, workers,
};
use crate::http::Method;

/// Longest body of a request that carries no message, in bytes.
pub(super) const SMALL_BODY_BYTES_MAX: usize = 1024 * 1024;

/// The result of looking up a path.
pub(super) enum Found<'p> {
    /// A route, its place in the table, and what its braces stand for.
    Route(&'static Route, usize, Vec<&'p str>),
    /// The path is there, with these methods.
    WrongMethod(String),
    /// No such path.
    Nothing,
}

const fn open(method: Method, pattern: &'static str, handler: fn(&Call<'_>) -> Handled) -> Route {
    Route { method, pattern, access: Access::Anybody, handler: Handler::Whole(BodySize::None, handler) }
}

const fn probe(pattern: &'static str, handler: fn(&Call<'_>) -> Handled) -> Route {
    Route { method: Method::Get, pattern, access: Access::Probe, handler: Handler::Whole(BodySize::None, handler) }
}

const fn get(pattern: &'static str, handler: fn(&Call<'_>) -> Handled) -> Route {
    Route { method: Method::Get, pattern, access: Access::Known, handler: Handler::Whole(BodySize::None, handler) }
}

const fn reader(pattern: &'static str, handler: fn(&Call<'_>) -> Handled) -> Route {
    Route {
        method: Method::Get,
        pattern,
        access: Access::KnownReader,
        handler: Handler::Whole(BodySize::None, handler),
    }
}

const fn change(method: Method, pattern: &'static str, body: BodySize, handler: fn(&Call<'_>) -> Handled) -> Route {
    Route { method, pattern, access: Access::Known, handler: Handler::Whole(body, handler) }
}

use BodySize::{Message, Small};
use Handler::{Streamed, Whole};
use Method::{Delete, Get, Patch, Post, Put};

/// All routes. `/api/v1/...` is an alias of `/api/...`.
static ROUTES: &[Route] = &[
    open(Get, "/", page::index),
    open(Get, "/static/{*}", page::asset),
    open(Get, "/favicon.ico", page::favicon),
    open(Get, "/manifest.webmanifest", page::manifest),
    open(Get, "/sw.js", page::service_worker),
    open(Get, "/openapi.json", document),
    reader("/docs", page::swagger),
    reader("/redoc", page::redoc),
    probe("/health", health::service),
    get("/api/health", health::health),
    probe("/api/ready", ready::ready),
    get("/metrics", metrics::text),
    get("/api/ai-clis", clis::list),
    get("/api/workers", workers::list),
    change(Post, "/api/workers", Message, creation::create),
    get("/api/workers/{id}", workers::show),
    change(Patch, "/api/workers/{id}", Small, workers::update),
    change(Delete, "/api/workers/{id}", Small, workers::delete),
    change(Post, "/api/workers/{id}/stop", Small, workers::stop),
    change(Post, "/api/workers/{id}/start", Small, workers::start),
    change(Post, "/api/workers/{id}/restart", Small, workers::restart),
    change(Post, "/api/workers/{id}/takeover", Small, workers::take_over),
    change(Post, "/api/workers/{id}/fork", Small, creation::fork),
    change(Post, "/api/workers/{id}/interrupt", Small, workers::interrupt),
    get("/api/workers/{id}/messages", messages::list),
    change(Post, "/api/workers/{id}/messages", Message, messages::post),
    get("/api/workers/{id}/messages/{seq}/text", whole::text),
    get("/api/workers/{id}/queue", messages::queue),
    change(Delete, "/api/workers/{id}/queue", Small, messages::empty_queue),
    change(Patch, "/api/workers/{id}/queue/{message}", Message, messages::edit),
    change(Delete, "/api/workers/{id}/queue/{message}", Small, messages::remove),
    get("/api/workers/{id}/options", options::list),
    change(Put, "/api/workers/{id}/options/{option}", Small, options::set),
    get("/api/workers/{id}/events", events::stream),
    get("/api/workers/{id}/export", export::export),
    get("/api/workers/{id}/files", files::list),
    get("/api/workers/{id}/diff", files::diff),
    get("/api/workers/{id}/blob", blob::file),
    get("/api/workers/{id}/images/{seq}/{index}", blob::image),
    get("/api/paths", files::paths),
    Route { method: Post, pattern: "/api/import", access: Access::Known, handler: Streamed(import::import) },
    get("/api/search", search::search),
    get("/api/sessions", sessions::list),
    get("/api/usage", usage::report),
    get("/api/permissions", permissions::list),
    change(Post, "/api/workers/{id}/permissions/{request}", Message, permissions::answer),
    change(Post, "/api/workers/{id}/permissions", Message, permissions::answer_named),
    open(Post, "/api/answer/{code}", answer::by_link),
    get("/api/push", push::show),
    change(Post, "/api/push/subscriptions", Small, push::subscribe),
    change(Delete, "/api/push/subscriptions/{id}", Small, push::remove),
    change(Post, "/api/push/test", Small, push::test),
    Route { method: Post, pattern: "/api/login", access: Access::Anybody, handler: Whole(Small, login::login) },
    Route { method: Post, pattern: "/api/logout", access: Access::Anybody, handler: Whole(Small, login::logout) },
    change(Post, "/api/login/code", Small, login::code),
    get("/api/logins", logins::list),
    change(Delete, "/api/logins", Small, logins::end_others),
    change(Delete, "/api/logins/{id}", Small, logins::end),
    get("/ws", socket::all),
    get("/ws/{id}", socket::one),
];

/// Finds the route of a request. HEAD is served as GET; the transport leaves the content away.
pub(super) fn find<'p>(method: Method, path: &'p str) -> Found<'p> {
    let wanted = if method == Method::Head { Method::Get } else { method };
    let mut allowed: Vec<&str> = Vec::new();
    for (place, route) in ROUTES.iter().enumerate() {
        let Some(params) = fit(route.pattern, path) else { continue };
        if route.method == wanted {
            return Found::Route(route, place, params);
        }
        allowed.push(route.method.as_str());
        if route.method == Get {
            allowed.push("HEAD");
        }
    }
    if allowed.is_empty() { Found::Nothing } else { Found::WrongMethod(allowed.join(", ")) }
}

/// Returns the parts of `path` that match the braces of `pattern`, if it matches.
fn fit<'p>(pattern: &str, path: &'p str) -> Option<Vec<&'p str>> {
    let versioned = path.strip_prefix("/api/v1/").map(|rest| ("/api/", rest));
    let (prefix, rest) = versioned.unwrap_or(("", path));
    let pattern = pattern.strip_prefix(prefix)?;
    let mut params = Vec::new();
    let mut parts = rest.split('/');
    let mut wanted = pattern.split('/').peekable();
    while let Some(want) = wanted.next() {
        // The id of a prompt is the agent's: it may have slashes.
        if matches!(want, "{*}" | "{request}") && wanted.peek().is_none() {
            let done: usize = params_len(rest, &parts)?;
            params.push(&rest[done..]);
            return Some(params);
        }
        let part = parts.next()?;
        if want.starts_with('{') {
            if part.is_empty() {
                return None;
            }
            params.push(part);
        } else if part != want {
            return None;
        }
    }
    parts.next().is_none().then_some(params)
}

/// Returns the offset of the remaining parts.
fn params_len(rest: &str, parts: &std::str::Split<'_, char>) -> Option<usize> {
    let left: usize = parts.clone().map(|part| part.len() + 1).sum();
    (left > 0).then(|| rest.len() + 1 - left)
}

/// `GET /openapi.json`
fn document(call: &Call<'_>) -> Handled {
    openapi::document(call, ROUTES)
}

/// All of them.
pub(super) fn all() -> &'static [Route] {
    ROUTES
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(method: Method, path: &str) -> Option<Vec<&str>> {
        match find(method, path) {
            Found::Route(_, _, params) => Some(params),
            _ => None,
        }
    }

    #[test]
    fn paths_lead_to_their_routes_and_nowhere_else() {
        assert_eq!(params(Get, "/api/workers/a"), Some(vec!["a"]));
        assert_eq!(params(Get, "/api/v1/workers/a"), Some(vec!["a"]));
        assert_eq!(params(Get, "/static/js/app.js"), Some(vec!["js/app.js"]));
        assert_eq!(params(Post, "/api/workers/a/permissions/b/c"), Some(vec!["a", "b/c"]));
        assert_eq!(params(Method::Head, "/"), Some(vec![]));
        for path in
            ["/api/workers/", "/api/workers/a/", "/api/v1", "/api/v1/", "/api/v1/v1/workers", "/static", "/x", ""]
        {
            assert_eq!(params(Get, path), None, "{path}");
        }
        let Found::WrongMethod(allowed) = find(Method::Put, "/api/v1/workers") else { panic!("not a wrong method") };
        assert_eq!(allowed, "GET, HEAD, POST");
    }

    #[test]
    fn every_pattern_leads_to_itself() {
        for pattern in all().iter().map(Route::pattern) {
            let path = pattern.replace("{*}", "a/b").replace(['{', '}'], "");
            assert!(!matches!(find(Get, &path), Found::Nothing), "{pattern}");
        }
    }
}
