//! The lines of the protocol, one file for each group that changes together.

mod ask;
mod input;
mod message;
mod response;
mod tool;
mod update;

pub(super) use tool::name_in_id;

use serde_json::{Value, json};

use super::state::{Decline, FILES_MAX, FileAsk, State};
use super::{Dialect, files};
use crate::adapter::{common, field};
use crate::event::{Body, Event, Sink, Text};
use crate::journal::Record;

/// Longest reason that the readable text of a failed turn repeats, in bytes.
pub(super) const REASON_MAX: usize = 1_000;

/// One step of the fold: a record meets the state, and its events go to the sink.
pub(super) struct Fold<'f> {
    pub(super) state: &'f mut State,
    pub(super) dialect: &'f Dialect,
    pub(super) record: &'f Record<'f>,
    pub(super) sink: &'f mut dyn Sink,
}

impl Fold<'_> {
    /// Takes a whole line of stdout.
    pub(super) fn output(&mut self) {
        let Ok(mut line) = serde_json::from_slice::<Value>(self.record.payload) else {
            return common::plain_line(self.record, self.sink);
        };
        let method = field::text(&line, "method").map(str::to_owned);
        let id = line.get("id").filter(|id| !id.is_null()).cloned();
        match (method, id) {
            (Some(method), Some(id)) => self.asked(&method, id, field::take(&mut line, "params")),
            (Some(method), None) => self.notified(&method, line),
            (None, Some(id)) => self.responded(&id, line),
            (None, None) => self.unknown(line, "a line that is no message of the protocol"),
        }
    }

    fn notified(&mut self, method: &str, mut line: Value) {
        match method {
            "session/update" => {
                let mut params = field::take(&mut line, "params");
                let update = field::take(&mut params, "update");
                self.update(update);
            }
            "$/cancel_request" => {
                let params = field::take(&mut line, "params");
                self.withdrawn(params.get("requestId").or_else(|| params.get("id")).unwrap_or(&Value::Null));
            }
            other => {
                let what = format!("a notification {other}");
                self.unknown(line, &what);
            }
        }
    }

    /// The agent asks. What is no prompt for people is declined at once, so that it never waits for nothing.
    fn asked(&mut self, method: &str, id: Value, params: Value) {
        if method == "session/request_permission" && self.may_ask() {
            return self.ask(id, params);
        }
        let served = self.dialect.client_files && self.state.files.len() < FILES_MAX;
        if served && files::is_request(method) {
            return self.state.files.push(FileAsk { id, seq: self.record.seq });
        }
        self.state.decline(Decline { id: id.clone(), method: method.to_owned() });
        // Agents try these although they were told that there is no such thing, and then use their own files.
        if method.starts_with("fs/") {
            return;
        }
        let name = &self.dialect.name;
        let what = format!("{name} asks for {method}, which rs-worker declines");
        let mut raw = json!({"id": id, "method": method, "params": params});
        common::bound(&mut raw);
        self.tell(what, Body::Unknown { raw });
    }

    /// The process has ended: so has its turn.
    pub(super) fn process_ended(&mut self) {
        self.flush();
        if self.state.turn.is_some() {
            self.end_turn(super::lines::response::End::of_the_process());
        }
    }

    /// Tells an event.
    fn tell<'e>(&mut self, content: impl Into<Text<'e>>, body: Body<'e>) {
        self.sink.event(Event::new(content, body));
    }

    /// Tells an error.
    fn error(&mut self, code: &str, text: impl Into<String>) {
        self.tell(text.into(), Body::Error { code: code.into() });
    }

    /// Tells something that is no message of the agent.
    fn notice(&mut self, code: &str, text: String) {
        self.tell(common::cut(text, common::STRING_MAX), Body::Notice { code: code.into() });
    }

    /// Passes on what this build does not know.
    fn unknown(&mut self, mut raw: Value, what: &str) {
        common::bound(&mut raw);
        let content = format!("{} sent {what}, which rs-worker does not know", self.dialect.name);
        self.tell(content, Body::Unknown { raw });
    }

    /// The agent shows that it works on the turn's message.
    fn took(&mut self) {
        let prompt = self.state.turn.as_mut().and_then(|turn| turn.prompts.first_mut());
        if let Some(id) = prompt.and_then(|prompt| prompt.message_id.take()) {
            self.consumed(id);
        }
    }

    fn consumed(&mut self, id: String) {
        self.tell(
            "The agent took the message",
            Body::MessageState { message_id: id.into(), client_message_id: None, state: "consumed", text: None },
        );
    }
}
