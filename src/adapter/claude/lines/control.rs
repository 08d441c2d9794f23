//! Control lines: what the CLI asks of us, and what it answers to our requests.

use serde_json::{Value, json};

use super::Fold;
use crate::adapter::claude::state::{PROMPTS_MAX, Prompt, Request};
use crate::adapter::claude::tools;
use crate::adapter::common;
use crate::adapter::field;
use crate::event::{Body, PermissionOption, Text};

/// The tool with which the agent asks its user something.
pub(in crate::adapter::claude) const QUESTION_TOOL: &str = "AskUserQuestion";
/// The tool with which the agent asks whether its plan may be carried out.
const PLAN_TOOL: &str = "ExitPlanMode";

impl Fold<'_> {
    /// The CLI asks. What is no prompt for people is declined at once, so that it never waits for nothing.
    pub(super) fn control_request(&mut self, mut line: Value) {
        let Some(id) = field::take_text(&mut line, "request_id") else {
            return self.unknown(line, Some("control_request"));
        };
        let mut request = field::take(&mut line, "request");
        let subtype = field::text_or_empty(&request, "subtype").to_owned();
        if subtype == "can_use_tool" && self.state.prompts.len() < PROMPTS_MAX {
            return self.can_use_tool(id, &mut request);
        }
        self.state.decline(Request { id: id.clone(), subtype: subtype.clone() });
        let mut raw = json!({"type": "control_request", "request_id": id, "request": request});
        common::bound(&mut raw);
        self.tell(format!("Claude Code asks for {subtype}, which rs-worker declines"), Body::Unknown { raw });
    }

    fn can_use_tool(&mut self, id: String, request: &mut Value) {
        let tool = field::take_text(request, "tool_name").unwrap_or_default();
        let input = field::take(request, "input");
        let tool_call_id = field::take_text(request, "tool_use_id").map(Text::from);
        let suggestions = match field::take(request, "permission_suggestions") {
            Value::Array(suggestions) => suggestions,
            _ if tool == PLAN_TOOL => vec![json!({"type": "setMode", "mode": "acceptEdits", "destination": "session"})],
            _ => Vec::new(),
        };
        let (content, body) = if tool == QUESTION_TOOL {
            let questions = questions(&input);
            (asked(&questions), Body::Question { request_id: id.clone().into(), tool_call_id, questions })
        } else {
            let body = Body::PermissionRequest {
                request_id: id.clone().into(),
                tool_call_id,
                tool_name: tool.clone().into(),
                input: input.clone(),
                options: options(&tool, &suggestions),
            };
            (tools::summary(&tool, &input), body)
        };
        self.state.prompts.retain(|prompt| prompt.id != id);
        self.state.prompts.push(Prompt { id, tool, input, suggestions });
        self.tell(content, body);
    }

    /// The CLI withdraws what it asked.
    pub(super) fn control_cancel_request(&mut self, line: &Value) {
        let id = field::text_or_empty(line, "request_id");
        self.state.declines.retain(|declined| declined.id != id);
        let Some(at) = self.state.prompts.iter().position(|prompt| prompt.id == id) else { return };
        let prompt = self.state.prompts.remove(at);
        let (request_id, by) = (prompt.id.into(), "cli".into());
        if prompt.tool == QUESTION_TOOL {
            self.tell("The question was withdrawn", Body::QuestionResolved { request_id, answers: None, by });
        } else {
            let body = Body::PermissionResolved { request_id, decision: "cancelled".into(), by };
            self.tell("The permission prompt was withdrawn", body);
        }
    }

    /// The CLI answers. Our own answers to its prompts are shown again by lines of the same kind: they are passed over.
    pub(super) fn control_response(&mut self, mut line: Value) {
        let mut response = field::take(&mut line, "response");
        let id = field::text_or_empty(&response, "request_id");
        let Some(at) = self.state.requests.iter().position(|request| request.id == id) else { return };
        let request = self.state.requests.remove(at);
        self.state.ready |= request.subtype == "initialize";
        if field::text(&response, "subtype") == Some("error") {
            let why = field::text(&response, "error").unwrap_or("no reason given");
            let text = format!("Claude Code refused {}: {why}", request.subtype);
            return self.error("request_refused", text);
        }
        let mut answer = field::take(&mut response, "response");
        match request.subtype.as_str() {
            "initialize" => self.commands(field::take(&mut answer, "commands")),
            "set_permission_mode" => {
                if let Some(mode) = field::take_text(&mut answer, "mode") {
                    self.permission_mode(mode);
                }
            }
            // The CLI said that nothing runs, so what it has not shown by now may never come.
            "interrupt" if self.state.turn.is_none() => {
                self.state.waiting.iter_mut().for_each(|message| message.doubtful = true);
            }
            _ => {}
        }
    }
}

fn options(tool: &str, suggestions: &[Value]) -> Vec<PermissionOption> {
    let option =
        |id: &str, label: String, kind: &str| PermissionOption { id: id.to_owned(), label, kind: kind.to_owned() };
    let plan = tool == PLAN_TOOL;
    let allow = if plan { "Approve the plan" } else { "Allow once" };
    let mut options = vec![option("allow_once", allow.to_owned(), "allow_once")];
    if !suggestions.is_empty() {
        let granted = suggestions.iter().map(tools::suggestion).collect::<Vec<_>>().join(", and ");
        let label = match granted.strip_prefix("always ") {
            _ if plan => format!("Approve the plan, and {granted}"),
            Some(what) => format!("Always {what}"),
            None => format!("Allow, and {granted}"),
        };
        options.push(option("allow_always", label, "allow_always"));
    }
    let deny = if plan { "Keep planning" } else { "Deny" };
    options.push(option("deny", deny.to_owned(), "reject_once"));
    options
}

/// The questions of an `AskUserQuestion` call, under the names of the wire.
fn questions(input: &Value) -> Value {
    let list = input.get("questions").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let question = |question: &Value| {
        json!({
            "question": field::text_or_empty(question, "question"),
            "header": field::text_or_empty(question, "header"),
            "options": question.get("options").cloned().unwrap_or_else(|| json!([])),
            "multi_select": field::is_true(question, "multiSelect"),
        })
    };
    list.iter().map(question).collect()
}

/// The questions as text.
fn asked(questions: &Value) -> String {
    let list = questions.as_array().map(Vec::as_slice).unwrap_or_default();
    list.iter().map(|question| field::text_or_empty(question, "question")).collect::<Vec<_>>().join("\n")
}
