//! The file of the logins: JSON, with the hashes of their ids.

use std::io;
use std::path::Path;

use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::login::{KeptLogin, LOGINS_MAX, Login};
use crate::access::Connections;
use crate::private_file::{self, PrivateFileError};
use crate::token::AuthToken;

/// The file's form. Version 1 had no tokens behind logins: a server that reads it alone would take such a login for one that
/// may do everything.
const VERSION: u32 = 2;
/// The form before that, which is read too.
const OLDER: u32 = 1;
/// The largest file that is read, in bytes.
const FILE_MAX: u64 = 256 * 1024;

#[derive(Serialize, Deserialize)]
struct LoginFile {
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

/// The mark of a server that has no token of its own.
const NO_TOKEN: &str = "none";

/// A fingerprint that distinguishes tokens and reveals nothing else.
pub(super) fn mark(token: Option<&AuthToken>) -> String {
    let Some(token) = token else { return NO_TOKEN.to_owned() };
    // HMAC takes keys of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(token.secret().expose().as_bytes()) else { return String::new() };
    mac.update(b"rs-worker logins");
    HEXLOWER.encode(&mac.finalize().into_bytes())
}

/// The logins of a file; none when there is no file, or when they are those of another token.
pub(super) fn load(file: &Path, mark: &str) -> Result<Vec<KeptLogin>, PrivateFileError> {
    let Some(bytes) = private_file::read(file, FILE_MAX)? else { return Ok(Vec::new()) };
    let stored: LoginFile = serde_json::from_slice(&bytes).map_err(io::Error::from)?;
    if ![OLDER, VERSION].contains(&stored.version) {
        return Err(PrivateFileError::Open(format!("is of version {}, not {VERSION}", stored.version)));
    }
    if stored.token_mark != mark {
        return Ok(Vec::new());
    }
    let kept = stored.logins.into_iter().take(LOGINS_MAX).filter_map(|one| {
        let hash = HEXLOWER.decode(one.sha256.as_bytes()).ok()?.try_into().ok()?;
        Some(KeptLogin { saved: one.login.used, login: one.login, hash, connections: Connections::default() })
    });
    Ok(kept.collect())
}

pub(super) fn text(mark: &str, kept: &[KeptLogin]) -> io::Result<Vec<u8>> {
    let stored = LoginFile {
        version: VERSION,
        token_mark: mark.to_owned(),
        logins: kept
            .iter()
            .map(|one| StoredLogin { login: one.login.clone(), sha256: HEXLOWER.encode(&one.hash) })
            .collect(),
    };
    Ok(serde_json::to_vec_pretty(&stored)?)
}
