//! The program under measurement, in a directory of its own.

use std::fs::{self, File};
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

use super::http::Client;
use super::stream::Stream;
use super::{own_program, wait_for};

/// The text before the address in the banner.
const ADDRESS: &str = "Access at: http://";

static COUNT: AtomicU32 = AtomicU32::new(0);

/// A server with its directory. Dropping it ends all its processes and removes the directory.
pub(crate) struct Server {
    dir: PathBuf,
    child: Option<Child>,
    env: Vec<(&'static str, &'static str)>,
    /// The place where it listens.
    pub(crate) address: SocketAddr,
}

impl Server {
    /// Starts a server without workers.
    pub(crate) fn start() -> Self {
        let mut server = Self::prepare();
        server.resume();
        server
    }

    /// Starts a server with one more setting.
    pub(crate) fn start_with(name: &'static str, value: &'static str) -> Self {
        let mut server = Self::prepare();
        server.env.push((name, value));
        server.resume();
        server
    }

    /// Makes the directory, with the adapter for the printer.
    pub(crate) fn prepare() -> Self {
        let name = format!("bench-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        for part in ["home", "project", "adapters", "data"] {
            fs::create_dir_all(dir.join(part)).unwrap();
        }
        let adapter = json!({
            "family": "text",
            "command": [own_program(), "printer"],
            "input": {"encoding": "line"},
        });
        fs::write(dir.join("adapters/printer.json"), adapter.to_string()).unwrap();
        Self { dir, child: None, env: Vec::new(), address: ([127, 0, 0, 1], 0).into() }
    }

    /// The place where the workers' folders are.
    pub(crate) fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// The server's process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// Starts the program; returns how long it took until `/api/ready` said yes.
    pub(crate) fn resume(&mut self) -> std::time::Duration {
        let output = self.dir.join("output");
        let log = File::create(&output).unwrap();
        let begin = Instant::now();
        // Another build can be measured too: the static one, or an older one.
        let program =
            std::env::var_os("RS_WORKER_BENCH_PROGRAM").unwrap_or_else(|| env!("CARGO_BIN_EXE_rs-worker").into());
        let child = Command::new(program)
            .arg("serve")
            .current_dir(&self.dir)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.dir.join("home"))
            .env("WORKERS_BASE_DIR", self.data())
            .env("ADAPTERS_DIR", self.dir.join("adapters"))
            .env("PORT", self.address.port().to_string())
            .env("MAX_WORKERS", "1000")
            .env("MAX_CONNECTIONS", "4000")
            .env("LOG_LEVEL", "warn")
            .envs(self.env.iter().copied())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
        if self.address.port() == 0 {
            wait_for("the server's address", || {
                let text = fs::read_to_string(&output).unwrap_or_default();
                let Some(at) = text.find(ADDRESS) else { return false };
                let rest = &text[at + ADDRESS.len()..];
                let Some(end) = rest.find(|c: char| c.is_whitespace() || c == '/') else { return false };
                self.address = rest[..end].replace("localhost", "127.0.0.1").parse().unwrap();
                true
            });
        }
        loop {
            if let Ok(mut client) = Client::try_new(self.address) {
                let request = client.get_request("/api/ready");
                if client.exchange(&request).is_ok_and(|(status, _)| status == 200) {
                    return begin.elapsed();
                }
            }
            assert!(
                begin.elapsed() < super::DEADLINE,
                "not ready: {}",
                fs::read_to_string(&output).unwrap_or_default()
            );
            std::thread::yield_now();
        }
    }

    /// Ends the server alone.
    pub(crate) fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGTERM);
            let _ = child.wait();
        }
    }

    /// A client.
    pub(crate) fn http(&self) -> Client {
        Client::new(self.address)
    }

    /// Makes a worker whose CLI is the printer, and waits until it is idle.
    pub(crate) fn worker(&self, name: &str) -> String {
        let mut http = self.http();
        let body = json!({"name": name, "project_path": self.dir.join("project"), "ai_cli_type": "printer"});
        let worker = http.post("/api/workers", &body);
        let id = worker["id"].as_str().unwrap().to_owned();
        wait_for("the worker", || http.get(&format!("/api/workers/{id}"))["status"] == "idle");
        id
    }

    /// Several of them.
    pub(crate) fn workers(&self, count: usize) -> Vec<String> {
        (0..count).map(|at| self.worker(&format!("w{at}"))).collect()
    }

    /// Has a worker's printer print.
    pub(crate) fn report(&self, worker: &str, command: &str) {
        self.http().post(&format!("/api/workers/{worker}/messages"), &json!({"content": command}));
    }

    /// Ends a worker's processes.
    pub(crate) fn stop_worker(&self, worker: &str) {
        self.http().post(&format!("/api/workers/{worker}/stop"), &json!({}));
    }

    /// A WebSocket client that has everything up to now.
    pub(crate) fn listen(&self, worker: &str) -> Stream {
        let mut stream = Stream::connect(self.address, &format!("/ws/{worker}"));
        stream.wait_text("\"type\":\"connected\"");
        // The answer comes after the history, so what follows it is live.
        let ping = [0x81, 0x80 | 15, 0, 0, 0, 0];
        stream.socket.write_all(&[&ping[..], b"{\"type\":\"ping\"}"].concat()).unwrap();
        stream.wait_text("\"pong\"");
        stream
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        for shim in super::process::shims(&self.data()) {
            let _ = kill(Pid::from_raw(shim.cast_signed()), Signal::SIGTERM);
        }
        let data = self.data();
        wait_for("the shims to end", || super::process::shims(&data).is_empty());
        self.stop();
        let _ = fs::remove_dir_all(&self.dir);
    }
}
