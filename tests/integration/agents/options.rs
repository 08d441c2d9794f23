//! Options of an agent: read, set, refused, set again at the next start.

use serde_json::{Value, json};

use super::{ask, idle, start};
use crate::support::server::TestServer;
use crate::support::wait::{DEADLINE, eventually};
use crate::support::workers::TestWorker;

fn options(server: &TestServer, worker: &TestWorker) -> Vec<Value> {
    server.get(&worker.path("/options")).expect(200).json()["options"].as_array().unwrap().clone()
}

fn value(server: &TestServer, worker: &TestWorker, id: &str) -> Value {
    let options = options(server, worker);
    options.iter().find(|option| option["id"] == id).unwrap()["value"].clone()
}

#[track_caller]
fn wait_value(server: &TestServer, worker: &TestWorker, id: &str, wanted: &Value) {
    eventually(DEADLINE, &format!("{id} is {wanted}"), || (value(server, worker, id) == *wanted).then_some(()));
}

fn set(server: &TestServer, worker: &TestWorker, id: &str, value: &Value) -> u16 {
    server.put(&worker.path(&format!("/options/{id}")), &json!({"value": value})).status
}

#[test]
fn options_of_an_agent_are_listed_with_choices_and_values() {
    let server = start();
    let worker = TestWorker::create(&server, "agent", &json!({}));
    worker.wait_status(&server, "idle");
    let listed = options(&server, &worker);
    let shown: Vec<(&Value, &Value, &Value)> =
        listed.iter().map(|it| (&it["id"], &it["category"], &it["value"])).collect();
    let (ask, small, low, off) = (json!("ask"), json!("small"), json!("low"), json!(false));
    let (mode, model, effort, fast) = (json!("mode"), json!("model"), json!("effort"), json!("fast"));
    let level = json!("thought_level");
    assert_eq!(
        shown,
        [(&mode, &mode, &ask), (&model, &model, &small), (&effort, &level, &low), (&fast, &Value::Null, &off)]
    );
    let large = json!({"value": "large", "name": "Large", "description": "slow", "group": "All"});
    assert_eq!(listed[1]["choices"][1], large);
    let event = worker.wait_event(&server, "options", 1);
    assert_eq!(event["options"].as_array().unwrap(), &listed);
}

#[test]
fn options_are_set_and_refused_values_do_not_apply() {
    let server = start();
    let worker = idle(&server, &json!({}));
    for (id, wanted) in [
        ("effort", json!("high")),
        ("fast", json!(true)),
        ("model", json!("large")),
        ("permission_mode", json!("yolo")),
    ] {
        assert_eq!(set(&server, &worker, id, &wanted), 200, "{id}");
    }
    assert_eq!(ask(&server, &worker, "options"), "yolo large high true");
    assert_eq!(set(&server, &worker, "effort", &json!("refused")), 200);
    worker.wait_event(&server, "error", 1);
    assert_eq!(value(&server, &worker, "effort"), "high");
    for (id, wrong, status) in [
        ("effort", json!("none"), 400),
        ("fast", json!("yes"), 400),
        ("color", json!("red"), 404),
        ("effort", Value::Null, 422),
    ] {
        assert_eq!(set(&server, &worker, id, &wrong), status, "{id}");
    }
    let mut client = server.ws(&format!("/ws/{}?deltas=1", worker.id));
    client.send_json(&json!({"type": "set_option", "option": "effort", "value": "low"}));
    wait_value(&server, &worker, "effort", &json!("low"));
}

#[test]
fn accepted_options_are_set_again_at_the_next_start() {
    let server = start();
    let worker = idle(&server, &json!({}));
    ask(&server, &worker, "hello");
    assert_eq!(set(&server, &worker, "effort", &json!("high")), 200);
    wait_value(&server, &worker, "effort", &json!("high"));
    worker.call(&server, "restart");
    worker.wait_status(&server, "idle");
    assert_eq!(ask(&server, &worker, "options"), "ask small high false");
    worker.call(&server, "stop");
    assert_eq!(value(&server, &worker, "effort"), "high", "the last run's options");
    assert_eq!(set(&server, &worker, "effort", &json!("refused")), 200);
    let next = options(&server, &worker)[2]["next"].clone();
    assert_eq!(next, "refused");
    assert_eq!(ask(&server, &worker, "options"), "ask small low false");
    let errors = worker.events_of(&server, "error").len();
    worker.call(&server, "restart");
    worker.wait_status(&server, "idle");
    assert_eq!(worker.events_of(&server, "error").len(), errors, "it is not asked for again");
}

#[test]
fn options_seen_by_a_worker_are_known_before_a_start() {
    let server = start();
    let known = || {
        let clis = server.get("/api/ai-clis").expect(200).json();
        clis["available_clis"].as_array().unwrap().iter().find(|cli| cli["type"] == "agent").unwrap()["known_options"]
            .clone()
    };
    assert_eq!(known(), Value::Null);
    let worker = idle(&server, &json!({}));
    worker.call(&server, "stop");
    let known = known();
    assert_eq!((&known["worker_id"], &known["options"][1]["category"]), (&json!(worker.id), &json!("model")));
    assert!(known["listed_at"].is_string(), "{known}");
}
