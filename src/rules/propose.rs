//! The narrowest rule for a prompt, and its reach in words.

use serde::Serialize;

use super::decide::{RulePrompt, decide};
use super::subject::{self, Subject};
use super::{Effect, NAME_CHARS_MAX, Rule};
use crate::private_list::ListEntry as _;

/// A rule that would answer the prompt and as little else as possible.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Proposal {
    /// The rule, without an id.
    pub rule: Rule,
    /// Its reach, in words for people.
    pub reach: String,
}

/// Proposes a rule that allows the prompt: in this project, with this CLI, with exactly these words.
///
/// # Errors
/// The reason why no rule can allow it, for people.
pub(crate) fn propose(prompt: &RulePrompt<'_>, now: u64) -> Result<Proposal, String> {
    let subject = Subject::of(prompt.tool, prompt.input);
    if prompt.needs_person || prompt.is_delicate || subject == Subject::Person {
        return Err("the agent asks for a person here, so no rule answers it".to_owned());
    }
    let project = prompt.repository.unwrap_or(prompt.place.project).to_string_lossy().into_owned();
    let mut rule = Rule {
        effect: Effect::Allow,
        cli: Some(prompt.cli.to_owned()),
        project: Some(project.clone()),
        tool: Some(prompt.tool.to_owned()),
        ..Rule::default()
    };
    let (name, reach) = match subject {
        Subject::Command(command) => {
            rule.commands = super::decide::literal_patterns(command, &prompt.place).unwrap_or_default();
            let shown = rule.commands.join(", ");
            (shown.clone(), format!("Runs {shown}, with exactly these words"))
        }
        Subject::Read(path) | Subject::Edit(path) => {
            let resolved = prompt.place.resolved(path).unwrap_or_default();
            let inside = resolved.strip_prefix(prompt.place.project).unwrap_or(&resolved);
            let shown = inside.to_string_lossy().into_owned();
            rule.paths = vec![shown.clone()];
            (format!("{} {shown}", prompt.tool), format!("Uses {} on the file {shown}", prompt.tool))
        }
        Subject::Other if subject::has_subject(prompt.tool) => (String::new(), String::new()),
        Subject::Other | Subject::Person => (prompt.tool.to_owned(), format!("Uses {}, with any input", prompt.tool)),
    };
    rule.name = name.chars().take(NAME_CHARS_MAX).collect();
    rule.check().map_err(|_| unanswerable(prompt))?;
    // It must do what it says before anybody confirms it.
    if decide(std::slice::from_ref(&rule), prompt, now).is_none() {
        return Err(unanswerable(prompt));
    }
    let reach = format!("{reach}, whenever {} asks in {project}. Everything else still asks.", prompt.cli);
    Ok(Proposal { rule, reach })
}

fn unanswerable(prompt: &RulePrompt<'_>) -> String {
    format!("no rule can allow this safely: the input of {} has a part that only a person can judge", prompt.tool)
}
