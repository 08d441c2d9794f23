//! The file of the logins: JSON, with the hashes of their ids.

use std::io;
use std::path::Path;

use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::login::{Kept, LOGINS_MAX, Login};
use crate::private_file::{self, PrivateFileError};
use crate::token::AuthToken;

/// The file's form. A file of another form is not used.
const VERSION: u32 = 1;
/// The largest file that is read, in bytes.
const FILE_MAX: u64 = 256 * 1024;

#[derive(Serialize, Deserialize)]
struct Stored {
    version: u32,
    /// The logins are those of this token.
    token_mark: String,
    logins: Vec<StoredLogin>,
}

#[derive(Serialize, Deserialize)]
struct StoredLogin {
    #[serde(flatten)]
    login: Login,
    sha256: String,
}

/// A fingerprint that distinguishes tokens and reveals nothing else.
pub(super) fn mark(token: &AuthToken) -> String {
    // HMAC takes keys of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(token.secret().expose().as_bytes()) else { return String::new() };
    mac.update(b"rs-worker logins");
    HEXLOWER.encode(&mac.finalize().into_bytes())
}

/// The logins of a file; none when there is no file, or when they are those of another token.
pub(super) fn load(file: &Path, mark: &str) -> Result<Vec<Kept>, PrivateFileError> {
    let Some(bytes) = private_file::read(file, FILE_MAX)? else { return Ok(Vec::new()) };
    let stored: Stored = serde_json::from_slice(&bytes).map_err(io::Error::from)?;
    if stored.version != VERSION {
        return Err(PrivateFileError::Open(format!("is of version {}, not {VERSION}", stored.version)));
    }
    if stored.token_mark != mark {
        return Ok(Vec::new());
    }
    let kept = stored.logins.into_iter().take(LOGINS_MAX).filter_map(|one| {
        let hash = HEXLOWER.decode(one.sha256.as_bytes()).ok()?.try_into().ok()?;
        Some(Kept { saved: one.login.used, login: one.login, hash, connections: Vec::new() })
    });
    Ok(kept.collect())
}

pub(super) fn text(mark: &str, kept: &[Kept]) -> io::Result<Vec<u8>> {
    let stored = Stored {
        version: VERSION,
        token_mark: mark.to_owned(),
        logins: kept
            .iter()
            .map(|one| StoredLogin { login: one.login.clone(), sha256: HEXLOWER.encode(&one.hash) })
            .collect(),
    };
    Ok(serde_json::to_vec_pretty(&stored)?)
}
