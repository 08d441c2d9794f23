//! Journals that are half-written, foreign, damaged or misplaced.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::hostile::{assert_serves, builder};
use crate::support::server::TestServer;
use crate::support::wait::DEADLINE;

/// A stopped server with one stopped worker that has answered `echo one`, `echo two`, `echo three`.
fn with_a_worker(name: &str) -> (TestServer, String) {
    let mut server = builder().name(name).start();
    let worker = server.create_worker("claude", &json!({}));
    let mut client = server.ws(&format!("/ws/{worker}?deltas=1"));
    for word in ["one", "two", "three"] {
        client.send_json(&json!({"type": "message", "content": format!("echo {word}")}));
        assert_eq!(client.wait_for_event("turn_completed", DEADLINE)["result"], word);
    }
    server.post(&format!("/api/workers/{worker}/stop"), &json!({})).expect(200);
    server.wait_status(&worker, "stopped");
    assert!(server.terminate().success());
    (server, worker)
}

/// Returns the texts of the assistant, from the worker's page of history.
fn said(server: &TestServer, worker: &str) -> Vec<String> {
    let shown = server.get(&format!("/api/workers/{worker}")).expect(200).json();
    let messages = shown["messages"].as_array().unwrap().clone();
    let said = messages.iter().filter(|message| message["type"] == "assistant");
    said.map(|message| message["content"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn unreadable_journals_are_left_alone_and_the_others_load() {
    let (mut server, worker) = with_a_worker("foreign");
    let copy = fs::read(server.data_dir().join(&worker).join("journal")).unwrap();
    let cases: &[(&str, &[u8], &str)] = &[
        ("empty", b"", "ends within its first line"),
        ("half-word", b"rs-work", "ends within its first line"),
        ("half-header", b"rs-worker-journal 1 half-head", "ends within its first line"),
        ("foreign", b"rs-worker-journal 99 foreign\n1 ctl {}\n", "has format 99, this build reads format 1"),
        ("damaged", b"rs-worker-journal one damaged\n", "has a damaged first line"),
        ("unnamed", b"rs-worker-journal 1 \n", "has a damaged first line"),
        ("noise", b"Dear diary,\n", "it is not a journal"),
        ("binary", &[0; 4096], "it is not a journal"),
        ("bare", b"rs-worker-journal 1 bare\n", "does not begin with the worker's creation"),
        ("torn", b"rs-worker-journal 1 torn\n1 ctl {\"eve", "does not begin with the worker's creation"),
        ("stranger", b"rs-worker-journal 1 stranger\n1 ctl {\"event\":\"new\"}\n", "does not begin with"),
        ("a-copy", &copy, "is it a copy?"),
    ];
    let journal = |name: &str| server.data_dir().join(name).join("journal");
    for (name, bytes, _) in cases {
        fs::create_dir(server.data_dir().join(name)).unwrap();
        fs::write(journal(name), bytes).unwrap();
    }
    fs::create_dir(server.data_dir().join("no-journal")).unwrap();
    fs::create_dir_all(journal("a-folder")).unwrap();
    fs::write(server.data_dir().join("a-file"), "").unwrap();
    nix::unistd::mkfifo(&server.data_dir().join("a-file-that-waits"), nix::sys::stat::Mode::S_IRWXU).unwrap();

    server.start();
    for (name, bytes, reported) in cases {
        let folder = server.data_dir().join(name);
        let refusal = format!("{} cannot be loaded and is left alone: ", folder.display());
        server.wait_output(&refusal);
        let output = server.output();
        let line = output.lines().find(|line| line.contains(&refusal)).unwrap();
        assert!(line.contains("ERROR") && line.contains(reported), "{line}");
        assert!(fs::read(folder.join("journal")).unwrap() == *bytes, "{name} was changed");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "{name} got more files");
    }
    let list = server.get("/api/workers").expect(200).json();
    let ids: Vec<&Value> = list["workers"].as_array().unwrap().iter().map(|worker| &worker["id"]).collect();
    assert_eq!(ids, [worker.as_str()]);
    assert_eq!(said(&server, &worker), ["one", "two", "three"]);
    assert_serves(&server);
    // The harness considers every folder a worker's.
    for (name, ..) in cases {
        fs::remove_dir_all(server.data_dir().join(name)).unwrap();
    }
    fs::remove_dir_all(server.data_dir().join("no-journal")).unwrap();
    fs::remove_dir_all(server.data_dir().join("a-folder")).unwrap();
}

/// Returns the lines of a journal, with their newlines.
fn lines(journal: &Path) -> Vec<Vec<u8>> {
    fs::read(journal).unwrap().split_inclusive(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect()
}

#[test]
fn damage_inside_a_journal_is_skipped_with_a_note() {
    type Damage = fn(&mut Vec<u8>);
    let damages: [(&str, Damage); 4] = [
        // Up to the newline: without it the line would swallow the next record.
        ("zeros", |line| line.iter_mut().filter(|byte| **byte != b'\n').for_each(|byte| *byte = 0)),
        ("noise", |line| line.iter_mut().filter(|byte| **byte != b'\n').for_each(|byte| *byte = !*byte | 0x80)),
        ("text", |line| {
            line.fill(b'x');
            line.extend([b'\n', b'\n']);
        }),
        ("long", |line| {
            line.fill(b'y');
            line.extend(vec![b'y'; 3 * 1024 * 1024]);
            line.push(b'\n');
        }),
    ];
    let (mut server, worker) = with_a_worker("damaged");
    let folder = server.data_dir().join(&worker);
    let whole = lines(&folder.join("journal"));
    let hit = whole
        .iter()
        .position(|line| [&b" out "[..], b"\"assistant\"", b"\"two\""].iter().all(|word| contains(line, word)))
        .expect("the assistant's second answer");
    for (name, damage) in damages {
        let mut damaged = whole.clone();
        damage(&mut damaged[hit]);
        fs::write(folder.join("journal"), damaged.concat()).unwrap();
        // Its saved folds belong to another file now.
        fs::remove_file(folder.join("states")).unwrap();
        server.start();
        server.wait_output("of its journal are no record and are passed over");
        assert_eq!(said(&server, &worker), ["one", "three"], "{name}");
        let mut client = server.ws(&format!("/ws/{worker}?since=0"));
        client.wait_for("the end of the replay", DEADLINE, |frame| frame["type"] == "replay_complete");
        let seqs: Vec<u64> = client.frames.iter().filter_map(|frame| frame["seq"].as_u64()).collect();
        assert!(seqs.windows(2).all(|pair| pair[0] < pair[1]), "{name}: {seqs:?}");
        let turns = client.events().iter().filter(|event| event["type"] == "turn_completed").count();
        assert_eq!(turns, 3, "{name}");
        // It continues from there.
        client.send_json(&json!({"type": "message", "content": "echo four"}));
        assert_eq!(client.wait_for_event("turn_completed", DEADLINE)["result"], "four");
        server.post(&format!("/api/workers/{worker}/stop"), &json!({})).expect(200);
        server.wait_status(&worker, "stopped");
        assert!(server.terminate().success());
    }
}

#[test]
fn saved_folds_that_are_damaged_are_thrown_away() {
    let (mut server, worker) = with_a_worker("states");
    let states = server.data_dir().join(&worker).join("states");
    let good = fs::read(&states).unwrap();
    let middle = good.len() / 2;
    let mut flipped = good.clone();
    flipped[middle] = !flipped[middle];
    let mut zeros = good.clone();
    zeros[middle..].fill(0);
    let cases: [&[u8]; 8] = [
        b"",
        b"noise",
        &[0xff; 10_000],
        &good[..middle],
        &flipped,
        &zeros,
        b"rs-worker-states 999999 other\n",
        &[&good[..], b"18446744073709551615 {}\n{\"a\":\n\0\0\0"].concat(),
    ];
    for bytes in cases {
        fs::write(&states, bytes).unwrap();
        server.start();
        assert_eq!(said(&server, &worker), ["one", "two", "three"]);
        assert_eq!(server.get(&format!("/api/workers/{worker}")).json()["status"], "stopped");
        assert!(server.terminate().success());
    }
    server.start();
    assert_serves(&server);
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}
