//! Requests per second on `GET /api/workers` with ten workers, over connections that are kept alive.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::peers::FastApi;
use crate::support::http::Client;
use crate::support::responder::Responder;
use crate::support::server::Server;
use crate::support::stats::{best_and_median, grouped, judge, report};

/// Workers in the list.
const WORKERS: usize = 10;
/// Connections, with a thread each.
const CONNECTIONS: usize = 8;
/// Time of one run.
const TIME: Duration = Duration::from_secs(2);
/// Times that each is measured.
const RUNS: usize = 3;

/// Bar: what is measured must not be worse.
const BAR: f64 = 10.0;

pub(crate) fn run() {
    let server = Server::start();
    server.workers(WORKERS);
    let length = body_length(server.address);
    let (ours, median) = best_and_median(RUNS, || requests(server.address));
    let responder = Responder::start(length);
    let (floor, _) = best_and_median(RUNS, || requests(responder.address));
    drop(responder);
    report("raw responder, the same length of answer", &format!("{} requests/s", grouped(floor)));
    let figure =
        format!("{} requests/s (median {}), {:.2} of the responder", grouped(ours), grouped(median), ours / floor);
    match FastApi::start(WORKERS) {
        Ok(peer) => {
            let (theirs, _) = best_and_median(RUNS, || requests(peer.address));
            report("FastAPI and uvicorn", &format!("{} requests/s", grouped(theirs)));
            let ratio = ours / theirs;
            judge("GET /api/workers", &format!("{figure}, {ratio:.1} times FastAPI"), "10 times FastAPI", ratio >= BAR);
        }
        Err(why) => {
            report("GET /api/workers", &figure);
            report("FastAPI and uvicorn", &why);
        }
    }
}

fn body_length(address: SocketAddr) -> usize {
    let mut client = Client::new(address);
    let request = client.get_request("/api/workers");
    client.exchange(&request).unwrap().1.len()
}

/// Requests per second over all connections.
pub(crate) fn requests(address: SocketAddr) -> f64 {
    let stop = AtomicBool::new(false);
    let begin = Instant::now();
    let count: u64 = std::thread::scope(|scope| {
        let ask = || {
            let mut client = Client::new(address);
            let request = client.get_request("/api/workers");
            let mut count = 0;
            while !stop.load(Ordering::Relaxed) {
                let (status, _) = client.exchange(&request).unwrap();
                assert_eq!(status, 200);
                count += 1;
            }
            count
        };
        let threads: Vec<_> = (0..CONNECTIONS).map(|_| scope.spawn(ask)).collect();
        std::thread::sleep(TIME);
        stop.store(true, Ordering::Relaxed);
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    count as f64 / begin.elapsed().as_secs_f64()
}
