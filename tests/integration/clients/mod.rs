//! Third-party clients against the real server: they show how others read the API's promises. They need
//! `make install-test-deps`, so the names of these tests begin with `real_`.

mod curl;
mod fuzzed;
mod generated;
mod node;

use std::path::{Path, PathBuf};

/// A program of the Python environment that the tests have installed.
fn python_program(name: &str) -> PathBuf {
    let program = project_file("target/venv/bin").join(name);
    assert!(program.exists(), "{} is missing: run `make install-test-deps` first", program.display());
    program
}

fn project_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}
