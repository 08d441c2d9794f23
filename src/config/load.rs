//! Makes a [`Config`]: `.env` and the environment, read by the table of settings.

use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use log::LevelFilter;

use super::dotenv::{self, Assignment};
use super::settings::{self, SETTINGS, Setting, setting};
use super::{Config, DOTENV, LocalAccess, Secret, ShownValue, ValueSource};

/// The largest `.env` that is read, in bytes; a larger one is something else.
const DOTENV_MAX: u64 = 1024 * 1024;
/// Letters of a wrong value that a message shows.
const SHOWN_MAX: usize = 80;

/// An option of the command line that sets a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OptionValue {
    /// The option, as in `--port`.
    pub option: &'static str,
    /// The name of its setting.
    pub setting: &'static str,
    /// Its value.
    pub value: String,
}

/// An error that prevents a configuration.
#[derive(Debug)]
pub(crate) enum ConfigError {
    /// The working directory is gone or closed to us.
    WorkingDir(io::Error),
    /// `.env` is there and cannot be read.
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// Wrong lines and values: all of them, a sentence each.
    Wrong(Vec<String>),
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WorkingDir(source) => write!(f, "cannot determine the working directory: {source}"),
            Self::Unreadable { path, source } => write!(f, "cannot read {}: {source}", path.display()),
            Self::Wrong(problems) => {
                f.write_str("the configuration is invalid; nothing was started")?;
                problems.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
            }
        }
    }
}

impl std::error::Error for ConfigError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::WorkingDir(source) | Self::Unreadable { source, .. } => Some(source),
            Self::Wrong(_) => None,
        }
    }
}

impl Config {
    /// Reads `.env` in the working directory and the process's environment.
    ///
    /// # Errors
    /// As [`Config::load_with`], and when the directory or the file cannot be read.
    pub(crate) fn from_system() -> Result<Self, ConfigError> {
        Self::from_system_and(&[])
    }

    /// Works like [`Config::from_system`], with options of the command line, which win over both.
    ///
    /// # Errors
    /// As [`Config::from_system`].
    pub(crate) fn from_system_and(options: &[OptionValue]) -> Result<Self, ConfigError> {
        let cwd = std::env::current_dir().map_err(ConfigError::WorkingDir)?;
        Self::read(&cwd, options, &|name| std::env::var_os(name))
    }

    /// Reads `.env` in `cwd`, and the rest from `env`. A missing `.env` is fine; so is a folder of that name (Python's
    /// virtual environments are sometimes called so).
    ///
    /// # Errors
    /// As [`Config::load_with`], and when the file cannot be read.
    #[cfg(test)]
    pub(crate) fn from_dir(cwd: &Path, env: &dyn Fn(&str) -> Option<OsString>) -> Result<Self, ConfigError> {
        Self::read(cwd, &[], env)
    }

    fn read(cwd: &Path, options: &[OptionValue], env: &dyn Fn(&str) -> Option<OsString>) -> Result<Self, ConfigError> {
        let path = cwd.join(DOTENV);
        let dotenv = read_dotenv(&path).map_err(|source| ConfigError::Unreadable { path: path.clone(), source })?;
        let mut config = Self::load_with(cwd, options, dotenv.as_ref().map(|(text, _)| text.as_str()), env)?;
        if let Some((_, mode)) = dotenv
            && mode & 0o077 != 0
            && let Some(it) = SETTINGS.iter().find(|it| it.is_secret() && config.source(it.name).is_dotenv())
        {
            let path = path.display();
            config.warnings.push(format!(
                "{path} holds {} and can be read by others (mode {:04o}); run: chmod 600 {path}",
                it.name,
                mode & 0o7777
            ));
        }
        Ok(config)
    }

    /// Makes the configuration from the text of `.env`, if there is one, and the environment. `cwd`, an absolute path,
    /// is what relative paths count from.
    ///
    /// # Errors
    /// [`ConfigError::Wrong`] with every wrong line and value at once.
    #[cfg(test)]
    pub(crate) fn load(
        cwd: &Path,
        dotenv: Option<&str>,
        env: &dyn Fn(&str) -> Option<OsString>,
    ) -> Result<Self, ConfigError> {
        Self::load_with(cwd, &[], dotenv, env)
    }

    /// Reads settings from options of the command line, which win, then from the text of `.env`, then from `env`.
    ///
    /// # Errors
    /// [`ConfigError::Wrong`] with every wrong line and value at once.
    pub(crate) fn load_with(
        cwd: &Path,
        options: &[OptionValue],
        dotenv: Option<&str>,
        env: &dyn Fn(&str) -> Option<OsString>,
    ) -> Result<Self, ConfigError> {
        let (assignments, bad_lines) = dotenv::parse(dotenv.unwrap_or_default());
        let mut problems: Vec<String> = bad_lines.iter().map(ToString::to_string).collect();
        let mut config = Self::blank(cwd.to_owned());
        config.home = env("HOME").and_then(|home| home.into_string().ok());
        for setting in SETTINGS {
            if let Err(problem) = config.apply(setting, options, &assignments, env) {
                problems.push(problem);
            }
        }
        if !problems.is_empty() {
            return Err(ConfigError::Wrong(problems));
        }
        config.derive_defaults();
        config.check_local_access().map_err(|problem| ConfigError::Wrong(vec![problem]))?;
        config.warnings = warnings(&assignments);
        Ok(config)
    }

    /// Sets one setting from the first place that has it.
    fn apply(
        &mut self,
        setting: &'static Setting,
        options: &[OptionValue],
        assignments: &[Assignment],
        env: &dyn Fn(&str) -> Option<OsString>,
    ) -> Result<(), String> {
        let given = options.iter().rfind(|given| given.setting == setting.name);
        let (text, source) = match given {
            Some(given) => (given.value.clone(), ValueSource::Option(given.option)),
            None => find(setting, assignments, env)?,
        };
        if text.is_empty() {
            return Ok(());
        }
        let text = text.as_str();
        let Some(shown) = setting.value.apply(self, text) else {
            let value = if setting.is_secret() { Secret::new(text).to_string() } else { clip(text) };
            let (name, allowed) = (setting.name, setting.allowed());
            return Err(format!("{name} is {value:?} ({source}), but must be {allowed}"));
        };
        self.values.insert(setting.name, ShownValue { text: shown, source });
        Ok(())
    }

    /// Defaults that depend on other settings.
    fn derive_defaults(&mut self) {
        if self.debug && self.source("LOG_LEVEL") == ValueSource::Default {
            self.log_level = LevelFilter::Debug;
            self.values.insert("LOG_LEVEL", ShownValue { text: "debug".into(), source: ValueSource::Default });
        }
        let closed = self.auth_token.is_some() || !self.host.is_loopback() || self.isolating_runner().is_some();
        if self.source("LOCAL_ACCESS") == ValueSource::Default && closed {
            self.local_access = LocalAccess::Token;
            self.values.insert("LOCAL_ACCESS", ShownValue { text: "token".into(), source: ValueSource::Default });
        }
        if self.source("AUTH_TOKEN_FILE") == ValueSource::Default {
            self.auth_token_file = settings::beside(&self.workers_base_dir, "auth_token");
            let text = self.auth_token_file.display().to_string();
            self.values.insert("AUTH_TOKEN_FILE", ShownValue { text, source: ValueSource::Default });
        }
        if self.source("WORKTREE_DIR") == ValueSource::Default {
            self.worktree_dir = settings::beside(&self.workers_base_dir, "worktrees");
            let text = self.worktree_dir.display().to_string();
            self.values.insert("WORKTREE_DIR", ShownValue { text, source: ValueSource::Default });
        }
        if self.source("PROJECTS_DIR") == ValueSource::Default {
            self.projects_dir = settings::beside(&self.workers_base_dir, "project-files");
            let text = self.projects_dir.display().to_string();
            self.values.insert("PROJECTS_DIR", ShownValue { text, source: ValueSource::Default });
        }
        if self.source("PRESETS_DIR") == ValueSource::Default {
            self.presets_dir = settings::beside(&self.workers_base_dir, "presets");
            let text = self.presets_dir.display().to_string();
            self.values.insert("PRESETS_DIR", ShownValue { text, source: ValueSource::Default });
        }
    }
}

impl Config {
    /// Refuses access without a token where agents are kept apart from the server: they share its network and its user.
    fn check_local_access(&self) -> Result<(), String> {
        match self.isolating_runner() {
            Some(runner) if self.local_access != LocalAccess::Token => Err(format!(
                "LOCAL_ACCESS is {:?} ({}), but must be `token` while RUNNER allows {runner}: an agent in it shares the \
                 server's network and user, and could use the API without a token to leave it; remove the line, or set it \
                 to `token`",
                self.shown("LOCAL_ACCESS"),
                self.source("LOCAL_ACCESS")
            )),
            _ => Ok(()),
        }
    }
}

/// The text and file mode of `.env`, if there is such a file.
fn read_dotenv(path: &Path) -> io::Result<Option<(String, u32)>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Ok(None);
    }
    let mut text = String::new();
    file.take(DOTENV_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > DOTENV_MAX {
        return Err(io::Error::other(format!("it is larger than {DOTENV_MAX} bytes")));
    }
    Ok(Some((text, metadata.permissions().mode())))
}

/// The value of a setting, trimmed, and its source. The last assignment in `.env` counts, as in a shell.
fn find(
    setting: &'static Setting,
    assignments: &[Assignment],
    env: &dyn Fn(&str) -> Option<OsString>,
) -> Result<(String, ValueSource), String> {
    if let Some(it) = assignments.iter().rfind(|it| it.name == setting.name)
        && !it.value.trim().is_empty()
    {
        return Ok((it.value.trim().to_owned(), ValueSource::DotEnv(it.line)));
    }
    for name in setting.environment_names() {
        let Some(value) = env(name).filter(|value| !value.is_empty()) else { continue };
        let source = ValueSource::Environment(name);
        let Ok(value) = value.into_string() else {
            return Err(format!("{} is not UTF-8 text ({source})", setting.name));
        };
        if !value.trim().is_empty() {
            return Ok((value.trim().to_owned(), source));
        }
    }
    Ok((setting.default.to_owned(), ValueSource::Default))
}

/// The beginning of a wrong value, which may be a file pasted by mistake.
fn clip(text: &str) -> String {
    match text.char_indices().nth(SHOWN_MAX) {
        Some((at, _)) => format!("{}...", &text[..at]),
        None => text.to_owned(),
    }
}

/// Oddities in `.env` that do not prevent the start.
fn warnings(assignments: &[Assignment]) -> Vec<String> {
    let mut warnings = Vec::new();
    for (index, it) in assignments.iter().enumerate() {
        let (line, name) = (it.line, clip(&it.name));
        if setting(&it.name).is_none() {
            let hint = suggestion(&it.name).map(|name| format!("; did you mean {name}?")).unwrap_or_default();
            warnings.push(format!(".env, line {line}: {name} is not a setting of rs-worker{hint}"));
        } else if let Some(later) = assignments[index + 1..].iter().find(|later| later.name == it.name) {
            warnings.push(format!(".env, line {line}: {name} is set again in line {}, which counts", later.line));
        }
    }
    warnings
}

/// The setting that was probably meant: the one that falls back to `name`, or the nearest in spelling.
fn suggestion(name: &str) -> Option<&'static str> {
    let upper = name.to_ascii_uppercase();
    if let Some(setting) = SETTINGS.iter().find(|setting| setting.fallback == Some(upper.as_str())) {
        return Some(setting.name);
    }
    let (distance, nearest) = SETTINGS.iter().map(|it| (edit_distance(&upper, it.name), it.name)).min()?;
    // Two letters may be wrong, of a long name a third; more than that is another word.
    (distance <= (nearest.len() / 3).max(2)).then_some(nearest)
}

/// Letters to insert, delete or replace to make one word of the other (Levenshtein's distance).
fn edit_distance(left: &str, right: &str) -> usize {
    // A name as long as a file would take forever, and is near nothing.
    if left.len() > SHOWN_MAX {
        return usize::MAX / 4;
    }
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in right.bytes().enumerate() {
            let replaced = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}
