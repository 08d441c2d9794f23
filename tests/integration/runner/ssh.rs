//! Workers behind a real sshd on loopback, with its own keys and settings.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::json;

use super::{a_turn_with_a_killed_server, nothing_is_left, prepared, started, written};
use crate::support::processes;
use crate::support::server::TestServer;
use crate::support::sshd::Sshd;
use crate::support::wait::{DEADLINE, eventually};
use crate::support::workers::{TestWorker, run_script};

const ODD: &str = "a'b\\ \"$HOME\" `id` \né*";

/// A server whose workers run behind `sshd`.
fn server(name: &str, sshd: &Sshd) -> TestServer {
    let server = prepared(name, "there");
    fs::create_dir(server.dir().join("runners")).unwrap();
    let declared = json!({"from": "ssh", "argument": "there", "options": ["-F", sshd.config()]});
    fs::write(server.dir().join("runners/there.json"), declared.to_string()).unwrap();
    server
}

#[test]
fn folder_words_and_variables_reach_the_other_machine_unchanged() {
    let Some(sshd) = Sshd::start() else { return };
    let mut server = server("ssh-odd", &sshd);
    server.set_env("SECRET_OF_THE_SERVER", "x");
    server.start();
    let project = server.project().join(ODD);
    fs::create_dir(&project).unwrap();
    let script = r#"{ printf '%s\n%s\n%s\n' "$ODD" "$1" "$PWD"; env; echo end; } > out"#;
    let more = json!({"args": ["sh", "-c", script, "sh", ODD], "project_path": project, "env": {"ODD": ODD}});
    let worker = TestWorker::create(&server, "program", &more);
    let out = written(&project.join("out"));
    assert!(out.starts_with(&format!("{ODD}\n{ODD}\n{}\n", project.display())), "{out}");
    assert!(out.contains("SSH_CONNECTION=127.0.0.1") && !out.contains("SECRET_OF"), "{out}");
    let argv = started(&server, &worker)["argv"].to_string();
    assert!(!argv.contains("ODD="), "no variable stands on a command line: {argv}");
    // Files on the other machine are not searched for here.
    let absent = json!({"name": "x", "project_path": "/no/such/folder", "ai_cli_type": "claude"});
    let id = server.post("/api/workers", &absent).expect(201).json()["id"].as_str().unwrap().to_owned();
    let failed = server.wait_status(&id, "failed");
    assert!(failed["reason"].to_string().contains("126"), "{failed}");
    let up = json!({"name": "x", "project_path": "/srv/../etc", "ai_cli_type": "claude"});
    server.post("/api/workers", &up).expect(400);
    let tree = json!({"name": "x", "project_path": project, "ai_cli_type": "claude", "worktree": true});
    server.post("/api/workers", &tree).expect(400);
}

#[test]
fn remote_agent_asks_outlives_the_server_and_continues() {
    let Some(sshd) = Sshd::start() else { return };
    let mut server = server("ssh-turn", &sshd);
    server.start();
    a_turn_with_a_killed_server(&mut server);
}

#[test]
fn nothing_remains_on_another_machine_after_stop_or_disconnect() {
    let Some(sshd) = Sshd::start() else { return };
    let mut server = server("ssh-stop", &sshd);
    server.start();
    nothing_is_left(&server);
    // The same command line without a shim: no process on this side ends the remote ones when ssh is killed.
    let worker = run_script(&server, "sleep 1000");
    let started = started(&server, &worker);
    worker.call(&server, "stop").expect(200);
    let argv: Vec<&str> = started["argv"].as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
    let mut ssh = Command::new(argv[0])
        .args(&argv[1..])
        .env("LC_RS_WORKER_ENV", "A=1")
        .current_dir(Path::new("/"))
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    eventually(DEADLINE, "it runs there", || (!server.processes_of(&worker.id).is_empty()).then_some(()));
    ssh.kill().unwrap();
    ssh.wait().unwrap();
    server.wait_no_processes_of(&worker.id);
    // The remote shell that ends the others does not carry the worker's tag, and exits a moment after the last of them.
    eventually(DEADLINE, "the shell there has ended", || {
        processes::find(|_| false, |command| command.contains(&worker.id)).is_empty().then_some(())
    });
}
