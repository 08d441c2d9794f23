//! Requests of the CLI: permissions and questions go to people, everything else is declined.

use serde_json::{Value, json};

use super::CodexFold;
use crate::adapter::codex::state::{Choice, PROMPTS_MAX, Prompt, Question};
use crate::adapter::codex::tools;
use crate::adapter::kit::{Form, emitter, field, session, text};
use crate::event::{Body, PermissionOption};

/// JSON-RPC's code for a method that is not there.
const METHOD_NOT_FOUND: i32 = -32_601;

/// A prompt before it is emitted.
struct Ask {
    tool: &'static str,
    content: String,
    input: Value,
    choices: Vec<Choice>,
}

impl CodexFold<'_, '_> {
    pub(super) fn request(&mut self, method: &str, mut line: Value) {
        let id = field::take(&mut line, "id");
        let params = field::take(&mut line, "params");
        if self.state.prompts.len() >= PROMPTS_MAX {
            return self.state.decline(error(&id, "too many prompts are open"));
        }
        let ask = match method {
            "item/commandExecution/requestApproval" => command(params.clone()),
            "item/fileChange/requestApproval" => self.file_change(&params),
            "item/permissions/requestApproval" => permissions(&params),
            "item/tool/requestUserInput" => return self.questions(id, &params),
            "mcpServer/elicitation/request" => match elicitation(&params) {
                Some(ask) => ask,
                None if self.form(&id, &params) => return,
                None => {
                    let server = field::text(&params, "serverName").unwrap_or("an MCP server");
                    let message = field::text_or_empty(&params, "message");
                    self.out
                        .notice("form_declined", format!("{server} asked for a form, which was declined: {message}"));
                    return self.state.decline(json!({"id": id, "result": {"action": "decline", "content": null}}));
                }
            },
            // Tools that the client offers; we offer none.
            "item/tool/call" => {
                return self.state.decline(json!({"id": id, "result": {"contentItems": [], "success": false}}));
            }
            other => {
                self.out.request_declined(other);
                return self.state.decline(error(&id, &format!("rs-worker does not support {other}")));
            }
        };
        self.ask(id, &params, ask);
    }

    /// An MCP server asks for a form; whether it can be shown.
    fn form(&mut self, request: &Value, params: &Value) -> bool {
        let schema = params.get("requestedSchema").unwrap_or(&Value::Null);
        let Ok(form) = Form::read(schema, self.record.payload) else { return false };
        let server = field::text(params, "serverName").unwrap_or("An MCP server");
        let text = format!("{server}: {}", field::text_or_empty(params, "message"));
        let (id, questions) = (self.prompt_id(), form.questions());
        let body =
            Body::Question { request_id: id.clone().into(), tool_call_id: None, questions, details: Box::default() };
        self.out.emit(text::cut(text, text::STRING_MAX), body);
        self.state.prompts.push(Prompt { id, request: request.clone(), form: Some(form), ..Prompt::default() });
        true
    }

    fn ask(&mut self, request: Value, params: &Value, ask: Ask) {
        let prompt = Prompt { id: self.prompt_id(), request, choices: ask.choices.clone(), ..Prompt::default() };
        self.out.emit(
            text::cut(ask.content, text::STRING_MAX),
            Body::PermissionRequest {
                request_id: prompt.id.clone().into(),
                tool_call_id: field::text(params, "itemId").map(|id| id.to_owned().into()),
                tool_name: ask.tool.into(),
                input: ask.input,
                options: ask.choices.into_iter().map(|choice| choice.option).collect(),
                details: Box::default(),
            },
        );
        self.state.prompts.push(prompt);
    }

    fn prompt_id(&self) -> String {
        session::ask_id(self.record, |id| self.state.prompts.iter().any(|prompt| prompt.id == id))
    }

    fn file_change(&self, params: &Value) -> Ask {
        let item = field::text_or_empty(params, "itemId");
        let changes = self.state.calls.iter().find(|call| call.id == item).map(|call| call.changes.clone());
        let changes = changes.unwrap_or_default();
        let mut content = format!("Codex wants to change files: {}", tools::paths(&changes).join(", "));
        push_reason(&mut content, params);
        let input = json!({"changes": changes, "reason": params.get("reason"), "grant_root": params.get("grantRoot")});
        Ask { tool: tools::PATCH, content, input, choices: choices(params) }
    }

    fn questions(&mut self, request: Value, params: &Value) {
        let asked = field::list(params, "questions");
        let text = |question: &Value, key| field::text_or_empty(question, key).to_owned();
        let questions = asked
            .iter()
            .take(text::LIST_MAX)
            .map(|question| Question { id: text(question, "id"), question: text(question, "question") })
            .collect::<Vec<_>>();
        if questions.is_empty() {
            return self.state.decline(json!({"id": request, "result": {"answers": {}}}));
        }
        let shown = |question: &Value| {
            json!({"id": text(question, "id"), "question": text(question, "question"), "header": text(question, "header"),
                "options": question.get("options").filter(|options| options.is_array()).cloned().unwrap_or(json!([])),
                "multi_select": false, "is_secret": field::is_true(question, "isSecret")})
        };
        let content = questions.iter().map(|question| question.question.as_str()).collect::<Vec<_>>().join("\n");
        let mut reported = asked.iter().take(text::LIST_MAX).map(shown).collect::<Value>();
        text::bound(&mut reported);
        let prompt = Prompt { id: self.prompt_id(), request, questions, ..Prompt::default() };
        self.out.emit(
            content,
            Body::Question {
                request_id: prompt.id.clone().into(),
                tool_call_id: field::text(params, "itemId").map(|id| id.to_owned().into()),
                questions: reported,
                details: Box::default(),
            },
        );
        self.state.prompts.push(prompt);
    }

    /// A request of the CLI is settled. Those that were answered are closed already; the others it has withdrawn.
    pub(super) fn resolved(&mut self, params: &Value) {
        let request = params.get("requestId").unwrap_or(&Value::Null);
        self.state.declines.retain(|declined| declined.get("id") != Some(request));
        let Some(at) = self.state.prompts.iter().position(|prompt| prompt.request == *request) else { return };
        let prompt = self.state.prompts.remove(at);
        let is_question = !prompt.questions.is_empty() || prompt.form.is_some();
        self.out.emit("Codex no longer asks", emitter::withdrawn(prompt.id, is_question));
    }
}

/// A prompt to run a command.
fn command(mut params: Value) -> Ask {
    let choices = choices(&params);
    let command = tools::command_line(&params);
    let mut content = match params.get("networkApprovalContext").and_then(|context| field::text(context, "host")) {
        Some(host) => format!("Codex wants network access to {host}: {command}"),
        None => format!("Codex wants to run: {command}"),
    };
    push_reason(&mut content, &params);
    let mut input = json!({"command": command, "cwd": field::take(&mut params, "cwd")});
    for (from, to) in [("reason", "reason"), ("networkApprovalContext", "network")] {
        let value = field::take(&mut params, from);
        if !value.is_null() {
            input[to] = value;
        }
    }
    text::bound(&mut input);
    Ask { tool: tools::SHELL, content, input, choices }
}

/// A prompt to widen the sandbox.
fn permissions(params: &Value) -> Ask {
    let wanted = params.get("permissions").cloned().unwrap_or_default();
    let mut content = format!("Codex wants more permissions: {wanted}");
    push_reason(&mut content, params);
    let mut input = json!({"permissions": wanted, "cwd": params.get("cwd"), "reason": params.get("reason")});
    text::bound(&mut input);
    let choices = vec![
        choice("allow_once", "Allow for this turn", json!({"permissions": wanted, "scope": "turn"})),
        choice("allow_always", "Allow for this session", json!({"permissions": wanted, "scope": "session"})),
        choice("deny", "Deny", json!({"permissions": {}})),
    ];
    Ask { tool: "request_permissions", content, input, choices }
}

/// A prompt of an MCP server, if yes or no is an answer to it.
fn elicitation(params: &Value) -> Option<Ask> {
    let server = field::text(params, "serverName").unwrap_or("an MCP server");
    let message = field::text_or_empty(params, "message");
    let (content, accepted) = match field::text(params, "mode") {
        Some("url") => (format!("{server}: {message} {}", field::text_or_empty(params, "url")), Value::Null),
        Some("form") => {
            let fields = params.get("requestedSchema").and_then(|schema| schema.get("properties"));
            let empty = fields.and_then(Value::as_object).is_none_or(serde_json::Map::is_empty);
            (format!("{server}: {message}"), empty.then(|| json!({}))?)
        }
        _ => return None,
    };
    let mut input = json!({"server": server, "message": message, "url": params.get("url")});
    text::bound(&mut input);
    let answer = |action: &str, content: &Value| json!({"action": action, "content": content});
    let choices = vec![
        choice("allow_once", "Accept", answer("accept", &accepted)),
        choice("deny", "Decline", answer("decline", &Value::Null)),
        choice("cancel", "Cancel", answer("cancel", &Value::Null)),
    ];
    Some(Ask { tool: "mcp_elicitation", content: content.trim().to_owned(), input, choices })
}

/// The decisions that a prompt accepts: those that it lists, or all of them if it lists none. A refusal that lets the
/// turn continue is never listed, and always accepted.
fn choices(params: &Value) -> Vec<Choice> {
    let all = [json!("accept"), json!("acceptForSession"), json!("decline"), json!("cancel")];
    let listed = params.get("availableDecisions").and_then(Value::as_array).filter(|listed| !listed.is_empty());
    let mut choices: Vec<Choice> = Vec::new();
    for decision in listed.map_or(&all[..], Vec::as_slice) {
        if let Some(new) = decision_choice(decision)
            && choices.iter().all(|old| old.option.id != new.option.id)
        {
            choices.push(new);
        }
    }
    if choices.iter().all(|choice| choice.option.id != "deny") {
        let at = choices.iter().position(|choice| choice.option.id == "cancel").unwrap_or(choices.len());
        choices.insert(at, choice("deny", "Deny", json!({"decision": "decline"})));
    }
    choices
}

fn decision_choice(decision: &Value) -> Option<Choice> {
    let result = json!({"decision": decision});
    if let Some(word) = decision.as_str() {
        return match word {
            "accept" => Some(choice("allow_once", "Allow once", result)),
            "acceptForSession" => Some(choice("allow_always", "Allow for this session", result)),
            "decline" => Some(choice("deny", "Deny", result)),
            "cancel" => Some(choice("cancel", "Deny and end the turn", result)),
            _ => None,
        };
    }
    let (name, details) = decision.as_object()?.iter().next()?;
    match name.as_str() {
        "acceptWithExecpolicyAmendment" => {
            let words = details.get("execpolicy_amendment")?.as_array()?.iter().filter_map(Value::as_str);
            let prefix = text::cut(words.collect::<Vec<_>>().join(" "), LABEL_MAX);
            Some(choice("allow_rule", &format!("Always allow commands that begin with: {prefix}"), result))
        }
        "applyNetworkPolicyAmendment" => {
            let rule = details.get("network_policy_amendment")?;
            let host = field::text_or_empty(rule, "host");
            Some(if field::text(rule, "action") == Some("deny") {
                choice("deny_host", &format!("Always deny access to {host}"), result)
            } else {
                choice("allow_host", &format!("Always allow access to {host}"), result)
            })
        }
        _ => None,
    }
}

/// Longest part of a command that a button repeats, in bytes.
const LABEL_MAX: usize = 200;

fn choice(id: &str, label: &str, result: Value) -> Choice {
    let kind = match id {
        "allow_once" => "allow_once",
        "allow_always" | "allow_rule" | "allow_host" => "allow_always",
        "deny_host" => "reject_always",
        _ => "reject_once",
    };
    Choice { option: PermissionOption { id: id.to_owned(), label: label.to_owned(), kind: kind.to_owned() }, result }
}

fn push_reason(content: &mut String, params: &Value) {
    if let Some(reason) = field::text(params, "reason").filter(|reason| !reason.is_empty()) {
        content.push_str(&format!(" ({reason})"));
    }
}

pub(super) fn error(id: &Value, message: &str) -> Value {
    json!({"id": id, "error": {"code": METHOD_NOT_FOUND, "message": message}})
}
