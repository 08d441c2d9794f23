//! The short notation in which the parts describe objects, and the JSON schemas that are generated from it.
//!
//! A field is `"name": "type: description"`. `name?` may be absent and `type?` may be null. Types are `string`,
//! `integer`, `number`, `boolean`, `object`, `any`, `time`, the name of a schema, `[type]` for a list, `[type]..9` for one of
//! at most so many entries, and `one or other` of two types; and for what clients send, `text` (no NUL), `words` (that and
//! not blank), `words..9` (of at most so many characters), `path` (absolute), `event_id`, `page`, `statuses`, `timestamp`, `moment` (a time), `day`, `commit_id`, `hash`, `line`, `texts`
//! (names with texts) and `one|other`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};

/// An object in the notation.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SchemaObject {
    about: String,
    #[serde(default)]
    fields: BTreeMap<String, String>,
    /// Fields that may be absent or null, but for one of them.
    #[serde(default)]
    needs: Vec<String>,
    /// The schema whose fields it includes.
    extends: Option<String>,
    /// The strings of which it is one, instead of an object.
    #[serde(rename = "enum")]
    texts: Option<Vec<String>>,
}

/// A family of objects that a field `type` distinguishes.
pub(super) struct Kinds {
    /// The name of the schema of the whole family.
    pub(super) name: &'static str,
    /// Its description.
    pub(super) about: &'static str,
    /// The prefix of each member's schema name.
    pub(super) prefix: &'static str,
}

/// A string in bodies and queries: the server refuses NUL, which no argument and no file name can contain.
const TEXT: &str = "^[^\\u0000]*$";
/// The same, but not blank. Blanks are those of Unicode's White_Space, as for `str::trim`.
const WORDS: &str = "^[^\\u0000]*[^\\u0000\\u0009-\\u000d\\u0020\\u0085\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000][^\\u0000]*$";
/// An absolute path.
const PATH: &str = "^/[^\\u0000]*$";
/// The id of a Server-Sent Event: the event's number, and its time in microseconds.
const EVENT_ID: &str = "^[0-9]+(\\.[0-9]+)?$";
/// An event's time, in the format of events or in microseconds since 1970; empty for none.
const TIMESTAMP: &str = "^(|[0-9]+|(19[7-9][0-9]|[2-9][0-9]{3})-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]+)?Z)$";
/// A day, as in `2026-11-30`.
const DAY: &str = "^(19[7-9][0-9]|[2-9][0-9]{3})-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$";
/// The hash of a file's content.
const HASH: &str = "^([0-9a-f]{40}|[0-9a-f]{64})$";
/// The `next` of a page of workers.
const PAGE: &str = "^(0|[1-9][0-9]{0,18})\\.[^\\u0000]*$";
/// Statuses of workers, separated by commas.
const STATUSES: &str = "^(preparing|starting|idle|busy|waiting|stalled|stopping|stopped|failed)(,(preparing|starting|idle|busy|waiting|stalled|stopping|stopped|failed))*$";
/// Largest line number.
const LINE_MAX: u64 = 2_147_483_647;
/// The id of a commit, which may be abbreviated.
const COMMIT_ID: &str = "^[0-9a-fA-F]{4,64}$";
/// A time in UTC, as in `2026-11-30T09:00:00Z`.
const MOMENT: &str = "^(19[7-9][0-9]|[2-9][0-9]{3})-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]+)?Z$";
/// A valid name of an environment variable.
const ENV_NAME: &str = "^[^\\u0000=]+$";

/// Returns a reference to a schema.
pub(super) fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

/// Returns the schema and the description of a query parameter. Numbers are cursors, or counts as in `1..500`; strings
/// may have limits of their length, as in `string 1..500`.
pub(super) fn parameter(field: &str) -> (Value, String) {
    let (kind, description) = halves(field);
    let (is_text, range) = kind.strip_prefix("string ").map_or((false, kind), |range| (true, range));
    let bounds =
        range.split_once("..").and_then(|(min, max)| Some((min.parse::<u64>().ok()?, max.parse::<u64>().ok()?)));
    let schema = match (bounds, kind) {
        (Some((min, max)), _) if is_text => {
            json!({"type": "string", "pattern": TEXT, "minLength": min, "maxLength": max})
        }
        (Some((min, max)), _) => json!({"type": "integer", "minimum": min, "maximum": max}),
        (None, "integer") => json!({"type": "integer", "minimum": 0}),
        (None, "string") => json!({"type": "string", "pattern": TEXT}),
        (None, kind) => schema(kind),
    };
    (schema, description.to_owned())
}

/// Returns the schema of an object.
pub(super) fn object(object: &SchemaObject) -> Value {
    if let Some(texts) = &object.texts {
        return json!({"type": "string", "enum": texts, "description": object.about});
    }
    let fields = object.fields.iter().map(|(name, field)| (name.as_str(), field.as_str()));
    let mut own = with_fields(fields);
    if !object.needs.is_empty() {
        own.insert("anyOf".to_owned(), object.needs.iter().map(|name| given(object, name)).collect());
    }
    let description = json!(object.about);
    match &object.extends {
        Some(base) => json!({"description": description, "allOf": [reference(base), own]}),
        None => {
            own.insert("description".to_owned(), description);
            Value::Object(own)
        }
    }
}

/// Returns the schema of objects that have a field which `object` may have, and which is not null there.
fn given(object: &SchemaObject, name: &str) -> Value {
    match object.fields.get(&format!("{name}?")).and_then(|field| halves(field).0.strip_suffix('?')) {
        Some(kind) => json!({"required": [name], "properties": {name: schema(kind)}}),
        None => json!({"required": [name]}),
    }
}

/// Adds the schemas of a family: one for each member, and one for any of them. All have the `common` fields.
pub(super) fn kinds(
    schemas: &mut Map<String, Value>,
    family: &Kinds,
    common: &[(&str, &str)],
    objects: &BTreeMap<String, SchemaObject>,
) {
    let mut any = Vec::new();
    let mut mapping = Map::new();
    for (kind, object) in objects {
        let fields = object.fields.iter().map(|(name, field)| (name.as_str(), field.as_str()));
        let mut schema = with_fields(common.iter().copied().chain(fields));
        if let Some(Value::Object(properties)) = schema.get_mut("properties") {
            properties.insert("type".to_owned(), json!({"const": kind}));
        }
        if let Some(Value::Array(required)) = schema.get_mut("required") {
            required.push(json!("type"));
        }
        schema.insert("description".to_owned(), json!(object.about));
        let name = format!("{}{}", family.prefix, camel(kind));
        let own = reference(&name);
        mapping.insert(kind.clone(), own.get("$ref").cloned().unwrap_or_default());
        any.push(own);
        schemas.insert(name, Value::Object(schema));
    }
    let discriminator = json!({"propertyName": "type", "mapping": mapping});
    let all = json!({"description": family.about, "oneOf": any, "discriminator": discriminator});
    schemas.insert(family.name.to_owned(), all);
}

fn with_fields<'f>(fields: impl Iterator<Item = (&'f str, &'f str)>) -> Map<String, Value> {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for (name, field) in fields {
        let (kind, description) = halves(field);
        let mut schema = schema(kind);
        if let Some(keywords) = schema.as_object_mut() {
            keywords.insert("description".to_owned(), json!(description));
        }
        match name.strip_suffix('?') {
            Some(name) => properties.insert(name.to_owned(), schema),
            None => {
                required.push(json!(name));
                properties.insert(name.to_owned(), schema)
            }
        };
    }
    let schema = json!({"type": "object", "properties": properties, "required": required});
    schema.as_object().cloned().unwrap_or_default()
}

fn halves(field: &str) -> (&str, &str) {
    field.split_once(": ").unwrap_or((field, ""))
}

fn schema(kind: &str) -> Value {
    if let Some(kind) = kind.strip_suffix('?') {
        return nullable(schema(kind));
    }
    if let Some((item, bound)) = kind.strip_prefix('[').and_then(|kind| kind.rsplit_once(']')) {
        let mut list = json!({"type": "array", "items": schema(item)});
        if let (Some(max), Some(keywords)) = (at_most(bound), list.as_object_mut()) {
            keywords.insert("maxItems".to_owned(), json!(max));
        }
        return list;
    }
    if let Some((one, other)) = kind.split_once(" or ") {
        return json!({"anyOf": [schema(one), schema(other)]});
    }
    if kind.contains('|') {
        return json!({"type": "string", "enum": kind.split('|').collect::<Vec<_>>()});
    }
    if let Some(max) = kind.strip_prefix("words").and_then(at_most) {
        return json!({"type": "string", "pattern": WORDS, "maxLength": max});
    }
    match kind {
        "text" => json!({"type": "string", "pattern": TEXT}),
        "words" => json!({"type": "string", "pattern": WORDS}),
        "path" => json!({"type": "string", "pattern": PATH}),
        "event_id" => json!({"type": "string", "pattern": EVENT_ID}),
        "timestamp" => json!({"type": "string", "pattern": TIMESTAMP}),
        "day" => json!({"type": "string", "pattern": DAY}),
        "commit_id" => json!({"type": "string", "pattern": COMMIT_ID}),
        "hash" => json!({"type": "string", "pattern": HASH}),
        "page" => json!({"type": "string", "pattern": PAGE}),
        "statuses" => json!({"type": "string", "pattern": STATUSES}),
        "line" => json!({"type": "integer", "minimum": 1, "maximum": LINE_MAX}),
        "moment" => json!({"type": "string", "pattern": MOMENT}),
        "texts" => json!({
            "type": "object",
            "propertyNames": {"pattern": ENV_NAME},
            "additionalProperties": {"type": "string", "pattern": TEXT},
        }),
        "any" => json!({}),
        "time" => json!({"type": "string", "format": "date-time"}),
        "string" | "integer" | "number" | "boolean" | "object" => json!({"type": kind}),
        name => reference(name),
    }
}

/// Parses the limit in `..9`.
fn at_most(bound: &str) -> Option<u64> {
    bound.strip_prefix("..")?.parse().ok()
}

fn nullable(mut schema: Value) -> Value {
    match schema.get_mut("type") {
        Some(kind) => {
            *kind = json!([kind.take(), "null"]);
            schema
        }
        None => json!({"anyOf": [schema, {"type": "null"}]}),
    }
}

/// Converts `tool_call` to `ToolCall`.
fn camel(name: &str) -> String {
    let capital = |word: &str| {
        let mut letters = word.chars();
        letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect::<String>()
    };
    name.split('_').map(capital).collect()
}
