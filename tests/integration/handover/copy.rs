//! Conversations that are continued in a copy of the folder.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use serde_json::{Value, json};

use super::{first_message, hand_over, refused, start, with_conversation};
use crate::support::server::TestServer;
use crate::support::workers::TestWorker;
use crate::worktree::{folder, git, repository_at};

/// More than the largest file that is carried over, in bytes.
const TOO_LARGE: u64 = 33 * 1024 * 1024;

/// A repository in the project's folder, with a worker that has a conversation.
fn in_repository(name: &str) -> (TestServer, TestWorker) {
    let server = start(name);
    repository_at(&server.project());
    let worker = with_conversation(&server, &json!({}));
    (server, worker)
}

fn reference(worker: &TestWorker) -> String {
    format!("refs/rs-worker/{}/turns", worker.id)
}

fn too_large(path: &Path) {
    fs::File::create(path).unwrap().set_len(TOO_LARGE).unwrap();
}

#[test]
fn copy_begins_at_the_last_commit_and_names_the_rest() {
    let server = start("handover-copy");
    let project = server.project();
    repository_at(&project);
    let worker = with_conversation(&server, &json!({"worktree": true}));
    let tree = folder(&server, &worker);
    fs::write(tree.join("a.txt"), "committed\n").unwrap();
    git(&tree, &["commit", "-q", "-a", "-m", "work"]);
    fs::write(tree.join("a.txt"), "not committed\n").unwrap();
    fs::write(tree.join("two\nlines"), "new\n").unwrap();
    // The first worker keeps running.
    let (next, made) = hand_over(&server, &worker, &json!({"where": "copy", "uncommitted": "leave"}));
    let copy = folder(&server, &next);
    assert_ne!(copy, tree);
    assert_eq!(made["carried"], Value::Null);
    assert_eq!(fs::read_to_string(copy.join("a.txt")).unwrap(), "committed\n");
    assert_eq!(made["worktree"]["base"], git(&tree, &["rev-parse", "HEAD"]));
    assert_eq!(made["worktree"]["project"], project.to_str().unwrap(), "it does not need the first one's worktree");
    let said = first_message(&server, &next);
    assert!(said.contains("Uncommitted changes that are not in the copy: a.txt, two\\nlines\n"), "{said}");
    assert_eq!(fs::read_to_string(tree.join("a.txt")).unwrap(), "not committed\n");
    server.delete(&worker.path("?force=true")).expect(200);
    assert_eq!(git(&copy, &["status", "--porcelain"]), "");
    server.delete(&next.path("")).expect(200);
}

#[test]
fn uncommitted_changes_come_along_and_stay_where_they_were() {
    let (server, worker) = in_repository("handover-carried");
    let project = server.project();
    for (name, text) in [("crlf.txt", "a\r\nb\r\n"), ("gone.txt", "gone\n"), ("run.sh", "echo\n")] {
        fs::write(project.join(name), text).unwrap();
    }
    fs::write(project.join(".gitignore"), "built/\n").unwrap();
    git(&project, &["add", "."]);
    git(&project, &["commit", "-q", "-m", "more"]);
    fs::write(project.join("a.txt"), "changed\n").unwrap();
    fs::write(project.join("crlf.txt"), "a\r\nchanged\r\n").unwrap();
    fs::remove_file(project.join("gone.txt")).unwrap();
    fs::set_permissions(project.join("run.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::create_dir_all(project.join("new/näh \u{1f9f5}")).unwrap();
    fs::write(project.join("new/näh \u{1f9f5}/two\nlines"), [0, 159, 146, 150, 0]).unwrap();
    symlink("../a.txt", project.join("new/link")).unwrap();
    fs::write(project.join("staged.txt"), "staged\n").unwrap();
    git(&project, &["add", "staged.txt"]);
    fs::create_dir(project.join("built")).unwrap();
    fs::write(project.join("built/x.o"), "object").unwrap();
    let before = (git(&project, &["status", "--porcelain"]), fs::read(project.join(".git/index")).unwrap());

    let (next, made) = hand_over(&server, &worker, &json!({"where": "copy"}));
    let copy = folder(&server, &next);
    assert_eq!(made["carried"], json!({"files": 7, "left_out": [], "left_out_count": 0}));
    let text = |name: &str| fs::read_to_string(copy.join(name)).unwrap();
    assert_eq!((text("a.txt").as_str(), text("crlf.txt").as_str()), ("changed\n", "a\r\nchanged\r\n"));
    assert!(!copy.join("gone.txt").exists() && !copy.join("built").exists());
    assert_eq!(fs::metadata(copy.join("run.sh")).unwrap().permissions().mode() & 0o100, 0o100);
    assert_eq!(fs::read(copy.join("new/näh \u{1f9f5}/two\nlines")).unwrap(), [0, 159, 146, 150, 0]);
    assert_eq!(fs::read_link(copy.join("new/link")).unwrap(), Path::new("../a.txt"));
    assert_eq!(text("staged.txt"), "staged\n");
    assert_eq!(git(&copy, &["diff", "--cached", "--name-only"]), "", "the agent decides what is committed");
    let said = first_message(&server, &next);
    assert!(said.contains("Files with uncommitted changes that are in the copy, too: 7\n"), "{said}");
    assert!(said.contains("only if .worktreeinclude lists them: ") && said.contains("built/"), "{said}");
    let after = (git(&project, &["status", "--porcelain"]), fs::read(project.join(".git/index")).unwrap());
    assert_eq!(after, before, "the first worker's folder is only read");

    // Nothing of it stays in the repository when the new worker is gone.
    assert_ne!(git(&project, &["for-each-ref", &reference(&next)]), "");
    server.delete(&next.path("")).expect(409);
    server.delete(&next.path("?force=true")).expect(200);
    assert_eq!(git(&project, &["for-each-ref", &reference(&next)]), "");
}

#[test]
fn changes_that_cannot_come_along_are_named() {
    let (server, worker) = in_repository("handover-named");
    let project = server.project();
    let ran = server.dir().join("ran");
    let filter = format!("touch '{}'; cat", ran.display());
    git(&project, &["config", "filter.own.clean", &filter]);
    git(&project, &["config", "filter.own.smudge", &filter]);
    fs::write(project.join(".gitattributes"), "*.own filter=own\n").unwrap();
    fs::write(project.join("x.own"), "filtered\n").unwrap();
    too_large(&project.join("large.bin"));
    repository_at(&project.join("inner"));
    // It would run at each look of git's own.
    git(&project, &["config", "core.fsmonitor", &format!("touch '{}'", ran.display())]);
    fs::write(project.join("a.txt"), "changed\n").unwrap();
    let (next, made) = hand_over(&server, &worker, &json!({"where": "copy"}));
    let copy = folder(&server, &next);
    assert_eq!(fs::read_to_string(copy.join("a.txt")).unwrap(), "changed\n");
    let named = made["carried"]["left_out"].to_string();
    assert!(named.contains("x.own (its content passes a filter"), "{named}");
    assert!(!copy.join("x.own").exists() && !copy.join("large.bin").exists() && !copy.join("inner").exists());
    let said = first_message(&server, &next);
    for name in ["x.own (its", "large.bin (it is too large", "inner/ (it is a repository"] {
        assert!(said.contains(name), "{name}: {said}");
    }
    assert!(!ran.exists(), "a program of the repository has run");
}

#[test]
fn too_many_changes_make_no_copy_unless_they_are_left() {
    let (server, worker) = in_repository("handover-too-much");
    let project = server.project();
    for number in 0..40 {
        too_large(&project.join(format!("large-{number}")));
    }
    let why = refused(&server, &worker, &json!({"where": "copy"}), 409);
    assert!(why.contains("can't be copied") && why.contains("leave them behind"), "{why}");
    assert_eq!(server.worker_ids(), [worker.id.as_str()]);
    assert_eq!(git(&project, &["worktree", "list", "--porcelain"]).matches("worktree ").count(), 1);
    let kept = git(&project, &["for-each-ref", "refs/rs-worker"]);
    assert!(kept.lines().all(|line| line.contains(&worker.id)), "{kept}");
    hand_over(&server, &worker, &json!({"where": "copy", "uncommitted": "leave"}));
    let body = json!({"where": "same", "uncommitted": "leave", "force": true});
    assert_eq!(server.post(&worker.path("/handover"), &body).expect(400).json()["field"], "uncommitted");
}

#[test]
fn changes_outside_of_the_first_folder_stay_behind() {
    let server = start("handover-outside");
    let project = server.project();
    repository_at(&project);
    let worker = with_conversation(&server, &json!({"project_path": project.join("part")}));
    fs::write(project.join("a.txt"), "not the worker's\n").unwrap();
    git(&project, &["add", "a.txt"]);
    fs::write(project.join("part/b.txt"), "the worker's\n").unwrap();
    let (next, made) = hand_over(&server, &worker, &json!({"where": "copy"}));
    let copy = folder(&server, &next);
    assert_eq!(fs::read_to_string(copy.join("part/b.txt")).unwrap(), "the worker's\n");
    assert_eq!(fs::read_to_string(copy.join("a.txt")).unwrap(), "first\n");
    assert_eq!(made["carried"], json!({"files": 1, "left_out": ["a.txt"], "left_out_count": 1}));
}

#[test]
fn folder_below_the_top_has_its_place_in_the_copy() {
    let server = start("handover-below");
    let project = server.project();
    repository_at(&project);
    let worker = with_conversation(&server, &json!({"project_path": project.join("part")}));
    let (next, made) = hand_over(&server, &worker, &json!({"where": "copy", "as": "file"}));
    let part = folder(&server, &next).join("part");
    assert_eq!(made["project_path"], part.to_str().unwrap());
    assert!(first_message(&server, &next).contains(".rs-worker/handover-"));
    assert!(part.join(".rs-worker/.gitignore").exists());
    // Ignored files are not a reason to keep a worktree.
    server.delete(&next.path("")).expect(200);
}

#[test]
fn folder_without_git_cannot_be_copied() {
    let server = start("handover-no-git");
    let worker: TestWorker = with_conversation(&server, &json!({}));
    let answer = server.post(&worker.path("/handover"), &json!({"where": "copy"})).expect(409).json();
    assert_eq!(answer["field"], "where", "{answer}");
    assert_eq!(server.worker_ids().len(), 1);
}
