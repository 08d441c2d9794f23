//! Limits of the processes of one worker, and CLIs that the kernel kills for memory.

use std::fs;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use crate::support::cgroup::TestGroup;
use crate::support::clis;
use crate::support::server::{Builder, TestServer};
use crate::support::wait::{DEADLINE, eventually};
use crate::support::workers::TestWorker;

const MIB: u64 = 1 << 20;
/// Held by tests of which one is not to see the kernel's kills of another.
static KILLS: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    KILLS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn builder(name: &str) -> Builder {
    TestServer::builder().name(name).env("CLAUDE_BINARY", clis::fake_cli()).env("STOP_GRACE_SECS", "1")
}

fn start_in(group: &TestGroup, builder: Builder) -> TestServer {
    let words = group.words();
    builder.under(&words.each_ref().map(String::as_str)).start()
}

fn wait_failed(server: &TestServer, worker: &TestWorker) -> String {
    worker.wait_status(server, "failed")["reason"].as_str().unwrap().to_owned()
}

#[test]
fn limits_that_are_not_enforced_are_reported_as_such() {
    let server = builder("limits-told").env("WORKER_PIDS", "500").start();
    let worker = TestWorker::create(&server, "claude", &json!({"memory": "1GiB", "cpu": 1.5}));
    let shown = worker.wait_status(&server, "idle");
    let limits = &shown["limits"];
    assert_eq!((&limits["memory"], &limits["cpu"], &limits["pids"]), (&json!(1 << 30), &json!(1.5), &json!(500)));
    assert_eq!(limits["enforced"], false, "a server of the tests has no delegated group");
    assert!(limits["reason"].as_str().unwrap().contains("control group"), "{limits}");
    let config = worker.show(&server)["config"].clone();
    assert_eq!((&config["memory"], &config["pids"]), (&json!(1 << 30), &Value::Null));

    let changed = json!({"memory": 512 * MIB, "cpu": null, "pids": 64});
    server.patch(&worker.path(""), &changed).expect(200);
    assert_eq!(worker.show(&server)["limits"], *limits, "for the next start");
    worker.call(&server, "restart").expect(200);
    let limits = worker.show(&server)["limits"].clone();
    assert_eq!((&limits["memory"], &limits["cpu"], &limits["pids"]), (&json!(512 * MIB), &Value::Null, &json!(64)));
    let doctor = server.command(["doctor"]).output().unwrap();
    assert!(String::from_utf8_lossy(&doctor.stdout).contains("limits of workers"), "{doctor:?}");
}

#[test]
fn limits_out_of_bounds_are_refused() {
    let server = builder("limits-bounds").start();
    let worker = TestWorker::create(&server, "claude", &json!({}));
    assert_eq!(worker.show(&server)["limits"], Value::Null);
    for (field, value) in [
        ("memory", json!(1)),
        ("memory", json!("1 TB")),
        ("memory", json!("99999999999GiB")),
        ("cpu", json!(0)),
        ("cpu", json!(-1.5)),
        ("cpu", json!("2")),
        ("pids", json!(1)),
        ("pids", json!(1.5)),
    ] {
        let mut body = json!({"name": "x", "project_path": server.project()});
        body[field] = value.clone();
        for reply in [server.post("/api/workers", &body), server.patch(&worker.path(""), &json!({field: value}))] {
            assert!(reply.expect(422).json().to_string().contains(field), "{field}");
        }
        server.put("/api/presets/bad", &json!({field: value})).expect(400);
    }
    server.put("/api/presets/small", &json!({"memory": "256MiB", "pids": 100})).expect(200);
    let worker = TestWorker::create(&server, "claude", &json!({"preset": "small", "pids": 200}));
    let config = worker.show(&server)["config"].clone();
    assert_eq!((&config["memory"], &config["pids"]), (&json!(256 * MIB), &json!(200)));
}

#[test]
fn kill_by_the_kernel_for_memory_is_reported_as_that() {
    let _alone = alone();
    let Some(group) = TestGroup::with_memory(256 * MIB) else { return };
    let server = start_in(&group, builder("limits-machine"));
    let worker = TestWorker::create(&server, "claude", &json!({}));
    worker.say(&server, "allocate 512");
    let reason = wait_failed(&server, &worker);
    assert!(reason.starts_with("The CLI was ended by SIGKILL: the kernel killed it"), "{reason}");
    assert!(reason.contains("the machine ran out of memory") && reason.contains("MEMORY_RESERVE"), "{reason}");
    assert_eq!(worker.wait_event(&server, "exit", 1)["content"], reason);
    assert!(group.kills() >= 1);
    worker.say(&server, "echo again");
    // The turn that was cut off has an end too.
    assert_eq!(worker.wait_turn(&server, 2)["result"], "again", "a message starts it again");
}

#[test]
fn kill_by_another_program_is_not_blamed_on_memory() {
    let _alone = alone();
    let server = builder("limits-killed").start();
    let worker = TestWorker::create(&server, "claude", &json!({}));
    worker.say(&server, "signal SIGKILL");
    let reason = wait_failed(&server, &worker);
    assert!(!reason.contains("the kernel killed it"), "{reason}");
}

#[test]
fn kernel_enforces_limits_in_a_delegated_group() {
    let _alone = alone();
    let Some(group) = TestGroup::delegated() else { return };
    let mut server = start_in(&group, builder("limits-enforced"));
    let worker = TestWorker::create(&server, "claude", &json!({"memory": 128 * MIB, "cpu": 0.5, "pids": 32}));
    let shown = worker.wait_status(&server, "idle");
    assert_eq!((&shown["limits"]["enforced"], &shown["limits"]["reason"]), (&json!(true), &Value::Null));
    let own = group.folder().join(format!("rs-worker-w-{}", worker.id));
    let read = |name: &str| fs::read_to_string(own.join(name)).unwrap().trim().to_owned();
    assert_eq!(read("memory.max"), (128 * MIB).to_string());
    assert_eq!((read("cpu.max"), read("pids.max")), ("50000 100000".to_owned(), "32".to_owned()));
    assert_eq!(read("cgroup.procs"), shown["pid"].to_string(), "the CLI alone, without its shim");

    let other = TestWorker::create(&server, "claude", &json!({}));
    server.kill9();
    server.start();
    worker.say(&server, "allocate 512");
    let reason = wait_failed(&server, &worker);
    assert!(reason.contains("more than its memory limit of 128 MiB"), "{reason}");
    other.say(&server, "echo fine");
    assert_eq!(other.wait_turn(&server, 1)["result"], "fine", "nobody else is hurt");
    worker.say(&server, "echo again");
    assert_eq!(worker.wait_turn(&server, 2)["result"], "again");
    worker.call(&server, "stop").expect(200);
    eventually(DEADLINE, "its group is removed", || (!own.exists()).then_some(()));
}
