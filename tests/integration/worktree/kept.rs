//! Commits that only a worktree has: kept under `refs/rs-worker/WORKER/` when it is deleted, and named.

use std::fs;
use std::path::Path;

use serde_json::json;

use super::{delete_refused, folder, git, in_worktree, repository, repository_at, start, try_git};
use crate::support::server::TestServer;
use crate::support::workers::TestWorker;

/// Deletes a worker with `force`, and returns what the response reports as kept.
#[track_caller]
fn force(server: &TestServer, worker: &TestWorker) -> String {
    server.delete(&worker.path("?force=true")).expect(200).json()["message"].as_str().unwrap().to_owned()
}

/// Makes a commit with a unique message, and returns its id.
fn commit(folder: &Path, message: &str) -> String {
    git(folder, &["commit", "-q", "--allow-empty", "-m", message]);
    git(folder, &["rev-parse", "HEAD"])
}

/// Returns whether a commit is reached from the kept references of a worker.
fn is_kept(project: &Path, worker: &TestWorker, id: &str) -> bool {
    let below = format!("refs/rs-worker/{}", worker.id);
    git(project, &["for-each-ref", "--contains", id, "--format=%(refname)"])
        .lines()
        .any(|name| name.starts_with(&below))
}

#[test]
fn commits_on_a_detached_head_are_kept_and_named() {
    let server = start("kept-detached", &[]);
    let project = repository(&server);
    let worker = in_worktree(&server, &json!({}));
    let tree = folder(&server, &worker);
    git(&tree, &["checkout", "-q", "--detach"]);
    commit(&tree, "one");
    let id = commit(&tree, "two");
    let message = force(&server, &worker);
    assert!(message.contains(&format!("refs/rs-worker/{}/{}", worker.id, &id[..12])), "{message}");
    assert!(is_kept(&project, &worker, &id));
    git(&project, &["fsck", "--strict"]);
    git(&project, &["gc", "-q", "--prune=now"]);
    assert_eq!(git(&project, &["log", "-1", "--format=%s", &id]), "two");
}

#[test]
fn commits_of_a_rebase_in_progress_are_kept() {
    let server = start("kept-rebase", &[]);
    let project = repository(&server);
    let worker = in_worktree(&server, &json!({"worktree": {"branch": "topic"}}));
    let tree = folder(&server, &worker);
    fs::write(tree.join("a.txt"), "mine\n").unwrap();
    git(&tree, &["commit", "-q", "-a", "-m", "mine"]);
    let mine = git(&tree, &["rev-parse", "HEAD"]);
    git(&tree, &["checkout", "-q", "--detach", "HEAD~1"]);
    fs::write(tree.join("a.txt"), "theirs\n").unwrap();
    git(&tree, &["commit", "-q", "-a", "-m", "theirs"]);
    let onto = git(&tree, &["rev-parse", "HEAD"]);
    assert!(!try_git(&tree, &["rebase", &onto, "topic"]).status.success(), "it stops at a conflict");
    let reported = delete_refused(&server, &worker);
    assert!(reported.contains("a rebase is in progress"), "{reported}");
    force(&server, &worker);
    for id in [&mine, &onto] {
        let refs = git(&project, &["for-each-ref", "--contains", id, "--format=%(refname)"]);
        assert!(!refs.is_empty(), "{id} is lost");
    }
    assert!(is_kept(&project, &worker, &onto));
}

#[test]
fn commits_only_in_the_reflog_are_kept_without_a_refusal() {
    let server = start("kept-log", &[]);
    let project = repository(&server);
    let worker = in_worktree(&server, &json!({}));
    let tree = folder(&server, &worker);
    let id = commit(&tree, "first try");
    git(&tree, &["reset", "-q", "--hard", "HEAD~1"]);
    // Nothing else is lost, so no force is needed.
    let message = server.delete(&worker.path("")).expect(200).json()["message"].as_str().unwrap().to_owned();
    assert!(message.contains(&id[..12]), "{message}");
    assert!(is_kept(&project, &worker, &id));
}

#[test]
fn commits_of_repositories_inside_are_kept_with_their_history() {
    let server = start("kept-inside", &[]);
    let project = repository(&server);
    fs::write(project.join(".gitignore"), "ignored/\n").unwrap();
    git(&project, &["add", "."]);
    git(&project, &["commit", "-q", "-m", "ignore"]);
    let worker = in_worktree(&server, &json!({}));
    let tree = folder(&server, &worker);
    let inner = tree.join("ignored/inner");
    repository_at(&inner);
    let on_branch = commit(&inner, "on a branch");
    git(&inner, &["checkout", "-q", "--detach"]);
    let detached = commit(&inner, "detached");
    git(&tree, &["init", "-q", "--bare", "ignored/bare.git"]);
    git(&inner, &["push", "-q", "../bare.git", "HEAD:refs/heads/pushed"]);
    // A clone has nothing that its remote does not have.
    git(&tree, &["clone", "-q", project.to_str().unwrap(), "ignored/clone"]);
    let reported = delete_refused(&server, &worker);
    assert!(reported.contains("the repository ignored/inner in it has 3 commits of its own"), "{reported}");
    assert!(
        reported.contains("ignored/bare.git") && reported.contains("ignored files go too (ignored/)"),
        "{reported}"
    );
    assert!(!reported.contains("ignored/clone"), "{reported}");
    let message = force(&server, &worker);
    assert!(message.contains(&format!("refs/rs-worker/{}/inside-ignored-inner-", worker.id)), "{message}");
    for id in [&on_branch, &detached] {
        assert!(is_kept(&project, &worker, id), "{id}");
        assert_eq!(git(&project, &["show", &format!("{id}:part/b.txt")]), "second");
    }
    git(&project, &["fsck", "--strict"]);
}

#[test]
fn a_submodules_commits_are_kept() {
    let server = start("kept-submodule", &[]);
    let project = repository(&server);
    let other = server.dir().join("other");
    repository_at(&other);
    git(&project, &["submodule", "--quiet", "add", other.to_str().unwrap(), "sub"]);
    git(&project, &["commit", "-q", "-a", "-m", "submodule"]);
    let worker = in_worktree(&server, &json!({}));
    let tree = folder(&server, &worker);
    git(&tree, &["submodule", "--quiet", "update", "--init"]);
    let id = commit(&tree.join("sub"), "in the submodule");
    let reported = delete_refused(&server, &worker);
    assert!(reported.contains("the repository sub in it has 1 commit of its own"), "{reported}");
    force(&server, &worker);
    assert!(is_kept(&project, &worker, &id));
    assert!(!tree.exists());
}

#[test]
fn commits_that_cannot_be_kept_refuse_a_forced_deletion() {
    let server = start("kept-shallow", &[]);
    let project = repository(&server);
    let other = server.dir().join("other");
    repository_at(&other);
    commit(&other, "not in the project");
    commit(&other, "second");
    let worker = in_worktree(&server, &json!({}));
    let tree = folder(&server, &worker);
    let from = format!("file://{}", other.display());
    git(&tree, &["clone", "-q", "--depth=1", &from, "shallow"]);
    commit(&tree.join("shallow"), "own");
    let reported = server.delete(&worker.path("?force=true")).expect(409).json()["detail"].as_str().unwrap().to_owned();
    assert!(
        reported.contains("the repository shallow in the worktree") && reported.contains("move it away"),
        "{reported}"
    );
    assert_eq!(worker.show(&server)["status"], "idle", "it works on");
    assert_eq!(git(&project, &["for-each-ref", "refs/rs-worker"]), "");
    fs::remove_dir_all(tree.join("shallow")).unwrap();
    server.delete(&worker.path("")).expect(200);
}
