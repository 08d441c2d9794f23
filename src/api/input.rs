//! Validates bodies and queries: reports all errors at once, each with its location.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::attachment;
use super::error::{ApiError, FieldMistake};
use crate::clock::Micros;
use crate::fnv;
use crate::http::Head;
use crate::worker::history::blocks::BlockScope;
use crate::worker::history::cursor::{Cursor, counted};

/// Maximum number of entries of a list in a body.
const LIST_MAX: usize = 1_000;

/// Largest line number.
const COUNT_MAX: u64 = 2_147_483_647;

/// The signature of gzip.
const GZIP: &[u8] = &[0x1f, 0x8b];

/// The fields of a JSON body. Unknown fields are ignored, as in the reference.
pub(super) struct JsonBody {
    fields: Map<String, Value>,
    mistakes: Vec<FieldMistake>,
}

impl JsonBody {
    /// Parses a body that must be an object.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, ApiError> {
        if bytes.is_empty() {
            return Err(ApiError::Validation(vec![FieldMistake {
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
            Ok(_) => Err(ApiError::Validation(vec![FieldMistake {
                loc: vec![json!("body")],
                msg: "Input should be an object".to_owned(),
                kind: "model_attributes_type",
            }])),
            Err(error) => Err(ApiError::Validation(vec![FieldMistake {
                loc: vec![json!("body"), json!(error.column())],
                msg: format!("JSON decode error: {error}"),
                kind: "json_invalid",
            }])),
        }
    }

    /// Wraps the fields of an object that is parsed already.
    pub(super) const fn of(fields: Map<String, Value>) -> Self {
        Self { fields, mistakes: Vec::new() }
    }

    /// Returns the hash of the remaining fields, in any order.
    pub(super) fn hash(&self) -> u64 {
        fnv::hash_json(&self.fields)
    }

    /// Returns the fields, if there was no error so far.
    pub(super) fn into_fields(self) -> Result<Map<String, Value>, ApiError> {
        let fields = self.fields.clone();
        self.finish().map(|()| fields)
    }

    /// Adds fields that are absent or null; of an environment, each variable separately.
    pub(super) fn fill_in(&mut self, fields: Map<String, Value>) {
        for (name, value) in fields {
            let is_env = name == "env";
            let own = self.fields.entry(name).or_insert(Value::Null);
            if own.is_null() {
                *own = value;
            } else if is_env && let (Some(own), Value::Object(more)) = (own.as_object_mut(), value) {
                for (variable, value) in more {
                    own.entry(variable).or_insert(value);
                }
            }
        }
    }

    /// Returns whether there is a field with this name that is not null.
    pub(super) fn has_value(&self, name: &str) -> bool {
        self.fields.get(name).is_some_and(|value| !value.is_null())
    }

    /// Returns whether there is a field with this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.fields.contains_key(name)
    }

    /// Peeks at a string before it is validated.
    pub(super) fn peek_text(&self, name: &str) -> Option<String> {
        self.fields.get(name).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
    }

    /// Parses an optional body.
    pub(super) fn parse_optional(bytes: &[u8]) -> Result<Self, ApiError> {
        Self::parse(if bytes.is_empty() { b"{}" } else { bytes })
    }

    /// Takes a required string.
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

    /// Takes a string that may be absent or null.
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

    /// Takes a string that may be absent or null, but not blank.
    pub(super) fn optional_words(&mut self, name: &str) -> Option<String> {
        let words = self.optional_text(name);
        if words.as_ref().is_some_and(|words| words.trim().is_empty()) {
            self.mistake(name, "Input should not be blank", "value_error");
        }
        words
    }

    /// Takes a number of at least 1 that may be absent or null.
    pub(super) fn optional_count(&mut self, name: &str) -> Option<u64> {
        match self.fields.remove(name)? {
            Value::Null => None,
            value => {
                let count = value.as_u64().filter(|count| (1..=COUNT_MAX).contains(count));
                if count.is_none() {
                    self.mistake(name, "Input should be a whole number from 1 to 2147483647", "int_type");
                }
                count
            }
        }
    }

    /// Takes a boolean; false by default.
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

    /// Takes a boolean that may be absent or null.
    pub(super) fn optional_flag(&mut self, name: &str) -> Option<bool> {
        match self.fields.get(name) {
            None | Some(Value::Null) => None,
            Some(_) => Some(self.flag(name)),
        }
    }

    /// Takes a time in UTC, as in `2026-11-30T09:00:00Z`: `None` when absent, 0 for null.
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

    /// Takes a list of strings; empty by default.
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

    /// Takes a list of any values; empty by default.
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

    /// Takes the images and files of a message; none by default.
    pub(super) fn attachments(&mut self) -> Vec<Value> {
        let attachments = self.list("attachments");
        for (place, fault) in
            attachments.iter().enumerate().filter_map(|(place, it)| Some((place, attachment::check(it).err()?)))
        {
            self.mistake("attachments", &format!("Attachment {place}: {fault}"), "value_error");
        }
        attachments
    }

    /// Takes an object with string values; empty by default.
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

    /// Takes any value; `None` when absent.
    pub(super) fn value(&mut self, name: &str) -> Option<Value> {
        self.fields.remove(name)
    }

    /// Returns whether an error was recorded.
    pub(super) const fn has_mistakes(&self) -> bool {
        !self.mistakes.is_empty()
    }

    /// Adds the errors of an object that is the field `name`.
    pub(super) fn take_mistakes(&mut self, name: &str, object: Self) {
        self.mistakes.extend(object.mistakes.into_iter().map(|mut mistake| {
            mistake.loc.insert(1, json!(name));
            mistake
        }));
    }

    /// Records an error.
    pub(super) fn mistake(&mut self, name: &str, msg: &str, kind: &'static str) {
        self.mistakes.push(FieldMistake { loc: vec![json!("body"), json!(name)], msg: msg.to_owned(), kind });
    }

    /// Ends the validation.
    pub(super) fn finish(self) -> Result<(), ApiError> {
        if self.mistakes.is_empty() { Ok(()) } else { Err(ApiError::Validation(self.mistakes)) }
    }
}

/// Returns whether hour, minute and second of a time in ISO 8601 are in range.
fn is_time_of_day(text: &str) -> bool {
    let below = |at: std::ops::Range<usize>, end: u8| {
        text.get(at).and_then(|digits| digits.parse::<u8>().ok()).is_some_and(|number| number < end)
    };
    below(11..13, 24) && below(14..16, 60) && below(17..19, 60) && !text.ends_with(".Z")
}

/// Returns a number in the query.
pub(super) fn number(head: &Head, name: &str) -> Result<Option<u64>, ApiError> {
    let Some(text) = head.query_value(name) else { return Ok(None) };
    let mistake =
        || ApiError::mistake("query", name, format!("Input should be a valid integer, not {text:?}"), "int_parsing");
    counted(text).map(Some).ok_or_else(mistake)
}

/// Returns the number of entries that a page is to have at most, `limit`: from 1 to `most`.
pub(super) fn page_limit(head: &Head, most: u64) -> Result<Option<usize>, ApiError> {
    match number(head, "limit")? {
        None => Ok(None),
        Some(limit) if (1..=most).contains(&limit) => Ok(usize::try_from(limit).ok()),
        Some(limit) => {
            let text = format!("Input should be from 1 to {most}, not {limit}");
            Err(ApiError::mistake("query", "limit", text, "value_error"))
        }
    }
}

/// Returns the place behind which a page begins, `cursor`: the `next` of the page before it.
pub(super) fn page_cursor<T>(head: &Head, parse: impl FnOnce(&str) -> Option<T>) -> Result<Option<T>, ApiError> {
    let Some(given) = head.query_value("cursor") else { return Ok(None) };
    let text = "Input should be the next of an earlier page";
    let mistake = || ApiError::mistake("query", "cursor", text.to_owned(), "value_error");
    parse(given).map(Some).ok_or_else(mistake)
}

/// Returns the cursor in the query: the sequence number called `name`, and the time of its event, `at`.
pub(super) fn cursor(head: &Head, name: &str) -> Result<Option<Cursor>, ApiError> {
    let at = event_time(head)?;
    Ok(number(head, name)?.map(|seq| Cursor { seq, at }))
}

/// Returns the time of an event in the query, `at`.
pub(super) fn event_time(head: &Head) -> Result<Option<Micros>, ApiError> {
    match head.query_value("at") {
        None | Some("") => Ok(None),
        Some(text) => Cursor::parse_time(text).map(Some).ok_or_else(|| {
            let reported = format!("Input should be the timestamp of an event, not {text:?}");
            ApiError::mistake("query", "at", reported, "datetime_parsing")
        }),
    }
}

/// Returns the events whose blocks the query requests: `blocks=1`, or `blocks=all` with tool results.
pub(super) fn blocks(head: &Head) -> Result<BlockScope, ApiError> {
    match head.query_value("blocks") {
        Some("all") => Ok(BlockScope::Results),
        _ if message_blocks(head)? => Ok(BlockScope::Messages),
        _ => Ok(BlockScope::Nothing),
    }
}

/// Returns whether the query requests the blocks of messages: `blocks=1`.
pub(super) fn message_blocks(head: &Head) -> Result<bool, ApiError> {
    one_or_zero(head, "blocks")
}

/// Returns a flag in the query that is 1 or 0; false by default.
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

/// Returns a boolean in the query; false by default.
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
/// A folder that a field names, with its links resolved.
pub(super) fn resolved_folder(field: &'static str, folder: &str) -> Result<PathBuf, ApiError> {
    let refused = |why: String| ApiError::in_field(field, why);
    if !Path::new(folder).is_absolute() {
        return Err(refused(format!("a project is an absolute path, not {folder}")));
    }
    let resolved =
        Path::new(folder).canonicalize().map_err(|error| refused(format!("{folder} cannot be used: {error}")))?;
    if !resolved.is_dir() {
        return Err(refused(format!("{folder} is not a directory")));
    }
    if resolved.to_str().is_none() {
        return Err(refused(format!("{folder} leads to a path that is not valid UTF-8; rename the directory")));
    }
    Ok(resolved)
}
