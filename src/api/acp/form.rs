//! Questions of an agent as forms of the protocol, and the answers that come back.

use serde_json::{Map, Value, json};

/// The name of a question's field in the form.
fn name(place: usize) -> String {
    format!("question_{place}")
}

/// Makes the form of questions, as `[{"question","options","multi_select","type"?}]`.
pub(super) fn schema(questions: &Value) -> Value {
    let (mut properties, mut required) = (Map::new(), Vec::new());
    for (place, question) in questions.as_array().into_iter().flatten().enumerate() {
        properties.insert(name(place), property(question));
        if question.get("required").and_then(Value::as_bool).unwrap_or(true) {
            required.push(name(place));
        }
    }
    json!({"type": "object", "properties": properties, "required": required})
}

fn property(question: &Value) -> Value {
    let text = |name: &str| question.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let choices = choices(question);
    let is_multiple = question.get("multi_select").and_then(Value::as_bool).unwrap_or_default();
    let mut property = match (choices.is_empty(), is_multiple) {
        (false, true) => json!({"type": "array", "items": {"anyOf": choices}}),
        (false, false) => json!({"type": "string", "oneOf": choices}),
        (true, _) => json!({"type": text("type").filter(|kind| *kind != "array").unwrap_or("string")}),
    };
    for (key, value) in [("title", text("question")), ("description", text("description"))] {
        if let Some(value) = value {
            property[key] = value.into();
        }
    }
    property
}

fn choices(question: &Value) -> Vec<Value> {
    let of = |option: &Value| {
        let text = |name: &str| option.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        let label = text("label")?;
        let mut choice = json!({"const": text("value").unwrap_or(label), "title": label});
        if let Some(description) = text("description") {
            choice["description"] = description.into();
        }
        Some(choice)
    };
    question.get("options").and_then(Value::as_array).into_iter().flatten().filter_map(of).collect()
}

/// The answers in the order of the questions; an absent one is null.
pub(super) fn answers(count: usize, content: &Value) -> Value {
    (0..count).map(|place| content.get(name(place)).cloned().unwrap_or_default()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_become_a_form_and_answers_keep_their_order() {
        let questions = json!([
            {"question": "Which?", "header": "", "multi_select": false,
             "options": [{"label": "One", "description": "first"}, {"label": "Two", "value": "2"}]},
            {"question": "Any?", "multi_select": true, "options": [{"label": "A"}]},
            {"question": "Name?", "options": [], "type": "string", "required": false},
        ]);
        let form = schema(&questions);
        assert_eq!(form["required"], json!(["question_0", "question_1"]));
        let first = &form["properties"]["question_0"];
        assert_eq!(first["oneOf"][0], json!({"const": "One", "title": "One", "description": "first"}));
        assert_eq!(first["oneOf"][1]["const"], "2");
        assert_eq!(form["properties"]["question_1"]["items"]["anyOf"][0]["const"], "A");
        assert_eq!(form["properties"]["question_2"], json!({"type": "string", "title": "Name?"}));
        let given = answers(3, &json!({"question_1": ["A"], "question_0": "One"}));
        assert_eq!(given, json!(["One", ["A"], null]));
    }
}
