//! The Git directory of ours in which git runs: a checked copy of a repository's settings and references, with links to its
//! objects.

use std::collections::VecDeque;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;

use super::config::Settings;
use super::error::GitError;
use super::folder::{FILE_BYTES_MAX, Folder, OwnFolder, open_file, read_file};
use super::person;
use super::refs;
use super::repository::Repository;
use super::run::{Answer, Budget, SHORT_BYTES, command, run};

/// Names of our Git directories begin so, in the folder of the workers' folders.
const PREFIX: &str = ".git-";
/// Most folders of objects that a repository borrows from.
const ALTERNATES_MAX: usize = 32;
/// Longest index, in bytes.
const INDEX_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// Files that say which files there are and how they are stored, in the common folder.
const SHARED_FILES: [&str; 3] = ["info/exclude", "info/attributes", "shallow"];
/// Such files that each working folder has of its own.
const OWN_FILES: [&str; 1] = ["info/sparse-checkout"];

/// Objects that git knows without a repository.
#[derive(Clone, Copy, Debug)]
pub(in crate::worker) struct EmptyIds {
    /// The tree without files.
    pub(in crate::worker) tree: &'static str,
    /// The file without content.
    pub(in crate::worker) file: &'static str,
}

const EMPTY_SHA1: EmptyIds =
    EmptyIds { tree: "4b825dc642cb6eb9a060e54bf8d69288fbee4904", file: "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391" };
const EMPTY_SHA256: EmptyIds = EmptyIds {
    tree: "6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321",
    file: "473a0f4c3be8a93681a267e3b1e9a7dcda1185436fe141f7749120a303721813",
};

/// The folder of our own Git directories, and the roots from which they may borrow objects.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    /// The folder of the workers' folders.
    pub data: &'a Path,
    /// Folders that projects must lie in; empty is anywhere.
    pub roots: &'a [PathBuf],
}

/// git, for one repository and one request.
pub(crate) struct Git<'a> {
    folder: OwnFolder,
    repository: Repository,
    settings: Settings,
    budget: Budget<'a>,
    /// The directory in which git runs: names are relative to it.
    cwd: PathBuf,
}

impl<'a> Git<'a> {
    /// Copies what git needs of a repository.
    ///
    /// # Errors
    /// When the repository is damaged or of an unknown format, or the copy cannot be made.
    pub(crate) fn open(repository: Repository, place: Place<'_>, budget: Budget<'a>) -> Result<Self, GitError> {
        let path = place.data.join(format!("{PREFIX}{}", uuid::Uuid::new_v4()));
        let folder = OwnFolder::new(path.clone()).map_err(GitError::io(path.display().to_string()))?;
        let own = repository.settings()?.allowed();
        fs::write(path.join("config"), Settings::default().file()).map_err(GitError::io("config"))?;
        let mut settings = person::settings(&path, &budget);
        settings.merge(own);
        let git = Self { folder, cwd: repository.top.clone(), repository, settings, budget };
        git.fill(place)?;
        Ok(git)
    }

    fn fill(&self, place: Place<'_>) -> Result<(), GitError> {
        let (into, Repository { own, common, .. }) = (self.folder.path(), &self.repository);
        fs::write(into.join("config"), self.settings.file()).map_err(GitError::io("config"))?;
        fs::create_dir(into.join("info")).map_err(GitError::io("info"))?;
        link_objects(&common.join("objects"), into, place)?;
        for (folder, names) in [(common, &SHARED_FILES[..]), (own, &OWN_FILES)] {
            for name in names {
                let from = folder.join(name);
                let bytes = read_file(&from, FILE_BYTES_MAX, OFlag::O_NOFOLLOW)
                    .map_err(|error| GitError::broken(from, error.to_string()))?;
                if let Some(bytes) = bytes {
                    fs::write(into.join(name), bytes).map_err(GitError::io(*name))?;
                }
            }
        }
        self.copy_refs()?;
        self.copy_index()
    }

    fn copy_refs(&self) -> Result<(), GitError> {
        let (into, Repository { own, common, .. }) = (self.folder.path(), &self.repository);
        if !self.has_tables() {
            return refs::copy_files(common, own, into);
        }
        refs::copy_tables(common, into)?;
        if own == common {
            return Ok(());
        }
        // A worktree has its HEAD in tables of its own: it is asked for there, and set here.
        let head = self.beside("head")?;
        refs::copy_tables(own, &head)?;
        let ask = |args: &[&str]| self.line_in(&head, args);
        if let Some(branch) = ask(&["symbolic-ref", "--quiet", "HEAD"])? {
            self.output(&["symbolic-ref", "HEAD", &branch], SHORT_BYTES)?;
        } else if let Some(id) = ask(&["rev-parse", "--verify", "--quiet", "HEAD"])? {
            self.output(&["update-ref", "--no-deref", "HEAD", &id], SHORT_BYTES)?;
        }
        Ok(())
    }

    /// Copies the index with its time, by which git knows which files have changed since.
    fn copy_index(&self) -> Result<(), GitError> {
        let own = &self.repository.own;
        let mut names = vec!["index".to_owned()];
        names.extend(
            fs::read_dir(own).into_iter().flatten().flatten().filter_map(|entry| {
                entry.file_name().into_string().ok().filter(|name| name.starts_with("sharedindex."))
            }),
        );
        for name in names {
            let from = own.join(&name);
            let fail = |error: std::io::Error| GitError::broken(from.clone(), error.to_string());
            let Some(mut file) = open_file(&from, OFlag::O_NOFOLLOW).map_err(fail)? else { continue };
            let found = file.metadata().map_err(fail)?;
            if found.len() > INDEX_BYTES_MAX {
                return Err(GitError::broken(from, format!("it is longer than {INDEX_BYTES_MAX} bytes")));
            }
            let copied = fs::File::create_new(self.folder.path().join(&name)).and_then(|mut copy| {
                std::io::copy(&mut file, &mut copy)?;
                copy.set_modified(found.modified()?)
            });
            copied.map_err(GitError::io("the index cannot be copied"))?;
        }
        Ok(())
    }

    /// Itself, run in this folder of the working folder instead of its top.
    #[must_use]
    pub(crate) fn run_from(mut self, folder: &Path) -> Self {
        folder.clone_into(&mut self.cwd);
        self
    }

    /// The settings of a worktree that has the same choice of files.
    pub(in crate::worker) fn sparse_config(&self) -> String {
        self.settings.sparse()
    }

    /// The id of the kind that its objects have, for a tree or a file without content.
    pub(in crate::worker) fn empty_ids(&self) -> EmptyIds {
        if self.settings.get("extensions.objectformat") == Some("sha256") { EMPTY_SHA256 } else { EMPTY_SHA1 }
    }

    /// Returns whether its references are in tables.
    pub(in crate::worker) fn has_tables(&self) -> bool {
        self.settings.get("extensions.refstorage") == Some("reftable")
    }

    /// Its repository.
    pub(crate) fn repository(&self) -> &Repository {
        &self.repository
    }

    /// The Git directory of ours.
    pub(in crate::worker) fn dir(&self) -> &Path {
        self.folder.path()
    }

    /// One more Git directory of ours with the same settings, objects and no references.
    pub(in crate::worker) fn beside(&self, name: &str) -> Result<PathBuf, GitError> {
        let path = self.folder.path().join(name);
        let made = fs::create_dir(&path)
            .and_then(|()| fs::write(path.join("config"), self.settings.file()))
            .and_then(|()| symlink(self.folder.path().join("objects"), path.join("objects")));
        made.map_err(GitError::io("a Git directory cannot be made"))?;
        Ok(path)
    }

    /// Runs git with these arguments: its output, cut at `bytes`.
    ///
    /// # Errors
    /// When it does not exit with 0 within the budget.
    pub(crate) fn output(&self, args: &[&str], bytes: usize) -> Result<Answer, GitError> {
        self.run_in(self.folder.path(), args, (None, bytes), &[0])
    }

    /// As [`Self::output`], with lines for its stdin; each ends with a NUL.
    ///
    /// # Errors
    /// As there.
    pub(in crate::worker) fn with_input<'i>(
        &self,
        args: &[&str],
        lines: impl IntoIterator<Item = &'i [u8]>,
        bytes: usize,
    ) -> Result<Answer, GitError> {
        let path = self.folder.path().join("input");
        let written = fs::File::create(&path).and_then(|file| {
            let mut file = std::io::BufWriter::new(file);
            for line in lines {
                file.write_all(line)?;
            }
            file.flush()?;
            fs::File::open(&path)
        });
        let file = written.map_err(GitError::io("git's input cannot be written"))?;
        self.run_in(self.folder.path(), args, (Some(file), bytes), &[0])
    }

    /// The line that git prints; `None` when it exits with 1, by which it says that there is none.
    ///
    /// # Errors
    /// When it fails otherwise.
    pub(crate) fn line(&self, args: &[&str]) -> Result<Option<String>, GitError> {
        self.line_in(self.folder.path(), args)
    }

    fn line_in(&self, gitdir: &Path, args: &[&str]) -> Result<Option<String>, GitError> {
        let answer = self.run_in(gitdir, args, (None, SHORT_BYTES), &[0, 1])?;
        let text = String::from_utf8_lossy(&answer.output);
        Ok((answer.code == 0).then(|| text.strip_suffix('\n').unwrap_or(&text).to_owned()))
    }

    /// Reads the references that the tables in the Git directory `own` name, with the log of its HEAD.
    pub(in crate::worker) fn named_in_tables(&self, own: &Path, bytes: usize) -> Result<Vec<u8>, GitError> {
        let copy = self.beside(&format!("tables-{}", uuid::Uuid::new_v4()))?;
        refs::copy_tables(own, &copy)?;
        let questions: [&[&str]; 3] = [
            &["for-each-ref", "--format=%(objectname) %(refname)"],
            &["rev-parse", "--verify", "--quiet", "HEAD"],
            &["reflog", "show", "--format=%H", "HEAD"],
        ];
        let mut named = Vec::new();
        for args in questions {
            // git fails where HEAD is a branch of the common folder, whose tables are not here.
            let answer = self.run_in(&copy, args, (None, bytes), &[0, 1, 128])?;
            named.extend_from_slice(&answer.output);
            named.push(b'\n');
        }
        Ok(named)
    }

    /// Runs git in one of the Git directories of ours.
    pub(in crate::worker) fn run_in(
        &self,
        gitdir: &Path,
        args: &[&str],
        (input, bytes): (Option<fs::File>, usize),
        codes: &[i32],
    ) -> Result<Answer, GitError> {
        let action = args.first().copied().unwrap_or_default();
        let mut command = command(gitdir, &self.repository.top, args);
        command.current_dir(&self.cwd);
        run(&mut command, action, (input, bytes), codes, &self.budget)
    }
}

/// Links to the objects of a repository and of those that it borrows from. The lists of those are read here, and not by
/// git. Objects that git writes stay with us.
fn link_objects(objects: &Path, into: &Path, place: Place<'_>) -> Result<(), GitError> {
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
        waiting.extend(borrowed(&objects, place)?);
        seen.push(objects);
    }
    fs::write(into.join("objects/info/alternates"), list).map_err(GitError::io(failed))
}

/// Links to the folders of objects that are none themselves.
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

/// The folders of objects that one borrows from.
fn borrowed(objects: &Path, place: Place<'_>) -> Result<Vec<PathBuf>, GitError> {
    let file = objects.join("info/alternates");
    let broken = |why: String| GitError::broken(&file, why);
    let Ok(info) = Folder::open(&objects.join("info")) else { return Ok(Vec::new()) };
    let bytes = info.read("alternates", FILE_BYTES_MAX).map_err(|error| broken(error.to_string()))?;
    let text = String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned();
    let mut found = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let path = objects.join(line).canonicalize().map_err(|error| broken(format!("{line}: {error}")))?;
        if !place.roots.is_empty() && !place.roots.iter().any(|root| path.starts_with(root)) {
            return Err(broken(format!("it borrows objects from {line}, which is outside of PROJECT_ROOTS")));
        }
        found.push(path);
    }
    Ok(found)
}

/// Removes Git directories of ours that an earlier server left when it was killed.
pub(crate) fn remove_left_over(data: &Path) {
    for entry in fs::read_dir(data).into_iter().flatten().flatten() {
        if entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX))
            && let Err(error) = fs::remove_dir_all(entry.path())
        {
            log::warn!("{} cannot be removed: {error}", entry.path().display());
        }
    }
}
