//! One-time codes of login links, in memory alone.

use std::io;
use std::time::{Duration, Instant};

use super::login::hash;
use crate::clock::Micros;
use crate::private_file;

/// Minutes that a code is good for.
pub(crate) const CODE_MINUTES: u64 = 10;
/// Codes at the same time; one more replaces the oldest.
pub(super) const CODES_MAX: usize = 16;
/// Random bytes of a code.
const CODE_BYTES: usize = 16;
const CODE_TIME: Duration = Duration::from_secs(CODE_MINUTES * 60);

/// A code that lets one browser in, once.
#[derive(Clone, Debug)]
pub struct Code {
    /// The code.
    pub text: String,
    /// The time when it is of no more use.
    pub expires: Micros,
}

/// Hashes of the codes that have not been used, oldest first, and when each was made.
#[derive(Default)]
pub(super) struct Codes(Vec<([u8; 32], Instant)>);

impl Codes {
    pub(super) fn make(&mut self, now: Instant) -> io::Result<Code> {
        let text = private_file::random_text::<CODE_BYTES>()?;
        self.forget(now);
        if self.0.len() >= CODES_MAX {
            self.0.remove(0);
        }
        self.0.push((hash(&text), now));
        let micros = u64::try_from(CODE_TIME.as_micros()).unwrap_or(u64::MAX);
        Ok(Code { text, expires: Micros(Micros::now().0.saturating_add(micros)) })
    }

    pub(super) fn redeem(&mut self, code: &str, now: Instant) -> bool {
        self.forget(now);
        let hash = hash(code);
        let Some(at) = self.0.iter().position(|(known, _)| *known == hash) else { return false };
        self.0.remove(at);
        true
    }

    fn forget(&mut self, now: Instant) {
        self.0.retain(|(_, made)| now.saturating_duration_since(*made) < CODE_TIME);
    }
}
