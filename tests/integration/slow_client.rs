//! A client that does not read delays no other client, and gets everything when it reads again.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::clis;
use crate::support::server::TestServer;
use crate::support::wait::DEADLINE;
use crate::support::workers::{TestWorker, run_script, server_for_programs};
use crate::support::ws::{WsClient, WsReceipt};

/// Amount that the worker prints, in MiB.
const SLOW_MIB: &str = "RS_WORKER_TEST_SLOW_MIB";
const SLOW_MIB_DEFAULT: u64 = 64;
/// Bytes of a line: longer than usual, so that a GiB takes a debug build a minute and not three.
const LINE: u64 = 8 * 1_024;
/// Most memory that the server may ever have resident, in KiB: its own size, and a few MiB for each client and worker.
/// It is far below the worker's output.
const RESIDENT_KIB_MAX: u64 = 40 * 1024;
/// Clients that read.
const READERS: usize = 2;
/// Time limit of the whole test, for each MiB.
const PER_MIB: Duration = Duration::from_secs(2);

/// Reads the number of one more line; `None` for other frames and at the end of the connection.
fn next_line(client: &mut WsClient) -> Option<u64> {
    let received = client.receive(DEADLINE);
    client.frames.clear();
    let WsReceipt::Frame(frame) = received else { return None };
    let content = &frame["content"];
    (content["type"] == "assistant").then(|| number(content))
}

fn number(content: &Value) -> u64 {
    let text = content["content"].as_str().unwrap();
    text.trim_end_matches('x').strip_prefix("line ").unwrap().parse().unwrap()
}

/// Reads all lines up to `last`, each once and in order; reconnects with its cursor when the server has closed.
fn read_all(server: &TestServer, worker: &TestWorker, client: WsClient, last: u64, deadline: Instant) {
    let mut client = client;
    let (mut wanted, mut cursor) = (1, 0);
    while wanted <= last {
        assert!(Instant::now() < deadline, "only {wanted} lines of {last} have come");
        let received = client.receive(DEADLINE);
        client.frames.clear();
        match received {
            WsReceipt::Frame(frame) => {
                cursor = frame["seq"].as_u64().filter(|_| frame["type"] == "output").unwrap_or(cursor);
                if frame["content"]["type"] == "assistant" {
                    assert_eq!(number(&frame["content"]), wanted);
                    wanted += 1;
                }
            }
            WsReceipt::Closed(_) => client = worker.watch_since(server, cursor),
            WsReceipt::Nothing => panic!("nothing comes after line {}", wanted - 1),
        }
    }
}

/// Returns the peak resident memory of the server, in KiB.
fn peak_kib(server: &TestServer) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn stalled_client_delays_no_other_and_gets_everything_later() {
    let mib = std::env::var(SLOW_MIB).ok().and_then(|text| text.parse().ok()).unwrap_or(SLOW_MIB_DEFAULT);
    let count = mib * 1024 * 1024 / LINE;
    let mut server = server_for_programs("slow", &[]);
    server.start();
    let fake = clis::fake_cli();
    let script = format!("read go; exec {} lines {count} --pad {}; ", fake.display(), LINE - 16);
    let worker = run_script(&server, &script);
    worker.wait_status(&server, "idle");
    let slow = worker.watch(&server);
    let mut other = worker.watch(&server);
    other.wait_for("the end of the replay", DEADLINE, |frame| frame["type"] == "replay_complete");
    let deadline = Instant::now() + PER_MIB * u32::try_from(mib).unwrap() + DEADLINE;
    worker.say(&server, "go");

    let begin = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..READERS {
            let client = worker.watch(&server);
            let (server, worker) = (&server, &worker);
            scope.spawn(move || read_all(server, worker, client, count, deadline));
        }
        // Reading a little and then no more is the same as not reading.
        let _ = next_line(&mut other);
        // The API answers meanwhile.
        server.get("/api/workers").expect(200);
    });
    let readers_took = begin.elapsed();
    let peak = peak_kib(&server);
    assert!(peak < RESIDENT_KIB_MAX, "{peak} KiB");
    read_all(&server, &worker, slow, count, deadline);
    drop(other);
    let peak = peak_kib(&server);
    assert!(peak < RESIDENT_KIB_MAX, "{peak} KiB while the slow client catches up");
    println!(
        "{mib} MiB: readers took {readers_took:?}, the slow one was done after {:?}, peak {peak} KiB",
        begin.elapsed()
    );
}
