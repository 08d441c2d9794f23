//! The outgoing side of a connection: frames of the hub become messages of the protocol.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::rpc::PREFIX;
use super::updates::text;
use super::view::{SessionView, SharedParts, lock};
use crate::hub::Translate;
use crate::websocket::frame;

/// The mark in the stream at which a view of a session takes effect: what was queued before it belongs to the last one.
const ATTACH: &str = "acp_attach";
/// The mark at which the view of a session ends.
const DETACH: &str = "acp_detach";

/// Translates the frames of one connection.
pub(super) struct SessionStream {
    shared: SharedParts,
    views: HashMap<String, SessionView>,
}

/// The mark of a new view.
pub(super) fn attach(worker: &str) -> Value {
    json!({"type": ATTACH, "worker_id": worker})
}

/// The mark of the end of a view.
pub(super) fn detach(worker: &str) -> Value {
    json!({"type": DETACH, "worker_id": worker})
}

impl SessionStream {
    /// A stream without sessions.
    pub(super) fn new(shared: SharedParts) -> Self {
        Self { shared, views: HashMap::new() }
    }

    fn frame(&mut self, payload: &[u8], out: &mut Vec<u8>) {
        let frame: Value = match serde_json::from_slice(payload) {
            Ok(frame) => frame,
            // An event that is nested as deeply as JSON may be is one level deeper in its frame.
            Err(error) => return log::warn!("an event is left out of a session: {error}"),
        };
        let worker = text(&frame, "worker_id");
        match text(&frame, "type") {
            ATTACH => {
                let mut shared = lock(&self.shared);
                let arriving = shared.arriving.get_mut(worker).and_then(std::collections::VecDeque::pop_front);
                drop(shared);
                if let Some(view) = arriving {
                    self.views.insert(worker.to_owned(), view);
                }
            }
            DETACH => drop(self.views.remove(worker)),
            _ => {
                if let Some(view) = self.views.get_mut(worker)
                    && !view.frame(&frame, out)
                {
                    self.views.remove(worker);
                }
            }
        }
    }
}

impl Translate for SessionStream {
    fn translate(&mut self, mut frames: &[u8], out: &mut Vec<u8>) {
        while let Some((frame, rest)) = frame::take_first(frames) {
            // Messages of the connection itself, and the frames of the WebSocket, are as they shall be.
            if !frame.is_text() || frame.payload.starts_with(PREFIX.as_bytes()) {
                out.extend_from_slice(frame.whole);
            } else {
                self.frame(frame.payload, out);
            }
            frames = rest;
        }
    }
}
