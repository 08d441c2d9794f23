//! Records the real CLIs: `make record`, which rewrites files in `tests/captures`.
//!
//! Each scenario drives a CLI as a worker of the real server against the fake model, and makes recordings of the
//! worker's journal and of the CLI's own session files. The adapters' tests fold the recordings; their golden files are
//! rewritten with `RS_WORKER_UPDATE_GOLDEN=1` and reviewed by a person.

mod acp;
mod claude;
mod codex;
mod scrub;
mod stage;

use stage::{Scenario, Stage};

/// Selects the scenarios to record by a part of their names; all of them if it is not set.
const ONLY: &str = "RS_WORKER_RECORD";

fn record(begin: fn() -> Stage, scenarios: &[&[Scenario]]) {
    let only = std::env::var(ONLY).unwrap_or_default();
    for (name, script) in scenarios.iter().copied().flatten().filter(|(name, _)| name.contains(&only)) {
        eprintln!("recording {name}");
        script(&mut begin());
    }
}

#[test]
#[ignore = "rewrites recordings of Claude Code: make record"]
fn records_claude() {
    record(claude::stage, claude::SCENARIOS);
}

#[test]
#[ignore = "rewrites recordings of Codex: make record"]
fn records_codex() {
    record(codex::stage, codex::SCENARIOS);
}

#[test]
#[ignore = "rewrites recordings of Gemini CLI: make record"]
fn records_gemini() {
    record(acp::gemini, acp::SCENARIOS);
}

#[test]
#[ignore = "rewrites recordings of OpenCode: make record"]
fn records_opencode() {
    record(acp::opencode, acp::SCENARIOS);
}
