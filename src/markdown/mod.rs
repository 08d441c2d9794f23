//! Markdown of people and agents, parsed by a library into nodes from which a page builds elements.
//!
//! The output is never markup: text is text, raw HTML too, and links go to addresses that a click may open. So the page
//! needs no parser and nothing that it would have to trust. Pure; the time is linear in the text, whose length and
//! number of nodes are bounded.
//!
//! A document is a list of blocks, `{"t": ...}` each: `paragraph` and `heading` (`c`, `level`), `code` (`text`,
//! `language`), `rule`, `quote` (`blocks`), `list` (`items`, `start`, `loose`), `table` (`align`, `head`, `rows`).
//! Within them are `text` and `code` (`v`), `break`, `em`, `strong`, `strike` and `span` (`c`), and `link` (`href`, `c`;
//! `image` for a picture, which is not fetched). A `span` with an `image` is a picture at another address, its `title`: one
//! of the project's files, it may be. A `math` is a formula: `v` is its source, `block` says whether it has a line of its
//! own, and `c` is its MathML element: `n` (name), `a` (attributes) and `c` (texts and elements).

mod address;
mod delimiters;
mod growing;
mod math;
mod tree;

pub(crate) use growing::GrowingBlocks;

/// Longest text that is read, in bytes.
pub(crate) const TEXT_BYTES_MAX: usize = 256 * 1024;

/// Returns the blocks of a text as a JSON list; `None` for a text that is too long or has too many nodes.
#[must_use]
pub(crate) fn blocks_json(text: &str) -> Option<Vec<u8>> {
    if text.len() > TEXT_BYTES_MAX {
        return None;
    }
    let blocks = tree::read(text, 0)?;
    let mut json = vec![b'['];
    for block in &blocks {
        if json.len() > 1 {
            json.push(b',');
        }
        append_json(&mut json, &block.node);
    }
    json.push(b']');
    Some(json)
}

/// Appends a node as JSON.
fn append_json(json: &mut Vec<u8>, node: &serde_json::Value) {
    // Writing plain data into memory cannot fail: all keys are strings.
    let _ = serde_json::to_writer(json, node);
}

#[cfg(test)]
mod tests;
