//! One folder of a project: its entries, without following links.

use std::fs;
use std::io;
use std::path::Path;

use nix::fcntl::OFlag;
use serde::Serialize;

use crate::worker::place::git::Folder;
use crate::worker::place::project::open_without_links;

/// Maximum number of entries that are listed.
const ENTRIES_MAX: usize = 2000;
/// Maximum number of entries that are read.
const LOOKED_AT_MAX: usize = 20_000;

/// The entries of a folder.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct FolderListing {
    /// Sorted by name, folders first.
    pub entries: Vec<ListedEntry>,
    /// True if there are more.
    pub truncated: bool,
}

/// An entry of a folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct ListedEntry {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: ListedKind,
    /// Its size in bytes, if it is a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
}

/// The kind of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ListedKind {
    /// A folder.
    Folder,
    /// A regular file.
    File,
    /// A symbolic link, which is not followed.
    Link,
    /// A pipe, a socket or a device.
    Other,
}

/// Lists a folder. No part of its path may be a link. The Git directory and what `is_hidden` accepts are left out.
pub(in crate::worker) fn list(folder: &Path, is_hidden: &dyn Fn(&Path) -> bool) -> io::Result<FolderListing> {
    let opened = Folder::from(open_without_links(folder, OFlag::O_DIRECTORY | OFlag::O_RDONLY)?);
    let mut listed = FolderListing::default();
    for (count, entry) in fs::read_dir(opened.path())?.enumerate() {
        if count == LOOKED_AT_MAX {
            listed.truncated = true;
            break;
        }
        let entry = entry?;
        let name = entry.file_name();
        // An entry that was removed meanwhile is left out.
        let Ok(found) = entry.metadata() else { continue };
        if name == ".git" || is_hidden(&folder.join(&name)) {
            continue;
        }
        let kind = match found.file_type() {
            kind if kind.is_dir() => ListedKind::Folder,
            kind if kind.is_file() => ListedKind::File,
            kind if kind.is_symlink() => ListedKind::Link,
            _ => ListedKind::Other,
        };
        let size = found.is_file().then_some(found.len());
        listed.entries.push(ListedEntry { name: name.to_string_lossy().into_owned(), kind, size });
    }
    listed
        .entries
        .sort_by(|a, b| (a.kind != ListedKind::Folder, &a.name).cmp(&(b.kind != ListedKind::Folder, &b.name)));
    listed.truncated |= listed.entries.len() > ENTRIES_MAX;
    listed.entries.truncate(ENTRIES_MAX);
    Ok(listed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folder_lists_its_entries_and_follows_no_link() {
        let scratch = crate::scratch::Scratch::new();
        let top = scratch.path().canonicalize().unwrap();
        for folder in ["project/.git", "project/zz", "outside"] {
            fs::create_dir_all(top.join(folder)).unwrap();
        }
        fs::write(top.join("project/a.txt"), "12345").unwrap();
        fs::write(top.join("project/hidden"), "").unwrap();
        std::os::unix::fs::symlink(top.join("outside"), top.join("project/b")).unwrap();
        let listed = list(&top.join("project"), &|path| path.ends_with("hidden")).unwrap();
        let entries: Vec<_> =
            listed.entries.iter().map(|entry| (entry.name.as_str(), entry.kind, entry.size)).collect();
        assert_eq!(
            entries,
            [("zz", ListedKind::Folder, None), ("a.txt", ListedKind::File, Some(5)), ("b", ListedKind::Link, None)]
        );
        assert!(list(&top.join("project/b"), &|_| false).is_err());
        assert!(list(&top.join("project/a.txt"), &|_| false).is_err());
        for number in 0..=ENTRIES_MAX {
            fs::write(top.join(format!("outside/{number}")), "").unwrap();
        }
        let listed = list(&top.join("outside"), &|_| false).unwrap();
        assert_eq!((listed.entries.len(), listed.truncated), (ENTRIES_MAX, true));
    }
}
