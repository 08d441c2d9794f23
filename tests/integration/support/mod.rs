//! The base of the tests: the server under test, clients for it, a fake model behind the real CLIs, and the one place
//! that waits.
//!
//! Each part is usable alone. A test that needs a condition calls [`wait::eventually`]; nothing else in the tests
//! pauses.
#![allow(dead_code, reason = "each themed module uses its own part of this")]

pub(crate) mod between;
pub(crate) mod blocks;
pub(crate) mod cgroup;
pub(crate) mod clis;
pub(crate) mod git_http;
pub(crate) mod http;
pub(crate) mod model;
pub(crate) mod offspring;
pub(crate) mod output;
pub(crate) mod pipes;
pub(crate) mod podman;
pub(crate) mod processes;
pub(crate) mod random;
pub(crate) mod require;
pub(crate) mod schema;
pub(crate) mod server;
pub(crate) mod slurm;
pub(crate) mod sshd;
pub(crate) mod temp;
pub(crate) mod users;
pub(crate) mod wait;
pub(crate) mod workers;
pub(crate) mod ws;
