//! Anchors of comments: the lines of a diff that a comment is on, and their positions after changes.
//!
//! A comment is never moved to another text. Lines are the same only if their texts are equal. Where several places
//! have the same lines, the lines around decide: a place is taken only if the next line on each side is there, and it
//! has more of them than any other place had when the comment was written. If no place or more than one is left, the
//! comment is outdated.

use std::ops::Range;

use sha2::{Digest as _, Sha256};

use crate::journal::{Anchor, AnchorLine, ReviewSide};

/// Lines of context on each side by which a comment's lines are found again.
const CONTEXT_LINES: usize = 8;
/// Longest line that is stored whole, in bytes.
const LINE_BYTES_MAX: usize = 400;
/// Bytes of a longer line that are stored for display.
const EXCERPT_BYTES: usize = 200;
/// Lines of a hunk that are stored before and after a comment's own.
const HUNK_LINES: usize = 6;
/// Size limit of a stored hunk, in bytes.
const HUNK_BYTES_MAX: usize = 8 * 1024;
/// Bytes of a line whose hash costs as much as a comparison of lines.
const HASHED_BYTES: usize = 16;
/// Letters and digits from which on lines are identified by their own text, without context.
const TELLING_CHARS: usize = 12;

/// A line of a diff.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::worker) struct DiffLine<'d> {
    old: Option<u64>,
    new: Option<u64>,
    /// The line with its sign.
    shown: &'d str,
}

/// A hunk of a diff.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::worker) struct Hunk<'d> {
    header: &'d str,
    lines: Vec<DiffLine<'d>>,
}

/// Budget of comparisons of lines: a hostile file causes as many as it can.
#[derive(Debug)]
pub(in crate::worker) struct Effort(pub(in crate::worker) usize);

impl DiffLine<'_> {
    fn number(&self, side: ReviewSide) -> Option<u64> {
        if side == ReviewSide::Old { self.old } else { self.new }
    }

    fn text(&self) -> &str {
        self.shown.get(1..).unwrap_or_default()
    }
}

/// Returns the hunks of the `part`-th file of a diff.
pub(in crate::worker) fn hunks(diff: &str, part: usize) -> Vec<Hunk<'_>> {
    let mut lines = diff.split('\n');
    if lines.by_ref().filter(|line| line.starts_with("diff --git ")).nth(part).is_none() {
        return Vec::new();
    }
    let mut hunks: Vec<Hunk<'_>> = Vec::new();
    let (mut old, mut new) = (0, 0);
    for line in lines.take_while(|line| !line.starts_with("diff --git ")) {
        if let Some((old_start, new_start)) = starts(line) {
            (old, new) = (old_start, new_start);
            hunks.push(Hunk { header: line, lines: Vec::new() });
            continue;
        }
        let Some(hunk) = hunks.last_mut() else { continue };
        let (is_old, is_new) = match line.as_bytes().first() {
            Some(b' ') => (true, true),
            Some(b'-') => (true, false),
            Some(b'+') => (false, true),
            _ => continue,
        };
        hunk.lines.push(DiffLine { old: is_old.then_some(old), new: is_new.then_some(new), shown: line });
        old += u64::from(is_old);
        new += u64::from(is_new);
    }
    hunks
}

/// Parses the first lines that `@@ -1,2 +3,4 @@` names.
fn starts(line: &str) -> Option<(u64, u64)> {
    let mut words = line.strip_prefix("@@ -")?.split(' ');
    let number = |word: &str| word.split(',').next()?.parse().ok();
    let (old, new) = (words.next()?, words.next()?.strip_prefix('+')?);
    Some((number(old)?, number(new)?))
}

/// Splits a text into lines without line ends.
pub(in crate::worker) fn lines_of(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.split('\n').collect();
    lines.pop_if(|last| last.is_empty());
    lines
}

/// Returns the anchor of the lines `start..=end` of one side of a diff; `None` where the diff does not show all of
/// them. `file` has the lines of the whole file, where they are known.
pub(in crate::worker) fn anchor(
    hunks: &[Hunk<'_>],
    side: ReviewSide,
    (start, end): (u64, u64),
    file: Option<&[&str]>,
    effort: &mut Effort,
) -> Option<Anchor> {
    let (hunk, first, last) = hunks.iter().find_map(|hunk| {
        let at = |number| hunk.lines.iter().position(|line| line.number(side) == Some(number));
        Some((hunk, at(start)?, at(end)?))
    })?;
    let own: Vec<&str> = side_of(&hunk.lines[first..=last], side).collect();
    let before: Vec<&str> = side_of(&hunk.lines[..first], side).collect();
    let after: Vec<&str> = side_of(&hunk.lines[last + 1..], side).collect();
    let removed = hunk.lines[first..=last].iter().all(|line| line.new.is_none());
    let mut anchor = of_texts(&before, &own, &after);
    anchor.hunk = excerpt(hunk, first..last + 1);
    anchor.removed = removed;
    if let Some(file) = file {
        complete(&mut anchor, file, start, effort);
    }
    Some(anchor)
}

/// Returns the anchor of lines that the diff does not show any more.
pub(in crate::worker) fn of_lines(lines: &[String]) -> Anchor {
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let mut anchor = of_texts(&[], &lines, &[]);
    anchor.hunk = shortened(&lines.join("\n"), HUNK_BYTES_MAX).to_owned();
    anchor
}

/// Adds what only the whole file shows: more context, and the other places that have the same lines.
fn complete(anchor: &mut Anchor, file: &[&str], start: u64, effort: &mut Effort) {
    let Some(at) = usize::try_from(start).ok().and_then(|start| start.checked_sub(1)) else { return };
    let range = at..at + anchor.lines.len();
    // The file may have changed since the diff was made.
    if !fits(anchor, file, at, effort) {
        return;
    }
    let before = &file[at.saturating_sub(CONTEXT_LINES)..at];
    let after = &file[range.end..file.len().min(range.end + CONTEXT_LINES)];
    anchor.before = before.iter().map(|line| kept(line)).collect();
    anchor.after = after.iter().map(|line| kept(line)).collect();
    let mut rival = None;
    for other in (0..file.len()).filter(|other| *other != at) {
        if fits(anchor, file, other, effort) {
            rival = rival.max(Some(common(anchor, file, other, effort).sum()));
        }
    }
    anchor.rival = rival;
    anchor.followed = effort.0 > 0;
}

/// Returns the position of an anchor's lines in a file, counted from 0; `None` if they are not there, or no place is
/// unambiguous.
pub(in crate::worker) fn locate(anchor: &Anchor, file: &[&str], effort: &mut Effort) -> Option<usize> {
    if !anchor.followed || anchor.lines.is_empty() {
        return None;
    }
    let all = anchor.before.len() + anchor.after.len();
    let (mut best, mut is_tie) = (None, false);
    for at in 0..file.len() {
        if !fits(anchor, file, at, effort) {
            continue;
        }
        let found = common(anchor, file, at, effort).sum();
        match best {
            Some((most, _)) if found < most => {}
            Some((most, _)) if found == most => is_tie = true,
            _ => (best, is_tie) = (Some((found, at)), false),
        }
        if is_tie && found == all {
            return None;
        }
    }
    let (most, at) = best.filter(|_| !is_tie && effort.0 > 0)?;
    let is_known = match anchor.rival {
        Some(rival) => most > rival && common(anchor, file, at, effort).is_between(anchor),
        None => most > 0 || all == 0 || is_telling(anchor),
    };
    is_known.then_some(at)
}

/// Returns whether the diff still removes the lines `start..=end` of the old side.
pub(in crate::worker) fn removes(hunks: &[Hunk<'_>], (start, end): (u64, u64)) -> bool {
    let removed = hunks.iter().flat_map(|hunk| &hunk.lines).filter(|line| line.new.is_none());
    let count = removed.filter_map(|line| line.old).filter(|number| (start..=end).contains(number)).count();
    u64::try_from(count).ok() == Some(end - start + 1)
}

/// Returns whether a line equals the stored one, apart from its line end.
fn is_same(kept: &AnchorLine, line: &str, effort: &mut Effort) -> bool {
    let line = line.strip_suffix('\r').unwrap_or(line);
    effort.0 = effort.0.saturating_sub(1);
    match kept {
        AnchorLine::Whole(text) => effort.0 > 0 && text == line,
        AnchorLine::Long { bytes, sha256, .. } if *bytes == line.len() => {
            // A hash costs as much as many comparisons.
            effort.0 = effort.0.saturating_sub(line.len() / HASHED_BYTES);
            effort.0 > 0 && *sha256 == hash(line)
        }
        AnchorLine::Long { .. } => false,
    }
}

fn fits(anchor: &Anchor, file: &[&str], at: usize, effort: &mut Effort) -> bool {
    let Some(lines) = file.get(at..at.saturating_add(anchor.lines.len())) else { return false };
    anchor.lines.iter().zip(lines).all(|(kept, line)| is_same(kept, line, effort))
}

/// The numbers of lines on each side of a place that match the anchor's context without a gap.
#[derive(Clone, Copy, Debug)]
struct Common {
    above: usize,
    below: usize,
}

impl Common {
    const fn sum(self) -> usize {
        self.above + self.below
    }

    /// Returns whether the next line on each side is the anchor's, where it has one.
    fn is_between(self, anchor: &Anchor) -> bool {
        (self.above > 0 || anchor.before.is_empty()) && (self.below > 0 || anchor.after.is_empty())
    }
}

/// Counts the lines around a place that are in the anchor's context.
fn common(anchor: &Anchor, file: &[&str], at: usize, effort: &mut Effort) -> Common {
    let above = file[..at].iter().rev().zip(anchor.before.iter().rev());
    let below = file[at + anchor.lines.len()..].iter().zip(&anchor.after);
    Common {
        above: above.take_while(|(line, kept)| is_same(kept, line, effort)).count(),
        below: below.take_while(|(line, kept)| is_same(kept, line, effort)).count(),
    }
}

/// Returns whether lines are identified by their own text, without context.
fn is_telling(anchor: &Anchor) -> bool {
    let chars = anchor.lines.iter().flat_map(|line| match line {
        AnchorLine::Whole(text) | AnchorLine::Long { excerpt: text, .. } => text.chars(),
    });
    chars.filter(|char| char.is_alphanumeric()).count() >= TELLING_CHARS
}

fn side_of<'l, 'd: 'l>(lines: &'l [DiffLine<'d>], side: ReviewSide) -> impl Iterator<Item = &'l str> {
    lines.iter().filter(move |line| line.number(side).is_some()).map(DiffLine::text)
}

fn of_texts(before: &[&str], own: &[&str], after: &[&str]) -> Anchor {
    let all = |lines: &[&str]| lines.iter().map(|line| kept(line)).collect();
    Anchor {
        lines: all(own),
        before: all(&before[before.len().saturating_sub(CONTEXT_LINES)..]),
        after: all(&after[..after.len().min(CONTEXT_LINES)]),
        ..Anchor::default()
    }
}

fn kept(line: &str) -> AnchorLine {
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.len() <= LINE_BYTES_MAX {
        return AnchorLine::Whole(line.to_owned());
    }
    AnchorLine::Long { excerpt: shortened(line, EXCERPT_BYTES).to_owned(), bytes: line.len(), sha256: hash(line) }
}

fn hash(line: &str) -> String {
    Sha256::digest(line.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns the part of a hunk around a comment's lines.
fn excerpt(hunk: &Hunk<'_>, own: Range<usize>) -> String {
    let range = own.start.saturating_sub(HUNK_LINES)..hunk.lines.len().min(own.end + HUNK_LINES);
    let mut text = shortened(hunk.header, LINE_BYTES_MAX).to_owned();
    for line in &hunk.lines[range] {
        let line = shortened(line.shown, LINE_BYTES_MAX);
        if text.len() + line.len() >= HUNK_BYTES_MAX {
            break;
        }
        text.push('\n');
        text.push_str(line);
    }
    text
}

/// Returns the beginning of a text, of at most so many bytes.
pub(in crate::worker) fn shortened(text: &str, bytes: usize) -> &str {
    let end = (0..=text.len().min(bytes)).rev().find(|&end| text.is_char_boundary(end));
    &text[..end.unwrap_or_default()]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DIFF: &str = "diff --git a/a b/a\nindex 1..2 100644\n--- a/a\n+++ b/a\n@@ -1,3 +1,4 @@\n one\n-two\n+2\n+2b\n three\n\
                        diff --git a/b b/b\n--- a/b\n+++ b/b\n@@ -10 +10 @@ fn head\n-old\n\\ No newline at end of file\n+new\r\n";

    fn effort() -> Effort {
        Effort(1_000_000)
    }

    fn whole(line: &str) -> AnchorLine {
        AnchorLine::Whole(line.to_owned())
    }

    #[test]
    fn diff_lines_are_anchored_by_side_with_their_context() {
        let first = hunks(DIFF, 0);
        let new = anchor(&first, ReviewSide::New, (2, 3), None, &mut effort()).unwrap();
        assert_eq!(new.lines, [whole("2"), whole("2b")]);
        assert_eq!((new.before, new.after), (vec![whole("one")], vec![whole("three")]));
        assert_eq!((new.removed, new.followed), (false, false));
        assert!(new.hunk.starts_with("@@ -1,3 +1,4 @@\n one\n-two\n+2"));
        let old = anchor(&first, ReviewSide::Old, (2, 2), None, &mut effort()).unwrap();
        assert_eq!((old.lines, old.removed), (vec![whole("two")], true));
        assert!(anchor(&first, ReviewSide::New, (3, 5), None, &mut effort()).is_none(), "line 5 is not shown");
        let second = hunks(DIFF, 1);
        let new = anchor(&second, ReviewSide::New, (10, 10), None, &mut effort()).unwrap();
        assert_eq!(new.lines, [whole("new")], "the end of a line is no part of it");
        assert!(removes(&second, (10, 10)) && !removes(&first, (1, 2)));
        assert!(hunks(DIFF, 2).is_empty());
    }

    /// The anchor of one line of a file, which the diff shows as new.
    fn anchored(file: &[&str], at: usize) -> Anchor {
        let mut diff = format!("diff --git a/a b/a\n@@ -0,0 +1,{} @@", file.len());
        for line in file {
            diff.push_str("\n+");
            diff.push_str(line);
        }
        let line = at as u64 + 1;
        anchor(&hunks(&diff, 0), ReviewSide::New, (line, line), Some(file), &mut effort()).unwrap()
    }

    #[test]
    fn comment_on_a_common_line_stays_there_or_is_outdated() {
        let file = ["fn a() {", "}", "", "fn b() {", "}", "", "fn c() {", "}"];
        let it = anchored(&file, 4);
        assert_eq!(locate(&it, &file, &mut effort()), Some(4));
        let moved = ["// more", "// and more", "fn a() {", "}", "", "fn b() {", "}", "", "fn c() {", "}"];
        assert_eq!(locate(&it, &moved, &mut effort()), Some(6));
        let gone = ["fn a() {", "}", "", "fn c() {", "}"];
        assert_eq!(locate(&it, &gone, &mut effort()), None);
        let copied = [&file[..], &file].concat();
        assert_eq!(locate(&it, &copied, &mut effort()), None, "two places are as good");
    }

    #[test]
    fn words_with_little_meaning_need_a_line_around_them() {
        let it = anchored(&["a", "}", "b"], 1);
        assert_eq!(locate(&it, &["x", "}", "y"], &mut effort()), None);
        assert_eq!(locate(&it, &["a", "}", "y"], &mut effort()), Some(1));
        let it = anchored(&["a", "let answer_of_all = 42;", "b"], 1);
        assert_eq!(locate(&it, &["x", "y", "let answer_of_all = 42;"], &mut effort()), Some(2));
    }

    #[test]
    fn long_lines_are_found_by_hash_with_bounded_effort() {
        let (long, other) = (format!("{}a", "ü".repeat(5_000)), format!("{}b", "ü".repeat(5_000)));
        let it = anchored(&["x", &long, "y"], 1);
        assert!(serde_json::to_vec(&it).unwrap().len() < 2_000);
        assert_eq!(locate(&it, &["0", "x", &long, "y"], &mut effort()), Some(2));
        assert_eq!(locate(&it, &["0", "x", &other, "y"], &mut effort()), None);
        let same = vec!["x"; 10_000];
        let mut effort = Effort(100_000);
        assert_eq!(locate(&it, &same, &mut effort), None);
        let mut little = Effort(10);
        assert_eq!(locate(&it, &[&same[..], &["x", &long, "y"]].concat(), &mut little), None);
    }

    /// An edit of a file: its position, the number of removed lines, and the new lines.
    fn edits() -> impl Strategy<Value = Vec<(prop::sample::Index, usize, Vec<u8>)>> {
        prop::collection::vec((any::<prop::sample::Index>(), 0..4_usize, prop::collection::vec(0..6_u8, 0..4)), 0..8)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn comments_on_random_edits_match_their_text_or_are_outdated(
            lines in prop::collection::vec(0..6_u8, 1..30),
            at in any::<prop::sample::Index>(),
            edits in edits(),
        ) {
            // Few different lines, so that nearly every text is in several places.
            let words = ["}", "", "    return;", "let total_of_items = 1;", "if done {", "x"];
            let text = |lines: &[u8]| lines.iter().map(|line| words[usize::from(*line)]).collect::<Vec<_>>();
            let at = at.index(lines.len());
            let it = anchored(&text(&lines), at);
            let mut edited = lines.clone();
            for (place, gone, come) in edits {
                let place = place.index(edited.len() + 1);
                let end = edited.len().min(place + gone);
                edited.splice(place..end, come);
            }
            let now = text(&edited);
            if let Some(found) = locate(&it, &now, &mut effort()) {
                prop_assert_eq!(now[found], words[usize::from(lines[at])]);
                let others = (0..lines.len()).filter(|other| *other != at && lines[*other] == lines[at]);
                let most = others.map(|other| common(&it, &text(&lines), other, &mut effort()).sum()).max();
                prop_assert!(most.is_none_or(|most| common(&it, &now, found, &mut effort()).sum() > most), "it is better known there");
            }
            prop_assert!(lines != edited || locate(&it, &now, &mut effort()).is_some_and(|found| found == at) || it.rival.is_some());
        }

        #[test]
        fn comments_on_unique_lines_follow_them_through_random_edits(
            count in 1..30_usize,
            at in any::<prop::sample::Index>(),
            edits in edits(),
        ) {
            let lines: Vec<String> = (0..count).map(|n| format!("let number_{n} = compute({n});")).collect();
            let at = at.index(count);
            let it = anchored(&lines.iter().map(String::as_str).collect::<Vec<_>>(), at);
            let mut edited = lines.clone();
            for (number, (place, gone, come)) in edits.into_iter().enumerate() {
                let place = place.index(edited.len() + 1);
                let end = edited.len().min(place + gone);
                edited.splice(place..end, come.iter().enumerate().map(|(n, _)| format!("let fresh_{number} = {n};")));
            }
            let now: Vec<&str> = edited.iter().map(String::as_str).collect();
            let wanted = now.iter().position(|line| **line == lines[at]);
            prop_assert_eq!(locate(&it, &now, &mut effort()), wanted);
        }
    }
}
