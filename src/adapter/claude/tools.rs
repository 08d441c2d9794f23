//! Claude Code's tools: what they do, which files they concern, what they answered and changed.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::adapter::kit::{field, text};
use crate::event::{Image, ToolKind, image};

/// Longest part of an input that a tool's one-line summary repeats, in bytes.
const SUMMARY_MAX: usize = 400;
/// The beginning of a part of a sub-agent's answer that is not its own.
const AGENT_NOTE: &str = "<tools-used-before-summary>";
/// Longest diff of one file, in bytes.
const DIFF_MAX: usize = 256 * 1024;

/// The kind of a tool.
pub(super) fn kind(name: &str) -> ToolKind {
    match name {
        "Read" | "NotebookRead" | "ListMcpResourcesTool" | "ReadMcpResourceTool" => ToolKind::Read,
        "Edit" | "MultiEdit" | "Write" | "NotebookEdit" => ToolKind::Edit,
        "Bash" | "BashOutput" | "KillShell" | "KillBash" | "PowerShell" | "Monitor" | "TaskOutput" | "TaskStop" => {
            ToolKind::Execute
        }
        "Grep" | "Glob" | "LS" | "WebSearch" | "web_search" | "ToolSearch" | "LSP" => ToolKind::Search,
        "WebFetch" | "web_fetch" => ToolKind::Fetch,
        "Task" | "Agent" | "TodoWrite" | "TaskCreate" | "TaskGet" | "TaskList" | "TaskUpdate" | "EnterPlanMode"
        | "ExitPlanMode" | "AskUserQuestion" | "SendMessage" | "Skill" | "Workflow" => ToolKind::Think,
        _ => ToolKind::Other,
    }
}

/// Files that a call concerns, as `[{"path","line"?}]`.
pub(super) fn locations(input: &Value) -> Vec<Value> {
    let path = ["file_path", "notebook_path", "path"].iter().find_map(|key| field::text(input, key));
    let Some(path) = path.filter(|path| !path.is_empty()) else { return Vec::new() };
    match field::number(input, "offset") {
        Some(line) => vec![json!({"path": path, "line": line})],
        None => vec![json!({ "path": path })],
    }
}

/// A call in one line: the tool and what of its input says most.
pub(super) fn summary(name: &str, input: &Value) -> String {
    const TELLING: [&str; 13] = [
        "command",
        "file_path",
        "notebook_path",
        "pattern",
        "url",
        "query",
        "plan",
        "subject",
        "description",
        "skill",
        "taskId",
        "path",
        "prompt",
    ];
    match TELLING.iter().find_map(|key| field::text(input, key)).filter(|text| !text.is_empty()) {
        Some(text) => format!("{name}: {}", text::cut(text.to_owned(), SUMMARY_MAX)),
        None => name.to_owned(),
    }
}

/// Describes the grant of a suggestion beyond the one call, in words that follow "allow, and".
pub(super) fn suggestion(suggestion: &Value) -> String {
    let list = |key| field::list(suggestion, key);
    match field::text_or_empty(suggestion, "type") {
        "addRules" | "replaceRules" => {
            let rule = |rule: &Value| {
                let tool = field::text_or_empty(rule, "toolName");
                match field::text(rule, "ruleContent") {
                    Some(content) => format!("{tool}({content})"),
                    None => tool.to_owned(),
                }
            };
            let verb = match field::text_or_empty(suggestion, "behavior") {
                "deny" => "always deny",
                "ask" => "always ask about",
                _ => "always allow",
            };
            let rules = list("rules").iter().map(rule).collect::<Vec<_>>().join(", ");
            format!("{verb} {rules}{}", scope(suggestion))
        }
        "setMode" => match field::text_or_empty(suggestion, "mode") {
            "acceptEdits" => "accept all edits from now on".to_owned(),
            "bypassPermissions" => "ask for nothing from now on".to_owned(),
            "plan" => "only plan from now on".to_owned(),
            other => format!("continue in mode {other}"),
        },
        "addDirectories" => {
            let folders = list("directories").iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ");
            format!("work in {folders} too{}", scope(suggestion))
        }
        other => other.to_owned(),
    }
}

/// The scope of a suggestion, in words that follow it.
fn scope(suggestion: &Value) -> &'static str {
    match field::text_or_empty(suggestion, "destination") {
        "session" => " in this session",
        "localSettings" => " in this project",
        "projectSettings" => " in this project, for everyone who works on it",
        "userSettings" => " in all your projects",
        _ => "",
    }
}

/// A tool's answer.
pub(super) struct ToolOutput {
    /// The text of the answer.
    pub(super) text: String,
    /// The CLI's structured answer, bounded; null when the text is all of it.
    pub(super) output: Value,
    /// Its changes.
    pub(super) diff: Option<Value>,
    /// Its images.
    pub(super) images: Vec<Image>,
}

/// Reads an answer: `content` is what the model sees, `structured` what the CLI adds for programs.
pub(super) fn result(mut content: Value, mut structured: Value) -> ToolOutput {
    let mut images = image::take(&mut content);
    image::take_more(&mut structured, &mut images);
    let diff = diff(&structured);
    let (text, rest) = as_text(content);
    let text = agent_answer(&structured).unwrap_or(text);
    let mut output = if structured.is_object() || structured.is_array() {
        if let (Some(_), Some(fields)) = (&diff, structured.as_object_mut()) {
            // The diff says all of this in fewer bytes.
            for key in ["originalFile", "structuredPatch", "content", "oldString", "newString"] {
                fields.remove(key);
            }
        }
        // The text is the file's content.
        if let Some(file) = structured.get_mut("file").and_then(Value::as_object_mut) {
            file.remove("content");
        }
        structured
    } else {
        rest
    };
    text::bound(&mut output);
    ToolOutput { text: text::cut(text, text::STRING_MAX), output, diff, images }
}

/// The text of a result's content, and the content itself when it is more than text.
fn as_text(content: Value) -> (String, Value) {
    match content {
        Value::String(text) => (unwrapped(text), Value::Null),
        Value::Array(blocks) => {
            let texts = blocks.iter().filter_map(|block| field::text(block, "text")).collect::<Vec<_>>();
            let only_text = texts.len() == blocks.len();
            let text = texts.join("\n");
            (text, if only_text { Value::Null } else { Value::Array(blocks) })
        }
        other => (String::new(), other),
    }
}

/// The answer of a sub-agent, without what the CLI adds to it for the agent that has asked.
fn agent_answer(structured: &Value) -> Option<String> {
    field::text(structured, "agentId")?;
    match field::text(structured, "status")? {
        "async_launched" => Some("Started in the background".to_owned()),
        "completed" => {
            let texts = field::list(structured, "content").iter().filter_map(|block| field::text(block, "text"));
            let said = texts.filter(|text| !text.starts_with(AGENT_NOTE)).collect::<Vec<_>>().join("\n");
            (!said.trim().is_empty()).then_some(said)
        }
        _ => None,
    }
}

/// An error's text without the tag that marks it for the model.
fn unwrapped(text: String) -> String {
    match text.strip_prefix("<tool_use_error>").and_then(|rest| rest.strip_suffix("</tool_use_error>")) {
        Some(inner) => inner.to_owned(),
        None => text,
    }
}

/// The changes of an edit, as `[{"path","diff"}]` with a unified diff; `None` when it was not an edit.
fn diff(structured: &Value) -> Option<Value> {
    let path = field::text(structured, "filePath")?;
    let hunks = structured.get("structuredPatch")?.as_array()?;
    let name = path.trim_start_matches('/');
    let mut text = String::new();
    let created = field::text(structured, "type") == Some("create");
    if created {
        let content = field::text_or_empty(structured, "content");
        let count = content.lines().count();
        // Writing into a string cannot fail, here and below.
        let _ = writeln!(text, "--- /dev/null\n+++ b/{name}\n@@ -0,0 +1,{count} @@");
        for line in content.lines() {
            let _ = writeln!(text, "+{line}");
        }
    } else {
        let _ = writeln!(text, "--- a/{name}\n+++ b/{name}");
        for hunk in hunks {
            let at = |key| field::number(hunk, key).unwrap_or(0);
            let (old, new) = ((at("oldStart"), at("oldLines")), (at("newStart"), at("newLines")));
            let _ = writeln!(text, "@@ -{},{} +{},{} @@", old.0, old.1, new.0, new.1);
            let lines = field::list(hunk, "lines");
            for line in lines.iter().filter_map(Value::as_str) {
                let _ = writeln!(text, "{line}");
            }
        }
    }
    Some(json!([{"path": path, "diff": text::cut(text, DIFF_MAX)}]))
}
