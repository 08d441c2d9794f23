//! Logins of browsers, login links, and the throttling of clients that guess.

use std::fs;
use std::time::Instant;

use rs_worker::testing::http::throttle::FIRST_WAIT;
use serde_json::{Value, json};

use super::TOKEN;
use crate::support::http::{Client, Raw, Reply};
use crate::support::server::TestServer;
use crate::support::wait::{DEADLINE, eventually};
use crate::support::ws::WsClient;
use crate::wire::{builder, detail, start};

fn with_token() -> TestServer {
    start(builder().env("AUTH_TOKEN", TOKEN))
}

fn bearer(client: &Client, token: &str) -> Client {
    client.with("authorization", &format!("Bearer {token}"))
}

/// A client that is logged in.
#[track_caller]
fn log_in(server: &TestServer, with: &Value) -> Client {
    let reply = server.client.with("user-agent", "a browser").post("/api/login", with).expect(200);
    let cookie = reply.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    server.client.with("cookie", &cookie)
}

/// Throttles an address by different wrong secrets. Returns the response that reports it. The wait may be over by the
/// next request, and grows with each further wrong secret.
#[track_caller]
fn guess_until_throttled(ask: impl Fn(usize) -> Reply) -> Reply {
    for at in 0..20 {
        let reply = ask(at);
        if reply.status == 429 {
            assert!(at >= 5, "after {at} guesses");
            return reply;
        }
        assert_eq!(reply.status, 401, "{}", reply.text());
    }
    panic!("20 guesses are let through");
}

#[track_caller]
fn guess(server: &TestServer) -> Reply {
    guess_until_throttled(|at| bearer(&server.client, &format!("guess-{at}")).get("/api/workers"))
}

#[test]
fn client_that_guesses_tokens_is_throttled() {
    let right = |server: &TestServer| bearer(&server.client, TOKEN).get("/api/workers").status;
    // On a busy machine these requests may take longer than the wait of a second: then they prove nothing.
    let server = eventually(DEADLINE, "requests quicker than the wait", || {
        let (server, begin) = (with_token(), Instant::now());
        let late = guess(&server);
        assert!(detail(&late).starts_with("too many wrong tokens from this address: try again in "), "{}", late.text());
        assert!((1..=60).contains(&late.header("retry-after").unwrap().parse::<u64>().unwrap()));
        let login = server.post("/api/login", &json!({"token": TOKEN})).status;
        let answers = [right(&server), login, server.get("/health").status];
        let proves = begin.elapsed() < FIRST_WAIT;
        assert!(!proves || answers == [429, 429, 200], "{answers:?}");
        proves.then_some(server)
    });
    eventually(DEADLINE, "the right token to count again", || (right(&server) == 200).then_some(()));
}

#[test]
fn the_same_wrong_token_again_is_no_guess() {
    let server = with_token();
    for _ in 0..30 {
        bearer(&server.client, "an-old-token").get("/api/workers").expect(401);
        bearer(&server.client, "an-older-token").get("/api/workers").expect(401);
    }
    bearer(&server.client, TOKEN).get("/api/workers").expect(200);
}

#[test]
fn guesses_in_many_cookies_of_one_request_are_no_guesses() {
    let server = with_token();
    let many = |end: &str| format!("{}{end}", "rs_worker_session=guess; ".repeat(250));
    for _ in 0..20 {
        server.client.with("cookie", &many("rs_worker_session=constant")).get("/api/workers").expect(401);
    }
    // The cookie does not contain the token itself.
    for name in ["rs_worker_session", "rs_worker_token"] {
        server.client.with("cookie", &format!("{name}={TOKEN}")).get("/api/workers").expect(401);
    }
    bearer(&server.client, TOKEN).get("/api/workers").expect(200);
}

#[test]
fn logins_and_random_tokens_are_let_in_whatever_others_guess() {
    let server = with_token();
    let browser = log_in(&server, &json!({"token": TOKEN}));
    guess(&server);
    browser.get("/api/workers").expect(200);
    let server = start(builder().env("LOCAL_ACCESS", "token"));
    let token = fs::read_to_string(server.dir().join("data/auth_token")).unwrap();
    let code = bearer(&server.client, token.trim()).post("/api/login/code", &json!({})).expect(201).json();
    guess(&server);
    bearer(&server.client, token.trim()).get("/api/workers").expect(200);
    log_in(&server, &json!({"code": code["code"]})).get("/api/workers").expect(200);
    log_in(&server, &json!({"token": token.trim()})).get("/api/workers").expect(200);
}

#[test]
fn logout_ends_the_login_and_its_connections() {
    let mut server = with_token();
    let (browser, other) = (log_in(&server, &json!({"token": TOKEN})), log_in(&server, &json!({"token": TOKEN})));
    let headers: Vec<(&str, &str)> =
        browser.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let mut ws = WsClient::connect(server.addr(), "/ws", &headers).unwrap();
    browser.post("/api/logout", &json!({})).expect(200);
    browser.get("/api/workers").expect(401);
    ws.wait_for_close(DEADLINE);
    other.get("/api/workers").expect(200);
    server.restart();
    browser.get("/api/workers").expect(401);
    other.get("/api/workers").expect(200);
    let file = server.data_dir().join(".logins");
    assert_eq!(super::secrets::mode(&file), 0o600);
    let secret =
        other.headers.iter().find(|(name, _)| name == "cookie").unwrap().1.split_once('=').unwrap().1.to_owned();
    assert!(!fs::read_to_string(&file).unwrap().contains(&secret), "it is kept as a hash alone");
}

#[test]
fn logins_are_listed_and_can_be_revoked() {
    let server = with_token();
    let (browser, second, third) = (
        log_in(&server, &json!({"token": TOKEN})),
        log_in(&server, &json!({"token": TOKEN})),
        log_in(&server, &json!({"token": TOKEN})),
    );
    let list = || browser.get("/api/logins").expect(200).json()["logins"].as_array().unwrap().clone();
    let logins = list();
    assert_eq!(logins.len(), 3);
    let own: Vec<&Value> = logins.iter().filter(|login| login["current"] == true).collect();
    assert!(own.len() == 1 && own[0]["user_agent"] == "a browser" && own[0]["address"] == "127.0.0.1", "{logins:?}");
    let of_second = second.get("/api/logins").expect(200).json();
    let id =
        of_second["logins"].as_array().unwrap().iter().find(|login| login["current"] == true).unwrap()["id"].clone();
    browser.delete(&format!("/api/logins/{}", id.as_str().unwrap())).expect(200);
    second.get("/api/workers").expect(401);
    browser.delete(&format!("/api/logins/{}", id.as_str().unwrap())).expect(404);
    assert_eq!(browser.delete("/api/logins").expect(200).json()["count"], 1);
    third.get("/api/workers").expect(401);
    browser.get("/api/workers").expect(200);
    assert_eq!(list().len(), 1);
}

#[test]
fn login_link_works_once_and_wrong_codes_are_slowed_down() {
    let server = with_token();
    let output = server.output();
    let (_, code) = output.split_once("/#code=").expect("the banner has a login link");
    let code: String = code.chars().take_while(char::is_ascii_alphanumeric).collect();
    assert!(!output.contains(TOKEN));
    log_in(&server, &json!({"code": code})).get("/api/workers").expect(200);
    let again = server.post("/api/login", &json!({"code": code})).expect(401);
    assert!(detail(&again).contains("used already or is too old; rs-worker login-link"), "{}", again.text());

    let printed = server.command(["login-link"]).output().unwrap();
    let link = String::from_utf8(printed.stdout).unwrap();
    let (page, code) = link.trim().split_once("#code=").unwrap();
    assert_eq!(page, format!("http://{}/", server.addr()));
    log_in(&server, &json!({"code": code})).get("/api/workers").expect(200);
    server.client.post("/api/login/code", &json!({})).expect(401);

    let server = with_token();
    guess_until_throttled(|at| server.post("/api/login", &json!({"code": format!("wrong-{at}")})));
}

#[test]
fn unauthenticated_connections_give_way_to_authenticated_ones() {
    const LIMIT: usize = 64;
    let server = start(builder().env("AUTH_TOKEN", TOKEN).env("MAX_CONNECTIONS", LIMIT.to_string()));
    let mut held: Vec<Raw> = Vec::new();
    for _ in 0..LIMIT + 20 {
        let mut raw = Raw::connect(server.addr()).unwrap();
        raw.send(format!("GET /health HTTP/1.1\r\nhost: {}\r\n\r\n", server.addr()).as_bytes()).unwrap();
        raw.reply(false).unwrap();
        held.push(raw);
    }
    for _ in 0..10 {
        bearer(&server.client, TOKEN).get("/api/workers").expect(200);
    }
}

#[test]
fn listed_origins_read_answers_errors_and_event_streams() {
    let server = start(builder().env("ALLOWED_ORIGINS", "https://app.example:8443"));
    let us = "https://app.example:8443";
    let page = server.client.with("origin", us);
    let preflight = |origin: &str| {
        let asks = server.client.with("origin", origin).with("access-control-request-method", "PATCH");
        asks.with("access-control-request-headers", "content-type").request("OPTIONS", "/api/workers/x", &[], b"")
    };
    let allowed = preflight(us).expect(204);
    assert_eq!(allowed.header("access-control-allow-origin"), Some(us));
    assert!(allowed.header("access-control-allow-methods").unwrap().contains("PATCH"));
    assert!(allowed.header("access-control-allow-headers").unwrap().contains("Content-Type"));
    assert_eq!(preflight("https://evil.example").expect(403).header("access-control-allow-origin"), None);
    let worker = crate::wire::idle_worker(&server, crate::wire::LOOP);
    let huge = vec![b' '; 2 * 1024 * 1024];
    for (reply, status) in [
        (page.get("/api/workers"), 200),
        (page.get("/api/workers/none"), 404),
        (page.get("/none"), 404),
        (page.put("/api/workers", &json!({})), 405),
        (page.post("/api/workers", &json!({})), 422),
        (page.request("POST", "/api/login", &[("content-type", "application/json")], &huge), 413),
        (page.request("HEAD", &format!("/api/workers/{worker}/events"), &[], b""), 200),
    ] {
        assert_eq!((reply.status, reply.header("access-control-allow-origin")), (status, Some(us)), "{}", reply.text());
        assert!(reply.headers.iter().any(|(name, value)| name == "vary" && value == "Origin"), "{:?}", reply.headers);
    }
    let own = server.get("/api/workers").expect(200);
    assert_eq!((own.header("access-control-allow-origin"), own.header("vary")), (None, Some("Origin")));
}

#[test]
fn slash_behind_a_path_leads_to_the_path() {
    let server = start(builder().env("BASE_PATH", "/x"));
    for (path, location) in [
        ("/x/api/workers/", "../workers"),
        ("/x/api/v1/workers/?a=b%20c", "../workers?a=b%20c"),
        ("/x/api/workers/a%20b/", "../a%20b"),
        ("/x/docs/", "../docs"),
    ] {
        assert_eq!(server.get(path).expect(307).header("location"), Some(location), "{path}");
    }
    assert_eq!(server.post("/x/api/workers/", &json!({})).expect(307).header("location"), Some("../workers"));
    for none in ["/x/none/", "/x/api/workers//", "/x//api/workers/"] {
        server.get(none).expect(404);
    }
}

#[test]
fn gzip_bodies_are_refused_with_the_word() {
    let server = with_token();
    let client = bearer(&server.client, TOKEN);
    let gzip = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0];
    for headers in [
        &[("content-type", "application/json"), ("content-encoding", "gzip")][..],
        &[("content-type", "application/json")],
    ] {
        let refused = client.request("POST", "/api/workers", headers, &gzip).expect(415);
        assert!(detail(&refused).contains("gzip"), "{}", refused.text());
    }
}
