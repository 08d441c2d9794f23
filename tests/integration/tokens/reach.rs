//! Narrowed tokens see nothing of other workers and projects, in any list, search, feed or count.

use serde_json::{Value, json};

use super::{TestToken, server};
use crate::support::http::Client;
use crate::support::server::TestServer;
use crate::support::wait::{DEADLINE, eventually};
use crate::wire::{LOOP, command, events, frames_before_pong, say};

/// A word of the conversation of the worker that is out of reach.
const SECRET: &str = "xylophone";
/// A word of the conversation of the other.
const OPEN: &str = "harpsichord";

/// Two workers with a conversation each, and the folder of the first.
fn two_workers(server: &TestServer) -> (String, String, std::path::PathBuf) {
    let (inside, outside) = (server.project_named("inside"), server.project_named("outside"));
    let make = |name: &str, project: &std::path::Path, word: &str| {
        let id = server.create_worker(LOOP, &json!({"name": name, "project_path": project}));
        server.wait_status(&id, "idle");
        say(server, &id, word);
        eventually(DEADLINE, "an answer", || {
            events(server, &id).iter().any(|event| event["type"] == "turn_completed").then_some(())
        });
        id
    };
    let mine = make("mine", &inside, OPEN);
    let other = make("hidden", &outside, SECRET);
    (mine, other, inside)
}

/// All that can be read without naming a worker.
const READS: [&str; 11] = [
    "/api/workers",
    "/api/health",
    "/api/groups",
    "/api/projects",
    "/api/sessions",
    "/api/usage?by=project",
    "/api/permissions",
    "/api/ai-clis",
    "/api/push",
    "/api/logins",
    "/metrics",
];

#[track_caller]
fn assert_hidden(client: &Client, other: &str) {
    for path in READS {
        let text = client.get(path).expect(200).text();
        for word in [other, "hidden", "/outside", SECRET] {
            assert!(!text.contains(word), "{path} has {word}: {text}");
        }
    }
    for word in [SECRET, OPEN] {
        let found = client.get(&format!("/api/search?q={word}")).expect(200).json();
        assert_eq!(found["results"].as_array().unwrap().is_empty(), word == SECRET, "{found}");
    }
    client.get(&format!("/api/search?q={SECRET}&worker_id={other}")).expect(404);
    for rest in ["", "/messages", "/export", "/queue", "/diff", "/tree", "/turns", "/terminals"] {
        client.get(&format!("/api/workers/{other}{rest}")).expect(404);
    }
}

#[test]
fn narrowed_tokens_read_nothing_of_other_workers() {
    let server = server();
    let (mine, other, inside) = two_workers(&server);
    let link = server.dir().join("link");
    std::os::unix::fs::symlink(&inside, &link).unwrap();
    for (name, more) in [
        ("worker", json!({"workers": [mine]})),
        ("project", json!({"projects": [inside]})),
        ("link", json!({"projects": [link]})),
    ] {
        let client = TestToken::new(&server, name, "admin", &more).client(&server);
        let listed = client.get("/api/workers").expect(200).json();
        assert_eq!(listed["workers"].as_array().unwrap().len(), 1, "{name}");
        let health = client.get("/api/health").expect(200).json();
        assert_eq!((&health["total_workers"], &health["running_workers"]), (&json!(1), &json!(1)));
        assert_eq!((&health["scope"], &health["narrowed"]), (&json!("admin"), &json!(true)));
        assert!(client.get(&format!("/api/workers/{mine}/export")).expect(200).text().contains(OPEN));
        let metrics = client.get("/metrics").expect(200).text();
        assert!(metrics.contains("rs_worker_workers{cli=\"loop\",status=\"idle\"} 1"), "{metrics}");
        assert!(!metrics.contains("rs_worker_turns_total"), "counted over all workers: {metrics}");
        assert_hidden(&client, &other);
    }
    // The same paths show both to a token that is not narrowed.
    let all = TestToken::new(&server, "all", "read", &json!({})).client(&server);
    assert_eq!(all.get("/api/workers").expect(200).json()["workers"].as_array().unwrap().len(), 2);
    assert!(!all.get(&format!("/api/search?q={SECRET}")).expect(200).json()["results"].as_array().unwrap().is_empty());
    assert!(all.get("/metrics").expect(200).text().contains("rs_worker_turns_total"));
}

#[test]
fn narrowed_sockets_get_nothing_of_other_workers() {
    let server = server();
    let (mine, other, inside) = two_workers(&server);
    let made = TestToken::new(&server, "narrow", "admin", &json!({"projects": [inside]}));
    let mut ws = made.ws(&server, "/ws").unwrap();
    let first = ws.wait_for("the list", DEADLINE, |frame| frame["type"] == "workers");
    assert_eq!(first["workers"].as_array().unwrap().len(), 1);
    for kind in ["subscribe", "message", "interrupt", "in_view", "set_model"] {
        let frame = json!({"type": kind, "worker_id": other, "content": "x", "model": "m"});
        let answer = command(&mut ws, frame);
        assert_eq!(
            (&answer["status"], answer["content"].as_str()),
            (&json!(404), Some(&*format!("Worker not found: {other}")))
        );
    }
    // A change of each: of the hidden one first, so that its frame would come before the other's.
    for id in [&other, &mine] {
        server.patch(&format!("/api/workers/{id}"), &json!({"pinned": true})).expect(200);
    }
    ws.wait_for("the change", DEADLINE, |frame| frame["type"] == "worker" && frame["worker"]["pinned"] == true);
    server.delete(&format!("/api/workers/{other}")).expect(200);
    frames_before_pong(&mut ws);
    let seen: Vec<&Value> = ws.frames.iter().filter(|frame| frame["type"] != "error").collect();
    assert!(seen.iter().all(|frame| !frame.to_string().contains(&other)), "{seen:?}");
    // `/ws/{id}` of a worker out of reach is as that of none.
    for id in [&other, "none"] {
        let mut ws = made.ws(&server, &format!("/ws/{id}")).unwrap();
        assert_eq!(ws.recv_json(DEADLINE)["content"], format!("Worker not found: {id}"));
        ws.wait_for_close(DEADLINE);
    }
}

#[test]
fn worker_leaves_a_reach_only_by_the_operators_hand() {
    let server = server();
    let (mine, _, inside) = two_workers(&server);
    let client = TestToken::new(&server, "narrow", "admin", &json!({"projects": [inside]})).client(&server);
    // The agent replaces its folder by a link, which changes nothing of what was compared.
    std::fs::remove_dir_all(&inside).unwrap();
    std::os::unix::fs::symlink(server.project_named("outside"), &inside).unwrap();
    client.get(&format!("/api/workers/{mine}")).expect(200);
    assert_eq!(client.get("/api/workers").expect(200).json()["workers"].as_array().unwrap().len(), 1);
    client
        .patch(&format!("/api/workers/{mine}"), &json!({"project_path": server.project_named("outside")}))
        .expect(403);
}

#[test]
fn narrowed_members_of_a_group_hide_the_others() {
    let server = server();
    let project = server.project_named("grouped");
    crate::wire::repository_with_branches(&project);
    let group = server
        .post(
            "/api/groups",
            &json!({"name": "g", "project_path": project, "prompt": "do it", "attempts": [{"ai_cli_type": LOOP}, {"ai_cli_type": LOOP}]}),
        )
        .expect(201)
        .json();
    let (id, first) = (group["id"].as_str().unwrap(), group["workers"][0]["id"].as_str().unwrap());
    let narrowed = TestToken::new(&server, "one", "read", &json!({"workers": [first]})).client(&server);
    let seen = narrowed.get(&format!("/api/groups/{id}")).expect(200).json();
    assert_eq!(seen["workers"].as_array().unwrap().len(), 1, "{seen}");
    let apart =
        TestToken::new(&server, "none", "read", &json!({"projects": [server.project_named("other")]})).client(&server);
    apart.get(&format!("/api/groups/{id}")).expect(404);
    assert_eq!(apart.get("/api/groups").expect(200).json()["groups"], json!([]));
}

#[test]
fn workers_out_of_reach_are_hidden_as_origins() {
    let server = server();
    let (_, other, _) = two_workers(&server);
    let body = json!({"name": "heir", "ai_cli_type": LOOP, "force": true});
    let heir = server.post(&format!("/api/workers/{other}/handover"), &body).expect(201).json();
    let id = heir["id"].as_str().unwrap();
    assert_eq!(heir["handed_over_from"], json!(other), "who sees everything sees it");
    let made = TestToken::new(&server, "heir", "admin", &json!({"workers": [id]}));
    let client = made.client(&server);
    let path = format!("/api/workers/{id}");
    for path in ["/api/workers", &path, &format!("{path}/export?format=json"), &format!("{path}/export?format=jsonl")] {
        let text = client.get(path).expect(200).text();
        assert!(text.contains(id) && !text.contains(&other), "{path}: {text}");
    }
    let mut ws = made.ws(&server, "/ws").unwrap();
    ws.wait_for("the list", DEADLINE, |frame| frame["type"] == "workers");
    client.patch(&path, &json!({"pinned": true})).expect(200);
    ws.wait_for("the change", DEADLINE, |frame| frame["type"] == "worker" && frame["worker"]["pinned"] == true);
    frames_before_pong(&mut ws);
    assert!(ws.frames.iter().all(|frame| !frame.to_string().contains(&other)), "{:?}", ws.frames);
    // One whose reach has both sees where it comes from.
    let both = TestToken::new(&server, "both", "read", &json!({"workers": [id, other]})).client(&server);
    for path in ["/api/workers", &path] {
        assert!(both.get(path).expect(200).text().contains(&format!("\"handed_over_from\":\"{other}\"")), "{path}");
    }
}

#[test]
fn runs_of_workers_out_of_reach_are_hidden() {
    let server = server();
    let (mine, other, _) = two_workers(&server);
    let when = json!({"cron": "0 0 29 2 *", "time_zone": "UTC"});
    let new = json!({"name": "s", "when": when, "target": {"worker": other}, "text": SECRET});
    let id = server.post("/api/schedules", &new).expect(201).json()["id"].as_str().unwrap().to_owned();
    let path = format!("/api/schedules/{id}");
    server.post(&format!("{path}/run"), &json!({})).expect(202);
    let runs = |client: &Client| client.get(&format!("{path}/runs")).expect(200).json()["runs"].clone();
    eventually(DEADLINE, "a run", || (runs(&server.client)[0]["message_id"].is_string()).then_some(()));
    server.patch(&path, &json!({"target": {"worker": mine}, "text": OPEN})).expect(200);
    let narrowed = TestToken::new(&server, "narrow", "read", &json!({"workers": [mine]})).client(&server);
    assert_eq!(runs(&narrowed), json!([]));
    for path in [&path, "/api/schedules"] {
        let text = narrowed.get(path).expect(200).text();
        assert!(text.contains(&mine) && !text.contains(&other) && !text.contains(SECRET), "{text}");
    }
    assert_eq!(runs(&server.client)[0]["worker_id"], json!(other));
}
