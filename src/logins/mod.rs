//! Logins of browsers: a random id for each, which is in its cookie and stored here only as a hash; and the one-time
//! codes of login links.
//!
//! Logins outlive the server in a private file. They end at a logout, when they are revoked, after [`LOGIN_DAYS`], when
//! the token changes, and when newer ones need their slot. The connections that a login has opened end with it.

mod codes;
mod login;
mod store;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::net::{Shutdown, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use codes::LoginCodes;
pub(crate) use codes::{CODE_MINUTES, Code, is_pairing};
use login::KeptLogin;
pub(crate) use login::Login;
pub(crate) use login::{LOGIN_DAYS, LOGINS_MAX};

use crate::access::{Connections, hash};
use crate::clock::Micros;
use crate::private_file;
use crate::token::AuthToken;

/// Most logins of one token with a scope; the one that was used least recently ends for another.
const LOGINS_OF_TOKEN_MAX: usize = 8;
/// Name of the file with the logins, in the data folder.
pub(crate) const FILE: &str = ".logins";
/// Random bytes of a login's id.
const SECRET_BYTES: usize = 32;
/// Longest name of a browser that is kept, in characters.
const AGENT_MAX: usize = 200;
/// Microseconds after which the time of a login's last use is written to the file again.
const SAVE_USE_AFTER: u64 = 3600 * 1_000_000;

/// A login that has just begun.
#[derive(Debug)]
pub struct BegunLogin {
    /// Its name in lists.
    pub id: String,
    /// The secret id for its cookie.
    pub secret: String,
}

/// A login that a cookie names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundLogin {
    /// Its name in lists.
    pub id: String,
    /// The id of the token that it came from.
    pub token: Option<String>,
}

/// All logins, and the codes that have not been used.
pub struct Logins {
    file: Option<PathBuf>,
    /// Changes with the token.
    mark: String,
    kept: Mutex<Vec<KeptLogin>>,
    /// Held while the file is written, so that an older state never replaces a newer one.
    saving: Mutex<()>,
    codes: Mutex<LoginCodes>,
}

impl fmt::Debug for Logins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Logins").field("file", &self.file).finish_non_exhaustive()
    }
}

impl Logins {
    /// The logins that the file in the data folder keeps. One that cannot be read counts as empty: people log in again.
    pub fn open(data: &Path, token: Option<&AuthToken>) -> Self {
        let file = data.join(FILE);
        let mark = store::mark(token);
        let kept = store::load(&file, &mark).unwrap_or_else(|error| {
            log::warn!("the logins in {} cannot be used, so all browsers must log in again: {error}", file.display());
            Vec::new()
        });
        Self { file: Some(file), ..Self::with(mark, kept) }
    }

    /// No logins, and no file.
    pub fn in_memory() -> Self {
        Self::with(String::new(), Vec::new())
    }

    fn with(mark: String, kept: Vec<KeptLogin>) -> Self {
        Self { file: None, mark, kept: Mutex::new(kept), saving: Mutex::default(), codes: Mutex::default() }
    }

    /// Begins a login. It ends with the token of the id `token`, if there is one.
    ///
    /// # Errors
    /// Fails when the system has no random bytes. A file that cannot be written is reported in the log alone: the login then
    /// ends with the server.
    pub fn begin(&self, address: &str, agent: &str, token: Option<&str>, now: Micros) -> io::Result<BegunLogin> {
        let secret = private_file::random_text::<SECRET_BYTES>()?;
        let id = uuid::Uuid::new_v4().to_string();
        let login = Login {
            id: id.clone(),
            created: now.0,
            used: now.0,
            address: address.to_owned(),
            agent: agent.chars().take(AGENT_MAX).collect(),
            token: token.map(str::to_owned),
        };
        let mut kept = self.lock();
        close_expired(&mut kept, now);
        let of_token = |one: &&KeptLogin| token.is_some() && one.login.token.as_deref() == token;
        if kept.iter().filter(of_token).count() >= LOGINS_OF_TOKEN_MAX
            && let Some(oldest) = kept.iter().filter(of_token).min_by_key(|one| one.login.used).map(|one| one.hash)
        {
            // A token must not push out the logins of others.
            kept.extract_if(.., |one| one.hash == oldest).for_each(|one| one.connections.close(None));
        }
        while kept.len() >= LOGINS_MAX {
            let Some(oldest) = kept.iter().enumerate().min_by_key(|(_, one)| one.login.used).map(|(at, _)| at) else {
                break;
            };
            kept.swap_remove(oldest).connections.close(None);
        }
        kept.push(KeptLogin { login, hash: hash(&secret), saved: now.0, connections: Connections::default() });
        drop(kept);
        if let Err(error) = self.save() {
            log::warn!("a login is not kept, and will end with the server: {error}");
        }
        Ok(BegunLogin { id, secret })
    }

    /// The login with this secret id, which is noted as used.
    pub fn find(&self, secret: &str, now: Micros) -> Option<FoundLogin> {
        let hash = hash(secret);
        let mut kept = self.lock();
        let one = kept.iter_mut().find(|one| one.hash == hash && one.login.expires() > now.0)?;
        one.login.used = one.login.used.max(now.0);
        let found = FoundLogin { id: one.login.id.clone(), token: one.login.token.clone() };
        let is_old = now.0.saturating_sub(one.saved) > SAVE_USE_AFTER;
        if is_old {
            one.saved = now.0;
        }
        drop(kept);
        if is_old && let Err(error) = self.save() {
            log::warn!("the use of a login is not kept: {error}");
        }
        Some(found)
    }

    /// Notes that a connection was opened by a login, so that it ends with it.
    pub fn bind(&self, id: &str, connection: &Arc<TcpStream>) {
        let mut kept = self.lock();
        let Some(one) = kept.iter_mut().find(|one| one.login.id == id) else {
            // It has ended in the meantime.
            let _ = connection.shutdown(Shutdown::Both);
            return;
        };
        one.connections.add(connection);
    }

    /// All of them, newest first.
    pub fn list(&self, now: Micros) -> Vec<Login> {
        let kept = self.lock();
        let mut list: Vec<Login> =
            kept.iter().filter(|one| one.login.expires() > now.0).map(|one| one.login.clone()).collect();
        list.sort_by_key(|login| std::cmp::Reverse(login.created));
        list
    }

    /// Ends a login and closes its connections, except the caller's own. False if the name is unknown.
    ///
    /// # Errors
    /// Fails when the file cannot be written: the login has ended, and would be there again after a restart.
    pub fn end(&self, id: &str, asking: Option<&Arc<TcpStream>>) -> io::Result<bool> {
        let mut kept = self.lock();
        let Some(at) = kept.iter().position(|one| one.login.id == id) else { return Ok(false) };
        let ended = kept.swap_remove(at);
        drop(kept);
        ended.connections.close(asking);
        self.save()?;
        Ok(true)
    }

    /// Ends the logins of a token and closes their connections, but for the one that asks.
    ///
    /// # Errors
    /// Fails when the file can't be written. Without their token these logins are refused all the same, also after a restart.
    pub(crate) fn end_of_token(&self, token: &str, asking: Option<&Arc<TcpStream>>) -> io::Result<()> {
        let ended: Vec<KeptLogin> =
            self.lock().extract_if(.., |one| one.login.token.as_deref() == Some(token)).collect();
        self.codes().forget_token(token);
        ended.iter().for_each(|one| one.connections.close(asking));
        if ended.is_empty() { Ok(()) } else { self.save() }
    }

    /// Ends the logins that have expired, and closes their connections.
    pub(crate) fn close_expired(&self, now: Micros) {
        close_expired(&mut self.lock(), now);
    }

    /// Makes a code that lets one browser in, once, for [`CODE_MINUTES`].
    ///
    /// # Errors
    /// Fails when the system has no random bytes.
    pub fn new_code(&self) -> io::Result<Code> {
        self.codes().make(Instant::now())
    }

    /// Makes a code that lets one device in with the scope of a token, likewise. Some wrong codes end it.
    ///
    /// # Errors
    /// Fails when the system has no random bytes.
    pub(crate) fn new_pairing(&self, token: &str) -> io::Result<Code> {
        self.codes().make_pairing(token, Instant::now())
    }

    /// Begins a login with a code, which is used up if that succeeds; `begin` gets the id of the code's token. `None` when it
    /// is not a code, or is too old.
    ///
    /// # Errors
    /// Those of `begin`: the code is then as good as before.
    pub(crate) fn redeem<T>(
        &self,
        code: &str,
        begin: impl FnOnce(Option<&str>) -> io::Result<Option<T>>,
    ) -> io::Result<Option<T>> {
        self.codes().redeem(code, Instant::now(), begin)
    }

    fn save(&self) -> io::Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        let _saving = self.saving.lock().unwrap_or_else(PoisonError::into_inner);
        let text = store::text(&self.mark, &self.lock())?;
        private_file::replace(file, &text)
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", file.display())))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<KeptLogin>> {
        // The list is whole between any two statements that can panic.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn codes(&self) -> MutexGuard<'_, LoginCodes> {
        self.codes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn close_expired(kept: &mut Vec<KeptLogin>, now: Micros) {
    kept.extract_if(.., |one| one.login.expires() <= now.0).for_each(|one| one.connections.close(None));
}
