//! Writes to a repository: references that are compared and swapped, and objects that were made in our Git directory.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use nix::fcntl::OFlag;

use super::error::GitError;
use super::folder::{Folder, open_file};
use super::mirror::Git;
use super::refs::{self, is_object_id, is_ref_name};
use super::run::SHORT_BYTES;

/// A change of one reference, done only if the reference is as expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RefChange {
    /// It must not be there yet.
    Create {
        /// Its full name.
        name: String,
        /// Its object's id.
        id: String,
    },
    /// It goes away.
    Delete {
        /// Its full name.
        name: String,
        /// The id of the object that it must have.
        expected: String,
    },
}

impl RefChange {
    fn name(&self) -> &str {
        let (Self::Create { name, .. } | Self::Delete { name, .. }) = self;
        name
    }

    fn line(&self) -> String {
        match self {
            Self::Create { name, id } => format!("create {name} {id}\n"),
            Self::Delete { name, expected } => format!("delete {name} {expected}\n"),
        }
    }

    fn is_valid(&self) -> bool {
        let (Self::Create { name, id } | Self::Delete { name, expected: id }) = self;
        is_ref_name(name) && is_object_id(id)
    }
}

impl Git<'_> {
    /// Changes references of the repository, all of them or none. The copy that git reads here is not changed with them.
    ///
    /// # Errors
    /// When one is not as expected, or they cannot be written; git's words say which.
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
        let gitdir = self.dir().join("write");
        if !gitdir.exists() {
            self.make_writer(&gitdir)?;
        }
        let input = gitdir.join("input");
        let lines: String = changes.iter().map(RefChange::line).collect();
        let file = fs::write(&input, lines).and_then(|()| fs::File::open(&input));
        let file = file.map_err(GitError::io("git's input cannot be written"))?;
        self.run_in(&gitdir, &["update-ref", "--stdin"], (Some(file), SHORT_BYTES), &[0]).map(drop)
    }

    /// A Git directory of ours whose references are the repository's own.
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

    /// Moves the objects that git has made here to the repository.
    ///
    /// # Errors
    /// When they cannot be written there.
    pub(in crate::worker) fn publish_objects(&self) -> Result<(), GitError> {
        let common = &self.repository().common;
        let made = self.dir().join("objects");
        let moved = Folder::open(common).and_then(|folder| folder.sub(Path::new("objects"))).and_then(|objects| {
            for entry in fs::read_dir(&made)? {
                let entry = entry?;
                let name = entry.file_name();
                if name != "info" && entry.file_type()?.is_dir() {
                    move_files(&entry.path(), &objects.make_sub(Path::new(&name))?)?;
                }
            }
            Ok(())
        });
        moved.map_err(|error| GitError::broken(common.join("objects"), error.to_string()))
    }
}

/// Moves files of objects into a folder of the repository. A pack's index comes last, since git finds a pack by it.
fn move_files(from: &Path, to: &Folder) -> io::Result<()> {
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
        fs::remove_file(from.join(&name))?;
    }
    Ok(())
}

/// Checks that no link stands on the way to a reference's file, which would lead a write elsewhere.
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
