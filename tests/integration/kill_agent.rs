//! The server is killed again and again while an agent of the Agent Client Protocol is in the middle of a turn.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::clis;
use crate::support::random::Random;
use crate::support::server::TestServer;
use crate::support::wait::{DEADLINE, eventually, pace};
use crate::support::workers::{TestWorker, declare};
use crate::wire::at_once;

/// Number of kills; a longer run sets it.
const KILLS: &str = "RS_WORKER_TEST_KILLS";
const KILLS_DEFAULT: u64 = 5;
/// Longest time from a start of the server to its kill.
const LIFE_MS_MAX: u64 = 200;
/// Clients that answer at the same moment.
const CLIENTS: usize = 4;

fn start(name: &str) -> TestServer {
    let mut server = TestServer::builder().name(name).env("STOP_GRACE_SECS", "1").prepare();
    declare(&server, "agent", &json!({"family": "acp", "command": [clis::fake_cli(), "acp"]}));
    server.start();
    server
}

fn said(server: &TestServer, worker: &TestWorker) -> Vec<String> {
    let said = worker.events_of(server, "assistant");
    said.iter().map(|event| event["content"].as_str().unwrap().to_owned()).collect()
}

fn requests(server: &TestServer, worker: &TestWorker) -> usize {
    worker.events_of(server, "permission_request").len()
}

#[test]
fn prompt_is_asked_again_after_every_kill_and_answered_once() {
    let kills = std::env::var(KILLS).ok().and_then(|text| text.parse().ok()).unwrap_or(KILLS_DEFAULT);
    let mut random = Random::new();
    let mut server = start("kill-agent");
    let worker = TestWorker::create(&server, "agent", &json!({}));
    let mut turns = 0;
    for round in 0..kills {
        worker.say(&server, "permission");
        let prompt = worker.wait_prompt(&server);
        for _ in 0..2 {
            pace(Duration::from_millis(random.below(LIFE_MS_MAX)));
            server.kill9();
            server.start();
            let again = worker.wait_prompt(&server);
            assert_eq!(again["request_id"], prompt["request_id"], "the same prompt is asked again");
            assert_eq!(worker.wait_status(&server, "waiting")["open_prompts"], 1);
        }
        assert_eq!(requests(&server, &worker), round as usize + 1, "and told once in the history");
        let answers = at_once(CLIENTS, |_| worker.answer(&server, &prompt, &json!({"option_id": "allow"})).status);
        assert_eq!(answers.iter().filter(|status| **status == 200).count(), 1, "{answers:?}");
        assert_eq!(answers.iter().filter(|status| **status == 409).count(), CLIENTS - 1, "{answers:?}");
        turns += 1;
        let turn = worker.wait_turn(&server, turns);
        assert_eq!((&turn["stop_reason"], &turn["is_error"]), (&json!("end_turn"), &json!(false)));
    }
    worker.say(&server, "answers");
    worker.wait_turn(&server, turns + 1);
    assert_eq!(said(&server, &worker).last().unwrap(), &format!("{kills} answers"), "the agent got each once");
}

#[test]
fn prompt_answered_during_a_kill_is_answered_once_or_open() {
    let mut random = Random::new();
    let mut server = start("kill-agent-answer");
    let worker = TestWorker::create(&server, "agent", &json!({}));
    const ROUNDS: usize = 6;
    for round in 0..ROUNDS {
        worker.say(&server, "permission");
        let prompt = worker.wait_prompt(&server);
        let client = server.client.clone();
        let path = worker.path(&format!("/permissions/{}", prompt["request_id"].as_str().unwrap()));
        std::thread::scope(|scope| {
            let body = json!({"option_id": "deny"}).to_string();
            let headers = [("content-type", "application/json")];
            // The kill may swallow its response, which is the point of this test.
            let answering = scope.spawn(move || drop(client.try_request("POST", &path, &headers, body.as_bytes())));
            pace(Duration::from_micros(random.below(3_000)));
            server.kill9();
            answering.join().unwrap();
        });
        server.start();
        // A client without a response repeats the request.
        let status = worker.answer(&server, &prompt, &json!({"option_id": "deny"})).status;
        assert!([200, 409].contains(&status), "{status}");
        let turn = worker.wait_turn(&server, round + 1);
        assert_eq!(turn["stop_reason"], "end_turn");
    }
    worker.say(&server, "answers");
    worker.wait_turn(&server, ROUNDS + 1);
    assert_eq!(said(&server, &worker).last().unwrap(), &format!("{ROUNDS} answers"));
    let answered: Vec<Value> = worker.controls(&server, "permission_answered");
    assert_eq!(answered.len(), ROUNDS);
}

#[test]
fn text_before_an_interrupt_is_in_the_history() {
    let mut server = start("agent-cut");
    let worker = TestWorker::create(&server, "agent", &json!({}));
    let mut client = worker.watch(&server);
    worker.say(&server, "cut 3");
    // A client that is still catching up gets several words in one piece.
    client.wait_for("the third word", DEADLINE, |frame| {
        frame["content"]["content"].as_str().is_some_and(|text| text.ends_with("w2 "))
    });
    server.kill9();
    server.start();
    worker.wait_status(&server, "busy");
    worker.call(&server, "interrupt").expect(200);
    assert_eq!(worker.wait_turn(&server, 1)["stop_reason"], "interrupted");
    assert_eq!(said(&server, &worker), ["w0 w1 w2 "]);
    eventually(DEADLINE, "it takes messages again", || (worker.show(&server)["status"] == "idle").then_some(()));
}
