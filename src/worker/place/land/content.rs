//! The contents of a folder's files while a branch is moved: compared, written and removed, without following links.

use std::fs;
use std::io::{self, ErrorKind, Read as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _, symlink};
use std::path::Path;

use nix::fcntl::OFlag;

use crate::worker::place::git::{Folder, open_file};

/// Buffer size of comparisons, in bytes.
const PIECE_BYTES: usize = 64 * 1024;

/// A path that differs between two commits.
#[derive(Clone, Debug)]
pub(super) struct Difference {
    pub(super) path: Vec<u8>,
    /// Mode and id before and afterwards; a mode of zeros means that the file does not exist.
    pub(super) from: (String, String),
    pub(super) to: (String, String),
}

/// Parses the raw output of `git diff-tree -z`: `:MODE MODE ID ID STATUS`, then the path.
pub(super) fn differences(list: &[u8]) -> Vec<Difference> {
    let mut fields = list.split(|byte| *byte == 0);
    let mut found = Vec::new();
    while let (Some(facts), Some(path)) = (fields.next(), fields.next()) {
        let text = String::from_utf8_lossy(facts).into_owned();
        let words: Vec<&str> = text.trim_start_matches(':').split(' ').collect();
        if let [from_mode, to_mode, from_id, to_id, _] = words.as_slice() {
            found.push(Difference {
                path: path.to_vec(),
                from: ((*from_mode).to_owned(), (*from_id).to_owned()),
                to: ((*to_mode).to_owned(), (*to_id).to_owned()),
            });
        }
    }
    found
}

/// Returns whether a file of the folder equals that in `other`; also when neither exists.
pub(super) fn is_as(top: &Folder, path: &Path, other: &Path) -> bool {
    let other = other.join(path);
    let parent = match path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        Some(parent) => top.sub(parent).map(Some),
        None => Ok(None),
    };
    let expected = other.symlink_metadata().ok().filter(|found| !found.is_dir());
    let Ok(parent) = parent else { return expected.is_none() };
    let name = path.file_name().unwrap_or_default();
    let place = parent.as_ref().unwrap_or(top).path().join(name);
    match (place.symlink_metadata(), expected) {
        (Err(_), None) => true,
        (Ok(found), Some(expected)) if found.is_symlink() && expected.is_symlink() => {
            fs::read_link(&place).ok() == fs::read_link(&other).ok()
        }
        (Ok(found), Some(expected)) if found.is_file() && expected.is_file() => {
            let runs = |facts: &fs::Metadata| facts.permissions().mode() & 0o100 != 0;
            found.len() == expected.len() && runs(&found) == runs(&expected) && same_content(&place, &other)
        }
        _ => false,
    }
}

fn same_content(one: &Path, other: &Path) -> bool {
    let open = |path: &Path| open_file(path, OFlag::O_NOFOLLOW).ok().flatten();
    let (Some(mut one), Some(mut other)) = (open(one), open(other)) else { return false };
    let (mut a, mut b) = (vec![0; PIECE_BYTES], vec![0; PIECE_BYTES]);
    loop {
        let Ok(count) = one.read(&mut a) else { return false };
        if count == 0 {
            return other.read(&mut b).is_ok_and(|count| count == 0);
        }
        if other.read_exact(&mut b[..count]).is_err() || a[..count] != b[..count] {
            return false;
        }
    }
}

/// Writes a temporary file or link beside its target and renames it.
pub(super) fn put(top: &Folder, path: &Path, source: &Path, id: &str) -> io::Result<()> {
    let folder = match path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        Some(parent) => &top.make_sub(parent)?,
        None => top,
    };
    let name = path.file_name().ok_or(ErrorKind::InvalidInput)?;
    let unfinished = format!(".rs-worker-{}", id);
    folder.remove(&unfinished)?;
    let facts = source.symlink_metadata()?;
    let draft = folder.path().join(&unfinished);
    let write = || -> io::Result<()> {
        if facts.is_symlink() {
            symlink(fs::read_link(source)?, &draft)?;
        } else {
            let runs = facts.permissions().mode() & 0o100 != 0;
            let mode = if runs { 0o777 } else { 0o666 };
            let mut options = fs::OpenOptions::new();
            let options = options.write(true).create_new(true).mode(mode);
            io::copy(&mut fs::File::open(source)?, &mut options.open(&draft)?)?;
        }
        // A replaced folder is empty by now, or stays.
        let place = folder.path().join(name);
        if place.symlink_metadata().is_ok_and(|found| found.is_dir()) {
            fs::remove_dir(&place)?;
        }
        fs::rename(&draft, place)
    };
    write().inspect_err(|_| drop(folder.remove(&unfinished)))
}

/// Removes a file, and the folders above it that are empty then.
pub(super) fn remove(top: &Folder, path: &Path) -> io::Result<()> {
    let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) else {
        return fs::remove_file(top.path().join(path));
    };
    fs::remove_file(top.sub(parent)?.path().join(path.file_name().unwrap_or_default()))?;
    for folder in parent.ancestors().filter(|folder| !folder.as_os_str().is_empty()) {
        let above = folder.parent().filter(|above| !above.as_os_str().is_empty());
        let opened = above.map(|above| top.sub(above)).transpose()?;
        let place = opened.as_ref().unwrap_or(top).path().join(folder.file_name().unwrap_or_default());
        if fs::remove_dir(place).is_err() {
            break;
        }
    }
    Ok(())
}

/// Creates the folder of a new submodule, or removes that of a removed one if it is empty, as git does.
pub(super) fn place_submodule(top: &Folder, path: &Path, gone: bool) {
    let done = if gone { remove_folder(top, path) } else { top.make_sub(path).map(drop) };
    if let Err(error) = done {
        log::info!("the folder of the submodule {} is left: {error}", path.display());
    }
}

fn remove_folder(top: &Folder, path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let opened = parent.map(|parent| top.sub(parent)).transpose()?;
    fs::remove_dir(opened.as_ref().unwrap_or(top).path().join(path.file_name().unwrap_or_default()))
}
