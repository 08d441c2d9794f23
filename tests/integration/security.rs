//! The security baseline: each rule with the exact response.

mod access;
mod files;
mod local;
mod logins;
mod push;
mod secrets;
mod workers;

/// A token that is long enough to be one.
const TOKEN: &str = "correct-horse-battery-staple-0123";
