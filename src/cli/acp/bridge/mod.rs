//! The bridge between an editor and the server: which messages go where, also across a lost connection. Pure.
//!
//! The server sends a cursor with each update. After a lost connection the bridge opens its sessions again with their last
//! cursors, so that the editor gets each update once and in order, and sends the requests without a response again:
//! messages and new sessions carry ids, by which the server recognizes a repeated one.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, VecDeque};
use std::mem::take;

use serde_json::{Value, json};

use crate::cli::output::emit_note;

/// The key of the project's own additions to messages.
const META: &str = "rs-worker";
/// The beginning of the ids of the bridge's own requests.
const OWN: &str = "rs-worker-bridge/";
/// Requests of the editor that may wait for their responses.
const PENDING_MAX: usize = 256;
/// Notifications of the editor that are held while the server is not connected.
const HELD_MAX: usize = 256;
/// Answers of the editor that are kept, for requests that the server repeats.
const ANSWERS_MAX: usize = 64;
/// Error codes of JSON-RPC.
const PARSE_ERROR: i64 = -32700;
const INTERNAL_ERROR: i64 = -32603;

/// A request of the editor without a response.
struct EditorRequest {
    id: Value,
    method: String,
    session: Option<String>,
    message: Value,
    is_sent: bool,
}

/// A session that the editor has open.
#[derive(Default)]
struct BridgedSession {
    cwd: String,
    cursor: Option<Value>,
}

/// The progress of a connection.
#[derive(Clone, Copy, PartialEq, Eq)]
enum BridgeProgress {
    /// Not connected.
    Down,
    /// The bridge introduces the editor again.
    Initializing,
    /// So many sessions are being opened again.
    Resuming(usize),
    /// Messages pass.
    Up,
}

/// The bridge.
pub(super) struct Bridge {
    link: BridgeProgress,
    /// The editor's `initialize`, once it was answered.
    initialize: Option<Value>,
    pending: Vec<EditorRequest>,
    sessions: BTreeMap<String, BridgedSession>,
    /// Requests of the server that the editor has not answered, with their sessions.
    asked: BTreeMap<String, String>,
    answers: VecDeque<(String, Value)>,
    held: VecDeque<Value>,
    to_editor: Vec<String>,
    to_server: Vec<String>,
}

fn text<'v>(value: &'v Value, pointer: &str) -> Option<&'v str> {
    value.pointer(pointer).and_then(Value::as_str)
}

/// Returns the project's own additions to the parameters of a message.
fn meta(message: &mut Value) -> Option<&mut serde_json::Map<String, Value>> {
    let params = message.as_object_mut()?.entry("params").or_insert_with(|| json!({}));
    object(object(params, "_meta")?, META)?.as_object_mut()
}

fn object<'v>(value: &'v mut Value, name: &str) -> Option<&'v mut Value> {
    let field = value.as_object_mut()?.entry(name).or_insert_with(|| json!({}));
    if field.is_null() {
        *field = json!({});
    }
    Some(field)
}

impl Bridge {
    /// A bridge without a connection.
    pub(super) const fn new() -> Self {
        Self {
            link: BridgeProgress::Down,
            initialize: None,
            pending: Vec::new(),
            sessions: BTreeMap::new(),
            asked: BTreeMap::new(),
            answers: VecDeque::new(),
            held: VecDeque::new(),
            to_editor: Vec::new(),
            to_server: Vec::new(),
        }
    }

    /// Takes the messages for the editor.
    pub(super) fn drain_editor(&mut self) -> Vec<String> {
        take(&mut self.to_editor)
    }

    /// Takes the messages for the server.
    pub(super) fn drain_server(&mut self) -> Vec<String> {
        take(&mut self.to_server)
    }

    /// A connection was made.
    pub(super) fn connected(&mut self) {
        self.to_server.clear();
        self.pending.iter_mut().for_each(|pending| pending.is_sent = false);
        match self.initialize.clone() {
            None => {
                self.link = BridgeProgress::Up;
                self.send_pending();
            }
            Some(mut initialize) => {
                self.link = BridgeProgress::Initializing;
                initialize["id"] = format!("{OWN}initialize").into();
                self.to_server.push(initialize.to_string());
            }
        }
    }

    /// The connection was lost.
    pub(super) fn disconnected(&mut self) {
        self.link = BridgeProgress::Down;
        self.to_server.clear();
    }

    /// Takes a line of the editor.
    pub(super) fn take_line(&mut self, line: &str) {
        if line.trim().is_empty() {
            return;
        }
        let message: Value = match serde_json::from_str(line) {
            Ok(message) => message,
            Err(error) => return self.refuse(&Value::Null, PARSE_ERROR, &format!("the line is not JSON: {error}")),
        };
        match (message.get("method").and_then(Value::as_str), message.get("id").cloned()) {
            (Some(method), Some(id)) => {
                let method = method.to_owned();
                self.request(id, method, message);
            }
            (None, Some(Value::String(id))) => {
                self.asked.remove(&id);
                if self.answers.len() == ANSWERS_MAX {
                    self.answers.pop_front();
                }
                self.answers.push_back((id, message.clone()));
                if self.link == BridgeProgress::Up {
                    self.to_server.push(message.to_string());
                }
            }
            _ if self.link == BridgeProgress::Up => self.to_server.push(message.to_string()),
            _ if self.held.len() < HELD_MAX => self.held.push_back(message),
            _ => {}
        }
    }

    fn request(&mut self, id: Value, method: String, mut message: Value) {
        if self.pending.len() == PENDING_MAX {
            let text = format!("{PENDING_MAX} requests wait for the server already");
            return self.refuse(&id, INTERNAL_ERROR, &text);
        }
        let unique = || uuid::Uuid::new_v4().to_string().into();
        match method.as_str() {
            "initialize" => {
                let able = message.get_mut("params").and_then(|params| object(params, "clientCapabilities"));
                if let Some(own) = able.and_then(|able| object(object(able, "_meta")?, META)) {
                    own["cursors"] = true.into();
                }
            }
            "session/prompt" => {
                if let Some(meta) = meta(&mut message) {
                    meta.entry("client_message_id").or_insert_with(unique);
                }
            }
            "session/new" => {
                if let Some(meta) = meta(&mut message) {
                    meta.entry("key").or_insert_with(unique);
                }
            }
            _ => {}
        }
        let session = text(&message, "/params/sessionId").map(str::to_owned);
        let is_sent = self.link == BridgeProgress::Up;
        if is_sent {
            self.to_server.push(message.to_string());
        }
        self.pending.push(EditorRequest { id, method, session, message, is_sent });
    }

    fn refuse(&mut self, id: &Value, code: i64, message: &str) {
        let error = json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message}});
        self.to_editor.push(error.to_string());
    }

    /// Takes a message of the server.
    pub(super) fn take_message(&mut self, message: &str) {
        let Ok(value) = serde_json::from_str::<Value>(message) else {
            return emit_note("rs-worker acp: the server has sent a message that is not JSON");
        };
        match (text(&value, "/method"), value.get("id")) {
            (Some(_), Some(Value::String(id))) => self.asked_by_server(id.clone(), &value, message),
            (Some("$/cancel_request"), None) => {
                let id = text(&value, "/params/requestId").unwrap_or_default();
                if self.asked.remove(id).is_some() {
                    self.to_editor.push(message.to_owned());
                }
            }
            (Some(_), _) => {
                let cursor = value.pointer("/params/_meta").and_then(|meta| meta.get(META)?.get("cursor"));
                if let (Some(session), Some(cursor)) = (text(&value, "/params/sessionId"), cursor) {
                    self.sessions.entry(session.to_owned()).or_default().cursor = Some(cursor.clone());
                }
                self.to_editor.push(message.to_owned());
            }
            (None, Some(Value::String(id))) if id.starts_with(OWN) => self.own_response(id, &value),
            (None, Some(id)) => self.response(id, &value, message),
            (None, None) => {}
        }
    }

    /// The server asks the editor: once, also if it asks again after a lost connection.
    fn asked_by_server(&mut self, id: String, value: &Value, message: &str) {
        if let Some((_, answer)) = self.answers.iter().find(|(known, _)| *known == id) {
            self.to_server.push(answer.to_string());
        } else if let Entry::Vacant(vacant) = self.asked.entry(id) {
            vacant.insert(text(value, "/params/sessionId").unwrap_or_default().to_owned());
            self.to_editor.push(message.to_owned());
        }
    }

    fn response(&mut self, id: &Value, value: &Value, message: &str) {
        let Some(at) = self.pending.iter().position(|pending| pending.id == *id) else {
            // A message that the server could not read belongs to no request.
            if id.is_null() {
                self.to_editor.push(message.to_owned());
            }
            return;
        };
        let done = self.pending.remove(at);
        let cwd = || text(&done.message, "/params/cwd").unwrap_or_default().to_owned();
        if let Some(result) = value.get("result") {
            match (done.method.as_str(), &done.session) {
                ("initialize", _) => self.initialize = Some(done.message.clone()),
                ("session/new", _) => {
                    let session = text(result, "/sessionId").unwrap_or_default().to_owned();
                    self.sessions.entry(session).or_default().cwd = cwd();
                }
                ("session/load" | "session/resume", Some(session)) => {
                    self.sessions.entry(session.clone()).or_default().cwd = cwd();
                    self.opened(session, result);
                }
                ("session/close" | "session/delete", Some(session)) => drop(self.sessions.remove(session)),
                _ => {}
            }
        } else if let ("session/load" | "session/resume", Some(session)) = (done.method.as_str(), &done.session) {
            self.sessions.remove(session);
        }
        self.to_editor.push(message.to_owned());
    }

    /// A session is open: what the server no longer asks is taken back.
    fn opened(&mut self, session: &str, result: &Value) {
        let Some(own) = result.get("_meta").and_then(|meta| meta.get(META)) else { return };
        if let Some(known) = self.sessions.get_mut(session) {
            known.cursor = own.get("cursor").cloned().or(known.cursor.take());
        }
        let open: Vec<&str> = own["open"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        self.take_back(session, &open);
    }

    fn take_back(&mut self, session: &str, open: &[&str]) {
        let to_editor = &mut self.to_editor;
        self.asked.retain(|id, of| {
            let stays = of != session || open.contains(&id.as_str());
            if !stays {
                let params = json!({"requestId": id});
                to_editor.push(json!({"jsonrpc": "2.0", "method": "$/cancel_request", "params": params}).to_string());
            }
            stays
        });
    }

    /// The server has answered the bridge itself.
    fn own_response(&mut self, id: &str, value: &Value) {
        if self.link == BridgeProgress::Initializing {
            return self.resume_sessions();
        }
        let session = id.trim_start_matches(OWN).trim_start_matches("resume/");
        match value.get("error") {
            None => self.opened(session, value.get("result").unwrap_or(&Value::Null)),
            Some(error) => self.lose(session, error),
        }
        if let BridgeProgress::Resuming(left) = self.link {
            self.link = if left > 1 { BridgeProgress::Resuming(left - 1) } else { BridgeProgress::Up };
            self.send_pending();
        }
    }

    /// Opens the sessions again, those apart that the editor is just opening.
    fn resume_sessions(&mut self) {
        let is_opening = |session: &String| {
            let opens = |it: &EditorRequest| matches!(it.method.as_str(), "session/load" | "session/resume");
            self.pending.iter().any(|it| opens(it) && it.session.as_ref() == Some(session))
        };
        let resume = |(session, known): (&String, &BridgedSession)| {
            let cursor = known.cursor.clone().unwrap_or_else(|| json!({"seq": 0}));
            let own = json!({META: {"cursor": cursor, "prompts": self.prompts(session)}});
            let params = json!({"sessionId": session, "cwd": known.cwd, "mcpServers": [], "_meta": own});
            let id = format!("{OWN}resume/{session}");
            json!({"jsonrpc": "2.0", "id": id, "method": "session/resume", "params": params}).to_string()
        };
        let resumed: Vec<String> =
            self.sessions.iter().filter(|(session, _)| !is_opening(session)).map(resume).collect();
        self.link = if resumed.is_empty() { BridgeProgress::Up } else { BridgeProgress::Resuming(resumed.len()) };
        self.to_server.extend(resumed);
        self.send_pending();
    }

    /// The prompts of a session without a response.
    fn prompts(&self, session: &str) -> Vec<Value> {
        let is_one = |it: &&EditorRequest| it.method == "session/prompt" && it.session.as_deref() == Some(session);
        let prompt = |it: &EditorRequest| {
            let id = it.message.pointer("/params/_meta").and_then(|meta| meta.get(META)?.get("client_message_id"));
            json!({"id": it.id, "client_message_id": id})
        };
        self.pending.iter().filter(is_one).map(prompt).collect()
    }

    /// Sends what was not sent on this connection, once the sessions are open.
    fn send_pending(&mut self) {
        if self.link != BridgeProgress::Up {
            return;
        }
        for pending in self.pending.iter_mut().filter(|pending| !pending.is_sent) {
            pending.is_sent = true;
            let known = pending.session.as_ref().and_then(|session| self.sessions.get(session));
            if let ("session/load", Some(cursor)) = (pending.method.as_str(), known.and_then(|it| it.cursor.clone()))
                && let Some(meta) = meta(&mut pending.message)
            {
                meta.insert("cursor".to_owned(), cursor);
            }
            self.to_server.push(pending.message.to_string());
        }
        self.to_server.extend(self.held.drain(..).map(|message| message.to_string()));
    }

    /// A session cannot be opened again.
    fn lose(&mut self, session: &str, error: &Value) {
        self.sessions.remove(session);
        let to_editor = &mut self.to_editor;
        self.pending.retain(|pending| {
            let is_its = pending.session.as_deref() == Some(session);
            if is_its {
                to_editor.push(json!({"jsonrpc": "2.0", "id": pending.id, "error": error}).to_string());
            }
            !is_its
        });
        self.take_back(session, &[]);
    }
}

#[cfg(test)]
mod tests;
