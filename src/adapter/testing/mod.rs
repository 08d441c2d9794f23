//! The adapters on recordings of real CLIs, and the promises that every adapter keeps.

mod odd_lines;
pub(in crate::adapter) mod recorded;
mod transcripts;
