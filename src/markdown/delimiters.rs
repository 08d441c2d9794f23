//! Formulas between `\(` and `\)` or `\[` and `\]`, as agents write them.
//!
//! The library knows dollars only: to it these are brackets with a backslash. So the pairs outside of code are written as
//! dollars for it. A delimiter has two bytes in both forms, so offsets stay those of the text.

use std::borrow::Cow;
use std::ops::Range;

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

/// Longest word of a formula that has no sign of one; what has longer words is prose in brackets.
const WORD_CHARS_MAX: usize = 3;

/// Returns the text with dollars for the delimiters of its formulas.
pub(super) fn as_dollars(text: &str, options: Options) -> Cow<'_, str> {
    if !text.contains("\\(") && !text.contains("\\[") {
        return Cow::Borrowed(text);
    }
    let mut pairs = pairs(text, options);
    // A pair that the library does not read as a formula, as in unbalanced braces, would leave its dollars in the text.
    for _ in 0..2 {
        let written = replaced(text, &pairs);
        let events = Parser::new_ext(&written, options).into_offset_iter();
        let formulas: Vec<Range<usize>> =
            events.filter(|(event, _)| matches!(event, Event::DisplayMath(_))).map(|(_, range)| range).collect();
        let count = pairs.len();
        pairs.retain(|pair| {
            formulas.binary_search_by_key(&pair.start, |range| range.start).is_ok_and(|at| formulas[at] == *pair)
        });
        if pairs.len() == count {
            return Cow::Owned(written);
        }
    }
    Cow::Borrowed(text)
}

/// Returns where formulas are, their delimiters included.
fn pairs(text: &str, options: Options) -> Vec<Range<usize>> {
    let mut pairs = Vec::new();
    let mut open: Option<usize> = None;
    for (event, range) in Parser::new_ext(text, options).into_offset_iter() {
        match event {
            // A bracket behind a backslash begins a piece of text, which does not hold the backslash.
            Event::Text(_) => {
                let Some(at) = range.start.checked_sub(1).filter(|&at| text.as_bytes()[at] == b'\\') else { continue };
                match (open, text.as_bytes().get(range.start)) {
                    (_, Some(b'(' | b'[')) => open = Some(at),
                    (Some(start), Some(close @ (b')' | b']'))) => {
                        let is_pair = (text.as_bytes()[start + 1] == b'(') == (*close == b')');
                        if is_pair && is_formula(&text[start + 2..at]) {
                            pairs.push(start..at + 2);
                        }
                        open = None;
                    }
                    _ => {}
                }
            }
            Event::SoftBreak | Event::HardBreak => {}
            Event::Start(Tag::Emphasis | Tag::Strong | Tag::Strikethrough)
            | Event::End(TagEnd::Emphasis | TagEnd::Strong | TagEnd::Strikethrough) => {}
            _ => open = None,
        }
    }
    pairs
}

/// Returns whether the text of a pair is a formula, and not words in brackets that somebody has escaped.
fn is_formula(source: &str) -> bool {
    let has_sign = source.contains(['\\', '^', '_', '=', '<', '>', '+']);
    let mut words = source.split(|c: char| !c.is_alphabetic());
    let is_short = source.contains(char::is_alphanumeric) && words.all(|word| word.chars().count() <= WORD_CHARS_MAX);
    !source.contains('$') && (has_sign || is_short)
}

fn replaced(text: &str, pairs: &[Range<usize>]) -> String {
    let mut written = String::with_capacity(text.len());
    let mut done = 0;
    for pair in pairs {
        for at in [pair.start, pair.end - 2] {
            written.push_str(&text[done..at]);
            written.push_str("$$");
            done = at + 2;
        }
    }
    written.push_str(&text[done..]);
    written
}
