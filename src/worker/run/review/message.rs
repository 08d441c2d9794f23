//! The message in which a review is sent.

use std::fmt::Write as _;

use super::places::LinePlace;
use crate::journal::{Anchor, AnchorLine, ReviewSide};
use crate::worker::place::look::anchor::shortened;
use crate::worker::state::ReviewEntry;

/// Lines of a comment that a message quotes.
const QUOTED_LINES_MAX: usize = 20;
/// Longest quoted line, in bytes.
const LINE_BYTES_MAX: usize = 400;

/// Writes the text of a review: each comment with its place, its lines, and its suggestion.
pub(super) fn text(comments: &[(&ReviewEntry, Option<LinePlace>)], intro: Option<&str>) -> String {
    let mut text = String::new();
    if let Some(intro) = intro {
        text.push_str(intro.trim_end());
        text.push_str("\n\n");
    }
    let count = match comments.len() {
        1 => "1 comment".to_owned(),
        count => format!("{count} comments"),
    };
    // Writing into a string cannot fail.
    let _ = writeln!(text, "Review of your changes, with {count}. Please answer or address each.");
    for (number, (noted, place)) in comments.iter().enumerate() {
        let _ = writeln!(text, "\n{}. {}", number + 1, title(noted, place.as_ref()));
        if let Some(anchor) = &noted.comment.anchor {
            for line in quoted(anchor, QUOTED_LINES_MAX) {
                let _ = writeln!(text, "> {line}");
            }
        }
        let _ = writeln!(text, "\n{}", noted.comment.text.trim());
        if let Some(suggestion) = &noted.comment.suggestion {
            let fence = fence(suggestion);
            let _ = writeln!(text, "\nSuggested instead:\n{fence}\n{}\n{fence}", suggestion.trim_end_matches('\n'));
        }
    }
    text.truncate(text.trim_end().len());
    text
}

/// Returns the lines of an anchor in a form for people.
pub(super) fn quoted(anchor: &Anchor, most: usize) -> Vec<String> {
    let mut lines: Vec<String> = anchor
        .lines
        .iter()
        .take(most)
        .map(|line| match line {
            AnchorLine::Whole(text) => shortened(text, LINE_BYTES_MAX).to_owned(),
            AnchorLine::Long { excerpt, bytes, .. } => {
                format!("{excerpt}… [{} bytes cut]", bytes - excerpt.len().min(*bytes))
            }
        })
        .collect();
    if anchor.lines.len() > most {
        lines.push(format!("… [{} lines more]", anchor.lines.len() - most));
    }
    lines
}

/// Describes the place of a comment.
fn title(noted: &ReviewEntry, place: Option<&LinePlace>) -> String {
    let comment = &noted.comment;
    let Some(file) = &comment.file else { return "On all changes".to_owned() };
    let name = |file: &str| if file.contains(char::is_control) { format!("{file:?}") } else { file.to_owned() };
    let file = name(place.map_or(file, |place| &place.file));
    let (start, end) = place.map_or((comment.start, comment.end), |place| (place.start, place.end));
    let lines = match (start, end) {
        (Some(start), Some(end)) if start == end => format!(", line {start}"),
        (Some(start), Some(end)) => format!(", lines {start}-{end}"),
        _ => return format!("{file} (the whole file)"),
    };
    let side = if comment.side == ReviewSide::Old { " before your changes" } else { "" };
    let note = if place.is_none() { " (these lines have changed since the comment was written)" } else { "" };
    format!("{file}{lines}{side}{note}")
}

/// Returns a fence that is longer than any in the text.
fn fence(text: &str) -> String {
    let longest = text.split(|char| char != '`').map(str::len).max().unwrap_or(0);
    "`".repeat(longest.max(2) + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::ReviewComment;
    use crate::worker::state::CommentStage;

    fn noted(comment: ReviewComment) -> ReviewEntry {
        ReviewEntry {
            comment,
            stage: CommentStage::Draft,
            message_id: None,
            delivered: false,
            created_at: 0,
            edited_at: 0,
        }
    }

    #[test]
    fn messages_have_path_line_quoted_lines_and_suggestion() {
        let lines = |texts: &[&str]| texts.iter().map(|text| AnchorLine::Whole((*text).to_owned())).collect();
        let first = noted(ReviewComment {
            file: Some("src/a b.rs".to_owned()),
            start: Some(3),
            end: Some(4),
            text: "Use a map.\n".to_owned(),
            suggestion: Some("```\nlet x = 1;\n".to_owned()),
            anchor: Some(Anchor { lines: lines(&["let x;", "x = 1;"]), ..Anchor::default() }),
            ..ReviewComment::default()
        });
        let place =
            LinePlace { file: "src/moved.rs".to_owned(), side: ReviewSide::New, start: Some(13), end: Some(14) };
        let second = noted(ReviewComment {
            file: Some("odd\nname".to_owned()),
            side: ReviewSide::Old,
            start: Some(1),
            end: Some(1),
            text: "Why?".to_owned(),
            ..ReviewComment::default()
        });
        let third = noted(ReviewComment { text: "Well done.".to_owned(), ..ReviewComment::default() });
        let text = text(&[(&first, Some(place)), (&second, None), (&third, None)], Some("Hello\n"));
        assert_eq!(
            text,
            "Hello\n\nReview of your changes, with 3 comments. Please answer or address each.\n\n\
             1. src/moved.rs, lines 13-14\n> let x;\n> x = 1;\n\nUse a map.\n\n\
             Suggested instead:\n````\n```\nlet x = 1;\n````\n\n\
             2. \"odd\\nname\", line 1 before your changes (these lines have changed since the comment was written)\n\nWhy?\n\n\
             3. On all changes\n\nWell done."
        );
    }
}
