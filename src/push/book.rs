//! The subscriptions, and their file.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::subscription::PushSubscription;
use crate::private_file::{self, PrivateFileError};

/// Subscriptions at the same time.
pub(crate) const SUBSCRIPTIONS_MAX: usize = 20;
/// Subscriptions of one token with a scope.
const SUBSCRIPTIONS_OF_TOKEN_MAX: usize = 5;
/// Name of the file, in the data folder.
const FILE: &str = ".push_subscriptions";
/// The file's form. A file of another form is not used.
const VERSION: u32 = 1;
/// The largest file that is read, in bytes.
const FILE_MAX: u64 = 256 * 1024;
/// Microseconds after which the time of a renewal is written to the file again.
const SAVE_RENEWAL_AFTER: u64 = 24 * 3600 * 1_000_000;

#[derive(Serialize, Deserialize)]
struct SubscriptionFile {
    version: u32,
    subscriptions: Vec<PushSubscription>,
}

/// All subscriptions.
pub(super) struct Book {
    file: PathBuf,
    kept: Mutex<Vec<PushSubscription>>,
    /// Held while the file is written, so that an older state never replaces a newer one.
    saving: Mutex<()>,
}

/// The reason that a subscription is not taken.
#[derive(Debug)]
pub(super) enum BookError {
    /// [`SUBSCRIPTIONS_MAX`] is reached, or [`SUBSCRIPTIONS_OF_TOKEN_MAX`] of the token.
    Full,
    /// The address is that of another one's subscription, with other keys.
    Taken,
    /// The file can't be written.
    Io(io::Error),
}

impl Book {
    /// The subscriptions in the data folder. A file that can't be used counts as empty: pages subscribe again.
    pub(super) fn open(data: &Path) -> Self {
        let file = data.join(FILE);
        let kept = load(&file).unwrap_or_else(|error| {
            log::warn!("the subscriptions in {} can't be used: {error}", file.display());
            Vec::new()
        });
        Self { file, kept: Mutex::new(kept), saving: Mutex::default() }
    }

    /// A copy of all, oldest first.
    pub(super) fn all(&self) -> Vec<PushSubscription> {
        self.lock().clone()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    pub(super) fn get(&self, id: &str) -> Option<PushSubscription> {
        self.lock().iter().find(|one| one.id == id).cloned()
    }

    /// Adds a subscription, or renews the one of the same address.
    pub(super) fn put(&self, new: PushSubscription) -> Result<(), BookError> {
        let mut kept = self.lock();
        let count = kept.len();
        // One token must not take all places.
        let of_token = kept.iter().filter(|one| new.token.is_some() && one.token == new.token).count();
        match kept.iter_mut().find(|one| one.id == new.id) {
            // Whoever knows the address alone is not the browser, which has the keys.
            Some(one) if new.token.is_some() && one.token != new.token && !one.has_keys_of(&new) => {
                return Err(BookError::Taken);
            }
            Some(one) if one.token != new.token && of_token >= SUBSCRIPTIONS_OF_TOKEN_MAX => {
                return Err(BookError::Full);
            }
            Some(one) => {
                let is_kept = one.is_same(&new) && new.renewed.saturating_sub(one.renewed) < SAVE_RENEWAL_AFTER;
                if is_kept {
                    return Ok(());
                }
                one.renew(new);
            }
            None if count >= SUBSCRIPTIONS_MAX || of_token >= SUBSCRIPTIONS_OF_TOKEN_MAX => {
                return Err(BookError::Full);
            }
            None => kept.push(new),
        }
        drop(kept);
        self.save().map_err(BookError::Io)
    }

    /// Removes a subscription. False if the name is unknown.
    ///
    /// # Errors
    /// Fails when the file can't be written: it is removed, and would be there again after a restart.
    pub(super) fn remove(&self, id: &str) -> io::Result<bool> {
        let mut kept = self.lock();
        let Some(at) = kept.iter().position(|one| one.id == id) else { return Ok(false) };
        kept.remove(at);
        drop(kept);
        self.save()?;
        Ok(true)
    }

    /// Removes those for which `is_good` is false.
    pub(super) fn keep_only(&self, is_good: impl Fn(&PushSubscription) -> bool) {
        let mut kept = self.lock();
        let count = kept.len();
        kept.retain(|one| is_good(one));
        let is_same = kept.len() == count;
        drop(kept);
        if !is_same && let Err(error) = self.save() {
            log::warn!("a subscription has ended, but only until the server starts again: {error}");
        }
    }

    fn save(&self) -> io::Result<()> {
        let _saving = self.saving.lock().unwrap_or_else(PoisonError::into_inner);
        let stored = SubscriptionFile { version: VERSION, subscriptions: self.all() };
        private_file::replace(&self.file, &serde_json::to_vec_pretty(&stored)?)
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", self.file.display())))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<PushSubscription>> {
        // The list is whole between any two statements that can panic.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn load(file: &Path) -> Result<Vec<PushSubscription>, PrivateFileError> {
    let Some(bytes) = private_file::read(file, FILE_MAX)? else { return Ok(Vec::new()) };
    let stored: SubscriptionFile = serde_json::from_slice(&bytes).map_err(io::Error::from)?;
    if stored.version != VERSION {
        return Err(PrivateFileError::Open(format!("is of version {}, not {VERSION}", stored.version)));
    }
    Ok(stored.subscriptions.into_iter().take(SUBSCRIPTIONS_MAX).collect())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;
    use crate::push::sample::at;
    use crate::push::subscription::NewSubscription;
    use crate::scratch::Scratch;

    fn subscription(number: usize, now: u64) -> PushSubscription {
        PushSubscription::new(at(&format!("https://push.example/{number}")), false, now).unwrap()
    }

    #[test]
    fn subscriptions_outlive_the_server_in_a_private_file() {
        let folder = Scratch::new();
        let book = Book::open(folder.path());
        assert!(book.is_empty());
        book.put(subscription(1, 5)).unwrap();
        let again = Book::open(folder.path());
        assert!(again.get(&subscription(1, 5).id).unwrap().is_same(&book.all()[0]));
        assert_eq!(std::fs::metadata(folder.path().join(FILE)).unwrap().mode() & 0o777, 0o600);
        assert!(book.remove(&subscription(1, 5).id).unwrap());
        assert!(!book.remove(&subscription(1, 5).id).unwrap());
        assert!(Book::open(folder.path()).is_empty());
    }

    #[test]
    fn number_of_subscriptions_is_bounded_and_renewals_are_free() {
        let folder = Scratch::new();
        let book = Book::open(folder.path());
        for number in 0..SUBSCRIPTIONS_MAX {
            book.put(subscription(number, 0)).unwrap();
        }
        assert!(matches!(book.put(subscription(SUBSCRIPTIONS_MAX, 0)), Err(BookError::Full)));
        book.put(subscription(0, SAVE_RENEWAL_AFTER)).unwrap();
        let all = Book::open(folder.path()).all();
        assert_eq!((all.len(), all[0].created, all[0].renewed), (SUBSCRIPTIONS_MAX, 0, SAVE_RENEWAL_AFTER));
        book.keep_only(|one| one.renewed > 0);
        assert_eq!(Book::open(folder.path()).all().len(), 1);
    }

    #[test]
    fn token_renews_no_subscription_of_another_browser() {
        let folder = Scratch::new();
        let book = Book::open(folder.path());
        let own = at("https://push.example/own");
        book.put(PushSubscription::new(own.clone(), false, 0).unwrap()).unwrap();
        let narrow =
            |new| PushSubscription::new(NewSubscription { token: Some("t".to_owned()), ..new }, false, 1).unwrap();
        let other_keys = narrow(at("https://push.example/own"));
        assert!(matches!(book.put(other_keys), Err(BookError::Taken)));
        assert_eq!(book.all()[0].token, None);
        // The same browser, logged in with a token.
        book.put(narrow(own.clone())).unwrap();
        assert_eq!(book.all()[0].token.as_deref(), Some("t"));
        // A token that has its number takes over no further ones.
        for number in 1..SUBSCRIPTIONS_OF_TOKEN_MAX {
            book.put(narrow(at(&format!("https://push.example/{number}")))).unwrap();
        }
        let further = at("https://push.example/further");
        book.put(PushSubscription::new(further.clone(), false, 2).unwrap()).unwrap();
        assert!(matches!(book.put(narrow(further)), Err(BookError::Full)));
    }

    #[test]
    fn file_that_cannot_be_used_counts_as_empty() {
        let folder = Scratch::new();
        for text in ["", "{}", r#"{"version": 2, "subscriptions": []}"#] {
            private_file::replace(&folder.path().join(FILE), text.as_bytes()).unwrap();
            assert!(Book::open(folder.path()).is_empty(), "{text}");
        }
    }
}
