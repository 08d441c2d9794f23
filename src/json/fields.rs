//! Strict reading of JSON objects that people write: nothing is guessed, and every mistake names its field.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::{Map, Value};

/// Longest text of a field, in bytes.
const TEXT_BYTES_MAX: usize = 64 * 1024;
/// Most entries of a list or of an object of texts.
const ENTRIES_MAX: usize = 1000;

/// The fields of an object that are not read yet.
#[derive(Debug)]
pub(crate) struct Fields {
    rest: Map<String, Value>,
    asked: BTreeSet<&'static str>,
}

/// An object none of whose names is there twice.
struct Unique(Map<String, Value>);

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FieldReader;
        impl<'de> Visitor<'de> for FieldReader {
            type Value = Unique;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of fields")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Unique, A::Error> {
                let mut fields = Map::new();
                while let Some((name, value)) = access.next_entry::<String, Value>()? {
                    if fields.contains_key(&name) {
                        return Err(serde::de::Error::custom(format!("{name}: the field is there twice")));
                    }
                    fields.insert(name, value);
                }
                Ok(Unique(fields))
            }
        }
        deserializer.deserialize_map(FieldReader)
    }
}

impl Fields {
    /// Reads an object.
    ///
    /// # Errors
    /// Fails when it is not one JSON object, or has a field twice.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let Unique(rest) = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        Ok(Self::of(rest))
    }

    /// The fields of an object that is read already.
    pub(crate) fn of(rest: Map<String, Value>) -> Self {
        Self { rest, asked: BTreeSet::new() }
    }

    /// A text that is not blank.
    ///
    /// # Errors
    /// Fails when it is something else.
    pub(crate) fn text(&mut self, name: &'static str) -> Result<Option<String>, String> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::String(text)) => check_text(name, text).map(Some),
            Some(_) => Err(format!("{name}: must be a text")),
        }
    }

    /// A list; empty when left out.
    ///
    /// # Errors
    /// Fails when it is something else, or is too long.
    pub(crate) fn list(&mut self, name: &'static str) -> Result<Vec<Value>, String> {
        match self.value(name) {
            None => Ok(Vec::new()),
            Some(Value::Array(list)) if list.len() <= ENTRIES_MAX => Ok(list),
            Some(_) => Err(format!("{name}: must be a list of at most {ENTRIES_MAX} entries")),
        }
    }

    /// An object of texts, in the order of its names; empty when left out.
    ///
    /// # Errors
    /// Fails when it is something else.
    pub(crate) fn pairs(&mut self, name: &'static str) -> Result<Vec<(String, String)>, String> {
        let wrong = || format!("{name}: must be an object of at most {ENTRIES_MAX} texts");
        let object = match self.value(name) {
            None => return Ok(Vec::new()),
            Some(Value::Object(object)) if object.len() <= ENTRIES_MAX => object,
            Some(_) => return Err(wrong()),
        };
        object
            .into_iter()
            .map(|(key, value)| match value {
                Value::String(text) if text.len() <= TEXT_BYTES_MAX => Ok((key, text)),
                _ => Err(format!("{name}.{key}: must be a text of at most {TEXT_BYTES_MAX} bytes")),
            })
            .collect()
    }

    /// A whole number from 1 to `max`.
    ///
    /// # Errors
    /// Fails when it is something else.
    pub(crate) fn count(&mut self, name: &'static str, max: u64) -> Result<Option<u64>, String> {
        let Some(value) = self.value(name) else { return Ok(None) };
        let number = value.as_u64().filter(|number| (1..=max).contains(number));
        number.map(Some).ok_or_else(|| format!("{name}: must be a whole number from 1 to {max}"))
    }

    /// Any value but null, which counts as left out.
    pub(crate) fn value(&mut self, name: &'static str) -> Option<Value> {
        self.asked.insert(name);
        self.rest.remove(name).filter(|value| !value.is_null())
    }

    /// Refuses fields that nobody has asked for.
    ///
    /// # Errors
    /// The first of them, with the names that are known.
    pub(crate) fn finish(self) -> Result<(), String> {
        let Some(unknown) = self.rest.keys().next() else { return Ok(()) };
        let known: Vec<&str> = self.asked.into_iter().collect();
        Err(format!("{unknown}: unknown field; known fields: {}", known.join(", ")))
    }
}

/// Returns `text` if a field of this name may hold it.
///
/// # Errors
/// Fails when it is blank, too long, or has a NUL.
pub(crate) fn check_text(name: &str, text: String) -> Result<String, String> {
    if text.trim().is_empty() {
        return Err(format!("{name}: must not be empty"));
    }
    if text.len() > TEXT_BYTES_MAX || text.contains('\0') {
        return Err(format!("{name}: must have at most {TEXT_BYTES_MAX} bytes, without NUL"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::Fields;

    #[test]
    fn mistakes_name_their_field() {
        let read = |text: &str, check: fn(&mut Fields) -> Option<String>| {
            let mut fields = Fields::parse(text.as_bytes()).unwrap();
            check(&mut fields).or_else(|| fields.finish().err()).unwrap_or_default()
        };
        assert_eq!(read(r#"{"a": 1}"#, |it| it.text("a").err()), "a: must be a text");
        assert_eq!(read(r#"{"a": " "}"#, |it| it.text("a").err()), "a: must not be empty");
        assert_eq!(read(r#"{"a": 0}"#, |it| it.count("a", 9).err()), "a: must be a whole number from 1 to 9");
        assert!(read(r#"{"a": {"b": 1}}"#, |it| it.pairs("a").err()).starts_with("a.b: must be a text"));
        assert!(read(r#"{"a": "x"}"#, |it| it.list("a").err()).starts_with("a: must be a list"));
        assert_eq!(read(r#"{"b": 1}"#, |it| it.text("a").err()), "b: unknown field; known fields: a");
        assert_eq!(read(r#"{"a": null}"#, |it| it.text("a").err()), "");
        assert!(Fields::parse(br#"{"a": 1, "a": 2}"#).unwrap_err().starts_with("a: the field is there twice"));
        assert!(Fields::parse(b"[]").unwrap_err().contains("an object of fields"));
    }
}
