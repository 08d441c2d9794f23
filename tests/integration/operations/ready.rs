//! `GET /api/ready`: 200 when the server can accept work, else 503 with the reason.

use std::fs;
use std::process::Command;
use std::thread;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::disk_full::Disk;
use crate::support::server::TestServer;
use crate::support::wait::{DEADLINE, eventually};
use crate::support::workers::TestWorker;
use crate::wire::builder;

/// Waits until the server is not ready, and returns the reason.
#[track_caller]
fn reason(server: &TestServer) -> String {
    eventually(DEADLINE, "a server that is not ready", || {
        let reply = server.client.try_request("GET", "/api/ready", &[], b"").ok()?;
        (reply.status == 503).then(|| reply.json()["detail"].as_str().unwrap().to_owned())
    })
}

#[track_caller]
fn wait_ready(server: &TestServer) {
    eventually(DEADLINE, "a server that is ready", || (server.get("/api/ready").status == 200).then_some(()));
}

#[test]
fn running_server_reports_ready_to_probes_without_a_token() {
    let server = builder().env("AUTH_TOKEN", "a-token-that-no-probe-has").start();
    assert_eq!(server.get("/api/ready").expect(200).json(), json!({"status": "ready"}));
    assert_eq!(server.get("/api/v1/ready").expect(200).json(), json!({"status": "ready"}));
    server.get("/api/health").expect(401);
    let mut left: Vec<_> = fs::read_dir(server.data_dir()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, [".server.lock", "audit.jsonl"], "what it looked with is gone");
}

#[test]
fn starting_server_is_alive_but_not_ready_and_requests_wait() {
    let mut server = builder().start();
    let worker = TestWorker::create(&server, "claude", &json!({}));
    worker.wait_status(&server, "idle");
    let shim = server.processes_of(&worker.id).into_iter().find(|it| it.command.contains(" shim ")).unwrap();
    let asked = (0..STARTS).find_map(|_| asked_while_it_starts(&mut server, Pid::from_raw(shim.pid)));
    assert_eq!(asked.expect("a start that was seen")["workers"][0]["id"], worker.id.as_str());
    wait_ready(&server);
}

/// Attempts of a start that lasts a few seconds, which a busy machine may miss.
const STARTS: usize = 5;

/// Starts a server again, and returns the response to a request while it loads its workers. Returns `None` if the start
/// was over before this test saw it.
fn asked_while_it_starts(server: &mut TestServer, shim: Pid) -> Option<Value> {
    server.kill9();
    // The next server waits a while for a shim that does not answer.
    kill(shim, Signal::SIGSTOP).unwrap();
    server.spawn();
    let loads = |server: &TestServer| {
        let starting = json!("starting: the workers are being loaded");
        eventually(DEADLINE, "a server that starts or is ready", || {
            let reply = server.client.try_request("GET", "/api/ready", &[], b"").ok()?;
            assert!(reply.status == 200 || reply.json()["detail"] == starting, "{}", reply.text());
            Some(reply.status == 503)
        })
    };
    let asked = loads(server).then(|| {
        assert_eq!(server.get("/health").expect(200).json()["status"], "healthy");
        thread::scope(|scope| {
            let asking = scope.spawn(|| server.get("/api/workers").expect(200).json());
            // It still runs.
            let loads = loads(server);
            kill(shim, Signal::SIGCONT).unwrap();
            let asked = asking.join().unwrap();
            loads.then_some(asked)
        })
    });
    kill(shim, Signal::SIGCONT).unwrap();
    asked.flatten()
}

#[test]
fn a_server_that_stops_is_not_ready() {
    let mut server = builder().env("ON_EXIT", "stop").env("STOP_GRACE_SECS", "120").start();
    let worker = TestWorker::create(&server, "claude", &json!({}));
    worker.wait_status(&server, "idle");
    let cli = worker.controls(&server, "started")[0]["pid"].as_i64().unwrap();
    worker.say(&server, "block");
    worker.wait_turn(&server, 1);
    // Neither signals nor the end of its input end this CLI: the server waits for it until the test has seen that.
    worker.say(&server, "hang hard");
    worker.wait_status(&server, "busy");
    kill(Pid::from_raw(server.pid()), Signal::SIGTERM).unwrap();
    assert_eq!(reason(&server), "the server is stopping");
    kill(Pid::from_raw(cli.try_into().unwrap()), Signal::SIGKILL).unwrap();
    server.stop_with(Signal::SIGTERM).expect("the server ends");
}

#[test]
fn server_with_a_full_disk_is_not_ready() {
    let Some(disk) = Disk::mount() else { return };
    let server = builder().env("WORKERS_BASE_DIR", &disk.path).start();
    wait_ready(&server);
    let ballast = disk.path.join("ballast");
    let mut file = fs::File::create(&ballast).unwrap();
    while std::io::Write::write(&mut file, &[0; 4096]).is_ok() {}
    drop(file);
    let reason = reason(&server);
    assert!(reason.starts_with("the data folder cannot be written: No space left on device"), "{reason}");
    assert!(!reason.contains(disk.path.to_str().unwrap()), "a path is nobody's business: {reason}");
    server.get("/health").expect(200);
    fs::remove_file(&ballast).unwrap();
    wait_ready(&server);
}

#[test]
fn a_server_whose_data_folder_is_gone_is_not_ready() {
    let server = builder().start();
    wait_ready(&server);
    let (there, away) = (server.data_dir(), server.dir().join("away"));
    fs::rename(&there, &away).unwrap();
    let reason = reason(&server);
    assert!(reason.starts_with("the data folder cannot be written: No such file"), "{reason}");
    fs::rename(&away, &there).unwrap();
    wait_ready(&server);
}

#[test]
fn server_whose_agent_waits_for_the_disk_is_not_ready() {
    let server = builder().start();
    let worker = TestWorker::create(&server, "claude", &json!({}));
    worker.wait_status(&server, "idle");
    wait_ready(&server);
    // Only the shim's files are limited: the server itself can write.
    let shim = worker.controls(&server, "started")[0]["shim_pid"].to_string();
    let limit = |bytes: &str| {
        let set = Command::new("prlimit").args(["--pid", &shim, &format!("--fsize={bytes}:unlimited")]).status();
        assert!(set.unwrap().success());
    };
    limit("20000");
    worker.say(&server, "lines 200 0 1000");
    eventually(DEADLINE, "the server is not ready", || (server.get("/api/ready").status == 503).then_some(()));
    let reason = reason(&server);
    assert!(reason.contains("the journals of 1 workers cannot be written"), "{reason}");
    limit("unlimited");
    wait_ready(&server);
    worker.wait_turn(&server, 1);
}
