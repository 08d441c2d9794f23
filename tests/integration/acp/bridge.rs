//! The bridge: an editor on standard input and output, while the server is killed.

use std::fs;

use serde_json::json;

use super::{Editor, server};
use crate::support::wait::{DEADLINE, eventually};
use crate::support::workers::TestWorker;

/// Kills of the server while an editor streams.
const KILLS: usize = 20;

#[test]
fn bridged_editor_makes_a_session_and_sees_the_turn() {
    let server = server();
    let other = server.project_named("other");
    // Relative to the bridge's own folder.
    let relative = other.strip_prefix(server.dir()).unwrap().to_str().unwrap();
    let mut editor = Editor::bridged(&server, &["--cli", "claude", "--project", relative]);
    let session = editor.open(&server);
    assert_eq!(TestWorker { id: session.clone() }.show(&server)["project_path"], json!(other));
    assert_eq!(editor.prompt(&session, "deltas 5"), "end_turn");
    assert_eq!(editor.text("agent_message_chunk"), "w0 w1 w2 w3 w4 ");
    editor.check_schema();
    let mut bound = Editor::bridged(&server, &["--worker", &session]);
    assert_eq!(bound.open(&server), session);
    assert_eq!(bound.wait_update("user_message_chunk")["content"]["text"], "deltas 5");
    assert_eq!(bound.wait_update("agent_message_chunk")["content"]["text"], "w0 w1 w2 w3 w4 ");
}

#[test]
fn bridge_without_a_server_says_so_and_ends() {
    let mut server = server();
    server.kill9();
    let ran = server.command(["acp"]).output().unwrap();
    assert_eq!(ran.status.code(), Some(1));
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(said.contains("no server at http://"), "{said}");
}

#[test]
fn killed_server_loses_and_repeats_no_update() {
    let mut server = server();
    let mut editor = Editor::bridged(&server, &[]);
    let session = editor.open(&server);
    let stop = server.dir().join("stop");
    let id = editor.begin_prompt(&session, &format!("deltas 20 200 {}", stop.display()));
    for _ in 0..KILLS {
        let before = editor.updates("agent_message_chunk").len();
        while editor.updates("agent_message_chunk").len() < before + 3 {
            editor.wait_update("agent_message_chunk");
        }
        server.kill9();
        server.start();
    }
    fs::write(&stop, "").unwrap();
    let response = editor.wait_response(id);
    assert_eq!(response["result"]["stopReason"], "end_turn", "{response}");
    let text = editor.text("agent_message_chunk");
    let words: Vec<&str> = text.split_whitespace().collect();
    for (number, word) in words.iter().enumerate() {
        assert_eq!(*word, format!("w{number}"), "each piece comes once and in order");
    }
    let worker = TestWorker { id: session.clone() };
    let said = worker.events_of(&server, "assistant").pop().unwrap();
    assert_eq!(said["content"].as_str().unwrap().trim_end(), text.trim_end());
    assert!(editor.updates("user_message_chunk").is_empty());
    assert_eq!(editor.prompt(&session, "echo alive"), "end_turn");
    editor.check_schema();
}

#[test]
fn killed_server_repeats_no_event_of_many_messages() {
    let mut server = server();
    let mut editor = Editor::bridged(&server, &[]);
    let session = editor.open(&server);
    let id = editor.begin_prompt(&session, "lines 400 200");
    for _ in 0..3 {
        let before = editor.updates("agent_message_chunk").len();
        while editor.updates("agent_message_chunk").len() < before + 5 {
            editor.wait_update("agent_message_chunk");
        }
        server.kill9();
        server.start();
    }
    assert_eq!(editor.wait_response(id)["result"]["stopReason"], "end_turn");
    let wanted: String = (1..=400).map(|number| format!("line {number}")).collect();
    assert_eq!(editor.text("agent_message_chunk"), format!("{wanted}400 lines"));
}

#[test]
fn prompt_sent_without_a_server_is_answered_later() {
    let mut server = server();
    let mut editor = Editor::bridged(&server, &[]);
    let session = editor.open(&server);
    let asked = editor.begin_prompt(&session, "permission Bash {\"command\":\"ls\"}");
    let request = editor.wait_request("session/request_permission");
    server.kill9();
    let option = request["params"]["options"][0]["optionId"].clone();
    editor.answer(&request, json!({"outcome": {"outcome": "selected", "optionId": option}}));
    let later = editor.begin_prompt(&session, "echo later");
    server.start();
    assert_eq!(editor.wait_response(asked)["result"]["stopReason"], "end_turn");
    assert_eq!(editor.wait_response(later)["result"]["stopReason"], "end_turn");
    let asks = editor.log.iter().filter(|entry| entry["message"]["method"] == "session/request_permission").count();
    assert_eq!(asks, 1, "the question is asked once");
    let worker = TestWorker { id: session };
    let queued = || worker.events_of(&server, "user").len();
    eventually(DEADLINE, "two messages", || (queued() == 2).then_some(()));
    editor.check_schema();
}
