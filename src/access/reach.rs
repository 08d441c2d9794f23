//! The workers that a credential may see.

use std::path::{Component, Path, PathBuf};
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

/// Most workers that a token is narrowed to.
pub(crate) const WORKERS_MAX: usize = 64;
/// Most projects that a token is narrowed to.
pub(crate) const PROJECTS_MAX: usize = 16;

/// The workers and projects that a credential is narrowed to; all workers if both lists are empty.
///
/// Paths are compared as they were when links were resolved: those of projects when the token was made, those of workers when
/// the worker was. What an agent does to the folders later moves no worker into a token's reach.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reach {
    /// Ids of workers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub workers: Vec<String>,
    /// Folders, links resolved: workers in them, and in folders below them, are covered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub projects: Vec<PathBuf>,
    /// The worker below which all are covered: those that its agent has made, and those that their agents have made. Never
    /// stored: a build that does not know it would take such a token for one without narrowing.
    #[serde(skip)]
    pub below: Option<String>,
}

/// The reach of who may see everything.
pub(crate) static EVERYTHING: Reach = Reach { workers: Vec::new(), projects: Vec::new(), below: None };

/// The reach of who is not known: no worker has an empty id.
pub(crate) static NOTHING: LazyLock<Reach> =
    LazyLock::new(|| Reach { workers: vec![String::new()], projects: Vec::new(), below: None });

impl Reach {
    /// Returns whether all workers are covered.
    pub(crate) const fn is_everything(&self) -> bool {
        self.workers.is_empty() && self.projects.is_empty() && self.below.is_none()
    }

    /// Returns whether a worker is covered: by its id, or by its project's folder.
    pub(crate) fn covers(&self, worker: &str, project: &str) -> bool {
        self.is_everything() || self.workers.iter().any(|id| id == worker) || self.is_within(project)
    }

    /// Returns whether all that belongs to a folder is covered.
    pub(crate) fn covers_project(&self, project: &str) -> bool {
        self.is_everything() || self.is_within(project)
    }

    fn is_within(&self, project: &str) -> bool {
        let project = Path::new(project);
        // The folder of a worker that runs elsewhere is not resolved here.
        let climbs = project.components().any(|part| part == Component::ParentDir);
        !climbs && self.projects.iter().any(|folder| project.starts_with(folder))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_reach_covers_everything() {
        assert!(Reach::default().covers("a", "/srv/a") && Reach::default().covers_project("/"));
    }

    #[test]
    fn reach_covers_its_workers_and_folders_alone() {
        let reach = Reach { workers: vec!["w".to_owned()], projects: vec!["/srv/a".into()], below: None };
        for (worker, project, is_covered) in [
            ("w", "/elsewhere", true),
            ("v", "/srv/a", true),
            ("v", "/srv/a/b", true),
            ("v", "/srv/ab", false),
            ("v", "/srv", false),
            ("v", "/srv/a/../b", false),
            ("v", "srv/a", false),
            ("", "", false),
        ] {
            assert_eq!(reach.covers(worker, project), is_covered, "{worker} {project}");
        }
        assert!(!reach.covers_project("/elsewhere"), "a worker does not bring its project");
    }

    #[test]
    fn reach_below_a_worker_covers_no_worker_by_itself() {
        let reach = Reach { below: Some("w".to_owned()), ..Reach::default() };
        assert!(!reach.is_everything() && !reach.covers("w", "/") && !reach.covers_project("/"));
        assert_eq!(serde_json::to_string(&reach).unwrap(), "{}");
    }
}
