//! The steps of a worktree's setup and of its check, as the journal has them.

use serde::{Deserialize, Serialize};

/// A step of the setup of a worker's worktree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum SetupStep {
    /// Begins: what was left of an earlier try is not relied on.
    Begun {},
    /// Ignored files of the project were copied into the worktree.
    Copied {
        /// Number of files.
        files: usize,
        /// Their size in bytes.
        bytes: u64,
    },
    /// A command of the project file starts.
    Command {
        /// The command, for people.
        command: String,
    },
    /// The command has printed something.
    Output {
        /// The text; what is not UTF-8 in it is replaced.
        text: String,
    },
    /// All is done: the CLI can start.
    Done {},
    /// Failed or was cut off.
    Failed {
        /// The reason, for people.
        error: String,
    },
}

/// A step of the check of a worker's work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum CheckStep {
    /// Begins.
    Begun {
        /// The commands, for people.
        command: String,
    },
    /// Ended on its own, by its time limit, or by a person.
    Done {
        /// The exit code of the last command; absent if a signal or the server ended it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        code: Option<i32>,
        /// The reason of its failure, for people; absent if it has passed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
        /// Its duration in milliseconds.
        took_ms: u64,
        /// The last lines of its output; what is not UTF-8 in them is replaced.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        output: String,
    },
    /// Its server was killed or stopped.
    Lost {},
}
