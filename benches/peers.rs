//! The same work done by others, where they are installed: `websocketd` (a Go program that makes a WebSocket of any
//! program's output) and a FastAPI service made for the purpose (`benches/peers/`). `benches/peers/install` installs both.

use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::http::Client;
use crate::support::own_program;
use crate::support::server::Server;
use crate::support::stats::{best_and_median, grouped, rate, report};
use crate::support::stream::Stream;
use crate::throughput::{LINE, relay_lines, to_clients};

/// Lines for ours and the relay.
const LINES: u64 = 500_000;
/// Lines for peers, which take longer.
const PEER_LINES: u64 = 60_000;
/// Times that each is measured.
const RUNS: usize = 3;

pub(crate) fn run() {
    let (relay, _) = best_and_median(RUNS, || relay_lines(LINES));
    let server = Server::start();
    let (ours, _) = best_and_median(RUNS, || to_clients(&server, 1, LINES));
    drop(server);
    report("raw relay", &format!("{} lines/s", grouped(relay)));
    report("rs-worker, journal on", &format!("{} lines/s", grouped(ours)));
    match Websocketd::start() {
        Ok(peer) => {
            let (theirs, _) = best_and_median(RUNS, || lines(peer.0.address, "/"));
            report(
                "websocketd",
                &format!("{} lines/s; rs-worker does {:.1} times as many", grouped(theirs), ours / theirs),
            );
        }
        Err(why) => report("websocketd", &why),
    }
    match FastApi::start(1) {
        Ok(peer) => {
            let (theirs, _) = best_and_median(RUNS, || lines(peer.address, "/ws/bench"));
            report(
                "FastAPI and uvicorn, no journal",
                &format!("{} lines/s; rs-worker does {:.1} times as many", grouped(theirs), ours / theirs),
            );
        }
        Err(why) => report("FastAPI and uvicorn", &why),
    }
}

/// Lines per second of a peer that starts a printer for each connection.
fn lines(address: SocketAddr, path: &str) -> f64 {
    let begin = Instant::now();
    let mut stream = Stream::connect(address, path);
    // An empty message, which begins what waits for one.
    stream.socket.write_all(&[0x81, 0x80, 0, 0, 0, 0]).unwrap();
    stream.count(PEER_LINES, LINE - 1);
    rate(PEER_LINES, begin.elapsed())
}

/// A peer's process.
pub(crate) struct Peer {
    child: Child,
    /// The place where it listens.
    pub(crate) address: SocketAddr,
}

impl Peer {
    /// Starts `command` with a free port, and waits until it listens.
    fn start(name: &str, command: impl FnOnce(u16) -> Command) -> Result<Self, String> {
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut command = command(free.port());
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let missing = |_| format!("skipped: {name} is not installed (benches/peers/install does it)");
        let mut peer = Self { child: child.map_err(missing)?, address: free };
        let deadline = Instant::now() + Duration::from_secs(20);
        while Client::try_new(free).is_err() {
            if Instant::now() > deadline || !matches!(peer.child.try_wait(), Ok(None)) {
                return Err(format!("skipped: {name} does not start"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(peer)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `websocketd`, with a printer for each connection.
struct Websocketd(Peer);

impl Websocketd {
    fn start() -> Result<Self, String> {
        let command = |port: u16| {
            let mut command = Command::new("websocketd");
            command.args(["--address=127.0.0.1", "--loglevel=fatal", &format!("--port={port}")]);
            command.arg(own_program()).args(["printer", "go", &PEER_LINES.to_string(), &LINE.to_string()]);
            command
        };
        Peer::start("websocketd", command).map(Self)
    }
}

/// The FastAPI service.
pub(crate) struct FastApi(());

impl FastApi {
    /// Starts it with as many workers in its list.
    pub(crate) fn start(workers: usize) -> Result<Peer, String> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let uvicorn: PathBuf = root.join("target/peers/bin/uvicorn");
        Peer::start("FastAPI", |port| {
            let mut command = Command::new(uvicorn);
            command.args(["reference:app", "--log-level", "critical", "--no-access-log"]);
            command.args(["--host", "127.0.0.1", "--port", &port.to_string()]).current_dir(root.join("benches/peers"));
            command.env("PYTHONDONTWRITEBYTECODE", "1").env("WORKERS", workers.to_string());
            command.env("PRINTER", own_program()).env("PRINTER_ARGS", format!("printer go {PEER_LINES} {LINE}"));
            command
        })
    }
}
