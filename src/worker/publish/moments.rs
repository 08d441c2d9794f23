//! Beginnings and ends of turns, for the threads that record files then.

use crossbeam_channel::{Receiver, Sender, bounded, never};

use crate::journal::TurnEdge;

/// Capacity of the queue; a further moment is dropped, and its files are not recorded.
const MOMENTS_MAX: usize = 1024;

/// The beginning or the end of a turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TurnMoment {
    /// The worker's id.
    pub worker_id: String,
    /// The turn's id.
    pub turn_id: String,
    /// The beginning or the end of the turn.
    pub at: TurnEdge,
}

/// The sender of moments: none, if nothing receives them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Moments(Option<(Sender<TurnMoment>, Receiver<TurnMoment>)>);

impl Moments {
    /// Opens a queue of moments.
    pub(crate) fn open() -> Self {
        Self(Some(bounded(MOMENTS_MAX)))
    }

    /// Returns the moments, in their order.
    pub(in crate::worker) fn waiting(&self) -> Receiver<TurnMoment> {
        self.0.as_ref().map_or_else(never, |(_, receiver)| receiver.clone())
    }

    /// Reports a moment. Never blocks.
    pub(in crate::worker) fn report(&self, worker_id: &str, turn_id: &str, at: TurnEdge) {
        let Some((sender, _)) = &self.0 else { return };
        let moment = TurnMoment { worker_id: worker_id.to_owned(), turn_id: turn_id.to_owned(), at };
        if sender.try_send(moment).is_err() {
            log::debug!("worker {worker_id}: too many turns at once: the files at one are not recorded");
        }
    }
}
