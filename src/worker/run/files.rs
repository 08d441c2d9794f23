//! Requests of a CLI for files that the server serves instead of the CLI opening them: only those of its project.
//!
//! Runs on the worker's reader thread, without a lock.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;

use crate::adapter::{FileAccess, FileRequest};
use crate::worker::place::project::open_without_links;

/// Largest file that is read for a CLI, in bytes: its answer must fit one line of a journal with room to spare.
const FILE_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// Executes a request, only inside the folder `project`. Returns the content, or the reason for a refusal.
pub(in crate::worker) fn serve(project: &Path, request: &FileRequest) -> Result<Option<String>, String> {
    let path = inside(project, &request.path)?;
    let reported = |error: std::io::Error| format!("{}: {error}", request.path.display());
    match &request.access {
        FileAccess::Read { line, limit } => {
            let text = read(&path).map_err(reported)?;
            Ok(Some(part(&text, *line, *limit)))
        }
        FileAccess::Write { content } => {
            write(&path, content).map_err(reported)?;
            Ok(None)
        }
    }
}

/// Returns the real path of a file in `project`. For a file that does not exist yet, its folder must exist.
pub(in crate::worker) fn inside(project: &Path, path: &Path) -> Result<PathBuf, String> {
    let refused = |why: String| format!("{}: {why}", path.display());
    if !path.is_absolute() {
        return Err(refused("the path must be absolute".to_owned()));
    }
    let resolved = project.canonicalize().map_err(|error| refused(format!("the project's folder: {error}")))?;
    if resolved != project {
        return Err(refused(format!("the project's folder is now a link to {}", resolved.display())));
    }
    let real = path.canonicalize().or_else(|error| match (path.parent(), path.file_name()) {
        (Some(folder), Some(name)) if error.kind() == std::io::ErrorKind::NotFound => {
            folder.canonicalize().map(|folder| folder.join(name))
        }
        _ => Err(error),
    });
    let real = real.map_err(|error| refused(error.to_string()))?;
    if !real.starts_with(project) {
        return Err(refused("this file is not in the project's folder".to_owned()));
    }
    Ok(real)
}

/// Opens a resolved path. No part of it may have become a link in between, and opening a pipe does not block.
pub(in crate::worker) fn open(path: &Path, flags: OFlag) -> std::io::Result<File> {
    Ok(open_without_links(path, flags | OFlag::O_NONBLOCK | OFlag::O_NOCTTY)?.into())
}

fn read(path: &Path) -> std::io::Result<String> {
    let file = open(path, OFlag::O_RDONLY)?;
    regular(&file)?;
    let mut text = String::new();
    file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(std::io::Error::other(format!("the file has more than {FILE_BYTES_MAX} bytes")));
    }
    Ok(text)
}

fn write(path: &Path, content: &str) -> std::io::Result<()> {
    let mut file = open(path, OFlag::O_WRONLY | OFlag::O_CREAT)?;
    regular(&file)?;
    file.set_len(0)?;
    file.write_all(content.as_bytes())
}

fn regular(file: &File) -> std::io::Result<()> {
    if file.metadata()?.is_file() { Ok(()) } else { Err(std::io::Error::other("not a regular file")) }
}

/// Returns the lines from `line` on (from 1), at most `limit` of them.
fn part(text: &str, line: Option<u64>, limit: Option<u64>) -> String {
    let count = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    let skip = count(line.unwrap_or(1).max(1) - 1);
    text.split_inclusive('\n').skip(skip).take(limit.map_or(usize::MAX, count)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    fn request(path: PathBuf, content: Option<&str>) -> FileRequest {
        let access = match content {
            Some(content) => FileAccess::Write { content: content.to_owned() },
            None => FileAccess::Read { line: None, limit: None },
        };
        FileRequest { path, access }
    }

    #[test]
    fn files_of_the_project_are_read_and_written() {
        let folder = Scratch::new();
        let file = folder.path().join("a.txt");
        assert_eq!(serve(folder.path(), &request(file.clone(), Some("1\n2\n3\n"))), Ok(None));
        assert_eq!(serve(folder.path(), &request(file.clone(), None)), Ok(Some("1\n2\n3\n".to_owned())));
        let access = FileAccess::Read { line: Some(2), limit: Some(1) };
        assert_eq!(serve(folder.path(), &FileRequest { path: file.clone(), access }), Ok(Some("2\n".to_owned())));
        assert_eq!(serve(folder.path(), &request(file.clone(), Some("x"))), Ok(None));
        assert_eq!(std::fs::read_to_string(file).unwrap(), "x", "what was there is gone");
    }

    #[test]
    fn nothing_outside_the_project_is_touched() {
        let folder = Scratch::new();
        let (project, secret) = (folder.path().join("project"), folder.path().join("secret"));
        std::fs::create_dir(&project).unwrap();
        std::fs::write(&secret, "s").unwrap();
        std::os::unix::fs::symlink(&secret, project.join("link")).unwrap();
        std::os::unix::fs::symlink(folder.path(), project.join("up")).unwrap();
        let ways = [secret.clone(), project.join("../secret"), project.join("link"), project.join("up/secret")];
        for path in ways.iter().chain(&[project.join("up/new"), PathBuf::from("secret"), project.join("../new")]) {
            for content in [None, Some("changed")] {
                assert!(serve(&project, &request(path.clone(), content)).is_err(), "{}", path.display());
            }
        }
        assert_eq!(std::fs::read_to_string(&secret).unwrap(), "s");
        assert!(!folder.path().join("new").exists());
        assert!(serve(&project, &request(project.clone(), None)).is_err(), "a folder is no file");
    }

    #[test]
    fn resolved_path_that_becomes_a_link_is_refused() {
        let folder = Scratch::new();
        let (project, outside) = (folder.path().join("project"), folder.path().join("outside"));
        std::fs::create_dir_all(project.join("sub")).unwrap();
        std::fs::create_dir(&outside).unwrap();
        std::fs::write(outside.join("file"), "s").unwrap();
        std::fs::write(project.join("sub/file"), "own").unwrap();
        let path = inside(&project, &project.join("sub/file")).unwrap();
        std::fs::rename(project.join("sub"), project.join("old")).unwrap();
        std::os::unix::fs::symlink(&outside, project.join("sub")).unwrap();
        assert!(read(&path).is_err() && write(&path, "changed").is_err());
        // The project itself may have been replaced, by an agent that works in the folder above it.
        std::fs::rename(&project, folder.path().join("moved")).unwrap();
        std::os::unix::fs::symlink(&outside, &project).unwrap();
        let refused = serve(&project, &request(project.join("file"), Some("changed"))).unwrap_err();
        assert!(refused.contains("is now a link to"), "{refused}");
        assert_eq!(std::fs::read_to_string(outside.join("file")).unwrap(), "s");
    }

    #[test]
    fn file_that_is_too_long_or_no_text_is_refused() {
        let folder = Scratch::new();
        let file = folder.path().join("a");
        File::create(&file).unwrap().set_len(FILE_BYTES_MAX + 1).unwrap();
        assert!(serve(folder.path(), &request(file.clone(), None)).is_err());
        std::fs::write(&file, [0xff]).unwrap();
        assert!(serve(folder.path(), &request(file, None)).is_err());
    }
}
