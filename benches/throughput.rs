//! Lines per second from one worker, with the journal on: to one client, and to fifty.

use std::io::Write;
use std::time::Instant;

use crate::support::crowd::Crowd;
use crate::support::relay::Relay;
use crate::support::server::Server;
use crate::support::stats::{best_and_median, grouped, judge, rate, report};
use crate::support::stream::Stream;

/// Bytes of a line, newline included.
pub(crate) const LINE: usize = 400;
/// Lines that one client reads.
const LINES: u64 = 500_000;
/// Lines that each of many clients reads.
const LINES_OF_MANY: u64 = 60_000;
/// The number of connections that counts as many.
const MANY: usize = 50;
/// Times that each is measured.
const RUNS: usize = 5;

/// Bars: what is measured must not be worse.
const LINES_BAR: f64 = 200_000.0;
const FRAMES_BAR: f64 = 400_000.0;

pub(crate) fn run() {
    let (relay, relay_median) = best_and_median(RUNS, || relay_lines(LINES));
    report("raw relay, pipe to socket", &format!("{} lines/s (median {})", grouped(relay), grouped(relay_median)));

    let server = Server::start();
    let (one, median) = best_and_median(RUNS, || to_clients(&server, 1, LINES));
    judge(
        "one worker to one WebSocket client",
        &format!("{} lines/s (median {}), {:.2} of the relay", grouped(one), grouped(median), one / relay),
        "200,000, goal 500,000",
        one >= LINES_BAR,
    );
    let (many, median) = best_and_median(RUNS, || to_clients(&server, MANY, LINES_OF_MANY));
    judge(
        "one worker to 50 WebSocket clients, frames in all",
        &format!("{} frames/s (median {}), {:.2} of the relay", grouped(many), grouped(median), many / relay),
        "400,000, goal 1,000,000",
        many >= FRAMES_BAR,
    );
}

/// Lines per second of the relay.
pub(crate) fn relay_lines(lines: u64) -> f64 {
    let relay = Relay::start(&["go", &lines.to_string(), &LINE.to_string()]);
    let mut socket = relay.connect();
    let begin = Instant::now();
    socket.write_all(b"!").unwrap();
    assert_eq!(Stream::lines(socket).count(lines, LINE - 1), lines);
    rate(lines, begin.elapsed())
}

/// Frames per second that `clients` clients of a new worker read in all.
pub(crate) fn to_clients(server: &Server, clients: usize, lines: u64) -> f64 {
    let worker = server.worker("throughput");
    let mut streams: Vec<Stream> = (0..clients).map(|_| server.listen(&worker)).collect();
    let command = format!("go {lines} {LINE}");
    let begin = Instant::now();
    server.report(&worker, &command);
    if clients == 1 {
        assert_eq!(streams[0].count(lines, LINE), lines);
    } else {
        let last = Crowd::new(streams).read(lines, LINE, |_| {});
        assert!(last.iter().all(|&last| last == lines), "every client has every line: {last:?}");
    }
    let rate = rate(lines * clients as u64, begin.elapsed());
    server.stop_worker(&worker);
    rate
}
