//! One reading of a text: the library's events as nodes.

use std::ops::Range;

use pulldown_cmark::{Alignment, CodeBlockKind, Event, LinkType, Options, Parser, Tag};
use serde_json::{Value, json};

use super::address::{linked, safe};
use super::{delimiters, math};

/// Deepest nesting of quotes, lists and emphasis; what is deeper is shown at this depth.
pub(super) const DEPTH_MAX: usize = 16;
/// Most columns of a table.
const COLUMNS_MAX: usize = 64;
/// Most nodes of a document: a node takes far more memory than the two characters of text that may make one.
pub(super) const NODES_MAX: usize = 30_000;

/// A block at the top of a document.
pub(super) struct Block {
    /// Offset of its beginning in the text, in bytes. What indents it may be before that.
    pub(super) start: usize,
    /// The block.
    pub(super) node: Value,
    /// Number of the document's nodes up to its end.
    pub(super) nodes: usize,
}

/// Returns the blocks of a text that follows `nodes` nodes. `None` when there are more than [`NODES_MAX`] with its own.
pub(super) fn read(text: &str, nodes: usize) -> Option<Vec<Block>> {
    let options =
        Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS | Options::ENABLE_MATH;
    let written = delimiters::as_dollars(text, options);
    let mut tree = Tree { open: vec![OpenBlock::new(NodeKind::Document)], nodes };
    let mut blocks = Vec::new();
    let mut start = 0;
    for (event, range) in Parser::new_ext(&written, options).into_offset_iter() {
        if tree.open.len() == 1 {
            start = range.start;
        }
        match event {
            Event::InlineMath(source) => tree.formula(text, &range, &source, false),
            Event::DisplayMath(source) => {
                let block = !text.get(range.start..).is_some_and(|text| text.starts_with("\\("));
                tree.formula(text, &range, &source, block);
            }
            event => tree.take(event),
        }
        if tree.nodes > NODES_MAX {
            return None;
        }
        if let Some(node) = tree.take_block() {
            blocks.push(Block { start, node, nodes: tree.nodes });
        }
    }
    Some(blocks)
}

/// The nodes that are open while the events of a text pass.
struct Tree<'t> {
    open: Vec<OpenBlock<'t>>,
    /// Number of the nodes so far.
    nodes: usize,
}

struct OpenBlock<'t> {
    kind: NodeKind<'t>,
    children: Vec<Value>,
    /// Too deep to have an element of its own.
    flat: bool,
    /// Number of quotes, lists and marks that it is in, itself included.
    depth: usize,
}

enum NodeKind<'t> {
    Document,
    Block(Tag<'t>),
    Item { done: Option<bool> },
    List { start: Option<u64>, loose: bool },
    Mark(&'static str),
    Link { href: String, image: bool },
    Code { language: String, text: String },
}

impl<'t> OpenBlock<'t> {
    const fn new(kind: NodeKind<'t>) -> Self {
        Self { kind, children: Vec::new(), flat: false, depth: 0 }
    }
}

impl<'t> Tree<'t> {
    /// Takes the block that has come to the document, if one has.
    fn take_block(&mut self) -> Option<Value> {
        self.open.first_mut().and_then(|document| document.children.pop())
    }

    fn take(&mut self, event: Event<'t>) {
        match event {
            Event::Start(tag) => self.start(tag),
            Event::End(_) => self.end(),
            Event::Text(text) | Event::Html(text) | Event::InlineHtml(text) => self.text(&text),
            Event::Code(text) => self.push(json!({"t": "code", "v": &*text})),
            Event::SoftBreak => self.text("\n"),
            Event::HardBreak => self.push(json!({"t": "break"})),
            Event::Rule => self.push(json!({"t": "rule"})),
            Event::TaskListMarker(marked) => {
                let item = self.open.iter_mut().rev().find_map(|open| match &mut open.kind {
                    NodeKind::Item { done } => Some(done),
                    _ => None,
                });
                if let Some(done) = item {
                    *done = Some(marked);
                }
            }
            // Formulas are taken before; the syntax of footnotes is not enabled.
            Event::InlineMath(text) | Event::DisplayMath(text) | Event::FootnoteReference(text) => self.text(&text),
        }
    }

    fn start(&mut self, tag: Tag<'t>) {
        let kind = match tag {
            Tag::List(start) => NodeKind::List { start, loose: false },
            Tag::Item => NodeKind::Item { done: None },
            Tag::Emphasis => NodeKind::Mark("em"),
            Tag::Strong => NodeKind::Mark("strong"),
            Tag::Strikethrough => NodeKind::Mark("strike"),
            Tag::Link { link_type: LinkType::Email, dest_url, .. } => {
                NodeKind::Link { href: format!("mailto:{dest_url}"), image: false }
            }
            Tag::Link { dest_url, .. } => NodeKind::Link { href: dest_url.into_string(), image: false },
            Tag::Image { dest_url, .. } => NodeKind::Link { href: dest_url.into_string(), image: true },
            Tag::CodeBlock(kind) => NodeKind::Code { language: language(&kind), text: String::new() },
            other => NodeKind::Block(other),
        };
        self.loosen(&kind);
        let (depth, flat) = self.open.last().map_or((0, false), |parent| (parent.depth, parent.flat));
        let nests = matches!(
            kind,
            NodeKind::List { .. } | NodeKind::Mark(_) | NodeKind::Link { .. } | NodeKind::Block(Tag::BlockQuote(_))
        );
        let depth = depth + usize::from(nests);
        // An item is what its list is.
        let flat = if matches!(kind, NodeKind::Item { .. }) { flat } else { nests && depth > DEPTH_MAX };
        self.nodes += 1;
        self.open.push(OpenBlock { flat, depth, ..OpenBlock::new(kind) });
    }

    /// A list with a paragraph right in an item is a loose one.
    fn loosen(&mut self, kind: &NodeKind<'_>) {
        if let (NodeKind::Block(Tag::Paragraph), [.., list, item]) = (kind, self.open.as_mut_slice())
            && let (NodeKind::List { loose, .. }, NodeKind::Item { .. }) = (&mut list.kind, &item.kind)
        {
            *loose = true;
        }
    }

    fn end(&mut self) {
        // The document has no end event, so it is never the one that is popped.
        let Some(done) = self.open.pop() else { return };
        if done.flat {
            if let Some(parent) = self.open.last_mut() {
                parent.children.extend(done.children);
            }
            return;
        }
        let in_link = self.open.iter().any(|open| matches!(open.kind, NodeKind::Link { .. }));
        if let Some(node) = node(done, in_link) {
            self.push(node);
        }
    }

    fn text(&mut self, text: &str) {
        let Some(open) = self.open.last_mut() else { return };
        if let NodeKind::Code { text: code, .. } = &mut open.kind {
            code.push_str(text);
            return;
        }
        // The library yields text in pieces.
        if let Some(Value::String(last)) =
            open.children.last_mut().filter(|last| last["t"] == "text").map(|last| &mut last["v"])
        {
            last.push_str(text);
        } else {
            open.children.push(json!({"t": "text", "v": text}));
            self.nodes += 1;
        }
    }

    /// Takes a formula. Dollars at letters or digits are money or variables, as in `$5-$6` and `5$, 6$`.
    fn formula(&mut self, text: &str, range: &Range<usize>, source: &str, block: bool) {
        let written = text.get(range.clone()).unwrap_or(source);
        let before = text.get(..range.start).and_then(|text| text.chars().next_back());
        let after = text.get(range.end..).and_then(|text| text.chars().next());
        let is_text = written.starts_with('$') && [before, after].into_iter().flatten().any(char::is_alphanumeric);
        match math::math(source, block).filter(|_| !is_text) {
            Some((node, nodes)) => {
                self.nodes += nodes;
                self.push(node);
            }
            None => self.text(written),
        }
    }

    fn push(&mut self, node: Value) {
        self.nodes += 1;
        if let Some(open) = self.open.last_mut() {
            open.children.push(node);
        }
    }
}

/// Returns the node of something that has ended.
fn node(done: OpenBlock<'_>, in_link: bool) -> Option<Value> {
    let OpenBlock { kind, children, .. } = done;
    let spans = |children| if in_link { children } else { linked(children) };
    Some(match kind {
        NodeKind::Document => return None,
        NodeKind::Mark(mark) => json!({"t": mark, "c": spans(children)}),
        NodeKind::Link { href, image } => {
            let children = if children.is_empty() { vec![json!({"t": "text", "v": href})] } else { children };
            match safe(&href) {
                // A link within a link, as in a picture that is one, would be two elements in each other.
                Some(_) if in_link => json!({"t": "span", "c": children}),
                Some(href) => json!({"t": "link", "href": href, "image": image, "c": children}),
                // The page decides if it is a picture of the project.
                None if image => json!({"t": "span", "title": href, "image": true, "c": children}),
                None => json!({"t": "span", "title": href, "c": children}),
            }
        }
        NodeKind::Code { language, text } => {
            json!({"t": "code", "language": language, "text": text.strip_suffix('\n').unwrap_or(&text)})
        }
        NodeKind::List { start, loose } => {
            json!({"t": "list", "ordered": start.is_some(), "start": start.unwrap_or(1), "loose": loose, "items": children})
        }
        NodeKind::Item { done } => json!({"blocks": paragraphs(children), "done": done}),
        NodeKind::Block(Tag::BlockQuote(_)) => json!({"t": "quote", "blocks": paragraphs(children)}),
        NodeKind::Block(Tag::Heading { level, .. }) => {
            json!({"t": "heading", "level": level as u8, "c": spans(children)})
        }
        NodeKind::Block(Tag::Table(align)) => table(&align, children),
        NodeKind::Block(Tag::TableHead | Tag::TableRow) => {
            Value::Array(children.into_iter().take(COLUMNS_MAX).collect())
        }
        NodeKind::Block(Tag::TableCell) => Value::Array(spans(children)),
        NodeKind::Block(Tag::HtmlBlock) => json!({"t": "paragraph", "c": trimmed(children)}),
        NodeKind::Block(_) => json!({"t": "paragraph", "c": spans(children)}),
    })
}

/// Blocks, of which some are spans outside of any paragraph, as in the items of a tight list.
fn paragraphs(children: Vec<Value>) -> Vec<Value> {
    let mut blocks: Vec<Value> = Vec::new();
    let mut spans = Vec::new();
    let close = |spans: &mut Vec<Value>, blocks: &mut Vec<Value>| {
        if !spans.is_empty() {
            blocks.push(json!({"t": "paragraph", "c": linked(std::mem::take(spans))}));
        }
    };
    for child in children {
        // Items of a list that was too deep to be one.
        if let Some(Value::Array(inner)) = child.get("blocks").filter(|_| child.get("t").is_none()) {
            close(&mut spans, &mut blocks);
            blocks.extend(inner.iter().cloned());
        } else if is_span(&child) {
            spans.push(child);
        } else {
            close(&mut spans, &mut blocks);
            blocks.push(child);
        }
    }
    close(&mut spans, &mut blocks);
    blocks
}

fn is_span(node: &Value) -> bool {
    match node["t"].as_str() {
        Some("code") => node.get("v").is_some(),
        Some(kind) => matches!(kind, "text" | "break" | "em" | "strong" | "strike" | "span" | "link" | "math"),
        None => false,
    }
}

/// The spans without the line end that raw HTML has at its end.
fn trimmed(mut spans: Vec<Value>) -> Vec<Value> {
    if let Some(Value::String(last)) = spans.last_mut().map(|last| &mut last["v"]) {
        last.truncate(last.trim_end().len());
    }
    spans
}

fn table(align: &[Alignment], mut rows: Vec<Value>) -> Value {
    let align: Vec<&str> = align
        .iter()
        .take(COLUMNS_MAX)
        .map(|align| match align {
            Alignment::Right => "right",
            Alignment::Center => "center",
            Alignment::Left | Alignment::None => "left",
        })
        .collect();
    let rows_below = rows.split_off(rows.len().min(1));
    json!({"t": "table", "align": align, "head": rows.pop(), "rows": rows_below})
}

fn language(kind: &CodeBlockKind<'_>) -> String {
    match kind {
        CodeBlockKind::Indented => String::new(),
        CodeBlockKind::Fenced(info) => info.split([' ', ',', '\t']).next().unwrap_or_default().to_owned(),
    }
}
