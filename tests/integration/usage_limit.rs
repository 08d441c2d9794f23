//! The provider's usage limit: it is shown, and messages that failed at it are sent again, if that is configured.

use serde_json::{Value, json};

use crate::support::clis;
use crate::support::server::TestServer;
use crate::support::wait::{DEADLINE, eventually};
use crate::support::workers::TestWorker;

fn server(name: &str, settings: &[(&str, &str)]) -> TestServer {
    let builder = TestServer::builder().name(name).env("CLAUDE_BINARY", clis::fake_cli()).env("STOP_GRACE_SECS", "1");
    settings.iter().fold(builder, |builder, (name, value)| builder.env(name, value)).start()
}

fn worker(server: &TestServer) -> TestWorker {
    TestWorker::create(server, "claude", &json!({}))
}

/// Creates a worker with a message that waits for a limit of so many seconds, after which it is answered with `done`.
/// Returns the worker, its JSON, and the message's id. On a slow machine a short limit may be missed; then it gets a
/// longer one.
#[track_caller]
fn held(server: &TestServer, secs: u64) -> (TestWorker, Value, Value) {
    for secs in [secs, 10 * secs, 100 * secs] {
        let worker = worker(server);
        let message = worker.say(server, &format!("limit {secs} 1 done"))["message_id"].clone();
        let seen = eventually(DEADLINE, "a message waits for the limit", || {
            let shown = worker.show(server);
            let (waits, is_over) = (!shown["resend_at"].is_null(), shown["turns"].as_u64() > Some(1));
            (waits || is_over).then_some(shown).map(|shown| waits.then_some(shown))
        });
        if let Some(shown) = seen {
            return (worker, shown, message);
        }
    }
    panic!("no limit is long enough to be seen");
}

fn results(server: &TestServer, worker: &TestWorker) -> Vec<(bool, String)> {
    let turns = worker.events_of(server, "turn_completed");
    let result = |turn: &Value| (turn["is_error"] == true, turn["result"].as_str().unwrap_or_default().to_owned());
    turns.iter().map(result).collect()
}

const FAILED: &str = "You've hit your limit";

fn expected(list: &[&str]) -> Vec<(bool, String)> {
    list.iter().map(|text| (*text == FAILED, (*text).to_owned())).collect()
}

#[test]
fn limit_is_shown_and_nothing_is_resent_unasked() {
    let server = server("limit-off", &[]);
    let worker = worker(&server);
    worker.say(&server, "limit 3600 1 done");
    worker.wait_turn(&server, 1);
    let shown = worker.wait_status(&server, "idle");
    assert_eq!(shown["rate_limit"]["status"], "rejected");
    let reported = worker.wait_event(&server, "rate_limit", 1);
    assert_eq!(shown["rate_limit"]["resets_at"], reported["resets_at"]);
    assert_eq!((&shown["resend_at"], &shown["queued_messages"]), (&Value::Null, &json!(0)));
    worker.say(&server, "echo next");
    worker.wait_turn(&server, 2);
    assert_eq!(results(&server, &worker), expected(&[FAILED, "next"]));
    assert_eq!(worker.show(&server)["rate_limit"], Value::Null, "a turn went well, so it is over");
}

#[test]
fn message_failed_at_the_limit_is_resent_first_and_once() {
    let server = server("limit-on", &[("RESEND_AFTER_LIMIT", "true")]);
    let (worker, shown, message) = held(&server, 4);
    assert_eq!(shown["resend_at"], shown["rate_limit"]["resets_at"]);
    worker.say(&server, "echo after");
    worker.wait_turn(&server, 3);
    assert_eq!(results(&server, &worker), expected(&[FAILED, "done", "after"]));
    let states = worker.events_of(&server, "message_state").into_iter().filter(|event| event["message_id"] == message);
    let states: Vec<Value> = states.map(|event| event["state"].clone()).collect();
    assert_eq!(json!(states), json!(["queued", "delivered", "consumed", "queued", "delivered", "consumed"]));
    let notices = worker.events_of(&server, "notice");
    let codes: Vec<&str> = notices.iter().map(|notice| notice["code"].as_str().unwrap()).collect();
    assert_eq!(codes, ["usage_limit", "usage_limit_over"]);
    let held = worker.controls(&server, "message_held").remove(0);
    let over = worker.journal(&server).iter().position(|(_, text)| text.contains("limit_over")).unwrap();
    let at = |index: usize| {
        let text = std::fs::read_to_string(worker.dir(&server).join("journal")).unwrap();
        text.lines().nth(index + 1).unwrap().split(' ').next().unwrap().parse::<u64>().unwrap()
    };
    assert!(at(over) >= held["until"].as_u64().unwrap(), "not before the limit's end");
    assert_eq!(worker.show(&server)["resend_at"], Value::Null);
}

#[test]
fn a_message_is_sent_again_only_so_often() {
    let server = server("limit-bound", &[("RESEND_AFTER_LIMIT", "true"), ("RESEND_ATTEMPTS", "2")]);
    let worker = worker(&server);
    worker.say(&server, "limit 1 99 never");
    worker.wait_turn(&server, 3);
    worker.say(&server, "echo after");
    worker.wait_turn(&server, 4);
    assert_eq!(results(&server, &worker), expected(&[FAILED, FAILED, FAILED, "after"]));
    let attempts: Vec<Value> =
        worker.controls(&server, "message_held").iter().map(|it| it["attempt"].clone()).collect();
    assert_eq!(json!(attempts), json!([1, 2]));
}

#[test]
fn waiting_for_the_limit_survives_server_and_cli_deaths() {
    let mut server = server("limit-kill", &[("RESEND_AFTER_LIMIT", "true")]);
    let (worker, shown, _) = held(&server, 3);
    server.kill9();
    let pid = crate::support::processes::process(shown["pid"].as_i64().unwrap() as i32).expect("it runs");
    crate::support::processes::signal(&pid, nix::sys::signal::Signal::SIGKILL);
    server.start();
    worker.wait_turn(&server, 2);
    assert_eq!(results(&server, &worker), expected(&[FAILED, "done"]));
}

#[test]
fn message_waiting_for_the_limit_can_be_changed_or_withdrawn() {
    let server = server("limit-edit", &[("RESEND_AFTER_LIMIT", "true")]);
    let (worker, _, message) = held(&server, 3600);
    let path = worker.path(&format!("/queue/{}", message.as_str().unwrap()));
    server.patch(&path, &json!({"content": "echo changed"})).expect(200);
    let queue = server.get(&worker.path("/queue")).expect(200).json();
    assert_eq!(queue["queue"][0]["content"], "echo changed");
    worker.say(&server, "echo behind it");
    server.delete(&path).expect(200);
    // Nothing is left that waits for the limit, so the messages behind it are delivered.
    worker.wait_turn(&server, 2);
    assert_eq!(results(&server, &worker), expected(&[FAILED, "behind it"]));
}

#[test]
fn manually_stopped_worker_stays_stopped_when_the_limit_ends() {
    let server = server("limit-stop", &[("RESEND_AFTER_LIMIT", "true")]);
    let (worker, ..) = held(&server, 1);
    worker.call(&server, "stop").expect(200);
    eventually(DEADLINE, "the limit is over", || worker.show(&server)["resend_at"].is_null().then_some(()));
    assert_eq!(worker.show(&server)["status"], "stopped");
    worker.call(&server, "start").expect(200);
    worker.wait_turn(&server, 2);
    assert_eq!(results(&server, &worker), expected(&[FAILED, "done"]));
}
