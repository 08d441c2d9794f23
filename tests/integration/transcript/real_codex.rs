//! The real Codex in a separate terminal (`codex exec`): followed while it works, and taken over when it has ended.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::Signal;
use ruzstd::encoding::CompressionLevel;
use serde_json::json;

use super::take_over_and_recall;
use crate::support::clis;
use crate::support::model::{FakeModel, HELLO, Step};
use crate::support::processes;
use crate::support::server::TestServer;
use crate::support::wait::{DEADLINE, eventually};
use crate::support::workers::TestWorker;

/// A process of `codex exec` with these arguments; its output goes to a file in the server's directory.
fn exec(server: &TestServer, name: &str, args: &[&str]) -> (Child, PathBuf) {
    let output = server.dir().join(name);
    let file = fs::File::create(&output).unwrap();
    let child = Command::new(clis::real("codex"))
        .arg("exec")
        // Its sandbox needs its own programs in a home that is not among the temporary files.
        .args(["--sandbox", "danger-full-access"])
        .args(args)
        .current_dir(server.project())
        .env_clear()
        .envs(clis::quiet_env(&server.home()))
        .env("CODEX_TEST_KEY", clis::FAKE_KEY)
        .envs([server.mark()])
        .stdin(Stdio::null())
        .stdout(file.try_clone().unwrap())
        .stderr(file)
        .spawn()
        .unwrap();
    (child, output)
}

#[track_caller]
fn finish((mut child, output): (Child, PathBuf)) {
    let status = eventually(DEADLINE, "codex exec ends", || child.try_wait().unwrap());
    assert!(status.success(), "{status}: {}", fs::read_to_string(output).unwrap());
}

#[test]
fn real_codex_session_from_elsewhere_is_followed_and_taken_over() {
    let model = FakeModel::start();
    let mut server = TestServer::builder()
        .name("codex-elsewhere")
        .env("ENABLED_AI_CLIS", "codex")
        .env("CODEX_BINARY", clis::real("codex"))
        .env("CODEX_TEST_KEY", clis::FAKE_KEY)
        .env("STOP_GRACE_SECS", "2")
        .prepare();
    crate::real_codex_worker::configure(&server, &model);
    server.start();
    let first = exec(&server, "first", &["--skip-git-repo-check", "remember the word rhubarb"]);
    let listed = eventually(DEADLINE, "it is listed", || {
        let listed = server.get("/api/sessions").expect(200).json();
        listed["sessions"].as_array()?.iter().find(|found| found["ai_cli_type"] == "codex").cloned()
    });
    finish(first);
    let session = listed["session_id"].as_str().unwrap();
    let listed = server.get("/api/sessions").expect(200).json()["sessions"][0].clone();
    assert_eq!(listed["title"], "remember the word rhubarb", "{listed}");

    let made = server.post("/api/workers", &json!({"follow_session": session})).expect(201).json();
    assert_eq!(made["project_path"], json!(server.project().canonicalize().unwrap()));
    let worker = TestWorker { id: made["id"].as_str().unwrap().to_owned() };
    assert_eq!((&made["ai_cli_type"], &made["read_only"]), (&json!("codex"), &json!(true)));
    let mut live = worker.watch(&server);
    assert_eq!(live.wait_for_event("user", DEADLINE)["content"], "remember the word rhubarb");
    assert_eq!(live.wait_for_event("assistant", DEADLINE)["content"], HELLO);
    assert_eq!(worker.wait_turn(&server, 1)["result"], HELLO);

    // The same session again, with a command that waits until the follower has its event.
    let gate = server.project().join("go");
    let input = json!({"cmd": format!("while [ ! -e {} ]; do sleep 0.05; done; echo made", gate.display()),
                       "yield_time_ms": 20_000});
    let script = json!([{"tool": "exec_command", "input": input}, {"text": "Done."}]);
    let prompt = format!("<<{script}>>");
    let again = exec(&server, "again", &["--skip-git-repo-check", "resume", session, &prompt]);
    let call = live.wait_for_event("tool_call", DEADLINE);
    assert_eq!((&call["name"], &call["kind"]), (&json!("exec_command"), &json!("execute")));
    assert_eq!(worker.show(&server)["status"], "busy");
    let refused = worker.call(&server, "takeover").expect(409).json();
    assert!(refused["pid"].is_i64(), "its process lives and is found: {refused}");
    fs::write(&gate, "").unwrap();
    let result = live.wait_for_event("tool_result", DEADLINE);
    assert!(result["content"].as_str().unwrap().contains("made"), "{result}");
    finish(again);
    assert_eq!(worker.wait_turn(&server, 2)["result"], "Done.");

    take_over_and_recall(&server, &model, &worker, session);
}

#[test]
fn real_codex_session_killed_in_mid_turn_is_reported_interrupted() {
    let model = FakeModel::start();
    let mut server = TestServer::builder()
        .name("codex-killed-elsewhere")
        .env("ENABLED_AI_CLIS", "codex")
        .env("CODEX_BINARY", clis::real("codex"))
        .prepare();
    crate::real_codex_worker::configure(&server, &model);
    server.start();
    model.respond_with(Step::deltas(50).hold_after(5));
    let (mut child, _) = exec(&server, "killed", &["--skip-git-repo-check", "go on"]);
    model.wait_held(1);
    let listed = eventually(DEADLINE, "it is listed", || {
        server.get("/api/sessions").expect(200).json()["sessions"].as_array()?.first().cloned()
    });
    let session = listed["session_id"].as_str().unwrap();
    let made = server.post("/api/workers", &json!({"follow_session": session})).expect(201).json();
    let worker = TestWorker { id: made["id"].as_str().unwrap().to_owned() };
    worker.wait_status(&server, "busy");

    // The command is a script. A Node.js with `execve` has become the program; an older one has started it.
    let home = server.home();
    let own = child.id().cast_signed();
    let started = processes::with_env("HOME", home.to_str().unwrap());
    let program =
        started.into_iter().find(|process| process.parent == own).or_else(|| processes::process(own)).unwrap();
    assert!(!program.command.starts_with("node "), "the program runs: {program:?}");
    assert!(processes::signal(&program, Signal::SIGKILL));
    child.wait().unwrap();
    let ended = worker.wait_turn(&server, 1);
    assert_eq!((&ended["stop_reason"], &ended["is_error"]), (&json!("interrupted"), &json!(true)));
    worker.wait_status(&server, "idle");
    model.release();
}

/// Returns the transcript of a session, in Codex's folder.
fn rollout(server: &TestServer, session: &str) -> PathBuf {
    let mut folders = vec![server.home().join(".codex/sessions")];
    while let Some(folder) = folders.pop() {
        for entry in folder.read_dir().unwrap().flatten() {
            match entry.file_type().unwrap().is_dir() {
                true => folders.push(entry.path()),
                false if entry.path().to_str().unwrap().contains(session) => return entry.path(),
                false => {}
            }
        }
    }
    panic!("no transcript of {session}");
}

/// Compresses a transcript as Codex does when a session has been idle for a week.
fn pack(path: &std::path::Path) {
    let packed = ruzstd::encoding::compress_to_vec(&*fs::read(path).unwrap(), CompressionLevel::Fastest);
    fs::write(path.with_extension("jsonl.zst"), packed).unwrap();
    fs::remove_file(path).unwrap();
}

#[test]
fn real_codex_fork_shows_its_packed_parent_when_taken_over() {
    let model = FakeModel::start();
    let server = crate::real_codex_worker::start(&model);
    let parent = crate::real_codex_worker::create(&server, "on-request");
    parent.say(&server, "remember the word rhubarb");
    parent.wait_turn(&server, 1);
    let fork = parent.call(&server, "fork").expect(201).json();
    let fork = TestWorker { id: fork["id"].as_str().unwrap().to_owned() };
    fork.say(&server, "in the fork");
    fork.wait_turn(&server, 1);
    parent.say(&server, "after the fork");
    parent.wait_turn(&server, 2);
    let session = |worker: &TestWorker| worker.show(&server)["session_id"].as_str().unwrap().to_owned();
    let (parent_session, fork_session) = (session(&parent), session(&fork));
    for worker in [&parent, &fork] {
        worker.call(&server, "stop").expect(200);
    }
    let own = fs::read_to_string(rollout(&server, &fork_session)).unwrap();
    assert!(own.contains(r#""history_mode":"paginated""#), "the layout that this test is about");
    assert!(!own.contains("rhubarb"), "it begins at the fork");
    pack(&rollout(&server, &parent_session));
    pack(&rollout(&server, &fork_session));

    let listed = server.get("/api/sessions").expect(200).json();
    let listed = |id: &str| listed["sessions"].as_array().unwrap().iter().find(|it| it["session_id"] == id).cloned();
    assert_eq!(listed(&parent_session).unwrap()["title"], "remember the word rhubarb");
    assert_eq!(listed(&fork_session).unwrap()["title"], "in the fork");

    let made = server.post("/api/workers", &json!({"follow_session": fork_session})).expect(201).json();
    let worker = TestWorker { id: made["id"].as_str().unwrap().to_owned() };
    super::wait_said(&worker, &server, &["remember the word rhubarb", HELLO, "in the fork", HELLO]);
    assert_eq!(worker.show(&server)["session_id"], fork_session.as_str());
    let unknown = worker.events_of(&server, "unknown");
    assert!(unknown.is_empty(), "{unknown:#?}");

    super::take_over_and_recall(&server, &model, &worker, &fork_session);
}
