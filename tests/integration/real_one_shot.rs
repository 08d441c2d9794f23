//! The one-shot modes of the real CLIs, as the example adapters declare them: one process per message.

use serde_json::{Value, json};

use crate::support::clis;
use crate::support::model::{FakeModel, HELLO};
use crate::support::server::TestServer;
use crate::support::workers::{TestWorker, declare};

/// Declares one of the project's examples, with the real program in its commands.
fn declare_example(server: &TestServer, name: &str, example: &str, program: &str) {
    let mut adapter: Value = serde_json::from_str(example).unwrap();
    for command in ["command", "resume_command"] {
        adapter[command][0] = json!(clis::real(program));
    }
    declare(server, name, &adapter);
}

/// Two messages: the worker is idle without a process between them, and the second turn knows the first.
fn two_turns_of_one_session(server: &TestServer, model: &FakeModel, name: &str, options: &Value) {
    let worker = TestWorker::create(server, name, options);
    worker.wait_status(server, "idle");
    worker.say(server, "remember the word rhubarb");
    let first = worker.wait_turn(server, 1);
    assert_eq!(first["is_error"], false, "{first}");
    let said = worker.events_of(server, "assistant").pop().unwrap();
    assert_eq!(said["content"], HELLO);
    let shown = worker.wait_status(server, "idle");
    assert!(shown["pid"].is_null(), "its process has ended, and it is idle and not stopped: {shown}");
    let session = shown["session_id"].clone();
    assert!(session.is_string());

    worker.say(server, "which word?");
    assert_eq!(worker.wait_turn(server, 2)["is_error"], false);
    assert_eq!(worker.wait_status(server, "idle")["session_id"], session);
    let asked = model.turns().last().unwrap().body.to_string();
    assert!(asked.contains("rhubarb") && asked.contains("which word?"), "the session goes on: {asked}");
    assert_eq!(worker.controls(server, "started").len(), 2, "one process for each message");
    let unknown = worker.events_of(server, "unknown");
    assert!(unknown.is_empty(), "every line of the real CLI is understood: {unknown:#?}");
}

#[test]
fn real_one_shot_opencode_is_idle_between_messages_and_continues() {
    let model = FakeModel::start();
    let options = json!({"baseURL": format!("{}/v1", model.url()), "apiKey": clis::FAKE_KEY});
    let provider = json!({"npm": "@ai-sdk/openai-compatible", "name": "P", "options": options, "models": {"one": {}}});
    let config = json!({"provider": {"p": provider}, "model": "p/one"});
    let mut server = TestServer::builder()
        .name("opencode-run")
        .env("OPENCODE_CONFIG_CONTENT", config.to_string())
        .env("OPENCODE_DISABLE_MODELS_FETCH", "1")
        .prepare();
    let example = include_str!("../../adapters/examples/opencode-run.json");
    declare_example(&server, "opencode-run", example, "opencode");
    server.start();
    two_turns_of_one_session(&server, &model, "opencode-run", &json!({}));
}

#[test]
fn real_one_shot_codex_is_idle_between_messages_and_continues() {
    let model = FakeModel::start();
    let mut server = TestServer::builder().name("codex-exec").env("CODEX_TEST_KEY", clis::FAKE_KEY).prepare();
    crate::real_codex_worker::configure(&server, &model);
    let example = include_str!("../../adapters/examples/codex-exec.json");
    declare_example(&server, "codex-exec", example, "codex");
    server.start();
    two_turns_of_one_session(&server, &model, "codex-exec", &json!({"permission_mode": "read-only"}));
}

#[test]
fn real_one_shot_gemini_is_idle_between_messages_and_continues() {
    let model = FakeModel::start();
    let mut server = TestServer::builder()
        .name("gemini-prompt")
        .env("GOOGLE_GEMINI_BASE_URL", model.url())
        .env("GEMINI_API_KEY", clis::FAKE_KEY)
        .prepare();
    let settings = server.home().join(".gemini");
    std::fs::create_dir_all(&settings).unwrap();
    let login = json!({"security": {"auth": {"selectedType": "gemini-api-key"}}});
    std::fs::write(settings.join("settings.json"), login.to_string()).unwrap();
    let example = include_str!("../../adapters/examples/gemini-prompt.json");
    declare_example(&server, "gemini-prompt", example, "gemini");
    server.start();
    two_turns_of_one_session(&server, &model, "gemini-prompt", &json!({"model": "gemini-2.5-pro"}));
}
