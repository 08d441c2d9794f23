//! Logins of browsers: a random id for each, which its cookie carries and which is kept here as a hash alone; and the
//! one-time codes that login links carry.
//!
//! Logins outlive the server in a private file. They end at a logout, when somebody revokes them, [`LOGIN_DAYS`] after they
//! began, when the token changes, and when newer ones need their place. With a login end the connections that it has
//! opened.

mod codes;
mod login;
mod store;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::net::{Shutdown, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use codes::Codes;
pub(crate) use codes::{CODE_MINUTES, Code};
pub(crate) use login::Login;
use login::{Kept, hash};
pub(crate) use login::{LOGIN_DAYS, LOGINS_MAX};

use crate::clock::Micros;
use crate::private_file;
use crate::token::AuthToken;

/// Name of the file with the logins, in the data folder.
pub(crate) const FILE: &str = ".logins";
/// Random bytes of a login's id.
const SECRET_BYTES: usize = 32;
/// Longest name of a browser that is kept, in characters.
const AGENT_MAX: usize = 200;
/// Microseconds after which the time of a login's last use is written to the file again.
const SAVE_USE_AFTER: u64 = 3600 * 1_000_000;

/// All logins, and the codes that have not been used.
pub struct Logins {
    file: Option<PathBuf>,
    /// Changes with the token.
    mark: String,
    kept: Mutex<Vec<Kept>>,
    /// Held while the file is written, so that an older state never replaces a newer one.
    saving: Mutex<()>,
    codes: Mutex<Codes>,
}

impl fmt::Debug for Logins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Logins").field("file", &self.file).finish_non_exhaustive()
    }
}

impl Logins {
    /// The logins that the file in the data folder keeps. One that cannot be read counts as empty: people log in again.
    pub fn open(data: &Path, token: &AuthToken) -> Self {
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

    fn with(mark: String, kept: Vec<Kept>) -> Self {
        Self { file: None, mark, kept: Mutex::new(kept), saving: Mutex::default(), codes: Mutex::default() }
    }

    /// Begins a login, and gives the secret id for its cookie.
    ///
    /// # Errors
    /// When the system has no random bytes. A file that cannot be written is reported in the log alone: the login then
    /// ends with the server.
    pub fn begin(&self, address: &str, agent: &str, now: Micros) -> io::Result<String> {
        let secret = private_file::random_text::<SECRET_BYTES>()?;
        let login = Login {
            id: uuid::Uuid::new_v4().to_string(),
            created: now.0,
            used: now.0,
            address: address.to_owned(),
            agent: agent.chars().take(AGENT_MAX).collect(),
        };
        let mut kept = self.lock();
        kept.retain(|one| one.login.expires() > now.0);
        while kept.len() >= LOGINS_MAX {
            let Some(oldest) = kept.iter().enumerate().min_by_key(|(_, one)| one.login.used).map(|(at, _)| at) else {
                break;
            };
            close(&kept.swap_remove(oldest), None);
        }
        kept.push(Kept { login, hash: hash(&secret), saved: now.0, connections: Vec::new() });
        drop(kept);
        if let Err(error) = self.save() {
            log::warn!("a login is not kept, and will end with the server: {error}");
        }
        Ok(secret)
    }

    /// The name of the login with this secret id, which is noted as used.
    pub fn find(&self, secret: &str, now: Micros) -> Option<String> {
        let hash = hash(secret);
        let mut kept = self.lock();
        let one = kept.iter_mut().find(|one| one.hash == hash && one.login.expires() > now.0)?;
        one.login.used = one.login.used.max(now.0);
        let id = one.login.id.clone();
        let is_old = now.0.saturating_sub(one.saved) > SAVE_USE_AFTER;
        if is_old {
            one.saved = now.0;
        }
        drop(kept);
        if is_old && let Err(error) = self.save() {
            log::warn!("the use of a login is not kept: {error}");
        }
        Some(id)
    }

    /// Notes that a connection was opened by a login, so that it ends with it.
    pub fn bind(&self, id: &str, connection: &Arc<TcpStream>) {
        let mut kept = self.lock();
        let Some(one) = kept.iter_mut().find(|one| one.login.id == id) else {
            // It has ended in the meantime.
            let _ = connection.shutdown(Shutdown::Both);
            return;
        };
        one.connections.retain(|held| held.strong_count() > 0);
        if !one.connections.iter().any(|held| held.as_ptr() == Arc::as_ptr(connection)) {
            one.connections.push(Arc::downgrade(connection));
        }
    }

    /// All of them, newest first.
    pub fn list(&self, now: Micros) -> Vec<Login> {
        let kept = self.lock();
        let mut list: Vec<Login> =
            kept.iter().filter(|one| one.login.expires() > now.0).map(|one| one.login.clone()).collect();
        list.sort_by_key(|login| std::cmp::Reverse(login.created));
        list
    }

    /// Ends a login and closes its connections, but for the one that asks. False when there is none of this name.
    ///
    /// # Errors
    /// When the file cannot be written: the login has ended, and would be there again after a restart.
    pub fn end(&self, id: &str, asking: Option<&Arc<TcpStream>>) -> io::Result<bool> {
        let mut kept = self.lock();
        let Some(at) = kept.iter().position(|one| one.login.id == id) else { return Ok(false) };
        let ended = kept.swap_remove(at);
        drop(kept);
        close(&ended, asking);
        self.save()?;
        Ok(true)
    }

    /// Makes a code that lets one browser in, once, for [`CODE_MINUTES`].
    ///
    /// # Errors
    /// When the system has no random bytes.
    pub fn new_code(&self) -> io::Result<Code> {
        self.codes().make(Instant::now())
    }

    /// Uses a code up. False when it is not one, or is too old.
    pub fn redeem(&self, code: &str) -> bool {
        self.codes().redeem(code, Instant::now())
    }

    fn save(&self) -> io::Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        let _saving = self.saving.lock().unwrap_or_else(PoisonError::into_inner);
        let text = store::text(&self.mark, &self.lock())?;
        private_file::replace(file, &text)
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", file.display())))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Kept>> {
        // The list is whole between any two statements that can panic.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn codes(&self) -> MutexGuard<'_, Codes> {
        self.codes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Closes what an ended login has opened.
fn close(ended: &Kept, asking: Option<&Arc<TcpStream>>) {
    for connection in ended.connections.iter().filter_map(Weak::upgrade) {
        if !asking.is_some_and(|asking| Arc::ptr_eq(asking, &connection)) {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }
}
