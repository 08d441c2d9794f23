//! Part 2: usage is summed up over all workers, including deleted ones, and lists are arranged for all clients.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::{LOOP, builder, idle_worker, say, server, start};
use crate::support::server::TestServer;
use crate::support::wait::{DEADLINE, eventually};

const TOKEN: &str = "correct-horse-battery-staple-0123";

/// A worker of the fake Claude that has had one turn.
fn used(server: &TestServer) -> String {
    let id = idle_worker(server, "claude");
    say(server, &id, "echo hello");
    wait_turns(server, &id, 1);
    id
}

fn wait_turns(server: &TestServer, id: &str, turns: u64) {
    eventually(DEADLINE, "a turn's end", || (shown(server, id)["turns"] == turns).then_some(()));
}

fn shown(server: &TestServer, id: &str) -> Value {
    server.get(&format!("/api/workers/{id}")).expect(200).json()
}

fn usage(server: &TestServer, query: &str) -> Value {
    server.get(&format!("/api/usage{query}")).expect(200).json()
}

#[test]
fn usage_is_added_up_by_day_project_cli_and_model() {
    let server = server();
    assert_eq!(usage(&server, "")["rows"], json!([]));
    let id = used(&server);
    let worker = shown(&server, &id);
    let day = worker["last_activity"].as_str().unwrap()[..10].to_owned();
    let total = json!({"turns": 1, "failed_turns": 0, "usage": worker["usage"], "cost_usd": worker["cost_usd"]});
    assert!(worker["cost_usd"].as_f64().unwrap() > 0.0);
    let keys = [("day", json!(day)), ("project", worker["project_path"].clone()), ("cli", json!("claude"))];
    for (by, key) in keys.into_iter().chain([("model", worker["model"].clone())]) {
        let report = usage(&server, &format!("?by={by}"));
        let mut row = total.clone();
        row["key"] = key;
        assert_eq!((&report["rows"], &report["total"]), (&json!([row]), &total), "{by}");
    }
    assert_eq!(usage(&server, &format!("?from={day}&to={day}"))["total"], total);
    assert_eq!(usage(&server, "?to=2001-02-03")["total"]["turns"], 0);
    assert_eq!(usage(&server, "?from=2999-01-01")["rows"], json!([]));
}

#[test]
fn usage_survives_a_server_kill_and_its_workers_deletion() {
    let mut server = server();
    let id = used(&server);
    let before = usage(&server, "?by=project");
    server.kill9();
    server.start();
    assert_eq!(usage(&server, "?by=project"), before);
    server.delete(&format!("/api/workers/{id}")).expect(200);
    assert_eq!(usage(&server, "?by=project"), before);
    server.kill9();
    server.start();
    assert_eq!(usage(&server, "?by=project"), before);
}

#[test]
fn usage_is_returned_as_csv() {
    let server = server();
    used(&server);
    let reply = server.get("/api/usage?by=cli&format=csv").expect(200);
    let text = reply.text();
    let lines: Vec<&str> = text.split("\r\n").collect();
    assert_eq!(
        lines[0],
        "key,turns,failed_turns,input_tokens,output_tokens,cache_read_tokens,cache_write_tokens,cost_usd"
    );
    assert!(lines[1].starts_with("\"claude\",1,0,"), "{text}");
    assert_eq!(lines.len(), 3);
}

#[test]
fn wrong_queries_of_usage_are_refused_with_their_field() {
    let server = server();
    let wrong = [
        ("?by=worker", "by", "enum"),
        ("?format=xml", "format", "enum"),
        ("?from=yesterday", "from", "date_parsing"),
        ("?to=2026-13-01", "to", "date_parsing"),
        ("?from=", "from", "date_parsing"),
        ("?from=2026-11-30&to=2026-11-29", "to", "value_error"),
    ];
    for (query, field, kind) in wrong {
        let refused = server.get(&format!("/api/usage{query}")).expect(422).json();
        assert_eq!((&refused["field"], &refused["detail"][0]["type"]), (&json!(field), &json!(kind)), "{query}");
        assert_eq!(refused["detail"][0]["loc"], json!(["query", field]), "{query}");
    }
}

#[test]
fn usage_and_arrangement_need_the_token() {
    let mut server = start(builder().env("AUTH_TOKEN", TOKEN));
    let known = server.client.with("authorization", &format!("Bearer {TOKEN}"));
    let stranger = std::mem::replace(&mut server.client, known);
    let id = idle_worker(&server, LOOP);
    assert_eq!(stranger.get("/api/usage").status, 401);
    assert_eq!(stranger.patch(&format!("/api/workers/{id}"), &json!({"archived": true})).status, 401);
    assert_eq!(shown(&server, &id)["archived"], false);
}

#[test]
fn lists_are_arranged_for_all_clients_and_after_a_restart() {
    let mut server = server();
    let id = idle_worker(&server, LOOP);
    let path = format!("/api/workers/{id}");
    let fresh = shown(&server, &id);
    assert_eq!(
        (&fresh["pinned"], &fresh["archived"], &fresh["snoozed_until"]),
        (&json!(false), &json!(false), &Value::Null)
    );
    let until = "2030-01-02T03:04:05Z";
    let changed = server.patch(&path, &json!({"pinned": true, "snoozed_until": until})).expect(200).json();
    assert_eq!((&changed["pinned"], &changed["snoozed_until"]), (&json!(true), &json!("2030-01-02T03:04:05.000000Z")));
    let changed = server.patch(&path, &json!({"archived": true, "pinned": null})).expect(200).json();
    assert_eq!((&changed["pinned"], &changed["archived"]), (&json!(true), &json!(true)));
    server.kill9();
    server.start();
    let kept = shown(&server, &id);
    assert_eq!(
        (&kept["pinned"], &kept["archived"], &kept["snoozed_until"]),
        (&json!(true), &json!(true), &json!("2030-01-02T03:04:05.000000Z"))
    );
    let awake = server.patch(&path, &json!({"snoozed_until": null, "archived": false})).expect(200).json();
    assert_eq!((&awake["archived"], &awake["snoozed_until"]), (&json!(false), &Value::Null));
    for (body, field) in [
        (json!({"pinned": "yes"}), "pinned"),
        (json!({"archived": 1}), "archived"),
        (json!({"snoozed_until": "tomorrow"}), "snoozed_until"),
        (json!({"snoozed_until": "2030-01-02T99:00:00Z"}), "snoozed_until"),
        (json!({"snoozed_until": 5}), "snoozed_until"),
    ] {
        let refused = server.patch(&path, &body).expect(422).json();
        assert_eq!(refused["field"], field, "{body}");
    }
}

#[test]
fn lists_carry_last_words_and_changed_lines_after_a_turn() {
    let server = server();
    repository(&server.project());
    let id = used(&server);
    assert_eq!(shown(&server, &id)["last_text"], "hello");
    assert_eq!(counted(&server, &id), json!({"files": 2, "added": 4, "removed": 1, "branch": "trunk"}));
}

fn git(folder: &Path, args: &[&str]) {
    let mut git = Command::new("git");
    git.args(["-c", "user.name=a", "-c", "user.email=a@b"]).args(args).current_dir(folder);
    assert!(git.output().unwrap().status.success(), "{args:?}");
}

/// A repository in which four lines of two files are new, and one is gone.
fn repository(folder: &Path) {
    git(folder, &["init", "-q", "-b", "trunk"]);
    fs::write(folder.join("a.txt"), "one\ntwo\n").unwrap();
    git(folder, &["add", "."]);
    git(folder, &["commit", "-qm", "begin"]);
    fs::write(folder.join("a.txt"), "one\nthree\nfour\n").unwrap();
    fs::write(folder.join("new.txt"), "a\nb\n").unwrap();
}

#[track_caller]
fn counted(server: &TestServer, id: &str) -> Value {
    eventually(DEADLINE, "the changed lines", || {
        let changed = shown(server, id)["changed"].clone();
        changed.is_object().then_some(changed)
    })
}

#[test]
fn lines_are_counted_without_the_programs_of_the_repository() {
    let server = server();
    let (project, ran) = (server.project(), server.dir().join("ran"));
    repository(&project);
    let evil = server.dir().join("evil");
    fs::write(&evil, format!("#!/bin/sh\necho x >> '{}'\ncat\n", ran.display())).unwrap();
    fs::set_permissions(&evil, fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(project.join(".gitattributes"), "* filter=evil diff=evil\n").unwrap();
    for name in ["core.fsmonitor", "filter.evil.clean", "diff.evil.textconv", "diff.external"] {
        git(&project, &["config", name, evil.to_str().unwrap()]);
    }
    git(&project, &["diff"]);
    assert!(ran.exists(), "the trap is armed");
    fs::remove_file(&ran).unwrap();
    let id = used(&server);
    assert_eq!(counted(&server, &id)["files"], 3);
    assert!(!ran.exists(), "a look has run a program of the repository");
}

#[test]
fn lines_of_a_project_turned_link_are_not_counted() {
    let server = start(builder().env("LOG_LEVEL", "debug"));
    let id = used(&server);
    let (project, other) = (server.project(), server.dir().join("other"));
    fs::create_dir(&other).unwrap();
    repository(&other);
    fs::rename(&project, server.dir().join("away")).unwrap();
    symlink(&other, &project).unwrap();
    say(&server, &id, "echo again");
    wait_turns(&server, &id, 2);
    eventually(DEADLINE, "the look is refused", || {
        let log = fs::read_to_string(server.dir().join("logs/app.log")).unwrap_or_default();
        log.lines()
            .any(|line| line.contains("its changes are not counted") && line.contains("is now a link"))
            .then_some(())
    });
    assert_eq!(shown(&server, &id)["changed"], Value::Null);
}

#[test]
fn demo_agent_works_without_a_cli_and_is_not_listed() {
    let server = start(builder().env("CLAUDE_BINARY", "/nowhere/claude"));
    let offered = server.get("/api/ai-clis").expect(200).json();
    assert_eq!(offered["demo"]["type"], "demo");
    assert!(offered["available_clis"].as_array().unwrap().iter().all(|cli| cli["type"] != "demo"));
    let id = server.create_worker("demo", &json!({}));
    server.wait_status(&id, "idle");
    say(&server, &id, "hello");
    server.wait_status(&id, "waiting");
    let prompts = server.get("/api/permissions").expect(200).json();
    let prompt = prompts["permissions"][0]["request_id"].as_str().unwrap().to_owned();
    let answer = json!({"option_id": "allow_once"});
    server.post(&format!("/api/workers/{id}/permissions/{prompt}"), &answer).expect(200);
    wait_turns(&server, &id, 1);
    say(&server, &id, "once more");
    server.wait_status(&id, "waiting");
    server.post(&format!("/api/workers/{id}/interrupt"), &json!({})).expect(200);
    wait_turns(&server, &id, 2);
    let strict = start(builder().env("ENABLED_AI_CLIS", "claude"));
    assert_eq!(strict.get("/api/ai-clis").expect(200).json()["demo"], Value::Null);
    let body = json!({"name": "d", "project_path": strict.project(), "ai_cli_type": "demo"});
    assert_eq!(strict.post("/api/workers", &body).expect(400).json()["field"], "ai_cli_type");
}

#[test]
fn clis_are_listed_with_their_login() {
    let server = start(builder().env("CLAUDE_API_KEY", "a-key"));
    let listed = server.get("/api/ai-clis").expect(200).json();
    let of = |kind: &str| {
        listed["available_clis"].as_array().unwrap().iter().find(|cli| cli["type"] == kind).unwrap().clone()
    };
    assert_eq!((&of("claude")["logged_in"], &of("claude")["login_command"]), (&json!(true), &json!("claude /login")));
    assert_eq!(of("codex")["logged_in"], false);
    assert_eq!((&of(LOOP)["logged_in"], &of(LOOP)["login_command"]), (&Value::Null, &Value::Null));
    assert!(!listed.to_string().contains("a-key"), "no key leaves the server");
}
