//! The lenient parser: a loop with a stack of its own, so that no input can overflow the thread's.

use serde_json::{Map, Value};

/// Deepest nesting of lists and objects that is read as such. Below the strict parser's own bound, because what was read
/// is stored again inside other objects.
pub(super) const DEPTH_MAX: usize = 96;

/// Reads values of a text one after another.
pub(super) struct Parser<'t> {
    pub(super) text: &'t str,
    pub(super) at: usize,
}

/// A list or an object whose end has not come.
enum OpenContainer {
    List(Vec<Value>),
    Object {
        members: Map<String, Value>,
        /// The key whose value comes next.
        key: Option<String>,
    },
}

/// The beginning of a value.
enum ValueStart {
    /// A list or an object that has something in it.
    Container(OpenContainer),
    /// A whole value.
    Whole(Value),
}

impl<'t> Parser<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { text, at: 0 }
    }

    /// The offset of the next byte.
    pub(super) fn offset(&self) -> usize {
        self.at
    }

    /// The first byte of the next token, without taking it.
    pub(super) fn peek_token(&mut self) -> Option<u8> {
        self.skip_blank();
        self.byte()
    }

    /// Takes one value. Where it breaks off, the error holds the members that its outermost object had by then.
    pub(super) fn value(&mut self) -> Result<Value, Map<String, Value>> {
        let mut open = Vec::new();
        self.nested(&mut open).ok_or_else(|| match open.into_iter().next() {
            Some(OpenContainer::Object { members, .. }) => members,
            _ => Map::new(),
        })
    }

    fn nested(&mut self, open: &mut Vec<OpenContainer>) -> Option<Value> {
        loop {
            let mut value = match self.begin(open)? {
                ValueStart::Whole(value) => value,
                ValueStart::Container(container) => {
                    open.push(container);
                    continue;
                }
            };
            loop {
                match open.last_mut() {
                    None => return Some(value),
                    Some(container) => container.put(value),
                }
                if self.take_token()? == b',' {
                    break;
                }
                value = self.close(open)?;
            }
        }
    }

    /// Takes the beginning of a value, and the key before it where an object is open.
    fn begin(&mut self, open: &mut [OpenContainer]) -> Option<ValueStart> {
        if let Some(OpenContainer::Object { key, .. }) = open.last_mut() {
            *key = Some(self.key()?);
        }
        let whole = match self.peek_token()? {
            b'{' | b'[' if open.len() == DEPTH_MAX => Value::String(self.flattened()?),
            b'{' => {
                self.at += 1;
                if self.peek_token()? != b'}' {
                    return Some(ValueStart::Container(OpenContainer::Object { members: Map::new(), key: None }));
                }
                self.at += 1;
                Value::Object(Map::new())
            }
            b'[' => {
                self.at += 1;
                if self.peek_token()? != b']' {
                    return Some(ValueStart::Container(OpenContainer::List(Vec::new())));
                }
                self.at += 1;
                Value::Array(Vec::new())
            }
            b'"' => Value::String(self.string()?),
            _ => self.scalar()?,
        };
        Some(ValueStart::Whole(whole))
    }

    fn key(&mut self) -> Option<String> {
        if self.peek_token()? != b'"' {
            return None;
        }
        let key = self.string()?;
        (self.take_token()? == b':').then_some(key)
    }

    /// Ends the innermost container at the token that was just taken.
    fn close(&mut self, open: &mut Vec<OpenContainer>) -> Option<Value> {
        let closing = self.text.as_bytes()[self.at - 1];
        match (open.pop()?, closing) {
            (OpenContainer::List(items), b']') => Some(Value::Array(items)),
            (OpenContainer::Object { members, .. }, b'}') => Some(Value::Object(members)),
            (container, _) => {
                open.push(container);
                None
            }
        }
    }

    /// Takes a list or an object as its text.
    fn flattened(&mut self) -> Option<String> {
        let start = self.at;
        let mut closing = Vec::new();
        loop {
            match self.byte()? {
                b'"' => {
                    self.string()?;
                    continue;
                }
                b'{' => closing.push(b'}'),
                b'[' => closing.push(b']'),
                end @ (b'}' | b']') if closing.pop() != Some(end) => return None,
                _ => {}
            }
            self.at += 1;
            if closing.is_empty() {
                return Some(self.text[start..self.at].to_owned());
            }
        }
    }

    fn take_token(&mut self) -> Option<u8> {
        let token = self.peek_token()?;
        self.at += 1;
        Some(token)
    }

    pub(super) fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }
}

impl OpenContainer {
    fn put(&mut self, value: Value) {
        match self {
            Self::List(items) => items.push(value),
            Self::Object { members, key } => {
                if let Some(key) = key.take() {
                    members.insert(key, value);
                }
            }
        }
    }
}
