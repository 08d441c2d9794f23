//! The prompts of the last days that a rule would have answered, from the journals.

use std::collections::VecDeque;
use std::time::Instant;

use serde::Serialize;

use crate::clock::Micros;
use crate::event::Body;
use crate::journal::By;
use crate::rules::{self, Rule};
use crate::worker::error::WorkerError;
use crate::worker::registry::Registry;
use crate::worker::run::worker::Worker;

/// Most prompts that a preview shows; older ones are left out.
pub(crate) const PROMPTS_MAX: usize = 200;
/// The end of a worker's journal that a preview reads, in bytes.
const JOURNAL_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// A prompt that the rule would have answered, and its answer.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct PreviewedPrompt {
    worker_id: String,
    worker_name: String,
    request_id: String,
    /// Its cursor.
    seq: u64,
    timestamp: Micros,
    tool_name: String,
    /// The prompt in words.
    content: String,
    /// The decision; absent while it is open.
    #[serde(skip_serializing_if = "Option::is_none")]
    decision: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<By>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<String>,
}

/// The prompts of a preview, oldest first.
#[derive(Debug, Serialize)]
pub(crate) struct RulePreview {
    prompts: VecDeque<PreviewedPrompt>,
    /// False if there may be more.
    complete: bool,
}

impl Registry {
    /// Looks for the prompts since `since` that `rule` would have answered, until `deadline`.
    ///
    /// # Errors
    /// Fails when a journal can't be read.
    pub(crate) fn preview_rule(
        &self,
        rule: &Rule,
        since: Micros,
        deadline: Instant,
    ) -> Result<RulePreview, WorkerError> {
        let mut preview = RulePreview { prompts: VecDeque::new(), complete: true };
        for worker in self.all() {
            let state = worker.state();
            let is_other = rule.worker.as_deref().is_some_and(|id| id != worker.id());
            if state.last_activity < since.0 || is_other || state.follow.is_some() {
                continue;
            }
            let mut found = Vec::new();
            preview.complete &= preview_of(&worker, rule, since, deadline, &mut found)?;
            preview.prompts.extend(found);
        }
        preview.prompts.make_contiguous().sort_by_key(|prompt| prompt.timestamp.0);
        while preview.prompts.len() > PROMPTS_MAX {
            preview.prompts.pop_front();
            preview.complete = false;
        }
        Ok(preview)
    }
}

/// Adds the prompts of one worker; whether these are all.
fn preview_of(
    worker: &Worker,
    rule: &Rule,
    since: Micros,
    deadline: Instant,
    found: &mut Vec<PreviewedPrompt>,
) -> Result<bool, WorkerError> {
    let end = worker.views().end();
    let begin = worker.archive().start()?;
    let from = end.saturating_sub(JOURNAL_BYTES_MAX).max(begin);
    let mut walk = worker.archive().walk(from)?;
    let mut at = from;
    let mut first: Option<Micros> = None;
    while at < end {
        if Instant::now() >= deadline {
            return Ok(false);
        }
        let reached = walk.step(end, &mut |walked| {
            let (event, time) = (walked.output.event, walked.output.time);
            first.get_or_insert(time);
            if time.0 < since.0 {
                return;
            }
            match &event.body {
                Body::PermissionRequest { request_id, tool_name, input, details, .. } => {
                    let holds = worker.look_by_rule((tool_name, input), details, |prompt| {
                        rules::decide(std::slice::from_ref(rule), prompt, Micros::now().0).is_some()
                    });
                    if holds == Some(true) {
                        found.push(PreviewedPrompt {
                            worker_id: worker.id().to_owned(),
                            worker_name: worker.state().name.clone(),
                            request_id: request_id.to_string(),
                            seq: walked.seq,
                            timestamp: time,
                            tool_name: tool_name.to_string(),
                            content: event.content.to_string(),
                            decision: None,
                            by: None,
                            rule: None,
                        });
                    }
                }
                Body::PermissionResolved { request_id, decision, by, rule, .. } => {
                    let prompt = found.iter_mut().rev().find(|prompt| prompt.request_id == **request_id);
                    if let Some(prompt) = prompt.filter(|prompt| prompt.decision.is_none()) {
                        prompt.decision = Some(decision.to_string());
                        prompt.by = Some(*by);
                        prompt.rule = rule.as_deref().map(str::to_owned);
                    }
                }
                _ => {}
            }
            if found.len() > 2 * PROMPTS_MAX {
                found.drain(..PROMPTS_MAX);
            }
        })?;
        if reached == at {
            break;
        }
        at = reached;
    }
    Ok(from == begin || first.is_some_and(|first| first.0 < since.0))
}
