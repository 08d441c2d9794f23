//! The tokens that workers' agents get, each for one run: in memory only, since the journal has their hashes.

use std::collections::HashMap;
use std::io;
use std::net::TcpStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use data_encoding::HEXLOWER;

use super::connections::Connections;
use super::reach::Reach;
use super::scope::Scope;
use super::token::{SECRET_PREFIX, Token, hash};
use crate::private_file;

/// Random bytes of a secret; its text has twice as many characters.
const SECRET_BYTES: usize = 32;
/// The beginning of the ids of these tokens, before the worker's.
const ID_PREFIX: &str = "agent-";

/// A new secret and its hash.
pub(crate) struct AgentSecret {
    /// The secret, for the agent's environment.
    pub(crate) secret: String,
    /// Its hash in hex, for the journal.
    pub(crate) sha256: String,
}

impl AgentSecret {
    /// Makes one.
    ///
    /// # Errors
    /// Fails when the system has no random bytes.
    pub(crate) fn new() -> io::Result<Self> {
        let secret = format!("{SECRET_PREFIX}{}", private_file::random_text::<SECRET_BYTES>()?);
        let sha256 = HEXLOWER.encode(&hash(&secret));
        Ok(Self { secret, sha256 })
    }
}

/// The tokens of agents, by the hashes of their secrets.
#[derive(Default)]
pub(crate) struct AgentTokens(Mutex<HashMap<[u8; 32], AgentToken>>);

struct AgentToken {
    token: Arc<Token>,
    worker: String,
    connections: Connections,
}

impl AgentTokens {
    /// Lets the agent of a worker in by the secret of this hash, and by no other.
    pub(crate) fn admit(&self, worker: &str, sha256: &str, created: u64) {
        let Some(hash) = HEXLOWER.decode(sha256.as_bytes()).ok().and_then(|bytes| bytes.try_into().ok()) else {
            log::error!("worker {worker}: the hash of its agent's token is damaged, so the token lets nobody in");
            return;
        };
        let reach = Reach { below: Some(worker.to_owned()), ..Reach::default() };
        let (id, name) = (format!("{ID_PREFIX}{worker}"), format!("agent of {worker}"));
        let token = Arc::new(Token { id, name, scope: Scope::Send, reach, created, expires: None });
        let mut held = self.lock();
        end(&mut held, worker);
        held.insert(hash, AgentToken { token, worker: worker.to_owned(), connections: Connections::default() });
    }

    /// Ends the token of a worker's agent and closes its connections.
    pub(crate) fn end(&self, worker: &str) {
        end(&mut self.lock(), worker);
    }

    /// The token of a secret. A connection that it comes on ends with the token.
    pub(super) fn find(&self, hash: &[u8; 32], connection: Option<&Arc<TcpStream>>) -> Option<Arc<Token>> {
        let mut held = self.lock();
        let found = held.get_mut(hash)?;
        if let Some(connection) = connection {
            found.connections.add(connection);
        }
        Some(Arc::clone(&found.token))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<[u8; 32], AgentToken>> {
        // The table is whole between any two statements that can panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn end(held: &mut HashMap<[u8; 32], AgentToken>, worker: &str) {
    for (_, ended) in held.extract_if(|_, token| token.worker == worker) {
        ended.connections.close(None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agents_token_is_replaced_by_that_of_its_next_run() {
        let tokens = AgentTokens::default();
        let (first, second) = (AgentSecret::new().unwrap(), AgentSecret::new().unwrap());
        assert!(!first.sha256.contains(&first.secret[SECRET_PREFIX.len()..]));
        tokens.admit("w", &first.sha256, 1);
        let token = tokens.find(&hash(&first.secret), None).unwrap();
        assert!(
            token.reach.below.as_deref() == Some("w") && !token.reach.covers("w", "/") && !token.reach.is_everything()
        );
        assert_eq!((token.scope, token.id.as_str()), (Scope::Send, "agent-w"));
        tokens.admit("other", &AgentSecret::new().unwrap().sha256, 1);
        tokens.admit("w", &second.sha256, 2);
        assert_eq!(tokens.find(&hash(&first.secret), None), None);
        assert!(tokens.find(&hash(&second.secret), None).is_some());
        tokens.end("w");
        assert_eq!(tokens.find(&hash(&second.secret), None), None);
        assert_eq!(tokens.lock().len(), 1);
    }

    #[test]
    fn damaged_hashes_let_nobody_in() {
        let tokens = AgentTokens::default();
        for text in ["", "00", "zz", &"0".repeat(66)] {
            tokens.admit("w", text, 1);
        }
        assert!(tokens.lock().is_empty());
    }
}
