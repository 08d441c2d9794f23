//! Answer links: addresses that answer one prompt in one way, once. Buttons of notifications carry them, so that no
//! token goes into a message to a third party.
//!
//! A link holds random bytes, of which the server keeps a hash in memory. It ends when one of its prompt's links was used,
//! after [`LINK_TIME`], when newer ones need its place, and with the server.

use std::fmt;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};

use crate::private_file;

/// Time that a link is good for.
pub(crate) const LINK_TIME: Duration = Duration::from_secs(3600);
/// Prompts with links at the same time; one more replaces the oldest.
const LINKS_MAX: usize = 256;
/// Random bytes of a link.
const CODE_BYTES: usize = 32;

/// The links that can be used.
#[derive(Default)]
pub(crate) struct AnswerLinks {
    kept: Mutex<Vec<IssuedLink>>,
}

impl fmt::Debug for AnswerLinks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnswerLinks").finish_non_exhaustive()
    }
}

/// The two codes of one prompt.
#[derive(Debug)]
pub(crate) struct PromptCodes {
    /// Allows it, once.
    pub(crate) allow: String,
    /// Denies it, once.
    pub(crate) deny: String,
}

/// The answer that a link gives.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct LinkedAnswer {
    /// The worker that asks.
    pub(crate) worker_id: String,
    /// The prompt.
    pub(crate) request_id: String,
    /// The option of the prompt, by its kind: never one for good.
    pub(crate) option: &'static str,
}

struct IssuedLink {
    worker_id: String,
    request_id: String,
    allow: [u8; 32],
    deny: [u8; 32],
    made: Instant,
}

impl AnswerLinks {
    /// Makes the links of a prompt.
    ///
    /// # Errors
    /// Fails when the system has no random bytes.
    pub(crate) fn make(&self, worker_id: &str, request_id: &str, now: Instant) -> io::Result<PromptCodes> {
        let [allow, deny] = [private_file::random_text::<CODE_BYTES>()?, private_file::random_text::<CODE_BYTES>()?];
        let mut kept = self.lock();
        forget(&mut kept, now);
        if kept.len() >= LINKS_MAX {
            kept.remove(0);
        }
        kept.push(IssuedLink {
            worker_id: worker_id.to_owned(),
            request_id: request_id.to_owned(),
            allow: hash(&allow),
            deny: hash(&deny),
            made: now,
        });
        drop(kept);
        Ok(PromptCodes { allow, deny })
    }

    /// Uses the links of a prompt up by one of them. `None` when it was used already, is too old, or never was one.
    pub(crate) fn redeem(&self, code: &str, now: Instant) -> Option<LinkedAnswer> {
        let hash = hash(code);
        let mut kept = self.lock();
        forget(&mut kept, now);
        let at = kept.iter().position(|one| one.allow == hash || one.deny == hash)?;
        let IssuedLink { worker_id, request_id, allow, .. } = kept.remove(at);
        drop(kept);
        Some(LinkedAnswer { worker_id, request_id, option: if allow == hash { "allow_once" } else { "reject_once" } })
    }

    fn lock(&self) -> MutexGuard<'_, Vec<IssuedLink>> {
        // The list is whole between any two statements that can panic.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Random bytes need no salt, and no slow hash: there is nothing to guess.
fn hash(code: &str) -> [u8; 32] {
    Sha256::digest(code.as_bytes()).into()
}

fn forget(kept: &mut Vec<IssuedLink>, now: Instant) {
    kept.retain(|one| now.saturating_duration_since(one.made) < LINK_TIME);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompt_links_work_once_and_only_one_of_them() {
        let (links, now) = (AnswerLinks::default(), Instant::now());
        let [first, second] = ["r-1", "r-2"].map(|request| links.make("w", request, now).unwrap());
        let answer = links.redeem(&first.deny, now).unwrap();
        assert_eq!((answer.request_id.as_str(), answer.option), ("r-1", "reject_once"));
        for used in [&first.deny, &first.allow] {
            assert_eq!(links.redeem(used, now), None);
        }
        assert_eq!(links.redeem(&second.allow, now).unwrap().option, "allow_once");
        assert_eq!(first.allow.len(), 64);
        assert_ne!(first.allow, first.deny);
    }

    #[test]
    fn links_end_after_their_time_and_are_bounded_in_number() {
        let (links, now) = (AnswerLinks::default(), Instant::now());
        let old = links.make("w", "old", now).unwrap();
        assert_eq!(links.redeem(&old.allow, now + LINK_TIME), None);
        let oldest = links.make("w", "oldest", now).unwrap();
        let newest = (0..LINKS_MAX).map(|at| links.make("w", &at.to_string(), now).unwrap()).last().unwrap();
        assert_eq!(links.lock().len(), LINKS_MAX);
        assert_eq!(links.redeem(&oldest.allow, now), None);
        assert!(links.redeem(&newest.allow, now).is_some());
        assert_eq!(links.redeem("", now), None);
    }
}
