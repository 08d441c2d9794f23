//! Whether the server can take work, for whoever sends it some: `GET /api/ready`.
//!
//! Health says that the process answers; readiness that what it needs is there. Probes carry no token as a rule, so anybody
//! may ask, and the answer names no path. What it looks at costs a write to the disk, so it is looked at once in a while,
//! by one thread at a time: a disk that hangs holds up one connection, and the others are told so.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::json;

use super::{Call, Handled};
use crate::data_dir;
use crate::http::Response;

/// How long an answer is good for.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A write to the data folder that takes longer than this is taken for one that never comes back.
const DISK_PATIENCE: Duration = Duration::from_secs(5);

/// What is known of the server's readiness.
pub struct Readiness {
    data_dir: PathBuf,
    stopping: AtomicBool,
    disk: Mutex<Disk>,
}

/// The last look at the data folder.
struct Disk {
    writable: Result<(), String>,
    looked: Option<Instant>,
    /// Since when somebody is looking.
    looking: Option<Instant>,
}

impl Readiness {
    /// Of a server whose data is in this folder.
    pub fn new(data_dir: PathBuf) -> Self {
        let disk = Disk { writable: Ok(()), looked: None, looking: None };
        Self { data_dir, stopping: AtomicBool::new(false), disk: Mutex::new(disk) }
    }

    /// It stops: nothing is to be sent here any more.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    /// Whether it can take work.
    ///
    /// # Errors
    /// Why not.
    fn check(&self) -> Result<(), String> {
        if self.stopping.load(Ordering::Acquire) {
            return Err("stopping: the server was told to end".to_owned());
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
        let writable = data_dir::try_write(&self.data_dir)
            .map_err(|error| format!("the data folder cannot be written: {error} (see WORKERS_BASE_DIR)"));
        let mut disk = self.lock();
        (disk.looking, disk.looked) = (None, Some(Instant::now()));
        disk.writable.clone_from(&writable);
        writable
    }

    fn lock(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `GET /api/ready`
pub(super) fn ready(call: &Call<'_>) -> Handled {
    Ok(match call.api.readiness.check() {
        Ok(()) => Response::json(200, &json!({"status": "ready"})).into(),
        Err(reason) => not_ready(&reason).into(),
    })
}

/// The answer of a server that is not ready, with the reason.
pub(super) fn not_ready(reason: &str) -> Response {
    Response::error(503, reason).with_header("Retry-After", "1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_that_hangs_is_told_by_those_who_do_not_wait_for_it() {
        let readiness = Readiness::new(std::env::temp_dir());
        readiness.lock().looking = Some(Instant::now());
        assert_eq!(readiness.check(), Ok(()), "it may still come back");
        readiness.lock().looking = Instant::now().checked_sub(DISK_PATIENCE + Duration::from_secs(1));
        assert!(readiness.check().unwrap_err().contains("hangs"));
    }
}
