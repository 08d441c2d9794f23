//! The files of a project, to choose from.

use std::collections::VecDeque;
use std::path::Path;

use crate::worker::place::git::{Git, GitBudget, GitError, MirrorFolder, Repository};

/// Longest list of files from git, in bytes; the rest is left out.
const LIST_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Maximum number of folder entries that are read where git does not list them.
const ENTRIES_MAX: usize = 10_000;

/// The files of a project.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Files {
    /// Their paths, each followed by a NUL.
    pub paths: String,
    /// True if git listed them.
    pub by_git: bool,
}

/// Lists the files of a folder.
pub(in crate::worker) fn look(
    folder: &Path,
    place: MirrorFolder<'_>,
    budget: GitBudget<'_>,
) -> Result<Files, GitError> {
    let Some(repository) = Repository::find(folder)? else { return Ok(walked(folder)) };
    let git = match Git::open(repository, place, budget).map(|git| git.run_from(folder)) {
        Ok(git) => git,
        Err(GitError::NotInstalled) => return Ok(walked(folder)),
        Err(error) => return Err(error),
    };
    let ask = ["ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate"];
    match git.output(&ask, LIST_BYTES_MAX) {
        Ok(answer) => Ok(Files { paths: String::from_utf8_lossy(&answer.output).into_owned(), by_git: true }),
        Err(GitError::NotInstalled) => Ok(walked(folder)),
        Err(error) => Err(error),
    }
}

fn walked(folder: &Path) -> Files {
    Files { paths: walk(folder), by_git: false }
}

/// Lists the files below a folder, each followed by a NUL, those nearest to the folder first. Hidden files and folders
/// are left out, and links are not followed.
fn walk(top: &Path) -> String {
    let mut found = String::new();
    let mut folders = VecDeque::from([top.to_owned()]);
    let mut left = ENTRIES_MAX;
    while let Some(folder) = folders.pop_front() {
        for entry in folder.read_dir().into_iter().flatten().filter_map(Result::ok) {
            if left == 0 {
                return found;
            }
            left -= 1;
            let (path, Ok(kind)) = (entry.path(), entry.file_type()) else { continue };
            if entry.file_name().as_encoded_bytes().starts_with(b".") {
                continue;
            }
            if kind.is_dir() {
                folders.push_back(path);
            } else if let Some(name) = path.strip_prefix(top).ok().and_then(Path::to_str) {
                found.push_str(name);
                found.push('\0');
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn project_without_git_has_files_too_the_near_ones_first() {
        let scratch = crate::scratch::Scratch::new();
        std::fs::create_dir_all(scratch.path().join("a/b")).unwrap();
        std::fs::create_dir(scratch.path().join(".hidden")).unwrap();
        for file in ["a/b/deep.rs", "near.rs", ".hidden/key", ".env"] {
            std::fs::write(scratch.path().join(file), "").unwrap();
        }
        std::os::unix::fs::symlink(scratch.path(), scratch.path().join("a/round")).unwrap();
        assert_eq!(walk(scratch.path()), "near.rs\0a/round\0a/b/deep.rs\0");
        assert_eq!(walk(&scratch.path().join("nowhere")), "");
    }
}
