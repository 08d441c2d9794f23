//! The agents that the files of `adapters/examples` declare: the real programs with the unchanged files, against the
//! fake model. `make test` installs some of them; `make agents` installs all.

mod large;
mod light;
mod sandbox;
mod table;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::clis::FAKE_KEY;
use crate::support::model::{FakeModel, HELLO, Step};
use crate::support::server::{Builder, TestServer};
use crate::support::wait::{DEADLINE, eventually};
use crate::support::workers::TestWorker;

/// A person's decision on a prompt.
#[derive(Clone, Copy)]
enum Decision {
    Allow,
    Deny,
}

/// One file of `adapters/examples`, and the settings with which its agent talks only to the fake model.
struct Agent {
    /// The file's name without `.json`, which is its type.
    file: &'static str,
    /// The folder in `target` that has its program.
    installed: &'static str,
    /// Variables that point it at a model.
    variables: fn(&FakeModel) -> Vec<(&'static str, String)>,
    /// Files in the home directory that point it at a model, or that an agent in a sandbox must not change.
    settings: fn(&FakeModel) -> Vec<(&'static str, String)>,
    /// Categories of the options that it lists.
    options: &'static [&'static str],
    /// The model's step that runs a shell command in the project's folder.
    call: fn(&str) -> Value,
}

impl Agent {
    /// Returns the folder with the agent's program.
    ///
    /// # Panics
    /// Fails when it is not installed, with the command that installs it.
    fn bin(&self) -> PathBuf {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let bin = [
            root.join("target").join(self.installed).join("node_modules/.bin"),
            root.join("target").join(self.installed).join("bin"),
        ]
        .into_iter()
        .find(|bin| bin.exists());
        bin.unwrap_or_else(|| {
            panic!("target/{} is missing: `make install-test-deps` and `make agents` install agents", self.installed)
        })
    }

    /// Returns the unchanged file.
    fn declaration(&self) -> Value {
        let path =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("adapters/examples").join(self.file).with_extension("json");
        serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
    }

    /// Prepares a server that has the file in its `ADAPTERS_DIR`.
    fn prepare(&self, model: &FakeModel, builder: Builder) -> TestServer {
        let path = format!("{}:{}", self.bin().display(), std::env::var("PATH").unwrap_or_default());
        let mut builder = builder.env("PATH", path).env("ADAPTERS_DIR", "agents").env("STOP_GRACE_SECS", "2");
        for (name, value) in (self.variables)(model) {
            builder = builder.env(name, value);
        }
        let server = builder.prepare();
        let file = format!("{}.json", self.file);
        let folder = server.dir().join("agents");
        fs::create_dir_all(&folder).unwrap();
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("adapters/examples").join(&file);
        fs::copy(shipped, folder.join(&file)).unwrap();
        for (path, text) in (self.settings)(model) {
            let path = server.home().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        server
    }

    fn start(&self, model: &FakeModel) -> TestServer {
        let mut server = self.prepare(model, TestServer::builder().name(self.file));
        server.start();
        server
    }

    fn create(&self, server: &TestServer, more: &Value) -> TestWorker {
        TestWorker::create(server, self.file, more)
    }

    /// Builds a message that makes the model run a command and then answer with a text.
    fn script(&self, command: &str, then: &str) -> String {
        format!("please <<{}>>", json!([(self.call)(command), {"text": then}]))
    }
}

/// Sends a message, and returns the end of its turn.
#[track_caller]
fn turn(server: &TestServer, worker: &TestWorker, text: &str) -> Value {
    let before = worker.events_of(server, "turn_completed").len();
    worker.say(server, text);
    worker.wait_turn(server, before + 1)
}

/// Returns all text of the agent.
fn said(server: &TestServer, worker: &TestWorker) -> String {
    let said = worker.events_of(server, "assistant");
    said.iter().filter_map(|event| event["content"].as_str()).collect::<Vec<_>>().join("\n")
}

/// Builds a message whose answer comes in one piece. It has its own script, because Copilot begins messages with a
/// context that the fake model skips.
#[track_caller]
fn assert_answers(server: &TestServer, worker: &TestWorker, text: &str) -> Value {
    let done = turn(server, worker, &format!("{text} <<{}>>", json!({"text": HELLO})));
    assert_eq!((&done["stop_reason"], &done["is_error"]), (&json!("end_turn"), &json!(false)), "{done}");
    assert!(said(server, worker).ends_with(HELLO), "{}", said(server, worker));
    done
}

#[track_caller]
fn assert_no_unknown(server: &TestServer, worker: &TestWorker) {
    let unknown = worker.events_of(server, "unknown");
    assert!(unknown.is_empty(), "every line of the real agent is understood: {unknown:#?}");
}

/// Answers the open prompt by the first option of its kind.
#[track_caller]
fn decide(server: &TestServer, worker: &TestWorker, decision: Decision) {
    let prompt = worker.wait_prompt(server);
    let wanted = match decision {
        Decision::Allow => "allow_once",
        Decision::Deny => "reject_once",
    };
    let options = prompt["options"].as_array().unwrap();
    let option = options.iter().find(|option| option["kind"] == wanted).unwrap_or_else(|| panic!("{wanted}: {prompt}"));
    worker.answer(server, &prompt, &json!({"option_id": option["id"]})).expect(200);
}

/// A command that needs a permission: one is allowed and runs, another is denied and does not.
#[track_caller]
fn assert_asks(agent: &Agent, server: &TestServer, worker: &TestWorker) {
    let turns = worker.events_of(server, "turn_completed").len();
    worker.say(server, &agent.script("echo made > made.txt", "Made."));
    decide(server, worker, Decision::Allow);
    let done = worker.wait_turn(server, turns + 1);
    assert_made(&done, server, worker);

    worker.say(server, &agent.script("echo no > denied.txt", "Understood."));
    decide(server, worker, Decision::Deny);
    worker.wait_turn(server, turns + 2);
    assert!(!server.project().join("denied.txt").exists());
}

/// Checks that a turn has run the command that creates a file, and returns the event of its result.
#[track_caller]
fn assert_made(done: &Value, server: &TestServer, worker: &TestWorker) -> Value {
    assert_eq!(done["is_error"], false, "{done}");
    assert_eq!(fs::read_to_string(server.project().join("made.txt")).unwrap(), "made\n");
    assert!(said(server, worker).ends_with("Made."), "{}", said(server, worker));
    let call = worker.events_of(server, "tool_call").pop().unwrap();
    assert_eq!(call["kind"], "execute", "{call}");
    let result = worker.events_of(server, "tool_result").pop().unwrap();
    assert_eq!((&result["tool_call_id"], &result["is_error"]), (&call["tool_call_id"], &json!(false)), "{result}");
    result
}

/// A command that runs without a permission.
#[track_caller]
fn assert_runs(agent: &Agent, server: &TestServer, worker: &TestWorker) {
    let done = turn(server, worker, &agent.script("echo made > made.txt; echo seen", "Made."));
    let result = assert_made(&done, server, worker);
    assert!(result["content"].as_str().unwrap().contains("seen"), "{result}");
}

/// An interrupt ends a turn in the middle of its answer, and the agent answers the next message.
#[track_caller]
fn assert_is_interrupted(server: &TestServer, worker: &TestWorker, model: &FakeModel) {
    let turns = worker.events_of(server, "turn_completed").len();
    model.respond_with(Step::deltas(50).hold_after(5));
    worker.say(server, "go on and on");
    model.wait_held(1);
    worker.call(server, "interrupt").expect(200);
    let done = worker.wait_turn(server, turns + 1);
    assert_eq!(done["stop_reason"], "interrupted", "{done}");
    model.release();
    assert_answers(server, worker, "hello again");
}

/// Resumes the session after a stop: the model receives the earlier conversation.
#[track_caller]
fn assert_resumes(server: &TestServer, worker: &TestWorker, model: &FakeModel) {
    let session = worker.show(server)["session_id"].clone();
    assert!(session.is_string());
    worker.call(server, "stop").expect(200);
    server.wait_no_processes_of(&worker.id);
    assert_answers(server, worker, "what was it");
    assert_eq!(worker.show(server)["session_id"], session);
    let asked = model.turns().last().unwrap().body.to_string();
    assert!(asked.contains("rhubarb") && asked.contains("what was it"), "the session goes on: {asked}");
}

/// The agent's options are listed, and the current value is among the choices of each.
#[track_caller]
fn assert_lists_options(agent: &Agent, server: &TestServer, worker: &TestWorker) {
    let options = server.get(&worker.path("/options")).expect(200).json()["options"].clone();
    for category in agent.options {
        let option = options.as_array().unwrap().iter().find(|option| option["category"] == *category);
        let option = option.unwrap_or_else(|| panic!("{category}: {options}"));
        let choices = option["choices"].as_array().unwrap();
        assert!(choices.iter().any(|choice| choice["value"] == option["value"]), "{category}: {option}");
    }
}

/// All features of an agent of the Agent Client Protocol, in one story.
#[track_caller]
fn assert_works(agent: &Agent) -> (FakeModel, TestServer, TestWorker) {
    let model = FakeModel::start();
    let server = agent.start(&model);
    let worker = agent.create(&server, &json!({}));
    let mut client = worker.watch(&server);
    let shown = worker.wait_status(&server, "idle");
    let declared = agent.declaration();
    if let Some(mode) = declared["permission_mode"].as_str() {
        assert_eq!(shown["permission_mode"], mode, "the file's mode is in force");
    }
    assert_lists_options(agent, &server, &worker);
    assert_answers(&server, &worker, "remember rhubarb");
    client.wait_for_event("delta", DEADLINE);
    assert_asks(agent, &server, &worker);
    assert_is_interrupted(&server, &worker, &model);
    assert_resumes(&server, &worker, &model);
    assert_no_unknown(&server, &worker);
    assert_has_the_version(agent, &server);
    (model, server, worker)
}

/// Returns the tokens that the worker has used in all its turns, input and output.
fn tokens(server: &TestServer, worker: &TestWorker) -> (u64, u64) {
    let turns = worker.events_of(server, "turn_completed");
    let sum = |name: &str| turns.iter().filter_map(|turn| turn["usage"][name].as_u64()).sum();
    (sum("input_tokens"), sum("output_tokens"))
}

/// The model reports 5 input tokens for each of its answers; the agent counts those of the whole session.
#[track_caller]
fn assert_tokens_are_of_the_session(model: &FakeModel, server: &TestServer, worker: &TestWorker) {
    let (read, _) = tokens(server, worker);
    let answers = model.turns().len() as u64;
    assert!(read > 0 && read <= 5 * answers, "{read} tokens in {answers} answers");
}

/// The agent prints the version that `adapters/README.md` names, if its file has a command for the version.
#[track_caller]
fn assert_has_the_version(agent: &Agent, server: &TestServer) {
    if agent.declaration().get("version_args").is_none() {
        return;
    }
    let listed = eventually(DEADLINE, "its version", || {
        let clis = server.get("/api/ai-clis").expect(200).json();
        let listed = clis["available_clis"].as_array()?.iter().find(|cli| cli["type"] == agent.file)?.clone();
        listed["version"].as_str().map(str::to_owned)
    });
    assert!(listed.contains(&table::version(agent.file)), "{}: {listed}", agent.file);
}

/// No variables, or no files.
fn none(_model: &FakeModel) -> Vec<(&'static str, String)> {
    Vec::new()
}

fn key() -> String {
    FAKE_KEY.to_owned()
}
