//! One login, as it is shown and as it is kept.

use serde::{Deserialize, Serialize};

use crate::access::Connections;

/// Days after which a login ends.
pub(crate) const LOGIN_DAYS: u64 = 30;
/// Logins at the same time. When all places are taken, the one that was used longest ago ends.
pub(crate) const LOGINS_MAX: usize = 64;
/// Microseconds of a day.
pub(super) const DAY: u64 = 24 * 3600 * 1_000_000;

/// A login, as it may be shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Login {
    /// Its name in lists; no secret.
    pub id: String,
    /// The time when it began, in microseconds since the Unix epoch.
    pub created: u64,
    /// The time when it was used last.
    pub used: u64,
    /// The address that it came from.
    pub address: String,
    /// The browser's `User-Agent`.
    pub agent: String,
    /// The id of the token that it came from, whose scope it has; none if it may do everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

impl Login {
    /// The time when it ends.
    pub const fn expires(&self) -> u64 {
        self.created.saturating_add(LOGIN_DAYS * DAY)
    }
}

/// A login as it is kept.
pub(super) struct KeptLogin {
    pub(super) login: Login,
    pub(super) hash: [u8; 32],
    /// The time when its use was last written to the file.
    pub(super) saved: u64,
    pub(super) connections: Connections,
}
