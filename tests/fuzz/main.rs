//! Fuzzers of everything that reads what others wrote: request heads and bodies, WebSocket input, journals, what server
//! and shim say to each other, declared adapter files, what CLIs print, and what programs print in terminals.
//!
//! They need no special compiler. Each begins with valid inputs, changes them with knowledge of their structure, and
//! checks that nothing panics, that what is promised of any input holds, and that the memory which an input costs stays
//! within a bound that its size gives. The same seed gives the same inputs.
//!
//! ```text
//! RS_WORKER_FUZZ_SECS=600 cargo test --test fuzz     ten minutes for each target (default: half a second)
//! RS_WORKER_FUZZ_SEED=7                              other inputs (default: 1)
//! ```
//! A failure prints the seed and the number of the case; `RS_WORKER_FUZZ_CASE` runs that case alone. A run that was ended
//! in the middle of a case, since it hung or was out of memory, has left both in `target/tmp/fuzz *`.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on says so and fails")]

mod adapters;
mod declared;
mod http;
mod journal;
mod mutate;
mod protocol;
mod run;
mod terminal;
mod websocket;

/// Counts what this program has allocated, for the bounds.
#[global_allocator]
static ALLOCATOR: peak_alloc::PeakAlloc = peak_alloc::PeakAlloc;
