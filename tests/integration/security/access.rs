//! Access: Host, Origin, content type, token, cookie, throttle.

use serde_json::json;

use super::TOKEN;
use crate::support::http::{Client, Raw, Reply};
use crate::support::server::{TestServer, wait_file};
use crate::support::wait::DEADLINE;
use crate::support::ws::WsClient;
use crate::wire::{LOOP, builder, detail, idle_worker, server, start};

const JSON: (&str, &str) = ("content-type", "application/json");

/// Returns the status of a WebSocket upgrade: 101 when it is accepted.
fn upgrade(server: &TestServer, headers: &[(&str, &str)]) -> u16 {
    WsClient::connect(server.addr(), "/ws", headers).map_or_else(|status| status, |_| 101)
}

/// A request that would create a worker if its body were valid: 422 when it is authenticated.
fn post(server: &TestServer, headers: &[(&str, &str)]) -> Reply {
    server.client.request("POST", "/api/workers", headers, b"{}")
}

fn with_token() -> TestServer {
    start(builder().env("AUTH_TOKEN", TOKEN))
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

#[test]
fn only_allowed_hosts_are_served_on_upgrades_too() {
    let server = start(builder().env("ALLOWED_HOSTS", "box.local"));
    for host in ["127.0.0.1", "localhost:7788", "LOCALHOST", "[::1]:80", "box.local", "box.local.:1"] {
        server.client.with("host", host).get("/api/health").expect(200);
        assert_eq!(upgrade(&server, &[("host", host)]), 101, "{host}");
    }
    // Probes use other host names, or none.
    for path in ["/health", "/api/ready", "/api/v1/ready"] {
        server.client.with("host", "pod-7.cluster.local:7788").get(path).expect(200);
        let mut raw = Raw::connect(server.addr()).unwrap();
        raw.send(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).unwrap();
        assert_eq!(raw.reply(false).unwrap().status, 200, "{path}");
    }
    let page = server.client.with("host", "evil.example").with("accept", "text/html").get("/").expect(403);
    assert!(page.text().contains("ALLOWED_HOSTS=evil.example"), "{}", page.text());
    assert!(page.header("content-security-policy").is_some());
    for host in
        ["evil.example", "127.0.0.1.evil.example", "192.0.2.1:7788", "localhost.evil", "0.0.0.0", "sub.box.local"]
    {
        let refused = server.client.with("host", host).get("/api/health").expect(403);
        assert_eq!(detail(&refused), format!("host not allowed: {host} (see ALLOWED_HOSTS)"));
        assert_eq!(upgrade(&server, &[("host", host)]), 403, "{host}");
        server.client.with("host", host).get("/").expect(403);
    }
}

#[test]
fn a_request_names_exactly_one_host() {
    let server = server();
    for hosts in ["", "host: localhost\r\nhost: evil.example\r\n"] {
        let mut raw = Raw::connect(server.addr()).unwrap();
        raw.send(format!("GET /api/health HTTP/1.1\r\n{hosts}\r\n").as_bytes()).unwrap();
        assert_eq!(raw.reply(false).unwrap().status, 400, "{hosts:?}");
    }
    let mut raw = Raw::connect(server.addr()).unwrap();
    raw.send(b"GET http://localhost/health HTTP/1.1\r\nhost: evil.example\r\n\r\n").unwrap();
    assert_eq!(raw.reply(false).unwrap().status, 400);
}

#[test]
fn pages_of_other_origins_are_refused_on_upgrades_too() {
    let server = start(builder().env("ALLOWED_ORIGINS", "https://app.example"));
    let own = format!("http://{}", server.addr());
    for origin in [own.as_str(), "https://app.example"] {
        post(&server, &[JSON, ("origin", origin)]).expect(422);
        server.client.with("origin", origin).get("/api/workers").expect(200);
        assert_eq!(upgrade(&server, &[("origin", origin)]), 101, "{origin}");
    }
    let other_port = format!("http://127.0.0.1:{}", server.addr().port() ^ 1);
    for origin in ["https://evil.example", "null", other_port.as_str(), "http://localhost", "http://app.example", ""] {
        let refused = post(&server, &[JSON, ("origin", origin)]).expect(403);
        assert_eq!(detail(&refused), format!("origin not allowed: {origin} (see ALLOWED_ORIGINS)"));
        server.client.with("origin", origin).get("/api/workers").expect(403);
        assert_eq!(upgrade(&server, &[("origin", origin)]), 403, "{origin}");
    }
}

#[test]
fn cross_site_requests_change_nothing() {
    let server = server();
    let refused = post(&server, &[JSON, ("sec-fetch-site", "cross-site")]).expect(403);
    assert_eq!(detail(&refused), "requests from other sites are not allowed (see ALLOWED_ORIGINS)");
    assert_eq!(upgrade(&server, &[("sec-fetch-site", "cross-site")]), 403);
    post(&server, &[JSON, ("sec-fetch-site", "same-origin")]).expect(422);
    server.client.with("sec-fetch-site", "cross-site").get("/").expect(200);
    for site in ["cross-site", "same-site"] {
        let foreign = server.client.with("sec-fetch-site", site);
        for path in ["/api/workers", "/api/search?q=a", "/api/ready", "/metrics", "/ws"] {
            foreign.get(path).expect(403);
        }
        foreign.get("/static/css/base.css").expect(200);
    }
}

#[test]
fn bodies_that_change_something_are_json() {
    let server = server();
    let expected = "the body must be JSON, with Content-Type: application/json";
    for content_type in
        ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "", "application/jsonx"]
    {
        assert_eq!(detail(&post(&server, &[("content-type", content_type)]).expect(415)), expected);
    }
    assert_eq!(detail(&post(&server, &[]).expect(415)), expected);
    for content_type in ["application/json", "application/json; charset=utf-8", "Application/JSON"] {
        post(&server, &[("content-type", content_type)]).expect(422);
    }
}

#[test]
fn configured_token_is_needed_by_everybody() {
    let server = with_token();
    let refused = server.get("/api/workers").expect(401);
    assert_eq!(detail(&refused), "a token is needed: send it as Authorization: Bearer, or log in");
    assert_eq!(refused.header("www-authenticate"), Some("Bearer"));
    let in_the_query = format!("/api/workers?token={TOKEN}&access_token={TOKEN}");
    server.get(&in_the_query).expect(401);
    let wrong = server.client.with("authorization", &bearer("correct-horse-battery-staple-0124"));
    assert_eq!(detail(&wrong.get("/api/workers").expect(401)), "the token is wrong");
    for scheme in ["Bearer", "bearer"] {
        server.client.with("authorization", &format!("{scheme} {TOKEN}")).get("/api/workers").expect(200);
    }
    server.client.with("authorization", &format!("Basic {TOKEN}")).get("/api/workers").expect(401);
    server.client.with("authorization", TOKEN).get("/api/workers").expect(401);
    assert_eq!(upgrade(&server, &[]), 401);
    assert_eq!(upgrade(&server, &[("authorization", &bearer(TOKEN))]), 101);
    assert_eq!(WsClient::connect(server.addr(), &format!("/ws?token={TOKEN}"), &[]).map(drop), Err(401));
}

/// The routes without authentication; a new one that is not here must require the token.
const OPEN: [&str; 11] = [
    "GET /",
    "GET /api/ready",
    "GET /favicon.ico",
    "GET /health",
    "GET /manifest.webmanifest",
    "GET /openapi.json",
    "GET /static/{path}",
    "GET /sw.js",
    "POST /api/answer/{code}",
    "POST /api/login",
    "POST /api/logout",
];

#[test]
fn every_route_but_the_listed_ones_needs_the_token() {
    let server = with_token();
    let document = server.get("/openapi.json").expect(200).json();
    let mut open = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys().map(|method| method.to_uppercase()) {
            let asked = path.replace(['{', '}'], "");
            for prefix in ["/api/", "/api/v1/"] {
                let asked = asked.replacen("/api/", prefix, 1);
                let body: &[u8] = if method == "GET" { b"" } else { b"{}" };
                let status = server.client.request(&method, &asked, &[JSON], body).status;
                let key = format!("{method} {path}");
                if OPEN.contains(&key.as_str()) {
                    assert!(status != 403 && (status != 401 || path == "/api/login"), "{key}: {status}");
                    open.push(key);
                } else {
                    assert_eq!(status, 401, "{key}");
                }
            }
        }
    }
    open.sort();
    open.dedup();
    assert_eq!(open, OPEN);
}

#[test]
fn request_through_a_proxy_never_counts_as_local() {
    let server = server();
    let expected = "only programs of this machine get in without a token, and not through a proxy (see AUTH_TOKEN)";
    for (name, value) in [
        ("forwarded", "for=192.0.2.1"),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-host", "localhost"),
        ("x-forwarded-proto", "https"),
        ("x-real-ip", "127.0.0.1"),
        ("via", "1.1 proxy"),
    ] {
        assert_eq!(detail(&server.client.with(name, value).get("/api/workers").expect(401)), expected, "{name}");
        assert_eq!(upgrade(&server, &[(name, value)]), 401, "{name}");
    }
    let server = with_token();
    let proxied = server.client.with("x-forwarded-for", "192.0.2.1");
    proxied.get("/api/workers").expect(401);
    proxied.with("authorization", &bearer(TOKEN)).get("/api/workers").expect(200);
}

/// Returns the `name=value` of a login's cookie, after a check of its flags.
#[track_caller]
fn log_in(client: &Client, flags: &str) -> String {
    let reply = client.post("/api/login", &json!({"token": TOKEN})).expect(200);
    let cookie = reply.header("set-cookie").unwrap().to_owned();
    let (pair, rest) = cookie.split_once("; ").unwrap();
    assert_eq!(rest, flags);
    assert!(!cookie.contains(TOKEN), "{cookie}");
    pair.to_owned()
}

#[test]
fn login_cookie_is_closed_to_scripts_and_other_sites() {
    let server = with_token();
    let flags = "Path=/; Max-Age=2592000; HttpOnly; SameSite=Strict";
    let cookie = log_in(&server.client, flags);
    server.client.with("cookie", &format!("other=1; {cookie}")).get("/api/workers").expect(200);
    assert_eq!(upgrade(&server, &[("cookie", &cookie)]), 101);
    let bound = log_in(&server.client.with("x-forwarded-proto", "https"), &format!("{flags}; Secure"));
    assert!(bound.starts_with("__Host-rs_worker_session="), "{bound}");
    let foreign = server.client.with("cookie", &cookie).with("origin", "https://evil.example");
    foreign.get("/api/workers").expect(403);

    let out = server.client.with("cookie", &cookie).post("/api/logout", &json!({})).expect(200);
    assert_eq!(out.header("set-cookie"), Some("rs_worker_session=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict"));
    let wrong = server.client.with("cookie", "rs_worker_session=nonsense").get("/api/workers").expect(401);
    assert_eq!(detail(&wrong), "this login has ended: log in again");
    assert!(wrong.header("set-cookie").unwrap().contains("Max-Age=0"), "a cookie of no use is taken back");
}

#[test]
fn login_needs_the_token_as_json_from_the_own_page() {
    let server = with_token();
    let wrong = server.post("/api/login", &json!({"token": "wrong"})).expect(401);
    assert_eq!((detail(&wrong), wrong.header("set-cookie")), ("the token is wrong".to_owned(), None));
    server.post("/api/login", &json!({})).expect(422);
    let body = format!("token={TOKEN}");
    let form = [("content-type", "application/x-www-form-urlencoded")];
    server.client.request("POST", "/api/login", &form, body.as_bytes()).expect(415);
    let foreign = server.client.with("origin", "https://evil.example");
    foreign.post("/api/login", &json!({"token": TOKEN})).expect(403);
}

#[test]
fn a_cookie_outlives_the_server_and_ends_with_the_token() {
    let mut server = with_token();
    let cookie = log_in(&server.client, "Path=/; Max-Age=2592000; HttpOnly; SameSite=Strict");
    server.restart();
    server.client.with("cookie", &cookie).get("/api/workers").expect(200);
    server.set_env("AUTH_TOKEN", "another-token-0123456789");
    server.restart();
    server.client.with("cookie", &cookie).get("/api/workers").expect(401);
}

#[test]
fn any_other_address_needs_a_token_that_is_stored() {
    // An address of documentation, which no machine has: so the token is created, and then the listener fails.
    let mut server = builder().env("HOST", "192.0.2.1").prepare();
    let (status, output) = server.start_in_vain();
    assert!(!status.success());
    assert!(output.contains("cannot listen on 192.0.2.1:"), "{output}");
    let file = server.dir().join("data/auth_token");
    let token = wait_file(&file, "\n");
    assert_eq!(token.trim().len(), 64);
    assert_eq!(super::secrets::mode(&file), 0o600);
    assert!(!output.contains(token.trim()));
    server.start_in_vain();
    assert_eq!(wait_file(&file, "\n"), token, "it stays the same");
    std::fs::remove_file(&file).unwrap();
    server.set_env("AUTH_TOKEN", TOKEN);
    server.start_in_vain();
    assert!(!file.exists(), "none is made where one is set");
}

#[test]
fn the_page_comes_with_a_strict_content_security_policy() {
    let server = server();
    for path in ["/", "/static/css/base.css"] {
        let reply = server.get(path).expect(200);
        let policy = reply.header("content-security-policy").unwrap();
        assert!(policy.contains("default-src 'self'") && policy.contains("object-src 'none'"), "{policy}");
        assert!(!policy.contains("unsafe") && policy.contains("frame-ancestors 'self'"), "{policy}");
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
    }
    for path in ["/static/../Cargo.toml", "/static/%2e%2e/%2e%2e/etc/passwd", "/static//etc/passwd", "/static/%00"] {
        assert!([400, 404].contains(&server.get(path).status), "{path}");
    }
}

#[test]
fn websocket_stays_open_with_the_token() {
    let mut server = with_token();
    server.client = server.client.with("authorization", &bearer(TOKEN));
    let id = idle_worker(&server, LOOP);
    let mut ws = server.ws(&format!("/ws/{id}?deltas=1"));
    ws.send_json(&json!({"type": "message", "content": "hello"}));
    ws.wait_for_event("turn_completed", DEADLINE);
}

#[test]
fn api_pages_need_a_login_and_lead_browsers_there() {
    let server = with_token();
    for path in ["/docs", "/redoc"] {
        let asks_for_page = server.client.with("accept", "text/html,*/*");
        let sent = asks_for_page.get(path).expect(303);
        assert_eq!(sent.header("location"), Some(format!("./#{path}").as_str()));
        let refused = server.client.with("accept", "*/*").get(path).expect(401);
        assert!(detail(&refused).starts_with("a token is needed"), "{path}");
        asks_for_page.with("authorization", "Bearer wrong").get(path).expect(303);
        let page = asks_for_page.with("authorization", &bearer(TOKEN)).get(path).expect(200);
        assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    }
}
