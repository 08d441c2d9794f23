//! Patterns of commands for rules that allow: literal words, `*` for one word, and a last `**` for all further words.

use super::place::{PathPattern, PromptProject};
use super::programs;
use super::shell::{self, Simple, Word};

/// Longest word that a wildcard matches, in bytes.
const WILD_BYTES_MAX: usize = 1024;

/// A pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CommandPattern {
    words: Vec<Word>,
    /// True if further words may follow.
    is_open: bool,
}

/// The word of a pattern for any one word.
fn is_wild(word: &Word) -> bool {
    !word.quoted && word.text == "*"
}

impl CommandPattern {
    /// Reads a pattern of a rule that allows.
    ///
    /// # Errors
    /// The reason, as the end of a sentence about the pattern.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let unreadable = || "is not one plain command: words, quotes, * and ** only".to_owned();
        let commands = shell::read(text, true).ok_or_else(unreadable)?;
        let [Simple { words, writes, .. }] = &commands[..] else { return Err(unreadable()) };
        if !writes.is_empty() {
            return Err("has a redirection: name the files in paths instead".to_owned());
        }
        let mut words = words.clone();
        let is_open = words.last().is_some_and(|last| !last.quoted && last.text == "**");
        if is_open {
            words.pop();
        }
        let has_stars = |word: &Word| !word.quoted && word.text.contains('*') && !is_wild(word);
        let Some(program) = words.first() else { return Err("names no program".to_owned()) };
        if program.text.contains('*') || words.iter().any(has_stars) {
            return Err(
                "has a * inside a word or for the program: * is one whole word, ** all words at the end".to_owned()
            );
        }
        let base = base_name(&program.text);
        if programs::changes_shell(base) || shell::is_reserved(base) {
            return Err(format!("begins with {base}, which no rule allows"));
        }
        let has_wildcards = is_open || words.iter().any(is_wild);
        if has_wildcards && programs::is_literal_only(base) {
            return Err(format!(
                "has a wildcard for {base}, which can run or write what its words say: write all words"
            ));
        }
        if has_wildcards && programs::has_commands(base) {
            // Neither an option nor a toolchain such as `+nightly`, behind which the command is still open.
            let is_command = |word: &&Word| !is_wild(word) && programs::is_plain_name(&word.text);
            let command = words.get(1).filter(is_command);
            let Some(command) = command else {
                return Err(format!("has a wildcard for the command of {base}: write the command right behind it"));
            };
            if programs::is_literal_command(base, &command.text) {
                let text = &command.text;
                return Err(format!("has a wildcard for {base} {text}, which can run or fetch what its words say"));
            }
        }
        Ok(Self { words, is_open })
    }

    /// Returns whether it holds for a command, word by word.
    pub(crate) fn holds(&self, command: &[Word], place: &PromptProject<'_>, folders: &[PathPattern<'_>]) -> bool {
        let count = self.words.len();
        if command.len() < count || (command.len() > count && !self.is_open) {
            return false;
        }
        let (named, further) = command.split_at(count);
        self.words.iter().zip(named).enumerate().all(|(at, (pattern, word))| {
            if is_wild(pattern) {
                wildcard_holds(word, place, folders)
            } else {
                literal_holds(at, pattern, word, place)
            }
        }) && further.iter().all(|word| wildcard_holds(word, place, folders))
    }
}

/// Returns whether a word is the one that is named, and does not leave the project by a link that the name hides.
fn literal_holds(at: usize, pattern: &Word, word: &Word, place: &PromptProject<'_>) -> bool {
    let text = &word.text;
    if pattern.text != *text {
        return false;
    }
    // A bare program is looked up in PATH; a path that names another place by itself is the rule's choice.
    let names_outside = text.starts_with('/') || text.split('/').any(|part| part == "..");
    (at == 0 && !text.contains('/')) || names_outside || text.is_empty() || place.holds(text)
}

/// Returns whether a wildcard matches a word: a plain one that is not an option, assignment or address, and that as a path
/// stays inside the project, or one of the rule's `folders`.
fn wildcard_holds(word: &Word, place: &PromptProject<'_>, folders: &[PathPattern<'_>]) -> bool {
    let text = &word.text;
    let is_usual = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | ',' | '+' | ' ');
    !text.is_empty()
        && text.len() <= WILD_BYTES_MAX
        && !text.starts_with(['-', '+', ' '])
        && text.chars().all(is_usual)
        && (place.holds_openly(text) || folders.iter().any(|folder| folder.is_absolute() && folder.holds(place, text)))
}

/// The last part of a program's path.
pub(crate) fn base_name(program: &str) -> &str {
    program.rsplit('/').next().unwrap_or(program)
}
