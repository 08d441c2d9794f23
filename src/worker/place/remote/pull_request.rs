//! Pull requests: opened by the service's own program where its user is logged in, else the page on which somebody opens one.

use std::time::Duration;

use serde::Serialize;

use super::address::Address;
use super::forge::{Forge, ForgeRepository as Repo, PullRequestDraft};
use super::forge_cli::ForgeCli;
use super::look::{checked_branch, reachable};
use crate::journal::RemoteStep;
use crate::worker::error::WorkerError;
use crate::worker::place::git::{Git, GitBudget, MirrorFolder, Repository};
use crate::worker::place::land::blocked::blocked;
use crate::worker::place::land::commit::squash_message;
use crate::worker::place::land::targets::{LandSource, LandTarget};
use crate::worker::place::land::{commit_of, short};

/// Time for the whole of a command that opens a pull request.
const REQUEST_TIME: Duration = Duration::from_secs(60);
/// Longest text in the address of a page, in bytes: services refuse longer addresses.
const URL_BODY_BYTES_MAX: usize = 2000;
/// Longest title, in characters.
const TITLE_MAX: usize = 255;

/// A pull request as a client asks for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PullRequest {
    /// The remote's name.
    pub remote: Option<String>,
    /// The address as the dry run has it.
    pub expected_url: String,
    /// The branch there with the work.
    pub branch: Option<String>,
    /// The branch there that is to get it.
    pub into: Option<String>,
    /// The title; as the commits say when absent.
    pub title: Option<String>,
    /// The text; as the commits say when absent.
    pub body: Option<String>,
    /// True if it is not ready for review.
    pub draft: bool,
    /// The remote's service; by the name of its host when absent.
    pub forge: Option<Forge>,
}

/// A pull request, or the page on which it is opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct PullRequestLink {
    /// The address of its page.
    pub url: String,
    /// True if it was opened now.
    pub created: bool,
    /// True if it was open before.
    pub existing: bool,
    /// The program that opened it; null where somebody has to, on that page.
    pub by: Option<&'static str>,
    /// The reason why no program opened it.
    pub note: Option<String>,
}

/// A way to open a pull request.
pub(in crate::worker) enum Way {
    /// A person opens it, on a page.
    ByHand(PullRequestLink),
    /// The service's program opens it.
    ByProgram(Box<PullRequestCommand>),
}

/// A pull request that a program can open.
pub(in crate::worker) struct PullRequestCommand {
    git: Git<'static>,
    budget: GitBudget<'static>,
    cli: ForgeCli,
    repo: Repo,
    draft: PullRequestDraft,
    remote: String,
    url: String,
}

/// Checks a pull request, and finds the way to open it. No other machine is asked.
pub(in crate::worker) fn prepare(
    repository: &Repository,
    (name, wanted): (&str, &PullRequest),
    place: MirrorFolder<'_>,
) -> Result<Way, WorkerError> {
    let budget = GitBudget::of_time(REQUEST_TIME);
    let git = Git::open(repository.clone(), place, budget)?;
    let source = LandSource::of(&git)?;
    let mut found = reachable(&git, &source)?;
    let at = found.choose(wanted.remote.as_deref())?;
    found.check(at, &wanted.expected_url)?;
    let remote = found.remotes.swap_remove(at);
    let url = remote.url.unwrap_or_default();
    let repo = Address::parse(&url).ok().and_then(|address| Repo::of(&address));
    let repo = repo.ok_or_else(|| unknown(&url))?;
    let branch = match wanted.branch.clone().or(remote.branch) {
        Some(branch) => branch,
        None => short(source.branch(&git)?).to_owned(),
    };
    checked_branch(&branch)?;
    let into = into(&git, &source, (wanted, &remote.name), place)?;
    if into == branch {
        let text = format!("{into} is the branch with the work: name another one that is to get it");
        return Err(WorkerError::Invalid(text).in_field("into"));
    }
    let draft = draft(&git, &source, (name, wanted), (branch, into, &remote.name))?;
    let forge = wanted.forge.or_else(|| repo.forge()).ok_or_else(|| unknown(&url))?;
    let by_hand = |note: Option<String>| {
        let mut draft = draft.clone();
        if draft.body.len() > URL_BODY_BYTES_MAX {
            draft.body.clear();
        }
        let url = repo.compare_url(forge, &draft);
        Ok(Way::ByHand(PullRequestLink { url, created: false, existing: false, by: None, note }))
    };
    let main = repository.main_folder()?.and_then(|folder| folder.canonicalize().ok());
    let mut not_in = vec![repository.top.as_path(), repository.common.as_path(), place.data];
    not_in.extend(main.as_deref());
    let Some(cli) = ForgeCli::find(forge, &repo, &not_in) else { return by_hand(None) };
    if !cli.is_logged_in(&budget) {
        return by_hand(Some(format!("{} is not logged in to {}", cli.name(), repo.host)));
    }
    Ok(Way::ByProgram(Box::new(PullRequestCommand { git, budget, cli, repo, draft, remote: remote.name, url })))
}

fn unknown(url: &str) -> WorkerError {
    let text = format!("no service with pull requests is known at {url}: name one in `forge`");
    blocked("unknown_forge", text, None)
}

/// The branch that is to get the work: the named one, else the remote's default as it was last seen, else the usual one.
fn into(
    git: &Git<'_>,
    source: &LandSource,
    (wanted, remote): (&PullRequest, &str),
    place: MirrorFolder<'_>,
) -> Result<String, WorkerError> {
    if let Some(into) = &wanted.into {
        checked_branch(into)
            .map_err(|_| WorkerError::Invalid(format!("this is not the name of a branch: {into}")).in_field("into"))?;
        return Ok(into.clone());
    }
    let prefix = format!("refs/remotes/{remote}/");
    let head = git.line(&["symbolic-ref", "--quiet", &format!("{prefix}HEAD")])?;
    if let Some(head) = head.as_deref().and_then(|head| head.strip_prefix(&prefix)) {
        return Ok(head.to_owned());
    }
    Ok(short(&LandTarget::find(git, source, None, place)?.branch).to_owned())
}

/// Fills in what the client has left out, by the commits that the request has.
fn draft(
    git: &Git<'_>,
    source: &LandSource,
    (name, wanted): (&str, &PullRequest),
    (branch, into, remote): (String, String, &str),
) -> Result<PullRequestDraft, WorkerError> {
    let (mut title, mut body) = (wanted.title.clone(), wanted.body.clone());
    if title.is_none() || body.is_none() {
        let names = [format!("refs/remotes/{remote}/{into}"), format!("refs/heads/{into}")];
        let mut message = name.to_owned();
        for known in names {
            if let Some(base) = commit_of(git, &known)? {
                message = squash_message(git, name, (&base, &source.id))?;
                break;
            }
        }
        let (first, rest) = message.split_once('\n').unwrap_or((&message, ""));
        title = title.or_else(|| Some(first.trim().to_owned()));
        body = body.or_else(|| Some(rest.trim().to_owned()));
    }
    let title: String = title.unwrap_or_default().chars().take(TITLE_MAX).collect();
    Ok(PullRequestDraft { branch, into, title, body: body.unwrap_or_default(), is_draft: wanted.draft })
}

impl PullRequestCommand {
    /// Itself for the journal.
    pub(in crate::worker) fn step(&self, id: String) -> RemoteStep {
        let PullRequestDraft { branch, into, .. } = &self.draft;
        RemoteStep {
            id,
            operation: "pull_request".to_owned(),
            about: format!("Opened a pull request of {branch} into {into} at {} ({})", self.remote, self.url),
            remote: self.remote.clone(),
            url: self.url.clone(),
            branch: branch.clone(),
            commit: None,
        }
    }

    /// Opens it, unless it is open already: a try before may have got so far.
    pub(in crate::worker) fn run(&self) -> Result<PullRequestLink, WorkerError> {
        let Self { cli, repo, draft, budget, .. } = self;
        let existing = cli.existing(repo, draft, budget)?;
        let (created, by) = (existing.is_none(), Some(cli.name()));
        let url = match existing {
            Some(url) => url,
            None => cli.create(repo, draft, (self.git.dir(), budget))?,
        };
        Ok(PullRequestLink { url, created, existing: !created, by, note: None })
    }
}
