//! Slows down clients that guess tokens: after some failures an address has to wait before its next try, longer each time.
//! Nobody's thread waits for that: a try that comes too early is answered 429 with `Retry-After`. No clock: callers give
//! the time.

use std::collections::hash_map::RandomState;
use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::table::Origin;

/// Failures that cost nothing: people mistype.
pub(crate) const FREE_FAILURES: u32 = 5;
/// Wait after the first failure over [`FREE_FAILURES`]; it doubles with each further one.
pub const FIRST_WAIT: Duration = Duration::from_secs(1);
/// Longest wait.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// An address that has not failed for this long is forgotten.
pub(crate) const MEMORY: Duration = Duration::from_secs(15 * 60);
/// Different wrong secrets of one address that are remembered: each counts once.
pub(crate) const SECRETS_MAX: usize = 32;
/// Addresses that are remembered. When all places are taken, the one that failed longest ago is forgotten.
pub(crate) const ADDRESSES_MAX: usize = 4_096;

/// Failed tries by address (by /64 network for IPv6).
#[derive(Debug, Default)]
pub(crate) struct Throttle {
    failures: Mutex<HashMap<Origin, Failures>>,
    /// Secrets are compared by a hash with a random key, so that none is kept.
    hasher: RandomState,
}

#[derive(Clone, Debug)]
struct Failures {
    count: u32,
    last: Instant,
    /// Hashes of the last wrong secrets.
    secrets: VecDeque<u64>,
}

impl Failures {
    fn wait(&self) -> Duration {
        match self.count.checked_sub(FREE_FAILURES) {
            None | Some(0) => Duration::ZERO,
            Some(over) => FIRST_WAIT.saturating_mul(1_u32.checked_shl(over - 1).unwrap_or(u32::MAX)).min(LONGEST_WAIT),
        }
    }
}

impl Throttle {
    /// Records a try whose secret was compared already, and returns whether its outcome may be reported: a client that has
    /// to wait learns nothing, right or wrong. Checking and counting are one step, so that simultaneous tries all count.
    ///
    /// A wrong secret counts once: again it teaches a guesser nothing, and programs with an old one ask many times. A right
    /// one makes the failures of its address forgotten.
    ///
    /// # Errors
    /// The time that the address has to wait.
    pub(crate) fn count(&self, address: IpAddr, secret: &str, is_right: bool, now: Instant) -> Result<(), Duration> {
        let secret = self.hasher.hash_one(secret);
        let origin = Origin::of(address);
        let mut failures = self.lock();
        if let Some(entry) = failures.get_mut(&origin) {
            let left = (entry.last + entry.wait()).saturating_duration_since(now);
            if !left.is_zero() {
                return Err(left);
            }
            if is_right || now.saturating_duration_since(entry.last) > MEMORY {
                failures.remove(&origin);
            }
        }
        if is_right {
            return Ok(());
        }
        if failures.len() >= ADDRESSES_MAX && !failures.contains_key(&origin) {
            make_room(&mut failures, now);
        }
        let entry =
            failures.entry(origin).or_insert_with(|| Failures { count: 0, last: now, secrets: VecDeque::new() });
        if !entry.secrets.contains(&secret) {
            if entry.secrets.len() >= SECRETS_MAX {
                entry.secrets.pop_front();
            }
            entry.secrets.push_back(secret);
            entry.count = entry.count.saturating_add(1);
            entry.last = now;
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Origin, Failures>> {
        // Nothing between two changes of the table can panic.
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn make_room(failures: &mut HashMap<Origin, Failures>, now: Instant) {
    failures.retain(|_, entry| now.saturating_duration_since(entry.last) <= MEMORY);
    if failures.len() >= ADDRESSES_MAX
        && let Some(oldest) = failures.iter().min_by_key(|(_, entry)| entry.last).map(|(origin, _)| *origin)
    {
        failures.remove(&oldest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    fn fail(throttle: &Throttle, secret: &str, now: Instant) -> Result<(), Duration> {
        throttle.count(PEER, secret, false, now)
    }

    #[test]
    fn waits_grow_with_failures_up_to_a_bound() {
        let (throttle, mut now) = (Throttle::default(), Instant::now());
        for guess in 0..FREE_FAILURES {
            assert_eq!(fail(&throttle, &guess.to_string(), now), Ok(()));
        }
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
            assert_eq!(fail(&throttle, &format!("again {seconds} {now:?}"), now), Ok(()), "the try itself is judged");
            let wait = Duration::from_secs(seconds);
            assert_eq!(fail(&throttle, "too early", now), Err(wait));
            assert_eq!(throttle.count(PEER, "right", true, now), Err(wait), "the right one learns nothing either");
            now += wait;
        }
        assert_eq!(throttle.count(IpAddr::from([192, 0, 2, 2]), "x", false, now), Ok(()), "others do not wait");
        assert_eq!(throttle.count(PEER, "right", true, now), Ok(()));
        for guess in 0..FREE_FAILURES {
            assert_eq!(fail(&throttle, &guess.to_string(), now), Ok(()), "the right one makes all forgotten");
        }
    }

    #[test]
    fn each_wrong_secret_counts_once_in_any_order() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        for at in 0..100 {
            assert_eq!(fail(&throttle, ["an old token", "another", "a third"][at % 3], now), Ok(()));
        }
    }

    #[test]
    fn guesses_at_the_same_time_all_count() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        let judged: usize = std::thread::scope(|scope| {
            let guess = |at: usize| {
                let throttle = &throttle;
                scope.spawn(move || fail(throttle, &format!("guess {at}"), now).is_ok())
            };
            let guesses: Vec<_> = (0..64).map(guess).collect();
            guesses.into_iter().map(|guess| usize::from(guess.join().unwrap())).sum()
        });
        assert_eq!(judged, FREE_FAILURES as usize + 1);
    }

    #[test]
    fn failures_are_forgotten() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        for guess in 0..=FREE_FAILURES {
            let _ = fail(&throttle, &guess.to_string(), now);
        }
        assert!(fail(&throttle, "x", now).is_err());
        let later = now + MEMORY + Duration::from_secs(1);
        for guess in 0..FREE_FAILURES {
            assert_eq!(fail(&throttle, &guess.to_string(), later), Ok(()));
        }
    }

    #[test]
    fn the_table_is_bounded_and_forgets_the_oldest() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        for number in 0..=ADDRESSES_MAX as u32 {
            let address = IpAddr::from(number.to_be_bytes());
            let _ = throttle.count(address, "x", false, now + Duration::from_micros(number.into()));
        }
        let failures = throttle.lock();
        assert_eq!(failures.len(), ADDRESSES_MAX);
        assert!(!failures.contains_key(&Origin::of(IpAddr::from([0, 0, 0, 0]))));
        drop(failures);
        for number in 0..SECRETS_MAX as u32 * 2 {
            let at = now + LONGEST_WAIT * (number + 1);
            let _ = fail(&throttle, &number.to_string(), at);
        }
        assert!(throttle.lock().values().all(|entry| entry.secrets.len() <= SECRETS_MAX));
    }
}
