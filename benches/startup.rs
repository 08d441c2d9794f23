//! Time from the start of the program until `/health` answers, with stored workers, and their memory.

use std::fs;
use std::path::Path;

use crate::support::process::memory;
use crate::support::server::Server;
use crate::support::stats::{judge, quantile, report};

/// Stored workers.
const WORKERS: usize = 1_000;
/// Stored workers of a large server.
const MANY: usize = 10_000;
/// Times that each is measured.
const RUNS: usize = 7;

/// Bars, in milliseconds.
const BAR: f64 = 100.0;
const MANY_BAR: f64 = 150.0;
/// Bar for the memory of one stored worker, in KiB.
const MEMORY_BAR: f64 = 2.0;

pub(crate) fn run() {
    let mut server = Server::start();
    report("no workers", &figure(&mut measure(&mut server)));
    let idle = memory(server.pid()).resident;
    let worker = server.worker("stored");
    server.report(&worker, "go 100 400");
    server.listen(&worker);
    server.stop_worker(&worker);
    server.stop();
    for at in 1..WORKERS {
        copy(&server.data(), &worker, at);
    }
    let mut times = measure(&mut server);
    let figure = figure(&mut times);
    judge("1,000 stored workers", &figure, "100 ms", quantile(&mut times, 0.5) < BAR);
    server.stop();
    for at in WORKERS..MANY {
        copy(&server.data(), &worker, at);
    }
    server.resume();
    let mut times = measure(&mut server);
    let text = self::figure(&mut times);
    judge("10,000 stored workers", &text, "150 ms", quantile(&mut times, 0.5) < MANY_BAR);
    let each = (memory(server.pid()).resident - idle) / MANY as f64;
    judge("each of them, resident", &format!("{each:.1} KiB"), "2 KiB", each < MEMORY_BAR);
    server.stop();
    for entry in fs::read_dir(server.data()).unwrap() {
        let _ = fs::remove_file(entry.unwrap().path().join("states"));
    }
    let time = server.resume().as_secs_f64() * 1_000.0;
    report("10,000 stored workers, never seen before", &format!("{time:.0} ms"));
}

/// Milliseconds of several starts.
fn measure(server: &mut Server) -> Vec<f64> {
    let runs = (0..RUNS).map(|_| {
        server.stop();
        server.resume().as_secs_f64() * 1_000.0
    });
    runs.collect()
}

fn figure(times: &mut [f64]) -> String {
    format!("{:.0} ms (best {:.0} ms)", quantile(times, 0.5), quantile(times, 0.0))
}

/// Makes another worker of a stored one: the same files with another id of the same length.
fn copy(data: &Path, worker: &str, at: usize) {
    let number = format!("{at:08}");
    let id = format!("{number}{}", &worker[number.len()..]);
    let target = data.join(&id);
    fs::create_dir(&target).unwrap();
    for name in ["journal", "states"] {
        let text = fs::read_to_string(data.join(worker).join(name)).unwrap();
        fs::write(target.join(name), text.replace(worker, &id)).unwrap();
    }
}
