//! The few settings of the server's user that apply to every repository: line endings, and which files are ignored.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::config::GitSettings;
use super::run::{GitBudget, GitOutput, SHORT_BYTES, command, run};

/// Settings that name a file of the user, with its default path below the user's configuration folder.
const FILES: [(&str, &str); 2] = [("core.excludesfile", "git/ignore"), ("core.attributesfile", "git/attributes")];
/// Environment variables by which git finds the user's settings.
const PLACES: [&str; 2] = ["HOME", "XDG_CONFIG_HOME"];

/// Variables of the server's user by which git and its helpers find settings and agents for keys. None of them is a key of
/// the server's own.
pub(super) const PERSON_ENV: [&str; 8] = [
    "HOME",
    "XDG_CONFIG_HOME",
    "XDG_RUNTIME_DIR",
    "USER",
    "LOGNAME",
    "SSH_AUTH_SOCK",
    "GNUPGHOME",
    "DBUS_SESSION_BUS_ADDRESS",
];
/// Environment variables that keep git from the user's settings.
const AWAY_FROM_PERSON: [&str; 4] = ["GIT_CONFIG_NOSYSTEM", "GIT_CONFIG_GLOBAL", "GIT_ATTR_NOSYSTEM", "HOME"];

/// Gives a command the parts of the user's environment that git and its helpers need.
pub(super) fn set_environment(command: &mut Command) {
    for name in AWAY_FROM_PERSON {
        command.env_remove(name);
    }
    command.envs(PERSON_ENV.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
}

/// Reads the user's and the system's settings. git does this, since they may be in several files. It only lists them,
/// which runs nothing, and only harmless ones are used. Unreadable settings count as unset.
pub(super) fn settings(gitdir: &Path, budget: &GitBudget<'_>) -> GitSettings {
    let mut list = command(gitdir, gitdir, &["config", "--list", "-z", "--includes"]);
    for name in ["GIT_CONFIG_NOSYSTEM", "GIT_CONFIG_GLOBAL", "HOME"] {
        list.env_remove(name);
    }
    list.envs(PLACES.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
    let answer = run(&mut list, "config", (None, SHORT_BYTES * 4), &[0], budget)
        .inspect_err(|error| log::warn!("the user's settings of git are left out: {error}"))
        .unwrap_or_else(|_| GitOutput::default());
    let set = GitSettings::of_list(&String::from_utf8_lossy(&answer.output));
    let mut allowed = set.allowed();
    for (name, usual) in FILES {
        let path = set.get(name).map_or_else(|| usual_place(usual), expanded);
        if let Some(path) = path.filter(|path| path.is_file()).as_deref().and_then(Path::to_str) {
            allowed.set_path(name, path);
        }
    }
    allowed
}

fn usual_place(name: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("XDG_CONFIG_HOME").filter(|path| !path.is_empty()).map(PathBuf::from);
    Some(folder.or_else(|| Some(home()?.join(".config")))?.join(name))
}

fn expanded(path: &str) -> Option<PathBuf> {
    match path.strip_prefix("~/") {
        Some(rest) => Some(home()?.join(rest)),
        None => Some(path.into()),
    }
}

fn home() -> Option<PathBuf> {
    std::env::var_os("HOME").map(PathBuf::from)
}
