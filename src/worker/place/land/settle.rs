//! The move of a branch to a new commit, with the index and the files of the folder that has it checked out: files
//! first, then the index, then the branch. The move is idempotent: repeated after an interruption at any point, it
//! completes, because each step detects that it is done. A file that was changed meanwhile is never written.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use nix::fcntl::OFlag;

use super::blocked::{blocked, files};
use super::commit::refuse_filters;
use super::content::{Difference, differences, is_as, place_submodule, put, remove};
use super::paths::{as_path, joined};
use super::status::{FolderChanges, texts};
use super::targets::refuse_symbolic;
use super::{COMMAND_TIME, LIST_BYTES_MAX, commit_of, short};
use crate::journal::BranchMove;
use crate::worker::error::WorkerError;
use crate::worker::place::git::{At, Folder, Git, GitBudget, MirrorFolder, RefChange, Repository, SHORT_BYTES};
use crate::worker::place::look::SUBMODULE_MODE;
use crate::worker::place::worktree::examine::look_at_all;

/// Size limit of the differing files on one side, in bytes; they are written to a folder of the server first.
const FILES_BYTES_MAX: u64 = 2 * 1024 * 1024 * 1024;
/// Longest index lock that the server creates, in bytes.
const LOCK_BYTES_MAX: u64 = 1024;
/// The mode of a missing file.
const NO_MODE: &str = "000000";

/// A failed move.
#[derive(Debug)]
pub(in crate::worker) struct FailedMove {
    /// The reason.
    pub(in crate::worker) error: WorkerError,
    /// True if nothing was changed; else a later attempt completes or undoes it.
    pub(in crate::worker) undone: bool,
}

/// Refuses a move for which a folder has uncommitted changes, or files in the way. Changes nothing.
pub(in crate::worker) fn check(
    step: &BranchMove,
    folder: &Repository,
    place: MirrorFolder<'_>,
) -> Result<(), WorkerError> {
    if step.files {
        MoveWork::open(folder, step, place)?.check()?;
    }
    Ok(())
}

/// Moves the branch. `resumed` is true for the completion of an earlier attempt.
pub(in crate::worker) fn settle(
    repository: &Repository,
    step: &BranchMove,
    folder: Option<&Repository>,
    (place, resumed): (MirrorFolder<'_>, bool),
) -> Result<(), FailedMove> {
    let unchanged = |error: WorkerError| FailedMove { error, undone: !resumed };
    let Some(folder) = folder else {
        return move_reference(repository, step, place).map_err(|error| FailedMove { error, undone: true });
    };
    let work = MoveWork::open(folder, step, place).map_err(unchanged)?;
    let lock = Lock::take(folder, &step.id).map_err(unchanged)?;
    let ready = if resumed || !step.files { Ok(()) } else { work.check() };
    ready.and_then(|()| work.check_branch()).map_err(unchanged)?;
    let done = work.settle(resumed).and_then(|()| move_reference(repository, step, place));
    let Err(error) = done else {
        log_move(step, folder);
        return Ok(());
    };
    drop(lock);
    let back = BranchMove { old: step.new.clone(), new: step.old.clone(), ..step.clone() };
    let undone = MoveWork::open(folder, &back, place).and_then(|work| {
        let _lock = Lock::take(folder, &step.id)?;
        work.settle(true)
    });
    if let Err(error) = &undone {
        log::error!("{} cannot be put back as it was: {error}", folder.top.display());
    }
    Err(FailedMove { error, undone: undone.is_ok() })
}

/// Moves the branch itself, if it is where it was found, and keeps the commits that are on no branch afterwards.
fn move_reference(repository: &Repository, step: &BranchMove, place: MirrorFolder<'_>) -> Result<(), WorkerError> {
    let git = Git::open(repository.clone(), place, GitBudget::of_time(COMMAND_TIME))?;
    refuse_symbolic(&git, &step.branch)?;
    let now = commit_of(&git, &step.branch)?;
    let is_moved = now.as_deref() == Some(step.new.as_str());
    if !is_moved && now.as_deref() != Some(step.old.as_str()) {
        return Err(moved(step));
    }
    let mut changes: Vec<RefChange> = keep(&git, step)?.into_iter().collect();
    if !is_moved {
        let (name, expected, id) = (step.branch.clone(), step.old.clone(), step.new.clone());
        changes.push(RefChange::Update { name, expected, id });
    }
    if changes.is_empty() {
        return Ok(());
    }
    git.change_refs(&changes).or_else(|error| match commit_of_now(repository, step, place) {
        // git may have been killed after it had moved the branch.
        Ok(now) if now.as_deref() == Some(step.new.as_str()) => Ok(()),
        Ok(now) if now.as_deref() != Some(step.old.as_str()) => Err(moved(step)),
        _ => Err(error.into()),
    })
}

/// Creates the reference that keeps a commit which is on no branch afterwards. Its name may be taken: an agent can
/// write references.
fn keep(git: &Git<'_>, step: &BranchMove) -> Result<Option<RefChange>, WorkerError> {
    let Some((name, id)) = &step.kept else { return Ok(None) };
    for name in [name.clone(), format!("{name}-{}", step.id)] {
        match git.line(&["rev-parse", "--verify", "--quiet", &name])? {
            Some(found) if found == *id => return Ok(None),
            Some(_) => {}
            None => return Ok(Some(RefChange::Create { name, id: id.clone() })),
        }
    }
    Err(blocked("impossible", format!("the references for {id} are taken"), None))
}

/// Returns the current commit of the branch of a move.
pub(in crate::worker) fn commit_of_now(
    repository: &Repository,
    step: &BranchMove,
    place: MirrorFolder<'_>,
) -> Result<Option<String>, WorkerError> {
    let git = Git::open(repository.clone(), place, GitBudget::of_time(COMMAND_TIME))?;
    Ok(commit_of(&git, &step.branch)?)
}

/// The error for a branch that was moved meanwhile.
pub(in crate::worker) fn moved(step: &BranchMove) -> WorkerError {
    blocked("moved", format!("{} has been moved meanwhile: look again", short(&step.branch)), None)
}

/// Removes the lock that an earlier attempt has left in a folder, if it belongs to this move.
pub(in crate::worker) fn unlock(folder: &Repository, id: &str) -> Result<(), WorkerError> {
    let own = Folder::open(&folder.own)?;
    let lock = own.read(Lock::NAME, LOCK_BYTES_MAX).ok().flatten();
    if lock.as_deref() == Some(Lock::mark(id).as_bytes()) {
        own.remove(Lock::NAME)?;
    }
    Ok(own.remove(&format!("index.rs-worker-{id}"))?)
}

/// The lock of a folder's index, in git's format and with the move's id; held until it is dropped.
struct Lock {
    own: Folder,
}

impl Lock {
    const NAME: &'static str = "index.lock";

    fn mark(id: &str) -> String {
        format!("rs-worker {id}\n")
    }

    fn take(folder: &Repository, id: &str) -> Result<Self, WorkerError> {
        unlock(folder, id)?;
        let (own, mark) = (Folder::open(&folder.own)?, Self::mark(id));
        match own.write_new(Self::NAME, mark.as_bytes()) {
            Ok(()) => Ok(Self { own }),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                let text = format!(
                    "another git process is at work in {} ({} is there): try again",
                    folder.top.display(),
                    folder.own.join(Self::NAME).display()
                );
                Err(blocked("locked", text, None))
            }
            Err(error) => Err(error.into()),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if let Err(error) = self.own.remove(Self::NAME) {
            log::error!("the lock of an index cannot be removed: {error}");
        }
    }
}

/// The differences of a move, with the contents of its files on both sides, for one folder.
struct MoveWork<'a> {
    git: Git<'static>,
    step: &'a BranchMove,
    differences: Vec<Difference>,
    place: MirrorFolder<'a>,
}

impl<'a> MoveWork<'a> {
    fn open(folder: &Repository, step: &'a BranchMove, place: MirrorFolder<'a>) -> Result<Self, WorkerError> {
        let git = Git::open(folder.clone(), place, GitBudget::of_time(COMMAND_TIME))?;
        let ask = ["diff-tree", "-r", "-z", "--no-renames", "--raw", &step.old, &step.new];
        let list = git.output(&ask, LIST_BYTES_MAX)?;
        if list.cut {
            return Err(WorkerError::Conflict("too many files differ for the server: do it by hand".to_owned()));
        }
        let work = Self { differences: differences(&list.output), git, step, place };
        if step.files {
            work.materialize("from", &step.old)?;
            work.materialize("to", &step.new)?;
        }
        Ok(work)
    }

    /// Writes the differing files of a commit into a folder of the server, as a checkout would.
    fn materialize(&self, name: &str, commit: &str) -> Result<(), WorkerError> {
        let (folder, index) = (self.git.dir().join(name), self.git.dir().join(format!("{name}.index")));
        fs::create_dir(&folder)?;
        let at = At { index: Some(&index), top: Some(&folder) };
        self.git.run_at(at, &["read-tree", commit], (b"", SHORT_BYTES), &[0])?;
        let side = |it: &Difference| if name == "to" { it.to.0.clone() } else { it.from.0.clone() };
        let paths: Vec<Vec<u8>> = self
            .differences
            .iter()
            .filter(|it| !matches!(side(it).as_str(), NO_MODE | SUBMODULE_MODE))
            .map(|it| it.path.clone())
            .collect();
        let ids: Vec<Vec<u8>> = self
            .differences
            .iter()
            .map(|it| if name == "to" { &it.to } else { &it.from })
            .filter(|(mode, _)| !matches!(mode.as_str(), NO_MODE | SUBMODULE_MODE))
            .map(|(_, id)| format!("{id}\n").into_bytes())
            .collect();
        self.refuse_too_much(&ids.concat())?;
        let list = joined(&paths);
        refuse_filters(&self.git, at, &list, true)?;
        self.git.run_at(at, &["checkout-index", "-q", "-f", "-z", "--stdin"], (&list, SHORT_BYTES), &[0])?;
        Ok(())
    }

    /// Refuses files that together are too large for the server to write: an object is small where its file is large.
    fn refuse_too_much(&self, ids: &[u8]) -> Result<(), WorkerError> {
        let ask = ["cat-file", "--batch-check=%(objectsize)"];
        let sizes = self.git.run_at(At::default(), &ask, (ids, LIST_BYTES_MAX), &[0])?;
        let sizes = String::from_utf8_lossy(&sizes.output).into_owned();
        let bytes = sizes.lines().filter_map(|size| size.parse().ok()).fold(0, u64::saturating_add);
        if bytes <= FILES_BYTES_MAX {
            return Ok(());
        }
        let text = format!("the files that differ have more than {FILES_BYTES_MAX} bytes: do it by hand");
        Err(WorkerError::Conflict(text))
    }

    /// Refuses a folder with uncommitted changes, with files in the way, or with a sparse checkout.
    fn check(&self) -> Result<(), WorkerError> {
        let folder = self.git.repository();
        let top = folder.top.display();
        if let Some(operation) = super::status::operation(&folder.own) {
            return Err(blocked(
                "in_progress",
                format!("a {operation} is in progress in {top}: finish it first"),
                None,
            ));
        }
        if self.git.sparse_config().contains("= true") {
            let text = format!("{top} has a choice of files (sparse checkout), which the server does not change");
            return Err(blocked("sparse", text, None));
        }
        let git = Git::open(folder.clone(), self.place, GitBudget::of_time(COMMAND_TIME))?;
        let dirty = FolderChanges::list(&git)?.tracked;
        if !dirty.is_empty() {
            let text = format!("{top} has changes that are not committed");
            return Err(files("dirty", &text, &texts(&dirty)));
        }
        let work = Folder::open(&folder.top)?;
        let in_the_way = self
            .differences
            .iter()
            .filter(|it| it.from.0 == NO_MODE && it.to.0 != SUBMODULE_MODE && self.is_in_the_way(&work, it));
        let in_the_way: Vec<Vec<u8>> = in_the_way.map(|it| it.path.clone()).collect();
        if in_the_way.is_empty() {
            return Ok(());
        }
        let text = format!("files in {top} that no commit has are in the way");
        Err(files("in_the_way", &text, &texts(&in_the_way)))
    }

    /// Returns whether something else is in the place of a new file.
    fn is_in_the_way(&self, top: &Folder, it: &Difference) -> bool {
        let path = as_path(&it.path);
        let Ok(found) = top.path().join(path).symlink_metadata() else { return false };
        if found.is_dir() {
            // Its files may be tracked ones that are removed.
            let inside = [it.path.as_slice(), b"/"].concat();
            return !self.differences.iter().any(|other| other.path.starts_with(&inside));
        }
        // A tracked file in the place of a folder above it, which is removed.
        !is_as(top, path, &self.git.dir().join("to"))
    }

    fn check_branch(&self) -> Result<(), WorkerError> {
        let folder = self.git.repository();
        if self.git.branch_of(&folder.own)?.as_deref() == Some(self.step.branch.as_str()) {
            return Ok(());
        }
        let (top, name) = (folder.top.display(), short(&self.step.branch));
        Err(blocked("moved", format!("{top} has not {name} checked out any more: look again"), None))
    }

    /// Brings the files and the index to the new commit.
    fn settle(&self, resumed: bool) -> Result<(), WorkerError> {
        if self.step.files {
            self.place_files(resumed)?;
        }
        self.write_index()
    }

    fn place_files(&self, resumed: bool) -> Result<(), WorkerError> {
        let top = Folder::open(&self.git.repository().top)?;
        let changed = self.changed_since_index()?;
        let is_gone = |it: &&Difference| it.to.0 == NO_MODE;
        let (gone, made): (Vec<_>, Vec<_>) = self.differences.iter().partition(is_gone);
        for it in gone.into_iter().rev().chain(made) {
            let path = as_path(&it.path);
            if it.to.0 == SUBMODULE_MODE || it.from.0 == SUBMODULE_MODE && it.to.0 == NO_MODE {
                place_submodule(&top, path, it.to.0 == NO_MODE);
                continue;
            }
            if is_as(&top, path, &self.git.dir().join("to")) {
                continue;
            }
            let is_as_before = is_as(&top, path, &self.git.dir().join("from"));
            if !is_as_before && (changed.contains(&it.path) || it.from.0 == NO_MODE) {
                let text = format!("{} was changed meanwhile", path.display());
                if !resumed {
                    return Err(blocked("dirty", text, None));
                }
                log::warn!("{text}, and is left as it is");
                continue;
            }
            let placed = if it.to.0 == NO_MODE {
                remove(&top, path)
            } else {
                put(&top, path, &self.git.dir().join("to").join(path), &self.step.id)
            };
            placed.map_err(|error| WorkerError::Conflict(format!("{} cannot be written: {error}", path.display())))?;
        }
        Ok(())
    }

    /// Returns the tracked files that differ from the index, in which they may be as before or as afterwards.
    fn changed_since_index(&self) -> Result<BTreeSet<Vec<u8>>, WorkerError> {
        let git = Git::open(self.git.repository().clone(), self.place, GitBudget::of_time(COMMAND_TIME))?;
        look_at_all(&git)?;
        let refresh = ["update-index", "-q", "--ignore-submodules", "--refresh"];
        git.run_at(At::default(), &refresh, (b"", SHORT_BYTES), &[0, 1])?;
        let list = git.output(&["diff-files", "-z", "--name-only", "--ignore-submodules"], LIST_BYTES_MAX)?;
        Ok(list.output.split(|byte| *byte == 0).filter(|path| !path.is_empty()).map(<[u8]>::to_vec).collect())
    }

    /// Sets the index entries of the differing files to those of the new commit. All other entries stay.
    fn write_index(&self) -> Result<(), WorkerError> {
        let git = Git::open(self.git.repository().clone(), self.place, GitBudget::of_time(COMMAND_TIME))?;
        let mut lines = Vec::new();
        let (gone, made): (Vec<_>, Vec<_>) = self.differences.iter().partition(|it| it.to.0 == NO_MODE);
        for it in gone.into_iter().chain(made) {
            let mode = if it.to.0 == NO_MODE { "0" } else { it.to.0.as_str() };
            lines.extend([format!("{mode} {}\t", it.to.1).as_bytes(), &it.path, &[0]].concat());
        }
        git.run_at(At::default(), &["update-index", "-z", "--index-info"], (&lines, SHORT_BYTES), &[0])?;
        let refresh = ["update-index", "--no-split-index", "-q", "--ignore-submodules", "--refresh"];
        git.run_at(At::default(), &refresh, (b"", SHORT_BYTES), &[0, 1])?;
        let from = git.dir().join("index");
        let written = fs::metadata(&from)?.modified()?;
        let own = Folder::open(&git.repository().own)?;
        let unfinished = format!("index.rs-worker-{}", self.step.id);
        own.remove(&unfinished)?;
        let mut index = own.create(&unfinished)?;
        io::copy(&mut fs::File::open(from)?, &mut index)?;
        // By its time git detects files that may have changed in the same moment.
        index.set_modified(written)?;
        index.sync_all()?;
        Ok(fs::rename(own.path().join(&unfinished), own.path().join("index"))?)
    }
}

/// Adds the move to git's logs of HEAD and the branch, if the repository has logs.
fn log_move(step: &BranchMove, folder: &Repository) {
    let about = step.about.replace(['\n', '\r', '\t'], " ");
    let line = format!("{} {} {}\trs-worker: {about}\n", step.old, step.new, step.by);
    if !folder.common.join("logs").is_dir() {
        return;
    }
    for (place, name) in [(&folder.own, "logs/HEAD"), (&folder.common, &format!("logs/{}", step.branch))] {
        if let Err(error) = append_line(place, Path::new(name), &line) {
            log::debug!("{name} in {} is not written: {error}", place.display());
        }
    }
}

/// Appends to a file that is not a link and has no hard links; creates it if it is missing.
fn append_line(place: &Path, name: &Path, line: &str) -> io::Result<()> {
    let folder = Folder::open(place)?.make_sub(name.parent().ok_or(ErrorKind::InvalidInput)?)?;
    let file = folder.path().join(name.file_name().unwrap_or_default());
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let mut file = fs::OpenOptions::new().append(true).create(true).custom_flags(flags.bits()).open(file)?;
    let facts = file.metadata()?;
    if !facts.is_file() || facts.nlink() != 1 {
        return Err(io::Error::other("it is not a regular file of its own"));
    }
    file.write_all(line.as_bytes())
}
