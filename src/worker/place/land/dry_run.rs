//! The dry run of a landing: how the two sides differ, what prevents it, and the result of each strategy. Changes
//! nothing.

use std::collections::BTreeMap;

use serde::Serialize;

use super::combine::{self, MergeOutcome, PICKS_MAX, RebaseOutcome, tree_of};
use super::commit::{Person, squash_message};
use super::status::{FolderChanges, operation, texts};
use super::targets::{LandSource, LandTarget};
use super::{Conflict, FILES_MAX, Strategy, brief, commits, is_ancestor, named, short};
use crate::worker::error::WorkerError;
use crate::worker::place::git::{Git, GitBudget, MirrorFolder, Repository};

/// The dry run of a landing.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct DryRun {
    /// The worker's branch; null where a commit is checked out.
    pub branch: Option<String>,
    /// The commit that the worker has checked out.
    pub head: String,
    /// The commit at which its worktree began.
    pub base: Option<String>,
    /// The branch to land on; null where there is none.
    pub into: Option<String>,
    /// The commit of that branch.
    pub into_head: Option<String>,
    /// Commits that only the worker's side has.
    pub ahead: usize,
    /// Commits that only the other side has.
    pub behind: usize,
    /// Uncommitted files of the worker.
    pub uncommitted: Vec<String>,
    /// The operation of git that is in progress in the worker's folder.
    pub in_progress: Option<&'static str>,
    /// Files in which a merge of both sides conflicts.
    pub conflicts: Vec<Conflict>,
    /// The folder of the branch to land on.
    pub target: TargetState,
    /// The result of each strategy.
    pub strategies: BTreeMap<&'static str, Outlook>,
    /// The proposed message of a squashed commit.
    pub message: Option<String>,
    /// The server's user as author of new commits; null where git has no name for the user.
    pub author: Option<String>,
    /// True if new commits are signed.
    pub signs: bool,
}

/// The state of the branch to land on.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct TargetState {
    /// The folder that has it checked out.
    pub checked_out_at: Option<String>,
    /// The changes in that folder, which prevent a landing.
    pub dirty: Vec<String>,
    /// The reason why the folder cannot be used.
    pub problem: Option<String>,
}

/// The result of one strategy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Outlook {
    /// True if nothing prevents it.
    pub possible: bool,
    /// The reason that prevents it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Commits that the branch would get.
    pub commits: usize,
    /// The expected result, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<String>,
}

impl Outlook {
    fn no(reason: impl Into<String>) -> Self {
        Self { reason: Some(reason.into()), ..Self::default() }
    }

    fn yes(commits: usize, result: String) -> Self {
        Self { possible: true, reason: None, commits, result: Some(result) }
    }
}

/// Examines both sides. Changes nothing, neither in the folders nor in the repository.
pub(in crate::worker) fn look(
    repository: &Repository,
    (name, base): (&str, Option<&str>),
    into: Option<&str>,
    (place, budget): (MirrorFolder<'_>, GitBudget<'_>),
) -> Result<DryRun, WorkerError> {
    let git = Git::open(repository.clone(), place, budget)?;
    let source = LandSource::of(&git)?;
    let person = match Person::of(&git) {
        Ok(person) => Some(person),
        Err(WorkerError::Blocked { .. }) => None,
        Err(error) => return Err(error),
    };
    let mut dry = DryRun {
        branch: source.branch.as_deref().map(|branch| short(branch).to_owned()),
        head: source.id.clone(),
        base: base.map(str::to_owned),
        into: None,
        into_head: None,
        ahead: 0,
        behind: 0,
        uncommitted: Vec::new(),
        in_progress: operation(&repository.own),
        conflicts: Vec::new(),
        target: TargetState::default(),
        strategies: BTreeMap::new(),
        message: None,
        author: person.as_ref().map(|person| person.name().to_owned()),
        signs: person.is_some_and(|person| person.signs),
    };
    match LandTarget::find(&git, &source, into, place) {
        Ok(target) => dry.compare(&git, name, &source, &target)?,
        Err(error @ (WorkerError::InField { .. } | WorkerError::Invalid(_))) if into.is_some() => return Err(error),
        Err(error @ (WorkerError::InField { .. } | WorkerError::Conflict(_))) => {
            dry.target.problem = Some(error.to_string());
            for strategy in Strategy::ALL {
                dry.strategies.insert(strategy.name(), Outlook::no(error.to_string()));
            }
        }
        Err(error) => return Err(error),
    }
    if let Some(folder) = dry.target.checked_out_at.clone() {
        let found = Repository::at(std::path::Path::new(&folder))?;
        if let Some(found) = found {
            let changed = FolderChanges::list(&Git::open(found, place, budget)?)?;
            dry.target.dirty = bounded(texts(&changed.tracked));
        }
    }
    dry.uncommitted = bounded(texts(&FolderChanges::list(&git)?.all()));
    dry.add_obstacles();
    Ok(dry)
}

fn bounded(mut names: Vec<String>) -> Vec<String> {
    names.truncate(FILES_MAX);
    names
}

impl DryRun {
    fn compare(
        &mut self,
        git: &Git<'_>,
        name: &str,
        source: &LandSource,
        target: &LandTarget,
    ) -> Result<(), WorkerError> {
        let into = short(&target.branch).to_owned();
        let range = format!("{}...{}", target.id, source.id);
        let counts = git.line(&["rev-list", "--left-right", "--count", &range])?.unwrap_or_default();
        let mut counts = counts.split_whitespace().filter_map(|count| count.parse().ok());
        (self.behind, self.ahead) = (counts.next().unwrap_or_default(), counts.next().unwrap_or_default());
        self.target.checked_out_at = target.folder.as_ref().map(|folder| folder.top.display().to_string());
        (self.into, self.into_head) = (Some(into.clone()), Some(target.id.clone()));
        if self.ahead == 0 {
            for strategy in Strategy::ALL {
                self.strategies.insert(strategy.name(), Outlook::no(format!("{into} has all commits already")));
            }
            return Ok(());
        }
        self.message = Some(squash_message(git, name, (&target.id, &source.id))?);
        let combined = combine::merge(git, &target.id, &source.id)?;
        let (merged, squashed) = match &combined {
            MergeOutcome::Conflicts(found) => {
                self.conflicts = found.iter().take(FILES_MAX).cloned().collect();
                let paths: Vec<String> = found.iter().map(|conflict| conflict.path.clone()).collect();
                let no = Outlook::no(format!("both sides have changed the same places ({})", named(&paths)));
                (no.clone(), no)
            }
            MergeOutcome::Tree(tree) if *tree == tree_of(git, &target.id)? => {
                let no = Outlook::no(format!("{into} has all changes already"));
                (no.clone(), no)
            }
            MergeOutcome::Tree(_) => {
                let count = commits(self.ahead);
                let branch = source.name();
                (
                    Outlook::yes(self.ahead + 1, format!("{into} gets {count} of {branch} and a merge commit")),
                    Outlook::yes(1, format!("{into} gets 1 commit with all changes of {count}")),
                )
            }
        };
        self.strategies.insert(Strategy::Merge.name(), merged);
        self.strategies.insert(Strategy::Squash.name(), squashed);
        let rebased = self.rebase(git, source, target)?;
        self.strategies.insert(Strategy::Rebase.name(), rebased);
        Ok(())
    }

    fn rebase(&self, git: &Git<'_>, source: &LandSource, target: &LandTarget) -> Result<Outlook, WorkerError> {
        let into = short(&target.branch);
        if self.ahead > PICKS_MAX && !is_ancestor(git, &target.id, &source.id)? {
            return Ok(Outlook::no(format!("more than {PICKS_MAX} commits would have to be made again")));
        }
        Ok(match combine::rebase(git, &target.id, &source.id)? {
            RebaseOutcome::FastForward => {
                Outlook::yes(self.ahead, format!("{into} is fast-forwarded by {}", commits(self.ahead)))
            }
            RebaseOutcome::Picks(picks) if picks.is_empty() => Outlook::no(format!("{into} has all changes already")),
            RebaseOutcome::Picks(picks) => {
                Outlook::yes(picks.len(), format!("{into} gets {}, made again on top of it", commits(picks.len())))
            }
            RebaseOutcome::Conflicts(commit, found) => {
                let paths: Vec<String> = found.into_iter().map(|conflict| conflict.path).collect();
                Outlook::no(format!("the changes of commit {} conflict ({})", brief(&commit), named(&paths)))
            }
            RebaseOutcome::Impossible(why) => Outlook::no(why),
        })
    }

    /// Adds the obstacles that all strategies share.
    fn add_obstacles(&mut self) {
        let reason = if !self.target.dirty.is_empty() {
            let place = self.target.checked_out_at.clone().unwrap_or_default();
            Some(format!("{place} has changes that are not committed ({})", named(&self.target.dirty)))
        } else if self.author.is_none() {
            Some("the server's user has no name for commits (git config --global user.name)".to_owned())
        } else {
            None
        };
        let Some(reason) = reason else { return };
        for outlook in self.strategies.values_mut().filter(|outlook| outlook.possible) {
            outlook.possible = false;
            outlook.reason = Some(reason.clone());
        }
    }
}
