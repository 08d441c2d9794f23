//! Content blocks of prompts and of tool calls.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::rpc::RpcError;

/// Longest title of a tool call, in characters.
const TITLE_CHARS_MAX: usize = 200;
/// The scheme of addresses of files.
const FILE: &str = "file://";

/// The message that a prompt makes.
#[derive(Debug, Default, PartialEq)]
pub(super) struct PromptMessage {
    pub(super) text: String,
    /// `{"media_type","data","name"?}`
    pub(super) attachments: Vec<Value>,
}

/// Reads the blocks of a prompt.
pub(super) fn message(blocks: &[Value]) -> Result<PromptMessage, RpcError> {
    let mut message = PromptMessage::default();
    let mut context = String::new();
    for block in blocks {
        let text = |name: &str| block.get(name).and_then(Value::as_str);
        let attach = |data: &str| {
            let media_type = text("mimeType").unwrap_or("application/octet-stream");
            json!({"media_type": media_type, "data": data})
        };
        match (text("type"), text("text"), text("data"), text("uri")) {
            (Some("text"), Some(text), ..) => message.text.push_str(text),
            (Some("image" | "audio"), _, Some(data), _) => message.attachments.push(attach(data)),
            (Some("resource_link"), .., Some(uri)) => {
                let name = text("name").unwrap_or(uri);
                message.text.push_str(&format!("[@{name}]({})", place(uri)));
            }
            (Some("resource"), ..) => resource(block.get("resource"), &mut message, &mut context)?,
            (kind, ..) => {
                let kind = kind.unwrap_or("without a type");
                return Err(RpcError::params(format!("prompt: a content block {kind} cannot be read")));
            }
        }
    }
    message.text.push_str(&context);
    Ok(message)
}

/// Adds an embedded resource: its address in the text, and its content after the text.
fn resource(resource: Option<&Value>, message: &mut PromptMessage, context: &mut String) -> Result<(), RpcError> {
    let text = |name: &str| resource.and_then(|resource| resource.get(name)).and_then(Value::as_str);
    let uri = text("uri").ok_or_else(|| RpcError::params("prompt: a resource needs a uri"))?;
    let name = uri.rsplit('/').next().filter(|name| !name.is_empty()).unwrap_or(uri);
    match (text("text"), text("blob")) {
        (Some(content), _) => {
            message.text.push_str(&format!("[@{name}]({})", place(uri)));
            context.push_str(&format!("\n\n<context path=\"{}\">\n{content}\n</context>", place(uri)));
        }
        (None, Some(blob)) => {
            let media_type = text("mimeType").unwrap_or("application/octet-stream");
            message.attachments.push(json!({"media_type": media_type, "data": blob, "name": name}));
        }
        (None, None) => return Err(RpcError::params("prompt: a resource needs a text or a blob")),
    }
    Ok(())
}

/// The path of a file, where an address is one.
fn place(uri: &str) -> &str {
    uri.strip_prefix(FILE).unwrap_or(uri)
}

/// A text block.
pub(super) fn text(text: &str) -> Value {
    json!({"type": "text", "text": text})
}

/// An image block.
pub(super) fn image(media_type: &str, data: &str) -> Value {
    json!({"type": "image", "mimeType": media_type, "data": data})
}

/// A block of a tool call.
pub(super) fn of_tool(block: &Value) -> Value {
    json!({"type": "content", "content": block})
}

/// The title of a tool call: the first line of its text, else the tool's name.
pub(super) fn title(text: &str, name: &str) -> String {
    let line = text.lines().find(|line| !line.trim().is_empty()).unwrap_or(name);
    line.chars().take(TITLE_CHARS_MAX).collect()
}

/// A path as the protocol has it: absolute.
pub(super) fn absolute(project: &str, path: &str) -> String {
    Path::new(project).join(path).to_string_lossy().into_owned()
}

/// The locations of a tool call.
pub(super) fn locations(project: &str, listed: &Value) -> Vec<Value> {
    let of = |location: &Value| {
        let mut found = json!({"path": absolute(project, location.get("path")?.as_str()?)});
        if let Some(line) = location.get("line").and_then(Value::as_u64).and_then(|line| u32::try_from(line).ok()) {
            found["line"] = line.into();
        }
        Some(found)
    };
    listed.as_array().into_iter().flatten().filter_map(of).collect()
}

/// The changes that the input of an editing tool describes.
pub(super) fn input_diffs(project: &str, input: &Value) -> Vec<Value> {
    let Some(fields) = input.as_object() else { return Vec::new() };
    if let Some(listed) = fields.get("diff") {
        return diffs(project, listed);
    }
    let word = |names: &[&str], of: &Map<String, Value>| {
        names.iter().find_map(|name| of.get(*name)?.as_str()).map(str::to_owned)
    };
    let Some(path) = word(&["file_path", "filePath", "path"], fields) else { return Vec::new() };
    let edit = |of: &Map<String, Value>| {
        let old = word(&["old_string", "oldString"], of)?;
        let new = word(&["new_string", "newString"], of)?;
        Some(diff(project, &path, Some(&old).filter(|old| !old.is_empty()).map(String::as_str), &new))
    };
    if let Some(edit) = edit(fields) {
        return vec![edit];
    }
    if let Some(edits) = fields.get("edits").and_then(Value::as_array) {
        return edits.iter().filter_map(|one| edit(one.as_object()?)).collect();
    }
    match fields.get("content").and_then(Value::as_str) {
        Some(content) => vec![diff(project, &path, None, content)],
        None => Vec::new(),
    }
}

/// The changes of a tool's result, as `[{"path","diff"}]` with unified diffs: one block for each hunk.
pub(super) fn diffs(project: &str, listed: &Value) -> Vec<Value> {
    let mut blocks = Vec::new();
    for file in listed.as_array().into_iter().flatten() {
        let of = |name: &str| file.get(name).and_then(Value::as_str);
        let (Some(path), Some(unified)) = (of("path"), of("diff")) else { continue };
        for hunk in hunks(unified) {
            let old = (!hunk.is_new).then_some(hunk.old.as_str());
            blocks.push(diff(project, path, old, &hunk.new));
        }
    }
    blocks
}

fn diff(project: &str, path: &str, old: Option<&str>, new: &str) -> Value {
    json!({"type": "diff", "path": absolute(project, path), "oldText": old, "newText": new})
}

/// Both sides of a hunk.
#[derive(Debug, Default, PartialEq)]
struct HunkSides {
    old: String,
    new: String,
    /// True if the file did not exist.
    is_new: bool,
}

fn hunks(unified: &str) -> Vec<HunkSides> {
    let mut hunks: Vec<HunkSides> = Vec::new();
    for line in unified.lines() {
        if let Some(range) = line.strip_prefix("@@ -") {
            hunks.push(HunkSides { is_new: range.starts_with("0,0 "), ..HunkSides::default() });
            continue;
        }
        let Some(hunk) = hunks.last_mut() else { continue };
        let (sign, text) = line.split_at_checked(1).unwrap_or((" ", ""));
        let put = |side: &mut String| {
            side.push_str(text);
            side.push('\n');
        };
        match sign {
            "-" => put(&mut hunk.old),
            "+" => put(&mut hunk.new),
            " " => {
                put(&mut hunk.old);
                put(&mut hunk.new);
            }
            _ => {}
        }
    }
    hunks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompts_become_text_and_attachments() {
        let blocks = [
            text("Look at "),
            json!({"type": "resource_link", "uri": "file:///p/a.rs", "name": "a.rs"}),
            json!({"type": "image", "mimeType": "image/png", "data": "AAAA"}),
            json!({"type": "resource", "resource": {"uri": "file:///p/b.rs", "text": "fn b() {}"}}),
            json!({"type": "resource", "resource": {"uri": "file:///p/c.pdf", "blob": "BBBB", "mimeType": "application/pdf"}}),
        ];
        let read = message(&blocks).unwrap();
        assert_eq!(
            read.text,
            "Look at [@a.rs](/p/a.rs)[@b.rs](/p/b.rs)\n\n<context path=\"/p/b.rs\">\nfn b() {}\n</context>"
        );
        assert_eq!(read.attachments[0], json!({"media_type": "image/png", "data": "AAAA"}));
        assert_eq!(read.attachments[1]["name"], "c.pdf");
        assert!(message(&[json!({"type": "hologram"})]).is_err());
    }

    #[test]
    fn edits_become_diffs_with_absolute_paths() {
        let edit = json!({"file_path": "src/a.rs", "old_string": "one", "new_string": "two"});
        let wanted = json!({"type": "diff", "path": "/p/src/a.rs", "oldText": "one", "newText": "two"});
        assert_eq!(input_diffs("/p", &edit), [wanted]);
        let written = input_diffs("/p", &json!({"file_path": "/q/b", "content": "new"}));
        assert_eq!(written, [json!({"type": "diff", "path": "/q/b", "oldText": null, "newText": "new"})]);
        assert!(input_diffs("/p", &json!({"command": "true"})).is_empty());
    }

    #[test]
    fn unified_diffs_become_one_block_per_hunk() {
        let unified = "--- a\n+++ b\n@@ -1,2 +1,2 @@\n same\n-old\n+new\n@@ -9,0 +9,1 @@\n+more\n";
        let found = diffs("/p", &json!([{"path": "a", "diff": unified}]));
        assert_eq!(found.len(), 2);
        assert_eq!(found[0]["oldText"], "same\nold\n");
        assert_eq!(found[0]["newText"], "same\nnew\n");
        let made = diffs("/p", &json!([{"path": "a", "diff": "@@ -0,0 +1,1 @@\n+x\n"}]));
        assert_eq!(made[0]["oldText"], Value::Null);
    }
}
