//! Missing sessions, folders and agents: no message is lost, and the history reports what happened.

use std::fs;

use serde_json::{Value, json};

use crate::support::clis;
use crate::support::server::TestServer;
use crate::support::wait::{DEADLINE, eventually};
use crate::support::workers::{TestWorker, declare};

fn server(name: &str, more: &[(&str, &str)]) -> TestServer {
    let builder = TestServer::builder().name(name).env("CLAUDE_BINARY", clis::fake_cli()).env("STOP_GRACE_SECS", "1");
    more.iter().fold(builder, |builder, (name, value)| builder.env(name, *value)).start()
}

/// A stopped worker that has answered `first`, and whose session the CLI has lost since.
#[track_caller]
fn with_a_lost_session(server: &TestServer) -> TestWorker {
    let worker = TestWorker::create(server, "claude", &json!({"initial_message": "echo first"}));
    worker.wait_turn(server, 1);
    worker.call(server, "stop").expect(200);
    let session = worker.show(server)["session_id"].as_str().unwrap().to_owned();
    fs::remove_file(server.home().join(".fake_cli").join(session)).unwrap();
    worker
}

#[track_caller]
fn wait_answer(server: &TestServer, worker: &TestWorker, text: &str) {
    eventually(DEADLINE, &format!("the answer {text:?}"), || {
        worker.events_of(server, "assistant").iter().any(|event| event["content"] == text).then_some(())
    });
}

/// Asserts that the worker has reported once that its session was lost, and which one.
#[track_caller]
fn assert_reported(server: &TestServer, worker: &TestWorker, session: &Value) {
    let errors = worker.events_of(server, "error");
    let reported: Vec<&Value> = errors.iter().filter(|event| event["code"] == "session_not_found").collect();
    assert_eq!(reported.len(), 1, "{errors:?}");
    let text = reported[0]["content"].as_str().unwrap();
    assert!(text.contains(session.as_str().unwrap()) && text.contains("a new session was started"), "{text}");
}

#[test]
fn message_to_a_worker_whose_session_is_lost_is_answered() {
    let server = server("lost-message", &[]);
    for way in ["message", "start", "restart"] {
        let worker = with_a_lost_session(&server);
        let session = worker.show(&server)["session_id"].clone();
        if way != "message" {
            worker.call(&server, way).expect(200);
        }
        worker.say(&server, "echo second");
        wait_answer(&server, &worker, "second");
        assert_reported(&server, &worker, &session);
        let shown = worker.show(&server);
        assert_eq!(shown["earlier_sessions"][0]["session_id"], session, "{way}");
        assert_ne!(shown["session_id"], session);
        assert_eq!(worker.events_of(&server, "user").len(), 2, "{way}: no message is told twice");
    }
}

#[test]
fn new_session_gets_the_conversation_on_request() {
    let server = server("lost-recall", &[]);
    let worker = with_a_lost_session(&server);
    let body = json!({"content": "and now?", "with_history": true, "client_message_id": "one"});
    let sent = server.post(&worker.path("/messages"), &body).expect(202).json();
    // The fake CLI repeats anything that is not a command.
    let said = eventually(DEADLINE, "the answer", || {
        let events = worker.events_of(&server, "assistant");
        events
            .iter()
            .filter_map(|event| event["content"].as_str())
            .find(|text| text.ends_with("and now?"))
            .map(str::to_owned)
    });
    for part in ["<conversation>", "## User\n\necho first", "## Assistant\n\nfirst", "</conversation>"] {
        assert_eq!(said.matches(part).count(), 1, "{part:?} in {said}");
    }
    let again = server.post(&worker.path("/messages"), &body).expect(202).json();
    assert_eq!(again["message_id"], sent["message_id"], "the same message again is the same message");
    let plain = json!({"content": "and now?", "client_message_id": "one"});
    let again = server.post(&worker.path("/messages"), &plain).expect(202).json();
    assert_eq!(again["message_id"], sent["message_id"], "its own text is what counts");
    for with_history in [true, false] {
        let other = json!({"content": "and then?", "with_history": with_history, "client_message_id": "one"});
        let refused = server.post(&worker.path("/messages"), &other).expect(422).json();
        assert_eq!(refused["code"], "key_reused", "another text is another message: {refused}");
    }
    // A repeated conversation does not contain an earlier repetition, and only the newest part is repeated.
    worker.say(&server, &format!("echo {}", "long ".repeat(20_000)));
    worker.say(&server, "echo short");
    wait_answer(&server, &worker, "short");
    let mut client = worker.watch_since(&server, sent["seq"].as_u64().unwrap());
    client.send_json(&json!({"type": "message", "content": "the end", "with_history": true}));
    let user = eventually(DEADLINE, "the message", || {
        let events = worker.events_of(&server, "user");
        events
            .last()
            .and_then(|event| event["content"].as_str())
            .filter(|text| text.ends_with("the end"))
            .map(str::to_owned)
    });
    assert!(user.contains("(Its beginning is left out.)") && user.contains("echo short"), "{}", user.len());
    assert!(user.len() < 70_000 && user.matches("<conversation>").count() == 1, "{}", user.len());
}

#[test]
fn fork_of_a_worker_whose_session_is_lost_is_answered() {
    let server = server("lost-fork", &[]);
    let worker = with_a_lost_session(&server);
    let session = worker.show(&server)["session_id"].clone();
    let forked = server.post(&worker.path("/fork"), &json!({"initial_message": "echo forked"})).expect(201).json();
    let forked = TestWorker { id: forked["id"].as_str().unwrap().to_owned() };
    wait_answer(&server, &forked, "forked");
    assert_reported(&server, &forked, &session);
}

#[test]
fn imported_worker_whose_session_is_elsewhere_is_answered() {
    let server = server("lost-import", &[]);
    let worker = with_a_lost_session(&server);
    let session = worker.show(&server)["session_id"].clone();
    let export = server.get(&worker.path("/export?format=jsonl")).expect(200).text();
    let headers = [("Content-Type", "application/x-ndjson")];
    let imported = server.client.request("POST", "/api/import", &headers, export.as_bytes()).expect(201).json();
    let imported = TestWorker { id: imported["id"].as_str().unwrap().to_owned() };
    imported.say(&server, "echo imported");
    wait_answer(&server, &imported, "imported");
    assert_reported(&server, &imported, &session);
}

#[test]
fn stopped_worker_continues_in_a_moved_folder() {
    let mut server = server("lost-folder", &[]);
    let (old, new) = (server.project_named("old"), server.dir().join("new"));
    let worker = TestWorker::create(&server, "claude", &json!({"project_path": old, "initial_message": "cwd"}));
    worker.wait_turn(&server, 1);
    let change = |path: &std::path::Path| server.patch(&worker.path(""), &json!({"project_path": path}));
    fs::create_dir(&new).unwrap();
    let running = change(&new).expect(409).json();
    assert!(running["detail"].as_str().unwrap().contains("stop it first"), "{running}");
    worker.call(&server, "stop").expect(200);
    fs::remove_dir(&new).unwrap();
    change(&new).expect(400);
    fs::rename(&old, &new).unwrap();
    let gone = server.post(&worker.path("/messages"), &json!({"content": "cwd"}));
    assert!(gone.status == 400 && gone.text().contains("does not exist"), "{}", gone.text());
    assert_eq!(change(&new).expect(200).json()["project_path"], json!(new));
    server.restart();
    worker.say(&server, "cwd");
    wait_answer(&server, &worker, new.canonicalize().unwrap().to_str().unwrap());
}

#[test]
fn agent_that_never_answers_the_handshake_is_stalled() {
    let mut server =
        TestServer::builder().name("mute").env("WORKER_TIMEOUT", "2").env("STOP_GRACE_SECS", "1").prepare();
    let script = r#"while read -r l; do case "$l" in
        *'"initialize"'*) echo '{"id":1,"result":{"protocolVersion":1,"agentCapabilities":{}}}';;
        *'"session/new"'*) until [ -e go ]; do sleep 0.1; done; echo '{"id":2,"result":{"sessionId":"s"}}';;
        *'"session/prompt"'*) echo '{"id":3,"result":{"stopReason":"end_turn"}}';; esac; done"#;
    declare(&server, "deaf", &json!({"family": "acp", "command": ["sh", "-c", "cat > /dev/null"]}));
    declare(&server, "slow", &json!({"family": "acp", "command": ["sh", "-c", script]}));
    server.start();
    let deaf = TestWorker::create(&server, "deaf", &json!({}));
    let slow = TestWorker::create(&server, "slow", &json!({}));
    for (worker, asked) in [(&deaf, "initialize"), (&slow, "session/new")] {
        worker.say(&server, "hello");
        // A slow start is stalled at an earlier question first.
        let expected = format!("no answer to {asked}");
        let shown = eventually(DEADLINE, &expected, || {
            let shown = worker.show(&server);
            let is_it = shown["status"] == "stalled" && shown["reason"].to_string().contains(&expected);
            is_it.then_some(shown)
        });
        assert_eq!(shown["queued_messages"], 1);
    }
    fs::write(server.project().join("go"), "").unwrap();
    slow.wait_turn(&server, 1);
    deaf.call(&server, "stop").expect(200);
}

/// A declared agent that keeps its sessions in its home. Its arguments: `new` or `resume`, the session, and the
/// message; without a message it reads lines. In its home, `complaint` is the command with which it refuses a session.
const AGENT: &str = r#"f="$HOME/said-$2"
if [ "$1" = resume ] && ! [ -s "$f" ]; then . "$HOME/complaint"; fi
answer() { echo "$1" >> "$f"; printf '{"type":"text","text":"%s"}\n{"type":"end"}\n' "$1"; }
if [ $# = 3 ]; then answer "$3"; exit; fi
while read -r line; do answer "$line"; done"#;

/// The same for the family of plain text.
const PLAIN: &str = r#"f="$HOME/said-$2"
if [ "$1" = resume ] && ! [ -s "$f" ]; then . "$HOME/complaint"; fi
echo "$3" >> "$f"; echo "$3""#;

/// Ways to refuse a session, each as a command of a shell.
const COMPLAINTS: [&str; 6] = [
    r#"echo '{"type":"error","text":"session not found"}'; exit 1"#,
    r#"echo '{"type":"error","text":"session not found"}'; exit 0"#,
    "echo 'no such session'; exit 1",
    "echo 'Error: Session not found' >&2; exit 1",
    "echo 'panic: unexpected end of store' >&2; exit 2",
    r#"echo '{"type":"error","text":"cannot parse /srv/locked/store"}'; exit 1"#,
];

/// A server with the declared agents `one` (one process per message), `many` (one process for all messages) and `plain`
/// (text).
fn with_agents(name: &str) -> TestServer {
    let mut server = TestServer::builder().name(name).env("STOP_GRACE_SECS", "1").prepare();
    let fields = json!([
        {"when": {"type": "text"}, "event": "assistant", "content": "text"},
        {"when": {"type": "error"}, "event": "error", "content": "text"},
        {"when": {"type": "end"}, "event": "turn_completed"}]);
    let command = |script: &str, how: &str, more: &[&str]| {
        json!([&["sh", "-c", script, "agent", how, "{session_id}"], more].concat())
    };
    let message = ["{message}"];
    let both = |script: &str, more: &[&str]| (command(script, "new", more), command(script, "resume", more));
    let ((new, resume), (new_many, resume_many), (new_plain, resume_plain)) =
        (both(AGENT, &message), both(AGENT, &[]), both(PLAIN, &message));
    let one = json!({"family": "jsonl", "mode": "per_message", "command": new, "resume_command": resume,
        "fields": fields});
    declare(&server, "one", &one);
    let many = json!({"family": "jsonl", "command": new_many, "resume_command": resume_many, "fields": fields});
    declare(&server, "many", &many);
    let plain = json!({"family": "text", "mode": "per_message", "command": new_plain, "resume_command": resume_plain});
    declare(&server, "plain", &plain);
    server.start();
    server
}

/// A stopped worker of a declared agent that has answered `first`, and whose session the agent refuses with
/// `complaint`.
#[track_caller]
fn with_a_refused_session(server: &TestServer, cli: &str, complaint: &str) -> (TestWorker, Value) {
    let worker = TestWorker::create(server, cli, &json!({}));
    worker.say(server, "first");
    worker.wait_turn(server, 1);
    // The session is created once the process has ended successfully.
    worker.wait_status(server, "idle");
    worker.call(server, "stop").expect(200);
    let session = worker.show(server)["session_id"].clone();
    fs::write(server.home().join("complaint"), complaint).unwrap();
    fs::write(server.home().join(format!("said-{}", session.as_str().unwrap())), "").unwrap();
    (worker, session)
}

/// The message `second` is answered once, in another session, and the history has it once.
#[track_caller]
fn assert_answered_anew(server: &TestServer, worker: &TestWorker, session: &Value, what: &str) {
    wait_answer(server, worker, "second");
    assert_reported(server, worker, session);
    let texts: Vec<Value> = worker.events_of(server, "user").iter().map(|event| event["content"].clone()).collect();
    assert_eq!(json!(texts), json!(["first", "second"]), "{what}: no message is told twice");
    let answers = worker.events_of(server, "assistant").iter().filter(|event| event["content"] == "second").count();
    let shown = worker.wait_status(server, "idle");
    assert_eq!((answers, &shown["queued_messages"]), (1, &json!(0)), "{what}");
    assert_eq!(shown["earlier_sessions"][0]["session_id"], *session, "{what}");
    assert_ne!(shown["session_id"], *session, "{what}");
}

#[test]
fn declared_agent_without_its_session_answers_in_a_new_one() {
    let server = with_agents("lost-declared");
    for cli in ["one", "many"] {
        // One process for all messages that ends successfully has simply ended.
        for complaint in COMPLAINTS.into_iter().filter(|complaint| cli == "one" || !complaint.ends_with("exit 0")) {
            let (worker, session) = with_a_refused_session(&server, cli, complaint);
            worker.say(&server, "second");
            assert_answered_anew(&server, &worker, &session, &format!("{cli}: {complaint}"));
            worker.call(&server, "stop").expect(200);
        }
    }
    for complaint in ["echo 'Session x not found.'; exit 1", "echo 'Session x not found.' >&2; exit 1"] {
        let (worker, session) = with_a_refused_session(&server, "plain", complaint);
        worker.say(&server, "second");
        assert_answered_anew(&server, &worker, &session, complaint);
        worker.say(&server, "third");
        wait_answer(&server, &worker, "third");
    }
}

#[test]
fn declared_agent_with_a_passing_obstacle_keeps_its_session() {
    let server = with_agents("kept-declared");
    for complaint in [
        r#"echo '{"type":"error","text":"rate limit reached, try again later"}'; exit 1"#,
        "echo 'session is locked by process 7' >&2; exit 1",
        "echo 'You are not logged in.' >&2; exit 1",
        "exit 1",
    ] {
        let (worker, session) = with_a_refused_session(&server, "one", complaint);
        worker.say(&server, "second");
        let failed = worker.wait_turn(&server, 2);
        assert_eq!(failed["is_error"], true, "{complaint}");
        assert_eq!(worker.show(&server)["session_id"], session, "{complaint}");
        if complaint == "exit 1" {
            // The second time is not an accident.
            worker.say(&server, "third");
            wait_answer(&server, &worker, "third");
            assert_reported(&server, &worker, &session);
        }
    }
}

#[test]
fn imported_declared_worker_answers_in_a_new_session() {
    let server = with_agents("lost-declared-import");
    for cli in ["one", "many"] {
        let (worker, session) = with_a_refused_session(&server, cli, COMPLAINTS[0]);
        let export = server.get(&worker.path("/export?format=jsonl")).expect(200).text();
        let headers = [("Content-Type", "application/x-ndjson")];
        let imported = server.client.request("POST", "/api/import", &headers, export.as_bytes()).expect(201).json();
        let imported = TestWorker { id: imported["id"].as_str().unwrap().to_owned() };
        imported.say(&server, "second");
        assert_answered_anew(&server, &imported, &session, cli);
    }
}

#[test]
fn send_waits_for_the_answer_of_the_new_session() {
    let server = with_agents("lost-send");
    for (cli, complaint) in [("one", COMPLAINTS[0]), ("one", COMPLAINTS[3]), ("many", COMPLAINTS[2])] {
        let (worker, session) = with_a_refused_session(&server, cli, complaint);
        let output = server.command(["send", &worker.id, "second"]).output().unwrap();
        let (reported, why) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!((output.status.code(), reported.trim()), (Some(0), "second"), "{cli}: {why}");
        assert_answered_anew(&server, &worker, &session, cli);
    }
}
