//! Addresses: which of them a click may open, and those that are in a text without markup.

use serde_json::{Value, json};

/// Longest address that is made a link, in bytes.
const ADDRESS_BYTES_MAX: usize = 2_000;

/// The address, if a click may open it: http, https and mailto, nothing else.
pub(super) fn safe(address: &str) -> Option<&str> {
    let trimmed = address.trim();
    let plain = trimmed.len() <= ADDRESS_BYTES_MAX && !trimmed.contains(|c: char| c.is_whitespace() || c.is_control());
    let known = ["http://", "https://", "mailto:"].iter().any(|scheme| {
        trimmed.len() > scheme.len()
            && trimmed.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    });
    (plain && known).then_some(trimmed)
}

/// The spans with the addresses in their text as links.
pub(super) fn linked(spans: Vec<Value>) -> Vec<Value> {
    let mut out = Vec::with_capacity(spans.len());
    for span in spans {
        match span["v"].as_str() {
            Some(text) if span["t"] == "text" && text.contains("://") => split(text, &mut out),
            _ => out.push(span),
        }
    }
    out
}

fn split(text: &str, out: &mut Vec<Value>) {
    let (mut plain, mut from) = (0, 0);
    while let Some(found) = text[from..].find("://").map(|found| from + found) {
        from = found + "://".len();
        let scheme = ["https", "http"].into_iter().find(|scheme| text[plain..found].ends_with(scheme));
        let Some(start) = scheme.map(|scheme| found - scheme.len()) else { continue };
        let end = start + bare(&text[start..]).len();
        if end <= from {
            continue;
        }
        from = end;
        let address = &text[start..end];
        if safe(address).is_none() {
            continue;
        }
        if start > plain {
            out.push(json!({"t": "text", "v": &text[plain..start]}));
        }
        out.push(json!({"t": "link", "href": address, "image": false, "c": [{"t": "text", "v": address}]}));
        plain = end;
    }
    if plain < text.len() {
        out.push(json!({"t": "text", "v": &text[plain..]}));
    }
}

/// The address that a text begins with. Punctuation at its end belongs to the sentence, and a closing parenthesis too,
/// unless it was opened in the address.
fn bare(text: &str) -> &str {
    let ends = |c: char| c.is_whitespace() || c.is_control() || "<>\"'`\\^{}|".contains(c);
    let mut address = &text[..text.find(ends).unwrap_or(text.len())];
    let opened = address.matches('(').count();
    let mut closed = address.matches(')').count();
    while let Some(last) = address.chars().next_back().filter(|last| ".,;:!?*_~])".contains(*last)) {
        if last == ')' {
            if closed <= opened {
                break;
            }
            closed -= 1;
        }
        address = &address[..address.len() - last.len_utf8()];
    }
    address
}
