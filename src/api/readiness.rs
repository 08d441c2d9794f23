//! The readiness of the server: not stopping, and a data folder that can be written.
//!
//! A check writes to the disk, so its result is cached, and one thread at a time performs it: a hanging disk blocks one
//! connection, and the others report that.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::data_dir::{self, DataDir, DataDirError};

/// Time for which a result is cached.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A write to the data folder that takes longer than this is considered hung.
const DISK_PATIENCE: Duration = Duration::from_secs(5);

/// The server's readiness.
pub(crate) struct Readiness {
    data_dir: Arc<DataDir>,
    stopping: AtomicBool,
    disk: Mutex<Disk>,
}

/// The last check of the data folder.
struct Disk {
    writable: Result<(), String>,
    looked: Option<Instant>,
    /// The start of the check in progress.
    looking: Option<Instant>,
}

impl Readiness {
    /// Creates the readiness of a server with this data folder.
    pub(crate) fn new(data_dir: Arc<DataDir>) -> Self {
        let disk = Disk { writable: Ok(()), looked: None, looking: None };
        Self { data_dir, stopping: AtomicBool::new(false), disk: Mutex::new(disk) }
    }

    /// Marks the server as stopping: clients should not send requests to it any more.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    /// Returns the server's readiness.
    ///
    /// # Errors
    /// The reason for which it is not ready.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.stopping.load(Ordering::Acquire) {
            return Err("the server is stopping".to_owned());
        }
        let mut disk = self.lock();
        if let Some(since) = disk.looking {
            if since.elapsed() > DISK_PATIENCE {
                return Err("the data folder does not answer: a write to it hangs".to_owned());
            }
            return disk.writable.clone();
        }
        if disk.looked.is_some_and(|at| at.elapsed() < LOOK_EVERY) {
            return disk.writable.clone();
        }
        disk.looking = Some(Instant::now());
        drop(disk);
        let writable = self.try_write();
        let mut disk = self.lock();
        (disk.looking, disk.looked) = (None, Some(Instant::now()));
        disk.writable.clone_from(&writable);
        writable
    }

    /// Opens the data folder and writes to it. The reason names no path.
    fn try_write(&self) -> Result<(), String> {
        let error = match self.data_dir.hold() {
            Ok(()) => match data_dir::try_write(self.data_dir.path()) {
                Ok(()) => return Ok(()),
                Err(error) => error,
            },
            Err(DataDirError::Io { source, .. }) => source,
            Err(DataDirError::InUse { .. }) => {
                return Err("another server uses the data folder (see WORKERS_BASE_DIR)".to_owned());
            }
        };
        Err(format!("the data folder cannot be written: {error} (see WORKERS_BASE_DIR)"))
    }

    fn lock(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hanging_write_is_reported_by_readers_that_do_not_wait() {
        let folder = crate::scratch::Scratch::new();
        let readiness = Readiness::new(Arc::new(DataDir::take(&folder.path().join("data")).unwrap()));
        readiness.lock().looking = Some(Instant::now());
        assert_eq!(readiness.check(), Ok(()), "it may still come back");
        readiness.lock().looking = Instant::now().checked_sub(DISK_PATIENCE + Duration::from_secs(1));
        assert!(readiness.check().unwrap_err().contains("hangs"));
    }
}
