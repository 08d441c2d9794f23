//! The decision of rules about a prompt: a pure function.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use super::loose::ScannedCommand;
use super::pattern::CommandPattern;
use super::place::{NamedPath, PathPattern, PromptProject};
use super::programs;
use super::shell::{self, Joint, Simple, Word};
use super::subject::{self, Subject};
use super::{Effect, Rule};

/// Most bytes of a prompt's texts that rules examine; a longer one asks.
const EXAMINED_BYTES_MAX: usize = 4 * 1024;

/// A permission prompt, as rules look at it.
#[derive(Debug)]
pub(crate) struct RulePrompt<'p> {
    /// The kind of the CLI.
    pub cli: &'p str,
    /// The worker's id.
    pub worker: &'p str,
    /// The ids of the workers above it.
    pub above: Vec<&'p str>,
    /// The project's folder, and the resolver of links.
    pub place: PromptProject<'p>,
    /// The repository of which the folder is a worktree.
    pub repository: Option<&'p Path>,
    /// The tool.
    pub tool: &'p str,
    /// Its input.
    pub input: &'p Value,
    /// Requires a person to answer it.
    pub needs_person: bool,
    /// The CLI wants no key, default or grant to allow it: no rule does.
    pub is_delicate: bool,
}

/// Decides a prompt: a rule that denies comes before one that asks, and that before one that allows. `None` when no rule
/// holds, and for prompts that only a person answers.
pub(crate) fn decide<'r>(rules: &'r [Rule], prompt: &RulePrompt<'_>, now: u64) -> Option<(Effect, &'r Rule)> {
    let subject = Subject::of(prompt.tool, prompt.input);
    if prompt.needs_person || subject == Subject::Person {
        return None;
    }
    let texts = subject.examined(prompt.input);
    // Nothing is said of a text that takes long to examine, so that no agent can hold up the answers to others.
    if texts.iter().map(|text| text.len()).sum::<usize>() > EXAMINED_BYTES_MAX {
        let mut refusing = rules.iter().filter(|rule| rule.effect != Effect::Allow && is_about(rule, prompt, now));
        return refusing.next().map(|rule| (Effect::Ask, rule));
    }
    let examined = PromptTexts::new(&texts, &subject, &prompt.place);
    [Effect::Deny, Effect::Ask, Effect::Allow].into_iter().find_map(|effect| {
        let mut of_effect = rules.iter().filter(|rule| rule.effect == effect && is_about(rule, prompt, now));
        let rule = of_effect.find(|rule| match effect {
            Effect::Allow => !prompt.is_delicate && allows(rule, prompt, &subject),
            Effect::Ask | Effect::Deny => could_concern(rule, prompt, &subject, &examined),
        })?;
        Some((effect, rule))
    })
}

/// Returns whether a rule is in force for the prompt's CLI, worker and project.
fn is_about(rule: &Rule, prompt: &RulePrompt<'_>, now: u64) -> bool {
    let is_in = |project: &str| {
        let project = Path::new(project);
        prompt.place.project.starts_with(project) || prompt.repository.is_some_and(|path| path.starts_with(project))
    };
    // An agent escapes no rule by a worker that it makes, and gains none.
    let is_for =
        |worker: &str| worker == prompt.worker || (rule.effect != Effect::Allow && prompt.above.contains(&worker));
    rule.expires.is_none_or(|expires| now < expires)
        && rule.cli.as_deref().is_none_or(|cli| cli == prompt.cli)
        && rule.worker.as_deref().is_none_or(is_for)
        && rule.project.as_deref().is_none_or(is_in)
}

/// Returns whether a rule allows all of what the prompt is about.
fn allows(rule: &Rule, prompt: &RulePrompt<'_>, subject: &Subject<'_>) -> bool {
    let is_kind = rule.tool.as_deref() == Some(subject.kind());
    if !is_kind && rule.tool.as_deref().is_some_and(|tool| tool != prompt.tool) {
        return false;
    }
    let paths: Vec<PathPattern<'_>> = rule.paths.iter().filter_map(|path| PathPattern::parse(path)).collect();
    match subject {
        Subject::Command(command) => allows_command(rule, command, &prompt.place, &paths).is_some(),
        Subject::Read(path) | Subject::Edit(path) => {
            rule.commands.is_empty()
                && is_unmistakable(path)
                && paths.iter().any(|pattern| pattern.holds(&prompt.place, path))
        }
        // Its name alone says what is allowed.
        Subject::Other => {
            let is_named = rule.tool.as_deref() == Some(prompt.tool);
            let is_plain = !subject::has_subject(prompt.tool) && !subject::names_subject(prompt.input);
            is_named && is_plain && rule.commands.is_empty() && rule.paths.is_empty()
        }
        Subject::Person => false,
    }
}

/// Returns whether every program reads a path as the server does: CLIs remove blanks, expand `~`, and resolve `..` each in their
/// own way, and some follow a link at the end for the sake of a slash.
fn is_unmistakable(path: &str) -> bool {
    let is_plain =
        path.trim() == path && !path.starts_with('~') && !path.chars().any(char::is_control) && path.is_ascii();
    is_plain && !path.ends_with('/') && path.split('/').all(|part| part != ".." && part != ".")
}

fn allows_command(rule: &Rule, command: &str, place: &PromptProject<'_>, paths: &[PathPattern<'_>]) -> Option<()> {
    let commands = shell::read(command, false)?;
    let patterns: Vec<CommandPattern> =
        rule.commands.iter().filter_map(|pattern| CommandPattern::parse(pattern).ok()).collect();
    let reaches = |path: &str| paths.iter().any(|pattern| pattern.holds(place, path));
    let holds = |command: &Simple| {
        patterns.iter().any(|pattern| pattern.holds(&command.words, place, paths))
            && command.writes.iter().all(|path| reaches(path))
    };
    let commands = without_homecoming(&commands, place);
    let all_hold = commands.iter().all(holds);
    let mut numbered = commands.iter().enumerate();
    let is_settled = numbered.all(|(at, command)| names_no_path(command) || keeps_paths(commands, at));
    (all_hold && is_settled).then_some(())
}

/// Returns whether the commands that run before one of them, or beside it in a pipeline, leave its paths as they were when
/// they were compared: `mv` could put a link in their place.
fn keeps_paths(commands: &[Simple], at: usize) -> bool {
    let beside = commands[at + 1..].iter().take_while(|command| command.joint == Joint::Pipe).count();
    let mut others = commands[..=at + beside].iter().enumerate().filter(|(other, _)| *other != at);
    others.all(|(_, other)| {
        let words: Vec<&str> = other.words.iter().map(|word| word.text.as_str()).collect();
        programs::keeps_names(&words)
    })
}

/// Returns whether a command has nothing but a program of the PATH, its command, and options without a value.
fn names_no_path(command: &Simple) -> bool {
    let Some((program, further)) = command.words.split_first() else { return false };
    let has_command = programs::has_commands(&program.text)
        && further.first().is_some_and(|word| programs::is_plain_name(&word.text));
    let is_option = |word: &Word| {
        word.text.strip_prefix("--").is_some_and(programs::is_plain_name)
            || (word.text.len() == 2 && word.text.starts_with('-'))
    };
    command.writes.is_empty()
        && !program.text.contains('/')
        && further[usize::from(has_command)..].iter().all(is_option)
}

/// Returns the commands without a `cd PROJECT &&` at their beginning, which changes nothing of what they mean. A path with
/// `..` is none: behind a link it is another folder for the shell than for the system.
fn without_homecoming<'c>(commands: &'c [Simple], place: &PromptProject<'_>) -> &'c [Simple] {
    match commands {
        [Simple { words, writes, .. }, rest @ ..] if writes.is_empty() => match (&words[..], rest) {
            ([cd, folder], [Simple { joint: Joint::And, .. }, ..])
                if cd.text == "cd"
                    && folder.text.starts_with('/')
                    && is_unmistakable(folder.text.strip_suffix('/').unwrap_or(&folder.text))
                    && place.resolved(&folder.text).as_deref() == Some(place.project) =>
            {
                rest
            }
            _ => commands,
        },
        _ => commands,
    }
}

/// The texts of a prompt for rules that refuse or ask, each read once and when it is needed.
struct PromptTexts<'t> {
    texts: &'t [Cow<'t, str>],
    place: &'t PromptProject<'t>,
    is_file: bool,
    readings: OnceCell<Vec<ScannedCommand>>,
    paths: OnceCell<Vec<NamedPath>>,
}

impl<'t> PromptTexts<'t> {
    fn new(texts: &'t [Cow<'t, str>], subject: &Subject<'_>, place: &'t PromptProject<'t>) -> Self {
        let is_file = matches!(subject, Subject::Read(_) | Subject::Edit(_));
        Self { texts, place, is_file, readings: OnceCell::new(), paths: OnceCell::new() }
    }

    /// The texts as commands; none of the path of a file tool.
    fn readings(&self) -> &[ScannedCommand] {
        self.readings.get_or_init(|| {
            let texts = self.texts.iter().filter(|_| !self.is_file);
            texts.map(|text| ScannedCommand::of(text)).collect()
        })
    }

    /// The paths that the texts could name.
    fn paths(&self) -> &[NamedPath] {
        self.paths.get_or_init(|| {
            let whole = self.texts.iter().flat_map(|text| [text.to_string(), text.trim().to_owned()]);
            let parts = self.readings().iter().zip(self.texts).flat_map(|(reading, text)| reading.names(text));
            let names: BTreeSet<String> = whole.chain(parts).collect();
            names.iter().map(|name| self.place.named(name)).collect()
        })
    }
}

/// Returns whether any part of the prompt could be what a rule refuses.
fn could_concern(rule: &Rule, prompt: &RulePrompt<'_>, subject: &Subject<'_>, examined: &PromptTexts<'_>) -> bool {
    let could_be_kind = |tool: &str| {
        tool == subject.kind() || (*subject == Subject::Other && matches!(tool, "execute" | "read" | "edit"))
    };
    if rule.tool.as_deref().is_some_and(|tool| tool != prompt.tool && !could_be_kind(tool)) {
        return false;
    }
    if rule.commands.is_empty() && rule.paths.is_empty() {
        return true;
    }
    let runs = |pattern: &String| examined.readings().iter().any(|reading| reading.could_run(pattern));
    let reaches = |path: &String| {
        let Some(pattern) = PathPattern::parse(path) else { return false };
        let placed = pattern.placed(&prompt.place);
        examined.paths().iter().any(|path| placed.could_hold(path))
    };
    rule.commands.iter().any(runs) || rule.paths.iter().any(reaches)
}

/// Returns the patterns that are exactly the commands.
pub(super) fn literal_patterns(command: &str, place: &PromptProject<'_>) -> Option<Vec<String>> {
    let commands = shell::read(command, false)?;
    let mut patterns: Vec<String> = Vec::new();
    for command in without_homecoming(&commands, place) {
        let words: Vec<String> = command.words.iter().map(quoted).collect();
        let pattern = words.join(" ");
        if !patterns.contains(&pattern) {
            patterns.push(pattern);
        }
    }
    Some(patterns)
}

/// Writes a word so that it is read as itself.
fn quoted(word: &Word) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./,:+@%".contains(c);
    let text = &word.text;
    if !text.is_empty() && text.chars().all(is_plain) {
        text.clone()
    } else if text.contains('\'') {
        format!("\"{text}\"")
    } else {
        format!("'{text}'")
    }
}
