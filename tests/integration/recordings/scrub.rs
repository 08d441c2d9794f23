//! Removes data of one machine or one run from recorded lines, and truncates long values.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Longest string that is kept whole, in characters, ...
const TEXT_MAX: usize = 1_000;
/// ... and the length to which a longer one is cut.
const TEXT_KEPT: usize = 160;
/// Longest list of described objects (commands, tools) that is kept whole, in objects and in bytes, ...
const LIST_MAX: (usize, usize) = (14, 4_000);
/// ... and the number of objects that a longer one keeps.
const LIST_KEPT: usize = 3;
/// The beginning of the numbered words that the fake model says. Their number is the point of the recordings that have them.
const NUMBERED: &str = "w0 w1 ";
/// Length of a UUID.
const UUID: usize = 36;

/// The replacements of one recording.
pub(super) struct Scrub {
    /// Texts and what is put in their place, in order.
    places: Vec<(String, String)>,
    /// The UUIDs so far, by their number of appearance.
    ids: HashMap<String, usize>,
}

impl Scrub {
    pub(super) fn new() -> Self {
        Self { places: Vec::new(), ids: HashMap::new() }
    }

    /// Replaces a text.
    pub(super) fn text(&mut self, text: &str, with: &str) {
        self.places.push((text.to_owned(), with.to_owned()));
    }

    /// Replaces a folder, also below the root of the file system, and in names that a CLI derives from it.
    pub(super) fn folder(&mut self, path: &Path, with: &str) {
        let path = path.to_str().unwrap();
        let dashed = |text: &str| text.replace(|c: char| !c.is_ascii_alphanumeric(), "-");
        self.text(path, with);
        self.text(path.trim_start_matches('/'), with.trim_start_matches('/'));
        self.text(&dashed(path), &dashed(with));
    }

    /// Returns a line without what belongs to the machine, with ids in the order of their appearance, and cut.
    pub(super) fn line(&mut self, line: &str) -> String {
        let mut line = line.to_owned();
        for (text, with) in &self.places {
            line = line.replace(text, with);
        }
        let line = self.with_numbered_ids(&line);
        serde_json::from_str(&line).map_or_else(|_| line.clone(), |raw: &RawValue| cut(raw.get()))
    }

    fn with_numbered_ids(&mut self, line: &str) -> String {
        let (mut text, mut rest) = (String::new(), line);
        while let Some(at) = (0..rest.len()).find(|&at| rest.get(at..at + UUID).is_some_and(is_uuid)) {
            let (before, found) = rest.split_at(at);
            let (id, after) = found.split_at(UUID);
            let next = self.ids.len() + 1;
            let number = *self.ids.entry(id.to_owned()).or_insert(next);
            text.push_str(&format!("{before}00000000-0000-4000-8000-{number:012}"));
            rest = after;
        }
        text + rest
    }
}

fn is_uuid(text: &str) -> bool {
    text.bytes().enumerate().all(|(at, byte)| match at {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte),
    })
}

/// Returns JSON with long strings and lists cut, and all else unchanged.
fn cut(json: &str) -> String {
    let parts = |list: Vec<String>| list.join(",");
    match json.as_bytes().first() {
        Some(b'{') => {
            let Fields(fields) = serde_json::from_str(json).unwrap();
            let field = |(key, value): &(String, Box<RawValue>)| format!("{}:{}", quoted(key), cut(value.get()));
            format!("{{{}}}", parts(fields.iter().map(field).collect()))
        }
        Some(b'[') => {
            let list: Vec<&RawValue> = serde_json::from_str(json).unwrap();
            let is_described = list.iter().all(|item| item.get().contains("\"description\":"));
            let is_long = list.len() > LIST_MAX.0 || json.len() > LIST_MAX.1;
            let kept = if is_described && is_long { LIST_KEPT.min(list.len()) } else { list.len() };
            format!("[{}]", parts(list[..kept].iter().map(|item| cut(item.get())).collect()))
        }
        Some(b'"') => cut_text(json),
        _ => json.to_owned(),
    }
}

fn cut_text(json: &str) -> String {
    let text: String = serde_json::from_str(json).unwrap();
    let count = text.chars().count();
    if count <= TEXT_MAX || text.starts_with(NUMBERED) {
        return json.to_owned();
    }
    let kept: String = text.chars().take(TEXT_KEPT).collect();
    quoted(&format!("{kept}…[{} characters cut]", count - TEXT_KEPT))
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

/// The fields of an object, in the order in which they were written.
struct Fields(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;

        impl<'de> Visitor<'de> for InOrder {
            type Value = Fields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Fields, M::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }

        deserializer.deserialize_map(InOrder)
    }
}

#[test]
fn recorded_line_names_no_place_and_keeps_its_form() {
    let mut scrub = Scrub::new();
    scrub.folder(Path::new("/tmp.1/project"), "/project");
    scrub.text("127.0.0.1:4711", "127.0.0.1:8910");
    let id = "0c0d6a3e-0000-4abc-9def-0123456789ab";
    let line = format!(
        r#"{{"z":1.50,"cwd":"/tmp.1/project/a","title":"tmp.1/project/a","slug":"-tmp-1-project","id":"{id}","url":"http://127.0.0.1:4711"}}"#
    );
    let expected = r#"{"z":1.50,"cwd":"/project/a","title":"project/a","slug":"-project","id":"00000000-0000-4000-8000-000000000001","url":"http://127.0.0.1:8910"}"#;
    assert_eq!(scrub.line(&line), expected);
    assert_eq!(scrub.line(id), "00000000-0000-4000-8000-000000000001", "the same id has the same number");
}

#[test]
fn recorded_line_is_cut_where_it_is_long() {
    let words: String = (0..400).map(|number| format!("w{number} ")).collect();
    let commands = vec![r#"{"name":"c","description":"d"}"#; 20].join(",");
    let line = format!(r#"{{"text":"{}","said":"{words}","commands":[{commands}],"n":[1,2]}}"#, "é".repeat(1_001));
    let kept = [r#"{"name":"c","description":"d"}"#; 3].join(",");
    let expected = format!(
        r#"{{"text":"{}…[841 characters cut]","said":"{words}","commands":[{kept}],"n":[1,2]}}"#,
        "é".repeat(160)
    );
    assert_eq!(Scrub::new().line(&line), expected);
}
