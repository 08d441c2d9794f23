//! Dotted paths into a JSON line, and the conditions and texts that are found by them. Pure.

use std::borrow::Cow;

use serde_json::Value;

use super::decode::{Invalid, Object, list, name_of, string};

/// A place in a JSON line: names and list positions with dots between them (`part.state.input`, `content.0.text`), or a
/// single dot for the whole line. What is `null` counts as absent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Path(Vec<String>);

impl Path {
    /// Reads a path.
    pub(super) fn decode(value: &Value, at: &str) -> Result<Self, Invalid> {
        let text = string(value, at)?;
        if text == "." {
            return Ok(Self(Vec::new()));
        }
        if text.split('.').any(str::is_empty) {
            let reason = format!("`{text}` is not a path; write names with dots between them, as in `part.text`");
            return Err(Invalid::new(at, reason));
        }
        Ok(Self(text.split('.').map(str::to_owned).collect()))
    }

    /// Returns the value at the path.
    pub(super) fn get<'v>(&self, line: &'v Value) -> Option<&'v Value> {
        let mut value = line;
        for step in &self.0 {
            value = match value {
                Value::Object(map) => map.get(step)?,
                Value::Array(items) => items.get(step.parse::<usize>().ok()?)?,
                _ => return None,
            };
        }
        (!value.is_null()).then_some(value)
    }
}

/// The origin of an event's field.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum FieldSource {
    /// The first of these paths that has a value.
    Paths(Vec<Path>),
    /// The texts of the list at this path, less what is not text.
    Texts(Path),
    /// Always this.
    Fixed(Value),
}

impl FieldSource {
    /// Reads `"a.path"`, `["first.path", "second.path"]`, `{"texts": "a.path"}` or `{"value": ...}`.
    pub(super) fn decode(value: &Value, at: &str) -> Result<Self, Invalid> {
        match value {
            Value::String(_) => Ok(Self::Paths(vec![Path::decode(value, at)?])),
            Value::Array(paths) if !paths.is_empty() => Ok(Self::Paths(
                paths
                    .iter()
                    .enumerate()
                    .map(|(i, path)| Path::decode(path, &format!("{at}[{i}]")))
                    .collect::<Result<_, _>>()?,
            )),
            Value::Object(_) => {
                let mut object = Object::new(value, at)?;
                if let Some(path) = object.get("texts") {
                    let path = Path::decode(path, &object.place("texts"))?;
                    object.end()?;
                    return Ok(Self::Texts(path));
                }
                let fixed = object.need("value")?.clone();
                object.end()?;
                Ok(Self::Fixed(fixed))
            }
            other => {
                let reason =
                    format!("this is {}; write a path, a list of paths, or {{\"value\": ...}}", name_of(other));
                Err(Invalid::new(at, reason))
            }
        }
    }

    /// Returns its value for a line.
    pub(super) fn get<'v>(&'v self, line: &'v Value) -> Option<&'v Value> {
        match self {
            Self::Paths(paths) => paths.iter().find_map(|path| path.get(line)),
            Self::Texts(path) => path.get(line),
            Self::Fixed(value) => (!value.is_null()).then_some(value),
        }
    }

    /// Returns its value for a line, as text.
    pub(super) fn text<'v>(&'v self, line: &'v Value) -> Option<Cow<'v, str>> {
        if matches!(self, Self::Texts(_)) { self.spoken(line) } else { self.get(line).map(text_of) }
    }

    /// Returns its value for a line as spoken text, never as the JSON of another value. `None` if it has none.
    pub(super) fn spoken<'v>(&'v self, line: &'v Value) -> Option<Cow<'v, str>> {
        let value = self.get(line)?;
        match value {
            Value::Array(items) => {
                let texts: String = items.iter().filter(|item| has_text(item)).map(text_of).collect();
                (!texts.is_empty()).then_some(Cow::Owned(texts))
            }
            Value::Object(_) => has_text(value).then(|| text_of(value)),
            _ => Some(text_of(value)),
        }
    }
}

/// The readable text of a value: a string as it is; of a list and of an object with `text` the texts in it; of anything
/// else its JSON.
pub(super) fn text_of(value: &Value) -> Cow<'_, str> {
    match value {
        Value::String(text) => Cow::Borrowed(text),
        Value::Array(items) if !items.is_empty() && items.iter().all(has_text) => {
            Cow::Owned(items.iter().map(text_of).collect())
        }
        Value::Object(map) => match map.get("text") {
            Some(Value::String(text)) => Cow::Borrowed(text),
            _ => Cow::Owned(value.to_string()),
        },
        other => Cow::Owned(other.to_string()),
    }
}

fn has_text(value: &Value) -> bool {
    value.is_string() || value.get("text").is_some_and(Value::is_string)
}

/// Conditions that a line must meet: all of these.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct LineConditions(Vec<(Path, Test)>);

#[derive(Clone, Debug, PartialEq)]
enum Test {
    /// One of these.
    OneOf(Vec<Value>),
    /// True: anything is there; false: nothing is.
    Exists(bool),
    /// A text that begins so.
    Prefix(String),
    /// The opposite of another test.
    Not(Box<Test>),
}

impl LineConditions {
    /// Reads `{"path": value, "path": [value, value], "path": {"exists": true}, ...}`.
    pub(super) fn decode(value: &Value, at: &str) -> Result<Self, Invalid> {
        let Value::Object(map) = value else {
            let reason = format!("this is {}; write paths and their values: {{\"type\": \"text\"}}", name_of(value));
            return Err(Invalid::new(at, reason));
        };
        let tests = map.iter().map(|(path, test)| {
            let at = format!("{at}.{path}");
            Ok((Path::decode(&Value::String(path.clone()), &at)?, Test::decode(test, &at)?))
        });
        Ok(Self(tests.collect::<Result<_, _>>()?))
    }

    /// Returns true if all of it holds.
    pub(super) fn holds(&self, line: &Value) -> bool {
        self.0.iter().all(|(path, test)| test.holds(path.get(line)))
    }
}

impl Test {
    fn decode(value: &Value, at: &str) -> Result<Self, Invalid> {
        let Value::Object(map) = value else {
            return match value {
                Value::Array(_) => Ok(Self::OneOf(list(value, at)?.to_vec())),
                Value::Null => Err(Invalid::new(at, "write {\"exists\": false} for what is null or absent")),
                other => Ok(Self::OneOf(vec![other.clone()])),
            };
        };
        let mut object = Object::new(value, at)?;
        let test = if let Some(exists) = object.boolean("exists")? {
            Self::Exists(exists)
        } else if let Some(prefix) = object.string("prefix")? {
            Self::Prefix(prefix.to_owned())
        } else if let Some(not) = object.get("not") {
            Self::Not(Box::new(Self::decode(not, &object.place("not"))?))
        } else {
            return Err(Invalid::new(at, "write one of {\"exists\": true}, {\"prefix\": \"...\"}, {\"not\": ...}"));
        };
        object.end()?;
        if map.len() > 1 {
            return Err(Invalid::new(at, "write one test here; further tests of the same path go into `not`"));
        }
        Ok(test)
    }

    fn holds(&self, value: Option<&Value>) -> bool {
        match self {
            Self::OneOf(values) => value.is_some_and(|value| values.contains(value)),
            Self::Exists(exists) => value.is_some() == *exists,
            Self::Prefix(prefix) => value.and_then(Value::as_str).is_some_and(|text| text.starts_with(prefix)),
            Self::Not(test) => !test.holds(value),
        }
    }
}

/// A condition: always true, or true when the line shows it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Flag {
    Always(bool),
    When(LineConditions),
}

impl Flag {
    /// Reads `true`, `false` or what [`LineConditions`] reads.
    pub(super) fn decode(value: &Value, at: &str) -> Result<Self, Invalid> {
        match value {
            Value::Bool(yes) => Ok(Self::Always(*yes)),
            other => LineConditions::decode(other, at).map(Self::When),
        }
    }

    /// Returns true if it holds for this line.
    pub(super) fn holds(&self, line: &Value) -> bool {
        match self {
            Self::Always(yes) => *yes,
            Self::When(when) => when.holds(line),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_path_goes_through_objects_and_lists() {
        let line = json!({"message": {"content": [{"text": "a"}, {"text": "b"}], "id": null}});
        let get = |path: &str| Path::decode(&json!(path), "p").unwrap().get(&line).cloned();
        assert_eq!(get("message.content.1.text"), Some(json!("b")));
        assert_eq!(get("."), Some(line.clone()));
        for absent in ["message.id", "message.content.2.text", "message.content.x", "message.content.0.text.y", "z"] {
            assert_eq!(get(absent), None, "{absent}");
        }
        for wrong in ["", "a..b", ".a", "a."] {
            assert!(Path::decode(&json!(wrong), "p").is_err(), "{wrong}");
        }
    }

    #[test]
    fn every_test_of_a_condition_must_hold() {
        let holds = |when: Value, line: Value| LineConditions::decode(&when, "when").unwrap().holds(&line);
        assert!(holds(json!({}), json!(1)));
        assert!(holds(json!({"a": "x", "b.c": [1, 2]}), json!({"a": "x", "b": {"c": 2}})));
        assert!(!holds(json!({"a": "x", "b.c": [1, 2]}), json!({"a": "x", "b": {"c": 3}})));
        assert!(holds(json!({"a": {"exists": false}}), json!({"a": null})));
        assert!(!holds(json!({"a": {"exists": true}}), json!({})));
        assert!(holds(json!({"a": {"prefix": "Re"}}), json!({"a": "Reconnecting"})));
        assert!(holds(json!({"a": {"not": {"prefix": "Re"}}}), json!({"a": "no"})));
        assert!(holds(json!({"a": {"not": "x"}}), json!({})));
        assert!(!holds(json!({"a": {"not": ["x", "y"]}}), json!({"a": "y"})));
        for wrong in [json!({"a": {}}), json!({"a": null}), json!({"a": {"prefix": "x", "exists": true}}), json!("a")] {
            assert!(LineConditions::decode(&wrong, "when").is_err(), "{wrong}");
        }
    }

    #[test]
    fn texts_in_lists_are_joined_and_other_values_stay_json() {
        assert_eq!(text_of(&json!([{"type": "text", "text": "a"}, {"text": "b"}, "c"])), "abc");
        assert_eq!(text_of(&json!({"text": "a"})), "a");
        assert_eq!(text_of(&json!([1, 2])), "[1,2]");
        assert_eq!(text_of(&json!({"a": true})), "{\"a\":true}");
    }
}
