//! Tool calls: what they do, later details, and how they ended.

use serde_json::{Value, json};

use super::AcpFold;
use super::name::{name, summary};
use super::output;
use super::partial::text_of;
use crate::adapter::acp::diff;
use crate::adapter::acp::state::{Call, remembered};
use crate::adapter::kit::{field, text};
use crate::event::{Body, ToolKind, image};
use crate::fnv;

/// The result of a call that was not allowed, where the agent says none.
const DENIED: &str = "It was not allowed.";

impl AcpFold<'_, '_> {
    /// A `tool_call` or `tool_call_update`. An update's absent fields are as they were.
    pub(super) fn tool(&mut self, mut call: Value) {
        let status = field::take_text(&mut call, "status").unwrap_or_default();
        let id = field::text_or_empty(&call, "toolCallId").to_owned();
        let over = matches!(status.as_str(), "completed" | "failed");
        // The title that a call has at its end is that of its result.
        if !over || self.state.call(&id).is_none() {
            self.report_call(&id, &call);
        }
        if over {
            self.report_result(&id, &mut call, status == "failed");
        } else if let Some(content) =
            call.get("content").filter(|content| content.as_array().is_some_and(|it| !it.is_empty()))
            && let Some(tool) = self.state.call(&id)
        {
            tool.content = remembered(content);
        }
    }

    /// Emits the changes of a call.
    pub(super) fn report_call(&mut self, id: &str, call: &Value) {
        let mut tool = match self.state.calls.iter().position(|tool| tool.id == id) {
            Some(at) => self.state.calls.remove(at),
            None => Call { id: id.to_owned(), ..Call::default() },
        };
        if let Some(title) = field::text(call, "title") {
            tool.title = text::cut(title.to_owned(), text::STRING_MAX);
        }
        if let Some(kind) = field::text(call, "kind") {
            kind.clone_into(&mut tool.kind);
        }
        if let Some(locations) = call.get("locations").and_then(Value::as_array) {
            tool.locations = locations.iter().filter_map(location).take(text::LIST_MAX).collect();
        }
        let given = call.get("rawInput").filter(|input| !input.is_null());
        if let Some(input) = given {
            tool.input = remembered(input);
            tool.input_forgotten = tool.input.is_none();
        }
        name(&mut tool, call, self.dialect);
        let input = given.or(tool.input.as_ref()).cloned();
        let now = fnv::hash_json(&(&tool.name, &tool.title, &tool.kind, &tool.locations, &input));
        // An input that was too long to remember is not repeated as if it were empty.
        if tool.reported != now && (tool.reported == 0 || input.is_some() || !tool.input_forgotten) {
            tool.reported = now;
            self.flush();
            let text = summary(&tool, input.as_ref());
            let body = Body::ToolCall {
                tool_call_id: tool.id.clone().into(),
                name: tool.name.clone().into(),
                input: input.unwrap_or_else(|| json!({})),
                kind: kind(&tool.kind),
                locations: tool.locations.clone(),
                parent_tool_call_id: None,
            };
            self.out.emit(text, body);
        }
        self.state.called(tool);
    }

    fn report_result(&mut self, id: &str, call: &mut Value, failed: bool) {
        let Some(at) = self.state.calls.iter().position(|tool| tool.id == id) else { return };
        let tool = self.state.calls.remove(at);
        self.flush();
        let mut content = match field::take(call, "content") {
            Value::Array(content) if !content.is_empty() => Value::Array(content),
            _ => tool.content.clone().unwrap_or_default(),
        };
        let mut output = field::take(call, "rawOutput");
        let mut images = image::take(&mut content);
        image::take_more(&mut output, &mut images);
        let todos = if tool.name == "todowrite" { todos(&output) } else { None };
        let diff = match patch(&mut output) {
            Some(patch) => Some(json!([{"path": path(&tool, &content), "diff": patch}])),
            None => diffs(&content).or(tool.asked),
        };
        let text = texts(&content).or_else(|| output::text(&output)).unwrap_or_default();
        text::bound(&mut output);
        self.out.emit(
            text::cut(text, text::STRING_MAX),
            Body::ToolResult {
                tool_call_id: tool.id.into(),
                is_error: failed,
                output,
                diff: diff.filter(|_| !failed),
                images,
                parent_tool_call_id: None,
            },
        );
        if let Some(todos) = todos {
            self.plan(&todos);
        }
    }

    /// A call was not allowed. Agents that report nothing more about it get its result here.
    pub(super) fn denied(&mut self, id: &str) {
        let Some(at) = self.state.calls.iter().position(|tool| tool.id == id) else { return };
        if self.dialect.silent_denial {
            let tool = self.state.calls.remove(at);
            self.report_no_result(tool.id, DENIED);
        } else {
            self.state.calls[at].denied = true;
        }
    }

    /// The turn is over: what has no result will have none.
    pub(super) fn end_calls(&mut self, why: &str) {
        for tool in std::mem::take(&mut self.state.calls) {
            self.report_no_result(tool.id, if tool.denied { DENIED } else { why });
        }
    }

    fn report_no_result(&mut self, id: String, why: &str) {
        let body = Body::ToolResult {
            tool_call_id: id.into(),
            is_error: true,
            output: Value::Null,
            diff: None,
            images: Vec::new(),
            parent_tool_call_id: None,
        };
        self.out.emit(why.to_owned(), body);
    }
}

/// The kind of a tool, by the protocol's word.
fn kind(word: &str) -> ToolKind {
    match word {
        "read" => ToolKind::Read,
        "edit" | "delete" | "move" => ToolKind::Edit,
        "execute" => ToolKind::Execute,
        "search" => ToolKind::Search,
        "fetch" => ToolKind::Fetch,
        "think" | "switch_mode" => ToolKind::Think,
        _ => ToolKind::Other,
    }
}

fn location(location: &Value) -> Option<Value> {
    let path = field::text(location, "path")?;
    Some(match field::number(location, "line") {
        Some(line) => json!({"path": path, "line": line}),
        None => json!({"path": path}),
    })
}

/// The texts of a call's content.
fn texts(content: &Value) -> Option<String> {
    let blocks = content.as_array()?;
    let of = |block: &Value| block.get("content").map(text_of).filter(|text| !text.is_empty());
    let texts: Vec<String> = blocks.iter().filter_map(of).collect();
    (!texts.is_empty()).then(|| texts.join("\n"))
}

/// The diffs of a call's content, as `[{"path","diff"}]`.
pub(super) fn diffs(content: &Value) -> Option<Value> {
    let blocks = content.as_array()?;
    let of = |block: &Value| {
        let (path, new) = (field::text(block, "path")?, field::text(block, "newText")?);
        Some(json!({"path": path, "diff": diff::unified(path, field::text(block, "oldText"), new)}))
    };
    let list: Vec<Value> = blocks.iter().filter(|it| field::text(it, "type") == Some("diff")).filter_map(of).collect();
    (!list.is_empty()).then_some(Value::Array(list))
}

/// The patch that OpenCode puts into its output: of the whole file, where the content has the replaced words only.
fn patch(output: &mut Value) -> Option<String> {
    let metadata = output.get_mut("metadata")?;
    field::take(metadata, "filediff");
    let patch = field::take_text(metadata, "diff")?;
    let begin = patch.find("--- ")?;
    Some(patch[begin..].to_owned())
}

fn path(tool: &Call, content: &Value) -> String {
    let of_content = content.as_array().and_then(|blocks| blocks.iter().find_map(|block| field::text(block, "path")));
    let of_tool = tool.locations.first().and_then(|location| field::text(location, "path"));
    of_content.or(of_tool).unwrap_or_default().to_owned()
}

/// The to-do list that OpenCode's tool was given.
fn todos(output: &Value) -> Option<Value> {
    output.get("metadata")?.get("todos").filter(|todos| todos.is_array()).cloned()
}
