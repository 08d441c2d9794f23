//! The readable text of a tool's raw output.

use crate::adapter::kit::{field, text};
use serde_json::Value;

/// Fields that hold the text of an output, the most useful one first. Agents put them into objects of their own making.
const TEXT_KEYS: [&str; 7] =
    ["aggregated_output", "formatted_output", "output", "text", "content", "result", "message"];
/// Deepest nesting in which such fields are looked for.
const DEPTH_MAX: usize = 3;

/// The text of an output; `None` when it has none. An object without any known field is its JSON.
pub(super) fn text(output: &Value) -> Option<String> {
    text_within(output, DEPTH_MAX)
}

fn text_within(output: &Value, depth: usize) -> Option<String> {
    match output {
        Value::Null => None,
        Value::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
        Value::Bool(_) | Value::Number(_) => Some(output.to_string()),
        _ if depth == 0 => None,
        Value::Array(items) => {
            let texts = items.iter().take(text::LIST_MAX).filter_map(|item| text_within(item, depth - 1));
            let texts: Vec<String> = texts.collect();
            (!texts.is_empty()).then(|| texts.join("\n"))
        }
        Value::Object(fields) if fields.is_empty() => None,
        Value::Object(fields) => {
            let of = |key: &str| fields.get(key).and_then(|value| text_within(value, depth - 1));
            let known = TEXT_KEYS.into_iter().find_map(of).or_else(|| streams(output)).or_else(|| of("error"));
            let is_silent = TEXT_KEYS.into_iter().chain(["stdout", "error"]).any(|key| fields.contains_key(key));
            known.or_else(|| (!is_silent && depth == DEPTH_MAX).then(|| output.to_string()))
        }
    }
}

/// Both streams of a command.
fn streams(output: &Value) -> Option<String> {
    let streams = ["stdout", "stderr"].map(|key| field::text_or_empty(output, key));
    let texts: Vec<&str> = streams.into_iter().filter(|text| !text.is_empty()).collect();
    (!texts.is_empty()).then(|| texts.join("\n"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn output_objects_give_their_text_whatever_its_field_is_called() {
        for (output, expected) in [
            (json!("plain"), Some("plain")),
            (
                json!({"message": "The user rejected this tool call.", "code": "rejected"}),
                Some("The user rejected this tool call."),
            ),
            (json!({"command": ["x"], "aggregated_output": "hi\n", "exit_code": 0}), Some("hi\n")),
            (json!({"command": ["x"], "aggregated_output": "", "stdout": ""}), None),
            (json!({"stdout": "a", "stderr": "b", "output": ""}), Some("a\nb")),
            (json!({"error": {"code": 1, "message": "denied"}}), Some("denied")),
            (json!({"content": [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]}), Some("one\ntwo")),
            (json!({"lines": 3}), Some(r#"{"lines":3}"#)),
            (json!({}), None),
            (json!(7), Some("7")),
        ] {
            assert_eq!(text(&output).as_deref(), expected, "{output}");
        }
    }

    #[test]
    fn deep_output_ends_the_search() {
        let deep = (0..200).fold(json!("x"), |inner, _| json!({"content": inner}));
        assert_eq!(text(&deep), None);
    }
}
