//! Files that the server leaves in a project for its agent, and that git ignores: in a folder with its own
//! `.gitignore`, so that no file of the project is changed and the repository's configuration does not matter.

use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use crate::worker::error::WorkerError;
use crate::worker::place::git::Folder;

/// The folder in the project.
pub(in crate::worker) const FOLDER: &str = ".rs-worker";
/// The name and content of the file that makes git ignore the folder, itself included.
const IGNORE: (&str, &str) = (".gitignore", "*\n");
/// Permissions of the files: a conversation is private.
const MODE: u32 = 0o600;

/// Writes a file into the folder, and returns its path relative to the project. An existing file is left unchanged.
///
/// # Errors
/// Fails when the project or the folder has become a link, or the disk is full.
pub(in crate::worker) fn write(project: &Path, name: &str, text: &str) -> Result<String, WorkerError> {
    let path = format!("{FOLDER}/{name}");
    let folder = Folder::open(project).and_then(|project| project.make_sub(Path::new(FOLDER)));
    let written = folder.and_then(|folder| {
        write_new(&folder, IGNORE.0, IGNORE.1)?;
        write_new(&folder, name, text)
    });
    written.map(|()| path.clone()).map_err(|error| {
        WorkerError::Conflict(format!("the file {path} cannot be written in {}: {error}", project.display()))
    })
}

/// Writes a file atomically under its name, unless something has that name already.
fn write_new(folder: &Folder, name: &str, text: &str) -> io::Result<()> {
    let path = folder.path();
    if path.join(name).symlink_metadata().is_ok() {
        return Ok(());
    }
    let draft = path.join(format!(".{}", uuid::Uuid::new_v4()));
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(MODE).open(&draft)?;
    let named = file.write_all(text.as_bytes()).and_then(|()| std::fs::hard_link(&draft, path.join(name)));
    std::fs::remove_file(&draft)?;
    match named {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn file_is_written_once_in_a_folder_that_ignores_itself() {
        let project = Scratch::new();
        assert_eq!(write(project.path(), "a.md", "first").unwrap(), ".rs-worker/a.md");
        write(project.path(), "a.md", "second").unwrap();
        let folder = project.path().join(FOLDER);
        assert_eq!(fs::read_to_string(folder.join("a.md")).unwrap(), "first");
        assert_eq!(fs::read_to_string(folder.join(".gitignore")).unwrap(), "*\n");
        assert_eq!(fs::read_dir(folder).unwrap().count(), 2, "no draft is left");
    }

    #[test]
    fn a_link_leads_no_file_out_of_the_project() {
        let (project, outside) = (Scratch::new(), Scratch::new());
        symlink(outside.path(), project.path().join(FOLDER)).unwrap();
        assert!(write(project.path(), "a.md", "text").is_err());
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
        fs::remove_file(project.path().join(FOLDER)).unwrap();
        fs::create_dir(project.path().join(FOLDER)).unwrap();
        symlink(outside.path().join("target"), project.path().join(FOLDER).join("a.md")).unwrap();
        write(project.path(), "a.md", "text").unwrap();
        assert!(!outside.path().join("target").exists());
    }
}
