//! Ignored files that `.worktreeinclude` names: they are copied into new worktrees, and no others.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;

use serde_json::json;

use super::{IDLE, git, start};
use crate::support::server::TestServer;
use crate::support::wait::{DEADLINE, eventually};
use crate::support::workers::TestWorker;

/// A worker in a new worktree, once that is set up, and the worktree.
#[track_caller]
fn in_worktree(server: &TestServer) -> (TestWorker, PathBuf) {
    let worker = TestWorker::create(server, "program", &json!({"args": IDLE, "worktree": true}));
    let shown = eventually(DEADLINE, "the end of the setup", || {
        Some(worker.show(server))
            .filter(|shown| ["done", "failed"].iter().any(|end| shown["preparing"]["state"] == *end))
    });
    (worker, PathBuf::from(shown["worktree"]["path"].as_str().unwrap()))
}

#[test]
fn ignored_files_that_are_named_are_copied_and_no_others() {
    let server = start("include-copied", &[]);
    let project = server.project();
    fs::create_dir_all(project.join("app/node_modules")).unwrap();
    for (file, text) in [
        (".env.local", "secret"),
        ("app/.env.local", "inner"),
        ("other.local", "not named"),
        ("app/node_modules/big", "not named"),
        ("new.txt", "not ignored"),
        (".worktreeinclude", "# ours\n.env.local\nnew.txt\na.txt\n"),
    ] {
        fs::write(project.join(file), text).unwrap();
    }
    fs::set_permissions(project.join(".env.local"), fs::Permissions::from_mode(0o600)).unwrap();
    let (worker, tree) = in_worktree(&server);
    assert_eq!(fs::read_to_string(tree.join(".env.local")).unwrap(), "secret");
    assert_eq!(fs::metadata(tree.join(".env.local")).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_to_string(tree.join("app/.env.local")).unwrap(), "inner");
    for left in ["other.local", "app/node_modules", "new.txt"] {
        assert!(!tree.join(left).exists(), "{left}");
    }
    assert_eq!(git(&tree, &["status", "--porcelain"]), "");
    let copied = worker.controls(&server, "preparing").into_iter().find(|step| step["step"] == "copied").unwrap();
    assert_eq!((&copied["files"], &copied["bytes"]), (&json!(2), &json!(11)));
}

#[test]
fn links_lead_no_file_of_elsewhere_into_a_worktree() {
    let server = start("include-links", &[]);
    let (project, outside) = (server.project(), server.dir().join("outside"));
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("x.local"), "a-secret").unwrap();
    symlink(outside.join("x.local"), project.join("link.local")).unwrap();
    symlink(&outside, project.join("folder")).unwrap();
    fs::hard_link(outside.join("x.local"), project.join("hard.local")).unwrap();
    fs::create_dir(project.join("nested")).unwrap();
    git(&project.join("nested"), &["init", "-q"]);
    fs::write(project.join("nested/.git/x.local"), "a-secret").unwrap();
    fs::write(project.join("good.local"), "good").unwrap();
    fs::write(project.join(".gitignore"), "*.local\nnested/\nfolder\n").unwrap();
    fs::write(project.join(".worktreeinclude"), "*.local\nfolder/**\nnested/**\n.git/**\n../outside/*\n").unwrap();
    let (_, tree) = in_worktree(&server);
    assert_eq!(fs::read_to_string(tree.join("good.local")).unwrap(), "good");
    for left in ["link.local", "hard.local", "folder", "nested", "x.local"] {
        assert!(tree.join(left).symlink_metadata().is_err(), "{left}");
    }
}

#[test]
fn list_of_files_that_is_a_link_is_not_read() {
    let server = start("include-list", &[]);
    let list = server.dir().join("list");
    fs::write(&list, "*.local\n").unwrap();
    fs::write(server.project().join("x.local"), "x").unwrap();
    symlink(&list, server.project().join(".worktreeinclude")).unwrap();
    let (worker, tree) = in_worktree(&server);
    assert!(!tree.join("x.local").exists());
    let reason = worker.show(&server)["reason"].to_string();
    assert!(reason.contains("the files of .worktreeinclude cannot be copied"), "{reason}");
}

#[test]
fn too_many_files_fail_the_setup_with_their_number() {
    let server = start("include-many", &[]);
    for number in 0..1001 {
        fs::write(server.project().join(format!("{number}.local")), "").unwrap();
    }
    fs::write(server.project().join(".worktreeinclude"), "*.local\n").unwrap();
    let (worker, tree) = in_worktree(&server);
    let reason = worker.show(&server)["reason"].to_string();
    assert!(reason.contains("it names 1001 files, and at most 1000 are copied"), "{reason}");
    assert!(!tree.join("0.local").exists());
}
