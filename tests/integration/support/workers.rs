//! A worker of the server under test from a client's view: its commands, its events, and its journal.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::clis;
use super::http::Reply;
use super::server::TestServer;
use super::wait::{DEADLINE, eventually};
use super::ws::WsClient;

/// Names the file of `make drift` for kinds of lines that were not understood.
const UNKNOWN: &str = "RS_WORKER_TEST_UNKNOWN";

/// A worker by its id. The server is given to each call, because tests end and start it in between.
#[derive(Clone, Debug)]
pub(crate) struct TestWorker {
    /// Its id.
    pub(crate) id: String,
}

impl TestWorker {
    /// Creates a worker; `more` is merged into the request's body.
    #[track_caller]
    pub(crate) fn create(server: &TestServer, cli: &str, more: &Value) -> Self {
        Self { id: server.create_worker(cli, more) }
    }

    /// Returns its path in the API, with a suffix.
    pub(crate) fn path(&self, rest: &str) -> String {
        format!("/api/workers/{}{rest}", self.id)
    }

    /// Returns the API's view of it.
    #[track_caller]
    pub(crate) fn show(&self, server: &TestServer) -> Value {
        server.get(&self.path("")).expect(200).json()
    }

    /// Waits until it has this status.
    #[track_caller]
    pub(crate) fn wait_status(&self, server: &TestServer, status: &str) -> Value {
        server.wait_status(&self.id, status)
    }

    /// Sends it a message and returns the response.
    #[track_caller]
    pub(crate) fn say(&self, server: &TestServer, content: &str) -> Value {
        server.post(&self.path("/messages"), &json!({"content": content})).expect(202).json()
    }

    /// Sends a request without a body: `stop`, `start`, `interrupt`, ...
    #[track_caller]
    pub(crate) fn call(&self, server: &TestServer, what: &str) -> Reply {
        server.post(&self.path(&format!("/{what}")), &json!({}))
    }

    /// Opens a client with all its events from the beginning.
    #[track_caller]
    pub(crate) fn watch(&self, server: &TestServer) -> WsClient {
        self.watch_since(server, 0)
    }

    /// Opens a client with its events after `since`.
    #[track_caller]
    pub(crate) fn watch_since(&self, server: &TestServer, since: u64) -> WsClient {
        server.ws(&format!("/ws/{}?since={since}", self.id))
    }

    /// Returns all its events, oldest first.
    #[track_caller]
    pub(crate) fn events(&self, server: &TestServer) -> Vec<Value> {
        let (mut events, mut since) = (Vec::new(), 0);
        loop {
            let page =
                server.get(&self.path(&format!("/messages?types=all&limit=1000&since={since}"))).expect(200).json();
            let list = page["messages"].as_array().unwrap().clone();
            events.extend(list);
            if page["has_more"] != true {
                if std::env::var_os(UNKNOWN).is_some() {
                    note_unknown(&self.show(server)["ai_cli_type"], &events);
                }
                return events;
            }
            since = events.last().unwrap()["seq"].as_u64().unwrap();
        }
    }

    /// Returns its events of one type, oldest first.
    #[track_caller]
    pub(crate) fn events_of(&self, server: &TestServer, kind: &str) -> Vec<Value> {
        self.events(server).into_iter().filter(|event| event["type"] == kind).collect()
    }

    /// Waits until it has at least `count` events of a type, and returns the last of them.
    #[track_caller]
    pub(crate) fn wait_event(&self, server: &TestServer, kind: &str, count: usize) -> Value {
        eventually(DEADLINE, &format!("{count} events {kind}"), || {
            let found = self.events_of(server, kind);
            (found.len() >= count).then(|| found[count - 1].clone())
        })
    }

    /// Waits for its `count`-th completed turn.
    #[track_caller]
    pub(crate) fn wait_turn(&self, server: &TestServer, count: usize) -> Value {
        self.wait_event(server, "turn_completed", count)
    }

    /// Waits for its open prompt.
    #[track_caller]
    pub(crate) fn wait_prompt(&self, server: &TestServer) -> Value {
        eventually(DEADLINE, "an open prompt", || {
            let inbox = server.get("/api/permissions").expect(200).json();
            inbox["permissions"].as_array().unwrap().iter().find(|prompt| prompt["worker_id"] == self.id).cloned()
        })
    }

    /// Answers a prompt.
    #[track_caller]
    pub(crate) fn answer(&self, server: &TestServer, prompt: &Value, answer: &Value) -> Reply {
        server.post(&self.path(&format!("/permissions/{}", prompt["request_id"].as_str().unwrap())), answer)
    }

    /// Asserts that the history has the text that a live client received piece by piece, although its turn was
    /// interrupted.
    #[track_caller]
    pub(crate) fn assert_pieces_are_kept(&self, server: &TestServer, client: &mut WsClient) {
        client.wait_for_event("turn_completed", DEADLINE);
        let pieces = client.events().into_iter().filter(|event| event["type"] == "delta" && event["of"] == "assistant");
        let shown: String = pieces.map(|event| event["content"].as_str().unwrap().to_owned()).collect();
        let said = self.events_of(server, "assistant");
        let kept: String = said.iter().map(|event| event["content"].as_str().unwrap()).collect();
        assert!(!shown.is_empty(), "the client was shown something");
        assert_eq!(kept.trim_end(), shown.trim_end());
    }

    /// Returns its folder.
    pub(crate) fn dir(&self, server: &TestServer) -> PathBuf {
        server.data_dir().join(&self.id)
    }

    /// Returns its journal's records as kind and payload, in order.
    #[track_caller]
    pub(crate) fn journal(&self, server: &TestServer) -> Vec<(String, String)> {
        let bytes = fs::read(self.dir(server).join("journal")).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        let records = text.lines().skip(1).filter_map(|line| {
            let mut words = line.splitn(3, ' ');
            let _time = words.next()?;
            Some((words.next()?.to_owned(), words.next().unwrap_or_default().to_owned()))
        });
        records.collect()
    }

    /// Returns its control records of one type.
    #[track_caller]
    pub(crate) fn controls(&self, server: &TestServer, kind: &str) -> Vec<Value> {
        let controls = self.journal(server).into_iter().filter(|(record, _)| record == "ctl");
        controls
            .filter_map(|(_, json)| serde_json::from_str(&json).ok())
            .filter(|it: &Value| it["type"] == kind)
            .collect()
    }
}

/// A server with the adapter `program`, whose workers run the command line in their `args`. `more` adds settings.
#[track_caller]
pub(crate) fn server_for_programs(name: &str, more: &[(&str, &str)]) -> TestServer {
    let mut builder =
        TestServer::builder().name(name).env("CLAUDE_BINARY", clis::fake_cli()).env("STOP_GRACE_SECS", "1");
    for (name, value) in more {
        builder = builder.env(name, value);
    }
    let server = builder.prepare();
    declare_programs(&server);
    server
}

/// Declares the adapter `program`.
pub(crate) fn declare_programs(server: &TestServer) {
    declare(server, "program", &json!({"family": "text", "command": ["env"], "stop_by_eof": false}));
}

/// A worker that runs a program, for a server of [`server_for_programs`].
#[track_caller]
pub(crate) fn run(server: &TestServer, args: &[&str]) -> TestWorker {
    TestWorker::create(server, "program", &json!({"args": args}))
}

/// A worker that runs a shell's script.
#[track_caller]
pub(crate) fn run_script(server: &TestServer, script: &str) -> TestWorker {
    run(server, &["sh", "-c", script])
}

/// Writes a declared adapter into a file in the server's `ADAPTERS_DIR`.
pub(crate) fn declare(server: &TestServer, name: &str, adapter: &Value) {
    let dir = server.dir().join("adapters");
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join(format!("{name}.json")), adapter.to_string()).unwrap();
}

/// Records which kinds of lines were not understood, in the file that `make drift` names.
fn note_unknown(cli: &Value, events: &[Value]) {
    let Some(path) = std::env::var_os(UNKNOWN) else { return };
    let unknown = events.iter().filter(|event| event["type"] == "unknown");
    let lines: String = unknown.map(|event| format!("{}\t{}\n", cli.as_str().unwrap(), event["content"])).collect();
    let mut file = std::fs::OpenOptions::new().append(true).create(true).open(path).unwrap();
    std::io::Write::write_all(&mut file, lines.as_bytes()).unwrap();
}
