//! One session on one connection: the events of its worker, in order, as messages to the client. It belongs to the
//! connection's writing thread.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use super::rpc::{self, INTERNAL_ERROR, META, NOT_FOUND, RpcError};
use super::shared::{AwaitedPrompt, ConnectionState, Editor, OpenRequest, SessionCursor};
use super::updates::{self, text};
use super::{content, form, options};
use crate::adapter::agent_options::AgentOption;
use crate::wire;
use crate::worker::Worker;
use crate::worker::history::archive::Selection;
use crate::worker::history::blocks::BlockScope;

/// Tool calls that are known as such; beyond that, the first sign of one counts as its beginning again.
const CALLS_MAX: usize = 10_000;
/// Tool calls before a cursor that are looked for.
const CALLS_BEFORE: usize = 256;
/// Events in which the latest list of commands is looked for.
const COMMANDS_BEFORE: usize = 64;

/// The shared parts of a connection.
pub(super) type SharedParts = Arc<Mutex<ConnectionState<SessionView>>>;

/// Locks the shared parts.
pub(super) fn lock(shared: &SharedParts) -> MutexGuard<'_, ConnectionState<SessionView>> {
    // No code panics while it holds this lock in a way that leaves it inconsistent.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The beginning of a view.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum ViewStart {
    /// The whole history, then live.
    Beginning,
    /// Live.
    Live,
    /// After what the client has.
    After(SessionCursor),
}

/// A session on a connection.
pub(super) struct SessionView {
    worker: Arc<Worker>,
    shared: SharedParts,
    editor: Editor,
    /// True if the client may answer prompts.
    may_answer: bool,
    project: String,
    cursor: SessionCursor,
    start: ViewStart,
    calls: HashSet<String>,
    /// True once the replay is over.
    is_live: bool,
    /// True while the journal is read again from its beginning, because the cursor was lost.
    is_muted: bool,
    /// The request that is answered when the replay is over.
    reply: Option<Value>,
}

impl SessionView {
    /// Creates the view of a worker, whose journal ends after the event `last`.
    pub(super) fn new(
        worker: &Arc<Worker>,
        shared: &SharedParts,
        (editor, may_answer): (Editor, bool),
        (start, last): (ViewStart, u64),
        reply: Option<Value>,
    ) -> Self {
        let cursor = match &start {
            ViewStart::Beginning => SessionCursor::default(),
            ViewStart::Live => SessionCursor { seq: last, ..SessionCursor::default() },
            ViewStart::After(cursor) => cursor.clone(),
        };
        let mut view = Self {
            worker: Arc::clone(worker),
            shared: Arc::clone(shared),
            editor,
            may_answer,
            project: worker.state().project_path.clone(),
            calls: HashSet::new(),
            is_live: false,
            is_muted: false,
            cursor,
            start,
            reply,
        };
        view.learn_calls();
        view
    }

    /// Reads which tool calls the client knows already.
    fn learn_calls(&mut self) {
        if self.start == ViewStart::Beginning {
            return;
        }
        for event in self.events_before(CALLS_BEFORE, "tool_call") {
            self.calls.insert(text(&event, "tool_call_id").to_owned());
        }
    }

    /// Returns the newest events of a type up to the cursor.
    fn events_before(&self, limit: usize, kind: &str) -> Vec<Value> {
        let filter = |name: &str| name == kind;
        let selection = Selection { limit, filter: &filter, blocks: BlockScope::Nothing };
        match self.worker.archive().page_before(self.cursor.seq.saturating_add(1), &selection) {
            Ok(page) => page.events.iter().filter_map(|event| serde_json::from_slice(&event.json).ok()).collect(),
            Err(error) => {
                log::error!("worker {}: its history cannot be read: {error}", self.worker.id());
                Vec::new()
            }
        }
    }

    /// Appends what becomes of a frame of the worker's stream. Returns false when the worker is gone.
    pub(super) fn frame(&mut self, frame: &Value, out: &mut Vec<u8>) -> bool {
        match text(frame, "type") {
            "output" if self.is_muted => {}
            "output" => match frame.get("seq").and_then(Value::as_u64) {
                Some(seq) => self.event(seq, &frame["content"], out),
                None => self.piece(&frame["content"], out),
            },
            "resync_required" => self.is_muted = true,
            "replay_complete" => self.replayed(frame, out),
            "worker_deleted" => {
                self.worker_deleted(out);
                return false;
            }
            _ => {}
        }
        true
    }

    fn piece(&mut self, event: &Value, out: &mut Vec<u8>) {
        let (of, id) = (text(event, "of"), event.get("message_id").and_then(Value::as_str));
        let offset = event.get("offset").and_then(Value::as_u64).unwrap_or_default();
        let rest = self.cursor.take_piece(of, id, offset, text(event, "content"));
        if !rest.is_empty() {
            self.update(&updates::chunk(updates::chunk_kind(of), id, content::text(rest)), out);
        }
    }

    fn event(&mut self, seq: u64, event: &Value, out: &mut Vec<u8>) {
        let kind = text(event, "type");
        // What ends a turn is repeated after a lost connection until its prompts are answered.
        let is_end = kind == "turn_completed";
        let updates = self.updates(seq, event);
        let has = self.cursor.skip.take_if(|(at, _)| *at == seq).map_or(0, |(_, has)| has);
        let count = updates.len();
        for (place, update) in updates.iter().enumerate().skip(has) {
            if place + 1 == count && !is_end {
                self.cursor.seq = seq;
            } else {
                self.cursor.skip = Some((seq, place + 1));
            }
            self.update(update, out);
        }
        self.settle(seq, event, out);
        (self.cursor.seq, self.cursor.skip) = (seq, None);
    }

    /// The updates that an event makes.
    fn updates(&mut self, seq: u64, event: &Value) -> Vec<Value> {
        let id = event.get("message_id").and_then(Value::as_str);
        let is_of_agent = event.get("parent_tool_call_id").is_none();
        match text(event, "type") {
            kind @ ("assistant" | "thinking") if is_of_agent => {
                let rest = self.cursor.take_whole(kind, id, text(event, "content"));
                let block = content::text(rest);
                if rest.is_empty() { Vec::new() } else { vec![updates::chunk(updates::chunk_kind(kind), id, block)] }
            }
            "user" if !self.is_own(event) => self.user(seq, event),
            "tool_call" => {
                if self.calls.len() == CALLS_MAX {
                    self.calls.clear();
                }
                let is_known = !self.calls.insert(text(event, "tool_call_id").to_owned());
                vec![updates::tool_call(&self.project, event, is_known)]
            }
            "tool_result" => {
                let images = event["images"].as_array().map_or(0, Vec::len);
                let images = (0..images).filter_map(|index| self.image(seq, index)).collect();
                vec![updates::tool_result(&self.project, event, images)]
            }
            "plan" => vec![updates::plan(event)],
            "session" => self.session(event),
            "options" => self.options().into_iter().collect(),
            "usage" => {
                let of = |name: &str| event.get(name).and_then(Value::as_u64);
                updates::usage(of("context_tokens"), of("context_window"), self.cost()).into_iter().collect()
            }
            "turn_completed" => {
                self.cursor.pieces.clear();
                let summary = self.is_live.then(|| self.worker.summary());
                let usage = summary.and_then(|it| updates::usage(it.context_tokens, it.context_window, it.cost_usd));
                usage.into_iter().collect()
            }
            "exit" => {
                self.cursor.pieces.clear();
                Vec::new()
            }
            "notice" | "error" if self.editor.takes_notices && self.start != ViewStart::Beginning => {
                vec![updates::notice(event)]
            }
            _ => Vec::new(),
        }
    }

    fn cost(&self) -> f64 {
        self.worker.state().cost_nano_usd as f64 / 1e9
    }

    /// Returns whether a message is a prompt of this client, which shows it already.
    fn is_own(&self, event: &Value) -> bool {
        let id = text(event, "client_message_id");
        !id.is_empty() && lock(&self.shared).prompt(id).is_some()
    }

    fn user(&self, seq: u64, event: &Value) -> Vec<Value> {
        let id = event.get("message_id").and_then(Value::as_str);
        let mut blocks = Vec::new();
        if !text(event, "content").is_empty() {
            blocks.push(content::text(text(event, "content")));
        }
        let attachments = event["attachments"].as_array().map(Vec::as_slice).unwrap_or_default();
        let mut images = 0;
        for attachment in attachments {
            let media_type = text(attachment, "media_type");
            let image = media_type.starts_with("image/").then(|| self.image(seq, images)).flatten();
            images += usize::from(media_type.starts_with("image/"));
            blocks.push(image.unwrap_or_else(|| {
                let name = attachment.get("name").and_then(Value::as_str).unwrap_or("attachment");
                json!({"type": "resource_link", "name": name, "uri": format!("attachment:///{name}"), "mimeType": media_type})
            }));
        }
        blocks.into_iter().map(|block| updates::chunk("user_message_chunk", id, block)).collect()
    }

    fn image(&self, seq: u64, index: usize) -> Option<Value> {
        let image = self.worker.archive().image(seq, index);
        let image = image.inspect_err(|error| log::error!("worker {}: no image at {seq}: {error}", self.worker.id()));
        image.ok().flatten().map(|image| content::image(image.media_type, &image.data))
    }

    fn session(&self, event: &Value) -> Vec<Value> {
        let mut updates = Vec::new();
        if let Some(commands) = event.get("commands").filter(|commands| commands.is_array()) {
            updates.push(updates::commands(commands));
        }
        if let Some(mode) = event.get("permission_mode").and_then(Value::as_str) {
            updates.push(json!({"sessionUpdate": "current_mode_update", "currentModeId": mode}));
        }
        updates
    }

    fn listed_options(&self) -> Vec<AgentOption> {
        let listed = self.worker.options();
        let listed = listed.inspect_err(|error| log::warn!("worker {}: its options: {error}", self.worker.id()));
        listed.ok().flatten().unwrap_or_default()
    }

    fn options(&self) -> Option<Value> {
        let config = options::config(&self.listed_options(), self.editor.takes_booleans);
        (!config.is_empty()).then(|| json!({"sessionUpdate": "config_option_update", "configOptions": config}))
    }

    /// Does what follows from an event beyond the updates: answers prompts, and asks.
    fn settle(&mut self, seq: u64, event: &Value, out: &mut Vec<u8>) {
        match text(event, "type") {
            "message_state" => self.message_state(seq, event, out),
            "turn_completed" => self.turn_completed(event, out),
            "permission_request" | "question" if self.is_live => self.ask(event, out),
            "permission_resolved" | "question_resolved" => self.withdraw(text(event, "request_id"), out),
            "status" if matches!(text(event, "status"), "failed" | "stopped") => {
                let reason = event.get("reason").and_then(Value::as_str).unwrap_or("the worker was stopped");
                self.end_prompts(&Err(RpcError::new(INTERNAL_ERROR, reason)), seq, out);
            }
            _ => {}
        }
    }

    fn message_state(&self, seq: u64, event: &Value, out: &mut Vec<u8>) {
        let message_id = text(event, "message_id");
        let mut shared = lock(&self.shared);
        if let Some(prompt) = shared.prompt(text(event, "client_message_id")).filter(|it| it.message_id.is_none()) {
            (prompt.message_id, prompt.accepted) = (Some(message_id.to_owned()), seq);
        }
        let result = match text(event, "state") {
            "removed" => Ok(json!({"stopReason": "cancelled"})),
            "lost" => Err(RpcError::new(INTERNAL_ERROR, "the agent ended before it took the message")),
            "consumed" => {
                let it = shared.prompts.iter_mut().find(|it| it.message_id.as_deref() == Some(message_id));
                return it.into_iter().for_each(|it| it.is_consumed = true);
            }
            _ => return,
        };
        let is_it = |it: &AwaitedPrompt| it.message_id.as_deref() == Some(message_id);
        write_all(&shared.answer(self.worker.id(), &result, is_it), out);
    }

    fn turn_completed(&self, event: &Value, out: &mut Vec<u8>) {
        let ids: Vec<&str> = event["message_ids"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let result = match updates::stop_reason(event) {
            Ok(reason) => Ok(json!({"stopReason": reason})),
            Err(said) => Err(RpcError::new(INTERNAL_ERROR, said)),
        };
        let answered = lock(&self.shared).answer(self.worker.id(), &result, |prompt| {
            prompt.is_consumed || prompt.message_id.as_deref().is_some_and(|id| ids.contains(&id))
        });
        write_all(&answered, out);
    }

    /// Answers the prompts that were accepted before the event `seq`.
    fn end_prompts(&self, result: &Result<Value, RpcError>, seq: u64, out: &mut Vec<u8>) {
        let is_over = |it: &AwaitedPrompt| it.message_id.is_some() && it.accepted < seq;
        write_all(&lock(&self.shared).answer(self.worker.id(), result, is_over), out);
    }

    /// The id of the request about a prompt: the same on every connection.
    fn request_key(&self, request_id: &str) -> String {
        format!("{}/{request_id}", self.worker.id())
    }

    /// Asks the client about an open prompt, once.
    fn ask(&self, prompt: &Value, out: &mut Vec<u8>) {
        let is_question = text(prompt, "type") == "question";
        if !self.may_answer || (is_question && !self.editor.takes_forms) {
            return;
        }
        let key = self.request_key(text(prompt, "request_id"));
        let questions = is_question.then(|| prompt["questions"].as_array().map_or(0, Vec::len));
        {
            let mut shared = lock(&self.shared);
            if shared.requests.contains_key(&key) {
                return;
            }
            let (worker, request_id) = (self.worker.id().to_owned(), text(prompt, "request_id").to_owned());
            shared.requests.insert(key.clone(), OpenRequest { worker, request_id, questions });
        }
        let id = Value::from(key);
        let (method, params) = if is_question {
            let mut params = json!({
                "sessionId": self.worker.id(),
                "mode": "form",
                "message": text(prompt, "content"),
                "requestedSchema": form::schema(&prompt["questions"]),
            });
            if let Some(call) = prompt.get("tool_call_id").filter(|call| call.is_string()) {
                params["toolCallId"] = call.clone();
            }
            ("elicitation/create", params)
        } else {
            ("session/request_permission", updates::permission(self.worker.id(), &self.project, prompt))
        };
        write(&rpc::request(&id, method, &params), out);
    }

    /// Takes back a request about a prompt that somebody else has answered.
    fn withdraw(&self, request_id: &str, out: &mut Vec<u8>) {
        let key = self.request_key(request_id);
        if lock(&self.shared).requests.remove(&key).is_some() {
            write(&rpc::notification("$/cancel_request", &json!({"requestId": key})), out);
        }
    }

    /// The client has everything up to here.
    fn replayed(&mut self, frame: &Value, out: &mut Vec<u8>) {
        if std::mem::take(&mut self.is_muted) {
            self.cursor.seq = frame.get("seq").and_then(Value::as_u64).unwrap_or_default();
        }
        self.is_live = true;
        let prompts: Vec<Value> = self
            .worker
            .views()
            .prompts(self.worker.id())
            .iter()
            .filter_map(|prompt| serde_json::to_value(prompt).ok())
            .collect();
        if let Some(id) = self.reply.take() {
            let mut result = options::opened(&self.listed_options(), self.editor.takes_booleans);
            if self.editor.takes_cursors {
                let open = prompts.iter().map(|prompt| Value::from(self.request_key(text(prompt, "request_id"))));
                result["_meta"] = json!({META: {"open": open.collect::<Vec<_>>(), "cursor": self.cursor.to_json()}});
            }
            write(&rpc::response(&id, &Ok(result)), out);
        }
        if self.start == ViewStart::Live {
            let listed = self.events_before(COMMANDS_BEFORE, "session");
            if let Some(commands) = listed.iter().rev().find_map(|event| event.get("commands")) {
                self.update(&updates::commands(commands), out);
            }
        }
        // What comes now is news.
        self.start = ViewStart::Live;
        prompts.iter().for_each(|prompt| self.ask(prompt, out));
    }

    fn worker_deleted(&self, out: &mut Vec<u8>) {
        let error = Err(RpcError::new(NOT_FOUND, "the session was deleted"));
        let mut shared = lock(&self.shared);
        let answered = shared.answer(self.worker.id(), &error, |_| true);
        let asked: Vec<String> = shared
            .requests
            .iter()
            .filter(|(_, request)| request.worker == self.worker.id())
            .map(|(key, _)| key.clone())
            .collect();
        asked.iter().for_each(|key| drop(shared.requests.remove(key)));
        drop(shared);
        write_all(&answered, out);
        for key in asked {
            write(&rpc::notification("$/cancel_request", &json!({"requestId": key})), out);
        }
    }

    fn update(&self, update: &Value, out: &mut Vec<u8>) {
        let mut params = json!({"sessionId": self.worker.id(), "update": update});
        if self.editor.takes_cursors {
            params["_meta"] = json!({META: {"cursor": self.cursor.to_json()}});
        }
        write(&rpc::notification("session/update", &params), out);
    }
}

/// Appends a message as a frame.
pub(super) fn write(message: &str, out: &mut Vec<u8>) {
    wire::text_frame(out, |payload| payload.extend_from_slice(message.as_bytes()));
}

fn write_all(messages: &[String], out: &mut Vec<u8>) {
    messages.iter().for_each(|message| write(message, out));
}
