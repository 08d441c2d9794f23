//! Sessions of agents: forked, listed.

use serde_json::{Value, json};

use super::{ask, idle, start, start_with};
use crate::support::server::TestServer;
use crate::support::wait::{DEADLINE, eventually};
use crate::support::workers::{TestWorker, declare};

#[test]
fn worker_of_an_agent_that_offers_it_is_forked() {
    let server = start();
    let worker = idle(&server, &json!({}));
    ask(&server, &worker, "hello");
    let forked = server.post(&worker.path("/fork"), &json!({"initial_message": "hi"})).expect(201).json();
    let forked = TestWorker { id: forked["id"].as_str().unwrap().to_owned() };
    forked.wait_turn(&server, 1);
    assert_eq!(forked.show(&server)["session_id"], "session-2");
}

#[test]
fn worker_of_an_agent_without_forks_gets_the_reason() {
    let mut server = TestServer::builder().name("no-fork").prepare();
    let script = r#"while read -r l; do case "$l" in
        *'"initialize"'*) echo '{"id":1,"result":{"protocolVersion":1,"agentCapabilities":{}}}';;
        *'"session/new"'*) echo '{"id":2,"result":{"sessionId":"s"}}';;
        *'"session/prompt"'*) echo '{"id":3,"result":{"stopReason":"end_turn"}}';; esac; done"#;
    declare(&server, "plain", &json!({"name": "Plain", "family": "acp", "command": ["sh", "-c", script]}));
    server.start();
    let worker = TestWorker::create(&server, "plain", &json!({"initial_message": "hi"}));
    worker.wait_turn(&server, 1);
    let refused = server.post(&worker.path("/fork"), &json!({})).expect(409).json();
    assert_eq!(refused["detail"], "Plain does not offer to fork a session (session/fork)");
}

#[test]
fn session_that_an_agent_lists_is_resumed() {
    let server = start_with(TestServer::builder(), &json!({}));
    let listed: Value = eventually(DEADLINE, "the agent's list", || {
        let page = server.get("/api/sessions").expect(200).json();
        let found = page["sessions"].as_array().unwrap().iter().find(|it| it["ai_cli_type"] == "agent").cloned();
        found.map(|session| json!({"session": session, "agents": page["agents"]}))
    });
    assert_eq!(
        (&listed["session"]["session_id"], &listed["session"]["title"]),
        (&json!("session-9"), &json!("An old one"))
    );
    assert_eq!(listed["session"]["last_activity"], "2026-01-02T03:04:05.000000Z");
    assert!(listed["agents"][0]["listed_at"].is_string() && listed["agents"][0]["note"].is_null(), "{listed}");

    let session = &listed["session"]["session_id"];
    let worker = idle(&server, &json!({"resume_session": session}));
    assert_eq!(ask(&server, &worker, "opened"), "session/load session-9");
    assert_eq!(&worker.show(&server)["session_id"], session);
    // A restarted server and a restarted agent continue it.
    worker.call(&server, "restart").expect(200);
    worker.wait_status(&server, "idle");
    assert_eq!(ask(&server, &worker, "opened"), "session/load session-9");
}
