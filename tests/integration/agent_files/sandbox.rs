//! The same agents in a sandbox: the `home` of each file shows the agent what it needs, and protects its settings.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::light::{CODEX, COPILOT, PI, QWEN};
use super::{Agent, Decision, assert_answers, assert_no_unknown, decide};
use crate::support::model::FakeModel;
use crate::support::require::require_program;
use crate::support::server::{TestServer, wait_file};

/// The sandbox, which also shows the agents and the Node.js of the tests: the clone may be in a home directory, which a
/// sandbox hides.
const RUNNER: &str = "agents";

/// A server whose workers run in bubblewrap.
pub(super) fn start(agent: &Agent, model: &FakeModel) -> TestServer {
    let builder = TestServer::builder().name(agent.file).env("RUNNER", RUNNER);
    let names: Vec<_> = (agent.variables)(model).into_iter().map(|(name, _)| name).collect();
    let mut server = agent.prepare(model, builder.env("WORKER_ENV_PASS", names.join(",")));
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("target");
    let shown = ["agents", "agents-large", "node"].map(|name| target.join(name));
    let shown = shown.into_iter().chain(python(&target)).filter(|folder| folder.exists());
    let binds: Vec<_> = shown.flat_map(|folder| [json!("--ro-bind"), json!(folder), json!(folder)]).collect();
    let runners = server.dir().join("runners");
    fs::create_dir_all(&runners).unwrap();
    let declared = json!({"name": RUNNER, "from": "bwrap", "options": binds});
    fs::write(runners.join(RUNNER).with_extension("json"), declared.to_string()).unwrap();
    server.start();
    server
}

/// Returns the Python from which aider's environment was made, if that is in a home directory.
fn python(target: &Path) -> Option<PathBuf> {
    let settings = fs::read_to_string(target.join("agents-large/aider/pyvenv.cfg")).ok()?;
    let programs = settings.lines().find_map(|line| line.strip_prefix("home = "))?;
    Path::new(programs).parent().map(Path::to_path_buf).filter(|folder| !folder.starts_with("/usr"))
}

/// Builds a command that the agent runs in the sandbox: it creates a file in the project, and attacks the agent's
/// settings.
fn attack(agent: &Agent, model: &FakeModel) -> String {
    let settings = (agent.settings)(model).into_iter().map(|(path, _)| format!("echo x >> ~/{path}; "));
    format!("({}) 2> /dev/null; echo made > made.txt", settings.collect::<String>())
}

/// Runs a turn, a command with a permission if the agent asks for one, and one more turn after a stop, in the same
/// session if the agent can resume it. Checks that the settings are unchanged.
#[track_caller]
pub(super) fn assert_works(agent: &Agent, asks: bool, resumes: bool) {
    let model = FakeModel::start();
    let server = start(agent, &model);
    let worker = agent.create(&server, &json!({}));
    assert_answers(&server, &worker, "remember rhubarb");
    worker.say(&server, &agent.script(&attack(agent, &model), "Made."));
    if asks {
        decide(&server, &worker, Decision::Allow);
    }
    worker.wait_turn(&server, 2);
    assert_eq!(wait_file(&server.project().join("made.txt"), "made"), "made\n");
    for (path, text) in (agent.settings)(&model) {
        let now = fs::read_to_string(server.home().join(path)).unwrap();
        assert_eq!(now, text, "{path} is as it was");
    }
    let session = worker.show(&server)["session_id"].clone();
    worker.call(&server, "stop").expect(200);
    server.wait_no_processes_of(&worker.id);
    assert_answers(&server, &worker, "what was it");
    if resumes {
        assert_eq!(worker.show(&server)["session_id"], session);
        assert!(model.turns().last().unwrap().body.to_string().contains("rhubarb"), "the session goes on");
        let id = session.as_str().unwrap();
        assert!(holds_name(&server.home(), id), "the session is in the home directory outside: {id}");
    }
    assert_no_unknown(&server, &worker);
}

/// True if a file or folder below this one has `part` in its name.
fn holds_name(folder: &Path, part: &str) -> bool {
    fs::read_dir(folder).into_iter().flatten().flatten().any(|entry| {
        entry.file_name().to_string_lossy().contains(part) || (entry.path().is_dir() && holds_name(&entry.path(), part))
    })
}

#[test]
fn real_qwen_works_in_the_sandbox() {
    let Some(_) = require_program("bwrap") else { return };
    assert_works(&QWEN, true, true);
}

#[test]
fn real_codex_acp_works_in_the_sandbox() {
    let Some(_) = require_program("bwrap") else { return };
    assert_works(&CODEX, true, true);
}

#[test]
fn real_copilot_works_in_the_sandbox() {
    let Some(_) = require_program("bwrap") else { return };
    assert_works(&COPILOT, true, true);
}

#[test]
fn real_pi_works_in_the_sandbox() {
    let Some(_) = require_program("bwrap") else { return };
    assert_works(&PI, false, true);
}
