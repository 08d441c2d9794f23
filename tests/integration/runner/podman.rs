//! Workers in containers of a real Podman.

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::{STUBBORN, a_turn_with_a_killed_server, cli, prepared, start_with_token, started, written};
use crate::support::clis;
use crate::support::podman::{IMAGE, Podman};
use crate::support::processes;
use crate::support::server::TestServer;
use crate::support::wait::{DEADLINE, eventually};
use crate::support::workers::{TestWorker, run_script};

/// A server whose workers run in containers. The stand-in for Claude Code is in the project's folder.
fn server(name: &str, podman: &Podman) -> TestServer {
    let mut server = prepared(name, &format!("podman:{IMAGE}"));
    for (variable, value) in podman.variables() {
        server.set_env(variable, &value);
    }
    start_with_token(&mut server);
    server
}

#[track_caller]
fn wait_containers(podman: &Podman, wanted: &[String]) {
    eventually(DEADLINE, "Podman has these containers alone", || (podman.containers() == wanted).then_some(()));
}

#[test]
fn container_command_line_carries_no_key() {
    let Some(podman) = Podman::start(&[]) else { return };
    let server = server("podman-odd", &podman);
    let script = "{ printf '%s\n' \"$KEY\" \"$PWD\"; ls /; env; echo end; } > out; sleep 1000";
    let more = json!({"args": ["sh", "-c", script], "env": {"KEY": "a'b $x"}});
    let worker = TestWorker::create(&server, "program", &more);
    let out = written(&server.project().join("out"));
    assert!(out.starts_with(&format!("a'b $x\n{}\n", server.project().display())), "{out}");
    assert!(!out.contains("\nroot\n") && !out.contains("AUTH_TOKEN"), "the machine is not there: {out}");
    let argv = started(&server, &worker)["argv"].to_string();
    assert!(!argv.contains("a'b"), "{argv}");
    let name = format!("rs-worker-{}", worker.id);
    assert!(!podman.inspect(&name)[0]["Config"]["Cmd"].to_string().contains("a'b"));
    worker.call(&server, "stop").expect(200);
    assert_eq!(podman.containers(), [""; 0], "stop means stopped");
}

#[test]
fn agent_in_a_container_asks_outlives_the_server_and_continues() {
    let Some(podman) = Podman::start(&[&clis::fake_cli()]) else { return };
    let mut server = server("podman-turn", &podman);
    a_turn_with_a_killed_server(&mut server);
    wait_containers(&podman, &[]);
}

#[test]
fn container_of_a_killed_client_is_removed() {
    let Some(podman) = Podman::start(&[&clis::fake_cli()]) else { return };
    let server = server("podman-lost", &podman);
    let worker = TestWorker::create(&server, "claude", &json!({"env": {"HOME": server.home()}}));
    let pid = worker.wait_status(&server, "idle")["pid"].as_i64().unwrap();
    assert!(processes::signal(&processes::process(pid as i32).unwrap(), Signal::SIGKILL));
    worker.wait_status(&server, "failed");
    wait_containers(&podman, &[]);
    worker.say(&server, "hello");
    assert_eq!(worker.wait_turn(&server, 1)["is_error"], Value::Bool(false));
    worker.call(&server, "stop").expect(200);
    let stubborn = run_script(&server, STUBBORN);
    eventually(DEADLINE, "it is up", || std::fs::metadata(server.project().join("ups")).ok());
    stubborn.call(&server, "stop").expect(200);
    assert_eq!((cli(&stubborn), podman.containers()), (Vec::new(), Vec::new()), "stop means stopped");
}
