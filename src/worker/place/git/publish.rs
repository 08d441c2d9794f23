//! Writes to a repository: references that are compared and swapped, and objects that were made in the server's Git
//! directory.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;

use super::error::GitError;
use super::folder::{Folder, open_file};
use super::mirror::Git;
use super::refs::{self, is_ref_name};
use super::run::SHORT_BYTES;
use crate::journal::is_object_id;

/// A change of one reference, done only if the reference is as expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RefChange {
    /// A new reference, which must not exist yet.
    Create {
        /// Its full name.
        name: String,
        /// Its object's id.
        id: String,
    },
    /// A reference that gets another object.
    Update {
        /// Its full name.
        name: String,
        /// The new object's id.
        id: String,
        /// The id of the object that it must have before.
        expected: String,
    },
    /// A reference that is removed.
    Delete {
        /// Its full name.
        name: String,
        /// The id of the object that it must have before.
        expected: String,
    },
}

impl RefChange {
    fn name(&self) -> &str {
        let (Self::Create { name, .. } | Self::Update { name, .. } | Self::Delete { name, .. }) = self;
        name
    }

    fn line(&self) -> String {
        match self {
            Self::Create { name, id } => format!("create {name} {id}\n"),
            Self::Update { name, id, expected } => format!("update {name} {id} {expected}\n"),
            Self::Delete { name, expected } => format!("delete {name} {expected}\n"),
        }
    }

    fn is_valid(&self) -> bool {
        let (Self::Create { name, id } | Self::Update { name, id, .. } | Self::Delete { name, expected: id }) = self;
        let expected = if let Self::Update { expected, .. } = self { expected } else { id };
        is_ref_name(name) && is_object_id(id) && is_object_id(expected)
    }
}

impl Git<'_> {
    /// Changes references of the repository, all of them or none. The copy that git reads here is not updated.
    ///
    /// # Errors
    /// Fails when one is not as expected, or they cannot be written; git's message names it.
    pub(crate) fn change_refs(&self, changes: &[RefChange]) -> Result<(), GitError> {
        let common = &self.repository().common;
        for change in changes {
            if !change.is_valid() {
                return Err(GitError::failed("update-ref", b"", format!("not a reference: {}", change.name())));
            }
            if self.has_tables() {
                check_way(common, "reftable/tables.list")?;
            } else {
                check_way(common, "packed-refs")?;
                check_way(common, change.name())?;
            }
        }
        let gitdir = self.writer()?;
        let lines: String = changes.iter().map(RefChange::line).collect();
        let file = self.input([lines.as_bytes()])?;
        self.run_in(&gitdir, &["update-ref", "--stdin"], (Some(file), SHORT_BYTES), &[0]).map(drop)
    }

    /// Reads the current object of a reference in the repository; `None` where it does not exist.
    pub(in crate::worker) fn current(&self, name: &str) -> Result<Option<String>, GitError> {
        let args = ["rev-parse", "--verify", "--quiet", name];
        let answer = self.run_in(&self.writer()?, &args, (None, SHORT_BYTES), &[0, 1])?;
        Ok((answer.code == 0).then(|| String::from_utf8_lossy(&answer.output).trim_end().to_owned()))
    }

    fn writer(&self) -> Result<PathBuf, GitError> {
        let gitdir = self.dir().join("write");
        if !gitdir.exists() {
            self.make_writer(&gitdir)?;
        }
        Ok(gitdir)
    }

    /// Creates a Git directory of the server that uses the repository's own references.
    fn make_writer(&self, gitdir: &Path) -> Result<(), GitError> {
        self.beside("write")?;
        let common = &self.repository().common;
        let link = |name: &str| symlink(common.join(name), gitdir.join(name));
        let made = if self.has_tables() {
            refs::stand_ins(gitdir).and_then(|()| link("reftable"))
        } else {
            fs::write(gitdir.join("HEAD"), refs::TABLES_HEAD)
                .and_then(|()| link("refs"))
                .and_then(|()| link("packed-refs"))
        };
        made.map_err(GitError::io("a Git directory cannot be made"))
    }

    /// Copies the objects that git has made here to the repository, and makes them visible here too, because new
    /// objects there are not all linked.
    ///
    /// # Errors
    /// Fails when they cannot be written there.
    pub(in crate::worker) fn publish_objects(&self) -> Result<(), GitError> {
        let common = &self.repository().common;
        let made = self.dir().join("objects");
        let copied = Folder::open(common).and_then(|folder| folder.sub(Path::new("objects"))).and_then(|objects| {
            for entry in fs::read_dir(&made)? {
                let entry = entry?;
                let name = entry.file_name();
                if name != "info" && entry.file_type()?.is_dir() {
                    copy_files(&entry.path(), &objects.make_sub(Path::new(&name))?)?;
                }
            }
            Ok(())
        });
        copied.map_err(|error| GitError::broken(common.join("objects"), error.to_string()))
    }
}

/// Copies files of objects into a folder of the repository. A pack's index is written last, because git finds a pack by
/// it.
fn copy_files(from: &Path, to: &Folder) -> io::Result<()> {
    let mut names: Vec<String> =
        fs::read_dir(from)?.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    names.sort_by_key(|name| name.ends_with(".idx"));
    for name in names {
        let unfinished = format!("tmp_obj_{}", uuid::Uuid::new_v4().simple());
        let Some(mut source) = open_file(&from.join(&name), OFlag::O_NOFOLLOW)? else { continue };
        let mut copy = to.create(&unfinished)?;
        io::copy(&mut source, &mut copy)?;
        copy.set_permissions(fs::Permissions::from_mode(0o444))?;
        copy.sync_all()?;
        fs::rename(to.path().join(&unfinished), to.path().join(&name))?;
    }
    Ok(())
}

/// Checks that no link is on the path to a reference's file, which would redirect a write.
fn check_way(common: &Path, name: &str) -> Result<(), GitError> {
    let mut path = common.to_owned();
    for part in name.split('/') {
        path.push(part);
        match path.symlink_metadata() {
            Ok(found) if found.is_symlink() => {
                return Err(GitError::broken(path, "it is a link, which is not followed"));
            }
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(GitError::broken(path, error.to_string())),
        }
    }
    Ok(())
}
