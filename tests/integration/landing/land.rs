//! Landings by each strategy, and their refusals.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::{IDLE, Scene, commit, git, shown};
use crate::support::workers::TestWorker;

/// Two commits of the agent, and one of another author on `main` in another file.
fn apart(scene: &Scene) -> (String, String) {
    commit(&scene.tree, "a.txt", "one\nTWO\nthree\n");
    let ours = commit(&scene.tree, "sub/new file.txt", "new\n");
    let theirs = commit(&scene.project, "part/b.txt", "theirs\n");
    (ours, theirs)
}

#[track_caller]
fn assert_landed(scene: &Scene) {
    assert_eq!(fs::read_to_string(scene.project.join("a.txt")).unwrap(), "one\nTWO\nthree\n");
    assert_eq!(fs::read_to_string(scene.project.join("sub/new file.txt")).unwrap(), "new\n");
    assert_eq!(fs::read_to_string(scene.project.join("part/b.txt")).unwrap(), "theirs\n");
    scene.assert_clean(&scene.project);
    scene.assert_clean(&scene.tree);
}

#[test]
fn dry_run_reports_each_strategy_and_changes_nothing() {
    let scene = Scene::new("land-dry");
    let (ours, theirs) = apart(&scene);
    fs::write(scene.tree.join("open.txt"), "not committed\n").unwrap();
    let (refs, index) = (scene.refs(), fs::read(scene.project.join(".git/index")).unwrap());
    let objects = git(&scene.project, &["count-objects", "-v"]);
    let dry = scene.dry_run();
    assert_eq!((&dry["branch"], &dry["into"]), (&json!("topic"), &json!("main")));
    assert_eq!((&dry["head"], &dry["into_head"]), (&json!(ours), &json!(theirs)));
    assert_eq!((&dry["ahead"], &dry["behind"]), (&json!(2), &json!(1)));
    assert_eq!((&dry["uncommitted"], &dry["conflicts"]), (&json!(["open.txt"]), &json!([])));
    assert_eq!(dry["target"]["checked_out_at"], json!(scene.project.canonicalize().unwrap()));
    let of = |name: &str| (dry["strategies"][name]["possible"].clone(), dry["strategies"][name]["commits"].clone());
    assert_eq!(of("merge"), (json!(true), json!(3)));
    assert_eq!(of("squash"), (json!(true), json!(1)));
    assert_eq!(of("rebase"), (json!(true), json!(2)));
    assert_eq!(dry["message"], "Fix it (2 commits)\n\n* write a.txt\n* write sub/new file.txt\n");
    assert_eq!((&dry["pending"], &dry["in_progress"]), (&Value::Null, &Value::Null));
    assert_eq!((scene.refs(), git(&scene.project, &["count-objects", "-v"])), (refs, objects));
    assert_eq!(fs::read(scene.project.join(".git/index")).unwrap(), index);
    let unknown = scene.server.get(&scene.worker.path("/land?into=nowhere")).expect(400).json();
    assert_eq!(unknown["field"], "into");
    scene.server.get(&scene.worker.path("/land?into=-x")).expect(400);
}

#[test]
fn merge_lands_on_a_clean_checkout_with_its_files() {
    let scene = Scene::new("land-merge");
    let (ours, theirs) = apart(&scene);
    let landed = scene.post("/land", &json!({"strategy": "merge", "into": "main"}), 200);
    assert_eq!((&landed["branch"], &landed["commits"], &landed["deleted"]), (&json!("main"), &json!(3), &json!(false)));
    assert_eq!(
        git(&scene.project, &["log", "-1", "--format=%P|%s"]),
        format!("{theirs} {ours}|Merge branch 'topic' into main")
    );
    assert_landed(&scene);
    assert_eq!(
        git(&scene.project, &["reflog", "-1", "--format=%gs", "HEAD"]),
        "rs-worker: Landed topic on main by merge: 3 commits"
    );
    assert_eq!(scene.refused("/land", &json!({"strategy": "merge"})).0, "nothing_to_do");
    assert_eq!(scene.dry_run()["strategies"]["merge"]["possible"], false);
}

#[test]
fn squash_lands_one_commit_and_keeps_the_originals() {
    let scene = Scene::new("land-squash");
    let (ours, theirs) = apart(&scene);
    let body = json!({"strategy": "squash", "message": "One change", "then": "delete"});
    let landed = scene.post("/land", &body, 200);
    assert_eq!((&landed["commits"], &landed["deleted"]), (&json!(1), &json!(true)));
    assert_eq!(git(&scene.project, &["log", "-1", "--format=%P|%B|%an"]), format!("{theirs}|One change\n|Person"));
    assert_eq!(fs::read_to_string(scene.project.join("a.txt")).unwrap(), "one\nTWO\nthree\n");
    scene.assert_clean(&scene.project);
    assert!(!scene.tree.exists() && git(&scene.project, &["branch", "--list", "topic"]).is_empty());
    // Its commits can be reached all the same.
    let kept = format!("refs/rs-worker/{}/landed/{}", scene.worker.id, &ours[..16]);
    assert_eq!(git(&scene.project, &["rev-parse", &kept]), ours);
    scene.server.get(&scene.worker.path("")).expect(404);
}

#[test]
fn rebase_lands_each_commit_again_with_its_author() {
    let scene = Scene::new("land-rebase");
    let (_, theirs) = apart(&scene);
    // A commit whose change is on the branch already is left out.
    commit(&scene.tree, "part/b.txt", "theirs\n");
    let dry = scene.dry_run();
    assert_eq!(dry["strategies"]["rebase"]["commits"], 2, "{dry}");
    scene.post("/land", &json!({"strategy": "rebase"}), 200);
    let log = git(&scene.project, &["log", "--reverse", "--format=%s|%an|%cn", &format!("{theirs}..main")]);
    assert_eq!(log, "write a.txt|Agent|Person\nwrite sub/new file.txt|Agent|Person");
    assert_landed(&scene);
}

#[test]
fn rebase_keeps_commits_already_on_top_unchanged() {
    let scene = Scene::new("land-forward");
    let ours = commit(&scene.tree, "a.txt", "ours\n");
    scene.post("/land", &json!({"strategy": "rebase"}), 200);
    assert_eq!(git(&scene.project, &["rev-parse", "main"]), ours);
    scene.assert_clean(&scene.project);
    // And its worker can be deleted at once.
    scene.server.delete(&scene.worker.path("")).expect(200);
}

#[test]
fn rebase_that_would_lose_a_merge_is_refused() {
    let scene = Scene::new("land-merges");
    git(&scene.tree, &["checkout", "-q", "-b", "side"]);
    commit(&scene.tree, "side.txt", "side\n");
    git(&scene.tree, &["checkout", "-q", "topic"]);
    commit(&scene.tree, "own.txt", "own\n");
    git(&scene.tree, &["merge", "-q", "--no-ff", "-m", "merged", "side"]);
    commit(&scene.project, "part/b.txt", "theirs\n");
    let (code, answer) = scene.refused("/land", &json!({"strategy": "rebase"}));
    assert_eq!(code, "impossible");
    assert!(answer["detail"].as_str().unwrap().contains("merge commits"), "{answer}");
    scene.post("/land", &json!({"strategy": "squash"}), 200);
}

#[test]
fn dirty_checkout_is_refused_with_its_files() {
    let scene = Scene::new("land-dirty");
    apart(&scene);
    let before = git(&scene.project, &["rev-parse", "main"]);
    fs::write(scene.project.join("a.txt"), "somebody's\n").unwrap();
    fs::write(scene.project.join("scratch.txt"), "untracked files do not matter\n").unwrap();
    let dry = scene.dry_run();
    assert_eq!(dry["target"]["dirty"], json!(["a.txt"]));
    assert_eq!(dry["strategies"]["squash"]["possible"], false);
    for strategy in ["merge", "squash", "rebase"] {
        let (code, answer) = scene.refused("/land", &json!({"strategy": strategy}));
        assert_eq!((code.as_str(), &answer["files"]), ("dirty", &json!(["a.txt"])), "{strategy}");
    }
    git(&scene.project, &["add", "a.txt"]);
    assert_eq!(scene.refused("/land", &json!({"strategy": "squash"})).0, "dirty", "staged counts too");
    assert_eq!(fs::read_to_string(scene.project.join("a.txt")).unwrap(), "somebody's\n");
    assert_eq!(git(&scene.project, &["rev-parse", "main"]), before);
    git(&scene.project, &["reset", "-q", "--hard"]);
    scene.post("/land", &json!({"strategy": "squash"}), 200);
    assert_eq!(git(&scene.project, &["status", "--porcelain"]), "?? scratch.txt");
}

#[test]
fn uncommitted_files_are_never_overwritten() {
    let scene = Scene::new("land-in-the-way");
    commit(&scene.tree, "made.txt", "landed\n");
    commit(&scene.tree, "ignored.log", "landed\n");
    fs::write(scene.project.join("made.txt"), "somebody's\n").unwrap();
    fs::write(scene.project.join(".git/info/exclude"), "*.log\n").unwrap();
    fs::write(scene.project.join("ignored.log"), "somebody's\n").unwrap();
    let (code, answer) = scene.refused("/land", &json!({"strategy": "squash"}));
    assert_eq!((code.as_str(), &answer["files"]), ("in_the_way", &json!(["ignored.log", "made.txt"])));
    fs::remove_file(scene.project.join("made.txt")).unwrap();
    fs::remove_file(scene.project.join("ignored.log")).unwrap();
    scene.post("/land", &json!({"strategy": "squash"}), 200);
    assert_eq!(fs::read_to_string(scene.project.join("ignored.log")).unwrap(), "landed\n");
}

#[test]
fn uncommitted_work_of_the_agent_is_not_left_behind_unseen() {
    let scene = Scene::new("land-uncommitted");
    commit(&scene.tree, "a.txt", "ours\n");
    fs::write(scene.tree.join("more.txt"), "forgotten\n").unwrap();
    let (code, answer) = scene.refused("/land", &json!({"strategy": "squash"}));
    assert_eq!((code.as_str(), &answer["files"]), ("uncommitted", &json!(["more.txt"])));
    let body = json!({"strategy": "squash", "leave_uncommitted": true, "then": "delete"});
    let landed = scene.post("/land", &body, 200);
    assert_eq!(landed["deleted"], false);
    assert!(landed["left"].as_str().unwrap().contains("more.txt"), "{landed}");
    assert!(scene.tree.join("more.txt").exists());
}

#[test]
fn branch_that_is_not_checked_out_is_moved_alone() {
    let scene = Scene::new("land-elsewhere");
    let (ours, theirs) = apart(&scene);
    git(&scene.project, &["checkout", "-q", "-b", "other"]);
    fs::write(scene.project.join("a.txt"), "somebody's\n").unwrap();
    let dry = scene.server.get(&scene.worker.path("/land?into=main")).expect(200).json();
    assert_eq!(dry["target"]["checked_out_at"], Value::Null);
    scene.post("/land", &json!({"strategy": "merge", "into": "main"}), 200);
    assert_eq!(git(&scene.project, &["log", "-1", "--format=%P", "main"]), format!("{theirs} {ours}"));
    assert_eq!(shown(&scene.project, "main:a.txt"), "one\nTWO\nthree");
    assert_eq!(fs::read_to_string(scene.project.join("a.txt")).unwrap(), "somebody's\n");
    assert_eq!(git(&scene.project, &["rev-parse", "other"]), theirs);
}

#[test]
fn branch_of_another_worktree_is_advanced_there() {
    let scene = Scene::new("land-worktree");
    apart(&scene);
    let elsewhere = scene.server.dir().join("elsewhere");
    git(&scene.project, &["checkout", "-q", "--detach"]);
    git(&scene.project, &["worktree", "add", "-q", elsewhere.to_str().unwrap(), "main"]);
    scene.post("/land", &json!({"strategy": "squash", "into": "main"}), 200);
    assert_eq!(fs::read_to_string(elsewhere.join("a.txt")).unwrap(), "one\nTWO\nthree\n");
    scene.assert_clean(&elsewhere);
    // A missing folder cannot be advanced, and is not skipped silently.
    commit(&scene.tree, "a.txt", "more\n");
    fs::remove_dir_all(&elsewhere).unwrap();
    let (_, answer) = scene.refused("/land", &json!({"strategy": "merge", "into": "main"}));
    assert!(answer["detail"].as_str().unwrap().contains("git worktree prune"), "{answer}");
    let own = scene.refused("/land", &json!({"strategy": "merge", "into": "main"})).1;
    assert_eq!(own["code"], "conflict");
    let same = scene.post("/land", &json!({"strategy": "merge", "into": "topic"}), 400);
    assert_eq!(same["field"], "into");
}

#[test]
fn bare_repositories_get_landings_too() {
    let mut server = super::prepared("land-bare", &[]);
    let bare = server.dir().join("shop.git");
    let project = server.project();
    git(&project, &["init", "-q"]);
    commit(&project, "a.txt", "first\n");
    git(&project, &["clone", "-q", "--bare", ".", bare.to_str().unwrap()]);
    let tree = server.dir().join("tree");
    git(&bare, &["worktree", "add", "-q", "-b", "topic", tree.to_str().unwrap()]);
    server.start();
    let worker = TestWorker::create(&server, "program", &json!({"args": IDLE, "project_path": tree}));
    worker.wait_status(&server, "idle");
    let ours = commit(&tree, "a.txt", "ours\n");
    let dry = server.get(&worker.path("/land")).expect(200).json();
    assert_eq!((&dry["into"], &dry["target"]["checked_out_at"]), (&json!("main"), &Value::Null));
    server.post(&worker.path("/land"), &json!({"strategy": "rebase"})).expect(200);
    assert_eq!(git(&bare, &["rev-parse", "main"]), ours);
}

#[test]
fn detached_commits_are_landed() {
    let scene = Scene::new("land-detached");
    git(&scene.tree, &["checkout", "-q", "--detach"]);
    commit(&scene.tree, "a.txt", "ours\n");
    let dry = scene.dry_run();
    assert_eq!((&dry["branch"], &dry["ahead"]), (&Value::Null, &json!(1)));
    scene.post("/land", &json!({"strategy": "squash"}), 200);
    assert_eq!(fs::read_to_string(scene.project.join("a.txt")).unwrap(), "ours\n");
    scene.assert_clean(&scene.project);
}

#[test]
fn sides_that_moved_since_the_dry_run_are_refused() {
    let scene = Scene::new("land-moved");
    let (ours, theirs) = apart(&scene);
    let body = |branch: &str, into: &str| json!({"strategy": "squash", "expected": {"branch": branch, "into": into}});
    assert_eq!(scene.refused("/land", &body(&theirs, &theirs)).0, "moved");
    assert_eq!(scene.refused("/land", &body(&ours, &ours)).0, "moved");
    scene.post("/land", &body(&ours, &theirs), 200);
    for body in [json!({"strategy": "force"}), json!({"then": "x"}), json!({"expected": 1}), json!({"message": ""})] {
        scene.post("/land", &body, 422);
    }
}

#[test]
fn folder_with_a_lock_of_git_is_left_alone() {
    let scene = Scene::new("land-locked");
    apart(&scene);
    let lock = scene.project.join(".git/index.lock");
    fs::write(&lock, "").unwrap();
    assert_eq!(scene.refused("/land", &json!({"strategy": "squash"})).0, "locked");
    assert!(lock.exists(), "it is somebody else's");
    fs::remove_file(&lock).unwrap();
    scene.post("/land", &json!({"strategy": "squash"}), 200);
    assert_eq!(scene.worker.controls(&scene.server, "branch_moved")[0]["end"], "undone");
}

#[test]
fn two_workers_that_land_at_once_both_land() {
    let scene = Scene::new("land-two");
    let body = json!({"args": IDLE, "name": "other", "worktree": {"branch": "second"}});
    let other = TestWorker::create(&scene.server, "program", &body);
    let folder = PathBuf::from(other.show(&scene.server)["worktree"]["path"].as_str().unwrap());
    commit(&scene.tree, "one.txt", "one\n");
    commit(&folder, "two.txt", "two\n");
    let land = |worker: &TestWorker| {
        (0..5).any(|_| {
            let answer = scene.server.post(&worker.path("/land"), &json!({"strategy": "squash", "into": "main"}));
            assert!(answer.status == 200 || answer.json()["code"] == "moved", "{}", answer.text());
            answer.status == 200
        })
    };
    std::thread::scope(|scope| {
        let first = scope.spawn(|| land(&scene.worker));
        assert!(land(&other) && first.join().unwrap());
    });
    assert!(scene.project.join("one.txt").exists() && scene.project.join("two.txt").exists());
    scene.assert_clean(&scene.project);
}
