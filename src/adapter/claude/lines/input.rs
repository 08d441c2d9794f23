//! `in` records: what was written to the CLI. They come back through the journal, and only then change the state.

use std::borrow::Cow;

use serde::Deserialize;

use super::ClaudeFold;
use crate::adapter::claude::state::{PendingRequest, SentMessage};

/// The part of a line that matters; a message's content is skipped without a copy.
#[derive(Deserialize)]
struct InputLine<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(default)]
    uuid: Option<String>,
    #[serde(default)]
    request_id: Option<String>,
    #[serde(default)]
    request: Option<InputRequest>,
    #[serde(default)]
    response: Option<InputResponse>,
}

#[derive(Deserialize)]
struct InputRequest {
    #[serde(default)]
    subtype: String,
    #[serde(default, alias = "model")]
    mode: Option<String>,
}

#[derive(Deserialize)]
struct InputResponse {
    #[serde(default)]
    request_id: String,
}

impl ClaudeFold<'_, '_> {
    pub(in crate::adapter::claude) fn input(&mut self) {
        let Ok(line) = serde_json::from_slice::<InputLine<'_>>(self.record.payload) else { return };
        match line.kind.as_ref() {
            "user" => self.state.note_message(SentMessage { id: line.uuid, seq: self.record.seq, doubtful: false }),
            "control_request" => {
                let (Some(id), Some(asked)) = (line.request_id, line.request) else { return };
                self.state.requests_written = self.state.requests_written.saturating_add(1);
                self.state.handshake.initialized |= asked.subtype == "initialize";
                self.state.requested(PendingRequest {
                    id,
                    subtype: asked.subtype,
                    value: asked.mode.unwrap_or_default(),
                });
            }
            "control_response" => {
                let Some(answered) = line.response else { return };
                self.state.prompts.retain(|prompt| prompt.id != answered.request_id);
                self.state.declines.retain(|declined| declined.id != answered.request_id);
            }
            _ => {}
        }
    }
}
