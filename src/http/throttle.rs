//! Slows down those who guess tokens: after some failures an address has to wait before its next try, longer each time.
//! Nobody's thread waits for that: a try that comes too early is answered 429 with `Retry-After`. No clock: callers give
//! the time.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::table::Origin;

/// Failures that cost nothing: people mistype.
pub const FREE_FAILURES: u32 = 5;
/// Wait after the first failure over [`FREE_FAILURES`]; it doubles with each further one.
pub const FIRST_WAIT: Duration = Duration::from_secs(1);
/// Longest wait.
pub const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// An address that has not failed for this long is forgotten.
pub const MEMORY: Duration = Duration::from_secs(15 * 60);
/// Addresses that are remembered. When all places are taken, the one that failed longest ago is forgotten.
pub const ADDRESSES_MAX: usize = 4_096;

/// Failed tries by address (by /64 network for IPv6).
#[derive(Debug, Default)]
pub struct Throttle {
    failures: Mutex<HashMap<Origin, Failures>>,
    /// Secrets are compared by a hash with a random key, so that none is kept.
    hasher: RandomState,
}

#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    last: Instant,
    /// Hash of the last wrong secret.
    secret: u64,
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
    /// Whether `address` may try now. Ask before comparing the secret, or a guesser learns which one is right.
    ///
    /// # Errors
    /// How long it has to wait.
    pub fn check(&self, address: IpAddr, now: Instant) -> Result<(), Duration> {
        let failures = self.lock();
        let Some(entry) = failures.get(&Origin::of(address)) else { return Ok(()) };
        let left = (entry.last + entry.wait()).saturating_duration_since(now);
        if left.is_zero() { Ok(()) } else { Err(left) }
    }

    /// Notes that `secret` was wrong. The same one again does not count: it teaches a guesser nothing, and a page with
    /// an old cookie asks many times.
    pub fn failed(&self, address: IpAddr, secret: &str, now: Instant) {
        let secret = self.hasher.hash_one(secret);
        let mut failures = self.lock();
        let origin = Origin::of(address);
        if failures.len() >= ADDRESSES_MAX && !failures.contains_key(&origin) {
            make_room(&mut failures, now);
        }
        let entry = failures.entry(origin).or_insert(Failures { count: 0, last: now, secret: !secret });
        if now.saturating_duration_since(entry.last) > MEMORY {
            entry.count = 0;
            entry.secret = !secret;
        }
        if entry.secret != secret {
            entry.count = entry.count.saturating_add(1);
            entry.secret = secret;
            entry.last = now;
        }
    }

    /// Forgets the failures of an address that has shown the right secret.
    pub fn succeeded(&self, address: IpAddr) {
        let mut failures = self.lock();
        if !failures.is_empty() {
            failures.remove(&Origin::of(address));
        }
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

    #[test]
    fn waits_grow_with_failures_up_to_a_bound() {
        let (throttle, mut now) = (Throttle::default(), Instant::now());
        for guess in 0..FREE_FAILURES {
            throttle.failed(PEER, &guess.to_string(), now);
            assert_eq!(throttle.check(PEER, now), Ok(()));
        }
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
            throttle.failed(PEER, &format!("again {seconds} {now:?}"), now);
            let wait = Duration::from_secs(seconds);
            assert_eq!(throttle.check(PEER, now), Err(wait));
            now += wait;
            assert_eq!(throttle.check(PEER, now), Ok(()));
        }
        for _ in 0..100 {
            now += Duration::from_millis(1);
            throttle.failed(PEER, &format!("{now:?}"), now);
        }
        assert_eq!(throttle.check(PEER, now), Err(LONGEST_WAIT));
        assert_eq!(throttle.check(IpAddr::from([192, 0, 2, 2]), now), Ok(()), "others do not wait");
        throttle.succeeded(PEER);
        assert_eq!(throttle.check(PEER, now), Ok(()));
    }

    #[test]
    fn the_same_wrong_secret_counts_once() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        for _ in 0..100 {
            throttle.failed(PEER, "an old cookie", now);
        }
        assert_eq!(throttle.check(PEER, now), Ok(()));
    }

    #[test]
    fn failures_are_forgotten() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        for guess in 0..=FREE_FAILURES {
            throttle.failed(PEER, &guess.to_string(), now);
        }
        assert!(throttle.check(PEER, now).is_err());
        let later = now + MEMORY + Duration::from_secs(1);
        throttle.failed(PEER, "once more", later);
        assert_eq!(throttle.check(PEER, later), Ok(()));
    }

    #[test]
    fn the_table_is_bounded_and_forgets_the_oldest() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        for number in 0..=ADDRESSES_MAX as u32 {
            throttle.failed(IpAddr::from(number.to_be_bytes()), "x", now + Duration::from_micros(number.into()));
        }
        let failures = throttle.lock();
        assert_eq!(failures.len(), ADDRESSES_MAX);
        assert!(!failures.contains_key(&Origin::of(IpAddr::from([0, 0, 0, 0]))));
    }
}
