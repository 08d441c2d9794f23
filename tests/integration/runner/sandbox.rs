//! Workers in a sandbox of bubblewrap.

use std::fs;

use nix::sys::signal::Signal;
use serde_json::json;

use super::{STUBBORN, a_turn_with_a_killed_server, nothing_is_left, prepared, shim, started, written};
use crate::support::processes;
use crate::support::require::require_program;
use crate::support::wait::{DEADLINE, eventually};
use crate::support::workers::{TestWorker, run_script};

#[test]
fn sandbox_writes_the_project_only_and_hides_the_servers_files() {
    let Some(_) = require_program("bwrap") else { return };
    let mut server = prepared("sandbox", "bwrap,bwrap-offline");
    server.set_env("AUTH_TOKEN", "0123456789abcdef0123");
    server.set_env("SECRET_OF_THE_SERVER", "x");
    server.client = server.client.with("authorization", "Bearer 0123456789abcdef0123");
    server.start();
    let (data, etc) = (server.data_dir(), "/etc/rs-worker-test-file");
    let script = format!(
        "{{ touch here && echo project; touch {etc} 2>/dev/null || echo read-only; ls -A {} | wc -l; \
         env; cat /proc/net/dev; ls /proc | grep -c '^[0-9]'; echo end; }} > out",
        data.display()
    );
    let worker = TestWorker::create(
        &server,
        "program",
        &json!({"args": ["sh", "-c", script], "env": {"ODD": "a'b \"c\"\nd", "LD_PRELOAD": "/nowhere.so"}}),
    );
    let out = written(&server.project().join("out"));
    assert!(out.starts_with("project\nread-only\n0\n"), "{out}");
    assert!(out.contains("ODD=a'b \"c\"\nd\n") && out.contains("PATH=") && out.contains(&worker.id), "{out}");
    assert!(!out.contains("SECRET") && !out.contains("0123456789abcdef") && !out.contains("LC_RS"), "{out}");
    assert!(fs::read_to_string(server.project().join("out")).unwrap().contains("LD_PRELOAD=/nowhere.so"));
    let argv = started(&server, &worker)["argv"].to_string();
    assert!(!argv.contains("ODD"), "no variable stands on a command line: {argv}");
    let shown = server.get(&worker.path("")).expect(200).json();
    assert_eq!(shown["config"]["runner"], "bwrap");

    // The network is a choice among the allowed runners.
    let offline = json!({"args": ["sh", "-c", "{ cat /proc/net/dev; echo end; } > net"], "runner": "bwrap-offline"});
    TestWorker::create(&server, "program", &offline);
    let net = written(&server.project().join("net"));
    assert_eq!(net.lines().filter(|line| line.contains(':')).count(), 1, "the loopback alone: {net}");
    let body = json!({"name": "x", "project_path": server.project(), "ai_cli_type": "program", "runner": "none"});
    let reported = server.post("/api/workers", &body).expect(400).text();
    assert!(reported.contains("bwrap, bwrap-offline"), "{reported}");
}

#[test]
fn sandboxed_agent_asks_outlives_the_server_and_continues() {
    let Some(_) = require_program("bwrap") else { return };
    let mut server = prepared("sandbox-turn", "mine");
    let memory = server.home().join(".fake_cli");
    fs::create_dir(&memory).unwrap();
    fs::create_dir(server.dir().join("runners")).unwrap();
    let declared = json!({"from": "bwrap", "options": ["--bind", memory, memory]});
    fs::write(server.dir().join("runners/mine.json"), declared.to_string()).unwrap();
    server.start();
    a_turn_with_a_killed_server(&mut server);
}

#[test]
fn nothing_of_a_sandbox_remains_after_stop_or_shim_death() {
    let Some(_) = require_program("bwrap") else { return };
    let mut server = prepared("sandbox-stop", "bwrap");
    server.start();
    nothing_is_left(&server);
    // The same holds when no process is left to end it.
    let worker = run_script(&server, STUBBORN);
    eventually(DEADLINE, "it is up", || (server.processes_of(&worker.id).len() >= 4).then_some(()));
    let shim = shim(&server, &worker);
    server.kill9();
    assert!(processes::signal(&shim, Signal::SIGKILL));
    server.wait_no_processes_of(&worker.id);
}

#[test]
fn a_runner_that_cannot_be_is_reported_at_the_start() {
    for (runner, reported) in [
        ("nowhere", "unknown runner nowhere"),
        ("ssh", "needs a host"),
        ("ssh:-oProxyCommand=x", "can be nothing that ssh takes"),
        ("nomad:1", "needs the program nomad"),
    ] {
        let mut server = prepared("sandbox-wrong", runner);
        let (status, log) = server.start_in_vain();
        assert!(!status.success() && log.contains(reported), "{runner}: {log}");
    }
    let mut server = prepared("sandbox-file", "mine");
    fs::create_dir(server.dir().join("runners")).unwrap();
    fs::write(server.dir().join("runners/mine.json"), r#"{"command": ["env", "{comand}"]}"#).unwrap();
    let (status, log) = server.start_in_vain();
    assert!(!status.success() && log.contains("mine.json"), "{log}");
}
