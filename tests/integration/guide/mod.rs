//! The README and `docs/` are correct: their examples run unchanged, their links lead somewhere, and the tests that
//! they name exist.

mod commands;
mod examples;
mod links;
#[rustfmt::skip]
mod parrot;

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command as Process, Stdio};

use rs_worker::testing::adapter::{Action, Activity, Adapter, Command, LaunchRequest, Message, Session, SessionChoice};
use rs_worker::testing::clock::Micros;
use rs_worker::testing::journal::{Control, Kind, Record, WorkerOptions};
use serde_json::{Value, json};

use crate::support::clis;
use crate::support::server::TestServer;
use crate::support::workers::TestWorker;

fn project_file(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

/// The README and the files of `docs/`, by their paths in the project.
fn documents() -> Vec<String> {
    let mut names = vec!["README.md".to_owned()];
    for folder in ["docs", "docs/decisions"] {
        let entries = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).unwrap();
        let files = entries.map(|entry| format!("{folder}/{}", entry.unwrap().file_name().to_str().unwrap()));
        names.extend(files.filter(|name| Path::new(name).extension().is_some_and(|extension| extension == "md")));
    }
    names.sort();
    names
}

/// The code block marked with `name`, from whichever document has it.
fn block(name: &str) -> String {
    let mark = format!(" {name}\n");
    let texts: Vec<String> = documents().iter().map(|document| project_file(document)).collect();
    let mut found = texts.iter().filter_map(|text| text.split("```").skip(1).step_by(2).find(|it| has_mark(it, &mark)));
    let block = found.next().unwrap_or_else(|| panic!("no document has a block {name}"));
    assert!(found.next().is_none(), "two documents have a block {name}");
    block.split_once('\n').unwrap().1.to_owned()
}

fn has_mark(block: &str, mark: &str) -> bool {
    block.split_inclusive('\n').next().is_some_and(|first| first.ends_with(mark))
}

/// A server whose `adapters` folder has this block as a file, and whose PATH begins with `bin`.
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
fn documented_agent_in_a_file_answers_a_message() {
    assert_eq!(block("shell.json"), project_file("adapters/examples/shell.json"));
    let server = server_with("shell.json", &[]);
    let worker = TestWorker::create(&server, "shell", &json!({}));
    worker.say(&server, "hello");
    worker.wait_turn(&server, 1);
    assert_eq!(worker.events_of(&server, "assistant")[0]["content"], "You said: hello");
}

/// Runs a documented script in a directory, with the program in `PATH`. Returns its output.
#[track_caller]
fn run_block(server: &TestServer, dir: &Path, script: &str) -> String {
    let usual = server.command([]);
    let bin = server.dir().join("command");
    fs::create_dir(&bin).unwrap();
    std::os::unix::fs::symlink(usual.get_program(), bin.join("rs-worker")).unwrap();
    let mut bash = Process::new("bash");
    bash.args(["-c", &format!("set -euo pipefail\n{script}")]).current_dir(dir).env_clear();
    bash.envs(usual.get_envs().filter_map(|(name, value)| Some((name, value?))));
    bash.env("PATH", format!("{}:{}", bin.display(), std::env::var("PATH").unwrap()));
    let ran = bash.stdin(Stdio::null()).output().unwrap();
    let (said, reported) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success(), "{said}\n{reported}");
    said.into_owned()
}

#[test]
fn tour_prints_what_the_readme_says() {
    let server = server_with("shell.json", &[]);
    fs::create_dir_all(server.dir().join("target/demo/project")).unwrap();
    let said = run_block(&server, server.dir(), &block("tour"));
    assert!(said.lines().any(|line| line == "You said: hello"), "{said}");
    assert!(server.worker_ids().is_empty());
    assert!(project_file("Makefile").contains("cp adapters/examples/shell.json target/demo/adapters/"));
}

#[test]
fn documented_commands_run_unchanged() {
    let server = server_with("shell.json", &[]);
    let said = run_block(&server, &server.project(), &block("command-line"));
    for wanted in ["You said: hello from here", "You said: hello from a pipe", "> and another", "You said: and another"]
    {
        assert!(said.contains(wanted), "{wanted}: {said}");
    }
    let kept = fs::read_to_string(server.project().join("notes.md")).unwrap();
    assert!(kept.contains("hello from a pipe"), "{kept}");
    let [imported] = &server.worker_ids()[..] else { panic!("one worker is left: {said}") };
    assert!(said.trim_end().ends_with(imported.as_str()), "import tells its id: {said}");
}

#[test]
fn short_api_example_runs_with_the_demo_agent() {
    let server = server_with("shell.json", &[]);
    let script = block("api-short").replace("127.0.0.1:7788", &server.addr().to_string());
    let printed = run_block(&server, &server.project(), &script);
    assert!(printed.contains("\"content\":\"You said: hello\""), "{printed}");
    assert!(server.worker_ids().is_empty(), "{printed}");
}

#[test]
fn documented_acp_agent_asks_and_ends_its_turn() {
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

/// Folds one record; returns its events as type and text.
fn take(session: &mut dyn Session, seq: u64, kind: Kind, payload: &[u8]) -> Vec<(String, String)> {
    let record = Record { seq, time: Micros(1), kind, payload, len: payload.len() as u64 + 22 };
    let control = (kind == Kind::Ctl).then(|| Control::from_json(payload));
    let mut events = Vec::new();
    session.record(&record, control.as_ref(), &mut events);
    events.into_iter().map(|event| (event.body.name().to_owned(), event.content.into_owned())).collect()
}

fn pair(kind: &str, text: &str) -> (String, String) {
    (kind.to_owned(), text.to_owned())
}

#[test]
fn documented_adapter_in_code_answers_a_message() {
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
    let reported = take(&mut *session, 200, Kind::Out, output.trim_end().as_bytes());
    assert_eq!(reported, [pair("assistant", "hello world"), pair("turn_completed", "Turn ended")]);
    assert_eq!(session.activity(), Activity::Idle);
    take(&mut *session, 300, Kind::In, b"x");
    let exit = Control::ShimLost { ended: Vec::new(), imported: false }.to_json();
    assert_eq!(take(&mut *session, 400, Kind::Ctl, &exit), [pair("turn_completed", "Turn ended")]);
}

/// Returns the rows of a document's table of CLIs and features: the feature, and the cells in the order of the CLIs.
fn matrix(document: &str) -> Vec<(String, Vec<String>)> {
    let text = project_file(document);
    let rows =
        text.lines().skip_while(|line| !line.starts_with("| feature |")).take_while(|line| line.starts_with('|'));
    let cells = |row: &str| row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
    rows.map(cells).map(|mut cells| (cells.remove(0), cells)).collect()
}

#[test]
fn every_capability_names_tests_that_exist() {
    let rows = matrix("docs/proofs.md");
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
        "fork",
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
fn capability_ticks_are_those_that_tests_prove() {
    let proofs = matrix("docs/proofs.md");
    let ticks = matrix("docs/agents.md");
    assert_eq!(ticks.len(), proofs.len());
    for ((feature, cells), (proved, names)) in ticks.iter().zip(&proofs).skip(2) {
        assert_eq!(feature, proved);
        for (tick, name) in cells.iter().zip(names) {
            assert_eq!(tick == "✓", name.starts_with("real:"), "{feature}: {tick} and {name}");
        }
    }
}

#[test]
fn every_promise_names_tests_that_exist() {
    let proofs = project_file("docs/proofs.md");
    let rows = proofs.lines().skip_while(|line| !line.starts_with("| promise |")).skip(2);
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
fn document_names_exactly_the_kinds_left_raw() {
    let agents = project_file("docs/agents.md");
    let rows = agents.lines().skip_while(|line| !line.starts_with("| kind left raw |")).skip(2);
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
    // The expressions by which the tests of each adapter find their captures; files of declared adapters are named
    // there.
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
            // Session files of the CLIs, and the state files of Claude Code, are not output.
            let own_file = name.contains(".transcript.") || stem == "sessions_pid_status" || stem == "README";
            let folded = if live { has(".journal") } else { declared.contains(&format!("\"{cli}/{stem}\"")) };
            if !own_file && !folded {
                forgotten.push(format!("{cli}/{name}"));
            }
        }
    }
    assert_eq!(forgotten, Vec::<String>::new());
}

#[test]
fn documented_agent_files_are_valid_json() {
    for name in ["shell.json", "my-agent.json"] {
        serde_json::from_str::<Value>(&block(name)).unwrap();
    }
}
