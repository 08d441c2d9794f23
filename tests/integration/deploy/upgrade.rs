//! Upgrade and rollback while agents run: two builds of the program, replaced as an installation does.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::json;

use super::project_path;
use crate::support::clis;
use crate::support::processes::Process;
use crate::support::server::TestServer;
use crate::support::temp::TempDir;
use crate::support::workers::TestWorker;

const THIS: &str = env!("CARGO_BIN_EXE_rs-worker");
/// The version of the other build; of the same length as this one's, so that it fits in its place.
const OTHER_VERSION: &str = "9.9.9";

/// Creates another build: this program with another version in it.
fn other_build(to: &Path) {
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(version.len(), OTHER_VERSION.len());
    let mut bytes = fs::read(THIS).unwrap();
    let mut at = 0;
    while let Some(found) = memchr::memmem::find(&bytes[at..], version.as_bytes()) {
        bytes[at + found..at + found + version.len()].copy_from_slice(OTHER_VERSION.as_bytes());
        at += found + version.len();
    }
    fs::write(to, bytes).unwrap();
    fs::set_permissions(to, fs::metadata(THIS).unwrap().permissions()).unwrap();
}

fn version(program: &Path) -> String {
    let reported = Command::new(program).arg("--version").output().unwrap();
    String::from_utf8(reported.stdout).unwrap().trim().to_owned()
}

/// Replaces the installed build, as `make install` does.
fn install(program: &Path, root: &Path) {
    let status = Command::new(project_path("deploy/install")).arg(program).arg("/usr").arg(root).status().unwrap();
    assert!(status.success());
}

/// A worker that waits for a permission in the middle of a turn.
fn asking(server: &TestServer) -> (TestWorker, Vec<Process>) {
    let worker = TestWorker::create(server, "claude", &json!({}));
    worker.say(server, "permission Bash");
    worker.wait_prompt(server);
    let processes = server.processes_of(&worker.id);
    assert_eq!(processes.len(), 2, "a shim and its CLI: {processes:#?}");
    (worker, processes)
}

/// The turn that began before ends now, in the very same processes.
fn goes_on(server: &TestServer, worker: &TestWorker, before: &[Process]) {
    let prompt = worker.wait_prompt(server);
    worker.answer(server, &prompt, &json!({"option_id": "allow"})).expect(200);
    worker.wait_turn(server, 1);
    assert_eq!(server.processes_of(&worker.id), before, "they were not disturbed");
    worker.say(server, "echo and on");
    assert_eq!(worker.wait_turn(server, 2)["result"], "and on");
}

#[test]
fn agents_survive_upgrade_and_rollback_with_shims_of_either_build() {
    let dir = TempDir::new("upgrade");
    let other = dir.path().join("other");
    other_build(&other);
    let root = dir.dir("root");
    let installed = root.join("usr/bin/rs-worker");
    install(Path::new(THIS), &root);
    let mut server =
        TestServer::builder().name("upgrade").env("CLAUDE_BINARY", clis::fake_cli()).binary(&installed).start();

    // Old server, old shim; then the program is replaced while the server runs, so that its next shim is of the new build.
    let (first, first_processes) = asking(&server);
    install(&other, &root);
    assert_eq!(version(&installed), format!("rs-worker {OTHER_VERSION}"));
    let (second, second_processes) = asking(&server);
    goes_on(&server, &second, &second_processes);

    // The new server attaches to the old shim in the middle of its turn.
    server.restart();
    assert!(server.output().contains(OTHER_VERSION), "{}", server.output());
    goes_on(&server, &first, &first_processes);
    let (third, third_processes) = asking(&server);

    // Rollback: the old server and shims of both builds, one of them in the middle of its turn.
    install(Path::new(THIS), &root);
    server.restart();
    assert!(!server.output().contains(OTHER_VERSION), "{}", server.output());
    goes_on(&server, &third, &third_processes);
    for (worker, processes) in [(&first, &first_processes), (&second, &second_processes)] {
        assert_eq!(&server.processes_of(&worker.id), processes);
        worker.say(&server, "echo still here");
        assert_eq!(worker.wait_turn(&server, 3)["result"], "still here");
        worker.call(&server, "stop").expect(200);
        assert_eq!(server.processes_of(&worker.id), []);
    }
}
