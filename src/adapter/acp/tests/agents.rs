//! Recordings of agents that a file of `adapters/examples` declares.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{env, fs};

use serde_json::{Value, json};

use super::{Agent as _, started};
use crate::adapter::Adapter;
use crate::adapter::declared::DeclaredAdapter;
use crate::adapter::testing::recorded::{OwnedRecord, TestFold, compact};
use crate::journal::{Kind, WorkerOptions};

/// The recordings, each with the mode in which its session began.
const AGENTS: [(&str, &str); 5] =
    [("qwen", "auto"), ("claude-agent-acp", "auto"), ("codex-acp", "auto"), ("copilot", ""), ("vibe", "accept-edits")];

/// The adapter that a shipped file declares.
pub(super) fn example(name: &str) -> Arc<dyn Adapter> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("adapters/examples/{name}.json"));
    Arc::new(DeclaredAdapter::read(&path).unwrap())
}

/// A recording as records, with a new process at each handshake.
fn entries(name: &str, mode: &str) -> Vec<OwnedRecord> {
    let path = captures_folder().join(format!("agents/{name}.jsonl"));
    let lines = fs::read_to_string(path).unwrap();
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let options = WorkerOptions { permission_mode: Some(mode.to_owned()), ..WorkerOptions::default() };
    let mut entries = vec![OwnedRecord::created("acp", options)];
    for (at, line) in lines.iter().enumerate() {
        let (is_input, line) = (line["dir"] == "in", &line["line"]);
        if is_input && line["method"] == "initialize" {
            let resumed = |line: &Value| {
                ["session/load", "session/resume"].into_iter().find(|method| line["line"]["method"] == *method)?;
                line["line"]["params"]["sessionId"].as_str().map(str::to_owned)
            };
            let resumed = lines[at + 1..].iter().take(4).find_map(resumed);
            if at > 0 {
                entries.push(OwnedRecord::exited());
            }
            entries.extend([OwnedRecord::launching(resumed.as_deref()), OwnedRecord::started()]);
        }
        entries.push(OwnedRecord::new(if is_input { Kind::In } else { Kind::Out }, line.to_string()));
    }
    entries.push(OwnedRecord::exited());
    entries
}

fn captures_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captures")
}

/// All that an agent's recording gives.
fn events(name: &str, mode: &str) -> Vec<Value> {
    let mut reported = TestFold::ticking(&example(name));
    entries(name, mode).iter().for_each(|entry| reported.take(entry));
    reported.take_events()
}

#[test]
fn recorded_agents_give_the_events_beside_their_recordings() {
    let update = env::var_os("RS_WORKER_UPDATE_GOLDEN").is_some();
    for (name, mode) in AGENTS {
        let mut text = String::new();
        for event in events(name, mode).iter().filter(|event| event["type"] != "delta") {
            let _ = writeln!(text, "{}", compact(event));
        }
        let path = captures_folder().join(format!("agents/{name}.events"));
        if update {
            fs::write(&path, &text).unwrap();
        }
        let expected = fs::read_to_string(&path).unwrap_or_default();
        let first = text.lines().zip(expected.lines()).find(|(got, want)| got != want);
        assert!(text == expected, "{name}: first difference {first:?}");
    }
}

#[test]
fn recorded_agents_give_no_unknown_event() {
    for (name, mode) in AGENTS {
        // Answers to requests that were left out of a shortened recording are missing through no error of the fold.
        let is_gap = |event: &Value| event["content"].as_str().unwrap().contains("an answer to nothing");
        let unknown = events(name, mode).into_iter().find(|event| event["type"] == "unknown" && !is_gap(event));
        assert_eq!(unknown, None, "{name}");
    }
}

#[test]
fn recorded_tools_have_their_real_names() {
    let names = |agent: &str, mode: &str| {
        let calls = events(agent, mode).into_iter().filter(|event| event["type"] == "tool_call");
        let mut names: Vec<String> = calls.map(|call| call["name"].as_str().unwrap().to_owned()).collect();
        names.sort();
        names.dedup();
        names
    };
    assert_eq!(names("qwen", "auto"), ["run_shell_command", "write_file"]);
    // The last calls of these two are results without their beginnings.
    assert_eq!(names("codex-acp", "auto"), ["execute", "tool"]);
    assert_eq!(names("copilot", ""), ["execute", "tool"]);
    assert!(names("claude-agent-acp", "auto").iter().any(|name| name == "Bash"));
    assert!(names("vibe", "accept-edits").iter().any(|name| name == "bash"));
}

#[test]
fn recorded_prompts_show_the_command() {
    for (name, mode, command) in [
        ("copilot", "", "execute: rm made.txt"),
        ("codex-acp", "auto", "execute: rm made.txt"),
        ("vibe", "accept-edits", "bash: rm made.txt"),
        ("qwen", "auto", "run_shell_command: rm made.txt (x)"),
    ] {
        let prompts: Vec<Value> =
            events(name, mode).into_iter().filter(|event| event["type"] == "permission_request").collect();
        assert!(prompts.iter().any(|prompt| prompt["content"] == command), "{name}: {prompts:?}");
    }
}

#[test]
fn recorded_refusals_have_their_text() {
    let results = |name: &str, mode: &str| -> Vec<String> {
        let results = events(name, mode).into_iter().filter(|event| event["type"] == "tool_result");
        results.map(|result| result["content"].as_str().unwrap().to_owned()).collect()
    };
    assert!(results("copilot", "").iter().any(|text| text == "The user rejected this tool call."));
    assert!(results("codex-acp", "auto").iter().any(|text| text == "hi\n"));
}

#[test]
fn cumulative_tokens_are_counted_once() {
    for (name, mode) in [("copilot", ""), ("vibe", "accept-edits")] {
        let turns = events(name, mode).into_iter().filter(|event| event["type"] == "turn_completed");
        let input: u64 = turns.filter_map(|turn| turn["usage"]["input_tokens"].as_u64()).take(2).sum();
        assert_eq!(input, 15, "{name}: 5 tokens, then 15 in all");
    }
    let mut reported = started(&example("vibe"), WorkerOptions::default(), None);
    reported.answer_due(&super::fold::able(), None);
    reported.answer_due(&json!({"sessionId": "s1", "modes": {"currentModeId": "ask", "availableModes": []}}), None);
    let mut turn = |total: u64| {
        let id = super::fold::say(&mut reported, "hi");
        let usage = json!({"totalTokens": total, "inputTokens": total, "outputTokens": 0});
        reported.out(&json!({"jsonrpc": "2.0", "id": id, "result": {"stopReason": "end_turn", "usage": usage}}));
        reported.take_events().pop().unwrap()["usage"]["input_tokens"].as_u64().unwrap()
    };
    assert_eq!([turn(5), turn(15), turn(3)], [5, 10, 3], "a count that falls began anew");
}
