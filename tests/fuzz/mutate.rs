//! Random numbers and changed inputs.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

/// Numbers at which something changes somewhere.
const NUMBERS: [&str; 18] = [
    "0",
    "1",
    "-1",
    "125",
    "126",
    "255",
    "256",
    "65535",
    "65536",
    "2147483647",
    "2147483648",
    "4294967296",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "1e309",
    "0.5",
];
/// Longest piece that is repeated, in bytes once repeated.
const REPEATED_MAX: usize = 64 * 1024;
/// Most that one change adds to a list by repeating an item, in bytes of JSON: repetition in repetition would have no end.
const ITEMS_BYTES_MAX: usize = 1024 * 1024;

/// A source of random choices: xorshift64*, which is as good as this needs.
pub(crate) struct Mutator {
    state: u64,
}

impl Mutator {
    /// The source for one case.
    pub(crate) fn new(seed: u64, case: u64) -> Self {
        // SplitMix64 spreads neighbouring cases; the state must not be 0.
        let mut mixed = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(case.wrapping_mul(0xbf58_476d_1ce4_e5b9));
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Self { state: (mixed ^ (mixed >> 31)) | 1 }
    }

    /// A number.
    pub(crate) fn next(&mut self) -> u64 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        self.state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11
    }

    /// A number below `limit`, which is not 0.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    /// True once in `times`.
    pub(crate) fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// One of these.
    pub(crate) fn pick<'t, T>(&mut self, all: &'t [T]) -> &'t T {
        &all[self.below(all.len())]
    }

    /// A range within `0..len`, mostly short.
    fn range(&mut self, len: usize) -> std::ops::Range<usize> {
        if len == 0 {
            return 0..0;
        }
        let start = self.below(len);
        let longest = if self.once_in(4) { len - start } else { (len - start).min(16) };
        start..start + self.below(longest) + 1
    }

    /// Changes bytes that are mostly text, a few times.
    pub(crate) fn bytes(&mut self, bytes: &mut Vec<u8>, words: &[&str], others: &[Vec<u8>]) {
        for _ in 0..=self.below(6) {
            self.change(bytes, words, others);
        }
    }

    fn change(&mut self, bytes: &mut Vec<u8>, words: &[&str], others: &[Vec<u8>]) {
        let len = bytes.len();
        match self.below(10) {
            0 if len > 0 => {
                let (at, bit) = (self.below(len), self.below(8));
                bytes[at] ^= 1 << bit;
            }
            1 if len > 0 => {
                let at = self.below(len);
                bytes[at] = *self.pick(b"\0\n\r\t \"\\/:;,{}[]%+-.019aZ\x7f\x80\xc3\xff");
            }
            2 => drop(bytes.drain(self.range(len))),
            3 => {
                let piece = bytes[self.range(len)].to_vec();
                let at = self.below(len + 1);
                bytes.splice(at..at, piece);
            }
            4 => {
                let range = self.range(len);
                let times = REPEATED_MAX / range.len().max(1);
                let times = if self.once_in(8) { times } else { times.min(20) };
                let piece = bytes[range.clone()].repeat(self.below(times.max(1)) + 1);
                bytes.splice(range, piece);
            }
            5 | 6 if !words.is_empty() => {
                let word = self.pick(words).as_bytes().to_vec();
                let start = self.below(len + 1);
                let end = if self.once_in(2) { start } else { (start + word.len()).min(len) };
                bytes.splice(start..end, word);
            }
            7 => self.number(bytes),
            8 if !others.is_empty() => {
                let other = self.pick(others);
                let (from, at) = (self.range(other.len()), self.range(len));
                bytes.splice(at, other[from].to_vec());
            }
            _ => bytes.truncate(self.below(len + 1)),
        }
    }

    /// Puts another number in the place of one.
    fn number(&mut self, bytes: &mut Vec<u8>) {
        let starts: Vec<usize> = (0..bytes.len())
            .filter(|&at| bytes[at].is_ascii_digit() && (at == 0 || !bytes[at - 1].is_ascii_digit()))
            .collect();
        if starts.is_empty() {
            return;
        }
        let start = *self.pick(&starts);
        let digits = bytes[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let number = self.pick(&NUMBERS).as_bytes().to_vec();
        bytes.splice(start..start + digits, number);
    }

    /// Changes a JSON text: mostly as JSON, sometimes as bytes.
    pub(crate) fn json(&mut self, text: &[u8], words: &[&str], others: &[Vec<u8>]) -> Vec<u8> {
        let value = if self.once_in(5) { None } else { serde_json::from_slice::<Value>(text).ok() };
        let Some(mut value) = value else {
            let mut bytes = text.to_vec();
            self.bytes(&mut bytes, words, others);
            return bytes;
        };
        for _ in 0..=self.below(3) {
            let other = if others.is_empty() { &[] } else { self.pick(others).as_slice() };
            let other = serde_json::from_slice::<Value>(other).unwrap_or(Value::Null);
            self.node(&mut value, words, &other);
        }
        serde_json::to_vec(&value).unwrap()
    }

    /// Goes down to some node and changes it.
    fn node(&mut self, value: &mut Value, words: &[&str], other: &Value) {
        let deeper = !self.once_in(4);
        match value {
            Value::Object(fields) if deeper && !fields.is_empty() => {
                let key = fields.keys().nth(self.below(fields.len())).cloned().unwrap();
                match self.below(12) {
                    0 => drop(fields.remove(&key)),
                    1 => self.rename(fields, &key, words),
                    2 => {
                        let copy = fields[&key].clone();
                        let another = fields.keys().nth(self.below(fields.len())).cloned().unwrap();
                        fields.insert(another, copy);
                    }
                    _ => self.node(&mut fields[&key], words, other),
                }
            }
            Value::Array(items) if deeper && !items.is_empty() => {
                let at = self.below(items.len());
                match self.below(8) {
                    0 => drop(items.remove(at)),
                    1 => {
                        let item = items[at].clone();
                        let most = ITEMS_BYTES_MAX / item.to_string().len();
                        let times = most.min(if self.once_in(20) { 1_000 } else { 3 });
                        items.extend(std::iter::repeat_n(item, times));
                    }
                    _ => self.node(&mut items[at], words, other),
                }
            }
            _ => *value = self.replacement(value, words, other),
        }
    }

    fn rename(&mut self, fields: &mut Map<String, Value>, key: &str, words: &[&str]) {
        if let Some(value) = fields.remove(key) {
            let name = if words.is_empty() { "x" } else { self.pick(words) };
            fields.insert(name.to_owned(), value);
        }
    }

    fn replacement(&mut self, value: &Value, words: &[&str], other: &Value) -> Value {
        match self.below(14) {
            0 => Value::Null,
            1 => json!(self.once_in(2)),
            2 => serde_json::from_str(self.pick::<&str>(&NUMBERS)).unwrap_or(Value::Null),
            3 => json!(""),
            4 => json!({}),
            5 => json!([]),
            6 => json!("\u{0}\u{1b}[31m\r\n\u{202e}é🦀"),
            7 if self.once_in(10) => json!("x".repeat(self.below(100_000))),
            8 => (0..self.below(100)).fold(value.clone(), |inner, _| json!([inner])),
            9 => json!([value]),
            10 => json!({ "type": value, "text": value }),
            11 => self.part(other),
            12 => Value::String(value.to_string()),
            _ if words.is_empty() => json!("x"),
            _ => json!(self.pick(words)),
        }
    }

    /// Some part of a value.
    fn part(&mut self, value: &Value) -> Value {
        match value {
            Value::Object(fields) if !fields.is_empty() && !self.once_in(3) => {
                let at = self.below(fields.len());
                self.part(fields.values().nth(at).unwrap())
            }
            Value::Array(items) if !items.is_empty() && !self.once_in(3) => {
                let at = self.below(items.len());
                self.part(&items[at])
            }
            whole => whole.clone(),
        }
    }
}

/// A file of the project.
pub(crate) fn project_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// The files below a folder of the project whose names end in `suffix`, in order of their names.
pub(crate) fn files(folder: &str, suffix: &str) -> Vec<Vec<u8>> {
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(project_file(folder)).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.to_str().is_some_and(|path| path.ends_with(suffix)));
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}
