//! The real Codex as a worker: from the API through server, shim and `codex app-server` to a fake model, and back.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::clis;
use crate::support::model::{FakeModel, HELLO, Step};
use crate::support::server::TestServer;
use crate::support::wait::{DEADLINE, eventually};
use crate::support::workers::TestWorker;
use crate::unfinished::{PIECES_MIN, kill_in_mid_message};

/// The key for the model.
const KEY: &str = "sk-fake-codex-0123456789";

/// A server with the real Codex, whose configuration names only `model` as its provider.
pub(crate) fn start(model: &FakeModel) -> TestServer {
    let mut server = builder().env("CODEX_TEST_KEY", KEY).prepare();
    configure(&server, model);
    server.start();
    server
}

/// Writes a configuration with only `model` as its provider; its key is in `CODEX_TEST_KEY`.
pub(crate) fn configure(server: &TestServer, model: &FakeModel) {
    let config = format!(
        "model = \"fake-model\"\nmodel_provider = \"fake\"\n[model_providers.fake]\nname = \"Fake\"\n\
         base_url = \"{}/v1\"\nenv_key = \"CODEX_TEST_KEY\"\nwire_api = \"responses\"\n",
        model.url()
    );
    let dir = server.home().join(".codex");
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("config.toml"), config).unwrap();
}

fn builder() -> crate::support::server::Builder {
    TestServer::builder()
        .name("codex-worker")
        .env("ENABLED_AI_CLIS", "claude,codex")
        .env("CODEX_BINARY", clis::real("codex"))
        .env("STOP_GRACE_SECS", "2")
}

pub(crate) fn create(server: &TestServer, mode: &str) -> TestWorker {
    TestWorker::create(server, "codex", &json!({"permission_mode": mode}))
}

/// Builds a prompt that makes the model run a command outside the sandbox, which needs a permission, and then answer
/// with a text.
fn escalated(command: &str, then: &str) -> String {
    let input = json!({"cmd": command, "sandbox_permissions": "require_escalated", "justification": "for the test"});
    format!("<<{}>>", json!([{"tool": "exec_command", "input": input}, {"text": then}]))
}

#[test]
fn real_codex_has_the_version_that_the_lock_file_names() {
    let model = FakeModel::start();
    let server = start(&model);
    let lock: Value = serde_json::from_str(include_str!("../clis/package-lock.json")).unwrap();
    let locked = lock["packages"]["node_modules/@openai/codex"]["version"].as_str().unwrap().to_owned();
    let listed = eventually(DEADLINE, "its version", || {
        let clis = server.get("/api/ai-clis").expect(200).json();
        clis["available_clis"]
            .as_array()
            .unwrap()
            .iter()
            .find(|cli| cli["type"] == "codex" && cli["version"].is_string())
            .cloned()
    });
    assert!(listed["version"].as_str().unwrap().contains(&locked), "{listed}");
    assert_eq!(listed["enabled"], true);
}

#[test]
fn real_codex_answers_two_turns_on_one_process() {
    let model = FakeModel::start();
    let server = start(&model);
    let worker = create(&server, "on-request");
    let mut client = worker.watch(&server);
    let pid = worker.wait_status(&server, "idle")["pid"].clone();
    worker.say(&server, "hi there");
    let done = client.wait_for_event("turn_completed", DEADLINE);
    assert_eq!(
        (&done["result"], &done["is_error"], &done["stop_reason"]),
        (&json!(HELLO), &json!(false), &json!("end_turn"))
    );
    assert!(client.events().iter().any(|event| event["type"] == "delta"), "a live client sees the text grow");

    model.respond_with(Step::text("The second answer.").thinking("let me see"));
    worker.say(&server, "and again");
    let done = worker.wait_turn(&server, 2);
    assert_eq!(done["result"], "The second answer.");
    assert_eq!(worker.events_of(&server, "thinking").pop().unwrap()["content"], "let me see");
    let shown = worker.wait_status(&server, "idle");
    assert_eq!((&shown["pid"], &shown["turns"]), (&pid, &json!(2)), "one process for both turns");
    assert!(shown["usage"]["output_tokens"].as_u64().unwrap() > 0);
    let turns = model.turns();
    assert!(turns[1].body["input"].to_string().contains("hi there"), "the second turn knows the first");
    assert_eq!(turns[0].header("authorization"), Some(format!("Bearer {KEY}").as_str()));
    let states: Vec<Value> = worker.events_of(&server, "message_state").iter().map(|it| it["state"].clone()).collect();
    assert_eq!(json!(states), json!(["queued", "delivered", "consumed", "queued", "delivered", "consumed"]));
    let unknown = worker.events_of(&server, "unknown");
    assert!(unknown.is_empty(), "every line of the real CLI is understood: {unknown:#?}");
}

#[test]
fn real_codex_lists_its_models_with_their_effort_levels() {
    let model = FakeModel::start();
    let server = start(&model);
    let worker = create(&server, "on-request");
    worker.watch(&server).wait_for_event("options", DEADLINE);
    let options = server.get(&worker.path("/options")).expect(200).json()["options"].clone();
    assert_eq!((&options[0]["id"], &options[1]["id"]), (&json!("model"), &json!("permission_mode")));
    assert_eq!(options[1]["value"], "on-request");
    let models = options[0]["choices"].as_array().unwrap();
    let has_efforts = |model: &Value| model["effort_levels"].as_array().is_some_and(|levels| !levels.is_empty());
    assert!(models.iter().any(has_efforts), "{models:#?}");
}

#[test]
fn real_codex_runs_an_allowed_command_and_no_denied_one() {
    let model = FakeModel::start();
    let server = start(&model);
    let worker = create(&server, "auto");
    worker.say(&server, &escalated("echo made > made.txt", "Made."));
    let prompt = worker.wait_prompt(&server);
    assert_eq!((&prompt["tool_name"], &prompt["input"]["command"]), (&json!("shell"), &json!("echo made > made.txt")));
    assert_eq!(worker.show(&server)["status"], "waiting");
    worker.answer(&server, &prompt, &json!({"option_id": "allow_once"})).expect(200);
    assert_eq!(worker.wait_turn(&server, 1)["result"], "Made.");
    assert_eq!(fs::read_to_string(server.project().join("made.txt")).unwrap(), "made\n");

    worker.say(&server, &escalated("echo no > denied.txt", "Understood."));
    let prompt = worker.wait_prompt(&server);
    worker.answer(&server, &prompt, &json!({"option_id": "deny"})).expect(200);
    assert_eq!(worker.wait_turn(&server, 2)["result"], "Understood.");
    assert!(!server.project().join("denied.txt").exists());
    let results: Vec<Value> =
        worker.events_of(&server, "tool_result").iter().map(|it| it["is_error"].clone()).collect();
    assert_eq!(json!(results), json!([false, true]));

    worker.say(&server, &escalated("echo no > denied.txt", "Never said."));
    let prompt = worker.wait_prompt(&server);
    worker.answer(&server, &prompt, &json!({"option_id": "cancel"})).expect(200);
    assert_eq!(worker.wait_turn(&server, 3)["stop_reason"], "interrupted");
    let by: Vec<Value> = worker.events_of(&server, "permission_resolved").iter().map(|it| it["by"].clone()).collect();
    assert_eq!(json!(by), json!(["user", "user", "user"]));
}

#[test]
fn real_codex_is_interrupted_while_streaming_and_while_asking() {
    let model = FakeModel::start();
    let server = start(&model);
    let worker = create(&server, "auto");
    let mut client = worker.watch(&server);
    model.respond_with(Step::deltas(500).hold_after(5));
    worker.say(&server, "go on and on");
    model.wait_held(1);
    client.wait_for_event("delta", DEADLINE);
    worker.call(&server, "interrupt").expect(200);
    assert_eq!(worker.wait_turn(&server, 1)["stop_reason"], "interrupted");
    worker.assert_pieces_are_kept(&server, &mut client);
    model.release();

    worker.say(&server, &escalated("echo no > no.txt", "Never said."));
    worker.wait_prompt(&server);
    worker.call(&server, "interrupt").expect(200);
    assert_eq!(worker.wait_turn(&server, 2)["stop_reason"], "interrupted");
    let resolved = worker.wait_event(&server, "permission_resolved", 1);
    assert_eq!((&resolved["decision"], &resolved["by"]), (&json!("cancelled"), &json!("cli")));

    worker.say(&server, "hi");
    assert_eq!(worker.wait_turn(&server, 3)["result"], HELLO);
    assert!(!server.project().join("no.txt").exists());
}

#[test]
fn real_codex_resumes_after_a_stop_and_forks_without_changes() {
    let model = FakeModel::start();
    let server = start(&model);
    let worker = create(&server, "on-request");
    worker.say(&server, "remember the word rhubarb");
    worker.wait_turn(&server, 1);
    let before = worker.show(&server);
    worker.call(&server, "stop").expect(200);
    assert_eq!(server.processes_of(&worker.id), []);
    worker.say(&server, "which word?");
    worker.wait_turn(&server, 2);
    let after = worker.show(&server);
    assert_eq!(after["session_id"], before["session_id"]);
    assert_ne!(after["pid"], before["pid"]);
    let asked = model.turns().last().unwrap().body["input"].to_string();
    assert!(asked.contains("rhubarb") && asked.contains("which word?"), "{asked}");

    let fork = worker.call(&server, "fork").expect(201).json();
    let fork = TestWorker { id: fork["id"].as_str().or_else(|| fork["worker_id"].as_str()).unwrap().to_owned() };
    fork.say(&server, "and you?");
    fork.wait_turn(&server, 1);
    assert!(model.turns().last().unwrap().body["input"].to_string().contains("rhubarb"));
    assert_ne!(fork.show(&server)["session_id"], after["session_id"]);
}

#[test]
fn real_codex_reports_api_errors_and_continues() {
    let model = FakeModel::start();
    let server = start(&model);
    let worker = create(&server, "on-request");
    for (turn, status) in [(1, 400), (2, 429)] {
        model.always(Step::error(status).retry_after(0));
        worker.say(&server, "hi");
        let done = worker.wait_turn(&server, turn);
        assert_eq!((&done["is_error"], &done["stop_reason"]), (&json!(true), &json!("error")), "{status}: {done}");
        let error = worker.events_of(&server, "error").pop().unwrap();
        assert!(error["content"].as_str().unwrap().contains(&status.to_string()), "{error}");
    }
    model.reset();
    worker.say(&server, "hi");
    assert_eq!(worker.wait_turn(&server, 3)["result"], HELLO);
}

#[test]
fn real_codex_says_when_a_session_is_not_there() {
    let model = FakeModel::start();
    let server = start(&model);
    let gone = "01a201f6-2361-7173-a5a0-642098aad967";
    let worker = TestWorker::create(&server, "codex", &json!({"resume_session": gone}));
    let error = worker.wait_event(&server, "error", 1);
    assert_eq!(error["code"], "session_not_found");
    worker.say(&server, "hi");
    assert_eq!(worker.wait_turn(&server, 1)["result"], HELLO);
    assert_eq!(worker.show(&server)["earlier_sessions"][0]["session_id"], gone);
}

#[test]
fn real_codex_replaces_a_damaged_session_and_answers() {
    let model = FakeModel::start();
    let server = start(&model);
    let worker = create(&server, "on-request");
    type Damage<'a> = (&'a str, &'a dyn Fn(&Path));
    let damages: [Damage<'_>; 5] = [
        ("emptied", &|path| fs::write(path, "").unwrap()),
        ("garbage", &|path| fs::write(path, [0xff, 0xfe, 0, b'{', b'\n', 0xc0]).unwrap()),
        ("of another kind", &|path| fs::write(path, "{\"type\":\"other\"}\n").unwrap()),
        ("removed", &|path| fs::remove_file(path).unwrap()),
        ("a folder", &|path| {
            fs::remove_file(path).unwrap();
            fs::create_dir(path).unwrap();
        }),
    ];
    for (at, (what, damage)) in damages.into_iter().enumerate() {
        worker.say(&server, "hi");
        worker.wait_turn(&server, 2 * at + 1);
        worker.call(&server, "stop").expect(200);
        let session = worker.show(&server)["session_id"].clone();
        let id = session.as_str().unwrap();
        let rollout = find_file(&server.home().join(".codex/sessions"), id).expect("the session's rollout");
        damage(&rollout);
        worker.say(&server, "hi again");
        assert_eq!(worker.wait_turn(&server, 2 * at + 2)["result"], HELLO, "{what}");
        let errors = worker.events_of(&server, "error");
        let lost: Vec<&Value> = errors.iter().filter(|error| error["code"] == "session_not_found").collect();
        assert_eq!(lost.len(), at + 1, "{what}: {errors:?}");
        assert!(lost[at]["content"].as_str().unwrap().contains(id), "{what}: {lost:?}");
        let shown = worker.show(&server);
        assert_ne!(shown["session_id"], session, "{what}");
        assert_eq!(shown["earlier_sessions"][at]["session_id"], session, "{what}");
    }
}

/// Returns a file below `dir` whose name contains `part`.
fn find_file(dir: &Path, part: &str) -> Option<PathBuf> {
    let entries: Vec<PathBuf> = fs::read_dir(dir).ok()?.flatten().map(|entry| entry.path()).collect();
    let is_it = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().contains(part));
    let found = entries.iter().find(|path| path.is_file() && is_it(path)).cloned();
    found.or_else(|| entries.iter().filter(|path| path.is_dir()).find_map(|dir| find_file(dir, part)))
}

#[test]
fn real_codex_accepts_messages_models_and_modes_while_it_runs() {
    let model = FakeModel::start();
    let server = start(&model);
    let worker = create(&server, "auto");
    model.respond_with(Step::deltas(20).hold_after(3));
    worker.say(&server, "first");
    model.wait_held(1);
    worker.wait_status(&server, "busy");
    let steered = json!({"content": "and mind the gap", "steer": true});
    let steered = server.post(&worker.path("/messages"), &steered).expect(202).json();
    assert_ne!(steered["state"], "queued");
    worker.wait_turn(&server, 1);
    model.release();
    let asked = model.turns().last().unwrap().body["input"].to_string();
    assert!(asked.contains("mind the gap"), "the same turn takes it up: {asked}");

    server.patch(&worker.path(""), &json!({"model": "other-model", "permission_mode": "untrusted"})).expect(200);
    worker.say(&server, "<<[{\"tool\":\"exec_command\",\"input\":{\"cmd\":\"touch asked\"}},{\"text\":\"ok\"}]>>");
    let prompt = worker.wait_prompt(&server);
    worker.answer(&server, &prompt, &json!({"option_id": "deny"})).expect(200);
    worker.wait_turn(&server, 2);
    assert_eq!(model.turns().last().unwrap().body["model"], "other-model");
    let shown = worker.show(&server);
    assert_eq!((&shown["model"], &shown["permission_mode"]), (&json!("other-model"), &json!("untrusted")));
}

#[test]
fn real_codex_keeps_its_prompt_over_a_server_kill() {
    let model = FakeModel::start();
    let mut server = start(&model);
    let worker = create(&server, "auto");
    worker.say(&server, &escalated("echo once >> once.txt", "Done."));
    let before = worker.wait_prompt(&server);
    server.kill9();
    server.start();
    let prompt = worker.wait_prompt(&server);
    assert_eq!(prompt, before);
    worker.answer(&server, &prompt, &json!({"option_id": "allow_once"})).expect(200);
    worker.answer(&server, &prompt, &json!({"option_id": "deny"})).expect(409);
    assert_eq!(worker.wait_turn(&server, 1)["result"], "Done.");
    assert_eq!(fs::read_to_string(server.project().join("once.txt")).unwrap(), "once\n");
}

#[test]
fn real_codex_uses_the_configured_key_and_stores_it_nowhere() {
    let model = FakeModel::start();
    let server = builder().env("OPENAI_API_KEY", KEY).start();
    let base = format!("model_providers.openai-api-key.base_url=\"{}/v1\"", model.url());
    let args = json!({"args": ["-c", base, "-c", "model=\"fake-model\""]});
    let worker = TestWorker::create(&server, "codex", &args);
    worker.say(&server, "hi");
    assert_eq!(worker.wait_turn(&server, 1)["result"], HELLO);
    assert_eq!(model.turns()[0].header("authorization"), Some(format!("Bearer {KEY}").as_str()));
    assert!(!server.home().join(".codex/auth.json").exists());
    let journal = fs::read_to_string(worker.dir(&server).join("journal")).unwrap();
    assert!(!journal.contains(KEY), "no key is in the journal");
}

#[test]
fn real_codex_streams_over_kills_without_losing_a_piece() {
    let model = FakeModel::start();
    let mut server = start(&model);
    let worker = create(&server, "auto");
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
