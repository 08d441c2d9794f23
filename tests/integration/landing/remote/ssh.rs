//! Pushes over ssh, to a real sshd on loopback.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::super::{Scene, commit, git, prepared, set_person};
use super::{bare, commit_at};
use crate::support::sshd::Sshd;

/// A scene whose user reaches the sshd as the host `there`, with a bare repository behind it as `origin`.
pub(super) fn scene(name: &str, sshd: &Sshd) -> (Scene, PathBuf) {
    let server = prepared(name, &[]);
    set_person(&server, &format!("[core]\n\tsshCommand = ssh -F {}\n", sshd.config()));
    let scene = Scene::started(server);
    let bare = bare(&scene, "work.git");
    scene.add_remote("origin", &format!("ssh://there{}", bare.display()));
    (scene, bare)
}

fn write_hook(repository: &Path, name: &str, script: &str) {
    let hook = repository.join("hooks").join(name);
    fs::create_dir_all(hook.parent().unwrap()).unwrap();
    fs::write(&hook, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn push_over_ssh_makes_a_branch_that_is_followed() {
    let Some(sshd) = Sshd::start() else { return };
    let (scene, bare) = scene("push-ssh", &sshd);
    let id = commit(&scene.tree, "mine.txt", "mine\n");
    let before = scene.remote("origin");
    assert_eq!(before["url"], format!("ssh://there{}", bare.display()));
    assert_eq!((&before["branch"], &before["head"], &before["problem"]), (&json!("topic"), &Value::Null, &Value::Null));
    assert_eq!(scene.dry_run()["upstream"], Value::Null);
    let pushed = scene.push(&json!({"set_upstream": true, "expected_head": id}));
    assert_eq!((&pushed["result"], &pushed["commit"], &pushed["note"]), (&json!("created"), &json!(id), &Value::Null));
    assert_eq!((&pushed["upstream"], &pushed["branch"]), (&json!(true), &json!("topic")));
    assert_eq!(commit_at(&bare, "topic"), id);
    assert_eq!(git(&scene.tree, &["rev-parse", "topic@{upstream}"]), id, "plain git knows it too");
    let again = scene.push(&json!({}));
    assert_eq!(again["result"], "up_to_date");
    let next = commit(&scene.tree, "more.txt", "more\n");
    let upstream = scene.dry_run()["upstream"].clone();
    let facts = ["name", "branch", "head", "ahead", "behind"].map(|name| upstream[name].clone());
    assert_eq!(facts, [json!("origin"), json!("topic"), json!(id), json!(1), json!(0)]);
    assert_eq!(scene.push(&json!({"branch": "other"}))["result"], "created");
    assert_eq!(commit_at(&bare, "other"), next);
    assert_eq!(scene.push(&json!({}))["result"], "updated");
    // Each is in the journal with its end, and in the conversation.
    let begun = scene.worker.controls(&scene.server, "remote_begun");
    let ended = scene.worker.controls(&scene.server, "remote_ended");
    assert_eq!((begun.len(), ended.len()), (4, 4));
    assert!(ended.iter().zip(&begun).all(|(end, begun)| end["end"] == "done" && end["id"] == begun["id"]), "{ended:?}");
    let notice = scene.worker.wait_event(&scene.server, "notice", 1);
    assert!(notice["content"].as_str().unwrap().contains("to topic of origin (ssh://there"), "{notice}");
}

#[test]
fn push_that_would_lose_commits_needs_their_id() {
    let Some(sshd) = Sshd::start() else { return };
    let (scene, bare) = scene("push-lease", &sshd);
    commit(&scene.tree, "mine.txt", "mine\n");
    scene.push(&json!({}));
    // Somebody else pushes on top of it, and the worker's side is rewritten.
    let clone = scene.server.dir().join("clone");
    git(scene.server.dir(), &["clone", "-q", "-b", "topic", bare.to_str().unwrap(), clone.to_str().unwrap()]);
    let theirs = commit(&clone, "theirs.txt", "theirs\n");
    git(&clone, &["push", "-q"]);
    git(&scene.tree, &["commit", "-q", "--amend", "-m", "again"]);
    let (code, answer) = scene.refused_push(&json!({}));
    assert_eq!((code.as_str(), &answer["remote_head"]), ("not_fast_forward", &json!(theirs)));
    assert!(answer["detail"].as_str().unwrap().contains("topic of origin has commits that are not here"), "{answer}");
    assert_eq!(commit_at(&bare, "topic"), theirs);
    // The remote has changed since it was last seen here.
    let seen = scene.remote("origin")["head"].clone();
    let (code, answer) = scene.refused_push(&json!({"force_with_lease": seen}));
    assert_eq!((code.as_str(), &answer["remote_head"]), ("lease", &json!(theirs)));
    assert_eq!(commit_at(&bare, "topic"), theirs);
    let body = scene.push_body(&json!({"force_with_lease": "topic"}));
    assert_eq!(scene.post("/push", &body, 400)["field"], "force_with_lease");
    let forced = scene.push(&json!({"force_with_lease": theirs}));
    assert_eq!(forced["result"], "forced");
    assert_eq!(commit_at(&bare, "topic"), commit_at(&scene.tree, "HEAD"));
    let ends: Vec<Value> = scene.worker.controls(&scene.server, "remote_ended");
    let ends: Vec<&str> = ends.iter().map(|end| end["end"].as_str().unwrap()).collect();
    assert_eq!(ends, ["done", "failed", "failed", "done"]);
}

#[test]
fn remote_that_refuses_a_push_is_quoted() {
    let Some(sshd) = Sshd::start() else { return };
    let (scene, bare) = scene("push-declined", &sshd);
    commit(&scene.tree, "mine.txt", "mine\n");
    write_hook(&bare, "pre-receive", "echo 'no work on fridays' >&2; exit 1");
    let (code, answer) = scene.refused_push(&json!({}));
    let words = answer["detail"].as_str().unwrap();
    assert!(code == "push_refused" && words.contains("pre-receive hook declined"), "{answer}");
    assert!(words.ends_with(": no work on fridays"), "{answer}");
    write_hook(&bare, "pre-receive", "echo 'thank you' >&2");
    assert_eq!(scene.push(&json!({}))["words"], "thank you");
}

#[test]
fn push_goes_only_to_the_address_that_was_seen() {
    let Some(sshd) = Sshd::start() else { return };
    let (scene, bare) = scene("push-moved", &sshd);
    let other = super::bare(&scene, "other.git");
    commit(&scene.tree, "mine.txt", "mine\n");
    let body = scene.push_body(&json!({}));
    git(&scene.project, &["remote", "set-url", "--push", "origin", &format!("ssh://there{}", other.display())]);
    let (code, answer) = scene.refused("/push", &body);
    assert_eq!((code.as_str(), &answer["url"]), ("address_changed", &json!(format!("ssh://there{}", other.display()))));
    for repository in [&bare, &other] {
        assert_eq!(git(repository, &["for-each-ref"]), "");
    }
    scene.server.post(&scene.worker.path("/push"), &json!({})).expect(422);
    let body = scene.push_body(&json!({"expected_head": commit_at(&scene.project, "main")}));
    assert_eq!(scene.refused("/push", &body).0, "moved");
    let body = scene.push_body(&json!({"branch": "-x"}));
    assert_eq!(scene.post("/push", &body, 400)["field"], "branch");
    let body = json!({"expected_url": "x", "remote": "none"});
    assert_eq!(scene.post("/push", &body, 404)["field"], "remote");
    // As git does it, a remote may have an address for pushes alone.
    assert_eq!(scene.push(&json!({}))["result"], "created");
    assert_eq!(commit_at(&other, "topic"), commit_at(&scene.tree, "HEAD"));
}

#[test]
fn folders_of_this_machine_are_not_pushed_to() {
    let scene = Scene::new("push-local");
    let bare = bare(&scene, "local.git");
    write_hook(&bare, "post-receive", "touch ran");
    commit(&scene.tree, "mine.txt", "mine\n");
    let path = bare.display().to_string();
    for (name, address) in [("path", path.clone()), ("file", format!("file://{path}"))] {
        scene.add_remote(name, &address);
        let remote = scene.remote(name);
        assert!(remote["problem"].as_str().unwrap().contains("a folder of this machine"), "{remote}");
        let answer = scene.post("/push", &json!({"remote": name, "expected_url": address}), 409);
        assert!(answer["detail"].as_str().unwrap().contains("a folder of this machine"), "{answer}");
    }
    assert_eq!(git(&bare, &["for-each-ref"]), "");
    assert!(!bare.join("ran").exists());
    assert!(scene.worker.controls(&scene.server, "remote_begun").is_empty());
}

#[test]
fn shallow_and_detached_projects_are_pushed() {
    let Some(sshd) = Sshd::start() else { return };
    let (scene, bare) = scene("push-shallow", &sshd);
    git(&scene.project, &["push", "-q", bare.to_str().unwrap(), "main"]);
    let root = commit_at(&scene.project, "main");
    fs::write(scene.project.join(".git/shallow"), format!("{root}\n")).unwrap();
    let id = commit(&scene.tree, "mine.txt", "mine\n");
    git(&scene.tree, &["checkout", "-q", "--detach"]);
    let body = scene.push_body(&json!({}));
    let answer = scene.post("/push", &body, 409);
    assert!(answer["detail"].as_str().unwrap().contains("no branch is checked out"), "{answer}");
    scene.push(&json!({"branch": "from/detached"}));
    assert_eq!(commit_at(&bare, "from/detached"), id);
}
