//! Integration tests: one program, one module a theme.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on says so and fails")]

mod shim;
