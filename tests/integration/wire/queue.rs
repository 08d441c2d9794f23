//! Part 2: queued messages can be read, edited and removed.

use serde_json::{Value, json};

use super::{LOOP, at_once, builder, detail, events, idle_worker, keys, say, server, start, wait_event};
use crate::support::server::TestServer;

/// Creates a worker in a turn that lasts until it is interrupted, with queued messages; returns its id and theirs.
fn busy_with(server: &TestServer, waiting: &[&str]) -> (String, Vec<String>) {
    let id = idle_worker(server, "claude");
    say(server, &id, "hang");
    server.wait_status(&id, "busy");
    let messages = waiting.iter().map(|text| {
        let accepted = say(server, &id, text);
        assert_eq!(accepted["state"], "queued");
        accepted["message_id"].as_str().unwrap().to_owned()
    });
    let messages = messages.collect();
    (id, messages)
}

#[track_caller]
fn queue(server: &TestServer, worker: &str) -> Vec<Value> {
    let answer = server.get(&format!("/api/workers/{worker}/queue")).expect(200).json();
    assert_eq!(keys(&answer), ["queue"]);
    answer["queue"].as_array().unwrap().clone()
}

fn texts(queue: &[Value]) -> Vec<&str> {
    queue.iter().map(|message| message["content"].as_str().unwrap()).collect()
}

#[track_caller]
fn interrupt(server: &TestServer, worker: &str) {
    server.post(&format!("/api/workers/{worker}/interrupt"), &json!({})).expect(200);
}

#[test]
fn waiting_messages_can_be_read_in_order() {
    let server = server();
    let (id, messages) = busy_with(&server, &["echo a", "echo b", "echo c"]);
    let waiting = queue(&server, &id);
    assert_eq!(texts(&waiting), ["echo a", "echo b", "echo c"]);
    let fields = ["attachments", "client_message_id", "content", "message_id", "seq", "state", "timestamp"];
    assert_eq!(keys(&waiting[0]), fields);
    assert_eq!((&waiting[0]["message_id"], &waiting[0]["state"]), (&json!(messages[0]), &json!("queued")));
    assert_eq!(server.get(&format!("/api/workers/{id}")).json()["queued_messages"], 3);
    interrupt(&server, &id);
    wait_event(&server, &id, "assistant", "c");
    assert_eq!(queue(&server, &id), Vec::<Value>::new());
}

#[test]
fn waiting_messages_can_be_changed_and_are_sent_as_changed() {
    let server = server();
    let (id, messages) = busy_with(&server, &["echo a", "echo b"]);
    let path = format!("/api/workers/{id}/queue/{}", messages[1]);
    server.patch(&path, &json!({"content": "echo changed"})).expect(200);
    assert_eq!(texts(&queue(&server, &id)), ["echo a", "echo changed"]);
    assert_eq!(detail(&server.patch(&path, &json!({"content": " "})).expect(400)), "content must not be empty");
    server.patch(&path, &json!({})).expect(422);
    interrupt(&server, &id);
    wait_event(&server, &id, "assistant", "changed");
    assert!(events(&server, &id).iter().all(|event| event["content"] != "b"));
    let too_late = server.patch(&path, &json!({"content": "echo late"})).expect(409);
    assert!(detail(&too_late).starts_with(&format!("message {} is ", messages[1])), "{}", too_late.text());
}

#[test]
fn waiting_messages_can_be_withdrawn() {
    let server = server();
    let (id, messages) = busy_with(&server, &["echo a", "echo b", "echo c"]);
    let path = format!("/api/workers/{id}/queue/{}", messages[1]);
    assert_eq!(server.delete(&path).expect(200).json(), json!({"status": "removed"}));
    assert_eq!(texts(&queue(&server, &id)), ["echo a", "echo c"]);
    assert_eq!(detail(&server.delete(&path).expect(409)), format!("message {} is removed already", messages[1]));
    interrupt(&server, &id);
    wait_event(&server, &id, "assistant", "c");
    let all = events(&server, &id);
    assert!(all.iter().all(|event| event["type"] != "user" || event["content"] != "echo b"));
    let reported = all.iter().filter(|event| event["message_id"] == *messages[1]).map(|event| event["state"].clone());
    assert_eq!(reported.collect::<Vec<_>>(), [json!("queued"), json!("removed")]);
}

#[test]
fn all_that_waits_can_be_taken_back_at_once() {
    let server = server();
    let (id, _) = busy_with(&server, &["echo a", "echo b", "echo c"]);
    let answer = server.delete(&format!("/api/workers/{id}/queue")).expect(200).json();
    assert_eq!(answer, json!({"status": "emptied", "removed": 3}));
    assert_eq!(queue(&server, &id), Vec::<Value>::new());
    interrupt(&server, &id);
    server.wait_status(&id, "idle");
    say(&server, &id, "echo after");
    wait_event(&server, &id, "assistant", "after");
    let users: Vec<_> = events(&server, &id).into_iter().filter(|event| event["type"] == "user").collect();
    assert_eq!(texts(&users), ["hang", "echo after"]);
}

#[test]
fn a_message_that_never_was_is_404() {
    let server = server();
    let (id, _) = busy_with(&server, &[]);
    let path = format!("/api/workers/{id}/queue/none");
    assert_eq!(detail(&server.delete(&path).expect(404)), "message not found: none");
    assert_eq!(detail(&server.patch(&path, &json!({"content": "x"})).expect(404)), "message not found: none");
}

#[test]
fn full_queue_refuses_with_429_and_takes_what_it_knows() {
    let server = start(builder().env("MAX_QUEUE", "2"));
    let (id, _) = busy_with(&server, &["echo a"]);
    let path = format!("/api/workers/{id}/messages");
    let known = json!({"content": "echo b", "client_message_id": "b"});
    server.post(&path, &known).expect(202);
    let full = server.post(&path, &json!({"content": "echo c"})).expect(429);
    assert_eq!(detail(&full), "2 messages wait already (see MAX_QUEUE)");
    server.post(&path, &known).expect(202);
}

#[test]
fn simultaneous_messages_never_exceed_the_queue_bound() {
    const BOUND: usize = 10;
    let server = start(builder().env("MAX_QUEUE", BOUND.to_string()));
    let (id, _) = busy_with(&server, &[]);
    let path = format!("/api/workers/{id}/messages");
    let statuses = at_once(60, |number| server.post(&path, &json!({"content": format!("echo {number}")})).status);
    assert_eq!(statuses.iter().filter(|status| **status == 202).count(), BOUND, "{statuses:?}");
    assert!(statuses.iter().all(|status| matches!(status, 202 | 429)), "{statuses:?}");
    assert_eq!(queue(&server, &id).len(), BOUND);
}

#[test]
fn waiting_messages_outlive_the_server_and_a_stop() {
    let mut server = server();
    let (id, _) = busy_with(&server, &["echo a", "echo b"]);
    server.kill9();
    server.start();
    assert_eq!(texts(&queue(&server, &id)), ["echo a", "echo b"]);
    server.post(&format!("/api/workers/{id}/stop"), &json!({})).expect(200);
    assert_eq!(texts(&queue(&server, &id)), ["echo a", "echo b"]);
    server.post(&format!("/api/workers/{id}/start"), &json!({})).expect(200);
    wait_event(&server, &id, "assistant", "b");
}

#[test]
fn message_withdrawn_or_edited_during_delivery_is_never_both() {
    let server = server();
    let id = idle_worker(&server, LOOP);
    for round in 0..40 {
        say(&server, &id, &format!("before {round}"));
        let message = say(&server, &id, &format!("message {round}"))["message_id"].clone();
        let path = format!("/api/workers/{id}/queue/{}", message.as_str().unwrap());
        let status = match round % 2 {
            0 => server.delete(&path).status,
            _ => server.patch(&path, &json!({"content": format!("changed {round}")})).status,
        };
        say(&server, &id, &format!("after {round}"));
        wait_event(&server, &id, "assistant", &format!("you said: after {round}"));
        let all = events(&server, &id);
        let went = all.iter().find(|event| event["type"] == "user" && event["message_id"] == message);
        let went = went.map(|event| event["content"].as_str().unwrap().split(' ').next().unwrap());
        let expected = match (status, round % 2) {
            (200, 0) => None,
            (200, _) => Some("changed"),
            (409, _) => Some("message"),
            other => panic!("{other:?}"),
        };
        assert_eq!(went, expected, "round {round}");
    }
}
