//! The life cycle of a worker: what ends it, what does not, and the reports about it.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::support::between::between;
use crate::support::processes::{self, Process};
use crate::support::server::{TestServer, wait_file};
use crate::support::wait::{DEADLINE, eventually};
use crate::support::workers::{TestWorker, declare, run, run_script, server_for_programs};

/// A program that does nothing until it is signalled to end.
const IDLE: [&str; 2] = ["sleep", "1000"];

fn start(name: &str, more: &[(&str, &str)]) -> TestServer {
    let mut server = server_for_programs(name, more);
    server.start();
    server
}

/// A worker of the program that plays Claude Code.
fn claude(server: &TestServer) -> TestWorker {
    TestWorker::create(server, "claude", &json!({}))
}

/// A worker's CLI or shim, according to its journal.
fn process(server: &TestServer, worker: &TestWorker, field: &str) -> Process {
    let started = eventually(DEADLINE, "it has started", || worker.controls(server, "started").pop());
    processes::process(started[field].as_i64().unwrap() as i32).expect("it runs")
}

#[test]
fn ending_server_leaves_agents_running_and_explains_stopping_them() {
    let mut server = start("leave", &[]);
    let worker = run(&server, &IDLE);
    let pid = worker.wait_status(&server, "idle")["pid"].clone();
    for signal in [Some(Signal::SIGTERM), Some(Signal::SIGINT), None] {
        match signal {
            Some(signal) => {
                assert!(server.stop_with(signal).unwrap().success());
                assert!(server.output().contains("rs-worker stop --all"), "{}", server.output());
            }
            None => server.kill9(),
        }
        assert!(processes::process(pid.as_i64().unwrap() as i32).is_some());
        server.start();
        let shown = worker.show(&server);
        assert_eq!((&shown["status"], &shown["pid"]), (&json!("idle"), &pid), "it is attached to before anybody asks");
    }
    let refused = server.command(["stop", "--all"]).output().unwrap();
    assert!(!refused.status.success());
    let reported = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(reported.contains(&format!("pid {}", server.pid())), "{reported}");

    server.terminate();
    let stopped = server.command(["stop", "--all"]).output().unwrap();
    assert!(stopped.status.success(), "{stopped:?}");
    assert_eq!(String::from_utf8_lossy(&stopped.stdout), "1 worker stopped\n");
    assert_eq!(server.processes_of(&worker.id), []);
    server.start();
    assert_eq!(worker.show(&server)["status"], "stopped");
}

#[test]
fn on_exit_stop_ends_the_agents_with_the_server() {
    let mut server = start("on-exit", &[("ON_EXIT", "stop")]);
    let workers = [run(&server, &IDLE), claude(&server)];
    workers.iter().for_each(|worker| drop(worker.wait_status(&server, "idle")));
    server.terminate();
    for worker in &workers {
        assert_eq!(server.processes_of(&worker.id), []);
    }
    server.start();
    workers.iter().for_each(|worker| assert_eq!(worker.show(&server)["status"], "stopped"));
}

#[test]
fn the_limit_counts_workers_that_run() {
    let server = start("limit", &[("MAX_WORKERS", "2")]);
    let first = run(&server, &IDLE);
    let _second = run(&server, &IDLE);
    let body = json!({"name": "third", "project_path": server.project(), "ai_cli_type": "program", "args": IDLE});
    let refused = server.post("/api/workers", &body).expect(400).json();
    let text = refused["detail"].as_str().unwrap();
    assert!(text.contains("limit reached") && text.contains("MAX_WORKERS"), "{text}");
    assert_eq!(server.worker_ids().len(), 2, "nothing is left of the third");
    first.call(&server, "stop").expect(200);
    server.post("/api/workers", &body).expect(201);
    first.call(&server, "start").expect(429);
    server.post(&first.path("/messages"), &json!({"content": "hi"})).expect(429);
}

#[test]
fn a_silent_turn_is_called_stalled_with_evidence_and_recovers() {
    let server = start("stall", &[("WORKER_TIMEOUT", "1")]);
    let worker = claude(&server);
    worker.say(&server, "permission");
    let prompt = worker.wait_prompt(&server);
    worker.answer(&server, &prompt, &json!({"option_id": "allow_once"})).expect(200);
    worker.wait_turn(&server, 1);
    worker.say(&server, "hang");
    let stalled = worker.wait_status(&server, "stalled");
    let reason = stalled["reason"].as_str().unwrap();
    assert!(reason.contains("no output for") && reason.contains("processor time"), "{reason}");
    worker.call(&server, "interrupt").expect(200);
    worker.wait_turn(&server, 2);
    worker.wait_status(&server, "idle");
    worker.say(&server, "echo hello");
    assert_eq!(worker.wait_turn(&server, 3)["result"], "hello");
}

#[test]
fn a_deleted_worker_leaves_no_process_and_no_data() {
    let server = start("delete", &[]);
    let worker = run_script(&server, "sleep 1000 & sleep 1000");
    let mut client = worker.watch(&server);
    worker.wait_status(&server, "idle");
    let dir = worker.dir(&server);
    assert!(dir.is_dir());
    server.delete(&worker.path("")).expect(200);
    assert_eq!(server.processes_of(&worker.id), []);
    assert!(!dir.exists());
    server.get(&worker.path("")).expect(404);
    client.wait_for("the deletion", DEADLINE, |frame| frame["type"] == "worker_deleted");
}

#[test]
fn killed_shim_takes_its_tree_along_and_the_worker_restarts() {
    let server = start("shim-killed", &[]);
    let worker = claude(&server);
    worker.say(&server, "fork");
    worker.wait_turn(&server, 1);
    worker.say(&server, "permission");
    worker.wait_prompt(&server);
    assert!(processes::signal(&process(&server, &worker, "shim_pid"), Signal::SIGKILL));
    let shown = worker.wait_status(&server, "stopped");
    assert!(shown["reason"].as_str().unwrap().contains("process is gone"), "{shown}");
    assert_eq!((&shown["open_prompts"], &shown["pid"]), (&json!(0), &Value::Null));
    assert_eq!(server.processes_of(&worker.id), []);
    let exit = worker.events_of(&server, "exit").pop().unwrap();
    assert!(exit["ended"].as_array().unwrap().iter().any(|process| process["signal"] == "SIGKILL"), "{exit}");
    assert_eq!(worker.events_of(&server, "turn_completed").pop().unwrap()["stop_reason"], "process_ended");

    // The CLI had read the message of the interrupted turn: it is remembered, and not delivered again.
    worker.say(&server, "memory");
    assert_eq!(worker.wait_turn(&server, 3)["result"], "3");
}

#[test]
fn shim_killed_without_a_server_is_recorded_at_start() {
    let mut server = start("shim-killed-alone", &[]);
    let worker = run_script(&server, "echo before; while :; do sleep 1000; done");
    worker.wait_event(&server, "assistant", 1);
    eventually(DEADLINE, "the shim, the shell and its sleep", || {
        (server.processes_of(&worker.id).len() >= 3).then_some(())
    });
    server.kill9();
    assert!(processes::signal(&process(&server, &worker, "shim_pid"), Signal::SIGKILL));
    server.start();
    let shown = worker.wait_status(&server, "stopped");
    assert!(shown["reason"].as_str().unwrap().contains("process is gone"), "{shown}");
    server.wait_no_processes_of(&worker.id);
    assert!(worker.events_of(&server, "exit").pop().unwrap()["ended"].as_array().unwrap().len() >= 2);
}

#[test]
fn stop_gets_through_to_a_shim_that_does_not_answer() {
    let server = start("shim-frozen", &[]);
    let worker = run(&server, &IDLE);
    worker.wait_status(&server, "idle");
    let shim = process(&server, &worker, "shim_pid");
    assert!(processes::signal(&shim, Signal::SIGSTOP));
    worker.call(&server, "stop").expect(200);
    assert!(!processes::is_alive(&shim));
    assert_eq!(server.processes_of(&worker.id), []);
}

#[test]
fn stop_reaches_a_shim_that_accepts_no_more_commands() {
    /// More than may wait for a shim, and than its socket holds.
    const COMMANDS: usize = 400;
    let server = start("shim-full", &[("MAX_QUEUE", "1000")]);
    let worker = claude(&server);
    worker.wait_status(&server, "idle");
    let shim = process(&server, &worker, "shim_pid");
    assert!(processes::signal(&shim, Signal::SIGSTOP));
    let content = "x".repeat(8 * 1024);
    let is_full = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..COMMANDS {
            scope.spawn(|| {
                // Most of them time out, some later than a test client does.
                let body = json!({"content": content}).to_string();
                let json = [("content-type", "application/json")];
                let reply = server.client.try_request("POST", &worker.path("/messages"), &json, body.as_bytes());
                if reply.is_ok_and(|it| it.status == 503 && it.text().contains("takes no more commands")) {
                    is_full.store(true, Ordering::Relaxed);
                }
            });
        }
        eventually(DEADLINE, "no more commands are taken", || is_full.load(Ordering::Relaxed).then_some(()));
        worker.call(&server, "stop").expect(200);
        assert!(!processes::is_alive(&shim));
        assert_eq!(server.processes_of(&worker.id), []);
    });
}

#[test]
fn stop_spares_the_run_that_a_later_message_started() {
    const ROUNDS: usize = 6;
    let server = start("stop-and-say", &[]);
    let worker = claude(&server);
    worker.wait_status(&server, "idle");
    for round in 0..ROUNDS {
        thread::scope(|scope| {
            scope.spawn(|| worker.call(&server, "stop").expect(200));
            // A message that comes while it is stopping waits for the end, and starts it again at once.
            eventually(DEADLINE, "it is stopping", || (worker.show(&server)["status"] != "idle").then_some(()));
            worker.say(&server, &format!("echo {round}"));
        });
        assert_eq!(worker.wait_turn(&server, round + 1)["result"], round.to_string());
        worker.wait_status(&server, "idle");
    }
    assert_eq!(worker.controls(&server, "shim_lost"), Vec::<Value>::new());
    assert_eq!(worker.controls(&server, "started").len(), ROUNDS + 1);
}

#[test]
fn program_that_cannot_start_is_a_failure_with_the_reason() {
    let server = server_for_programs("no-program", &[]);
    declare(&server, "missing", &json!({"family": "text", "command": ["./no-such-program"]}));
    let mut server = server;
    server.start();
    let worker = TestWorker::create(&server, "missing", &json!({}));
    let shown = worker.wait_status(&server, "failed");
    let reason = shown["reason"].as_str().unwrap();
    assert!(reason.contains("no-such-program"), "{reason}");
    assert_eq!(worker.events_of(&server, "error").pop().unwrap()["code"], "spawn_failed");
    // Its shim has recorded this in the journal, and exits a moment later.
    server.wait_no_processes_of(&worker.id);
    // A message tries again, waits, and gets the same error.
    worker.say(&server, "hello");
    assert_eq!(worker.wait_event(&server, "error", 2)["code"], "spawn_failed");
    assert_eq!(worker.wait_status(&server, "failed")["queued_messages"], 1);
}

#[test]
fn crash_reports_exit_code_and_stderr_and_a_message_restarts() {
    let server = start("crash", &[]);
    let worker = claude(&server);
    worker.say(&server, "stderr out of cheese");
    worker.wait_turn(&server, 1);
    worker.say(&server, "exit 7");
    let shown = worker.wait_status(&server, "failed");
    let reason = shown["reason"].as_str().unwrap();
    assert!(reason.contains('7') && reason.contains("out of cheese"), "{reason}");
    let exit = worker.events_of(&server, "exit").pop().unwrap();
    assert_eq!((&exit["exit_code"], &exit["ended"]), (&json!(7), &json!([])));
    assert!(exit["stderr_tail"].as_str().unwrap().contains("out of cheese"));

    worker.say(&server, "echo back");
    assert_eq!(worker.wait_turn(&server, 3)["result"], "back");
    let before = worker.wait_status(&server, "idle")["pid"].clone();
    worker.call(&server, "start").expect(409);
    worker.call(&server, "restart").expect(200);
    worker.say(&server, "memory");
    assert_eq!(worker.wait_turn(&server, 4)["result"], "4", "the session goes on");
    assert_ne!(worker.show(&server)["pid"], before);
}

#[test]
fn message_lost_with_its_cli_is_reported_and_resendable() {
    let server = start("lost", &[]);
    let worker = claude(&server);
    worker.wait_status(&server, "idle");
    // A frozen CLI reads nothing; then it is killed.
    let cli = process(&server, &worker, "pid");
    assert!(processes::signal(&cli, Signal::SIGSTOP));
    let body = json!({"content": "echo me", "client_message_id": "mine"});
    let first = server.post(&worker.path("/messages"), &body).expect(202).json();
    eventually(DEADLINE, "it is delivered", || {
        worker.events_of(&server, "message_state").iter().any(|it| it["state"] == "delivered").then_some(())
    });
    assert!(processes::signal(&cli, Signal::SIGKILL));
    worker.wait_status(&server, "failed");
    let reported = worker.events_of(&server, "message_state").pop().unwrap();
    assert_eq!((&reported["state"], &reported["message_id"]), (&json!("lost"), &first["message_id"]));
    assert_eq!(worker.events_of(&server, "error").pop().unwrap()["code"], "message_lost");

    let again = server.post(&worker.path("/messages"), &body).expect(202).json();
    assert_ne!(again["message_id"], first["message_id"]);
    assert_eq!(worker.wait_turn(&server, 1)["result"], "me");
    let same = server.post(&worker.path("/messages"), &body).expect(202).json();
    assert_eq!((&same["message_id"], &same["state"]), (&again["message_id"], &json!("consumed")));
}

#[test]
fn a_worker_is_stopped_while_it_starts() {
    let server = start("stop-early", &[]);
    for _ in 0..5 {
        let worker = claude(&server);
        let stopped = worker.call(&server, "stop").expect(200).json();
        assert_eq!(stopped["status"], "stopped", "{stopped}");
        assert_eq!(server.processes_of(&worker.id), []);
        worker.say(&server, "echo up");
        assert_eq!(worker.wait_turn(&server, 1)["result"], "up");
        server.delete(&worker.path("")).expect(200);
    }
}

#[test]
fn journal_with_garbage_in_it_is_served_with_the_rest() {
    let mut server = start("garbage", &[]);
    let worker = claude(&server);
    worker.say(&server, "echo one");
    worker.wait_turn(&server, 1);
    worker.call(&server, "stop").expect(200);
    server.terminate();
    let mut journal = OpenOptions::new().append(true).open(worker.dir(&server).join("journal")).unwrap();
    journal.write_all(b"garbage\n\n\xff\xfe\0 17\nok 1 1\nv 1 out {}\n17 nonsense x\n").unwrap();
    server.start();
    worker.say(&server, "echo two");
    assert_eq!(worker.wait_turn(&server, 2)["result"], "two");
    let mut client = worker.watch(&server);
    while client.events().iter().filter(|event| event["type"] == "turn_completed").count() < 2 {
        client.wait_for_event("turn_completed", DEADLINE);
    }
    server.restart();
    let shown = worker.show(&server);
    assert_eq!((&shown["turns"], &shown["status"]), (&json!(2), &json!("idle")));
}

#[test]
fn unreadable_folders_do_not_keep_the_server_from_starting() {
    let mut server = start("unreadable", &[]);
    let worker = claude(&server);
    worker.say(&server, "echo one");
    worker.wait_turn(&server, 1);
    worker.call(&server, "stop").expect(200);
    server.terminate();
    for (name, content) in [("empty", &b""[..]), ("strange", b"what is this\n"), ("torn", b"rs-worker-journal 1 x")] {
        fs::create_dir(server.data_dir().join(name)).unwrap();
        fs::write(server.data_dir().join(name).join("journal"), content).unwrap();
    }
    fs::create_dir(server.data_dir().join("no-journal")).unwrap();
    fs::write(server.data_dir().join("a-file"), "").unwrap();
    server.start();
    let list = server.get("/api/workers").json();
    assert_eq!(list["workers"].as_array().unwrap().len(), 1);
    assert_eq!(worker.show(&server)["turns"], 1);
    for name in ["empty", "strange", "torn"] {
        server.wait_output(&format!("{name} cannot be loaded"));
        fs::remove_dir_all(server.data_dir().join(name)).unwrap();
    }
    fs::remove_dir(server.data_dir().join("no-journal")).unwrap();
}

/// Attempts of a timed stop on a machine that may be busy: one of them must keep the promise.
const TIMED_STOPS: usize = 5;

#[test]
fn stop_ends_stubborn_processes_in_time_and_names_them() {
    let server = start("stubborn", &[]);
    // The promise of the product is a time: STOP_GRACE_SECS, which is 1 here, and one second more.
    let mut took = Vec::new();
    while took.last().is_none_or(|took| *took >= Duration::from_secs(2)) {
        assert!(took.len() < TIMED_STOPS, "{took:?}");
        took.push(stop_stubborn(&server));
    }
}

/// Stops a worker with stubborn processes, and returns the duration.
#[track_caller]
fn stop_stubborn(server: &TestServer) -> Duration {
    let worker = claude(server);
    for (turn, script) in ["fork", "fork orphan", "block"].iter().enumerate() {
        worker.say(server, script);
        worker.wait_turn(server, turn + 1);
    }
    let stubborn: Vec<Process> = server.processes_of(&worker.id);
    let cli = process(server, &worker, "pid");
    let shim = process(server, &worker, "shim_pid");
    worker.say(server, "hang hard");
    worker.wait_status(server, "busy");
    let begin = Instant::now();
    worker.call(server, "stop").expect(200);
    let took = begin.elapsed();
    assert_eq!(server.processes_of(&worker.id), []);
    let exit = worker.events_of(server, "exit").pop().unwrap();
    assert_eq!(exit["signal"], "SIGKILL");
    let ended: Vec<i64> = exit["ended"].as_array().unwrap().iter().map(|it| it["pid"].as_i64().unwrap()).collect();
    for process in stubborn.iter().filter(|process| process.pid != cli.pid && process.pid != shim.pid) {
        assert!(ended.contains(&i64::from(process.pid)), "{process:?} is not in {exit}");
    }
    assert!(ended.len() >= 2);
    took
}

#[test]
fn processes_left_by_an_exiting_cli_are_ended_too() {
    let server = start("left-behind", &[]);
    let worker = run_script(&server, "setsid sleep 1000 & echo $! > pid.txt; echo bye");
    wait_file(&server.project().join("pid.txt"), "\n");
    let exit = worker.wait_event(&server, "exit", 1);
    assert!(!exit["ended"].as_array().unwrap().is_empty(), "{exit}");
    server.wait_no_processes_of(&worker.id);
    assert_eq!(worker.wait_status(&server, "stopped")["reason"], "The CLI exited with code 0");
}

#[test]
fn journal_is_brought_to_the_disk_when_a_turn_ends() {
    let mut server = start("turn-sync", &[]);
    let worker = claude(&server);
    worker.say(&server, "first");
    worker.wait_turn(&server, 1);
    server.terminate();
    let heard = between(&worker.dir(&server).join("shim.sock"), |_| {});
    server.start();
    worker.wait_status(&server, "idle");
    worker.say(&server, "second");
    worker.wait_turn(&server, 2);
    let deadline = Instant::now() + DEADLINE;
    loop {
        let line = heard.recv_timeout(deadline.saturating_duration_since(Instant::now())).expect("a sync");
        if line.starts_with("sync ") {
            break;
        }
    }
    worker.call(&server, "stop").expect(200);
}
