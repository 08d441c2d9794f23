//! The real Gemini CLI as a worker: from the API through server, shim and the Agent Client Protocol to a fake model.

use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::clis;
use crate::support::model::{FakeModel, HELLO, Step};
use crate::support::server::{Builder, TestServer, wait_file};
use crate::support::wait::{DEADLINE, eventually};
use crate::support::workers::{TestWorker, declare};

/// A server with the real Gemini CLI, which has neither a key nor a model.
fn builder() -> Builder {
    TestServer::builder()
        .name("gemini-worker")
        .env("ENABLED_AI_CLIS", "claude,gemini")
        .env("GEMINI_BINARY", clis::real("gemini"))
        .env("GEMINI_MODEL", "gemini-2.5-pro")
        .env("STOP_GRACE_SECS", "2")
}

/// A server whose Gemini CLI talks only to `model`.
fn start(model: &FakeModel) -> TestServer {
    builder_with(model).start()
}

pub(crate) fn builder_with(model: &FakeModel) -> Builder {
    builder().env("GOOGLE_GEMINI_BASE_URL", model.url()).env("GEMINI_API_KEY", clis::FAKE_KEY)
}

fn create(server: &TestServer, more: &Value) -> TestWorker {
    TestWorker::create(server, "gemini", more)
}

/// Builds a prompt that makes the model run a command and then answer with a text.
fn shell(command: &str, then: &str) -> String {
    let input = json!({"command": command, "description": "a test's command"});
    format!("<<{}>>", json!([{"tool": "run_shell_command", "input": input}, {"text": then}]))
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
fn real_gemini_answers_two_messages_and_streams_their_text() {
    let model = FakeModel::start();
    let server = start(&model);
    let worker = create(&server, &json!({}));
    let mut client = worker.watch(&server);
    assert_eq!(worker.wait_status(&server, "idle")["model"], "gemini-2.5-pro");
    worker.say(&server, "hi");
    let done = client.wait_for_event("turn_completed", DEADLINE);
    assert_eq!((&done["stop_reason"], &done["is_error"]), (&json!("end_turn"), &json!(false)));
    assert!(done["usage"]["output_tokens"].as_u64().unwrap() > 0);
    assert!(client.events().iter().any(|event| event["type"] == "delta"), "a live client sees the text grow");
    assert_eq!(said(&worker, &server), HELLO);
    worker.say(&server, "and again");
    worker.wait_turn(&server, 2);
    assert!(model.turns().last().unwrap().body["contents"].to_string().contains("hi"));
    no_unknown(&worker, &server);
}

#[test]
fn real_gemini_asks_and_runs_only_what_was_allowed() {
    let model = FakeModel::start();
    let server = start(&model);
    let worker = create(&server, &json!({}));
    worker.say(&server, &shell("echo made > made.txt", "Made."));
    let prompt = worker.wait_prompt(&server);
    assert_eq!(prompt["tool_name"], "run_shell_command");
    worker.answer(&server, &prompt, &json!({"option_id": "allow_once"})).expect(200);
    worker.wait_turn(&server, 1);
    assert_eq!(std::fs::read_to_string(server.project().join("made.txt")).unwrap(), "made\n");
    assert_eq!(said(&worker, &server), "Made.");

    worker.say(&server, &shell("echo no > denied.txt", "Understood."));
    let prompt = worker.wait_prompt(&server);
    worker.answer(&server, &prompt, &json!({"option_id": "deny"})).expect(200);
    worker.wait_turn(&server, 2);
    assert!(!server.project().join("denied.txt").exists());
    let result = worker.events_of(&server, "tool_result").pop().unwrap();
    assert_eq!((&result["is_error"], &result["content"]), (&json!(true), &json!("It was not allowed.")));

    let file = server.project().join("new.txt");
    let step = json!([{"tool": "write_file", "input": {"file_path": file, "content": "one\n"}}, {"text": "Written."}]);
    worker.say(&server, &format!("<<{step}>>"));
    let prompt = worker.wait_prompt(&server);
    let shown = prompt["input"]["diff"][0]["diff"].as_str().unwrap_or_default();
    assert!(shown.ends_with("+one\n"), "the prompt shows the change: {prompt}");
    worker.answer(&server, &prompt, &json!({"option_id": "allow"})).expect(200);
    worker.wait_turn(&server, 3);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "one\n");
    no_unknown(&worker, &server);
}

#[test]
fn real_gemini_is_interrupted_while_streaming_and_while_asking() {
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

    worker.say(&server, &shell("sleep 1000", "never"));
    worker.wait_prompt(&server);
    worker.call(&server, "interrupt").expect(200);
    assert_eq!(worker.wait_turn(&server, 2)["stop_reason"], "interrupted");
    worker.say(&server, "hi");
    assert_eq!(worker.wait_turn(&server, 3)["stop_reason"], "end_turn");
}

#[test]
fn real_gemini_reports_and_replaces_an_unusable_session() {
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
    let knows = model.turns().last().unwrap().body["contents"].to_string().contains("remember 42");
    if worker.show(&server)["session_id"] == before {
        assert!(knows, "a new minute had begun, so it was taken up");
    } else {
        assert!(!knows);
        assert_eq!(worker.events_of(&server, "error").pop().unwrap()["code"], "session_not_found");
    }
    assert_eq!(worker.events_of(&server, "user").len(), 2, "what the journal has is not told again");
    no_unknown(&worker, &server);
}

#[test]
fn real_gemini_sessions_from_elsewhere_are_listed_and_continued() {
    let model = FakeModel::start();
    let server = start(&model);
    // Outside of the protocol it requires a setting that it has a key.
    let settings = server.home().join(".gemini/settings.json");
    std::fs::create_dir_all(settings.parent().unwrap()).unwrap();
    std::fs::write(settings, r#"{"security":{"auth":{"selectedType":"gemini-api-key"}}}"#).unwrap();
    // Ten minutes ago by its own clock: within the minute in which a session was created, the CLI cannot resume it.
    let status = Command::new(clis::real("gemini"))
        .args(["--skip-trust", "-p", "remember 42"])
        .current_dir(server.project())
        .env_clear()
        .envs(clis::quiet_env(&server.home()))
        .env("GOOGLE_GEMINI_BASE_URL", model.url())
        .env("GEMINI_API_KEY", clis::FAKE_KEY)
        .env("GEMINI_MODEL", "gemini-2.5-pro")
        .env("LD_PRELOAD", crate::exhaustion::clock::library())
        .env("FAKETIME", "-10m")
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(status.status.success(), "{status:?}");

    let listed = server.get("/api/sessions").expect(200).json()["sessions"].clone();
    assert_eq!(listed.as_array().unwrap().len(), 1, "{listed}");
    let found = &listed[0];
    assert_eq!((&found["ai_cli_type"], &found["title"]), (&json!("gemini"), &json!("remember 42")), "{found}");
    let project = server.project().canonicalize().unwrap();
    assert_eq!(found["project_path"], json!(project));
    let refused = server.post("/api/workers", &json!({"follow_session": found["session_id"]})).expect(400).json();
    assert!(refused["detail"].as_str().unwrap().contains("resume_session"), "{refused}");

    let made = server.post("/api/workers", &json!({"resume_session": found["session_id"]})).expect(201).json();
    assert_eq!((&made["name"], &made["project_path"]), (&json!("remember 42"), &json!(project)));
    let worker = TestWorker { id: made["id"].as_str().unwrap().to_owned() };
    worker.say(&server, "what did I say");
    worker.wait_turn(&server, 1);
    assert_eq!(worker.show(&server)["session_id"], found["session_id"]);
    assert!(model.turns().last().unwrap().body["contents"].to_string().contains("remember 42"));
    no_unknown(&worker, &server);
}

#[test]
fn real_gemini_prompt_is_asked_again_after_a_server_kill() {
    let model = FakeModel::start();
    let mut server = start(&model);
    let worker = create(&server, &json!({}));
    worker.say(&server, &shell("echo made > made.txt", "Made."));
    let before = worker.wait_prompt(&server);
    server.kill9();
    server.start();
    let prompt = worker.wait_prompt(&server);
    assert_eq!(prompt["request_id"], before["request_id"]);
    worker.answer(&server, &prompt, &json!({"option_id": "proceed_once"})).expect(200);
    assert_eq!(worker.answer(&server, &prompt, &json!({"option_id": "cancel"})).status, 409);
    assert_eq!(worker.wait_turn(&server, 1)["stop_reason"], "end_turn");
    wait_file(&server.project().join("made.txt"), "made");
    assert_eq!(worker.events_of(&server, "permission_request").len(), 1);
    no_unknown(&worker, &server);
}

#[test]
fn real_gemini_without_a_key_says_what_to_do() {
    let server = builder().start();
    let worker = create(&server, &json!({}));
    worker.wait_status(&server, "failed");
    let error = worker.events_of(&server, "error").pop().unwrap();
    assert_eq!(error["code"], "authentication_failed");
    assert!(error["content"].as_str().unwrap().contains("Set GEMINI_API_KEY"), "{error}");
    server.wait_no_processes_of(&worker.id);
}

#[test]
fn real_gemini_reports_api_errors_and_changes_its_mode() {
    let model = FakeModel::start();
    model.always(Step::error(400));
    let server = start(&model);
    let worker = create(&server, &json!({"permission_mode": "yolo"}));
    assert_eq!(worker.wait_status(&server, "idle")["permission_mode"], "yolo");
    worker.say(&server, "hi");
    let done = worker.wait_turn(&server, 1);
    assert_eq!((&done["is_error"], &done["stop_reason"]), (&json!(true), &json!("error")));
    model.reset();
    worker.say(&server, &shell("echo made > made.txt", "Made."));
    worker.wait_turn(&server, 2);
    assert!(server.project().join("made.txt").exists(), "it does not ask in this mode");
    server.patch(&worker.path(""), &json!({"permission_mode": "plan"})).expect(200);
    eventually(DEADLINE, "the mode plan", || (worker.show(&server)["permission_mode"] == "plan").then_some(()));
}

#[test]
fn real_gemini_gets_client_files_of_its_project_only() {
    let model = FakeModel::start();
    let mut server = TestServer::builder()
        .name("served-agent")
        .env("GOOGLE_GEMINI_BASE_URL", model.url())
        .env("STOP_GRACE_SECS", "2")
        .prepare();
    let agent = json!({"family": "acp", "command": [clis::real("gemini"), "--acp", "--skip-trust", ["-m", "{model}"]],
        "env": {"GEMINI_CLI_NO_RELAUNCH": "true", "GEMINI_API_KEY": clis::FAKE_KEY}, "client_files": true});
    declare(&server, "served", &agent);
    server.start();
    let options = json!({"model": "gemini-2.5-pro", "permission_mode": "yolo"});
    let worker = TestWorker::create(&server, "served", &options);
    // Version 0.61.0 treats the response for a missing file as a failure, so it can only change existing files.
    let file = server.project().join("a.txt");
    std::fs::write(&file, "old\n").unwrap();
    let write =
        json!([{"tool": "write_file", "input": {"file_path": file, "content": "one\ntwo\n"}}, {"text": "Written."}]);
    worker.say(&server, &format!("<<{write}>>"));
    worker.wait_turn(&server, 1);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "one\ntwo\n");
    let asked = |method: &str| {
        let asks = |(kind, line): &(String, String)| kind == "out" && line.contains(method);
        worker.journal(&server).iter().filter(|record| asks(record)).count()
    };
    assert!(asked("fs/write_text_file") > 0, "it was the server that wrote it");
    assert_eq!(worker.events_of(&server, "tool_result").pop().unwrap()["is_error"], false);

    // A link that leads out of the project, which the agent's own check of the path's text does not see.
    std::fs::write(server.dir().join("secret"), "secret").unwrap();
    std::os::unix::fs::symlink(server.dir().join("secret"), server.project().join("link")).unwrap();
    let link = server.project().join("link");
    let write = json!([{"tool": "write_file", "input": {"file_path": link, "content": "changed"}}, {"text": "Tried."}]);
    worker.say(&server, &format!("<<{write}>>"));
    worker.wait_turn(&server, 2);
    assert_eq!(std::fs::read_to_string(server.dir().join("secret")).unwrap(), "secret");
    no_unknown(&worker, &server);
}

#[test]
fn real_gemini_changes_its_model_between_turns() {
    let model = FakeModel::start();
    let server = start(&model);
    let worker = create(&server, &json!({}));
    worker.say(&server, "hi");
    worker.wait_turn(&server, 1);
    assert!(model.turns().last().unwrap().path.contains("gemini-2.5-pro"), "{}", model.turns().last().unwrap().path);
    server.patch(&worker.path(""), &json!({"model": "gemini-2.5-flash"})).expect(200);
    eventually(DEADLINE, "the other model", || (worker.show(&server)["model"] == "gemini-2.5-flash").then_some(()));
    worker.say(&server, "and again");
    worker.wait_turn(&server, 2);
    assert!(model.turns().last().unwrap().path.contains("gemini-2.5-flash"), "{}", model.turns().last().unwrap().path);
}
