//! Paths of a project, compared after symbolic links.

use std::fmt;
use std::path::{Component, Path, PathBuf};

use super::glob;

/// Longest path that is looked at, in bytes.
const PATH_BYTES_MAX: usize = 4 * 1024;

/// Resolves a path as the system does: all links followed, also where its last parts are not there yet. `None` when that
/// can't be known.
pub(crate) type Resolve = dyn Fn(&Path) -> Option<PathBuf>;

/// The spellings of the home directory and of the working directory in commands.
const HOME: [&str; 3] = ["~", "$HOME", "${HOME}"];
const HERE: [&str; 2] = ["$PWD", "${PWD}"];

/// The project of a prompt.
pub(crate) struct PromptProject<'p> {
    /// Its folder, with links resolved.
    pub project: &'p Path,
    /// The home directory that the agent has.
    pub home: Option<&'p Path>,
    /// The resolver of links.
    pub resolve: &'p Resolve,
}

impl fmt::Debug for PromptProject<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Place").field("project", &self.project).finish_non_exhaustive()
    }
}

impl PromptProject<'_> {
    /// Returns a path after links; a relative one is the project's.
    pub(crate) fn resolved(&self, path: &str) -> Option<PathBuf> {
        if path.is_empty() || path.len() > PATH_BYTES_MAX || path.contains('\0') {
            return None;
        }
        (self.resolve)(&self.project.join(path))
    }

    /// Returns whether a path is inside the project after links.
    pub(crate) fn holds(&self, path: &str) -> bool {
        self.resolved(path).is_some_and(|path| path.starts_with(self.project))
    }

    /// Returns whether a path is a part of the project that a wildcard may name: inside, and nothing hidden in it. The project
    /// itself is not: what is hidden in it comes with it.
    pub(crate) fn holds_openly(&self, path: &str) -> bool {
        let inside = self.resolved(path);
        let inside = inside.as_deref().and_then(|path| path.strip_prefix(self.project).ok());
        let is_part = |path: &Path| !path.as_os_str().is_empty() && is_open(path);
        inside.is_some_and(is_part) && path.strip_prefix("./").unwrap_or(path).split('/').all(is_open_name)
    }

    /// Reads a path in all ways in which a program could.
    pub(crate) fn named(&self, path: &str) -> NamedPath {
        let below = |spellings: &[&str], folder: Option<&Path>| {
            let rest = spellings.iter().find_map(|spelling| path.strip_prefix(spelling))?;
            (rest.is_empty() || rest.starts_with('/'))
                .then(|| folder.map(|it| it.join(rest.trim_start_matches('/'))))?
        };
        let known = below(&HOME, self.home).or_else(|| below(&HERE, Some(self.project)));
        let path = known.unwrap_or_else(|| self.project.join(path));
        let resolved = path.to_str().and_then(|path| self.resolved(path));
        NamedPath { written: lexical(&path), resolved }
    }
}

/// A path of a prompt: as it is written, with globs, and after links.
#[derive(Debug)]
pub(crate) struct NamedPath {
    written: PathBuf,
    resolved: Option<PathBuf>,
}

/// A path pattern in a project, for rules that refuse or ask.
#[derive(Debug)]
pub(crate) struct PlacedPattern<'p> {
    project: &'p Path,
    root: PathBuf,
    resolved_root: Option<PathBuf>,
    is_folder: bool,
}

impl PlacedPattern<'_> {
    /// Returns whether it could hold for a path by any reading. A folder above the pattern's is one that has it in it.
    pub(crate) fn could_hold(&self, path: &NamedPath) -> bool {
        let within = |path: &Path| {
            path == self.root
                || (self.is_folder && path.starts_with(&self.root))
                || (!path.as_os_str().is_empty() && self.root.starts_with(path) && path != self.project)
        };
        let is_same = |path: &Path| {
            let root = self.resolved_root.as_deref();
            root.is_some_and(|root| path == root || (self.is_folder && path.starts_with(root)))
        };
        let by_glob = || {
            let is_glob = path.written.to_str().is_none_or(glob::has_glob);
            is_glob && glob::could_name(&path.written, &self.root, self.is_folder)
        };
        within(&path.written) || path.resolved.as_deref().is_some_and(|path| within(path) || is_same(path)) || by_glob()
    }
}

/// A path pattern: a file, or with `/**` at its end a folder with all that is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PathPattern<'r> {
    root: &'r Path,
    is_folder: bool,
}

impl<'r> PathPattern<'r> {
    /// Reads a pattern. `None` when it has other wildcards, `.` or `..`.
    pub(crate) fn parse(text: &'r str) -> Option<Self> {
        let (root, is_folder) = match text.strip_suffix("**") {
            Some("") => ("", true),
            Some(root) => (root.strip_suffix('/')?, true),
            None => (text, false),
        };
        let plain = !root.contains(['*', '?', '[', '\0', '~', '$']) && root.len() <= PATH_BYTES_MAX;
        let usual = Path::new(root).components().all(|part| matches!(part, Component::Normal(_) | Component::RootDir));
        let named = is_folder || !root.is_empty();
        (plain && usual && named).then_some(Self { root: Path::new(root), is_folder })
    }

    /// Returns whether the pattern names something outside of every project.
    pub(crate) fn is_absolute(&self) -> bool {
        self.root.is_absolute()
    }

    /// Returns whether it holds for a path after links. The folder of the pattern is taken as it is written: a link in
    /// its place leads to a path that the pattern does not hold for.
    pub(crate) fn holds(&self, place: &PromptProject<'_>, path: &str) -> bool {
        let Some(path) = place.resolved(path) else { return false };
        let root = place.project.join(self.root);
        if !self.is_folder {
            return path == root;
        }
        path.strip_prefix(&root).is_ok_and(is_open)
    }

    /// The pattern in a project.
    pub(crate) fn placed<'p>(&self, place: &PromptProject<'p>) -> PlacedPattern<'p> {
        let root = place.project.join(self.root);
        let resolved_root = (place.resolve)(&root);
        PlacedPattern { project: place.project, root, resolved_root, is_folder: self.is_folder }
    }
}

/// Returns whether no part of a path is hidden.
fn is_open(path: &Path) -> bool {
    path.components().all(is_open_part)
}

fn is_open_part(part: Component<'_>) -> bool {
    match part {
        Component::Normal(name) => !name.as_encoded_bytes().starts_with(b"."),
        _ => true,
    }
}

/// Returns whether a part of a path between slashes names something that is not hidden, or nothing.
fn is_open_name(name: &str) -> bool {
    !name.starts_with('.')
}

/// Removes `.` and `..` from a path without a look at the disk.
fn lexical(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                clean.pop();
            }
            Component::CurDir => {}
            part => clean.push(part),
        }
    }
    clean
}
