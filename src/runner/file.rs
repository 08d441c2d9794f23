//! Declarations of runners: those that are part of the program, and the JSON files of a folder.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// Longest file, in bytes.
const FILE_BYTES_MAX: u64 = 64 * 1024;
/// Most files of a folder.
const FILES_MAX: usize = 100;
/// Names that may stand in braces in a command line.
pub(super) const NAMES: [&str; 9] =
    ["id", "project", "argument", "home", "data", "token_file", "env_file", "uid", "gid"];
/// What may stand there as a whole word only.
const WHOLE: [&str; 6] =
    ["{command...}", "{plain command...}", "{options...}", "{also...}", "{remote}", "{remote stop}"];
/// What brings the command in: one of them must be in a command line.
const COMMANDS: [&str; 3] = ["{command...}", "{plain command...}", "{remote}"];

/// One declared runner.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Declared {
    /// What `RUNNER` names it by; a file's own name when left out.
    pub name: String,
    /// For people.
    pub about: String,
    /// The runner whose other fields it has, where it has none of its own.
    pub from: Option<String>,
    /// What it takes behind the colon, for people; nothing when left out.
    pub takes: Option<String>,
    /// What it takes when there is nothing behind the colon.
    pub argument: Option<String>,
    /// More words, where the command line says `{options...}`.
    pub options: Vec<String>,
    /// Words that let it write one more folder, `{also}`, where the command line says `{also...}`.
    pub also: Vec<String>,
    /// The command line that runs a command.
    pub command: Vec<String>,
    /// The command line that ends what was left on the other side.
    pub stop: Vec<String>,
    /// Whether it runs where the server's own folders are not.
    pub elsewhere: bool,
    /// Variables of the server that its program gets.
    pub needs: Vec<String>,
    /// Characters that a project's path must not have.
    pub not_in_project: String,
}

/// Why a file cannot be used.
#[derive(Debug, PartialEq, Eq)]
pub struct LoadError {
    /// Which.
    pub file: PathBuf,
    /// What is wrong.
    pub reason: String,
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the runner in {} cannot be used: {}", self.file.display(), self.reason)
    }
}

/// The runners that are part of the program.
///
/// # Errors
/// None, unless the program was built wrong.
pub fn built_in() -> Result<Vec<Declared>, LoadError> {
    let file = PathBuf::from("built_in.json");
    let wrong = |reason: String| LoadError { file: file.clone(), reason };
    let listed: Vec<Declared> =
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
pub fn load(folder: &Path) -> Result<Vec<Declared>, LoadError> {
    let mut all = built_in()?;
    let mut files = Vec::new();
    match std::fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(all),
        Err(error) => return Err(LoadError { file: folder.to_owned(), reason: error.to_string() }),
        Ok(entries) => {
            let paths = entries.filter_map(Result::ok).map(|entry| entry.path());
            files.extend(paths.filter(|path| path.extension().is_some_and(|end| end == "json")));
        }
    }
    files.sort();
    if files.len() > FILES_MAX {
        return Err(LoadError { file: folder.to_owned(), reason: format!("there are more than {FILES_MAX} files") });
    }
    for file in files {
        let one = read(&file, &all).map_err(|reason| LoadError { file, reason })?;
        all.push(one);
    }
    Ok(all)
}

fn read(file: &Path, others: &[Declared]) -> Result<Declared, String> {
    let size = file.metadata().map_err(|error| error.to_string())?.len();
    if size > FILE_BYTES_MAX {
        return Err(format!("it has more than {FILE_BYTES_MAX} bytes"));
    }
    let text = std::fs::read(file).map_err(|error| error.to_string())?;
    let mut one: Declared = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
    if one.name.is_empty() {
        file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().clone_into(&mut one.name);
    }
    let one = whole(one, others)?;
    check(&one)?;
    if one.name == super::NONE || others.iter().any(|other| other.name == one.name) {
        return Err(format!("there is a runner {} already: take another name", one.name));
    }
    Ok(one)
}

/// The declaration with what it takes over from another one.
fn whole(one: Declared, others: &[Declared]) -> Result<Declared, String> {
    let Some(from) = &one.from else { return Ok(one) };
    let base = others.iter().find(|other| other.name == *from).cloned();
    let base = base.ok_or_else(|| format!("from: there is no runner {from} before it"))?;
    let or = |own: Vec<String>, base: Vec<String>| if own.is_empty() { base } else { own };
    Ok(Declared {
        takes: one.takes.or(base.takes),
        argument: one.argument.or(base.argument),
        options: [base.options, one.options].concat(),
        also: or(one.also, base.also),
        command: or(one.command, base.command),
        stop: or(one.stop, base.stop),
        elsewhere: one.elsewhere || base.elsewhere,
        needs: [base.needs, one.needs].concat(),
        not_in_project: base.not_in_project + &one.not_in_project,
        ..one
    })
}

fn check(one: &Declared) -> Result<(), String> {
    let plain = |char: char| char.is_ascii_lowercase() || char.is_ascii_digit() || char == '-' || char == '_';
    if one.name.is_empty() || !one.name.chars().all(plain) {
        return Err(format!("name: {:?} is not of lower-case letters, digits, - and _", one.name));
    }
    let brings = one.command.iter().filter(|word| COMMANDS.contains(&word.as_str())).count();
    if brings != 1 || one.command.first().is_some_and(|word| word.contains('{')) {
        return Err(format!(
            "command: it must begin with a program, and have one of {} as a word of its own",
            COMMANDS.join(", ")
        ));
    }
    for (place, words) in [("command", &one.command), ("stop", &one.stop)] {
        for word in words.iter().filter(|word| !WHOLE.contains(&word.as_str())) {
            for (at, _) in word.match_indices('{') {
                let name = word[at + 1..].split('}').next().unwrap_or_default();
                if !NAMES.contains(&name) {
                    let names = NAMES.join(", ");
                    return Err(format!(
                        "{place}: {word:?}: {{{name}}} stands for nothing; there are {names}, and as whole words {}",
                        WHOLE.join(", ")
                    ));
                }
            }
        }
    }
    let without_command = |word: &String| !COMMANDS.contains(&word.as_str());
    if one.stop.iter().all(without_command) { Ok(()) } else { Err("stop: it gets no command".to_owned()) }
}
