//! Full text over all workers.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::server::TestServer;
use crate::support::wait::{DEADLINE, eventually};
use crate::support::workers::TestWorker;
use crate::wire::{self, CAT, events, idle_worker, say};

/// `text` as a value in a query.
fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[track_caller]
fn page(server: &TestServer, text: &str, more: &str) -> Value {
    server.get(&format!("/api/search?q={}{more}", encoded(text))).expect(200).json()
}

/// All results, page after page.
#[track_caller]
fn all(server: &TestServer, text: &str, more: &str) -> Vec<Value> {
    let mut found = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = page(server, text, &format!("{more}{cursor}"));
        found.extend(page["results"].as_array().unwrap().iter().cloned());
        let Some(next) = page["next"].as_str() else { return found };
        cursor = format!("&cursor={next}");
    }
}

/// Asserts that a result's match is `text` and that its position contains it.
#[track_caller]
fn assert_fits(server: &TestServer, result: &Value, text: &str) {
    let snippet: Vec<char> = result["snippet"].as_str().unwrap().chars().collect();
    let bound = |name: &str| usize::try_from(result["match"][name].as_u64().unwrap()).unwrap();
    let matched: String = snippet[bound("start")..bound("end")].iter().collect();
    assert_eq!(matched.to_lowercase(), text.to_lowercase(), "{result}");
    let id = result["worker_id"].as_str().unwrap();
    let since = result["seq"].as_u64().unwrap() - 1;
    let page = server.get(&format!("/api/workers/{id}/messages?types=all&since={since}&limit=1")).expect(200).json();
    let event = &page["messages"][0];
    for field in ["seq", "type", "timestamp"] {
        assert_eq!(event[field], result[field], "{event}");
    }
    let field = result["field"].as_str().unwrap();
    let whole = event[field].as_str().map_or_else(|| event[field].to_string(), str::to_owned);
    let quoted = Value::from(text).to_string().to_lowercase();
    let whole = whole.to_lowercase();
    assert!(whole.contains(&text.to_lowercase()) || whole.contains(quoted.trim_matches('"')), "{event}");
}

fn kinds(found: &[Value]) -> BTreeSet<&str> {
    found.iter().map(|result| result["type"].as_str().unwrap()).collect()
}

#[test]
fn messages_tool_inputs_and_outputs_are_found_in_any_case() {
    let server = wire::server();
    let worker = TestWorker::create(&server, "claude", &json!({"name": "searched"}));
    worker.say(&server, "Where is the Lighthouse?");
    worker.wait_turn(&server, 1);
    worker.say(&server, r#"tool Bash {"command":"echo quicksilver | tr a-z A-Z"}"#);
    worker.wait_turn(&server, 2);
    let found = all(&server, "LIGHTHOUSE", "");
    assert!(kinds(&found).contains("user"), "{found:?}");
    for result in &found {
        assert_fits(&server, result, "lighthouse");
        assert_eq!(result["worker_name"], "searched");
    }
    let found = all(&server, "echo QuickSilver", "&kind=tool_call");
    assert_eq!(found.len(), 1);
    assert_fits(&server, &found[0], "echo quicksilver");
    let said = worker.events_of(&server, "tool_result")[0]["content"].as_str().unwrap().trim().to_owned();
    let found = all(&server, &said, "&kind=tool_result");
    assert_eq!(found.len(), 1, "{said:?}");
    assert_fits(&server, &found[0], &said);
}

#[test]
fn text_that_json_escapes_is_found_as_it_reads() {
    let server = wire::server();
    let worker = TestWorker::create(&server, "claude", &json!({}));
    let text = "She said \"no\\yes\",\nthen Ärger mit Größe 🙂🎉 und ☃.";
    worker.say(&server, text);
    worker.wait_turn(&server, 1);
    for query in ["\"no\\yes\"", "\",\nthen", "ärger MIT", "GRÖße", "🙂🎉", "☃", "\"", "d \"no", "🎉 und"] {
        let found = all(&server, query, "&kind=user");
        assert_eq!(found.len(), 1, "{query:?}");
        assert_fits(&server, &found[0], query);
    }
    assert_eq!(all(&server, "🎈", ""), Vec::<Value>::new());
}

#[test]
fn streamed_text_is_found_whole() {
    let server = wire::server();
    let id = idle_worker(&server, CAT);
    say(&server, &id, "a line of Driftwood");
    eventually(DEADLINE, "the line", || (all(&server, "driftWOOD", "&kind=assistant").len() == 1).then_some(()));
}

#[test]
fn pages_of_busy_workers_come_newest_first_without_gaps() {
    let server = wire::server();
    let workers = [idle_worker(&server, "claude"), idle_worker(&server, "claude"), idle_worker(&server, CAT)];
    for number in 1..=8 {
        for id in &workers {
            say(&server, id, &format!("needle {number}"));
            // The answers of a text CLI have no turns.
            let answered = if id == &workers[2] { "assistant" } else { "turn_completed" };
            eventually(DEADLINE, "the answer", || {
                let count = events(&server, id).iter().filter(|event| event["type"] == answered).count();
                (count == number).then_some(())
            });
        }
    }
    let mut expected: Vec<(String, String, u64)> = Vec::new();
    for id in &workers {
        for event in events(&server, id) {
            let (kind, content) = (event["type"].as_str().unwrap(), event["content"].as_str().unwrap());
            if ["user", "assistant"].contains(&kind) && content.contains("needle") {
                let time = event["timestamp"].as_str().unwrap().to_owned();
                expected.push((time, id.clone(), event["seq"].as_u64().unwrap()));
            }
        }
    }
    expected.sort();
    expected.reverse();
    assert!(expected.len() >= 24 + 8, "{expected:?}");
    for limit in [1, 3, 7, 100] {
        let mut seen = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = page(&server, "needle", &format!("&kind=user,assistant&limit={limit}{cursor}"));
            let results = page["results"].as_array().unwrap();
            assert!(results.len() <= limit);
            seen.extend(results.iter().map(|result| {
                let text = |name: &str| result[name].as_str().unwrap().to_owned();
                (text("timestamp"), text("worker_id"), result["seq"].as_u64().unwrap())
            }));
            let Some(next) = page["next"].as_str() else { break };
            cursor = format!("&cursor={next}");
            say(&server, &workers[limit % 3], "something else meanwhile");
        }
        assert_eq!(seen, expected, "limit {limit}");
    }
}

#[test]
fn newest_match_comes_first_and_one_worker_can_be_chosen() {
    let server = wire::server();
    let (one, other) = (idle_worker(&server, CAT), idle_worker(&server, CAT));
    for id in [&one, &other] {
        say(&server, id, "marble");
        // An accepted message is on its way to the history.
        eventually(DEADLINE, "the message", || {
            let found = all(&server, "marble", &format!("&kind=user&worker_id={id}"));
            (!found.is_empty()).then_some(())
        });
    }
    let found = all(&server, "marble", &format!("&kind=user&worker_id={one}"));
    assert_eq!(found.iter().map(|result| result["worker_id"].as_str().unwrap()).collect::<Vec<_>>(), [&one]);
    server.delete(&format!("/api/workers/{one}")).expect(200);
    let found = all(&server, "marble", "&kind=user");
    assert_eq!(found.iter().map(|result| result["worker_id"].as_str().unwrap()).collect::<Vec<_>>(), [&other]);
}

#[test]
fn query_that_makes_no_sense_is_refused_with_its_place() {
    let server = wire::server();
    let long = format!("q={}", "x".repeat(501));
    let wrong = [
        ("", "q"),
        ("q=", "q"),
        (&long, "q"),
        ("q=a&kind=nonsense", "kind"),
        ("q=a&kind=user,", "kind"),
        ("q=a&limit=0", "limit"),
        ("q=a&limit=101", "limit"),
        ("q=a&limit=x", "limit"),
        ("q=a&cursor=x", "cursor"),
        ("q=a&cursor=1-2-", "cursor"),
    ];
    for (query, place) in wrong {
        let answer = server.get(&format!("/api/search?{query}")).expect(422).json();
        assert_eq!(answer["detail"][0]["loc"], json!(["query", place]), "{query}: {answer}");
    }
    server.get("/api/search?q=a&worker_id=none").expect(404);
    let far = page(&server, "a", "&cursor=18446744073709551615-18446744073709551615-zzz");
    assert_eq!((far["results"].clone(), far["next"].clone()), (json!([]), Value::Null));
    page(&server, "a", "&cursor=0-0-a");
}
