//! The effects of tools, over real workers.

use std::sync::mpsc::channel;
use std::thread;

use serde_json::{Value, json};

use super::{call, refused, used};
use crate::support::server::TestServer;
use crate::support::wait::{DEADLINE, eventually};
use crate::wire::{LOOP, repository_with_branches, server};

#[track_caller]
fn create(server: &TestServer, more: &Value) -> Value {
    let mut arguments = json!({"name": "one", "project_path": server.project(), "ai_cli_type": LOOP});
    for (name, value) in more.as_object().into_iter().flatten() {
        arguments[name] = value.clone();
    }
    used(&server.client, "create_worker", &arguments)["worker"].clone()
}

fn id(worker: &Value) -> String {
    worker["id"].as_str().unwrap().to_owned()
}

#[test]
fn worker_is_made_waited_for_read_and_stopped() {
    let server = server();
    let made = create(&server, &json!({"message": "first"}));
    let id = id(&made);
    let waited = used(&server.client, "wait", &json!({"worker_id": id}));
    assert_eq!((&waited["settled"], &waited["timed_out"]), (&json!(true), &json!(false)));
    assert_eq!((&waited["worker"]["status"], &waited["answer"]), (&json!("idle"), &json!("you said: first")));
    assert!(waited.get("messages").is_none(), "{waited}");

    let sent = used(&server.client, "send_message", &json!({"worker_id": id, "message": "second"}));
    let waited = used(&server.client, "wait", &json!({"worker_id": id, "cursor": sent["cursor"]}));
    assert_eq!(waited["answer"], "you said: second");
    let said: Vec<&Value> = waited["messages"].as_array().unwrap().iter().map(|event| &event["text"]).collect();
    assert!(said.contains(&&json!("second")) && said.contains(&&json!("you said: second")), "{said:?}");
    assert!(!said.contains(&&json!("you said: first")), "{said:?}");
    let again = used(&server.client, "wait", &json!({"worker_id": id, "cursor": waited["cursor"]}));
    assert_eq!((&again["messages"], &again["settled"]), (&json!([]), &json!(true)));

    let listed = used(&server.client, "list_workers", &json!({"status": "idle"}));
    assert_eq!((&listed["workers"][0]["id"], &listed["next"]), (&json!(id), &json!(null)));
    let page = used(&server.client, "read", &json!({"worker_id": id, "limit": 3}));
    assert_eq!((page["messages"].as_array().unwrap().len(), &page["has_more"]), (3, &json!(true)));
    let older = used(&server.client, "read", &json!({"worker_id": id, "before": page["first_seq"], "limit": 100}));
    assert!(older["messages"].to_string().contains("you said: first"), "{older}");
    let found = used(&server.client, "search", &json!({"query": "SECOND"}));
    assert_eq!(found["results"][0]["worker_id"], id.as_str());

    let stopped = used(&server.client, "stop_worker", &json!({"worker_id": id}));
    assert_eq!(stopped["worker"]["status"], "stopped");
    assert_eq!(used(&server.client, "wait", &json!({"worker_id": id}))["settled"], true);
}

#[test]
fn wait_returns_when_the_turn_ends_and_not_before() {
    let server = server();
    let id = server.create_worker("claude", &json!({}));
    server.wait_status(&id, "idle");
    used(&server.client, "send_message", &json!({"worker_id": id, "message": "hang"}));
    server.wait_status(&id, "busy");
    let late = used(&server.client, "wait", &json!({"worker_id": id, "timeout_seconds": 0}));
    assert_eq!((&late["timed_out"], &late["worker"]["status"]), (&json!(true), &json!("busy")));
    let (sender, receiver) = channel();
    let (client, worker) = (server.client.clone(), id.clone());
    let waiting = thread::spawn(move || {
        let waited = used(&client, "wait", &json!({"worker_id": worker, "timeout_seconds": 55}));
        sender.send(()).unwrap();
        waited
    });
    assert!(receiver.recv_timeout(std::time::Duration::from_millis(300)).is_err(), "it waits");
    server.post(&format!("/api/workers/{id}/interrupt"), &json!({})).expect(200);
    receiver.recv_timeout(DEADLINE).unwrap();
    assert_eq!(waiting.join().unwrap()["settled"], true);
}

#[test]
fn wait_for_a_deleted_worker_ends_with_its_deletion() {
    let server = server();
    let id = server.create_worker("claude", &json!({}));
    server.wait_status(&id, "idle");
    used(&server.client, "send_message", &json!({"worker_id": id, "message": "hang"}));
    let (client, worker) = (server.client.clone(), id.clone());
    let waiting = thread::spawn(move || call(&client, "wait", &json!({"worker_id": worker, "timeout_seconds": 55})));
    server.wait_status(&id, "busy");
    server.delete(&format!("/api/workers/{id}")).expect(200);
    let waited = waiting.join().unwrap();
    assert!(waited["isError"] == true || waited["structuredContent"]["settled"] == true, "{waited}");
}

#[test]
fn prompt_is_listed_and_answered_by_its_options() {
    let server = server();
    let id = server.create_worker("claude", &json!({}));
    server.wait_status(&id, "idle");
    used(&server.client, "send_message", &json!({"worker_id": id, "message": "permission Bash {\"command\":\"ls\"}"}));
    let waited = eventually(DEADLINE, "a prompt", || {
        let waited = used(&server.client, "wait", &json!({"worker_id": id}));
        (waited["worker"]["status"] == "waiting").then_some(waited)
    });
    let prompt = &waited["prompts"][0];
    assert_eq!((&prompt["tool_name"], &prompt["type"]), (&json!("Bash"), &json!("permission_request")));
    let listed = used(&server.client, "list_prompts", &json!({}));
    assert_eq!(&listed["prompts"][0], prompt);
    let (code, _) =
        refused(&server.client, "answer_prompt", &json!({"worker_id": id, "request_id": "none", "option_id": "allow"}));
    assert_eq!(code, "not_found");
    let arguments = json!({"worker_id": id, "request_id": prompt["request_id"], "option_id": prompt["options"][0]});
    assert!(used(&server.client, "answer_prompt", &arguments)["decision"].is_string());
    assert_eq!(used(&server.client, "list_prompts", &json!({}))["prompts"], json!([]));
}

#[test]
fn diff_is_whole_by_file_or_counts_alone() {
    let server = server();
    let project = server.project_named("changed");
    repository_with_branches(&project);
    let id = id(&create(&server, &json!({"project_path": project})));
    std::fs::write(project.join("one.txt"), "1\n").unwrap();
    std::fs::write(project.join("two.txt"), "2\n2\n").unwrap();
    let whole = used(&server.client, "diff", &json!({"worker_id": id}));
    assert!(
        whole["diff"].as_str().unwrap().contains("+1") && whole["diff"].as_str().unwrap().contains("+2"),
        "{whole}"
    );
    let one = used(&server.client, "diff", &json!({"worker_id": id, "path": "two.txt"}));
    assert!(one["diff"].as_str().unwrap().starts_with("diff --git a/two.txt"), "{one}");
    let stat = used(&server.client, "diff", &json!({"worker_id": id, "stat": true}));
    assert_eq!((&stat["diff"], stat["files"].as_array().unwrap().len()), (&json!(""), 2));
    assert_eq!(stat["files"][1]["added"], 2);
}

#[test]
fn answers_are_bounded_and_report_that() {
    let server = server();
    let long = "x".repeat(30_000);
    let id = id(&create(&server, &json!({"message": long})));
    let waited = used(&server.client, "wait", &json!({"worker_id": id, "cursor": 0}));
    assert_eq!(waited["answer_truncated"], true);
    assert!(waited["answer"].as_str().unwrap().len() <= 16_000 && waited.to_string().len() < 40_000);
    assert!(waited["messages"].as_array().unwrap().iter().any(|event| event["truncated"] == true));
}

#[test]
fn mistakes_in_arguments_are_explained_to_the_model() {
    let server = server();
    for (tool, arguments, said) in [
        ("create_worker", json!({"project_path": "/"}), "missing arguments: name"),
        ("create_worker", json!({"name": "x", "project_path": "/none-such"}), "does not exist"),
        ("create_worker", json!({"name": "x", "project_path": "/", "args": ["-x"]}), "unknown argument \"args\""),
        ("create_worker", json!({"name": 5, "project_path": "/"}), "name should be a string"),
        ("read", json!({"worker_id": "none"}), "Worker not found: none"),
        ("read", json!({"worker_id": "../workers"}), "Worker not found"),
        ("read", json!({"worker_id": "a", "limit": 101}), "from 1 to 100"),
        ("wait", json!({"worker_id": "a", "timeout_seconds": 56}), "from 0 to 55"),
        ("diff", json!({"worker_id": "a", "stat": "yes"}), "stat should be true or false"),
        ("search", json!({"query": ""}), "from 1 to 500"),
        ("list_workers", json!({"status": "asleep"}), "asleep"),
        ("send_message", json!({"worker_id": "none", "message": "x"}), "Worker not found"),
    ] {
        let (_, text) = refused(&server.client, tool, &arguments);
        assert!(text.contains(said), "{tool} {arguments}: {text}");
    }
}

#[test]
fn preset_gives_what_a_call_leaves_out() {
    let server = server();
    server
        .client
        .put("/api/presets/echo", &json!({"ai_cli_type": LOOP, "initial_message": "by the preset"}))
        .expect(200);
    let arguments = json!({"name": "one", "project_path": server.project(), "preset": "echo"});
    let made = used(&server.client, "create_worker", &arguments);
    let waited = used(&server.client, "wait", &json!({"worker_id": made["worker"]["id"]}));
    assert_eq!(waited["answer"], "you said: by the preset");
}
