//! The contents of a sandbox on this machine: [`Mounts`], computed again at each start.
//!
//! Its home directory is a private folder of the worker. It contains the toolchains and the CLI's settings (read-only),
//! the CLI's sessions and login (shared, so that a session can be resumed outside), copies of files that the CLI
//! changes but that name programs which run outside too, and what `SANDBOX_HOME` adds. Guarded paths are hidden last.

mod entries;
mod guarded;
mod own_home;

use std::ffi::OsStr;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use entries::Entries;
use guarded::{GuardedPaths, ShownPath, resolved};
pub(in crate::worker) use own_home::remove_tree;
use own_home::{OwnHome, copy, make_file, make_folders};

use crate::config::Config;
use crate::home::{Access, HomeEntry};
use crate::runner::{Mount, MountWords, Mounts};
use crate::worker::error::WorkerError;
use crate::worker::place::project::identity;

/// The home directory in the sandbox if the server has none.
const NO_HOME: &str = "/home/worker";
/// The contents of a copied file that does not exist outside: an empty object, in JSON.
const EMPTY_JSON: &[u8] = b"{}";

/// The settings of all workers' sandboxes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sandbox {
    /// The home directory of the server's user; absent if there is none that may be shown.
    home: Option<PathBuf>,
    entries: Entries,
    guarded: GuardedPaths,
}

/// One worker's folders.
#[derive(Clone, Copy, Debug)]
pub(in crate::worker) struct Folders<'f> {
    /// The folder of its journal.
    pub(in crate::worker) worker: &'f Path,
    /// Its project, resolved.
    pub(in crate::worker) project: &'f Path,
    /// The folder of the repository of which its project is a worktree.
    pub(in crate::worker) also: Option<&'f Path>,
}

/// The program in a sandbox.
#[derive(Clone, Copy, Debug)]
pub(in crate::worker) struct SandboxCli<'c> {
    /// Its entries in the home directory.
    pub(in crate::worker) home: &'c [HomeEntry],
    /// The paths of its program on this machine, one of which must be visible; none where they cannot be known.
    pub(in crate::worker) program: &'c [PathBuf],
}

impl Sandbox {
    /// Reads the settings. `variable` reads an environment variable.
    ///
    /// # Errors
    /// Fails when `SANDBOX_HOME` would expose a guarded path.
    pub(crate) fn new(config: &Config, variable: &dyn Fn(&str) -> Option<String>) -> Result<Self, String> {
        let home = config.home.as_ref().map(PathBuf::from);
        // A home directory such as `/` is not a personal one.
        let home = home.filter(|home| home.is_absolute() && home.components().count() > 1);
        let entries = Entries::new(config.sandbox_home.clone(), home.as_deref(), variable);
        let guarded = GuardedPaths::new(config, variable);
        for shared in entries.shared() {
            guarded.check(&resolved(&shared)).map_err(|why| format!("SANDBOX_HOME: {}: {why}", shared.display()))?;
        }
        Ok(Self { home, entries, guarded })
    }

    /// Returns the home directory in a sandbox.
    pub(in crate::worker) fn home(&self) -> String {
        let home = self.home.clone().unwrap_or_else(|| NO_HOME.into());
        home.display().to_string()
    }

    /// Checks that an agent that can write `folder` reaches no guarded path.
    ///
    /// # Errors
    /// The guarded path, and what to do.
    pub(in crate::worker) fn check(&self, folder: &Path) -> Result<(), WorkerError> {
        self.guarded.check(folder).map_err(WorkerError::Invalid)
    }

    /// Checks that `folder` is not one of the server's own folders or inside one, for an agent without a sandbox.
    ///
    /// # Errors
    /// The guarded folder, and what to do.
    pub(in crate::worker) fn check_open(&self, folder: &Path) -> Result<(), WorkerError> {
        self.guarded.check_open(folder).map_err(WorkerError::Invalid)
    }

    /// Returns whether a file of a project, whose links are resolved, is the server's own.
    pub(in crate::worker) fn guards_file(&self, file: &Path) -> bool {
        self.guarded.has_file(file)
    }

    /// Prepares a start: creates the worker's private home directory, and computes what its sandbox shows and hides.
    pub(in crate::worker) fn mount(
        &self,
        words: &MountWords,
        folders: Folders<'_>,
        cli: SandboxCli<'_>,
    ) -> Result<Mounts, WorkerError> {
        let own = OwnHome::make(folders.worker)?;
        let entries = self.entries.of(cli.home);
        self.entries.check_project(&entries, folders.project).map_err(WorkerError::Invalid)?;
        let mut table = MountTable { home: PathBuf::from(self.home()), own, laid: Vec::new() };
        self.hide_system(words, &mut table)?;
        let home = table.home.clone();
        table.mount(Mount::Write { from: text(&table.own.path.clone())?, to: text(&home)? }, true)?;
        for entry in entries {
            self.show(&entry, &mut table)?;
        }
        // An entry may have been mounted over a hidden folder. The project may be in it, and is mounted after this.
        for (path, is_folder) in self.guarded.last(&table.shown(), &[]) {
            table.hide(&path, is_folder)?;
        }
        let mut mounts = Mounts { home: table.take(), ..Mounts::default() };
        let project = folders.project;
        let tree = project.strip_prefix(self.guarded.worktrees()).ok().and_then(|below| below.components().next());
        let tree = tree.map(|name| self.guarded.worktrees().join(name));
        let own: Vec<&Path> = tree.as_deref().into_iter().chain([project]).chain(folders.also).collect();
        for &folder in &own {
            if mounts.identities.iter().any(|(path, _)| Path::new(path) == folder) {
                continue;
            }
            mounts.identities.push((text(folder)?, identity(folder)?));
            table.mount(Mount::Write { from: text(folder)?, to: text(folder)? }, false)?;
        }
        mounts.project = table.take();
        let own: Vec<PathBuf> = own.into_iter().map(Path::to_owned).collect();
        for (path, is_folder) in self.guarded.last(&table.shown(), &own) {
            table.hide(&path, is_folder)?;
        }
        mounts.hidden = table.take();
        table.check_program(cli.program)?;
        Ok(mounts)
    }

    /// Hides the private parts of the machine, and the folders of the server.
    fn hide_system(&self, words: &MountWords, table: &mut MountTable) -> Result<(), WorkerError> {
        let system = words.hides.iter().filter_map(|path| Path::new(path).canonicalize().ok());
        let mut hidden: Vec<PathBuf> = Vec::new();
        for folder in system.chain(self.guarded.folders()) {
            let is_root = folder.parent().is_none();
            if folder.is_dir() && !is_root && !hidden.iter().any(|other| folder.starts_with(other)) {
                table.mount(Mount::HideFolder(text(&folder)?), false)?;
                hidden.push(folder);
            }
        }
        for file in words.hides_files.iter().map(Path::new).filter(|file| file.is_file()) {
            table.hide(file, false)?;
        }
        for shown in words.shows.iter().filter(|path| Path::new(path).exists()) {
            table.mount(Mount::Read { from: shown.clone(), to: shown.clone() }, false)?;
        }
        Ok(())
    }

    /// Mounts one entry of the home directory.
    fn show(&self, entry: &HomeEntry, table: &mut MountTable) -> Result<(), WorkerError> {
        let Some(source) = self.entries.source(&entry.path) else { return Ok(()) };
        // No setting and no entry of a CLI can show a guarded path.
        if entry.access != Access::Own && self.guarded.covers(&resolved(&source)) {
            return Ok(());
        }
        let target = table.home.join(&entry.path);
        let below = table.backing(&target);
        match entry.access {
            Access::ReadOnly => {
                if let Ok(from) = source.canonicalize() {
                    table.mount(Mount::Read { from: text(&from)?, to: text(&target)? }, false)?;
                }
            }
            Access::Shared => {
                if entry.folder && !source.exists() {
                    DirBuilder::new().recursive(true).mode(0o700).create(&source)?;
                }
                if let Ok(from) = source.canonicalize() {
                    table.mount(Mount::Write { from: text(&from)?, to: text(&target)? }, false)?;
                }
            }
            Access::Copy => {
                let kept = table.keep(&entry.path, false)?;
                let from = if below == Backing::Shared { Some(source.clone()) } else { source.canonicalize().ok() };
                let copied = from.map_or(Ok(false), |from| copy(&from, &kept))?;
                if !copied && below == Backing::Shared {
                    // Otherwise an agent could create the file in the shared folder, for programs outside to read.
                    std::fs::write(&kept, EMPTY_JSON)?;
                    if !source.exists() {
                        copy(&kept, &source)?;
                    }
                }
                if below != Backing::Own && (copied || source.exists()) {
                    table.mount(Mount::Write { from: text(&kept)?, to: text(&target)? }, true)?;
                } else if !copied && below == Backing::Own && std::fs::metadata(&kept).is_ok_and(|it| it.len() == 0) {
                    std::fs::remove_file(&kept)?;
                }
            }
            Access::Own => {
                if below == Backing::Shared && entry.folder && !source.exists() {
                    DirBuilder::new().recursive(true).mode(0o700).create(&source)?;
                }
                if below != Backing::Own && source.is_file() {
                    table.hide(&target, false)?;
                } else if below != Backing::Own && source.exists() {
                    let kept = table.keep(&entry.path, true)?;
                    table.mount(Mount::Write { from: text(&kept)?, to: text(&target)? }, true)?;
                }
            }
        }
        Ok(())
    }
}

/// The source of a path in the sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Backing {
    /// The worker's own home directory.
    Own,
    /// A folder of this machine that is writable inside.
    Shared,
    /// Anything else: read-only, or private to the sandbox.
    Other,
}

/// The mounts of one sandbox while they are computed.
struct MountTable {
    home: PathBuf,
    own: OwnHome,
    /// Each with its target, its backing, and the folder behind it.
    laid: Vec<LaidMount>,
}

struct LaidMount {
    mount: Option<Mount>,
    target: PathBuf,
    backing: Backing,
    from: PathBuf,
}

impl MountTable {
    /// Mounts `mount` over the earlier mounts; `own` means that it shows a private folder of the worker. If its target
    /// is in such a folder, the target is created, so that no link redirects it.
    fn mount(&mut self, mount: Mount, own: bool) -> Result<(), WorkerError> {
        let target = PathBuf::from(mount.target());
        let from = match &mount {
            Mount::Write { from, .. } | Mount::Read { from, .. } => PathBuf::from(from),
            Mount::HideFolder(_) => PathBuf::new(),
            Mount::HideFile { with, .. } => PathBuf::from(with),
        };
        if let Some(under) = self.under(&target).filter(|under| under.backing == Backing::Own && under.target != target)
            && let Ok(below) = target.strip_prefix(&under.target)
        {
            let is_file = matches!(mount, Mount::HideFile { .. }) || from.is_file();
            if is_file {
                make_folders(&under.from, below.parent().unwrap_or(Path::new("")))?;
                make_file(&under.from.join(below))?;
            } else {
                make_folders(&under.from, below)?;
            }
        }
        let backing = match &mount {
            _ if own => Backing::Own,
            Mount::Write { .. } => Backing::Shared,
            _ => Backing::Other,
        };
        self.laid.push(LaidMount { mount: Some(mount), target, backing, from });
        Ok(())
    }

    /// Hides a file or a folder.
    fn hide(&mut self, path: &Path, is_folder: bool) -> Result<(), WorkerError> {
        let shown = text(path)?;
        if is_folder {
            return self.mount(Mount::HideFolder(shown), false);
        }
        let with = text(&self.own.nothing.clone())?;
        self.mount(Mount::HideFile { path: shown, with }, false)
    }

    /// Checks that one of a program's paths is visible.
    fn check_program(&self, places: &[PathBuf]) -> Result<(), WorkerError> {
        let seen = |place: &PathBuf| match self.under(place) {
            None => true,
            Some(under) => {
                !under.from.as_os_str().is_empty() && {
                    let below = place.strip_prefix(&under.target).unwrap_or(Path::new(""));
                    under.from.join(below).exists() || under.from == *place
                }
            }
        };
        match places.first() {
            Some(first) if !places.iter().any(seen) => Err(WorkerError::Invalid(format!(
                "the sandbox hides the program {}: install it elsewhere, or show its folder by SANDBOX_HOME",
                first.display()
            ))),
            _ => Ok(()),
        }
    }

    /// Returns the mount that shows `path` so far.
    fn under(&self, path: &Path) -> Option<&LaidMount> {
        self.laid.iter().rev().find(|laid| path.starts_with(&laid.target))
    }

    /// Returns the parts of this machine that are shown.
    fn shown(&self) -> Vec<ShownPath> {
        let laid = self.laid.iter().filter(|laid| !laid.from.as_os_str().is_empty());
        laid.map(|laid| ShownPath { from: laid.from.clone(), target: laid.target.clone() }).collect()
    }

    fn backing(&self, path: &Path) -> Backing {
        self.under(path).map_or(Backing::Other, |laid| laid.backing)
    }

    /// Creates a file or folder in the worker's private home directory.
    fn keep(&self, below: &str, folder: bool) -> Result<PathBuf, WorkerError> {
        let below = Path::new(below);
        if folder {
            return Ok(make_folders(&self.own.path, below)?);
        }
        make_folders(&self.own.path, below.parent().unwrap_or(Path::new("")))?;
        let file = self.own.path.join(below);
        make_file(&file)?;
        Ok(file)
    }

    /// Returns the mounts since the last call.
    fn take(&mut self) -> Vec<Mount> {
        self.laid.iter_mut().filter_map(|laid| laid.mount.take()).collect()
    }
}

fn text(path: &Path) -> Result<String, WorkerError> {
    let text = OsStr::to_str(path.as_os_str()).map(str::to_owned);
    text.ok_or_else(|| {
        WorkerError::Invalid(format!("the path {} is not valid UTF-8, which a runner needs", path.display()))
    })
}
