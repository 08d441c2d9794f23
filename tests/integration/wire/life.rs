//! Part 2: interrupt, stop, start, restart, fork, and changes of name, model and mode.

use serde_json::{Value, json};

use super::{LOOP, command, detail, events, idle_worker, say, server, wait_event};
use crate::support::server::TestServer;
use crate::support::wait::{DEADLINE, eventually};

#[track_caller]
fn act(server: &TestServer, worker: &str, what: &str) -> Value {
    server.post(&format!("/api/workers/{worker}/{what}"), &json!({})).expect(200).json()
}

#[test]
fn interrupt_ends_the_turn_and_the_worker_continues() {
    let server = server();
    let id = idle_worker(&server, "claude");
    say(&server, &id, "hang");
    server.wait_status(&id, "busy");
    let answer = act(&server, &id, "interrupt");
    assert_eq!((&answer["status"], &answer["worker"]["id"]), (&json!("interrupted"), &json!(id)));
    let ended = eventually(DEADLINE, "the turn's end", || {
        events(&server, &id).into_iter().find(|event| event["type"] == "turn_completed")
    });
    assert_eq!(ended["stop_reason"], "interrupted");
    say(&server, &id, "echo still here");
    wait_event(&server, &id, "assistant", "still here");
}

#[test]
fn an_interrupt_of_an_idle_worker_does_nothing() {
    let server = server();
    let id = idle_worker(&server, "claude");
    act(&server, &id, "interrupt");
    assert_eq!(server.get(&format!("/api/workers/{id}")).json()["status"], "idle");
}

#[test]
fn an_interrupt_can_come_over_the_websocket() {
    let server = server();
    let id = idle_worker(&server, "claude");
    say(&server, &id, "hang");
    server.wait_status(&id, "busy");
    let mut ws = server.ws(&format!("/ws/{id}?deltas=1"));
    ws.send_json(&json!({"type": "interrupt", "ref": 1}));
    ws.wait_for_event("turn_completed", DEADLINE);
    server.wait_status(&id, "idle");
}

#[test]
fn stopped_means_that_no_process_lives_and_history_stays() {
    let server = server();
    let id = idle_worker(&server, "claude");
    say(&server, &id, "fork orphan");
    eventually(DEADLINE, "the answer", || events(&server, &id).into_iter().find(|event| event["type"] == "assistant"));
    let before = events(&server, &id);
    let answer = act(&server, &id, "stop");
    assert_eq!(server.processes_of(&id), []);
    assert_eq!((&answer["status"], &answer["pid"]), (&json!("stopped"), &Value::Null));
    let after = events(&server, &id);
    assert_eq!(before, after[..before.len()]);
    let exit = after.iter().find(|event| event["type"] == "exit").unwrap();
    assert!(!exit["ended"].as_array().unwrap().is_empty(), "{exit}");
    assert_eq!(act(&server, &id, "stop")["status"], "stopped", "stopping it again changes nothing");
}

#[test]
fn a_stopped_worker_is_started_with_its_session() {
    let server = server();
    let id = idle_worker(&server, "claude");
    say(&server, &id, "echo one");
    wait_event(&server, &id, "assistant", "one");
    let first = server.wait_status(&id, "idle");
    act(&server, &id, "stop");
    let started = act(&server, &id, "start");
    assert_ne!(started["status"], "stopped");
    let second = server.wait_status(&id, "idle");
    assert_eq!(first["session_id"], second["session_id"]);
    assert_ne!(first["pid"], second["pid"]);
    say(&server, &id, "memory");
    wait_event(&server, &id, "assistant", "2");
    let again = server.post(&format!("/api/workers/{id}/start"), &json!({})).expect(409);
    assert!(detail(&again).ends_with(" already"), "{}", again.text());
}

#[test]
fn a_restart_is_both() {
    let server = server();
    let id = idle_worker(&server, "claude");
    say(&server, &id, "echo one");
    wait_event(&server, &id, "assistant", "one");
    let first = server.wait_status(&id, "idle");
    act(&server, &id, "restart");
    let second = server.wait_status(&id, "idle");
    assert_ne!(first["pid"], second["pid"]);
    say(&server, &id, "memory");
    wait_event(&server, &id, "assistant", "2");
}

#[test]
fn fork_is_a_new_worker_that_continues_the_session() {
    let server = server();
    let id = idle_worker(&server, "claude");
    let too_early = server.post(&format!("/api/workers/{id}/fork"), &json!({})).expect(409);
    assert_eq!(detail(&too_early), "the worker has no session to fork yet: send it a message first");
    say(&server, &id, "echo one");
    wait_event(&server, &id, "assistant", "one");
    let made = server.post(&format!("/api/workers/{id}/fork"), &json!({"name": "branch", "initial_message": "memory"}));
    let made = made.expect(201).json();
    let fork = made["id"].as_str().unwrap();
    assert_ne!(fork, id);
    assert_eq!((&made["name"], &made["forked_from"]), (&json!("branch"), &json!(id)));
    assert_eq!(made["project_path"], server.project().to_str().unwrap());
    wait_event(&server, fork, "assistant", "2");
    assert_ne!(server.wait_status(fork, "idle")["session_id"], server.wait_status(&id, "idle")["session_id"]);
    say(&server, &id, "memory");
    wait_event(&server, &id, "assistant", "2");
    let unnamed = server.post(&format!("/api/workers/{id}/fork"), &json!({})).expect(201).json();
    assert_eq!(unnamed["name"], "test (fork)");
}

#[test]
fn fork_of_an_unsupporting_cli_is_refused() {
    let server = server();
    let id = idle_worker(&server, LOOP);
    let refused = server.post(&format!("/api/workers/{id}/fork"), &json!({})).expect(409);
    assert_eq!(detail(&refused), "loop cannot fork a session");
}

#[test]
fn a_worker_can_be_renamed_and_keeps_its_name() {
    let mut server = server();
    let id = idle_worker(&server, LOOP);
    let renamed = server.patch(&format!("/api/workers/{id}"), &json!({"name": "better"})).expect(200).json();
    assert_eq!((&renamed["name"], &renamed["id"]), (&json!("better"), &json!(id)));
    assert_eq!(server.patch(&format!("/api/workers/{id}"), &json!({})).expect(200).json()["name"], "better");
    server.kill9();
    server.start();
    assert_eq!(server.get(&format!("/api/workers/{id}")).json()["name"], "better");
}

#[test]
fn model_and_permission_mode_change_in_the_running_cli() {
    let server = server();
    let id = idle_worker(&server, "claude");
    let change = json!({"model": "other-model", "permission_mode": "acceptEdits"});
    server.patch(&format!("/api/workers/{id}"), &change).expect(200);
    say(&server, &id, "echo changed");
    wait_event(&server, &id, "assistant", "changed");
    let shown = server.wait_status(&id, "idle");
    assert_eq!((&shown["model"], &shown["permission_mode"]), (&json!("other-model"), &json!("acceptEdits")));
    let mut ws = server.ws(&format!("/ws/{id}?deltas=1"));
    assert_eq!(command(&mut ws, json!({"type": "set_model", "model": "third"}))["type"], "ack");
    assert_eq!(command(&mut ws, json!({"type": "set_permission_mode", "permission_mode": "plan"}))["type"], "ack");
    say(&server, &id, "echo again");
    wait_event(&server, &id, "assistant", "again");
    let shown = server.wait_status(&id, "idle");
    assert_eq!((&shown["model"], &shown["permission_mode"]), (&json!("third"), &json!("plan")));
}

#[test]
fn options_of_a_new_worker_reach_its_cli() {
    let server = server();
    let options = json!({"model": "chosen", "permission_mode": "plan", "system_prompt": "Be brief.",
                         "args": ["--some-flag"], "env": {"MY_SETTING": "from the request"}});
    let id = server.create_worker("claude", &options);
    say(&server, &id, "args");
    let args = eventually(DEADLINE, "the arguments", || {
        events(&server, &id).into_iter().find(|event| event["type"] == "assistant")
    });
    let args = args["content"].as_str().unwrap().to_owned();
    for part in ["--model chosen", "--permission-mode plan", "Be brief.", "--some-flag"] {
        assert!(args.contains(part), "{part} in {args}");
    }
    say(&server, &id, "env MY_SETTING");
    wait_event(&server, &id, "assistant", "from the request");
    let config = server.get(&format!("/api/workers/{id}")).json()["config"].clone();
    assert_eq!((&config["model"], &config["env"]), (&json!("chosen"), &json!(["MY_SETTING"])));
}
