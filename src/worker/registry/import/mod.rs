//! The import of another worker's exported history.
//!
//! An export's lines carry the records of the journal that their events come from ([`append_records`](crate::worker::history::export::append_records)); an import takes
//! those alone, since everything else follows from them. The values of environment variables and the idempotency key do
//! not leave the server, so a worker that had some gets other sequence numbers on its way; all else is the same.
//!
//! The lines are read one at a time, so a history may be larger than the memory. They go to a journal that gets its
//! final name when it is complete on disk: before that there is no worker, and nothing is left if the import fails.

mod draft;
mod line;

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

pub(in crate::worker) use draft::{UNFINISHED, remove_left_over};

use crate::clock::Micros;
use crate::journal::{Control, Kind, LINE_MAX};
use crate::worker::error::WorkerError;
use crate::worker::publish::life_log;
use crate::worker::registry::Registry;
use crate::worker::run::commands::check_name;
use crate::worker::run::worker::Worker;
use crate::worker::state::status::ProcessState;
use draft::ImportDraft;
use line::{ExportLine, ExportLines};

/// Longest line of an export that is read, in bytes: a journal's longest line as an event, and as a record.
const EXPORT_LINE_MAX: usize = 3 * LINE_MAX;
/// Maximum number of concurrent imports: each holds a few MiB, or a few times the longest line.
const IMPORTS_MAX: usize = 4;

/// The running imports.
#[derive(Default)]
pub(in crate::worker) struct Imports {
    running: AtomicUsize,
}

/// One of them, held until it is dropped.
struct ImportSlot<'i>(&'i Imports);

impl Imports {
    fn begin(&self) -> Result<ImportSlot<'_>, WorkerError> {
        let running = ImportSlot(self);
        if self.running.fetch_add(1, Ordering::Relaxed) >= IMPORTS_MAX {
            return Err(WorkerError::Unavailable(format!("{IMPORTS_MAX} imports run already; try again later")));
        }
        Ok(running)
    }
}

impl Drop for ImportSlot<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Resolves the project of an imported worker: takes its CLI and a path, and returns the resolved and allowed path.
pub(crate) type ResolveProject<'p> = &'p dyn Fn(&str, &str) -> Result<String, WorkerError>;

impl Registry {
    /// Creates a stopped worker from the lines of an export. Its project is `project_path`, or else the exported one.
    ///
    /// # Errors
    /// Fails when a line is malformed (the error names it), the history is not that of a stopped worker, its project is
    /// refused, the source fails, or the disk is full. Then nothing is left of it.
    pub(crate) fn import(
        &self,
        source: &mut dyn Read,
        project_path: Option<&str>,
        resolve: ResolveProject<'_>,
    ) -> Result<Arc<Worker>, WorkerError> {
        let _running = self.imports.begin()?;
        let mut lines = ExportLines::new(source, EXPORT_LINE_MAX);
        let mut begun: Option<(ImportDraft<'_>, String)> = None;
        while let Some(line) = lines.next()? {
            let parsed = ExportLine::parse(line);
            let number = lines.number();
            let broken = |why: String| WorkerError::Invalid(format!("line {number}: {why}"));
            let line = parsed.map_err(|why| broken(format!("not a line of a JSONL export: {why}")))?;
            for recorded in line.records {
                let time = recorded.time();
                let (kind, payload) = recorded.read().map_err(broken)?;
                let control = (kind == Kind::Ctl).then(|| Control::from_json(&payload));
                if control.as_ref().is_some_and(is_bound_to_its_machine) {
                    continue;
                }
                let created = control.filter(|control| matches!(control, Control::Created { .. }));
                match (&mut begun, created) {
                    (Some(_), Some(_)) => return Err(broken("a worker is made once".to_owned())),
                    (Some((draft, _)), None) => draft.append(time, kind, &payload)?,
                    (None, Some(created)) => begun = Some(self.begin_draft(time, created, project_path, resolve)?),
                    (None, None) => return Err(broken("the first record is not the making of a worker".to_owned())),
                }
            }
        }
        let Some((mut draft, ai_cli_type)) = begun else {
            let reported =
                "there is nothing to import: it takes what export?format=jsonl gives, of this version or later";
            return Err(WorkerError::Invalid(reported.to_owned()));
        };
        let state = draft.state()?;
        if matches!(state.process, ProcessState::Following) {
            let reported = "it follows a session of the machine that it comes from: take it over there, then export it";
            return Err(WorkerError::Invalid(reported.to_owned()));
        }
        let is_running = state.is_running();
        let moved_to = state.project_path.clone();
        let wanted = resolve(&ai_cli_type, project_path.unwrap_or(&moved_to))?;
        if is_running {
            draft.append_control(&Control::ShimLost { ended: Vec::new(), imported: true })?;
        }
        if moved_to != wanted {
            draft.append_control(&Control::Moved { project_path: wanted })?;
        }
        let worker = draft.finish()?;
        self.write().insert(worker.id().to_owned(), Arc::clone(&worker));
        worker.notify_feed();
        let named = life_log::named(worker.id(), &worker.state().name);
        log::info!("{named} imported: {ai_cli_type} in {}", worker.state().project_path);
        Ok(worker)
    }

    /// Begins the journal of a worker whose creation record is `created`. Returns its CLI too.
    fn begin_draft(
        &self,
        time: Micros,
        mut created: Control,
        given: Option<&str>,
        resolve: ResolveProject<'_>,
    ) -> Result<(ImportDraft<'_>, String), WorkerError> {
        let Control::Created { worker_id, project_path, name, options, worktree, ai_cli_type, .. } = &mut created
        else {
            return Err(WorkerError::Invalid("the first record is not the making of a worker".to_owned()));
        };
        check_name(name)?;
        *project_path = resolve(ai_cli_type, given.unwrap_or(project_path))?;
        let id = uuid::Uuid::new_v4().to_string();
        id.clone_into(worker_id);
        // It belongs to a request that was never made here.
        options.idempotency_key = None;
        options.request_hash = None;
        // A history from elsewhere starts nothing here.
        options.handover = None;
        options.group = None;
        // No agent here has made it, so none reaches it: the file could start anything for that one.
        options.parent = None;
        options.mcp = false;
        options.env.clear();
        // The worktree is the other worker's: deleting this worker must not remove it.
        *worktree = None;
        let ai_cli_type = ai_cli_type.clone();
        let draft = ImportDraft::begin(self, &id, time, &created, &ai_cli_type)?;
        Ok((draft, ai_cli_type))
    }
}

/// Returns whether a record names commits, trees or files of the machine that it comes from, with which this server
/// would move a branch or change files, or a token that would let somebody in here.
fn is_bound_to_its_machine(control: &Control) -> bool {
    matches!(
        control,
        Control::BranchMoving(_)
            | Control::BranchMoved { .. }
            | Control::RemoteBegun(_)
            | Control::RemoteEnded { .. }
            | Control::TreeRecorded(_)
            | Control::Carried(_)
            | Control::RestoreBegun(_)
            | Control::RestoreDone(_)
            | Control::Preparing(_)
            | Control::Check(_)
            | Control::GroupMade {}
            | Control::GroupKept {}
            | Control::AgentTokenMade { .. }
    )
}
