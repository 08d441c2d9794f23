//! Many idle workers of each real CLI in little memory: they sleep before the kernel kills one, and each wakes.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::real_all;
use crate::support::cgroup::TestGroup;
use crate::support::model::FakeModel;
use crate::support::server::TestServer;
use crate::support::wait::DEADLINE;
use crate::support::workers::TestWorker;

/// Names the number of workers of each CLI. CI takes few.
const WORKERS: &str = "RS_WORKER_TEST_IDLE_WORKERS";
const WORKERS_USUAL: usize = 2;
/// Names the CLIs, separated by commas.
const CLIS: &str = "RS_WORKER_TEST_IDLE_CLIS";
/// The memory of server, shims and CLIs together.
const MEMORY: u64 = 2 << 30;

/// Returns the machine's available memory in bytes.
fn available() -> u64 {
    let info = fs::read_to_string("/proc/meminfo").unwrap();
    let line = info.lines().find_map(|line| line.strip_prefix("MemAvailable:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() * 1024
}

/// Sends a message and returns the time until its first text, once its turn has ended well.
fn first_text(server: &TestServer, worker: &TestWorker, turn: usize) -> Duration {
    let since = worker.show(server)["last_seq"].as_u64().unwrap();
    let mut client = worker.watch_since(server, since);
    let sent = Instant::now();
    worker.say(server, "hi");
    let is_text = |frame: &Value| ["delta", "assistant"].iter().any(|kind| frame["content"]["type"] == *kind);
    client.wait_for("the first text", 3 * DEADLINE, is_text);
    let passed = sent.elapsed();
    assert_eq!(worker.wait_turn(server, turn)["is_error"], false);
    passed
}

fn median(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let median = times.get(times.len() / 2);
    median.map_or_else(|| "none".to_owned(), |time| format!("{} ms", time.as_millis()))
}

#[test]
fn real_idle_workers_sleep_in_little_memory_and_each_wakes() {
    let count = std::env::var(WORKERS).map_or(WORKERS_USUAL, |count| count.parse().unwrap());
    let named = std::env::var(CLIS).unwrap_or_else(|_| real_all::ALL.join(","));
    for cli in named.split(',') {
        let model = FakeModel::start();
        let group = TestGroup::with_memory(MEMORY);
        let builder = real_all::builder(&model).env("MAX_WORKERS", "100");
        let builder = match &group {
            Some(group) => {
                let words = group.words();
                builder.under(&words.each_ref().map(String::as_str)).env("MEMORY_RESERVE", "auto")
            }
            // Others take memory too, so this is about what is left beside them.
            None => builder.env("MEMORY_RESERVE", available().saturating_sub(MEMORY).to_string()),
        };
        let server = real_all::start(&model, builder);
        let (mut starts, mut awake, mut asleep) = (Vec::new(), Vec::new(), Vec::new());
        let workers: Vec<_> = (0..count)
            .map(|_| {
                let begun = Instant::now();
                let worker = TestWorker::create(&server, cli, &json!({}));
                let made = begun.elapsed();
                starts.push(made + first_text(&server, &worker, 1));
                worker
            })
            .collect();
        for worker in &workers {
            // The second message comes right after the answer to the first, when the worker is still awake.
            for turn in [2, 3] {
                let was_asleep = worker.show(&server)["hibernated"] == true;
                let passed = first_text(&server, worker, turn);
                if was_asleep { asleep.push(passed) } else { awake.push(passed) }
            }
        }
        let slept = workers.iter().map(|worker| worker.controls(&server, "stop_requested").len()).sum::<usize>();
        eprintln!(
            "{cli}: {count} workers, {slept} times asleep; to the first text: new {}, awake {} (of {}), asleep {} (of {})",
            median(starts),
            median(awake.clone()),
            awake.len(),
            median(asleep.clone()),
            asleep.len()
        );
        for worker in &workers {
            assert_eq!(worker.events_of(&server, "turn_completed").len(), 3, "{cli}");
            let stops = worker.controls(&server, "stop_requested");
            let is_for_memory = |stop: &Value| stop["reason"].to_string().contains("Asleep to free memory");
            assert!(stops.iter().all(is_for_memory), "{stops:?}");
        }
        if let Some(group) = &group {
            assert_eq!(group.kills(), 0, "{cli}: none was killed by the kernel");
        }
    }
}
