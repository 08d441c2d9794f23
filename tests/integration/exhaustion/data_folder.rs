//! A data folder that cannot be used.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::process::Command;

use nix::unistd::Uid;
use serde_json::json;

use crate::hostile::{assert_serves, builder};
use crate::support::wait::DEADLINE;

/// Gives the program a view of the file system in which `$FOLDER` cannot be written, also for root.
const READ_ONLY: &str =
    "mount --bind \"$FOLDER\" \"$FOLDER\" && mount -o remount,ro,bind \"$FOLDER\" && exec \"$0\" \"$@\"";

#[test]
fn a_missing_data_folder_is_made_and_nobody_else_can_enter_it() {
    let mut server = builder().name("missing").prepare();
    let folder = server.dir().join("not/yet/there");
    server.set_env("WORKERS_BASE_DIR", folder.to_str().unwrap());
    server.start();
    assert_serves(&server);
    assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn a_data_folder_that_is_none_is_refused_with_its_name() {
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
        let told =
            format!("rs-worker: {} cannot be used for the workers' data (see WORKERS_BASE_DIR): {why}", path.display());
        assert!(output.contains(&told), "{output}");
    }
}

#[test]
fn a_read_only_data_folder_is_refused_with_its_name() {
    let (mut server, why) = if Uid::effective().is_root() {
        let possible = Command::new("unshare").args(["-m", "true"]).status();
        if !possible.is_ok_and(|status| status.success()) {
            eprintln!("skipped: a file system that root cannot write needs a mount namespace (unshare -m)");
            return;
        }
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
    let told = format!("{} cannot be used for the workers' data (see WORKERS_BASE_DIR): {why}", folder.display());
    assert!(output.contains(&told), "{output}");
}

#[test]
fn a_second_server_on_the_same_data_is_refused_with_the_pid_of_the_first() {
    let first = builder().start();
    let mut second = builder().env("WORKERS_BASE_DIR", first.data_dir()).prepare();
    let (status, output) = second.start_in_vain();
    assert_eq!(status.code(), Some(1), "{output}");
    let told = format!(
        "another server (pid {}) uses {}: stop it first, or set WORKERS_BASE_DIR to another folder",
        first.pid(),
        first.data_dir().display()
    );
    assert!(output.contains(&told), "{output}");
    assert_serves(&first);
}

#[test]
fn folders_that_vanish_under_a_running_server_cost_no_more_than_what_was_in_them() {
    let server = builder().start();
    let lost = server.create_worker("claude", &json!({}));
    let kept = server.create_worker("claude", &json!({}));
    server.wait_status(&lost, "idle");
    fs::remove_dir_all(server.data_dir().join(&lost)).unwrap();
    let shown = server.get(&format!("/api/workers/{lost}"));
    assert_eq!(shown.status, 500, "{}", shown.text());
    assert!(shown.text().contains("No such file or directory"), "{}", shown.text());
    // Its processes can still be ended, and the worker be forgotten.
    server.delete(&format!("/api/workers/{lost}")).expect(200);
    server.wait_no_processes_of(&lost);
    server.get(&format!("/api/workers/{lost}")).expect(404);

    let mut client = server.ws(&format!("/ws/{kept}"));
    client.send_json(&json!({"type": "message", "content": "echo kept"}));
    assert_eq!(client.wait_for_event("turn_completed", DEADLINE)["result"], "kept");
    assert_serves(&server);
}
