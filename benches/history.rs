//! The last page of a journal of 1 GiB, and the first connection of a client to it.

use std::time::Instant;

use crate::support::server::Server;
use crate::support::stats::{judge, quantile, report};
use crate::support::stream::Stream;
use crate::throughput::LINE;

/// Lines that make a journal of about 1 GiB.
const LINES: u64 = 1024 * 1024 * 1024 / 422;
/// Times that each is measured.
const RUNS: usize = 25;

/// Bar, in milliseconds.
const BAR: f64 = 5.0;

pub(crate) fn run() {
    let mut server = Server::start();
    let worker = server.worker("history");
    let mut stream = server.listen(&worker);
    server.report(&worker, &format!("go {LINES} {LINE}"));
    stream.count(LINES, LINE);
    drop(stream);
    server.stop_worker(&worker);
    server.stop();
    let size = std::fs::metadata(server.data().join(&worker).join("journal")).unwrap().len();
    report("journal", &format!("{:.2} GiB", size as f64 / (1 << 30) as f64));
    report("start of the server with it", &format!("{:.0} ms", server.resume().as_secs_f64() * 1_000.0));

    let path = format!("/api/workers/{worker}/messages?limit=50");
    let mut http = server.http();
    let first = timed(|| assert_eq!(http.get(&path)["messages"].as_array().unwrap().len(), 50));
    let mut pages: Vec<f64> = (0..RUNS).map(|_| timed(|| drop(http.get(&path)))).collect();
    let (page, slow) = (quantile(&mut pages, 0.5), quantile(&mut pages, 0.95));
    judge(
        "last page of 50",
        &format!("{page:.2} ms (p95 {slow:.2} ms, the first {first:.2} ms)"),
        "5 ms",
        first.max(page) < BAR,
    );
    let mut connects: Vec<f64> = (0..RUNS)
        .map(|_| timed(|| Stream::connect(server.address, &format!("/ws/{worker}")).wait_text("\"type\":\"history\"")))
        .collect();
    let connect = quantile(&mut connects, 0.5);
    judge("connection with the last 20 messages", &format!("{connect:.2} ms"), "5 ms", connect < BAR);

    let begin = Instant::now();
    Stream::connect(server.address, &format!("/ws/{worker}?since=0")).count(LINES, LINE);
    report("replay of all of it to one client", &format!("{:.1} s", begin.elapsed().as_secs_f64()));
}

/// Milliseconds.
fn timed(what: impl FnOnce()) -> f64 {
    let begin = Instant::now();
    what();
    begin.elapsed().as_secs_f64() * 1_000.0
}
