//! Mixed work for a while: afterwards the server holds no more descriptors, threads, processes and memory than before.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::hostile::builder;
use crate::support::http::Raw;
use crate::support::server::TestServer;
use crate::support::wait::{DEADLINE, within};
use crate::support::ws::WsClient;

/// Duration of the work, in seconds.
const SECS: &str = "RS_WORKER_SOAK_SECS";
const SECS_DEFAULT: f64 = 6.0;
/// Threads of clients.
const CLIENTS: usize = 4;
/// Memory by which the server may have grown, in bytes: the allocator keeps some freed memory for each thread.
const GROWTH_BYTES: u64 = 24 * 1024 * 1024;

/// Resources of the server.
#[derive(Clone, Debug)]
struct ServerResources {
    descriptors: usize,
    /// Their names, if they are visible: the server's memory is protected from other processes of its user, but not
    /// from root.
    names: Vec<String>,
    threads: Vec<String>,
    /// Processes that it has started.
    children: Vec<String>,
    memory: u64,
}

/// Threads of an idle server. Every other one belongs to a connection, a worker or a command.
const OWN_THREADS: [&str; 20] = [
    "budgets",
    "ctrl-c",
    "http accept",
    "line counts",
    "log",
    "push",
    "rs-worker",
    "rules",
    "rules",
    "schedule runs",
    "schedule runs",
    "schedule runs",
    "schedule runs",
    "schedules",
    "stall watch",
    "token expiry",
    "transcripts",
    "turn trees",
    "turn trees",
    "upkeep",
];

impl ServerResources {
    fn by(server: &TestServer) -> Self {
        let proc = format!("/proc/{}", server.pid());
        // A descriptor that vanishes between listing and reading is not held.
        let names = |folder: &str, of: &dyn Fn(&Path) -> Option<String>| -> io::Result<Vec<String>> {
            let entries = fs::read_dir(format!("{proc}/{folder}"))?.flatten();
            let mut names: Vec<String> = entries.filter_map(|entry| of(&entry.path())).collect();
            names.sort();
            Ok(names)
        };
        let status = fs::read_to_string(format!("{proc}/status")).unwrap();
        let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        let kib: u64 = rss.trim().trim_end_matches(" kB").parse().unwrap();
        // Threads before descriptors: a thread closes its descriptors before it ends.
        let comm = |path: &Path| Some(fs::read_to_string(path.join("comm")).ok()?.trim_end().to_owned());
        let threads = names("task", &comm).unwrap();
        let (descriptors, names) = match names("fd", &|path| Some(fs::read_link(path).ok()?.display().to_string())) {
            Ok(names) => (names.len(), names),
            Err(error) if error.kind() == ErrorKind::PermissionDenied => (reported(server), Vec::new()),
            Err(error) => panic!("{proc}/fd: {error}"),
        };
        Self {
            threads,
            descriptors,
            names,
            children: server.offspring().into_iter().map(|process| process.command).collect(),
            memory: kib * 1024,
        }
    }

    /// Returns whether the server is idle: only its own threads are left, each once, and no process.
    fn is_at_rest(&self) -> bool {
        self.threads == OWN_THREADS && self.children.is_empty()
    }

    /// Lists the resources by name.
    fn shown(&self) -> String {
        format!("descriptors {:?}\nthreads {:?}\nprocesses {:?}", self.names, self.threads, self.children)
    }

    fn counts(&self) -> [usize; 3] {
        [self.descriptors, self.threads.len(), self.children.len()]
    }
}

/// Returns the number of descriptors that the server itself counts, including that of the request.
fn reported(server: &TestServer) -> usize {
    let metrics = server.get("/metrics").expect(200).text();
    let line = metrics.lines().find_map(|line| line.strip_prefix("process_open_fds "));
    line.expect("the server counts its descriptors").parse().unwrap()
}

#[test]
fn mixed_work_leaves_nothing_behind() {
    let secs = std::env::var(SECS).map_or(SECS_DEFAULT, |text| text.parse().expect("seconds"));
    let server = builder().env("MAX_WORKERS", "50").env("STOP_GRACE_SECS", "1").start();
    // A first round fills everything that is filled once: allocators, lazily created values.
    work_for(&server, Duration::from_secs_f64(secs / 5.0));
    let before = settled(&server);
    let rounds = work_for(&server, Duration::from_secs_f64(secs));
    let after = settled(&server);
    assert_eq!(after.counts(), before.counts(), "{}\n{}", before.shown(), after.shown());
    assert!(after.memory <= before.memory + GROWTH_BYTES, "{} -> {} bytes", before.memory, after.memory);
    assert_eq!(server.get("/api/workers").json()["workers"], json!([]));
    assert_eq!(server.worker_ids(), Vec::<String>::new());
    eprintln!(
        "{rounds} rounds; descriptors, threads, processes: {:?} -> {:?}; memory: {} -> {} KiB",
        before.counts(),
        after.counts(),
        before.memory / 1024,
        after.memory / 1024
    );
}

/// Returns the resources of the server as soon as it is idle.
fn settled(server: &TestServer) -> ServerResources {
    let mut last = None;
    let found = within(DEADLINE, || {
        let held = ServerResources::by(server);
        let at_rest = held.is_at_rest().then(|| held.clone());
        last = Some(held);
        at_rest
    });
    found.unwrap_or_else(|| panic!("the server does not come to rest: {last:#?}"))
}

fn work_for(server: &TestServer, time: Duration) -> usize {
    let end = Instant::now() + time;
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| {
                scope.spawn(move || {
                    let mut rounds = 0;
                    while Instant::now() < end {
                        round(server, rounds * CLIENTS + number);
                        rounds += 1;
                    }
                    rounds
                })
            })
            .collect();
        clients.into_iter().map(|client| client.join().unwrap()).sum()
    })
}

/// The life of a worker, slightly different each time.
fn round(server: &TestServer, number: usize) {
    let worker = server.create_worker("claude", &json!({"name": format!("soak {number}")}));
    let path = format!("/ws/{worker}?deltas=1");
    let mut client = server.ws(&path);
    let prompt = ["lines 200", "deltas 50", "flood 300000", "echo hi", "tool Bash {}"][number % 5];
    say(&mut client, prompt);
    let mut second = server.ws(&format!("{path}&since=0&raw=1"));
    client.wait_for_event("turn_completed", DEADLINE);
    second.wait_for_event("turn_completed", DEADLINE);
    let last = client.last_seq().unwrap();
    // One client closes cleanly, one disconnects, one leaves in the middle of its request.
    drop(second);
    let _ = client.stream().shutdown(std::net::Shutdown::Both);
    let _ = Raw::connect(server.addr()).and_then(|mut raw| raw.send(b"GET / HT"));
    let mut all = server.ws("/ws");
    all.send_json(&json!({"type": "subscribe", "worker_id": worker, "since": last}));
    server.get(&format!("/api/workers/{worker}/messages?limit=10")).expect(200);
    match number % 4 {
        0 => {
            let mut client = server.ws(&path);
            say(&mut client, "hang");
            client.wait_for_event("turn_started", DEADLINE);
            server.post(&format!("/api/workers/{worker}/interrupt"), &json!({}));
            client.wait_for_event("turn_completed", DEADLINE);
        }
        1 => {
            server.post(&format!("/api/workers/{worker}/restart"), &json!({})).expect(200);
            let mut client = server.ws(&path);
            say(&mut client, "echo again");
            client.wait_for_event("turn_completed", DEADLINE);
        }
        2 => {
            let mut client = server.ws(&path);
            say(&mut client, "exit 3");
            client.wait_for_event("exit", DEADLINE);
        }
        _ => {
            server.post(&format!("/api/workers/{worker}/stop"), &json!({})).expect(200);
            server.wait_status(&worker, "stopped");
        }
    }
    server.delete(&format!("/api/workers/{worker}")).expect(200);
    all.wait_for("the deletion", DEADLINE, |frame| frame["type"] == "worker_deleted" && frame["worker_id"] == *worker);
}

fn say(client: &mut WsClient, prompt: &str) {
    client.send_json(&json!({"type": "message", "content": prompt}));
}
