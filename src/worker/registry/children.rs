//! The children of a worker: workers that its agent makes. An agent is hostile, so a child gets what its parent has, or less.

use std::path::Path;

use crate::journal::{Parent, WorkerOptions, Worktree};
use crate::runner::Runner;
use crate::worker::error::WorkerError;
use crate::worker::place::worktree::NewWorktree;
use crate::worker::registry::{NewWorker, Registry};
use crate::worker::run::worker::Worker;
use crate::worker::state::State;

/// Longest name of a model that an agent may choose, in bytes.
const MODEL_BYTES_MAX: usize = 128;
/// Permission modes of a CLI, each wider than those before it. Any other mode goes to a child as it is, or not at all.
const MODES: [&[&str]; 3] = [
    &["plan", "default", "acceptEdits", "bypassPermissions"],
    &["read-only", "auto", "full-access"],
    // OpenCode's.
    &["plan", "build"],
];

/// The wishes of an agent for a new worker. There are no others: no CLI, runner, arguments or variables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ChildRequest {
    /// Its name.
    pub(crate) name: String,
    /// Its folder: that of the parent, or one in it, absolute or relative to it.
    pub(crate) project_path: Option<String>,
    /// Another model than the parent's.
    pub(crate) model: Option<String>,
    /// A narrower permission mode than the parent's.
    pub(crate) permission_mode: Option<String>,
    /// True for a git worktree of its own.
    pub(crate) worktree: bool,
    /// True if its agent may make workers too.
    pub(crate) mcp: bool,
}

impl Registry {
    /// Returns the new worker that an agent asks for, restricted to what its own worker may do.
    ///
    /// # Errors
    /// Fails when it asks for more than its own worker may do, or for more workers than it may make.
    pub(crate) fn child_of(&self, parent: &Worker, wanted: ChildRequest) -> Result<NewWorker, WorkerError> {
        let state = parent.state();
        let depth_max = self.launcher.settings.depth_max;
        let child = lineage(parent.id(), &state);
        if child.depth() > depth_max {
            let text = format!("a worker has at most {depth_max} workers above it (AGENT_DEPTH_MAX)");
            return Err(WorkerError::Limit(text));
        }
        if wanted.mcp && child.depth() + 1 > depth_max {
            let text = format!("its workers would have more than {depth_max} above them (AGENT_DEPTH_MAX): omit mcp");
            return Err(WorkerError::Limit(text).in_field("mcp"));
        }
        let runner = self.launcher.runner(&state)?;
        if runner.is_some_and(Runner::is_elsewhere) {
            let text = "a worker that runs on another machine makes no workers".to_owned();
            return Err(WorkerError::Conflict(text));
        }
        let project_path = self.project_below(runner, &state, wanted.project_path.as_deref())?;
        let options = WorkerOptions {
            model: model(&state, wanted.model)?,
            permission_mode: permission_mode(&state, wanted.permission_mode)?,
            resume_session: None,
            fork: false,
            idempotency_key: None,
            request_hash: None,
            handover: None,
            group: None,
            mcp: wanted.mcp,
            parent: Some(Box::new(child)),
            ..state.options.clone()
        };
        Ok(NewWorker {
            name: wanted.name,
            project_path,
            ai_cli_type: state.ai_cli_type.clone(),
            options,
            forked_from: None,
            follow: None,
            worktree: wanted.worktree.then(NewWorktree::default),
        })
    }

    /// Returns the folder of a child, links resolved. The text is the same for a folder that is not there.
    fn project_below(
        &self,
        runner: Option<&Runner>,
        parent: &State,
        wanted: Option<&str>,
    ) -> Result<String, WorkerError> {
        let own = self.launcher.recorded_project(runner, &parent.project_path)?;
        let Some(wanted) = wanted else { return Ok(own) };
        let text = Path::new(&own).join(wanted).into_os_string().into_string().unwrap_or_default();
        let resolved = self.launcher.project(runner, &text).ok();
        resolved.filter(|path| Path::new(path).starts_with(&own)).ok_or_else(|| {
            let text = format!("not a folder in the project of this worker, {own}: {wanted}");
            WorkerError::Invalid(text).in_field("project_path")
        })
    }

    /// Refuses a child beyond the number that its parent may have, and one whose parent is gone. The caller holds the lock of
    /// creations.
    pub(in crate::worker) fn require_place_below_parent(&self, options: &WorkerOptions) -> Result<(), WorkerError> {
        let Some(parent) = &options.parent else { return Ok(()) };
        let most = self.launcher.settings.children_max;
        let workers = self.read();
        if !workers.contains_key(&parent.id) {
            return Err(WorkerError::NotFound(format!("Worker not found: {}", parent.id)));
        }
        let is_sibling = |state: &State| state.options.parent.as_ref().is_some_and(|other| other.id == parent.id);
        if workers.values().filter(|worker| is_sibling(&worker.state())).count() < most {
            return Ok(());
        }
        let text =
            format!("this worker has made {most} workers, which is the most (AGENT_CHILDREN_MAX); use one of them");
        Err(WorkerError::Limit(text))
    }

    /// Refuses a worktree of a repository that is more than what the parent works in: a folder of a repository would lead to
    /// all of it.
    pub(in crate::worker) fn require_parents_repository(
        &self,
        new: &NewWorker,
        planned: Option<&Worktree>,
    ) -> Result<(), WorkerError> {
        let (Some(parent), Some(planned)) = (&new.options.parent, planned) else { return Ok(()) };
        let parent = self.get(&parent.id)?.state();
        let is_own = parent.worktree.as_ref().is_some_and(|tree| tree.project == planned.project);
        if is_own || Path::new(&planned.project).starts_with(&parent.project_path) {
            return Ok(());
        }
        let text = "the repository is more than the project of this worker: omit worktree".to_owned();
        Err(WorkerError::Invalid(text).in_field("worktree"))
    }
}

/// Returns the place of a child of `id`.
fn lineage(id: &str, state: &State) -> Parent {
    let above =
        state.options.parent.as_deref().map_or_else(Vec::new, |parent| parent.ids().map(str::to_owned).collect());
    Parent { id: id.to_owned(), name: state.name.clone(), above }
}

/// Returns the model of a child. It becomes a word of a command line.
fn model(parent: &State, wanted: Option<String>) -> Result<Option<String>, WorkerError> {
    let Some(wanted) = wanted.filter(|model| !model.is_empty()) else { return Ok(parent.options.model.clone()) };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:/@[]".contains(&byte);
    let begins = wanted.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric);
    if begins && wanted.len() <= MODEL_BYTES_MAX && wanted.bytes().all(plain) {
        return Ok(Some(wanted));
    }
    Err(WorkerError::Invalid(format!("not the name of a model: {wanted:?}")).in_field("model"))
}

/// Returns the permission mode of a child: the parent's, or a narrower one.
fn permission_mode(parent: &State, wanted: Option<String>) -> Result<Option<String>, WorkerError> {
    let own = own_mode(parent);
    let Some(wanted) = wanted.filter(|mode| !mode.is_empty()) else { return Ok(own) };
    let is_covered = match &own {
        Some(own) => *own == wanted || is_narrower(&wanted, own),
        // The CLI's own choice is not known, so only the narrowest mode of all is surely not wider.
        None => MODES.iter().any(|modes| modes.first() == Some(&wanted.as_str())),
    };
    if is_covered {
        return Ok(Some(wanted));
    }
    let own = own.as_deref().unwrap_or("the CLI's own choice");
    let text = format!("the permission mode {wanted:?} is not known to be as narrow as that of this worker, {own}");
    Err(WorkerError::Invalid(text).in_field("permission_mode"))
}

/// Returns the mode of a worker: the narrower one of what was asked for and what the CLI reports.
fn own_mode(state: &State) -> Option<String> {
    let asked = state.next_start().permission_mode;
    match (&asked, &state.permission_mode) {
        (Some(asked), Some(reported)) if is_narrower(reported, asked) => Some(reported.clone()),
        (None, Some(reported)) if MODES.iter().any(|modes| modes.first() == Some(&reported.as_str())) => {
            Some(reported.clone())
        }
        _ => asked,
    }
}

/// Returns whether a mode is known to be narrower than another one of the same CLI.
fn is_narrower(mode: &str, than: &str) -> bool {
    MODES.iter().any(|modes| {
        let place = |mode: &str| modes.iter().position(|known| *known == mode);
        place(mode).zip(place(than)).is_some_and(|(mode, than)| mode < than)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(asked: Option<&str>, reported: Option<&str>) -> State {
        let mut state = State::default();
        state.options.permission_mode = asked.map(str::to_owned);
        state.permission_mode = reported.map(str::to_owned);
        state
    }

    #[test]
    fn child_gets_no_wider_permission_mode_than_its_parent() {
        for (asked, reported, wanted, expected) in [
            (Some("default"), None, None, Some(Some("default"))),
            (Some("default"), None, Some("plan"), Some(Some("plan"))),
            (Some("default"), None, Some("acceptEdits"), None),
            (Some("default"), None, Some("bypassPermissions"), None),
            (Some("acceptEdits"), Some("plan"), None, Some(Some("plan"))),
            (Some("acceptEdits"), Some("plan"), Some("acceptEdits"), None),
            (Some("default"), Some("bypassPermissions"), Some("bypassPermissions"), None),
            (None, Some("bypassPermissions"), Some("bypassPermissions"), None),
            (None, Some("plan"), Some("default"), None),
            (None, None, Some("default"), None),
            (None, None, Some("plan"), Some(Some("plan"))),
            (None, None, None, Some(None)),
            (Some("auto"), None, Some("read-only"), Some(Some("read-only"))),
            (Some("auto"), None, Some("full-access"), None),
            (Some("read-only"), None, Some("bypassPermissions"), None),
            (Some("never"), None, Some("on-request"), None),
            (Some("never"), None, Some("never"), Some(Some("never"))),
        ] {
            let given = permission_mode(&state(asked, reported), wanted.map(str::to_owned)).ok();
            let given = given.as_ref().map(Option::as_deref);
            assert_eq!(given, expected, "{asked:?} {reported:?} {wanted:?}");
        }
    }

    #[test]
    fn models_of_children_are_no_options() {
        for (wanted, is_taken) in [
            ("claude-sonnet-4-5", true),
            ("anthropic/claude:1@x[1m]", true),
            ("--dangerously-skip-permissions", false),
            ("-x", false),
            ("a b", false),
            ("a\n", false),
            (&"a".repeat(129), false),
        ] {
            assert_eq!(model(&State::default(), Some(wanted.to_owned())).is_ok(), is_taken, "{wanted}");
        }
    }

    #[test]
    fn lineage_names_all_workers_above_the_child() {
        let mut state = State::default();
        "B".clone_into(&mut state.name);
        assert_eq!(lineage("b", &state).depth(), 1);
        state.options.parent =
            Some(Box::new(Parent { id: "a".to_owned(), name: "A".to_owned(), above: vec!["top".to_owned()] }));
        let child = lineage("b", &state);
        assert_eq!((child.depth(), child.above.clone()), (3, vec!["a".to_owned(), "top".to_owned()]));
        assert!(child.descends_from("top") && child.descends_from("a") && child.descends_from("b"));
    }
}
