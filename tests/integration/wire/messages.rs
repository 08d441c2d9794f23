//! Part 2: messages over REST, their states, and repeated ones.

use serde_json::{Value, json};

use super::{LOOP, at_once, command, detail, events, idle_worker, keys, say, server, wait_event};
use crate::support::server::TestServer;
use crate::support::wait::{DEADLINE, eventually};

/// Keys that are used by several requests at once; the race was lost in one of five rounds.
const KEY_ROUNDS: usize = 60;
/// A PNG of one pixel, in base64.
const PIXEL: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

#[track_caller]
fn post(server: &TestServer, worker: &str, body: &Value) -> Value {
    server.post(&format!("/api/workers/{worker}/messages"), body).expect(202).json()
}

/// The texts of the `user` events.
fn said(server: &TestServer, worker: &str) -> Vec<String> {
    let users = events(server, worker).into_iter().filter(|event| event["type"] == "user");
    users.map(|event| event["content"].as_str().unwrap().to_owned()).collect()
}

/// The states that a message has had.
fn states(server: &TestServer, worker: &str, message: &Value) -> Vec<String> {
    let reported = events(server, worker).into_iter();
    let reported = reported.filter(|event| event["type"] == "message_state" && event["message_id"] == *message);
    reported.map(|event| event["state"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn message_is_accepted_with_202_and_its_states_are_reported() {
    let server = server();
    let id = idle_worker(&server, "claude");
    let accepted = post(&server, &id, &json!({"content": "echo hi", "client_message_id": "c-1"}));
    assert_eq!(keys(&accepted), ["client_message_id", "message_id", "seq", "state"]);
    assert!(accepted["message_id"].is_string() && accepted["seq"].is_u64(), "{accepted}");
    assert!(["queued", "delivered", "consumed"].contains(&accepted["state"].as_str().unwrap()), "{accepted}");
    wait_event(&server, &id, "assistant", "hi");
    assert_eq!(states(&server, &id, &accepted["message_id"]), ["queued", "delivered", "consumed"]);
    let user = wait_event(&server, &id, "user", "echo hi");
    assert_eq!((&user["message_id"], &user["client_message_id"]), (&accepted["message_id"], &json!("c-1")));
}

#[test]
fn messages_are_answered_one_after_another_in_their_order() {
    let server = server();
    let id = idle_worker(&server, "claude");
    for number in 1..=10 {
        say(&server, &id, &format!("echo {number}"));
    }
    wait_event(&server, &id, "assistant", "10");
    let all = events(&server, &id);
    let answers: Vec<_> =
        all.iter().filter(|event| event["type"] == "assistant").map(|event| &event["content"]).collect();
    assert_eq!(answers, ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10"]);
    let turns = all.iter().filter(|event| event["type"] == "turn_started").count();
    assert_eq!(turns, 10, "none were merged");
}

#[test]
fn completed_turn_names_the_messages_that_it_answered() {
    let server = server();
    for kind in ["claude", LOOP] {
        let id = idle_worker(&server, kind);
        let ids = ["one", "two"].map(|text| say(&server, &id, &format!("echo {text}"))["message_id"].clone());
        let answered = eventually(DEADLINE, "two turns", || {
            let turns = events(&server, &id).into_iter().filter(|event| event["type"] == "turn_completed");
            let turns: Vec<_> = turns.map(|turn| turn["message_ids"].clone()).collect();
            (turns.len() == 2).then_some(turns)
        });
        assert_eq!(answered, ids.map(|id| json!([id])), "{kind}");
    }
}

#[test]
fn an_empty_message_is_refused() {
    let server = server();
    let id = idle_worker(&server, LOOP);
    for content in ["", " \n\t"] {
        let reply = server.post(&format!("/api/workers/{id}/messages"), &json!({"content": content}));
        assert_eq!(detail(&reply.expect(400)), "content must not be empty");
    }
}

#[test]
fn client_message_id_is_the_same_message_on_every_route() {
    let mut server = server();
    let id = idle_worker(&server, LOOP);
    let body = json!({"content": "once", "client_message_id": "c-1"});
    let first = post(&server, &id, &body);
    wait_event(&server, &id, "assistant", "you said: once");
    let again = post(&server, &id, &body);
    assert_eq!((&again["message_id"], &again["seq"]), (&first["message_id"], &first["seq"]));
    assert_ne!(again["state"], "queued");
    let mut ws = server.ws(&format!("/ws/{id}?deltas=1"));
    let ack = command(&mut ws, json!({"type": "message", "content": "once", "client_message_id": "c-1"}));
    assert_eq!(ack["message_id"], first["message_id"]);
    server.kill9();
    server.start();
    assert_eq!(post(&server, &id, &body)["message_id"], first["message_id"], "after a restart too");
    post(&server, &id, &json!({"content": "twice", "client_message_id": "c-2"}));
    wait_event(&server, &id, "assistant", "you said: twice");
    assert_eq!(said(&server, &id), ["once", "twice"]);
}

#[test]
fn duplicates_that_come_at_once_are_one_message() {
    let server = server();
    let id = idle_worker(&server, LOOP);
    for round in 1..=5 {
        let body = json!({"content": format!("m{round}"), "client_message_id": format!("c-{round}")});
        let answers = at_once(8, |number| {
            if number % 2 == 0 {
                return post(&server, &id, &body)["message_id"].clone();
            }
            let mut ws = server.ws(&format!("/ws/{id}?deltas=1"));
            let mut frame = body.clone();
            frame["type"] = json!("message");
            command(&mut ws, frame)["message_id"].clone()
        });
        assert!(answers.iter().all(|answer| answer.is_string() && *answer == answers[0]), "{answers:?}");
    }
    wait_event(&server, &id, "assistant", "you said: m5");
    assert_eq!(said(&server, &id), ["m1", "m2", "m3", "m4", "m5"]);
}

#[test]
fn message_to_a_stopped_worker_starts_it_and_resumes() {
    let server = server();
    let id = idle_worker(&server, "claude");
    say(&server, &id, "echo remember me");
    wait_event(&server, &id, "assistant", "remember me");
    let session = server.wait_status(&id, "idle")["session_id"].clone();
    server.post(&format!("/api/workers/{id}/stop"), &json!({})).expect(200);
    assert_eq!(server.processes_of(&id), []);
    say(&server, &id, "memory");
    wait_event(&server, &id, "assistant", "2");
    assert_eq!(server.wait_status(&id, "idle")["session_id"], session);
}

#[test]
fn duplicates_to_a_stopped_worker_start_it_once() {
    let server = server();
    let id = idle_worker(&server, LOOP);
    server.post(&format!("/api/workers/{id}/stop"), &json!({})).expect(200);
    let body = json!({"content": "wake up", "client_message_id": "c-1"});
    let answers = at_once(6, |_| post(&server, &id, &body)["message_id"].clone());
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    wait_event(&server, &id, "assistant", "you said: wake up");
    assert_eq!(said(&server, &id), ["wake up"]);
}

#[test]
fn a_steering_message_joins_the_running_turn() {
    let server = server();
    let id = idle_worker(&server, "claude");
    say(&server, &id, "hang");
    server.wait_status(&id, "busy");
    let queued = say(&server, &id, "echo later");
    assert_eq!(queued["state"], "queued");
    let steered = post(&server, &id, &json!({"content": "echo now", "steer": true}));
    assert_ne!(steered["state"], "queued");
    server.post(&format!("/api/workers/{id}/interrupt"), &json!({})).expect(200);
    wait_event(&server, &id, "assistant", "later");
    assert_eq!(said(&server, &id), ["hang", "echo now", "echo later"]);
}

#[test]
fn the_initial_message_is_the_first() {
    let server = server();
    let id = server.create_worker(LOOP, &json!({"initial_message": "good morning"}));
    wait_event(&server, &id, "assistant", "you said: good morning");
    assert_eq!(said(&server, &id), ["good morning"]);
}

#[test]
fn attachments_are_reported_without_their_data() {
    let server = server();
    let id = idle_worker(&server, "claude");
    let mut image = data_encoding::BASE64.decode(PIXEL.as_bytes()).unwrap();
    image.resize(6000, b'h');
    let data = data_encoding::BASE64.encode(&image);
    let image = json!({"media_type": "image/png", "data": data, "name": "a.png"});
    post(&server, &id, &json!({"content": "echo seen", "attachments": [image]}));
    let user =
        eventually(DEADLINE, "the message", || events(&server, &id).into_iter().find(|event| event["type"] == "user"));
    assert_eq!(user["attachments"][0]["media_type"], "image/png");
    assert!(!user.to_string().contains(&data), "{user}");
    wait_event(&server, &id, "assistant", "seen");
}

#[test]
fn attachments_that_no_model_could_read_are_refused() {
    let server = server();
    let id = idle_worker(&server, "claude");
    let path = format!("/api/workers/{id}/messages");
    for (attachment, fault) in [
        (json!({"media_type": "image/png", "data": "@@@"}), "data is not base64"),
        (json!({"media_type": "image/png", "data": ""}), "data is empty"),
        (json!({"media_type": "image/png", "data": "PGh0bWw+"}), "data is not image/png"),
        (json!({"media_type": "image/jpeg", "data": PIXEL}), "data is image/png, not image/jpeg"),
        (json!({"media_type": "image/png", "data": &PIXEL[..40]}), "data is not a whole image/png"),
        (json!({"media_type": "png", "data": PIXEL}), "media_type should be like image/png"),
    ] {
        let body = json!({"content": "look", "attachments": [{"media_type": "image/png", "data": PIXEL}, attachment]});
        let refusal = server.post(&path, &body).expect(422).json();
        let reported = refusal["detail"][0]["msg"].as_str().unwrap();
        assert!(reported.starts_with("Attachment 1: ") && reported.contains(fault), "{reported}");
    }
    for media_type in ["application/zip", "image/svg+xml", "IMAGE/PNG", "audio/mpeg"] {
        let body = json!({"content": "look", "attachments": [{"media_type": media_type, "data": "UEsDBA=="}]});
        let reported = server.post(&path, &body).expect(400).text();
        assert!(reported.contains(&format!("takes no {media_type}")), "{reported}");
    }
    assert_eq!(said(&server, &id), Vec::<String>::new());
}

#[test]
fn an_idempotency_key_makes_one_worker_however_requests_meet() {
    let server = server();
    let body =
        json!({"name": "one", "project_path": server.project(), "ai_cli_type": LOOP, "initial_message": "hello"});
    for round in 0..KEY_ROUNDS {
        let mut body = body.clone();
        body["idempotency_key"] = json!(format!("k-{round}"));
        let made = at_once(6, |_| server.post("/api/workers", &body).expect(201).json()["id"].clone());
        assert!(made.iter().all(|id| *id == made[0]), "round {round}: {made:?}");
        let id = made[0].as_str().unwrap();
        if round == 0 {
            assert_eq!(server.get("/api/workers").json()["workers"].as_array().unwrap().len(), 1);
            wait_event(&server, id, "assistant", "you said: hello");
            server.wait_status(id, "idle");
            assert_eq!(said(&server, id), ["hello"], "the first message is sent once, too");
            let mut other = body.clone();
            other["idempotency_key"] = json!("another");
            assert_ne!(server.post("/api/workers", &other).expect(201).json()["id"], made[0]);
        }
        server.delete(&format!("/api/workers/{id}")).expect(200);
    }
}

#[test]
fn a_used_idempotency_key_refuses_another_request() {
    let mut server = server();
    let body = json!({"name": "one", "project_path": server.project(), "ai_cli_type": LOOP, "idempotency_key": "k"});
    let made = server.post("/api/workers", &body).expect(201).json()["id"].clone();
    let others = [("name", "two"), ("initial_message", "hello"), ("model", "m")];
    let refused = |server: &TestServer| {
        for (field, value) in others {
            let mut other = body.clone();
            other[field] = json!(value);
            let answer = server.post("/api/workers", &other).expect(422).json();
            assert_eq!(answer["detail"][0]["loc"], json!(["body", "idempotency_key"]), "{answer}");
        }
        assert_eq!(server.get("/api/workers").json()["workers"].as_array().unwrap().len(), 1);
    };
    refused(&server);
    let id = made.as_str().unwrap();
    server.patch(&format!("/api/workers/{id}"), &json!({"name": "renamed"})).expect(200);
    server.kill9();
    server.start();
    refused(&server);
    assert_eq!(server.post("/api/workers", &body).expect(201).json()["id"], made, "what became of it does not matter");
}

#[test]
fn a_used_client_message_id_refuses_another_message() {
    let mut server = server();
    let id = idle_worker(&server, "claude");
    let path = format!("/api/workers/{id}/messages");
    let image = |name: &str| json!([{"media_type": "image/png", "data": PIXEL, "name": name}]);
    let body = json!({"content": "echo once", "client_message_id": "c-1", "attachments": image("a.png")});
    let first = post(&server, &id, &body);
    wait_event(&server, &id, "assistant", "once");
    let refused = |server: &TestServer| {
        for (field, value) in
            [("content", json!("echo twice")), ("attachments", image("b.png")), ("attachments", json!([]))]
        {
            let mut other = body.clone();
            other[field] = value;
            let answer = server.post(&path, &other).expect(422).json();
            assert_eq!(answer["detail"][0]["loc"], json!(["body", "client_message_id"]), "{answer}");
        }
        assert_eq!(post(server, &id, &body)["message_id"], first["message_id"]);
    };
    refused(&server);
    server.kill9();
    server.start();
    refused(&server);
    assert_eq!(said(&server, &id), ["echo once"]);
}

#[test]
fn waiting_message_keeps_its_id_when_its_text_is_edited() {
    let server = server();
    let id = idle_worker(&server, "claude");
    say(&server, &id, "hang");
    server.wait_status(&id, "busy");
    let body = json!({"content": "echo first", "client_message_id": "c-1"});
    let first = post(&server, &id, &body);
    let message = first["message_id"].as_str().unwrap();
    server.patch(&format!("/api/workers/{id}/queue/{message}"), &json!({"content": "echo edited"})).expect(200);
    assert_eq!(post(&server, &id, &body)["message_id"], first["message_id"]);
}
