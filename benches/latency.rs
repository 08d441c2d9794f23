//! Time from the CLI's write to the client's read, with ten workers that print at a steady rate.

use std::io::Write;

use crate::support::crowd::Crowd;
use crate::support::nanos;
use crate::support::relay::Relay;
use crate::support::server::Server;
use crate::support::stats::{judge, quantile, report};
use crate::support::stream::{Stream, number};
use crate::throughput::LINE;

/// Workers, each with a client.
const WORKERS: usize = 10;
/// Seconds of one run.
const SECONDS: u64 = 3;
/// Lines per second of each.
const PER_SECOND: u64 = 200;
/// Times that each is measured; the best median counts, as noise only ever adds.
const RUNS: usize = 3;

/// Bars: what is measured must not be worse.
const BAR: f64 = 4.0;

pub(crate) fn run() {
    let floor = best(|| relay(WORKERS));
    let server = Server::start();
    let workers = server.workers(WORKERS);
    let ours = best(|| through(&server, &workers, PER_SECOND, SECONDS));
    report("raw relay", &format!("p50 {:.0} us, p99 {:.0} us", floor.0, floor.1));
    let ratio = ours.0 / floor.0;
    judge(
        "10 workers, a client each",
        &format!("p50 {:.0} us, p99 {:.0} us: {ratio:.2} times the relay's p50", ours.0, ours.1),
        "4 times, goal 2 times",
        ratio <= BAR,
    );
}

fn best(mut measure: impl FnMut() -> Vec<f64>) -> (f64, f64) {
    let runs = (0..RUNS).map(|_| {
        let mut samples = measure();
        (quantile(&mut samples, 0.5), quantile(&mut samples, 0.99))
    });
    runs.min_by(|a, b| a.0.total_cmp(&b.0)).unwrap()
}

/// Microseconds of each line through `count` relays.
fn relay(count: usize) -> Vec<f64> {
    let lines = PER_SECOND * SECONDS;
    let relay = Relay::start(&["tick", &lines.to_string(), &LINE.to_string(), &PER_SECOND.to_string()]);
    let streams = (0..count).map(|phase| {
        let mut socket = relay.connect();
        socket.write_all(&[phase as u8]).unwrap();
        Stream::lines(socket)
    });
    samples(streams.collect(), lines)
}

/// Microseconds of each line through workers, each with a client; a worker that is named again has another client.
pub(crate) fn through(server: &Server, workers: &[String], per_second: u64, seconds: u64) -> Vec<f64> {
    let streams: Vec<Stream> = workers.iter().map(|worker| server.listen(worker)).collect();
    let lines = per_second * seconds;
    for (phase, worker) in workers.iter().enumerate() {
        if !workers[..phase].contains(worker) {
            server.report(worker, &format!("tick {lines} {LINE} {per_second} {}", phase % 16));
        }
    }
    samples(streams, lines)
}

fn samples(streams: Vec<Stream>, lines: u64) -> Vec<f64> {
    let mut samples = Vec::new();
    Crowd::new(streams).read(lines, LINE - 1, |item| {
        let written = number(item).unwrap();
        samples.push(nanos().saturating_sub(written) as f64 / 1_000.0);
    });
    samples
}
