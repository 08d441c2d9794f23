//! `curl -N` on Server-Sent Events.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::support::server::TestServer;
use crate::support::wait::{DEADLINE, eventually};
use crate::wire::{builder, idle_worker, say, start};

/// A running curl, which does not exit on its own.
struct Curl {
    child: Child,
    printed: PathBuf,
}

impl Drop for Curl {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn curl(server: &TestServer, name: &str, worker: &str, args: &[&str]) -> Curl {
    let printed = server.dir().join(name);
    let child = Command::new("curl")
        .args(["-sS", "-N"])
        .args(args)
        .arg(format!("http://{}/api/workers/{worker}/events?since=0", server.addr()))
        .stdin(Stdio::null())
        .stdout(File::create(&printed).unwrap())
        .spawn()
        .unwrap();
    Curl { child, printed }
}

/// Returns the numbers, ids and texts of the events that curl has printed, once a complete one has the type `wanted`.
fn printed(curl: &Curl, wanted: &str) -> Vec<(u64, String, String)> {
    let text = eventually(DEADLINE, wanted, || {
        let text = fs::read_to_string(&curl.printed).ok()?;
        let (whole, _) = text.rsplit_once("\n\n")?;
        whole.contains(&format!("\"{wanted}\"")).then(|| whole.to_owned())
    });
    let events = text.split("\n\n").filter_map(|event| {
        let data = event.lines().find_map(|line| line.strip_prefix("data: "))?;
        let id = event.lines().find_map(|line| line.strip_prefix("id: "))?;
        let frame: Value = serde_json::from_str(data).ok()?;
        let text = frame["content"]["content"].as_str().unwrap_or_default().to_owned();
        Some((frame["seq"].as_u64()?, id.to_owned(), text))
    });
    events.collect()
}

#[test]
fn real_curl_streams_events_and_resumes_after_last_event_id() {
    let server = start(builder());
    let worker = idle_worker(&server, "claude");
    let first = curl(&server, "first", &worker, &[]);
    say(&server, &worker, "echo one");
    let before = printed(&first, "turn_completed");
    assert!(before.iter().any(|(_, _, text)| text == "one"), "{before:?}");
    let (last, last_id, _) = before.last().unwrap();

    let header = format!("Last-Event-ID: {last_id}");
    let second = curl(&server, "second", &worker, &["-H", &header]);
    say(&server, &worker, "echo two");
    let after = printed(&second, "turn_completed");
    assert!(after.iter().any(|(_, _, text)| text == "two"), "{after:?}");
    assert!(after.iter().all(|(seq, _, text)| seq > last && text != "one"), "{last}: {after:?}");
}
