//! `task_*` lines: background commands and sub-agents.

use serde_json::Value;

use super::ClaudeFold;
use crate::adapter::kit::{field, text};
use crate::event::{Body, TaskFacts, Text};

impl ClaudeFold<'_, '_> {
    /// Background commands and sub-agents.
    pub(super) fn task(&mut self, subtype: &str, line: &mut Value) {
        let task_id = field::text_or_empty(line, "task_id");
        match subtype {
            "task_started" => self.state.background_task(task_id, true),
            "task_notification" => self.state.background_task(task_id, false),
            "task_updated" => {
                let status = line.get("patch").and_then(|patch| field::text(patch, "status"));
                if matches!(status, Some("completed" | "failed" | "killed" | "stopped" | "cancelled")) {
                    self.state.background_task(task_id, false);
                }
            }
            _ => {}
        }
        if field::is_true(line, "skip_transcript") {
            return;
        }
        let id = field::text_or_empty(line, "task_id");
        let what = field::text_or_empty(line, "description");
        let content = match subtype {
            "task_started" => format!("Task {id} started: {what}"),
            "task_progress" => format!("Task {id}: {}", field::text(line, "summary").unwrap_or(what)),
            "task_notification" => {
                let status = field::text(line, "status").unwrap_or("ended");
                format!("Task {id} {status}: {}", field::text_or_empty(line, "summary"))
            }
            _ => {
                let patch = line.get("patch").unwrap_or(&Value::Null);
                let status = field::text(patch, "status").unwrap_or_default();
                let error = field::text(patch, "error").unwrap_or_default();
                if status.is_empty() && error.is_empty() {
                    return;
                }
                format!("Task {id} {status} {error}").trim_end().to_owned()
            }
        };
        let task = (!id.is_empty()).then(|| Box::new(facts(subtype, line)));
        let content = text::cut(content, text::STRING_MAX);
        self.out.emit(content, Body::Notice { code: subtype.to_owned().into(), task });
    }
}

/// The facts that a line gives, each cut to a length.
fn facts(subtype: &str, line: &Value) -> TaskFacts<'static> {
    let patch = line.get("patch").unwrap_or(&Value::Null);
    let usage = line.get("usage").unwrap_or(&Value::Null);
    let owned = |text: &str| Text::from(text::cut(text.to_owned(), text::STRING_MAX));
    let given = |value: &Value, key| field::text(value, key).filter(|text| !text.is_empty()).map(owned);
    let is_start = subtype == "task_started";
    let description = given(line, "description");
    let (description, activity) = if is_start { (description, None) } else { (None, description) };
    let summary = given(line, "summary");
    let is_progress = subtype == "task_progress";
    TaskFacts {
        id: given(line, "task_id").unwrap_or_default(),
        status: match subtype {
            "task_started" | "task_progress" => Some("running".into()),
            "task_notification" => Some(given(line, "status").unwrap_or_else(|| "completed".into())),
            _ => given(patch, "status"),
        },
        kind: match field::text(line, "task_type") {
            Some(kind) if kind.ends_with("agent") => Some("agent"),
            Some(kind) if kind.ends_with("bash") || kind.ends_with("shell") => Some("command"),
            _ => None,
        },
        tool_call_id: given(line, "tool_use_id"),
        description,
        activity: if is_progress { summary.clone().or(activity) } else { None },
        summary: summary.filter(|_| subtype == "task_notification"),
        error: given(patch, "error"),
        tokens: field::number(usage, "total_tokens"),
        tool_uses: field::number(usage, "tool_uses"),
        duration_ms: field::number(usage, "duration_ms"),
    }
}
