//! Agents that take minutes and gigabytes to install. `make agents` runs these tests, and `make test` leaves them out.

use serde_json::json;

use super::{
    Agent, FAKE_KEY, assert_answers, assert_has_the_version, assert_is_interrupted, assert_no_unknown, assert_runs,
    assert_tokens_are_of_the_session, assert_works, key, said, sandbox, turn,
};
use crate::support::model::{FakeModel, HELLO, Step};
use crate::support::require::require_program;
use crate::support::server::wait_file;

pub(super) const CLAUDE: Agent = Agent {
    file: "claude-agent-acp",
    installed: "agents-large",
    variables: |model| {
        vec![
            ("ANTHROPIC_BASE_URL", model.url()),
            ("ANTHROPIC_API_KEY", key()),
            ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1".to_owned()),
            ("DISABLE_TELEMETRY", "1".to_owned()),
        ]
    },
    settings: |_| vec![(".claude/settings.json", "{}".to_owned()), (".claude/CLAUDE.md", "Be brief.\n".to_owned())],
    options: &["mode", "model"],
    call: |command| json!({"tool": "Bash", "input": {"command": command, "description": "a test's command"}}),
};

pub(super) const CLINE: Agent = Agent {
    file: "cline",
    installed: "agents-large",
    variables: |_| vec![("CLINE_TELEMETRY_DISABLED", "1".to_owned())],
    settings: |model| {
        let settings = json!({"provider": "openai-compatible", "apiKey": FAKE_KEY, "model": "fake-model",
            "baseUrl": format!("{}/v1", model.url())});
        let provider = json!({"settings": settings, "updatedAt": "2026-01-01T00:00:00.000Z", "tokenSource": "manual"});
        let providers = json!({"version": 1, "lastUsedProvider": "openai-compatible", "modes": {},
            "providers": {"openai-compatible": provider}});
        vec![(".cline/data/settings/providers.json", providers.to_string())]
    },
    options: &[],
    call: |command| json!({"tool": "run_commands", "input": {"commands": [command]}}),
};

pub(super) const AIDER: Agent = Agent {
    file: "aider",
    installed: "agents-large/aider",
    variables: |model| {
        vec![
            ("OPENAI_API_BASE", format!("{}/v1", model.url())),
            ("OPENAI_API_KEY", key()),
            ("AIDER_ANALYTICS", "false".to_owned()),
        ]
    },
    // It would search the internet for prices and limits of a model that it does not know.
    settings: |_| {
        let known = json!({"max_input_tokens": 100_000, "max_output_tokens": 8000, "input_cost_per_token": 0,
            "output_cost_per_token": 0, "litellm_provider": "openai", "mode": "chat"});
        vec![(".aider.model.metadata.json", json!({"openai/fake-model": known}).to_string())]
    },
    options: &[],
    call: |_| json!({}),
};

#[test]
fn real_claude_agent_acp_answers_asks_stops_and_resumes() {
    let (model, server, worker) = assert_works(&CLAUDE);
    assert_tokens_are_of_the_session(&model, &server, &worker);
}

#[test]
fn real_cline_answers_and_runs_commands() {
    let model = FakeModel::start();
    let server = CLINE.start(&model);
    let worker = CLINE.create(&server, &json!({}));
    let done = assert_answers(&server, &worker, "hi");
    assert_eq!((&done["usage"]["input_tokens"], &done["usage"]["output_tokens"]), (&json!(5), &json!(5)), "{done}");
    assert_runs(&CLINE, &server, &worker);
    assert_is_interrupted(&server, &worker, &model);
    assert_no_unknown(&server, &worker);
    assert_has_the_version(&CLINE, &server);
}

/// Builds a message whose answer is a new file, in the format that aider uses with an unknown model.
pub(super) fn edit() -> String {
    let answer = "Here it is.\n\nmade.txt\n```\nmade\n```\n";
    format!("please <<{}>>", json!([{"text": answer}]))
}

#[test]
fn real_aider_answers_edits_and_is_interrupted() {
    let model = FakeModel::start();
    model.answer_without_tools();
    let server = AIDER.start(&model);
    let worker = AIDER.create(&server, &json!({"model": "openai/fake-model"}));
    let done = turn(&server, &worker, "hello");
    assert_eq!((&done["stop_reason"], &done["is_error"]), (&json!("end_turn"), &json!(false)), "{done}");
    assert!(said(&server, &worker).contains(HELLO), "{}", said(&server, &worker));
    let done = turn(&server, &worker, &edit());
    assert_eq!(done["is_error"], false, "{done}");
    wait_file(&server.project().join("made.txt"), "made");
    model.respond_with(Step { silent: true, ..Step::text("late") });
    worker.say(&server, "go on");
    model.wait_held(1);
    worker.call(&server, "interrupt").expect(200);
    assert_eq!(worker.wait_turn(&server, 3)["stop_reason"], "interrupted");
    model.release();
    assert_eq!(turn(&server, &worker, "hello")["is_error"], false);
}

#[test]
fn real_claude_agent_acp_works_in_the_sandbox() {
    let Some(_) = require_program("bwrap") else { return };
    sandbox::assert_works(&CLAUDE, true, true);
}

#[test]
fn real_cline_works_in_the_sandbox() {
    let Some(_) = require_program("bwrap") else { return };
    sandbox::assert_works(&CLINE, false, false);
}

#[test]
fn real_aider_works_in_the_sandbox() {
    let Some(_) = require_program("bwrap") else { return };
    let model = FakeModel::start();
    model.answer_without_tools();
    let server = sandbox::start(&AIDER, &model);
    let worker = AIDER.create(&server, &json!({"model": "openai/fake-model"}));
    let done = turn(&server, &worker, &edit());
    assert_eq!(done["is_error"], false, "{done}\n{}", said(&server, &worker));
    wait_file(&server.project().join("made.txt"), "made");
}
