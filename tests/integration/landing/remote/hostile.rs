//! Repositories that an agent has armed: whatever their configuration names, a push runs none of it. Each trap is tried with
//! plain git first, so that none passes because it is not armed.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use serde_json::{Value, json};

use super::super::{commit, git};
use super::commit_at;
use super::ssh::scene;
use crate::support::sshd::Sshd;

/// Names of traps with their settings; `EVIL` is the program that notes that it was run, `PATH` a repository of the agent's.
const TRAPS: [(&str, &[&str]); 14] = [
    ("hooks", &[]),
    ("hooks-path", &["core.hooksPath=HOOKS"]),
    ("ssh", &["core.sshCommand=EVIL"]),
    ("rewritten", &["url.ext::EVIL .insteadOf=ssh://there", "protocol.ext.allow=always"]),
    ("rewritten-push", &["url.ext::EVIL .pushInsteadOf=ssh://there", "protocol.ext.allow=always"]),
    ("push-url", &["remote.origin.pushurl=ext::EVIL x", "protocol.ext.allow=always"]),
    ("helper", &["remote.origin.url=ext::EVIL x", "protocol.ext.allow=always"]),
    ("vcs", &["remote.origin.vcs=evil"]),
    ("receivepack", &["remote.origin.receivepack=EVIL"]),
    ("ssh-option", &["remote.origin.url=ssh://-oProxyCommand=EVIL/x"]),
    ("ssh-option-short", &["remote.origin.url=-oProxyCommand=EVIL:x"]),
    ("credential", &["remote.origin.url=http://HTTP/work.git", "credential.helper=!EVIL"]),
    ("askpass", &["remote.origin.url=http://HTTP/work.git", "core.askPass=EVIL"]),
    ("signed", &["push.gpgSign=true", "gpg.program=EVIL", "user.signingKey=x"]),
];
/// Traps that plain git does not step into: it is careful itself.
const CAREFUL: [&str; 2] = ["ssh-option", "ssh-option-short"];

#[test]
fn settings_of_the_repository_run_nothing_in_a_push() {
    let Some(sshd) = Sshd::start() else { return };
    let (scene, bare) = scene("push-hostile", &sshd);
    let http = crate::support::git_http::GitHttp::start(bare.parent().unwrap());
    let (evil, ran) = (scene.server.dir().join("evil"), scene.server.dir().join("ran"));
    fs::write(&evil, format!("#!/bin/sh\necho \"$0 $*\" >> '{}'\nexit 1\n", ran.display())).unwrap();
    fs::set_permissions(&evil, fs::Permissions::from_mode(0o755)).unwrap();
    git(&bare, &["config", "receive.certNonceSeed", "x"]);
    fs::copy(&evil, scene.server.dir().join("git-remote-evil")).unwrap();
    let hooks = scene.server.dir().join("hooks");
    let config = scene.project.join(".git/config");
    let clean = fs::read(&config).unwrap();
    let of_project = scene.project.join(".git/hooks");
    let mut expected = 0;
    for (number, (name, settings)) in TRAPS.iter().enumerate() {
        let id = commit(&scene.tree, "mine.txt", &format!("{number}\n"));
        let folder = if *name == "hooks" { &of_project } else { &hooks };
        fs::create_dir_all(folder).unwrap();
        for hook in ["pre-push", "reference-transaction"] {
            fs::copy(&evil, folder.join(hook)).unwrap();
        }
        for setting in *settings {
            let (key, value) = setting
                .rsplit_once('=')
                .filter(|it| it.0.contains("insteadOf"))
                .map_or_else(|| setting.split_once('=').unwrap(), |(key, value)| (key, value));
            let fill = |text: &str| {
                let text = text.replace("EVIL", evil.to_str().unwrap()).replace("HOOKS", hooks.to_str().unwrap());
                text.replace("HTTP", &http.addr.to_string())
            };
            git(&scene.project, &["config", &fill(key), &fill(value)]);
        }
        let spring = Command::new("git")
            .args(["push", "origin", &format!("{id}:refs/heads/plain-{number}")])
            .current_dir(&scene.tree)
            .env("GIT_CONFIG_GLOBAL", scene.server.dir().join("home/.gitconfig"))
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("PATH", format!("{}:{}", scene.server.dir().display(), std::env::var("PATH").unwrap()))
            .output()
            .unwrap();
        let sprung = ran.exists();
        let words = String::from_utf8_lossy(&spring.stderr).into_owned();
        assert_eq!(sprung, !CAREFUL.contains(name), "{name} is armed: {words}");
        let _ = fs::remove_file(&ran);
        let dry = scene.remote("origin");
        assert!(!ran.exists(), "{name}: {}", fs::read_to_string(&ran).unwrap());
        let url = dry["url"].as_str().unwrap_or("ssh://there").to_owned();
        let branch = format!("ours-{number}");
        let body = json!({"expected_url": url, "branch": branch, "set_upstream": true});
        let answer = scene.server.post(&scene.worker.path("/push"), &body);
        assert!(!ran.exists(), "{name}: {}", fs::read_to_string(&ran).unwrap());
        // A plain address is pushed to, and nothing that was armed runs.
        if url.starts_with("ssh://there") && dry["problem"] == Value::Null {
            assert_eq!(answer.status, 200, "{name}: {}", answer.text());
            assert_eq!(commit_at(&bare, &branch), id, "{name}");
            expected += 1;
        } else {
            assert_eq!(answer.status, 409, "{name}: {}", answer.text());
        }
        fs::write(&config, &clean).unwrap();
        let _ = fs::remove_dir_all(&of_project);
        let _ = fs::remove_dir_all(&hooks);
    }
    assert_eq!(expected, 8, "pushes of armed repositories that are done");
}
