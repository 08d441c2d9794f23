//! The process that works on a session which runs elsewhere, and its end.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::adapter::ABANDONED;
use crate::journal::Control;
use crate::transcript::holders::{self, Held};
use crate::worker::run::launch::Launcher;
use crate::worker::state::State;
use crate::worker::state::status::Status;

/// Time between two looks while a turn runs: each looks at every process of the machine.
const ASK_EVERY: Duration = Duration::from_secs(2);
/// A session of which no process was ever seen, of a CLI that may show none, is taken to be abandoned when its file was
/// silent in mid-turn for so long. A tool may run for longer; then the next line begins the turn again.
const SILENCE: Duration = Duration::from_secs(600);

/// A process other than ours that has a session, as far as anybody can see.
pub(in crate::worker) fn find(
    launcher: &Launcher,
    ai_cli_type: &str,
    session_id: &str,
    transcript: Option<&Path>,
) -> Option<holders::Holder> {
    let process_files = launcher.sessions.process_files(ai_cli_type);
    let held = Held { session_id, transcript, process_files: process_files.as_deref() };
    // The command line's own processes name a session that they ask us for.
    let exe = std::fs::canonicalize(&launcher.exe).ok();
    let ours = |pid: i32| exe.is_some() && std::fs::canonicalize(format!("/proc/{pid}/exe")).ok() == exe;
    holders::find(held, &ours)
}

/// The state of a followed session's process.
#[derive(Debug)]
pub(in crate::worker) struct Holder {
    asked: Option<Instant>,
    /// The running turn's process was seen.
    seen: bool,
}

impl Holder {
    pub(in crate::worker) fn new() -> Self {
        Self { asked: None, seen: false }
    }

    /// Time until the next look; `None` while no turn runs.
    pub(in crate::worker) fn pause(state: &State) -> Option<Duration> {
        in_turn(state).then_some(ASK_EVERY)
    }

    /// Returns the record of a turn that runs although no process works on it any more.
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
        // What was written just now is read first: a process ends its turn as it ends.
        if holders::written_lately(path).is_some() {
            return None;
        }
        // One that was killed before anybody looked was never seen.
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
