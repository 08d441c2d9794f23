//! The cost of asking the kernel whose a connection is: `LOCAL_ACCESS=same-user` beside `open`, which does not ask.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::requests::requests;
use crate::support::http::Client;
use crate::support::server::Server;
use crate::support::stats::{grouped, judge, median, report};

/// Workers in the list.
const WORKERS: usize = 10;
/// Times that each is measured, in turns, so that both have the same share of what else the machine does.
const RUNS: usize = 9;
/// Time of one run with a new connection for each request.
const TIME: Duration = Duration::from_secs(1);
/// Bar: the share of requests that is left.
const BAR: f64 = 0.95;

pub(crate) fn run() {
    let (asks, open) = (Server::start(), Server::start_with("LOCAL_ACCESS", "open"));
    for server in [&asks, &open] {
        server.workers(WORKERS);
    }
    let measured = |measure: fn(SocketAddr) -> f64| {
        let pairs: Vec<_> = (0..RUNS).map(|_| (measure(asks.address), measure(open.address))).collect();
        let best = pairs.iter().map(|(ours, _)| *ours).fold(0.0, f64::max);
        // Each pair has the machine of one moment; what the best runs of each had may differ.
        (best, median(pairs.iter().map(|(ours, theirs)| ours / theirs).collect()))
    };
    let (ours, ratio) = measured(one_each);
    report("a connection for each request", &format!("{} requests/s, {ratio:.2} of open access", grouped(ours)));
    let (ours, ratio) = measured(requests);
    let figure = format!("{} requests/s, {ratio:.2} of open access", grouped(ours));
    judge("GET /api/workers, same user", &figure, "0.95 of open access", ratio >= BAR);
}

/// Requests per second, each on a connection of its own.
fn one_each(address: SocketAddr) -> f64 {
    let begin = Instant::now();
    let mut count = 0;
    while begin.elapsed() < TIME {
        let mut client = Client::new(address);
        let request = client.get_request("/api/workers");
        assert_eq!(client.exchange(&request).unwrap().0, 200);
        count += 1;
    }
    f64::from(count) / begin.elapsed().as_secs_f64()
}
