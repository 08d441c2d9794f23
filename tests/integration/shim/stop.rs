//! A stop ends everything: no process of the tree is left when the exit record is written, and the record names those
//! that were killed.

use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rs_worker::testing::journal::Kind;
use rs_worker::testing::shim::end_tree;
use rs_worker::testing::shim::protocol::ShimCommand;

use super::{Worker, eventually, sh};

/// A process that has left its group and session, ignores SIGTERM and holds the pipes.
const STUBBORN: &str = "setsid sh -c 'trap \"\" TERM HUP; echo stubborn; while :; do sleep 1; done' &";

fn names(ended: &[(String, String)], signal: &str) -> Vec<String> {
    ended.iter().filter(|(_, last)| last == signal).map(|(name, _)| name.clone()).collect()
}

#[test]
fn stop_ends_grandchildren_that_ignore_sigterm_and_hold_the_pipes() {
    let mut worker = Worker::running("stubborn", &format!("{STUBBORN}\n{STUBBORN}\nwait"));
    let mut server = worker.attach(worker.start());
    let count = |heard: &super::Heard| heard.order.iter().filter(|(_, payload)| payload == "stubborn").count();
    server.hear("both grandchildren", |heard| count(heard) == 2);
    server.send(1, &ShimCommand::Stop { grace_ms: 300 });
    server.hear_all();
    assert!(server.heard.has_ok(1));
    let exited = worker.exited();
    assert_eq!(exited.signal.as_deref(), Some("SIGTERM"));
    assert_eq!(names(&exited.ended, "SIGKILL").iter().filter(|name| *name == "sh").count(), 2);
    assert!(worker.tagged().is_empty());
}

#[test]
fn processes_left_by_a_cli_are_ended_after_it() {
    // It continues once both are ready: one process has its trap, the other is a sleep and not a shell any more.
    let left = "sleep 1000 & until [ \"$(cat /proc/$!/comm)\" = sleep ]; do sleep 0.01; done";
    let stubborn = STUBBORN.replace("echo stubborn;", "echo stubborn; : > ready;");
    let script = format!("{left}\n{stubborn}\nuntil [ -e ready ]; do sleep 0.01; done; exit 5");
    let mut worker = Worker::running("left-behind", &script);
    let exited = worker.exited();
    assert_eq!((exited.exit_code, exited.signal), (Some(5), None));
    assert!(names(&exited.ended, "SIGKILL").contains(&"sh".to_owned()), "{:?}", exited.ended);
    assert!(names(&exited.ended, "SIGTERM").contains(&"sleep".to_owned()), "{:?}", exited.ended);
    assert_eq!(worker.payloads(Kind::Out), [b"stubborn"]);
    assert!(worker.tagged().is_empty());
}

#[test]
fn processes_that_fork_while_they_are_killed_are_all_ended() {
    let forks =
        "trap '' TERM; fork() { while :; do (trap '' TERM; sleep 1000) & sleep 0.01; done; }; fork & echo on; fork";
    let mut worker = Worker::running("forks", forks);
    let mut server = worker.attach(worker.start());
    server.hear("the first fork", |heard| heard.has_out("on"));
    server.send(1, &ShimCommand::Stop { grace_ms: 200 });
    server.hear_all();
    assert_eq!(worker.exited().signal.as_deref(), Some("SIGKILL"));
    assert!(worker.tagged().is_empty());
}

#[test]
fn processes_without_the_tag_are_found_by_their_parent() {
    let script = "env -i setsid /bin/sh -c 'trap \"\" TERM; echo untagged; while :; do sleep 1; done' & wait";
    let mut worker = Worker::running("untagged", script);
    let mut server = worker.attach(worker.start());
    server.hear("the grandchild", |heard| heard.has_out("untagged"));
    server.send(1, &ShimCommand::Stop { grace_ms: 100 });
    server.hear_all();
    let exited = worker.exited();
    assert!(names(&exited.ended, "SIGKILL").contains(&"sh".to_owned()), "{:?}", exited.ended);
}

#[test]
fn stopped_process_is_woken_to_end_in_its_own_way() {
    let mut worker = Worker::running(
        "woken",
        "trap 'echo bye; exit 6' TERM; echo ready; kill -STOP $$; while :; do sleep 0.1; done",
    );
    let mut server = worker.attach(worker.start());
    server.hear("the trap", |heard| heard.has_out("ready"));
    server.send(1, &ShimCommand::Stop { grace_ms: 60_000 });
    server.hear_all();
    assert_eq!(worker.exited().exit_code, Some(6));
}

#[test]
fn a_second_stop_cuts_the_grace_period_short() {
    let mut worker = Worker::running("shorter", "trap '' TERM; echo ready; while :; do sleep 0.1; done");
    let mut server = worker.attach(worker.start());
    server.hear("the trap", |heard| heard.has_out("ready"));
    server.send(1, &ShimCommand::Stop { grace_ms: 3_600_000 });
    server.send(2, &ShimCommand::Stop { grace_ms: 0 });
    server.hear_all();
    assert_eq!(worker.exited().signal.as_deref(), Some("SIGKILL"));
}

#[test]
fn sigterm_to_the_shim_is_a_stop() {
    let mut worker = Worker::running("sigterm", "echo ready; read wait");
    let mut server = worker.attach(worker.start());
    server.hear("the start", |heard| heard.has_out("ready"));
    kill(Pid::from_raw(worker.pid()), Signal::SIGHUP).unwrap();
    kill(Pid::from_raw(worker.pid()), Signal::SIGTERM).unwrap();
    server.hear_all();
    assert_eq!(worker.exited().signal.as_deref(), Some("SIGTERM"));
}

#[test]
fn dead_shims_tree_is_ended_by_its_tag() {
    let mut worker = Worker::new("lost");
    worker.launch(&sh(&format!("trap '' TERM\n{STUBBORN}\nwhile :; do sleep 1; done")));
    eventually("the tree", || (worker.tagged().len() >= 3).then_some(()));
    let mut shim = worker.shim.take().unwrap();
    shim.kill().unwrap();
    shim.wait().unwrap();
    let ended = end_tree(&worker.id, Duration::from_millis(200));
    assert!(ended.iter().filter(|process| process.signal == "SIGKILL").count() >= 2, "{ended:?}");
    assert!(worker.tagged().is_empty());
    assert!(end_tree(&worker.id, Duration::ZERO).is_empty());
}
