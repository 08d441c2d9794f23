//! Changes of a project as a unified diff whose format no setting changes.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde::Serialize;

use super::changed_files::{self, ChangedFile, DiffListing};
use super::scopes::{DiffScope, Sides, base};
use crate::clock::Micros;
use crate::worker::place::git::{Git, GitBudget, GitError, GitOutput, MirrorFolder, Repository};

/// Longest diff in bytes; a longer one is cut, and the response reports it.
const DIFF_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Longest list of a diff's files, in bytes.
const FILES_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Commits that are listed.
const COMMITS_MAX: usize = 100;
/// Characters of a commit's subject.
const SUBJECT_CHARS_MAX: usize = 200;
/// Longest list of commits from git, in bytes.
const COMMITS_BYTES_MAX: usize = 1024 * 1024;
/// Longest list of files from git, in bytes.
const LIST_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Maximum number of new files that are examined.
const NEW_FILES_MAX: usize = 1000;
/// Largest new file whose content is shown, in bytes; larger ones are named with their size.
const NEW_FILE_BYTES_MAX: u64 = 1024 * 1024;
/// Maximum number of new files that are named without their content.
const NOT_SHOWN_MAX: usize = 1000;
/// Maximum number of submodules whose commit is read.
const SUBMODULES_MAX: usize = 100;
/// The mode of a submodule in git's lists.
pub(in crate::worker) const SUBMODULE_MODE: &str = "160000";
/// Options that fix the format of all diffs. Submodules are shown by their commits and not entered.
pub(in crate::worker) const DIFF_FORM: [&str; 8] = [
    "--no-ext-diff",
    "--no-textconv",
    "--no-color",
    "--submodule=short",
    "--ignore-submodules=dirty",
    "--relative",
    "--src-prefix=a/",
    "--dst-prefix=b/",
];
/// A diff with the lists of its files before it.
const DIFF: [&str; 5] = ["diff", "--raw", "--numstat", "--patch", "--full-index"];

/// The changes of a project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct ProjectChanges {
    /// The unified diff.
    pub diff: String,
    /// True if the diff was cut.
    pub truncated: bool,
    /// The commit against which it is compared.
    pub base: String,
    /// The name of the scope.
    pub scope: &'static str,
    /// The files that differ.
    pub files: Vec<ChangedFile>,
    /// The commits since the worker began, newest first.
    pub commits: Vec<Commit>,
    /// New files that are not in the diff.
    pub not_shown: Vec<OmittedFile>,
}

/// A commit of the agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Commit {
    /// Its id.
    pub id: String,
    /// The first line of its message.
    pub subject: String,
    /// The time at which it was made.
    pub time: Micros,
}

/// The point in a repository's history at which a worker began.
#[derive(Clone, Copy, Debug)]
pub(in crate::worker) struct Beginning<'a> {
    /// The base commit of its worktree.
    pub(in crate::worker) commit: Option<&'a str>,
    /// The time of its creation.
    pub(in crate::worker) time: Micros,
}

/// A new file or folder that is not in the diff.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct OmittedFile {
    /// Its path.
    pub path: String,
    /// Its size in bytes, if it is a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// The reason why its content is not shown.
    pub reason: &'static str,
}

/// Computes the diff of a scope; `None` when the folder is not in a repository.
pub(in crate::worker) fn look(
    folder: &Path,
    begun: Beginning<'_>,
    scope: &DiffScope,
    place: MirrorFolder<'_>,
    budget: GitBudget<'_>,
) -> Result<Option<ProjectChanges>, GitError> {
    let Some(git) = open(folder, place, budget)? else { return Ok(None) };
    let (mut truncated, mut not_shown) = (false, Vec::new());
    let (base, to) = match scope.sides(&git, begun.commit)? {
        Sides::ToFolder(from) => {
            add_all(&git, folder, &mut truncated, &mut not_shown)?;
            (from, None)
        }
        Sides::Between(from, to) => (from, Some(to)),
    };
    let sides: Vec<&str> = [base.as_str()].into_iter().chain(to.as_deref()).collect();
    let Comparison { diff, files, cut } = compare(&git, &sides)?;
    truncated |= cut;
    let commits = commits(&git, begun)?;
    Ok(Some(ProjectChanges { diff, truncated, base, scope: scope.as_str(), files, commits, not_shown }))
}

/// Compares two trees of two workers. `git` runs in the second one's folder and can read both.
pub(in crate::worker) fn look_between(
    git: &Git<'_>,
    (from, to): (&str, &str),
    left_out: impl IntoIterator<Item = String>,
) -> Result<ProjectChanges, GitError> {
    let Comparison { diff, files, cut } = compare(git, &[from, to])?;
    let not_shown = |path| OmittedFile { path, size: None, reason: "it is too large, or cannot be read" };
    Ok(ProjectChanges {
        diff,
        truncated: cut,
        base: from.to_owned(),
        scope: "attempts",
        files,
        commits: Vec::new(),
        not_shown: left_out.into_iter().take(NOT_SHOWN_MAX).map(not_shown).collect(),
    })
}

/// The differences of two sides.
struct Comparison {
    diff: String,
    files: Vec<ChangedFile>,
    /// True if there was more.
    cut: bool,
}

fn compare(git: &Git<'_>, sides: &[&str]) -> Result<Comparison, GitError> {
    let args = [&DIFF[..], &DIFF_FORM, sides, &["--", "."]].concat();
    let GitOutput { mut output, cut, .. } = git.output(&args, FILES_BYTES_MAX + DIFF_BYTES_MAX)?;
    let DiffListing { files, cut: list_cut, diff_at } = changed_files::read(&output, cut);
    let mut diff = output.split_off(diff_at);
    let cut = cut | list_cut | (diff.len() > DIFF_BYTES_MAX);
    diff.truncate(DIFF_BYTES_MAX);
    Ok(Comparison { diff: String::from_utf8_lossy(&diff).into_owned(), files, cut })
}

/// Returns the commits since a worker began: since the base of its worktree, or since its creation.
fn commits(git: &Git<'_>, begun: Beginning<'_>) -> Result<Vec<Commit>, GitError> {
    let Some(head) = git.line(&["rev-parse", "--verify", "--quiet", "HEAD^{commit}"])? else { return Ok(Vec::new()) };
    let most = format!("--max-count={COMMITS_MAX}");
    let known = match begun.commit {
        Some(id) => git.line(&["rev-parse", "--verify", "--quiet", &format!("{id}^{{commit}}")])?,
        None => None,
    };
    let range = match known {
        Some(base) => [head, format!("^{base}")],
        None => [format!("--since=@{}", begun.time.0 / 1_000_000), head],
    };
    let form = ["log", "-z", "--no-show-signature", "--no-color", "--no-mailmap", "--encoding=UTF-8"];
    let tail = ["--format=%H %ct %s", &most, &range[0], &range[1], "--"];
    let answer = git.output(&[&form[..], &tail].concat(), COMMITS_BYTES_MAX)?;
    let text = String::from_utf8_lossy(&answer.output);
    let commit = |line: &str| {
        let (id, rest) = line.split_once(' ')?;
        let (seconds, subject) = rest.split_once(' ')?;
        let time = Micros(seconds.parse::<u64>().ok()?.saturating_mul(1_000_000));
        Some(Commit { id: id.to_owned(), subject: subject.chars().take(SUBJECT_CHARS_MAX).collect(), time })
    };
    Ok(text.split('\0').filter_map(commit).collect())
}

/// A repository prepared so that one diff shows everything, including new files.
pub(super) struct ReadyRepository<'a> {
    pub(super) git: Git<'a>,
    /// The commit against which it is compared.
    pub(super) base: String,
}

/// Opens the repository of a folder and adds its new files to the server's index; `None` when it is not in one.
pub(super) fn prepare<'a>(
    folder: &Path,
    begun_at: Option<&str>,
    place: MirrorFolder<'_>,
    budget: GitBudget<'a>,
) -> Result<Option<ReadyRepository<'a>>, GitError> {
    let Some(git) = open(folder, place, budget)? else { return Ok(None) };
    let base = base(&git, begun_at)?;
    add_all(&git, folder, &mut false, &mut Vec::new())?;
    Ok(Some(ReadyRepository { git, base }))
}

/// Opens the repository of a folder, to run git in that folder; `None` when it is not in one.
fn open<'a>(folder: &Path, place: MirrorFolder<'_>, budget: GitBudget<'a>) -> Result<Option<Git<'a>>, GitError> {
    let Some(repository) = Repository::find(folder)? else { return Ok(None) };
    Ok(Some(Git::open(repository, place, budget)?.run_from(folder)))
}

/// Prepares the server's index for a comparison with the folder: submodules at their commits, and new files.
fn add_all(
    git: &Git<'_>,
    folder: &Path,
    truncated: &mut bool,
    not_shown: &mut Vec<OmittedFile>,
) -> Result<(), GitError> {
    mark_submodules(git)?;
    add_new_files(git, folder, truncated, not_shown)
}

/// Keeps git from entering submodules, by marks in the server's index; the commit of each is read here.
pub(in crate::worker) fn mark_submodules(git: &Git<'_>) -> Result<BTreeMap<Vec<u8>, String>, GitError> {
    let list = git.output(&["ls-files", "--stage", "-z"], LIST_BYTES_MAX)?;
    if list.cut {
        return Err(GitError::Failed { action: "ls-files".to_owned(), words: "there are too many files".to_owned() });
    }
    // `160000 ID 0<TAB>PATH`
    let submodule = |entry: &[u8]| {
        let (head, path) = entry.split_at(entry.iter().position(|byte| *byte == b'\t')?);
        let mut head = std::str::from_utf8(head).ok()?.split(' ');
        (head.next() == Some(SUBMODULE_MODE)).then(|| Some((path[1..].to_owned(), head.next()?.to_owned())))?
    };
    let submodules: BTreeMap<Vec<u8>, String> = list.output.split(|byte| *byte == 0).filter_map(submodule).collect();
    if submodules.is_empty() {
        return Ok(submodules);
    }
    let top = &git.repository().top;
    let mut moved = Vec::new();
    for (path, id) in submodules.iter().take(SUBMODULES_MAX) {
        let place = top.join(OsStr::from_bytes(path));
        // A submodule that cannot be read is shown as in the index.
        if let Ok(Some(now)) = Repository::at(&place).and_then(|found| found.map_or(Ok(None), |found| found.head()))
            && now != *id
        {
            moved.push([format!("{SUBMODULE_MODE} {now} 0\t").into_bytes(), path.clone(), vec![0]].concat());
        }
    }
    if !moved.is_empty() {
        git.with_input(&["update-index", "-z", "--index-info"], moved.iter().map(Vec::as_slice), LIST_BYTES_MAX)?;
    }
    let paths: Vec<Vec<u8>> = submodules.keys().map(|path| [path.as_slice(), &[0]].concat()).collect();
    let mark = ["update-index", "--assume-unchanged", "-z", "--stdin"];
    git.with_input(&mark, paths.iter().map(Vec::as_slice), LIST_BYTES_MAX)?;
    Ok(submodules)
}

/// Adds new files to the server's index, so that one diff shows them too.
fn add_new_files(
    git: &Git<'_>,
    folder: &Path,
    truncated: &mut bool,
    not_shown: &mut Vec<OmittedFile>,
) -> Result<(), GitError> {
    let list = git.output(&["ls-files", "-z", "--others", "--exclude-standard", "--full-name"], LIST_BYTES_MAX)?;
    *truncated |= list.cut;
    let (top, mut entries) = (&git.repository().top, Vec::new());
    for path in list.output.split(|byte| *byte == 0).filter(|path| !path.is_empty()) {
        let place = top.join(OsStr::from_bytes(path));
        let name = || place.strip_prefix(folder).unwrap_or(&place).to_string_lossy().into_owned();
        let mut leave = |size, reason| {
            if not_shown.len() < NOT_SHOWN_MAX {
                not_shown.push(OmittedFile { path: name(), size, reason });
            } else {
                *truncated = true;
            }
        };
        if path.ends_with(b"/") {
            leave(None, "it is a git repository of its own");
            continue;
        }
        // A file that was removed meanwhile is left out.
        let Ok(found) = place.symlink_metadata() else { continue };
        if found.is_file() && found.len() > NEW_FILE_BYTES_MAX {
            leave(Some(found.len()), "it is larger than 1 MiB");
        } else if entries.len() == NEW_FILES_MAX {
            *truncated = true;
        } else {
            let mode = match found.permissions().mode() & 0o111 {
                _ if found.is_symlink() => "120000",
                0 => "100644",
                _ => "100755",
            };
            let head = format!("{mode} {} 0\t", git.empty_ids().file);
            entries.push([head.as_bytes(), path, &[0]].concat());
        }
    }
    if entries.is_empty() {
        return Ok(());
    }
    let add = ["update-index", "-z", "--index-info"];
    git.with_input(&add, entries.iter().map(Vec::as_slice), LIST_BYTES_MAX).map(drop)
}
