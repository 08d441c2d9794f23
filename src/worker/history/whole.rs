//! The whole text of a truncated event: it is in the line from which the event was derived.

use std::io;

use serde_json::Value;

use crate::json;
use crate::worker::history::archive::Archive;

/// Longest line that is searched for a text, in bytes. Its JSON takes several times as much memory while it is parsed.
pub(crate) const LINE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// The parts of the note at the end of a truncated text, around the number of the missing bytes.
const NOTE: [&str; 2] = ["… [", " bytes cut]"];

/// The result of a search for an event's text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Whole {
    /// The whole text.
    Text(String),
    /// No event has this number.
    NoEvent,
    /// The event's line does not have the rest.
    NotKept,
    /// The line is longer than [`LINE_BYTES_MAX`].
    TooLong(usize),
}

impl Archive {
    /// Returns the whole text of the event `seq` of a history that ends at `end`.
    ///
    /// # Errors
    /// Fails when the journal cannot be read.
    pub(crate) fn whole_text(&self, seq: u64, end: u64) -> io::Result<Whole> {
        if seq >= end {
            return Ok(Whole::NoEvent);
        }
        let mut walk = self.walk(seq)?;
        let mut found = Whole::NoEvent;
        while walk.next <= seq {
            let before = walk.next;
            let reached = walk.step(end, &mut |walked| {
                if walked.seq == seq {
                    found = of_line(&walked.output.event.content, walked.record.payload);
                }
            })?;
            if reached == before {
                break;
            }
        }
        Ok(found)
    }
}

/// Returns the whole of an event's text from the line of the event.
fn of_line(text: &str, line: &[u8]) -> Whole {
    let Some((shown, missing)) = cut_text(text) else { return Whole::Text(text.to_owned()) };
    if line.len() > LINE_BYTES_MAX {
        return Whole::TooLong(line.len());
    }
    let length = shown.len().saturating_add(missing);
    let read = json::value(line);
    let look = |text: &str, length| match &read {
        Some(value) => inside(value, text, length),
        None => part_of(&String::from_utf8_lossy(line), text, length),
    };
    // The agent itself may have written such a note.
    let own = look(text, text.len());
    own.or_else(|| look(shown, length)).map_or(Whole::NotKept, Whole::Text)
}

/// Returns the part of a truncated text before the note, and the number of missing bytes.
fn cut_text(text: &str) -> Option<(&str, usize)> {
    let (shown, count) = text.strip_suffix(NOTE[1])?.rsplit_once(NOTE[0])?;
    Some((shown, count.parse().ok()?))
}

/// Finds the text of `length` bytes that begins with `shown`, anywhere inside a value.
fn inside(value: &Value, shown: &str, length: usize) -> Option<String> {
    match value {
        Value::String(text) => part_of(text, shown, length),
        Value::Array(items) => {
            let texts: Option<Vec<&str>> = items.iter().map(|item| item.get("text").and_then(Value::as_str)).collect();
            let joined = texts.filter(|texts| texts.len() > 1).map(|texts| texts.join("\n"));
            let joined = joined.and_then(|text| part_of(&text, shown, length));
            joined.or_else(|| items.iter().find_map(|item| inside(item, shown, length)))
        }
        Value::Object(fields) => fields.values().find_map(|field| inside(field, shown, length)),
        _ => None,
    }
}

fn part_of(text: &str, shown: &str, length: usize) -> Option<String> {
    if text.len() < length {
        return None;
    }
    let at = text.find(shown)?;
    text.get(at..at.checked_add(length)?).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn whole(text: &str, line: &Value) -> Whole {
        of_line(text, line.to_string().as_bytes())
    }

    #[test]
    fn a_cut_text_is_found_in_its_line() {
        let long = "é\n".repeat(500);
        let (shown, missing) = (&long[..300], long.len() - 300);
        let text = format!("{shown}… [{missing} bytes cut]");
        let found = Whole::Text(long.clone());
        for line in [
            json!({"content": long}),
            json!({"a": ["x", {"b": long}]}),
            json!({"content": format!("<tool_use_error>{long}</tool_use_error>")}),
        ] {
            assert_eq!(whole(&text, &line), found, "{line}");
        }
        assert_eq!(of_line(&text, format!("not JSON: {long}").as_bytes()), found);
    }

    #[test]
    fn a_text_of_several_parts_is_joined() {
        let parts = ["a".repeat(400), "b".repeat(400)];
        let text = format!("{}… [{} bytes cut]", &parts[0][..300], 801 - 300);
        let line = json!({"content": [{"text": parts[0]}, {"text": parts[1]}]});
        assert_eq!(whole(&text, &line), Whole::Text(parts.join("\n")));
    }

    #[test]
    fn uncut_text_is_whole_and_lost_text_not_invented() {
        assert_eq!(whole("short", &json!({})), Whole::Text("short".to_owned()));
        for (text, wanted) in [
            ("x… [5 bytes cut]", Whole::NotKept),
            ("… [18446744073709551615 bytes cut]", Whole::NotKept),
            ("x… [-1 bytes cut]", Whole::Text("x… [-1 bytes cut]".to_owned())),
        ] {
            assert_eq!(whole(text, &json!({"content": "x is"})), wanted, "{text}");
        }
        let own = "a… [7 bytes cut]";
        assert_eq!(whole(own, &json!({"content": own})), Whole::Text(own.to_owned()));
        assert_eq!(of_line(own, own.as_bytes()), Whole::Text(own.to_owned()));
        let line = vec![b'x'; LINE_BYTES_MAX + 1];
        assert_eq!(of_line("x… [5 bytes cut]", &line), Whole::TooLong(line.len()));
    }
}
