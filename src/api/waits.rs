//! The calls of tools that wait for a worker, whose number is limited.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::error::ApiError;

/// Maximum number of concurrent waits, and of those of one credential: each holds a connection's thread.
const WAITS_MAX: usize = 128;
const WAITS_OF_ONE_MAX: usize = 16;

/// The waits, counted by credential.
#[derive(Default)]
pub(crate) struct Waits(Mutex<HashMap<String, usize>>);

/// One of them, held until it is dropped.
pub(super) struct WaitSlot<'w> {
    waits: &'w Waits,
    of: String,
}

impl Waits {
    /// Begins a wait of a credential, unless too many are running.
    pub(super) fn begin(&self, of: &str) -> Result<WaitSlot<'_>, ApiError> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_one = waiting.get(of).copied().unwrap_or_default();
        if of_one >= WAITS_OF_ONE_MAX || waiting.values().sum::<usize>() >= WAITS_MAX {
            let text =
                format!("too many calls wait already ({of_one} of this client); try again when one has returned");
            return Err(ApiError::Detail(429, text));
        }
        waiting.insert(of.to_owned(), of_one + 1);
        Ok(WaitSlot { waits: self, of: of.to_owned() })
    }
}

impl Drop for WaitSlot<'_> {
    fn drop(&mut self) {
        let mut waiting = self.waits.0.lock().unwrap_or_else(PoisonError::into_inner);
        match waiting.get_mut(&self.of) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(waiting.remove(&self.of)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_counted_by_credential_and_released() {
        let waits = Waits::default();
        let held: Vec<_> = (0..WAITS_OF_ONE_MAX).map(|_| waits.begin("a").unwrap()).collect();
        assert!(matches!(waits.begin("a"), Err(ApiError::Detail(429, _))));
        let other = waits.begin("b").unwrap();
        drop((held, other));
        assert!(waits.0.lock().unwrap().is_empty());
        assert!(waits.begin("a").is_ok());
    }
}
