//! Exact limit of a worker's message queue under concurrent requests.
//!
//! A message is accepted in two steps that no lock may span, since the second writes to the shim: a slot is reserved,
//! then the record is appended. A reservation counts until it is dropped, unless the fold has the message by then.

use std::sync::{Mutex, PoisonError};

use crate::worker::state::State;

/// The ids of messages that are being appended.
#[derive(Debug, Default)]
pub(in crate::worker) struct Admission {
    reserved: Mutex<Vec<String>>,
}

/// A reserved slot in the queue, held until it is dropped.
#[derive(Debug)]
pub(in crate::worker) struct QueueSlot<'a> {
    admission: &'a Admission,
    message_id: &'a str,
}

impl Admission {
    /// Reserves a slot for a message, or returns `None` if `queue_max` messages are queued or reserved.
    ///
    /// `state` is read while reservations can't change: a message that leaves the reservations is in the state by then.
    pub(in crate::worker) fn reserve<'a>(
        &'a self,
        message_id: &'a str,
        queue_max: usize,
        state: impl FnOnce() -> std::sync::Arc<State>,
    ) -> Option<QueueSlot<'a>> {
        let mut reserved = self.reserved.lock().unwrap_or_else(PoisonError::into_inner);
        let state = state();
        let coming = reserved.iter().filter(|id| state.message(id).is_none()).count();
        if state.queue.len() + coming >= queue_max {
            return None;
        }
        reserved.push(message_id.to_owned());
        Some(QueueSlot { admission: self, message_id })
    }
}

impl Drop for QueueSlot<'_> {
    fn drop(&mut self) {
        let mut reserved = self.admission.reserved.lock().unwrap_or_else(PoisonError::into_inner);
        reserved.retain(|id| id != self.message_id);
    }
}
