//! The discard of one hunk of a file's changes.

use std::os::unix::ffi::OsStrExt as _;

use super::LIST_BYTES_MAX;
use super::plan::{EntryKind, FileChange};
use crate::worker::error::WorkerError;
use crate::worker::place::git::{Git, SHORT_BYTES};

/// Largest file of which a hunk is discarded, in bytes.
const FILE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A hunk as a client saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SeenHunk {
    /// Its header, as in `@@ -1,3 +1,4 @@`, with or without the text after it.
    pub header: String,
    /// The hash of the file's newer content, or a prefix of it; any content when absent.
    pub hash: Option<String>,
}

/// The lines of both sides of a hunk: the number of the first one, from 1, and their count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct HunkLines {
    old: (usize, usize),
    new: (usize, usize),
}

/// Makes a tree equal to `tree` except for one hunk of a file; `change` is the change back to the older content.
pub(in crate::worker) fn without(
    git: &Git<'_>,
    tree: &str,
    change: &FileChange,
    hunk: &SeenHunk,
) -> Result<String, WorkerError> {
    let conflict = |text: &str| WorkerError::Conflict(format!("{text}: {}", change.path.display()));
    let (Some(now), Some(old)) = (&change.from, &change.to) else {
        return Err(conflict("the file is new or was removed, so it has no hunks: discard the file"));
    };
    if now.kind == EntryKind::Link || old.kind == EntryKind::Link {
        return Err(conflict("a link has no hunks: discard the file"));
    }
    let gone = || conflict("the file has changed since this hunk was shown: look at it again");
    if hunk.hash.as_deref().is_some_and(|hash| !now.id.starts_with(hash)) {
        return Err(gone());
    }
    let wanted = parse(&hunk.header)
        .ok_or_else(|| WorkerError::Invalid(format!("not the header of a hunk: {}", hunk.header)).in_field("hunk"))?;
    let args = ["diff", "--no-ext-diff", "--no-textconv", "--no-color", &old.id, &now.id];
    let diff = git.output(&args, LIST_BYTES_MAX)?.output;
    if !diff.split(|byte| *byte == b'\n').any(|line| parse(&String::from_utf8_lossy(line)) == Some(wanted)) {
        return Err(gone());
    }
    let read = |id: &str| {
        let content = git.output(&["cat-file", "blob", id], FILE_BYTES_MAX)?;
        if content.cut { Err(conflict("the file is too large: discard it whole")) } else { Ok(content.output) }
    };
    let content = spliced(&read(&now.id)?, &read(&old.id)?, wanted).ok_or_else(gone)?;
    let written = git.with_input(&["hash-object", "-w", "--stdin"], [content.as_slice()], SHORT_BYTES)?;
    let id = String::from_utf8_lossy(&written.output).trim_end().to_owned();
    let gitdir = git.beside_without_refs("without-hunk")?;
    let mode = if now.kind == EntryKind::Program { "100755" } else { "100644" };
    let entry = [format!("{mode} {id}\t").as_bytes(), change.path.as_os_str().as_bytes(), &[0]].concat();
    let run = |args: &[&str], lines: &[&[u8]]| {
        let place = (gitdir.as_path(), git.repository().top.as_path());
        git.run_over(place, args, lines.iter().copied(), (SHORT_BYTES, &[0]))
    };
    run(&["read-tree", tree], &[])?;
    run(&["update-index", "-z", "--index-info"], &[&entry])?;
    Ok(String::from_utf8_lossy(&run(&["write-tree"], &[])?.output).trim_end().to_owned())
}

/// Parses `@@ -1,3 +1,4 @@`.
fn parse(header: &str) -> Option<HunkLines> {
    let (old, rest) = header.strip_prefix("@@ -")?.split_once(" +")?;
    let (new, _) = rest.split_once(" @@")?;
    let side = |text: &str| {
        let (first, count) = text.split_once(',').unwrap_or((text, "1"));
        Some((first.parse().ok()?, count.parse().ok()?))
    };
    Some(HunkLines { old: side(old)?, new: side(new)? })
}

/// Replaces the hunk's lines of `now` by those of `old`.
fn spliced(now: &[u8], old: &[u8], HunkLines { old: from, new: to }: HunkLines) -> Option<Vec<u8>> {
    let lines = |content: &[u8]| content.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect::<Vec<_>>();
    let (now, old) = (lines(now), lines(old));
    // A side without lines names the line before it.
    let range = |(first, count): (usize, usize)| {
        let begin = if count == 0 { first } else { first.checked_sub(1)? };
        Some(begin..begin.checked_add(count)?)
    };
    let (to, from) = (range(to)?, range(from)?);
    Some([now.get(..to.start)?.concat(), old.get(from)?.concat(), now.get(to.end..)?.concat()].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_hunk_is_taken_back_and_the_others_stay() {
        let old = b"1\n2\n3\n4\n5\n6\n7\n8\n9\n10";
        let now = b"0\n1\n2\n3\n4\n5\n6\n7\n8\n10\n";
        let first = parse("@@ -1,3 +1,4 @@ fn x").unwrap();
        assert_eq!(spliced(now, old, first).unwrap(), b"1\n2\n3\n4\n5\n6\n7\n8\n10\n");
        let last = parse("@@ -6,5 +7,4 @@").unwrap();
        assert_eq!(spliced(now, old, last).unwrap(), b"0\n1\n2\n3\n4\n5\n6\n7\n8\n9\n10");
        assert_eq!(spliced(b"a\n", b"a\nb\n", parse("@@ -2 +1,0 @@").unwrap()).unwrap(), b"a\nb\n");
        assert_eq!(spliced(b"a\nb\n", b"", parse("@@ -0,0 +1,2 @@").unwrap()).unwrap(), b"");
        assert_eq!(spliced(now, old, parse("@@ -6,5 +70,4 @@").unwrap()), None);
        for header in ["", "@@", "@@ -1 @@", "@@ -x +1 @@", "-1,2 +3,4"] {
            assert_eq!(parse(header), None, "{header}");
        }
    }
}
