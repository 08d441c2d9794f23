//! The agents of workers as clients: what their tokens reach, and what they do not.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use serde_json::{Value, json};

use super::{call, names, refused, send, used};
use crate::support::http::Client;
use crate::support::server::TestServer;
use crate::support::wait::{DEADLINE, eventually};
use crate::wire::{LOOP, builder, repository_with_branches, server, start};

/// The environment of a process.
#[track_caller]
pub(super) fn environment(pid: i64) -> Vec<String> {
    let bytes = fs::read(format!("/proc/{pid}/environ")).unwrap();
    bytes.split(|&byte| byte == 0).map(|entry| String::from_utf8_lossy(entry).into_owned()).collect()
}

/// The client that the agent of a running worker is.
#[track_caller]
pub(super) fn agent_of(server: &TestServer, worker: &str) -> Client {
    let pid = server.wait_status(worker, "idle")["pid"].as_i64().unwrap();
    let secret = environment(pid).iter().find_map(|entry| entry.strip_prefix("RS_WORKER_TOKEN=").map(str::to_owned));
    Client::new(server.addr()).with("authorization", &format!("Bearer {}", secret.expect("a token")))
}

/// A worker with a token for its agent, and that agent.
#[track_caller]
pub(super) fn parent(server: &TestServer, more: &Value) -> (String, Client) {
    let mut body = json!({"mcp": true, "name": "boss"});
    for (name, value) in more.as_object().into_iter().flatten() {
        body[name] = value.clone();
    }
    let id = server.create_worker("claude", &body);
    let agent = agent_of(server, &id);
    (id, agent)
}

#[track_caller]
pub(super) fn child(agent: &Client, more: &Value) -> String {
    let mut arguments = json!({"name": "child"});
    for (name, value) in more.as_object().into_iter().flatten() {
        arguments[name] = value.clone();
    }
    used(agent, "create_worker", &arguments)["worker"]["id"].as_str().unwrap().to_owned()
}

#[test]
fn agent_makes_a_child_waits_for_it_and_reads_it() {
    let server = server();
    let (boss, agent) = parent(&server, &json!({}));
    let offered = names(&agent);
    assert!(offered.contains(&"create_worker".to_owned()) && offered.len() == 9, "{offered:?}");
    assert_eq!(used(&agent, "list_workers", &json!({}))["workers"], json!([]), "it does not see itself");
    let id = child(&agent, &json!({"message": "hello"}));
    let waited = used(&agent, "wait", &json!({"worker_id": id, "cursor": 0}));
    assert_eq!((&waited["settled"], &waited["worker"]["parent"]), (&json!(true), &json!({"id": boss, "name": "boss"})));
    assert!(!waited["messages"].as_array().unwrap().is_empty());
    let shown = server.get(&format!("/api/workers/{id}")).expect(200).json();
    assert_eq!((&shown["parent"]["name"], &shown["project_path"]), (&json!("boss"), &json!(server.project())));
    assert_eq!((&shown["config"]["mcp"], &shown["ai_cli_type"]), (&json!(false), &json!("claude")));
    used(&agent, "stop_worker", &json!({"worker_id": id}));
    assert_eq!(used(&agent, "list_workers", &json!({}))["workers"].as_array().unwrap().len(), 1);
}

#[test]
fn token_is_in_the_environment_and_nowhere_else() {
    let server = server();
    let (id, agent) = parent(&server, &json!({}));
    let secret = agent.headers[0].1.strip_prefix("Bearer ").unwrap().to_owned();
    let shown = server.get(&format!("/api/workers/{id}")).expect(200).json();
    let pid = shown["pid"].as_i64().unwrap();
    let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap();
    assert!(line.contains("--mcp-config") && line.contains("/mcp") && !line.contains(&secret), "{line}");
    assert!(!shown.to_string().contains(&secret));
    for format in ["md", "json", "jsonl"] {
        let export = server.get(&format!("/api/workers/{id}/export?format={format}")).expect(200).text();
        assert!(!export.contains(&secret), "{format}");
    }
    let mut files = vec![server.data_dir()];
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else if let Ok(bytes) = fs::read(&path) {
            assert!(!String::from_utf8_lossy(&bytes).contains(&secret), "{}", path.display());
        }
    }
    // A worker that asked for none has none.
    let plain = server.create_worker("claude", &json!({}));
    let pid = server.wait_status(&plain, "idle")["pid"].as_i64().unwrap();
    assert!(!environment(pid).iter().any(|entry| entry.starts_with("RS_WORKER_TOKEN=")));
}

#[test]
fn token_of_an_agent_is_for_mcp_alone() {
    let server = server();
    let (id, agent) = parent(&server, &json!({}));
    for path in ["/api/workers", "/api/health", "/api/tokens", "/metrics", "/api/audit", "/docs", "/ws"] {
        agent.get(path).expect(403);
    }
    assert!(agent.get("/api/workers").expect(403).text().contains("worker's agent"));
    // Its own worker is out of its reach.
    agent.get(&format!("/api/workers/{id}")).expect(404);
    agent.post("/api/workers", &json!({"name": "x", "project_path": "/"})).expect(403);
    agent.post(&format!("/api/workers/{id}/stop"), &json!({})).expect(404);
    let own = child(&agent, &json!({}));
    for route in ["stop", "messages", "permissions"] {
        agent.post(&format!("/api/workers/{own}/{route}"), &json!({})).expect(403);
    }
    agent.post("/api/tokens", &json!({"name": "x", "scope": "admin"})).expect(403);
    // It is exchanged for no login.
    let secret = agent.headers[0].1.strip_prefix("Bearer ").unwrap();
    let login = Client::new(server.addr()).post("/api/login", &json!({"token": secret}));
    assert!(login.header("set-cookie").is_none(), "{}", login.text());
    assert!(!server.get("/api/tokens").expect(200).text().contains(&id));
}

#[test]
fn agent_reaches_only_the_workers_below_its_own() {
    let server = server();
    let (boss, agent) = parent(&server, &json!({}));
    let other = server.create_worker(LOOP, &json!({"name": "other"}));
    server.wait_status(&other, "idle");
    server.post(&format!("/api/workers/{other}/messages"), &json!({"content": "xylophone"})).expect(202);
    let (_, stranger) = parent(&server, &json!({"name": "stranger"}));
    let own = child(&agent, &json!({}));
    for hidden in [&boss, &other] {
        for (tool, more) in [
            ("read", json!({})),
            ("wait", json!({})),
            ("diff", json!({})),
            ("stop_worker", json!({})),
            ("send_message", json!({"message": "x"})),
            ("search", json!({"query": "xylophone"})),
        ] {
            let mut arguments = more;
            arguments["worker_id"] = json!(hidden);
            let (code, text) = refused(&agent, tool, &arguments);
            assert_eq!((code.as_str(), text), ("not_found", format!("Worker not found: {hidden}")), "{tool}");
        }
    }
    assert_eq!(used(&agent, "search", &json!({"query": "xylophone"}))["results"], json!([]));
    let (code, _) = refused(&stranger, "read", &json!({"worker_id": own}));
    assert_eq!(code, "not_found", "a child of another");
}

#[test]
fn agent_answers_no_prompt_of_its_children() {
    let server = server();
    let (_, agent) = parent(&server, &json!({}));
    let id = child(&agent, &json!({"message": "permission Bash {\"command\":\"ls\"}"}));
    let prompts = eventually(DEADLINE, "a prompt", || {
        let prompts = used(&agent, "list_prompts", &json!({}))["prompts"].clone();
        (!prompts.as_array().unwrap().is_empty()).then_some(prompts)
    });
    assert!(!names(&agent).contains(&"answer_prompt".to_owned()));
    let arguments = json!({"worker_id": id, "request_id": prompts[0]["request_id"], "option_id": "allow_once"});
    assert_eq!(refused(&agent, "answer_prompt", &arguments).0, "forbidden");
    assert_eq!(server.get("/api/permissions").json()["permissions"].as_array().unwrap().len(), 1);
}

#[test]
fn child_stays_in_the_folder_of_its_parent() {
    let server = server();
    let (_, agent) = parent(&server, &json!({}));
    let (project, outside) = (server.project(), server.project_named("outside"));
    fs::create_dir(project.join("part")).unwrap();
    symlink(&outside, project.join("way-out")).unwrap();
    let of = |path: &Path| path.to_str().unwrap().to_owned();
    let sibling = format!("{}-more", project.display());
    fs::create_dir(&sibling).unwrap();
    for path in [
        "/".to_owned(),
        "..".to_owned(),
        "part/../..".to_owned(),
        "way-out".to_owned(),
        "none-such".to_owned(),
        sibling,
        of(&outside),
        of(&project.join("way-out")),
        of(&server.data_dir()),
        of(project.parent().unwrap()),
    ] {
        let (_, text) = refused(&agent, "create_worker", &json!({"name": "x", "project_path": path}));
        assert!(text.contains("not a folder in the project"), "{path}: {text}");
    }
    let id = child(&agent, &json!({"project_path": "part"}));
    assert_eq!(server.get(&format!("/api/workers/{id}")).json()["project_path"], of(&project.join("part")));
    // A folder that becomes a link later is not followed at the next start.
    used(&agent, "stop_worker", &json!({"worker_id": id}));
    fs::remove_dir(project.join("part")).unwrap();
    symlink(&outside, project.join("part")).unwrap();
    let (_, text) = refused(&agent, "send_message", &json!({"worker_id": id, "message": "hi"}));
    assert!(text.contains("is now a link"), "{text}");
}

#[test]
fn child_chooses_neither_cli_nor_arguments_nor_a_wider_mode() {
    let server = server();
    let given =
        json!({"args": ["--allowedTools", "Read"], "env": {"OWN": "1"}, "permission_mode": "default", "model": "opus"});
    let (_, agent) = parent(&server, &given);
    server.client.put("/api/presets/wide", &json!({"permission_mode": "bypassPermissions"})).expect(200);
    for (name, value) in [
        ("args", json!(["--dangerously-skip-permissions"])),
        ("env", json!({"LD_PRELOAD": "/x"})),
        ("ai_cli_type", json!(LOOP)),
        ("runner", json!("none")),
        ("preset", json!("wide")),
        ("placeholders", json!({})),
        ("mcp_servers", json!([])),
        ("system_prompt", json!("x")),
        ("resume_session", json!("x")),
        ("idempotency_key", json!("x")),
    ] {
        let (_, text) = refused(&agent, "create_worker", &json!({"name": "x", name: value}));
        assert!(text.contains("unknown argument"), "{name}: {text}");
    }
    for mode in ["bypassPermissions", "acceptEdits", "dontAsk", "auto", "--x"] {
        let (_, text) = refused(&agent, "create_worker", &json!({"name": "x", "permission_mode": mode}));
        assert!(text.contains("not known to be as narrow"), "{mode}: {text}");
    }
    let (_, text) = refused(&agent, "create_worker", &json!({"name": "x", "model": "--dangerously-skip-permissions"}));
    assert!(text.contains("not the name of a model"), "{text}");
    let id = child(&agent, &json!({"permission_mode": "plan", "model": "haiku"}));
    let shown = server.get(&format!("/api/workers/{id}")).json();
    let config = &shown["config"];
    assert_eq!((&config["args"], &config["env"]), (&given["args"], &json!(["OWN"])));
    assert_eq!((&config["permission_mode"], &config["model"]), (&json!("plan"), &json!("haiku")));
    let same = child(&agent, &json!({}));
    assert_eq!(server.get(&format!("/api/workers/{same}")).json()["config"]["permission_mode"], "default");
}

#[test]
fn worktree_of_a_child_is_of_the_parents_repository() {
    let server = server();
    let repository = server.project_named("repository");
    fs::create_dir(repository.join("part")).unwrap();
    fs::write(repository.join("part/file"), "x").unwrap();
    repository_with_branches(&repository);
    let (_, agent) = parent(&server, &json!({"project_path": repository}));
    let id = child(&agent, &json!({"worktree": true}));
    assert_eq!(server.get(&format!("/api/workers/{id}")).json()["worktree"]["project"], json!(repository));
    // A part of the repository would lead to all of it.
    let (_, narrow) = parent(&server, &json!({"name": "narrow", "project_path": repository.join("part")}));
    let result = call(&narrow, "create_worker", &json!({"name": "x", "worktree": true}));
    assert_eq!(result["isError"], true, "{result}");
}

#[test]
fn number_and_depth_of_children_are_bounded() {
    let server = start(builder().env("AGENT_CHILDREN_MAX", "2").env("MAX_WORKERS", "20"));
    let (_, agent) = parent(&server, &json!({}));
    let first = child(&agent, &json!({"mcp": true}));
    child(&agent, &json!({}));
    let (code, text) = refused(&agent, "create_worker", &json!({"name": "third"}));
    assert!(text.contains("AGENT_CHILDREN_MAX"), "{code} {text}");
    // Stopping one makes no room: only a person's deletion does.
    used(&agent, "stop_worker", &json!({"worker_id": first}));
    refused(&agent, "create_worker", &json!({"name": "third"}));
    used(&agent, "send_message", &json!({"worker_id": first, "message": "hi"}));
    let below = agent_of(&server, &first);
    let (_, text) = refused(&below, "create_worker", &json!({"name": "x", "mcp": true}));
    assert!(text.contains("AGENT_DEPTH_MAX"), "{text}");
    let grandchild = child(&below, &json!({}));
    let all = used(&agent, "list_workers", &json!({}))["workers"].as_array().unwrap().len();
    assert_eq!((all, used(&below, "list_workers", &json!({}))["workers"].as_array().unwrap().len()), (3, 1));
    used(&agent, "stop_worker", &json!({"worker_id": grandchild}));
}

#[test]
fn concurrent_calls_make_no_more_children_than_allowed() {
    let server = start(builder().env("AGENT_CHILDREN_MAX", "2").env("MAX_WORKERS", "20"));
    let (_, agent) = parent(&server, &json!({}));
    let made: usize = std::thread::scope(|scope| {
        let one = |at: usize| {
            let agent = &agent;
            scope.spawn(move || {
                usize::from(call(agent, "create_worker", &json!({"name": format!("c{at}")}))["isError"] != true)
            })
        };
        let all: Vec<_> = (0..6).map(one).collect();
        all.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(made, 2);
}

#[test]
fn token_ends_with_its_run_and_its_worker() {
    let server = server();
    let (id, agent) = parent(&server, &json!({}));
    let ping = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"});
    send(&agent, &ping).expect(200);
    server.post(&format!("/api/workers/{id}/stop"), &json!({})).expect(200);
    send(&agent, &ping).expect(401);
    server.post(&format!("/api/workers/{id}/start"), &json!({})).expect(200);
    let next = agent_of(&server, &id);
    send(&agent, &ping).expect(401);
    send(&next, &ping).expect(200);
    server.delete(&format!("/api/workers/{id}")).expect(200);
    send(&next, &ping).expect(401);
}

#[test]
fn token_outlives_a_restart_of_the_server() {
    let mut server = server();
    let (id, agent) = parent(&server, &json!({}));
    server.kill9();
    server.start();
    let again = Client::new(server.addr()).with("authorization", &agent.headers[0].1);
    server.wait_status(&id, "idle");
    let own = child(&again, &json!({}));
    assert_eq!(used(&again, "list_workers", &json!({}))["workers"][0]["id"], json!(own));
}

#[test]
fn token_is_refused_where_the_cli_cannot_be_given_one() {
    let server = server();
    let body = json!({"name": "x", "project_path": server.project(), "ai_cli_type": LOOP, "mcp": true});
    let reply = server.post("/api/workers", &body).expect(400).json();
    assert_eq!(reply["field"], "mcp");
    let (_, agent) = parent(&server, &json!({}));
    // People fork and continue children as workers of their own.
    let id = child(&agent, &json!({"message": "hello"}));
    used(&agent, "wait", &json!({"worker_id": id}));
    let forked = server.post(&format!("/api/workers/{id}/fork"), &json!({})).expect(201).json();
    assert_eq!(forked["parent"], json!(null));
    assert_eq!(refused(&agent, "read", &json!({"worker_id": forked["id"]})).0, "not_found");
}

#[test]
fn children_are_listed_below_their_parent() {
    let server = server();
    let (_, agent) = parent(&server, &json!({}));
    let other = server.create_worker(LOOP, &json!({"name": "later"}));
    child(&agent, &json!({"name": "little"}));
    server.wait_status(&other, "idle");
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_rs-worker"))
        .args(["ls", "--url", &format!("http://{}", server.addr())])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let names: Vec<&str> = text.lines().skip(1).map(|line| line.split("  ").nth(1).unwrap().trim()).collect();
    assert_eq!(names, ["boss", "- little", "later"], "{text}");
}
