//! The changes that restore files to a tree, and the files that are left alone.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{LIST_BYTES_MAX, is_plain};
use crate::worker::place::git::{Git, GitError};

/// The reason for a file without content in a tree.
pub(in crate::worker) const TOO_LARGE: &str = "it is too large to be recorded, or can't be read";
/// The reason for a submodule or another repository inside.
pub(in crate::worker) const REPOSITORY: &str = "it is a repository of its own";
/// Maximum number of files that one restore changes.
const CHANGES_MAX: usize = 50_000;
/// Longest ignore file that is honored, in bytes.
const IGNORE_BYTES_MAX: usize = 1024 * 1024;
/// The name of the files with the names that are ignored.
const IGNORE_FILE: &str = ".gitignore";
/// File modes in git's lists.
const FILE: &str = "100644";
const PROGRAM: &str = "100755";
const LINK: &str = "120000";
const NOTHING: &str = "000000";

/// A file in a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::worker) struct TreeEntry {
    pub(in crate::worker) kind: EntryKind,
    /// The object's id.
    pub(in crate::worker) id: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::worker) enum EntryKind {
    File,
    Program,
    Link,
}

impl EntryKind {
    /// The mode in git's lists.
    pub(in crate::worker) const fn mode(self) -> &'static str {
        match self {
            Self::File => FILE,
            Self::Program => PROGRAM,
            Self::Link => LINK,
        }
    }
}

/// A change of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::worker) struct FileChange {
    /// Its path in the repository.
    pub(in crate::worker) path: PathBuf,
    /// The present file; `None` when it is missing.
    pub(in crate::worker) from: Option<TreeEntry>,
    /// The restored file; `None` when it is removed.
    pub(in crate::worker) to: Option<TreeEntry>,
}

/// A file that is left alone although it differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct UntouchedFile {
    /// Its path in the project.
    pub path: String,
    /// The reason.
    pub reason: &'static str,
}

/// All changes, and the files that are left alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::worker) struct SnapshotPlan {
    pub(in crate::worker) changes: Vec<FileChange>,
    pub(in crate::worker) untouched: Vec<UntouchedFile>,
}

/// The selection of files.
#[derive(Clone, Copy)]
pub(in crate::worker) struct FileSelection<'a> {
    /// The project's folder.
    pub(in crate::worker) folder: &'a Path,
    /// Files and folders by their paths in the project; empty means all.
    pub(in crate::worker) files: &'a [String],
    /// Files whose content no tree has, by their paths in the repository.
    pub(in crate::worker) left_out: &'a BTreeSet<String>,
}

/// Computes the changes that turn the files of the tree `from` into those of `to`.
pub(in crate::worker) fn plan(
    git: &Git<'_>,
    from: &str,
    to: &str,
    chosen: FileSelection<'_>,
) -> Result<SnapshotPlan, GitError> {
    let prefix = chosen.folder.strip_prefix(&git.repository().top).unwrap_or(Path::new(""));
    let mut plan = SnapshotPlan::default();
    for (path, from, to) in differing(git, from, to)? {
        let Ok(own) = path.strip_prefix(prefix) else { continue };
        let is_chosen = |file: &String| own.starts_with(file);
        if !chosen.files.is_empty() && !chosen.files.iter().any(is_chosen) {
            continue;
        }
        let untouched = |reason| UntouchedFile { path: own.to_string_lossy().into_owned(), reason };
        match (from, to) {
            _ if !is_plain(&path) => plan.untouched.push(untouched("its path is not one of a working file")),
            _ if chosen.left_out.contains(path.to_string_lossy().as_ref()) => {
                plan.untouched.push(untouched(TOO_LARGE));
            }
            (Ok(from), Ok(to)) => plan.changes.push(FileChange { path, from, to }),
            _ => plan.untouched.push(untouched(REPOSITORY)),
        }
    }
    if plan.changes.len() > CHANGES_MAX {
        let words = format!("more than {CHANGES_MAX} files differ; choose some of them");
        return Err(GitError::Failed { action: "diff-tree".to_owned(), words });
    }
    leave_filtered(git, prefix, &mut plan)?;
    leave_ignored(git, to, prefix, &mut plan)?;
    Ok(plan)
}

type Side = Result<Option<TreeEntry>, ()>;

/// Returns the paths that differ between two trees, with both sides; `Err` is neither a file nor a link.
fn differing(git: &Git<'_>, from: &str, to: &str) -> Result<Vec<(PathBuf, Side, Side)>, GitError> {
    let args = ["diff-tree", "-r", "-z", "--raw", "--no-renames", "--no-abbrev", "--ignore-submodules=none", from, to];
    let answer = git.output(&args, LIST_BYTES_MAX)?;
    if answer.cut {
        let words = "too many files differ; choose some of them".to_owned();
        return Err(GitError::Failed { action: "diff-tree".to_owned(), words });
    }
    let mut found = Vec::new();
    let mut parts = answer.output.split(|byte| *byte == 0);
    // `:MODE MODE ID ID STATUS`, then the path.
    while let (Some(head), Some(path)) = (parts.next(), parts.next()) {
        let head = String::from_utf8_lossy(head).into_owned();
        let fields: Vec<&str> = head.trim_start_matches(':').split(' ').collect();
        if let [from, to, from_id, to_id, _] = fields[..] {
            found.push((PathBuf::from(OsStr::from_bytes(path)), entry(from, from_id), entry(to, to_id)));
        }
    }
    Ok(found)
}

fn entry(mode: &str, id: &str) -> Side {
    let kind = match mode {
        NOTHING => return Ok(None),
        FILE => EntryKind::File,
        PROGRAM => EntryKind::Program,
        LINK => EntryKind::Link,
        _ => return Err(()),
    };
    Ok(Some(TreeEntry { kind, id: id.to_owned() }))
}

/// Leaves files alone whose content a filter program of the repository would produce, such as those of Git LFS.
fn leave_filtered(git: &Git<'_>, prefix: &Path, plan: &mut SnapshotPlan) -> Result<(), GitError> {
    if plan.changes.is_empty() {
        return Ok(());
    }
    let paths: Vec<Vec<u8>> =
        plan.changes.iter().map(|change| [change.path.as_os_str().as_bytes(), &[0]].concat()).collect();
    // Paths are relative to the top there.
    let top = (git.dir(), git.repository().top.as_path());
    let lines = paths.iter().map(Vec::as_slice);
    let answer = git.run_over(top, &["check-attr", "-z", "--stdin", "filter"], lines, (LIST_BYTES_MAX, &[0]))?;
    let fields: Vec<&[u8]> = answer.output.split(|byte| *byte == 0).collect();
    let unfiltered = |value: &[u8]| matches!(value, b"unspecified" | b"unset");
    let filtered: BTreeSet<&[u8]> =
        fields.chunks_exact(3).filter(|field| !unfiltered(field[2])).map(|field| field[0]).collect();
    let reason = "its content passes a filter, as of Git LFS, which is not run";
    leave(plan, prefix, reason, |change| filtered.contains(change.path.as_os_str().as_bytes()));
    Ok(())
}

/// Leaves files alone that would be removed but were ignored then: the tree cannot show that they did not exist.
fn leave_ignored(git: &Git<'_>, tree: &str, prefix: &Path, plan: &mut SnapshotPlan) -> Result<(), GitError> {
    let is_list = |path: &Path| path.file_name().is_some_and(|name| name == IGNORE_FILE);
    let lists_differ = plan.changes.iter().any(|change| is_list(&change.path));
    let going: Vec<Vec<u8>> = plan
        .changes
        .iter()
        .filter(|change| change.to.is_none() && !is_list(&change.path))
        .map(|change| [change.path.as_os_str().as_bytes(), &[0]].concat())
        .collect();
    if !lists_differ || going.is_empty() {
        return Ok(());
    }
    let top = git.dir().join("ignored");
    fs::create_dir(&top).map_err(GitError::io("lists of ignored files cannot be made"))?;
    let listed = git.output(&["ls-tree", "-r", "-z", "--full-tree", tree], LIST_BYTES_MAX)?;
    for entry in listed.output.split(|byte| *byte == 0) {
        let Some(tab) = entry.iter().position(|byte| *byte == b'\t') else { continue };
        let (head, path) =
            (String::from_utf8_lossy(&entry[..tab]).into_owned(), Path::new(OsStr::from_bytes(&entry[tab + 1..])));
        if !is_list(path) || !is_plain(path) || !(head.starts_with(FILE) || head.starts_with(PROGRAM)) {
            continue;
        }
        let id = head.rsplit(' ').next().unwrap_or_default();
        let content = git.output(&["cat-file", "blob", id], IGNORE_BYTES_MAX)?.output;
        let place = top.join(path);
        let made = fs::create_dir_all(place.parent().unwrap_or(&top)).and_then(|()| fs::write(&place, content));
        made.map_err(GitError::io("lists of ignored files cannot be made"))?;
    }
    let args = ["check-ignore", "--no-index", "-z", "--stdin"];
    let answer = git.run_over((git.dir(), &top), &args, going.iter().map(Vec::as_slice), (LIST_BYTES_MAX, &[0, 1]))?;
    let ignored: BTreeSet<&[u8]> = answer.output.split(|byte| *byte == 0).collect();
    leave(plan, prefix, "it was ignored then, so it may have been there", |change| {
        change.to.is_none() && ignored.contains(change.path.as_os_str().as_bytes())
    });
    Ok(())
}

fn leave(plan: &mut SnapshotPlan, prefix: &Path, reason: &'static str, is_left: impl Fn(&FileChange) -> bool) {
    let (left, changes) = std::mem::take(&mut plan.changes).into_iter().partition(is_left);
    plan.changes = changes;
    let left: Vec<FileChange> = left;
    plan.untouched.extend(left.into_iter().map(|change| {
        let path = change.path.strip_prefix(prefix).unwrap_or(&change.path);
        UntouchedFile { path: path.to_string_lossy().into_owned(), reason }
    }));
}

/// Returns all changes of working files from one tree to another.
///
/// # Errors
/// As [`plan`].
pub(in crate::worker) fn all_changes(git: &Git<'_>, from: &str, to: &str) -> Result<Vec<FileChange>, GitError> {
    let found = differing(git, from, to)?.into_iter().filter(|(path, ..)| is_plain(path));
    Ok(found.filter_map(|(path, from, to)| Some(FileChange { path, from: from.ok()?, to: to.ok()? })).collect())
}

/// Returns the files that differ between two trees, each with its state in the second tree.
pub(in crate::worker) fn differences(
    git: &Git<'_>,
    from: &str,
    to: &str,
) -> Result<BTreeMap<PathBuf, Option<TreeEntry>>, GitError> {
    let found = differing(git, from, to)?;
    Ok(found.into_iter().filter_map(|(path, _, to)| Some((path, to.ok()?))).collect())
}
