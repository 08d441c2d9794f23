//! Runs the cases of a target one after another, and watches them.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, setrlimit};

use crate::ALLOCATOR;
use crate::mutate::Mutator;

/// The duration of each target, in seconds.
const SECS: &str = "RS_WORKER_FUZZ_SECS";
/// Long enough to find most mistakes at once.
const SECS_DEFAULT: f64 = 0.5;
/// The seed of the random numbers.
const SEED: &str = "RS_WORKER_FUZZ_SEED";
/// The only case to run.
const CASE: &str = "RS_WORKER_FUZZ_CASE";

/// Address space of the whole program, in bytes. An input that wants more ends the program, and not the machine.
const SPACE_BYTES: u64 = 4 << 30;

/// Memory is the whole program's, so one target runs at a time. Tests read their seeds before that, so they need one thread
/// (`--test-threads=1`).
static ALONE: Mutex<()> = Mutex::new(());

fn setting<T: FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok().map(|text| text.parse().ok().unwrap_or_else(|| panic!("{name} is not a number: {text}")))
}

/// Runs cases of `target` until the time is over. `case` gets random numbers that depend on the seed and the case's
/// number alone.
pub(crate) fn fuzz(target: &str, mut case: impl FnMut(&mut Mutator)) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let seed = setting(SEED).unwrap_or(1);
    let only = setting(CASE);
    let end = Instant::now() + Duration::from_secs_f64(setting(SECS).unwrap_or(SECS_DEFAULT));
    let mut number = only.unwrap_or(0);
    setrlimit(Resource::RLIMIT_AS, SPACE_BYTES, SPACE_BYTES).expect("a smaller address space");
    // The last case of a program that was ended in the middle of one, by that limit or by hand.
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz {target}"));
    let running = File::create(file).expect("a file for the number of the case");
    while only.is_some() || Instant::now() < end {
        running
            .write_all_at(format!("{SEED}={seed} {CASE}={number:020}\n").as_bytes(), 0)
            .expect("the number of the case");
        let run = catch_unwind(AssertUnwindSafe(|| case(&mut Mutator::new(seed, number))));
        if let Err(panic) = run {
            eprintln!("{target}: {SEED}={seed} {CASE}={number}");
            resume_unwind(panic);
        }
        number += 1;
        if only.is_some() {
            break;
        }
    }
    eprintln!("{target}: {number} cases with {SEED}={seed}");
}

/// Runs `body` and fails if it had more than `limit` bytes allocated at once beyond what there was before.
#[track_caller]
pub(crate) fn bounded<T>(limit: usize, body: impl FnOnce() -> T) -> T {
    let before = ALLOCATOR.current_usage();
    ALLOCATOR.reset_peak_usage();
    let value = body();
    let peak = ALLOCATOR.peak_usage().saturating_sub(before);
    assert!(peak <= limit, "{peak} bytes of memory at once, where {limit} are allowed");
    value
}
