//! The server's own Git directory in which git runs: a checked copy of a repository's settings and references, with
//! links to its objects.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;

use super::config::GitSettings;
use super::error::GitError;
use super::folder::{FILE_BYTES_MAX, OwnFolder, open_file, read_file};
use super::objects::{borrow_objects, link_objects};
use super::person;
use super::refs;
use super::repository::Repository;
use super::run::{GitBudget, GitOutput, SHORT_BYTES, command, run};

/// Prefix of the names of the server's Git directories, in the folder of the workers' folders.
const PREFIX: &str = ".git-";
/// Longest index, in bytes.
const INDEX_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// Files in the common folder that define which files exist and how they are stored.
const SHARED_FILES: [&str; 3] = ["info/exclude", "info/attributes", "shallow"];
/// Such files that each working folder has separately.
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

/// The folder of the server's Git directories, and the roots from which they may borrow objects.
#[derive(Clone, Copy)]
pub(crate) struct MirrorFolder<'a> {
    /// The folder of the workers' folders.
    pub data: &'a Path,
    /// Folders that projects must be in; empty means anywhere.
    pub roots: &'a [PathBuf],
}

/// Another index or working folder for one run of git; the defaults when absent.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::worker) struct At<'a> {
    /// The index.
    pub(in crate::worker) index: Option<&'a Path>,
    /// The working folder.
    pub(in crate::worker) top: Option<&'a Path>,
}

/// git, for one repository and one request.
pub(crate) struct Git<'a> {
    folder: OwnFolder,
    repository: Repository,
    settings: GitSettings,
    budget: GitBudget<'a>,
    /// The directory in which git runs: names are relative to it.
    cwd: PathBuf,
}

impl<'a> Git<'a> {
    /// Copies what git needs of a repository.
    ///
    /// # Errors
    /// Fails when the repository is damaged or of an unknown format, or the copy cannot be made.
    pub(crate) fn open(
        repository: Repository,
        place: MirrorFolder<'_>,
        budget: GitBudget<'a>,
    ) -> Result<Self, GitError> {
        Self::open_with(repository, place, budget, None)
    }

    /// Does the same as [`Self::open`], with the server's own index instead of a copy of the repository's.
    ///
    /// # Errors
    /// As there.
    pub(in crate::worker) fn open_with(
        repository: Repository,
        place: MirrorFolder<'_>,
        budget: GitBudget<'a>,
        index: Option<&Path>,
    ) -> Result<Self, GitError> {
        let path = place.data.join(format!("{PREFIX}{}", uuid::Uuid::new_v4()));
        let folder = OwnFolder::new(path.clone()).map_err(GitError::io(path.display().to_string()))?;
        let own = repository.settings()?.allowed();
        fs::write(path.join("config"), GitSettings::default().file()).map_err(GitError::io("config"))?;
        let mut settings = person::settings(&path, &budget);
        settings.merge(own);
        let git = Self { folder, cwd: repository.top.clone(), repository, settings, budget };
        git.fill(place)?;
        match index {
            Some(index) => git.use_index(index)?,
            None => git.copy_index()?,
        }
        Ok(git)
    }

    fn fill(&self, place: MirrorFolder<'_>) -> Result<(), GitError> {
        let (into, Repository { own, common, .. }) = (self.folder.path(), &self.repository);
        fs::write(into.join("config"), self.settings.file()).map_err(GitError::io("config"))?;
        fs::create_dir(into.join("info")).map_err(GitError::io("info"))?;
        link_objects(&common.join("objects"), into, place.roots)?;
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
        self.copy_refs()
    }

    /// Copies the server's own index with its time.
    fn use_index(&self, index: &Path) -> Result<(), GitError> {
        let copied = fs::copy(index, self.folder.path().join("index")).and_then(|_| {
            let copy = fs::File::options().write(true).open(self.folder.path().join("index"))?;
            copy.set_modified(fs::metadata(index)?.modified()?)
        });
        copied.map_err(GitError::io("the index cannot be copied"))
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
        // A worktree has its HEAD in its own tables: it is read there, and set here.
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

    /// Copies the index with its time, by which git detects files that changed since.
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

    /// Returns the same directory, with runs in this folder of the working folder instead of its top.
    #[must_use]
    pub(crate) fn run_from(mut self, folder: &Path) -> Self {
        folder.clone_into(&mut self.cwd);
        self
    }

    /// Returns the settings of a worktree with the same sparse checkout.
    pub(in crate::worker) fn sparse_config(&self) -> String {
        self.settings.sparse()
    }

    /// Returns the id of the empty tree or the empty file in the repository's object format.
    pub(in crate::worker) fn empty_ids(&self) -> EmptyIds {
        if self.settings.get("extensions.objectformat") == Some("sha256") { EMPTY_SHA256 } else { EMPTY_SHA1 }
    }

    /// Returns whether an index entry has the same mode and path as its file.
    pub(in crate::worker) fn has_files_as_they_are(&self) -> bool {
        let changed = [("core.filemode", false), ("core.symlinks", false)];
        changed.iter().all(|(name, value)| self.settings.flag(name) != Some(*value))
    }

    /// Returns whether its references are in tables.
    pub(in crate::worker) fn has_tables(&self) -> bool {
        self.settings.get("extensions.refstorage") == Some("reftable")
    }

    /// Its repository.
    pub(crate) fn repository(&self) -> &Repository {
        &self.repository
    }

    /// The bounds of the request that it is for.
    pub(super) fn budget(&self) -> &GitBudget<'a> {
        &self.budget
    }

    /// The Git directory of ours.
    pub(in crate::worker) fn dir(&self) -> &Path {
        self.folder.path()
    }

    /// Makes the objects readable to this git that another one has made and not moved to its repository.
    ///
    /// # Errors
    /// Fails when the links cannot be made.
    pub(in crate::worker) fn borrow_from(&self, other: &Git<'_>) -> Result<(), GitError> {
        borrow_objects(other.dir(), self.dir())
    }

    /// Creates one more Git directory of the server with the same settings and objects, and no references.
    pub(in crate::worker) fn beside(&self, name: &str) -> Result<PathBuf, GitError> {
        let path = self.folder.path().join(name);
        let made = fs::create_dir(&path)
            .and_then(|()| fs::write(path.join("config"), self.settings.file()))
            .and_then(|()| symlink(self.folder.path().join("objects"), path.join("objects")));
        made.map_err(GitError::io("a Git directory cannot be made"))?;
        Ok(path)
    }

    /// Does the same, and adds what git needs to run without any reference.
    pub(in crate::worker) fn beside_without_refs(&self, name: &str) -> Result<PathBuf, GitError> {
        let path = self.beside(name)?;
        let mut made = refs::stand_ins(&path);
        if self.has_tables() {
            made = made
                .and_then(|()| fs::create_dir(path.join("reftable")))
                .and_then(|()| fs::write(path.join("reftable/tables.list"), ""));
        }
        made.map_err(GitError::io("a Git directory cannot be made"))?;
        Ok(path)
    }

    /// Runs git with these arguments and returns its output, cut at `bytes`.
    ///
    /// # Errors
    /// Fails when it does not exit with 0 within the budget.
    pub(crate) fn output(&self, args: &[&str], bytes: usize) -> Result<GitOutput, GitError> {
        self.run_in(self.folder.path(), args, (None, bytes), &[0])
    }

    /// Does the same as [`Self::output`], with lines for its stdin; each ends with a NUL.
    ///
    /// # Errors
    /// As there.
    pub(in crate::worker) fn with_input<'i>(
        &self,
        args: &[&str],
        lines: impl IntoIterator<Item = &'i [u8]>,
        bytes: usize,
    ) -> Result<GitOutput, GitError> {
        let file = self.input(lines)?;
        self.run_in(self.folder.path(), args, (Some(file), bytes), &[0])
    }

    pub(super) fn input<'i>(&self, lines: impl IntoIterator<Item = &'i [u8]>) -> Result<fs::File, GitError> {
        let path = self.folder.path().join("input");
        let written = fs::File::create(&path).and_then(|file| {
            let mut file = std::io::BufWriter::new(file);
            for line in lines {
                file.write_all(line)?;
            }
            file.flush()?;
            fs::File::open(&path)
        });
        written.map_err(GitError::io("git's input cannot be written"))
    }

    /// Returns the line that git prints; `None` when it exits with 1, which means that there is none.
    ///
    /// # Errors
    /// Fails when it fails in another way.
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

    /// Runs git in one of the server's Git directories, over the files in a folder of the server instead of the working
    /// folder, with lines for its stdin.
    pub(in crate::worker) fn run_over<'i>(
        &self,
        (gitdir, folder): (&Path, &Path),
        args: &[&str],
        lines: impl IntoIterator<Item = &'i [u8]>,
        (bytes, codes): (usize, &[i32]),
    ) -> Result<GitOutput, GitError> {
        let action = args.first().copied().unwrap_or_default();
        let input = self.input(lines)?;
        let mut command = command(gitdir, folder, args);
        run(&mut command, action, (Some(input), bytes), codes, &self.budget)
    }

    /// Returns the full name of the branch that the Git directory `own` of a working folder has checked out.
    pub(in crate::worker) fn branch_of(&self, own: &Path) -> Result<Option<String>, GitError> {
        if !self.has_tables() {
            return refs::head_name(own);
        }
        let copy = self.beside(&format!("head-{}", uuid::Uuid::new_v4()))?;
        refs::copy_tables(own, &copy)?;
        self.line_in(&copy, &["symbolic-ref", "--quiet", "HEAD"])
    }

    /// Runs git with another index or working folder, and `input` as its stdin.
    pub(in crate::worker) fn run_at(
        &self,
        at: At<'_>,
        args: &[&str],
        (input, bytes): (&[u8], usize),
        codes: &[i32],
    ) -> Result<GitOutput, GitError> {
        let file = self.input([input])?;
        let action = subcommand(args);
        let top = at.top.unwrap_or(&self.repository.top);
        let mut command = command(self.folder.path(), top, args);
        if let Some(index) = at.index {
            command.env("GIT_INDEX_FILE", index);
        }
        run(&mut command, action, (Some(file), bytes), codes, &self.budget)
    }

    /// Runs git with the settings and the environment of the server's user, such as the name and the signing key, in
    /// the server's Git directory and not in the working folder. `env` is added to that environment.
    pub(in crate::worker) fn as_person(
        &self,
        args: &[&str],
        env: &[(&str, &str)],
        (input, bytes): (&[u8], usize),
        codes: &[i32],
    ) -> Result<GitOutput, GitError> {
        let file = self.input([input])?;
        let action = subcommand(args);
        let mut command = command(self.folder.path(), self.folder.path(), args);
        person::set_environment(&mut command);
        command.envs(env.iter().copied());
        run(&mut command, action, (Some(file), bytes), codes, &self.budget)
    }

    /// Runs git in one of the server's Git directories.
    pub(in crate::worker) fn run_in(
        &self,
        gitdir: &Path,
        args: &[&str],
        (input, bytes): (Option<fs::File>, usize),
        codes: &[i32],
    ) -> Result<GitOutput, GitError> {
        let action = subcommand(args);
        let mut command = command(gitdir, &self.repository.top, args);
        command.current_dir(&self.cwd);
        run(&mut command, action, (input, bytes), codes, &self.budget)
    }
}

/// Returns the subcommand among git's arguments, which settings may precede.
fn subcommand<'s>(args: &[&'s str]) -> &'s str {
    args.iter().find(|arg| !arg.starts_with('-') && !arg.contains('=')).copied().unwrap_or_default()
}

/// Removes Git directories that an earlier server left when it was killed.
pub(crate) fn remove_left_over(data: &Path) {
    for entry in fs::read_dir(data).into_iter().flatten().flatten() {
        if entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX))
            && let Err(error) = fs::remove_dir_all(entry.path())
        {
            log::warn!("{} cannot be removed: {error}", entry.path().display());
        }
    }
}
