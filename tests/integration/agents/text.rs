//! Text that comes outside a turn.

use serde_json::json;

use super::{idle, start, wait_said};

#[test]
fn text_after_a_turn_is_in_history_and_search() {
    let server = start();
    let worker = idle(&server, &json!({}));
    worker.say(&server, "late and later");
    wait_said(&server, &worker, "and later");
    // A search that takes long returns its results in several pages.
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = server.get(&format!("/api/search?q=and%20later&kind=assistant{cursor}")).expect(200).json();
        found.extend(page["results"].as_array().unwrap().clone());
        let Some(next) = page["next"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(found.len(), 1, "{found:?}");
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
