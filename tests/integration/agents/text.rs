//! Text that comes outside a turn.

use serde_json::json;

use super::{idle, start, wait_said};

#[test]
fn text_after_a_turn_is_in_history_and_search_without_another_event() {
    let server = start();
    let worker = idle(&server, &json!({}));
    worker.say(&server, "late and later");
    wait_said(&server, &worker, "and later");
    let found = server.get("/api/search?q=and%20later&kind=assistant").expect(200).json();
    assert_eq!(found["results"].as_array().unwrap().len(), 1, "{found}");
    let export = server.get(&worker.path("/export?format=md")).expect(200).text();
    assert!(export.contains("and later"), "{export}");
}

#[test]
fn text_after_a_turn_comes_before_the_next_message() {
    let server = start();
    let worker = idle(&server, &json!({}));
    worker.say(&server, "late one");
    worker.wait_turn(&server, 1);
    worker.say(&server, "two");
    wait_said(&server, &worker, "You said: two");
    let events = worker.events(&server);
    let place = |kind: &str, text: &str| events.iter().position(|it| it["type"] == kind && it["content"] == text);
    assert!(place("assistant", "one").unwrap() < place("user", "two").unwrap(), "{events:?}");
}
