//! New commits: of files that an agent has changed, and of combined trees. Author and signature are those of the
//! server's user.

use std::path::PathBuf;

use super::blocked::{blocked, files};
use super::combine::{Pick, tree_of};
use super::paths::{as_path, joined};
use super::status::{FolderChanges, operation, texts};
use super::targets::LandSource;
use super::{LIST_BYTES_MAX, commits};
use crate::worker::error::WorkerError;
use crate::worker::place::git::{At, Git, GitBudget, GitError, MirrorFolder, Repository, SHORT_BYTES};
use crate::worker::place::look::SUBMODULE_MODE;
use crate::worker::place::snapshot::copy::{CopyFolder, CopyOutcome};

/// Size limit of the files in one commit that the server makes, in bytes: they are copied first.
const COMMITTED_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// The server's user as the author of commits.
#[derive(Clone, Debug)]
pub(in crate::worker) struct Person {
    /// The author in the format of commits, with the time.
    pub(in crate::worker) stamp: String,
    /// True if commits are signed.
    pub(in crate::worker) signs: bool,
}

impl Person {
    /// Asks git for the user's name and mail address.
    ///
    /// # Errors
    /// Fails when the user has not set them.
    pub(in crate::worker) fn of(git: &Git<'_>) -> Result<Self, WorkerError> {
        let ident = ["-c", "user.useConfigOnly=true", "var", "GIT_COMMITTER_IDENT"];
        let answer = git.as_person(&ident, &[], (b"", SHORT_BYTES), &[0, 128])?;
        let stamp = String::from_utf8_lossy(&answer.output).trim().to_owned();
        if answer.code != 0 || stamp.is_empty() {
            let text = "the server's user has no name for commits: set it with `git config --global user.name NAME` and \
                        `git config --global user.email ADDRESS`";
            return Err(blocked("no_author", text.to_owned(), None));
        }
        let signs = ["config", "--type=bool", "--get", "commit.gpgsign"];
        let signs = git.as_person(&signs, &[], (b"", SHORT_BYTES), &[0, 1])?;
        Ok(Self { stamp, signs: signs.output.starts_with(b"true") })
    }

    /// Returns the name and the mail address, without the time.
    pub(in crate::worker) fn name(&self) -> &str {
        self.stamp.rsplitn(3, ' ').last().unwrap_or_default()
    }
}

/// Makes a commit.
pub(in crate::worker) fn make(
    git: &Git<'_>,
    person: &Person,
    (tree, parents): (&str, &[&str]),
    message: &str,
    author: &[(&str, &str)],
) -> Result<String, GitError> {
    let mut args = vec!["-c", "user.useConfigOnly=true", "commit-tree", tree];
    for parent in parents {
        args.extend(["-p", parent]);
    }
    if person.signs {
        args.push("-S");
    }
    args.extend(["-F", "-"]);
    let message = format!("{}\n", message.trim_end());
    let answer = git.as_person(&args, author, (message.as_bytes(), SHORT_BYTES), &[0])?;
    Ok(String::from_utf8_lossy(&answer.output).trim().to_owned())
}

/// Repeats commits with their authors, dates and messages on top of `onto`; returns the last one.
pub(in crate::worker) fn make_again(
    git: &Git<'_>,
    person: &Person,
    onto: &str,
    picks: &[Pick],
) -> Result<String, GitError> {
    let mut tip = onto.to_owned();
    for pick in picks {
        let facts = ["log", "-1", "--no-show-signature", "--date=raw", "--format=%an%x00%ae%x00%ad%x00%B", &pick.id];
        let facts = git.output(&facts, LIST_BYTES_MAX)?;
        let facts = String::from_utf8_lossy(&facts.output).into_owned();
        let mut fields = facts.splitn(4, '\0');
        let mut next = || fields.next().unwrap_or_default();
        let author = [("GIT_AUTHOR_NAME", next()), ("GIT_AUTHOR_EMAIL", next()), ("GIT_AUTHOR_DATE", next())];
        tip = make(git, person, (&pick.tree, &[&tip]), next(), &author)?;
    }
    Ok(tip)
}

/// A commit of changed files that is not on its branch yet.
#[derive(Clone, Debug)]
pub(in crate::worker) struct NewCommit {
    pub(in crate::worker) branch: String,
    pub(in crate::worker) old: String,
    pub(in crate::worker) new: String,
    pub(in crate::worker) files: Vec<String>,
    pub(in crate::worker) by: String,
}

/// Makes a commit of the changes of a working folder: of all, or of these files. The folder and its index stay
/// unchanged.
pub(in crate::worker) fn of_changes(
    repository: &Repository,
    (message, wanted): (&str, Option<&[String]>),
    (place, budget): (MirrorFolder<'_>, GitBudget<'_>),
) -> Result<NewCommit, WorkerError> {
    if let Some(operation) = operation(&repository.own) {
        let text = format!("a {operation} is in progress in {}: finish it first", repository.top.display());
        return Err(blocked("in_progress", text, None));
    }
    let git = Git::open(repository.clone(), place, budget)?;
    let source = LandSource::of(&git)?;
    let branch = source.branch(&git)?.to_owned();
    let person = Person::of(&git)?;
    let changed = FolderChanges::list(&git)?;
    let paths = chosen(&changed, wanted)?;
    let taken = CopiedSelection::copy(&git, &paths, &changed, &budget)?;
    let (index, folder) = (git.dir().join("commit.index"), taken.folder.clone());
    let at = At { index: Some(&index), top: Some(&folder) };
    git.run_at(at, &["read-tree", &source.id], (b"", SHORT_BYTES), &[0])?;
    let list = joined(&taken.paths);
    refuse_filters(&git, at, &list, false)?;
    let add = ["update-index", "--add", "--remove", "--replace", "-z", "--stdin"];
    git.run_at(at, &add, (&list, SHORT_BYTES), &[0])?;
    git.run_at(at, &["update-index", "-z", "--index-info"], (&taken.submodules, SHORT_BYTES), &[0])?;
    let tree = git.run_at(at, &["write-tree"], (b"", SHORT_BYTES), &[0])?;
    let tree = String::from_utf8_lossy(&tree.output).trim().to_owned();
    if tree == tree_of(&git, &source.id)? {
        return Err(blocked("nothing_to_commit", "nothing has changed since the last commit".to_owned(), None));
    }
    let new = make(&git, &person, (&tree, &[&source.id]), message, &[])?;
    git.publish_objects()?;
    Ok(NewCommit { branch, old: source.id, new, files: texts(&paths), by: person.stamp })
}

/// Returns the changed paths that a client has selected.
fn chosen(changed: &FolderChanges, wanted: Option<&[String]>) -> Result<Vec<Vec<u8>>, WorkerError> {
    let all = changed.all();
    let Some(wanted) = wanted else { return Ok(all) };
    for path in wanted {
        if !all.iter().any(|changed| changed == path.as_bytes()) {
            let text = format!("this file has not changed since the last commit: {path}");
            return Err(WorkerError::Invalid(text).in_field("files"));
        }
    }
    Ok(all.into_iter().filter(|path| wanted.iter().any(|wanted| wanted.as_bytes() == path)).collect())
}

/// Refuses files whose content goes through a program, such as that of Git LFS, which the server does not run.
pub(super) fn refuse_filters(git: &Git<'_>, at: At<'_>, list: &[u8], cached: bool) -> Result<(), WorkerError> {
    let mut args = vec!["check-attr", "-z", "--stdin"];
    if cached {
        args.push("--cached");
    }
    args.push("filter");
    let answer = git.run_at(at, &args, (list, LIST_BYTES_MAX), &[0])?;
    let text = String::from_utf8_lossy(&answer.output).into_owned();
    let fields: Vec<&str> = text.split('\0').collect();
    let filtered = fields.chunks_exact(3).filter(|of| !matches!(of[2], "unspecified" | "unset"));
    let filtered: Vec<String> = filtered.map(|of| of[0].to_owned()).collect();
    if filtered.is_empty() {
        return Ok(());
    }
    let text = "these files have a filter, such as that of Git LFS, which the server does not run: let the agent do it";
    Err(files("filtered", text, &filtered))
}

/// Copies of the selected files at one moment, so that git does not read a folder that changes.
struct CopiedSelection {
    folder: PathBuf,
    /// Their paths, including those of removed files.
    paths: Vec<Vec<u8>>,
    /// Submodules, as lines for `git update-index --index-info`.
    submodules: Vec<u8>,
}

impl CopiedSelection {
    fn copy(
        git: &Git<'_>,
        paths: &[Vec<u8>],
        changed: &FolderChanges,
        budget: &GitBudget<'_>,
    ) -> Result<Self, WorkerError> {
        let top = &git.repository().top;
        let (mut staging, mut bytes) = (CopyFolder::new(git)?, 0);
        let mut taken = Self { folder: staging.path().to_owned(), paths: Vec::new(), submodules: Vec::new() };
        for path in paths {
            budget.check("commit")?;
            let name = as_path(path);
            if changed.submodules.contains_key(path) {
                let head = Repository::at(&top.join(name))?.map_or(Ok(None), |inner| inner.head())?;
                let line = match head {
                    Some(id) => format!("{SUBMODULE_MODE} {id}\t"),
                    None => format!("0 {}\t", "0".repeat(git.empty_ids().tree.len())),
                };
                taken.submodules.extend([line.as_bytes(), path, &[0]].concat());
                continue;
            }
            match staging.copy(name, COMMITTED_BYTES_MAX - bytes)? {
                CopyOutcome::File(size) => bytes += size,
                CopyOutcome::Gone => {}
                CopyOutcome::Unreadable => {
                    return Err(WorkerError::Conflict(format!("the server may not read {}", name.display())));
                }
                CopyOutcome::TooLarge => {
                    let text = format!("the changes have more than {COMMITTED_BYTES_MAX} bytes: let the agent commit");
                    return Err(WorkerError::Conflict(text));
                }
            }
            taken.paths.push(path.clone());
        }
        Ok(taken)
    }
}

/// Proposes the message of one commit for all changes of several.
pub(in crate::worker) fn squash_message(
    git: &Git<'_>,
    name: &str,
    (from, to): (&str, &str),
) -> Result<String, GitError> {
    let ask = ["log", "--no-show-signature", "--reverse", "--no-merges", "--format=%B%x00", to, "--not", from];
    let list = git.output(&ask, LIST_BYTES_MAX)?;
    let text = String::from_utf8_lossy(&list.output).into_owned();
    let messages: Vec<&str> = text.split('\0').map(str::trim).filter(|message| !message.is_empty()).collect();
    Ok(match messages.as_slice() {
        [one] => (*one).to_owned(),
        all => {
            let subjects = all.iter().filter_map(|message| message.lines().next());
            let list: String = subjects.map(|subject| format!("* {subject}\n")).collect();
            format!("{name} ({})\n\n{list}", commits(all.len()))
        }
    })
}
