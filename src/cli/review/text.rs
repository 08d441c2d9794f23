//! The text in which a review is written: the diff with a `>` before each line, and comments below their lines.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::cli::diff::one_line;
use crate::cli::output::field;
use crate::cli::terminal::plain;

/// The first lines of the text.
const HEAD: &str = "\
># Write each comment on lines of its own below the line that it is on. Lines that begin with > stay as they are.
># A comment above the first file is on all changes; one below a file's first line is on the file.
># A first line ^3 puts the comment on the three lines above it. A block ```suggestion ... ``` is a replacement.
># Below [draft ...] is a comment that was not sent yet: change it, or remove its text to delete it.
># Save and close the editor to keep the comments; without changes nothing happens.
>
";
/// The last lines: they keep lines of an agent away from the end of the file, where editors look for settings. Emacs
/// stops reading settings at the form feed.
const TAIL: &str = ">\n>\n>\n>\n>\n>\u{c}\n># The end of the diff.\n";
/// Characters of a draft's id that are shown.
const ID_CHARS: usize = 8;
/// The beginning of a block that is a suggestion.
const SUGGESTION: &str = "```suggestion";

/// A change of the review that follows from the edited text.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum ReviewEdit {
    /// A new comment.
    New(Value),
    /// A draft with this id was changed.
    Edited(String, Value),
    /// A draft with this id was emptied.
    Deleted(String),
}

/// A line of the diff in the text.
#[derive(Clone, Debug, Default, PartialEq)]
struct QuotedLine {
    /// The line in the text.
    shown: String,
    /// The file; none before the first one.
    file: Option<String>,
    /// The number on the old side, for a removed line, or on the new side.
    line: Option<u64>,
    is_old: bool,
    /// The text of the line.
    text: String,
    /// The number of its hunk.
    hunk: usize,
}

/// A draft in the text.
#[derive(Clone, Debug, PartialEq)]
struct ReviewDraft {
    id: String,
    text: String,
}

/// The text for one review.
pub(super) struct Sheet {
    quoted: Vec<QuotedLine>,
    /// Drafts by the line below which they are; 0 has those of all changes and outdated ones.
    drafts: BTreeMap<usize, Vec<ReviewDraft>>,
}

impl Sheet {
    /// Builds the text from a diff and its drafts in the server's responses.
    pub(super) fn new(worker: &str, diff: &Value, review: &Value) -> Self {
        let title = format!("> Changes of {} ({})", one_line(worker), field(diff, "scope"));
        let mut quoted = vec![QuotedLine { shown: title, ..QuotedLine::default() }];
        quoted.extend(quoted_lines(diff));
        let mut drafts: BTreeMap<usize, Vec<ReviewDraft>> = BTreeMap::new();
        for comment in review["comments"].as_array().into_iter().flatten() {
            if comment["state"] == "resolved" || !comment["message_id"].is_null() {
                continue;
            }
            let at = place_of(&quoted, &comment["place"]).unwrap_or_default();
            let id = field(comment, "id").to_owned();
            drafts.entry(at).or_default().push(ReviewDraft { id, text: block(comment) });
        }
        Self { quoted, drafts }
    }

    /// Returns the text for the editor.
    pub(super) fn text(&self) -> String {
        let mut text = HEAD.to_owned();
        for (at, quoted) in self.quoted.iter().enumerate() {
            text.push_str(&quoted.shown);
            text.push('\n');
            for draft in self.drafts.get(&at).into_iter().flatten() {
                text.push_str(&format!("{}\n{}\n", tag(&draft.id), draft.text));
            }
        }
        text + TAIL
    }

    /// Returns the changes in an edited text, and whether all of its lines with a `>` are those of the diff.
    pub(super) fn read(&self, edited: &str) -> (Vec<ReviewEdit>, bool) {
        let frame: Vec<&str> = HEAD.lines().chain(TAIL.lines()).collect();
        let (mut changes, mut is_clean) = (Vec::new(), true);
        let (mut at, mut block, mut is_before) = (0, Vec::new(), true);
        for line in edited.lines() {
            let next = if is_before { 0 } else { at + 1 };
            if line.starts_with('>') {
                if let Some(found) = self.quoted[next..].iter().position(|quoted| quoted.shown == line) {
                    self.end_block(at, &mut block, &mut changes);
                    (at, is_before) = (next + found, false);
                    continue;
                }
                if frame.contains(&line) {
                    self.end_block(at, &mut block, &mut changes);
                    continue;
                }
                is_clean = false;
            }
            block.push(line.to_owned());
        }
        self.end_block(at, &mut block, &mut changes);
        (changes, is_clean)
    }

    /// Takes the lines that were written below a line of the diff.
    fn end_block(&self, at: usize, block: &mut Vec<String>, changes: &mut Vec<ReviewEdit>) {
        let lines = std::mem::take(block);
        let mut parts: Vec<(Option<&ReviewDraft>, Vec<String>)> = vec![(None, Vec::new())];
        for line in lines {
            match self.drafts.values().flatten().find(|draft| tag(&draft.id) == line.trim_end()) {
                Some(draft) => parts.push((Some(draft), Vec::new())),
                None => parts.last_mut().into_iter().for_each(|part| part.1.push(line.clone())),
            }
        }
        for (draft, lines) in parts {
            let text = lines.join("\n").trim().to_owned();
            match draft {
                None if text.is_empty() => {}
                None => changes.push(ReviewEdit::New(self.comment(at, &text))),
                Some(draft) if text.is_empty() => changes.push(ReviewEdit::Deleted(draft.id.clone())),
                Some(draft) if text == draft.text.trim() => {}
                Some(draft) => {
                    let (text, suggestion) = split(&text);
                    let change = json!({"text": text, "suggestion": suggestion});
                    changes.push(ReviewEdit::Edited(draft.id.clone(), change));
                }
            }
        }
    }

    /// Returns a new comment below a line of the diff.
    fn comment(&self, at: usize, written: &str) -> Value {
        let (first, rest) = written.split_once('\n').unwrap_or((written, ""));
        let count = first.strip_prefix('^').and_then(|count| count.trim().parse::<usize>().ok());
        let written = if count.is_some() && !rest.trim().is_empty() { rest.trim_start_matches('\n') } else { written };
        let (text, suggestion) = split(written);
        let mut comment = json!({"text": text});
        if let Some(suggestion) = suggestion {
            comment["suggestion"] = suggestion.into();
        }
        let here = &self.quoted[at];
        if let Some(file) = &here.file {
            comment["file"] = file.as_str().into();
        }
        let Some(end) = here.line else { return comment };
        let is_above = |quoted: &&QuotedLine| {
            quoted.hunk == here.hunk
                && quoted.file == here.file
                && quoted.is_old == here.is_old
                && quoted.line.is_some()
        };
        let above = self.quoted[..=at].iter().rev().filter(is_above);
        let lines: Vec<&QuotedLine> = above.take(count.unwrap_or(1).max(1)).collect();
        comment["side"] = if here.is_old { "old" } else { "new" }.into();
        comment["start"] = lines.last().and_then(|quoted| quoted.line).unwrap_or(end).into();
        comment["end"] = end.into();
        comment["quoted"] = lines.iter().rev().map(|quoted| quoted.text.as_str()).collect::<Vec<_>>().into();
        comment
    }
}

/// Formats the lines of a diff for the text.
fn quoted_lines(diff: &Value) -> Vec<QuotedLine> {
    let files = diff["files"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut quoted: Vec<QuotedLine> = Vec::new();
    let (mut part, mut file, mut hunk, mut numbers) = (0_u64, None, 0, None);
    for line in field(diff, "diff").split('\n') {
        let starts_file = line.starts_with("diff --git ");
        if starts_file {
            let named = files.iter().find(|entry| entry["part"].as_u64() == Some(part));
            file = named.map(|entry| field(entry, "path").to_owned());
            (part, numbers) = (part + 1, None);
        }
        let mut here = QuotedLine { file: file.clone(), hunk, ..QuotedLine::default() };
        if let Some(starts) = starts(line) {
            hunk += 1;
            (here.hunk, numbers) = (hunk, Some(starts));
        } else if let (Some((old, new)), Some(sign @ (b' ' | b'-' | b'+'))) = (&mut numbers, line.as_bytes().first()) {
            here.is_old = *sign == b'-';
            here.line = Some(if here.is_old { *old } else { *new });
            *old += u64::from(*sign != b'+');
            *new += u64::from(*sign != b'-');
            line.get(1..).unwrap_or_default().clone_into(&mut here.text);
        } else if line.is_empty() {
            continue;
        }
        let number = here.line.map_or_else(String::new, |line| line.to_string());
        here.shown = if starts_file {
            format!("> {}", one_line(line))
        } else {
            // Each line differs from all others of its file.
            format!("> {number:>5} {}", one_line(line)).trim_end().to_owned()
        };
        quoted.push(here);
    }
    quoted
}

/// Parses the first lines that `@@ -1,2 +3,4 @@` names.
fn starts(line: &str) -> Option<(u64, u64)> {
    let mut words = line.strip_prefix("@@ -")?.split(' ');
    let number = |word: &str| word.split(',').next()?.parse().ok();
    let (old, new) = (words.next()?, words.next()?.strip_prefix('+')?);
    Some((number(old)?, number(new)?))
}

/// Returns the line of the text below which a comment with this place is.
fn place_of(quoted: &[QuotedLine], place: &Value) -> Option<usize> {
    let file = place["file"].as_str()?;
    let is_of_file = |it: &QuotedLine| it.file.as_deref() == Some(file);
    match place["end"].as_u64() {
        Some(end) => {
            let is_old = place["side"] == "old";
            quoted.iter().position(|it| is_of_file(it) && it.line == Some(end) && it.is_old == is_old)
        }
        None => quoted.iter().position(is_of_file),
    }
}

fn tag(id: &str) -> String {
    format!("[draft {}]", id.chars().take(ID_CHARS).collect::<String>())
}

/// Formats a comment for the text.
fn block(comment: &Value) -> String {
    let text = plain(field(comment, "text")).trim().to_owned();
    match comment["suggestion"].as_str() {
        Some(suggestion) => format!("{text}\n{SUGGESTION}\n{}\n```", plain(suggestion)),
        None => text,
    }
}

/// Splits a comment into its text and its suggestion.
fn split(written: &str) -> (String, Option<String>) {
    let lines: Vec<&str> = written.lines().collect();
    let begin = lines.iter().position(|line| line.trim_end() == SUGGESTION);
    let end = begin.and_then(|begin| lines[begin + 1..].iter().position(|line| line.trim_end() == "```"));
    let (Some(begin), Some(count)) = (begin, end) else { return (written.to_owned(), None) };
    let text = [&lines[..begin], &lines[begin + count + 2..]].concat().join("\n").trim().to_owned();
    // A comment always has words.
    let text = if text.is_empty() { "Use this instead:".to_owned() } else { text };
    (text, Some(lines[begin + 1..=begin + count].join("\n")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn diff() -> Value {
        let text = "diff --git a/a.rs b/a.rs\nindex 1..2 100644\n--- a/a.rs\n+++ b/a.rs\n@@ -1,4 +1,5 @@ fn a\n one\n-two\n+2\n+}\n \
                    three\n@@ -10,2 +11,2 @@\n }\n+}\n-}\ndiff --git \"a/\\303\\274 x\" \"b/\\303\\274 x\"\nBinary files differ\n";
        json!({"scope": "base", "diff": text, "files": [{"path": "a.rs", "part": 0}, {"path": "ü x", "part": 1}]})
    }

    fn sheet(comments: &Value) -> Sheet {
        Sheet::new("w", &diff(), &json!({"comments": comments}))
    }

    /// Returns the changes in a text with something written below each of these lines.
    fn written(sheet: &Sheet, below: &[(&str, &str)]) -> (Vec<ReviewEdit>, bool) {
        let mut text = sheet.text();
        for (line, comment) in below {
            let at = text.find(line).unwrap_or_else(|| panic!("{line} is in {text}"));
            let end = at + text[at..].find('\n').unwrap() + 1;
            text.insert_str(end, &format!("{comment}\n"));
        }
        sheet.read(&text)
    }

    #[test]
    fn comments_are_on_the_line_range_or_file_above_them() {
        let sheet = sheet(&json!([]));
        assert_eq!(sheet.read(&sheet.text()), (Vec::new(), true), "nothing written is nothing changed");
        let (changes, is_clean) = written(
            &sheet,
            &[
                ("> Changes of", "On all\n\nof it"),
                ("> diff --git a/a.rs", "On the file"),
                (">     2 -two", "Removed"),
                (">     3 +}", "^2\nBoth\n```suggestion\nx\n\ny\n```"),
                ("> diff --git \"a/", "Binary"),
            ],
        );
        let new = |comment: Value| ReviewEdit::New(comment);
        assert_eq!(
            changes,
            [
                new(json!({"text": "On all\n\nof it"})),
                new(json!({"text": "On the file", "file": "a.rs"})),
                new(json!({"text": "Removed", "file": "a.rs", "side": "old", "start": 2, "end": 2, "quoted": ["two"]})),
                new(
                    json!({"text": "Both", "suggestion": "x\n\ny", "file": "a.rs", "side": "new", "start": 2, "end": 3,
                    "quoted": ["2", "}"]})
                ),
                new(json!({"text": "Binary", "file": "ü x"})),
            ]
        );
        assert!(is_clean);
    }

    #[test]
    fn cut_lines_move_no_comment_and_lose_no_words() {
        let sheet = sheet(&json!([]));
        let (changes, is_clean) = sheet.read(">    12 +}\nOn the second\n> not of the diff\nmore\n");
        assert_eq!(
            changes,
            [ReviewEdit::New(json!({"text": "On the second\n> not of the diff\nmore", "file": "a.rs", "side": "new",
                "start": 12, "end": 12, "quoted": ["}"]}))]
        );
        assert!(!is_clean);
        let (changes, _) = sheet.read("Only words");
        assert_eq!(changes, [ReviewEdit::New(json!({"text": "Only words"}))]);
    }

    #[test]
    fn drafts_are_changed_emptied_or_left() {
        let draft = |id: &str, place: Value, state: &str| json!({"id": id, "text": "It is\nthis", "suggestion": null, "state": state, "message_id": null, "place": place});
        let place = json!({"file": "a.rs", "side": "new", "start": 2, "end": 2});
        let sheet = sheet(&json!([
            draft("aaaaaaaa-1", place.clone(), "draft"),
            draft("bbbbbbbb-2", Value::Null, "outdated"),
            draft("cccccccc-3", place, "resolved")
        ]));
        let text = sheet.text();
        assert!(text.contains(">     2 +2\n[draft aaaaaaaa]\nIt is\nthis\n"), "{text}");
        assert_eq!(sheet.read(&text), (Vec::new(), true));
        let edited =
            text.replacen("this", "that", 1).replace("+2\n[draft aaaaaaaa]\nIt is\nthis\n", "+2\n[draft aaaaaaaa]\n");
        let (changes, _) = sheet.read(&edited);
        let text = json!({"text": "It is\nthat", "suggestion": null});
        assert_eq!(changes, [ReviewEdit::Edited("bbbbbbbb-2".into(), text), ReviewEdit::Deleted("aaaaaaaa-1".into())]);
        assert_eq!(
            sheet.read(&sheet.text().replace("[draft aaaaaaaa]\nIt is\nthis\n", "")).0,
            [],
            "a removed block is left"
        );
    }

    #[test]
    fn no_line_of_an_agent_is_where_editors_read_settings() {
        let mut hostile = diff();
        hostile["diff"] =
            "diff --git a/a b/a\n@@ -0,0 +1,2 @@\n+vim: set modeline:\n+\u{1b}]0;x\u{7}\u{9b}31m\u{202e}".into();
        let text = Sheet::new("w", &hostile, &json!({})).text();
        let lines: Vec<&str> = text.lines().collect();
        let is_near = |at: usize| at < 5 || at + 5 >= lines.len();
        for (at, line) in lines.iter().enumerate() {
            assert!(!line.contains("vim:") || !is_near(at), "{line}");
            assert!(!line.contains(['\u{1b}', '\u{9b}', '\u{7}', '\u{202e}']), "{line:?}");
        }
        assert!(text.rsplit('\u{c}').next().is_some_and(|last_page| !last_page.contains("a/a")));
    }
}
