//! The README's section on adapters is true: its examples are run as they stand there, and each test that its table of
//! CLIs and features names is there.

mod commands;
mod examples;
#[rustfmt::skip]
mod parrot;

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command as Process, Stdio};

use rs_worker::adapter::{Action, Activity, Adapter, Command, LaunchRequest, Message, Session, SessionChoice};
use rs_worker::clock::Micros;
use rs_worker::event::Event;
use rs_worker::journal::{Control, Kind, Record, WorkerOptions};
use serde_json::{Value, json};

use crate::support::clis;
use crate::support::server::TestServer;
use crate::support::workers::TestWorker;

fn project_file(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

/// The block of the README that is marked with `name`.
fn block(name: &str) -> String {
    let readme = project_file("README.md");
    let (_, rest) = readme.split_once(&format!(" {name}\n")).unwrap_or_else(|| panic!("README.md has no block {name}"));
    rest.split_once("```").unwrap().0.to_owned()
}

/// A server whose `adapters` folder has this file of the README, and whose PATH begins with `bin`.
fn server_with(file: &str, bin: &[(&str, String)]) -> TestServer {
    let builder =
        TestServer::builder().name("guide").env("CLAUDE_BINARY", clis::fake_cli()).env("STOP_GRACE_SECS", "1");
    let mut server = builder.prepare();
    let (adapters, programs) = (server.dir().join("adapters"), server.dir().join("bin"));
    fs::create_dir_all(&adapters).unwrap();
    fs::create_dir_all(&programs).unwrap();
    fs::write(adapters.join(file), block(file)).unwrap();
    for (name, script) in bin {
        fs::write(programs.join(name), script).unwrap();
        fs::set_permissions(programs.join(name), fs::Permissions::from_mode(0o700)).unwrap();
    }
    server.set_env("PATH", &format!("{}:{}", programs.display(), std::env::var("PATH").unwrap()));
    server.start();
    server
}

#[test]
fn the_readmes_cli_by_a_file_answers_a_message() {
    let server = server_with("shell.json", &[]);
    let worker = TestWorker::create(&server, "shell", &json!({}));
    worker.say(&server, "hello");
    worker.wait_turn(&server, 1);
    assert_eq!(worker.events_of(&server, "assistant")[0]["content"], "You said: hello");
}

/// States of a message that was just sent; which one is told depends on how fast the agent is.
const STATES: [&str; 3] = ["queued", "delivered", "consumed"];

/// Text in which what differs from run to run is the same: ids, numbers, and how far a message has come.
fn masked(text: &str) -> String {
    let mut masked = String::new();
    for line in text.trim().lines() {
        for word in line.split_inclusive(|c: char| !c.is_ascii_alphanumeric() && c != '-') {
            let (inner, end) =
                word.split_at(word.trim_end_matches(|c: char| !c.is_ascii_alphanumeric() && c != '-').len());
            let is_number = !inner.is_empty() && inner.bytes().all(|byte| byte.is_ascii_digit());
            let varies = is_number || inner.len() == 36 || STATES.contains(&inner);
            masked.push_str(if varies { "#" } else { inner });
            masked.push_str(end);
        }
        masked.push('\n');
    }
    masked
}

#[test]
fn the_readmes_tour_prints_what_it_says() {
    let server = server_with("shell.json", &[]);
    let tour = block("tour");
    let (mut script, mut wanted) = (String::from("set -eu\n"), String::new());
    for line in tour.lines() {
        match line.strip_prefix("$ ") {
            Some(command) => script.push_str(&format!("{command}\n")),
            None => wanted.push_str(&format!("{line}\n")),
        }
    }
    let script = script.replace("127.0.0.1:7788", &server.addr().to_string());
    let ran = Process::new("bash").args(["-c", &script]).current_dir(server.dir()).output().unwrap();
    let (said, told) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert_eq!(masked(&said), masked(&wanted), "{script}\n{told}");
}

#[test]
fn the_readmes_command_line_runs_as_it_stands_there() {
    let server = server_with("shell.json", &[]);
    let usual = server.command([]);
    let bin = server.dir().join("command");
    fs::create_dir(&bin).unwrap();
    std::os::unix::fs::symlink(usual.get_program(), bin.join("rs-worker")).unwrap();
    let script = format!("set -euo pipefail\n{}", block("command-line"));
    let mut bash = Process::new("bash");
    bash.args(["-c", &script]).current_dir(server.dir()).env_clear();
    bash.envs(usual.get_envs().filter_map(|(name, value)| Some((name, value?))));
    bash.env("PATH", format!("{}:{}", bin.display(), std::env::var("PATH").unwrap()));
    let ran = bash.stdin(Stdio::null()).output().unwrap();
    let (said, told) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success(), "{said}\n{told}");
    for wanted in ["You said: hello from here", "You said: hello from a pipe", "> and another", "You said: and another"]
    {
        assert!(said.contains(wanted), "{wanted}: {said}\n{told}");
    }
    let kept = fs::read_to_string(server.dir().join("notes.md")).unwrap();
    assert!(kept.contains("hello from a pipe"), "{kept}");
    let [imported] = &server.worker_ids()[..] else { panic!("one worker is left: {said}") };
    assert!(said.trim_end().ends_with(imported.as_str()), "import tells its id: {said}");
}

#[test]
fn the_readmes_agent_by_one_entry_asks_is_answered_and_ends_its_turn() {
    let agent = format!("#!/bin/sh\n[ \"$1\" = --acp ] && exec '{}' acp\n", clis::fake_cli().display());
    let server = server_with("my-agent.json", &[("my-agent", agent)]);
    let worker = TestWorker::create(&server, "my-agent", &json!({}));
    worker.say(&server, "permission");
    let prompt = worker.wait_prompt(&server);
    worker.answer(&server, &prompt, &json!({"option_id": "allow"})).expect(200);
    assert_eq!(worker.wait_turn(&server, 1)["stop_reason"], "end_turn");
    let said = worker.events_of(&server, "assistant").pop().unwrap();
    assert_eq!(said["content"], "It was allowed.");
}

/// Folds one record; gives what it told, as type and text.
fn take(session: &mut dyn Session, seq: u64, kind: Kind, payload: &[u8]) -> Vec<(String, String)> {
    let record = Record { seq, time: Micros(1), kind, payload, len: payload.len() as u64 + 22 };
    let control = (kind == Kind::Ctl).then(|| Control::from_json(payload));
    let mut told = Vec::new();
    let mut sink = |event: Event<'_>| told.push((event.body.name().to_owned(), event.content.into_owned()));
    session.record(&record, control.as_ref(), &mut sink);
    told
}

fn pair(kind: &str, text: &str) -> (String, String) {
    (kind.to_owned(), text.to_owned())
}

#[test]
fn the_readmes_cli_by_code_is_the_one_that_runs_here_and_answers_a_message() {
    assert_eq!(block("parrot.rs").trim(), project_file("tests/integration/guide/parrot.rs").trim());
    let adapter = parrot::Parrot::default();
    let options = WorkerOptions::default();
    let request =
        LaunchRequest { project_path: Path::new("/"), options: &options, session: SessionChoice::New("ours") };
    let launch = adapter.launch(&request).unwrap();
    let mut session = adapter.open();
    let message = Message { id: "m1", content: "hello\nworld", attachments: &[] };
    let Ok(Action::Write(lines)) = session.encode(&Command::Message(&message)) else { panic!("it takes messages") };
    assert_eq!(take(&mut *session, 100, Kind::In, &lines[0]), [pair("turn_started", "Turn started")]);
    assert_eq!(session.activity(), Activity::Busy);

    let mut child =
        Process::new(&launch.program).args(&launch.args).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    // Closing its stdin ends it, as `stop_by_eof` says.
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&[&lines[0], &b"\n"[..]].concat()).unwrap();
    drop(stdin);
    let mut output = String::new();
    child.stdout.take().unwrap().read_to_string(&mut output).unwrap();
    assert!(child.wait().unwrap().success() && launch.stop_by_eof);

    let mut session = adapter.restore(&session.save()).expect("a saved fold is restored");
    let told = take(&mut *session, 200, Kind::Out, output.trim_end().as_bytes());
    assert_eq!(told, [pair("assistant", "hello world"), pair("turn_completed", "Turn ended")]);
    assert_eq!(session.activity(), Activity::Idle);
    take(&mut *session, 300, Kind::In, b"x");
    let exit = Control::ShimLost { ended: Vec::new() }.to_json();
    assert_eq!(take(&mut *session, 400, Kind::Ctl, &exit), [pair("turn_completed", "Turn ended")]);
}

/// The rows of the README's table of CLIs and features: the feature, and the cells in the order of the CLIs.
fn matrix() -> Vec<(String, Vec<String>)> {
    let readme = project_file("README.md");
    let rows =
        readme.lines().skip_while(|line| !line.starts_with("| feature |")).take_while(|line| line.starts_with('|'));
    let cells = |row: &str| row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
    rows.map(cells).map(|mut cells| (cells.remove(0), cells)).collect()
}

#[test]
fn every_cell_of_the_readmes_table_of_features_names_tests_that_exist_or_says_what_is_missing() {
    let rows = matrix();
    assert_eq!(rows[0].1, ["Claude Code", "OpenCode", "Codex", "Gemini CLI"]);
    let features: Vec<&str> = rows[2..].iter().map(|(feature, _)| feature.as_str()).collect();
    let wanted = [
        "start",
        "message",
        "deltas",
        "tools",
        "permission allowed",
        "permission denied",
        "interrupt",
        "resume",
        "model switch",
        "usage",
        "error",
        "sessions listed and resumed",
        "transcript",
    ];
    assert_eq!(features, wanted);
    let known = all_test_names();
    let ways = ["real:", "captures:", "not yet:", "not offered:"];
    for (feature, cells) in &rows[2..] {
        assert_eq!(cells.len(), 4, "{feature}");
        for cell in cells {
            let way = ways.iter().find(|way| cell.starts_with(**way)).unwrap_or_else(|| panic!("{feature}: {cell}"));
            let named: Vec<&str> = cell.split('`').skip(1).step_by(2).collect();
            assert!(way.starts_with("not") || !named.is_empty(), "{feature}: {cell} names no test");
            for name in named {
                assert!(known.contains(name), "{feature}: there is no test {name}");
                assert!(*way != "real:" || name.starts_with("real_"), "{feature}: {name} runs no real CLI");
            }
        }
    }
}

#[test]
fn every_promise_of_the_readme_names_tests_that_exist() {
    let readme = project_file("README.md");
    let rows = readme.lines().skip_while(|line| !line.starts_with("| promise |")).skip(2);
    let rows: Vec<&str> = rows.take_while(|line| line.starts_with('|')).collect();
    assert!(rows.len() >= 8, "the table of promises is there");
    let known = all_test_names();
    for row in rows {
        let tests = row.split('|').nth(2).unwrap_or_default();
        let named: Vec<&str> = tests.split('`').skip(1).step_by(2).collect();
        assert!(!named.is_empty(), "no test keeps this promise: {row}");
        for name in named {
            assert!(known.contains(name), "there is no test {name}");
        }
    }
}

fn all_test_names() -> BTreeSet<String> {
    let mut known = BTreeSet::new();
    for dir in ["src", "tests"] {
        test_names(&Path::new(env!("CARGO_MANIFEST_DIR")).join(dir), &mut known);
    }
    known
}

/// The names of all functions under a `#[test]` below `dir`.
fn test_names(dir: &Path, names: &mut BTreeSet<String>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            test_names(&path, names);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            for after in text.split("#[test]").skip(1) {
                let name = after.split_once("fn ").map(|(_, rest)| rest.split('(').next().unwrap().to_owned());
                names.extend(name);
            }
        }
    }
}

#[test]
fn the_readme_names_the_kinds_of_lines_that_are_left_raw_and_no_others() {
    let readme = project_file("README.md");
    let rows = readme.lines().skip_while(|line| !line.starts_with("| kind left raw |")).skip(2);
    let rows = rows.take_while(|line| line.starts_with('|'));
    let named: BTreeSet<String> = rows.map(|row| row.split('`').nth(1).unwrap().to_owned()).collect();
    let mut found = BTreeSet::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captures");
    for cli in ["claude", "opencode", "codex", "gemini"] {
        for entry in fs::read_dir(folder.join(cli)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "events") {
                let events = fs::read_to_string(&path).unwrap();
                for line in events.lines().filter(|line| line.starts_with("unknown ")) {
                    let kind = named.iter().find(|kind| line.contains(&format!(" {kind}")));
                    found.insert(kind.unwrap_or_else(|| panic!("{}: {line}", path.display())).clone());
                }
            }
        }
    }
    assert_eq!(found, named);
}

#[test]
fn every_capture_is_folded_by_some_test() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captures");
    // How the tests of each adapter find their captures; the files that the declared adapters read are named there.
    let declared = project_file("src/adapter/declared/tests/captures.rs");
    let mut forgotten = Vec::new();
    for cli in ["claude", "opencode", "codex", "gemini"] {
        for entry in fs::read_dir(folder.join(cli)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let stem = name.split('.').next().unwrap();
            let live = match cli {
                "claude" => true,
                "codex" => stem.starts_with("app_"),
                _ => stem.starts_with("acp_"),
            };
            let has = |suffix: &str| folder.join(cli).join(format!("{stem}{suffix}")).exists();
            // Session files that the CLIs wrote for themselves, and the state files of Claude Code, are no output.
            let own_file = name.contains(".transcript.") || stem == "sessions_pid_status" || stem == "README";
            let folded = if live {
                has(".stdin.jsonl") || has(".journal")
            } else {
                declared.contains(&format!("\"{cli}/{stem}\""))
            };
            if !own_file && !folded {
                forgotten.push(format!("{cli}/{name}"));
            }
        }
    }
    assert_eq!(forgotten, Vec::<String>::new());
}

#[test]
fn the_guides_blocks_are_valid_json() {
    for name in ["shell.json", "my-agent.json"] {
        serde_json::from_str::<Value>(&block(name)).unwrap();
    }
}
