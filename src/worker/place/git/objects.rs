//! Links to the objects of a repository, and of those that it borrows from.

use std::collections::VecDeque;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::error::GitError;
use super::folder::{FILE_BYTES_MAX, Folder};

/// Maximum number of object folders that a repository borrows from.
const ALTERNATES_MAX: usize = 32;

/// Name of the links to the objects of another of the server's Git directories.
const BORROWED: &str = "alternates/ours";

/// Links to the objects of a repository and of those that it borrows from. The server reads the lists of those, not
/// git. Objects that git writes stay in the server's directory.
pub(super) fn link_objects(objects: &Path, into: &Path, roots: &[PathBuf]) -> Result<(), GitError> {
    let (mut waiting, mut seen) = (VecDeque::from([objects.to_owned()]), Vec::new());
    let (mut list, failed) = (String::new(), "the objects cannot be linked");
    for folder in ["objects", "objects/info", "objects/pack", "alternates"] {
        fs::create_dir(into.join(folder)).map_err(GitError::io(failed))?;
    }
    while let Some(objects) = waiting.pop_front() {
        if seen.contains(&objects) {
            continue;
        }
        if seen.len() == ALTERNATES_MAX {
            return Err(GitError::broken(objects, "the repository borrows objects from too many others"));
        }
        let name = format!("alternates/{}", seen.len());
        link_folders(&objects, &into.join(&name)).map_err(GitError::io(failed))?;
        list.push_str(&format!("../{name}\n"));
        waiting.extend(borrowed(&objects, roots)?);
        seen.push(objects);
    }
    fs::write(into.join("objects/info/alternates"), list).map_err(GitError::io(failed))
}

/// Makes the objects that git has made in the server's Git directory `from` readable in `into`.
pub(super) fn borrow_objects(from: &Path, into: &Path) -> Result<(), GitError> {
    let failed = "the objects cannot be linked";
    link_folders(&from.join("objects"), &into.join(BORROWED)).map_err(GitError::io(failed))?;
    let list = into.join("objects/info/alternates");
    let mut file = fs::OpenOptions::new().append(true).open(list).map_err(GitError::io(failed))?;
    file.write_all(format!("../{BORROWED}\n").as_bytes()).map_err(GitError::io(failed))
}

/// Links to those of the folders of objects that are not links themselves.
fn link_folders(objects: &Path, view: &Path) -> std::io::Result<()> {
    fs::create_dir(view)?;
    for entry in fs::read_dir(objects)? {
        let entry = entry?;
        let name = entry.file_name();
        let wanted = name == "pack" || name.len() == 2 && name.as_encoded_bytes().iter().all(u8::is_ascii_hexdigit);
        if wanted && entry.file_type()?.is_dir() {
            symlink(entry.path(), view.join(name))?;
        }
    }
    Ok(())
}

/// Reads the list of object folders from which one borrows.
fn borrowed(objects: &Path, roots: &[PathBuf]) -> Result<Vec<PathBuf>, GitError> {
    let file = objects.join("info/alternates");
    let broken = |why: String| GitError::broken(&file, why);
    let Ok(info) = Folder::open(&objects.join("info")) else { return Ok(Vec::new()) };
    let bytes = info.read("alternates", FILE_BYTES_MAX).map_err(|error| broken(error.to_string()))?;
    let text = String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned();
    let mut found = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let path = objects.join(line).canonicalize().map_err(|error| broken(format!("{line}: {error}")))?;
        if !roots.is_empty() && !roots.iter().any(|root| path.starts_with(root)) {
            return Err(broken(format!("it borrows objects from {line}, which is outside of PROJECT_ROOTS")));
        }
        found.push(path);
    }
    Ok(found)
}
