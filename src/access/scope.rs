//! Degrees of access.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A degree of access. Each includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Reads: lists, histories, files, changes, usage, metrics.
    Read,
    /// `Read`, and answers prompts and receives notifications.
    Answer,
    /// `Answer`, and sends messages, and stops, starts and interrupts workers.
    Send,
    /// Everything: creates and deletes workers, lands, opens terminals, changes settings, makes tokens.
    Admin,
}

impl Scope {
    /// All of them, the narrowest first.
    pub(crate) const ALL: [Self; 4] = [Self::Read, Self::Answer, Self::Send, Self::Admin];

    /// Its name.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Answer => "answer",
            Self::Send => "send",
            Self::Admin => "admin",
        }
    }

    /// The scope of this name.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == name)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
