//! One login, as it is shown and as it is kept.

use std::net::TcpStream;
use std::sync::Weak;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

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
}

impl Login {
    /// The time when it ends.
    pub const fn expires(&self) -> u64 {
        self.created.saturating_add(LOGIN_DAYS * DAY)
    }
}

/// A login as it is kept.
pub(super) struct Kept {
    pub(super) login: Login,
    pub(super) hash: [u8; 32],
    /// The time when its use was last written to the file.
    pub(super) saved: u64,
    pub(super) connections: Vec<Weak<TcpStream>>,
}

/// A random id needs no salt, and no slow hash: there is nothing to guess.
pub(super) fn hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}
