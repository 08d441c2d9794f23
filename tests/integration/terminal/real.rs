//! The screens of the real Claude Code, cell by cell as in tmux.

use std::fs;
use std::path::Path;

use serde_json::json;

use super::programs::Both;
use super::server;
use crate::support::clis;
use crate::support::model::{FakeModel, HELLO};
use crate::support::require::require_program;
use crate::support::server::TestServer;
use crate::support::workers::TestWorker;

const SIZE: (u16, u16) = (100, 30);
/// The part of a key that Claude Code stores when the key was approved.
const KEY_END: &str = "ake-0123456789abcdef";

/// A home in which no question is asked at the start.
fn home(path: &Path, project: &Path) {
    let trusted = json!({"hasTrustDialogAccepted": true, "hasCompletedProjectOnboarding": true});
    let settings = json!({
        "hasCompletedOnboarding": true,
        "theme": "dark",
        "customApiKeyResponses": {"approved": [KEY_END], "rejected": []},
        "projects": {project.to_str().unwrap(): trusted},
    });
    fs::create_dir_all(path).unwrap();
    fs::write(path.join(".claude.json"), settings.to_string()).unwrap();
}

/// Claude Code in both, each in its own home with nothing else of the environment.
fn claude(server: &TestServer, worker: &TestWorker, env: &[(&str, &str)], args: &[&str]) -> Both {
    let project = server.project().canonicalize().unwrap();
    let lines = ["one", "two"].map(|name| {
        let path = server.dir().join(name);
        home(&path, &project);
        let quiet = clis::quiet_env(&path).into_iter().map(|(name, value)| format!("{name}={value}"));
        let more = env.iter().map(|(name, value)| format!("{name}={value}"));
        let words = ["env", "-i", "TERM=xterm-256color", "COLORTERM=truecolor"].map(str::to_owned);
        let program = std::iter::once(clis::claude().to_str().unwrap().to_owned());
        let args = args.iter().map(|&arg| arg.to_owned());
        words.into_iter().chain(quiet).chain(more).chain(program).chain(args).collect::<Vec<String>>()
    });
    let [ours, theirs] = lines.each_ref().map(|line| line.iter().map(String::as_str).collect::<Vec<&str>>());
    Both::start_each(server, worker, [&ours, &theirs], SIZE)
}

#[test]
fn real_claude_login_shows_the_same_cells_as_in_tmux() {
    let Some(_) = require_program("tmux") else { return };
    let (server, worker) = server("terminal-login", &[]);
    let mut both = claude(&server, &worker, &[], &["/login"]);
    both.assert_same("the ways to log in", "Select login method");
    both.key("ArrowDown", "Down");
    both.assert_same("the second way", "\u{276f} 2.");
    both.key("Escape", "Escape");
    both.ours.wait("the end of the login", |it| !it.text().contains("Select login method"));
}

#[test]
fn real_claude_shows_the_same_cells_as_in_tmux() {
    let Some(_) = require_program("tmux") else { return };
    let model = FakeModel::start();
    let (server, worker) = server("terminal-claude", &[]);
    let url = model.url();
    let mut both =
        claude(&server, &worker, &[("ANTHROPIC_BASE_URL", &url), ("ANTHROPIC_API_KEY", clis::FAKE_KEY)], &[]);
    both.assert_same("the start", "Claude Code v");
    both.text("say hello");
    both.assert_same("a message that is written", "say hello");
    both.key("Enter", "Enter");
    // The duration is reported with a randomly chosen word.
    both.assert_same_without("the answer", HELLO, Some("\u{273b}"));
}
