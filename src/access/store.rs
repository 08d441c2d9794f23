//! The file of the tokens: JSON, with the hashes of their secrets.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};

use super::connections::Connections;
use super::token::{KeptToken, SECRET_PREFIX, TOKENS_MAX, Token, TokenUse};
use crate::private_file::{self, PrivateFileError};

/// The file's form. A file of another form is not used.
const VERSION: u32 = 1;
/// The largest file that is read, in bytes.
const FILE_MAX: u64 = 32 * 1024 * 1024;

#[derive(Serialize, Deserialize)]
struct TokenFile {
    version: u32,
    /// The beginning of the tokens' secrets, for people who look into the file.
    prefix: String,
    tokens: Vec<StoredToken>,
}

#[derive(Serialize, Deserialize)]
struct StoredToken {
    #[serde(flatten)]
    token: Token,
    #[serde(flatten)]
    used: TokenUse,
    sha256: String,
}

/// Reads the tokens of a file; a missing file has none.
pub(super) fn load(file: &Path) -> Result<HashMap<[u8; 32], KeptToken>, PrivateFileError> {
    let Some(bytes) = private_file::read(file, FILE_MAX)? else { return Ok(HashMap::new()) };
    let stored: TokenFile = serde_json::from_slice(&bytes).map_err(io::Error::from)?;
    if stored.version != VERSION {
        return Err(PrivateFileError::Open(format!("is of version {}, not {VERSION}", stored.version)));
    }
    let kept = stored.tokens.into_iter().take(TOKENS_MAX).filter_map(|one| {
        let hash: [u8; 32] = HEXLOWER.decode(one.sha256.as_bytes()).ok()?.try_into().ok()?;
        let saved = one.used.time.unwrap_or_default();
        let token = Arc::new(one.token);
        Some((hash, KeptToken { token, hash, used: one.used, saved, connections: Connections::default() }))
    });
    Ok(kept.collect())
}

/// The content of the file.
pub(super) fn text<'t>(kept: impl Iterator<Item = &'t KeptToken>) -> io::Result<Vec<u8>> {
    let mut tokens: Vec<StoredToken> = kept
        .map(|one| StoredToken {
            token: Token::clone(&one.token),
            used: one.used.clone(),
            sha256: HEXLOWER.encode(&one.hash),
        })
        .collect();
    tokens.sort_by(|a, b| (a.token.created, &a.token.id).cmp(&(b.token.created, &b.token.id)));
    Ok(serde_json::to_vec_pretty(&TokenFile { version: VERSION, prefix: SECRET_PREFIX.to_owned(), tokens })?)
}
