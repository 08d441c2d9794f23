//! Commands as lines of the app server's stdin, and its starts.

use std::path::Path;

use serde_json::{Value, json};

use super::{THREAD, adapter, open, ready, started};
use crate::adapter::codex::{Codex, CodexSettings};
use crate::adapter::testing::recorded::{OwnedRecord, TestFold};
use crate::adapter::{
    Action, Adapter, Command, Launch, LaunchRequest, Message, PermissionAnswer, Refusal, SessionChoice,
};
use crate::journal::{Control, WorkerOptions};

fn encode(reported: &TestFold, command: Command<'_>) -> Result<Vec<Value>, Refusal> {
    let Action::Write(lines) = reported.session.encode(&command)? else { panic!("Codex is driven by its stdin") };
    Ok(lines.iter().map(|line| serde_json::from_slice(line).unwrap()).collect())
}

fn message(reported: &TestFold, content: &str) -> Result<Value, Refusal> {
    let message = Message { id: "u1", content, attachments: &[] };
    assert_eq!(encode(reported, Command::Steer(&message))?, encode(reported, Command::Message(&message))?);
    Ok(encode(reported, Command::Message(&message))?.remove(0))
}

#[test]
fn message_keeps_its_id_and_its_text_as_it_is() {
    let reported = ready();
    for text in ["hi", "/cost", "two\nlines", "quote \" and \u{2028} and \0"] {
        let line = message(&reported, text).unwrap();
        let params =
            json!({"threadId": THREAD, "clientUserMessageId": "u1", "input": [{"type": "text", "text": text}]});
        assert_eq!(line, json!({"id": "message-u1", "method": "turn/start", "params": params}));
    }
    assert!(matches!(message(&reported, " "), Err(Refusal::Invalid(_))));
    assert!(message(&reported, &"é".repeat(1_048_576)).is_ok());
    assert!(matches!(message(&reported, &"x".repeat(1_048_577)), Err(Refusal::Invalid(_))));
}

#[test]
fn images_come_before_the_text() {
    let reported = ready();
    let image = json!({"media_type": "image/png", "data": "iVBO"});
    let look = Message { id: "u1", content: "look", attachments: std::slice::from_ref(&image) };
    let line = encode(&reported, Command::Message(&look)).unwrap().remove(0);
    let parts = json!([{"type": "image", "url": "data:image/png;base64,iVBO"}, {"type": "text", "text": "look"}]);
    assert_eq!(line["params"]["input"], parts);
    for wrong in [json!({"media_type": "application/pdf", "data": "AAAA"}), json!({"data": "AAAA"}), json!("x")] {
        let look = Message { attachments: std::slice::from_ref(&wrong), ..look };
        assert!(matches!(encode(&reported, Command::Message(&look)), Err(Refusal::Invalid(_))), "{wrong}");
    }
}

#[test]
fn new_model_and_mode_go_with_the_next_message_once() {
    let mut reported = ready();
    assert_eq!(encode(&reported, Command::SetModel(Some("gpt-x"))), Ok(Vec::new()), "nothing is written now");
    reported.control(&Control::Configured { model: Some("gpt-x".into()), permission_mode: None });
    assert_eq!(encode(&reported, Command::SetPermissionMode("full-access")), Ok(Vec::new()));
    reported.control(&Control::Configured { model: None, permission_mode: Some("full-access".into()) });
    reported.save_and_restore();
    let line = message(&reported, "hi").unwrap();
    let params = &line["params"];
    assert_eq!((&params["model"], &params["approvalPolicy"]), (&json!("gpt-x"), &json!("never")));
    assert_eq!(params["sandboxPolicy"], json!({"type": "dangerFullAccess"}));
    reported.wrote(&line);
    assert!(reported.take_events().iter().all(|event| event["type"] != "session"), "nobody has accepted them yet");
    reported.out(&json!({"id": line["id"], "result": {"turn": {"id": "t1"}}}));
    let events = reported.take_events();
    assert_eq!((&events[0]["type"], &events[0]["model"]), (&json!("session"), &json!("gpt-x")));
    assert_eq!(events[0]["permission_mode"], "full-access");
    assert!(events[1..3].iter().all(|event| event["type"] == "setting" && event["state"] == "applied"), "{events:?}");
    let params = message(&reported, "hi").unwrap()["params"].clone();
    assert!(params.get("model").is_none() && params.get("approvalPolicy").is_none(), "the session keeps them");
    for wrong in [Command::SetModel(None), Command::SetModel(Some(" ")), Command::SetPermissionMode("yolo")] {
        assert!(matches!(encode(&reported, wrong), Err(Refusal::Invalid(_))));
    }
}

#[test]
fn a_session_begins_with_what_the_worker_asks_for() {
    let options = WorkerOptions {
        model: Some("gpt-x".to_owned()),
        permission_mode: Some("auto".to_owned()),
        system_prompt: Some("be brief".to_owned()),
        ..WorkerOptions::default()
    };
    let mut reported = started(options);
    let request = open(&mut reported);
    assert_eq!(request["method"], "thread/start");
    let params = json!({"cwd": "/project", "model": "gpt-x", "approvalPolicy": "on-request",
        "sandbox": "workspace-write", "developerInstructions": "be brief"});
    assert_eq!(request["params"], params);
    let plain = open(&mut started(WorkerOptions::default()));
    assert_eq!(plain["params"], json!({"cwd": "/project"}), "the rest is the configuration's");
}

#[test]
fn a_session_is_resumed_or_forked_without_its_history() {
    let mut reported = ready();
    reported.control(&Control::Launching {
        session_id: Some("old".to_owned()),
        resume: true,
        settings: None,
        limits: None,
    });
    reported.take(&OwnedRecord::started());
    let request = open(&mut reported);
    assert_eq!(request["method"], "thread/resume");
    assert_eq!(request["params"], json!({"threadId": "old", "excludeTurns": true, "cwd": "/project"}));

    let options = WorkerOptions { resume_session: Some("old".to_owned()), fork: true, ..WorkerOptions::default() };
    let mut reported = started(options);
    reported.control(&Control::Launching {
        session_id: Some("new".to_owned()),
        resume: false,
        settings: None,
        limits: None,
    });
    assert_eq!(open(&mut reported)["method"], "thread/fork");
}

fn asked(decisions: &Value) -> (TestFold, Value) {
    let mut reported = ready();
    let params = json!({"threadId": THREAD, "turnId": "t1", "itemId": "c1", "command": "/bin/bash -lc 'ls'",
        "commandActions": [{"type": "unknown", "command": "ls"}], "cwd": "/project", "availableDecisions": decisions});
    reported.out(&json!({"id": 0, "method": "item/commandExecution/requestApproval", "params": params}));
    reported.save_and_restore();
    let prompt = reported.take_events().remove(0);
    (reported, prompt)
}

fn permission(reported: &TestFold, prompt: &Value, option: &str, interrupt: bool) -> Result<Value, Refusal> {
    let answer = PermissionAnswer { option_id: option.to_owned(), interrupt, ..PermissionAnswer::default() };
    let request_id = prompt["request_id"].as_str().unwrap();
    Ok(encode(reported, Command::Permission { request_id, answer: &answer })?.remove(0))
}

#[test]
fn prompt_offers_the_clis_options_and_answers_in_its_words() {
    let rule = json!({"acceptWithExecpolicyAmendment": {"execpolicy_amendment": ["ls", "-l"]}});
    let (reported, prompt) = asked(&json!(["accept", rule, "cancel", "something new"]));
    let ids: Vec<&str> =
        prompt["options"].as_array().unwrap().iter().map(|option| option["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["allow_once", "allow_rule", "deny", "cancel"]);
    assert_eq!(prompt["options"][1]["label"], "Always allow commands that begin with: ls -l");
    let decisions = [("allow", json!("accept")), ("allow_once", json!("accept")), ("allow_rule", rule)];
    let denials = [("deny", json!("decline")), ("reject", json!("decline")), ("cancel", json!("cancel"))];
    for (option, decision) in decisions.into_iter().chain(denials) {
        let line = permission(&reported, &prompt, option, false).unwrap();
        assert_eq!(line, json!({"id": 0, "result": {"decision": decision}}), "{option}");
    }
    assert_eq!(permission(&reported, &prompt, "deny", true).unwrap()["result"]["decision"], "cancel");
    assert!(matches!(permission(&reported, &prompt, "allow_always", false), Err(Refusal::Invalid(_))));
    let changed = PermissionAnswer { option_id: "allow".into(), updated_input: Some(json!({})), ..Default::default() };
    let command = Command::Permission { request_id: prompt["request_id"].as_str().unwrap(), answer: &changed };
    assert!(matches!(encode(&reported, command), Err(Refusal::Invalid(_))));

    let (reported, prompt) = asked(&Value::Null);
    let line = permission(&reported, &prompt, "allow_always", false).unwrap();
    assert_eq!(line["result"]["decision"], "acceptForSession");
}

#[test]
fn a_prompt_is_answered_once() {
    let (mut reported, prompt) = asked(&Value::Null);
    let line = permission(&reported, &prompt, "allow", false).unwrap();
    reported.wrote(&line);
    assert!(matches!(permission(&reported, &prompt, "allow", false), Err(Refusal::NotOpen(_))));
    reported.out(&json!({"method": "serverRequest/resolved", "params": {"threadId": THREAD, "requestId": 0}}));
    assert!(reported.types().is_empty(), "it was answered by a person");
}

#[test]
fn questions_take_answers_by_id_text_number_and_order() {
    let mut reported = ready();
    let questions = json!([{"id": "q1", "header": "H", "question": "Which?", "options": [{"label": "A", "description": ""}]},
        {"id": "q2", "header": "I", "question": "Why?", "options": null}]);
    let params =
        json!({"threadId": THREAD, "turnId": "t1", "itemId": "c1", "questions": questions, "isBlocking": true});
    reported.out(&json!({"id": "r", "method": "item/tool/requestUserInput", "params": params}));
    reported.save_and_restore();
    let asked = reported.take_events().remove(0);
    assert_eq!((&asked["type"], &asked["questions"][1]["options"]), (&json!("question"), &json!([])));
    let request_id = asked["request_id"].as_str().unwrap();
    for answers in [
        json!({"q1": ["A", "B"], "q2": "because"}),
        json!({"Which?": ["A", "B"], "Why?": "because"}),
        json!({"0": ["A", "B"], "1": "because"}),
        json!([["A", "B"], "because"]),
    ] {
        let line = encode(&reported, Command::Answer { request_id, answers: &answers }).unwrap().remove(0);
        let given = json!({"q1": {"answers": ["A", "B"]}, "q2": {"answers": ["because"]}});
        assert_eq!(line, json!({"id": "r", "result": {"answers": given}}));
    }
    assert!(encode(&reported, Command::Answer { request_id, answers: &json!({"Who?": "me"}) }).is_err());
    let allow = PermissionAnswer { option_id: "allow".into(), ..Default::default() };
    assert!(encode(&reported, Command::Permission { request_id, answer: &allow }).is_err(), "it wants answers");
}

fn launch(settings: CodexSettings, options: &WorkerOptions) -> Result<Launch, Refusal> {
    let session = SessionChoice::New("id-1");
    Codex::new(settings).launch(&LaunchRequest { project_path: Path::new("/project"), options, session })
}

fn settings(api_key: Option<&str>) -> CodexSettings {
    CodexSettings {
        binary: "/opt/codex".into(),
        model: Some("gpt \"x\"".to_owned()),
        api_key: api_key.map(str::to_owned),
    }
}

#[test]
fn command_line_names_the_model_and_keeps_the_key_out() {
    let args = vec!["-c".to_owned(), "sandbox_mode=\"workspace-write\"".to_owned()];
    let options = WorkerOptions { args: args.clone(), ..WorkerOptions::default() };
    let plain = launch(settings(None), &options).unwrap();
    assert_eq!(plain.args[..3], ["app-server", "-c", r#"model="gpt \"x\"""#]);
    assert_eq!(plain.args[3..], args);
    assert!(plain.env.is_empty() && plain.stop_by_eof && !plain.one_process_per_turn);
    assert!(plain.volatile.contains(&br#"{"method":"item/commandExecution/outputDelta""#.to_vec()));

    let with_key = launch(settings(Some("sk-secret")), &options).unwrap();
    let line = with_key.args.join(" ");
    assert!(line.contains(r#"-c model_providers.openai-api-key.env_key="CODEX_API_KEY""#), "{line}");
    assert!(line.contains(r#"-c model_provider="openai-api-key""#) && !line.contains("sk-secret"));
    assert_eq!(with_key.env, [("CODEX_API_KEY".to_owned(), "sk-secret".to_owned())]);
    assert!(with_key.args.ends_with(&args), "what the worker gives holds");
    assert!(adapter().secret_env().contains(&"OPENAI_API_KEY".to_owned()));

    let hard = WorkerOptions { effort: Some("high".to_owned()), ..options };
    let line = launch(settings(None), &hard).unwrap().args.join(" ");
    assert!(line.contains(r#"-c model_reasoning_effort="high""#), "{line}");

    let own = WorkerOptions { model: Some("other".to_owned()), ..WorkerOptions::default() };
    assert_eq!(launch(settings(None), &own).unwrap().args, ["app-server"], "its model goes with its session");
}

#[test]
fn options_that_would_break_the_protocol_are_refused() {
    for arg in ["--listen", "--listen=off", "--ws-auth", "proxy", "--help"] {
        let options = WorkerOptions { args: vec![arg.to_owned()], ..WorkerOptions::default() };
        assert!(matches!(launch(settings(None), &options), Err(Refusal::Invalid(_))), "{arg}");
    }
    let options = WorkerOptions { permission_mode: Some("yolo".to_owned()), ..WorkerOptions::default() };
    assert!(launch(settings(None), &options).is_err());
    let options = WorkerOptions { effort: Some("max".to_owned()), ..WorkerOptions::default() };
    assert!(launch(settings(None), &options).is_err());
}
