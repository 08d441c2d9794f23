//! A text that grows: its blocks are read again only from where appended text can still change them.

use super::{TEXT_BYTES_MAX, append_json, tree};

/// Blocks at the end that appended text can change: the last line may close one block and begin another, and be read
/// otherwise when more of it has come.
const OPEN_BLOCKS: usize = 2;
/// Bytes from the first block that can change to the end which are read again whenever there is more.
const TAIL_BYTES: usize = 2 * 1024;
/// A longer tail is read again when it has grown by this share of itself, so that a long block costs a constant number
/// of readings for each byte.
const GROWTH_SHARE: usize = 32;

/// Blocks of a text that grows. Each change of them has a version, so that readers get what has changed since theirs.
#[derive(Default)]
pub(crate) struct GrowingBlocks {
    text: String,
    /// Bytes and characters of the text that the blocks cover.
    covered: (usize, u64),
    blocks: Vec<VersionedBlock>,
    version: u64,
    definitions: Definitions,
    /// The text has too many bytes or nodes: its blocks stay as they are.
    is_full: bool,
    /// Bytes that were read in all.
    #[cfg(test)]
    read_bytes: usize,
}

struct VersionedBlock {
    start: usize,
    json: Vec<u8>,
    /// The version with which it came. None is lower than that of the block before it.
    version: u64,
    /// Nodes up to its end.
    nodes: usize,
}

/// The blocks that have changed since a version.
pub(crate) struct BlockChanges<'g> {
    /// The present version.
    pub version: u64,
    /// Number of the blocks that are as they were; those that follow replace all after them.
    pub from: usize,
    /// Characters of the text that all blocks cover.
    pub chars: u64,
    blocks: &'g [VersionedBlock],
}

impl BlockChanges<'_> {
    /// Appends the blocks from `from` on as a JSON list.
    pub(crate) fn append_json(&self, json: &mut Vec<u8>) {
        json.push(b'[');
        for (index, block) in self.blocks.iter().enumerate() {
            if index > 0 {
                json.push(b',');
            }
            json.extend_from_slice(&block.json);
        }
        json.push(b']');
    }
}

impl GrowingBlocks {
    /// Appends `text`, of which the first byte is the one at `offset`. What was appended before is passed over, and so
    /// is a text that lies beyond the end.
    pub(crate) fn append(&mut self, offset: usize, text: &str) {
        if self.is_full {
            return;
        }
        let Some(new) = self.text.len().checked_sub(offset).and_then(|known| text.get(known..)) else { return };
        if self.text.len() + new.len() > TEXT_BYTES_MAX {
            self.fill();
            return;
        }
        self.definitions.look(new);
        self.text.push_str(new);
    }

    /// Reads what was appended, if it is time to, and returns the changes since the version `seen`, if there are any.
    pub(crate) fn changes(&mut self, seen: u64) -> Option<BlockChanges<'_>> {
        if self.is_due() {
            self.read();
        }
        if self.version == seen {
            return None;
        }
        let from = self.blocks.partition_point(|block| block.version <= seen);
        Some(BlockChanges { version: self.version, from, chars: self.covered.1, blocks: &self.blocks[from..] })
    }

    fn is_due(&self) -> bool {
        let new = self.text.len().saturating_sub(self.covered.0);
        if self.is_full || new == 0 {
            return false;
        }
        let tail = self.text.len() - self.settled().1;
        tail <= TAIL_BYTES || new.saturating_mul(GROWTH_SHARE) >= tail
    }

    /// Returns the number of blocks that appended text cannot change, and the offset of the line after them.
    fn settled(&self) -> (usize, usize) {
        let count = self.blocks.len().saturating_sub(OPEN_BLOCKS);
        if count == 0 || self.definitions.are_possible {
            return (0, 0);
        }
        let start = self.blocks[count].start;
        (count, self.text[..start].rfind(['\n', '\r']).map_or(0, |end| end + 1))
    }

    fn read(&mut self) {
        let (mut at, from) = self.settled();
        let nodes = at.checked_sub(1).map_or(0, |last| self.blocks[last].nodes);
        let tail = &self.text[from..];
        #[cfg(test)]
        {
            self.read_bytes += tail.len();
        }
        let Some(read) = tree::read(tail, nodes) else {
            self.fill();
            return;
        };
        let new = &self.text[self.covered.0..];
        self.covered = (self.text.len(), self.covered.1 + new.chars().count() as u64);
        self.version += 1;
        for tree::Block { start, node, nodes } in read {
            let start = from + start;
            let mut json = Vec::new();
            append_json(&mut json, &node);
            match self.blocks.get_mut(at) {
                Some(old) if old.json == json => (old.start, old.nodes) = (start, nodes),
                _ => {
                    self.blocks.truncate(at);
                    self.blocks.push(VersionedBlock { start, json, version: self.version, nodes });
                }
            }
            at += 1;
        }
        self.blocks.truncate(at);
    }

    fn fill(&mut self) {
        self.is_full = true;
        self.text = String::new();
    }
}

/// Looks for definitions of link addresses (`[label]: address`), which change every block that names the label.
#[derive(Default)]
struct Definitions {
    /// A definition may be among the lines. False only if none is.
    are_possible: bool,
    /// A line began with a bracket, behind at most what begins quotes and lists.
    has_label: bool,
    /// The line so far has more than that.
    in_line: bool,
    last: u8,
}

impl Definitions {
    fn look(&mut self, text: &str) {
        for byte in text.bytes() {
            match byte {
                b'\n' | b'\r' => self.in_line = false,
                b' ' | b'\t' | b'>' | b'-' | b'+' | b'*' | b'.' | b')' | b'0'..=b'9' => {}
                b'[' if !self.in_line => self.has_label = true,
                _ => self.in_line = true,
            }
            self.are_possible |= self.has_label && self.last == b']' && byte == b':';
            self.last = byte;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The blocks that a reader has who takes every change.
    #[derive(Default)]
    struct BlockReader {
        version: u64,
        chars: u64,
        blocks: Vec<serde_json::Value>,
    }

    impl BlockReader {
        fn update(&mut self, growing: &mut GrowingBlocks) {
            let Some(changes) = growing.changes(self.version) else { return };
            let mut json = Vec::new();
            changes.append_json(&mut json);
            let list: Vec<serde_json::Value> = serde_json::from_slice(&json).unwrap();
            assert!(changes.from <= self.blocks.len(), "it builds on blocks that the reader has");
            self.blocks.truncate(changes.from);
            self.blocks.extend(list);
            (self.version, self.chars) = (changes.version, changes.chars);
        }
    }

    fn whole(text: &str) -> Vec<serde_json::Value> {
        serde_json::from_slice(&super::super::blocks_json(text).unwrap()).unwrap()
    }

    /// Appends the text piece by piece, with one reader who looks at each and one who looks at some.
    #[track_caller]
    fn grow(pieces: impl IntoIterator<Item = String>) {
        let (mut growing, mut eager, mut lazy) =
            (GrowingBlocks::default(), BlockReader::default(), BlockReader::default());
        let mut text = String::new();
        for (number, piece) in pieces.into_iter().enumerate() {
            growing.append(text.len(), &piece);
            text.push_str(&piece);
            eager.update(&mut growing);
            let expected = whole(&text);
            assert_eq!(eager.blocks, expected, "{text:?}");
            assert_eq!(eager.chars, text.chars().count() as u64);
            if number % 3 == 2 {
                lazy.update(&mut growing);
                assert_eq!(lazy.blocks, expected, "{text:?}");
            }
        }
    }

    #[track_caller]
    fn grow_by_character(text: &str) {
        grow(text.chars().map(String::from));
    }

    #[test]
    fn blocks_of_a_growing_text_are_those_of_the_whole() {
        grow_by_character(
            "# 🦀 ä\n\npara\n\n- x\n- y\n\n```js\nlet a;\n```\n\nlast **words** here\n\n| a | b |\n|--|--|\n| 1 | 2 |\n\nend",
        );
        grow_by_character("one\n\ntwo\n| a | b |\n|---|---|\n| 1 | 2 |\nthree\n\nfour");
        grow_by_character("1. a\n\n2. b\n\n   more\n\n- c\n\n\n\n  d\n\n    e\n\n> q\nlazy\n\ntitle\n===\nx\n---\n");
        grow_by_character("see [it][a] and [b]\n\np\n\nq\n\nr\n\n> [a]: https://a.b\n\n[b]: https://c.d\n\n[b]");
        grow_by_character("<div>\n\n<!-- a\n\nb\n\nc -->\n\n<script>\n\n*x*\n</script>\n\nend");
    }

    #[test]
    fn text_that_was_appended_before_is_passed_over() {
        let mut growing = GrowingBlocks::default();
        let mut seen = BlockReader::default();
        growing.append(0, "# é");
        growing.append(2, "é\n\na *b*");
        growing.append(99, "beyond");
        growing.append(2, "é");
        seen.update(&mut growing);
        assert_eq!((seen.blocks, seen.chars), (whole("# é\n\na *b*"), 10));
    }

    #[test]
    fn long_text_costs_a_constant_number_of_readings() {
        for (piece, times) in [("let word = 5;\n", 12_000), ("text of words ", 12_000), ("- [x] item\n", 2_000)] {
            let mut growing = GrowingBlocks::default();
            growing.append(0, if piece.starts_with("let") { "```rs\n" } else { "" });
            for _ in 0..times {
                growing.append(growing.text.len(), piece);
                growing.changes(0);
            }
            let bound = 2 * (GROWTH_SHARE + 1) * growing.text.len() + TAIL_BYTES * TAIL_BYTES;
            assert!(growing.read_bytes < bound, "{piece:?}: {} of {bound}", growing.read_bytes);
            assert!(!growing.is_full);
        }
    }

    #[test]
    fn text_over_the_bounds_keeps_the_blocks_it_has() {
        let mut growing = GrowingBlocks::default();
        growing.append(0, "*first*\n");
        let mut seen = BlockReader::default();
        seen.update(&mut growing);
        growing.append(8, &"x".repeat(TEXT_BYTES_MAX));
        seen.update(&mut growing);
        assert_eq!((seen.blocks.len(), seen.chars, growing.text.len()), (1, 8, 0));
        let mut growing = GrowingBlocks::default();
        growing.append(0, &"`a` ".repeat(tree::NODES_MAX / 2 + 1));
        assert!(growing.changes(0).is_none() && growing.is_full);
    }

    /// Pieces of which Markdown is made.
    const PARTS: &[&str] = &[
        "\n",
        "\n",
        "\n\n",
        "word",
        " ",
        "  ",
        "    ",
        "\t",
        "# ",
        "- ",
        "* ",
        "1. ",
        "2",
        ".",
        ")",
        "> ",
        ">",
        "```",
        "~~~js",
        "`",
        "*",
        "**",
        "_",
        "~~",
        "| a | b |",
        "|",
        "|--|--|",
        "|:-",
        "---",
        "===",
        "-",
        "=",
        "<div>",
        "<!-- ",
        "-->",
        "</div>",
        "<b>",
        "[a]",
        "[",
        "]",
        "](x)",
        "]: /u",
        ":",
        "[a]: https://a.b",
        "\"t\"",
        "https://a.b/c",
        "\\",
        "&amp;",
        "é🦀",
        "\r\n",
        "[x] ",
        "+ ",
        "10. ",
        "\n\n\n",
        "<pre>",
        "<?",
        "![i](j)",
        "\\(",
        "\\)",
        "\\[x",
        "\\]",
        "$",
    ];

    proptest! {
        #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

        #[test]
        fn any_text_is_read_as_if_it_were_whole(parts in prop::collection::vec(prop::sample::select(PARTS), 1..40)) {
            grow(parts.iter().map(|part| (*part).to_owned()));
            grow_by_character(&parts.concat());
        }
    }
}
