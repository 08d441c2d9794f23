//! The remotes of a repository as people see them before a push. No other machine is asked.

use serde::Serialize;

use super::address::{Address, Protocol};
use crate::worker::error::WorkerError;
use crate::worker::place::git::{Git, GitBudget, MirrorFolder, RemoteGit, Remotes, Repository, is_ref_name};
use crate::worker::place::land::targets::LandSource;
use crate::worker::place::land::{HEADS, commit_of, short};

/// A remote before a push.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Remote {
    /// Its name.
    pub name: String,
    /// The address to which a push goes, without a password; null where nothing is pushed to it.
    pub url: Option<String>,
    /// The reason why nothing is pushed to it.
    pub problem: Option<String>,
    /// The branch there that a push changes unless another one is named; null where no branch is checked out.
    pub branch: Option<String>,
    /// The commit that this branch had when it was last fetched or pushed.
    pub head: Option<String>,
    /// Commits that only the worker's side has, compared with that.
    pub ahead: Option<usize>,
    /// Commits that only that side has.
    pub behind: Option<usize>,
}

/// The remotes of a worker's repository, for the dry run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct RemotesLook {
    /// The remotes, by their names.
    pub remotes: Vec<Remote>,
    /// The one whose branch the worker's branch follows.
    pub upstream: Option<Remote>,
}

/// The remotes of a repository, to which git can push.
pub(in crate::worker) struct Reachable {
    /// The remotes, as shown to people.
    pub(in crate::worker) remotes: Vec<Remote>,
    /// Numbers by which git knows them, with the protocol of each that nothing is against.
    pub(in crate::worker) ways: Vec<Option<(usize, Protocol)>>,
    /// The remote that the worker's branch follows.
    pub(in crate::worker) upstream: Option<String>,
    /// Settings of the repository.
    pub(in crate::worker) settings: Remotes,
    /// The Git directory that knows their addresses.
    pub(in crate::worker) link: RemoteGit,
}

/// Looks at the remotes of a repository.
pub(in crate::worker) fn look(
    repository: &Repository,
    (place, budget): (MirrorFolder<'_>, GitBudget<'_>),
) -> Result<RemotesLook, WorkerError> {
    let git = Git::open(repository.clone(), place, budget)?;
    let source = LandSource::of(&git)?;
    let found = reachable(&git, &source)?;
    let upstream = found.upstream.as_ref();
    let upstream = found.remotes.iter().find(|remote| Some(&remote.name) == upstream).cloned();
    Ok(RemotesLook { remotes: found.remotes, upstream })
}

/// Finds the remotes of a repository, with the addresses as the user's settings rewrite them.
pub(in crate::worker) fn reachable(git: &Git<'_>, source: &LandSource) -> Result<Reachable, WorkerError> {
    let settings = Remotes::of(git.repository())?;
    let own = source.branch.as_deref().map(short);
    let followed = own.and_then(|own| settings.followed_by(own));
    let (mut remotes, mut ways, mut addresses) = (Vec::new(), Vec::new(), Vec::new());
    for (name, found) in &settings.all {
        let (urls, for_pushes) =
            if found.push_urls.is_empty() { (&found.urls, false) } else { (&found.push_urls, true) };
        let mut remote = Remote { name: name.clone(), ..Remote::default() };
        remote.branch = followed.filter(|(of, _)| of == name).map(|(_, branch)| branch).or(own).map(str::to_owned);
        remote.compare(git, source)?;
        let address = match urls.as_slice() {
            [one] => Address::parse(one),
            [] => Err("the remote has no address".to_owned()),
            many => Err(format!("the remote has {} addresses: nothing is pushed to several at once", many.len())),
        };
        ways.push(match address {
            Ok(address) => {
                addresses.push((address.text(), for_pushes));
                Some((addresses.len() - 1, address.protocol))
            }
            Err(problem) => {
                remote.problem = Some(problem);
                None
            }
        });
        remotes.push(remote);
    }
    let link = git.link(&addresses)?;
    let rewritten = if addresses.is_empty() { Vec::new() } else { git.rewritten(&link, addresses.len())? };
    for (remote, way) in remotes.iter_mut().zip(&mut ways) {
        let Some((number, protocol)) = way else { continue };
        // The user's own rewriting may lead to another protocol, and has the user's own credentials.
        match rewritten.get(*number).cloned().flatten().map(|address| Address::parse(&address)) {
            Some(Ok(address)) => {
                *protocol = address.protocol;
                remote.url = Some(address.text());
            }
            Some(Err(problem)) => (remote.problem, *way) = (Some(problem), None),
            None => (remote.problem, *way) = (Some("git does not know its address".to_owned()), None),
        }
    }
    let upstream = followed.map(|(remote, _)| remote.to_owned());
    Ok(Reachable { remotes, ways, upstream, settings, link })
}

impl Remote {
    /// Compares the worker's side with the branch there as it was last seen.
    fn compare(&mut self, git: &Git<'_>, source: &LandSource) -> Result<(), WorkerError> {
        let Some(name) = self.branch.as_deref().and_then(|branch| tracking(&self.name, branch)) else { return Ok(()) };
        let Some(head) = commit_of(git, &name)? else { return Ok(()) };
        let range = format!("{head}...{}", source.id);
        let counts = git.line(&["rev-list", "--left-right", "--count", &range])?.unwrap_or_default();
        let mut counts = counts.split_whitespace().map(|count| count.parse().ok());
        (self.behind, self.ahead) = (counts.next().flatten(), counts.next().flatten());
        self.head = Some(head);
        Ok(())
    }
}

/// The reference in which a branch of a remote is kept as it was last seen.
pub(in crate::worker) fn tracking(remote: &str, branch: &str) -> Option<String> {
    Some(format!("refs/remotes/{remote}/{branch}")).filter(|name| is_ref_name(name))
}

impl Reachable {
    /// Chooses a remote: the named one, else the one that the branch follows, else `origin`, else the only one.
    pub(in crate::worker) fn choose(&self, named: Option<&str>) -> Result<usize, WorkerError> {
        let position = |name: &str| self.remotes.iter().position(|remote| remote.name == name);
        if let Some(name) = named {
            let missing = || WorkerError::NotFound(format!("the repository has no remote {name}")).in_field("remote");
            return position(name).ok_or_else(missing);
        }
        let usual = self.upstream.as_deref().and_then(position).or_else(|| position("origin"));
        let only = (self.remotes.len() == 1).then_some(0);
        usual.or(only).ok_or_else(|| {
            let text = if self.remotes.is_empty() { "the repository has no remote" } else { "name one of the remotes" };
            WorkerError::Conflict(text.to_owned()).in_field("remote")
        })
    }

    /// Checks that a remote has the address that somebody has seen.
    ///
    /// # Errors
    /// Fails when it has another one by now, or one to which nothing is pushed.
    pub(in crate::worker) fn check(&self, at: usize, expected: &str) -> Result<(usize, Protocol), WorkerError> {
        let missing = || WorkerError::NotFound("no such remote".to_owned());
        let (remote, way) = self.remotes.get(at).zip(self.ways.get(at)).ok_or_else(missing)?;
        let name = &remote.name;
        let (Some(url), Some(way)) = (&remote.url, way) else {
            let problem = remote.problem.as_deref().unwrap_or_default();
            return Err(WorkerError::Conflict(format!("nothing can be pushed to {name}: {problem}")));
        };
        if url != expected {
            let text = format!("the address of {name} is {url} now, and not {expected}: look again");
            let field = Some(("url", serde_json::json!(url)));
            return Err(crate::worker::place::land::blocked::blocked("address_changed", text, field));
        }
        Ok(*way)
    }
}

/// The full name of a branch of a remote that a client names.
pub(in crate::worker) fn checked_branch(name: &str) -> Result<String, WorkerError> {
    let full = format!("{HEADS}{name}");
    if name.starts_with('-') || !is_ref_name(&full) {
        return Err(WorkerError::Invalid(format!("this is not the name of a branch: {name}")).in_field("branch"));
    }
    Ok(full)
}
