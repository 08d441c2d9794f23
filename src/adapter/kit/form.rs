//! Forms: what an agent, or an MCP server behind it, asks its user by a flat JSON schema; and answers, checked against it.
//! Pure.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::field;

/// Most fields of a form.
const FIELDS_MAX: usize = 32;
/// Most choices of a field.
const CHOICES_MAX: usize = 200;
/// Longest form that is remembered, in bytes of JSON.
const FORM_BYTES_MAX: usize = 16 * 1024;
/// Words that people type for yes and no.
const YES: [&str; 4] = ["true", "yes", "y", "on"];
const NO: [&str; 4] = ["false", "no", "n", "off"];

/// A form.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(in crate::adapter) struct Form {
    fields: Vec<FormField>,
}

/// One field of a form.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct FormField {
    name: String,
    title: Option<String>,
    description: Option<String>,
    required: bool,
    default: Option<Value>,
    kind: FieldKind,
}

/// The value that a field takes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum FieldKind {
    Text { min: Option<u64>, max: Option<u64>, pattern: Option<String>, format: Option<String> },
    Number { whole: bool, min: Option<f64>, max: Option<f64> },
    Boolean,
    Choice { choices: Vec<FormChoice> },
    Choices { choices: Vec<FormChoice>, min: Option<u64>, max: Option<u64> },
}

/// One value that a field offers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct FormChoice {
    value: String,
    label: String,
    description: Option<String>,
}

impl Form {
    /// Reads the schema of a form. `line` is the text that it came in: the fields keep its order.
    ///
    /// # Errors
    /// Fails when it has fields that no person can be shown, or too many; in words.
    pub(in crate::adapter) fn read(schema: &Value, line: &[u8]) -> Result<Self, String> {
        let none = Map::new();
        let properties = schema.get("properties").and_then(Value::as_object).unwrap_or(&none);
        if properties.len() > FIELDS_MAX {
            return Err(format!("it has {} fields, and at most {FIELDS_MAX} can be shown", properties.len()));
        }
        let required: Vec<&str> = schema
            .get("required")
            .and_then(Value::as_array)
            .map(|names| names.iter().filter_map(Value::as_str).collect())
            .unwrap_or_default();
        let mut fields = properties
            .iter()
            .map(|(name, schema)| FormField::read(name, schema, required.contains(&name.as_str())))
            .collect::<Result<Vec<_>, _>>()?;
        fields.sort_by_key(|field| place(&field.name, line));
        let form = Self { fields };
        let len = serde_json::to_vec(&form).map_or(usize::MAX, |json| json.len());
        if len > FORM_BYTES_MAX {
            return Err(format!("it has {len} bytes, and at most {FORM_BYTES_MAX} can be shown"));
        }
        Ok(form)
    }

    /// The form as the questions of a `question` event.
    pub(in crate::adapter) fn questions(&self) -> Value {
        self.fields.iter().map(FormField::question).collect()
    }

    /// The content that these answers make: by a field's name, its question or its number (from 0), or a list in their
    /// order.
    ///
    /// # Errors
    /// Fails when an answer is missing or does not fit its field; in words.
    pub(in crate::adapter) fn content(&self, answers: &Value) -> Result<Value, String> {
        if let Value::Object(given) = answers {
            let is_known = |key: &String| self.fields.iter().enumerate().any(|(at, field)| field.is_called(key, at));
            if let Some(strange) = given.keys().find(|key| !is_known(key)) {
                let names: Vec<&str> = self.fields.iter().map(|field| field.name.as_str()).collect();
                return Err(format!("the form has no field {strange:?}; it has {}", names.join(", ")));
            }
        }
        let mut content = Map::new();
        for (at, field) in self.fields.iter().enumerate() {
            let given = match answers {
                Value::Array(list) => list.get(at),
                Value::Object(given) => given.iter().find(|(key, _)| field.is_called(key, at)).map(|(_, value)| value),
                _ => None,
            };
            let given = given.filter(|value| !value.is_null() && value.as_str() != Some(""));
            match given.or(field.default.as_ref()) {
                Some(value) => {
                    let value = field.value(value).map_err(|why| format!("{}: {why}", field.name))?;
                    content.insert(field.name.clone(), value);
                }
                None if field.required => return Err(format!("{}: an answer is needed", field.name)),
                None => {}
            }
        }
        Ok(Value::Object(content))
    }
}

/// The place of a field's name in the line; fields that are not found come last, in the order of their names.
fn place(name: &str, line: &[u8]) -> (usize, String) {
    let key = format!("{}:", Value::from(name));
    let spaced = format!("{} :", Value::from(name));
    let properties = memchr::memmem::find(line, b"\"properties\"").unwrap_or(0);
    let at = [key, spaced].iter().filter_map(|key| memchr::memmem::find(&line[properties..], key.as_bytes())).min();
    (at.unwrap_or(usize::MAX), name.to_owned())
}

impl FormField {
    fn read(name: &str, schema: &Value, required: bool) -> Result<Self, String> {
        let text = |key| field::text(schema, key).filter(|text| !text.is_empty()).map(str::to_owned);
        let number = |key| field::number(schema, key);
        let float = |key: &str| schema.get(key).and_then(Value::as_f64);
        let kind = match field::text(schema, "type") {
            Some("string") => match choices(schema)? {
                Some(choices) => FieldKind::Choice { choices },
                None => FieldKind::Text {
                    min: number("minLength"),
                    max: number("maxLength"),
                    pattern: text("pattern"),
                    format: text("format"),
                },
            },
            Some(kind @ ("number" | "integer")) => {
                FieldKind::Number { whole: kind == "integer", min: float("minimum"), max: float("maximum") }
            }
            Some("boolean") => FieldKind::Boolean,
            Some("array") => {
                let items = schema.get("items").unwrap_or(&Value::Null);
                let choices = choices(items)?.ok_or_else(|| format!("its field {name} is a list of anything"))?;
                FieldKind::Choices { choices, min: number("minItems"), max: number("maxItems") }
            }
            other => return Err(format!("its field {name} has the type {}", other.unwrap_or("none"))),
        };
        let mut field = Self {
            name: name.to_owned(),
            title: text("title"),
            description: text("description"),
            required,
            default: None,
            kind,
        };
        // A default that its own field refuses would make every answer a mistake.
        field.default = schema.get("default").filter(|value| !value.is_null() && field.value(value).is_ok()).cloned();
        Ok(field)
    }

    fn title(&self) -> &str {
        self.title.as_deref().unwrap_or(&self.name)
    }

    /// Returns true if an answer's key means this field, which has this number.
    fn is_called(&self, key: &str, at: usize) -> bool {
        key == self.name || key == self.title() || key.parse() == Ok(at)
    }

    fn question(&self) -> Value {
        let mut question = json!({
            "field": self.name,
            "question": self.title(),
            "header": "",
            "required": self.required,
            "options": [],
            "multi_select": false,
        });
        let options = |choices: &[FormChoice]| -> Value {
            let of = |choice: &FormChoice| {
                let description = choice.description.as_deref().unwrap_or_default();
                json!({"label": choice.label, "value": choice.value, "description": description})
            };
            choices.iter().map(of).collect()
        };
        let mut put = |key: &str, value: Value| {
            if !value.is_null() {
                question[key] = value;
            }
        };
        put("description", json!(self.description));
        put("default", json!(self.default));
        match &self.kind {
            FieldKind::Text { min, max, pattern, format } => {
                put("type", "string".into());
                put("min_length", json!(min));
                put("max_length", json!(max));
                put("pattern", json!(pattern));
                put("format", json!(format));
            }
            FieldKind::Number { whole, min, max } => {
                put("type", if *whole { "integer" } else { "number" }.into());
                put("minimum", json!(min));
                put("maximum", json!(max));
            }
            FieldKind::Boolean => put("type", "boolean".into()),
            FieldKind::Choice { choices } => {
                put("type", "string".into());
                put("options", options(choices));
            }
            FieldKind::Choices { choices, min, max } => {
                put("type", "array".into());
                put("options", options(choices));
                put("multi_select", true.into());
                put("min_items", json!(min));
                put("max_items", json!(max));
            }
        }
        question
    }

    /// An answer as the value that the field takes. Words are read as numbers, as yes or no, and as the choice that they
    /// name.
    fn value(&self, answer: &Value) -> Result<Value, String> {
        match &self.kind {
            FieldKind::Text { min, max, format, .. } => {
                let text = words(answer).ok_or("write a text")?;
                within(text.chars().count() as u64, *min, *max, "characters")?;
                if !format.as_deref().is_none_or(|format| has_format(&text, format)) {
                    return Err(format!("{text:?} is not a valid {}", format.as_deref().unwrap_or_default()));
                }
                Ok(text.into())
            }
            FieldKind::Number { whole, min, max } => number(answer, *whole, *min, *max),
            FieldKind::Boolean => {
                let word = words(answer).unwrap_or_default().to_lowercase();
                match (YES.contains(&word.as_str()), NO.contains(&word.as_str())) {
                    (true, _) => Ok(true.into()),
                    (_, true) => Ok(false.into()),
                    _ => Err(format!("{answer} is neither true nor false")),
                }
            }
            FieldKind::Choice { choices } => choice(choices, answer),
            FieldKind::Choices { choices, min, max } => {
                let chosen: Vec<Value> = match answer {
                    Value::Array(list) => list.iter().map(|one| choice(choices, one)).collect::<Result<_, _>>()?,
                    Value::String(text) if choice(choices, answer).is_err() => {
                        text.split(',').map(|one| choice(choices, &one.trim().into())).collect::<Result<_, _>>()?
                    }
                    one => vec![choice(choices, one)?],
                };
                within(chosen.len() as u64, *min, *max, "choices")?;
                Ok(Value::Array(chosen))
            }
        }
    }
}

/// The values that a schema enumerates.
fn choices(schema: &Value) -> Result<Option<Vec<FormChoice>>, String> {
    let titled = ["oneOf", "anyOf"].iter().find_map(|key| schema.get(key)?.as_array());
    let plain = schema.get("enum").and_then(Value::as_array);
    let names = schema.get("enumNames").and_then(Value::as_array);
    let choices: Vec<FormChoice> = match (titled, plain) {
        (Some(titled), _) => titled
            .iter()
            .filter_map(|one| {
                let value = field::text(one, "const")?.to_owned();
                let label = field::text(one, "title").unwrap_or(&value).to_owned();
                Some(FormChoice { value, label, description: field::text(one, "description").map(str::to_owned) })
            })
            .collect(),
        (None, Some(plain)) => plain
            .iter()
            .enumerate()
            .filter_map(|(at, value)| {
                let label = names.and_then(|names| names.get(at)?.as_str()).or(value.as_str())?.to_owned();
                Some(FormChoice { value: value.as_str()?.to_owned(), label, description: None })
            })
            .collect(),
        (None, None) => return Ok(None),
    };
    match choices.len() {
        0 => Err("it offers no choice that can be shown".to_owned()),
        1..=CHOICES_MAX => Ok(Some(choices)),
        count => Err(format!("it offers {count} choices, and at most {CHOICES_MAX} can be shown")),
    }
}

/// The choice that an answer names by its value or its label.
fn choice(choices: &[FormChoice], answer: &Value) -> Result<Value, String> {
    let text = words(answer).unwrap_or_default();
    let found = choices.iter().find(|it| it.value == text).or_else(|| choices.iter().find(|it| it.label == text));
    found.map(|it| it.value.clone().into()).ok_or_else(|| {
        let known: Vec<&str> = choices.iter().map(|it| it.value.as_str()).collect();
        format!("{answer} is not offered; one of {}", known.join(", "))
    })
}

/// A text, or a number or a truth value as the words for it.
fn words(answer: &Value) -> Option<String> {
    match answer {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(answer.to_string()),
        _ => None,
    }
}

fn number(answer: &Value, whole: bool, min: Option<f64>, max: Option<f64>) -> Result<Value, String> {
    let text = words(answer).unwrap_or_default();
    let text = text.trim();
    let wrong = || format!("{answer} is not a {}", if whole { "whole number" } else { "number" });
    let value: f64 = text.parse().ok().filter(|value: &f64| value.is_finite()).ok_or_else(wrong)?;
    if min.is_some_and(|min| value < min) || max.is_some_and(|max| value > max) {
        let bound = |bound: Option<f64>| bound.map_or_else(|| "…".to_owned(), |bound| bound.to_string());
        return Err(format!("{text} is not between {} and {}", bound(min), bound(max)));
    }
    match text.parse::<i64>() {
        Ok(value) => Ok(value.into()),
        Err(_) if whole => Err(wrong()),
        Err(_) => Ok(json!(value)),
    }
}

fn within(count: u64, min: Option<u64>, max: Option<u64>, what: &str) -> Result<(), String> {
    match (min, max) {
        (Some(min), _) if count < min => Err(format!("{count} {what} are too few: at least {min}")),
        (_, Some(max)) if count > max => Err(format!("{count} {what} are too many: at most {max}")),
        _ => Ok(()),
    }
}

/// Returns true for a text in the shape of a format; formats that are not known pass.
fn has_format(text: &str, format: &str) -> bool {
    let date = |text: &str| {
        let parts: Vec<&str> = text.split('-').collect();
        let number = |at: usize, len: usize, max: u32| {
            let part = parts.get(at).copied().unwrap_or_default();
            part.len() == len && part.parse::<u32>().is_ok_and(|number| (1..=max).contains(&number))
        };
        parts.len() == 3 && number(0, 4, 9999) && number(1, 2, 12) && number(2, 2, 31)
    };
    match format {
        "email" => text.split_once('@').is_some_and(|(name, host)| !name.is_empty() && host.contains('.')),
        "uri" => text.split_once(':').is_some_and(|(scheme, rest)| {
            let plain = scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
            !scheme.is_empty() && plain && !rest.is_empty()
        }),
        "date" => date(text),
        "date-time" => text.split_once(['T', 't', ' ']).is_some_and(|(day, time)| date(day) && time.contains(':')),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form() -> Form {
        let line = r#"{"properties":{
            "name": {"type": "string", "title": "Name", "minLength": 2, "maxLength": 5},
            "mail": {"type": "string", "format": "email"},
            "count": {"type": "integer", "minimum": 1, "maximum": 9, "default": 3},
            "share": {"type": "number"},
            "sure": {"type": "boolean"},
            "color": {"type": "string", "oneOf": [{"const": "r", "title": "Red"}, {"const": "b", "title": "Blue"}]},
            "tags": {"type": "array", "maxItems": 2, "items": {"type": "string", "enum": ["x", "y", "z"]}}},
            "required": ["name", "sure"]}"#;
        Form::read(&line.parse().unwrap(), line.as_bytes()).unwrap()
    }

    #[test]
    fn form_is_questions_in_the_order_of_its_text() {
        let questions = form().questions();
        let names: Vec<&str> = questions.as_array().unwrap().iter().map(|it| it["field"].as_str().unwrap()).collect();
        assert_eq!(names, ["name", "mail", "count", "share", "sure", "color", "tags"]);
        assert_eq!(questions[0]["question"], "Name");
        assert_eq!((&questions[2]["type"], &questions[2]["default"]), (&json!("integer"), &json!(3)));
        assert_eq!(questions[5]["options"][1], json!({"label": "Blue", "value": "b", "description": ""}));
        assert_eq!(questions[6]["multi_select"], true);
    }

    #[test]
    fn answers_are_read_by_name_title_number_or_place() {
        let full = json!({"name": "Ann", "count": 4, "share": 0.5, "sure": true, "color": "b", "tags": ["x", "z"]});
        let typed = json!({"Name": "Ann", "2": "4", "share": "0.5", "sure": "yes", "color": "Blue", "tags": "x, z"});
        let listed = json!(["Ann", null, 4, 0.5, true, "b", ["x", "z"]]);
        for answers in [full.clone(), typed, listed] {
            assert_eq!(form().content(&answers).unwrap(), full, "{answers}");
        }
        let least = form().content(&json!({"name": "Ann", "sure": false})).unwrap();
        assert_eq!(least, json!({"name": "Ann", "sure": false, "count": 3}), "a default stands in");
    }

    #[test]
    fn answers_that_do_not_fit_are_refused_with_the_field() {
        for (field, answer, why) in [
            ("name", json!("A"), "name: 1 characters are too few: at least 2"),
            ("name", json!({}), "name: write a text"),
            ("name", Value::Null, "name: an answer is needed"),
            ("mail", json!("nobody"), "mail: \"nobody\" is not a valid email"),
            ("count", json!(10), "count: 10 is not between 1 and 9"),
            ("count", json!(1.5), "count: 1.5 is not a whole number"),
            ("share", json!("many"), "share: \"many\" is not a number"),
            ("sure", json!("maybe"), "sure: \"maybe\" is neither true nor false"),
            ("color", json!("green"), "color: \"green\" is not offered; one of r, b"),
            ("tags", json!(["x", "y", "z"]), "tags: 3 choices are too many: at most 2"),
            ("age", json!(1), "the form has no field \"age\"; it has name, mail, count, share, sure, color, tags"),
        ] {
            let mut answers = json!({"name": "Ann", "sure": true});
            answers[field] = answer;
            assert_eq!(form().content(&answers), Err(why.to_owned()));
        }
    }

    #[test]
    fn forms_that_nobody_can_be_shown_are_refused() {
        let read = |schema: Value| Form::read(&schema, schema.to_string().as_bytes()).map(|form| form.questions());
        assert_eq!(read(json!({})), Ok(json!([])));
        for (schema, why) in [
            (json!({"type": "object"}), "its field f has the type object"),
            (json!({"type": "array", "items": {"type": "string"}}), "its field f is a list of anything"),
            (json!({"type": "string", "enum": []}), "it offers no choice that can be shown"),
        ] {
            assert_eq!(read(json!({"properties": {"f": schema}})), Err(why.to_owned()));
        }
        let many: Map<String, Value> = (0..40).map(|at| (at.to_string(), json!({"type": "boolean"}))).collect();
        assert!(read(json!({"properties": many})).is_err());
        let long = json!({"properties": {"f": {"type": "string", "description": "x".repeat(FORM_BYTES_MAX)}}});
        assert!(read(long).is_err());
        let odd = json!({"properties": {"f": {"type": "integer", "default": "no number"}}});
        assert!(read(odd).unwrap()[0].get("default").is_none(), "a default that does not fit is left out");
    }
}
