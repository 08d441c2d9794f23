//! Requests of the CLI: permission prompts, questions, and what is declined.

use serde_json::{Value, json};

use super::{ClaudeFold, prompt};
use crate::adapter::claude::state::{PROMPTS_MAX, PendingRequest, Prompt};
use crate::adapter::claude::tools;
use crate::adapter::kit::{Form, field, session, text};
use crate::event::{Body, Text};

/// The tool with which the agent asks its user something.
pub(in crate::adapter::claude) const QUESTION_TOOL: &str = "AskUserQuestion";
/// The subtype of a request that broke off before it said what it asks for.
pub(in crate::adapter::claude) const UNREADABLE: &str = "unreadable";

impl ClaudeFold<'_, '_> {
    /// Accepts a request of the CLI. One that is not a prompt for people is declined at once, so that the CLI never waits
    /// in vain.
    pub(super) fn control_request(&mut self, mut line: Value) {
        let id = field::text(&line, "request_id").filter(|id| !session::is_damaged(id)).map(str::to_owned);
        let Some(id) = id else {
            let text = line.to_string();
            self.unknown(line, Some("control_request"));
            return self.out.unread_request(&text);
        };
        let mut request = field::take(&mut line, "request");
        let subtype = field::text_or_empty(&request, "subtype").to_owned();
        if subtype == "can_use_tool" && self.state.prompts.len() < PROMPTS_MAX {
            return self.can_use_tool(id, &mut request);
        }
        if subtype == "elicitation" && self.state.prompts.len() < PROMPTS_MAX && self.elicitation(&id, &request) {
            return;
        }
        self.state.decline(PendingRequest { id: id.clone(), subtype: subtype.clone(), ..PendingRequest::default() });
        let raw = json!({"type": "control_request", "request_id": id, "request": request});
        self.out.unknown(format!("Claude Code asks for {subtype}, which rs-worker declines"), raw);
        self.out.request_declined(&subtype);
    }

    fn can_use_tool(&mut self, id: String, request: &mut Value) {
        let tool = field::take_text(request, "tool_name").unwrap_or_default();
        let input = field::take(request, "input");
        let tool_call_id = field::take_text(request, "tool_use_id").map(Text::from);
        let details = Box::new(prompt::details(request));
        let suggestions = prompt::suggestions(request, &tool, &details);
        let (content, body) = if tool == QUESTION_TOOL {
            let questions = prompt::questions(&input);
            let request_id = id.clone().into();
            (prompt::asked(&questions), Body::Question { request_id, tool_call_id, questions, details })
        } else {
            let body = Body::PermissionRequest {
                request_id: id.clone().into(),
                tool_call_id,
                tool_name: tool.clone().into(),
                input: input.clone(),
                options: prompt::options(&tool, &suggestions),
                details,
            };
            (tools::summary(&tool, &input), body)
        };
        self.state.prompts.retain(|prompt| prompt.id != id);
        let (repaired, seq) = (self.repaired, self.record.seq);
        let written = if repaired { prompt::written_input(self.record.payload, &id) } else { None };
        self.state.prompts.push(Prompt { id, tool, input, repaired, written, suggestions, form: None, seq });
        self.out.emit(content, body);
    }

    /// An MCP server asks for a form, or for a visit to an address; whether it can be shown.
    fn elicitation(&mut self, id: &str, request: &Value) -> bool {
        let server = field::text(request, "mcp_server_name").unwrap_or("An MCP server");
        let message = field::text_or_empty(request, "message");
        let (form, address) = match field::text(request, "mode") {
            Some("url") => (Ok(Form::default()), field::text(request, "url").unwrap_or_default()),
            _ => {
                let schema = request.get("requested_schema").unwrap_or(&Value::Null);
                (Form::read(schema, self.record.payload), "")
            }
        };
        let Ok(form) = form else { return false };
        let text = format!("{server}: {message} {address}");
        let body = Body::Question {
            request_id: id.to_owned().into(),
            tool_call_id: None,
            questions: form.questions(),
            details: Box::default(),
        };
        self.state.prompts.retain(|prompt| prompt.id != id);
        self.state.prompts.push(Prompt { id: id.to_owned(), form: Some(form), ..Prompt::default() });
        self.out.emit(text::cut(text.trim_end().to_owned(), text::STRING_MAX), body);
        true
    }

    /// The CLI withdraws what it asked.
    pub(super) fn control_cancel_request(&mut self, line: &Value) {
        let id = field::text_or_empty(line, "request_id");
        self.state.declines.retain(|declined| declined.id != id);
        let Some(at) = self.state.prompts.iter().position(|prompt| prompt.id == id) else { return };
        let prompt = self.state.prompts.remove(at);
        let is_question = prompt.tool == QUESTION_TOOL || prompt.form.is_some();
        self.out.withdrawn(prompt.id, is_question);
    }
}
