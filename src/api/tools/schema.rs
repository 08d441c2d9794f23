//! The JSON schemas of tools.

use serde_json::{Map, Value, json};

/// A property: its name, its schema, and whether it has to be there.
pub(super) type Property = (&'static str, Value, bool);

/// A text with a description.
pub(super) fn text(about: &str) -> Value {
    json!({"type": "string", "description": about})
}

/// One of these texts.
pub(super) fn one_of(words: &[&str], about: &str) -> Value {
    json!({"type": "string", "enum": words, "description": about})
}

/// A whole number within bounds.
pub(super) fn number((min, max): (u64, u64), about: &str) -> Value {
    json!({"type": "integer", "minimum": min, "maximum": max, "description": about})
}

/// A cursor.
pub(super) fn cursor(about: &str) -> Value {
    json!({"type": "integer", "minimum": 0, "description": about})
}

/// True or false.
pub(super) fn flag(about: &str) -> Value {
    json!({"type": "boolean", "description": about})
}

/// An object of which nothing more is said.
pub(super) fn any_object(about: &str) -> Value {
    json!({"type": "object", "description": about})
}

/// A list.
pub(super) fn list(items: &Value, about: &str) -> Value {
    json!({"type": "array", "items": items, "description": about})
}

/// The same, or null.
pub(super) fn or_null(mut schema: Value) -> Value {
    let kind = schema["type"].take();
    schema["type"] = json!([kind, "null"]);
    schema
}

/// The arguments of a tool: no others are taken.
pub(super) fn input(properties: Vec<Property>) -> Value {
    let mut schema = object(properties);
    schema["additionalProperties"] = json!(false);
    schema
}

/// An object with these properties, and perhaps more.
pub(super) fn object(properties: Vec<Property>) -> Value {
    let required: Vec<&str> = properties.iter().filter(|(_, _, required)| *required).map(|(name, ..)| *name).collect();
    let properties: Map<String, Value> =
        properties.into_iter().map(|(name, schema, _)| (name.to_owned(), schema)).collect();
    json!({"type": "object", "properties": properties, "required": required})
}

/// A worker in an answer.
pub(super) fn worker() -> Value {
    let parent = object(vec![("id", text("its id"), true), ("name", text("its name then"), true)]);
    object(vec![
        ("id", text("its id"), true),
        ("name", text("its name"), true),
        ("status", status(), true),
        ("reason", or_null(text("why, where there is more to say")), true),
        ("project_path", text("the folder that it works in"), true),
        ("ai_cli_type", text("its CLI"), true),
        ("model", or_null(text("its model")), true),
        ("permission_mode", or_null(text("its permission mode")), true),
        ("parent", or_null(parent), true),
        ("open_prompts", cursor("prompts that wait for a person"), true),
        ("queued_messages", cursor("messages that wait"), true),
        ("turns", cursor("turns so far"), true),
        ("cost_usd", json!({"type": "number", "description": "cost so far"}), true),
        ("last_text", or_null(text("the first line of its latest message")), true),
        ("last_activity", text("when something happened last"), true),
        ("last_seq", cursor("the cursor of its last event"), true),
    ])
}

/// The status of a worker.
pub(super) fn status() -> Value {
    let words = ["preparing", "starting", "idle", "busy", "waiting", "stalled", "stopping", "stopped", "failed"];
    one_of(&words, "busy: in a turn; waiting: a prompt waits for a person; stalled: silent for long within a turn")
}

/// An event in an answer.
pub(super) fn event() -> Value {
    object(vec![
        ("seq", cursor("its cursor"), true),
        ("time", text("when it was"), true),
        ("type", text("user, assistant, tool_call, tool_result, turn_completed, ..."), true),
        ("text", text("what was said or done"), true),
        ("tool", text("the tool of a call or prompt"), false),
        ("request_id", text("the prompt"), false),
        ("is_error", flag("true for a failure"), false),
        ("truncated", flag("true if the text was cut"), false),
    ])
}

/// A prompt in an answer.
pub(super) fn prompt() -> Value {
    object(vec![
        ("worker_id", text("who asks"), true),
        ("worker_name", text("its name"), true),
        ("request_id", text("its id, for the answer"), true),
        ("type", one_of(&["permission_request", "question"], "its kind"), true),
        ("tool_name", or_null(text("the tool that would run")), true),
        ("timestamp", text("when it was asked"), true),
        ("text", text("what is asked"), true),
        ("truncated", flag("true if the text was cut"), true),
        ("options", list(&json!({"type": "string"}), "the ids of the options"), true),
        (
            "questions",
            json!({"description": "the questions of the agent; null if there are none, or they are long"}),
            true,
        ),
    ])
}
