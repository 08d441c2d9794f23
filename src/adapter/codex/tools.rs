//! Codex's tools: what they do, which files they concern, what they answered and changed.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::adapter::kit::{field, text};
use crate::event::{Image, ToolKind, image};

/// The tool that runs commands.
pub(super) const SHELL: &str = "shell";
/// The tool that changes files.
pub(super) const PATCH: &str = "apply_patch";

/// Longest part of an input that a tool's one-line summary repeats, in bytes.
const SUMMARY_MAX: usize = 400;
/// Longest diff of one file, in bytes.
const DIFF_MAX: usize = 256 * 1024;
/// Longest diff of one file that is kept for a prompt about it, in bytes.
const KEPT_DIFF_MAX: usize = 8 * 1024;
/// Most files of a change that are kept for a prompt about it.
const KEPT_FILES_MAX: usize = 32;

/// A tool call, from its item.
pub(super) struct ToolCall {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) kind: ToolKind,
    /// Bounded.
    pub(super) input: Value,
    /// Files that it concerns, as `[{"path"}]`.
    pub(super) locations: Vec<Value>,
    /// The call in one line.
    pub(super) summary: String,
}

/// A tool's answer.
pub(super) struct ToolOutput {
    /// The text of the answer.
    pub(super) text: String,
    pub(super) is_error: bool,
    /// The CLI's structured answer, bounded.
    pub(super) output: Value,
    /// Its changes, as `[{"path","diff"}]`.
    pub(super) diff: Option<Value>,
    /// Its images.
    pub(super) images: Vec<Image>,
}

/// The call of an item; `None` for items that are not tools, or that this build does not know.
pub(super) fn call(kind: &str, item: &Value) -> Option<ToolCall> {
    let text = |key| field::text_or_empty(item, key).to_owned();
    let arguments = || item.get("arguments").cloned().unwrap_or_default();
    let id = text("id");
    let (name, tool_kind, mut input, reporting) = match kind {
        "commandExecution" => {
            let command = command_line(item);
            let input = json!({"command": command, "cwd": item.get("cwd")});
            (SHELL.to_owned(), ToolKind::Execute, input, command)
        }
        "fileChange" => {
            let changes = field::list(item, "changes");
            let change = |change: &Value| {
                let how = change.get("kind").and_then(|kind| field::text(kind, "type"));
                json!({"path": change.get("path"), "kind": how})
            };
            let list = changes.iter().take(text::LIST_MAX).map(change).collect::<Value>();
            (PATCH.to_owned(), ToolKind::Edit, json!({"changes": list}), paths(&list).join(", "))
        }
        "mcpToolCall" => {
            let name = format!("{}/{}", text("server"), text("tool"));
            (name, ToolKind::Other, arguments(), String::new())
        }
        "dynamicToolCall" => (text("tool"), ToolKind::Other, arguments(), String::new()),
        "functionCallOutput" => (text("name"), ToolKind::Other, Value::Null, String::new()),
        "collabAgentToolCall" => {
            let (prompt, agents) = (text("prompt"), item.get("receiverThreadIds"));
            (
                text("tool"),
                ToolKind::Think,
                json!({"prompt": prompt, "model": item.get("model"), "agents": agents}),
                prompt,
            )
        }
        "webSearch" => {
            let query = text("query");
            ("web_search".to_owned(), ToolKind::Search, json!({"query": query, "action": item.get("action")}), query)
        }
        "imageView" => ("view_image".to_owned(), ToolKind::Read, json!({"path": text("path")}), text("path")),
        "imageGeneration" => {
            let prompt = text("revisedPrompt");
            ("image_generation".to_owned(), ToolKind::Other, json!({"prompt": prompt}), prompt)
        }
        "sleep" => ("sleep".to_owned(), ToolKind::Other, json!({"duration_ms": item.get("durationMs")}), String::new()),
        _ => return None,
    };
    text::bound(&mut input);
    let locations = match kind {
        "fileChange" => paths(&input["changes"]).into_iter().map(|path| json!({ "path": path })).collect(),
        "imageView" => vec![json!({"path": text("path")})],
        _ => Vec::new(),
    };
    let reporting = text::cut(reporting, SUMMARY_MAX);
    let summary = if reporting.is_empty() { name.clone() } else { format!("{name}: {reporting}") };
    Some(ToolCall { id, name, kind: tool_kind, input, locations, summary })
}

/// The answer in a finished item.
pub(super) fn result(kind: &str, item: &mut Value) -> ToolOutput {
    let status = field::text(item, "status").unwrap_or("completed").to_owned();
    let mut output = json!({"status": status});
    let mut failed = !matches!(status.as_str(), "completed" | "inProgress");
    let (mut text, mut diff) = (String::new(), None);
    let mut images = image::take(item);
    match kind {
        "commandExecution" => {
            text = field::take_text(item, "aggregatedOutput").unwrap_or_default();
            let exit_code = item.get("exitCode").and_then(Value::as_i64);
            failed |= exit_code.is_some_and(|code| code != 0);
            output["exit_code"] = json!(exit_code);
            output["duration_ms"] = field::take(item, "durationMs");
        }
        "fileChange" => {
            diff = Some(diffs(item.get("changes").unwrap_or(&Value::Null)));
            text = paths(item.get("changes").unwrap_or(&Value::Null)).join("\n");
        }
        "mcpToolCall" => {
            let error = item.get("error").and_then(|error| field::text(error, "message"));
            failed |= error.is_some();
            text = error.map_or_else(|| content_text(&item["result"]["content"]), str::to_owned);
            output["result"] = item["result"]["structuredContent"].clone();
        }
        "dynamicToolCall" => {
            failed |= item.get("success").and_then(Value::as_bool) == Some(false);
            text = content_text(&item["contentItems"]);
        }
        "functionCallOutput" => {
            let content = field::take(item, "output");
            text = content.as_str().map_or_else(|| content_text(&content), str::to_owned);
        }
        "collabAgentToolCall" => output["agents"] = field::take(item, "agentsStates"),
        "webSearch" => output["results"] = field::take(item, "results"),
        "imageGeneration" => {
            text = field::take_text(item, "savedPath").unwrap_or_default();
            image::take_more(&mut json!({"data": field::take(item, "result")}), &mut images);
        }
        _ => {}
    }
    if text.is_empty() && status != "completed" {
        text.clone_from(&status);
    }
    text::bound(&mut output);
    ToolOutput { text: text::cut(text, text::STRING_MAX), is_error: failed, output, diff, images }
}

/// The command of an item or a prompt as the agent gave it, without the shell that the CLI wraps around it.
pub(super) fn command_line(item: &Value) -> String {
    let whole = field::text_or_empty(item, "command");
    let actions = field::list(item, "commandActions");
    match actions {
        [action] => field::text(action, "command").filter(|command| !command.is_empty()).unwrap_or(whole).to_owned(),
        _ => whole.to_owned(),
    }
}

/// The paths of a list of changes.
pub(super) fn paths(changes: &Value) -> Vec<String> {
    let changes = field::elements(changes);
    let paths = changes.iter().take(text::LIST_MAX).filter_map(|change| field::text(change, "path"));
    paths.map(str::to_owned).collect()
}

/// The intended changes of an item, as `[{"path","diff"}]` and short enough to be kept; null when it changes no files.
pub(super) fn changes(item: &Value) -> Value {
    let Some(changes) = item.get("changes").and_then(Value::as_array) else { return Value::Null };
    changes.iter().take(KEPT_FILES_MAX).map(|change| diff(change, KEPT_DIFF_MAX)).collect()
}

fn diffs(changes: &Value) -> Value {
    let changes = field::elements(changes);
    changes.iter().take(text::LIST_MAX).map(|change| diff(change, DIFF_MAX)).collect()
}

/// One change as `{"path","diff"}` with a unified diff. The CLI gives the content of a file that is new or gone, and the
/// hunks of one that is changed.
fn diff(change: &Value, max: usize) -> Value {
    let path = field::text_or_empty(change, "path");
    let mut content = field::text_or_empty(change, "diff");
    let kind = change.get("kind").unwrap_or(&Value::Null);
    // Behind the hunks of a file that moved the CLI says so in words; the head of the diff says it too.
    if field::text(kind, "move_path").is_some() {
        content = content.rsplit_once("\n\nMoved to: ").map_or(content, |(hunks, _)| hunks);
    }
    let name = path.trim_start_matches('/');
    let mut text = String::new();
    let (sign, count) = (field::text(kind, "type"), content.lines().count());
    // Writing into a string cannot fail, here and below.
    let _ = match sign {
        Some("add") => writeln!(text, "--- /dev/null\n+++ b/{name}\n@@ -0,0 +1,{count} @@"),
        Some("delete") => writeln!(text, "--- a/{name}\n+++ /dev/null\n@@ -1,{count} +0,0 @@"),
        _ => {
            let to = field::text(kind, "move_path").map_or(name, |to| to.trim_start_matches('/'));
            writeln!(text, "--- a/{name}\n+++ b/{to}")
        }
    };
    let before = match sign {
        Some("add") => "+",
        Some("delete") => "-",
        _ => "",
    };
    for line in content.lines() {
        if text.len() > max {
            break;
        }
        let _ = writeln!(text, "{before}{line}");
    }
    json!({"path": path, "diff": text::cut(text, max)})
}

/// The text of content blocks; other blocks are named.
fn content_text(content: &Value) -> String {
    let blocks = field::elements(content);
    let text = |block: &Value| match field::text(block, "text") {
        Some(text) => text.to_owned(),
        None => format!("[{}]", field::text(block, "type").unwrap_or("content")),
    };
    blocks.iter().take(text::LIST_MAX).map(text).collect::<Vec<_>>().join("\n")
}
