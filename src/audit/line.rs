//! One line of the file, and one entry as it is shown.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::access::Identity;
use crate::clock::Micros;

/// Longest text of a client that is kept, in characters: the id of a worker that a path names.
const TEXT_CHARS_MAX: usize = 64;

/// The client behind an action, and its address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Actor {
    by: &'static str,
    name: Option<String>,
    login: Option<String>,
    address: String,
}

impl Actor {
    /// The client of a request; nobody knows who it is without an identity.
    pub(crate) fn new(identity: Option<&Identity>, address: IpAddr, user: Option<u32>) -> Self {
        let is_local = matches!(identity, Some(Identity::Local));
        let token = identity.and_then(Identity::token).map(|token| token.name.clone());
        Self {
            by: identity.map_or("nobody", Identity::kind),
            name: token.or_else(|| user.filter(|_| is_local).map(|user| format!("uid {user}"))),
            login: identity.and_then(Identity::login).map(str::to_owned),
            address: address.to_string(),
        }
    }
}

/// A line of the file: the beginning of an action, its outcome, or a refusal.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct AuditLine {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<u64>,
    /// The id of the line that this is the outcome of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) outcome_of: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) by: Option<String>,
    /// The name of a token, or the user of a local client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) login: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) address: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) action: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) worker: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) status: Option<u16>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) refused: bool,
    /// Refusals that were only counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) more_refusals: Option<u32>,
}

impl AuditLine {
    pub(super) fn of(id: u64, actor: &Actor, action: &str) -> Self {
        let (id, time, action) = (Some(id), Some(Micros::now().to_string()), Some(action.to_owned()));
        Self { id, time, action, ..Self::default() }.by(Some(actor))
    }

    pub(super) fn of_more_refusals(id: u64, more: u32) -> Self {
        Self {
            id: Some(id),
            time: Some(Micros::now().to_string()),
            refused: true,
            more_refusals: Some(more),
            ..Self::default()
        }
    }

    pub(super) fn by(self, actor: Option<&Actor>) -> Self {
        let Some(actor) = actor else { return self };
        Self {
            by: Some(actor.by.to_owned()),
            name: actor.name.clone(),
            login: actor.login.clone(),
            address: Some(actor.address.clone()),
            ..self
        }
    }
}

/// An action with its outcome.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct AuditEntry {
    /// Its id; later entries have greater ones.
    pub id: u64,
    /// The time when it began.
    pub time: Option<String>,
    /// The kind of credential.
    pub by: Option<String>,
    /// The name of the token, or the user of a local client.
    pub name: Option<String>,
    /// The login.
    pub login: Option<String>,
    /// The client's address.
    pub address: Option<String>,
    /// The route or command.
    pub action: Option<String>,
    /// The worker.
    pub worker: Option<String>,
    /// The status of the answer; `None` where the server ended before it, or the action is under way.
    pub status: Option<u16>,
    /// True if it was refused before it began.
    pub refused: bool,
    /// Further refusals, which were only counted.
    pub more_refusals: Option<u32>,
}

impl AuditEntry {
    pub(super) fn of(line: AuditLine, outcome: Option<AuditLine>) -> Option<Self> {
        let id = line.id?;
        let outcome = outcome.unwrap_or_default();
        // A login is known by its outcome alone.
        let (by, name, login) = match outcome.by {
            Some(by) => (Some(by), outcome.name, outcome.login),
            None => (line.by, line.name, line.login),
        };
        Some(Self {
            id,
            time: line.time,
            by,
            name,
            login,
            address: line.address,
            action: line.action,
            worker: line.worker.or(outcome.worker),
            status: line.status.or(outcome.status),
            refused: line.refused,
            more_refusals: line.more_refusals,
        })
    }
}

/// A text of a client, with its length bounded.
pub(super) fn shortened(text: &str) -> String {
    text.chars().take(TEXT_CHARS_MAX).collect()
}

/// The line that reports lost ones.
pub(super) fn lost_note(lost: u64) -> String {
    format!("{}\n", serde_json::json!({"time": Micros::now(), "lost_lines": lost}))
}
