//! Repositories that an agent has changed so that a landing or a deletion would lose work.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::time::{Duration, SystemTime};

use serde_json::json;

use super::{Scene, commit, git};
use crate::support::wait::{DEADLINE, eventually};

#[test]
fn symbolic_branches_move_no_other_branch() {
    let scene = Scene::new("symbolic");
    commit(&scene.tree, "a.txt", "ours\n");
    git(&scene.project, &["symbolic-ref", "refs/heads/alias", "refs/heads/main"]);
    let refs = scene.refs();
    for strategy in ["merge", "squash", "rebase"] {
        let body = json!({"strategy": strategy, "into": "alias", "message": "m"});
        let answer = scene.server.post(&scene.worker.path("/land"), &body).expect(400).json();
        assert!(answer["detail"].to_string().contains("alias is another name of main"), "{answer}");
    }
    scene.server.get(&scene.worker.path("/land?into=alias")).expect(400);
    // Its own branch is another name of main, which the project has checked out.
    git(&scene.project, &["symbolic-ref", "refs/heads/topic", "refs/heads/main"]);
    let main = git(&scene.project, &["rev-parse", "main"]);
    let (_, answer) = scene.refused("/commit", &json!({"message": "m"}));
    assert!(answer["detail"].as_str().unwrap().contains("topic is another name of main"), "{answer}");
    assert_eq!(git(&scene.project, &["rev-parse", "main"]), main);
    git(&scene.project, &["update-ref", "--no-deref", "refs/heads/topic", refs_of(&refs, "refs/heads/topic")]);
    assert_eq!(scene.refs(), refs);
    scene.assert_clean(&scene.project);
}

/// Returns the commit of a reference in a list of them.
fn refs_of<'r>(refs: &'r str, name: &str) -> &'r str {
    refs.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).unwrap()
}

#[test]
fn settings_of_git_hide_no_change_from_deletion() {
    let scene = Scene::new("hidden");
    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_600_000_000);
    let edit = |text: &str| {
        fs::write(scene.tree.join("a.txt"), text).unwrap();
        fs::File::options().write(true).open(scene.tree.join("a.txt")).unwrap().set_modified(long_ago).unwrap();
    };
    edit("one\ntwo\nthree\n");
    git(&scene.tree, &["update-index", "--refresh"]);
    for (name, value) in [("core.ignorecase", "true"), ("core.trustctime", "false"), ("core.checkstat", "minimal")] {
        git(&scene.project, &["config", name, value]);
    }
    // git compares whole seconds, and the clock of files is a little behind.
    let second = fs::metadata(scene.tree.join("a.txt")).unwrap().ctime();
    eventually(DEADLINE, "another second", || {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        (i64::try_from(now).unwrap() > second + 1).then_some(())
    });
    edit("ONE\nTWO\nTHREE\n");
    fs::write(scene.tree.join("A.TXT"), "of the agent\n").unwrap();
    let dry = scene.dry_run();
    assert_eq!(dry["uncommitted"], json!(["A.TXT", "a.txt"]));
    scene.server.delete(&scene.worker.path("")).expect(409);
    assert!(scene.tree.join("A.TXT").exists());
}
