//! Declarations of runners: those that are part of the program, and the JSON files of a folder.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::mounts::MountWords;
use crate::home;

/// Longest file, in bytes.
const FILE_BYTES_MAX: u64 = 64 * 1024;
/// Most files of a folder.
const FILES_MAX: usize = 100;
/// Names that are allowed in braces in a command line.
pub(super) const NAMES: [&str; 10] =
    ["id", "project", "argument", "home", "data", "token_file", "env_file", "uid", "gid", "userns"];
/// Placeholders that must be a whole word.
const WHOLE: [&str; 10] = [
    "{command...}",
    "{checked command...}",
    "{plain command...}",
    "{options...}",
    "{also...}",
    "{home...}",
    "{project...}",
    "{hidden...}",
    "{remote}",
    "{remote stop}",
];
/// Placeholders of a sandbox's mounts: a command line has all of them, in this order, or none.
const MOUNTS: [&str; 3] = ["{home...}", "{project...}", "{hidden...}"];
/// Placeholders of the command: one of them must be in a command line.
const COMMANDS: [&str; 4] = ["{command...}", "{checked command...}", "{plain command...}", "{remote}"];

/// One declared runner.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct DeclaredRunner {
    /// Its name in `RUNNER`; a file's own name when left out.
    pub name: String,
    /// A description for people.
    pub about: String,
    /// The runner whose other fields it has, where it has none of its own.
    pub from: Option<String>,
    /// Description of the argument behind the colon, for people; none when left out.
    pub takes: Option<String>,
    /// The default of the argument behind the colon.
    pub argument: Option<String>,
    /// More words, where the command line says `{options...}`.
    pub options: Vec<String>,
    /// Words that let it write one more folder, `{also}`, where the command line says `{also...}`.
    pub also: Vec<String>,
    /// The way in which it shows and hides files and folders of this machine, where the command line says `{home...}`,
    /// `{project...}`
    /// and `{hidden...}`.
    pub mounts: Option<MountWords>,
    /// The command line that runs a command.
    pub command: Vec<String>,
    /// The command line that runs a program in a terminal; where there are mounts, that of a command is one.
    pub terminal: Vec<String>,
    /// The command line that ends what was left on the other side.
    pub stop: Vec<String>,
    /// The command line by which `rs-worker doctor` checks that it can be used: it does, if it ends with 0.
    pub check: Vec<String>,
    /// True if it runs where the server's own folders are not.
    pub elsewhere: bool,
    /// Variables of the server that its program gets.
    pub needs: Vec<String>,
    /// Characters that a project's path must not have.
    pub not_in_project: String,
}

/// The reason that a file cannot be used.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct RunnerLoadError {
    /// Which.
    pub file: PathBuf,
    /// The mistake.
    pub reason: String,
}

impl fmt::Display for RunnerLoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the runner in {} cannot be used: {}", self.file.display(), self.reason)
    }
}

/// The runners that are part of the program.
///
/// # Errors
/// None, unless the program was built wrong.
pub(crate) fn built_in() -> Result<Vec<DeclaredRunner>, RunnerLoadError> {
    let file = PathBuf::from("built_in.json");
    let wrong = |reason: String| RunnerLoadError { file: file.clone(), reason };
    let listed: Vec<DeclaredRunner> =
        serde_json::from_str(include_str!("built_in.json")).map_err(|error| wrong(error.to_string()))?;
    let mut all = Vec::new();
    for one in listed {
        let one = whole(one, &all).and_then(|one| check(&one).map(|()| one)).map_err(wrong)?;
        all.push(one);
    }
    Ok(all)
}

/// All runners that there are: the built-in ones, and those of the files `*.json` in a folder, which may be missing.
///
/// # Errors
/// The first file that cannot be used: a runner that is not what its author meant must not be used.
pub(crate) fn load(folder: &Path) -> Result<Vec<DeclaredRunner>, RunnerLoadError> {
    let mut all = built_in()?;
    let mut files = Vec::new();
    match std::fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(all),
        Err(error) => return Err(RunnerLoadError { file: folder.to_owned(), reason: error.to_string() }),
        Ok(entries) => {
            let paths = entries.filter_map(Result::ok).map(|entry| entry.path());
            files.extend(paths.filter(|path| path.extension().is_some_and(|end| end == "json")));
        }
    }
    files.sort();
    if files.len() > FILES_MAX {
        return Err(RunnerLoadError {
            file: folder.to_owned(),
            reason: format!("there are more than {FILES_MAX} files"),
        });
    }
    for file in files {
        let one = read(&file, &all).map_err(|reason| RunnerLoadError { file, reason })?;
        all.push(one);
    }
    Ok(all)
}

fn read(file: &Path, others: &[DeclaredRunner]) -> Result<DeclaredRunner, String> {
    let size = file.metadata().map_err(|error| error.to_string())?.len();
    if size > FILE_BYTES_MAX {
        return Err(format!("it has more than {FILE_BYTES_MAX} bytes"));
    }
    let text = std::fs::read(file).map_err(|error| error.to_string())?;
    let mut one: DeclaredRunner = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
    if one.name.is_empty() {
        file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().clone_into(&mut one.name);
    }
    let home = home::directory();
    for words in [&mut one.options, &mut one.also, &mut one.command, &mut one.terminal, &mut one.stop, &mut one.check] {
        for word in words {
            *word = home::expand_word(word, home.as_deref());
        }
    }
    let one = whole(one, others)?;
    check(&one)?;
    if one.name == crate::config::NO_RUNNER || others.iter().any(|other| other.name == one.name) {
        return Err(format!("there is a runner {} already: take another name", one.name));
    }
    Ok(one)
}

/// The declaration with what it takes over from another one.
fn whole(one: DeclaredRunner, others: &[DeclaredRunner]) -> Result<DeclaredRunner, String> {
    let Some(from) = &one.from else { return Ok(one) };
    let base = others.iter().find(|other| other.name == *from).cloned();
    let base = base.ok_or_else(|| format!("from: unknown runner {from}; it must come before this one"))?;
    let or = |own: Vec<String>, base: Vec<String>| if own.is_empty() { base } else { own };
    Ok(DeclaredRunner {
        takes: one.takes.or(base.takes),
        argument: one.argument.or(base.argument),
        options: [base.options, one.options].concat(),
        also: or(one.also, base.also),
        mounts: one.mounts.or(base.mounts),
        command: or(one.command, base.command),
        terminal: or(one.terminal, base.terminal),
        stop: or(one.stop, base.stop),
        check: or(one.check, base.check),
        elsewhere: one.elsewhere || base.elsewhere,
        needs: [base.needs, one.needs].concat(),
        not_in_project: base.not_in_project + &one.not_in_project,
        ..one
    })
}

fn check(one: &DeclaredRunner) -> Result<(), String> {
    let plain = |char: char| char.is_ascii_lowercase() || char.is_ascii_digit() || char == '-' || char == '_';
    if one.name.is_empty() || !one.name.chars().all(plain) {
        return Err(format!("name: {:?} is not of lower-case letters, digits, - and _", one.name));
    }
    let lacks_command = |words: &[String]| {
        let brings = words.iter().filter(|word| COMMANDS.contains(&word.as_str())).count();
        brings != 1 || words.first().is_some_and(|word| word.contains('{'))
    };
    let wrong = [("command", &one.command), ("terminal", &one.terminal)]
        .into_iter()
        .find(|(place, words)| (*place == "command" || !words.is_empty()) && lacks_command(words));
    if let Some((place, _)) = wrong {
        return Err(format!(
            "{place}: it must begin with a program, and have one of {} as a word of its own",
            COMMANDS.join(", ")
        ));
    }
    let laid: Vec<&str> = one.command.iter().map(String::as_str).filter(|word| MOUNTS.contains(word)).collect();
    if one.mounts.is_some() != (laid == MOUNTS) || (one.mounts.is_none() && !laid.is_empty()) {
        let words = MOUNTS.join(", ");
        return Err(format!("mounts: a runner that has them has {words} in its command, once each and in this order"));
    }
    for (place, words) in
        [("command", &one.command), ("terminal", &one.terminal), ("stop", &one.stop), ("check", &one.check)]
    {
        for word in words.iter().filter(|word| !WHOLE.contains(&word.as_str())) {
            for (at, _) in word.match_indices('{') {
                let name = word[at + 1..].split('}').next().unwrap_or_default();
                if !NAMES.contains(&name) {
                    let names = NAMES.join(", ");
                    return Err(format!(
                        "{place}: {word:?}: {{{name}}} is unknown; known are {names}, and as whole words {}",
                        WHOLE.join(", ")
                    ));
                }
            }
        }
    }
    let without_command = |word: &String| !COMMANDS.contains(&word.as_str());
    for (place, words) in [("stop", &one.stop), ("check", &one.check)] {
        if !words.iter().all(without_command) {
            return Err(format!("{place}: it gets no command"));
        }
    }
    Ok(())
}
