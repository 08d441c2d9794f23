//! Changes of a project as a unified diff whose form no setting changes.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde::Serialize;

use crate::worker::place::git::{Answer, Budget, Git, GitError, Place, Repository, SHORT_BYTES};

/// Longest diff in bytes; a longer one is cut, and the answer says so.
const DIFF_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Longest list of files from git, in bytes.
const LIST_BYTES_MAX: usize = 64 * 1024 * 1024;
/// New files that are looked at.
const NEW_FILES_MAX: usize = 1000;
/// Largest new file whose content is shown, in bytes; larger ones are named with their size.
const NEW_FILE_BYTES_MAX: u64 = 1024 * 1024;
/// New files that are named without their content.
const NOT_SHOWN_MAX: usize = 1000;
/// Submodules whose commit is looked at.
const SUBMODULES_MAX: usize = 100;
/// The mode of a submodule in git's lists.
const SUBMODULE_MODE: &str = "160000";
/// The diff's form. Submodules are shown by their commits and not entered.
const DIFF: [&str; 9] = [
    "diff",
    "--no-ext-diff",
    "--no-textconv",
    "--no-color",
    "--submodule=short",
    "--ignore-submodules=dirty",
    "--relative",
    "--src-prefix=a/",
    "--dst-prefix=b/",
];

/// The changes of a project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Changes {
    /// The unified diff.
    pub diff: String,
    /// There was more than the diff holds.
    pub truncated: bool,
    /// The commit that it is compared with.
    pub base: String,
    /// New files that are there and not in the diff.
    pub not_shown: Vec<NotShown>,
}

/// A new file or folder that is not in the diff.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct NotShown {
    /// Its path.
    pub path: String,
    /// Its size in bytes, where it is a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// The reason why its content is not shown.
    pub reason: &'static str,
}

/// Compares a folder with a commit; `None` when it is not in a repository.
pub(in crate::worker) fn look(
    folder: &Path,
    begun_at: Option<&str>,
    place: Place<'_>,
    budget: Budget<'_>,
) -> Result<Option<Changes>, GitError> {
    let Some(Ready { git, base, truncated, not_shown }) = prepare(folder, begun_at, place, budget)? else {
        return Ok(None);
    };
    let mut changes = Changes { diff: String::new(), truncated, base, not_shown };
    let Answer { output, cut, .. } = git.output(&[&DIFF[..], &[&changes.base, "--", "."]].concat(), DIFF_BYTES_MAX)?;
    changes.truncated |= cut;
    changes.diff = String::from_utf8_lossy(&output).into_owned();
    Ok(Some(changes))
}

/// A repository in which one diff shows everything, new files too.
pub(super) struct Ready<'a> {
    pub(super) git: Git<'a>,
    /// The commit to compare with.
    pub(super) base: String,
    /// There are more new files than are shown or named.
    truncated: bool,
    not_shown: Vec<NotShown>,
}

/// Opens the repository of a folder and adds its new files to the index of ours; `None` when it is not in one.
pub(super) fn prepare<'a>(
    folder: &Path,
    begun_at: Option<&str>,
    place: Place<'_>,
    budget: Budget<'a>,
) -> Result<Option<Ready<'a>>, GitError> {
    let Some(repository) = Repository::find(folder)? else { return Ok(None) };
    let git = Git::open(repository, place, budget)?;
    let base = base(&git, begun_at)?;
    mark_submodules(&git)?;
    let git = git.run_from(folder);
    let (mut truncated, mut not_shown) = (false, Vec::new());
    add_new_files(&git, folder, &mut truncated, &mut not_shown)?;
    Ok(Some(Ready { git, base, truncated, not_shown }))
}

/// The commit to compare with: where the worktree began, the last one, or the tree without files.
fn base(git: &Git<'_>, begun_at: Option<&str>) -> Result<String, GitError> {
    let known = |name: &str| git.line(&["rev-parse", "--verify", "--quiet", &format!("{name}^{{commit}}")]);
    for name in [begun_at, Some("HEAD")].into_iter().flatten() {
        if known(name)?.is_some() {
            return Ok(name.to_owned());
        }
    }
    if git.line(&["rev-parse", "--verify", "--quiet", "HEAD"])?.is_some() {
        // HEAD names a commit that is not there: git says so.
        git.output(&["cat-file", "-e", "HEAD^{commit}"], SHORT_BYTES)?;
    }
    Ok(git.empty_ids().tree.to_owned())
}

/// Keeps git from entering submodules, by marks in the index of ours; the commit that each one is at is read here.
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
        // One that cannot be read is shown as it is in the index.
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

/// Adds new files to the index of ours, so that one diff shows them too.
fn add_new_files(
    git: &Git<'_>,
    folder: &Path,
    truncated: &mut bool,
    not_shown: &mut Vec<NotShown>,
) -> Result<(), GitError> {
    let list = git.output(&["ls-files", "-z", "--others", "--exclude-standard", "--full-name"], LIST_BYTES_MAX)?;
    *truncated |= list.cut;
    let (top, mut entries) = (&git.repository().top, Vec::new());
    for path in list.output.split(|byte| *byte == 0).filter(|path| !path.is_empty()) {
        let place = top.join(OsStr::from_bytes(path));
        let name = || place.strip_prefix(folder).unwrap_or(&place).to_string_lossy().into_owned();
        let mut leave = |size, reason| {
            if not_shown.len() < NOT_SHOWN_MAX {
                not_shown.push(NotShown { path: name(), size, reason });
            } else {
                *truncated = true;
            }
        };
        if path.ends_with(b"/") {
            leave(None, "it is a git repository of its own");
            continue;
        }
        // What is gone by now is not new any more.
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
