//! Part 2: a prompt stays open until it is answered, is answered once, and survives every restart.

use serde_json::{Value, json};

use super::{at_once, command, detail, events, idle_worker, is_utc_time, say, server, wait_event};
use crate::support::server::TestServer;
use crate::support::wait::{DEADLINE, eventually};

/// A worker whose CLI asks for a permission: its id and the prompt's.
fn asking(server: &TestServer) -> (String, String) {
    let id = idle_worker(server, "claude");
    let prompt = ask(server, &id);
    (id, prompt)
}

/// Makes the CLI ask for a permission, and returns the prompt's id.
#[track_caller]
fn ask(server: &TestServer, worker: &str) -> String {
    say(server, worker, "permission Bash {\"command\":\"ls\"}");
    server.wait_status(worker, "waiting");
    let inbox = inbox(server);
    let prompt = inbox.iter().find(|prompt| prompt["worker_id"] == *worker).unwrap();
    prompt["request_id"].as_str().unwrap().to_owned()
}

#[track_caller]
fn inbox(server: &TestServer) -> Vec<Value> {
    server.get("/api/permissions").expect(200).json()["permissions"].as_array().unwrap().clone()
}

fn path(worker: &str, prompt: &str) -> String {
    format!("/api/workers/{worker}/permissions/{prompt}")
}

#[test]
fn the_inbox_has_the_prompts_of_all_workers() {
    let server = server();
    assert_eq!(server.get("/api/permissions").expect(200).json(), json!({"permissions": []}));
    let (first, _) = asking(&server);
    let (second, prompt) = asking(&server);
    let inbox = inbox(&server);
    assert_eq!(inbox.iter().map(|prompt| &prompt["worker_id"]).collect::<Vec<_>>(), [&json!(first), &json!(second)]);
    let one = &inbox[1];
    assert_eq!((&one["request_id"], &one["worker_name"]), (&json!(prompt), &json!("test")));
    assert_eq!((&one["type"], &one["tool_name"]), (&json!("permission_request"), &json!("Bash")));
    assert_eq!(one["input"], json!({"command": "ls"}));
    assert!(is_utc_time(&one["timestamp"]) && one["seq"].is_u64() && one["tool_call_id"].is_string(), "{one}");
    for option in one["options"].as_array().unwrap() {
        assert!(option["id"].is_string() && option["label"].is_string() && option["kind"].is_string(), "{option}");
    }
    assert_eq!(server.get(&format!("/api/workers/{second}")).json()["open_prompts"], 1);
}

#[test]
fn an_allowed_tool_runs() {
    let server = server();
    let (id, prompt) = asking(&server);
    let answer = server.post(&path(&id, &prompt), &json!({"option_id": "allow"})).expect(200).json();
    assert_eq!(answer["status"], "answered");
    assert_eq!((&answer["answer"]["request_id"], &answer["answer"]["by"]), (&json!(prompt), &json!("user")));
    wait_event(&server, &id, "assistant", "allowed: {\"command\":\"ls\"}");
    assert_eq!(inbox(&server), Vec::<Value>::new());
    let resolved = events(&server, &id).into_iter().find(|event| event["type"] == "permission_resolved").unwrap();
    assert_eq!((&resolved["request_id"], &resolved["by"]), (&json!(prompt), &json!("user")));
}

#[test]
fn denied_tool_does_not_run_and_the_reason_is_forwarded() {
    let server = server();
    let (id, prompt) = asking(&server);
    server.post(&path(&id, &prompt), &json!({"option_id": "deny", "message": "not on my machine"})).expect(200);
    wait_event(&server, &id, "assistant", "denied: not on my machine");
}

#[test]
fn an_allowed_tool_can_get_another_input() {
    let server = server();
    let (id, prompt) = asking(&server);
    let answer = json!({"option_id": "allow", "updated_input": {"command": "ls -l"}});
    server.post(&path(&id, &prompt), &answer).expect(200);
    wait_event(&server, &id, "assistant", "allowed: {\"command\":\"ls -l\"}");
    let history = server.get(&format!("/api/workers/{id}/messages?types=permission_resolved")).expect(200).json();
    assert_eq!(history["messages"][0]["updated_input"], json!({"command": "ls -l"}), "{history}");
    let (id, prompt) = asking(&server);
    server
        .post(&path(&id, &prompt), &json!({"option_id": "deny", "message": "no", "updated_input": {"command": "id"}}))
        .expect(200);
    wait_event(&server, &id, "assistant", "denied: no");
    let history = server.get(&format!("/api/workers/{id}/messages?types=permission_resolved")).expect(200).json();
    assert_eq!(history["messages"][0]["updated_input"], serde_json::Value::Null, "a refused call has no input");
}

#[test]
fn a_second_answer_gets_409_with_the_first() {
    let mut server = server();
    let (id, prompt) = asking(&server);
    let first = server.post(&path(&id, &prompt), &json!({"option_id": "allow"})).expect(200).json();
    let expect_the_first = |server: &TestServer| {
        let second = server.post(&path(&id, &prompt), &json!({"option_id": "deny"})).expect(409).json();
        assert_eq!(second["answer"], first["answer"]);
        assert!(second["detail"].as_str().unwrap().contains("was answered before"), "{second}");
    };
    expect_the_first(&server);
    server.wait_status(&id, "idle");
    server.kill9();
    server.start();
    expect_the_first(&server);
    let mut ws = server.ws(&format!("/ws/{id}?deltas=1"));
    let frame = json!({"type": "permission", "request_id": prompt, "option_id": "allow"});
    let error = command(&mut ws, frame);
    assert_eq!((&error["type"], &error["status"]), (&json!("error"), &json!(409)));
    assert_eq!(error["answer"], first["answer"]);
}

#[test]
fn two_simultaneous_answers_have_exactly_one_winner() {
    let server = server();
    let id = idle_worker(&server, "claude");
    for _ in 0..5 {
        let prompt = ask(&server, &id);
        let answers = at_once(6, |number| {
            let option = if number % 2 == 0 { "allow" } else { "deny" };
            let reply = server.post(&path(&id, &prompt), &json!({"option_id": option}));
            (reply.status, reply.json()["answer"].clone())
        });
        let winners = answers.iter().filter(|(status, _)| *status == 200).count();
        assert_eq!(winners, 1, "{answers:?}");
        assert!(answers.iter().all(|(status, _)| [200, 409].contains(status)), "{answers:?}");
        assert!(answers.iter().all(|(_, answer)| *answer == answers[0].1), "all are told the same: {answers:?}");
        server.wait_status(&id, "idle");
    }
    let resolved = events(&server, &id).into_iter().filter(|event| event["type"] == "permission_resolved").count();
    assert_eq!(resolved, 5);
}

#[test]
fn nonsensical_answer_is_refused_and_the_prompt_stays() {
    let server = server();
    let (id, prompt) = asking(&server);
    assert_eq!(
        detail(&server.post(&path(&id, "none"), &json!({"option_id": "allow"})).expect(404)),
        "prompt not found: none"
    );
    let refused = server.post(&path(&id, &prompt), &json!({"option_id": "maybe"})).expect(400);
    assert!(detail(&refused).starts_with("no such option: maybe (the prompt offers "), "{}", refused.text());
    server.post(&path(&id, &prompt), &json!({"answers": {"q": "a"}})).expect(400);
    server.post(&path(&id, &prompt), &json!({"option_id": 1})).expect(422);
    assert_eq!(inbox(&server).len(), 1);
    server.post(&path(&id, &prompt), &json!({"option_id": "allow"})).expect(200);
}

#[test]
fn a_prompt_can_be_answered_over_the_websocket() {
    let server = server();
    let (id, prompt) = asking(&server);
    let mut ws = server.ws(&format!("/ws/{id}?deltas=1"));
    let frame = json!({"type": "permission", "request_id": prompt, "decision": "deny", "message": "no"});
    assert_eq!(command(&mut ws, frame)["type"], "ack");
    wait_event(&server, &id, "assistant", "denied: no");
}

#[test]
fn a_prompt_survives_the_server() {
    let mut server = server();
    let (id, prompt) = asking(&server);
    let before = inbox(&server);
    server.kill9();
    server.start();
    server.wait_status(&id, "waiting");
    assert_eq!(inbox(&server), before);
    server.post(&path(&id, &prompt), &json!({"option_id": "allow"})).expect(200);
    wait_event(&server, &id, "assistant", "allowed: {\"command\":\"ls\"}");
}

#[test]
fn prompt_ends_with_the_turn_or_the_process_that_asked() {
    let server = server();
    let (id, prompt) = asking(&server);
    server.post(&format!("/api/workers/{id}/interrupt"), &json!({})).expect(200);
    server.wait_status(&id, "idle");
    assert_eq!(inbox(&server), Vec::<Value>::new());
    let late = server.post(&path(&id, &prompt), &json!({"option_id": "allow"})).expect(409).json();
    assert_eq!(late["answer"]["by"], "cli");
    ask(&server, &id);
    server.post(&format!("/api/workers/{id}/stop"), &json!({})).expect(200);
    eventually(DEADLINE, "an empty inbox", || inbox(&server).is_empty().then_some(()));
}

#[test]
fn a_question_is_asked_and_answered_once() {
    let server = server();
    let id = idle_worker(&server, "claude");
    let input = json!({"questions": [{"question": "Which colour?", "header": "Colour", "multiSelect": false,
                                      "options": [{"label": "red", "description": ""}]}]});
    say(&server, &id, &format!("permission AskUserQuestion {input}"));
    server.wait_status(&id, "waiting");
    let waiting = inbox(&server);
    assert_eq!((&waiting[0]["type"], &waiting[0]["content"]), (&json!("question"), &json!("Which colour?")));
    assert_eq!(waiting[0]["questions"][0]["options"][0]["label"], "red");
    let question = waiting[0]["request_id"].as_str().unwrap().to_owned();
    server.post(&path(&id, &question), &json!({"option_id": "allow"})).expect(400);
    let mut ws = server.ws(&format!("/ws/{id}?deltas=1"));
    let answer = json!({"type": "answer", "request_id": question, "answers": {"Which colour?": "red"}});
    assert_eq!(command(&mut ws, answer.clone())["type"], "ack");
    let again = command(&mut ws, answer);
    assert_eq!((&again["status"], &again["answer"]["request_id"]), (&json!(409), &json!(question)));
    server.wait_status(&id, "idle");
    let all = events(&server, &id);
    let resolved = all.iter().find(|event| event["type"] == "question_resolved").unwrap();
    assert_eq!(resolved["answers"], json!({"Which colour?": "red"}));
    assert!(all.iter().any(|event| event["type"] == "assistant" && event["content"].as_str().unwrap().contains("red")));
}

#[test]
fn message_goes_to_an_agent_whose_sub_agent_asks() {
    let server = server();
    let id = idle_worker(&server, "claude");
    let request = json!({"subtype": "can_use_tool", "tool_name": "Bash", "input": {"command": "ls"}, "tool_use_id": "t",
        "agent_id": "a1"});
    let line = json!({"type": "control_request", "request_id": "sub", "request": request});
    say(&server, &id, &format!("raw {line}"));
    let event = eventually(DEADLINE, "the prompt", || {
        events(&server, &id).into_iter().find(|event| event["type"] == "permission_request")
    });
    assert_eq!(event["agent_id"], "a1");
    say(&server, &id, "echo meanwhile");
    wait_event(&server, &id, "assistant", "meanwhile");
    let inbox = server.get("/api/permissions").expect(200).json();
    assert_eq!(
        (&inbox["permissions"][0]["request_id"], &inbox["permissions"][0]["agent_id"]),
        (&json!("sub"), &json!("a1"))
    );
    assert_eq!(server.get(&format!("/api/workers/{id}")).expect(200).json()["status"], "waiting");
}

#[test]
fn prompts_with_any_id_can_be_answered_by_rest() {
    let server = server();
    let odd = ["a/b", "..", "", "a b?c#d", "ä\u{1f642}"];
    for request_id in odd {
        let id = server.create_worker("claude", &json!({"env": {"FAKE_REQUEST_ID": request_id}}));
        server.wait_status(&id, "idle");
        assert_eq!(ask(&server, &id), request_id);
        let answer = json!({"option_id": "allow", "request_id": request_id});
        server.post(&format!("/api/workers/{id}/permissions"), &answer).expect(200);
        eventually(DEADLINE, "the answer", || {
            events(&server, &id).into_iter().find(|event| event["type"] == "permission_resolved")
        });
    }
    let (id, encoded) = (server.create_worker("claude", &json!({"env": {"FAKE_REQUEST_ID": "a/b"}})), "a%2Fb");
    server.wait_status(&id, "idle");
    ask(&server, &id);
    server.post(&path(&id, encoded), &json!({"option_id": "deny"})).expect(200);
}
