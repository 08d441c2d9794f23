//! Part 2: a client that stores the last `seq` it saw sees each event once, whatever happens in between.

use serde_json::{Value, json};

use super::{LOOP, events, frames_before_pong, idle_worker, say, seqs, server, start, wait_event};
use crate::support::server::TestServer;
use crate::support::wait::DEADLINE;
use crate::support::ws::WsClient;

/// A worker that has answered `turns` messages and is idle.
fn seasoned(server: &TestServer, turns: usize) -> String {
    let id = idle_worker(server, LOOP);
    for number in 1..=turns {
        say(server, &id, &format!("m{number}"));
    }
    wait_event(server, &id, "assistant", &format!("you said: m{turns}"));
    server.wait_status(&id, "idle");
    id
}

/// The frames of a new connection up to `replay_complete`, in order.
#[track_caller]
fn replay(server: &TestServer, worker: &str, since: u64) -> (WsClient, Vec<Value>) {
    let mut ws = server.ws(&format!("/ws/{worker}?since={since}"));
    ws.wait_for("replay_complete", DEADLINE, |frame| frame["type"] == "replay_complete");
    let frames = ws.frames.clone();
    (ws, frames)
}

fn outputs(frames: &[Value]) -> Vec<Value> {
    frames.iter().filter(|frame| frame["type"] == "output" && frame["seq"].is_u64()).cloned().collect()
}

#[test]
fn since_replays_every_later_event_once_then_goes_live() {
    let server = server();
    let id = seasoned(&server, 3);
    let all = seqs(&events(&server, &id));
    for at in [0, all.len() / 2, all.len() - 2] {
        let (mut ws, frames) = replay(&server, &id, all[at]);
        let shown = server.get(&format!("/api/workers/{id}")).json();
        assert_eq!(frames[0]["type"], "connected");
        assert_eq!(
            frames.last().unwrap(),
            &json!({"type": "replay_complete", "worker_id": id, "seq": shown["last_seq"], "timestamp": shown["last_activity"]})
        );
        assert_eq!(frames.len(), outputs(&frames).len() + 2, "no history frame: {frames:?}");
        assert_eq!(seqs(&outputs(&frames)), all[at + 1..]);
        assert_eq!(frames_before_pong(&mut ws), Vec::<Value>::new());
    }
    let (mut ws, _) = replay(&server, &id, *all.last().unwrap());
    say(&server, &id, "live");
    let live = ws.wait_for("a live event", DEADLINE, |frame| frame["type"] == "output");
    assert!(live["seq"].as_u64() > all.last().copied());
}

#[test]
fn since_0_is_everything_as_the_pages_have_it() {
    let server = server();
    let id = seasoned(&server, 3);
    let (_, frames) = replay(&server, &id, 0);
    let contents: Vec<Value> = outputs(&frames)
        .into_iter()
        .map(|mut frame| {
            frame["content"]["seq"] = frame["seq"].take();
            frame["content"].take()
        })
        .collect();
    assert_eq!(contents, events(&server, &id));
}

#[test]
fn cursors_of_replay_complete_and_summary_can_be_used_too() {
    let server = server();
    let id = seasoned(&server, 1);
    let (_, frames) = replay(&server, &id, 0);
    let end = frames.last().unwrap()["seq"].as_u64().unwrap();
    let (mut ws, frames) = replay(&server, &id, end);
    assert_eq!(outputs(&frames), Vec::<Value>::new());
    assert!(frames.iter().all(|frame| frame["type"] != "resync_required"), "{frames:?}");
    say(&server, &id, "new");
    ws.wait_for_event("turn_completed", DEADLINE);
    let all = events(&server, &id);
    let new: Vec<_> = seqs(&all).into_iter().filter(|&seq| seq > end).collect();
    let seen = seqs(&outputs(&ws.frames));
    assert_eq!(seen, new[..seen.len()]);
}

#[test]
fn foreign_cursor_gets_resync_required_first() {
    let server = server();
    let id = seasoned(&server, 1);
    let (_, frames) = replay(&server, &id, 1 << 40);
    let all = events(&server, &id);
    assert_eq!(frames[1]["type"], "resync_required");
    assert!(frames[1]["earliest_seq"].as_u64().unwrap() <= all[0]["seq"].as_u64().unwrap(), "{}", frames[1]);
    assert_eq!(seqs(&outputs(&frames)), seqs(&all), "then everything that there is");
}

#[test]
fn cursors_outlive_the_server() {
    let mut server = server();
    let id = seasoned(&server, 4);
    let all = events(&server, &id);
    let middle = all[all.len() / 2]["seq"].as_u64().unwrap();
    let (_, before) = replay(&server, &id, middle);
    server.kill9();
    server.start();
    server.wait_status(&id, "idle");
    let (_, after) = replay(&server, &id, middle);
    assert_eq!(outputs(&before), outputs(&after)[..outputs(&before).len()]);
    assert_eq!(all, events(&server, &id)[..all.len()]);
}

#[test]
fn a_client_that_comes_and_goes_sees_each_event_once() {
    let server = server();
    let id = idle_worker(&server, "claude");
    say(&server, &id, "lines 2000 2000");
    let mut seen: Vec<Value> = Vec::new();
    loop {
        let since = seen.last().map_or(0, |frame| frame["seq"].as_u64().unwrap());
        let mut ws = server.ws(&format!("/ws/{id}?since={since}"));
        let wanted = 40 + seen.len() % 97;
        while outputs(&ws.frames).len() < wanted {
            let frame = ws.recv_json(DEADLINE);
            if frame["content"]["type"] == "turn_completed" {
                break;
            }
        }
        seen.extend(outputs(&ws.frames));
        if seen.last().unwrap()["content"]["type"] == "turn_completed" {
            break;
        }
    }
    let expected: Vec<String> = (1..=2000).map(|number| format!("line {number}")).collect();
    let lines: Vec<_> = seen
        .iter()
        .filter_map(|frame| frame["content"]["content"].as_str())
        .filter(|text| text.starts_with("line "))
        .collect();
    assert_eq!(lines, expected);
    let all = seqs(&events(&server, &id));
    assert_eq!(seqs(&seen), all[..seen.len()]);
}

#[test]
fn a_client_that_is_slow_in_reading_misses_nothing() {
    let server = start(super::builder().env("SUBSCRIBER_QUEUE_BYTES", "64KiB"));
    let id = idle_worker(&server, "claude");
    let mut slow = server.ws(&format!("/ws/{id}?since=0"));
    slow.wait_for("replay_complete", DEADLINE, |frame| frame["type"] == "replay_complete");
    say(&server, &id, "flood 12000000 4000");
    let mut quick = server.ws(&format!("/ws/{id}?since=0"));
    quick.wait_for_event("turn_completed", DEADLINE);
    slow.wait_for_event("turn_completed", DEADLINE);
    let all = outputs(&slow.frames);
    assert_eq!(all.iter().filter(|frame| frame["content"]["type"] == "assistant").count(), 3000 + 1);
    let quick = outputs(&quick.frames);
    assert_eq!(seqs(&all), seqs(&quick));
}

#[test]
fn raw_works_with_a_cursor_and_stays_live() {
    let server = server();
    let id = seasoned(&server, 2);
    let mut ws = server.ws(&format!("/ws/{id}?since=0&raw=true"));
    ws.wait_for("replay_complete", DEADLINE, |frame| frame["type"] == "replay_complete");
    let of = |ws: &WsClient, text: &str| -> Value {
        let wanted = ws.frames.iter().find(|frame| frame["content"]["content"] == text);
        wanted.unwrap()["raw"].clone()
    };
    assert_eq!(of(&ws, "you said: m1"), "you said: m1");
    say(&server, &id, "live");
    ws.wait_for_event("turn_completed", DEADLINE);
    assert_eq!(of(&ws, "you said: live"), "you said: live");
}
