//! Standing rules for permission prompts: what is allowed, asked and denied without a person.
//!
//! A rule that allows holds only for what is understood whole; see [`shell`] and [`pattern`]. A rule that denies holds for
//! whatever could be meant; see [`loose`]. The decision is a pure function of the rules, the prompt and the time.

mod decide;
mod glob;
pub(crate) mod links;
mod loose;
mod pattern;
mod place;
mod programs;
mod propose;
mod shell;
mod subject;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::private_list::{EntryMistake, ListEntry, PrivateList};

pub(crate) use decide::{RulePrompt, decide};
use pattern::CommandPattern;
use place::PathPattern;
pub(crate) use place::PromptProject;
pub(crate) use propose::propose;

/// Most rules.
pub(crate) const RULES_MAX: usize = 1_000;
/// Longest name, in characters.
pub(crate) const NAME_CHARS_MAX: usize = 80;
/// Longest note, in characters.
pub(crate) const NOTE_CHARS_MAX: usize = 1_000;
/// Most patterns of each kind in one rule.
pub(crate) const PATTERNS_MAX: usize = 32;
/// Longest pattern, project, tool or other text of a rule, in bytes.
pub(crate) const TEXT_BYTES_MAX: usize = 4 * 1024;

/// The effect of a rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Effect {
    /// The prompt is denied.
    Deny,
    /// A person is asked, whatever other rules allow.
    #[default]
    Ask,
    /// The prompt is allowed, once.
    Allow,
}

/// A rule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rule {
    /// Its id, a UUID.
    pub id: String,
    /// Its name, for people.
    pub name: String,
    /// Its effect.
    pub effect: Effect,
    /// The only CLI that it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cli: Option<String>,
    /// The only project that it is for, absolute, with the folders in it and worktrees of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// The only worker that it is for, by id. One that does not allow is for the workers below it too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<String>,
    /// The only tool that it is for, by name or kind (`execute`, `read`, `edit`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool: Option<String>,
    /// Patterns of commands.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub commands: Vec<String>,
    /// Patterns of paths.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
    /// The time when it ends, in microseconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<u64>,
    /// A note, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
    /// The time when it was made, in microseconds since the Unix epoch.
    #[serde(default)]
    pub created: u64,
}

/// All rules. From a file that can't be used no rule holds, so that people are asked.
pub(crate) type RuleBook = PrivateList<Rule>;

impl ListEntry for Rule {
    const FILE: &'static str = ".rules";
    const WORD: &'static str = "rule";
    const WORDS: &'static str = "rules";
    const COUNT_MAX: usize = RULES_MAX;
    const BYTES_MAX: usize = 8 * 1024 * 1024;
    const WITHOUT: &'static str = "so all prompts ask";

    fn id(&self) -> &str {
        &self.id
    }

    /// Checks a rule, so that it can only mean what is written.
    fn check(&self) -> Result<(), EntryMistake> {
        let wrong = |field, text: String| Err(EntryMistake { field, text });
        EntryMistake::check_label((&self.name, NAME_CHARS_MAX), (&self.note, NOTE_CHARS_MAX))?;
        let short = [("cli", &self.cli), ("project", &self.project), ("worker", &self.worker), ("tool", &self.tool)];
        for (field, text) in short {
            if text.as_ref().is_some_and(|text| text.is_empty() || text.len() > TEXT_BYTES_MAX) {
                return wrong(field, format!("{field} must have 1 to {TEXT_BYTES_MAX} bytes"));
            }
        }
        if self.project.as_ref().is_some_and(|project| !project.starts_with('/')) {
            return wrong("project", "project must be an absolute path".to_owned());
        }
        for (field, list) in [("commands", &self.commands), ("paths", &self.paths)] {
            if list.len() > PATTERNS_MAX || list.iter().any(|text| text.len() > TEXT_BYTES_MAX) {
                return wrong(field, format!("{field} must be at most {PATTERNS_MAX}, of {TEXT_BYTES_MAX} bytes each"));
            }
        }
        for pattern in &self.commands {
            let checked = match self.effect {
                Effect::Allow => CommandPattern::parse(pattern).map(drop),
                Effect::Ask | Effect::Deny => loose::check(pattern),
            };
            if let Err(reason) = checked {
                return wrong("commands", format!("the pattern {pattern:?} {reason}"));
            }
        }
        if let Some(path) = self.paths.iter().find(|path| PathPattern::parse(path).is_none()) {
            let text = format!("the path {path:?} must be a file, or a folder with /** at its end, without . and ..");
            return wrong("paths", text);
        }
        let is_narrow = !self.commands.is_empty() || !self.paths.is_empty();
        let by_name = self.tool.as_deref().is_some_and(|tool| !is_kind(tool) && !subject::has_subject(tool));
        if self.effect == Effect::Allow && !is_narrow && !by_name {
            let text = "a rule that allows needs commands, paths, or the name of a tool that has neither";
            return wrong("commands", text.to_owned());
        }
        Ok(())
    }
}

/// Returns whether a tool's name is that of a kind.
fn is_kind(tool: &str) -> bool {
    matches!(tool, "execute" | "read" | "edit" | "other")
}
