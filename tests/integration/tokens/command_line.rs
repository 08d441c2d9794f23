//! `token` and `audit` on the command line.

use serde_json::{Value, json};

use super::server;
use crate::support::http::Client;
use crate::support::server::TestServer;
use crate::wire::{LOOP, idle_worker};

/// Runs a command; gives its success and both outputs.
fn run(server: &TestServer, args: &[&str]) -> (bool, String, String) {
    let output = server.command(args.iter().copied()).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.success(), text(output.stdout), text(output.stderr))
}

#[track_caller]
fn printed(server: &TestServer, args: &[&str]) -> String {
    let (good, out, errors) = run(server, args);
    assert!(good, "{args:?}: {errors}");
    out
}

#[test]
fn token_is_made_listed_paired_and_ended_by_its_name() {
    let server = server();
    let worker = idle_worker(&server, LOOP);
    let secret = printed(&server, &["token", "add", "ci", "--scope", "send", "--worker", "test", "--expires", "30d"]);
    let client = Client::new(server.addr()).with("authorization", &format!("Bearer {}", secret.trim()));
    client.get(&format!("/api/workers/{worker}")).expect(200);
    client.get("/api/tokens").expect(403);
    let listed = printed(&server, &["token", "ls"]);
    assert!(listed.contains("ci") && listed.contains(&worker) && listed.contains("127.0.0.1"), "{listed}");
    assert!(!listed.contains(secret.trim()));

    let (good, out, errors) = run(&server, &["token", "pair", "phone", "--scope", "answer"]);
    assert!(good && errors.contains("No other device reaches http://127.0.0.1"), "{errors}");
    let link = out.lines().last().unwrap();
    assert!(out.lines().count() > 15 && out.contains('▀'), "a picture:\n{out}");
    let (_, code) = link.split_once("/#code=").unwrap();
    Client::new(server.addr()).post("/api/login", &json!({"code": code})).expect(200);
    let elsewhere = printed(&server, &["token", "pair", "phone", "--page", "https://box.example/", "--json"]);
    let elsewhere: Value = serde_json::from_str(&elsewhere).unwrap();
    assert!(elsewhere["link"].as_str().unwrap().starts_with("https://box.example/#code="), "{elsewhere}");

    printed(&server, &["token", "rm", "ci"]);
    client.get("/api/workers").expect(401);
    for (args, said) in [
        (&["token", "rm", "ci"][..], "no such token: ci; `rs-worker token ls` lists them"),
        (&["token", "pair", "new"], "--scope makes it"),
        (&["token", "pair", "phone", "--scope", "admin"], "leave --scope out"),
        (&["token", "add", "x"], "--scope is missing"),
        (&["token", "add", "x", "--scope", "read", "--expires", "soon"], "as in 30d"),
        (&["token"], "missing argument: ls|add NAME"),
    ] {
        let (good, _, errors) = run(&server, args);
        assert!(!good && errors.contains(said), "{args:?}: {errors}");
    }
}

#[test]
fn audit_prints_the_newest_entries_last() {
    let server = server();
    let worker = idle_worker(&server, LOOP);
    printed(&server, &["stop", "test"]);
    let (good, _, _) = run(&server, &["--token", "wrong", "stop", "test"]);
    assert!(!good);
    let lines = printed(&server, &["audit", "--limit", "5"]);
    let last = lines.lines().last().unwrap();
    assert!(last.contains("POST /api/workers/{id}/stop") && last.contains(&worker) && last.contains("200"), "{lines}");
    let of_worker = printed(&server, &["audit", "--worker", "test", "--json"]);
    let of_worker: Value = serde_json::from_str(&of_worker).unwrap();
    assert!(
        of_worker["entries"].as_array().unwrap().iter().all(|entry| entry["worker"] == worker.as_str()),
        "{of_worker}"
    );
}
