//! Part 2: pages of history, walked from either end.

use serde_json::{Value, json};

use super::{LOOP, events, idle_worker, keys, say, seqs, server, wait_event};
use crate::support::server::TestServer;

#[track_caller]
fn page(server: &TestServer, worker: &str, query: &str) -> (Vec<Value>, Value) {
    let answer = server.get(&format!("/api/workers/{worker}/messages?{query}")).expect(200).json();
    let fields: Vec<&str> = keys(&answer).into_iter().filter(|key| *key != "resync_required").collect();
    assert_eq!(fields, ["has_more", "last_seq", "last_timestamp", "messages"]);
    (answer["messages"].as_array().unwrap().clone(), answer["has_more"].clone())
}

fn with_history(server: &TestServer, turns: usize) -> String {
    let id = idle_worker(server, LOOP);
    for number in 1..=turns {
        say(server, &id, &format!("m{number}"));
    }
    wait_event(server, &id, "assistant", &format!("you said: m{turns}"));
    server.wait_status(&id, "idle");
    id
}

#[test]
fn walking_back_sees_every_event_once_with_any_page_size() {
    let server = server();
    let id = with_history(&server, 12);
    let all = events(&server, &id);
    for limit in [1, 2, 3, 7, 50, 1000] {
        let mut seen: Vec<Value> = Vec::new();
        loop {
            let before = seen.first().map_or(String::new(), |event| format!("&before={}", event["seq"]));
            let (events, has_more) = page(&server, &id, &format!("types=all&limit={limit}{before}"));
            assert!(events.len() <= limit);
            assert_eq!(has_more == true, seen.len() + events.len() < all.len(), "limit {limit}");
            seen.splice(0..0, events);
            if has_more == false {
                break;
            }
        }
        assert_eq!(seen, all, "limit {limit}");
    }
}

#[test]
fn walking_forth_sees_every_event_once_with_any_page_size() {
    let server = server();
    let id = with_history(&server, 8);
    let all = events(&server, &id);
    for limit in [1, 3, 50] {
        let mut seen: Vec<Value> = Vec::new();
        loop {
            let since = seen.last().map_or(json!(0), |event| event["seq"].clone());
            let (events, has_more) = page(&server, &id, &format!("types=all&limit={limit}&since={since}"));
            seen.extend(events);
            if has_more == false {
                break;
            }
        }
        assert_eq!(seen, all, "limit {limit}");
    }
}

#[test]
fn since_and_before_bound_a_page_and_exclude_themselves() {
    let server = server();
    let id = with_history(&server, 4);
    let all = events(&server, &id);
    let (from, to) = (2, all.len() - 3);
    let query = format!("types=all&since={}&before={}&limit=1000", all[from]["seq"], all[to]["seq"]);
    let (events, has_more) = page(&server, &id, &query);
    assert_eq!((seqs(&events), has_more), (seqs(&all[from + 1..to]), json!(false)));
    assert_eq!(page(&server, &id, &format!("types=all&limit=1000&since={}", u64::MAX)).0, all);
    assert_eq!(page(&server, &id, "types=all&before=0").0, Vec::<Value>::new());
    assert_eq!(page(&server, &id, &format!("types=all&limit=1000&before={}", u64::MAX)).0, all);
}

#[test]
fn newest_messages_are_returned_without_a_query() {
    let server = server();
    let id = with_history(&server, 20);
    let (events, has_more) = page(&server, &id, "");
    assert_eq!((events.len(), has_more), (50, json!(true)));
    assert!(
        events.iter().all(|event| ["user", "assistant", "turn_completed"].contains(&event["type"].as_str().unwrap()))
    );
    assert_eq!(events.last().unwrap()["type"], "turn_completed");
}

#[test]
fn types_choose_the_events() {
    let server = server();
    let id = with_history(&server, 5);
    let all = events(&server, &id);
    for types in ["assistant", "user,assistant", "status", "turn_started,message_state", "nonsense"] {
        let wanted: Vec<&str> = types.split(',').collect();
        let expected: Vec<Value> =
            all.iter().filter(|event| wanted.contains(&event["type"].as_str().unwrap())).cloned().collect();
        for direction in ["limit=1000", "limit=1000&since=0"] {
            let (found, has_more) = page(&server, &id, &format!("types={types}&{direction}"));
            assert_eq!((found, has_more), (expected.clone(), json!(false)), "{types}");
        }
    }
}

#[test]
fn every_event_has_a_seq_of_its_own_that_grows() {
    let server = server();
    let id = idle_worker(&server, "claude");
    say(&server, &id, "tool Bash {\"command\":\"true\"}");
    wait_event(&server, &id, "assistant", "done");
    server.wait_status(&id, "idle");
    let all = seqs(&events(&server, &id));
    assert!(all.windows(2).all(|pair| pair[0] < pair[1]), "{all:?}");
}
