//! Bodies and queries, validated: every mistake is named with its place, all of them at once.

use serde_json::{Map, Value, json};

use super::attachment;
use super::error::{ApiError, Mistake};
use crate::clock::Micros;
use crate::fnv;
use crate::http::Head;
use crate::worker::history::blocks::BlockScope;
use crate::worker::history::cursor::{Cursor, counted};

/// Most entries of a list in a body.
const LIST_MAX: usize = 1_000;

/// The first bytes of what gzip has compressed.
const GZIP: &[u8] = &[0x1f, 0x8b];

/// The fields of a JSON body. Fields that nobody asks for are ignored, as the reference does.
pub(super) struct Body {
    fields: Map<String, Value>,
    mistakes: Vec<Mistake>,
}

impl Body {
    /// Reads a body that must be an object.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, ApiError> {
        if bytes.is_empty() {
            return Err(ApiError::Validation(vec![Mistake {
                loc: vec![json!("body")],
                msg: "Field required".to_owned(),
                kind: "missing",
            }]));
        }
        if bytes.starts_with(GZIP) {
            let reported = "the body is compressed by gzip, which is not accepted: send it uncompressed";
            return Err(ApiError::Detail(415, reported.to_owned()));
        }
        match serde_json::from_slice(bytes) {
            Ok(Value::Object(fields)) => Ok(Self { fields, mistakes: Vec::new() }),
            Ok(_) => Err(ApiError::Validation(vec![Mistake {
                loc: vec![json!("body")],
                msg: "Input should be an object".to_owned(),
                kind: "model_attributes_type",
            }])),
            Err(error) => Err(ApiError::Validation(vec![Mistake {
                loc: vec![json!("body"), json!(error.column())],
                msg: format!("JSON decode error: {error}"),
                kind: "json_invalid",
            }])),
        }
    }

    /// The fields of an object that was read already.
    pub(super) const fn of(fields: Map<String, Value>) -> Self {
        Self { fields, mistakes: Vec::new() }
    }

    /// The hash of the fields that are still there, in any order.
    pub(super) fn hash(&self) -> u64 {
        fnv::hash_json(&self.fields)
    }

    /// Returns whether there is a field of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.fields.contains_key(name)
    }

    /// A text that is looked at before it is its turn to be validated.
    pub(super) fn peek_text(&self, name: &str) -> Option<String> {
        self.fields.get(name).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
    }

    /// Reads a body that may be left out.
    pub(super) fn parse_optional(bytes: &[u8]) -> Result<Self, ApiError> {
        Self::parse(if bytes.is_empty() { b"{}" } else { bytes })
    }

    /// A text that must be there.
    pub(super) fn text(&mut self, name: &str) -> String {
        if !self.fields.contains_key(name) {
            self.mistake(name, "Field required", "missing");
            return String::new();
        }
        if self.fields.get(name).is_some_and(Value::is_null) {
            self.mistake(name, "Input should be a valid string", "string_type");
        }
        self.optional_text(name).unwrap_or_default()
    }

    /// A text that may be left out or null.
    pub(super) fn optional_text(&mut self, name: &str) -> Option<String> {
        match self.fields.remove(name) {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) if text.contains('\0') => {
                self.mistake(name, "Input should not contain NUL", "value_error");
                None
            }
            Some(Value::String(text)) => Some(text),
            Some(_) => {
                self.mistake(name, "Input should be a valid string", "string_type");
                None
            }
        }
    }

    /// A text that may be left out or null, but is not blank.
    pub(super) fn optional_words(&mut self, name: &str) -> Option<String> {
        let words = self.optional_text(name);
        if words.as_ref().is_some_and(|words| words.trim().is_empty()) {
            self.mistake(name, "Input should not be blank", "value_error");
        }
        words
    }

    /// A yes or no; no when left out.
    pub(super) fn flag(&mut self, name: &str) -> bool {
        match self.fields.remove(name) {
            None | Some(Value::Null) => false,
            Some(Value::Bool(flag)) => flag,
            Some(_) => {
                self.mistake(name, "Input should be a valid boolean", "bool_type");
                false
            }
        }
    }

    /// A yes or no that may be left out or null.
    pub(super) fn optional_flag(&mut self, name: &str) -> Option<bool> {
        match self.fields.get(name) {
            None | Some(Value::Null) => None,
            Some(_) => Some(self.flag(name)),
        }
    }

    /// A time in UTC, as in `2026-11-30T09:00:00Z`: `None` when left out, 0 for null.
    pub(super) fn optional_time(&mut self, name: &str) -> Option<u64> {
        let text = match self.fields.remove(name)? {
            Value::Null => return Some(0),
            Value::String(text) => text,
            _ => String::new(),
        };
        let time = Micros::parse_iso(&text).filter(|_| is_time_of_day(&text));
        if time.is_none() {
            self.mistake(name, "Input should be a time as in 2026-11-30T09:00:00Z", "datetime_parsing");
        }
        time.map(|time| time.0)
    }

    /// A list of texts; empty when left out.
    pub(super) fn texts(&mut self, name: &str) -> Vec<String> {
        let mut texts = Vec::new();
        for item in self.list(name) {
            match item {
                Value::String(text) if !text.contains('\0') => texts.push(text),
                _ => self.mistake(name, "Input should be a list of valid strings", "string_type"),
            }
        }
        texts
    }

    /// A list of anything; empty when left out.
    pub(super) fn list(&mut self, name: &str) -> Vec<Value> {
        match self.fields.remove(name) {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(list)) if list.len() <= LIST_MAX => list,
            Some(Value::Array(_)) => {
                self.mistake(name, &format!("Input should have at most {LIST_MAX} entries"), "too_long");
                Vec::new()
            }
            Some(_) => {
                self.mistake(name, "Input should be a valid list", "list_type");
                Vec::new()
            }
        }
    }

    /// The images and files of a message; none when left out.
    pub(super) fn attachments(&mut self) -> Vec<Value> {
        let attachments = self.list("attachments");
        for (place, fault) in
            attachments.iter().enumerate().filter_map(|(place, it)| Some((place, attachment::check(it).err()?)))
        {
            self.mistake("attachments", &format!("Attachment {place}: {fault}"), "value_error");
        }
        attachments
    }

    /// Names with texts; none when left out.
    pub(super) fn text_map(&mut self, name: &str) -> Vec<(String, String)> {
        let map = match self.fields.remove(name) {
            None | Some(Value::Null) => return Vec::new(),
            Some(Value::Object(map)) => map,
            Some(_) => {
                self.mistake(name, "Input should be an object of strings", "dict_type");
                return Vec::new();
            }
        };
        let mut texts = Vec::new();
        for (key, value) in map {
            match value {
                Value::String(text) => texts.push((key, text)),
                _ => self.mistake(name, &format!("Input should be a valid string: {key}"), "string_type"),
            }
        }
        texts
    }

    /// Anything; `None` when left out.
    pub(super) fn value(&mut self, name: &str) -> Option<Value> {
        self.fields.remove(name)
    }

    /// Returns whether a mistake was noted.
    pub(super) const fn has_mistakes(&self) -> bool {
        !self.mistakes.is_empty()
    }

    /// Takes over the mistakes in an object that is the field `name`.
    pub(super) fn take_mistakes(&mut self, name: &str, object: Self) {
        self.mistakes.extend(object.mistakes.into_iter().map(|mut mistake| {
            mistake.loc.insert(1, json!(name));
            mistake
        }));
    }

    /// Notes a mistake.
    pub(super) fn mistake(&mut self, name: &str, msg: &str, kind: &'static str) {
        self.mistakes.push(Mistake { loc: vec![json!("body"), json!(name)], msg: msg.to_owned(), kind });
    }

    /// Ends the validation.
    pub(super) fn finish(self) -> Result<(), ApiError> {
        if self.mistakes.is_empty() { Ok(()) } else { Err(ApiError::Validation(self.mistakes)) }
    }
}

/// Returns whether the hour, minute and second of a time in ISO 8601 are ones that a day has.
fn is_time_of_day(text: &str) -> bool {
    let below = |at: std::ops::Range<usize>, end: u8| {
        text.get(at).and_then(|digits| digits.parse::<u8>().ok()).is_some_and(|number| number < end)
    };
    below(11..13, 24) && below(14..16, 60) && below(17..19, 60) && !text.ends_with(".Z")
}

/// A number in the query.
pub(super) fn number(head: &Head, name: &str) -> Result<Option<u64>, ApiError> {
    let Some(text) = head.query_value(name) else { return Ok(None) };
    let mistake =
        || ApiError::mistake("query", name, format!("Input should be a valid integer, not {text:?}"), "int_parsing");
    counted(text).map(Some).ok_or_else(mistake)
}

/// The cursor in the query: the sequence number called `name`, and the time of its event, `at`.
pub(super) fn cursor(head: &Head, name: &str) -> Result<Option<Cursor>, ApiError> {
    let at = event_time(head)?;
    Ok(number(head, name)?.map(|seq| Cursor { seq, at }))
}

/// The time of an event in the query, `at`.
pub(super) fn event_time(head: &Head) -> Result<Option<Micros>, ApiError> {
    match head.query_value("at") {
        None | Some("") => Ok(None),
        Some(text) => Cursor::parse_time(text).map(Some).ok_or_else(|| {
            let reported = format!("Input should be the timestamp of an event, not {text:?}");
            ApiError::mistake("query", "at", reported, "datetime_parsing")
        }),
    }
}

/// The events whose blocks the query asks for: `blocks=1`, or `blocks=all` with the results of tools.
pub(super) fn blocks(head: &Head) -> Result<BlockScope, ApiError> {
    match head.query_value("blocks") {
        Some("all") => Ok(BlockScope::Results),
        _ if message_blocks(head)? => Ok(BlockScope::Messages),
        _ => Ok(BlockScope::Nothing),
    }
}

/// Returns whether the query asks for the blocks of messages: `blocks=1`.
pub(super) fn message_blocks(head: &Head) -> Result<bool, ApiError> {
    one_or_zero(head, "blocks")
}

/// A yes or no in the query that is written 1 or 0; no when left out.
pub(super) fn one_or_zero(head: &Head, name: &str) -> Result<bool, ApiError> {
    match head.query_value(name) {
        None | Some("0") => Ok(false),
        Some("1") => Ok(true),
        Some(other) => {
            let text = format!("Input should be 1 or 0, not {other:?}");
            Err(ApiError::mistake("query", name, text, "enum"))
        }
    }
}

/// A yes or no in the query; no when left out.
pub(super) fn flag(head: &Head, name: &str) -> Result<bool, ApiError> {
    match head.query_value(name) {
        None | Some("false" | "0" | "") => Ok(false),
        Some("true" | "1") => Ok(true),
        Some(text) => {
            let reported = format!("Input should be a valid boolean, not {text:?}");
            Err(ApiError::mistake("query", name, reported, "bool_parsing"))
        }
    }
}
