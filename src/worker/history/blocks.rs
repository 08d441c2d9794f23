//! The blocks of events' Markdown, for clients that request them: parsed for the first client, then cached for a while.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use serde_json::Value;

use crate::clock::Micros;
use crate::event::{Body, Event};
use crate::markdown;
use crate::wire::Output;
use crate::worker::history::walk::WalkedEvent;

/// Size limit of the cache of blocks, for each worker, in bytes.
const KEPT_BYTES_MAX: usize = 1024 * 1024;
/// Number of events in the cache.
const KEPT_EVENTS_MAX: usize = 256;
/// The field of a tool's input that is a plan in Markdown.
const PLAN: &str = "plan";
/// Longest tool result that is parsed, in bytes.
const RESULT_BYTES_MAX: usize = 20_000;

/// The events for which a client requests blocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BlockScope {
    /// None.
    #[default]
    Nothing,
    /// Messages of the agent, its thoughts, and its plans.
    Messages,
    /// Tool results as well.
    Results,
}

impl BlockScope {
    /// The Markdown of an event whose blocks are requested: a message, a plan that waits for approval, a result.
    pub(in crate::worker) fn markdown<'e>(self, event: &'e Event<'_>) -> Option<&'e str> {
        match &event.body {
            _ if self == Self::Nothing => None,
            Body::Assistant { .. } | Body::Thinking { .. } => Some(&event.content),
            Body::PermissionRequest { input, .. } | Body::ToolCall { input, .. } => {
                input.get(PLAN).and_then(Value::as_str)
            }
            Body::ToolResult { .. } => {
                (self == Self::Results && event.content.len() <= RESULT_BYTES_MAX).then_some(&*event.content)
            }
            _ => None,
        }
    }
}

/// The cache of the blocks of a worker's recent events.
#[derive(Default)]
pub struct Blocks {
    kept: Mutex<KeptBlocks>,
}

/// Members of events, oldest first.
#[derive(Default)]
struct KeptBlocks {
    events: VecDeque<(EventKey, Option<Arc<[u8]>>)>,
    bytes: usize,
}

/// An event's number and time: a pair that is unique across all journals of the worker.
pub(in crate::worker) type EventKey = (u64, Micros);

/// The blocks of a worker, for as long as a client uses them.
#[derive(Default)]
pub(in crate::worker) struct SharedBlocks(Mutex<Weak<Blocks>>);

impl SharedBlocks {
    /// Returns the shared blocks, or new ones.
    pub(in crate::worker) fn get(&self) -> Arc<Blocks> {
        let mut shared = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let blocks = Arc::default();
            *shared = Arc::downgrade(&blocks);
            blocks
        })
    }
}

impl Blocks {
    /// Returns the member `"blocks"` of an event, if it is requested and the event's text has blocks.
    pub fn of(&self, walked: &WalkedEvent<'_>, scope: BlockScope) -> Option<Arc<[u8]>> {
        let Output { event, time, .. } = walked.output;
        self.read((walked.seq, time), scope.markdown(event)?)
    }

    /// Returns the member `"blocks"` of the event with this key and text.
    pub(in crate::worker) fn read(&self, key: EventKey, text: &str) -> Option<Arc<[u8]>> {
        // Held while the text is parsed, so that other clients wait instead of parsing it again.
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, member)) = kept.events.iter().rev().find(|(known, _)| *known == key) {
            return member.clone();
        }
        let member = markdown::blocks_json(text).map(|json| [b"\"blocks\":", json.as_slice()].concat().into());
        kept.put(key, member.clone());
        member
    }
}

impl KeptBlocks {
    fn put(&mut self, key: EventKey, member: Option<Arc<[u8]>>) {
        self.bytes += member.as_ref().map_or(0, |member| member.len());
        self.events.push_back((key, member));
        while self.bytes > KEPT_BYTES_MAX || self.events.len() > KEPT_EVENTS_MAX {
            let Some((_, member)) = self.events.pop_front() else { return };
            self.bytes -= member.map_or(0, |member| member.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{Kind, Record};

    fn member(blocks: &Blocks, seq: u64, time: u64, text: &str) -> Option<Arc<[u8]>> {
        let event = Event::new(text, Body::Assistant { message_id: None, parent_tool_call_id: None });
        let time = Micros(time);
        let output = Output { seq: Some(seq), time, event: &event, raw: None, more: None };
        let record = Record { seq, time, kind: Kind::Out, payload: b"", len: 1 };
        blocks.of(&WalkedEvent { seq, output, record: &record }, BlockScope::Messages)
    }

    #[test]
    fn blocks_are_read_once_for_each_event() {
        let blocks = Blocks::default();
        let first = member(&blocks, 1, 1, "*a*").unwrap();
        assert_eq!(&*first, br#""blocks":[{"c":[{"c":[{"t":"text","v":"a"}],"t":"em"}],"t":"paragraph"}]"#);
        assert!(Arc::ptr_eq(&first, &member(&blocks, 1, 1, "*a*").unwrap()));
        assert_ne!(first, member(&blocks, 1, 2, "b").unwrap(), "it is an event of another journal");
    }

    #[test]
    fn kept_blocks_are_bounded_and_go_with_their_users() {
        let shared = SharedBlocks::default();
        let blocks = shared.get();
        assert!(Arc::ptr_eq(&blocks, &shared.get()));
        let text = "x".repeat(KEPT_BYTES_MAX / 8);
        for seq in 0..20 {
            member(&blocks, seq, 1, &text);
        }
        let kept = blocks.kept.lock().unwrap();
        assert!(kept.bytes <= KEPT_BYTES_MAX && kept.events.len() == 7, "{} in {}", kept.bytes, kept.events.len());
        drop(kept);
        for seq in 0..500 {
            member(&blocks, seq, 2, "x");
        }
        assert_eq!(blocks.kept.lock().unwrap().events.len(), KEPT_EVENTS_MAX);
        drop(blocks);
        assert!(shared.get().kept.lock().unwrap().events.is_empty());
    }
}
