//! The state of a worker's process, and its status for people.

use serde::{Deserialize, Serialize};

use crate::journal::{Control, SetupStep};

/// The error of a setup that the end of the server has interrupted.
pub(in crate::worker) const SETUP_CUT_OFF: &str = "the server ended before the setup did";

/// The worker's status on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Its worktree is being set up; its CLI starts after that.
    Preparing,
    /// Its CLI is starting.
    Starting,
    /// Can accept a message.
    Idle,
    /// In a turn.
    Busy,
    /// Waits for a permission or an answer.
    Waiting,
    /// In a turn and has been silent for too long.
    Stalled,
    /// Its process tree is being ended.
    Stopping,
    /// Without a process. A message starts it again.
    #[default]
    Stopped,
    /// Could not start, or its process ended with an error. A message starts it again.
    Failed,
}

impl Status {
    /// All statuses.
    pub const ALL: [Self; 9] = [
        Self::Preparing,
        Self::Starting,
        Self::Idle,
        Self::Busy,
        Self::Waiting,
        Self::Stalled,
        Self::Stopping,
        Self::Stopped,
        Self::Failed,
    ];

    /// Returns the name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Preparing => "preparing",
            Self::Starting => "starting",
            Self::Idle => "idle",
            Self::Busy => "busy",
            Self::Waiting => "waiting",
            Self::Stalled => "stalled",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
        }
    }

    /// Returns whether it may have processes: such a worker counts against the worker limit.
    pub const fn is_running(self) -> bool {
        !matches!(self, Self::Stopped | Self::Failed)
    }
}

/// The identity of a running CLI and its shim: pids with their start times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pids {
    /// The CLI's process id.
    pub pid: i32,
    /// The CLI's start, in clock ticks since boot.
    pub start_time: u64,
    /// The shim's process id.
    pub shim_pid: i32,
    /// The shim's start.
    pub shim_start_time: u64,
}

/// The state of the process, as the control records report it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "at", rename_all = "snake_case")]
pub enum ProcessState {
    /// Stopped, or never started.
    #[default]
    Stopped,
    /// Its worktree is being set up, by the server.
    Preparing,
    /// The start of a shim was requested.
    Launching,
    /// The CLI runs.
    Running {
        /// Which processes.
        #[serde(flatten)]
        pids: Pids,
    },
    /// A CLI with one process per turn has none at present; its shim waits.
    BetweenTurns {
        /// The last processes; the shim is running.
        #[serde(flatten)]
        pids: Pids,
    },
    /// Follows a session that runs elsewhere; this server has no process of it.
    Following,
    /// Its process tree is being ended.
    Stopping {
        /// Its processes, if they are known.
        pids: Option<Pids>,
    },
    /// Its process ended, alone or with its shim.
    Ended {
        /// The way in which it ended.
        reason: String,
    },
    /// Could not start, or its process ended with an error.
    Failed {
        /// The way in which it failed.
        reason: String,
    },
}

impl ProcessState {
    /// Returns the processes, if there are any.
    pub const fn pids(&self) -> Option<Pids> {
        match self {
            Self::Running { pids } | Self::BetweenTurns { pids } => Some(*pids),
            Self::Stopping { pids } => *pids,
            _ => None,
        }
    }

    /// Returns whether processes of this server may be running, or are about to.
    pub const fn may_live(&self) -> bool {
        !matches!(self, Self::Stopped | Self::Following | Self::Ended { .. } | Self::Failed { .. })
    }

    /// Returns the processes while the CLI runs or is being ended, but not those of the message before.
    pub const fn running(&self) -> Option<Pids> {
        match self {
            Self::BetweenTurns { .. } => None,
            _ => self.pids(),
        }
    }

    /// Applies a control record.
    pub(in crate::worker) fn control(&mut self, control: &Control) {
        match control {
            Control::Preparing(SetupStep::Begun {}) => *self = Self::Preparing,
            Control::Preparing(SetupStep::Failed { error }) => *self = Self::after_setup_failed(error),
            Control::Launching { .. } => *self = Self::Launching,
            Control::Following { .. } => *self = Self::Following,
            Control::StopRequested { .. } if matches!(self, Self::Following) => *self = Self::Stopped,
            Control::Started { pid, start_time, shim_pid, shim_start_time, .. } => {
                let pids =
                    Pids { pid: *pid, start_time: *start_time, shim_pid: *shim_pid, shim_start_time: *shim_start_time };
                if !matches!(self, Self::Stopping { .. }) {
                    *self = Self::Running { pids };
                }
            }
            // Without a process there is nothing to stop.
            Control::StopRequested { .. }
                if matches!(self, Self::Stopped | Self::Ended { .. } | Self::Failed { .. }) => {}
            Control::StopRequested { .. } => *self = Self::Stopping { pids: self.pids() },
            Control::SpawnFailed { error, .. } => *self = Self::Failed { reason: error.clone() },
            Control::Exited { exit_code, signal, stderr_tail, shim_stays, .. } => {
                *self = self.after_exit(*exit_code, signal.as_deref(), stderr_tail, *shim_stays);
            }
            Control::ShimLost { .. } if matches!(self, Self::Preparing) => {
                *self = Self::after_setup_failed(SETUP_CUT_OFF);
            }
            Control::ShimLost { imported, .. } => {
                let reason = match imported {
                    true => "it was imported, and has no process here; a message starts it",
                    false => "its process is gone; a message starts it again and resumes its session",
                };
                *self = Self::Ended { reason: reason.to_owned() };
            }
            _ => {}
        }
    }

    fn after_setup_failed(error: &str) -> Self {
        let reason = format!("the setup of the worktree failed: {error}. Try it again, or start the worker without it");
        Self::Failed { reason }
    }

    fn after_exit(&self, exit_code: Option<i32>, signal: Option<&str>, stderr_tail: &str, shim_stays: bool) -> Self {
        match (self, self.pids()) {
            (Self::Running { pids } | Self::BetweenTurns { pids }, _) if shim_stays => {
                Self::BetweenTurns { pids: *pids }
            }
            (Self::Stopping { pids }, _) if shim_stays => Self::Stopping { pids: *pids },
            (Self::Stopping { .. }, _) => Self::Stopped,
            _ if exit_code == Some(0) => Self::Ended { reason: exit_text(exit_code, signal) },
            _ => {
                let tail = stderr_tail.trim();
                let separator = if tail.is_empty() { "" } else { ": " };
                Self::Failed { reason: format!("{}{separator}{tail}", exit_text(exit_code, signal)) }
            }
        }
    }
}

/// Describes the end of a process, for people.
pub(in crate::worker) fn exit_text(exit_code: Option<i32>, signal: Option<&str>) -> String {
    match (exit_code, signal) {
        (_, Some(signal)) => format!("The CLI was ended by {signal}"),
        (Some(code), None) => format!("The CLI exited with code {code}"),
        (None, None) => "The CLI has ended".to_owned(),
    }
}
