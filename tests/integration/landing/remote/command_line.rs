//! The same commands from the command line.

use std::process::Output;

use serde_json::json;

use super::super::commit;
use super::commit_at;
use super::ssh::scene;
use crate::support::sshd::Sshd;

#[test]
fn command_line_pushes_to_a_given_or_confirmed_address() {
    let Some(sshd) = Sshd::start() else { return };
    let (scene, bare) = scene("push-cli", &sshd);
    let run = |args: &[&str]| {
        let Output { status, stdout, stderr } = scene.server.command(args.iter().copied()).output().unwrap();
        (status.success(), String::from_utf8([stdout, stderr].concat()).unwrap())
    };
    let id = commit(&scene.tree, "mine.txt", "mine\n");
    let address = format!("ssh://there{}", bare.display());
    let (done, text) = run(&["push", "Fix it"]);
    assert!(!done && text.contains(&format!("--to {address}")), "nobody is there to confirm: {text}");
    let (done, text) = run(&["push", "Fix it", "--to", "ssh://elsewhere/x"]);
    assert!(!done && text.contains("the address of origin is ssh://there"), "{text}");
    let (done, text) = run(&["push", "Fix it", "--to", &address, "--set-upstream"]);
    assert!(done && text.starts_with("pushed topic to origin (created, "), "{text}");
    assert_eq!(commit_at(&bare, "topic"), id);
    super::git(&scene.tree, &["commit", "-q", "--amend", "-m", "again"]);
    let (done, text) = run(&["push", "Fix it", "--to", &address]);
    assert!(!done && text.contains("has commits that are not here"), "{text}");
    let (done, text) = run(&["push", "Fix it", "--to", &address, "--force-with-lease"]);
    assert!(done && text.starts_with("pushed topic to origin (forced, "), "{text}");
    let (done, text) = run(&["push", "Fix it", "--dry-run"]);
    assert!(done && text.contains(&format!("origin: {address}")) && text.contains("0 commits ahead"), "{text}");
    scene.add_remote("hub", "git@github.com:ada/steps.git");
    let (done, text) = run(&["pr", "Fix it", "--remote", "hub", "--to", "git@github.com:ada/steps.git", "-m", "Title"]);
    let expected = "https://github.com/ada/steps/compare/main...topic?expand=1&title=Title";
    assert!(done && text.contains(expected), "{text}");
    let (done, text) = run(&["pr", "Fix it", "--remote", "hub", "--json", "--to", "git@github.com:ada/steps.git"]);
    assert!(done && serde_json::from_str::<serde_json::Value>(&text).unwrap()["created"] == json!(false), "{text}");
}
