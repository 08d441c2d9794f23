//! The arguments of a tool: parsed strictly, because a model learns from an error and not from a silent default.

use serde_json::{Map, Value};

/// Characters of an unknown argument's name that an error repeats.
const SHOWN_CHARS: usize = 64;

/// The failure of a tool, as the model reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ToolError {
    /// The machine-readable kind, as in errors of the API.
    pub(super) code: String,
    /// For the model and for people.
    pub(super) detail: String,
}

impl ToolError {
    pub(super) fn new(code: &str, detail: impl Into<String>) -> Self {
        Self { code: code.to_owned(), detail: detail.into() }
    }

    pub(super) fn invalid(detail: impl Into<String>) -> Self {
        Self::new("validation_failed", detail)
    }

    pub(super) fn no_worker(id: &str) -> Self {
        let id: String = id.chars().take(SHOWN_CHARS).collect();
        Self::new("not_found", format!("Worker not found: {id}"))
    }
}

/// The arguments of one call.
#[derive(Debug, Default)]
pub(super) struct Arguments(Map<String, Value>);

impl Arguments {
    /// Takes the arguments of a tool whose input schema this is.
    ///
    /// # Errors
    /// Fails when one of them is not in the schema, or a required one is missing.
    pub(super) fn of(given: Map<String, Value>, schema: &Value) -> Result<Self, ToolError> {
        let known = |name: &str| schema["properties"].get(name).is_some();
        if let Some(name) = given.keys().find(|name| !known(name)) {
            let name: String = name.chars().take(SHOWN_CHARS).collect();
            let names: Vec<&str> =
                schema["properties"].as_object().into_iter().flat_map(Map::keys).map(String::as_str).collect();
            return Err(ToolError::invalid(format!("unknown argument {name:?}; known are: {}", names.join(", "))));
        }
        let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let missing: Vec<&str> = required.filter(|name| given.get(*name).is_none_or(Value::is_null)).collect();
        if missing.is_empty() {
            return Ok(Self(given));
        }
        Err(ToolError::invalid(format!("missing arguments: {}", missing.join(", "))))
    }

    /// Takes a string; `None` when absent or null.
    pub(super) fn text(&mut self, name: &str) -> Result<Option<String>, ToolError> {
        match self.0.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if !text.contains('\0') => Ok(Some(text)),
            Some(_) => Err(ToolError::invalid(format!("{name} should be a string without NUL"))),
        }
    }

    /// Takes a string that must be there.
    pub(super) fn required_text(&mut self, name: &str) -> Result<String, ToolError> {
        self.text(name)?.ok_or_else(|| ToolError::invalid(format!("{name} is missing")))
    }

    /// Takes the id of a worker. It becomes a part of a path.
    pub(super) fn worker_id(&mut self) -> Result<String, ToolError> {
        let id = self.required_text("worker_id")?;
        let is_plain =
            !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
        if is_plain { Ok(id) } else { Err(ToolError::no_worker(&id)) }
    }

    /// Takes a boolean; false by default.
    pub(super) fn flag(&mut self, name: &str) -> Result<bool, ToolError> {
        match self.0.remove(name) {
            None | Some(Value::Null) => Ok(false),
            Some(Value::Bool(flag)) => Ok(flag),
            Some(_) => Err(ToolError::invalid(format!("{name} should be true or false"))),
        }
    }

    /// Takes a whole number within bounds; `None` when absent or null.
    pub(super) fn number(&mut self, name: &str, (min, max): (u64, u64)) -> Result<Option<u64>, ToolError> {
        let given = match self.0.remove(name) {
            None | Some(Value::Null) => return Ok(None),
            Some(given) => given,
        };
        // Some clients send 5.0 for 5.
        let whole = |number: f64| (number.fract() == 0.0 && (0.0..9e15).contains(&number)).then_some(number as u64);
        let number = given.as_u64().or_else(|| given.as_f64().and_then(whole));
        match number {
            Some(number) if (min..=max).contains(&number) => Ok(Some(number)),
            _ => Err(ToolError::invalid(format!("{name} should be a whole number from {min} to {max}, not {given}"))),
        }
    }

    /// Takes an object; `None` when absent or null.
    pub(super) fn object(&mut self, name: &str) -> Result<Option<Value>, ToolError> {
        match self.0.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(object @ Value::Object(_)) => Ok(Some(object)),
            Some(_) => Err(ToolError::invalid(format!("{name} should be an object"))),
        }
    }

    /// Takes an object of strings; `None` when absent or null.
    pub(super) fn texts(&mut self, name: &str) -> Result<Option<Value>, ToolError> {
        let object = self.object(name)?;
        let is_text = |value: &Value| value.as_str().is_some();
        match &object {
            Some(Value::Object(fields)) if !fields.values().all(is_text) => {
                Err(ToolError::invalid(format!("{name} should be an object of strings")))
            }
            _ => Ok(object),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parsed(given: &Value) -> Result<Arguments, ToolError> {
        let schema = json!({"properties": {"worker_id": {}, "n": {}, "on": {}}, "required": ["worker_id"]});
        Arguments::of(given.as_object().unwrap().clone(), &schema)
    }

    #[test]
    fn unknown_and_missing_arguments_are_named() {
        assert!(
            parsed(&json!({"worker_id": "a", "color": 1})).unwrap_err().detail.contains("unknown argument \"color\"")
        );
        assert!(parsed(&json!({"n": 1})).unwrap_err().detail.contains("missing arguments: worker_id"));
        assert!(parsed(&json!({"worker_id": null})).is_err());
    }

    #[test]
    fn worker_ids_are_one_part_of_a_path() {
        for id in ["", "a/b", "..", "a?b", "a%2Fb", "a b", "\u{e9}"] {
            assert_eq!(parsed(&json!({"worker_id": id})).unwrap().worker_id(), Err(ToolError::no_worker(id)), "{id}");
        }
        assert_eq!(parsed(&json!({"worker_id": "a-1"})).unwrap().worker_id(), Ok("a-1".to_owned()));
    }

    #[test]
    fn numbers_are_whole_and_within_bounds() {
        for (given, expected) in [
            (json!(5), Some(5)),
            (json!(5.0), Some(5)),
            (json!(0), None),
            (json!(5.5), None),
            (json!("5"), None),
            (json!(-1), None),
        ] {
            let number = parsed(&json!({"worker_id": "a", "n": given})).unwrap().number("n", (1, 9));
            assert_eq!(number.ok().flatten(), expected, "{given}");
        }
    }
}
