//! Comments on an agent's changes: stored, found again, sent once.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{git, repository, start};
use crate::support::server::TestServer;
use crate::support::wait::{DEADLINE, eventually};
use crate::support::workers::TestWorker;

/// A repository with a file of twenty lines, of which line 10 was changed, and a worker in it.
pub(super) fn changed(server: &TestServer) -> (PathBuf, TestWorker) {
    let project = repository(server);
    fs::write(project.join("code.rs"), numbered(|n| format!("let value_{n} = {n};"))).unwrap();
    git(&project, &["add", "."]);
    git(&project, &["commit", "-qm", "code"]);
    change(&project, 10, "let changed_by_the_agent = 10;");
    let worker = TestWorker::create(server, "claude", &json!({"project_path": project}));
    worker.wait_status(server, "idle");
    (project, worker)
}

fn numbered(line: impl Fn(usize) -> String) -> String {
    (1..=20).map(|n| line(n) + "\n").collect()
}

/// Replaces a line of the file.
fn change(project: &Path, number: usize, by: &str) {
    let text = fs::read_to_string(project.join("code.rs")).unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    lines[number - 1] = by;
    fs::write(project.join("code.rs"), lines.join("\n") + "\n").unwrap();
}

#[track_caller]
pub(super) fn comment(server: &TestServer, worker: &TestWorker, body: &Value) -> Value {
    server.post(&worker.path("/review"), body).expect(201).json()
}

#[track_caller]
fn on_line(server: &TestServer, worker: &TestWorker, side: &str, line: u64, text: &str) -> Value {
    comment(server, worker, &json!({"file": "code.rs", "side": side, "start": line, "text": text}))
}

#[track_caller]
pub(super) fn review(server: &TestServer, worker: &TestWorker) -> Vec<Value> {
    let review = server.get(&worker.path("/review")).expect(200).json();
    assert_eq!(review.get("detail"), None, "{review}");
    review["comments"].as_array().unwrap().clone()
}

/// The states of all comments, with the first line of each one's place.
#[track_caller]
fn states(server: &TestServer, worker: &TestWorker) -> Vec<(String, Option<u64>)> {
    let state = |it: &Value| (it["state"].as_str().unwrap().to_owned(), it["place"]["start"].as_u64());
    review(server, worker).iter().map(state).collect()
}

fn is(state: &str, line: Option<u64>) -> (String, Option<u64>) {
    (state.to_owned(), line)
}

#[track_caller]
fn send(server: &TestServer, worker: &TestWorker, body: &Value, status: u16) -> Value {
    server.post(&worker.path("/review/send"), body).expect(status).json()
}

#[test]
fn comments_follow_their_lines_and_survive_a_killed_server() {
    let mut server = start("review-follow", &[]);
    let (project, worker) = changed(&server);
    on_line(&server, &worker, "new", 10, "a new line");
    on_line(&server, &worker, "old", 10, "a removed line");
    comment(&server, &worker, &json!({"file": "code.rs", "side": "new", "start": 8, "end": 9, "text": "two lines"}));
    comment(&server, &worker, &json!({"file": "code.rs", "text": "the file"}));
    comment(&server, &worker, &json!({"text": "all of it"}));
    let before = review(&server, &worker);
    assert_eq!(before[0]["quoted"], json!(["let changed_by_the_agent = 10;"]));
    assert_eq!(before[1]["quoted"], json!(["let value_10 = 10;"]));
    assert_eq!(before[2]["quoted"], json!(["let value_8 = 8;", "let value_9 = 9;"]));
    assert!(before[0]["hunk"].as_str().unwrap().contains("\n-let value_10 = 10;\n+let changed_by_the_agent = 10;\n"));
    assert_eq!(before[0]["new_hash"], git(&project, &["hash-object", "code.rs"]));
    server.kill9();
    server.start();
    assert_eq!(review(&server, &worker), before, "drafts survive");

    let text = fs::read_to_string(project.join("code.rs")).unwrap();
    fs::write(project.join("code.rs"), format!("// one\n// two\n{text}")).unwrap();
    let draft = |line| is("draft", line);
    let moved = [draft(Some(12)), draft(Some(10)), draft(Some(10)), draft(None), draft(None)];
    assert_eq!(states(&server, &worker), moved);
    assert_eq!(review(&server, &worker)[2]["place"]["end"], 11);
    git(&project, &["mv", "code.rs", "renamed ü.rs"]);
    let found = review(&server, &worker);
    assert_eq!(found[0]["place"], json!({"file": "renamed ü.rs", "side": "new", "start": 12, "end": 12}));
    git(&project, &["mv", "renamed ü.rs", "code.rs"]);

    change(&project, 12, "let something_else = 0;");
    assert_eq!(states(&server, &worker)[0], is("outdated", None));
    assert_eq!(review(&server, &worker)[0]["quoted"], before[0]["quoted"], "the old text is still shown");
    assert_eq!(review(&server, &worker)[0]["hunk"], before[0]["hunk"]);
    change(&project, 12, "let value_10 = 10;");
    assert_eq!(states(&server, &worker)[1], is("outdated", None), "the line is not removed any more");
}

#[test]
fn review_is_one_message_that_waits_while_the_agent_works() {
    let mut server = start("review-send", &[]);
    let (project, worker) = changed(&server);
    worker.say(&server, "hang");
    worker.wait_status(&server, "busy");
    assert!(send(&server, &worker, &json!({}), 409)["detail"].as_str().unwrap().contains("no draft comments"));
    on_line(&server, &worker, "new", 10, "Use a better name.");
    comment(&server, &worker, &json!({"text": "And add tests.", "suggestion": "#[test]\nfn it_works() {}"}));
    let ack = send(&server, &worker, &json!({"client_message_id": "mine", "text": "Hello."}), 202);
    assert_eq!(ack["state"], "queued");
    let queue = server.get(&worker.path("/queue")).expect(200).json();
    let content = queue["queue"][0]["content"].as_str().unwrap();
    assert_eq!(
        content,
        "Hello.\n\nReview of your changes, with 2 comments. Please answer or address each.\n\n\
         1. code.rs, line 10\n> let changed_by_the_agent = 10;\n\nUse a better name.\n\n\
         2. On all changes\n\nAnd add tests.\n\nSuggested instead:\n```\n#[test]\nfn it_works() {}\n```"
    );
    assert_eq!(states(&server, &worker), [is("sent", Some(10)), is("sent", None)]);
    // A later comment is not part of it, whatever the client repeats.
    on_line(&server, &worker, "new", 9, "later");
    for _ in 0..2 {
        let again = send(&server, &worker, &json!({"client_message_id": "mine", "text": "Hello."}), 202);
        assert_eq!(again["message_id"], ack["message_id"]);
        server.kill9();
        server.start();
    }
    assert_eq!(server.get(&worker.path("/queue")).expect(200).json()["queue"].as_array().unwrap().len(), 1);
    let other = send(&server, &worker, &json!({"client_message_id": "mine", "text": "Other."}), 422);
    assert_eq!(other["code"], "key_reused");
    assert_eq!(worker.controls(&server, "message_queued").len(), 2, "one is that of the turn");

    // Its lines change before and after the agent receives it.
    worker.call(&server, "interrupt").expect(200);
    eventually(DEADLINE, "the review's delivery", || {
        let queue = server.get(&worker.path("/queue")).expect(200).json();
        queue["queue"].as_array().unwrap().is_empty().then_some(())
    });
    assert_eq!(states(&server, &worker)[0], is("sent", Some(10)));
    change(&project, 10, "let better_name = 10;");
    assert_eq!(states(&server, &worker)[0], is("addressed", None));
    let id = review(&server, &worker)[0]["id"].as_str().unwrap().to_owned();
    let done = server.patch(&worker.path(&format!("/review/{id}")), &json!({"state": "resolved"})).expect(200).json();
    assert_eq!(done["state"], "resolved");
    assert_eq!(states(&server, &worker)[2], is("draft", Some(9)));
}

#[test]
fn review_that_is_taken_back_is_a_draft_again() {
    let server = start("review-back", &[]);
    let (project, worker) = changed(&server);
    worker.say(&server, "hang");
    worker.wait_status(&server, "busy");
    let first = on_line(&server, &worker, "new", 10, "first");
    let second = on_line(&server, &worker, "new", 9, "second");
    let (first, second) = (first["id"].as_str().unwrap(), second["id"].as_str().unwrap());
    let ack = send(&server, &worker, &json!({"comments": [first]}), 202);
    assert_eq!(states(&server, &worker), [is("sent", Some(10)), is("draft", Some(9))]);
    let changed = server.patch(&worker.path(&format!("/review/{first}")), &json!({"text": "other"}));
    changed.expect(409);
    send(&server, &worker, &json!({"comments": [first]}), 409);
    change(&project, 10, "gone");
    assert_eq!(states(&server, &worker)[0], is("outdated", None), "the agent does not have the comment yet");
    let message = ack["message_id"].as_str().unwrap();
    server.delete(&worker.path(&format!("/queue/{message}"))).expect(200);
    assert_eq!(review(&server, &worker)[0]["message_id"], Value::Null);
    server.patch(&worker.path(&format!("/review/{first}")), &json!({"text": "other"})).expect(200);
    let ack = send(&server, &worker, &json!({}), 202);
    let queue = server.get(&worker.path("/queue")).expect(200).json();
    let content = queue["queue"][0]["content"].as_str().unwrap();
    let note =
        "code.rs, line 10 (these lines have changed since the comment was written)\n> let changed_by_the_agent = 10;";
    assert!(content.contains(note) && content.contains("other") && content.contains("second"), "{content}");
    assert!(review(&server, &worker).iter().all(|it| it["message_id"] == ack["message_id"]));
    server.delete(&worker.path(&format!("/review/{second}"))).expect(200);
    server.delete(&worker.path(&format!("/review/{second}"))).expect(404);
    assert_eq!(review(&server, &worker).len(), 1);
}

#[test]
fn changes_of_a_review_are_events() {
    let server = start("review-events", &[]);
    let (_, worker) = changed(&server);
    comment(&server, &worker, &json!({"text": "one"}));
    comment(&server, &worker, &json!({"text": "two"}));
    worker.say(&server, "hang");
    worker.wait_status(&server, "busy");
    send(&server, &worker, &json!({}), 202);
    let changed: Vec<u64> =
        worker.events_of(&server, "review").iter().map(|event| event["comments_changed"].as_u64().unwrap()).collect();
    assert_eq!(changed, [1, 1, 2]);
}
