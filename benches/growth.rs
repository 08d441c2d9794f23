//! The cost of more workers and more clients: the same figures at 1, 10 and 100 workers, and at 1, 100 and 1,000
//! clients. They are also drawn, into `benches/plots/`.

use std::time::Instant;

use crate::latency;
use crate::memory::{of_clients, of_workers};
use crate::support::crowd::Crowd;
use crate::support::plot::{self, Panel};
use crate::support::process::{memory, wait_until_quiet};
use crate::support::server::Server;
use crate::support::stats::{grouped, median, quantile, rate, report};
use crate::support::stream::Stream;
use crate::throughput::{LINE, to_clients};

const WORKERS: [usize; 3] = [1, 10, 100];
const CLIENTS: [usize; 3] = [1, 100, 1_000];
/// Lines of all workers together, and frames of all clients together.
const ITEMS: u64 = 2_000_000;
/// Lines per second of all workers together, while latency is measured.
const PER_SECOND: u64 = 1_000;
/// Frames per second of all clients together, while latency is measured.
const FRAMES_PER_SECOND: u64 = 10_000;
/// Times that each throughput is measured.
const RUNS: usize = 3;

pub(crate) fn run() {
    let (mut lines, mut latencies, mut sizes) = (Vec::new(), Vec::new(), Vec::new());
    for count in WORKERS {
        let (total, p50, size) = with_workers(count);
        let figures = format!("{} lines/s in all, p50 {p50:.0} us, {size:.2} MiB each", grouped(total));
        report(&format!("{count} workers, a client each"), &figures);
        let count = count as f64;
        lines.push((count, total));
        latencies.push((count, p50));
        sizes.push((count, size));
    }
    let panels = [
        Panel { title: "lines per second, all workers", points: lines, label: millions },
        Panel { title: "latency, median, µs", points: latencies, label: whole },
        Panel { title: "resident per worker, MiB", points: sizes, label: |value| format!("{value:.2}") },
    ];
    plot::write("workers", "workers, a client each", &panels);

    let (mut frames, mut latencies, mut sizes) = (Vec::new(), Vec::new(), Vec::new());
    for count in CLIENTS {
        let (total, p50, size) = with_clients(count);
        let figures = format!("{} frames/s in all, p50 {p50:.0} us, {size:.0} KiB each", grouped(total));
        report(&format!("{count} clients of one worker"), &figures);
        let count = count as f64;
        frames.push((count, total));
        latencies.push((count, p50));
        sizes.push((count, size));
    }
    let panels = [
        Panel { title: "frames per second, all clients", points: frames, label: millions },
        Panel { title: "latency, median, µs", points: latencies, label: whole },
        Panel { title: "resident per client, KiB", points: sizes, label: whole },
    ];
    plot::write("clients", "clients of one worker", &panels);
}

fn millions(value: f64) -> String {
    format!("{:.2} M", value / 1e6)
}

fn whole(value: f64) -> String {
    grouped(value)
}

/// Lines per second, median latency in microseconds, MiB for each.
fn with_workers(count: usize) -> (f64, f64, f64) {
    let server = Server::start();
    wait_until_quiet(&[server.pid()]);
    let idle = memory(server.pid());
    let workers = server.workers(count);
    let (in_server, in_shims) = of_workers(&server, &idle, count);
    let mut samples = latency::through(&server, &workers, (PER_SECOND / count as u64).min(200), 2);
    let lines = ITEMS / count as u64;
    let runs = (0..RUNS).map(|_| {
        let streams: Vec<Stream> = workers.iter().map(|worker| server.listen(worker)).collect();
        let begin = Instant::now();
        for worker in &workers {
            server.report(worker, &format!("go {lines} {LINE}"));
        }
        Crowd::new(streams).read(lines, LINE, |_| {});
        rate(lines * count as u64, begin.elapsed())
    });
    (median(runs.collect()), quantile(&mut samples, 0.5), (in_server + in_shims.resident) / 1024.0)
}

/// Frames per second, median latency in microseconds, KiB for each.
fn with_clients(count: usize) -> (f64, f64, f64) {
    let server = Server::start();
    let worker = server.worker("growth");
    wait_until_quiet(&[server.pid()]);
    let size = of_clients(&server, &worker, count);
    let followed = vec![worker; count];
    let mut samples = latency::through(&server, &followed, (FRAMES_PER_SECOND / count as u64).min(200), 2);
    let runs = (0..RUNS).map(|_| to_clients(&server, count, (ITEMS / count as u64).min(500_000)));
    (median(runs.collect()), quantile(&mut samples, 0.5), size)
}
