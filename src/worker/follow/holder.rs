//! The process that runs a followed session, and the detection of its end.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::adapter::ABANDONED;
use crate::journal::Control;
use crate::transcript::holders::{self, HeldSession};
use crate::worker::run::launch::Launcher;
use crate::worker::state::State;
use crate::worker::state::status::Status;

/// Time between two checks while a turn runs: each check reads every process of the machine.
const ASK_EVERY: Duration = Duration::from_secs(2);
/// Silence in mid-turn after which a session is considered abandoned, if no process of it was ever seen and its CLI may
/// show none. A tool may run for longer; its next line then begins the turn again.
const SILENCE: Duration = Duration::from_secs(600);

/// Finds a process that holds a session and is not one of the project's own processes.
pub(in crate::worker) fn find(
    launcher: &Launcher,
    ai_cli_type: &str,
    session_id: &str,
    transcript: Option<&Path>,
) -> Option<holders::SessionHolder> {
    let process_files = launcher.sessions.process_files(ai_cli_type);
    let held = HeldSession { session_id, transcript, process_files: process_files.as_deref() };
    // The command line's own processes have the id of a session in their arguments.
    let exe = std::fs::canonicalize(&launcher.exe).ok();
    let ours = |pid: i32| exe.is_some() && std::fs::canonicalize(format!("/proc/{pid}/exe")).ok() == exe;
    holders::find(held, &ours)
}

/// The state of a followed session's process.
#[derive(Debug)]
pub(in crate::worker) struct FollowedProcess {
    asked: Option<Instant>,
    /// The running turn's process was seen.
    seen: bool,
}

impl FollowedProcess {
    pub(in crate::worker) fn new() -> Self {
        Self { asked: None, seen: false }
    }

    /// Returns the time until the next check; `None` while no turn runs.
    pub(in crate::worker) fn pause(state: &State) -> Option<Duration> {
        in_turn(state).then_some(ASK_EVERY)
    }

    /// Returns a record that ends a turn if no process works on it any more.
    pub(in crate::worker) fn look(&mut self, launcher: &Launcher, state: &State) -> Option<Control> {
        if !in_turn(state) {
            self.seen = false;
            return None;
        }
        if self.asked.is_some_and(|asked| asked.elapsed() < ASK_EVERY) {
            return None;
        }
        self.asked = Some(Instant::now());
        let path = state.follow.as_ref().map(|follow| Path::new(&follow.path))?;
        let session_id = state.session_id.as_deref().unwrap_or_default();
        if find(launcher, &state.ai_cli_type, session_id, Some(path)).is_some() {
            self.seen = true;
            return None;
        }
        // Lines that were just written are read first: a process ends its turn as it exits.
        if holders::written_lately(path).is_some() {
            return None;
        }
        // A process that was killed before the first check was never seen.
        let is_sure = self.seen || launcher.sessions.shows_holders(&state.ai_cli_type);
        if !is_sure && !holders::is_silent_for(path, SILENCE) {
            return None;
        }
        self.seen = false;
        let text = "Nobody works on the session any more: its process has ended in the middle of a turn";
        Some(Control::FollowNoted { code: ABANDONED.to_owned(), text: text.to_owned() })
    }
}

fn in_turn(state: &State) -> bool {
    matches!(state.status, Status::Busy | Status::Stalled)
}
