//! The real OpenCode as a worker: from the API through server, shim and the Agent Client Protocol to a fake model.

use serde_json::{Value, json};

use crate::support::clis;
use crate::support::model::{FakeModel, HELLO, Step};
use crate::support::server::{Builder, TestServer, wait_file};
use crate::support::wait::{DEADLINE, eventually};
use crate::support::workers::{TestWorker, declare};
use crate::unfinished::{PIECES_MIN, kill_in_mid_message};

/// A server with the real OpenCode, which talks only to `model`, and asks before it changes anything.
fn start(model: &FakeModel) -> TestServer {
    builder(model).start()
}

pub(crate) fn builder(model: &FakeModel) -> Builder {
    TestServer::builder()
        .name("opencode-worker")
        .env("ENABLED_AI_CLIS", "claude,opencode")
        .env("OPENCODE_BINARY", clis::real("opencode"))
        .env("OPENCODE_API_BASE", format!("{}/v1", model.url()))
        .env("OPENCODE_API_KEY", clis::FAKE_KEY)
        .env("OPENCODE_MODEL", "fake-model")
        .env("OPENCODE_PERMISSION", r#"{"bash":"ask","edit":"ask"}"#)
        .env("OPENCODE_DISABLE_MODELS_FETCH", "1")
        .env("OPENCODE_DISABLE_LSP_DOWNLOAD", "1")
        .env("STOP_GRACE_SECS", "2")
}

fn create(server: &TestServer, more: &Value) -> TestWorker {
    TestWorker::create(server, "opencode", more)
}

/// Builds a prompt that makes the model run a command and then answer with a text.
fn bash(command: &str, then: &str) -> String {
    let input = json!({"command": command, "description": "a test's command"});
    format!("<<{}>>", json!([{"tool": "bash", "input": input}, {"text": then}]))
}

/// Returns the agent's last text.
fn said(worker: &TestWorker, server: &TestServer) -> Value {
    worker.events_of(server, "assistant").pop().map(|event| event["content"].clone()).unwrap_or_default()
}

fn no_unknown(worker: &TestWorker, server: &TestServer) {
    let unknown = worker.events_of(server, "unknown");
    assert!(unknown.is_empty(), "every line of the real CLI is understood: {unknown:#?}");
}

#[test]
fn real_opencode_answers_two_messages_and_streams_their_text() {
    let model = FakeModel::start();
    let server = start(&model);
    let worker = create(&server, &json!({}));
    let mut client = worker.watch(&server);
    let shown = worker.wait_status(&server, "idle");
    assert_eq!(shown["model"], "rs-worker/fake-model");

    worker.say(&server, "hi");
    let done = client.wait_for_event("turn_completed", DEADLINE);
    assert_eq!((&done["stop_reason"], &done["is_error"]), (&json!("end_turn"), &json!(false)));
    assert!(done["usage"]["output_tokens"].as_u64().unwrap() > 0);
    let pieces = client.events().into_iter().filter(|event| event["type"] == "delta");
    let text: String = pieces.map(|event| event["content"].as_str().unwrap().to_owned()).collect();
    assert_eq!(text, HELLO, "a live client sees the text grow");
    assert_eq!(said(&worker, &server), HELLO);

    worker.say(&server, "and again");
    worker.wait_turn(&server, 2);
    let turns = model.turns();
    assert!(turns.last().unwrap().body["messages"].to_string().contains("hi"), "the second turn knows the first");
    let states: Vec<Value> = worker.events_of(&server, "message_state").iter().map(|it| it["state"].clone()).collect();
    assert_eq!(json!(states), json!(["queued", "delivered", "consumed", "queued", "delivered", "consumed"]));
    assert!(worker.events_of(&server, "delta").is_empty(), "the history has whole messages only");
    no_unknown(&worker, &server);
}

#[test]
fn real_opencode_asks_and_runs_only_what_was_allowed() {
    let model = FakeModel::start();
    let server = start(&model);
    let worker = create(&server, &json!({}));
    worker.say(&server, &bash("echo made > made.txt", "Made."));
    let prompt = worker.wait_prompt(&server);
    assert_eq!((&prompt["tool_name"], &prompt["input"]["command"]), (&json!("bash"), &json!("echo made > made.txt")));
    assert_eq!(worker.show(&server)["status"], "waiting");
    worker.answer(&server, &prompt, &json!({"option_id": "allow"})).expect(200);
    worker.wait_turn(&server, 1);
    assert_eq!(std::fs::read_to_string(server.project().join("made.txt")).unwrap(), "made\n");
    assert_eq!(said(&worker, &server), "Made.");

    worker.say(&server, &bash("echo no > denied.txt", "Understood."));
    let prompt = worker.wait_prompt(&server);
    worker.answer(&server, &prompt, &json!({"option_id": "deny"})).expect(200);
    worker.wait_turn(&server, 2);
    assert!(!server.project().join("denied.txt").exists());
    let results = worker.events_of(&server, "tool_result");
    let failed: Vec<&Value> = results.iter().map(|result| &result["is_error"]).collect();
    assert_eq!(failed, [&json!(false), &json!(true)]);

    let file = server.project().join("new.txt");
    let step = json!([{"tool": "write", "input": {"filePath": file, "content": "one\n"}}, {"text": "Written."}]);
    worker.say(&server, &format!("<<{step}>>"));
    let prompt = worker.wait_prompt(&server);
    worker.answer(&server, &prompt, &json!({"option_id": "allow"})).expect(200);
    worker.wait_turn(&server, 3);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "one\n");
    let diff = worker.events_of(&server, "tool_result").pop().unwrap()["diff"][0]["diff"].clone();
    assert!(diff.as_str().is_some_and(|diff| diff.ends_with("@@ -0,0 +1,1 @@\n+one\n")), "{diff}");
    no_unknown(&worker, &server);
}

#[test]
fn real_opencode_is_interrupted_and_continues() {
    let model = FakeModel::start();
    let server = start(&model);
    let worker = create(&server, &json!({}));
    let mut client = worker.watch(&server);
    worker.wait_status(&server, "idle");
    model.respond_with(Step::deltas(50).hold_after(5));
    worker.say(&server, "go on");
    client.wait_for_event("delta", DEADLINE);
    worker.call(&server, "interrupt").expect(200);
    assert_eq!(worker.wait_turn(&server, 1)["stop_reason"], "interrupted");
    worker.assert_pieces_are_kept(&server, &mut client);
    model.release();

    worker.say(&server, &bash("sleep 1000", "never"));
    worker.wait_prompt(&server);
    worker.call(&server, "interrupt").expect(200);
    assert_eq!(worker.wait_turn(&server, 2)["stop_reason"], "interrupted");
    let resolved = worker.events_of(&server, "permission_resolved").pop().unwrap();
    assert_eq!(resolved["decision"], "cancelled");

    worker.say(&server, "hi");
    assert_eq!(worker.wait_turn(&server, 3)["stop_reason"], "end_turn");
    assert_eq!(said(&worker, &server), HELLO);
}

#[test]
fn real_opencode_takes_its_session_up_after_a_stop() {
    let model = FakeModel::start();
    let server = start(&model);
    let worker = create(&server, &json!({}));
    worker.say(&server, "remember 42");
    worker.wait_turn(&server, 1);
    let before = worker.show(&server)["session_id"].clone();
    worker.call(&server, "stop").expect(200);
    server.wait_no_processes_of(&worker.id);

    worker.say(&server, "what did I say");
    worker.wait_turn(&server, 2);
    assert_eq!(worker.show(&server)["session_id"], before);
    assert!(model.turns().last().unwrap().body["messages"].to_string().contains("remember 42"));
    assert_eq!(worker.events_of(&server, "user").len(), 2, "what the journal has is not told again");

    // It is listed with those of the other CLIs. Another worker that continues it receives the history, which is not in
    // its own journal. Its folder and its name are known.
    worker.call(&server, "stop").expect(200);
    let listed = eventually(DEADLINE, "it is listed", || {
        let listed = server.get("/api/sessions").expect(200).json();
        listed["sessions"].as_array()?.iter().find(|found| found["session_id"] == before).cloned()
    });
    assert_eq!((&listed["ai_cli_type"], &listed["worker_id"]), (&json!("opencode"), &json!(worker.id)));
    assert!(listed["last_activity"].is_string() && listed["size_bytes"] == 0, "the protocol tells no size: {listed}");
    server.post("/api/workers", &json!({"follow_session": before})).expect(400);
    let made = server.post("/api/workers", &json!({"resume_session": before})).expect(201).json();
    assert_eq!((&made["name"], &made["ai_cli_type"]), (&listed["title"], &json!("opencode")));
    assert_eq!(made["project_path"], json!(server.project().canonicalize().unwrap()));
    let other = TestWorker { id: made["id"].as_str().unwrap().to_owned() };
    other.wait_status(&server, "idle");
    let users: Vec<Value> = other.events_of(&server, "user").iter().map(|event| event["content"].clone()).collect();
    assert_eq!(json!(users), json!(["remember 42", "what did I say"]));
    no_unknown(&other, &server);
}

#[test]
fn real_opencode_prompt_is_asked_again_after_a_server_kill() {
    let model = FakeModel::start();
    let mut server = start(&model);
    let worker = create(&server, &json!({}));
    worker.say(&server, &bash("echo made > made.txt", "Made."));
    let before = worker.wait_prompt(&server);
    server.kill9();
    server.start();
    let prompt = worker.wait_prompt(&server);
    assert_eq!(prompt["request_id"], before["request_id"]);
    worker.answer(&server, &prompt, &json!({"option_id": "once"})).expect(200);
    let again = worker.answer(&server, &prompt, &json!({"option_id": "reject"}));
    assert_eq!(again.status, 409, "{}", again.text());
    assert_eq!(worker.wait_turn(&server, 1)["stop_reason"], "end_turn");
    wait_file(&server.project().join("made.txt"), "made");
    assert_eq!(worker.events_of(&server, "permission_request").len(), 1);
    assert_eq!(worker.events_of(&server, "permission_resolved").len(), 1);
    no_unknown(&worker, &server);
}

#[test]
fn real_opencode_reports_errors_of_the_api() {
    let model = FakeModel::start();
    model.always(Step::error(400));
    let server = start(&model);
    let worker = create(&server, &json!({}));
    worker.say(&server, "hi");
    let done = worker.wait_turn(&server, 1);
    assert_eq!((&done["is_error"], &done["stop_reason"]), (&json!(true), &json!("error")));
    assert_eq!(worker.events_of(&server, "error").pop().unwrap()["code"], "api_error");
    model.reset();
    worker.say(&server, "hi");
    assert_eq!(worker.wait_turn(&server, 2)["is_error"], false, "it goes on after an error");
}

#[test]
fn real_opencode_changes_its_mode_and_refuses_unknown_models() {
    let model = FakeModel::start();
    let server = start(&model);
    let worker = create(&server, &json!({"permission_mode": "plan"}));
    let shown = worker.wait_status(&server, "idle");
    assert_eq!(shown["permission_mode"], "plan", "it was set before the worker was ready");
    server.patch(&worker.path(""), &json!({"permission_mode": "build"})).expect(200);
    eventually(DEADLINE, "the mode build", || (worker.show(&server)["permission_mode"] == "build").then_some(()));
    server.patch(&worker.path(""), &json!({"model": "no-such-model"})).expect(200);
    let error = worker.wait_event(&server, "error", 1);
    assert_eq!(error["code"], "request_refused");
    worker.say(&server, "hi");
    assert_eq!(worker.wait_turn(&server, 1)["is_error"], false);
}

#[test]
fn real_agent_of_the_protocol_is_added_by_one_entry() {
    let model = FakeModel::start();
    let options = json!({"baseURL": format!("{}/v1", model.url()), "apiKey": clis::FAKE_KEY});
    let provider = json!({"npm": "@ai-sdk/openai-compatible", "name": "P", "options": options,
        "models": {"one": {}, "two": {}}});
    let config = json!({"provider": {"p": provider}, "model": "p/one", "permission": {"bash": "ask"}});
    let mut server = TestServer::builder()
        .name("declared-agent")
        .env("OPENCODE_CONFIG_CONTENT", config.to_string())
        .env("OPENCODE_DISABLE_MODELS_FETCH", "1")
        .env("STOP_GRACE_SECS", "2")
        .prepare();
    let example = include_str!("../../adapters/examples/opencode-acp.json");
    let mut agent: Value = serde_json::from_str(example).unwrap();
    agent["command"][0] = json!(clis::real("opencode"));
    declare(&server, "my-agent", &agent);
    server.start();
    let worker = TestWorker::create(&server, "my-agent", &json!({"model": "p/two"}));
    assert_eq!(worker.wait_status(&server, "idle")["model"], "p/two", "the protocol sets it");
    worker.say(&server, &bash("echo made > made.txt", "Made."));
    let prompt = worker.wait_prompt(&server);
    worker.answer(&server, &prompt, &json!({"option_id": "allow"})).expect(200);
    assert_eq!(worker.wait_turn(&server, 1)["stop_reason"], "end_turn");
    assert_eq!(said(&worker, &server), "Made.");
    assert_eq!(model.turns().last().unwrap().body["model"], "two");
    no_unknown(&worker, &server);
}

#[test]
fn real_opencode_changes_its_model_between_turns() {
    let model = FakeModel::start();
    let options = json!({"baseURL": format!("{}/v1", model.url()), "apiKey": clis::FAKE_KEY});
    let provider = json!({"npm": "@ai-sdk/openai-compatible", "name": "P", "options": options,
        "models": {"one": {}, "two": {}}});
    let config = json!({"provider": {"p": provider}, "model": "p/one"});
    let server = TestServer::builder()
        .name("opencode-model")
        .env("OPENCODE_BINARY", clis::real("opencode"))
        .env("OPENCODE_CONFIG_CONTENT", config.to_string())
        .env("OPENCODE_DISABLE_MODELS_FETCH", "1")
        .env("STOP_GRACE_SECS", "2")
        .start();
    let worker = create(&server, &json!({}));
    worker.say(&server, "hi");
    worker.wait_turn(&server, 1);
    assert_eq!(model.turns().last().unwrap().body["model"], "one");
    server.patch(&worker.path(""), &json!({"model": "p/two"})).expect(200);
    eventually(DEADLINE, "the model two", || (worker.show(&server)["model"] == "p/two").then_some(()));
    worker.say(&server, "and again");
    worker.wait_turn(&server, 2);
    assert_eq!(model.turns().last().unwrap().body["model"], "two");
}

#[test]
fn real_opencode_streams_over_kills_without_losing_a_piece() {
    let model = FakeModel::start();
    let mut server = start(&model);
    let worker = create(&server, &json!({}));
    model.respond_with(Step { delay_ms: 5, ..Step::deltas(1000) }.hold_after(500));
    kill_in_mid_message(
        &mut server,
        &worker,
        "go on and on",
        |_| PIECES_MIN,
        |_| {
            model.wait_held(1);
            model.release();
        },
    );
}
