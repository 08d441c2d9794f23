//! The author of a decision, a stop or an interrupt, as journals, events and the API spell it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The author of a decision, a stop or an interrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum By {
    /// A person, by page, API or command line.
    #[serde(rename = "user")]
    User,
    /// The CLI: it withdrew a prompt, or its process ended.
    #[serde(rename = "cli")]
    Cli,
    /// The server's rule for workers that nobody uses.
    #[serde(rename = "idle")]
    Idle,
    /// The server, configured to stop its workers when it ends.
    #[serde(rename = "server")]
    Server,
    /// `rs-worker stop --all`, without a server.
    #[serde(rename = "command line")]
    CommandLine,
    /// A rule for permission prompts.
    #[serde(rename = "rule")]
    Rule,
    /// A budget that is used up.
    #[serde(rename = "budget")]
    Budget,
    /// An author that only another build knows; its journals stay readable.
    #[serde(rename = "other", other)]
    Other,
}

impl By {
    /// Returns its name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Cli => "cli",
            Self::Idle => "idle",
            Self::Server => "server",
            Self::CommandLine => "command line",
            Self::Rule => "rule",
            Self::Budget => "budget",
            Self::Other => "other",
        }
    }
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::By;

    #[test]
    fn authors_are_spelled_the_same_everywhere() {
        for by in [By::User, By::Cli, By::Idle, By::Server, By::CommandLine, By::Rule, By::Budget, By::Other] {
            let spelled = format!("\"{by}\"");
            assert_eq!(serde_json::to_string(&by).unwrap(), spelled);
            assert_eq!(serde_json::from_str::<By>(&spelled).unwrap(), by);
        }
    }

    #[test]
    fn authors_of_other_builds_are_read_as_other() {
        assert_eq!(serde_json::from_str::<By>("\"somebody new\"").unwrap(), By::Other);
    }
}
