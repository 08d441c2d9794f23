//! Validates responses against the OpenAPI document of the server. It supports the part of JSON Schema that the
//! document uses, and is stricter in one point: a field that the document does not name is an error, so that the
//! document is complete.

use std::collections::BTreeSet;

use serde_json::Value;

/// The document.
pub(crate) struct Document(pub(crate) Value);

impl Document {
    /// Fails unless the document has this response: JSON under the pattern, method and status, with this schema.
    #[track_caller]
    pub(crate) fn check_answer(&self, method: &str, pattern: &str, status: u16, body: &Value) {
        let responses = &self.0["paths"][pattern][method.to_lowercase()]["responses"];
        let schema = &responses[status.to_string()]["content"]["application/json"]["schema"];
        assert!(schema.is_object(), "{method} {pattern} says nothing of {status} with JSON: {responses}");
        let mistakes = self.mistakes(schema, body);
        assert!(mistakes.is_empty(), "{method} {pattern} {status}: {mistakes:?} in {body}");
    }

    /// Fails unless the value matches a named schema.
    #[track_caller]
    pub(crate) fn check(&self, schema: &str, value: &Value) {
        let mistakes = self.mistakes(&self.0["components"]["schemas"][schema], value);
        assert!(mistakes.is_empty(), "{schema}: {mistakes:?} in {value}");
    }

    /// Returns the errors of the value, with their locations.
    pub(crate) fn mistakes(&self, schema: &Value, value: &Value) -> Vec<String> {
        let mut mistakes = Vec::new();
        self.collect(schema, value, "", &mut mistakes);
        let object = value.as_object().filter(|_| mistakes.is_empty());
        if let Some(fields) = object {
            let known = self.fields(schema);
            let unknown = fields.keys().filter(|name| !known.is_empty() && !known.contains(name.as_str()));
            mistakes.extend(unknown.map(|name| format!("{name} is not documented")));
        }
        mistakes
    }

    fn collect(&self, schema: &Value, value: &Value, at: &str, mistakes: &mut Vec<String>) {
        if let Some(reference) = schema["$ref"].as_str() {
            let target = self.0.pointer(reference.trim_start_matches('#'));
            let target = target.unwrap_or_else(|| panic!("{reference} leads nowhere"));
            return self.collect(target, value, at, mistakes);
        }
        for part in schema["allOf"].as_array().into_iter().flatten() {
            self.collect(part, value, at, mistakes);
        }
        for choice in ["oneOf", "anyOf"] {
            let Some(choices) = schema[choice].as_array() else { continue };
            let tried: Vec<_> = choices.iter().map(|one| self.mistakes(one, value)).collect();
            let fitting = tried.iter().filter(|found| found.is_empty()).count();
            if fitting == 0 || (choice == "oneOf" && fitting > 1) {
                let closest = tried.iter().min_by_key(|found| found.len());
                mistakes.push(format!("{at}: {fitting} of {choice} fit; the closest: {closest:?}"));
            }
        }
        if schema.get("const").is_some_and(|wanted| wanted != value) {
            mistakes.push(format!("{at}: {value} is not {}", schema["const"]));
        }
        if schema["enum"].as_array().is_some_and(|choices| !choices.contains(value)) {
            mistakes.push(format!("{at}: {value} is none of {}", schema["enum"]));
        }
        if !fits_type(&schema["type"], value) {
            mistakes.push(format!("{at}: {value} is no {}", schema["type"]));
        }
        if schema["format"] == "date-time" && value.is_string() && !crate::wire::is_utc_time(value) {
            mistakes.push(format!("{at}: {value} is no time"));
        }
        if let Some(items) = value.as_array().filter(|_| schema.get("items").is_some()) {
            for (index, item) in items.iter().enumerate() {
                let found = self.mistakes(&schema["items"], item);
                mistakes.extend(found.into_iter().map(|mistake| format!("{at}/{index}: {mistake}")));
            }
        }
        self.collect_fields(schema, value, at, mistakes);
    }

    fn collect_fields(&self, schema: &Value, value: &Value, at: &str, mistakes: &mut Vec<String>) {
        let Some(fields) = value.as_object() else { return };
        for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if !fields.contains_key(name) {
                mistakes.push(format!("{at}: {name} is missing"));
            }
        }
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            if let Some(field) = fields.get(name) {
                let found = self.mistakes(property, field);
                mistakes.extend(found.into_iter().map(|mistake| format!("{at}/{name}: {mistake}")));
            }
        }
    }

    /// Returns the fields that a schema names, directly and through others. `None` where it allows anything.
    fn fields<'d>(&'d self, schema: &'d Value) -> BTreeSet<&'d str> {
        let mut names: BTreeSet<&str> =
            schema["properties"].as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
        if let Some(target) = schema["$ref"].as_str().and_then(|target| self.0.pointer(target.trim_start_matches('#')))
        {
            names.extend(self.fields(target));
        }
        // The matching alternative of a choice has checked the fields already; here they only must not interfere.
        for parts in ["allOf", "oneOf", "anyOf"] {
            names.extend(schema[parts].as_array().into_iter().flatten().flat_map(|part| self.fields(part)));
        }
        names
    }
}

fn fits_type(wanted: &Value, value: &Value) -> bool {
    let fits = |name: &str| match name {
        "null" => value.is_null(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("the document has a type {other:?}"),
    };
    match wanted {
        Value::Null => true,
        Value::Array(names) => names.iter().filter_map(Value::as_str).any(fits),
        name => name.as_str().is_some_and(fits),
    }
}

#[test]
fn undocumented_answers_are_found() {
    let schema = serde_json::json!({"type": "object", "required": ["a"], "properties": {
        "a": {"type": ["integer", "null"]}, "b": {"type": "array", "items": {"enum": ["x"]}}}});
    let document = Document(Value::Null);
    let count = |text: &str| document.mistakes(&schema, &serde_json::from_str(text).unwrap()).len();
    assert_eq!((count(r#"{"a":1,"b":["x"]}"#), count(r#"{"a":null}"#)), (0, 0));
    for wrong in [r#"{}"#, r#"{"a":"1"}"#, r#"{"a":1,"c":2}"#, r#"{"a":1,"b":["y"]}"#, r#"{"a":1.5}"#, "[]"] {
        assert_eq!(count(wrong), 1, "{wrong}");
    }
}
