//! Project files: the JSON files in which the operator of the server describes projects. They define how a new worktree
//! is set up and taken down, and what its workers get. No agent may write them.

mod file;

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use file::ProjectMistake;
pub(crate) use file::{Commands, Project};

/// Most files of the folder.
const FILES_MAX: usize = 256;

/// One file of the folder, read or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ProjectFile {
    /// Its place.
    pub file: PathBuf,
    /// Its content, or the mistake in it.
    pub content: Result<Project, ProjectMistake>,
}

/// A project as lists show it: values of its environment may be secrets and are left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct ProjectSummary {
    /// The name of its file.
    file: String,
    /// Its folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    base: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    preset: Option<String>,
    setup: bool,
    teardown: bool,
    check: bool,
    /// Names of the variables that are set.
    env: Vec<String>,
    /// The mistake of a file that cannot be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// The reason that the project of a folder is not known.
#[derive(Debug)]
pub(crate) enum ProjectsError {
    /// The folder of project files cannot be read.
    Unreadable(PathBuf, std::io::Error),
    /// A file has a mistake: its path and what is wrong, for people.
    Mistaken(String),
}

impl fmt::Display for ProjectsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(folder, error) => {
                write!(f, "the folder of project files {} cannot be read: {error}", folder.display())
            }
            Self::Mistaken(reason) => f.write_str(reason),
        }
    }
}

/// The folder of project files. They are read anew at each use, so a change needs no restart.
#[derive(Clone, Debug, Default)]
pub(crate) struct Projects {
    folder: PathBuf,
}

impl Projects {
    /// The project files of a folder, which may be missing.
    pub(crate) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// All files, in the order of their names.
    pub(crate) fn files(&self) -> Vec<ProjectFile> {
        self.names().map(read_all).unwrap_or_else(|error| {
            let mistake = ProjectMistake { path: None, reason: error.to_string() };
            vec![ProjectFile { file: self.folder.clone(), content: Err(mistake) }]
        })
    }

    fn names(&self) -> Result<Vec<PathBuf>, ProjectsError> {
        let entries = match self.folder.read_dir() {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(ProjectsError::Unreadable(self.folder.clone(), error)),
        };
        let paths = entries.filter_map(Result::ok).map(|entry| entry.path());
        let mut listed: Vec<PathBuf> =
            paths.filter(|path| path.extension().is_some_and(|end| end == "json") && !path.is_dir()).collect();
        listed.sort();
        if listed.len() > FILES_MAX {
            let folder = self.folder.display();
            return Err(ProjectsError::Mistaken(format!("{folder} has more than {FILES_MAX} project files")));
        }
        Ok(listed)
    }

    /// The project in which a folder is, whose links are resolved: of several the innermost.
    ///
    /// # Errors
    /// Fails when the folder cannot be read, the project's file has a mistake, or a file with a mistake may be the project's.
    pub(crate) fn find(&self, folder: &Path) -> Result<Option<Project>, ProjectsError> {
        let mut found: Option<(PathBuf, Result<Project, String>)> = None;
        for ProjectFile { file, content } in read_all(self.names()?) {
            let (path, content) = match content {
                Ok(project) => (project.path.clone(), Ok(project)),
                Err(ProjectMistake { path, reason }) => {
                    let reason = format!("the project file {}: {reason}", file.display());
                    let Some(path) = path else { return Err(ProjectsError::Mistaken(reason)) };
                    (path, Err(reason))
                }
            };
            let depth = |path: &Path| path.components().count();
            // Of two files for one folder, the one with the mistake decides.
            let closer = found.as_ref().is_none_or(|(other, _)| depth(&path) >= depth(other));
            if folder.starts_with(&path) && closer {
                found = Some((path, content));
            }
        }
        found.map(|(_, content)| content.map_err(ProjectsError::Mistaken)).transpose()
    }

    /// All files as lists show them.
    pub(crate) fn shown(&self) -> Vec<ProjectSummary> {
        self.files().into_iter().map(ProjectSummary::of).collect()
    }

    /// The file of the project in which a folder is, as lists show it; none when there is no such folder.
    pub(crate) fn shown_of(&self, folder: &Path) -> Option<ProjectSummary> {
        let folder = folder.canonicalize().ok()?;
        let inner = |file: &ProjectFile| {
            let path = match &file.content {
                Ok(project) => Some(&project.path),
                Err(mistake) => mistake.path.as_ref(),
            };
            path.filter(|path| folder.starts_with(path)).map(|path| path.components().count())
        };
        self.files().into_iter().filter(|file| inner(file).is_some()).max_by_key(inner).map(ProjectSummary::of)
    }
}

/// Reads the files; of several for one project only the first counts.
fn read_all(listed: Vec<PathBuf>) -> Vec<ProjectFile> {
    let mut files: Vec<ProjectFile> = Vec::new();
    for file in listed {
        let content = file::read(&file).and_then(|project| {
            let same = |other: &&ProjectFile| other.content.as_ref().is_ok_and(|it| it.path == project.path);
            let Some(other) = files.iter().find(same) else { return Ok(project) };
            let reason = format!("path: {} is the project of {} too", project.path.display(), other.file.display());
            Err(ProjectMistake { path: Some(project.path), reason })
        });
        files.push(ProjectFile { file, content });
    }
    files
}

impl ProjectSummary {
    /// Its folder.
    pub(crate) fn path(&self) -> Option<&str> {
        self.path.as_deref()
    }

    fn of(file: ProjectFile) -> Self {
        let text = |path: &Path| path.display().to_string();
        let name = file.file.file_name().map(Path::new).map(text).unwrap_or_default();
        let empty = Self {
            file: name,
            path: None,
            name: None,
            base: None,
            preset: None,
            setup: false,
            teardown: false,
            check: false,
            env: Vec::new(),
            error: None,
        };
        match file.content {
            Ok(project) => Self {
                path: Some(text(&project.path)),
                name: Some(project.name),
                base: project.base,
                preset: project.preset,
                setup: !project.setup.list.is_empty(),
                teardown: !project.teardown.list.is_empty(),
                check: !project.check.list.is_empty(),
                env: project.env.into_iter().map(|(name, _)| name).collect(),
                ..empty
            },
            Err(mistake) => Self { path: mistake.path.as_deref().map(text), error: Some(mistake.reason), ..empty },
        }
    }
}

#[cfg(test)]
mod tests;
