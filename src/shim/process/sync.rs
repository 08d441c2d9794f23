//! Brings the journal to the disk from a thread of its own, because that may take seconds and the shim's loop must not
//! wait for it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Sender, TrySendError, bounded};
use nix::sys::eventfd::{EfdFlags, EventFd};

use crate::journal::Syncer;
use crate::thread::Thread;

/// Longest time that written records stay in memory alone, where a power cut loses them.
const SYNC_DELAY: Duration = Duration::from_secs(1);

/// The thread, as the loop sees it. Dropping it lets a running sync finish.
#[derive(Debug)]
pub(super) struct SyncThread {
    /// One request may wait behind the running one. Declared before `thread`, which ends when this is dropped.
    requests: Option<Sender<u64>>,
    shared: Arc<SyncState>,
    /// The time at which the oldest unsynced record is due.
    due: Option<Instant>,
    /// The journal's end in the last request that was passed on.
    requested: u64,
    thread: Option<Thread>,
}

#[derive(Debug)]
struct SyncState {
    /// The journal is on the disk up to here, as far as the disk says.
    synced: AtomicU64,
    done: EventFd,
}

impl SyncThread {
    /// Starts the thread. Signals must be blocked already: it inherits that.
    ///
    /// # Errors
    /// Fails when the system has no thread or file descriptor to give.
    pub(super) fn spawn(syncer: Syncer, synced: u64) -> io::Result<Self> {
        let done = EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)?;
        let shared = Arc::new(SyncState { synced: AtomicU64::new(synced), done });
        let (requests, received) = bounded::<u64>(1);
        let theirs = Arc::clone(&shared);
        let thread = Thread::spawn("sync", move || {
            for end in received {
                if let Err(err) = syncer.sync() {
                    // The records are in the page cache all the same; that is what everything but a power cut needs.
                    log::error!("the journal could not be brought to the disk: {err}");
                }
                theirs.synced.store(end, Ordering::Release);
                let _ = theirs.done.write(1);
            }
        })?;
        Ok(Self { requests: Some(requests), shared, due: None, requested: synced, thread: Some(thread) })
    }

    /// Schedules a sync of the records that were written at `now`.
    pub(super) fn written(&mut self, now: Instant) {
        self.due.get_or_insert(now + SYNC_DELAY);
    }

    /// The time at which [`SyncThread::request`] must be called next.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Asks for everything up to `end` to be synced. It stays due when the thread is still busy with two others.
    pub(super) fn request(&mut self, now: Instant, end: u64) {
        if self.requested >= end {
            self.due = None;
            return;
        }
        match self.requests.as_ref().map(|requests| requests.try_send(end)) {
            Some(Err(TrySendError::Full(_))) => self.due = Some(now + SYNC_DELAY),
            _ => (self.due, self.requested) = (None, end),
        }
    }

    /// The end of the part of the journal that is on the disk.
    pub(super) fn synced(&self) -> u64 {
        self.shared.synced.load(Ordering::Acquire)
    }

    /// Becomes readable when [`SyncThread::synced`] has grown.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.shared.done.as_fd()
    }

    /// Resets [`SyncThread::fd`] after it was readable.
    pub(super) fn clear(&self) {
        let _ = self.shared.done.read();
    }
}

impl Drop for SyncThread {
    fn drop(&mut self) {
        drop(self.requests.take());
        drop(self.thread.take());
    }
}
