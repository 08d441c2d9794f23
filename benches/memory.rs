//! Resident memory: the idle server, a worker (server and shim, without its CLI), a connected WebSocket client.

use crate::support::process::{Memory, memory, shims, wait_until_quiet};
use crate::support::server::Server;
use crate::support::stats::{judge, report};
use crate::support::stream::Stream;
use crate::throughput::{LINE, to_clients};

const WORKERS: usize = 20;
const CLIENTS: usize = 200;

/// Bars, in KiB.
const IDLE_BAR: f64 = 8.0 * 1024.0;
const WORKER_BAR: f64 = 3.0 * 1024.0;
const CLIENT_BAR: f64 = 100.0;

pub(crate) fn run() {
    let server = Server::start();
    wait_until_quiet(&[server.pid()]);
    let idle = memory(server.pid());
    let figure = format!("{:.2} MiB ({:.2} MiB its own)", mib(idle.resident), mib(idle.private));
    judge("idle server, resident", &figure, "8 MiB", idle.resident < IDLE_BAR);

    let workers = server.workers(WORKERS);
    let (in_server, in_shims) = of_workers(&server, &idle, WORKERS);
    let whole = in_server + in_shims.resident;
    let figure = format!(
        "{:.2} MiB: {:.2} in the server, {:.2} its shim ({:.2} without what all shims share)",
        mib(whole),
        mib(in_server),
        mib(in_shims.resident),
        mib(in_shims.share)
    );
    judge("each of 20 idle workers, resident, without its CLI", &figure, "3 MiB", whole < WORKER_BAR);

    let each = of_clients(&server, &workers[0], CLIENTS);
    judge("each of 200 connected clients, resident", &format!("{each:.0} KiB"), "100 KiB", each < CLIENT_BAR);

    to_clients(&server, 1, 500_000);
    let before = shims(&server.data());
    server.report(&workers[0], &format!("go 500000 {LINE}"));
    let mut stream = Stream::connect(server.address, &format!("/ws/{}?since=0", workers[0]));
    stream.count(500_000, LINE);
    wait_until_quiet(&[server.pid()]);
    let busy = memory(server.pid());
    let largest = before.iter().map(|&pid| memory(pid).resident).fold(0.0, f64::max);
    report(
        "after 1,000,000 lines: server, and its largest shim",
        &format!("{:.2} MiB, {:.2} MiB", mib(busy.resident), mib(largest)),
    );
}

fn mib(kib: f64) -> f64 {
    kib / 1024.0
}

/// KiB that each of `count` workers adds to the server, and the mean of their shims.
pub(crate) fn of_workers(server: &Server, idle: &Memory, count: usize) -> (f64, Memory) {
    let shims = shims(&server.data());
    assert_eq!(shims.len(), count, "a shim for each worker");
    wait_until_quiet(&[&shims[..], &[server.pid()]].concat());
    let all: Vec<Memory> = shims.iter().map(|&pid| memory(pid)).collect();
    let mean = |field: fn(&Memory) -> f64| all.iter().map(field).sum::<f64>() / count as f64;
    let mean = Memory { resident: mean(|it| it.resident), share: mean(|it| it.share), private: mean(|it| it.private) };
    ((memory(server.pid()).resident - idle.resident) / count as f64, mean)
}

/// KiB that each of `count` clients of a worker adds to the server.
pub(crate) fn of_clients(server: &Server, worker: &str, count: usize) -> f64 {
    let before = memory(server.pid());
    let clients: Vec<_> = (0..count)
        .map(|_| {
            let mut client = server.listen(worker);
            client.shrink();
            client
        })
        .collect();
    wait_until_quiet(&[server.pid()]);
    let after = memory(server.pid());
    drop(clients);
    (after.resident - before.resident) / count as f64
}
