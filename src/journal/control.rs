//! The payload of a `ctl` record: an event of a worker or its processes, as one JSON object.
//!
//! The server writes most of these; the shim writes those about its child. A newer build may write kinds that an older
//! one does not know: they read as [`Control::Unknown`] and change nothing.

use super::{By, ListingChange};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The options of a worker: everything that a start of its CLI needs besides the configuration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct WorkerOptions {
    /// The model to ask for; the CLI's own choice when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The CLI's permission mode (`default`, `acceptEdits`, `plan`, ...).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub permission_mode: Option<String>,
    /// Text added to the CLI's system prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system_prompt: Option<String>,
    /// More arguments for the CLI's command line.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// More environment variables for the CLI, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<(String, String)>,
    /// The CLI's session to resume instead of beginning a new one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resume_session: Option<String>,
    /// True if `resume_session` is to be branched off under a new id, leaving the original as it is.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub fork: bool,
    /// MCP servers that the CLI's session gets. Their variables and headers may be secrets.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mcp_servers: Vec<McpServer>,
    /// The place where it runs, as `RUNNER` names it; the usual place when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runner: Option<String>,
    /// The client's key of the request that made the worker: the same again is the same worker.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
    /// The hash of that request, which tells a repeated request from another one with the same key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_hash: Option<u64>,
}

/// The settings that a start passes to a CLI besides its session.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// The model; the CLI's own choice when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The permission mode; the CLI's own choice when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub permission_mode: Option<String>,
}

/// An MCP server: tools and knowledge for an agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct McpServer {
    /// Its name, unique within the worker.
    pub name: String,
    /// The way in which it is reached.
    #[serde(flatten)]
    pub transport: McpTransport,
}

/// The transport of an MCP server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum McpTransport {
    /// The agent starts it.
    Stdio {
        /// The program.
        command: String,
        /// Its arguments.
        #[serde(default)]
        args: Vec<String>,
        /// Environment variables.
        #[serde(default)]
        env: Vec<(String, String)>,
    },
    /// By HTTP.
    Http {
        /// Its address.
        url: String,
        /// Headers of each request.
        #[serde(default)]
        headers: Vec<(String, String)>,
    },
    /// By HTTP with server-sent events, the older way.
    Sse {
        /// Its address.
        url: String,
        /// Headers of each request.
        #[serde(default)]
        headers: Vec<(String, String)>,
    },
}

impl McpTransport {
    /// Its name in the API and in the Agent Client Protocol.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Stdio { .. } => "stdio",
            Self::Http { .. } => "http",
            Self::Sse { .. } => "sse",
        }
    }
}

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
pub struct Ended {
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
    /// The worker's git worktree is whole.
    WorktreeMade {},
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
        /// The session id that the CLI is told to use or resume, where it can be told.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        session_id: Option<String>,
        /// True if an earlier session is resumed.
        #[serde(default)]
        resume: bool,
        /// The settings of the start; absent in journals of builds that did not record them.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        settings: Option<Settings>,
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
        ended: Vec<Ended>,
        /// True if the shim lives on and waits for the next process (a CLI with one process a turn).
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        shim_stays: bool,
    },
    /// The shim died without an exit record; the server has ended what was left of the tree.
    ShimLost {
        /// The processes that it ended.
        #[serde(default)]
        ended: Vec<Ended>,
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
    },
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
    /// The limit that messages wait for should be over: they go on.
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
        /// The author of the decision.
        by: By,
    },
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
        /// For people.
        text: String,
    },
    /// A turn has been silent for too long.
    Stalled {
        /// For people: what is known of why.
        reason: String,
    },
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

    /// Reads the payload of a `ctl` record; what is no object of ours reads as [`Control::Unknown`].
    pub fn from_json(payload: &[u8]) -> Self {
        serde_json::from_slice(payload).unwrap_or(Self::Unknown)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_control_record_is_an_object_that_reads_back_and_a_strange_one_is_unknown() {
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
