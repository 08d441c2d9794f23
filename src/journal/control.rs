//! The payload of a `ctl` record: an event of a worker or its processes, as one JSON object.
//!
//! The server writes most of these; the shim writes those about its child. A newer build may write kinds that an older
//! one does not know: they read as [`Control::Unknown`] and change nothing.

use super::{
    BranchMove, BudgetStep, By, CarriedChanges, CheckStep, ListingChange, McpServer, MemoryExhaustion, MoveEnd,
    RemoteEnd, RemoteStep, RestoreBegun, RestoreDone, ReviewChange, RunLimits, SetupStep, StartSettings, TreeRecorded,
    WorkerOptions,
};
use crate::cgroup::WorkerLimits;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A git worktree of a project that was made for one worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Worktree {
    /// The repository's own working folder, resolved.
    pub project: String,
    /// The worktree's folder.
    pub path: String,
    /// The branch that was made with it.
    pub branch: String,
    /// The commit that the branch began at.
    pub base: String,
}

/// A process that the stop ladder ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndedProcess {
    /// Its process id.
    pub pid: i32,
    /// Its name, as in `/proc/<pid>/comm`.
    pub name: String,
    /// The last signal it was sent, as in `SIGTERM`.
    pub signal: String,
}

/// One `ctl` record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Control {
    /// The first record of every journal.
    Created {
        /// The worker's id.
        worker_id: String,
        /// Its name.
        name: String,
        /// The CLI's working directory, absolute, symlinks resolved.
        project_path: String,
        /// Which adapter drives it.
        ai_cli_type: String,
        /// The rest of the request.
        #[serde(default)]
        options: Box<WorkerOptions>,
        /// The worker that this one was forked from.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        forked_from: Option<String>,
        /// The git worktree that is made for it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        worktree: Option<Box<Worktree>>,
    },
    /// git is about to make the worker's worktree: what is found of it from here on is the worker's own.
    WorktreeBegun {},
    /// The uncommitted changes were recorded that the worker's worktree gets.
    Carried(CarriedChanges),
    /// The worker's git worktree is whole.
    WorktreeMade {},
    /// The server is about to move a branch of the worker's repository for a person.
    BranchMoving(Box<BranchMove>),
    /// The end of that step.
    BranchMoved {
        /// The id of the move.
        id: String,
        /// Its end.
        end: MoveEnd,
        /// Details for people.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        text: String,
    },
    /// The server is about to send something of the worker's to another machine for a person.
    RemoteBegun(Box<RemoteStep>),
    /// The end of that step.
    RemoteEnded {
        /// The id of the step.
        id: String,
        /// Its end.
        end: RemoteEnd,
        /// Details for people.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        text: String,
    },
    /// The setup of the worker's worktree has come to another step.
    Preparing(SetupStep),
    /// The check of the worker's work has come to another step.
    Check(CheckStep),
    /// All workers of the worker's group are there.
    GroupMade {},
    /// Somebody has chosen this worker of its group; the others may be deleted.
    GroupKept {},
    /// The worker has a new name.
    Renamed {
        /// The new name.
        name: String,
    },
    /// The worker's folder is another one now, since it has moved.
    Moved {
        /// The new one, absolute, symlinks resolved.
        project_path: String,
    },
    /// Somebody wants another model or permission mode; absent fields stay as they were. It is the worker's setting at
    /// once when no CLI runs that could refuse it, else when the CLI has accepted it.
    Configured {
        /// The new model.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        model: Option<String>,
        /// The new permission mode.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        permission_mode: Option<String>,
    },
    /// Somebody has set the limits of the worker's next start.
    Limited {
        /// All of them: those that are absent are the usual ones.
        limits: WorkerLimits,
    },
    /// The worker is asleep, and a message for it waits for room.
    WakeHeld {
        /// The reason, for people.
        reason: String,
    },
    /// Somebody has arranged the worker in lists.
    Listed(ListingChange),
    /// An option of the CLI that is neither model nor permission mode was chosen.
    OptionChosen {
        /// Its id.
        option: String,
        /// The value.
        value: Value,
    },
    /// The server is about to start a shim (written before it does, so a crash in between is seen).
    Launching {
        /// The session id that the CLI is to use or resume, where it accepts one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        session_id: Option<String>,
        /// True if an earlier session is resumed.
        #[serde(default)]
        resume: bool,
        /// The settings of the start; absent in journals of builds that did not record them.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        settings: Option<StartSettings>,
        /// The limits of the processes, if there are any.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        limits: Option<Box<RunLimits>>,
    },
    /// The agent of the run that is about to start gets a token of its own.
    AgentTokenMade {
        /// The SHA-256 hash of its secret, in hex.
        sha256: String,
        /// The MCP server that the agent gets with its session, for CLIs that get it so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        server: Option<Box<McpServer>>,
    },
    /// The shim has started the CLI.
    Started {
        /// The CLI's process id, which is its process group's too.
        pid: i32,
        /// The time when it started, in clock ticks since boot (field 22 of `/proc/<pid>/stat`): with the pid, its
        /// identity.
        start_time: u64,
        /// The shim's process id.
        shim_pid: i32,
        /// The shim's start time, as above.
        shim_start_time: u64,
        /// The command line.
        argv: Vec<String>,
    },
    /// The CLI could not be started.
    SpawnFailed {
        /// The reason, for people.
        error: String,
        /// True if its program is not there.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        missing: bool,
    },
    /// The CLI's process has ended and its pipes are drained; nothing of its tree lives.
    Exited {
        /// Its exit code, unless a signal ended it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        exit_code: Option<i32>,
        /// The signal that ended it, as in `SIGKILL`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        signal: Option<String>,
        /// The end of what it wrote to stderr.
        #[serde(default)]
        stderr_tail: String,
        /// Other processes of its tree that had to be ended.
        #[serde(default)]
        ended: Vec<EndedProcess>,
        /// True if the shim lives on and waits for the next process (a CLI with one process a turn).
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        shim_stays: bool,
        /// The memory that was exhausted, when the kernel has killed it for that.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        out_of_memory: Option<MemoryExhaustion>,
    },
    /// The shim died without an exit record; the server has ended what was left of the tree.
    ShimLost {
        /// The processes that it ended.
        #[serde(default)]
        ended: Vec<EndedProcess>,
        /// True if the worker was imported, so that its process is on another machine or never ran here.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        imported: bool,
    },
    /// Somebody asked for the process tree to be stopped.
    StopRequested {
        /// Its author.
        by: By,
        /// The reason, for people, when it was nobody's wish.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// Somebody asked for the turn to be interrupted.
    InterruptRequested {
        /// Its author.
        by: By,
    },
    /// A message was accepted and waits for its turn.
    MessageQueued {
        /// Our id, a UUID.
        message_id: String,
        /// The client's own id: the same one again is the same message.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        client_message_id: Option<String>,
        /// The text.
        content: String,
        /// Images and files, as the API took them.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        attachments: Vec<Value>,
        /// True if it is to join the running turn instead of waiting for its end.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        steer: bool,
        /// The hash of what the client sent, if that is not the text and the attachments: a repeated conversation differs
        /// at each try.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sent_hash: Option<u64>,
        /// The review comments that it has.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        review: Vec<String>,
    },
    /// The review of the worker's changes has changed.
    Review(ReviewChange),
    /// A waiting message's text was changed.
    MessageEdited {
        /// Which.
        message_id: String,
        /// Its new text.
        content: String,
    },
    /// A waiting message was taken back.
    MessageRemoved {
        /// Which.
        message_id: String,
        /// The reason, when it was not its sender's wish.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// A message went to the CLI; its `in` records follow in the same append.
    MessageDelivered {
        /// Which.
        message_id: String,
        /// The client's own id of it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        client_message_id: Option<String>,
        /// The text.
        content: String,
        /// Its images and files, without their data.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        attachments: Vec<Value>,
    },
    /// A message whose turn failed at the provider's usage limit waits again, before all others, until the limit ends.
    MessageHeld {
        /// Which.
        message_id: String,
        /// Its text, as it went.
        content: String,
        /// The number of attachments it has.
        #[serde(default)]
        attachments: usize,
        /// The time when the limit ends, in microseconds since the Unix epoch.
        until: u64,
        /// The number of times that it will have been sent again.
        attempt: u32,
    },
    /// A message that went to a CLI which had no session to act on it waits again, before all others.
    MessageReturned {
        /// Which.
        message_id: String,
        /// Its text, as it went.
        content: String,
        /// The number of attachments it has.
        #[serde(default)]
        attachments: usize,
    },
    /// The limit that messages wait for should be over: they are delivered again.
    LimitOver {},
    /// A permission prompt or a question was answered; its `in` record follows in the same append.
    PermissionAnswered {
        /// Which prompt.
        request_id: String,
        /// `allow_once`, `allow_always`, `deny`, `answered`, or the CLI's own option id.
        decision: String,
        /// The reason that was given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<String>,
        /// The answers to a question.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        answers: Option<Value>,
        /// The input that the tool used instead of its own.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        updated_input: Option<Value>,
        /// The author of the decision.
        by: By,
        /// The name of the rule that decided, if one did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rule: Option<String>,
    },
    /// A budget that the worker is under has come to another step.
    Budget(BudgetStep),
    /// The server begins to follow a session that runs elsewhere, and writes the lines of its files here.
    Following {
        /// The CLI's id of it.
        session_id: String,
        /// Its transcript.
        path: String,
    },
    /// The `out` records that follow are the lines of this file of the followed session.
    Transcript {
        /// Which file; empty for the session's own, else a sub-agent's name.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        file: String,
        /// Their offset in it, in bytes.
        offset: u64,
        /// The file's inode.
        inode: u64,
        /// The tool call that started the sub-agent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        parent_tool_call_id: Option<String>,
    },
    /// Something about a followed session that people should know.
    FollowNoted {
        /// The machine-readable kind: `transcript_replaced`, ...
        code: String,
        /// The text for people.
        text: String,
    },
    /// A turn has been silent for too long.
    Stalled {
        /// The known reason, for people.
        reason: String,
    },
    /// The files of the worker's project were recorded at the beginning or the end of a turn.
    TreeRecorded(TreeRecorded),
    /// Files are about to become again as a tree has them; those that are there have been recorded.
    RestoreBegun(RestoreBegun),
    /// A restore has ended.
    RestoreDone(RestoreDone),
    /// The CLI has nothing to do and has printed nothing for a moment: a message that it sent in pieces after the end of
    /// its turn is whole.
    Quiet {},
    /// A line went past the length limit and was split into parts; nothing of it is lost.
    LineSplit {
        /// `out` or `err`.
        stream: String,
        /// The limit in bytes.
        limit: u64,
    },
    /// A kind that this build does not know.
    #[serde(other)]
    Unknown,
}

impl Control {
    /// The object as the journal holds it.
    pub fn to_json(&self) -> Vec<u8> {
        // Serialising plain strings, numbers and `Value`s into memory has no way to fail.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads the payload of a `ctl` record; unknown content reads as [`Control::Unknown`].
    pub fn from_json(payload: &[u8]) -> Self {
        serde_json::from_slice(payload).unwrap_or(Self::Unknown)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn control_records_are_objects_that_read_back() {
        let text = br#"{"type":"renamed","name":"\"quoted\""}"#;
        let control = Control::from_json(text);
        assert!(matches!(&control, Control::Renamed { name } if name == "\"quoted\""));
        assert_eq!(control.to_json(), text);
        for strange in [&br#"{"type":"of a later build"}"#[..], b"no object", b""] {
            assert!(matches!(Control::from_json(strange), Control::Unknown));
        }
        let changed: serde_json::Value =
            serde_json::from_slice(&Control::Configured { model: Some("m".into()), permission_mode: None }.to_json())
                .unwrap();
        assert_eq!(changed, json!({"type": "configured", "model": "m"}), "what is absent is left out");
    }
}
