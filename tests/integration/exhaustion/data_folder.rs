//! A data folder that cannot be used.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;

use nix::unistd::Uid;
use serde_json::json;

use crate::hostile::{assert_serves, builder};
use crate::support::require::require_command;
use crate::support::server::TestServer;
use crate::support::wait::DEADLINE;

/// Gives the program a view of the file system in which `$FOLDER` cannot be written, also for root.
const READ_ONLY: &str =
    "mount --bind \"$FOLDER\" \"$FOLDER\" && mount -o remount,ro,bind \"$FOLDER\" && exec \"$0\" \"$@\"";

#[test]
fn missing_data_folder_is_created_and_private() {
    let mut server = builder().name("missing").prepare();
    let folder = server.dir().join("not/yet/there");
    server.set_env("WORKERS_BASE_DIR", folder.to_str().unwrap());
    server.start();
    assert_serves(&server);
    assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn data_folder_that_is_none_is_refused_with_its_name() {
    let mut server = builder().name("none").prepare();
    let (file, circle) = (server.dir().join("file"), server.dir().join("circle"));
    fs::write(&file, "").unwrap();
    symlink("circle", &circle).unwrap();
    for (path, why) in [
        (file.clone(), "File exists (os error 17)"),
        (file.join("workers"), "Not a directory (os error 20)"),
        (circle, "File exists (os error 17)"),
    ] {
        server.set_env("WORKERS_BASE_DIR", path.to_str().unwrap());
        let (status, output) = server.start_in_vain();
        assert_eq!(status.code(), Some(1), "{output}");
        let reported =
            format!("rs-worker: {} cannot be used for the workers' data (see WORKERS_BASE_DIR): {why}", path.display());
        assert!(output.contains(&reported), "{output}");
    }
}

#[test]
fn a_read_only_data_folder_is_refused_with_its_name() {
    let (mut server, why) = if Uid::effective().is_root() {
        let mut unshare = Command::new("unshare");
        let possible = require_command("a mount namespace (unshare -m)", unshare.args(["-m", "true"]));
        let Some(()) = possible else { return };
        let prepared = builder().name("read-only").under(&["unshare", "-m", "sh", "-c", READ_ONLY]).prepare();
        (prepared, "Read-only file system (os error 30)")
    } else {
        (builder().name("read-only").prepare(), "Permission denied (os error 13)")
    };
    let folder = server.data_dir();
    server.set_env("FOLDER", folder.to_str().unwrap());
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o555)).unwrap();
    let (status, output) = server.start_in_vain();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(status.code(), Some(1), "{output}");
    let reported = format!("{} cannot be used for the workers' data (see WORKERS_BASE_DIR): {why}", folder.display());
    assert!(output.contains(&reported), "{output}");
}

#[test]
fn second_server_on_the_same_data_reports_the_firsts_pid() {
    let first = builder().start();
    let mut second = builder().env("WORKERS_BASE_DIR", first.data_dir()).prepare();
    let (status, output) = second.start_in_vain();
    assert_eq!(status.code(), Some(1), "{output}");
    let reported = format!(
        "another server (pid {}) uses {}: stop it first, or set WORKERS_BASE_DIR to another folder",
        first.pid(),
        first.data_dir().display()
    );
    assert!(output.contains(&reported), "{output}");
    assert_serves(&first);
}

#[test]
fn vanished_folders_cost_a_running_server_only_their_content() {
    let server = builder().start();
    let lost = server.create_worker("claude", &json!({}));
    let kept = server.create_worker("claude", &json!({}));
    server.wait_status(&lost, "idle");
    fs::remove_dir_all(server.data_dir().join(&lost)).unwrap();
    let shown = server.get(&format!("/api/workers/{lost}"));
    assert_eq!(shown.status, 500, "{}", shown.text());
    assert!(shown.text().contains("No such file or directory"), "{}", shown.text());
    // Its processes can still be ended, and the worker deleted.
    server.delete(&format!("/api/workers/{lost}")).expect(200);
    server.wait_no_processes_of(&lost);
    server.get(&format!("/api/workers/{lost}")).expect(404);

    let mut client = server.ws(&format!("/ws/{kept}?deltas=1"));
    client.send_json(&json!({"type": "message", "content": "echo kept"}));
    assert_eq!(client.wait_for_event("turn_completed", DEADLINE)["result"], "kept");
    assert_serves(&server);
}

/// Starts an idle worker, and returns its id and its CLI's process id.
fn idle(server: &TestServer) -> (String, i64) {
    let id = server.create_worker("claude", &json!({}));
    let pid = server.wait_status(&id, "idle")["pid"].as_i64().unwrap();
    (id, pid)
}

#[track_caller]
fn assert_deleted(server: &TestServer, (id, pid): &(String, i64)) {
    server.delete(&format!("/api/workers/{id}")).expect(200);
    assert!(!Path::new(&format!("/proc/{pid}/exe")).exists(), "its process has ended");
    server.get(&format!("/api/workers/{id}")).expect(404);
}

#[test]
fn replaced_data_folder_is_used_without_a_restart() {
    let server = builder().start();
    let (first, second) = (idle(&server), idle(&server));
    let (there, away) = (server.data_dir(), server.dir().join("away"));
    fs::rename(&there, &away).unwrap();
    let body = json!({"name": "n", "project_path": server.project(), "ai_cli_type": "claude"});
    let refused = server.post("/api/workers", &body).expect(503);
    assert!(refused.text().contains("WORKERS_BASE_DIR"), "{}", refused.text());
    assert!(!there.exists(), "a folder that is gone is not made");
    assert_deleted(&server, &first);

    fs::create_dir(&there).unwrap();
    assert_serves(&server);
    let mut other = builder().env("WORKERS_BASE_DIR", &there).prepare();
    let (_, reported) = other.start_in_vain();
    assert!(reported.contains(&format!("another server (pid {})", server.pid())), "{reported}");
    // Writes of a running process go to no file now: no client gets an acknowledgement for them.
    let message = server.post(&format!("/api/workers/{}/messages", second.0), &json!({"content": "echo lost"}));
    assert!(message.status == 503 && message.text().contains("put it back, or delete"), "{}", message.text());
    assert_deleted(&server, &second);
}

#[test]
fn worker_whose_journal_was_removed_takes_nothing_and_is_deletable() {
    let server = builder().start();
    for remove in [|dir: &Path| fs::remove_file(dir.join("journal")), |dir: &Path| fs::remove_dir_all(dir)] {
        for stopped in [false, true] {
            let worker = idle(&server);
            let path = format!("/api/workers/{}", worker.0);
            if stopped {
                server.post(&format!("{path}/stop"), &json!({})).expect(200);
            }
            remove(&server.data_dir().join(&worker.0)).unwrap();
            for (ask, body) in [("messages", json!({"content": "echo lost"})), ("start", json!({}))] {
                let refused = server.post(&format!("{path}/{ask}"), &body);
                assert!(matches!(refused.status, 409 | 503), "{ask}, stopped {stopped}: {}", refused.text());
            }
            let refused = server.patch(&path, &json!({"name": "lost"})).expect(503);
            assert!(refused.text().contains("put it back, or delete"), "{}", refused.text());
            assert_deleted(&server, &worker);
        }
    }
}
