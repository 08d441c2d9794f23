//! Deletions that would lose work, and that are refused before anything is stopped.

use std::fs;
use std::path::Path;

use serde_json::json;

use super::{IDLE, delete_refused, folder, git, in_worktree, repository, start};
use crate::support::server::TestServer;
use crate::support::wait::{DEADLINE, eventually};
use crate::support::workers::TestWorker;

#[test]
fn worker_with_unsaved_work_is_not_deleted_and_says_why() {
    let server = start("worktree-delete", &[]);
    let project = repository(&server);
    let worker = in_worktree(&server, &json!({"worktree": {"branch": "topic"}}));
    let path = folder(&server, &worker);
    worker.wait_status(&server, "idle");
    fs::write(path.join("new.txt"), "untracked\n").unwrap();
    let reported = delete_refused(&server, &worker);
    assert!(reported.contains("new.txt") && reported.contains("?force=true"), "{reported}");
    for flag in ["perhaps", "True%20", "2"] {
        let refused = server.delete(&worker.path(&format!("?force={flag}"))).expect(422).json();
        assert_eq!(refused["detail"][0]["loc"], json!(["query", "force"]), "{refused}");
    }
    assert_eq!(worker.show(&server)["status"], "idle", "it works on");
    fs::remove_file(path.join("new.txt")).unwrap();
    fs::write(path.join("a.txt"), "changed\n").unwrap();
    assert!(delete_refused(&server, &worker).contains("a.txt"));
    git(&path, &["commit", "-q", "-a", "-m", "own"]);
    let reported = delete_refused(&server, &worker);
    assert!(reported.contains("1 commit that no other branch has"), "{reported}");

    // Once the commits are elsewhere, nothing is lost: worktree and branch are removed.
    git(&project, &["merge", "-q", "topic"]);
    server.delete(&worker.path("")).expect(200);
    assert!(!path.exists());
    assert_eq!(git(&project, &["branch", "--list", "topic"]), "");
    assert_eq!(git(&project, &["worktree", "list", "--porcelain"]).matches("worktree ").count(), 1);

    // With force, uncommitted changes are lost; commits are not.
    let worker = in_worktree(&server, &json!({"worktree": {"branch": "topic"}}));
    let path = folder(&server, &worker);
    fs::write(path.join("a.txt"), "again\n").unwrap();
    git(&path, &["commit", "-q", "-a", "-m", "kept"]);
    fs::write(path.join("new.txt"), "lost\n").unwrap();
    let message = server.delete(&worker.path("?force=true")).expect(200).json()["message"].to_string();
    assert!(message.contains("branch topic is kept") && message.contains("1 commit"), "{message}");
    assert!(!path.exists());
    assert_eq!(git(&project, &["log", "-1", "--format=%s", "topic"]), "kept");

    // A HEAD that is on no branch is lost with the worktree, so it counts.
    let worker = in_worktree(&server, &json!({}));
    let path = folder(&server, &worker);
    git(&path, &["checkout", "-q", "--detach"]);
    git(&path, &["commit", "-q", "--allow-empty", "-m", "nowhere"]);
    assert!(delete_refused(&server, &worker).contains("1 commit"));
}

#[test]
fn a_worktree_in_which_another_worker_works_stays() {
    let server = start("worktree-shared", &[]);
    repository(&server);
    let worker = in_worktree(&server, &json!({}));
    let path = folder(&server, &worker);
    let guest = TestWorker::create(&server, "program", &json!({"args": IDLE, "project_path": path}));
    let reported = delete_refused(&server, &worker);
    assert!(reported.contains(&guest.id), "{reported}");
    server.delete(&guest.path("")).expect(200);
    assert!(path.exists(), "it was not the guest's");
    server.delete(&worker.path("")).expect(200);
    assert!(!path.exists());
}

/// Asserts that the worker is unchanged, with its process.
#[track_caller]
fn assert_goes_on(server: &TestServer, worker: &TestWorker, pid: &serde_json::Value) {
    let shown = worker.show(server);
    assert_eq!((&shown["status"], &shown["pid"]), (&json!("idle"), pid), "it works on");
}

#[test]
fn a_refused_deletion_leaves_the_agent_running() {
    let server = start("worktree-refused", &[]);
    let project = repository(&server);
    let worker = in_worktree(&server, &json!({}));
    let tree = folder(&server, &worker);
    let pid = worker.wait_status(&server, "idle")["pid"].clone();

    git(&project, &["worktree", "lock", "--reason", "in use", tree.to_str().unwrap()]);
    let reported = delete_refused(&server, &worker);
    assert!(reported.contains("it is locked (in use)"), "{reported}");
    assert_goes_on(&server, &worker, &pid);
    git(&project, &["worktree", "unlock", tree.to_str().unwrap()]);

    // Files that git was configured not to examine are lost all the same.
    for flag in ["assume-unchanged", "skip-worktree"] {
        git(&tree, &["update-index", &format!("--{flag}"), "a.txt"]);
        fs::write(tree.join("a.txt"), "hidden change\n").unwrap();
        assert!(delete_refused(&server, &worker).contains("a.txt"), "{flag}");
        assert_goes_on(&server, &worker, &pid);
        git(&tree, &["update-index", &format!("--no-{flag}"), "a.txt"]);
        git(&tree, &["checkout", "-q", "--", "a.txt"]);
    }

    // If git fails, the contents cannot be known either.
    let index = git(&tree, &["rev-parse", "--git-path", "index"]);
    let good = fs::read(&index).unwrap();
    fs::write(&index, "garbage").unwrap();
    let reported = delete_refused(&server, &worker);
    assert!(reported.contains("git cannot examine it") && reported.contains("index file"), "{reported}");
    assert_goes_on(&server, &worker, &pid);
    fs::write(&index, good).unwrap();

    let link = fs::read(tree.join(".git")).unwrap();
    fs::write(tree.join(".git"), format!("gitdir: {}\n", project.join(".git").display())).unwrap();
    assert!(delete_refused(&server, &worker).contains("git cannot examine it"));
    fs::write(tree.join(".git"), link).unwrap();

    let away = server.dir().join("away");
    fs::rename(&project, &away).unwrap();
    assert!(delete_refused(&server, &worker).contains("git cannot examine it"));
    assert_goes_on(&server, &worker, &pid);
    fs::rename(&away, &project).unwrap();
    server.delete(&worker.path("")).expect(200);
    assert!(!tree.exists());
}

#[test]
fn work_done_while_it_is_stopped_is_not_lost() {
    let server = start("worktree-late", &[("STOP_GRACE_SECS", "120")]);
    repository(&server);
    let script = "trap 'echo late > late.txt; exit 0' TERM; touch ../ready; while :; do sleep 0.1; done";
    let worker = in_worktree(&server, &json!({"args": ["sh", "-c", script]}));
    let tree = folder(&server, &worker);
    eventually(DEADLINE, "the agent runs", || tree.join("../ready").exists().then_some(()));
    let reported = delete_refused(&server, &worker);
    assert!(
        reported.contains("the worker has been stopped, and is not deleted") && reported.contains("late.txt"),
        "{reported}"
    );
    assert_eq!(worker.show(&server)["status"], "stopped");
    assert_eq!(fs::read_to_string(tree.join("late.txt")).unwrap(), "late\n");
    server.delete(&worker.path("?force=true")).expect(200);
}

#[test]
fn forced_deletion_removes_what_is_locked_or_without_its_repository() {
    let server = start("worktree-forced", &[]);
    let project = repository(&server);
    let locked = in_worktree(&server, &json!({}));
    let tree = folder(&server, &locked);
    git(&project, &["worktree", "lock", tree.to_str().unwrap()]);
    server.delete(&locked.path("?force=true")).expect(200);
    assert!(!tree.exists());
    assert_eq!(git(&project, &["worktree", "list", "--porcelain"]).matches("worktree ").count(), 1);
    let orphan = in_worktree(&server, &json!({}));
    let tree = folder(&server, &orphan);
    fs::remove_dir_all(&project).unwrap();
    server.delete(&orphan.path("?force=true")).expect(200);
    assert!(!tree.exists());
}

#[test]
fn live_worker_is_deleted_although_its_data_folder_is_gone() {
    let server = start("worktree-data-gone", &[]);
    let project = repository(&server);
    let worker = super::in_project(&server, &project);
    worker.wait_status(&server, "idle");
    let pid = worker.show(&server)["pid"].as_i64().unwrap();
    fs::rename(server.data_dir(), server.dir().join("data-away")).unwrap();
    server.delete(&worker.path("")).expect(200);
    assert!(!Path::new(&format!("/proc/{pid}/exe")).exists(), "its process has ended");
    server.get(&worker.path("")).expect(404);
}
