//! Images of events: named in the event, without their data, and served at separate addresses.

use serde_json::{Value, json};

use super::{builder, declare, events, idle_worker, server};
use crate::support::http::Reply;
use crate::support::server::TestServer;
use crate::support::wait::{DEADLINE, eventually};

/// A PNG of 1 by 1 pixel.
const PNG: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
/// A GIF of 1 by 1 pixel.
const GIF: &str = "R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7";

/// Returns the first event of a type, once it has arrived.
fn event_of(server: &TestServer, worker: &str, kind: &str) -> Value {
    eventually(DEADLINE, kind, || events(server, worker).into_iter().find(|event| event["type"] == kind))
}

/// Makes the fake CLI print a line, and returns the resulting event.
fn result(server: &TestServer, worker: &str, content: &Value, structured: &Value) -> Value {
    let result = json!({"type": "tool_result", "tool_use_id": "t1", "content": content});
    let line = json!({"type": "user", "message": {"role": "user", "content": [result]}, "tool_use_result": structured});
    super::say(server, worker, &format!("raw {line}"));
    event_of(server, worker, "tool_result")
}

fn image(server: &TestServer, worker: &str, event: &Value, index: usize, at: bool) -> Reply {
    let at = if at { format!("?at={}", event["timestamp"].as_str().unwrap()) } else { String::new() };
    server.get(&format!("/api/workers/{worker}/images/{}/{index}{at}", event["seq"]))
}

#[test]
fn tool_image_is_named_without_data_and_stays_available() {
    let server = server();
    let worker = idle_worker(&server, "claude");
    let block = json!({"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": PNG}});
    let other = json!({"type": "image", "source": {"type": "base64", "media_type": "image/gif", "data": GIF}});
    let structured = json!({"type": "image", "file": {"base64": PNG, "type": "image/png"}});
    let event = result(&server, &worker, &json!([block, other]), &structured);
    assert_eq!(
        event["images"],
        json!([
            {"media_type": "image/png", "bytes": 70, "width": 1, "height": 1},
            {"media_type": "image/gif", "bytes": 42, "width": 1, "height": 1}
        ])
    );
    assert!(!event.to_string().contains(&PNG[20..60]), "{event}");
    let served = image(&server, &worker, &event, 0, true).expect(200);
    assert_eq!(served.body, data_encoding::BASE64.decode(PNG.as_bytes()).unwrap());
    for (name, value) in [
        ("content-type", "image/png"),
        ("cache-control", "private, max-age=604800, immutable"),
        ("content-security-policy", "sandbox; default-src 'none'"),
        ("x-content-type-options", "nosniff"),
        ("cross-origin-resource-policy", "same-origin"),
    ] {
        assert_eq!(served.header(name), Some(value), "{name}");
    }
    assert_eq!(image(&server, &worker, &event, 1, true).expect(200).header("content-type"), Some("image/gif"));
    // Without the time, the address may mean another event in the future.
    let unsure = image(&server, &worker, &event, 0, false).expect(200);
    assert_eq!(unsure.header("cache-control"), Some("private, no-cache"));
    let tag = unsure.header("etag").unwrap().to_owned();
    let path = format!("/api/workers/{worker}/images/{}/0", event["seq"]);
    server.client.request("GET", &path, &[("If-None-Match", &tag)], b"").expect(304);
    assert_eq!(server.client.request("HEAD", &path, &[], b"").expect(200).header("content-length"), Some("70"));
}

#[test]
fn image_that_is_not_there_is_a_404() {
    let server = server();
    let worker = idle_worker(&server, "claude");
    let block = json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}});
    let event = result(&server, &worker, &json!([block]), &Value::Null);
    let seq = event["seq"].as_u64().unwrap();
    let first = events(&server, &worker)[0]["seq"].as_u64().unwrap();
    for rest in [
        format!("{seq}/1"),
        format!("{}/0", seq + 1),
        format!("{first}/0"),
        "0/0".to_owned(),
        format!("{}/0", u64::MAX),
        format!("{seq}/99999999999999999999"),
        format!("{seq}/x"),
        "x/0".to_owned(),
        format!("{seq}/0?at=2020-01-01T00:00:00.000000Z"),
    ] {
        server.get(&format!("/api/workers/{worker}/images/{rest}")).expect(404);
    }
    server.get(&format!("/api/workers/{worker}/images/{seq}/0?at=yesterday")).expect(422);
    server.get(&format!("/api/workers/none/images/{seq}/0")).expect(404);
    assert_eq!(server.post(&format!("/api/workers/{worker}/images/{seq}/0"), &json!({})).status, 405);
}

#[test]
fn attached_images_are_served_after_a_restart_too() {
    let mut server = server();
    let worker = idle_worker(&server, "claude");
    let attachments = json!([
        {"media_type": "image/png", "data": PNG, "name": "one.png"},
        {"media_type": "image/gif", "data": GIF},
        {"media_type": "image/png", "data": PNG, "name": "one again.png"}
    ]);
    let body = json!({"content": "echo seen", "attachments": attachments});
    server.post(&format!("/api/workers/{worker}/messages"), &body).expect(202);
    event_of(&server, &worker, "turn_completed");
    let event = event_of(&server, &worker, "user");
    assert!(!event.to_string().contains(&PNG[20..60]), "{event}");
    for restart in [false, true] {
        if restart {
            server.restart();
        }
        for (index, media_type) in ["image/png", "image/gif", "image/png"].into_iter().enumerate() {
            let served = image(&server, &worker, &event, index, true).expect(200);
            assert_eq!(served.header("content-type"), Some(media_type), "{index}");
        }
        image(&server, &worker, &event, 3, true).expect(404);
    }
}

#[test]
fn content_decides_whether_data_is_an_image() {
    let server = server();
    let worker = idle_worker(&server, "claude");
    let html = data_encoding::BASE64.encode(&b"<script>alert(1)</script>".repeat(50));
    let block = json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": html}});
    let event = result(&server, &worker, &json!([block]), &Value::Null);
    assert_eq!(event["images"], Value::Null);
    assert!(!event.to_string().contains(&html[..100]) && event.to_string().contains("bytes of base64"), "{event}");
    image(&server, &worker, &event, 0, true).expect(404);
}

#[test]
fn images_of_declared_agents_are_taken_out_of_their_json() {
    let mut server = builder().prepare();
    let block = json!([{"type": "text", "text": "a plot"}, {"type": "image", "mimeType": "image/png", "data": PNG}]);
    let line = json!({"event": "result", "id": "1", "output": block}).to_string();
    declare(
        &server,
        "drawer",
        &json!({
            "family": "jsonl",
            "mode": "per_message",
            "command": ["sh", "-c", format!("printf '%s\\n' '{line}'"), "{message}"],
            "fields": [{"when": {"event": "result"}, "event": "tool_result", "tool_call_id": "id", "output": "output"}]
        }),
    );
    server.start();
    let worker = idle_worker(&server, "drawer");
    super::say(&server, &worker, "draw");
    let event = event_of(&server, &worker, "tool_result");
    assert_eq!((&event["content"], &event["images"][0]["media_type"]), (&json!("a plot"), &json!("image/png")));
    assert!(!event.to_string().contains(&PNG[20..60]), "{event}");
    image(&server, &worker, &event, 0, true).expect(200);
}

#[test]
fn subscribers_get_no_data_of_images_either() {
    let server = server();
    let worker = idle_worker(&server, "claude");
    let mut client = server.ws(&format!("/ws/{worker}?blocks=1"));
    let block = json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}});
    result(&server, &worker, &json!([block]), &Value::Null);
    let event = client.wait_for_event("tool_result", DEADLINE);
    assert_eq!(event["images"][0]["bytes"], 70);
    assert!(!event.to_string().contains(&PNG[20..60]), "{event}");
}
