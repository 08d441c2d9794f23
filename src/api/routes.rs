//! The table of routes.

use super::route::{BodySize, Handler, Narrowing, Route, RouteAccess};
use super::socket::SocketCommand;
use super::tools::MCP_PATH;
use super::{
    ApiCall, RouteResult, acp, answer, audit, blob, budgets, clis, creation, events, export, files, groups, handover,
    health, import, land, login, logins, messages, metrics, openapi, options, page, permissions, presets, projects,
    push, ready, remote, restore, review, rules, schedules, search, sessions, socket, terminals, tokens, tools, tree,
    turns, usage, whole, workers,
};
use crate::access::Scope;
use crate::http::Method;

/// Longest body of a request that carries no message, in bytes.
pub(super) const SMALL_BODY_BYTES_MAX: usize = 1024 * 1024;

/// The result of looking up a path.
pub(super) enum RouteMatch<'p> {
    /// A route, its index in the table, and the matches of its braces.
    Route(&'static Route, usize, Vec<&'p str>),
    /// The path exists, with these methods.
    WrongMethod(String),
    /// No such path.
    Nothing,
}

const fn route(method: Method, pattern: &'static str, access: RouteAccess, handler: Handler) -> Route {
    let audited = matches!(method, Method::Post | Method::Put | Method::Patch | Method::Delete);
    Route { method, pattern, access, handler, commands: &[], audited }
}

const fn open(method: Method, pattern: &'static str, handler: fn(&ApiCall<'_>) -> RouteResult) -> Route {
    route(method, pattern, RouteAccess::Anybody, Whole(BodySize::None, handler))
}

const fn probe(pattern: &'static str, handler: fn(&ApiCall<'_>) -> RouteResult) -> Route {
    route(Method::Get, pattern, RouteAccess::Probe, Whole(BodySize::None, handler))
}

const fn get(
    scope: Scope,
    narrowing: Narrowing,
    pattern: &'static str,
    handler: fn(&ApiCall<'_>) -> RouteResult,
) -> Route {
    route(Method::Get, pattern, RouteAccess::Known(scope, narrowing), Whole(BodySize::None, handler))
}

const fn reader(pattern: &'static str, handler: fn(&ApiCall<'_>) -> RouteResult) -> Route {
    route(Method::Get, pattern, RouteAccess::KnownReader(Read, Free), Whole(BodySize::None, handler))
}

const fn change(
    (scope, narrowing): (Scope, Narrowing),
    method: Method,
    pattern: &'static str,
    body: BodySize,
    handler: fn(&ApiCall<'_>) -> RouteResult,
) -> Route {
    route(method, pattern, RouteAccess::Known(scope, narrowing), Whole(body, handler))
}

/// A WebSocket, whose commands have scopes of their own.
const fn socket(
    pattern: &'static str,
    commands: &'static [SocketCommand],
    handler: fn(&ApiCall<'_>) -> RouteResult,
) -> Route {
    Route { commands, ..get(Read, Filtered, pattern, handler) }
}

use BodySize::{Message, Small};
use Handler::{Streamed, Whole};
use Method::{Delete, Get, Patch, Post, Put};
use Narrowing::{Filtered, Free};
use Scope::{Admin, Answer, Read, Send};

/// Requirements that many rows share: a scope for one worker, and for the whole server.
const SEND: (Scope, Narrowing) = (Send, Narrowing::Worker);
const OWN: (Scope, Narrowing) = (Admin, Narrowing::Worker);
const SERVER: (Scope, Narrowing) = (Admin, Narrowing::Whole);
const WORKER: Narrowing = Narrowing::Worker;
const WHOLE: Narrowing = Narrowing::Whole;

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
    get(Read, Filtered, "/api/health", health::health),
    probe("/api/ready", ready::ready),
    get(Read, Filtered, "/metrics", metrics::text),
    get(Read, Filtered, "/api/ai-clis", clis::list),
    get(Read, Filtered, "/api/workers", workers::list),
    change(SERVER, Post, "/api/workers", Message, creation::create),
    get(Read, WORKER, "/api/workers/{id}", workers::show),
    change(OWN, Patch, "/api/workers/{id}", Small, workers::update),
    change(OWN, Delete, "/api/workers/{id}", Small, workers::delete),
    change(SEND, Post, "/api/workers/{id}/stop", Small, workers::stop),
    change(SEND, Post, "/api/workers/{id}/start", Small, workers::start),
    change(SEND, Post, "/api/workers/{id}/restart", Small, workers::restart),
    change(OWN, Post, "/api/workers/{id}/prepare", Small, workers::prepare),
    change(OWN, Post, "/api/workers/{id}/takeover", Small, workers::take_over),
    change(SERVER, Post, "/api/workers/{id}/fork", Small, creation::fork),
    change(SERVER, Post, "/api/workers/{id}/handover", Message, handover::hand_over),
    change(SEND, Post, "/api/workers/{id}/interrupt", Small, workers::interrupt),
    get(Read, WORKER, "/api/workers/{id}/messages", messages::list),
    change(SEND, Post, "/api/workers/{id}/messages", Message, messages::post),
    get(Read, WORKER, "/api/workers/{id}/messages/{seq}/text", whole::text),
    get(Read, WORKER, "/api/workers/{id}/queue", messages::queue),
    change(SEND, Delete, "/api/workers/{id}/queue", Small, messages::empty_queue),
    change(SEND, Patch, "/api/workers/{id}/queue/{message}", Message, messages::edit),
    change(SEND, Delete, "/api/workers/{id}/queue/{message}", Small, messages::remove),
    get(Read, WORKER, "/api/workers/{id}/options", options::list),
    change(OWN, Put, "/api/workers/{id}/options/{option}", Small, options::set),
    get(Read, WORKER, "/api/workers/{id}/events", events::stream),
    get(Read, WORKER, "/api/workers/{id}/export", export::export),
    get(Read, WORKER, "/api/workers/{id}/files", files::list),
    get(Read, WORKER, "/api/workers/{id}/diff", files::diff),
    get(Read, WORKER, "/api/workers/{id}/land", land::look),
    change(OWN, Post, "/api/workers/{id}/land", Small, land::land),
    change(OWN, Post, "/api/workers/{id}/commit", Small, land::commit),
    change(OWN, Post, "/api/workers/{id}/update", Small, land::update),
    change(OWN, Post, "/api/workers/{id}/push", Small, remote::push),
    change(OWN, Post, "/api/workers/{id}/pull-request", Small, remote::pull_request),
    get(Read, WORKER, "/api/workers/{id}/review", review::list),
    change(SEND, Post, "/api/workers/{id}/review", Small, review::add),
    change(SEND, Post, "/api/workers/{id}/review/send", Small, review::send),
    change(SEND, Put, "/api/workers/{id}/review/viewed", Small, review::mark_viewed),
    change(SEND, Patch, "/api/workers/{id}/review/{comment}", Small, review::edit),
    change(SEND, Delete, "/api/workers/{id}/review/{comment}", Small, review::delete),
    get(Read, WORKER, "/api/workers/{id}/blob", blob::file),
    get(Read, WORKER, "/api/workers/{id}/tree", tree::list),
    get(Read, WORKER, "/api/workers/{id}/turns", turns::list),
    get(Read, WORKER, "/api/workers/{id}/file-history", turns::file_history),
    get(Read, WORKER, "/api/workers/{id}/restore", restore::preview),
    change(OWN, Post, "/api/workers/{id}/restore", Small, restore::restore),
    change(OWN, Post, "/api/workers/{id}/discard", Small, restore::discard),
    get(Read, WORKER, "/api/workers/{id}/images/{seq}/{index}", blob::image),
    get(Read, WORKER, "/api/workers/{id}/terminals", terminals::list),
    change(OWN, Post, "/api/workers/{id}/terminals", Small, terminals::open),
    change(OWN, Delete, "/api/workers/{id}/terminals/{terminal}", Small, terminals::end),
    get(Read, Filtered, "/api/groups", groups::list),
    change(SERVER, Post, "/api/groups", Message, groups::create),
    get(Read, Filtered, "/api/groups/{id}", groups::show),
    change(SERVER, Post, "/api/groups/{id}/keep", Small, groups::keep),
    change(SERVER, Post, "/api/groups/{id}/check", Small, groups::check),
    get(Read, Filtered, "/api/groups/{id}/diff", groups::diff),
    get(Admin, WHOLE, "/api/paths", files::paths),
    route(Post, "/api/import", RouteAccess::Known(Admin, WHOLE), Streamed(import::import)),
    get(Read, Filtered, "/api/search", search::search),
    get(Read, Filtered, "/api/projects", projects::list),
    get(Read, WHOLE, "/api/presets", presets::list),
    get(Read, WHOLE, "/api/presets/{name}", presets::show),
    change(SERVER, Put, "/api/presets/{name}", Small, presets::put),
    change(SERVER, Delete, "/api/presets/{name}", Small, presets::remove),
    get(Read, Filtered, "/api/sessions", sessions::list),
    get(Read, Filtered, "/api/usage", usage::report),
    get(Read, Filtered, "/api/permissions", permissions::list),
    change((Answer, WORKER), Post, "/api/workers/{id}/permissions/{request}", Message, permissions::answer),
    change((Answer, WORKER), Post, "/api/workers/{id}/permissions", Message, permissions::answer_named),
    open(Post, "/api/answer/{code}", answer::by_link),
    get(Read, Filtered, "/api/push", push::show),
    change((Answer, Filtered), Post, "/api/push/subscriptions", Small, push::subscribe),
    change((Answer, Filtered), Delete, "/api/push/subscriptions/{id}", Small, push::remove),
    change((Answer, Filtered), Post, "/api/push/test", Small, push::test),
    route(Post, "/api/login", RouteAccess::Anybody, Whole(Small, login::login)),
    route(Post, "/api/logout", RouteAccess::Anybody, Whole(Small, login::logout)),
    change(SERVER, Post, "/api/login/code", Small, login::code),
    get(Read, WORKER, "/api/workers/{id}/permission-rule/{request}", rules::propose),
    Route { audited: false, ..change((Read, Filtered), Post, MCP_PATH, Message, tools::post) },
    get(Read, WHOLE, "/api/rules", rules::list),
    change(SERVER, Post, "/api/rules", Small, rules::create),
    change(SERVER, Post, "/api/rules/preview", Small, rules::preview),
    get(Read, WHOLE, "/api/rules/{id}", rules::show),
    change(SERVER, Patch, "/api/rules/{id}", Small, rules::change),
    change(SERVER, Delete, "/api/rules/{id}", Small, rules::remove),
    get(Read, WHOLE, "/api/budgets", budgets::list),
    change(SERVER, Post, "/api/budgets", Small, budgets::create),
    get(Read, WHOLE, "/api/budgets/{id}", budgets::show),
    change(SERVER, Patch, "/api/budgets/{id}", Small, budgets::change),
    change(SERVER, Delete, "/api/budgets/{id}", Small, budgets::remove),
    get(Read, Filtered, "/api/schedules", schedules::list),
    change(SERVER, Post, "/api/schedules", Small, schedules::create),
    change(SERVER, Post, "/api/schedules/preview", Small, schedules::preview),
    get(Read, Filtered, "/api/schedules/{id}", schedules::show),
    change(SERVER, Patch, "/api/schedules/{id}", Small, schedules::change),
    change(SERVER, Delete, "/api/schedules/{id}", Small, schedules::remove),
    get(Read, Filtered, "/api/schedules/{id}/runs", schedules::runs),
    change(SERVER, Post, "/api/schedules/{id}/run", Small, schedules::run),
    get(Read, Filtered, "/api/logins", logins::list),
    change(SERVER, Delete, "/api/logins", Small, logins::end_others),
    change(SERVER, Delete, "/api/logins/{id}", Small, logins::end),
    get(Admin, WHOLE, "/api/tokens", tokens::list),
    change(SERVER, Post, "/api/tokens", Small, tokens::create),
    change(SERVER, Delete, "/api/tokens/{id}", Small, tokens::end),
    change(SERVER, Post, "/api/tokens/{id}/pair", Small, tokens::pair),
    get(Admin, WHOLE, "/api/audit", audit::list),
    socket("/ws", socket::COMMANDS, socket::all),
    socket("/ws/{id}", socket::COMMANDS, socket::one),
    get(Read, Filtered, "/acp", acp::socket),
    Route { audited: true, ..get(Admin, WORKER, "/ws/{id}/terminals/{terminal}", terminals::socket) },
];

/// Finds the route of a request. HEAD is served as GET; the transport omits the body.
pub(super) fn find<'p>(method: Method, path: &'p str) -> RouteMatch<'p> {
    let wanted = if method == Method::Head { Method::Get } else { method };
    let mut allowed: Vec<&str> = Vec::new();
    let mut pattern = None;
    for (place, route) in ROUTES.iter().enumerate() {
        let Some(params) = fit(route.pattern, path) else { continue };
        // A path with a name of its own is not also one of those in braces, which come later. The id of a prompt may look
        // like a path with a name.
        if pattern.is_some_and(|taken| taken != route.pattern) {
            continue;
        }
        if !route.pattern.ends_with("/{request}") {
            pattern = Some(route.pattern);
        }
        if route.method == wanted {
            return RouteMatch::Route(route, place, params);
        }
        allowed.push(route.method.as_str());
        if route.method == Get {
            allowed.push("HEAD");
        }
    }
    if allowed.is_empty() { RouteMatch::Nothing } else { RouteMatch::WrongMethod(allowed.join(", ")) }
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
        // The id of a prompt is chosen by the agent: it may have slashes.
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
fn document(call: &ApiCall<'_>) -> RouteResult {
    openapi::document(call, ROUTES)
}

/// Returns all routes.
pub(super) fn all() -> &'static [Route] {
    ROUTES
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::guard::CLOSED_TO_SITES;

    fn params(method: Method, path: &str) -> Option<Vec<&str>> {
        match find(method, path) {
            RouteMatch::Route(_, _, params) => Some(params),
            _ => None,
        }
    }

    #[test]
    fn paths_lead_to_their_routes_and_nowhere_else() {
        assert_eq!(params(Get, "/api/workers/a"), Some(vec!["a"]));
        assert_eq!(params(Get, "/api/v1/workers/a"), Some(vec!["a"]));
        assert_eq!(params(Get, "/static/js/app.js"), Some(vec!["js/app.js"]));
        assert_eq!(params(Post, "/api/workers/a/permissions/b/c"), Some(vec!["a", "b/c"]));
        assert_eq!(params(Post, "/api/workers/a/permissions/b/rule"), Some(vec!["a", "b/rule"]));
        assert_eq!(params(Get, "/api/workers/a/permission-rule/b/c"), Some(vec!["a", "b/c"]));
        assert_eq!(params(Method::Head, "/"), Some(vec![]));
        for path in
            ["/api/workers/", "/api/workers/a/", "/api/v1", "/api/v1/", "/api/v1/v1/workers", "/static", "/x", ""]
        {
            assert_eq!(params(Get, path), None, "{path}");
        }
        let RouteMatch::WrongMethod(allowed) = find(Delete, "/api/workers/a/review/send") else { panic!("a comment") };
        assert_eq!(allowed, "POST");
        let RouteMatch::WrongMethod(allowed) = find(Method::Put, "/api/v1/workers") else {
            panic!("not a wrong method")
        };
        assert_eq!(allowed, "GET, HEAD, POST");
    }

    #[test]
    fn routes_that_need_a_credential_are_closed_to_sites() {
        for route in all().iter().filter(|route| matches!(route.access, RouteAccess::Known(..))) {
            let first = route.pattern().split('/').nth(1).unwrap();
            let closed = CLOSED_TO_SITES.iter().any(|closed| closed[1..] == *first);
            assert!(closed, "{}", route.pattern());
        }
    }

    #[test]
    fn every_pattern_leads_to_itself() {
        for pattern in all().iter().map(Route::pattern) {
            let path = pattern.replace("{*}", "a/b").replace(['{', '}'], "");
            assert!(!matches!(find(Get, &path), RouteMatch::Nothing), "{pattern}");
        }
    }
}
