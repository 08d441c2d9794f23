//! Sending the review of a worker's changes.

use std::sync::Arc;

use super::Registry;
use crate::fnv;
use crate::worker::error::WorkerError;
use crate::worker::run::worker::Worker;
use crate::worker::state::SettledMessage;

impl Registry {
    /// Sends draft comments as one message: all, or the named ones. The same client's id again is the same message.
    ///
    /// # Errors
    /// Fails when there are none, or the message is refused.
    pub(crate) fn send_review(
        &self,
        worker: &Arc<Worker>,
        named: Option<&[String]>,
        text: Option<&str>,
        client_message_id: Option<String>,
        gone: &dyn Fn() -> bool,
    ) -> Result<SettledMessage, WorkerError> {
        let _claim = worker.claim_review();
        let sent_hash = Some(fnv::hash_json(&("review", named, text)));
        if let Some(id) = client_message_id.as_deref()
            && let Some(settled) = worker.state().message_of_client(id)
        {
            if settled.content_hash == sent_hash {
                return Ok(settled);
            }
            let text = format!("the id {id:?} was used for another message; use a new id for a new message");
            return Err(WorkerError::Reused { field: "client_message_id", text });
        }
        let mut message = worker.review_message(named, text, gone)?;
        (message.client_message_id, message.sent_hash) = (client_message_id, sent_hash);
        self.post_message(worker, message)
    }
}
