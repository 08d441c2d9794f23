//! Forms of an agent, answered in every possible way.

use serde_json::{Value, json};

use super::{idle, start, wait_said};
use crate::support::server::TestServer;
use crate::support::workers::TestWorker;

/// A worker whose agent asks for a form, and the question.
fn asking(server: &TestServer) -> (TestWorker, Value) {
    let worker = idle(server, &json!({}));
    worker.say(server, "form");
    worker.wait_status(server, "waiting");
    let prompt = worker.wait_prompt(server);
    (worker, prompt)
}

const ACCEPTED: &str = r#"form: {"action":"accept","content":{"color":"b","count":3,"name":"Ann","sure":false}}"#;

#[test]
fn agents_form_is_a_question_with_fields_in_order() {
    let server = start();
    let (worker, prompt) = asking(&server);
    assert_eq!((&prompt["type"], &prompt["content"]), (&json!("question"), &json!("Who are you?")));
    let questions = prompt["questions"].as_array().unwrap();
    let fields: Vec<(&Value, &Value, &Value)> =
        questions.iter().map(|it| (&it["field"], &it["type"], &it["required"])).collect();
    // The fake agent's own serialiser sorts the fields.
    let expected =
        [("color", "string", true), ("count", "integer", false), ("name", "string", true), ("sure", "boolean", false)];
    let expected: Vec<(Value, Value, Value)> =
        expected.iter().map(|it| (json!(it.0), json!(it.1), json!(it.2))).collect();
    assert_eq!(fields, expected.iter().map(|it| (&it.0, &it.1, &it.2)).collect::<Vec<_>>());
    assert_eq!(questions[1]["default"], 3);
    assert_eq!(questions[0]["options"][1], json!({"label": "Blue", "value": "b", "description": ""}));
    let refused = worker.answer(&server, &prompt, &json!({"answers": {"name": "A", "color": "b"}})).expect(400).json();
    assert_eq!(refused["detail"], "name: 1 characters are too few: at least 2");
    worker.answer(&server, &prompt, &json!({"answers": {"name": "Ann", "color": "Blue"}})).expect(200);
    wait_said(&server, &worker, ACCEPTED);
    let resolved = worker.events_of(&server, "question_resolved").pop().unwrap();
    assert_eq!((&resolved["content"], &resolved["by"]), (&json!("answered"), &json!("user")));
    worker.answer(&server, &prompt, &json!({"answers": {"name": "Eve", "color": "r"}})).expect(409);
}

#[test]
fn form_is_declined_or_cancelled_by_rest() {
    let server = start();
    for (decision, action, content) in [("decline", "decline", "declined"), ("cancel", "cancel", "cancelled")] {
        let (worker, prompt) = asking(&server);
        worker.answer(&server, &prompt, &json!({"decision": "allow"})).expect(400);
        worker.answer(&server, &prompt, &json!({"decision": decision})).expect(200);
        wait_said(&server, &worker, &format!(r#"form: {{"action":"{action}"}}"#));
        let resolved = worker.events_of(&server, "question_resolved").pop().unwrap();
        assert_eq!((&resolved["content"], &resolved["answers"]), (&json!(content), &Value::Null));
    }
}

#[test]
fn form_is_answered_and_declined_by_websocket() {
    let server = start();
    let (worker, prompt) = asking(&server);
    let mut client = server.ws(&format!("/ws/{}?deltas=1", worker.id));
    let request = prompt["request_id"].as_str().unwrap();
    client.send_json(&json!({"type": "answer", "request_id": request, "answers": {"name": "Ann", "color": "b"}}));
    wait_said(&server, &worker, ACCEPTED);
    worker.say(&server, "form");
    let prompt = worker.wait_prompt(&server);
    client.send_json(&json!({"type": "permission", "request_id": prompt["request_id"], "option_id": "decline"}));
    wait_said(&server, &worker, r#"form: {"action":"decline"}"#);
}

#[test]
fn form_is_still_asked_after_a_kill_of_the_server() {
    let mut server = start();
    let (worker, prompt) = asking(&server);
    server.kill9();
    server.start();
    let again = worker.wait_prompt(&server);
    assert_eq!((&again["request_id"], &again["questions"]), (&prompt["request_id"], &prompt["questions"]));
    worker.answer(&server, &again, &json!({"answers": ["b", null, "Ann", false]})).expect(200);
    wait_said(&server, &worker, ACCEPTED);
}
