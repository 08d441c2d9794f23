//! The new commit of an update or a landing, and the move of a branch that follows from it.

use std::path::Path;

use super::blocked::{blocked, conflicts, files};
use super::combine::{self, MergeOutcome, RebaseOutcome, tree_of};
use super::commit::{Person, make, make_again, squash_message};
use super::status::{FolderChanges, operation, texts};
use super::targets::{LandSource, LandTarget, checked_name};
use super::{Conflict, HEADS, Strategy, brief, commit_of, commits, is_ancestor, short};
use crate::journal::BranchMove;
use crate::worker::error::WorkerError;
use crate::worker::place::git::{Git, GitBudget, MirrorFolder, Repository};

/// Characters of a commit's id in the name of the reference that keeps it.
const ID_CHARS: usize = 16;
/// Conflicted files that a message to the agent lists.
const ASKED_MAX: usize = 100;

/// A landing as requested by a client.
#[derive(Clone, Debug)]
pub(crate) struct Landing {
    /// The strategy.
    pub strategy: Strategy,
    /// The branch to land on; the default one when left out.
    pub into: Option<String>,
    /// The message of the new commit; a proposed one when left out.
    pub message: Option<String>,
    /// True if uncommitted files may stay behind.
    pub leave_uncommitted: bool,
    /// The commits of the worker's side and of the branch that the client has seen.
    pub expected: (Option<String>, Option<String>),
}

/// A move of a branch, ready to be carried out.
#[derive(Clone, Debug)]
pub(in crate::worker) struct PlannedMove {
    pub(in crate::worker) step: BranchMove,
    /// The folder that has the branch checked out.
    pub(in crate::worker) folder: Option<Repository>,
    /// Commits that the branch gets.
    pub(in crate::worker) commits: usize,
}

/// Makes the commits of a landing in the server's Git directory.
pub(in crate::worker) fn landing(
    repository: &Repository,
    (id, name): (&str, &str),
    wanted: &Landing,
    (place, budget): (MirrorFolder<'_>, GitBudget<'_>),
) -> Result<PlannedMove, WorkerError> {
    let git = Git::open(repository.clone(), place, budget)?;
    let source = LandSource::of(&git)?;
    let target = LandTarget::find(&git, &source, wanted.into.as_deref(), place)?;
    let (into, from) = (short(&target.branch).to_owned(), source.name().to_owned());
    refuse_unexpected(&source, &target, &wanted.expected)?;
    if let Some(operation) = operation(&repository.own) {
        let text = format!("a {operation} is in progress in {}: finish it first", repository.top.display());
        return Err(blocked("in_progress", text, None));
    }
    if !wanted.leave_uncommitted {
        let changed = FolderChanges::list(&Git::open(repository.clone(), place, budget)?)?;
        let left = texts(&changed.all());
        if !left.is_empty() {
            let text = "these files are in no commit and would not be landed: commit them, or set leave_uncommitted";
            return Err(files("uncommitted", text, &left));
        }
    }
    if is_ancestor(&git, &source.id, &target.id)? {
        return Err(nothing(format!("{into} has all commits already")));
    }
    let person = Person::of(&git)?;
    let asked = |found: &[Conflict]| {
        let text = format!("{from} and {into} have changed the same places");
        conflicts(&text, found, &ask(Strategy::Merge, &into, &target.id, found))
    };
    let merged = || match combine::merge(&git, &target.id, &source.id)? {
        MergeOutcome::Tree(tree) if tree == tree_of(&git, &target.id)? => {
            Err(nothing(format!("{into} has all changes already")))
        }
        MergeOutcome::Tree(tree) => Ok(tree),
        MergeOutcome::Conflicts(found) => Err(asked(&found)),
    };
    let ahead = count(&git, &target.id, &source.id)?;
    let mut kept = Some((format!("refs/rs-worker/{id}/landed/{}", part(&source.id)), source.id.clone()));
    let (new, count) = match wanted.strategy {
        Strategy::Merge => {
            kept = None;
            let usual = format!("Merge branch '{from}' into {into}");
            let message = wanted.message.clone().unwrap_or(usual);
            (make(&git, &person, (&merged()?, &[&target.id, &source.id]), &message, &[])?, ahead + 1)
        }
        Strategy::Squash => {
            let tree = merged()?;
            let message = match &wanted.message {
                Some(message) => message.clone(),
                None => squash_message(&git, name, (&target.id, &source.id))?,
            };
            (make(&git, &person, (&tree, &[&target.id]), &message, &[])?, 1)
        }
        Strategy::Rebase => match combine::rebase(&git, &target.id, &source.id)? {
            RebaseOutcome::FastForward => {
                kept = None;
                (source.id.clone(), ahead)
            }
            RebaseOutcome::Picks(picks) if picks.is_empty() => {
                return Err(nothing(format!("{into} has all changes already")));
            }
            RebaseOutcome::Picks(picks) => (make_again(&git, &person, &target.id, &picks)?, picks.len()),
            RebaseOutcome::Conflicts(_, found) => {
                let text = format!("{from} and {into} have changed the same places");
                return Err(conflicts(&text, &found, &ask(Strategy::Rebase, &into, &target.id, &found)));
            }
            RebaseOutcome::Impossible(why) => return Err(blocked("impossible", format!("no rebase: {why}"), None)),
        },
    };
    git.publish_objects()?;
    let about = format!("Landed {from} on {into} by {}: {}", wanted.strategy.name(), commits(count));
    let step = BranchMove {
        operation: "land".to_owned(),
        about,
        branch: target.branch,
        old: target.id,
        new,
        folder: target.folder.as_ref().and_then(|folder| folder.top.to_str()).map(str::to_owned),
        files: target.folder.is_some(),
        kept,
        by: person.stamp,
        ..BranchMove::default()
    };
    Ok(PlannedMove { step, folder: target.folder, commits: count })
}

/// Makes the commits by which the worker's branch gets those of another one. If it has all of them, the step's `old` and
/// `new` are the same.
pub(in crate::worker) fn update(
    repository: &Repository,
    id: &str,
    (strategy, from): (Strategy, Option<&str>),
    (place, budget): (MirrorFolder<'_>, GitBudget<'_>),
) -> Result<PlannedMove, WorkerError> {
    let git = Git::open(repository.clone(), place, budget)?;
    let source = LandSource::of(&git)?;
    let branch = source.branch(&git)?.to_owned();
    if let Some(operation) = operation(&repository.own) {
        let text = format!("a {operation} is in progress in {}: finish it first", repository.top.display());
        return Err(blocked("in_progress", text, None));
    }
    let (from, theirs) = other_side(&git, &source, from, place)?;
    if is_ancestor(&git, &theirs, &source.id)? {
        let step = BranchMove { branch, old: source.id.clone(), new: source.id, ..BranchMove::default() };
        return Ok(PlannedMove { step, folder: None, commits: 0 });
    }
    let person = Person::of(&git)?;
    let gained = count(&git, &source.id, &theirs)?;
    let text = format!("{} and {from} have changed the same places", short(&branch));
    let asked = |found: &[Conflict]| conflicts(&text, found, &ask(strategy, &from, &theirs, found));
    let mut kept = None;
    let new = if is_ancestor(&git, &source.id, &theirs)? {
        theirs.clone()
    } else if strategy == Strategy::Rebase {
        kept = Some((format!("refs/rs-worker/{id}/before/{}", part(&source.id)), source.id.clone()));
        match combine::rebase(&git, &theirs, &source.id)? {
            RebaseOutcome::FastForward => theirs.clone(),
            RebaseOutcome::Picks(picks) => make_again(&git, &person, &theirs, &picks)?,
            RebaseOutcome::Conflicts(_, found) => return Err(asked(&found)),
            RebaseOutcome::Impossible(why) => return Err(blocked("impossible", format!("no rebase: {why}"), None)),
        }
    } else {
        match combine::merge(&git, &source.id, &theirs)? {
            MergeOutcome::Conflicts(found) => return Err(asked(&found)),
            MergeOutcome::Tree(tree) => {
                let message = format!("Merge branch '{from}' into {}", short(&branch));
                make(&git, &person, (&tree, &[&source.id, &theirs]), &message, &[])?
            }
        }
    };
    git.publish_objects()?;
    let step = BranchMove {
        operation: "update".to_owned(),
        about: format!("Updated {} from {from} by {}: {}", short(&branch), strategy.name(), commits(gained)),
        branch,
        old: source.id,
        new,
        folder: repository.top.to_str().map(str::to_owned),
        files: true,
        kept,
        by: person.stamp,
        ..BranchMove::default()
    };
    Ok(PlannedMove { step, folder: Some(repository.clone()), commits: gained })
}

/// Returns the name and the commit of the branch from which an update is made, which may be a remote's.
fn other_side(
    git: &Git<'_>,
    source: &LandSource,
    from: Option<&str>,
    place: MirrorFolder<'_>,
) -> Result<(String, String), WorkerError> {
    let Some(name) = from else {
        let target = LandTarget::find(git, source, None, place)?;
        return Ok((short(&target.branch).to_owned(), target.id));
    };
    let own = checked_name(name)?;
    let of_remote = format!("refs/remotes/{}", short(&own));
    for full in [own.as_str(), of_remote.as_str()] {
        if let Some(id) = commit_of(git, full)? {
            return Ok((short(&own).to_owned(), id));
        }
    }
    Err(WorkerError::Invalid(format!("the repository has no branch {name}")).in_field("from"))
}

fn refuse_unexpected(
    source: &LandSource,
    target: &LandTarget,
    (branch, into): &(Option<String>, Option<String>),
) -> Result<(), WorkerError> {
    let sides = [(branch, &source.id, source.name()), (into, &target.id, short(&target.branch))];
    for (expected, id, name) in sides {
        if expected.as_ref().is_some_and(|expected| expected != id) {
            let text = format!("{name} is at {} by now: look again", brief(id));
            return Err(blocked("moved", text, None));
        }
    }
    Ok(())
}

fn nothing(text: String) -> WorkerError {
    blocked("nothing_to_do", text, None)
}

fn part(id: &str) -> &str {
    id.get(..ID_CHARS).unwrap_or(id)
}

/// Counts the commits of `to` that `from` lacks.
fn count(git: &Git<'_>, from: &str, to: &str) -> Result<usize, WorkerError> {
    let counted = git.line(&["rev-list", "--count", to, "--not", from])?.unwrap_or_default();
    Ok(counted.parse().unwrap_or_default())
}

/// Writes a message that asks the agent to resolve conflicts.
fn ask(strategy: Strategy, from: &str, id: &str, found: &[Conflict]) -> String {
    let verb = if strategy == Strategy::Rebase { "rebase" } else { "merge" };
    let from = from.strip_prefix(HEADS).unwrap_or(from);
    let list: String = found
        .iter()
        .take(ASKED_MAX)
        .map(|conflict| format!("- {} ({})\n", Path::new(&conflict.path).display(), conflict.kind))
        .collect();
    format!(
        "Please bring {from} (commit {}) into your branch: run `git {verb} {from}` and resolve the conflicts, so that both \
         sides' changes keep their purpose. They are in:\n\n{list}\nThen run the tests and commit.",
        brief(id)
    )
}
