//! Formulas in LaTeX, as nodes of `MathML`.
//!
//! A library makes the markup; it is read back here, and only elements and attributes of an allowlist become nodes. Whatever
//! else is in it, a formula that the library refuses, and one that is over a limit, is shown as its source.

use pulldown_latex::config::{DisplayMode, RenderConfig};
use pulldown_latex::{Event, Parser, Storage, push_mathml};
use serde_json::{Value, json};

use crate::thread;

/// Longest formula, in bytes.
const FORMULA_BYTES_MAX: usize = 1_000;
/// Most commands, groups and scripts of a formula: the library reads some of them by calling itself.
const STEPS_MAX: usize = 250;
/// Number of them that fits the stack of any thread. A formula with more is read on one that has a deep stack.
const STEPS_SHALLOW: usize = 8;
/// Most nodes of a formula.
const NODES_MAX: usize = 2_000;
/// Deepest nesting of a formula's elements.
const DEPTH_MAX: usize = 40;

/// Commands that define others, which could make a short formula a long one.
const DEFINITIONS: [&str; 7] = ["def", "let", "futurelet", "newcommand", "renewcommand", "providecommand", "Space"];

/// Elements that a page makes, all of MathML Core.
#[rustfmt::skip]
const ELEMENTS: &[&str] = &[
    "math", "menclose", "mfrac", "mi", "mn", "mo", "mover", "mpadded", "mphantom", "mroot", "mrow", "mspace", "msqrt",
    "mstyle", "msub", "msubsup", "msup", "mtable", "mtd", "mtext", "mtr", "munder", "munderover",
];

/// Attributes that a page sets. None of them can name an address or hold a style.
#[rustfmt::skip]
const ATTRIBUTES: &[&str] = &[
    "accent", "accentunder", "columnspan", "depth", "display", "displaystyle", "fence", "form", "height", "largeop",
    "linethickness", "lspace", "mathvariant", "maxsize", "minsize", "movablelimits", "rspace", "scriptlevel", "separator",
    "stretchy", "symmetric", "width",
];
/// Classes that say how the cells of a table are aligned.
const CLASSES: [&str; 4] = ["menv-alignlike", "menv-cells-left", "menv-cells-right", "menv-cases"];

/// Returns the node of a formula: `math` with its source (`v`), whether it is a paragraph of its own (`block`), and its
/// element as `{"n", "a", "c"}`: name, attributes and children, which are texts or elements. The number is that of its
/// nodes. `None` when it is to be shown as it is written.
pub(super) fn math(source: &str, block: bool) -> Option<(Value, usize)> {
    let steps = source.bytes().filter(|byte| b"\\{[(^_&".contains(byte)).count();
    if source.trim().is_empty() || source.len() > FORMULA_BYTES_MAX || steps > STEPS_MAX || has_definitions(source) {
        return None;
    }
    if steps <= STEPS_SHALLOW {
        return converted(source, block);
    }
    thread::with_deep_stack("formula", || converted(source, block))?
}

fn converted(source: &str, block: bool) -> Option<(Value, usize)> {
    let storage = Storage::new();
    let mut events: Vec<Event<'_>> = Vec::new();
    for event in Parser::new(source, &storage) {
        if events.len() == NODES_MAX {
            return None;
        }
        events.push(event.ok()?);
    }
    let display_mode = if block { DisplayMode::Block } else { DisplayMode::Inline };
    let config = RenderConfig { display_mode, ..RenderConfig::default() };
    let mut markup = String::new();
    push_mathml(&mut markup, events.into_iter().map(Ok::<_, pulldown_latex::ParserError>), config).ok()?;
    let mut reader = MarkupReader { rest: &markup, nodes: 0 };
    let element = reader.element(0)?;
    let nodes = reader.nodes;
    reader.rest.is_empty().then(|| (json!({"t": "math", "v": source, "block": block, "c": element}), nodes))
}

/// Returns whether a formula defines commands, or has a comment in which one could be split.
fn has_definitions(source: &str) -> bool {
    let defines = |name: &str| DEFINITIONS.contains(&name) || name.ends_with("def");
    let mut names = source.split('\\').skip(1).map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
        &rest[..end]
    });
    names.any(defines) || source.contains('%')
}

/// Reads the library's markup, which has elements, attributes in double quotes, and text.
struct MarkupReader<'m> {
    rest: &'m str,
    nodes: usize,
}

impl MarkupReader<'_> {
    /// Reads an element and what is in it.
    fn element(&mut self, depth: usize) -> Option<Value> {
        self.nodes += 1;
        let (tag, after) = self.rest.strip_prefix('<')?.split_once('>')?;
        self.rest = after;
        let (name, attributes) = tag.split_once(' ').unwrap_or((tag, ""));
        let is_known = ELEMENTS.contains(&name);
        if !is_known || depth > DEPTH_MAX || self.nodes > NODES_MAX {
            return None;
        }
        let attributes = allowed(attributes)?;
        let mut children = Vec::new();
        let end = format!("</{name}>");
        loop {
            if let Some(after) = self.rest.strip_prefix(&end) {
                self.rest = after;
                return Some(json!({"n": name, "a": attributes, "c": children}));
            }
            children.push(if self.rest.starts_with('<') { self.element(depth + 1)? } else { self.text()? });
        }
    }

    /// Reads text up to the next element.
    fn text(&mut self) -> Option<Value> {
        self.nodes += 1;
        let (text, _) = self.rest.split_once('<')?;
        self.rest = &self.rest[text.len()..];
        let plain = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")];
        Some(Value::String(plain.iter().fold(text.to_owned(), |text, (name, c)| text.replace(name, c))))
    }
}

/// The attributes that a page may set; `None` where they cannot be read.
fn allowed(text: &str) -> Option<Value> {
    let mut all = serde_json::Map::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (name, after) = rest.split_once("=\"")?;
        let (value, after) = after.split_once('"')?;
        rest = after.trim_start();
        if ATTRIBUTES.contains(&name) {
            all.insert(name.to_owned(), json!(value));
        } else if name == "class" {
            let classes: Vec<&str> = value.split(' ').filter(|class| CLASSES.contains(class)).collect();
            if !classes.is_empty() {
                all.insert(name.to_owned(), json!(classes.join(" ")));
            }
        }
    }
    Some(Value::Object(all))
}
