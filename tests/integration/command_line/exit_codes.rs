//! The exit codes of all commands, and their outputs that nobody reads.

use std::process::{Command, Stdio};

use serde_json::json;

use super::start;
use crate::support::server::TestServer;
use crate::support::workers::{TestWorker, server_for_programs};

/// Each command with arguments that it accepts; WORKER is the name of a worker.
const COMMANDS: &[&[&str]] = &[
    &["ls"],
    &["presets"],
    &["group"],
    &["permissions"],
    &["rules"],
    &["budgets"],
    &["schedules"],
    &["token", "ls"],
    &["audit"],
    &["login-link"],
    &["doctor"],
    &["man"],
    &["completions", "bash"],
    &["search", "hello"],
    &["logs", WORKER],
    &["export", WORKER],
    &["diff", WORKER],
    &["review", WORKER],
    &["restore", WORKER],
    &["commit", WORKER, "-m", "Describe the build"],
    &["update", WORKER],
    &["land", WORKER, "--merge"],
    &["push", WORKER],
    &["pr", WORKER],
    &["send", WORKER, "hello"],
    &["attach", WORKER],
    &["shell", WORKER],
    &["acp"],
    &["mcp"],
    &["import", "missing.jsonl"],
    &["handover", WORKER, "--cli", "unknown"],
    &["best", ".", "--prompt", "hello", "--attempt", "unknown"],
    &["prepare", WORKER],
    &["stop", WORKER],
    &["start", WORKER],
    &["new", "second", ".", "--cli", "unknown"],
    &["rm", WORKER],
    &["serve", "--port", "0", "--host", "nowhere"],
];

/// The name of the worker that commands are given.
const WORKER: &str = "bob";

/// Arguments that are wrong whatever the server says: missing ones, options without a value, and unknown values.
const MISTAKES: &[&[&str]] = &[
    &["unknown"],
    &["ls", "extra"],
    &["ls", "--status", "asleep"],
    &["new"],
    &["new", "bob", ".", "--set", "issue"],
    &["new", "bob", "--cli"],
    &["handover"],
    &["best", "."],
    &["best", ".", "--prompt", "hello"],
    &["group", "one", "win"],
    &["stop"],
    &["stop", "--all", "extra"],
    &["start"],
    &["prepare"],
    &["rm"],
    &["send", "bob"],
    &["attach"],
    &["shell"],
    &["acp", "extra"],
    &["logs"],
    &["mcp", "extra"],
    &["search"],
    &["search", "hello", "--kind", "song"],
    &["search", "hello", "--limit", "many"],
    &["export"],
    &["export", "bob", "pdf"],
    &["import"],
    &["diff"],
    &["review"],
    &["restore"],
    &["restore", "bob", "a", "b", "--dry-run"],
    &["commit", "bob"],
    &["update"],
    &["land", "bob"],
    &["push"],
    &["pr"],
    &["permissions", "maybe", "bob", "1"],
    &["rules", "add", "perhaps"],
    &["rules", "add", "allow"],
    &["rules", "add", "allow", "--name", "a", "--expires", "soon"],
    &["budgets", "add"],
    &["budgets", "add", "daily"],
    &["budgets", "add", "daily", "--cost", "much"],
    &["schedules", "add", "hello"],
    &["schedules", "add", "--name", "a", "hello"],
    &["schedules", "add", "--name", "a", "--at", "2d", "hello"],
    &["schedules", "add", "--name", "a", "--at", "soon", "--worker", "bob", "hello"],
    &["schedules", "add", "--name", "a", "--at", "2d", "--worker", "bob", "--busy", "wait", "hello"],
    &["schedules", "rm"],
    &["token"],
    &["token", "add", "ci"],
    &["token", "add", "ci", "--scope", "all"],
    &["token", "pair", "phone", "--scope", "answer", "--expires", "0d"],
    &["audit", "--limit", "many"],
    &["login-link", "extra"],
    &["doctor", "extra"],
    &["man", "extra"],
    &["presets", "extra"],
    &["completions"],
    &["completions", "tcsh"],
    &["serve", "--port", "high"],
    &["serve", "--port"],
    &["serve", "extra"],
];

/// Returns the names of all commands, from the help.
fn names(server: &TestServer) -> Vec<String> {
    let help = super::printed(server, &["--help"]);
    let commands = help.lines().skip_while(|line| !line.starts_with("Commands")).skip(1);
    let named = commands.filter_map(|line| line.strip_prefix("  rs-worker ")?.split(' ').next());
    named.filter(|name| *name != "COMMAND").map(str::to_owned).collect()
}

#[test]
fn wrong_arguments_end_every_command_with_two() {
    // No server runs: nothing of this is left to it.
    let server = server_for_programs("command-line-usage", &[]);
    for name in names(&server) {
        let (code, reported) = super::refused(&server, &[&name, "--what"]);
        assert!(code == 2 && reported.contains("--what"), "{name}: {code} {reported}");
        assert!(MISTAKES.iter().any(|words| words[0] == name), "{name} has no mistake in the table");
        assert!(COMMANDS.iter().chain(MISTAKES).any(|words| words[0] == name), "{name} is in no table");
    }
    for words in MISTAKES {
        let (code, reported) = super::refused(&server, words);
        assert!(code == 2 && reported.starts_with("rs-worker"), "{words:?}: {code} {reported}");
    }
}

#[test]
fn failures_end_every_command_with_one() {
    let server = server_for_programs("command-line-failures", &[]);
    let works_alone = ["man", "completions", "doctor", "mcp", "acp"];
    // Wrong by its arguments.
    let others = COMMANDS.iter().filter(|words| !works_alone.contains(&words[0]) && words[0] != "serve");
    for words in others {
        let (code, reported) = super::refused(&server, words);
        assert!(code == 1 && reported.starts_with("rs-worker"), "{words:?}: {code} {reported}");
    }
}

/// Returns a pipe that nobody reads.
fn unread() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

/// Runs a command whose output is left unread in one way, and checks that it ends as it chooses.
#[track_caller]
fn ends_well(mut command: Command, how: &str) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let reported = String::from_utf8_lossy(&output.stderr);
    let code = output.status.code();
    assert!(code.is_some_and(|code| code <= 3), "{command:?} with {how}: {code:?} {reported}");
    assert!(!reported.contains("panicked"), "{command:?} with {how}: {reported}");
}

#[test]
fn commands_survive_outputs_that_nobody_reads() {
    let server = start("command-line-unread", &[]);
    let commands =
        COMMANDS.iter().copied().chain(MISTAKES.iter().copied()).chain([&["--help"][..], &["--version"][..]]);
    for words in commands {
        let run = || {
            let mut command = server.command(words.iter().copied());
            command.env("EDITOR", "true");
            command
        };
        if words.contains(&WORKER) && !server.get("/api/workers").expect(200).json().to_string().contains(WORKER) {
            TestWorker::create(&server, "claude", &json!({"name": WORKER}));
        }
        let mut command = run();
        command.stdout(unread());
        ends_well(command, "a closed pipe on stdout");
        let mut command = run();
        command.stderr(unread());
        ends_well(command, "a closed pipe on stderr");
        for redirection in [">&-", "2>&-", ">/dev/full 2>/dev/full"] {
            let program = run();
            let mut command = Command::new("sh");
            command.args(["-c", &format!("exec \"$0\" \"$@\" {redirection}")]).arg(program.get_program());
            command.args(program.get_args()).env_clear().current_dir(program.get_current_dir().unwrap());
            command.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
            ends_well(command, redirection);
        }
    }
}
