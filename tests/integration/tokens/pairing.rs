//! A device is paired by a code.

use serde_json::{Value, json};

use super::{TestToken, server};
use crate::support::http::Client;
use crate::support::server::TestServer;
use crate::wire::detail;

#[track_caller]
fn pair(server: &TestServer, token: &TestToken) -> Value {
    let body = json!({"page": "https://box.example/agents/"});
    server.post(&format!("/api/tokens/{}/pair", token.id), &body).expect(201).json()
}

fn exchange(server: &TestServer, code: &str) -> crate::support::http::Reply {
    Client::new(server.addr()).post("/api/login", &json!({"code": code}))
}

#[test]
fn code_logs_one_device_in_with_the_tokens_scope() {
    let server = server();
    let token = TestToken::new(&server, "phone", "answer", &json!({}));
    let pairing = pair(&server, &token);
    let code = pairing["code"].as_str().unwrap();
    assert_eq!(pairing["link"], format!("https://box.example/agents/#code={code}"));
    let rows = pairing["qr"].as_array().unwrap();
    assert!(rows.len() > 20 && rows.iter().all(|row| row.as_str().unwrap().len() == rows.len()), "{pairing}");
    let reply = exchange(&server, code).expect(200);
    let cookie = reply.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let device = Client::new(server.addr()).with("cookie", &cookie);
    assert_eq!(device.get("/api/health").expect(200).json()["scope"], "answer");
    device.post("/api/tokens", &json!({"name": "more", "scope": "admin"})).expect(403);
    device.post(&format!("/api/tokens/{}/pair", token.id), &json!({})).expect(403);
    exchange(&server, code).expect(401);
    let logins = server.get("/api/logins").expect(200).json();
    assert_eq!(logins["logins"][0]["token"], "phone", "{logins}");
    assert_eq!(server.get("/api/tokens").expect(200).json()["tokens"][0]["logins"], 1);
    // The device sees itself alone.
    server.post("/api/login", &json!({"token": super::TOKEN})).expect(200);
    assert_eq!(device.get("/api/logins").expect(200).json()["logins"].as_array().unwrap().len(), 1);
}

#[test]
fn five_wrong_codes_end_a_pairing_and_fewer_do_not() {
    for (wrong, status) in [(4, 200), (5, 401)] {
        let server = server();
        let token = TestToken::new(&server, "phone", "answer", &json!({}));
        let pairing = pair(&server, &token);
        let code = pairing["code"].as_str().unwrap();
        let (name, _) = code.split_once('.').unwrap();
        for at in 0..wrong {
            let refused = exchange(&server, &format!("{name}.{at:032}")).expect(401);
            assert!(detail(&refused).contains("too old"), "{}", refused.text());
        }
        exchange(&server, code).expect(status);
    }
}

#[test]
fn code_ends_with_its_token_and_with_the_next_code() {
    let server = server();
    let token = TestToken::new(&server, "phone", "answer", &json!({}));
    let (first, second) = (pair(&server, &token), pair(&server, &token));
    exchange(&server, first["code"].as_str().unwrap()).expect(401);
    server.delete(&format!("/api/tokens/{}", token.id)).expect(200);
    exchange(&server, second["code"].as_str().unwrap()).expect(401);
    server.post(&format!("/api/tokens/{}/pair", token.id), &json!({})).expect(404);
}

#[test]
fn pages_that_are_not_addresses_are_refused() {
    let server = server();
    let token = TestToken::new(&server, "phone", "answer", &json!({}));
    let long = format!("https://{}", "a".repeat(500));
    for page in ["javascript:alert(1)", "https://a b", "https://box.example/#x", "https://me@box.example", "box", &long]
    {
        let refused = server.post(&format!("/api/tokens/{}/pair", token.id), &json!({"page": page})).expect(400);
        assert_eq!(refused.json()["field"], "page", "{page}");
    }
}
