//! Pushes: one commit to one branch of one remote, whose address somebody has seen.

use std::time::Duration;

use serde::Serialize;
use serde_json::json;

use super::address::{Protocol, without_users};
use super::look::{Reachable, checked_branch, reachable, tracking};
use crate::journal::{RemoteStep, is_object_id};
use crate::worker::error::WorkerError;
use crate::worker::place::git::{Git, GitBudget, GitError, MirrorFolder, RefChange, RemoteGit, Repository};
use crate::worker::place::land::blocked::blocked;
use crate::worker::place::land::targets::LandSource;
use crate::worker::place::land::{brief, exists, is_ancestor, short};

/// Time for the whole of a push.
pub(in crate::worker) const PUSH_TIME: Duration = Duration::from_secs(300);
/// Characters of another machine's words that an answer repeats.
const WORDS_MAX: usize = 2000;
/// The rule by which a remote's branches are usually copied, with its name in the place of the star's folder.
const USUAL_FETCH: [&str; 2] = ["+refs/heads/*:refs/remotes/", "/*"];

/// A push as a client asks for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PushRequest {
    /// The remote's name.
    pub remote: Option<String>,
    /// The branch there.
    pub branch: Option<String>,
    /// The address as the dry run has it.
    pub expected_url: String,
    /// The commit that the dry run has as the worker's.
    pub expected_head: Option<String>,
    /// The commit that the branch there must have to be replaced by one that is not on top of it.
    pub force_with_lease: Option<String>,
    /// True if the worker's branch is to follow the branch there.
    pub set_upstream: bool,
}

/// A push that was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct PushOutcome {
    /// The remote's name.
    pub remote: String,
    /// Its address.
    pub url: String,
    /// The branch there.
    pub branch: String,
    /// The commit that the branch has now.
    pub commit: String,
    /// The outcome: `created`, `updated`, `forced` or `up_to_date`.
    pub result: &'static str,
    /// True if the worker's branch follows the branch there.
    pub upstream: bool,
    /// The other machine's words.
    pub words: String,
    /// The reason why something beside the push is not done.
    pub note: Option<String>,
}

/// A push that can begin.
pub(in crate::worker) struct PreparedPush {
    git: Git<'static>,
    link: RemoteGit,
    number: usize,
    protocol: Protocol,
    remote: String,
    url: String,
    /// The full name of the branch there.
    branch: String,
    commit: String,
    /// The worker's branch that is to follow it.
    follower: Option<String>,
    lease: Option<String>,
    /// The reference of ours that is kept up with it.
    tracking: Option<String>,
}

/// Checks a push, without a word to the other machine.
pub(in crate::worker) fn prepare(
    repository: &Repository,
    wanted: &PushRequest,
    place: MirrorFolder<'_>,
) -> Result<PreparedPush, WorkerError> {
    if let Some(lease) = wanted.force_with_lease.as_ref().filter(|lease| !is_object_id(lease)) {
        let text = format!("this is not the full id of a commit: {lease}");
        return Err(WorkerError::Invalid(text).in_field("force_with_lease"));
    }
    let git = Git::open(repository.clone(), place, GitBudget::of_time(PUSH_TIME))?;
    let source = LandSource::of(&git)?;
    if wanted.expected_head.as_ref().is_some_and(|head| *head != source.id) {
        let text = format!("the worker's side is {} now: look again", brief(&source.id));
        return Err(blocked("moved", text, None));
    }
    let found = reachable(&git, &source)?;
    let at = found.choose(wanted.remote.as_deref())?;
    let (number, protocol) = found.check(at, &wanted.expected_url)?;
    let Reachable { mut remotes, settings, link, .. } = found;
    let remote = remotes.swap_remove(at);
    let short_name = match wanted.branch.clone().or_else(|| remote.branch.clone()) {
        Some(branch) => branch,
        None => source.branch(&git).map(|branch| short(branch).to_owned())?,
    };
    let branch = checked_branch(&short_name)?;
    let follower = if wanted.set_upstream { Some(short(source.branch(&git)?).to_owned()) } else { None };
    let usual = USUAL_FETCH.join(&remote.name);
    let is_usual = settings.all.get(&remote.name).is_some_and(|found| found.fetch.contains(&usual));
    let tracking = tracking(&remote.name, &short_name).filter(|_| is_usual);
    Ok(PreparedPush {
        git,
        link,
        number,
        protocol,
        url: remote.url.unwrap_or_default(),
        remote: remote.name,
        branch,
        commit: source.id,
        follower,
        lease: wanted.force_with_lease.clone(),
        tracking,
    })
}

impl PreparedPush {
    /// Itself for the journal.
    pub(in crate::worker) fn step(&self, id: String) -> RemoteStep {
        let branch = short(&self.branch);
        let how = if self.lease.is_some() { "Pushed by force" } else { "Pushed" };
        RemoteStep {
            id,
            operation: "push".to_owned(),
            about: format!("{how} {} to {branch} of {} ({})", brief(&self.commit), self.remote, self.url),
            remote: self.remote.clone(),
            url: self.url.clone(),
            branch: branch.to_owned(),
            commit: Some(self.commit.clone()),
        }
    }

    /// Pushes. What an earlier try has done is found there, so that it can be tried again.
    pub(in crate::worker) fn run(&self, id: &str) -> Result<PushOutcome, WorkerError> {
        let (refspec, name) = (format!("{}:{}", self.commit, self.branch), RemoteGit::name(self.number));
        let lease = self.lease.as_ref().map(|id| format!("--force-with-lease={}:{id}", self.branch));
        let mut args = vec!["push", "--porcelain", "--no-verify", "--no-follow-tags", "--recurse-submodules=no"];
        args.extend(lease.as_deref());
        args.extend(["--", &name, &refspec]);
        let pushed = self.git.over_network(&self.link, self.protocol.name(), &args, &[0, 1]);
        let (answer, stderr) = pushed.map_err(|error| self.in_words(error))?;
        let stderr = without_users(&String::from_utf8_lossy(&stderr));
        let text = String::from_utf8_lossy(&answer.output).into_owned();
        let line = text.lines().find_map(|line| {
            let (flag, rest) = line.split_once('\t')?;
            Some((flag, rest.split_once('\t')?.1))
        });
        let result = match line {
            Some(("*", _)) => "created",
            Some((" ", _)) => "updated",
            Some(("+", _)) => "forced",
            Some(("=", _)) => "up_to_date",
            Some((_, summary)) => return Err(self.refused(summary, &stderr)),
            None => return Err(self.refused("git has not said what it did", &stderr)),
        };
        let (mut note, mut upstream) = (self.track().err(), false);
        if let Some(follower) = &self.follower {
            match self.git.repository().follow(follower, (&self.remote, &self.branch), id) {
                Ok(follows) => {
                    upstream = follows;
                    if !follows {
                        note = Some(format!("{follower} follows another branch already, and keeps to it"));
                    }
                }
                Err(error) => note = Some(format!("{follower} does not follow it: {error}")),
            }
        }
        Ok(PushOutcome {
            remote: self.remote.clone(),
            url: self.url.clone(),
            branch: short(&self.branch).to_owned(),
            commit: self.commit.clone(),
            result,
            upstream,
            words: words_of_remote(&stderr),
            note,
        })
    }

    /// git's error without the user part of addresses.
    fn in_words(&self, error: GitError) -> WorkerError {
        match error {
            GitError::Failed { words, .. } => {
                let words = without_users(&words);
                let text = format!("the push to {} ({}) failed: {words}", self.remote, self.url);
                blocked("push_failed", text, None)
            }
            other => other.into(),
        }
    }

    /// The error of a push that the other machine has refused: its own words, and what it has instead.
    fn refused(&self, summary: &str, stderr: &str) -> WorkerError {
        let (remote, branch) = (&self.remote, short(&self.branch));
        let there = self.there().unwrap_or_default();
        let field = there.as_ref().map(|there| ("remote_head", json!(there)));
        let is_below = |there: &String| {
            exists(&self.git, there).is_ok_and(|known| known)
                && is_ancestor(&self.git, there, &self.commit).is_ok_and(|below| below)
        };
        match (&there, &self.lease) {
            (Some(there), Some(lease)) if there != lease => {
                let text = format!(
                    "{branch} of {remote} is {} now, and not {}: look again, somebody has pushed",
                    brief(there),
                    brief(lease)
                );
                return blocked("lease", text, field);
            }
            (Some(there), None) if !is_below(there) => {
                let text = format!(
                    "{branch} of {remote} has commits that are not here ({}): update the worker's branch, or replace \
                     them by a push with force_with_lease",
                    brief(there)
                );
                return blocked("not_fast_forward", text, field);
            }
            _ => {}
        }
        let words = words_of_remote(stderr);
        let more = if words.is_empty() { String::new() } else { format!(": {words}") };
        blocked("push_refused", format!("{remote} has refused the push: {}{more}", without_users(summary)), field)
    }

    /// Asks the other machine for the commit that the branch has.
    fn there(&self) -> Result<Option<String>, GitError> {
        let args = ["ls-remote", "--refs", "--", &RemoteGit::name(self.number), &self.branch];
        let (answer, _) = self.git.over_network(&self.link, self.protocol.name(), &args, &[0])?;
        let text = String::from_utf8_lossy(&answer.output).into_owned();
        let of_branch =
            |line: &str| line.split_once('\t').filter(|(_, name)| *name == self.branch).map(|it| it.0.to_owned());
        Ok(text.lines().find_map(of_branch).filter(|id| is_object_id(id)))
    }

    /// Notes in the repository what the branch there has, as git does.
    fn track(&self) -> Result<(), String> {
        let Some(name) = self.tracking.clone() else { return Ok(()) };
        let id = self.commit.clone();
        let noted = self.git.current(&name).and_then(|now| match now {
            Some(now) if now == id => Ok(()),
            Some(expected) => self.git.change_refs(&[RefChange::Update { name, id, expected }]),
            None => self.git.change_refs(&[RefChange::Create { name, id }]),
        });
        noted.map_err(|error| format!("the repository does not know of the push: {error}"))
    }
}

/// The lines that the other machine has written for people.
fn words_of_remote(stderr: &str) -> String {
    let lines = stderr.lines().filter_map(|line| line.strip_prefix("remote:")).map(str::trim);
    let words: Vec<&str> = lines.filter(|line| !line.is_empty()).collect();
    let is_harmless = |char: &char| *char == '\n' || !char.is_control();
    words.join("\n").chars().filter(is_harmless).take(WORDS_MAX).collect()
}
