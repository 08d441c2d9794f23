//! The table of routes.

use super::{
    Call, Handled, clis, events, export, files, health, import, login, markdown, messages, metrics, openapi, page,
    permissions, ready, search, sessions, socket, workers,
};
use crate::http::Method;

/// Longest body of a request that carries no message, in bytes.
pub(super) const SMALL_BODY_BYTES_MAX: usize = 1024 * 1024;

/// Who may use a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// Anybody who may talk to this server at all.
    Anybody,
    /// Who has the token, where one is needed.
    Known,
    /// The same, and a browser without it is sent to the login.
    KnownReader,
}

/// How long a body a route takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodySize {
    None,
    Small,
    /// Text and images: `MAX_BODY_BYTES`.
    Message,
}

/// One route.
pub(super) struct Route {
    method: Method,
    /// Parts in braces stand for anything; a last part `{*}` for the whole rest.
    pattern: &'static str,
    pub(super) access: Access,
    pub(super) body: BodySize,
    pub(super) handler: fn(&Call<'_>) -> Handled,
}

impl Route {
    pub(super) const fn method(&self) -> Method {
        self.method
    }

    pub(super) const fn pattern(&self) -> &'static str {
        self.pattern
    }
}

/// What a path leads to.
pub(super) enum Found<'p> {
    /// A route, its place in the table, and what its braces stand for.
    Route(&'static Route, usize, Vec<&'p str>),
    /// The path is there, with these methods.
    WrongMethod(String),
    /// No such path.
    Nothing,
}

const fn open(method: Method, pattern: &'static str, handler: fn(&Call<'_>) -> Handled) -> Route {
    Route { method, pattern, access: Access::Anybody, body: BodySize::None, handler }
}

const fn get(pattern: &'static str, handler: fn(&Call<'_>) -> Handled) -> Route {
    Route { method: Method::Get, pattern, access: Access::Known, body: BodySize::None, handler }
}

const fn reader(pattern: &'static str, handler: fn(&Call<'_>) -> Handled) -> Route {
    Route { method: Method::Get, pattern, access: Access::KnownReader, body: BodySize::None, handler }
}

const fn change(method: Method, pattern: &'static str, body: BodySize, handler: fn(&Call<'_>) -> Handled) -> Route {
    Route { method, pattern, access: Access::Known, body, handler }
}

use BodySize::{Message, Small};
use Method::{Delete, Get, Patch, Post};

/// All routes. `/api/v1/...` is an alias of `/api/...`.
static ROUTES: &[Route] = &[
    open(Get, "/", page::index),
    open(Get, "/static/{*}", page::asset),
    open(Get, "/favicon.ico", page::favicon),
    open(Get, "/openapi.json", openapi::document),
    reader("/docs", page::swagger),
    reader("/redoc", page::redoc),
    open(Get, "/health", health::service),
    get("/api/health", health::health),
    open(Get, "/api/ready", ready::ready),
    get("/metrics", metrics::text),
    get("/api/ai-clis", clis::list),
    get("/api/workers", workers::list),
    change(Post, "/api/workers", Message, workers::create),
    get("/api/workers/{id}", workers::show),
    change(Patch, "/api/workers/{id}", Small, workers::update),
    change(Delete, "/api/workers/{id}", Small, workers::delete),
    change(Post, "/api/workers/{id}/stop", Small, workers::stop),
    change(Post, "/api/workers/{id}/start", Small, workers::start),
    change(Post, "/api/workers/{id}/restart", Small, workers::restart),
    change(Post, "/api/workers/{id}/takeover", Small, workers::take_over),
    change(Post, "/api/workers/{id}/fork", Small, workers::fork),
    change(Post, "/api/workers/{id}/interrupt", Small, workers::interrupt),
    get("/api/workers/{id}/messages", messages::list),
    change(Post, "/api/workers/{id}/messages", Message, messages::post),
    get("/api/workers/{id}/queue", messages::queue),
    change(Delete, "/api/workers/{id}/queue", Small, messages::empty_queue),
    change(Patch, "/api/workers/{id}/queue/{message}", Message, messages::edit),
    change(Delete, "/api/workers/{id}/queue/{message}", Small, messages::remove),
    get("/api/workers/{id}/events", events::stream),
    get("/api/workers/{id}/export", export::export),
    get("/api/workers/{id}/files", files::list),
    get("/api/workers/{id}/diff", files::diff),
    get("/api/paths", files::paths),
    change(Post, "/api/markdown", Small, markdown::read),
    change(Post, "/api/import", Message, import::import),
    get("/api/search", search::search),
    get("/api/sessions", sessions::list),
    get("/api/permissions", permissions::list),
    change(Post, "/api/workers/{id}/permissions/{request}", Message, permissions::answer),
    Route { method: Post, pattern: "/api/login", access: Access::Anybody, body: Small, handler: login::login },
    Route { method: Post, pattern: "/api/logout", access: Access::Anybody, body: Small, handler: login::logout },
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

/// What the braces of `pattern` stand for in `path`, when it fits.
fn fit<'p>(pattern: &str, path: &'p str) -> Option<Vec<&'p str>> {
    let versioned = path.strip_prefix("/api/v1/").map(|rest| ("/api/", rest));
    let (prefix, rest) = versioned.unwrap_or(("", path));
    let pattern = pattern.strip_prefix(prefix)?;
    let mut params = Vec::new();
    let mut parts = rest.split('/');
    let mut wanted = pattern.split('/').peekable();
    while let Some(want) = wanted.next() {
        if want == "{*}" && wanted.peek().is_none() {
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

/// Where the parts that are left begin.
fn params_len(rest: &str, parts: &std::str::Split<'_, char>) -> Option<usize> {
    let left: usize = parts.clone().map(|part| part.len() + 1).sum();
    (left > 0).then(|| rest.len() + 1 - left)
}

/// All of them.
pub(super) fn all() -> impl Iterator<Item = &'static Route> {
    ROUTES.iter()
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
        for pattern in all().map(Route::pattern) {
            let path = pattern.replace("{*}", "a/b").replace(['{', '}'], "");
            assert!(!matches!(find(Get, &path), Found::Nothing), "{pattern}");
        }
    }
}
