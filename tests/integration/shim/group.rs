//! A CLI runs in its worker's control group, and its shim does not.

use std::fs;

use rs_worker::testing::journal::Control;
use rs_worker::testing::shim::protocol::ShimCommand;

use super::{GRACE, Worker, eventually, sh};
use crate::support::cgroup::TestGroup;

#[test]
fn cli_is_in_its_group_and_its_shim_is_not() {
    let Some(group) = TestGroup::plain() else { return };
    let inner = group.folder().join("worker");
    fs::create_dir(&inner).unwrap();
    let mut worker = Worker::new("group");
    let dir = worker.dir.clone();
    worker.launch_in_group(&sh("cat /proc/self/cgroup; sleep 1000"), &dir, GRACE, Some(&inner));
    let mut server = worker.attach(worker.start());
    let is_inside = |heard: &super::Heard| {
        heard.order.iter().any(|(_, payload)| payload.starts_with("0::") && payload.ends_with("/worker"))
    };
    server.hear("the CLI's groups", is_inside);
    let shim = fs::read_to_string(format!("/proc/{}/cgroup", worker.pid())).unwrap();
    assert!(!shim.lines().any(|line| line.ends_with("/worker")), "{shim}");
    server.send(1, &ShimCommand::Stop { grace_ms: 300 });
    server.hear_all();
    worker.exited();
    eventually("the group is removed", || (!inner.exists()).then_some(()));
}

#[test]
fn group_that_cannot_be_entered_fails_the_start() {
    let mut worker = Worker::new("no-group");
    let dir = worker.dir.clone();
    worker.launch_in_group(&sh("true"), &dir, GRACE, Some(&dir.join("missing")));
    worker.ended();
    let failed = worker.controls().pop();
    assert!(
        matches!(&failed, Some(Control::SpawnFailed { error, .. }) if error.contains("control group")),
        "{failed:?}"
    );
}
