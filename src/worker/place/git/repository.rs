//! The repository of a folder, found without git: a `.git` that points elsewhere is followed only to a place that
//! points back to this folder. An agent can write in its folder, but not elsewhere.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;

use super::config::GitSettings;
use super::error::GitError;
use super::folder::{FILE_BYTES_MAX, read_file};
use super::refs;

/// Longest `.git` file, in bytes.
const LINK_BYTES_MAX: u64 = 8 * 1024;

/// A repository with the working folder through which it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Repository {
    /// The top of the working folder.
    pub top: PathBuf,
    /// The Git directory of this working folder only: HEAD, the index, operations in progress.
    pub own: PathBuf,
    /// The Git directory that it shares with its worktrees: objects, refs, configuration.
    pub common: PathBuf,
}

impl Repository {
    /// Finds the repository that `folder` is in; `None` when it is in none.
    ///
    /// # Errors
    /// Fails when the repository is damaged or its `.git` leads elsewhere.
    pub(crate) fn find(folder: &Path) -> Result<Option<Self>, GitError> {
        let folder = folder.canonicalize().map_err(GitError::io(folder.display().to_string()))?;
        let device = |path: &Path| path.metadata().map(|found| found.dev()).ok();
        let began_on = device(&folder);
        // Like git, without crossing a mount point.
        for top in folder.ancestors().take_while(|top| device(top) == began_on) {
            if let Some(found) = Self::at(top)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Returns the repository whose working folder has this resolved path as its top.
    ///
    /// # Errors
    /// As [`Self::find`].
    pub(in crate::worker) fn at(top: &Path) -> Result<Option<Self>, GitError> {
        let link = top.join(".git");
        let kind = match link.symlink_metadata() {
            Ok(found) => found.file_type(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(GitError::broken(link, error.to_string())),
        };
        if kind.is_dir() {
            let empty = link.read_dir().is_ok_and(|mut entries| entries.next().is_none());
            return if empty { Ok(None) } else { Self::whole(top, link.clone(), link).map(Some) };
        }
        let named = if kind.is_file() { linked_place(&link, top)? } else { link.clone() };
        let own = named.canonicalize().map_err(|error| {
            GitError::broken(&link, format!("it leads to {}, which cannot be opened: {error}", named.display()))
        })?;
        let common = named_back(&own, top)?.ok_or_else(|| {
            let place = own.display();
            GitError::broken(
                link,
                format!(
                    "it leads to {place}, which does not name this folder back, so it may be somebody else's; for a \
                     worktree run `git worktree repair`, else set core.worktree in {place}/config to this folder"
                ),
            )
        })?;
        Self::whole(top, own, common).map(Some)
    }

    /// Returns the repository of a bare Git directory.
    pub(in crate::worker) fn bare(gitdir: &Path) -> Result<Self, GitError> {
        Self::whole(gitdir, gitdir.to_owned(), gitdir.to_owned())
    }

    fn whole(top: &Path, own: PathBuf, common: PathBuf) -> Result<Self, GitError> {
        let missing = if own.join("HEAD").symlink_metadata().is_err() {
            Some(own.join("HEAD"))
        } else {
            let needed = ["objects", "refs"].map(|name| common.join(name));
            needed.into_iter().find(|path| !path.symlink_metadata().is_ok_and(|found| found.is_dir()))
        };
        match missing {
            Some(path) => Err(GitError::broken(path, "it is missing, or a link, which is not followed")),
            None => Ok(Self { top: top.to_owned(), own, common }),
        }
    }

    /// Returns the commit that is checked out; `None` before the first commit, or where references are in tables.
    pub(in crate::worker) fn head(&self) -> Result<Option<String>, GitError> {
        refs::head_id(&self.common, &self.own)
    }

    /// Returns whether this is a worktree that shares its objects with another working folder.
    pub(crate) fn is_linked(&self) -> bool {
        self.own != self.common
    }

    /// Returns the working folder of its common Git directory; `None` for a bare repository.
    pub(in crate::worker) fn main_folder(&self) -> Result<Option<PathBuf>, GitError> {
        let settings = settings_in(&self.common.join("config"))?;
        if let Some(named) = settings.get("core.worktree") {
            return Ok(Some(self.common.join(named)));
        }
        if settings.flag("core.bare") == Some(true) {
            return Ok(None);
        }
        let is_inside = self.common.file_name().is_some_and(|name| name == ".git");
        Ok(self.common.parent().filter(|_| is_inside).map(Path::to_owned))
    }

    /// Returns its settings, which are read once, so that the checked ones are the ones in use.
    pub(super) fn settings(&self) -> Result<GitSettings, GitError> {
        let mut settings = settings_in(&self.common.join("config"))?;
        if settings.flag("extensions.worktreeconfig") == Some(true) {
            settings.merge(settings_in(&self.own.join("config.worktree"))?);
        }
        let format = settings.get("core.repositoryformatversion").unwrap_or("0").trim().to_owned();
        if !matches!(format.as_str(), "0" | "1") {
            return Err(GitError::broken(&self.common, format!("its format {format} is not known")));
        }
        if let Some(unknown) = settings.unknown_extension() {
            return Err(GitError::broken(&self.common, format!("it uses {unknown}, which is not known")));
        }
        Ok(settings)
    }
}

fn settings_in(path: &Path) -> Result<GitSettings, GitError> {
    let bytes = read_file(path, FILE_BYTES_MAX, OFlag::empty())
        .map_err(|error| GitError::broken(path, error.to_string()))?
        .unwrap_or_default();
    GitSettings::parse(&bytes).map_err(|line| GitError::broken(path, format!("line {line} is not understood")))
}

/// Returns the target of a `.git` file.
fn linked_place(link: &Path, top: &Path) -> Result<PathBuf, GitError> {
    let broken = |why: &str| GitError::broken(link, why);
    let bytes = read_file(link, LINK_BYTES_MAX, OFlag::O_NOFOLLOW).map_err(|error| broken(&error.to_string()))?;
    let text = String::from_utf8(bytes.unwrap_or_default()).map_err(|_| broken("it is not valid UTF-8"))?;
    let place = text.strip_prefix("gitdir: ").ok_or_else(|| broken("it does not name a Git directory"))?;
    Ok(top.join(place.trim_end_matches(['\n', '\r'])))
}

/// Returns the common folder of a Git directory that names this working folder as its own; `None` when it does not.
fn named_back(own: &Path, top: &Path) -> Result<Option<PathBuf>, GitError> {
    let is_top = |path: &Path| path.canonicalize().is_ok_and(|path| path == top);
    let back = own.join("gitdir");
    let worktrees = own.parent().filter(|parent| parent.file_name().is_some_and(|name| name == "worktrees"));
    if let Some(common) = worktrees.and_then(Path::parent)
        && let Ok(Some(text)) = read_file(&back, LINK_BYTES_MAX, OFlag::O_NOFOLLOW)
    {
        let text = String::from_utf8_lossy(&text).trim_end_matches('\n').to_owned();
        let named = own.join(text);
        return Ok(named.parent().is_some_and(is_top).then(|| common.to_owned()));
    }
    let settings = settings_in(&own.join("config"))?;
    let named = settings.get("core.worktree").is_some_and(|path| is_top(&own.join(path)));
    Ok((named || own.starts_with(top)).then(|| own.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn git_directory(path: &Path) {
        fs::create_dir_all(path.join("objects")).unwrap();
        fs::create_dir_all(path.join("refs")).unwrap();
        fs::write(path.join("HEAD"), "ref: refs/heads/main\n").unwrap();
    }

    #[test]
    fn link_is_followed_only_if_its_target_names_it_back() {
        let scratch = crate::scratch::Scratch::new();
        let top = scratch.path().canonicalize().unwrap();
        let (project, other) = (top.join("project"), top.join("other/.git"));
        fs::create_dir_all(project.join("deep")).unwrap();
        git_directory(&other);
        assert_eq!(Repository::find(&project.join("deep")).unwrap(), None);
        fs::write(project.join(".git"), format!("gitdir: {}\n", other.display())).unwrap();
        let refused = Repository::find(&project.join("deep")).unwrap_err().to_string();
        assert!(refused.contains("does not name this folder back"), "{refused}");
        fs::write(other.join("config"), "[core]\nworktree = ../../project\n").unwrap();
        let found = Repository::find(&project.join("deep")).unwrap().unwrap();
        assert_eq!((found.top, &found.own, &found.common), (project.clone(), &other, &other));

        let own = other.join("worktrees/one");
        fs::create_dir_all(&own).unwrap();
        fs::write(own.join("HEAD"), "ref: refs/heads/x\n").unwrap();
        fs::write(project.join(".git"), "gitdir: ../other/.git/worktrees/one\n").unwrap();
        assert!(Repository::at(&project).is_err());
        fs::write(own.join("gitdir"), format!("{}\n", project.join(".git").display())).unwrap();
        let found = Repository::at(&project).unwrap().unwrap();
        assert_eq!((&found.own, &found.common), (&own, &other));
        assert!(found.is_linked());
    }

    #[test]
    fn damaged_repository_is_an_error_and_an_empty_folder_none() {
        let scratch = crate::scratch::Scratch::new();
        let top = scratch.path().canonicalize().unwrap();
        fs::create_dir(top.join(".git")).unwrap();
        assert_eq!(Repository::at(&top).unwrap(), None);
        fs::write(top.join(".git/config"), "").unwrap();
        assert!(Repository::find(&top).unwrap_err().to_string().contains("HEAD"));
        git_directory(&top.join(".git"));
        fs::write(top.join(".git/config"), "[core\n").unwrap();
        let found = Repository::find(&top).unwrap().unwrap();
        assert!(found.settings().unwrap_err().to_string().contains("is not understood"));
        fs::remove_file(top.join(".git/config")).unwrap();
        nix::unistd::mkfifo(&top.join(".git/config"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(found.settings().unwrap_err().to_string().contains("not a regular file"));
    }
}
