//! The cases: each route and command, with the scope and narrowing that it must have, a request, and the status of that
//! request for who may make it. The worker of the requests is stopped, and cannot start.

/// A route.
pub(super) struct Case {
    /// Method and path, as in the OpenAPI document.
    pub(super) route: &'static str,
    /// The scope that it requires; empty where it requires no credential.
    pub(super) scope: &'static str,
    /// The effect of narrowing.
    pub(super) narrowing: &'static str,
    /// The query, or the rest of the path.
    pub(super) query: &'static str,
    pub(super) body: &'static str,
    /// The status for who may make the request.
    pub(super) status: u16,
}

/// A command of a WebSocket.
pub(super) struct CommandCase {
    pub(super) kind: &'static str,
    pub(super) scope: &'static str,
    pub(super) names_worker: bool,
    pub(super) frame: &'static str,
    /// The status of its answer for who may give it.
    pub(super) status: u16,
}

impl Case {
    /// The path for a worker, with names for all the rest.
    pub(super) fn path(&self, worker: &str) -> String {
        let (_, path) = self.route.split_once(' ').unwrap();
        let is_of_worker = path.starts_with("/api/workers/") || path.starts_with("/ws/");
        let path = path.replace("{id}", if is_of_worker { worker } else { "none" });
        path.replace("{path}", "css/base.css").replace("{seq}", "0").replace("{index}", "0").replace(['{', '}'], "")
    }
}

const fn case(
    route: &'static str,
    (scope, narrowing): (&'static str, &'static str),
    query: &'static str,
    body: &'static str,
    status: u16,
) -> Case {
    Case { route, scope, narrowing, query, body, status }
}

/// All routes.
#[rustfmt::skip]
pub(super) const ROUTES: &[Case] = &[
    case("GET /", ("", ""), "", "", 200),
    case("GET /static/{path}", ("", ""), "", "", 200),
    case("GET /favicon.ico", ("", ""), "", "", 204),
    case("GET /manifest.webmanifest", ("", ""), "", "", 200),
    case("GET /sw.js", ("", ""), "", "", 200),
    case("GET /openapi.json", ("", ""), "", "", 200),
    case("GET /docs", ("read", "free"), "", "", 200),
    case("GET /redoc", ("read", "free"), "", "", 200),
    case("GET /health", ("", ""), "", "", 200),
    case("GET /api/health", ("read", "filtered"), "", "", 200),
    case("GET /api/ready", ("", ""), "", "", 200),
    case("GET /metrics", ("read", "filtered"), "", "", 200),
    case("GET /api/ai-clis", ("read", "filtered"), "", "", 200),
    case("GET /api/workers", ("read", "filtered"), "", "", 200),
    case("POST /api/workers", ("admin", "whole"), "", "{}", 422),
    case("GET /api/workers/{id}", ("read", "worker"), "", "", 200),
    case("PATCH /api/workers/{id}", ("admin", "worker"), "", r#"{"pinned": 5}"#, 422),
    case("DELETE /api/workers/{id}", ("admin", "worker"), "?force=maybe", "{}", 422),
    case("POST /api/workers/{id}/stop", ("send", "worker"), "", "{}", 200),
    case("POST /api/workers/{id}/start", ("send", "worker"), "", "{}", 429),
    case("POST /api/workers/{id}/restart", ("send", "worker"), "", "{}", 429),
    case("POST /api/workers/{id}/prepare", ("admin", "worker"), "", "{}", 409),
    case("POST /api/workers/{id}/takeover", ("admin", "worker"), "", r#"{"force": 5}"#, 422),
    case("POST /api/workers/{id}/fork", ("admin", "whole"), "", r#"{"name": 5}"#, 422),
    case("POST /api/workers/{id}/handover", ("admin", "whole"), "", r#"{"force": 5}"#, 422),
    case("POST /api/workers/{id}/interrupt", ("send", "worker"), "", "{}", 200),
    case("GET /api/workers/{id}/messages", ("read", "worker"), "", "", 200),
    case("POST /api/workers/{id}/messages", ("send", "worker"), "", "{}", 422),
    case("GET /api/workers/{id}/messages/{seq}/text", ("read", "worker"), "", "", 404),
    case("GET /api/workers/{id}/queue", ("read", "worker"), "", "", 200),
    case("DELETE /api/workers/{id}/queue", ("send", "worker"), "", "{}", 200),
    case("PATCH /api/workers/{id}/queue/{message}", ("send", "worker"), "", "{}", 422),
    case("DELETE /api/workers/{id}/queue/{message}", ("send", "worker"), "", "{}", 404),
    case("GET /api/workers/{id}/options", ("read", "worker"), "", "", 200),
    case("PUT /api/workers/{id}/options/{option}", ("admin", "worker"), "", "{}", 422),
    case("GET /api/workers/{id}/events", ("read", "worker"), "", "", 200),
    case("GET /api/workers/{id}/export", ("read", "worker"), "", "", 200),
    case("GET /api/workers/{id}/files", ("read", "worker"), "", "", 200),
    case("GET /api/workers/{id}/diff", ("read", "worker"), "", "", 200),
    case("GET /api/workers/{id}/land", ("read", "worker"), "", "", 409),
    case("POST /api/workers/{id}/land", ("admin", "worker"), "", r#"{"into": 5}"#, 422),
    case("POST /api/workers/{id}/commit", ("admin", "worker"), "", r#"{"message": 5}"#, 422),
    case("POST /api/workers/{id}/update", ("admin", "worker"), "", r#"{"from": 5}"#, 422),
    case("GET /api/workers/{id}/review", ("read", "worker"), "", "", 200),
    case("POST /api/workers/{id}/review", ("send", "worker"), "", "{}", 422),
    case("POST /api/workers/{id}/review/send", ("send", "worker"), "", r#"{"text": 5}"#, 422),
    case("PUT /api/workers/{id}/review/viewed", ("send", "worker"), "", "{}", 422),
    case("PATCH /api/workers/{id}/review/{comment}", ("send", "worker"), "", "{}", 404),
    case("DELETE /api/workers/{id}/review/{comment}", ("send", "worker"), "", "{}", 404),
    case("GET /api/workers/{id}/blob", ("read", "worker"), "?path=none", "", 404),
    case("GET /api/workers/{id}/tree", ("read", "worker"), "", "", 200),
    case("GET /api/workers/{id}/turns", ("read", "worker"), "", "", 200),
    case("GET /api/workers/{id}/file-history", ("read", "worker"), "", "", 422),
    case("GET /api/workers/{id}/restore", ("read", "worker"), "", "", 422),
    case("POST /api/workers/{id}/restore", ("admin", "worker"), "", "{}", 422),
    case("POST /api/workers/{id}/discard", ("admin", "worker"), "", "{}", 422),
    case("GET /api/workers/{id}/images/{seq}/{index}", ("read", "worker"), "", "", 404),
    case("GET /api/workers/{id}/terminals", ("read", "worker"), "", "", 200),
    case("POST /api/workers/{id}/terminals", ("admin", "worker"), "", r#"{"cols": "x"}"#, 422),
    case("DELETE /api/workers/{id}/terminals/{terminal}", ("admin", "worker"), "", "{}", 404),
    case("GET /api/groups", ("read", "filtered"), "", "", 200),
    case("POST /api/groups", ("admin", "whole"), "", "{}", 422),
    case("GET /api/groups/{id}", ("read", "filtered"), "", "", 404),
    case("POST /api/groups/{id}/keep", ("admin", "whole"), "", "{}", 422),
    case("GET /api/paths", ("admin", "whole"), "?prefix=/", "", 200),
    case("POST /api/import", ("admin", "whole"), "", "x", 400),
    case("GET /api/search", ("read", "filtered"), "?q=nothing", "", 200),
    case("GET /api/projects", ("read", "filtered"), "", "", 200),
    case("GET /api/sessions", ("read", "filtered"), "", "", 200),
    case("GET /api/usage", ("read", "filtered"), "", "", 200),
    case("GET /api/permissions", ("read", "filtered"), "", "", 200),
    case("POST /api/workers/{id}/permissions/{request}", ("answer", "worker"), "", "{}", 422),
    case("POST /api/workers/{id}/permissions", ("answer", "worker"), "", "{}", 422),
    case("POST /api/answer/{code}", ("", ""), "", "", 404),
    case("GET /api/push", ("read", "filtered"), "", "", 200),
    case("POST /api/push/subscriptions", ("answer", "filtered"), "", "{}", 422),
    case("DELETE /api/push/subscriptions/{id}", ("answer", "filtered"), "", "{}", 404),
    case("POST /api/push/test", ("answer", "filtered"), "", "{}", 422),
    case("POST /api/login", ("", ""), "", "{}", 422),
    case("POST /api/logout", ("", ""), "", "{}", 200),
    case("POST /api/login/code", ("admin", "whole"), "", "{}", 201),
    case("GET /api/logins", ("read", "filtered"), "", "", 200),
    case("DELETE /api/logins", ("admin", "whole"), "", "{}", 200),
    case("DELETE /api/logins/{id}", ("admin", "whole"), "", "{}", 404),
    case("GET /api/tokens", ("admin", "whole"), "", "", 200),
    case("POST /api/tokens", ("admin", "whole"), "", "{}", 422),
    case("DELETE /api/tokens/{id}", ("admin", "whole"), "", "{}", 404),
    case("POST /api/tokens/{id}/pair", ("admin", "whole"), "", "{}", 404),
    case("GET /api/audit", ("admin", "whole"), "", "", 200),
    case("GET /ws", ("read", "filtered"), "", "", 101),
    case("GET /ws/{id}", ("read", "filtered"), "", "", 101),
    case("GET /acp", ("read", "filtered"), "", "", 101),
    case("GET /ws/{id}/terminals/{terminal}", ("admin", "worker"), "", "", 404),
    case("POST /api/workers/{id}/push", ("admin", "worker"), "", r#"{"remote": 5}"#, 422),
    case("POST /api/workers/{id}/pull-request", ("admin", "worker"), "", r#"{"remote": 5}"#, 422),
    case("POST /api/groups/{id}/check", ("admin", "whole"), "", "{}", 404),
    case("GET /api/groups/{id}/diff", ("read", "filtered"), "", "", 422),
    case("GET /api/presets", ("read", "whole"), "", "", 200),
    case("GET /api/presets/{name}", ("read", "whole"), "", "", 404),
    case("PUT /api/presets/{name}", ("admin", "whole"), "", "[]", 422),
    case("DELETE /api/presets/{name}", ("admin", "whole"), "", "{}", 404),
    case("GET /api/workers/{id}/permission-rule/{request}", ("read", "worker"), "", "", 404),
    case("POST /mcp", ("read", "filtered"), "", r#"{"jsonrpc": "2.0", "id": 1, "method": "ping"}"#, 200),
    case("GET /api/rules", ("read", "whole"), "", "", 200),
    case("POST /api/rules", ("admin", "whole"), "", "{}", 422),
    case("POST /api/rules/preview", ("admin", "whole"), "", "{}", 422),
    case("GET /api/rules/{id}", ("read", "whole"), "", "", 404),
    case("PATCH /api/rules/{id}", ("admin", "whole"), "", "{}", 404),
    case("DELETE /api/rules/{id}", ("admin", "whole"), "", "{}", 404),
    case("GET /api/budgets", ("read", "whole"), "", "", 200),
    case("POST /api/budgets", ("admin", "whole"), "", "{}", 422),
    case("GET /api/budgets/{id}", ("read", "whole"), "", "", 404),
    case("PATCH /api/budgets/{id}", ("admin", "whole"), "", "{}", 404),
    case("DELETE /api/budgets/{id}", ("admin", "whole"), "", "{}", 404),
    case("GET /api/schedules", ("read", "filtered"), "", "", 200),
    case("POST /api/schedules", ("admin", "whole"), "", "{}", 422),
    case("POST /api/schedules/preview", ("admin", "whole"), "", "{}", 422),
    case("GET /api/schedules/{id}", ("read", "filtered"), "", "", 404),
    case("PATCH /api/schedules/{id}", ("admin", "whole"), "", "{}", 404),
    case("DELETE /api/schedules/{id}", ("admin", "whole"), "", "{}", 404),
    case("GET /api/schedules/{id}/runs", ("read", "filtered"), "", "", 404),
    case("POST /api/schedules/{id}/run", ("admin", "whole"), "", "{}", 404),
];

/// All commands.
#[rustfmt::skip]
pub(super) const COMMANDS: &[CommandCase] = &[
    CommandCase { kind: "ping", scope: "read", names_worker: false, frame: "{}", status: 200 },
    CommandCase { kind: "subscribe", scope: "read", names_worker: true, frame: r#"{"worker_id": "{id}"}"#, status: 200 },
    CommandCase { kind: "unsubscribe", scope: "read", names_worker: false, frame: r#"{"worker_id": "{id}"}"#, status: 200 },
    CommandCase { kind: "in_view", scope: "read", names_worker: true, frame: r#"{"worker_id": "{id}"}"#, status: 200 },
    CommandCase { kind: "out_of_view", scope: "read", names_worker: false, frame: "{}", status: 200 },
    CommandCase { kind: "permission", scope: "answer", names_worker: true, frame: r#"{"worker_id": "{id}", "request_id": "none", "option_id": "allow_once"}"#, status: 404 },
    CommandCase { kind: "answer", scope: "answer", names_worker: true, frame: r#"{"worker_id": "{id}", "request_id": "none", "answers": {}}"#, status: 404 },
    CommandCase { kind: "message", scope: "send", names_worker: true, frame: r#"{"worker_id": "{id}", "content": "hello"}"#, status: 429 },
    CommandCase { kind: "interrupt", scope: "send", names_worker: true, frame: r#"{"worker_id": "{id}"}"#, status: 200 },
    CommandCase { kind: "set_model", scope: "admin", names_worker: true, frame: r#"{"worker_id": "{id}", "model": "m"}"#, status: 200 },
    CommandCase { kind: "set_permission_mode", scope: "admin", names_worker: true, frame: r#"{"worker_id": "{id}", "mode": "m"}"#, status: 200 },
    CommandCase { kind: "set_option", scope: "admin", names_worker: true, frame: r#"{"worker_id": "{id}", "option": "o", "value": 1}"#, status: 409 },
];
