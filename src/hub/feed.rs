//! The stream of what a list of workers needs: creations, changes, deletions, prompts.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::outbox::{CatchUp, CatchUpStep, Frames, Offer, Outbox};
use crate::access::Reach;
use crate::metrics;

/// The whole list as it is now, for a client that has fallen behind: it needs no history, just the truth.
pub(crate) trait Snapshot: Send + Sync {
    /// Appends the frames that replace everything a client of this reach knew.
    fn snapshot(&self, reach: &Reach, frames: &mut Vec<u8>);
}

/// Returns whether a worker is in a reach, by its id.
pub(crate) type WorkerFinder = Box<dyn Fn(&str, &Reach) -> bool + Send + Sync>;

/// Makes the frames for those who may see only some of the workers that their subject comes from.
pub(crate) type NarrowedFrames<'s> = &'s dyn Fn(&dyn Fn(&str) -> bool) -> Vec<u8>;

/// The feed and who listens to it.
#[derive(Default)]
pub(crate) struct Feed {
    members: Mutex<Vec<Arc<FeedMember>>>,
    /// Absent until all workers are loaded; until then nobody narrowed sees where a worker comes from.
    is_seen: OnceLock<WorkerFinder>,
}

/// One listener. It leaves when its connection ends.
pub(crate) struct FeedMember {
    outbox: Arc<Outbox>,
    source: Arc<dyn Snapshot>,
    reach: Reach,
    behind: Mutex<bool>,
}

/// The worker that frames are about.
#[derive(Clone, Copy)]
pub(crate) struct FeedSubject<'s> {
    /// Its id.
    pub worker: &'s str,
    /// Its project's folder.
    pub project: &'s str,
    /// Its frames for narrowed listeners, where they differ: it comes from another worker.
    pub narrowed: Option<NarrowedFrames<'s>>,
}

impl Feed {
    /// Sets the function that finds workers by their ids.
    pub(crate) fn know(&self, is_seen: WorkerFinder) {
        // A second call changes nothing.
        let _ = self.is_seen.set(is_seen);
    }

    /// Lets `outbox` listen to the workers in reach; its first frames are the snapshot.
    pub(crate) fn join(&self, outbox: &Arc<Outbox>, source: Arc<dyn Snapshot>, reach: Reach) -> Arc<FeedMember> {
        let member = Arc::new(FeedMember { outbox: Arc::clone(outbox), source, reach, behind: Mutex::new(true) });
        self.lock().push(Arc::clone(&member));
        outbox.fall_behind(Arc::clone(&member) as Arc<dyn CatchUp>);
        member
    }

    /// Ends a member's listening.
    pub(crate) fn leave(&self, member: &Arc<FeedMember>) {
        self.lock().retain(|other| !Arc::ptr_eq(other, member));
    }

    /// Hands frames to all who may see their subject. Never blocks: one who cannot take them gets the snapshot when it can.
    pub(crate) fn publish(&self, subject: FeedSubject<'_>, frames: &[u8]) {
        let frames = Frames::new(frames);
        self.lock().retain(|member| {
            if !member.reach.covers(subject.worker, subject.project) {
                return true;
            }
            let mut behind = member.behind.lock().unwrap_or_else(PoisonError::into_inner);
            if *behind {
                return true;
            }
            let narrowed = subject.narrowed.filter(|_| !member.reach.is_everything()).map(|frames| {
                let is_seen = |id: &str| self.is_seen.get().is_some_and(|is_seen| is_seen(id, &member.reach));
                frames(&is_seen)
            });
            let narrowed = narrowed.as_deref().map(Frames::new);
            match member.outbox.offer(narrowed.as_ref().unwrap_or(&frames)) {
                Offer::Taken => true,
                Offer::Full => {
                    metrics::LAGS.add(1);
                    *behind = true;
                    member.outbox.fall_behind(Arc::clone(member) as Arc<dyn CatchUp>);
                    true
                }
                Offer::Closed => false,
            }
        });
    }

    /// Ends all listeners' connections, after `frame`.
    pub(crate) fn close(&self, frame: &[u8]) {
        for member in self.lock().drain(..) {
            member.outbox.finish_with(frame);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Arc<FeedMember>>> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CatchUp for FeedMember {
    fn step(&self, frames: &mut Vec<u8>) -> CatchUpStep {
        // Listening begins before the snapshot is taken: a change in between is sent twice, never missed.
        *self.behind.lock().unwrap_or_else(PoisonError::into_inner) = false;
        self.source.snapshot(&self.reach, frames);
        CatchUpStep::Done
    }
}
