//! Web Push and answer links: their access rules, and the worst misuse of them.

use std::fs;

use serde_json::{Value, json};

use super::TOKEN;
use crate::support::server::TestServer;
use crate::support::wait::DEADLINE;
use crate::support::ws::WsClient;
use crate::wire::{builder, detail, start};

/// The keys of the browser in RFC 8291, section 5.
const KEYS: (&str, &str) = (
    "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
    "BTBZMqHH6r4Tts7J_aSIgg",
);

fn at(endpoint: &str) -> Value {
    json!({"endpoint": endpoint, "expirationTime": null, "keys": {"p256dh": KEYS.0, "auth": KEYS.1}})
}

fn subscriptions(server: &TestServer) -> Vec<Value> {
    server.get("/api/push").expect(200).json()["subscriptions"].as_array().unwrap().clone()
}

/// The length of a file in the data folder, if it is there.
fn length(server: &TestServer, name: &str) -> Option<u64> {
    Some(fs::metadata(server.data_dir().join(name)).ok()?.len())
}

#[test]
fn push_services_of_the_own_network_are_refused() {
    let server = start(builder());
    for (endpoint, said) in [
        ("http://push.example/a", "endpoint must begin with https://"),
        ("https://169.254.169.254/latest/meta-data", "not an address of the Internet (link-local)"),
        ("https://[::1]:7788/api/workers", "not an address of the Internet (this machine)"),
        ("https://10.0.0.1/", "not an address of the Internet (a private network)"),
        ("http://127.0.0.1:7788/api/workers", "not an address of the Internet (this machine)"),
        ("https://user:secret@push.example/", "must have no user name in it"),
        ("file:///etc/passwd", "must begin with http:// or https://"),
    ] {
        let refused = server.client.post("/api/push/subscriptions", &at(endpoint)).expect(422).json();
        assert_eq!((&refused["code"], &refused["field"]), (&json!("validation_failed"), &json!("endpoint")));
        assert!(refused["detail"][0]["msg"].as_str().unwrap().contains(said), "{endpoint}: {refused}");
    }
    // A name is resolved when a message is sent, and its addresses are checked before a connection.
    let id =
        server.client.post("/api/push/subscriptions", &at("https://localhost:1/a")).expect(200).json()["id"].clone();
    let tested = server.client.post("/api/push/test", &json!({"id": id})).expect(200).json();
    assert_eq!((&tested["accepted"], &tested["status"]), (&json!(false), &Value::Null));
    assert!(tested["answer"].as_str().unwrap().contains("not an address of the Internet"), "{tested}");
    assert_eq!(subscriptions(&server).len(), 1);
}

#[test]
fn subscriptions_are_bounded_in_number_and_size() {
    let server = start(builder());
    let most = server.get("/api/push").expect(200).json()["subscriptions_max"].as_u64().unwrap();
    for number in 0..most {
        server.client.post("/api/push/subscriptions", &at(&format!("https://push.example/{number}"))).expect(200);
    }
    for number in most..most + 50 {
        let refused = server.client.post("/api/push/subscriptions", &at(&format!("https://push.example/{number}")));
        assert!(detail(&refused.expect(409)).contains("remove one first"));
    }
    // The same browser again takes no further slot.
    server.client.post("/api/push/subscriptions", &at("https://push.example/0")).expect(200);
    assert_eq!(subscriptions(&server).len() as u64, most);
    let giant = "a".repeat(500_000);
    for (field, body) in [
        ("endpoint", at(&format!("https://push.example/{giant}"))),
        ("p256dh", json!({"endpoint": "https://push.example/", "keys": {"p256dh": giant, "auth": KEYS.1}})),
        ("auth", json!({"endpoint": "https://push.example/", "keys": {"p256dh": KEYS.0, "auth": giant}})),
        ("keys", json!({"endpoint": "https://push.example/", "keys": [[[]]]})),
        ("keys", json!({"endpoint": "https://push.example/"})),
    ] {
        let refused = server.client.post("/api/push/subscriptions", &body).expect(422).json();
        assert_eq!(refused["field"], field);
        assert!(!refused.to_string().contains("aaaa"), "what was sent is not repeated");
    }
    server.client.post("/api/push/subscriptions", &at(&"a".repeat(2_000_000))).expect(413);
    assert!((1..64 * 1024).contains(&length(&server, ".push_subscriptions").unwrap()));
}

#[test]
fn lists_show_push_services_and_hide_browser_addresses() {
    let server = start(builder());
    let secret = "https://push.example/the-secret-part-of-the-address";
    let id = server.client.post("/api/push/subscriptions", &at(secret)).expect(200).json()["id"].clone();
    let text = server.get("/api/push").expect(200).text();
    assert!(text.contains("\"service\":\"push.example\""), "{text}");
    for hidden in ["the-secret-part", KEYS.0, KEYS.1] {
        assert!(!text.contains(hidden), "{text}");
        assert!(!server.log().contains(hidden));
    }
    let path = format!("/api/push/subscriptions/{}", id.as_str().unwrap());
    server.client.delete(&path).expect(200);
    server.client.delete(&path).expect(404);
    server.client.post("/api/push/test", &json!({"id": id})).expect(404);
    assert!(subscriptions(&server).is_empty());
}

#[test]
fn push_is_refused_without_the_token_and_to_other_sites() {
    let server = start(builder().env("AUTH_TOKEN", TOKEN));
    server.get("/api/push").expect(401);
    server.client.post("/api/push/subscriptions", &at("https://push.example/")).expect(401);
    server.client.post("/api/push/test", &json!({"id": "x"})).expect(401);
    assert_eq!(length(&server, ".push_key"), None, "nobody unknown has a key made");
    let known = server.client.with("authorization", &format!("Bearer {TOKEN}"));
    known.get("/api/push").expect(200);
    assert_eq!(length(&server, ".push_key"), Some(44));
    let foreign = known.with("origin", "https://evil.example");
    foreign.post("/api/push/subscriptions", &at("https://push.example/")).expect(403);
    // The service worker and the manifest are public, like the page.
    for path in ["/sw.js", "/manifest.webmanifest"] {
        assert_eq!(server.get(path).expect(200).header("cache-control"), Some("no-cache"));
    }
}

#[test]
fn answer_links_that_are_not_ones_answer_nothing() {
    let server = start(builder().env("AUTH_TOKEN", TOKEN));
    for code in ["0", &"0".repeat(64), &"a".repeat(5_000), TOKEN] {
        let refused = server.client.request("POST", &format!("/api/answer/{code}"), &[], b"");
        assert_eq!(detail(&refused.expect(404)), "the link was used already or is too old; answer on the page");
    }
    let code = format!("/api/answer/{}", "0".repeat(64));
    // A link preview answers no prompt, and neither does a page of another site.
    server.get(&code).expect(405);
    server.client.with("origin", "https://evil.example").request("POST", &code, &[], b"").expect(403);
    server.client.with("sec-fetch-site", "cross-site").request("POST", &code, &[], b"").expect(403);
}

#[test]
fn page_in_view_names_a_worker_that_exists() {
    let server = start(builder());
    let mut socket = WsClient::connect(server.addr(), "/ws", &[]).unwrap();
    for (frame, answer) in [
        (json!({"type": "in_view", "worker_id": "x".repeat(100_000), "ref": 1}), "error"),
        (json!({"type": "in_view", "worker_id": 5, "ref": 2}), "error"),
        (json!({"type": "in_view", "ref": 3}), "ack"),
        (json!({"type": "out_of_view", "ref": 4}), "ack"),
        (json!({"type": "out_of_view", "ref": 5}), "ack"),
    ] {
        socket.send_json(&frame);
        let answered = socket.wait_for("an answer", DEADLINE, |answered| answered["ref"] == frame["ref"]);
        assert_eq!(answered["type"], answer, "{answered}");
    }
}
