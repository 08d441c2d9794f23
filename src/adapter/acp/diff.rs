//! Unified diffs of two texts, line by line. Pure.

use crate::adapter::kit::text;
use std::fmt::Write as _;

/// Longest diff of one file, in bytes.
const DIFF_BYTES_MAX: usize = 256 * 1024;
/// Most cells of the table that finds what two texts share. Beyond it, what lies between their common beginning and
/// their common end is shown as replaced whole.
const CELLS_MAX: usize = 4_000_000;
/// Lines around a change that are shown with it.
const CONTEXT: usize = 3;

/// One line of a diff: kept, removed or added, with its place in both texts from 0.
#[derive(Clone, Copy)]
struct HunkLine<'t> {
    mark: char,
    text: &'t str,
    old: usize,
    new: usize,
}

/// Returns the unified diff of the file `path` that turns `old` into `new`. `None` for `old`: the file is new.
pub(super) fn unified(path: &str, old: Option<&str>, new: &str) -> String {
    let name = path.trim_start_matches('/');
    let created = old.is_none_or(str::is_empty);
    let from = if created { "/dev/null".to_owned() } else { format!("a/{name}") };
    let mut text = format!("--- {from}\n+++ b/{name}\n");
    let (old, new) = (old.unwrap_or_default(), new);
    let (old_lines, new_lines): (Vec<&str>, Vec<&str>) = (split(old), split(new));
    let lines = lines(&old_lines, &new_lines);
    let mut from = 0;
    while let Some(first) = lines[from..].iter().position(|line| line.mark != ' ').map(|at| from + at) {
        let (begin, end) = (first.saturating_sub(CONTEXT).max(from), end_of_hunk(&lines, first));
        append_hunk(&mut text, &lines[begin..end]);
        from = end;
        if text.len() > DIFF_BYTES_MAX {
            break;
        }
    }
    text::cut(text, DIFF_BYTES_MAX)
}

/// The lines with their ends, so that a last line without one differs from one that has it.
fn split(text: &str) -> Vec<&str> {
    text.split_inclusive('\n').collect()
}

/// The end of the hunk whose first change is at `first`: changes that are near each other share one.
fn end_of_hunk(lines: &[HunkLine<'_>], first: usize) -> usize {
    let mut end = first + 1;
    let mut kept = 0;
    for (at, line) in lines.iter().enumerate().skip(first) {
        if line.mark == ' ' {
            kept += 1;
            if kept > 2 * CONTEXT {
                break;
            }
        } else {
            kept = 0;
            end = at + 1;
        }
    }
    (end + CONTEXT).min(lines.len())
}

fn append_hunk(text: &mut String, lines: &[HunkLine<'_>]) {
    let Some(first) = lines.first() else { return };
    let old = lines.iter().filter(|line| line.mark != '+').count();
    let new = lines.iter().filter(|line| line.mark != '-').count();
    // A side without lines is named by the line before it.
    let (old_at, new_at) = (first.old + usize::from(old > 0), first.new + usize::from(new > 0));
    // Writing into a string cannot fail.
    let _ = writeln!(text, "@@ -{old_at},{old} +{new_at},{new} @@");
    for line in lines {
        text.push(line.mark);
        text.push_str(line.text);
        if !line.text.ends_with('\n') {
            text.push_str("\n\\ No newline at end of file\n");
        }
    }
}

/// Both texts as one list of lines.
fn lines<'t>(old: &[&'t str], new: &[&'t str]) -> Vec<HunkLine<'t>> {
    let head = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let (old_rest, new_rest) = (&old[head..], &new[head..]);
    let tail = old_rest.iter().rev().zip(new_rest.iter().rev()).take_while(|(a, b)| a == b).count();
    let (old_mid, new_mid) = (&old_rest[..old_rest.len() - tail], &new_rest[..new_rest.len() - tail]);

    let mut lines = Vec::with_capacity(old.len() + new_mid.len());
    let mut at = (0, 0);
    let mut push = |mark: char, text: &'t str| {
        lines.push(HunkLine { mark, text, old: at.0, new: at.1 });
        at = (at.0 + usize::from(mark != '+'), at.1 + usize::from(mark != '-'));
    };
    old[..head].iter().for_each(|line| push(' ', line));
    for mark in marks(old_mid, new_mid) {
        match mark {
            DiffSide::Both(line) => push(' ', old_mid[line]),
            DiffSide::Old(line) => push('-', old_mid[line]),
            DiffSide::New(line) => push('+', new_mid[line]),
        }
    }
    old_rest[old_mid.len()..].iter().for_each(|line| push(' ', line));
    lines
}

/// The side on which a line of the middle is.
enum DiffSide {
    Both(usize),
    Old(usize),
    New(usize),
}

/// The shortest way from `old` to `new` by their longest common subsequence.
fn marks(old: &[&str], new: &[&str]) -> Vec<DiffSide> {
    let replaced = || (0..old.len()).map(DiffSide::Old).chain((0..new.len()).map(DiffSide::New)).collect();
    let width = new.len() + 1;
    if old.is_empty() || new.is_empty() || (old.len() + 1).saturating_mul(width) > CELLS_MAX {
        return replaced();
    }
    // `common[i * width + j]` is the length of what the rests of both texts share from `i` and `j` on.
    let mut common = vec![0_u32; (old.len() + 1) * width];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            common[i * width + j] = if old[i] == new[j] {
                common[(i + 1) * width + j + 1] + 1
            } else {
                common[(i + 1) * width + j].max(common[i * width + j + 1])
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    let mut marks = Vec::with_capacity(old.len() + new.len());
    while i < old.len() && j < new.len() {
        if old[i] == new[j] {
            marks.push(DiffSide::Both(i));
            (i, j) = (i + 1, j + 1);
        } else if common[(i + 1) * width + j] >= common[i * width + j + 1] {
            marks.push(DiffSide::Old(i));
            i += 1;
        } else {
            marks.push(DiffSide::New(j));
            j += 1;
        }
    }
    marks.extend((i..old.len()).map(DiffSide::Old).chain((j..new.len()).map(DiffSide::New)));
    marks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_file_is_all_added() {
        assert_eq!(unified("/p/a", None, "x\ny\n"), "--- /dev/null\n+++ b/p/a\n@@ -0,0 +1,2 @@\n+x\n+y\n");
    }

    #[test]
    fn a_change_is_shown_with_the_lines_around_it() {
        let old: String = (1..=20).map(|n| format!("{n}\n")).collect();
        let new = old.replace("\n10\n", "\nten\n");
        let expected = "--- a/a\n+++ b/a\n@@ -7,7 +7,7 @@\n 7\n 8\n 9\n-10\n+ten\n 11\n 12\n 13\n";
        assert_eq!(unified("a", Some(&old), &new), expected);
        assert_eq!(unified("a", Some(&old), &old), "--- a/a\n+++ b/a\n");
    }

    #[test]
    fn changes_far_apart_are_hunks_of_their_own() {
        let old: String = (1..=40).map(|n| format!("{n}\n")).collect();
        let new = old.replace("\n5\n", "\n").replace("\n30\n", "\n30\nmore\n");
        let diff = unified("a", Some(&old), &new);
        let heads: Vec<&str> = diff.lines().filter(|line| line.starts_with("@@")).collect();
        assert_eq!(heads, ["@@ -2,7 +2,6 @@", "@@ -28,6 +27,7 @@"]);
    }

    #[test]
    fn a_missing_last_newline_is_said() {
        let diff = unified("a", Some("x\ny"), "x\ny\n");
        assert_eq!(diff, "--- a/a\n+++ b/a\n@@ -1,2 +1,2 @@\n x\n-y\n\\ No newline at end of file\n+y\n");
        assert!(unified("a", Some("x"), "").ends_with("@@ -1,1 +0,0 @@\n-x\n\\ No newline at end of file\n"));
    }

    #[test]
    fn texts_too_long_to_compare_are_replaced_whole() {
        let text = |word: &str| (0..3_000).map(|n| format!("{word}{n}\n")).collect::<String>();
        let diff = unified("a", Some(&text("a")), &text("b"));
        assert!(diff.starts_with("--- a/a\n+++ b/a\n@@ -1,3000 +1,3000 @@\n-a0\n"));
    }
}
