//! The reference's own Python example, with its own libraries, unchanged except for the port and the project's path. It
//! needs `make install-test-deps`, so the names begin with `real_`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::support::clis;
use crate::support::model::{FakeModel, HELLO};
use crate::support::server::{TestServer, wait_file};
use crate::wire::builder;

const EXAMPLE: &str = include_str!("../python/reference_example.py");

/// The running example. It never ends on its own.
struct Example {
    child: Child,
    printed: PathBuf,
}

impl Drop for Example {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn run(server: &TestServer) -> Example {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/venv/bin/python");
    assert!(python.exists(), "{} is missing: run `make install-test-deps` first", python.display());
    let port = format!("localhost:{}", server.addr().port());
    let text = EXAMPLE.replace("localhost:7788", &port).replace("/path/to/project", server.project().to_str().unwrap());
    let script = server.dir().join("example.py");
    fs::write(&script, text).unwrap();
    let printed = server.dir().join("example.out");
    let out = File::create(&printed).unwrap();
    let child = Command::new(python)
        .arg("-u")
        .arg(script)
        .env_clear()
        .stdin(Stdio::null())
        .stdout(out.try_clone().unwrap())
        .stderr(out)
        .spawn()
        .unwrap();
    Example { child, printed }
}

/// Returns the lines that the example has printed by the end of the turn.
fn by_the_turns_end(example: &Example) -> Vec<String> {
    wait_file(&example.printed, "'type': 'turn_completed'").lines().map(str::to_owned).collect()
}

#[track_caller]
fn assert_answered(lines: &[String], answer: &str) {
    assert!(lines[0].starts_with("{'type': 'connected'") || lines[0].contains("'type': 'connected'"), "{lines:#?}");
    assert!(lines.iter().all(|line| line.starts_with('{')), "no traceback: {lines:#?}");
    let has = |parts: &[&str]| lines.iter().any(|line| parts.iter().all(|part| line.contains(part)));
    assert!(has(&["'type': 'event'", "'type': 'user'", "'Hello, AI!'"]), "{lines:#?}");
    assert!(has(&["'type': 'output'", "'type': 'assistant'", answer]), "{lines:#?}");
}

#[test]
fn real_python_libraries_drive_the_fake_claude() {
    let server = builder().start();
    let example = run(&server);
    assert_answered(&by_the_turns_end(&example), "'You said: Hello, AI!'");
    let workers = server.get("/api/workers").json()["workers"].clone();
    assert_eq!(workers[0]["name"], "test-worker");
}

#[test]
fn real_python_libraries_drive_the_real_claude() {
    let model = FakeModel::start();
    let prepared = TestServer::builder().env("CLAUDE_BINARY", clis::claude()).prepare();
    let env = clis::claude_env(&prepared.home(), &model.url());
    drop(prepared);
    let server = TestServer::builder()
        .envs(env.into_iter().filter(|(name, _)| !matches!(name.as_str(), "PATH" | "HOME" | "LANG")))
        .env("CLAUDE_BINARY", clis::claude())
        .start();
    let example = run(&server);
    assert_answered(&by_the_turns_end(&example), HELLO);
}
