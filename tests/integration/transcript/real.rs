//! The real Claude Code in a separate terminal: followed while it works, and taken over when it has ended.

use serde_json::json;

use super::take_over_and_recall;
use crate::support::clis;
use crate::support::model::{FakeModel, HELLO};
use crate::support::pipes::{CLAUDE_ARGS, Pipes};
use crate::support::server::TestServer;
use crate::support::wait::{DEADLINE, eventually};
use crate::support::workers::TestWorker;

#[test]
fn real_session_from_elsewhere_is_followed_and_taken_over() {
    let model = FakeModel::start();
    let server = TestServer::builder()
        .name("claude-elsewhere")
        .env("CLAUDE_BINARY", clis::claude())
        .env("ANTHROPIC_BASE_URL", model.url())
        .env("ANTHROPIC_API_KEY", clis::FAKE_KEY)
        .env("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1")
        .env("DISABLE_TELEMETRY", "1")
        .env("STOP_GRACE_SECS", "2")
        .start();
    let env = clis::claude_env(&server.home(), &model.url());
    let mut elsewhere = Pipes::start(&clis::claude(), CLAUDE_ARGS, &server.project(), &env);
    elsewhere.say("remember the word rhubarb", "11111111-2222-4333-8444-555555555555");
    let session = elsewhere.wait_for_type("result")["session_id"].as_str().unwrap().to_owned();

    let listed = eventually(DEADLINE, "it is listed", || {
        let listed = server.get("/api/sessions").expect(200).json();
        listed["sessions"].as_array()?.iter().find(|found| found["session_id"] == session.as_str()).cloned()
    });
    assert_eq!((&listed["ai_cli_type"], &listed["title"]), (&json!("claude"), &json!("remember the word rhubarb")));
    let made = server.post("/api/workers", &json!({"follow_session": session})).expect(201).json();
    assert_eq!(made["project_path"], json!(server.project().canonicalize().unwrap()));
    let worker = TestWorker { id: made["id"].as_str().unwrap().to_owned() };
    let mut live = worker.watch(&server);
    assert_eq!(live.wait_for_event("user", DEADLINE)["content"], "remember the word rhubarb");
    assert_eq!(live.wait_for_event("assistant", DEADLINE)["content"], HELLO);

    let refused = worker.call(&server, "takeover").expect(409).json();
    assert!(refused["pid"].is_i64(), "its process lives and is found: {refused}");

    let script = json!([{"tool": "Bash", "input": {"command": "echo made", "description": "d"}}, {"text": "Done."}]);
    elsewhere.say(&format!("<<{script}>>"), "11111111-2222-4333-8444-555555555556");
    let seen =
        elsewhere.wait_for("an ask or the end", |line| line["type"] == "control_request" || line["type"] == "result");
    if seen["type"] == "control_request" {
        let allow = json!({"behavior": "allow", "updatedInput": seen["request"]["input"]});
        let response = json!({"subtype": "success", "request_id": seen["request_id"], "response": allow});
        elsewhere.send(&json!({"type": "control_response", "response": response}));
        elsewhere.wait_for_type("result");
    }
    assert_eq!(live.wait_for_event("tool_call", DEADLINE)["input"]["command"], "echo made");
    assert_eq!(live.wait_for_event("tool_result", DEADLINE)["content"], "made");
    worker.wait_turn(&server, 2);
    elsewhere.finish();
    elsewhere.exit();

    take_over_and_recall(&server, &model, &worker, &session);
}
