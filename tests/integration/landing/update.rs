//! Updates of a worker's branch from another one.

use std::fs;

use serde_json::json;

use super::{IDLE, Scene, commit, git, set_person};
use crate::support::workers::TestWorker;

#[test]
fn update_by_merge_brings_the_base_with_its_files() {
    let scene = Scene::new("update-merge");
    let ours = commit(&scene.tree, "a.txt", "ours\n");
    let theirs = commit(&scene.project, "part/b.txt", "theirs\n");
    fs::write(scene.tree.join("open.txt"), "untracked files stay\n").unwrap();
    let done = scene.post("/update", &json!({"strategy": "merge"}), 200);
    assert_eq!((&done["branch"], &done["commits"]), (&json!("topic"), &json!(1)));
    assert_eq!(
        git(&scene.tree, &["log", "-1", "--format=%P|%s"]),
        format!("{ours} {theirs}|Merge branch 'main' into topic")
    );
    assert_eq!(fs::read_to_string(scene.tree.join("part/b.txt")).unwrap(), "theirs\n");
    assert_eq!(git(&scene.tree, &["status", "--porcelain"]), "?? open.txt");
    let again = scene.post("/update", &json!({}), 200);
    assert_eq!((&again["commits"], &again["old"]), (&json!(0), &again["commit"]), "it is up to date");
    assert_eq!(again["commit"], done["commit"]);
}

#[test]
fn update_by_rebase_keeps_the_commits_from_before() {
    let scene = Scene::new("update-rebase");
    let ours = commit(&scene.tree, "a.txt", "ours\n");
    let theirs = commit(&scene.project, "part/b.txt", "theirs\n");
    scene.post("/update", &json!({"strategy": "rebase", "from": "main"}), 200);
    assert_eq!(git(&scene.tree, &["log", "-1", "--format=%P|%s|%an"]), format!("{theirs}|write a.txt|Agent"));
    assert_eq!(fs::read_to_string(scene.tree.join("a.txt")).unwrap(), "ours\n");
    scene.assert_clean(&scene.tree);
    let kept = format!("refs/rs-worker/{}/before/{}", scene.worker.id, &ours[..16]);
    assert_eq!(git(&scene.project, &["rev-parse", &kept]), ours);
    // A branch without commits of its own is fast-forwarded; a remote branch works too.
    let next = commit(&scene.project, "part/b.txt", "next\n");
    git(&scene.tree, &["reset", "-q", "--hard", &theirs]);
    git(&scene.project, &["update-ref", "refs/remotes/origin/main", &next]);
    scene.post("/update", &json!({"from": "origin/main"}), 200);
    assert_eq!(git(&scene.tree, &["rev-parse", "topic"]), next);
    let unknown = scene.post("/update", &json!({"from": "nowhere"}), 400);
    assert_eq!(unknown["field"], "from");
    scene.post("/update", &json!({"strategy": "squash"}), 422);
}

#[test]
fn update_of_a_dirty_folder_is_refused_with_its_files() {
    let scene = Scene::new("update-dirty");
    commit(&scene.project, "part/b.txt", "theirs\n");
    commit(&scene.project, "made.txt", "theirs\n");
    fs::write(scene.tree.join("a.txt"), "not committed\n").unwrap();
    let (code, answer) = scene.refused("/update", &json!({}));
    assert_eq!((code.as_str(), &answer["files"]), ("dirty", &json!(["a.txt"])));
    git(&scene.tree, &["checkout", "-q", "a.txt"]);
    fs::write(scene.tree.join("made.txt"), "the agent's\n").unwrap();
    let (code, answer) = scene.refused("/update", &json!({}));
    assert_eq!((code.as_str(), &answer["files"]), ("in_the_way", &json!(["made.txt"])));
    assert_eq!(git(&scene.tree, &["stash", "list"]), "");
    assert_eq!(fs::read_to_string(scene.tree.join("made.txt")).unwrap(), "the agent's\n");
}

#[test]
fn update_waits_for_the_end_of_a_turn() {
    let scene = Scene::new("update-busy");
    commit(&scene.project, "part/b.txt", "theirs\n");
    let body = json!({"name": "busy", "worktree": {"branch": "second", "base": "main~1"}});
    let busy = TestWorker::create(&scene.server, "claude", &body);
    busy.wait_status(&scene.server, "idle");
    busy.say(&scene.server, "hang");
    busy.wait_status(&scene.server, "busy");
    let refused = scene.server.post(&busy.path("/update"), &json!({})).expect(409).json();
    assert!(refused["detail"].as_str().unwrap().contains("in a turn"), "{refused}");
    busy.call(&scene.server, "interrupt").expect(200);
    busy.wait_status(&scene.server, "idle");
    scene.server.post(&busy.path("/update"), &json!({})).expect(200);
}

#[test]
fn worker_without_worktree_or_other_branch_shows_its_own() {
    let scene = Scene::new("update-alone");
    git(&scene.project, &["worktree", "remove", "--force", scene.tree.to_str().unwrap()]);
    git(&scene.project, &["branch", "-D", "-q", "topic"]);
    let alone = TestWorker::create(&scene.server, "program", &json!({"args": IDLE, "project_path": scene.project}));
    fs::write(scene.project.join("a.txt"), "changed\n").unwrap();
    let dry = scene.server.get(&alone.path("/land")).expect(200).json();
    assert_eq!((&dry["branch"], &dry["into"], &dry["uncommitted"]), (&json!("main"), &json!(null), &json!(["a.txt"])));
    assert_eq!(dry["strategies"]["merge"]["possible"], false);
    scene.server.post(&alone.path("/land"), &json!({})).expect(400);
    set_person(&scene.server, "");
    scene.server.post(&alone.path("/commit"), &json!({"message": "own"})).expect(200);
    // A folder without git has nothing to land.
    let plain = scene.server.dir().join("plain");
    fs::create_dir(&plain).unwrap();
    let plain = TestWorker::create(&scene.server, "program", &json!({"args": IDLE, "project_path": plain}));
    let refused = scene.server.get(&plain.path("/land")).expect(409).json();
    assert!(refused["detail"].as_str().unwrap().contains("not under git"), "{refused}");
}
