//! The files of the server that no agent may reach from a sandbox or a container: a project that contains them is
//! refused, and a sandbox hides them.

use std::path::{Path, PathBuf};

use crate::config::{Config, DOTENV};

/// Name of the project's folder among a user's settings.
const FOLDER: &str = "rs-worker";

/// One file or folder of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Guard {
    path: PathBuf,
    what: &'static str,
    /// The setting that moves it; empty when there is none.
    setting: &'static str,
}

/// All guarded paths, with links resolved as far as they exist.
#[derive(Clone, Debug, Default)]
pub(super) struct GuardedPaths {
    guards: Vec<Guard>,
    worktrees: PathBuf,
}

impl GuardedPaths {
    /// Collects the files that the settings name. `variable` reads an environment variable.
    pub(super) fn new(config: &Config, variable: &dyn Fn(&str) -> Option<String>) -> Self {
        let home = config.home.as_ref().map(PathBuf::from);
        let below = |name: &str, usual: &str| {
            let set = variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
            set.or_else(|| Some(home.as_ref()?.join(usual))).map(|base| base.join(FOLDER))
        };
        let usual = |usual: &str| home.as_ref().map(|home| home.join(usual).join(FOLDER));
        let settings = "the folder of rs-worker's settings";
        let listed = [
            (Some(config.workers_base_dir.clone()), "the workers' data", "WORKERS_BASE_DIR"),
            (Some(config.worktree_dir.clone()), "the workers' worktrees", "WORKTREE_DIR"),
            (Some(config.working_dir.join(DOTENV)), "the server's settings", ""),
            (Some(config.auth_token_file.clone()), "the auth token", "AUTH_TOKEN_FILE"),
            (Some(config.log_file.clone()), "the log", "LOG_FILE"),
            (Some(config.adapters_dir.clone()), "the folder of adapters", "ADAPTERS_DIR"),
            (Some(config.runners_dir.clone()), "the folder of runners", "RUNNERS_DIR"),
            (Some(config.projects_dir.clone()), "the folder of project files", "PROJECTS_DIR"),
            (Some(config.presets_dir.clone()), "the folder of presets", "PRESETS_DIR"),
            (config.static_dir.clone(), "the web page's files", "STATIC_DIR"),
            (std::env::current_exe().ok(), "the server's program", ""),
            (below("XDG_CONFIG_HOME", ".config"), settings, ""),
            (usual(".config"), settings, ""),
            (below("XDG_STATE_HOME", ".local/state"), "the folder of rs-worker's state", ""),
            (usual(".local/state"), "the folder of rs-worker's state", ""),
            (Some(Path::new("/etc").join(FOLDER)), settings, ""),
        ];
        let mut guards: Vec<Guard> = Vec::new();
        for (path, what, setting) in listed {
            let Some(path) = path else { continue };
            // Both the link's own path and its target are guarded: whoever can replace the link controls what it names.
            for path in
                [resolved(path.parent().unwrap_or(&path)).join(path.file_name().unwrap_or_default()), resolved(&path)]
            {
                if !guards.iter().any(|guard| guard.path == path) {
                    guards.push(Guard { path, what, setting });
                }
            }
        }
        Self { guards, worktrees: resolved(&config.worktree_dir) }
    }

    /// Returns the folder of the workers' worktrees.
    pub(super) fn worktrees(&self) -> &Path {
        &self.worktrees
    }

    /// Checks that an agent that can write `folder` reaches no guarded path. A folder in `WORKTREE_DIR` is allowed.
    ///
    /// # Errors
    /// The guarded path that it could reach, and what to do.
    pub(super) fn check(&self, folder: &Path) -> Result<(), String> {
        let reaches = |guard: &&Guard| guard.path.starts_with(folder) || self.has(guard, folder);
        self.guards.iter().find(reaches).map_or(Ok(()), |guard| Err(refusal("a sandboxed agent", folder, guard)))
    }

    /// Checks that `folder` is not one of the server's own folders or inside one. A project that merely contains
    /// guarded files is allowed here: without a sandbox nothing keeps an agent from them, and many users start the
    /// server in their project.
    ///
    /// # Errors
    /// The guarded folder, and what to do.
    pub(super) fn check_open(&self, folder: &Path) -> Result<(), String> {
        let found = self.guards.iter().find(|guard| self.has(guard, folder));
        found.map_or(Ok(()), |guard| Err(refusal("an agent", folder, guard)))
    }

    /// Returns whether a file of a project, whose links are resolved, is the server's own.
    pub(super) fn has_file(&self, file: &Path) -> bool {
        self.guards.iter().any(|guard| self.has(guard, file))
    }

    /// Returns whether `folder` is the guarded one or inside it. The worktrees belong to the workers.
    fn has(&self, guard: &Guard, folder: &Path) -> bool {
        folder.starts_with(&guard.path) && guard.path != self.worktrees
    }

    /// Returns the folders that are hidden before anything is shown: the guarded ones, and the folders of guarded
    /// files, because a file that is replaced would become visible again.
    pub(super) fn folders(&self) -> Vec<PathBuf> {
        let mut folders = Vec::new();
        for guard in &self.guards {
            let folder = if guard.path.is_dir() { Some(guard.path.clone()) } else { self.own_folder(guard) };
            folders.extend(folder.filter(|folder| folder.is_dir() && !folders.contains(folder)));
        }
        folders
    }

    /// Returns the folder of a guarded file, unless it is one of the system's.
    fn own_folder(&self, guard: &Guard) -> Option<PathBuf> {
        /// Folders whose subfolders every program needs.
        const SYSTEM: [&str; 6] = ["/usr", "/etc", "/bin", "/sbin", "/lib", "/nix"];
        let folder = guard.path.parent()?;
        let system = SYSTEM.iter().any(|system| folder.starts_with(system));
        // Of a folder such as `/opt` or `/`, only the file is hidden.
        let deep = folder.components().count() > 2;
        (deep && !system && !is_program(&guard.path)).then(|| folder.to_owned())
    }

    /// Returns whether `path`, whose links are resolved, is guarded or in a guarded folder. The server's program is an
    /// exception: it may be visible, because nothing in it can be changed.
    pub(super) fn covers(&self, path: &Path) -> bool {
        self.guards.iter().any(|guard| path.starts_with(&guard.path) && !is_program(&guard.path))
    }

    /// Returns the paths that a sandbox hides at its end: the guarded files and folders that exist, wherever they are
    /// `shown`, and the folders of the files where nothing in them is shown. The `own` folders of the worker stay
    /// visible: its project in `WORKTREE_DIR`.
    ///
    /// Each path comes with a flag: true for a folder.
    pub(super) fn last(&self, shown: &[ShownPath], own: &[PathBuf]) -> Vec<(PathBuf, bool)> {
        let apart = |path: &PathBuf| !shown.iter().any(|shown| shown.target.starts_with(path));
        let mut hidden: Vec<(PathBuf, bool)> = Vec::new();
        for guard in self.guards.iter().filter(|guard| guard.path.exists() && !is_program(&guard.path)) {
            let is_folder = guard.path.is_dir();
            if is_folder {
                // Its other folders were hidden before the worker's own was mounted over them.
                if !own.iter().any(|own| own.starts_with(&guard.path)) {
                    hidden.push((guard.path.clone(), true));
                }
            } else {
                let folder = self.own_folder(guard).filter(apart).map(|folder| (folder, true));
                hidden.push(folder.unwrap_or_else(|| (guard.path.clone(), false)));
            }
            // A link or an environment variable may show its folder under another name.
            let renamed =
                shown.iter().filter_map(|shown| Some(shown.target.join(guard.path.strip_prefix(&shown.from).ok()?)));
            hidden.extend(renamed.filter(|place| *place != guard.path).map(|place| (place, is_folder)));
        }
        hidden.sort();
        hidden.dedup_by(|(path, _), (before, _)| path.starts_with(before));
        hidden
    }
}

/// A file or folder of this machine that a sandbox shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ShownPath {
    /// Its path on this machine, with links resolved.
    pub(super) from: PathBuf,
    /// Its path in the sandbox.
    pub(super) target: PathBuf,
}

/// Formats the refusal: the reason why `agent` may not work in `folder`, and what to do.
fn refusal(agent: &str, folder: &Path, guard: &Guard) -> String {
    let (path, what) = (guard.path.display(), guard.what);
    let relation = match (guard.path.starts_with(folder), folder.starts_with(&guard.path)) {
        (true, true) => "is",
        (true, false) => "holds",
        _ => "is in",
    };
    let remedy = match guard.setting {
        "" => "use another folder, or start the server in a folder that is in no project".to_owned(),
        setting => format!("use another folder, or set {setting} to one that is in no project"),
    };
    let folder = folder.display();
    format!("{agent} may not work in {folder}: it {relation} {what} ({path}); {remedy}")
}

/// Returns `path` with links resolved in its existing part.
pub(super) fn resolved(path: &Path) -> PathBuf {
    let mut rest = Vec::new();
    for above in path.ancestors() {
        if let Ok(there) = above.canonicalize() {
            return rest.iter().rev().fold(there, |path, name| path.join(name));
        }
        rest.extend(above.file_name());
    }
    path.to_owned()
}

/// Returns whether it is the running program: it must not be written, but need not be hidden.
fn is_program(path: &Path) -> bool {
    std::env::current_exe().is_ok_and(|exe| resolved(&exe) == path)
}
