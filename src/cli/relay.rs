//! `mcp`: the MCP server on standard input and output, for clients that start a program. It relays each line to the server
//! and each answer back, and keeps nothing.

use std::collections::HashSet;
use std::io::{self, BufRead, Read as _, Write as _};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use super::http::ApiServer;
use crate::api::MCP_PATH;
use crate::thread::Thread;

/// Longest line, in bytes; the server has its own limit.
const LINE_MAX: u64 = 64 * 1024 * 1024;
/// Requests that wait for the server at the same time; further ones wait for one of these.
const REQUESTS_MAX: usize = 16;
/// The code of JSON-RPC for an error of the server.
const SERVER_ERROR: i64 = -32_000;

/// The requests under way.
#[derive(Default)]
struct RelayRequests {
    running: usize,
    /// Ids of requests, as JSON, whose answer nobody wants any more.
    cancelled: HashSet<String>,
    /// Ids of the requests that run, as JSON.
    ids: HashSet<String>,
}

/// The relay.
#[derive(Clone)]
struct Relay {
    server: ApiServer,
    pending: Arc<(Mutex<RelayRequests>, Condvar)>,
    /// Held while a line is written.
    out: Arc<Mutex<io::Stdout>>,
}

/// Relays until standard input ends, and the answers to all requests are written.
pub(super) fn relay(server: &ApiServer) -> Result<(), String> {
    let relay = Relay { server: server.clone(), pending: Arc::default(), out: Arc::new(Mutex::new(io::stdout())) };
    let mut input = io::stdin().lock();
    loop {
        let mut line = Vec::new();
        let read = input.by_ref().take(LINE_MAX).read_until(b'\n', &mut line);
        match read.map_err(|error| format!("standard input: {error}"))? {
            0 => break,
            _ if line.last() != Some(&b'\n') && line.len() as u64 == LINE_MAX => {
                return Err(format!("a line of more than {LINE_MAX} bytes"));
            }
            _ if line.trim_ascii().is_empty() => {}
            _ => relay.take(line)?,
        }
    }
    let (pending, ended) = &*relay.pending;
    let pending = pending.lock().unwrap_or_else(PoisonError::into_inner);
    drop(ended.wait_while(pending, |pending| pending.running > 0).unwrap_or_else(PoisonError::into_inner));
    Ok(())
}

impl Relay {
    /// Sends a line to the server, on a thread of its own: a request may wait, and a later one must not wait for it.
    fn take(&self, line: Vec<u8>) -> Result<(), String> {
        let message: Value = serde_json::from_slice(&line).unwrap_or_default();
        if message["method"] == "notifications/cancelled" {
            let id = message["params"]["requestId"].to_string();
            let mut pending = self.pending();
            if pending.ids.contains(&id) {
                pending.cancelled.insert(id);
            }
        }
        let id = message.get("id").filter(|_| message.get("method").is_some()).cloned();
        let (pending, ended) = &*self.pending;
        let waiting = pending.lock().unwrap_or_else(PoisonError::into_inner);
        let mut waiting = ended
            .wait_while(waiting, |pending| pending.running >= REQUESTS_MAX)
            .unwrap_or_else(PoisonError::into_inner);
        waiting.running += 1;
        waiting.ids.extend(id.as_ref().map(Value::to_string));
        drop(waiting);
        let relay = self.clone();
        let spawned = Thread::spawn("relay", move || {
            let answer = relay.ask(&line, id.as_ref());
            relay.finish(answer, id.as_ref());
        });
        spawned.map(Thread::detach).map_err(|error| format!("no thread for a request: {error}"))
    }

    /// Returns the line that answers a message; `None` for a notification.
    fn ask(&self, line: &[u8], id: Option<&Value>) -> Option<Vec<u8>> {
        match self.server.post_bytes(MCP_PATH, line.trim_ascii()) {
            // Some clients read lines, so the answer is one, whatever its strings hold.
            Ok(body) if body.is_empty() => None,
            Ok(body) => Some(body),
            Err(error) => {
                let error = json!({"code": SERVER_ERROR, "message": error.to_string()});
                id.map(|id| json!({"jsonrpc": "2.0", "id": id, "error": error}).to_string().into_bytes())
            }
        }
    }

    fn finish(&self, answer: Option<Vec<u8>>, id: Option<&Value>) {
        let id = id.map(Value::to_string);
        let is_wanted = {
            let mut pending = self.pending();
            id.is_none_or(|id| {
                pending.ids.remove(&id);
                !pending.cancelled.remove(&id)
            })
        };
        if let Some(mut line) = answer.filter(|_| is_wanted) {
            line.push(b'\n');
            let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
            // A client that reads no more will close standard input.
            let _ = out.write_all(&line).and_then(|()| out.flush());
        }
        self.pending().running -= 1;
        self.pending.1.notify_all();
    }

    fn pending(&self) -> MutexGuard<'_, RelayRequests> {
        self.pending.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
