//! Forms that an agent asks for.

use serde_json::{Value, json};

use super::fold::say;
use super::ready;
use crate::adapter::testing::recorded::{OwnedRecord, TestFold};
use crate::adapter::{Action, Command, Refusal};
use crate::journal::{By, Control};

fn ask(reported: &mut TestFold, params: &Value) {
    reported.out(&json!({"jsonrpc": "2.0", "id": 7, "method": "elicitation/create", "params": params}));
}

fn form() -> Value {
    json!({"sessionId": "s1", "mode": "form", "message": "Who?", "toolCallId": "t", "requestedSchema":
        {"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer"}}, "required": ["name"]}})
}

/// A fold with an open form, and the id of its question.
fn asked() -> (TestFold, String) {
    let mut reported = ready();
    say(&mut reported, "go");
    reported.take_events();
    ask(&mut reported, &form());
    reported.save_and_restore();
    let question = reported.take_events().pop().unwrap();
    assert_eq!((&question["type"], &question["content"]), (&json!("question"), &json!("Who?")));
    assert_eq!((&question["tool_call_id"], &question["questions"][0]["field"]), (&json!("t"), &json!("age")));
    (reported, question["request_id"].as_str().unwrap().to_owned())
}

fn answer(reported: &mut TestFold, command: &Command<'_>) -> Result<Value, Refusal> {
    let action = reported.session.encode(command)?;
    Ok(reported.wrote_all(Some(action)).remove(0))
}

#[test]
fn form_is_offered_asked_and_answered_with_checked_values() {
    let mut reported = TestFold::ticking(&super::opencode());
    reported.take(&OwnedRecord::started());
    let initialize = reported.write_due().remove(0);
    let able = &initialize["params"]["clientCapabilities"];
    assert_eq!(
        (&able["elicitation"], &able["session"]["configOptions"]),
        (&json!({"form": {}}), &json!({"boolean": {}}))
    );

    let (mut reported, id) = asked();
    let wrong = Command::Answer { request_id: &id, answers: &json!({"age": 7}) };
    assert_eq!(reported.session.encode(&wrong), Err(Refusal::Invalid("name: an answer is needed".to_owned())));
    let answers = json!({"name": "Ann", "age": "7"});
    let written = answer(&mut reported, &Command::Answer { request_id: &id, answers: &answers }).unwrap();
    assert_eq!((&written["id"], &written["result"]["action"]), (&json!(7), &json!("accept")));
    assert_eq!(written["result"]["content"], json!({"name": "Ann", "age": 7}));
    let again = Command::Answer { request_id: &id, answers: &answers };
    assert!(matches!(reported.session.encode(&again), Err(Refusal::NotOpen(_))), "answered once");
}

#[test]
fn form_is_declined_cancelled_interrupted_or_withdrawn() {
    for (cancel, action) in [(false, "decline"), (true, "cancel")] {
        let (mut reported, id) = asked();
        let written = answer(&mut reported, &Command::Decline { request_id: &id, cancel }).unwrap();
        assert_eq!(written["result"], json!({"action": action}));
    }
    let (mut reported, _) = asked();
    let Ok(Action::Write(lines)) = reported.session.encode(&Command::Interrupt) else { panic!("not interrupted") };
    assert!(lines.iter().any(|line| String::from_utf8_lossy(line).contains(r#""action":"cancel""#)));
    reported.wrote_all(Some(Action::Write(lines)));
    let resolved = reported.take_events().into_iter().find(|event| event["type"] == "question_resolved").unwrap();
    assert_eq!((&resolved["by"], &resolved["answers"]), (&json!("user"), &Value::Null));

    let (mut reported, id) = asked();
    reported.out(&json!({"jsonrpc": "2.0", "method": "$/cancel_request", "params": {"requestId": 7}}));
    let resolved = reported.take_events().pop().unwrap();
    assert_eq!((&resolved["type"], &resolved["by"]), (&json!("question_resolved"), &json!("cli")));
    assert!(matches!(
        answer(&mut reported, &Command::Decline { request_id: &id, cancel: true }),
        Err(Refusal::NotOpen(_))
    ));
}

#[test]
fn answer_that_was_recorded_is_reported_by_the_worker_alone() {
    let (mut reported, id) = asked();
    let action = reported.session.encode(&Command::Decline { request_id: &id, cancel: false }).unwrap();
    reported.take(&OwnedRecord::control(&Control::PermissionAnswered {
        request_id: id,
        decision: "declined".to_owned(),
        message: None,
        answers: None,
        updated_input: None,
        by: By::User,
        rule: None,
    }));
    reported.wrote_all(Some(action));
    assert!(reported.take_events().is_empty());
}

#[test]
fn form_that_cannot_be_shown_is_declined_and_said() {
    for params in [
        json!({"mode": "url", "message": "Visit", "url": "http://x", "elicitationId": "e"}),
        json!({"mode": "form", "message": "Nest", "requestedSchema": {"properties": {"a": {"type": "object"}}}}),
    ] {
        let mut reported = ready();
        ask(&mut reported, &params);
        let error = reported.take_events().pop().unwrap();
        assert_eq!((&error["type"], &error["code"]), (&json!("error"), &json!("form_declined")));
        assert!(error["content"].as_str().unwrap().contains(params["message"].as_str().unwrap()), "{error}");
        let declined = reported.write_due().remove(0);
        assert_eq!((&declined["id"], declined["error"].is_object()), (&json!(7), true));
    }
}
