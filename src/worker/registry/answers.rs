//! The answer to one message, from the journal.

use crate::event::{Body, TurnEnd};
use crate::worker::error::WorkerError;
use crate::worker::run::worker::Worker;

/// The part of a journal behind a message in which its answer is looked for, in bytes.
const JOURNAL_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// The fate of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum MessageAnswer {
    /// Waits, or its turn has not ended.
    Open,
    /// Left the queue without an answer; the text says how.
    Withdrawn(&'static str),
    /// Its turn has ended.
    Ended {
        /// The reason, such as `end_turn` or `interrupted`.
        stop_reason: String,
        /// True if the turn failed.
        is_error: bool,
        /// The final answer.
        text: Option<String>,
    },
}

impl Worker {
    /// Returns the answer to a message that was accepted at `seq`.
    ///
    /// # Errors
    /// Fails when the journal can't be read.
    pub(crate) fn answer_to(&self, message_id: &str, seq: u64) -> Result<MessageAnswer, WorkerError> {
        match self.state().message(message_id).map(|message| message.state) {
            Some(state) if state == "queued" => return Ok(MessageAnswer::Open),
            Some(state) if state == "removed" => return Ok(MessageAnswer::Withdrawn("the message was taken back")),
            Some(state) if state == "lost" => {
                return Ok(MessageAnswer::Withdrawn("the CLI ended before it took the message"));
            }
            _ => {}
        }
        let end = self.views().end().min(seq.saturating_add(JOURNAL_BYTES_MAX));
        let mut walk = self.archive().walk(seq)?;
        let (mut at, mut said, mut answer) = (seq, None, MessageAnswer::Open);
        while at < end {
            let reached = walk.step(end, &mut |walked| {
                let event = walked.output.event;
                match &event.body {
                    Body::User { message_id: Some(id), .. } if **id == *message_id => said = None,
                    Body::Assistant { parent_tool_call_id: None, .. } if !event.content.trim().is_empty() => {
                        said = Some(event.content.to_string());
                    }
                    Body::TurnCompleted(turn) if answers(turn, message_id) => {
                        let result = turn.result.as_deref().filter(|text| !text.trim().is_empty());
                        answer = MessageAnswer::Ended {
                            stop_reason: turn.stop_reason.to_string(),
                            is_error: turn.is_error,
                            text: result.map(str::to_owned).or_else(|| said.take()),
                        };
                    }
                    Body::TurnCompleted(_) => said = None,
                    _ => {}
                }
            })?;
            if reached == at {
                break;
            }
            at = reached;
        }
        Ok(answer)
    }
}

fn answers(turn: &TurnEnd<'_>, message_id: &str) -> bool {
    turn.message_ids.iter().flatten().any(|id| id == message_id)
}
