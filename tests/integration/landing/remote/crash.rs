//! Servers that are killed in the middle of a push.

use std::fs;

use serde_json::{Value, json};

use super::super::{Scene, commit, git, prepared, set_person};
use super::{bare, commit_at};
use crate::support::sshd::Sshd;
use crate::support::wait::{DEADLINE, eventually};
use crate::worktree::crash::wrapped_git;

/// A `git` that does not come back from a push, for as long as its caller lives. With `+` it is done first.
const HANGS: &str = r#"
armed=$(cat "$dir/armed" 2>/dev/null) || exec "$real" "$@"
case "$*" in *"push --porcelain"*) ;; *) exec "$real" "$@";; esac
case $armed in +*) "$real" "$@";; esac
touch "$dir/reached"
while kill -0 $PPID 2>/dev/null; do sleep 0.05; done
"#;

#[track_caller]
fn killed(name: &str, armed: &str, result: &str) {
    let Some(sshd) = Sshd::start() else { return };
    let mut server = prepared(name, &[]);
    set_person(&server, &format!("[core]\n\tsshCommand = ssh -F {}\n", sshd.config()));
    wrapped_git(&mut server, HANGS);
    let mut scene = Scene::started(server);
    let bare = bare(&scene, "work.git");
    scene.add_remote("origin", &format!("ssh://there{}", bare.display()));
    let id = commit(&scene.tree, "mine.txt", "mine\n");
    let body = scene.push_body(&json!({"set_upstream": true}));
    fs::write(scene.server.dir().join("armed"), armed).unwrap();
    let (client, path, text) = (scene.server.client.clone(), scene.worker.path("/push"), body.to_string());
    let asked = std::thread::spawn(move || {
        // The server is killed meanwhile.
        let _ = client.try_request("POST", &path, &[("content-type", "application/json")], text.as_bytes());
    });
    let reached = scene.server.dir().join("reached");
    eventually(DEADLINE, "the push", || reached.exists().then_some(()));
    scene.server.kill9();
    asked.join().unwrap();
    fs::remove_file(scene.server.dir().join("armed")).unwrap();
    // As if it had been killed while it wrote the configuration.
    let begun = scene.worker.controls(&scene.server, "remote_begun")[0]["id"].as_str().unwrap().to_owned();
    let unfinished = scene.project.join(format!(".git/config.rs-worker-{begun}"));
    fs::copy(scene.project.join(".git/config"), &unfinished).unwrap();
    fs::hard_link(&unfinished, scene.project.join(".git/config.lock")).unwrap();
    scene.server.start();
    let ended = eventually(DEADLINE, "an end of what was begun", || {
        scene.worker.controls(&scene.server, "remote_ended").first().cloned()
    });
    assert_eq!((&ended["end"], &ended["id"]), (&json!("unknown"), &json!(begun)));
    let notice = scene.worker.wait_event(&scene.server, "notice", 1);
    assert!(notice["content"].as_str().unwrap().starts_with("May have been pushed: "), "{notice}");
    assert!(!unfinished.exists() && !scene.project.join(".git/config.lock").exists());
    // Nothing was asked of the other machine at the start, and the same request again is safe.
    assert_eq!(git(&bare, &["for-each-ref"]).is_empty(), result == "created");
    let pushed = scene.post("/push", &body, 200);
    assert_eq!((&pushed["result"], &pushed["upstream"], &pushed["note"]), (&json!(result), &json!(true), &Value::Null));
    assert_eq!(commit_at(&bare, "topic"), id);
}

#[test]
fn push_that_is_killed_before_its_effect_can_be_repeated() {
    killed("torn-push", "push", "created");
}

#[test]
fn push_that_is_killed_after_its_effect_can_be_repeated() {
    killed("torn-pushed", "+push", "up_to_date");
}
