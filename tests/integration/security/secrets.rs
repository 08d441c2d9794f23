//! Secrecy: file modes, and keys that appear nowhere.

use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

use serde_json::json;

use super::TOKEN;
use crate::support::wait::DEADLINE;
use crate::wire::{CAT, LOOP, builder, events, idle_worker, say, start, wait_event};

/// The permission bits of a file.
pub(super) fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

/// Everything below a folder, and the folder.
fn walk(folder: &Path) -> Vec<PathBuf> {
    let mut found = vec![folder.to_owned()];
    let mut at = 0;
    while at < found.len() {
        if found[at].is_dir() {
            let entries = fs::read_dir(&found[at]).unwrap();
            found.extend(entries.map(|entry| entry.unwrap().path()));
        }
        at += 1;
    }
    found
}

#[test]
fn data_and_logs_are_closed_to_other_users() {
    let mut server = builder().env("LOG_LEVEL", "debug").prepare();
    let data = server.dir().join("fresh/workers");
    server.set_env("WORKERS_BASE_DIR", data.to_str().unwrap());
    server.start();
    let id = idle_worker(&server, "claude");
    say(&server, &id, "echo hello");
    wait_event(&server, &id, "assistant", "hello");
    let check = || {
        let mut kinds = [0; 3];
        for path in [walk(data.parent().unwrap()), walk(&server.dir().join("logs"))].concat() {
            let kind = fs::metadata(&path).unwrap().file_type();
            let (at, expected) = if kind.is_dir() {
                (0, 0o700)
            } else if kind.is_socket() {
                (1, 0o600)
            } else {
                (2, 0o600)
            };
            kinds[at] += 1;
            assert_eq!(mode(&path), expected, "{} has mode {:o}", path.display(), mode(&path));
        }
        kinds
    };
    let [folders, sockets, files] = check();
    assert!(folders >= 3 && sockets == 1 && files >= 3, "{folders} folders, {sockets} sockets, {files} files");
    server.post(&format!("/api/workers/{id}/stop"), &json!({})).expect(200);
    assert_eq!(check()[1], 0, "the socket goes with its shim");
    server.delete(&format!("/api/workers/{id}")).expect(200);
}

#[test]
fn secrets_are_in_no_output_log_file_or_answer() {
    const CLAUDE_KEY: &str = "sk-ant-SECRETSECRETSECRET-claude";
    const OPENCODE_KEY: &str = "sk-oc-SECRETSECRETSECRET-opencode";
    const WORKER_SECRET: &str = "SECRET-of-one-worker";
    let mut server = start(
        builder()
            .env("AUTH_TOKEN", TOKEN)
            .env("ANTHROPIC_API_KEY", CLAUDE_KEY)
            .env("OPENCODE_API_KEY", OPENCODE_KEY)
            .env("LOG_LEVEL", "trace"),
    );
    server.client.with("authorization", "Bearer SECRET-wrong-token").get("/api/workers").expect(401);
    server.client = server.client.with("authorization", &format!("Bearer {TOKEN}"));
    let id = server.create_worker("claude", &json!({"env": {"MY_SECRET": WORKER_SECRET}}));
    server.create_worker(LOOP, &json!({}));
    say(&server, &id, "echo hello");
    wait_event(&server, &id, "assistant", "hello");
    server.wait_status(&id, "idle");
    let mut ws = server.ws("/ws");
    ws.send_json(&json!({"type": "subscribe", "worker_id": id, "since": 0}));
    ws.wait_for("all events", DEADLINE, |frame| frame["type"] == "replay_complete");
    let mut texts: Vec<(String, String)> =
        ws.frames.iter().map(|frame| ("a frame".to_owned(), frame.to_string())).collect();
    let own =
        ["", "/messages?types=all", "/queue", "/export?format=json"].map(|rest| format!("/api/workers/{id}{rest}"));
    let all = ["/", "/health", "/api/health", "/api/workers", "/api/ai-clis", "/api/permissions"].map(str::to_owned);
    for path in all.into_iter().chain(own) {
        texts.push((path.clone(), server.get(&path).expect(200).text()));
    }
    let secrets = [TOKEN, CLAUDE_KEY, OPENCODE_KEY, "SECRETSECRET", "SECRET-wrong-token"];
    server.terminate();
    texts.push(("the output".to_owned(), server.output()));
    for path in [walk(&server.dir().join("data")), walk(&server.dir().join("logs"))].concat() {
        if path.is_file() {
            texts.push((path.display().to_string(), String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned()));
        }
    }
    for (place, text) in &texts {
        for secret in secrets {
            assert!(!text.contains(secret), "{secret} is in {place}");
        }
        let kept = place.ends_with("/journal") || place.ends_with("/states");
        assert!(kept || !text.contains(WORKER_SECRET), "a worker's own secret is in {place}");
    }
    assert!(
        server.output().contains("API Key (from env): sk-ant-S...aude ✅ (ANTHROPIC_API_KEY)"),
        "{}",
        server.output()
    );
    server.start();
}

#[test]
fn git_runs_no_filter_for_a_diff() {
    let mut server = start(builder().env("AUTH_TOKEN", TOKEN).env("ANTHROPIC_API_KEY", "sk-ant-SECRET"));
    server.client = server.client.with("authorization", &format!("Bearer {TOKEN}"));
    let project = server.project();
    let git = |args: &[&str]| {
        let identity = ["-c", "user.name=test", "-c", "user.email=test@localhost"];
        let done =
            std::process::Command::new("git").arg("-C").arg(&project).args(identity).args(args).output().unwrap();
        assert!(done.status.success(), "{done:?}");
    };
    git(&["init", "-q"]);
    fs::write(project.join("a.txt"), "one\n").unwrap();
    fs::write(project.join("b.md"), "one\n").unwrap();
    fs::write(project.join(".gitattributes"), "*.txt filter=users\n*.md filter=repositories\n").unwrap();
    git(&["add", "."]);
    git(&["commit", "-q", "-m", "first"]);
    let (seen, ran) = (server.dir().join("seen"), server.dir().join("ran"));
    let filter = |seen: &std::path::Path| format!("sh -c 'env > {}; cat'", seen.display());
    let users = format!("[filter \"users\"]\n  clean = \"{}\"\n", filter(&seen));
    fs::write(server.home().join(".gitconfig"), users).unwrap();
    git(&["config", "filter.repositories.clean", &filter(&ran)]);
    for file in ["a.txt", "b.md"] {
        fs::write(project.join(file), "one\ntwo\n").unwrap();
    }
    let id = idle_worker(&server, CAT);
    let diff = server.get(&format!("/api/workers/{id}/diff")).expect(200).json();
    assert!(diff["diff"].as_str().unwrap().contains("+two"), "{diff}");
    assert!(!ran.exists(), "an agent can write the repository's configuration");
    assert!(!seen.exists(), "no filter runs, whoever names it");
    assert!(!events(&server, &id).is_empty());
}
