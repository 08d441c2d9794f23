//! Idle workers are stopped with their session kept, and only those.

use std::fs;
use std::io::Write;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::clis;
use crate::support::server::TestServer;
use crate::support::wait::{DEADLINE, eventually};
use crate::support::workers::{TestWorker, declare_programs, run};

/// The minimum of the setting.
const IDLE_SECS: &str = "1";

fn server(name: &str, idle_secs: &str) -> TestServer {
    let builder = TestServer::builder().name(name).env("CLAUDE_BINARY", clis::fake_cli());
    let mut server = builder.env("STOP_GRACE_SECS", "1").env("IDLE_STOP_SECS", idle_secs).prepare();
    declare_programs(&server);
    server.start();
    server
}

fn wait_hibernated(server: &TestServer, worker: &TestWorker) -> Value {
    eventually(DEADLINE, "the worker is hibernated", || {
        Some(worker.show(server)).filter(|shown| shown["hibernated"] == true)
    })
}

/// Waits until a worker that may be hibernated has been, which proves that enough time has passed for an older one too.
fn another_is_hibernated(server: &TestServer) {
    let other = TestWorker::create(server, "claude", &json!({"name": "other"}));
    wait_hibernated(server, &other);
    other.say(server, "echo again");
    other.wait_turn(server, 1);
    wait_hibernated(server, &other);
}

#[track_caller]
fn assert_never_stopped(server: &TestServer, worker: &TestWorker) {
    assert_eq!(worker.controls(server, "stop_requested"), Vec::<Value>::new());
    assert_eq!(worker.show(server)["hibernated"], false);
}

#[test]
fn idle_worker_hibernates_and_the_next_message_resumes_it() {
    let server = server("hibernated", IDLE_SECS);
    let worker = TestWorker::create(&server, "claude", &json!({}));
    worker.say(&server, "echo one");
    worker.wait_turn(&server, 1);
    let session = worker.show(&server)["session_id"].clone();
    let shown = wait_hibernated(&server, &worker);
    assert_eq!(shown["status"], "stopped");
    let reason = "Hibernated after 1 s without work; a message starts it again";
    assert_eq!(shown["reason"], reason);
    let exit = worker.wait_event(&server, "exit", 1);
    assert_eq!(exit["content"], reason, "no failure: {exit}");
    let status = worker.events_of(&server, "status").pop().unwrap();
    assert_eq!((&status["status"], &status["reason"]), (&json!("stopped"), &json!(reason)));
    server.wait_no_processes_of(&worker.id);

    worker.say(&server, "memory");
    let turn = worker.wait_turn(&server, 2);
    assert_eq!(turn["result"], "2", "the session remembers the first message");
    let shown = worker.show(&server);
    assert_eq!(shown["session_id"], session);
    // A busy machine may show it hibernated once more.
    assert_eq!(shown["hibernated"] == true, shown["status"] == "stopped", "{shown}");
    wait_hibernated(&server, &worker);
}

#[test]
fn hibernation_is_off_by_default() {
    let server = server("not-hibernated", "0");
    let worker = TestWorker::create(&server, "claude", &json!({}));
    let since = worker.wait_status(&server, "idle");
    let begin = Instant::now();
    // Twice the usual time.
    let (asked, other) = (Duration::from_secs(4), TestWorker::create(&server, "claude", &json!({})));
    other.say(&server, "lines 50 10");
    other.wait_turn(&server, 1);
    assert!(begin.elapsed() >= asked);
    assert_eq!(worker.wait_status(&server, "idle")["pid"], since["pid"]);
    assert_never_stopped(&server, &worker);
}

#[test]
fn a_worker_that_waits_for_a_permission_is_never_hibernated() {
    let server = server("hibernate-permission", IDLE_SECS);
    let worker = TestWorker::create(&server, "claude", &json!({}));
    worker.say(&server, "permission Bash {\"command\":\"ls\"}");
    let prompt = worker.wait_prompt(&server);
    another_is_hibernated(&server);
    assert_never_stopped(&server, &worker);
    worker.answer(&server, &prompt, &json!({"option_id": "allow"})).expect(200);
    worker.wait_turn(&server, 1);
    wait_hibernated(&server, &worker);
}

#[test]
fn worker_is_hibernated_only_after_its_background_task() {
    let server = server("hibernate-task", IDLE_SECS);
    let worker = TestWorker::create(&server, "claude", &json!({}));
    let task = |subtype: &str| json!({"type": "system", "subtype": subtype, "task_id": "t1", "description": "build", "status": "completed"});
    worker.say(&server, &format!("raw {}", task("task_started")));
    worker.wait_turn(&server, 1);
    another_is_hibernated(&server);
    assert_never_stopped(&server, &worker);
    worker.say(&server, &format!("raw {}", task("task_notification")));
    worker.wait_turn(&server, 2);
    wait_hibernated(&server, &worker);
}

#[test]
fn a_worker_with_a_timer_is_never_hibernated() {
    let server = server("hibernate-timer", IDLE_SECS);
    let workers = ["CronCreate", "ScheduleWakeup"].map(|tool| {
        let worker = TestWorker::create(&server, "claude", &json!({}));
        worker.say(&server, &format!("tool {tool} {{}}"));
        worker.wait_turn(&server, 1);
        worker
    });
    another_is_hibernated(&server);
    workers.iter().for_each(|worker| assert_never_stopped(&server, worker));
}

#[test]
fn worker_with_a_process_in_the_background_is_never_hibernated() {
    let server = server("hibernate-process", IDLE_SECS);
    let worker = TestWorker::create(&server, "claude", &json!({}));
    worker.say(&server, "fork");
    worker.wait_turn(&server, 1);
    another_is_hibernated(&server);
    assert_never_stopped(&server, &worker);
}

#[test]
fn worker_in_a_turn_with_messages_waiting_is_never_hibernated() {
    let server = server("hibernate-queue", IDLE_SECS);
    let worker = TestWorker::create(&server, "claude", &json!({}));
    worker.say(&server, "hang");
    worker.wait_status(&server, "busy");
    worker.say(&server, "echo later");
    another_is_hibernated(&server);
    assert_never_stopped(&server, &worker);
    worker.call(&server, "interrupt").expect(200);
    worker.wait_turn(&server, 2);
}

#[test]
fn a_worker_whose_cli_cannot_resume_is_never_hibernated() {
    let server = server("hibernate-resume", IDLE_SECS);
    let worker = run(&server, &["cat"]);
    worker.wait_status(&server, "idle");
    another_is_hibernated(&server);
    assert_never_stopped(&server, &worker);
}

/// Moves all records of a worker's journal back by `secs`, in place: the shim that appends to it keeps the file open.
fn age_journal(server: &TestServer, worker: &TestWorker, secs: u64) {
    let path = worker.dir(server).join("journal");
    let text = fs::read_to_string(&path).unwrap();
    let aged: String = text.split_inclusive('\n').map(|line| aged_record(line, secs)).collect();
    assert_eq!(aged.len(), text.len(), "offsets stay what they are");
    let mut file = fs::OpenOptions::new().write(true).open(path).unwrap();
    file.write_all(aged.as_bytes()).unwrap();
}

/// Returns the record with its time moved back, and any other line, such as the journal's first, unchanged.
fn aged_record(line: &str, secs: u64) -> String {
    match line.split_once(' ').and_then(|(time, rest)| Some((time.parse::<u64>().ok()?, rest))) {
        Some((micros, rest)) => format!("{} {rest}", micros - secs * 1_000_000),
        None => line.to_owned(),
    }
}

#[test]
fn idle_time_before_a_restart_counts_after_it() {
    // Longer than any test waits: a wait that started again would not end.
    const IDLE_SECS: u64 = 3600;
    let mut server = server("hibernate-restart", &IDLE_SECS.to_string());
    let worker = TestWorker::create(&server, "claude", &json!({}));
    worker.say(&server, "echo one");
    worker.wait_turn(&server, 1);
    worker.wait_status(&server, "idle");
    server.kill9();
    age_journal(&server, &worker, IDLE_SECS + 60);
    server.start();
    wait_hibernated(&server, &worker);
}

#[test]
fn messages_during_a_hibernation_are_all_answered() {
    let server = server("hibernate-race", IDLE_SECS);
    let worker = TestWorker::create(&server, "claude", &json!({}));
    const ROUNDS: usize = 6;
    for round in 0..ROUNDS {
        worker.say(&server, &format!("echo {round}"));
        worker.wait_turn(&server, round + 1);
        // The moment at which its stop begins, or has just begun.
        eventually(DEADLINE, "it is stopping", || {
            let shown = worker.show(&server);
            (shown["status"] != "idle").then_some(())
        });
    }
    worker.say(&server, "echo last");
    assert_eq!(worker.wait_turn(&server, ROUNDS + 1)["result"], "last");
}
