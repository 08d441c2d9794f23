//! Runners: where a worker's command runs. Each is declared as a command line that precedes the CLI's own: that of a
//! sandbox, a container engine, or a program that reaches another machine. Standard input and output are the only link
//! to the CLI. Pure, except for reading files (`file`).
//!
//! Besides the command, only one variable is passed, [`ENV`], with the variables of the CLI: no command line shows
//! them, and the runner's own program does not see them. A shell on the other side unpacks it.

pub(crate) mod file;
mod mounts;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::Path;

#[cfg(test)]
use file::built_in;
pub(crate) use file::{DeclaredRunner, load};
pub(crate) use mounts::{Mount, MountWords, Mounts};

use crate::config::Config;

/// The variable that carries the CLI's variables. Its name is one that `sshd` accepts as most systems set it up.
pub(crate) const ENV: &str = "LC_RS_WORKER_ENV";
/// Unpacks the variables and becomes the command.
const UNPACK: &str = r#"eval "export $LC_RS_WORKER_ENV"; unset LC_RS_WORKER_ENV; exec "$@""#;
/// Looks first whether folders are the ones that they are said to be: `PATH DEVICE:INODE ... -- COMMAND`. No variable of
/// the CLI is set yet, so none can change what is asked.
const CHECK: &str = r#"while [ "$1" != -- ]; do [ "$(command -p stat -c %d:%i "$1")" = "$2" ] || { echo "$1 was replaced by another folder or a link while the worker started; nothing was run" >&2; exit 126; }; shift 2; done; shift; "#;
/// Runs the command on a machine that is reached by a connection, and ends all that it started when it or the connection
/// has ended.
const REMOTE: &str = include_str!("remote.sh");
/// Ends all that a worker has started there.
const REMOTE_STOP: &str = include_str!("remote_stop.sh");
/// The runner of workers that run as they are.
pub(crate) const NONE: &str = crate::config::NO_RUNNER;

/// One place where workers may run: a declared runner with its argument, as `RUNNER` names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Runner {
    /// Its entry in `RUNNER`: `bwrap`, `ssh:build.example`.
    pub entry: String,
    declared: DeclaredRunner,
    argument: String,
}

/// All places where workers may run, the usual one first; none: here, as they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Runners(Vec<Option<Runner>>);

/// The input of a command line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CommandInput<'p> {
    /// The worker.
    pub id: &'p str,
    /// Its project's folder.
    pub project: &'p str,
    /// One more folder that it writes: the repository's own, of which its project is a worktree.
    pub also: Option<&'p str>,
    /// Paths and ids of this server, by the name of their place in a template.
    pub facts: &'p BTreeMap<&'static str, String>,
    /// The parts of this machine that a sandbox shows and hides.
    pub mounts: &'p Mounts,
}

impl Runners {
    /// The parsed setting `RUNNER`.
    ///
    /// # Errors
    /// Fails when it names a runner that is not declared, or that cannot be used so; the text says what to do.
    pub(crate) fn new(entries: &[String], declared: &[DeclaredRunner]) -> Result<Self, String> {
        entries
            .iter()
            .map(|entry| if entry == NONE { Ok(None) } else { choose(entry, declared).map(Some) })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// The runners of the settings.
    ///
    /// # Errors
    /// Fails when they name one that is not declared or cannot be used so; the text says what to do.
    pub(crate) fn of(config: &Config) -> Result<Self, String> {
        let declared = load(&config.runners_dir).map_err(|error| format!("RUNNERS_DIR: {error}"))?;
        let entries = config.runner.iter().flat_map(|entries| entries.split(','));
        let entries: Vec<String> = entries.map(|entry| entry.trim().to_owned()).filter(|it| !it.is_empty()).collect();
        Self::new(&entries, &declared)
    }

    /// Returns a warning if a server of user id `uid` is root and runs agents in a sandbox on its own machine. Nothing in a
    /// sandbox keeps the owner of a file from setting its setuid bit.
    pub(crate) fn setuid_warning(&self, uid: u32) -> Option<String> {
        let entry = &self.all().find(|runner| uid == 0 && !runner.is_elsewhere())?.entry;
        Some(format!(
            "the server runs as root, so an agent in {entry} can leave a setuid program of root in its project, and every \
             user who can reach the project can run it as root: run the server as a user of its own"
        ))
    }

    /// All of them.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Runner> {
        self.0.iter().filter_map(Option::as_ref)
    }

    /// The runner of a worker that asks for `wanted`, or for nothing.
    ///
    /// # Errors
    /// Fails when it is not allowed.
    pub(crate) fn find(&self, wanted: Option<&str>) -> Result<Option<&Runner>, String> {
        let Some(wanted) = wanted else { return Ok(self.0.first().and_then(Option::as_ref)) };
        let name = |one: &Option<Runner>| one.as_ref().map_or(NONE, |runner| &runner.entry).to_owned();
        if self.0.is_empty() && wanted == NONE {
            return Ok(None);
        }
        self.0.iter().find(|one| name(one) == wanted).map(Option::as_ref).ok_or_else(|| {
            let allowed: Vec<String> = self.0.iter().map(name).collect();
            let allowed = if allowed.is_empty() { "none".to_owned() } else { allowed.join(", ") };
            format!("the runner {wanted} is not allowed on this server (see RUNNER): it allows {allowed}")
        })
    }
}

fn choose(entry: &str, declared: &[DeclaredRunner]) -> Result<Runner, String> {
    let (name, argument) = entry.split_once(':').map_or((entry, None), |(name, argument)| (name, Some(argument)));
    let Some(found) = declared.iter().find(|one| one.name == name) else {
        let known: Vec<&str> = declared.iter().map(|one| one.name.as_str()).collect();
        return Err(format!("RUNNER: unknown runner {name}; known are {} and {NONE}", known.join(", ")));
    };
    let argument = argument.or(found.argument.as_deref()).unwrap_or_default();
    match (&found.takes, argument.is_empty()) {
        (Some(what), true) => Err(format!("RUNNER: {name} needs {what}, as in {name}:NAME")),
        (None, false) => Err(format!("RUNNER: {name} takes nothing behind a colon")),
        _ if argument.starts_with('-') || argument.contains(char::is_control) => {
            Err(format!("RUNNER: {argument:?} can be nothing that {name} takes"))
        }
        _ => Ok(Runner { entry: entry.to_owned(), declared: found.clone(), argument: argument.to_owned() }),
    }
}

impl Runner {
    /// The way in which it lays what it shows and hides of this machine, where it can.
    pub(crate) fn mount_words(&self) -> Option<&MountWords> {
        self.declared.mounts.as_ref()
    }

    /// Returns whether its declaration has options of its own that name a folder in which `path` is.
    pub(crate) fn opens(&self, path: &Path) -> bool {
        self.declared.options.iter().any(|word| word.starts_with('/') && path.starts_with(word))
    }

    /// Returns whether the project's folder is one of another file system than ours.
    pub(crate) fn is_elsewhere(&self) -> bool {
        self.declared.elsewhere
    }

    /// Returns whether the command's processes are started by another program than the runner's own, such as the daemon of
    /// containers: they are not descendants of this process.
    pub(crate) fn starts_elsewhere(&self) -> bool {
        self.declared.elsewhere || !self.declared.stop.is_empty()
    }

    /// Variables of the server that the runner's own program gets besides the usual ones.
    pub(crate) fn needs(&self) -> &[String] {
        &self.declared.needs
    }

    /// The whole command line that runs `command`.
    ///
    /// # Errors
    /// Fails when it can't hold the project's path.
    pub(crate) fn wrap(&self, place: CommandInput<'_>, command: &[&str]) -> Result<Vec<String>, String> {
        self.check_paths(place)?;
        Ok(self.fill(&self.declared.command, place, command))
    }

    fn check_paths(&self, place: CommandInput<'_>) -> Result<(), String> {
        let paths = [place.project, place.also.unwrap_or_default()].concat();
        match paths.chars().find(|&char| self.declared.not_in_project.contains(char)) {
            Some(bad) => Err(format!("the runner {} cannot take a project path with {bad:?} in it", self.entry)),
            None => Ok(()),
        }
    }

    /// The whole command line that runs `command` in a terminal.
    ///
    /// # Errors
    /// Fails when the runner has none, or the project's path does not fit into it.
    pub(crate) fn wrap_terminal(&self, place: CommandInput<'_>, command: &[&str]) -> Result<Vec<String>, String> {
        let words = match (&self.declared.terminal, &self.declared.mounts) {
            (words, None) if words.is_empty() => {
                return Err(format!("the runner {} has no command for a terminal (see docs/runners.md)", self.entry));
            }
            (words, Some(_)) if words.is_empty() => &self.declared.command,
            (words, _) => words,
        };
        self.check_paths(place)?;
        Ok(self.fill(words, place, command))
    }

    /// The command line that ends on the other side what a worker has left there; empty where none is needed.
    pub(crate) fn stop(&self, place: CommandInput<'_>) -> Vec<String> {
        self.fill(&self.declared.stop, place, &[])
    }

    /// The command line that checks whether it can be used; empty where there is none.
    pub(crate) fn check(&self, place: CommandInput<'_>) -> Vec<String> {
        self.fill(&self.declared.check, place, &[])
    }

    /// The program that it needs.
    pub(crate) fn program(&self) -> &str {
        self.declared.command.first().map_or("", String::as_str)
    }

    fn fill(&self, template: &[String], place: CommandInput<'_>, command: &[&str]) -> Vec<String> {
        let mut argv: Vec<String> = Vec::new();
        let words = command.iter().map(|&word| word.to_owned());
        for part in template {
            match part.as_str() {
                "{command...}" => {
                    argv.extend(["sh", "-c", UNPACK, "sh"].map(str::to_owned));
                    argv.extend(words.clone());
                }
                "{checked command...}" => {
                    // By its path: a worker may have a folder of its own in PATH.
                    argv.extend(["/bin/sh", "-c", &format!("{CHECK}{UNPACK}"), "sh"].map(str::to_owned));
                    let identities = &place.mounts.identities;
                    argv.extend(identities.iter().flat_map(|(path, identity)| [path.clone(), identity.clone()]));
                    argv.push("--".to_owned());
                    argv.extend(words.clone());
                }
                "{home...}" => argv.extend(self.mounts(&place.mounts.home)),
                "{project...}" => argv.extend(self.mounts(&place.mounts.project)),
                "{hidden...}" => argv.extend(self.mounts(&place.mounts.hidden)),
                "{plain command...}" => argv.extend(words.clone()),
                "{options...}" => argv.extend(self.declared.options.iter().cloned()),
                "{also...}" => {
                    if let Some(also) = place.also {
                        argv.extend(self.declared.also.iter().map(|word| word.replace("{also}", also)));
                    }
                }
                "{remote}" => argv.push(remote(REMOTE, &[&[place.project, place.id], command].concat())),
                "{remote stop}" => argv.push(remote(REMOTE_STOP, &[place.id])),
                text => argv.push(self.text(text, place)),
            }
        }
        argv
    }

    fn mounts(&self, mounts: &[Mount]) -> Vec<String> {
        self.declared.mounts.as_ref().map(|words| words.fill(mounts)).unwrap_or_default()
    }

    /// `text` with its names in braces replaced. Replacements are not searched again.
    fn text(&self, text: &str, place: CommandInput<'_>) -> String {
        let mut filled = String::new();
        let mut rest = text;
        while let Some((before, (name, after))) =
            rest.split_once('{').and_then(|(before, rest)| Some((before, rest.split_once('}')?)))
        {
            filled.push_str(before);
            filled.push_str(match name {
                "id" => place.id,
                "project" => place.project,
                "argument" => &self.argument,
                // Unknown names are refused when the file is read.
                name => place.facts.get(name).map_or("", String::as_str),
            });
            rest = after;
        }
        filled + rest
    }
}

/// A script with its arguments as one word for a shell on the other side.
fn remote(script: &str, words: &[&str]) -> String {
    let quote = |word: &&str| String::from_utf8_lossy(&quoted(word.as_bytes())).into_owned();
    let words: Vec<String> = words.iter().map(quote).collect();
    format!("exec sh -c {} sh {}", quote(&script), words.join(" "))
}

/// `word` as any POSIX shell reads it back.
fn quoted(word: &[u8]) -> Vec<u8> {
    let mut quoted = vec![b'\''];
    for &byte in word {
        if byte == b'\'' {
            quoted.extend_from_slice(b"'\\''");
        } else {
            quoted.push(byte);
        }
    }
    quoted.push(b'\'');
    quoted
}

/// Variables as the text of [`ENV`], with one that names the runner. The text is never empty, so a host that drops it
/// differs from one that was sent nothing. Variables whose names no shell accepts are left out.
pub(crate) fn packed(entry: &str, variables: &[(OsString, OsString)]) -> OsString {
    let mut text = OsString::from("RS_WORKER_RUNNER=");
    text.push(OsString::from_vec(quoted(entry.as_bytes())));
    text.push(" ");
    for (name, value) in variables {
        if !name.to_str().is_some_and(is_shell_name) {
            log::warn!("the variable {} cannot go to a runner: its name is none that a shell takes", name.display());
            continue;
        }
        text.push(name);
        text.push("=");
        text.push(OsString::from_vec(quoted(value.as_bytes())));
        text.push(" ");
    }
    text
}

fn is_shell_name(name: &str) -> bool {
    let letter = |char: char| char.is_ascii_alphabetic() || char == '_';
    name.starts_with(letter) && name.chars().all(|char| letter(char) || char.is_ascii_digit())
}

/// Returns whether `path` may be a project on another machine: absolute, and without a way up.
pub(crate) fn is_plain_path(path: &str) -> bool {
    let plain = |part: std::path::Component<'_>| !matches!(part, std::path::Component::ParentDir);
    Path::new(path).is_absolute() && Path::new(path).components().all(plain)
}
