//! The unchanged contents of `deploy/`: behind real proxies, under the system's own checks, through upgrades.

mod containers;
mod packages;
mod proxy;
mod units;
mod upgrade;

use std::path::{Path, PathBuf};

/// A file of the project.
fn project_path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn project_file(name: &str) -> String {
    std::fs::read_to_string(project_path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}
