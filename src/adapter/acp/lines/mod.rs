//! The lines of the protocol, one file for each group that changes together.

mod calls;
mod input;
mod name;
mod notices;
mod output;
mod partial;
mod prompts;
mod responses;
mod turns;
mod updates;

pub(super) use name::name_in_id;

use serde_json::Value;

use super::state::{AcpState, Decline, FILE_REQUESTS_MAX, FileAsk};
use super::{Dialect, files, rpc};
use crate::adapter::kit::{Emitter, LineFold, field, lines};
use crate::journal::Record;
use crate::json::MalformedJson;

/// The namespaces of the protocol's own methods.
const NAMESPACES: [&str; 10] =
    ["$", "auth", "document", "elicitation", "fs", "mcp", "nes", "providers", "session", "terminal"];

/// Returns true for a method that is an agent's own addition: the protocol has clients ignore such notifications. Some
/// agents leave out the underscore that should mark them.
fn is_extension(method: &str) -> bool {
    method.starts_with('_') || method.split_once('/').is_some_and(|(space, _)| !NAMESPACES.contains(&space))
}

/// One step of the fold: a record meets the state, and its events are added to `out`.
pub(super) struct AcpFold<'f, 'r> {
    pub(super) state: &'f mut AcpState,
    pub(super) dialect: &'f Dialect,
    pub(super) record: &'f Record<'r>,
    pub(super) out: Emitter<'f, 'r>,
}

impl LineFold for AcpFold<'_, '_> {
    fn broken(&mut self, mut broken: MalformedJson) {
        self.out.broken_line(&broken.text);
        if let Some(id) = lines::id_of_broken_request(&mut broken) {
            self.state.decline(Decline { id, method: rpc::UNREADABLE.to_owned() });
        }
    }

    fn value(&mut self, mut line: Value) {
        if let Some(text) = lines::damaged_request(&line) {
            self.unknown(line, "a request with a damaged id");
            return self.out.unread_request(&text);
        }
        let method = field::text(&line, "method").map(str::to_owned);
        let id = line.get("id").filter(|id| !id.is_null()).cloned();
        match (method, id) {
            (Some(method), Some(id)) => self.asked(&method, id, field::take(&mut line, "params")),
            (Some(method), None) => self.notified(&method, line),
            (None, Some(id)) => self.responded(&id, line),
            (None, None) => self.unknown(line, "a line that is not a message of the protocol"),
        }
    }
}

impl AcpFold<'_, '_> {
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
            "auth/status_update" => self.auth_status(line.get("params").unwrap_or(&Value::Null)),
            "elicitation/complete" => {}
            other if is_extension(other) => {}
            other => {
                let what = format!("a notification {other}");
                self.unknown(line, &what);
            }
        }
    }

    /// Accepts a request of the agent. One that is not a prompt for people is declined at once, so that the agent never
    /// waits in vain.
    fn asked(&mut self, method: &str, id: Value, params: Value) {
        if method == "session/request_permission" && self.may_ask() {
            return self.permission(id, params);
        }
        if method == "elicitation/create" && self.may_ask() {
            return self.form(id, &params);
        }
        let served = self.dialect.client_files && self.state.files.len() < FILE_REQUESTS_MAX;
        if served && files::is_request(method) {
            return self.state.files.push(FileAsk { id, seq: self.record.seq });
        }
        self.state.decline(Decline { id: id.clone(), method: method.to_owned() });
        // Agents try these although they are not offered, and then use their own files.
        if method.starts_with("fs/") || is_extension(method) {
            return;
        }
        let raw = serde_json::json!({"id": id, "method": method, "params": params});
        self.out.unknown(format!("{} asks for {method}, which rs-worker declines", self.dialect.name), raw);
        self.out.request_declined(method);
    }

    /// Ends the turn with its process.
    pub(super) fn process_ended(&mut self) {
        self.flush();
        if self.state.turn.is_some() {
            self.end_turn(turns::AcpTurnEnd::of_the_process());
        }
    }

    /// Passes on what this build does not know.
    fn unknown(&mut self, raw: Value, what: &str) {
        self.out.unknown(format!("{} sent {what}, which rs-worker does not know", self.dialect.name), raw);
    }

    /// Reports the turn's message as consumed, once the agent works on it.
    fn mark_consumed(&mut self) {
        let prompt = self.state.turn.as_mut().and_then(|turn| turn.sent.first_mut());
        if let Some(id) = prompt.and_then(|prompt| prompt.message_id.take()) {
            self.out.consumed(id);
        }
    }
}
