//! The list of a diff's files: names, kinds of change, counts of lines and hashes of contents. It is parsed from git's
//! lists before the diff and from the diff itself, so that both are of one moment.

use std::collections::HashMap;

use serde::Serialize;

use crate::journal::ReviewSide;

/// Maximum number of files that are listed.
const FILES_MAX: usize = 10_000;

/// A file that differs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct ChangedFile {
    /// Its path relative to the project's folder; the old path if it was deleted.
    pub path: String,
    /// Its old path, if it was renamed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old_path: Option<String>,
    /// `added`, `deleted`, `modified`, `renamed` or `mode`.
    pub status: &'static str,
    /// True if it is a binary file.
    pub binary: bool,
    /// Lines that were added.
    pub added: u64,
    /// Lines that were removed.
    pub removed: u64,
    /// The hash of its old content; absent if there was none.
    pub old_hash: Option<String>,
    /// The hash of its present content; absent if there is none, or it was not compared.
    pub new_hash: Option<String>,
    /// The number of its part of the diff, from 0; absent if the diff was cut before it.
    pub part: Option<usize>,
}

impl ChangedFile {
    /// Returns whether this is its name on a side.
    pub(in crate::worker) fn is_named(&self, file: &str, side: ReviewSide) -> bool {
        self.path == file || (side == ReviewSide::Old && self.old_path.as_deref() == Some(file))
    }
}

/// The lists and the diff that `git diff --raw --numstat -p --full-index` prints.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct DiffListing {
    pub(super) files: Vec<ChangedFile>,
    /// The list is incomplete.
    pub(super) cut: bool,
    /// The offset of the diff.
    pub(super) diff_at: usize,
}

/// Parses the lists of files before a diff. `cut` means that git's output was truncated.
pub(super) fn read(output: &[u8], cut: bool) -> DiffListing {
    let mut at = 0;
    let (mut raw, mut counts) = (Vec::new(), Vec::new());
    let mut is_whole = false;
    while let Some(end) = output[at..].iter().position(|byte| *byte == b'\n').map(|end| at + end) {
        let line = &output[at..end];
        at = end + 1;
        match line.first() {
            Some(b':') => raw.push(line),
            Some(_) => counts.push(line),
            None => {
                is_whole = true;
                break;
            }
        }
    }
    // Without an empty line, no diff follows the lists.
    let diff_at = if is_whole { at } else { output.len() };
    let hashes = hashes_in(&output[diff_at..]);
    let counts = if counts.len() == raw.len() { counts } else { Vec::new() };
    let mut files = Vec::new();
    for (number, line) in raw.iter().take(FILES_MAX).enumerate() {
        files.extend(file(line, counts.get(number).copied().unwrap_or_default(), &hashes));
    }
    DiffListing { cut: (cut && !is_whole) || raw.len() > FILES_MAX, files, diff_at }
}

/// One file, from `:OLD_MODE NEW_MODE OLD_ID NEW_ID KIND<TAB>PATH[<TAB>NEW PATH]` and `ADDED<TAB>REMOVED<TAB>...`.
fn file(raw: &[u8], counts: &[u8], hashes: &HashMap<Vec<u8>, Hashes>) -> Option<ChangedFile> {
    let mut parts = raw.split(|byte| *byte == b'\t');
    let head = std::str::from_utf8(parts.next()?).ok()?;
    let (old, second) = (parts.next()?, parts.next());
    let new = second.unwrap_or(old);
    let mut words = head.trim_start_matches(':').split(' ');
    let (old_mode, new_mode, old_id, new_id) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let kind = words.next()?.chars().next()?;
    let compared = hashes.get(&header(old, new));
    let id = |listed: &str, in_diff: Option<&String>| {
        let known = |id: &&str| !id.bytes().all(|byte| byte == b'0');
        in_diff.map(String::as_str).filter(known).or(Some(listed).filter(known)).map(str::to_owned)
    };
    let old_hash = if kind == 'A' { None } else { id(old_id, compared.and_then(|it| it.old.as_ref())) };
    let mut new_hash = if kind == 'D' { None } else { id(new_id, compared.and_then(|it| it.new.as_ref())) };
    let is_same = compared.is_some_and(|it| it.old.is_none() && it.new.is_none());
    if is_same && kind != 'A' && kind != 'D' {
        new_hash.clone_from(&old_hash);
    }
    let mut counts = counts.split(|byte| *byte == b'\t');
    let mut count = || counts.next().and_then(|count| std::str::from_utf8(count).ok());
    let (added, removed) = (count(), count());
    let number = |count: Option<&str>| count.and_then(|count| count.parse().ok()).unwrap_or_default();
    let status = match kind {
        'A' => "added",
        'D' => "deleted",
        'R' | 'C' => "renamed",
        _ if old_mode != new_mode && is_same => "mode",
        _ => "modified",
    };
    Some(ChangedFile {
        path: text(new),
        old_path: second.map(|_| text(old)),
        status,
        binary: added == Some("-"),
        added: number(added),
        removed: number(removed),
        old_hash,
        new_hash,
        part: compared.map(|it| it.part),
    })
}

/// The hashes that a file's part of a diff names; none where the content is the same.
#[derive(Debug, Default)]
struct Hashes {
    /// The number of the part; of the last one where there are two.
    part: usize,
    old: Option<String>,
    new: Option<String>,
}

/// The hashes in a diff, by the first line of each file's part.
fn hashes_in(diff: &[u8]) -> HashMap<Vec<u8>, Hashes> {
    let mut found: HashMap<Vec<u8>, Hashes> = HashMap::new();
    let (mut of, mut parts): (Option<Vec<u8>>, _) = (None, 0);
    // A file's own lines begin with a space, a sign or an at.
    for line in diff.split(|byte| *byte == b'\n') {
        if line.starts_with(b"diff --git ") {
            found.entry(line.to_owned()).or_default().part = parts;
            parts += 1;
            of = Some(line.to_owned());
        } else if let Some(header) = &of
            && let Some((old, new)) = line.strip_prefix(b"index ").and_then(ids)
        {
            // A file that became a link has two parts: the removal comes first.
            let hashes = found.entry(header.clone()).or_default();
            hashes.old.get_or_insert(old);
            hashes.new = Some(new);
            of = None;
        }
    }
    found
}

/// The ids in `OLD..NEW[ MODE]`.
fn ids(text: &[u8]) -> Option<(String, String)> {
    let text = std::str::from_utf8(text).ok()?;
    let (old, new) = text.split(' ').next()?.split_once("..")?;
    Some((old.to_owned(), new.to_owned()))
}

/// Returns the first line of a file's part of a diff, from its names as git lists them: quoted where they have special
/// characters.
fn header(old: &[u8], new: &[u8]) -> Vec<u8> {
    let named = |side: &[u8], name: &[u8]| match name.strip_prefix(b"\"") {
        Some(rest) => [b" \"", side, rest].concat(),
        None => [b" ", side, name].concat(),
    };
    [b"diff --git", &named(b"a/", old)[..], &named(b"b/", new)].concat()
}

/// Returns a name in git's lists without its quotes.
fn text(name: &[u8]) -> String {
    let Some(quoted) = name.strip_prefix(b"\"").and_then(|name| name.strip_suffix(b"\"")) else {
        return String::from_utf8_lossy(name).into_owned();
    };
    let mut bytes = Vec::with_capacity(quoted.len());
    let mut rest = quoted;
    while let Some((&byte, more)) = rest.split_first() {
        rest = more;
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        let octal = rest.get(..3).filter(|digits| digits.iter().all(|digit| (b'0'..=b'7').contains(digit)));
        if let Some(digits) = octal {
            bytes.push(digits.iter().fold(0, |value: u8, digit| value.wrapping_mul(8).wrapping_add(digit - b'0')));
            rest = &rest[3..];
        } else if let Some((&letter, more)) = rest.split_first() {
            rest = more;
            bytes.push(match letter {
                b'a' => 7,
                b'b' => 8,
                b't' => b'\t',
                b'n' => b'\n',
                b'v' => 11,
                b'f' => 12,
                b'r' => b'\r',
                other => other,
            });
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ZEROS: &str = "0000000";
    const OLD: &str = "1111111111111111111111111111111111111111";
    const NEW: &str = "2222222222222222222222222222222222222222";
    const NONE: &str = "0000000000000000000000000000000000000000";

    fn listed(raw: &str, counts: &str, diff: &str) -> DiffListing {
        read(format!("{raw}\n{counts}\n\n{diff}").as_bytes(), false)
    }

    #[test]
    fn names_counts_and_hashes_of_each_kind_are_read() {
        let raw = [
            format!(":100755 100755 {OLD} {ZEROS} M\tbin"),
            format!(":100644 000000 {OLD} {ZEROS} D\tgone"),
            format!(":100644 120000 {OLD} {ZEROS} T\tlink"),
            format!(":100644 100644 {OLD} {OLD} R100\tfrom\tto"),
            format!(":100644 100755 {OLD} {ZEROS} M\trun.sh"),
            format!(":000000 100644 {NONE} {ZEROS} A\t\"n\\303\\251 \\\"q\\\"\\t\""),
        ]
        .join("\n");
        let counts = "-\t-\tbin\n0\t1\tgone\n1\t3\tlink\n0\t0\tfrom => to\n0\t0\trun.sh\n7\t0\t\"n\"";
        let diff = format!(
            "diff --git a/bin b/bin\nindex {OLD}..{NEW} 100755\nBinary files a/bin and b/bin differ\n\
             diff --git a/gone b/gone\ndeleted file mode 100644\nindex {OLD}..{NONE}\n--- a/gone\n+++ /dev/null\n\
             diff --git a/link b/link\ndeleted file mode 100644\nindex {OLD}..{NONE}\n\
             diff --git a/link b/link\nnew file mode 120000\nindex {NONE}..{NEW}\n@@ -0,0 +1 @@\n+/etc\n\
             diff --git a/from b/to\nsimilarity index 100%\nrename from from\nrename to to\n\
             diff --git a/run.sh b/run.sh\nold mode 100644\nnew mode 100755\n\
             diff --git \"a/n\\303\\251 \\\"q\\\"\\t\" \"b/n\\303\\251 \\\"q\\\"\\t\"\nnew file mode 100644\nindex {NONE}..{NEW}\n"
        );
        let found = listed(&raw, counts, &diff);
        let (old, new) = (Some(OLD), Some(NEW));
        let expected = [
            ("bin", "modified", old, new, 0, 0),
            ("gone", "deleted", old, None, 0, 1),
            ("link", "modified", old, new, 1, 3),
            ("to", "renamed", old, old, 0, 0),
            ("run.sh", "mode", old, old, 0, 0),
            ("né \"q\"\t", "added", None, new, 7, 0),
        ];
        let short = |file: &ChangedFile| {
            let ids = (file.old_hash.clone(), file.new_hash.clone());
            (file.path.clone(), file.status, ids, file.added, file.removed)
        };
        for (file, (path, status, old, new, added, removed)) in found.files.iter().zip(expected) {
            let ids = (old.map(str::to_owned), new.map(str::to_owned));
            assert_eq!(short(file), (path.to_owned(), status, ids, added, removed));
        }
        assert_eq!((found.files.len(), found.cut), (expected.len(), false));
        assert_eq!(found.files.iter().map(|file| file.part).collect::<Vec<_>>(), [0, 1, 3, 4, 5, 6].map(Some));
        assert!(found.files[0].binary && !found.files[1].binary);
        assert_eq!(found.files[3].old_path.as_deref(), Some("from"));
    }

    #[test]
    fn truncated_lists_say_so_and_listed_names_are_files() {
        assert_eq!(read(b"", false), DiffListing::default());
        let cut = read(format!(":100644 100644 {OLD} {ZEROS} M\ta\n:1006").as_bytes(), true);
        assert_eq!((cut.files.len(), cut.cut, cut.files[0].new_hash.as_deref()), (1, true, None));
        let diff_cut = read(format!(":100644 100644 {OLD} {ZEROS} M\ta\n1\t1\ta\n\ndiff --g").as_bytes(), true);
        assert!(!diff_cut.cut, "the lists are whole");
    }
}
