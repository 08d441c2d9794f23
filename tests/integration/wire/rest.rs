//! Part 1, REST: paths, status codes, field names.

use serde_json::{Value, json};

use super::{LOOP, detail, idle_worker, is_utc_time, keys, say, server, start, wait_event};
use crate::support::http::Reply;
use crate::support::server::TestServer;
use crate::support::wait::{DEADLINE, eventually};

/// The reference's fields of a worker.
const WORKER: [&str; 7] = ["id", "name", "project_path", "ai_cli_type", "status", "created_at", "last_activity"];
const STATUSES: [&str; 9] =
    ["preparing", "starting", "idle", "busy", "waiting", "stalled", "stopping", "stopped", "failed"];

#[track_caller]
fn assert_is_worker(worker: &Value, server: &TestServer) {
    for field in WORKER {
        assert!(worker[field].is_string(), "{field} in {worker}");
    }
    assert_eq!(worker["project_path"], server.project().to_str().unwrap());
    assert!(STATUSES.contains(&worker["status"].as_str().unwrap()), "{worker}");
    assert!(is_utc_time(&worker["created_at"]) && is_utc_time(&worker["last_activity"]), "{worker}");
}

/// Returns the parts of a response that two equal requests have in common.
fn lasting(mut value: Value) -> Value {
    let workers = value["workers"].as_array_mut().map(|workers| workers.iter_mut().collect::<Vec<_>>());
    for worker in workers.unwrap_or_default() {
        worker["last_activity"].take();
    }
    value
}

#[test]
fn a_new_worker_is_answered_with_201_and_found_again() {
    let server = server();
    let body = json!({"name": "my-worker", "project_path": server.project(), "ai_cli_type": LOOP});
    let made = server.post("/api/workers", &body).expect(201).json();
    assert_is_worker(&made, &server);
    assert_eq!((&made["name"], &made["ai_cli_type"]), (&json!("my-worker"), &json!(LOOP)));
    let id = made["id"].as_str().unwrap();

    let list = server.get("/api/workers").expect(200).json();
    assert_eq!(keys(&list), ["workers"]);
    assert_eq!(list["workers"].as_array().unwrap().len(), 1);
    assert_is_worker(&list["workers"][0], &server);
    assert_eq!(list["workers"][0]["id"], id);

    let shown = server.get(&format!("/api/workers/{id}")).expect(200).json();
    assert_is_worker(&shown, &server);
    assert_eq!(shown["messages"], json!([]));
    // The reference's fields and those of later features.
    let fields =
        "args cpu effort env mcp mcp_servers memory model permission_mode pids resume_session runner system_prompt";
    assert_eq!(keys(&shown["config"]), fields.split(' ').collect::<Vec<_>>());
}

#[test]
fn a_server_without_workers_lists_none() {
    assert_eq!(server().get("/api/workers").expect(200).json(), json!({"workers": []}));
}

#[test]
fn a_worker_that_names_no_cli_gets_the_default_one() {
    let server = start(super::builder().env("DEFAULT_AI_CLI", LOOP));
    let body = json!({"name": "plain", "project_path": server.project()});
    assert_eq!(server.post("/api/workers", &body).expect(201).json()["ai_cli_type"], LOOP);
    assert_eq!(server.get("/api/ai-clis").expect(200).json()["default"], LOOP);
}

#[test]
fn the_alias_answers_the_same() {
    let server = server();
    let body = json!({"name": "aliased", "project_path": server.project(), "ai_cli_type": LOOP, "unknown_field": 1});
    let made = server.post("/api/v1/workers", &body).expect(201).json();
    let id = made["id"].as_str().unwrap();
    server.wait_status(id, "idle");
    clis_with_versions(&server);
    let paths = ["workers", "ai-clis", "health", "permissions", "workers/none"].map(str::to_owned);
    let own = ["", "/messages", "/queue"].map(|rest| format!("workers/{id}{rest}"));
    for path in paths.into_iter().chain(own) {
        let (plain, alias) = (server.get(&format!("/api/{path}")), server.get(&format!("/api/v1/{path}")));
        assert_eq!((plain.status, lasting(plain.json())), (alias.status, lasting(alias.json())), "{path}");
    }
    assert_eq!(server.delete(&format!("/api/v1/workers/{id}")).expect(200).json()["status"], "deleted");
    server.get(&format!("/api/workers/{id}")).expect(404);
}

#[test]
fn a_path_that_is_no_folder_is_refused_with_400() {
    let server = server();
    let file = server.dir().join("file");
    std::fs::write(&file, "").unwrap();
    let (file, missing) = (file.display().to_string(), server.dir().join("missing").display().to_string());
    for (path, expected) in [
        (missing.as_str(), format!("the project folder does not exist: {missing}")),
        (file.as_str(), format!("the project folder is not a directory: {file}")),
        ("project", "the project folder's path must be absolute: project".to_owned()),
        ("", "the project folder's path must be absolute: ".to_owned()),
    ] {
        let body = json!({"name": "test", "project_path": path, "ai_cli_type": LOOP});
        assert_eq!(detail(&server.post("/api/workers", &body).expect(400)), expected);
    }
    assert_eq!(server.worker_ids(), Vec::<String>::new(), "nothing is left of what was refused");
}

#[test]
fn an_unknown_or_disabled_cli_is_refused_with_400() {
    let server = start(super::builder().env("ENABLED_AI_CLIS", "opencode"));
    for (kind, expected) in [
        ("nonsense", "unknown CLI type: nonsense (known: "),
        (
            "claude",
            "CLI type is disabled: claude (add it to ENABLED_AI_CLIS, or unset that to enable every CLI that is found)",
        ),
    ] {
        let body = json!({"name": "test", "project_path": server.project(), "ai_cli_type": kind});
        let reported = detail(&server.post("/api/workers", &body).expect(400));
        assert!(reported.starts_with(expected), "{reported}");
    }
}

#[test]
fn worker_over_the_limit_gets_400_stopped_ones_uncounted() {
    let server = start(super::builder().env("MAX_WORKERS", "1"));
    let first = idle_worker(&server, LOOP);
    let body = json!({"name": "second", "project_path": server.project(), "ai_cli_type": LOOP});
    let expected = "worker limit reached: 1 of 1 run (stop one, or raise MAX_WORKERS)";
    assert_eq!(detail(&server.post("/api/workers", &body).expect(400)), expected);
    server.post(&format!("/api/workers/{first}/stop"), &json!({})).expect(200);
    server.post("/api/workers", &body).expect(201);
    let restarted = server.post(&format!("/api/workers/{first}/start"), &json!({})).expect(429);
    assert_eq!(detail(&restarted), expected);
}

#[test]
fn a_worker_is_shown_with_its_last_50_messages() {
    let server = server();
    let id = idle_worker(&server, LOOP);
    for number in 1..=30 {
        say(&server, &id, &format!("m{number}"));
    }
    wait_event(&server, &id, "assistant", "you said: m30");
    server.wait_status(&id, "idle");
    let shown = server.get(&format!("/api/workers/{id}")).expect(200).json();
    let messages = shown["messages"].as_array().unwrap();
    assert_eq!(messages.len(), 50);
    assert!(messages.windows(2).all(|pair| pair[0]["seq"].as_u64() < pair[1]["seq"].as_u64()));
    for message in messages {
        assert!(message["type"].is_string() && message["content"].is_string(), "{message}");
        assert!(is_utc_time(&message["timestamp"]), "{message}");
    }
    let said: Vec<_> = messages.iter().filter(|message| message["type"] == "user").collect();
    assert_eq!(said.last().unwrap()["content"], "m30");
}

#[test]
fn a_deleted_worker_is_gone_with_its_processes_and_data() {
    let server = server();
    let id = idle_worker(&server, LOOP);
    let folder = server.data_dir().join(&id);
    assert!(folder.is_dir() && !server.processes_of(&id).is_empty());
    let answer = server.delete(&format!("/api/workers/{id}")).expect(200).json();
    assert_eq!(answer, json!({"status": "deleted", "message": format!("Worker test ({id}) deleted")}));
    assert_eq!(server.processes_of(&id), []);
    assert!(!folder.exists());
    assert_eq!(server.get("/api/workers").json(), json!({"workers": []}));
    assert_eq!(detail(&server.delete(&format!("/api/workers/{id}")).expect(404)), format!("Worker not found: {id}"));
}

#[test]
fn a_delete_needs_neither_body_nor_content_type() {
    let server = server();
    let id = idle_worker(&server, LOOP);
    server.client.request("DELETE", &format!("/api/workers/{id}"), &[], b"").expect(200);
    server.get(&format!("/api/workers/{id}")).expect(404);
}

#[test]
fn an_unknown_worker_is_404_on_every_path() {
    let server = server();
    let calls: Vec<(&str, &str, Value)> = vec![
        ("GET", "", json!(null)),
        ("PATCH", "", json!({"name": "x"})),
        ("DELETE", "", json!(null)),
        ("GET", "/messages", json!(null)),
        ("POST", "/messages", json!({"content": "x"})),
        ("POST", "/interrupt", json!({})),
        ("POST", "/stop", json!({})),
        ("POST", "/start", json!({})),
        ("POST", "/restart", json!({})),
        ("POST", "/fork", json!({})),
        ("GET", "/queue", json!(null)),
        ("DELETE", "/queue", json!(null)),
        ("PATCH", "/queue/m", json!({"content": "x"})),
        ("DELETE", "/queue/m", json!(null)),
        ("POST", "/permissions/p", json!({"option_id": "deny"})),
    ];
    for (method, rest, body) in calls {
        let path = format!("/api/workers/no-such-id{rest}");
        let bytes = if body.is_null() { String::new() } else { body.to_string() };
        let reply = server.client.request(method, &path, &[("content-type", "application/json")], bytes.as_bytes());
        assert_eq!(
            (reply.status, reply.json()),
            (404, json!({"detail": "Worker not found: no-such-id", "code": "not_found"})),
            "{path}"
        );
    }
}

/// Returns the list of CLIs, once the fake one was probed: on a busy machine that may take longer than the server
/// waits.
#[track_caller]
fn clis_with_versions(server: &TestServer) -> Value {
    eventually(DEADLINE, "the version of the fake CLI", || {
        let answer = server.get("/api/ai-clis").expect(200).json();
        let clis = answer["available_clis"].as_array().unwrap();
        clis.iter().any(|cli| cli["type"] == "claude" && cli["version"].is_string()).then(|| answer.clone())
    })
}

#[test]
fn the_clis_are_listed_with_the_references_fields() {
    let server = server();
    let answer = clis_with_versions(&server);
    assert_eq!(
        (keys(&answer), &answer["default"]),
        (vec!["available_clis", "default", "demo", "limits"], &json!("claude"))
    );
    let clis = answer["available_clis"].as_array().unwrap();
    for cli in clis {
        for field in ["type", "name", "binary", "description"] {
            assert!(cli[field].is_string(), "{field} in {cli}");
        }
        assert!(cli["version"].is_string() || cli["version"].is_null(), "{cli}");
        assert!(cli["enabled"].is_boolean() && cli["config_options"].is_array(), "{cli}");
    }
    let claude = clis.iter().find(|cli| cli["type"] == "claude").unwrap();
    assert_eq!(claude["enabled"], true);
    assert!(claude["version"].as_str().unwrap().starts_with("2."), "{claude}");
    assert!(clis.iter().any(|cli| cli["type"] == LOOP));
}

#[test]
fn health_is_reported_with_the_references_fields() {
    let server = start(super::builder().env("MAX_WORKERS", "7").env("ENABLED_AI_CLIS", "claude"));
    let plain = server.get("/health").expect(200).json();
    assert_eq!(plain, json!({"status": "healthy", "service": "AI Code Worker Manager"}));
    idle_worker(&server, LOOP);
    let health = server.get("/api/health").expect(200).json();
    assert_eq!((&health["status"], &health["version"]), (&json!("healthy"), &json!(env!("CARGO_PKG_VERSION"))));
    assert_eq!((&health["total_workers"], &health["max_workers"]), (&json!(1), &json!(7)));
    assert_eq!(health["enabled_ai_clis"], json!(["claude", "cat", LOOP]));
}

#[test]
fn the_page_and_its_files_are_served() {
    let server = server();
    let page = server.get("/").expect(200);
    assert!(page.header("content-type").unwrap().starts_with("text/html"));
    let script = page.text().split('"').find(|part| part.starts_with("static/")).map(str::to_owned);
    server.get(&format!("/{}", script.expect("the page names a file"))).expect(200);
    server.get("/static/nothing.js").expect(404);
}

#[test]
fn unknown_paths_get_404_and_wrong_methods_405() {
    let server = server();
    for path in ["/api/nothing", "/api/nothing/", "/api/v2/workers", "/ws/a/b", "/apis"] {
        assert_eq!(server.get(path).expect(404).json(), json!({"detail": "Not Found", "code": "not_found"}), "{path}");
    }
    let reply = server.client.put("/api/workers", &json!({})).expect(405);
    assert_eq!(
        (reply.json(), reply.header("allow")),
        (json!({"detail": "Method Not Allowed", "code": "method_not_allowed"}), Some("GET, HEAD, POST"))
    );
    assert_eq!(server.client.request("TRACE", "/health", &[], b"").expect(405).header("allow"), Some("GET, HEAD"));
}

#[test]
fn answers_are_json_that_is_neither_sniffed_nor_stored() {
    let server = server();
    let unknown = server.get("/api/workers/none").expect(404);
    let refused = server.client.with("host", "evil.example").get("/api/workers").expect(403);
    let mistaken = server.post("/api/workers", &json!({})).expect(422);
    let replies: [Reply; 5] =
        [server.get("/api/workers").expect(200), server.get("/health").expect(200), unknown, refused, mistaken];
    for reply in replies {
        let header = |name| reply.header(name).unwrap_or_default();
        assert_eq!(header("content-type"), "application/json");
        assert_eq!(header("x-content-type-options"), "nosniff");
        assert_eq!(header("cache-control"), "no-store");
    }
}

#[test]
fn a_head_request_is_answered_without_content() {
    let server = server();
    let reply = server.client.request("HEAD", "/api/workers", &[], b"").expect(200);
    assert!(reply.body.is_empty());
    assert_eq!(reply.header("content-length"), Some("14"));
}
