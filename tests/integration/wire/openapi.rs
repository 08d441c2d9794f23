//! The OpenAPI document matches the server: responses, errors and frames are validated against it.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::{Value, json};

use super::{LOOP, builder, command, events, idle_worker, repository_with_branches, say, server, start};
use crate::support::git_http::GitHttp;
use crate::support::schema::Document;
use crate::support::server::TestServer;
use crate::support::wait::{DEADLINE, eventually};
use crate::support::ws::WsClient;
use crate::worktree::repository_at;

fn document(server: &TestServer) -> Document {
    let reply = server.get("/openapi.json").expect(200);
    assert_eq!(reply.header("content-type"), Some("application/json"));
    Document(reply.json())
}

/// Requests whose responses are validated against the document. `params` replace the braces of the pattern, in
/// order.
struct ResponseChecker<'s> {
    server: &'s TestServer,
    document: Document,
    asked: BTreeSet<(String, String)>,
}

impl ResponseChecker<'_> {
    #[track_caller]
    fn ask(&mut self, method: &str, pattern: &str, params: &[&str], body: &Value, status: u16) -> Value {
        let (path, query) = pattern.split_once('?').unwrap_or((pattern, ""));
        let mut target = path.to_owned();
        for param in params {
            let (begin, end) = (target.find('{').unwrap(), target.find('}').unwrap());
            target.replace_range(begin..=end, param);
        }
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let headers = [("Content-Type", "application/json")];
        let reply = self.server.client.request(method, &format!("{target}?{query}"), &headers, &body).expect(status);
        self.asked.insert((method.to_lowercase(), path.to_owned()));
        let answer = reply.json();
        self.document.check_answer(method, path, status, &answer);
        answer
    }
}

/// The operations with responses that are not JSON: they have separate tests.
const NOT_JSON: [&str; 16] = [
    "/",
    "/docs",
    "/redoc",
    "/static/{path}",
    "/favicon.ico",
    "/manifest.webmanifest",
    "/sw.js",
    "/metrics",
    "/api/workers/{id}/events",
    "/api/workers/{id}/messages/{seq}/text",
    "/api/workers/{id}/blob",
    "/api/workers/{id}/images/{seq}/{index}",
    "/ws",
    "/ws/{id}",
    "/ws/{id}/terminals/{terminal}",
    "/acp",
];

/// Asks for tokens and the audit.
fn tokens(asking: &mut ResponseChecker<'_>) {
    let new = json!({"name": "phone", "scope": "answer", "projects": ["/"], "expires_at": "2099-01-02T03:04:05Z"});
    let made = asking.ask("POST", "/api/tokens", &[], &new, 201);
    let id = made["token"]["id"].as_str().unwrap();
    asking.ask("GET", "/api/tokens", &[], &Value::Null, 200);
    asking.ask("POST", "/api/tokens/{id}/pair", &[id], &json!({"page": "https://box.example/"}), 201);
    asking.ask("DELETE", "/api/tokens/{id}", &[id], &Value::Null, 200);
    asking.ask("GET", "/api/audit", &[], &Value::Null, 200);
    let list = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"});
    asking.ask("POST", "/mcp", &[], &list, 200);
    asking.ask("POST", "/mcp", &[], &json!({"jsonrpc": "2.0", "id": "a", "method": "none"}), 200);
    asking.ask("POST", "/mcp", &[], &json!([list]), 400);
}

/// Asks for the terminals of a worker.
fn terminals(asking: &mut ResponseChecker<'_>) {
    let worker = asking.server.create_worker("claude", &json!({}));
    let path = "/api/workers/{id}/terminals";
    let made = asking.ask("POST", path, &[&worker], &json!({"program": ["sleep", "1000"]}), 201);
    asking.ask("GET", path, &[&worker], &Value::Null, 200);
    let id = made["id"].as_str().unwrap();
    asking.ask("DELETE", "/api/workers/{id}/terminals/{terminal}", &[&worker, id], &Value::Null, 200);
}

/// Asks for rules, and for the one that a waiting prompt proposes.
fn rules(asking: &mut ResponseChecker<'_>, worker: &str, prompt: &str) {
    let none = Value::Null;
    let proposed = "/api/workers/{id}/permission-rule/{request}";
    asking.ask("GET", proposed, &[worker, prompt], &none, 200);
    let new = json!({"name": "none", "effect": "deny", "commands": ["never-run **"]});
    let made = asking.ask("POST", "/api/rules", &[], &new, 201);
    let rule = made["id"].as_str().unwrap();
    asking.ask("GET", "/api/rules", &[], &none, 200);
    asking.ask("GET", "/api/rules/{id}", &[rule], &none, 200);
    asking.ask("PATCH", "/api/rules/{id}", &[rule], &json!({"note": "a test"}), 200);
    let preview = json!({"name": "any", "effect": "allow", "commands": ["ls"]});
    asking.ask("POST", "/api/rules/preview", &[], &preview, 200);
    asking.ask("DELETE", "/api/rules/{id}", &[rule], &none, 200);
}

/// Asks for budgets.
fn budgets(asking: &mut ResponseChecker<'_>) {
    let none = Value::Null;
    let new = json!({"name": "daily", "limits": {"cost_usd": 1000, "turns": 1000}});
    let made = asking.ask("POST", "/api/budgets", &[], &new, 201);
    let budget = made["id"].as_str().unwrap();
    asking.ask("GET", "/api/budgets", &[], &none, 200);
    asking.ask("GET", "/api/budgets/{id}", &[budget], &none, 200);
    asking.ask("PATCH", "/api/budgets/{id}", &[budget], &json!({"limits": {"turns": null}}), 200);
    asking.ask("DELETE", "/api/budgets/{id}", &[budget], &none, 200);
}

/// Asks for the schedules of a worker.
fn schedules(asking: &mut ResponseChecker<'_>, worker: &str) {
    let (none, when) = (Value::Null, json!({"cron": "0 2 29 2 *", "time_zone": "Europe/Berlin"}));
    let new = json!({"name": "leap", "when": when, "target": {"worker": worker}, "text": "{{date}}", "paused": true});
    let made = asking.ask("POST", "/api/schedules", &[], &new, 201);
    let id = made["id"].as_str().unwrap();
    asking.ask("POST", "/api/schedules/preview", &[], &json!({"when": {"at": "2099-01-02T03:04:05Z"}}), 200);
    asking.ask("POST", "/api/schedules/{id}/run", &[id], &none, 202);
    asking.ask("GET", "/api/schedules", &[], &none, 200);
    asking.ask("PATCH", "/api/schedules/{id}", &[id], &json!({"paused": false}), 200);
    asking.ask("GET", "/api/schedules/{id}", &[id], &none, 200);
    asking.ask("GET", "/api/schedules/{id}/runs", &[id], &none, 200);
    asking.ask("DELETE", "/api/schedules/{id}", &[id], &none, 200);
}

#[test]
fn the_answer_of_every_route_is_as_documented() {
    let token = "a-token-for-this-test";
    let server = start(builder().env("AUTH_TOKEN", token).env("LOCAL_ACCESS", "same-user"));
    let mut asking = ResponseChecker { server: &server, document: document(&server), asked: BTreeSet::new() };
    let none = Value::Null;
    for path in [
        "/openapi.json",
        "/health",
        "/api/health",
        "/api/ready",
        "/api/ai-clis",
        "/api/paths?prefix=/",
        "/api/projects",
        "/api/presets",
        "/api/sessions",
        "/api/usage?by=project",
    ] {
        asking.ask("GET", path, &[], &none, 200);
    }
    asking.ask("POST", "/api/login", &[], &json!({"token": token}), 200);
    asking.ask("POST", "/api/login/code", &[], &none, 201);
    tokens(&mut asking);
    terminals(&mut asking);
    let logins = asking.ask("GET", "/api/logins", &[], &none, 200);
    let login = logins["logins"][0]["id"].as_str().unwrap();
    asking.ask("DELETE", "/api/logins/{id}", &[login], &none, 200);
    asking.ask("DELETE", "/api/logins", &[], &none, 200);
    asking.ask("POST", "/api/logout", &[], &json!({}), 200);
    asking.ask("PUT", "/api/presets/{name}", &["p"], &json!({"model": "m", "env": {"A": "b"}}), 200);
    asking.ask("GET", "/api/presets/{name}", &["p"], &none, 200);
    asking.ask("DELETE", "/api/presets/{name}", &["p"], &none, 200);
    asking.ask("GET", "/api/push", &[], &none, 200);
    let subscription = asking.ask("POST", "/api/push/subscriptions", &[], &a_browser(), 200);
    let subscription = subscription["id"].as_str().unwrap();
    asking.ask("GET", "/api/push", &[], &none, 200);
    asking.ask("POST", "/api/push/test", &[], &json!({"id": subscription}), 200);
    asking.ask("DELETE", "/api/push/subscriptions/{id}", &[subscription], &none, 200);
    asking.ask("POST", "/api/answer/{code}", &["used"], &none, 404);
    repository_at(&server.project());
    let new = json!({"name": "described", "project_path": server.project(), "ai_cli_type": "claude"});
    let made = asking.ask("POST", "/api/workers", &[], &new, 201);
    let id = made["id"].as_str().unwrap();
    server.wait_status(id, "idle");
    let worker = "/api/workers/{id}";
    let of = |rest: &str| format!("{worker}{rest}");

    asking.ask("POST", &of("/messages"), &[id], &json!({"content": "permission Bash {\"command\":\"ls\"}"}), 202);
    server.wait_status(id, "waiting");
    let turns = || server.get(&format!("/api/workers/{id}/turns")).expect(200).json()["turns"].clone();
    eventually(DEADLINE, "files recorded before the turn", || (turns()[0]["can_restore"] == true).then_some(()));
    let inbox = asking.ask("GET", "/api/permissions", &[], &none, 200);
    let prompt = inbox["permissions"][0]["request_id"].as_str().unwrap().to_owned();
    rules(&mut asking, id, &prompt);
    budgets(&mut asking);
    schedules(&mut asking, id);
    // While the CLI waits, messages to it wait as well.
    let waiting: Vec<String> = (0..3)
        .map(|n| asking.ask("POST", &of("/messages"), &[id], &json!({"content": format!("later {n}")}), 202))
        .map(|taken| taken["message_id"].as_str().unwrap().to_owned())
        .collect();
    asking.ask("GET", &of("/queue"), &[id], &none, 200);
    let one = of("/queue/{message}");
    asking.ask("PATCH", &one, &[id, &waiting[0]], &json!({"content": "changed"}), 200);
    asking.ask("DELETE", &one, &[id, &waiting[0]], &none, 200);
    asking.ask("DELETE", &of("/queue"), &[id], &none, 200);
    let answer = of("/permissions/{request}");
    asking.ask("POST", &answer, &[id, &prompt], &json!({"option_id": "allow"}), 200);
    asking.ask("POST", &answer, &[id, &prompt], &json!({"option_id": "deny"}), 409);
    asking.ask("POST", &of("/prepare"), &[id], &none, 409);
    asking.ask("GET", &of("/options"), &[id], &none, 200);
    asking.ask("GET", &of("/messages?blocks=all"), &[id], &none, 200);
    asking.ask("PUT", &of("/options/{option}"), &[id, "none"], &json!({"value": "x"}), 404);
    let named = json!({"option_id": "deny", "request_id": prompt});
    asking.ask("POST", &of("/permissions"), &[id], &named, 409);
    server.wait_status(id, "idle");

    // Before the next turn begins, after which its end would not be recorded any more.
    let turn = eventually(DEADLINE, "a recorded turn", || {
        let turns = turns();
        let recorded = turns.as_array().unwrap().iter().find(|turn| turn["has_trees"] == true);
        recorded.map(|turn| turn["turn_id"].as_str().unwrap().to_owned())
    });
    let written = asking.ask("POST", &of("/review"), &[id], &json!({"text": "on all of it"}), 201);
    let comment = written["id"].as_str().unwrap().to_owned();
    asking.ask("PATCH", &of("/review/{comment}"), &[id, &comment], &json!({"text": "changed"}), 200);
    let hash = "0".repeat(40);
    asking.ask("PUT", &of("/review/viewed"), &[id], &json!({"file": "a", "hash": hash}), 200);
    asking.ask("GET", &of("/review"), &[id], &none, 200);
    asking.ask("POST", &of("/review/send"), &[id], &none, 202);
    asking.ask("POST", &of("/review/send"), &[id], &none, 409);
    asking.ask("DELETE", &of("/review/{comment}"), &[id, &comment], &none, 200);
    server.wait_status(id, "idle");

    for rest in ["", "/messages?types=all&limit=1000", "/export?format=json", "/files", "/diff", "/tree"] {
        asking.ask("GET", &of(rest), &[id], &none, 200);
    }
    std::fs::write(server.project().join("a.txt"), "changed\n").unwrap();
    asking.ask("GET", &of("/file-history?path=a.txt"), &[id], &none, 200);
    asking.ask("GET", &of(&format!("/restore?turn={turn}")), &[id], &none, 200);
    let restored = asking.ask("POST", &of("/restore"), &[id], &json!({"turn": turn}), 200);
    assert_eq!(restored["changed"], 1);
    std::fs::write(server.project().join("a.txt"), "changed\n").unwrap();
    asking.ask("POST", &of("/discard"), &[id], &json!({"file": "a.txt"}), 200);
    asking.ask("GET", &of("/turns"), &[id], &none, 200);
    landings_are_as_documented(&mut asking, id);
    asking.ask("GET", "/api/workers", &[], &none, 200);
    let found = asking.ask("GET", "/api/search?q=permission", &[], &none, 200);
    assert_ne!(found["results"], json!([]));
    asking.ask("PATCH", worker, &[id], &json!({"name": "renamed"}), 200);
    asking.ask("POST", &of("/interrupt"), &[id], &none, 200);
    for rest in ["/stop", "/start", "/restart"] {
        asking.ask("POST", &of(rest), &[id], &none, 200);
    }
    // It follows no session, so there is none to take over.
    asking.ask("POST", &of("/takeover"), &[id], &none, 409);
    let fork = asking.ask("POST", &of("/fork"), &[id], &none, 201);
    asking.ask("DELETE", worker, &[fork["id"].as_str().unwrap()], &none, 200);
    let handed = asking.ask("POST", &of("/handover"), &[id], &json!({"force": true, "as": "file"}), 201);
    asking.ask("DELETE", worker, &[handed["id"].as_str().unwrap()], &none, 200);
    let files = server.dir().join("data/project-files");
    std::fs::create_dir_all(&files).unwrap();
    std::fs::write(files.join("p.json"), json!({"path": server.project(), "check": ["true"]}).to_string()).unwrap();
    let attempts = json!([{"ai_cli_type": "claude"}]);
    let new = json!({"name": "g", "project_path": server.project(), "prompt": "hello", "attempts": attempts});
    let group = asking.ask("POST", "/api/groups", &[], &new, 201);
    let (group_id, kept) = (group["id"].as_str().unwrap(), group["workers"][0]["id"].as_str().unwrap());
    asking.ask("GET", "/api/groups", &[], &none, 200);
    asking.ask("GET", "/api/groups/{id}", &[group_id], &none, 200);
    asking.ask("POST", "/api/groups/{id}/check", &[group_id], &none, 200);
    asking.ask("GET", &format!("/api/groups/{{id}}/diff?from={kept}&to={kept}"), &[group_id], &none, 200);
    asking.ask("POST", "/api/groups/{id}/keep", &[group_id], &json!({"worker": kept}), 200);
    asking.ask("DELETE", worker, &[kept], &none, 200);
    // One line is JSON as well.
    asking.ask("POST", "/api/import", &[], &json!({"records": [made_as(&server, "imported")]}), 201);
    asking.ask("DELETE", worker, &[id], &none, 200);

    let documented = asking.document.0["paths"].as_object().unwrap().iter();
    let all: BTreeSet<(String, String)> = documented
        .filter(|(path, _)| !NOT_JSON.contains(&path.as_str()))
        .flat_map(|(path, methods)| methods.as_object().unwrap().keys().map(move |name| (name.clone(), path.clone())))
        .collect();
    assert_eq!(asking.asked, all, "every route was asked");
}

/// Sends the commands that change branches, in a repository that the project becomes.
#[track_caller]
fn landings_are_as_documented(asking: &mut ResponseChecker<'_>, id: &str) {
    let of = |rest: &str| format!("/api/workers/{{id}}{rest}");
    let project = asking.server.project();
    repository_with_branches(&project);
    asking.ask("GET", &of("/land"), &[id], &Value::Null, 200);
    asking.ask("POST", &of("/commit"), &[id], &json!({"message": "nothing"}), 409);
    std::fs::write(project.join("new.txt"), "x").unwrap();
    let person = "[user]\nname = Person\nemail = person@example.org\n";
    std::fs::write(asking.server.dir().join("home/.gitconfig"), person).unwrap();
    asking.ask("POST", &of("/commit"), &[id], &json!({"message": "one"}), 200);
    asking.ask("POST", &of("/update"), &[id], &json!({"from": "other"}), 200);
    asking.ask("POST", &of("/land"), &[id], &json!({"into": "other", "strategy": "merge"}), 200);
    let remotes = asking.server.dir().join("remotes");
    let http = GitHttp::start(&remotes);
    let url = format!("http://{}/x.git", http.addr);
    let git = |args: &[&str]| assert!(Command::new("git").args(args).current_dir(&project).status().unwrap().success());
    git(&["init", "-q", "--bare", remotes.join("x.git").to_str().unwrap()]);
    git(&["remote", "add", "origin", &url]);
    git(&["remote", "add", "hub", "https://codeberg.org/ada/steps"]);
    let key = format!("[url \"http://ada:right@{}/\"]\ninsteadOf = http://{}/\n", http.addr, http.addr);
    std::fs::write(asking.server.dir().join("home/.gitconfig"), format!("{person}{key}")).unwrap();
    asking.ask("POST", &of("/push"), &[id], &json!({"expected_url": "ssh://elsewhere/x"}), 409);
    asking.ask("POST", &of("/push"), &[id], &json!({"expected_url": url, "set_upstream": true}), 200);
    asking.ask("GET", &of("/land"), &[id], &Value::Null, 200);
    let request = json!({"remote": "hub", "expected_url": "https://codeberg.org/ada/steps", "into": "other"});
    asking.ask("POST", &of("/pull-request"), &[id], &request, 200);
}

/// A subscription whose push service does not answer, with the keys of RFC 8291, section 5.
fn a_browser() -> Value {
    let key = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";
    json!({"endpoint": "https://localhost:1/x", "keys": {"p256dh": key, "auth": "BTBZMqHH6r4Tts7J_aSIgg"}})
}

/// The record of a worker's making, as an export has it.
fn made_as(server: &TestServer, name: &str) -> Value {
    let created = json!({"type": "created", "worker_id": "w", "name": name, "project_path": server.project(), "ai_cli_type": LOOP});
    json!({"time": 1_700_000_000_000_000_u64, "kind": "ctl", "text": created.to_string()})
}

#[test]
fn refusals_are_as_documented() {
    let server = server();
    let id = idle_worker(&server, LOOP);
    let mut asking = ResponseChecker { server: &server, document: document(&server), asked: BTreeSet::new() };
    let worker = "/api/workers/{id}";
    asking.ask("GET", worker, &["none"], &Value::Null, 404);
    asking.ask("POST", "/api/workers", &[], &json!({"name": 1}), 422);
    asking.ask("POST", "/api/workers", &[], &json!({"name": "a", "project_path": "relative"}), 400);
    asking.ask("GET", "/api/workers/{id}/messages?limit=0", &[&id], &Value::Null, 422);
    asking.ask("GET", "/api/workers/{id}/export?format=pdf", &[&id], &Value::Null, 422);
    asking.ask("POST", "/api/workers/{id}/fork", &[&id], &Value::Null, 409);
    asking.ask("DELETE", "/api/workers/{id}/queue/{message}", &[&id, "none"], &Value::Null, 404);
    let guarded =
        server.client.request("GET", "/api/workers", &[("Origin", "http://elsewhere.example")], b"").expect(403);
    asking.document.check_answer("GET", "/api/workers", 403, &guarded.json());
    let no_json = server.client.request("POST", "/api/workers", &[("Content-Type", "text/plain")], b"{}").expect(415);
    asking.document.check_answer("POST", "/api/workers", 415, &no_json.json());
    let no_socket = server.get("/ws").expect(426);
    asking.document.check_answer("GET", "/ws", 426, &no_socket.json());
}

#[test]
fn frames_and_events_are_as_documented() {
    let server = server();
    let document = document(&server);
    let id = idle_worker(&server, "claude");
    let mut all = WsClient::connect(server.addr(), "/ws", &[]).unwrap();
    say(&server, &id, "hello");
    eventually(DEADLINE, "a turn's end", || {
        events(&server, &id).into_iter().find(|event| event["type"] == "turn_completed")
    });
    let mut one = WsClient::connect(server.addr(), &format!("/ws/{id}?raw=1"), &[]).unwrap();
    let mut replay = WsClient::connect(server.addr(), &format!("/ws/{id}?since=0"), &[]).unwrap();
    let mut ahead = WsClient::connect(server.addr(), &format!("/ws/{id}?since=999999999"), &[]).unwrap();
    let sent = [
        json!({"type": "message", "content": "again", "client_message_id": "one"}),
        json!({"type": "ping"}),
        json!({"type": "set_model", "model": "haiku"}),
        json!({"type": "interrupt"}),
        json!({"type": "nonsense"}),
    ];
    let mut simple = WsClient::connect(server.addr(), &format!("/ws/{id}"), &[]).unwrap();
    for frame in &sent {
        command(&mut one, frame.clone());
        let known = document.mistakes(&document.0["components"]["schemas"]["ClientFrame"], frame).is_empty();
        assert_eq!(known, frame["type"] != "nonsense", "{frame}");
    }
    replay.wait_for("the replay's end", DEADLINE, |frame| frame["type"] == "replay_complete");
    ahead.wait_for("a word on the cursor", DEADLINE, |frame| frame["type"] == "resync_required");
    simple.wait_for("an event that is not the agent's", DEADLINE, |frame| frame["type"] == "event");
    server.post(&format!("/api/workers/{id}/stop"), &json!({})).expect(200);
    server.delete(&format!("/api/workers/{id}")).expect(200);
    all.wait_for("the worker's end", DEADLINE, |frame| frame["type"] == "worker_deleted");
    let mut seen = BTreeSet::new();
    for frame in [&all, &one, &replay, &ahead, &simple].into_iter().flat_map(|client| &client.frames) {
        document.check("ServerFrame", frame);
        seen.insert(frame["type"].as_str().unwrap());
    }
    let kinds = &document.0["components"]["schemas"]["ServerFrame"]["discriminator"]["mapping"];
    assert_eq!(seen, kinds.as_object().unwrap().keys().map(String::as_str).collect(), "every frame type was seen");
}
