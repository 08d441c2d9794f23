//! One token, as it is shown and as it is kept.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::connections::Connections;
use super::reach::{PROJECTS_MAX, Reach, WORKERS_MAX};
use super::scope::Scope;

/// The beginning of every secret: scanners of repositories find a leaked one by it.
pub(crate) const SECRET_PREFIX: &str = "rsw_";
/// Tokens at the same time.
pub(crate) const TOKENS_MAX: usize = 256;
/// Longest name of a token, in characters.
pub(crate) const NAME_CHARS_MAX: usize = 64;
/// Longest id or folder that a token is narrowed to, in bytes.
pub(crate) const REACH_TEXT_MAX: usize = 4_096;

/// A token with a scope. All but the use of it stays as it was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// Its id in lists; no secret.
    pub id: String,
    /// The name that people gave it.
    pub name: String,
    /// Its degree of access.
    pub scope: Scope,
    /// The workers that it may see.
    #[serde(flatten)]
    pub reach: Reach,
    /// The time when it was made, in microseconds since the Unix epoch.
    pub created: u64,
    /// The time when it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<u64>,
}

/// The last use of a token.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TokenUse {
    /// Its time, in microseconds since the Unix epoch.
    #[serde(default, rename = "used", skip_serializing_if = "Option::is_none")]
    pub(crate) time: Option<u64>,
    /// The address that it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) address: Option<String>,
}

/// The fields of a token to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NewToken {
    /// Its name.
    pub(crate) name: String,
    /// Its degree of access.
    pub(crate) scope: Scope,
    /// The workers that it may see, links in folders resolved.
    pub(crate) reach: Reach,
    /// The time when it ends.
    pub(crate) expires: Option<u64>,
}

/// The reason why a token is not made.
#[derive(Debug)]
pub(crate) enum TokenError {
    /// A field has a mistake, which the text names.
    Mistake(&'static str, String),
    /// Another token has this name.
    Taken(String),
    /// The limit is reached.
    Full(usize),
    /// The system refused.
    Io(std::io::Error),
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mistake(_, text) => f.write_str(text),
            Self::Taken(name) => write!(f, "there is a token of this name: {name}; choose another, or remove that one"),
            Self::Full(most) => write!(f, "there are {most} tokens, which is the most; remove one first"),
            Self::Io(error) => write!(f, "the tokens can't be stored: {error}"),
        }
    }
}

impl NewToken {
    /// Checks names, lengths and counts.
    ///
    /// # Errors
    /// The first mistake.
    pub(super) fn check(&self, now: u64) -> Result<(), TokenError> {
        let mistake = |field, text: String| Err(TokenError::Mistake(field, text));
        let length = self.name.chars().count();
        if !(1..=NAME_CHARS_MAX).contains(&length) || self.name.trim() != self.name {
            return mistake(
                "name",
                format!("a name has from 1 to {NAME_CHARS_MAX} characters, without blanks at its ends"),
            );
        }
        if self.name.chars().any(char::is_control) {
            return mistake("name", "a name has no control characters".to_owned());
        }
        if self.reach.workers.len() > WORKERS_MAX {
            return mistake("workers", format!("a token is narrowed to {WORKERS_MAX} workers at most"));
        }
        if self.reach.projects.len() > PROJECTS_MAX {
            return mistake("projects", format!("a token is narrowed to {PROJECTS_MAX} projects at most"));
        }
        if self.reach.workers.iter().any(|id| id.is_empty() || id.len() > REACH_TEXT_MAX) {
            return mistake("workers", format!("an id has from 1 to {REACH_TEXT_MAX} bytes"));
        }
        let is_folder =
            |folder: &std::path::PathBuf| folder.is_absolute() && folder.as_os_str().len() <= REACH_TEXT_MAX;
        if !self.reach.projects.iter().all(is_folder) {
            return mistake("projects", format!("a project is an absolute path of at most {REACH_TEXT_MAX} bytes"));
        }
        match self.expires {
            Some(expires) if expires <= now => mistake("expires_at", "the time is in the past".to_owned()),
            _ => Ok(()),
        }
    }
}

/// A token as it is kept.
pub(super) struct KeptToken {
    pub(super) token: Arc<Token>,
    pub(super) hash: [u8; 32],
    pub(super) used: TokenUse,
    /// The time when its use was last written to the file.
    pub(super) saved: u64,
    pub(super) connections: Connections,
}

impl Token {
    /// Returns whether it has ended by its time.
    pub(crate) fn has_expired(&self, now: u64) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }
}

/// The hash of a secret. A random one needs no salt, and no slow hash: there is nothing to guess.
pub(crate) fn hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}
