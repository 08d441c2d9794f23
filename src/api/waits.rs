//! The calls of tools that wait for a worker, whose number is limited.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::error::ApiError;

/// Maximum number of concurrent waits, and of those of one credential: each holds a connection's thread.
const WAITS_MAX: usize = 128;
const WAITS_OF_ONE_MAX: usize = 16;
/// Maximum number of concurrent waits of workers' agents: agents and the workers that they make leave room for people.
const WAITS_OF_AGENTS_MAX: usize = WAITS_MAX / 2;

/// The waits, counted by credential.
#[derive(Default)]
pub(crate) struct Waits(Mutex<WaitCounts>);

/// The numbers of waits.
#[derive(Default)]
struct WaitCounts {
    by_credential: HashMap<String, usize>,
    of_agents: usize,
}

/// One of them, held until it is dropped.
pub(super) struct WaitSlot<'w> {
    waits: &'w Waits,
    of: String,
    is_agent: bool,
}

impl Waits {
    /// Begins a wait of a credential, unless too many are running.
    pub(super) fn begin(&self, of: &str, is_agent: bool) -> Result<WaitSlot<'_>, ApiError> {
        let mut waiting = self.lock();
        let of_one = waiting.by_credential.get(of).copied().unwrap_or_default();
        let is_full = waiting.by_credential.values().sum::<usize>() >= WAITS_MAX
            || (is_agent && waiting.of_agents >= WAITS_OF_AGENTS_MAX);
        if of_one >= WAITS_OF_ONE_MAX || is_full {
            let text =
                format!("too many calls wait already ({of_one} of this client); try again when one has returned");
            return Err(ApiError::Detail(429, text));
        }
        waiting.by_credential.insert(of.to_owned(), of_one + 1);
        waiting.of_agents += usize::from(is_agent);
        Ok(WaitSlot { waits: self, of: of.to_owned(), is_agent })
    }

    fn lock(&self) -> MutexGuard<'_, WaitCounts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for WaitSlot<'_> {
    fn drop(&mut self) {
        let mut waiting = self.waits.lock();
        waiting.of_agents -= usize::from(self.is_agent);
        match waiting.by_credential.get_mut(&self.of) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(waiting.by_credential.remove(&self.of)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_counted_by_credential_and_released() {
        let waits = Waits::default();
        let held: Vec<_> = (0..WAITS_OF_ONE_MAX).map(|_| waits.begin("a", false).unwrap()).collect();
        assert!(matches!(waits.begin("a", false), Err(ApiError::Detail(429, _))));
        let other = waits.begin("b", false).unwrap();
        drop((held, other));
        assert!(waits.lock().by_credential.is_empty());
        assert!(waits.begin("a", false).is_ok());
    }

    #[test]
    fn agents_leave_waits_for_people() {
        let waits = Waits::default();
        let of = |at: usize| format!("agent-{}", at / WAITS_OF_ONE_MAX);
        let held: Vec<_> = (0..WAITS_OF_AGENTS_MAX).map(|at| waits.begin(&of(at), true).unwrap()).collect();
        assert!(matches!(waits.begin("agent-next", true), Err(ApiError::Detail(429, _))));
        assert!(waits.begin("person", false).is_ok());
        drop(held);
        assert!(waits.begin("agent-next", true).is_ok());
    }
}
