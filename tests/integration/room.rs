//! Room for running workers: idle ones sleep while memory is short, and messages wake them in order.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::cgroup::TestGroup;
use crate::support::clis;
use crate::support::server::{Builder, TestServer};
use crate::support::wait::{DEADLINE, eventually};
use crate::support::workers::TestWorker;

/// More than any machine has available.
const HUGE: &str = "15000GiB";

fn builder(name: &str, reserve: &str) -> Builder {
    let builder = TestServer::builder().name(name).env("CLAUDE_BINARY", clis::fake_cli());
    builder.env("STOP_GRACE_SECS", "1").env("MEMORY_RESERVE", reserve)
}

fn create(server: &TestServer, name: &str) -> TestWorker {
    TestWorker::create(server, "claude", &json!({"name": name}))
}

/// A worker that has had a turn.
fn used(server: &TestServer, name: &str) -> TestWorker {
    let worker = create(server, name);
    worker.say(server, "echo one");
    worker.wait_turn(server, 1);
    worker
}

fn wait_asleep(server: &TestServer, worker: &TestWorker) -> Value {
    eventually(DEADLINE, "the worker is asleep", || {
        Some(worker.show(server)).filter(|shown| shown["hibernated"] == true)
    })
}

fn wait_reason(server: &TestServer, worker: &TestWorker, part: &str) -> Value {
    eventually(DEADLINE, part, || {
        Some(worker.show(server)).filter(|shown| shown["reason"].as_str().is_some_and(|reason| reason.contains(part)))
    })
}

/// Returns the time of a worker's first record of this kind after its `count` first ones.
fn time_of(server: &TestServer, worker: &TestWorker, kind: &str, count: usize) -> u64 {
    let path = worker.dir(server).join("journal");
    let text = std::fs::read_to_string(path).unwrap();
    let wanted = format!("{{\"type\":\"{kind}\"");
    let mut times = text.lines().filter_map(|line| {
        let (time, rest) = line.split_once(' ')?;
        rest.strip_prefix("ctl ").filter(|payload| payload.starts_with(&wanted))?;
        time.parse::<u64>().ok()
    });
    times.nth(count).unwrap_or_else(|| panic!("no such {kind} of {}", worker.id))
}

#[test]
fn idle_workers_sleep_in_short_memory_and_messages_wake_them() {
    let server = builder("room-sleep", HUGE).start();
    let workers = ["one", "two"].map(|name| used(&server, name));
    for worker in &workers {
        let shown = wait_asleep(&server, worker);
        assert_eq!(shown["status"], "stopped");
        let reason = shown["reason"].as_str().unwrap();
        assert!(reason.starts_with("Asleep to free memory: ") && reason.contains("MEMORY_RESERVE"), "{reason}");
        let status = worker.events_of(&server, "status").pop().unwrap();
        assert_eq!((&status["status"], &status["reason"]), (&json!("stopped"), &json!(reason)));
        server.wait_no_processes_of(&worker.id);
    }
    for worker in &workers {
        worker.say(&server, "memory");
        assert_eq!(worker.wait_turn(&server, 2)["result"], "2", "the session remembers the first message");
    }
    let table = server.command(["ls"]).output().unwrap();
    assert!(String::from_utf8_lossy(&table.stdout).contains("  asleep  "), "{table:?}");
    let metrics = server.get("/metrics").expect(200).text();
    let slept = metrics.lines().find_map(|line| line.strip_prefix("rs_worker_hibernated_total{reason=\"memory\"} "));
    assert!(slept.unwrap().parse::<u64>().unwrap() >= 2, "{metrics}");
}

#[test]
fn enough_memory_lets_idle_workers_be() {
    let server = builder("room-enough", "1MiB").start();
    let worker = used(&server, "one");
    let other = used(&server, "two");
    other.say(&server, "lines 40 10");
    other.wait_turn(&server, 2);
    assert_eq!(worker.controls(&server, "stop_requested"), Vec::<Value>::new());
    let metrics = server.get("/metrics").expect(200).text();
    assert!(metrics.contains("rs_worker_memory_reserve_bytes 1048576\n"), "{metrics}");
}

#[test]
fn workers_that_wait_or_work_never_sleep() {
    let server = builder("room-never", HUGE).start();
    let asks = create(&server, "asks");
    asks.say(&server, "permission Bash {\"command\":\"ls\"}");
    let prompt = asks.wait_prompt(&server);
    let task = json!({"type": "system", "subtype": "task_started", "task_id": "t1", "description": "build"});
    let works = create(&server, "works");
    works.say(&server, &format!("raw {task}"));
    works.wait_turn(&server, 1);
    let timed = create(&server, "timed");
    timed.say(&server, "tool CronCreate {}");
    timed.wait_turn(&server, 1);
    let forked = create(&server, "forked");
    forked.say(&server, "fork");
    forked.wait_turn(&server, 1);
    // Two more that sleep prove that there was time for the others.
    for name in ["a", "b"] {
        wait_asleep(&server, &used(&server, name));
    }
    for worker in [&asks, &works, &timed, &forked] {
        assert_eq!(worker.controls(&server, "stop_requested"), Vec::<Value>::new());
    }
    asks.answer(&server, &prompt, &json!({"option_id": "allow"})).expect(200);
    asks.wait_turn(&server, 1);
    wait_asleep(&server, &asks);
}

#[test]
fn worker_that_is_idle_longest_sleeps_first() {
    let mut server = builder("room-order", "off").start();
    let workers = ["a", "b", "c"].map(|name| create(&server, name));
    let order = [1, 0, 2].map(|at| &workers[at]);
    for worker in order {
        worker.say(&server, "echo one");
        worker.wait_turn(&server, 1);
    }
    server.kill9();
    server.set_env("MEMORY_RESERVE", HUGE);
    server.start();
    let times = order.map(|worker| {
        wait_asleep(&server, worker);
        time_of(&server, worker, "stop_requested", 0)
    });
    assert!(times.is_sorted(), "{times:?}");
    let pause = Duration::from_micros(times[1] - times[0]);
    assert!(pause >= Duration::from_millis(1500), "one at a time: {pause:?}");
}

#[test]
fn messages_wait_for_memory_in_their_order_over_a_kill() {
    let mut server = builder("room-wait", HUGE).start();
    let [a, b, c] = ["a", "b", "c"].map(|name| used(&server, name));
    [&a, &b, &c].iter().for_each(|worker| drop(wait_asleep(&server, worker)));
    a.say(&server, "hang");
    a.wait_status(&server, "busy");
    for worker in [&c, &b] {
        assert_eq!(worker.say(&server, "echo two")["state"], "queued");
        let shown = wait_reason(&server, worker, "The message waits for memory: ");
        assert_eq!((&shown["hibernated"], &shown["queued_messages"]), (&json!(true), &json!(1)));
    }
    server.kill9();
    server.start();
    wait_reason(&server, &b, "The message waits for memory: ");
    assert_eq!(b.events_of(&server, "turn_completed").len(), 1, "it waits still");
    a.call(&server, "interrupt").expect(200);
    for worker in [&c, &b] {
        assert_eq!(worker.wait_turn(&server, 2)["result"], "two");
    }
    let [first, second] = [&c, &b].map(|worker| time_of(&server, worker, "launching", 1));
    assert!(first < second, "the older message is first");
}

#[test]
fn idle_worker_sleeps_when_a_message_waits_for_memory() {
    // The fake CLI takes little of it: more than the reserve is always available, and less than another worker needs.
    let Some(group) = TestGroup::with_memory(512 << 20) else { return };
    let words = group.words();
    let builder = builder("room-between", "off").env("IDLE_STOP_SECS", "1");
    let mut server = builder.under(&words.each_ref().map(String::as_str)).start();
    let [a, b] = ["a", "b"].map(|name| used(&server, name));
    [&a, &b].iter().for_each(|worker| drop(wait_asleep(&server, worker)));
    server.kill9();
    server.set_env("IDLE_STOP_SECS", "0");
    server.set_env("MEMORY_RESERVE", "300MiB");
    server.start();
    a.say(&server, "echo two");
    assert_eq!(a.wait_turn(&server, 2)["result"], "two", "one worker may always run");
    b.say(&server, "echo two");
    assert_eq!(b.wait_turn(&server, 2)["result"], "two");
    let reason = wait_asleep(&server, &a)["reason"].as_str().unwrap().to_owned();
    assert!(reason.starts_with("Asleep to free memory: a message waited for another worker"), "{reason}");
}

#[test]
fn message_for_a_sleeper_waits_for_a_free_place() {
    let server = builder("room-place", "off").env("MAX_WORKERS", "1").env("IDLE_STOP_SECS", "1").start();
    let sleeper = used(&server, "sleeper");
    wait_asleep(&server, &sleeper);
    let other = create(&server, "other");
    other.say(&server, "hang");
    other.wait_status(&server, "busy");
    assert_eq!(sleeper.say(&server, "echo two")["state"], "queued");
    wait_reason(&server, &sleeper, "worker limit reached: 1 of 1 run");
    let full = server.post("/api/workers", &json!({"name": "x", "project_path": server.project()}));
    assert!(full.expect(400).json()["detail"].as_str().unwrap().contains("MAX_WORKERS"));
    other.call(&server, "interrupt").expect(200);
    assert_eq!(sleeper.wait_turn(&server, 2)["result"], "two");
    wait_asleep(&server, &other);
}

#[test]
fn message_that_is_taken_back_wakes_nobody() {
    let server = builder("room-back", HUGE).start();
    let [a, b] = ["a", "b"].map(|name| used(&server, name));
    [&a, &b].iter().for_each(|worker| drop(wait_asleep(&server, worker)));
    a.say(&server, "hang");
    a.wait_status(&server, "busy");
    let message = b.say(&server, "echo two")["message_id"].as_str().unwrap().to_owned();
    wait_reason(&server, &b, "The message waits for memory: ");
    server.delete(&b.path(&format!("/queue/{message}"))).expect(200);
    wait_reason(&server, &b, "Asleep to free memory: ");
    a.call(&server, "interrupt").expect(200);
    wait_asleep(&server, &a);
    assert_eq!(b.controls(&server, "launching").len(), 1);
}
