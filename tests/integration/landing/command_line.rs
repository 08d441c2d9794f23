//! The same commands from the command line.

use std::fs;
use std::process::Output;

use serde_json::Value;

use super::{Scene, commit, git};

#[track_caller]
fn run(scene: &Scene, args: &[&str]) -> (bool, String) {
    let Output { status, stdout, stderr } = scene.server.command(args.iter().copied()).output().unwrap();
    (status.success(), String::from_utf8([stdout, stderr].concat()).unwrap())
}

#[test]
fn command_line_commits_updates_and_lands() {
    let scene = Scene::new("land-cli");
    fs::write(scene.tree.join("a.txt"), "ours\n").unwrap();
    fs::write(scene.tree.join("b.txt"), "later\n").unwrap();
    let (done, text) = run(&scene, &["commit", "Fix it", "-m", "One file", "a.txt"]);
    assert!(done && text.starts_with("committed a.txt to topic ("), "{text}");
    assert_eq!(git(&scene.tree, &["status", "--porcelain"]), "?? b.txt");
    let (done, text) = run(&scene, &["commit", "Fix it"]);
    assert!(!done && text.contains("-m is missing"), "{text}");
    commit(&scene.project, "part/b.txt", "theirs\n");
    let (done, text) = run(&scene, &["update", "Fix it", "--rebase"]);
    assert!(done && text.starts_with("updated topic by 1 commit "), "{text}");
    let (done, text) = run(&scene, &["update", "Fix it"]);
    assert!(done && text.starts_with("topic is up to date"), "{text}");
    let (done, text) = run(&scene, &["land", "Fix it", "--squash", "--into", "main", "--dry-run"]);
    assert!(done, "{text}");
    let expected = "topic to main: 1 commit ahead, 0 behind\nsquash: main gets 1 commit with all changes of 1 commit\n\
                    not committed: b.txt\n";
    assert_eq!(text, expected);
    let (done, text) = run(&scene, &["land", "Fix it", "--dry-run", "--json"]);
    assert!(done && serde_json::from_str::<Value>(&text).unwrap()["ahead"] == 1, "{text}");
    let (done, text) = run(&scene, &["land", "Fix it"]);
    assert!(!done && text.contains("choose --merge, --squash or --rebase"), "{text}");
    let (done, text) = run(&scene, &["land", "Fix it", "--squash"]);
    assert!(!done && text.contains("b.txt"), "{text}");
    run(&scene, &["commit", "Fix it", "-m", "The rest"]);
    let (done, text) = run(&scene, &["land", "Fix it", "--squash", "--into", "main", "-m", "Landed", "--delete"]);
    assert!(done && text.starts_with("landed on main: 1 commit "), "{text}");
    assert_eq!(git(&scene.project, &["log", "-1", "--format=%s", "main"]), "Landed");
    assert!(scene.server.worker_ids().is_empty());
}

#[test]
fn command_line_prints_conflicts_and_a_message_for_the_agent() {
    let scene = Scene::new("land-cli-conflict");
    commit(&scene.tree, "a.txt", "ours\n");
    commit(&scene.project, "a.txt", "theirs\n");
    let (done, text) = run(&scene, &["update", "Fix it"]);
    assert!(!done && text.contains("git merge main") && text.contains("- a.txt (contents)"), "{text}");
    let (_, text) = run(&scene, &["land", "Fix it", "--dry-run"]);
    assert!(text.contains("conflicts: a.txt (contents)") && text.contains("merge: not possible"), "{text}");
}
