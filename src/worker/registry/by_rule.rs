//! Prompts that rules answer: as a person would, with the rule's name in the journal.

use std::path::{Path, PathBuf};

use crate::adapter::PermissionAnswer;
use crate::clock::Micros;
use crate::event::{PermissionOption, PromptDetails};
use crate::home;
use crate::rules::{self, Effect, PromptProject, Rule, RulePrompt, links};
use crate::runner::Runner;
use crate::worker::error::WorkerError;
use crate::worker::registry::Registry;
use crate::worker::run::prompts::{ByRule, Decision};
use crate::worker::run::worker::Worker;
use crate::worker::state::{OpenPrompt, PromptSubject, State};

/// The reason of the CLI for prompts that its own safety checks make.
const SAFETY_CHECK: &str = "safetyCheck";

/// The folders of a worker as they are now.
pub(crate) struct RulePlace {
    project: PathBuf,
    repository: Option<PathBuf>,
    home: Option<PathBuf>,
}

impl RulePlace {
    /// Looks at a worker's folder. `None` when it is not the one that the worker was made for.
    fn of(state: &State) -> Option<Self> {
        let project = PathBuf::from(&state.project_path);
        let is_same = links::resolve(&project).as_deref() == Some(&*project) && project.is_dir();
        let repository = state.worktree.as_ref().map(|worktree| PathBuf::from(&worktree.project));
        is_same.then(|| Self { project, repository, home: home::directory().map(PathBuf::from) })
    }

    /// A prompt of the worker, as rules look at it.
    fn prompt<'p>(
        &'p self,
        worker: &'p Worker,
        state: &'p State,
        (tool, input): (&'p str, &'p serde_json::Value),
        details: &PromptDetails,
    ) -> RulePrompt<'p> {
        RulePrompt {
            cli: &worker.adapter().cli().kind,
            worker: worker.id(),
            place: PromptProject { project: &self.project, home: self.home.as_deref(), resolve: &links::resolve },
            above: state.options.parent.iter().flat_map(|parent| parent.ids()).collect(),
            repository: self.repository.as_deref().filter(|path: &&Path| **path != *self.project),
            tool,
            input,
            needs_person: details.requires_user_interaction,
            is_delicate: is_delicate(details),
        }
    }
}

/// Returns whether the CLI wants nothing but a person to allow it.
fn is_delicate(details: &PromptDetails) -> bool {
    details.default_to_no
        || details.suppress_always_allow_rule
        || details.decision_reason_type.as_deref() == Some(SAFETY_CHECK)
}

impl Worker {
    /// Gives a permission prompt of this worker to a function of rules. `None` where rules have no say: the worker only
    /// follows a session, works on another machine, or its folder was replaced.
    pub(crate) fn look_by_rule<T>(
        &self,
        (tool, input): (&str, &serde_json::Value),
        details: &PromptDetails,
        look: impl FnOnce(&RulePrompt<'_>) -> T,
    ) -> Option<T> {
        let state = self.state();
        if details.budget.is_some() {
            return None;
        }
        let is_here = !self.launcher.runner(&state).ok()?.is_some_and(Runner::is_elsewhere);
        if state.follow.is_some() || !is_here {
            return None;
        }
        let place = RulePlace::of(&state)?;
        Some(look(&place.prompt(self, &state, (tool, input), details)))
    }

    /// Gives an open permission prompt to a function of rules.
    ///
    /// # Errors
    /// Fails when no such prompt is open, or rules have no say in it; the text is for people.
    pub(crate) fn look_at_prompt<T>(
        &self,
        request_id: &str,
        look: impl FnOnce(&RulePrompt<'_>) -> T,
    ) -> Result<T, WorkerError> {
        let state = self.state();
        let open = state.prompts.iter().find(|prompt| prompt.request_id == request_id);
        let open = open.ok_or_else(|| WorkerError::NotFound(format!("prompt not found: {request_id}")))?;
        self.look_at(open, look)
    }

    fn look_at<T>(&self, open: &OpenPrompt, look: impl FnOnce(&RulePrompt<'_>) -> T) -> Result<T, WorkerError> {
        if open.budget().is_some() {
            let text = format!("{} is about a budget, which no rule answers", open.request_id);
            return Err(WorkerError::Invalid(text));
        }
        let PromptSubject::PermissionRequest { tool_name, input, details, .. } = &open.asked else {
            return Err(WorkerError::Invalid(format!("{} is a question, which no rule answers", open.request_id)));
        };
        self.look_by_rule((tool_name, input), details, look).ok_or_else(|| {
            WorkerError::Invalid("no rule answers prompts of this worker: its folder is not on this machine".to_owned())
        })
    }

    /// Answers an open permission prompt if a rule allows or denies it; whether it is answered.
    fn answer_by_rule(&self, rules: &[Rule], is_kept: &dyn Fn(&Rule) -> bool, request_id: &str) -> bool {
        let state = self.state();
        let Some(open) = state.prompts.iter().find(|prompt| prompt.request_id == request_id) else { return false };
        let now = Micros::now().0;
        let decided = self.look_at(open, |prompt| {
            let (effect, rule) = rules::decide(rules, prompt, now)?;
            // It may have been removed while it was decided.
            is_kept(rule).then(|| (effect, rule.name.clone()))
        });
        let Ok(Some((effect, name))) = decided else { return false };
        let (kind, message) = match effect {
            Effect::Ask => return false,
            Effect::Allow => ("allow_once", None),
            Effect::Deny => ("reject_once", Some(format!("Denied by the rule {name:?} of rs-worker."))),
        };
        let Some(option_id) = option_of_kind(open, kind) else { return false };
        let answer = PermissionAnswer { option_id, message, updated_input: None, interrupt: false };
        let by = ByRule { name: &name, seq: open.seq };
        match self.decide_by(request_id, &Decision::Option(answer), Some(&by)) {
            Ok(_) => {
                log::info!("worker {}: the rule {name:?} answered a prompt: {kind}", self.id());
                true
            }
            // A person was faster, or the CLI has withdrawn it.
            Err(WorkerError::Resolved(_)) => true,
            Err(error) => {
                log::warn!("worker {}: the rule {name:?} could not answer a prompt: {error}", self.id());
                false
            }
        }
    }
}

/// The option of a prompt that decides this once and nothing else.
fn option_of_kind(open: &OpenPrompt, kind: &str) -> Option<String> {
    let PromptSubject::PermissionRequest { options, .. } = &open.asked else { return None };
    let once = |option: &&PermissionOption| option.kind == kind;
    options.iter().find(once).map(|option| option.id.clone())
}

impl Registry {
    /// Answers an open permission prompt if a rule allows or denies it; whether it is answered.
    pub(crate) fn answer_by_rule(
        &self,
        rules: &[Rule],
        is_kept: &dyn Fn(&Rule) -> bool,
        (worker_id, request_id): (&str, &str),
    ) -> bool {
        !rules.is_empty() && self.get(worker_id).is_ok_and(|worker| worker.answer_by_rule(rules, is_kept, request_id))
    }
}
