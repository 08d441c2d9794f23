//! A CLI driven over its pipes, without a server: shows what the fake and the real programs do alone.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::wait::{DEADLINE, eventually};

/// Number of lines in the buffer; the CLI's pipe holds the others.
const LINES_WAITING: usize = 10_000;

/// The arguments for a conversation over Claude Code's stream-json protocol.
pub(crate) const CLAUDE_ARGS: &[&str] = &[
    "-p",
    "--input-format",
    "stream-json",
    "--output-format",
    "stream-json",
    "--verbose",
    "--include-partial-messages",
    "--replay-user-messages",
    "--permission-prompt-tool",
    "stdio",
];

/// A running CLI; killed at drop.
pub(crate) struct Pipes {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    readers: Vec<JoinHandle<()>>,
    /// Every line of stdout so far, in order.
    pub(crate) seen: Vec<String>,
}

impl Pipes {
    /// Starts a program in a directory, with exactly this environment.
    #[track_caller]
    pub(crate) fn start(program: &Path, args: &[&str], dir: &Path, env: &[(String, String)]) -> Self {
        let mut command = Command::new(program);
        command.args(args).current_dir(dir).env_clear().envs(env.iter().cloned());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().unwrap();
        let (sender, lines) = sync_channel(LINES_WAITING);
        let reader = thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self { child, stdin, lines, readers: vec![reader], seen: Vec::new() }
    }

    /// Returns its process id.
    pub(crate) fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    /// Writes one line.
    #[track_caller]
    pub(crate) fn send(&mut self, line: &Value) {
        let stdin = self.stdin.as_mut().expect("stdin is open");
        stdin.write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    /// Writes a user's message, with the test's own id for it.
    #[track_caller]
    pub(crate) fn say(&mut self, text: &str, uuid: &str) {
        self.send(&json!({"type": "user", "message": {"role": "user", "content": text}, "uuid": uuid}));
    }

    /// Writes a control request.
    #[track_caller]
    pub(crate) fn control(&mut self, id: &str, request: Value) {
        self.send(&json!({"type": "control_request", "request_id": id, "request": request}));
    }

    /// Closes stdin.
    pub(crate) fn finish(&mut self) {
        self.stdin = None;
    }

    /// Returns the next line of stdout; `None` at its end.
    #[track_caller]
    pub(crate) fn line(&mut self, deadline: Duration) -> Option<String> {
        match self.lines.recv_timeout(deadline) {
            Ok(line) => {
                self.seen.push(line.clone());
                Some(line)
            }
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("no line within {deadline:?}; so far: {:#?}", self.seen),
        }
    }

    /// Reads lines until one satisfies `wanted`.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let end = Instant::now() + DEADLINE;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let Some(line) = self.line(left) else { panic!("no {what}; so far: {:#?}", self.seen) };
            let value = serde_json::from_str(&line).unwrap_or(Value::Null);
            if wanted(&value) {
                return value;
            }
        }
    }

    /// Reads lines until one has this type.
    #[track_caller]
    pub(crate) fn wait_for_type(&mut self, kind: &str) -> Value {
        self.wait_for(kind, |line| line["type"] == kind)
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn exit(&mut self) -> ExitStatus {
        let child = &mut self.child;
        eventually(DEADLINE, "the CLI ends", || child.try_wait().unwrap())
    }
}

impl Drop for Pipes {
    fn drop(&mut self) {
        self.stdin = None;
        let _ = self.child.kill();
        let _ = self.child.wait();
        // The receiver is dropped first, so that a reader with a full channel ends. A reader whose pipe is held by a
        // process that outlives the CLI is detached: it ends with that process, which its test ends.
        self.lines = sync_channel(0).1;
        for reader in self.readers.drain(..).filter(|reader| reader.is_finished()) {
            let _ = reader.join();
        }
    }
}
