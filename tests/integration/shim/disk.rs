//! A disk that is full for a while: the CLI waits, nothing is dropped.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command as Program;
use std::{env, fs};

use rs_worker::testing::journal::{Control, Kind};
use rs_worker::testing::shim::protocol::{ShimCommand, control_line};
use rs_worker::testing::shim::{ShimSpec, spawn};

use super::{GRACE, Worker, sh};

/// Starts the shim with a limit on the size of its files, which looks like a full disk, but also sends a signal
/// (SIGXFSZ) that ends unprepared programs.
fn launch_limited(worker: &mut Worker, script: &str) {
    let wrapper = worker.dir.join("limited");
    let exe = env!("CARGO_BIN_EXE_rs-worker");
    fs::write(&wrapper, format!("#!/bin/sh\nulimit -S -f 40\nexec '{exe}' \"$@\"\n")).unwrap();
    fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755)).unwrap();
    let env: Vec<_> = env::vars_os().collect();
    let (launch, cwd) = (sh(script), Path::new("/"));
    let spec = ShimSpec {
        dir: &worker.dir,
        worker_id: &worker.id,
        launch: &launch,
        cwd,
        env: &env,
        grace: GRACE,
        cgroup: None,
    };
    worker.shim = Some(spawn(&wrapper, &spec).unwrap());
}

fn lift_the_limit(worker: &Worker) {
    let lifted = Program::new("prlimit").arg("--fsize=unlimited").arg(format!("--pid={}", worker.pid())).status();
    assert!(lifted.unwrap().success());
}

#[test]
fn a_full_disk_stops_the_cli_and_drops_nothing() {
    let mut worker = Worker::new("full");
    launch_limited(
        &mut worker,
        "i=0; while [ $i -lt 4000 ]; do echo line $i; i=$((i+1)); done; echo done >&2; read wait",
    );
    let mut server = worker.attach(worker.start());
    server.hear("the warning", |heard| !heard.warnings.is_empty());
    assert!(server.heard.warnings[0].starts_with("journal cannot be written: "), "{:?}", server.heard.warnings);
    // A record of the server waits with the CLI; other commands are executed.
    let mut body = Vec::new();
    control_line(&mut body, &Control::Renamed { name: "patience".into() });
    server.send(1, &ShimCommand::Append(&body));
    server.send(2, &ShimCommand::Signal(18));
    server.hear("the signal's answer", |heard| heard.has_ok(2));
    assert!(!server.heard.has_ok(1));
    // A command that comes now waits too, and gets the reason.
    drop(server);
    let mut server = worker.attach(worker.start());
    server.hear("the warning again", |heard| !heard.warnings.is_empty());
    server.send(3, &ShimCommand::Append(&body));
    lift_the_limit(&worker);
    let ended = |heard: &super::Heard| heard.order.iter().any(|(kind, payload)| *kind == "err" && payload == "done");
    server.hear("everything", |heard| heard.has_ok(3) && ended(heard) && heard.has_out("line 3999"));
    assert_eq!(server.heard.warnings.last().unwrap(), "");
    let expected: Vec<_> = (0..4000).map(|i| format!("line {i}").into_bytes()).collect();
    assert_eq!(worker.payloads(Kind::Out), expected);
    // Records that were never acknowledged to the previous server were dropped with it.
    let renamed = |control: &&Control| matches!(control, Control::Renamed { .. });
    assert_eq!(worker.controls().iter().filter(renamed).count(), 1);
    assert_eq!(server.heard.records, worker.journal(worker.start()));
}

#[test]
fn a_worker_can_be_stopped_while_the_disk_is_full() {
    let mut worker = Worker::new("full-stop");
    launch_limited(&mut worker, "i=0; while :; do echo line $i; i=$((i+1)); done");
    let mut server = worker.attach(worker.start());
    server.hear("the warning", |heard| !heard.warnings.is_empty());
    server.send(1, &ShimCommand::Stop { grace_ms: 100 });
    server.hear("the answer", |heard| heard.has_ok(1));
    super::eventually("the CLI is gone", || worker.tagged().is_empty().then_some(()));
    lift_the_limit(&worker);
    server.hear_all();
    assert!(worker.exited().signal.is_some());
    let lines = worker.payloads(Kind::Out);
    assert!(lines.iter().enumerate().all(|(i, line)| *line == format!("line {i}").into_bytes()));
}
