//! Events of a worker as updates of a session. Pure.

use serde_json::{Value, json};

use super::content;
use super::rpc::META;

/// Longest title of a notice, in characters.
const NOTICE_CHARS_MAX: usize = 200;

/// A field of an event that is a text.
pub(super) fn text<'e>(event: &'e Value, name: &str) -> &'e str {
    event.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// A chunk of a message.
pub(super) fn chunk(kind: &str, message_id: Option<&str>, block: Value) -> Value {
    let mut update = json!({"sessionUpdate": kind, "content": block});
    if let Some(id) = message_id {
        update["messageId"] = id.into();
    }
    update
}

/// The kind of the chunks of a message: `assistant` or `thinking`.
pub(super) fn chunk_kind(of: &str) -> &'static str {
    if of == "thinking" { "agent_thought_chunk" } else { "agent_message_chunk" }
}

/// A tool call, or more of one that is known already.
pub(super) fn tool_call(project: &str, event: &Value, is_known: bool) -> Value {
    let name = text(event, "name");
    let input = event.get("input").cloned().unwrap_or_default();
    let mut update = json!({
        "sessionUpdate": if is_known { "tool_call_update" } else { "tool_call" },
        "toolCallId": text(event, "tool_call_id"),
        "title": content::title(text(event, "content"), name),
        "name": name,
        "kind": text(event, "kind"),
    });
    if !is_known {
        update["status"] = "in_progress".into();
    }
    let diffs = content::input_diffs(project, &input);
    if !diffs.is_empty() {
        update["content"] = diffs.into();
    }
    let locations = content::locations(project, event.get("locations").unwrap_or(&Value::Null));
    if !locations.is_empty() {
        update["locations"] = locations.into();
    }
    update["rawInput"] = input;
    of_parent(update, event)
}

/// The result of a tool call. `images` are blocks.
pub(super) fn tool_result(project: &str, event: &Value, images: Vec<Value>) -> Value {
    let mut blocks = Vec::new();
    if !text(event, "content").is_empty() {
        blocks.push(content::of_tool(&content::text(text(event, "content"))));
    }
    blocks.extend(images.iter().map(content::of_tool));
    blocks.extend(content::diffs(project, event.get("diff").unwrap_or(&Value::Null)));
    let status = if event["is_error"] == true { "failed" } else { "completed" };
    let mut update = json!({
        "sessionUpdate": "tool_call_update",
        "toolCallId": text(event, "tool_call_id"),
        "status": status,
        "content": blocks,
    });
    if let Some(output) = event.get("output") {
        update["rawOutput"] = output.clone();
    }
    of_parent(update, event)
}

fn of_parent(mut update: Value, event: &Value) -> Value {
    if let Some(parent) = event.get("parent_tool_call_id") {
        update["_meta"] = json!({META: {"parent_tool_call_id": parent}});
    }
    update
}

/// The agent's to-do list.
pub(super) fn plan(event: &Value) -> Value {
    let entry = |entry: &Value| {
        let status = match text(entry, "status") {
            status @ ("in_progress" | "completed") => status,
            _ => "pending",
        };
        json!({"content": text(entry, "text"), "priority": "medium", "status": status})
    };
    let entries: Value = event["entries"].as_array().into_iter().flatten().map(entry).collect();
    json!({"sessionUpdate": "plan", "entries": entries})
}

/// The slash commands of a session.
pub(super) fn commands(listed: &Value) -> Value {
    let command = |command: &Value| {
        let name = text(command, "name").trim_start_matches('/');
        (!name.is_empty()).then(|| json!({"name": name, "description": text(command, "description")}))
    };
    let commands: Value = listed.as_array().into_iter().flatten().filter_map(command).collect();
    json!({"sessionUpdate": "available_commands_update", "availableCommands": commands})
}

/// Tokens in the model's context, and the cost of the session so far.
pub(super) fn usage(tokens: Option<u64>, window: Option<u64>, cost_usd: f64) -> Option<Value> {
    let mut update = json!({"sessionUpdate": "usage_update", "used": tokens?, "size": window?});
    if cost_usd > 0.0 {
        update["cost"] = json!({"amount": cost_usd, "currency": "USD"});
    }
    Some(update)
}

/// A notice, or an error of the CLI.
pub(super) fn notice(event: &Value) -> Value {
    let said = text(event, "content");
    let line: String = said.lines().next().unwrap_or_default().chars().take(NOTICE_CHARS_MAX).collect();
    let severity = if text(event, "type") == "error" { "error" } else { "info" };
    let mut update = json!({"sessionUpdate": "notice", "severity": severity, "title": line});
    if said != line {
        update["description"] = said.into();
    }
    update
}

/// The parameters of `session/request_permission`.
pub(super) fn permission(session: &str, project: &str, prompt: &Value) -> Value {
    let input = prompt.get("input").cloned().unwrap_or_default();
    let id = prompt.get("tool_call_id").and_then(Value::as_str).unwrap_or(text(prompt, "request_id"));
    let option = |option: &Value| {
        let kind = match text(option, "kind") {
            kind @ ("allow_once" | "allow_always" | "reject_once" | "reject_always") => kind,
            kind if kind.starts_with("reject") => "reject_once",
            _ => "allow_once",
        };
        json!({"optionId": text(option, "id"), "name": text(option, "label"), "kind": kind})
    };
    let options: Value = prompt["options"].as_array().into_iter().flatten().map(option).collect();
    let mut call = json!({
        "toolCallId": id,
        "title": content::title(text(prompt, "content"), text(prompt, "tool_name")),
        "status": "pending",
    });
    let diffs = content::input_diffs(project, &input);
    if !diffs.is_empty() {
        call["content"] = diffs.into();
    }
    call["rawInput"] = input;
    json!({"sessionId": session, "toolCall": call, "options": options})
}

/// The reason for which a turn stopped; an error for a turn that failed.
pub(super) fn stop_reason(event: &Value) -> Result<&'static str, String> {
    match text(event, "stop_reason") {
        "interrupted" | "cancelled" => Ok("cancelled"),
        "refusal" => Ok("refusal"),
        "max_tokens" => Ok("max_tokens"),
        "max_turns" | "max_turn_requests" => Ok("max_turn_requests"),
        reason if event["is_error"] == true => {
            let said = [text(event, "result"), text(event, "content"), reason];
            Err(said.into_iter().find(|said| !said.is_empty()).unwrap_or("the turn failed").to_owned())
        }
        _ => Ok("end_turn"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tool_calls_carry_kind_status_diffs_and_locations() {
        let event = json!({
            "type": "tool_call", "tool_call_id": "t", "name": "Edit", "kind": "edit", "content": "src/a.rs\nmore",
            "input": {"file_path": "/p/src/a.rs", "old_string": "a", "new_string": "b"},
            "locations": [{"path": "src/a.rs", "line": 3}], "parent_tool_call_id": "task",
        });
        let call = tool_call("/p", &event, false);
        assert_eq!((&call["sessionUpdate"], &call["status"]), (&json!("tool_call"), &json!("in_progress")));
        assert_eq!((&call["title"], &call["kind"]), (&json!("src/a.rs"), &json!("edit")));
        assert_eq!(call["content"][0]["newText"], "b");
        assert_eq!(call["locations"], json!([{"path": "/p/src/a.rs", "line": 3}]));
        assert_eq!(call["_meta"][META]["parent_tool_call_id"], "task");
        assert_eq!(tool_call("/p", &event, true)["sessionUpdate"], "tool_call_update");
        let failed = tool_result("/p", &json!({"tool_call_id": "t", "is_error": true, "content": "no"}), Vec::new());
        assert_eq!((&failed["status"], &failed["content"][0]["content"]["text"]), (&json!("failed"), &json!("no")));
    }

    #[test]
    fn ends_of_turns_become_stop_reasons() {
        let end = |reason: &str, is_error: bool| json!({"stop_reason": reason, "is_error": is_error, "result": "why"});
        assert_eq!(stop_reason(&end("end_turn", false)), Ok("end_turn"));
        assert_eq!(stop_reason(&end("interrupted", true)), Ok("cancelled"));
        assert_eq!(stop_reason(&end("max_turns", true)), Ok("max_turn_requests"));
        assert_eq!(stop_reason(&end("error", true)), Err("why".to_owned()));
    }

    #[test]
    fn odd_kinds_of_options_become_known_ones() {
        let prompt = json!({"request_id": "r", "tool_name": "Bash", "content": "", "input": {"command": "ls"},
            "options": [{"id": "x", "label": "X", "kind": "reject_with_comment"}, {"id": "y", "label": "Y", "kind": "?"}]});
        let params = permission("s", "/p", &prompt);
        assert_eq!(params["options"][0]["kind"], "reject_once");
        assert_eq!(params["options"][1]["kind"], "allow_once");
        assert_eq!((&params["toolCall"]["toolCallId"], &params["toolCall"]["title"]), (&json!("r"), &json!("Bash")));
    }
}
