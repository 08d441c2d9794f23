//! The help of commands, from their table.

use super::command::Subcommand;
use super::commands;

/// Options that all commands take.
pub(super) const COMMON: &str = "  --json         print JSON
  --url URL      another server than that of .env and the environment (or RS_WORKER_URL)
  --token TOKEN  its token (or RS_WORKER_TOKEN, which other users of this machine cannot see)
";

/// The exit codes, the same for all commands.
pub(super) const EXIT_CODES: &str =
    "Exit codes: 0 success, 1 failure, 2 wrong arguments, 3 (send, attach) the turn failed or was interrupted.
";

/// The names of those options.
pub(super) const COMMON_OPTIONS: [&str; 4] = ["--json", "--url", "--token", "--help"];

/// The command of this name.
pub(super) fn find(name: &str) -> Option<&'static Subcommand> {
    commands::all().find(|command| command.name == name)
}

/// Returns whether a command takes an option, which is named by its long form.
pub(super) fn takes(name: &str, option: &str) -> bool {
    COMMON_OPTIONS.contains(&option) || find(name).is_some_and(|command| command.options.contains(&option))
}

/// Describes the mistake in the arguments of a command: those that are missing, or those that it does not take.
pub(super) fn misuse(name: &str, words: &[&str]) -> String {
    let usage = find(name).map_or("", |command| command.usage);
    let is_positional = |word: &&str| !word.starts_with(['-', '|']) && !word.starts_with("[-");
    let positional: Vec<&str> = usage.split_whitespace().take_while(is_positional).collect();
    let required = positional.iter().filter(|word| !word.starts_with('[')).count();
    let has_choices = positional.iter().any(|word| word.contains('|') || word.contains("..."));
    match words.len() {
        given if given < required && !(has_choices && given > 0) => {
            format!("missing argument: {}", positional[given..required].join(" "))
        }
        given if given > positional.len() && !has_choices => {
            format!("unexpected argument: {}", words[positional.len()..].join(" "))
        }
        _ => format!("unknown or incomplete arguments: {}", words.join(" ")),
    }
}

/// Returns the list of commands.
#[must_use]
pub(crate) fn help() -> String {
    let mut text = String::from("Commands (WORKER is a name, an id, or the beginning of an id):\n");
    for command in commands::all() {
        text += &format!(
            "  {:<38}  {}\n",
            format!("rs-worker {} {}", command.name, command.usage).trim_end(),
            command.about
        );
    }
    text += "  rs-worker COMMAND --help                explain a command, with examples\n\n";
    text + COMMON + "\n" + EXIT_CODES
}

/// Returns the help of one command, with examples.
#[must_use]
pub(crate) fn help_of(name: &str) -> String {
    let Some(Subcommand { name, usage, about, more, .. }) = find(name) else { return help() };
    // The server itself asks no server.
    let common = if *name == "serve" { "" } else { COMMON };
    format!(
        "rs-worker {name}: {about}\n\nUsage: {}\n\n{more}\n{common}",
        format!("rs-worker {name} {usage}").trim_end()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misuse_names_missing_and_unexpected_arguments() {
        for (name, words, expected) in [
            ("send", &[][..], "missing argument: WORKER TEXT"),
            ("send", &["docs"], "missing argument: TEXT"),
            ("rm", &["docs", "more"], "unexpected argument: more"),
            ("presets", &["x"], "unexpected argument: x"),
            ("stop", &[], "missing argument: WORKER"),
            ("completions", &[], "missing argument: bash|zsh|fish"),
            ("permissions", &["allow"], "unknown or incomplete arguments: allow"),
            ("token", &["frob"], "unknown or incomplete arguments: frob"),
        ] {
            assert_eq!(misuse(name, words), expected);
        }
    }

    #[test]
    fn commands_take_their_own_and_the_common_options() {
        assert!(takes("ls", "--status") && takes("ls", "--json") && takes("logs", "--follow"));
        assert!(!takes("ls", "--squash") && !takes("nothing", "--status"));
    }
}
