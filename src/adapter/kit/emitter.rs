//! The events of one record as a fold adds them, in the words that all folds share.

use serde_json::{Value, json};

use super::text::{STRING_MAX, bound, cut};
use crate::adapter::agent_options::AgentOption;
use crate::event::{Body, Event, Text, TurnEnd};
use crate::fnv;
use crate::journal::{By, Record};

/// The code of errors about a request of the CLI that was not understood. The worker shows the last one as a warning.
pub(crate) const REQUEST_NOT_UNDERSTOOD: &str = "request_not_understood";
/// Longest part of such a request that the error repeats, in bytes.
const REQUEST_SHOWN_MAX: usize = 500;
/// Words of the protocols that occur in requests only.
const REQUEST_WORDS: [&str; 4] = ["control_request", "can_use_tool", "request_permission", "requestApproval"];

/// Adds the events of one record of one CLI.
#[derive(Debug)]
pub(in crate::adapter) struct Emitter<'o, 'r> {
    /// The CLI's name, for people.
    cli: &'o str,
    events: &'o mut Vec<Event<'r>>,
}

impl<'o, 'r> Emitter<'o, 'r> {
    /// Begins to add to `events`.
    pub(in crate::adapter) fn new(cli: &'o str, events: &'o mut Vec<Event<'r>>) -> Self {
        Self { cli, events }
    }

    /// Adds an event.
    pub(in crate::adapter) fn emit(&mut self, content: impl Into<Text<'r>>, body: Body<'r>) {
        self.events.push(Event::new(content, body));
    }

    /// Adds an event that is made already.
    pub(in crate::adapter) fn push(&mut self, event: Event<'r>) {
        self.events.push(event);
    }

    /// The events so far of this record.
    pub(in crate::adapter) fn events(&self) -> &[Event<'r>] {
        self.events
    }

    /// Adds an error.
    pub(in crate::adapter) fn error(&mut self, code: impl Into<Text<'r>>, text: impl Into<String>) {
        self.emit(cut(text.into(), STRING_MAX), Body::Error { code: code.into() });
    }

    /// Adds something worth knowing that is not a message of the agent, unless it says nothing.
    pub(in crate::adapter) fn notice(&mut self, code: impl Into<Text<'r>>, text: impl Into<String>) {
        let text = text.into();
        if !text.trim().is_empty() {
            self.emit(cut(text, STRING_MAX), Body::notice(code));
        }
    }

    /// Adds text of the agent, or its reasoning, unless it is empty.
    pub(in crate::adapter) fn said(
        &mut self,
        thinking: bool,
        message_id: Option<&str>,
        parent: Option<&str>,
        text: String,
    ) {
        if !text.is_empty() {
            let owned = |id: &str| Text::from(id.to_owned());
            self.emit(text, Body::said(thinking, message_id.map(owned), parent.map(owned)));
        }
    }

    /// Adds a piece of a message that is being written, unless it is empty.
    pub(in crate::adapter) fn piece(
        &mut self,
        thinking: bool,
        message_id: Option<impl Into<Text<'r>>>,
        text: impl Into<Text<'r>>,
    ) {
        let text = text.into();
        if !text.is_empty() {
            self.events.push(Event::piece(message_id.map(Into::into), piece_of(thinking), text));
        }
    }

    /// Adds a message to the CLI that no client of ours sent.
    pub(in crate::adapter) fn foreign_message(&mut self, text: String) {
        self.foreign_message_with(text, Vec::new());
    }

    /// The same with attachments, without their data.
    pub(in crate::adapter) fn foreign_message_with(&mut self, text: String, attachments: Vec<Value>) {
        self.emit(text, Body::User { message_id: None, client_message_id: None, attachments });
    }

    /// Says that the agent took a message of ours.
    pub(in crate::adapter) fn consumed(&mut self, message_id: String) {
        let message_id = message_id.into();
        let body = Body::MessageState {
            message_id,
            client_message_id: None,
            state: "consumed",
            text: None,
            attachments: None,
        };
        self.emit("The agent took the message", body);
    }

    /// Says that a turn has begun.
    pub(in crate::adapter) fn turn_started(&mut self, turn_id: String) {
        self.emit("Turn started", Body::TurnStarted { turn_id: turn_id.into() });
    }

    /// Says that a turn has ended with its process.
    pub(in crate::adapter) fn turn_lost(&mut self, turn_id: String, message_ids: Option<Vec<String>>) {
        let (turn_id, stop_reason) = (turn_id.into(), "process_ended".into());
        let end = TurnEnd { turn_id, message_ids, stop_reason, is_error: true, ..TurnEnd::default() };
        self.emit("Turn ended: the process ended", Body::TurnCompleted(end));
    }

    /// Says that a prompt is no longer open, because the CLI has withdrawn it.
    pub(in crate::adapter) fn withdrawn(&mut self, request_id: String, is_question: bool) {
        let text = if is_question { "The question was withdrawn" } else { "The permission prompt was withdrawn" };
        self.emit(text, withdrawn(request_id, is_question));
    }

    /// Adds the CLI's options when they are news. `hash` is that of the options as last reported.
    pub(in crate::adapter) fn options(&mut self, options: &[AgentOption], hash: &mut u64) {
        let list = json!(options);
        let now = fnv::hash_json(&list);
        if *hash != now {
            *hash = now;
            self.emit(format!("{} options", options.len()), Body::Options { options: list });
        }
    }

    /// Adds the agent's to-do list, of entries with their texts and statuses.
    pub(in crate::adapter) fn checklist<'e>(&mut self, list: impl IntoIterator<Item = (&'e str, &'e str)>) {
        let (mut lines, mut entries) = (Vec::new(), Vec::new());
        for (text, status) in list {
            let mark = match status {
                "completed" => "x",
                "in_progress" => "~",
                _ => " ",
            };
            lines.push(format!("[{mark}] {text}"));
            entries.push(json!({"text": text, "status": status}));
        }
        self.emit(lines.join("\n"), Body::Plan { entries });
    }

    /// Adds what this build does not know of the CLI's lines.
    pub(in crate::adapter) fn unknown(&mut self, content: impl Into<Text<'r>>, mut raw: Value) {
        bound(&mut raw);
        self.emit(content, Body::Unknown { raw });
    }

    /// Adds a line of the CLI's stderr, unless it is blank.
    pub(in crate::adapter) fn stderr(&mut self, record: &Record<'r>) {
        let line = String::from_utf8_lossy(record.payload);
        if !line.trim().is_empty() {
            self.emit(line, Body::Stderr {});
        }
    }

    /// Adds text that is not of the CLI's protocol, unless it is blank.
    pub(in crate::adapter) fn plain_text(&mut self, text: &str) {
        let text = cut(text.to_owned(), STRING_MAX);
        if !text.trim().is_empty() {
            self.emit(text.clone(), Body::Unknown { raw: Value::String(text) });
        }
    }

    /// Adds the part of a line that is not JSON. If it looks like a request, the CLI may wait for an answer, so it is an
    /// error as well.
    pub(in crate::adapter) fn broken_line(&mut self, text: &str) {
        self.plain_text(text);
        if is_like_request(text) {
            self.unread_request(text);
        }
    }

    /// Adds a piece of a line that was too long to be read.
    pub(in crate::adapter) fn line_part(&mut self, record: &Record<'_>) {
        self.broken_line(&String::from_utf8_lossy(record.payload));
    }

    /// Says that a request of the CLI cannot be read, and so not be answered.
    pub(in crate::adapter) fn unread_request(&mut self, request: &str) {
        let (cli, shown) = (self.cli, cut(request.to_owned(), REQUEST_SHOWN_MAX));
        let content = format!(
            "{cli} asks for something that rs-worker cannot read, and may wait for an answer; interrupt it if it does not \
             continue: {shown}"
        );
        self.emit(content, Body::Error { code: REQUEST_NOT_UNDERSTOOD.into() });
    }

    /// Says that a request of the CLI was declined, because rs-worker has nothing for it.
    pub(in crate::adapter) fn request_declined(&mut self, request: &str) {
        let content = format!("{} asked for {request}, which rs-worker does not support; it was declined", self.cli);
        self.emit(content, Body::Error { code: REQUEST_NOT_UNDERSTOOD.into() });
    }
}

/// The end of a prompt that the CLI has withdrawn.
pub(in crate::adapter) fn withdrawn(request_id: String, is_question: bool) -> Body<'static> {
    let (request_id, by) = (request_id.into(), By::Cli);
    if is_question {
        Body::QuestionResolved { request_id, answers: None, by }
    } else {
        Body::PermissionResolved { request_id, decision: "cancelled".into(), by, rule: None, updated_input: None }
    }
}

/// The `of` of a piece.
const fn piece_of(thinking: bool) -> &'static str {
    if thinking { "thinking" } else { "assistant" }
}

/// Returns true for text that is not JSON and may be a request of one of the protocols: JSON-RPC's have a method and an id.
pub(in crate::adapter) fn is_like_request(text: &str) -> bool {
    let is_call = || text.contains("\"method\"") && text.contains("\"id\"");
    text.contains('{') && (REQUEST_WORDS.iter().any(|word| text.contains(word)) || is_call())
}
