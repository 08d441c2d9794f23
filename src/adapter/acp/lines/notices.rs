//! Updates outside of messages: notices, compactions, plans under an id, sub-agents, the login.

use serde_json::Value;

use super::AcpFold;
use super::partial::text_of;
use crate::adapter::acp::state::{Compaction, MESSAGE_BYTES_MAX, Speaker};
use crate::adapter::kit::{field, text};
use crate::event::Body;

impl AcpFold<'_, '_> {
    /// Takes an update of one of these kinds; whether it is of one.
    pub(super) fn notified_of(&mut self, kind: &str, update: &mut Value) -> bool {
        match kind {
            "notice" => self.agent_notice(update),
            "compaction_update" => self.compaction(update),
            "compaction_summary_chunk" => self.compaction_summary(update),
            "plan_update" => self.plan_updated(update.get("plan").unwrap_or(&Value::Null)),
            "plan_removed" => {
                self.flush();
                self.out.emit("The plan was removed", Body::Plan { entries: Vec::new() });
            }
            "subagent_update" => self.sub_agent(update),
            "session_message" => self.whole(Speaker::Session, update),
            "session_message_chunk" => self.piece(Speaker::Session, update.take()),
            "agent_message" => {
                self.mark_consumed();
                self.whole(Speaker::Agent, update);
            }
            "agent_thought" => {
                self.mark_consumed();
                self.whole(Speaker::Thought, update);
            }
            _ => return false,
        }
        true
    }

    fn agent_notice(&mut self, notice: &Value) {
        let severity = field::text(notice, "severity").unwrap_or("info");
        let said = ["title", "message", "description"].iter().filter_map(|key| field::text(notice, key));
        let said: Vec<&str> = said.map(str::trim).filter(|text| !text.is_empty()).collect();
        let text = text::cut(said.join("\n"), text::STRING_MAX);
        self.flush();
        match severity {
            "error" => self.out.error("agent_error", text),
            "warning" => self.out.notice("agent_warning", text),
            _ => self.out.notice("agent_notice", text),
        }
    }

    fn compaction(&mut self, update: &Value) {
        let id = field::text_or_empty(update, "compactionId");
        let whole = update.get("summary").and_then(Value::as_array).map(|blocks| blocks.iter().map(text_of).collect());
        let so_far = self.state.compaction.take().filter(|compaction| compaction.id == id);
        let is_new = so_far.is_none();
        let summary: String = whole.or_else(|| so_far.map(|it| it.summary)).unwrap_or_default();
        self.flush();
        match field::text(update, "status") {
            Some("completed") => {
                let about = if summary.trim().is_empty() { String::new() } else { format!(": {}", summary.trim()) };
                self.out.notice("compacted", format!("The conversation was compacted{about}"));
            }
            Some("failed") => {
                let why = field::text(update, "error").unwrap_or("no reason given");
                self.out.notice("compact_failed", format!("The conversation was not compacted: {why}"));
            }
            Some("cancelled") => self.out.notice("compact_failed", "The compaction was cancelled".to_owned()),
            _ => {
                let summary = text::cut(summary, MESSAGE_BYTES_MAX);
                self.state.compaction = Some(Compaction { id: id.to_owned(), summary });
                if is_new {
                    self.out.notice("compacting", "Compacting the conversation".to_owned());
                }
            }
        }
    }

    fn compaction_summary(&mut self, update: &Value) {
        let id = field::text_or_empty(update, "compactionId");
        let text = update.get("content").map(text_of).unwrap_or_default();
        if let Some(compaction) = self.state.compaction.as_mut().filter(|compaction| compaction.id == id)
            && compaction.summary.len() + text.len() <= MESSAGE_BYTES_MAX
        {
            compaction.summary.push_str(&text);
        }
    }

    fn plan_updated(&mut self, plan: &Value) {
        if let Some(text) = field::text(plan, "content") {
            self.flush();
            return self.out.notice("plan", text.to_owned());
        }
        if let Some(uri) = field::text(plan, "uri") {
            self.flush();
            return self.out.notice("plan", format!("The plan is in {uri}"));
        }
        self.plan(plan.get("entries").unwrap_or(&Value::Null));
    }

    fn sub_agent(&mut self, update: &Value) {
        let text = |key| field::text(update, key).filter(|text| !text.is_empty());
        let name = text("title").or_else(|| text("description")).or_else(|| text("sessionId")).unwrap_or("a session");
        let state = update.get("state").and_then(|state| field::text(state, "state"));
        let state = state.map(|state| format!(": {}", state.replace('_', " "))).unwrap_or_default();
        self.out.notice("subagent", format!("Sub-agent {name}{state}"));
    }

    /// The agent says whether it is logged in.
    pub(super) fn auth_status(&mut self, params: &Value) {
        if field::text(params, "state") == Some("unauthenticated") {
            let text = format!("{} is not logged in. {}", self.dialect.name, self.dialect.login);
            self.out.error("authentication_failed", text);
        }
    }
}
