//! Random numbers from a seed, so that a failure can be reproduced.

use std::time::{SystemTime, UNIX_EPOCH};

/// Set this environment variable to the seed that a failed test has printed.
pub(crate) const SEED: &str = "RS_WORKER_TEST_SEED";

/// A generator (splitmix64).
pub(crate) struct Random {
    state: u64,
}

impl Random {
    /// Creates a generator with the seed of [`SEED`], or another one each time. It prints the seed, which a failing
    /// test shows.
    pub(crate) fn new() -> Self {
        let given = std::env::var(SEED).ok().and_then(|text| text.parse().ok());
        let seed = given.unwrap_or_else(|| SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64);
        println!("{SEED}={seed}");
        Self { state: seed }
    }

    /// Returns the next number below `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}
