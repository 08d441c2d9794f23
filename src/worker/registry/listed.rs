//! Lists of workers: all of them, or a page of those that a client asks for.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Registry;
use crate::access::Reach;
use crate::hub::Snapshot;
use crate::wire;
use crate::worker::run::worker::Worker;
use crate::worker::state::State;
use crate::worker::state::status::Status;

/// The workers that a client asks for. The default is all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct WorkerSelection {
    /// Selects workers with one of these; all if empty.
    pub(crate) statuses: Vec<Status>,
    /// Selects workers in this folder, below it, or in a worktree of such a one.
    pub(crate) project: Option<PathBuf>,
    /// Selects workers behind this place of the list.
    pub(crate) after: Option<ListPlace>,
    /// Most workers of the page.
    pub(crate) limit: Option<usize>,
}

/// A worker's place in the list, which never changes: oldest first, and by id where several are as old.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ListPlace {
    created_at: u64,
    id: String,
}

impl ListPlace {
    /// Reads a place as it is displayed.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (created_at, id) = text.split_once('.')?;
        Some(Self { created_at: created_at.parse().ok()?, id: id.to_owned() }).filter(|place| place.to_string() == text)
    }
}

impl fmt::Display for ListPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.created_at, self.id)
    }
}

impl WorkerSelection {
    /// Returns whether these are all workers, in one page.
    pub(crate) fn is_all(&self) -> bool {
        *self == Self::default()
    }

    /// Returns whether a worker in this state is one of them, on whatever page.
    fn has(&self, state: &State) -> bool {
        let folders = [Some(&state.project_path), state.worktree.as_ref().map(|worktree| &worktree.project)];
        let is_in = |project: &Path| folders.into_iter().flatten().any(|folder| Path::new(folder).starts_with(project));
        (self.statuses.is_empty() || self.statuses.contains(&state.status)) && self.project.as_deref().is_none_or(is_in)
    }

    /// Sorts the workers of all pages and keeps those of this one; returns its end where there are more.
    fn page<T>(&self, workers: &mut Vec<(ListPlace, T)>) -> Option<ListPlace> {
        workers.retain(|(place, _)| self.after.as_ref().is_none_or(|after| place > after));
        workers.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        let limit = self.limit.filter(|limit| *limit < workers.len())?;
        workers.truncate(limit);
        workers.last().map(|(place, _)| place.clone())
    }
}

impl Registry {
    /// Returns the folders in which workers work, and the repositories of their worktrees.
    pub(crate) fn work_folders(&self) -> Vec<PathBuf> {
        let folders = |worker: Arc<Worker>| {
            let state = worker.state();
            [PathBuf::from(&state.project_path), PathBuf::from(state.project())]
        };
        self.all().into_iter().flat_map(folders).collect()
    }

    /// Lets the feed find the workers that others come from, for listeners that see only some.
    pub(super) fn name_origins(self: &Arc<Self>) {
        let registry = Arc::downgrade(self);
        self.feed
            .know(Box::new(move |id, reach| registry.upgrade().is_some_and(|registry| registry.is_named(id, reach))));
    }

    /// Returns whether a client of this reach may see a worker's id: it is in reach, or the agent's own.
    pub(crate) fn is_named(&self, id: &str, reach: &Reach) -> bool {
        reach.below.as_deref() == Some(id) || self.visible(id, reach).is_ok()
    }

    /// Appends the workers of a selection that are in reach on the wire as fields of a JSON object: the list, oldest first, and the place where the
    /// next page begins if not all were asked for.
    pub(crate) fn append_list(&self, selection: &WorkerSelection, reach: &Reach, json: &mut Vec<u8>) {
        let workers = self.read();
        let listed = |worker: &'_ Arc<Worker>| {
            let state = worker.state();
            let place = || ListPlace { created_at: state.created_at, id: worker.id().to_owned() };
            (worker.is_in(reach) && selection.has(&state)).then(place)
        };
        let mut page: Vec<_> = workers.values().filter_map(|worker| Some((listed(worker)?, worker))).collect();
        let next = selection.page(&mut page);
        let is_own = |id: &str| reach.below.as_deref() == Some(id);
        let is_seen = |id: &str| is_own(id) || workers.get(id).is_some_and(|worker| worker.is_in(reach));
        json.extend_from_slice(b"\"workers\":[");
        for (at, (_, worker)) in page.iter().enumerate() {
            if at > 0 {
                json.push(b',');
            }
            if !reach.is_everything() && worker.state().has_origin() {
                wire::append_json(json, &worker.summary().narrowed(&is_seen));
            } else {
                json.extend_from_slice(&worker.views().summary_json(worker.id()).json);
            }
        }
        json.push(b']');
        if !selection.is_all() {
            json.extend_from_slice(b",\"next\":");
            wire::append_json(json, &next.map(|place| place.to_string()));
        }
    }
}

/// The list of a selection, as a client of `/ws` gets it.
pub(crate) struct SelectedWorkers {
    /// All workers.
    pub(crate) registry: Arc<Registry>,
    /// The selection of the list.
    pub(crate) selection: WorkerSelection,
}

impl Snapshot for SelectedWorkers {
    fn snapshot(&self, reach: &Reach, frames: &mut Vec<u8>) {
        wire::text_frame(frames, |payload| {
            payload.extend_from_slice(b"{\"type\":\"workers\",");
            self.registry.append_list(&self.selection, reach, payload);
            payload.push(b'}');
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(created_at: u64, id: &str) -> ListPlace {
        ListPlace { created_at, id: id.to_owned() }
    }

    #[test]
    fn places_are_read_as_they_are_written() {
        for written in [place(0, "a"), place(u64::MAX, "1-2.3")] {
            assert_eq!(ListPlace::parse(&written.to_string()), Some(written));
        }
        for text in ["", "1", "x.a", "+1.a", "01.a", "-1.a"] {
            assert_eq!(ListPlace::parse(text), None, "{text}");
        }
    }

    #[test]
    fn pages_have_every_worker_once_in_order() {
        let all = [place(1, "b"), place(2, "a"), place(2, "c"), place(3, "a"), place(9, "z")];
        for limit in 1..=6 {
            let (mut seen, mut after, mut pages) = (Vec::new(), None, 0);
            loop {
                let selection = WorkerSelection { after, limit: Some(limit), ..WorkerSelection::default() };
                let mut page: Vec<_> = all.iter().rev().map(|place| (place.clone(), ())).collect();
                after = selection.page(&mut page);
                assert!(page.len() <= limit);
                seen.extend(page.into_iter().map(|(place, ())| place));
                pages += 1;
                if after.is_none() {
                    break;
                }
            }
            assert_eq!((seen.as_slice(), pages), (&all[..], all.len().div_ceil(limit)), "{limit}");
        }
    }

    #[test]
    fn projects_are_whole_folders() {
        let with = |project: &str| WorkerSelection { project: Some(project.into()), ..WorkerSelection::default() };
        let mut state = State::default();
        "/srv/app/web".clone_into(&mut state.project_path);
        for (project, expected) in [
            ("/srv/app/web", true),
            ("/srv/app/", true),
            ("/", true),
            ("/srv/app/we", false),
            ("/srv/app/web/x", false),
            ("srv", false),
        ] {
            assert_eq!(with(project).has(&state), expected, "{project}");
        }
    }
}
