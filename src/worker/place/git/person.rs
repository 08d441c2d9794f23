//! The few settings of the server's own user that count for every repository: line endings, and which files are ignored.

use std::path::{Path, PathBuf};

use super::config::Settings;
use super::run::{Answer, Budget, SHORT_BYTES, command, run};

/// Settings that name a file of the user's, with its usual place below the user's folder of settings.
const FILES: [(&str, &str); 2] = [("core.excludesfile", "git/ignore"), ("core.attributesfile", "git/attributes")];
/// Names of variables by which git finds the user's settings.
const PLACES: [&str; 2] = ["HOME", "XDG_CONFIG_HOME"];

/// Reads the user's and the system's settings, by git since they may be in several files. It only lists them, which runs
/// nothing, and of what it lists only harmless ones are taken. Unreadable ones count as none.
pub(super) fn settings(gitdir: &Path, budget: &Budget<'_>) -> Settings {
    let mut list = command(gitdir, gitdir, &["config", "--list", "-z", "--includes"]);
    for name in ["GIT_CONFIG_NOSYSTEM", "GIT_CONFIG_GLOBAL", "HOME"] {
        list.env_remove(name);
    }
    list.envs(PLACES.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
    let answer = run(&mut list, "config", (None, SHORT_BYTES * 4), &[0], budget)
        .inspect_err(|error| log::warn!("the user's settings of git are left out: {error}"))
        .unwrap_or_else(|_| Answer::default());
    let set = Settings::of_list(&String::from_utf8_lossy(&answer.output));
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
