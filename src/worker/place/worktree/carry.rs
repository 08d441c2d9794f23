//! Uncommitted changes of one folder, carried over into a new worktree of the same repository: recorded as a tree, as at
//! the end of a turn, and written into the worktree as a restore writes files. The folder that they come from is only
//! read, and no program of its repository runs.

use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::Duration;

use crate::journal::{CarriedChanges, RecordedTree, Worktree};
use crate::worker::error::WorkerError;
use crate::worker::place::git::{Git, GitBudget, GitError, MirrorFolder, Repository, SHORT_BYTES};
use crate::worker::place::snapshot::apply::{ApplyOutcome, Restore};
use crate::worker::place::snapshot::plan::{self, FileChange, FileSelection, SnapshotPlan, UntouchedFile};
use crate::worker::place::snapshot::{LIST_BYTES_MAX, ProjectTree, ProjectTrees};

/// Time limit for recording the changes, and for writing them.
const CARRY_TIME: Duration = Duration::from_secs(120);
/// Maximum number of files that are named one by one.
const NAMED_MAX: usize = 20;

/// Records the changes of a folder since a commit, and keeps them in the repository for the new worker.
///
/// # Errors
/// Fails when the folder is not under git, too much has changed, or git fails.
pub(in crate::worker) fn record(project: &ProjectTrees<'_>, base: &str) -> Result<CarriedChanges, WorkerError> {
    let taken = project.take(GitBudget::of_time(CARRY_TIME)).map_err(too_much)?.ok_or_else(|| {
        WorkerError::Conflict(format!("{} is not under git, so it can't be copied", project.folder.display()))
    })?;
    let git = &taken.git;
    let below = project.folder.strip_prefix(&git.repository().top).unwrap_or(Path::new(""));
    let before = tree_of(git, base)?;
    let left_out: BTreeSet<String> = taken.left_out.iter().cloned().collect();
    let chosen = FileSelection { folder: project.folder, files: &[], left_out: &left_out };
    let SnapshotPlan { changes, untouched } = plan::plan(git, &before, &taken.tree, chosen).map_err(too_much)?;
    let mut behind: BTreeSet<String> = untouched.iter().map(named).collect();
    behind.extend(not_recorded(&taken, below)?.iter().map(named));
    let tree = with_changes(git, &before, &changes)?;
    let taken = ProjectTree { tree, ..taken };
    if !changes.is_empty() {
        project.keep_for_another(&taken)?;
    }
    Ok(CarriedChanges {
        files: changes.len() as u64,
        behind_count: behind.len() as u64,
        behind: behind.into_iter().take(NAMED_MAX).collect(),
        tree: RecordedTree { tree: taken.tree, left_out: Vec::new() },
    })
}

/// Returns the record of a folder whose changes can't be had any more.
pub(in crate::worker) fn nothing(base: &str, reason: &str) -> CarriedChanges {
    let tree = RecordedTree { tree: base.to_owned(), left_out: Vec::new() };
    CarriedChanges { tree, files: 0, behind: vec![format!("all ({reason})")], behind_count: 1 }
}

/// Makes the tree that has these changes and no others.
fn with_changes(git: &Git<'_>, tree: &str, changes: &[FileChange]) -> Result<String, GitError> {
    let gitdir = git.beside_without_refs("carried")?;
    let run = |args: &[&str], lines: &[Vec<u8>]| {
        let place = (gitdir.as_path(), git.repository().top.as_path());
        git.run_over(place, args, lines.iter().map(Vec::as_slice), (SHORT_BYTES, &[0]))
    };
    let none = "0".repeat(git.empty_ids().tree.len());
    let line = |mode: &str, id: &str, path: &Path| {
        [format!("{mode} {id}\t").as_bytes(), path.as_os_str().as_bytes(), &[0]].concat()
    };
    // Files in place of folders come after those that were in them.
    let gone = changes.iter().filter(|change| change.to.is_none()).map(|change| line("0", &none, &change.path));
    let there = changes.iter().filter_map(|change| {
        let to = change.to.as_ref()?;
        Some(line(to.kind.mode(), &to.id, &change.path))
    });
    let lines: Vec<Vec<u8>> = gone.chain(there).collect();
    run(&["read-tree", tree], &[])?;
    run(&["update-index", "-z", "--index-info"], &lines)?;
    Ok(String::from_utf8_lossy(&run(&["write-tree"], &[])?.output).trim_end().to_owned())
}

/// Returns the new files that are not in the recorded tree: what is neither in it nor ignored.
fn not_recorded(taken: &ProjectTree<'_>, below: &Path) -> Result<Vec<UntouchedFile>, GitError> {
    let list = taken.git.output(&["ls-files", "-z", "--others", "--exclude-standard"], LIST_BYTES_MAX)?;
    let paths = list.output.split(|byte| *byte == 0).filter(|path| !path.is_empty());
    let reason = |path: &str| {
        let whole = below.join(path);
        if path.ends_with('/') {
            plan::REPOSITORY
        } else if taken.left_out.iter().any(|left| Path::new(left) == whole) {
            plan::TOO_LARGE
        } else {
            "it is not a file, or has just been made"
        }
    };
    let untouched = |path: &[u8]| {
        let path = String::from_utf8_lossy(path).into_owned();
        UntouchedFile { reason: reason(&path), path }
    };
    Ok(paths.map(untouched).collect())
}

/// Writes recorded changes into a worktree that has just been made. `id` is unique to it.
///
/// # Errors
/// Fails when git fails, or a file can't be written: a copy without it is not what was asked for.
pub(in crate::worker) fn put(
    tree: &Worktree,
    carried: &CarriedChanges,
    id: &str,
    place: MirrorFolder<'_>,
) -> Result<(), WorkerError> {
    if carried.files == 0 {
        return Ok(());
    }
    let top = Path::new(&tree.path);
    let repository = Repository::at(top)?
        .ok_or_else(|| WorkerError::Conflict(format!("the worktree {} is gone while it is made", tree.path)))?;
    let git = Git::open(repository, place, GitBudget::of_time(CARRY_TIME))?;
    let before = tree_of(&git, &tree.base)?;
    let changes = plan::all_changes(&git, &before, &carried.tree.tree)?;
    let restore = Restore { git: &git, folder: top, id, since: None };
    let ApplyOutcome { untouched, .. } = restore.apply(&carried.tree.tree, &changes)?;
    if untouched.is_empty() {
        return Ok(());
    }
    let names: Vec<String> = untouched.iter().take(NAMED_MAX).map(named).collect();
    Err(WorkerError::Conflict(format!(
        "{} uncommitted files can't be written into the copy ({}): {LEAVE}",
        untouched.len(),
        names.join(", ")
    )))
}

/// The way out if the changes can't be carried over.
const LEAVE: &str = "commit them first, or leave them behind (\"uncommitted\": \"leave\", --leave-uncommitted)";

fn too_much(error: GitError) -> WorkerError {
    match error {
        GitError::Failed { words, .. } => {
            WorkerError::Conflict(format!("the uncommitted changes can't be copied: {words}; {LEAVE}"))
        }
        other => other.into(),
    }
}

fn tree_of(git: &Git<'_>, commit: &str) -> Result<String, WorkerError> {
    let tree = git.line(&["rev-parse", "--verify", "--quiet", &format!("{commit}^{{tree}}")])?;
    tree.ok_or_else(|| WorkerError::Conflict(format!("the commit {commit} is not in the repository any more")))
}

fn named(file: &UntouchedFile) -> String {
    format!("{} ({})", file.path, file.reason)
}
