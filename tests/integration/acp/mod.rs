//! Workers as sessions of the Agent Client Protocol: raw frames on the WebSocket, the bridge on standard input and output,
//! and the clients of others.

mod bridge;
mod clients;
mod prompts;
mod sessions;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::clis;
use crate::support::pipes::Pipes;
use crate::support::require::require;
use crate::support::server::TestServer;
use crate::support::wait::DEADLINE;
use crate::support::ws::WsClient;

/// The connection of an editor.
enum Line {
    Socket(Box<WsClient>),
    Bridge(Pipes),
}

/// An editor, made of frames.
pub(crate) struct Editor {
    line: Line,
    next: u64,
    /// Every message in both directions, for the schema.
    log: Vec<Value>,
}

fn server() -> TestServer {
    TestServer::builder().name("acp").env("CLAUDE_BINARY", clis::fake_cli()).env("STOP_GRACE_SECS", "1").start()
}

/// The capabilities of the tests' editors.
fn able() -> Value {
    json!({"elicitation": {"form": {}}, "session": {"configOptions": {"boolean": {}}, "notices": {}}})
}

impl Editor {
    /// An editor on the WebSocket, introduced.
    #[track_caller]
    fn connect(server: &TestServer, query: &str, headers: &[(&str, &str)]) -> Self {
        let socket = WsClient::connect(server.addr(), &format!("/acp{query}"), headers).unwrap();
        Self::introduced(Line::Socket(Box::new(socket)))
    }

    /// An editor that runs the bridge.
    #[track_caller]
    fn bridged(server: &TestServer, words: &[&str]) -> Self {
        let command = server.command([]);
        let env: Vec<(String, String)> = command
            .get_envs()
            .filter_map(|(name, value)| Some((name.to_str()?.to_owned(), value?.to_str()?.to_owned())))
            .collect();
        let words: Vec<&str> = ["acp"].into_iter().chain(words.iter().copied()).collect();
        let program = PathBuf::from(command.get_program());
        Self::introduced(Line::Bridge(Pipes::start(&program, &words, server.dir(), &env)))
    }

    fn introduced(line: Line) -> Self {
        let mut editor = Self { line, next: 0, log: Vec::new() };
        let info = json!({"name": "test", "title": "Test", "version": "1"});
        let params = json!({"protocolVersion": 1, "clientCapabilities": able(), "clientInfo": info});
        let answer = editor.request("initialize", params);
        assert_eq!((&answer["protocolVersion"], &answer["agentInfo"]["name"]), (&json!(1), &json!("rs-worker")));
        editor
    }

    fn send(&mut self, message: Value) {
        match &mut self.line {
            Line::Socket(socket) => socket.send_json(&message),
            Line::Bridge(pipes) => pipes.send(&message),
        }
        self.log.push(json!({"from": "client", "message": message}));
    }

    /// Sends a request; returns its id.
    fn begin(&mut self, method: &str, params: Value) -> u64 {
        let id = self.next;
        self.next += 1;
        self.send(json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}));
        id
    }

    fn notify(&mut self, method: &str, params: Value) {
        self.send(json!({"jsonrpc": "2.0", "method": method, "params": params}));
    }

    fn answer(&mut self, request: &Value, result: Value) {
        self.send(json!({"jsonrpc": "2.0", "id": request["id"], "result": result}));
    }

    /// Returns the next message.
    #[track_caller]
    fn receive(&mut self) -> Value {
        let message = match &mut self.line {
            Line::Socket(socket) => socket.recv_json(DEADLINE),
            Line::Bridge(pipes) => serde_json::from_str(&pipes.line(DEADLINE).expect("the bridge runs")).unwrap(),
        };
        self.log.push(json!({"from": "agent", "message": message}));
        message
    }

    /// Reads until a message satisfies `wanted`.
    #[track_caller]
    fn wait_for(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            let message = self.receive();
            if wanted(&message) {
                return message;
            }
        }
    }

    /// Reads until the response to a request.
    #[track_caller]
    fn wait_response(&mut self, id: u64) -> Value {
        self.wait_for(|message| message["id"] == id && message.get("method").is_none())
    }

    /// Reads until an update of this kind, and returns it.
    #[track_caller]
    fn wait_update(&mut self, kind: &str) -> Value {
        self.wait_for(|message| message["params"]["update"]["sessionUpdate"] == kind)["params"]["update"].clone()
    }

    /// Reads until a request of the server.
    #[track_caller]
    fn wait_request(&mut self, method: &str) -> Value {
        self.wait_for(|message| message["method"] == method)
    }

    /// Makes a request, and returns its result.
    #[track_caller]
    fn request(&mut self, method: &str, params: Value) -> Value {
        let id = self.begin(method, params);
        let response = self.wait_response(id);
        assert!(response.get("error").is_none(), "{method}: {response}");
        response["result"].clone()
    }

    /// Makes a request that fails, and returns the code of its error.
    #[track_caller]
    fn refused(&mut self, method: &str, params: Value) -> i64 {
        let id = self.begin(method, params);
        let response = self.wait_response(id);
        response["error"]["code"].as_i64().unwrap_or_else(|| panic!("{method}: {response}"))
    }

    /// Makes a session, and returns its id.
    #[track_caller]
    fn open(&mut self, server: &TestServer) -> String {
        let params = json!({"cwd": server.project(), "mcpServers": []});
        self.request("session/new", params)["sessionId"].as_str().unwrap().to_owned()
    }

    fn begin_prompt(&mut self, session: &str, text: &str) -> u64 {
        self.begin("session/prompt", json!({"sessionId": session, "prompt": [{"type": "text", "text": text}]}))
    }

    /// Sends a prompt, and returns the reason for which its turn stopped.
    #[track_caller]
    fn prompt(&mut self, session: &str, text: &str) -> String {
        let id = self.begin_prompt(session, text);
        let response = self.wait_response(id);
        response["result"]["stopReason"].as_str().unwrap_or_else(|| panic!("{response}")).to_owned()
    }

    /// The updates of a kind so far.
    fn updates(&self, kind: &str) -> Vec<&Value> {
        let updates = self.log.iter().map(|entry| &entry["message"]["params"]["update"]);
        updates.filter(|update| update["sessionUpdate"] == kind).collect()
    }

    /// The text of all chunks of a kind so far.
    fn text(&self, kind: &str) -> String {
        self.updates(kind).iter().filter_map(|update| update["content"]["text"].as_str()).collect()
    }

    /// Checks every message against the protocol's schema.
    #[track_caller]
    fn check_schema(&self) {
        check_schema(&self.log);
    }
}

/// A file of the installed clients.
fn installed(path: &str) -> Option<PathBuf> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/acp-clients").join(path);
    let found = if path.exists() { Ok(path.clone()) } else { Err(format!("{} is missing", path.display())) };
    require("the clients of the Agent Client Protocol (tests/install-deps)", found)
}

/// Checks messages against the schema of the protocol, as the reference SDK ships it.
#[track_caller]
fn check_schema(log: &[Value]) {
    let Some(schema) = installed("node_modules/@agentclientprotocol/sdk/schema/v1/schema.json") else { return };
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let mut child = Command::new(root.join("target/venv/bin/python"))
        .arg(root.join("tests/python/acp_frames.py"))
        .arg(schema)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    for entry in log {
        writeln!(input, "{entry}").unwrap();
    }
    drop(input);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}
