//! Pushes over HTTP, with credentials of the user and of nobody else.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::super::{Scene, commit, prepared, set_person};
use super::{bare, commit_at};
use crate::support::git_http::GitHttp;

/// `ada:right` as HTTP has it.
const RIGHT: &str = "Basic YWRhOnJpZ2h0";

/// A scene with a bare repository behind an HTTP server, and the helper `store` of the user with these credentials.
fn scene(name: &str, key: Option<&str>) -> (Scene, GitHttp, PathBuf) {
    let scene = Scene::started(prepared(name, &[]));
    let bare = bare(&scene, "work.git");
    let http = GitHttp::start(bare.parent().unwrap());
    if let Some(key) = key {
        let file = scene.server.dir().join("home/credentials");
        fs::write(&file, format!("http://{key}@{}\n", http.addr)).unwrap();
        set_person(&scene.server, &format!("[credential]\n\thelper = store --file {}\n", file.display()));
    }
    commit(&scene.tree, "mine.txt", "mine\n");
    (scene, http, bare)
}

#[test]
fn credentials_are_the_users_and_never_the_repositorys() {
    let (scene, http, bare) = scene("push-http", Some("ada:right"));
    scene.add_remote("origin", &format!("http://mallory:s3cret@{}/work.git", http.addr));
    let remote = scene.remote("origin");
    assert_eq!(remote["url"], format!("http://{}/work.git", http.addr));
    assert!(!scene.dry_run().to_string().contains("s3cret"));
    assert_eq!(scene.push(&json!({"set_upstream": true}))["result"], "created");
    assert_eq!(commit_at(&bare, "topic"), commit_at(&scene.tree, "HEAD"));
    let keys = http.keys.lock().unwrap().clone();
    assert!(!keys.is_empty() && keys.iter().all(|key| key == RIGHT), "{keys:?}");
    let journal = format!("{:?}", scene.worker.controls(&scene.server, "remote_begun"));
    assert!(!journal.contains("s3cret") && !journal.contains("right"), "{journal}");
}

#[test]
fn push_without_credentials_fails_and_asks_nobody() {
    let (scene, http, bare) = scene("push-http-none", None);
    scene.add_remote("origin", &format!("http://ada:right@{}/work.git", http.addr));
    let (code, answer) = scene.refused_push(&json!({}));
    let words = answer["detail"].as_str().unwrap();
    assert!(code == "push_failed" && words.contains("unable to get password from user"), "{answer}");
    assert!(!words.contains("right"), "{answer}");
    assert!(http.keys.lock().unwrap().is_empty() && super::git(&bare, &["for-each-ref"]).is_empty());
    assert_eq!(scene.worker.controls(&scene.server, "remote_ended")[0]["end"], "failed");
}

#[test]
fn addresses_rewritten_by_the_user_are_shown_as_used() {
    let (scene, http, bare) = scene("push-http-rewritten", None);
    let of_user = format!("[url \"http://ada:right@{}/\"]\n\tinsteadOf = https://code.example/\n", http.addr);
    set_person(&scene.server, &of_user);
    scene.add_remote("origin", "https://code.example/work.git");
    assert_eq!(scene.remote("origin")["url"], format!("http://{}/work.git", http.addr));
    let pushed = scene.push(&json!({}));
    assert!(!pushed.to_string().contains("right"), "{pushed}");
    assert_eq!(commit_at(&bare, "topic"), commit_at(&scene.tree, "HEAD"));
}

#[test]
fn large_pushes_arrive_whole() {
    let (scene, http, bare) = scene("push-http-large", Some("ada:right"));
    scene.add_remote("origin", &format!("http://{}/work.git", http.addr));
    let mut random = crate::support::random::Random::new();
    let text: String = (0..300_000).map(|_| format!("{:x}", random.below(1 << 40))).collect();
    let id = commit(&scene.tree, "large.txt", &text);
    scene.push(&json!({}));
    assert_eq!(commit_at(&bare, "topic"), id);
    super::git(&bare, &["fsck", "--no-dangling"]);
}

#[test]
fn unknown_and_several_addresses_are_named_as_problems() {
    let (scene, _http, _) = scene("push-http-odd", None);
    scene.add_remote("two", "https://one.example/a/b");
    super::git(&scene.project, &["remote", "set-url", "--add", "two", "https://two.example/a/b"]);
    scene.add_remote("helper", "ext::sh -c true");
    for (name, words) in [("two", "has 2 addresses"), ("helper", "names a program")] {
        let remote = scene.remote(name);
        assert!(remote["problem"].as_str().unwrap().contains(words) && remote["url"] == Value::Null, "{remote}");
    }
    let answer = scene.post("/push", &json!({"expected_url": "x"}), 409);
    assert_eq!(answer["field"], "remote", "there is no usual one");
}
