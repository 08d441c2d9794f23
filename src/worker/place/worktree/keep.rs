//! Commits that would be lost with a worktree, kept in its repository under `refs/rs-worker/WORKER/`.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::TREE_TIME;
use crate::journal::is_object_id;
use crate::worker::error::WorkerError;
use crate::worker::place::git::{Folder, Git, GitBudget, GitError, MirrorFolder, RefChange, Repository, SHORT_BYTES};

/// Longest file that is searched for commit ids, in bytes.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Longest list of commits, in bytes.
const LIST_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Characters of a commit's id in the name of the reference that keeps it.
const ID_CHARS: usize = 12;
/// Deepest folder that is searched.
const DEPTH_MAX: usize = 24;
/// Folders of a Git directory whose files name commits, and suffixes of such files.
const FOLDERS: [&str; 6] = ["logs", "refs", "rebase-merge", "rebase-apply", "sequencer", "worktrees"];
const HEADS: &str = "HEAD";

/// Commits that only one Git directory names, and that no other reference reaches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::worker) struct OwnCommits {
    /// The number of commits.
    pub(in crate::worker) count: usize,
    /// Commits from which all others are reached.
    pub(in crate::worker) tips: Vec<String>,
}

/// Returns the ids that the Git directory `own` names, whether of commits or not: HEAD and its kind, logs, references,
/// and the notes of operations in progress. References of remotes are left out.
fn named_ids(own: &Path) -> Result<BTreeSet<String>, GitError> {
    let fail = |error: std::io::Error| GitError::Broken { path: own.to_owned(), why: error.to_string() };
    let folder = Folder::open(own).map_err(fail)?;
    let mut ids = BTreeSet::new();
    search(&folder, 0, &mut ids).map_err(fail)?;
    Ok(ids)
}

fn search(folder: &Folder, depth: usize, ids: &mut BTreeSet<String>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder.path())? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let kind = entry.file_type()?;
        let wanted = depth > 0 || FOLDERS.contains(&name.as_str());
        if kind.is_dir() && wanted && name != "remotes" && depth < DEPTH_MAX {
            search(&folder.sub(Path::new(&name))?, depth + 1, ids)?;
        } else if kind.is_file()
            && name != "index"
            && (depth > 0 || name.ends_with(HEADS) || name == "packed-refs")
            && let Some(bytes) = folder.read(&name, FILE_BYTES_MAX)?
        {
            add_ids(&bytes, ids);
        }
    }
    Ok(())
}

/// Adds the ids in a file, whatever its format; those of remotes' references are left out.
fn add_ids(bytes: &[u8], ids: &mut BTreeSet<String>) {
    for line in bytes.split(|byte| *byte == b'\n') {
        if line.windows(14).any(|part| part == b" refs/remotes/") {
            continue;
        }
        let words = line.split(|byte| !byte.is_ascii_hexdigit());
        let words = words.filter_map(|word| std::str::from_utf8(word).ok());
        ids.extend(words.filter(|word| is_object_id(word) && word.bytes().any(|byte| byte != b'0')).map(str::to_owned));
    }
}

/// Returns the commits that the Git directory `own` names and that are not reached from `others`, which are arguments
/// of `git rev-list`.
pub(in crate::worker) fn own_commits(git: &Git<'_>, own: &Path, others: &[&str]) -> Result<OwnCommits, GitError> {
    let mut ids = named_ids(own)?;
    if git.has_tables() {
        add_ids(&git.named_in_tables(own, LIST_BYTES_MAX)?, &mut ids);
    }
    let asked: Vec<String> = ids.iter().map(|id| format!("{id}^{{commit}}\n")).collect();
    let check = ["cat-file", "--batch-check=%(objectname) %(objecttype)"];
    let kinds = git.with_input(&check, asked.iter().map(String::as_bytes), LIST_BYTES_MAX)?;
    let commits: Vec<String> = String::from_utf8_lossy(&kinds.output)
        .lines()
        .filter_map(|line| line.strip_suffix(" commit").map(|id| format!("{id}\n")))
        .collect();
    if commits.is_empty() {
        return Ok(OwnCommits::default());
    }
    let ask = [&["rev-list", "--parents", "--stdin", "--not"], others].concat();
    let list = git.with_input(&ask, commits.iter().map(String::as_bytes), LIST_BYTES_MAX)?;
    if list.cut {
        return Err(GitError::Failed { action: "rev-list".to_owned(), words: "there are too many commits".to_owned() });
    }
    let text = String::from_utf8_lossy(&list.output);
    let (mut all, mut parents) = (Vec::new(), HashSet::new());
    for line in text.lines() {
        let mut ids = line.split(' ');
        all.extend(ids.next());
        parents.extend(ids);
    }
    let tips = all.iter().filter(|id| !parents.contains(*id)).map(|id| (*id).to_owned()).collect();
    Ok(OwnCommits { count: all.len(), tips })
}

/// Returns the commits that are lost with a repository inside of the worktree at `tree`, or inside of its Git directory
/// at `own`. Commits that its remotes are known to have do not count.
pub(in crate::worker) fn commits_inside(
    git: &Git<'_>,
    tree: &Path,
    own: Option<&Path>,
) -> Result<OwnCommits, GitError> {
    let repository = git.repository();
    let is_inside = |path: &Path| path.starts_with(tree) || own.is_some_and(|own| path.starts_with(own));
    if !is_inside(&repository.common) {
        // A worktree of a repository that stays: all of its references stay too.
        return own_commits(git, &repository.own, &["--glob=refs/*"]);
    }
    let mut found = own_commits(git, &repository.common, &["--remotes"])?;
    if repository.is_linked() {
        let more = own_commits(git, &repository.own, &["--remotes"])?;
        found.count = found.count.max(more.count);
        found.tips.extend(more.tips);
        found.tips.sort();
        found.tips.dedup();
    }
    Ok(found)
}

/// The names of the references that keep commits.
pub(in crate::worker) type KeptReferences = BTreeSet<String>;

/// Keeps commits in the repository of a worktree.
pub(in crate::worker) struct Keeper<'a> {
    pub(in crate::worker) owner: Repository,
    pub(in crate::worker) place: MirrorFolder<'a>,
    /// The id of the worker.
    pub(in crate::worker) worker: &'a str,
    /// The worktree's folder.
    pub(in crate::worker) tree: &'a Path,
    /// The repository's folder for the worktree.
    pub(in crate::worker) own: Option<PathBuf>,
}

impl Keeper<'_> {
    /// Keeps all commits at risk: those that only the worktree's Git directory names, such as a detached HEAD, notes of
    /// a rebase in progress and the log, and those of repositories inside of the worktree.
    pub(in crate::worker) fn keep(&self, inside: &[(String, Repository)]) -> Result<KeptReferences, WorkerError> {
        let mut kept = match &self.own {
            Some(own) => self.keep_named(own)?,
            None => KeptReferences::new(),
        };
        for (name, repository) in inside {
            let more = self.keep_inside(name, repository).map_err(|error| {
                WorkerError::Conflict(format!(
                    "the repository {name} in the worktree {} has commits of its own that cannot be kept: {error}; move \
                     it away, or remove it",
                    self.tree.display()
                ))
            })?;
            kept.extend(more);
        }
        Ok(kept)
    }

    fn keep_named(&self, own: &Path) -> Result<KeptReferences, GitError> {
        let git = Git::open(self.owner.clone(), self.place, GitBudget::of_time(TREE_TIME))?;
        let found = own_commits(&git, own, &["--glob=refs/*"])?;
        self.refer(&git, "", &found.tips)
    }

    /// Keeps the commits of a repository inside of the worktree by copying them.
    fn keep_inside(&self, name: &str, repository: &Repository) -> Result<KeptReferences, GitError> {
        if repository.common == self.owner.common {
            return self.keep_named(&repository.own);
        }
        let Ok(inside) = Git::open(repository.clone(), self.place, GitBudget::of_time(TREE_TIME)) else {
            // Unreadable ones have been reported already.
            return Ok(KeptReferences::new());
        };
        let found = commits_inside(&inside, self.tree, self.own.as_deref())?;
        if found.tips.is_empty() {
            return Ok(KeptReferences::new());
        }
        let git = Git::open(self.owner.clone(), self.place, GitBudget::of_time(TREE_TIME))?;
        let packs = git.dir().join("objects/pack/pack").display().to_string();
        let tips: Vec<String> = found.tips.iter().map(|id| format!("{id}\n")).collect();
        let lines = || tips.iter().map(String::as_bytes);
        inside.with_input(&["pack-objects", "--revs", "-q", &packs], lines(), LIST_BYTES_MAX)?;
        // The history may be incomplete, as in a shallow clone.
        git.with_input(&["rev-list", "--objects", "--quiet", "--stdin"], lines(), SHORT_BYTES)?;
        git.publish_objects()?;
        self.refer(&git, &format!("{}/", part(name)), &found.tips)
    }

    fn refer(&self, git: &Git<'_>, below: &str, tips: &[String]) -> Result<KeptReferences, GitError> {
        let mut wanted = BTreeMap::new();
        for id in tips {
            let short = id.get(..ID_CHARS).unwrap_or(id);
            wanted.insert(format!("refs/rs-worker/{}/{below}{short}", self.worker), id);
        }
        let mut changes = Vec::new();
        for (name, id) in &wanted {
            if git.line(&["rev-parse", "--verify", "--quiet", name])?.is_none() {
                changes.push(RefChange::Create { name: name.clone(), id: (*id).clone() });
            }
        }
        if !changes.is_empty() {
            git.change_refs(&changes)?;
        }
        Ok(wanted.into_keys().collect())
    }
}

/// Formats a path as a part of a reference's name.
fn part(path: &str) -> String {
    let slug: String = path.chars().map(|char| if char.is_ascii_alphanumeric() { char } else { '-' }).collect();
    let slug = slug.trim_matches('-');
    format!("inside-{slug}-{:08x}", crate::fnv::hash(path.as_bytes()) >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_found_in_files_of_any_form() {
        let (a, b) = ("a".repeat(40), "b".repeat(40));
        let text = format!(
            "{} {a} Name <mail> 1 +0000\tcommit\npick {b} words\n{} refs/remotes/x\n",
            "0".repeat(40),
            "c".repeat(40)
        );
        let mut ids = BTreeSet::new();
        add_ids(text.as_bytes(), &mut ids);
        assert_eq!(ids.into_iter().collect::<Vec<_>>(), [a, b]);
    }
}
