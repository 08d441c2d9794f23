//! Part 1, REST, and part 2: pages of the list of workers, and those of a status or project alone.

use std::fs;

use serde_json::{Value, json};

use super::{LOOP, command, idle_worker, keys, server};
use crate::support::server::TestServer;
use crate::support::wait::DEADLINE;

/// Stored workers, more than one thread loads.
const STORED: usize = 300;

fn list(server: &TestServer, query: &str) -> Value {
    server.get(&format!("/api/workers?{query}")).expect(200).json()
}

fn ids(list: &Value) -> Vec<&str> {
    list["workers"].as_array().unwrap().iter().map(|worker| worker["id"].as_str().unwrap()).collect()
}

#[test]
fn pages_of_workers_have_each_once_in_order() {
    let server = server();
    let all: Vec<String> = (0..5).map(|_| idle_worker(&server, LOOP)).collect();
    for limit in [1, 2, 4, 5, 1000] {
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = list(&server, &format!("limit={limit}{cursor}"));
            assert_eq!(keys(&page), ["next", "workers"]);
            let workers = ids(&page);
            assert!(workers.len() <= limit);
            seen.extend(workers.into_iter().map(str::to_owned));
            let Some(next) = page["next"].as_str() else { break };
            // A worker that goes away between two pages takes nothing else along.
            cursor = format!("&cursor={next}");
        }
        assert_eq!(seen, all, "{limit}");
    }
    let next = list(&server, "limit=2")["next"].as_str().unwrap().to_owned();
    server.delete(&format!("/api/workers/{}", all[1])).expect(200);
    assert_eq!(ids(&list(&server, &format!("limit=9&cursor={next}"))), all[2..]);
}

#[test]
fn lists_have_only_the_asked_status_and_project() {
    let server = server();
    let other = server.project().join("deep/other");
    fs::create_dir_all(&other).unwrap();
    let stopped = idle_worker(&server, LOOP);
    server.post(&format!("/api/workers/{stopped}/stop"), &json!({})).expect(200);
    let idle = server.create_worker(LOOP, &json!({"project_path": other}));
    server.wait_status(&idle, "idle");
    for (query, expected) in [
        ("status=idle".to_owned(), vec![&*idle]),
        ("status=stopped".to_owned(), vec![&*stopped]),
        ("status=stopped,idle".to_owned(), vec![&*stopped, &*idle]),
        ("status=failed".to_owned(), vec![]),
        (format!("project={}", server.project().display()), vec![&*stopped, &*idle]),
        (format!("project={}", other.display()), vec![&*idle]),
        (format!("project={}/deep&status=stopped", server.project().display()), vec![]),
        ("project=/nowhere".to_owned(), vec![]),
    ] {
        let found = list(&server, &query);
        assert_eq!(ids(&found), expected, "{query}");
        assert_eq!(found["next"], Value::Null);
    }
    let all = server.get("/api/workers").expect(200).json();
    assert_eq!(keys(&all), ["workers"], "without a query the answer is what it was");
}

#[test]
fn worktrees_are_listed_with_the_project_they_are_of() {
    let server = server();
    crate::worktree::repository_at(&server.project());
    let worker = server.create_worker(LOOP, &json!({"worktree": true}));
    let own = server.wait_status(&worker, "idle")["project_path"].as_str().unwrap().to_owned();
    for folder in [server.project().display().to_string(), own] {
        assert_eq!(ids(&list(&server, &format!("project={folder}"))), [&*worker], "{folder}");
    }
}

#[test]
fn sockets_get_the_asked_workers_and_all_changes() {
    let server = server();
    let workers = [idle_worker(&server, LOOP), idle_worker(&server, LOOP), idle_worker(&server, LOOP)];
    let mut ws = server.ws("/ws?limit=2&status=idle");
    let first = ws.recv_json(DEADLINE);
    assert_eq!((&first["type"], ids(&first)), (&json!("workers"), workers[..2].iter().map(|id| &**id).collect()));
    let rest = list(&server, &format!("status=idle&cursor={}", first["next"].as_str().unwrap()));
    assert_eq!(ids(&rest), [&*workers[2]]);
    server.post(&format!("/api/workers/{}/stop", workers[2]), &json!({})).expect(200);
    ws.wait_for("a change of another worker", DEADLINE, |frame| {
        frame["worker"]["id"] == *workers[2] && frame["worker"]["status"] == "stopped"
    });
    let acknowledged = command(&mut ws, json!({"type": "subscribe", "worker_id": workers[2]}));
    assert_eq!(acknowledged["type"], "ack", "what is not in the list can be followed");
}

#[test]
fn workers_of_an_earlier_server_are_all_listed() {
    let mut server = server();
    let first = idle_worker(&server, LOOP);
    server.post(&format!("/api/workers/{first}/stop"), &json!({})).expect(200);
    server.terminate();
    let dir = server.data_dir().join(&first);
    let mut all = vec![first.clone()];
    for number in 0..STORED {
        let id = format!("{number:08}{}", &first[8..]);
        fs::create_dir(server.data_dir().join(&id)).unwrap();
        for name in ["journal", "states"] {
            let text = fs::read_to_string(dir.join(name)).unwrap();
            fs::write(server.data_dir().join(&id).join(name), text.replace(&first, &id)).unwrap();
        }
        all.push(id);
    }
    fs::create_dir(server.data_dir().join("broken")).unwrap();
    fs::write(server.data_dir().join("broken/journal"), "no journal").unwrap();
    server.start();
    all.sort();
    assert_eq!(ids(&server.get("/api/workers").expect(200).json()), all);
}

#[test]
fn wrong_queries_of_lists_are_refused_with_their_field() {
    let server = server();
    for (query, field) in [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=x", "limit"),
        ("cursor=x", "cursor"),
        ("status=asleep", "status"),
        ("status=", "status"),
        ("status=idle,", "status"),
        ("project=relative", "project"),
    ] {
        for path in ["/api/workers", "/ws"] {
            let refused = server.get(&format!("{path}?{query}")).expect(422).json();
            assert_eq!(refused["detail"][0]["loc"], json!(["query", field]), "{path}?{query}: {refused}");
        }
    }
}
