//! The state of a worker's process, and the one word that people see.

use serde::{Deserialize, Serialize};

use crate::journal::Control;

/// The worker's status, as the wire names it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Its CLI is on the way.
    Starting,
    /// It can take a message.
    Idle,
    /// It is in a turn.
    Busy,
    /// It waits for a permission or an answer.
    Waiting,
    /// It is in a turn and has been silent for too long.
    Stalled,
    /// Its process tree is being ended.
    Stopping,
    /// No process of it lives. A message starts it again.
    #[default]
    Stopped,
    /// It could not start, or ended by itself with an error. A message starts it again.
    Failed,
}

impl Status {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Starting,
        Self::Idle,
        Self::Busy,
        Self::Waiting,
        Self::Stalled,
        Self::Stopping,
        Self::Stopped,
        Self::Failed,
    ];

    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
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

    /// Returns whether processes of it may live: such a worker counts against the worker limit.
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
pub enum Process {
    /// It was stopped, or never started.
    #[default]
    Stopped,
    /// A shim was asked for.
    Launching,
    /// The CLI runs.
    Running {
        /// Which processes.
        #[serde(flatten)]
        pids: Pids,
    },
    /// A CLI with one process a turn has none now; its shim waits.
    BetweenTurns {
        /// The last processes; the shim's lives.
        #[serde(flatten)]
        pids: Pids,
    },
    /// It has none of ours: it follows a session that runs elsewhere.
    Following,
    /// Its tree is being ended.
    Stopping {
        /// Which processes, where they are known.
        pids: Option<Pids>,
    },
    /// It ended by itself, or with its shim.
    Ended {
        /// The way in which it ended.
        reason: String,
    },
    /// It could not start, or ended by itself with an error.
    Failed {
        /// The way in which it failed.
        reason: String,
    },
}

impl Process {
    /// The processes, where there are some.
    pub const fn pids(&self) -> Option<Pids> {
        match self {
            Self::Running { pids } | Self::BetweenTurns { pids } => Some(*pids),
            Self::Stopping { pids } => *pids,
            _ => None,
        }
    }

    /// Returns whether processes of ours may live, or are about to.
    pub const fn may_live(&self) -> bool {
        !matches!(self, Self::Stopped | Self::Following | Self::Ended { .. } | Self::Failed { .. })
    }

    /// The processes while the CLI runs, or is being ended: not those of the message before.
    pub const fn running(&self) -> Option<Pids> {
        match self {
            Self::BetweenTurns { .. } => None,
            _ => self.pids(),
        }
    }

    /// Takes a control record.
    pub(in crate::worker) fn control(&mut self, control: &Control) {
        match control {
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
            // Where nothing runs there is nothing to stop.
            Control::StopRequested { .. }
                if matches!(self, Self::Stopped | Self::Ended { .. } | Self::Failed { .. }) => {}
            Control::StopRequested { .. } => *self = Self::Stopping { pids: self.pids() },
            Control::SpawnFailed { error, .. } => *self = Self::Failed { reason: error.clone() },
            Control::Exited { exit_code, signal, stderr_tail, shim_stays, .. } => {
                *self = self.after_exit(*exit_code, signal.as_deref(), stderr_tail, *shim_stays);
            }
            Control::ShimLost { .. } => {
                let reason = "its process is gone; a message starts it again and resumes its session".to_owned();
                *self = Self::Ended { reason };
            }
            _ => {}
        }
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
