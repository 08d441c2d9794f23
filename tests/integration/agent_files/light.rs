//! Agents that are installed in seconds, whose tests are part of `make test`.

use serde_json::json;

use super::{
    Agent, FAKE_KEY, assert_answers, assert_is_interrupted, assert_no_unknown, assert_runs,
    assert_tokens_are_of_the_session, assert_works, key, none,
};
use crate::support::model::FakeModel;
use crate::support::server::wait_file;

pub(super) const QWEN: Agent = Agent {
    file: "qwen",
    installed: "agents",
    variables: |model| {
        vec![
            ("OPENAI_BASE_URL", format!("{}/v1", model.url())),
            ("OPENAI_API_KEY", key()),
            ("OPENAI_MODEL", "fake-model".to_owned()),
        ]
    },
    settings: |_| {
        let settings = json!({
            "security": {"auth": {"selectedType": "openai"}},
            "privacy": {"usageStatisticsEnabled": false},
            "general": {"disableAutoUpdate": true},
        });
        vec![(".qwen/settings.json", settings.to_string()), (".qwen/QWEN.md", "Be brief.\n".to_owned())]
    },
    options: &["mode", "model"],
    call: |command| {
        let input = json!({"command": command, "description": "a test's command", "is_background": false});
        json!({"tool": "run_shell_command", "input": input})
    },
};

pub(super) const CODEX: Agent = Agent {
    file: "codex-acp",
    installed: "agents",
    variables: |_| vec![("CODEX_API_KEY", key())],
    settings: |model| {
        let config = format!(
            "model = \"fake-model\"\nmodel_provider = \"fake\"\n[model_providers.fake]\nname = \"Fake\"\n\
             base_url = \"{}/v1\"\nenv_key = \"CODEX_API_KEY\"\nwire_api = \"responses\"\n",
            model.url()
        );
        vec![(".codex/config.toml", config), (".codex/AGENTS.md", "Be brief.\n".to_owned())]
    },
    options: &["mode", "model"],
    call: |command| {
        let input =
            json!({"cmd": command, "sandbox_permissions": "require_escalated", "justification": "for the test"});
        json!({"tool": "exec_command", "input": input})
    },
};

pub(super) const COPILOT: Agent = Agent {
    file: "copilot",
    installed: "agents",
    variables: |model| {
        vec![
            ("COPILOT_PROVIDER_BASE_URL", format!("{}/v1", model.url())),
            ("COPILOT_PROVIDER_API_KEY", key()),
            ("COPILOT_MODEL", "fake-model".to_owned()),
            ("COPILOT_OFFLINE", "true".to_owned()),
        ]
    },
    settings: |_| vec![(".copilot/mcp-config.json", json!({"mcpServers": {}}).to_string())],
    options: &["mode", "permissions"],
    call: |command| json!({"tool": "bash", "input": {"command": command, "description": "a test's command"}}),
};

pub(super) const PI: Agent = Agent {
    file: "pi",
    installed: "agents",
    variables: none,
    settings: |model| {
        let models = json!([{"id": "one"}, {"id": "two"}]);
        let provider = json!({"baseUrl": format!("{}/v1", model.url()), "api": "openai-completions",
            "apiKey": FAKE_KEY, "models": models});
        vec![
            (".pi/agent/models.json", json!({"providers": {"fake": provider}}).to_string()),
            (".pi/agent/settings.json", json!({"defaultProvider": "fake", "defaultModel": "one"}).to_string()),
            (".pi/agent/AGENTS.md", "Be brief.\n".to_owned()),
        ]
    },
    options: &[],
    call: |command| json!({"tool": "bash", "input": {"command": command}}),
};

#[test]
fn real_qwen_answers_asks_stops_and_resumes() {
    assert_works(&QWEN);
}

#[test]
fn real_codex_acp_answers_asks_stops_and_resumes() {
    assert_works(&CODEX);
}

#[test]
fn real_copilot_answers_asks_stops_and_resumes() {
    let (model, server, worker) = assert_works(&COPILOT);
    assert_tokens_are_of_the_session(&model, &server, &worker);
}

#[test]
fn real_pi_answers_runs_commands_and_resumes() {
    let model = FakeModel::start();
    let server = PI.start(&model);
    let worker = PI.create(&server, &json!({}));
    let done = assert_answers(&server, &worker, "remember rhubarb");
    assert_eq!((&done["usage"]["input_tokens"], &done["usage"]["output_tokens"]), (&json!(5), &json!(5)), "{done}");
    let session = worker.show(&server)["session_id"].clone();
    assert_answers(&server, &worker, "what was it");
    assert_eq!(worker.show(&server)["session_id"], session);
    assert!(model.turns().last().unwrap().body.to_string().contains("rhubarb"), "the session goes on");
    assert_runs(&PI, &server, &worker);
    wait_file(&server.project().join("made.txt"), "made");
    assert_is_interrupted(&server, &worker, &model);
    server.patch(&worker.path(""), &json!({"model": "fake/two"})).expect(200);
    assert_answers(&server, &worker, "hello");
    assert_eq!(model.turns().last().unwrap().body["model"], "two");
    assert_no_unknown(&server, &worker);
}
