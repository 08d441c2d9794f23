//! The shim as a process: the real binary, real pipes, real signals, and `sh` as the CLI.

mod commands;
mod disk;
mod group;
mod link;
mod records;
mod stop;
mod versions;

use crate::support::wait;
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rs_worker::testing::adapter::Launch;
use rs_worker::testing::journal::{Control, Entry, Kind, Reader, Writer, encode, records};
use rs_worker::testing::shim::protocol::{ShimCommand, VERSION, encode_command};
use rs_worker::testing::shim::{FromShim, IncomingBytes, ShimSpec, connect, end_tree, spawn, tree};

/// Time limit of every wait in these tests.
const DEADLINE: Duration = Duration::from_secs(120);
/// Default grace period of the shims under test.
const GRACE: Duration = Duration::from_millis(500);

/// Waits until `look` returns a value.
#[track_caller]
fn eventually<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    wait::eventually(DEADLINE, what, look)
}

/// Returns a launch of `sh` with this script.
fn sh(script: &str) -> Launch {
    Launch { program: "/bin/sh".into(), args: vec!["-c".into(), script.into()], ..Launch::default() }
}

/// A worker's folder with a journal, and its shim.
struct Worker {
    id: String,
    dir: PathBuf,
    shim: Option<Child>,
}

impl Worker {
    /// A folder with an empty journal; no shim yet.
    fn new(name: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let id = format!("test-{}-{}-{name}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(&id);
        fs::create_dir_all(&dir).unwrap();
        drop(Writer::create(&dir.join("journal"), &id).unwrap());
        Self { id, dir, shim: None }
    }

    /// A worker whose shim runs `script`.
    fn running(name: &str, script: &str) -> Self {
        let mut worker = Self::new(name);
        worker.launch(&sh(script));
        worker
    }

    fn launch(&mut self, launch: &Launch) {
        self.launch_in(launch, &self.dir.clone(), GRACE);
    }

    fn launch_in(&mut self, launch: &Launch, cwd: &Path, grace: Duration) {
        self.launch_in_group(launch, cwd, grace, None);
    }

    fn launch_in_group(&mut self, launch: &Launch, cwd: &Path, grace: Duration, cgroup: Option<&Path>) {
        let env: Vec<_> = std::env::vars_os().collect();
        let spec = ShimSpec { dir: &self.dir, worker_id: &self.id, launch, cwd, env: &env, grace, cgroup };
        self.shim = Some(spawn(Path::new(env!("CARGO_BIN_EXE_rs-worker")), &spec).unwrap());
    }

    fn pid(&self) -> i32 {
        self.shim.as_ref().unwrap().id().cast_signed()
    }

    /// Returns the offset of the first record.
    fn start(&self) -> u64 {
        Reader::open(&self.dir.join("journal")).unwrap().start()
    }

    /// A server that has not attached yet.
    fn dial(&self) -> Server {
        let stream = eventually("the shim listens", || connect(&self.dir).ok());
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        Server { stream, incoming: IncomingBytes::new(0), heard: Heard::default() }
    }

    /// A server that attaches at `offset`.
    fn attach(&self, offset: u64) -> Server {
        let mut server = self.dial();
        server.incoming = IncomingBytes::new(offset);
        server.send(0, &ShimCommand::Attach { version: VERSION, offset });
        server
    }

    /// Returns the bytes of the journal from `offset` on.
    fn journal(&self, offset: u64) -> Vec<u8> {
        fs::read(self.dir.join("journal")).unwrap()[offset as usize..].to_vec()
    }

    /// Returns all records.
    fn records(&self) -> Vec<(Kind, Vec<u8>)> {
        let start = self.start();
        records(&self.journal(start), start)
            .map(|entry| match entry {
                Entry::Record(record) => (record.kind, record.payload.to_vec()),
                Entry::Garbage { seq, .. } => panic!("no record at {seq}"),
            })
            .collect()
    }

    /// Returns the payloads of the records of one kind.
    fn payloads(&self, wanted: Kind) -> Vec<Vec<u8>> {
        self.records().into_iter().filter(|(kind, _)| *kind == wanted).map(|(_, payload)| payload).collect()
    }

    fn controls(&self) -> Vec<Control> {
        self.payloads(Kind::Ctl).iter().map(|payload| Control::from_json(payload)).collect()
    }

    /// Waits for the shim's end.
    fn ended(&mut self) -> ExitStatus {
        let shim = self.shim.as_mut().unwrap();
        let status = eventually("the shim ends", || shim.try_wait().unwrap());
        self.shim = None;
        status
    }

    /// Waits for the shim's end and returns its last record.
    fn exited(&mut self) -> ExitRecord {
        assert!(self.ended().success(), "{}", self.log());
        match self.controls().pop() {
            Some(Control::Exited { exit_code, signal, stderr_tail, ended, shim_stays: false, .. }) => {
                let ended = ended.into_iter().map(|process| (process.name, process.signal)).collect();
                ExitRecord { exit_code, signal, stderr_tail, ended }
            }
            other => panic!("{other:?} is the last record"),
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir.join("shim.log")).unwrap_or_default()
    }

    /// Returns the running processes that carry the worker's tag.
    fn tagged(&self) -> Vec<tree::Process> {
        tree::find(None, &self.id)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if let Some(mut shim) = self.shim.take() {
            let _ = shim.kill();
            let _ = shim.wait();
        }
        end_tree(&self.id, Duration::ZERO);
        if std::thread::panicking() {
            eprintln!("kept: {}\n{}", self.dir.display(), self.log());
        } else {
            fs::remove_dir_all(&self.dir).unwrap();
        }
    }
}

/// The last record of a shim.
#[derive(Debug, PartialEq, Eq)]
struct ExitRecord {
    exit_code: Option<i32>,
    signal: Option<String>,
    stderr_tail: String,
    /// Name and last signal of each.
    ended: Vec<(String, String)>,
}

/// Everything that a server has received.
#[derive(Debug, Default)]
struct Heard {
    greeting: Option<(u32, i32, u64)>,
    /// Lines of records, in the format of the journal.
    records: Vec<u8>,
    volatile: Vec<String>,
    /// Number of volatile lines that were announced as a repetition.
    repeats: Vec<u64>,
    /// Records and volatile lines in the order of their arrival: kind (`v` for volatile) and payload.
    order: Vec<(&'static str, String)>,
    ok: Vec<(u64, u64)>,
    no: Vec<(u64, String)>,
    warnings: Vec<String>,
    closed: bool,
}

impl Heard {
    fn has_ok(&self, wanted: u64) -> bool {
        self.ok.iter().any(|&(id, _)| id == wanted)
    }

    fn has_out(&self, wanted: &str) -> bool {
        self.order.iter().any(|(kind, payload)| *kind == "out" && payload == wanted)
    }
}

/// The server's side of a connection.
struct Server {
    stream: UnixStream,
    incoming: IncomingBytes,
    heard: Heard,
}

impl Server {
    fn send(&mut self, id: u64, command: &ShimCommand<'_>) {
        let mut bytes = Vec::new();
        encode_command(&mut bytes, id, command);
        self.stream.write_all(&bytes).unwrap();
    }

    /// Reads until `done` or the end of the connection; fails when nothing arrives for too long.
    #[track_caller]
    fn hear(&mut self, what: &str, done: impl Fn(&Heard) -> bool) -> &mut Heard {
        while !done(&self.heard) {
            assert!(!self.heard.closed, "the connection ended before this was heard: {what}");
            match self.stream.read(self.incoming.space()) {
                Ok(0) => self.heard.closed = true,
                Ok(count) => self.incoming.filled(count),
                Err(err) if err.kind() == ErrorKind::ConnectionReset => self.heard.closed = true,
                Err(err) => panic!("waited in vain: {what}: {err}"),
            }
            self.take_apart();
        }
        &mut self.heard
    }

    fn take_apart(&mut self) {
        let heard = &mut self.heard;
        while let Some(said) = self.incoming.next_item() {
            match said {
                FromShim::Greeting { version, pid, end } => heard.greeting = Some((version, pid, end)),
                FromShim::Record(record) => {
                    encode(&mut heard.records, record.time, record.kind, record.payload);
                    if record.payload.len() < 1000 {
                        let payload = String::from_utf8_lossy(record.payload).into_owned();
                        heard.order.push((record.kind.as_str(), payload));
                    }
                }
                FromShim::Volatile(record) => {
                    let payload = String::from_utf8_lossy(record.payload).into_owned();
                    heard.volatile.push(payload.clone());
                    heard.order.push(("v", payload));
                }
                FromShim::Repeats(lines) => heard.repeats.push(lines),
                FromShim::Ok { id, offset } => heard.ok.push((id, offset)),
                FromShim::No { id, reason } => heard.no.push((id, reason.to_owned())),
                FromShim::Warn(text) => heard.warnings.push(text.to_owned()),
                FromShim::Garbage { seq, .. } => panic!("garbage at {seq}"),
            }
        }
    }

    /// Reads to the end of the connection.
    fn hear_all(&mut self) -> &mut Heard {
        self.hear("the end", |heard| heard.closed)
    }
}

/// Returns the record of the delivery of the message `id` to the CLI.
fn delivered(id: &str) -> rs_worker::testing::journal::Control {
    rs_worker::testing::journal::Control::MessageDelivered {
        message_id: id.to_owned(),
        client_message_id: None,
        content: String::new(),
        attachments: Vec::new(),
    }
}
