//! One-time codes of login links, in memory alone.

use std::io;
use std::time::{Duration, Instant};

use crate::access::hash;
use crate::clock::Micros;
use crate::private_file;

/// Minutes that a code is good for.
pub(crate) const CODE_MINUTES: u64 = 10;
/// Codes at the same time; one more replaces the oldest.
pub(super) const CODES_MAX: usize = 16;
/// Random bytes of a code.
const CODE_BYTES: usize = 16;
const CODE_TIME: Duration = Duration::from_secs(CODE_MINUTES * 60);

/// Returns whether a code, right or wrong, is for the scope of a token.
pub(crate) fn is_pairing(code: &str) -> bool {
    code.contains(SEPARATOR)
}

/// A code that lets one browser in, once.
#[derive(Clone, Debug)]
pub struct Code {
    /// The code.
    pub text: String,
    /// The time when it is of no more use.
    pub expires: Micros,
}

/// Wrong codes that end a pairing.
pub(super) const WRONG_MAX: u8 = 5;
/// Random bytes of the name of a pairing, by which wrong codes are counted.
const NAME_BYTES: usize = 4;
/// The character between the name of a pairing and its secret.
const SEPARATOR: char = '.';

/// A code that has not been used.
struct KeptCode {
    hash: [u8; 32],
    made: Instant,
    pairing: Option<Pairing>,
}

/// The part of a code that is for the scope of a token.
struct Pairing {
    /// The beginning of its codes, right or wrong.
    name: String,
    /// The token's id.
    token: String,
    /// Wrong codes with its name.
    wrong: u8,
}

/// The codes that have not been used, oldest first.
#[derive(Default)]
pub(super) struct LoginCodes(Vec<KeptCode>);

impl LoginCodes {
    pub(super) fn make(&mut self, now: Instant) -> io::Result<Code> {
        self.keep(private_file::random_text::<CODE_BYTES>()?, None, now)
    }

    pub(super) fn make_pairing(&mut self, token: &str, now: Instant) -> io::Result<Code> {
        let name = private_file::random_text::<NAME_BYTES>()?;
        let text = format!("{name}{SEPARATOR}{}", private_file::random_text::<CODE_BYTES>()?);
        // A new code for a device replaces the last one, which somebody may have seen.
        self.forget_token(token);
        self.keep(text, Some(Pairing { name, token: token.to_owned(), wrong: 0 }), now)
    }

    fn keep(&mut self, text: String, pairing: Option<Pairing>, now: Instant) -> io::Result<Code> {
        self.forget(now);
        if self.0.len() >= CODES_MAX {
            self.0.remove(0);
        }
        self.0.push(KeptCode { hash: hash(&text), made: now, pairing });
        let micros = u64::try_from(CODE_TIME.as_micros()).unwrap_or(u64::MAX);
        Ok(Code { text, expires: Micros(Micros::now().0.saturating_add(micros)) })
    }

    /// Removes a right code if `begin` succeeds; counts a wrong one.
    pub(super) fn redeem<T>(
        &mut self,
        code: &str,
        now: Instant,
        begin: impl FnOnce(Option<&str>) -> io::Result<Option<T>>,
    ) -> io::Result<Option<T>> {
        self.forget(now);
        let hash = hash(code);
        let Some(at) = self.0.iter().position(|known| known.hash == hash) else {
            self.count_wrong(code);
            return Ok(None);
        };
        let begun = begin(self.0[at].pairing.as_ref().map(|pairing| pairing.token.as_str()))?;
        if begun.is_some() {
            self.0.remove(at);
        }
        Ok(begun)
    }

    fn count_wrong(&mut self, code: &str) {
        let Some((named, _)) = code.split_once(SEPARATOR) else { return };
        self.0.retain_mut(|known| {
            let Some(pairing) = known.pairing.as_mut().filter(|pairing| pairing.name == named) else { return true };
            pairing.wrong += 1;
            pairing.wrong < WRONG_MAX
        });
    }

    /// Removes the codes of a token.
    pub(super) fn forget_token(&mut self, token: &str) {
        self.0.retain(|known| known.pairing.as_ref().is_none_or(|pairing| pairing.token != token));
    }

    fn forget(&mut self, now: Instant) {
        self.0.retain(|known| now.saturating_duration_since(known.made) < CODE_TIME);
    }
}
