//! The text that is searched for: a filter on the raw bytes of lines, and a case-insensitive search in text.
//!
//! **Folding** maps one character to one: ASCII letters, every other character whose lower case is a single non-ASCII
//! character (`Ä` and `ä`, `Σ` and `σ`; not `ß` and `SS`), and [`ASCII_TWINS`]. So the characters that match one of the
//! query are known in advance.
//!
//! **The filter** reads lines whose ASCII letters are already in lower case. It passes every line that may match the
//! query, and as few others as possible. A line is JSON, in which a character may be escaped (`\u00e4`, and even
//! `\u0061` for `a`), and an event's text may be composed of several strings of its line. So it looks for one word of
//! the query, of letters and digits only, and passes lines in which such characters are escaped.

use memchr::{memchr, memmem, memrchr};

/// Shortest ASCII word that is a better filter than a character that is not ASCII.
const WORD_MIN: usize = 3;
/// The beginning of a JSON escape up to U+00FF, in lower case.
const ESCAPED_LATIN: &[u8] = b"\\u00";

/// Non-ASCII characters that fold to an ASCII letter, with their JSON escapes in lower case: the Turkish İ, whose own
/// lower case is two characters, and the Kelvin sign.
const ASCII_TWINS: [(char, char, &str); 2] = [('i', '\u{130}', "\\u0130"), ('k', '\u{212a}', "\\u212a")];

/// A query, prepared for searching.
pub(super) struct Needle {
    /// Its folded text.
    folded: String,
    chars: usize,
    filter: Filter,
}

enum Filter {
    /// The line has this word, or ASCII that is escaped.
    Word(Box<memmem::Finder<'static>>),
    /// The line has one of these characters, or anything escaped by its number.
    Character(Vec<memmem::Finder<'static>>),
    /// Any line may match.
    Any,
}

impl Needle {
    pub(super) fn new(query: &str) -> Self {
        let folded: String = query.chars().map(fold).collect();
        let word = folded.split(|c: char| !c.is_ascii_alphanumeric()).max_by_key(|word| word.len()).unwrap_or_default();
        let other = folded.chars().find(|c| !c.is_ascii());
        let filter = match other {
            Some(other) if word.len() < WORD_MIN => Filter::Character(written_as(other)),
            _ if word.is_empty() => Filter::Any,
            _ => Filter::Word(Box::new(memmem::Finder::new(word).into_owned())),
        };
        Self { chars: folded.chars().count(), folded, filter }
    }

    /// Finds the query in `text`, as a range of characters.
    pub(super) fn find(&self, text: &str) -> Option<std::ops::Range<usize>> {
        let folded: String = text.chars().map(fold).collect();
        let at = folded.find(&self.folded)?;
        let begin = folded.get(..at)?.chars().count();
        Some(begin..begin + self.chars)
    }

    /// Passes on the position of each line of `lines` that may match, in any order and perhaps more than once. The
    /// lines' ASCII letters are in lower case, and the last line ends with its newline.
    pub(super) fn candidates(&self, lines: &[u8], take: &mut dyn FnMut(usize)) {
        let any = |_: &[u8]| true;
        match &self.filter {
            Filter::Word(word) => {
                each_line(lines, word, &any, take);
                each_line(lines, &memmem::Finder::new(ESCAPED_LATIN), &is_plain_escaped, take);
                for (letter, twin, escaped) in ASCII_TWINS {
                    if memchr(letter as u8, word.needle()).is_some() {
                        each_line(lines, &memmem::Finder::new(twin.encode_utf8(&mut [0; 4])), &any, take);
                        each_line(lines, &memmem::Finder::new(escaped), &any, take);
                    }
                }
            }
            Filter::Character(characters) => {
                for character in characters {
                    each_line(lines, character, &any, take);
                }
                each_line(lines, &memmem::Finder::new(b"\\u"), &any, take);
            }
            Filter::Any => {
                let mut at = 0;
                while at < lines.len() {
                    take(at);
                    at = line_end(lines, at);
                }
            }
        }
    }
}

/// Passes on the position of each line that has `wanted` followed by text that `fits` accepts.
pub(super) fn each_line(
    lines: &[u8],
    wanted: &memmem::Finder<'_>,
    fits: &dyn Fn(&[u8]) -> bool,
    take: &mut dyn FnMut(usize),
) {
    let mut at = 0;
    while let Some(found) = lines.get(at..).and_then(|rest| wanted.find(rest)) {
        let (begin, end) = (at + found, at + found + wanted.needle().len());
        if fits(lines.get(end..).unwrap_or_default()) {
            take(memrchr(b'\n', &lines[..begin]).map_or(0, |newline| newline + 1));
            at = line_end(lines, end);
        } else {
            at = end;
        }
    }
}

fn line_end(lines: &[u8], from: usize) -> usize {
    memchr(b'\n', lines.get(from..).unwrap_or_default()).map_or(lines.len(), |newline| from + newline + 1)
}

/// Returns whether the two hexadecimal digits encode an ASCII letter or digit.
fn is_plain_escaped(digits: &[u8]) -> bool {
    let code = digits.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
    code.and_then(|code| u8::from_str_radix(code, 16).ok()).is_some_and(|code| code.is_ascii_alphanumeric())
}

fn fold(c: char) -> char {
    if c.is_ascii() {
        return c.to_ascii_lowercase();
    }
    if let Some((letter, ..)) = ASCII_TWINS.iter().find(|(_, twin, _)| *twin == c) {
        return *letter;
    }
    let mut lower = c.to_lowercase();
    match (lower.next(), lower.next()) {
        (Some(one), None) if !one.is_ascii() => one,
        _ => c,
    }
}

/// Returns all characters that fold to `folded`, each as its bytes.
fn written_as(folded: char) -> Vec<memmem::Finder<'static>> {
    let same = ('\u{80}'..=char::MAX).filter(|&c| fold(c) == folded);
    same.map(|c| memmem::Finder::new(c.encode_utf8(&mut [0; 4])).into_owned()).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn passes(needle: &Needle, line: &str) -> bool {
        let mut lines = format!("first line\n{line}\n").into_bytes();
        lines.make_ascii_lowercase();
        let mut places = Vec::new();
        needle.candidates(&lines, &mut |place| places.push(place));
        places.contains(&11)
    }

    /// Returns `text` with the characters that `pick` accepts escaped by their numbers.
    fn escaped(text: &str, pick: impl Fn(char) -> bool) -> String {
        let mut json = String::from("\"");
        for c in text.chars() {
            if pick(c) || c < ' ' {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    json += &format!("\\u{unit:04X}");
                }
            } else if matches!(c, '"' | '\\') {
                json.extend(['\\', c]);
            } else {
                json.push(c);
            }
        }
        json + "\""
    }

    #[test]
    fn query_is_found_in_any_case_with_its_character_offset() {
        let found = |query: &str, text: &str| Needle::new(query).find(text);
        assert_eq!(found("WORLD", "hello World"), Some(6..11));
        assert_eq!(found("ärger", "kein ÄRGER"), Some(5..10));
        assert_eq!(found("ⱥ", "xȺ"), Some(1..2), "its small letter has more bytes");
        assert_eq!(found("🙂\nb", "a 🙂\nB"), Some(2..5));
        assert_eq!(found("k", "\u{212a}"), Some(0..1), "the Kelvin sign is a k");
        assert_eq!(found("istanbul", "in İstanbul"), Some(3..11));
        assert_eq!(found("İstanbul", "istanbul"), Some(0..8));
        assert_eq!(found("a b", "a  b"), None);
    }

    #[test]
    fn prefilter_skips_lines_without_the_needle() {
        assert!(!passes(&Needle::new("deadlock"), r#"{"text":"nothing \u001b[31mred\u001b[0m"}"#));
        assert!(!passes(&Needle::new("ä🙂"), r#"{"text":"plain"}"#));
        assert!(passes(&Needle::new("\"->\""), r#"{"text":"plain"}"#), "signs alone are no filter");
        assert!(passes(&Needle::new("deadlock"), r#"{"text":"de\u0061dlock"}"#));
    }

    proptest! {
        // Each query with a non-ASCII character goes through all of Unicode.
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn every_spelling_of_the_query_in_a_text_is_found(
            query in "[a-cA-CikIKİ\u{212a}0 \"\\\\\nÄäΣσǅ🙂]{1,6}", before in "[ -~ä🙂]{0,9}", after in "[ -~ä🙂]{0,9}", every in 0_u32..4
        ) {
            let text = format!("{before}{query}{after}");
            let needle = Needle::new(&query);
            prop_assert!(needle.find(&text).is_some());
            let lines = [escaped(&text, |c| !c.is_ascii()), escaped(&text, |_| true), escaped(&text, |c| c as u32 % 4 == every)];
            for line in lines {
                prop_assert_eq!(&serde_json::from_str::<String>(&line).unwrap(), &text);
                prop_assert!(passes(&needle, &line), "{}", line);
            }
        }
    }
}
