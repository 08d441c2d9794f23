//! Exhausted threads and processes.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;

use crate::hostile::{assert_serves, builder};
use crate::support::http::{Raw, Reply};
use crate::support::require::require;
use crate::support::server::TestServer;
use crate::support::wait::{DEADLINE, eventually, pace, within};

/// A control group that limits the number of its processes' threads.
struct Group(PathBuf);

impl Group {
    /// Creates one; an error says why this system does not allow it.
    fn new(name: &str) -> std::io::Result<Self> {
        let own = format!("rs-worker-test-{}-{name}", std::process::id());
        let mut reason = std::io::Error::other("no control groups");
        for parent in ["/sys/fs/cgroup/pids", "/sys/fs/cgroup"] {
            let path = PathBuf::from(parent).join(&own);
            match fs::create_dir(&path) {
                Ok(()) if path.join("pids.max").exists() => return Ok(Self(path)),
                Ok(()) => {
                    fs::remove_dir(&path)?;
                    reason = std::io::Error::other(format!("{parent} does not count processes"));
                }
                Err(error) => reason = error,
            }
        }
        Err(reason)
    }

    fn current(&self) -> u64 {
        fs::read_to_string(self.0.join("pids.current")).unwrap().trim().parse().unwrap()
    }

    fn limit(&self, max: &str) {
        fs::write(self.0.join("pids.max"), max).unwrap();
    }

    /// Sets the limit to the present threads and `more`.
    fn allow(&self, more: u64) {
        // A thread that has just exited may still be counted.
        let mut last = self.current();
        eventually(DEADLINE, "the number of threads settles", || {
            let settled = (0..20).all(|_| {
                pace(Duration::from_millis(2));
                std::mem::replace(&mut last, self.current()) == last
            });
            settled.then_some(())
        });
        self.limit(&(last + more).to_string());
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let removed = within(DEADLINE, || fs::remove_dir(&self.0).ok());
        if removed.is_none() {
            eprintln!("{} cannot be removed", self.0.display());
        }
    }
}

/// A server in a separate control group. `None`, as [`require`] returns it, if none can be created.
fn confined(name: &str) -> Option<(Group, TestServer)> {
    let group = require("a control group with a limit of threads", Group::new(name))?;
    let enter = format!("echo $$ > {}/cgroup.procs && exec \"$0\" \"$@\"", group.0.display());
    let server = builder().under(&["sh", "-c", &enter]).start();
    // In this order: the group can be removed when the server has gone.
    Some((group, server))
}

fn ask(raw: &mut Raw, server: &TestServer, request: &str, body: &str) -> Reply {
    let length = body.len();
    raw.send(
        format!(
            "{request} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}",
            server.addr()
        )
        .as_bytes(),
    )
    .unwrap();
    raw.reply(false).unwrap()
}

#[test]
fn connections_without_a_thread_are_refused_until_threads_are_free() {
    let Some((group, server)) = confined("threads") else { return };
    let mut held = Raw::connect(server.addr()).unwrap();
    let health = "GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n";
    held.send(health.as_bytes()).unwrap();
    assert_eq!(held.reply(false).unwrap().status, 200);
    // A thread that exits only now makes room for one more connection.
    eventually(DEADLINE, "no thread is left", || {
        group.allow(0);
        (server.get("/health").status == 503).then_some(())
    });
    for _ in 0..10 {
        let reply = server.get("/health");
        assert_eq!(
            (reply.status, reply.json()),
            (503, json!({"detail": "no thread for one more connection", "code": "unavailable"}))
        );
        assert_eq!(reply.header("retry-after"), Some("1"));
    }
    held.send(health.as_bytes()).unwrap();
    assert_eq!(held.reply(false).unwrap().status, 200, "who is in is served");
    group.limit("max");
    assert_serves(&server);
}

#[test]
fn worker_without_free_processes_fails_with_the_reason() {
    let Some((group, server)) = confined("processes") else { return };
    let mut held = Raw::connect(server.addr()).unwrap();
    ask(&mut held, &server, "GET /health", "");
    let body = json!({"name": "n", "project_path": server.project(), "ai_cli_type": "claude"}).to_string();
    // One thread more each time: for the reader, the writer, the shim, its own thread, the CLI, until it works.
    let mut outcomes = Vec::new();
    let mut idle = 0;
    for more in 0.. {
        assert!(more < 14, "still no worker with {more} threads: {outcomes:#?}");
        group.allow(more);
        let reply = ask(&mut held, &server, "POST /api/workers", &body);
        if reply.status != 201 {
            assert!(matches!(reply.status, 500 | 503), "{}", reply.text());
            assert!(reply.text().contains("Resource temporarily unavailable"), "{}", reply.text());
            outcomes.push(reply.text());
            assert_eq!(server.worker_ids(), Vec::<String>::new(), "nothing is left of it");
            continue;
        }
        let id = reply.json()["id"].as_str().unwrap().to_owned();
        let mut settle = |wanted: &[&str], deadline| {
            within(deadline, || {
                let shown = ask(&mut held, &server, &format!("GET /api/workers/{id}"), "").json();
                wanted.contains(&shown["status"].as_str()?).then_some(shown)
            })
        };
        let settled = settle(&["idle", "failed", "stopped"], Duration::from_secs(1)).unwrap_or_else(|| {
            // Its shim runs, and the server has no thread to connect to it. As soon as there are threads, it does.
            group.limit("max");
            settle(&["idle", "failed", "stopped"], DEADLINE).expect("the server talks to the shim again")
        });
        outcomes.push(settled.to_string());
        // The shim's log has the reason for what it could not do before it wrote to the journal.
        let log = fs::read_to_string(server.data_dir().join(&id).join("shim.log")).unwrap_or_default();
        group.limit("max");
        let reply = ask(&mut held, &server, &format!("DELETE /api/workers/{id}"), "");
        assert_eq!(reply.status, 200, "{}", reply.text());
        server.wait_no_processes_of(&id);
        if settled["status"] == "idle" {
            idle += 1;
            if idle > 2 {
                break;
            }
            continue;
        }
        assert_eq!(settled["status"], "failed", "{settled:#}\n{log}");
        let reported = settled.to_string();
        let said = if reported.contains("shim.log") { &log } else { &reported };
        assert!(said.contains("Resource temporarily unavailable"), "{settled:#}\n{log}");
    }
    assert!(outcomes.len() > 2, "{outcomes:#?}");
    assert_serves(&server);
}
