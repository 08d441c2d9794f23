//! A separate directory for each test.

use std::fs;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

/// Set this environment variable to keep the directories of tests that pass.
pub(crate) const KEEP: &str = "RS_WORKER_TEST_KEEP";

static COUNT: AtomicU32 = AtomicU32::new(0);

/// A new directory that is removed at drop, unless the test has failed or [`KEEP`] is set.
pub(crate) struct TempDir {
    path: PathBuf,
}

impl TempDir {
    /// Creates a directory; `name` is for people who inspect it after a failure.
    pub(crate) fn new(name: &str) -> Self {
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("rs-worker-test-{}-{count}-{name}", process::id()));
        fs::create_dir_all(&path).unwrap();
        // Symlinks are resolved, because the server answers with real paths.
        Self { path: path.canonicalize().unwrap() }
    }

    /// Returns its path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Creates a directory below it.
    pub(crate) fn dir(&self, name: &str) -> PathBuf {
        let path = self.path.join(name);
        fs::create_dir_all(&path).unwrap();
        path
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        if std::thread::panicking() || std::env::var_os(KEEP).is_some() {
            eprintln!("kept: {}", self.path.display());
        } else if let Err(error) = fs::remove_dir_all(&self.path) {
            eprintln!("{} cannot be removed: {error}", self.path.display());
        }
    }
}
