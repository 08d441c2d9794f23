//! A wall clock that jumps, as it does when a machine wakes up, is restored, or had a wrong time until its first
//! contact with a time server. `libfaketime` gives the server and its shims another one and leaves the machine's alone.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::hostile::assert_serves;
use crate::support::clis;
use crate::support::server::TestServer;
use crate::support::wait::DEADLINE;
use crate::support::workers::TestWorker;

/// Returns the path of the library in Debian's package; the directory is named after the architecture.
pub(crate) fn library() -> String {
    let multiarch = format!("{}-linux-gnu", std::env::consts::ARCH);
    let path = format!("/usr/lib/{multiarch}/faketime/libfaketime.so.1");
    assert!(Path::new(&path).exists(), "{path} is missing: make install-test-deps installs it");
    path
}

/// The clock of a server: how far it is from the machine's, in a file that is read at every question for the time.
struct Clock(std::path::PathBuf);

impl Clock {
    fn set(&self, offset: &str) {
        let new = self.0.with_extension("new");
        fs::write(&new, format!("{offset}\n")).unwrap();
        fs::rename(new, &self.0).unwrap();
    }
}

fn year(event: &Value) -> i32 {
    event["timestamp"].as_str().unwrap()[..4].parse().unwrap()
}

#[test]
fn real_clock_jumps_neither_end_waits_nor_change_order() {
    let builder = TestServer::builder().name("clock").env("CLAUDE_BINARY", clis::fake_cli());
    let dir = crate::support::temp::TempDir::new("clock-file");
    let clock = Clock(dir.path().join("clock"));
    clock.set("+0");
    // Within the length of the jumps, each of these would strike if it went by the wall clock.
    let limits = [("WORKER_TIMEOUT", "3600"), ("STOP_GRACE_SECS", "300")];
    let fake = [
        ("LD_PRELOAD", library()),
        ("FAKETIME_TIMESTAMP_FILE", clock.0.to_str().unwrap().to_owned()),
        ("FAKETIME_NO_CACHE", "1".to_owned()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
    ];
    let mut server = limits.iter().fold(builder, |builder, (name, value)| builder.env(name, value)).prepare();
    fake.iter().for_each(|(name, value)| server.set_env(name, value));
    server.start();

    let worker = TestWorker::create(&server, "claude", &json!({}));
    let silent = TestWorker::create(&server, "claude", &json!({}));
    silent.say(&server, "hang");
    silent.wait_status(&server, "busy");
    let waits = TestWorker::create(&server, "claude", &json!({}));
    waits.say(&server, "permission Bash {\"command\":\"ls\"}");
    let prompt = waits.wait_prompt(&server);
    let mut client = worker.watch(&server);
    let mut turns = 0;
    let mut turn = |server: &TestServer, word: &str| {
        worker.say(server, &format!("echo {word}"));
        turns += 1;
        let turn = worker.wait_turn(server, turns);
        assert_eq!(turn["result"], word);
        turn
    };
    let now = year(&turn(&server, "today"));

    clock.set("+400d");
    let later = year(&turn(&server, "later"));
    assert!(later > now, "the server has the other clock: {later}");
    clock.set("-7300d");
    let earlier = year(&turn(&server, "earlier"));
    assert!(earlier < now - 10, "{earlier}");
    assert_serves(&server);
    assert_eq!(worker.show(&server)["status"], "idle");
    for (worker, status) in [(&silent, "busy"), (&waits, "waiting")] {
        let shown = worker.show(&server);
        assert_eq!((&shown["status"], &shown["stalled"]), (&json!(status), &Value::Null), "{shown}");
    }

    // The connection from before the jumps has had everything, in the order in which it happened.
    client.wait_for("the last turn", DEADLINE, |frame| frame["content"]["result"] == "earlier");
    let live: Vec<u64> = client.events().iter().filter_map(|event| event["seq"].as_u64()).collect();
    assert!(live.is_sorted(), "{live:?}");

    // And so does the history, from a server that was started at another time than any of it.
    server.kill9();
    clock.set("+4000d");
    server.start();
    let words: Vec<Value> =
        worker.events_of(&server, "turn_completed").iter().map(|event| event["result"].clone()).collect();
    assert_eq!(words, ["today", "later", "earlier"]);
    waits.answer(&server, &prompt, &json!({"option_id": "allow"})).expect(200);
    waits.wait_turn(&server, 1);
    worker.call(&server, "stop").expect(200);
    worker.wait_status(&server, "stopped");
}
