//! Reads a JSON value field by field, and reports every error with its location and what to do. Pure.

use serde_json::{Map, Value};

/// A mistake in a file: its place and the remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Invalid {
    /// The place as a path from the top, as in `fields[3].content`.
    pub(super) place: String,
    /// The mistake, and the remedy.
    pub(super) reason: String,
}

impl Invalid {
    /// A mistake at `place`.
    pub(super) fn new(place: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { place: place.into(), reason: reason.into() }
    }
}

/// One JSON object that is being read. Fields that nobody asked for are a mistake, found by [`Object::end`].
pub(super) struct Object<'v> {
    place: String,
    map: &'v Map<String, Value>,
    asked: Vec<&'static str>,
}

impl<'v> Object<'v> {
    /// Begins to read the object at `place`; the top of a file has the empty place.
    pub(super) fn new(value: &'v Value, place: impl Into<String>) -> Result<Self, Invalid> {
        let place = place.into();
        match value {
            // Every object may have a remark for people, as JSON has no comments.
            Value::Object(map) => Ok(Self { place, map, asked: vec!["comment"] }),
            other => Err(Invalid::new(place, format!("this is {}; write an object: {{...}}", name_of(other)))),
        }
    }

    /// The place of one of its fields.
    pub(super) fn place(&self, key: &str) -> String {
        if self.place.is_empty() { key.to_owned() } else { format!("{}.{key}", self.place) }
    }

    /// A mistake in one of its fields.
    pub(super) fn wrong(&self, key: &str, reason: impl Into<String>) -> Invalid {
        Invalid::new(self.place(key), reason)
    }

    /// A field, when it is there.
    pub(super) fn get(&mut self, key: &'static str) -> Option<&'v Value> {
        self.asked.push(key);
        self.map.get(key)
    }

    /// A field that must be there.
    pub(super) fn need(&mut self, key: &'static str) -> Result<&'v Value, Invalid> {
        self.get(key).ok_or_else(|| self.wrong(key, "this field is missing; add it"))
    }

    /// A field that is a string.
    pub(super) fn string(&mut self, key: &'static str) -> Result<Option<&'v str>, Invalid> {
        let place = self.place(key);
        self.get(key).map(|value| string(value, &place)).transpose()
    }

    /// A field that is a list of strings; an absent one is empty.
    pub(super) fn strings(&mut self, key: &'static str) -> Result<Vec<String>, Invalid> {
        let place = self.place(key);
        let Some(value) = self.get(key) else { return Ok(Vec::new()) };
        let items = list(value, &place)?.iter().enumerate();
        items.map(|(at, item)| string(item, &format!("{place}[{at}]")).map(str::to_owned)).collect()
    }

    /// A field that is `true` or `false`.
    pub(super) fn boolean(&mut self, key: &'static str) -> Result<Option<bool>, Invalid> {
        let place = self.place(key);
        match self.get(key) {
            None => Ok(None),
            Some(Value::Bool(yes)) => Ok(Some(*yes)),
            Some(other) => Err(Invalid::new(place, format!("this is {}; write true or false", name_of(other)))),
        }
    }

    /// A field that is one of `choices`, by its word.
    pub(super) fn choice<T: Copy>(&mut self, key: &'static str, choices: &[(&str, T)]) -> Result<Option<T>, Invalid> {
        let Some(word) = self.string(key)? else { return Ok(None) };
        match choices.iter().find(|(name, _)| *name == word) {
            Some((_, choice)) => Ok(Some(*choice)),
            None => {
                let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
                Err(self.wrong(key, format!("`{word}` is not known here; write one of: {}", names.join(", "))))
            }
        }
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// Fails when a field is left that nobody asked for.
    pub(super) fn end(self) -> Result<(), Invalid> {
        match self.map.keys().find(|key| !self.asked.contains(&key.as_str())) {
            None => Ok(()),
            Some(key) => {
                let known = self.asked.join(", ");
                let reason = format!("unknown field `{key}`; remove it, or write one of: {known}");
                Err(Invalid::new(self.place(key), reason))
            }
        }
    }
}

/// The string that `value` must be.
pub(super) fn string<'v>(value: &'v Value, place: &str) -> Result<&'v str, Invalid> {
    value.as_str().ok_or_else(|| Invalid::new(place, format!("this is {}; write a string", name_of(value))))
}

/// The list that `value` must be.
pub(super) fn list<'v>(value: &'v Value, place: &str) -> Result<&'v [Value], Invalid> {
    match value {
        Value::Array(items) => Ok(items),
        other => Err(Invalid::new(place, format!("this is {}; write a list: [...]", name_of(other)))),
    }
}

/// Names the kind of a JSON value, for people.
pub(super) fn name_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
