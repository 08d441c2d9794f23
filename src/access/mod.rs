//! Credentials that may do less than everything: tokens with a scope, narrowed to workers and projects.
//!
//! A token's secret is random and is kept as a hash alone, in a private file. The hash is the key of a table, so that finding
//! a token takes the same time among a hundred as among one, and says nothing about the secrets of others. With a token end the
//! connections that it has opened.

mod agents;
mod connections;
mod identity;
mod reach;
mod scope;
mod store;
#[cfg(test)]
mod tests;
mod token;

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub(crate) use agents::{AgentSecret, AgentTokens};
pub(crate) use connections::Connections;
pub use identity::Identity;
pub use reach::Reach;
pub(crate) use reach::{EVERYTHING, NOTHING};
pub use scope::Scope;
use token::KeptToken;
pub use token::Token;
pub(crate) use token::{NewToken, SECRET_PREFIX, TOKENS_MAX, TokenError, TokenUse, hash};

use crate::clock::Micros;
use crate::private_file;

/// Name of the file with the tokens, in the data folder.
pub(crate) const FILE: &str = ".tokens";
/// Random bytes of a secret; its text has twice as many characters.
const SECRET_BYTES: usize = 32;
/// Microseconds after which the time of a token's last use is written to the file again.
const SAVE_USE_AFTER: u64 = 3600 * 1_000_000;

/// All tokens.
pub(crate) struct Tokens {
    file: Option<PathBuf>,
    kept: Mutex<TokenTable>,
    /// Held while the file is written, so that an older state never replaces a newer one.
    saving: Mutex<()>,
    /// Those of workers' agents.
    agents: AgentTokens,
}

/// Tokens by the hashes of their secrets, and those by the tokens' ids.
#[derive(Default)]
struct TokenTable {
    tokens: HashMap<[u8; 32], KeptToken>,
    hashes: HashMap<String, [u8; 32]>,
}

impl TokenTable {
    fn of(tokens: HashMap<[u8; 32], KeptToken>) -> Self {
        let hashes = tokens.iter().map(|(hash, one)| (one.token.id.clone(), *hash)).collect();
        Self { tokens, hashes }
    }

    fn by_id(&mut self, id: &str) -> Option<&mut KeptToken> {
        self.tokens.get_mut(self.hashes.get(id)?)
    }

    fn remove(&mut self, id: &str) -> Option<KeptToken> {
        self.tokens.remove(&self.hashes.remove(id)?)
    }

    fn insert(&mut self, kept: KeptToken) {
        self.hashes.insert(kept.token.id.clone(), kept.hash);
        self.tokens.insert(kept.hash, kept);
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").field("file", &self.file).finish_non_exhaustive()
    }
}

impl Tokens {
    /// Reads the tokens from the file in the data folder. A file that can't be read counts as empty, and is replaced with the next
    /// token.
    pub(crate) fn open(data: &Path) -> Self {
        let file = data.join(FILE);
        let kept = store::load(&file).unwrap_or_else(|error| {
            log::error!("the tokens in {} cannot be used, so none of them lets anybody in: {error}", file.display());
            HashMap::new()
        });
        Self {
            file: Some(file),
            kept: Mutex::new(TokenTable::of(kept)),
            saving: Mutex::default(),
            agents: AgentTokens::default(),
        }
    }

    /// No tokens, and no file.
    pub(crate) fn in_memory() -> Self {
        Self { file: None, kept: Mutex::default(), saving: Mutex::default(), agents: AgentTokens::default() }
    }

    /// Makes a token, and gives its secret, which is not kept.
    ///
    /// # Errors
    /// Fails when a field has a mistake, the name is taken, the tokens are as many as they may be, or the file can't be written. No
    /// token is made then.
    pub(crate) fn add(&self, new: NewToken, now: Micros) -> Result<(Arc<Token>, String), TokenError> {
        new.check(now.0)?;
        let random = private_file::random_text::<SECRET_BYTES>().map_err(TokenError::Io)?;
        let secret = format!("{SECRET_PREFIX}{random}");
        let NewToken { name, scope, reach, expires } = new;
        let id = uuid::Uuid::new_v4().to_string();
        let token = Arc::new(Token { id, name, scope, reach, created: now.0, expires });
        {
            let mut kept = self.lock();
            if kept.tokens.values().any(|one| one.token.name == token.name) {
                return Err(TokenError::Taken(token.name.clone()));
            }
            if kept.tokens.len() >= TOKENS_MAX {
                return Err(TokenError::Full(TOKENS_MAX));
            }
            kept.insert(KeptToken {
                token: Arc::clone(&token),
                hash: hash(&secret),
                used: TokenUse::default(),
                saved: 0,
                connections: Connections::default(),
            });
        }
        if let Err(error) = self.save() {
            self.lock().remove(&token.id);
            return Err(TokenError::Io(error));
        }
        Ok((token, secret))
    }

    /// The token of a secret, which is noted as used from an address. A connection that it comes on ends with the token.
    pub(crate) fn find(&self, secret: &str, from: &TokenOrigin<'_>, now: Micros) -> Option<Arc<Token>> {
        if !secret.starts_with(SECRET_PREFIX) {
            return None;
        }
        let hash = hash(secret);
        self.note_use(|table| table.tokens.get_mut(&hash), from, now)
            .or_else(|| self.agents.find(&hash, from.connection))
    }

    /// The tokens of workers' agents.
    pub(crate) const fn agents(&self) -> &AgentTokens {
        &self.agents
    }

    /// The token of this id, which a login is of, likewise.
    pub(crate) fn of_login(&self, id: &str, from: &TokenOrigin<'_>, now: Micros) -> Option<Arc<Token>> {
        self.note_use(|table| table.by_id(id), from, now)
    }

    fn note_use(
        &self,
        find: impl FnOnce(&mut TokenTable) -> Option<&mut KeptToken>,
        from: &TokenOrigin<'_>,
        now: Micros,
    ) -> Option<Arc<Token>> {
        let mut kept = self.lock();
        let one = find(&mut kept).filter(|one| !one.token.has_expired(now.0))?;
        one.used.time = one.used.time.max(Some(now.0));
        if one.used.address.as_deref() != Some(from.address) {
            one.used.address = Some(from.address.to_owned());
        }
        if let Some(connection) = from.connection {
            one.connections.add(connection);
        }
        let token = Arc::clone(&one.token);
        let is_old = now.0.saturating_sub(one.saved) > SAVE_USE_AFTER;
        if is_old {
            one.saved = now.0;
        }
        drop(kept);
        if is_old && let Err(error) = self.save() {
            log::warn!("the use of a token is not kept: {error}");
        }
        Some(token)
    }

    /// The token of this id, if it has not expired.
    pub(crate) fn get(&self, id: &str, now: Micros) -> Option<Arc<Token>> {
        let mut kept = self.lock();
        kept.by_id(id).filter(|one| !one.token.has_expired(now.0)).map(|one| Arc::clone(&one.token))
    }

    /// All of them, newest first, also those that have expired.
    pub(crate) fn list(&self) -> Vec<(Arc<Token>, TokenUse)> {
        let kept = self.lock();
        let mut list: Vec<_> = kept.tokens.values().map(|one| (Arc::clone(&one.token), one.used.clone())).collect();
        list.sort_by(|(a, _), (b, _)| (b.created, &b.id).cmp(&(a.created, &a.id)));
        list
    }

    /// Ends a token and closes its connections, except the caller's own. False if the id is unknown.
    ///
    /// # Errors
    /// Fails when the file can't be written: the token has ended, but only until the next start.
    pub(crate) fn remove(&self, id: &str, asking: Option<&Arc<TcpStream>>) -> io::Result<bool> {
        let Some(ended) = self.lock().remove(id) else { return Ok(false) };
        let saved = self.save();
        ended.connections.close(asking);
        saved.map(|()| true)
    }

    /// Closes the connections of tokens that have expired.
    pub(crate) fn close_expired(&self, now: Micros) {
        for one in self.lock().tokens.values_mut().filter(|one| one.token.has_expired(now.0)) {
            std::mem::take(&mut one.connections).close(None);
        }
    }

    /// Closes the connections of narrowed tokens and of their logins. The clients come back, and get what they may see now.
    pub(crate) fn close_narrowed(&self) {
        for one in self.lock().tokens.values_mut().filter(|one| !one.token.reach.is_everything()) {
            std::mem::take(&mut one.connections).close(None);
        }
    }

    fn save(&self) -> io::Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        let _saving = self.saving.lock().unwrap_or_else(PoisonError::into_inner);
        let text = store::text(self.lock().tokens.values())?;
        private_file::replace(file, &text)
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", file.display())))
    }

    fn lock(&self) -> MutexGuard<'_, TokenTable> {
        // The table is whole between any two statements that can panic.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place that a secret comes from.
#[derive(Clone, Copy)]
pub(crate) struct TokenOrigin<'o> {
    /// The client's address.
    pub(crate) address: &'o str,
    /// The connection, where there is one.
    pub(crate) connection: Option<&'o Arc<TcpStream>>,
}
