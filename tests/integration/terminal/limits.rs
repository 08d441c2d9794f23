//! Floods, several clients, kills, limits and the end of terminals.

use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

use super::client::Terminal;
use super::{BASH, listed, open, server};
use crate::support::processes;
use crate::support::server::TestServer;
use crate::support::wait::{DEADLINE, eventually};
use crate::support::workers::TestWorker;

const SIZE: (u16, u16) = (80, 24);

/// The processes of a terminal, by its tag.
fn of_terminal(worker: &TestWorker, id: &str) -> Vec<processes::Process> {
    processes::with_env("RS_WORKER_ID", &format!("{}-t-{id}", worker.id))
}

#[test]
fn screen_is_there_after_the_server_was_killed() {
    let (mut server, worker) = server("terminal-kill", &[]);
    let mut terminal = open(&server, &worker, &BASH, SIZE);
    terminal.type_text("x=remembered; echo be''fore\r");
    terminal.wait_text("before");
    server.kill9();
    server.start();
    assert_eq!(listed(&server, &worker), [terminal.id.clone()]);
    let mut again = Terminal::connect(&server, &worker, &terminal.id, SIZE);
    again.wait_text("before");
    again.type_text("echo $x\r");
    again.wait_text("\nremembered");
}

#[test]
fn two_clients_see_the_same_and_the_last_size_wins() {
    let (server, worker) = server("terminal-two", &[]);
    let mut first = open(&server, &worker, &BASH, SIZE);
    let mut second = Terminal::connect(&server, &worker, &first.id, (60, 20));
    first.wait("the size of the second", |it| it.last["cols"] == 60 && it.rows.len() == 20);
    second.type_text("stty size; echo from-second\r");
    for terminal in [&mut first, &mut second] {
        terminal.wait_text("20 60");
        terminal.wait_text("\nfrom-second");
    }
    first.say(&json!({"type": "resize", "cols": 90, "rows": 30}));
    second.wait("the size of the first", |it| it.last["cols"] == 90 && it.rows.len() == 30);
    first.type_text("exit 3\r");
    assert_eq!(first.wait_end()["code"], 3);
    assert_eq!(second.wait_end()["code"], 3);
    eventually(DEADLINE, "it is not listed", || listed(&server, &worker).is_empty().then_some(()));
}

#[test]
fn flood_costs_a_client_only_the_screens_that_it_draws() {
    let (server, worker) = server("terminal-flood", &[]);
    let mut terminal = open(
        &server,
        &worker,
        &["sh", "-c", "while :; do cat /proc/kallsyms /usr/bin/env | tr -c '\\n -~' '?'; done"],
        SIZE,
    );
    terminal.wait("output", |it| it.last["scrolled"].as_u64() > Some(1000));
    let (updates, begun) = (terminal.updates, Instant::now());
    let deadline = begun + Duration::from_secs(3);
    let mut slowest = Duration::ZERO;
    while Instant::now() < deadline {
        terminal.step(Duration::from_millis(500));
        let asked = Instant::now();
        server.get("/api/health").expect(200);
        slowest = slowest.max(asked.elapsed());
    }
    let rate = (terminal.updates - updates) as f64 / begun.elapsed().as_secs_f64();
    assert!((1.0..=31.0).contains(&rate), "{rate} updates a second");
    assert!(slowest < Duration::from_secs(5), "the server answers after {slowest:?}");
    // A client that acknowledges no update receives no more.
    let mut lazy = server.ws(&format!("/ws/{}/terminals/{}", worker.id, terminal.id));
    lazy.send_json(&json!({"type": "hello", "cols": 80, "rows": 24}));
    for _ in 0..2 {
        assert_eq!(lazy.recv_json(DEADLINE)["type"], "screen");
    }
    assert!(matches!(lazy.receive(Duration::from_secs(1)), crate::support::ws::WsReceipt::Nothing));
    // Keys are processed in the middle of it.
    terminal.say(&json!({"type": "key", "key": "c", "ctrl": true}));
    terminal.wait_end();
}

#[test]
fn stop_and_deletion_of_the_worker_end_its_terminals() {
    let (server, worker) = server("terminal-stop", &[]);
    let mut terminal = open(&server, &worker, &BASH, SIZE);
    terminal.type_text("(trap '' HUP TERM; setsid sleep 1000) & sleep 1000 & echo up\r");
    terminal.wait_text("\nup");
    eventually(DEADLINE, "its processes run", || (of_terminal(&worker, &terminal.id).len() >= 3).then_some(()));
    worker.call(&server, "restart").expect(200);
    assert_eq!(listed(&server, &worker).len(), 1, "a restart leaves it alone");
    worker.call(&server, "stop").expect(200);
    assert_eq!(listed(&server, &worker).len(), 0);
    assert!(of_terminal(&worker, &terminal.id).is_empty());
    terminal.wait_end();
    let other = open(&server, &worker, &BASH, SIZE);
    server.delete(&worker.path("")).expect(200);
    assert!(of_terminal(&worker, &other.id).is_empty());
    assert!(!server.data_dir().join(&worker.id).exists());
}

#[test]
fn killed_terminal_process_is_reported_and_cleared() {
    let (server, worker) = server("terminal-killed", &[]);
    let mut terminal = open(&server, &worker, &BASH, SIZE);
    terminal.type_text("trap '' HUP; echo up\r");
    terminal.wait_text("\nup");
    let host = of_terminal(&worker, &terminal.id)[0].parent;
    kill(Pid::from_raw(host), Signal::SIGKILL).unwrap();
    let ended = terminal.wait_end();
    assert!(ended["error"].as_str().unwrap().contains("its process has ended"), "{ended}");
    eventually(DEADLINE, "nothing is left", || {
        (listed(&server, &worker).is_empty() && of_terminal(&worker, &terminal.id).is_empty()).then_some(())
    });
}

#[test]
fn terminals_of_a_worker_are_few_and_requests_are_checked() {
    let (server, worker) = server("terminal-few", &[]);
    let path = worker.path("/terminals");
    let terminals: Vec<Terminal> = (0..4).map(|_| open(&server, &worker, &BASH, SIZE)).collect();
    server.post(&path, &json!({})).expect(429);
    server.delete(&format!("{path}/{}", terminals[0].id)).expect(200);
    server.delete(&format!("{path}/{}", terminals[0].id)).expect(404);
    for id in ["..", "../../x", "ABCDEF01", "%2e%2e", "0123456"] {
        let refused = server.delete(&format!("{path}/{id}")).status;
        assert!(matches!(refused, 400 | 404), "{id}: {refused}");
    }
    for body in [json!({"program": [""]}), json!({"program": "sh"}), json!({"cols": "x"}), json!({"rows": -1})] {
        assert!((400..=422).contains(&server.post(&path, &body).status), "{body}");
    }
    let mut missing = open(&server, &worker, &["no-such-program"], SIZE);
    missing.wait_text("no-such-program cannot be started");
    assert_eq!(missing.wait_end()["code"], 127);
}

#[test]
fn lines_of_clients_that_make_no_sense_change_nothing() {
    let (server, worker) = server("terminal-odd", &[]);
    let mut terminal = open(&server, &worker, &["sh", "-c", "echo up; exec cat"], SIZE);
    terminal.wait_text("up");
    for text in ["", "x", "[]", "{}", "{\"type\":1}", "{\"type\":\"end\"}"] {
        terminal.client.send_text(text);
        let refused = terminal.client.recv_json(DEADLINE);
        assert_eq!(refused["type"], "error", "{text}");
    }
    for odd in [
        json!({"type": "key"}),
        json!({"type": "unknown"}),
        json!({"type": "resize", "cols": 70000, "rows": 1}),
        json!({"type": "history", "above": u64::MAX, "count": u64::MAX}),
        json!({"type": "input", "data": "%"}),
        json!({"type": "mouse", "action": "press", "button": 255, "row": 65535, "col": 65535}),
        json!({"type": "wheel", "lines": i32::MIN, "row": 0, "col": 0}),
    ] {
        terminal.say(&odd);
    }
    terminal.type_text("still here\r");
    terminal.wait("the text", |it| it.text().matches("still here").count() == 2);
}

#[test]
fn terminal_off_refuses_every_route_with_words() {
    let (server, worker) = server("terminal-off", &[("TERMINAL", "off")]);
    let path = worker.path("/terminals");
    for reply in [server.get(&path), server.post(&path, &json!({})), server.delete(&format!("{path}/01234567"))] {
        assert!(reply.expect(403).json()["detail"].as_str().unwrap().contains("TERMINAL=off"));
    }
    assert_eq!(refused_socket(&server, &format!("/ws/{}/terminals/01234567", worker.id), &[]), 403);
}

#[test]
fn pages_of_other_sites_get_no_terminal() {
    let (server, worker) = server("terminal-origin", &[]);
    let terminal = open(&server, &worker, &BASH, SIZE);
    let path = format!("/ws/{}/terminals/{}", worker.id, terminal.id);
    assert_eq!(refused_socket(&server, &path, &[("origin", "https://evil.example")]), 403);
    let evil = [("Content-Type", "application/json"), ("Origin", "https://evil.example")];
    assert_eq!(server.client.request("POST", &worker.path("/terminals"), &evil, b"{}").status, 403);
}

fn refused_socket(server: &TestServer, path: &str, headers: &[(&str, &str)]) -> u16 {
    match crate::support::ws::WsClient::connect(server.addr(), path, headers) {
        Ok(_) => panic!("{path} was opened"),
        Err(status) => status,
    }
}
