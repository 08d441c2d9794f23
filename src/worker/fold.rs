//! The fold of a worker: its adapter's session and its own state, over the same records.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::state::State;
use crate::adapter::{Adapter, Session};
use crate::clock::Micros;
use crate::event::{Body, Event, Sink};
use crate::journal::{Control, Kind, Record};

/// Changes when the same records give other events or another state than before: saved states of other versions are
/// then thrown away, and made anew from the journal.
pub const FOLD_VERSION: u32 = 4;

/// An event with its sequence number. A delta has none, also when it comes from a record: it is live only, and the whole
/// message that follows is what the journal tells.
pub type Emit<'e> = &'e mut dyn FnMut(Option<u64>, Micros, &Event<'_>);

/// The fold of one worker at one place of its journal.
pub struct Fold {
    adapter: Arc<dyn Adapter>,
    session: Box<dyn Session>,
    /// The fold over the lines of a session that is followed, as long as one is.
    transcript: Option<Box<dyn Session>>,
    state: State,
}

#[derive(Serialize, Deserialize)]
struct Saved<S> {
    state: S,
    session: Value,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    transcript: Option<Value>,
}

impl Fold {
    /// The fold before the first record.
    pub fn new(adapter: Arc<dyn Adapter>) -> Self {
        let session = adapter.open();
        Self { adapter, session, transcript: None, state: State::default() }
    }

    /// The fold as [`Fold::save`] gave it; `None` when this build cannot read it.
    pub fn restore(adapter: &Arc<dyn Adapter>, saved: &[u8]) -> Option<Self> {
        let saved: Saved<State> = serde_json::from_slice(saved).ok()?;
        let session = adapter.restore(&saved.session)?;
        let transcript = match &saved.transcript {
            Some(transcript) => Some(adapter.restore_transcript(transcript)?),
            None => None,
        };
        Some(Self { adapter: Arc::clone(adapter), session, transcript, state: saved.state })
    }

    /// Itself as one line of JSON.
    pub fn save(&self) -> Vec<u8> {
        let transcript = self.transcript.as_ref().map(|transcript| transcript.save());
        let saved = Saved { state: &self.state, session: self.session.save(), transcript };
        // Plain data with string keys always has a JSON form.
        serde_json::to_vec(&saved).unwrap_or_default()
    }

    /// The worker's state.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The adapter's fold.
    pub fn session(&self) -> &dyn Session {
        &**self.transcript.as_ref().unwrap_or(&self.session)
    }

    /// The adapter.
    pub fn adapter(&self) -> &Arc<dyn Adapter> {
        &self.adapter
    }

    /// Takes the next record and emits its events: the adapter's, then the worker's own, then a change of status.
    pub fn record(&mut self, record: &Record<'_>, emit: Emit<'_>) {
        let control = (record.kind == Kind::Ctl).then(|| Control::from_json(record.payload));
        match &control {
            Some(Control::Following { .. }) if self.transcript.is_none() => {
                self.transcript = self.adapter.open_transcript();
            }
            Some(Control::Launching { .. }) => self.transcript = None,
            _ => {}
        }
        let Self { session, transcript, state, .. } = self;
        let session = transcript.as_mut().unwrap_or(session);
        if let (Some(follow), Kind::Out | Kind::OutPart) = (&mut state.follow, record.kind) {
            follow.advance(record.payload, record.kind == Kind::Out);
        }
        state.last_activity = record.time.0;
        if matches!(record.kind, Kind::Out | Kind::OutPart) && state.stalled.take().is_some() {
            state.revision += 1;
        }
        let mut numbered = Numbered { next: record.seq, record, emit };
        session.record(record, control.as_ref(), &mut Noting { state, numbered: &mut numbered });
        if let Some(control) = &control {
            state.control(control, record, session.acknowledges(), &mut |event| numbered.emit(&event));
        }
        let (status, reason) = state.derive_status(session.activity());
        if status != state.status {
            let reason = reason.map(str::to_owned);
            let body = Body::Status { status: status.as_str(), reason: reason.as_deref().map(Into::into) };
            numbered.emit(&Event::new(reason.as_deref().unwrap_or(status.as_str()), body));
            state.revision += 1;
            state.status = status;
            state.reason = reason;
        }
    }

    /// Takes a volatile line and emits its deltas. Changes nothing that is saved.
    pub fn volatile(&mut self, record: &Record<'_>, emit: &mut dyn FnMut(Micros, &Event<'_>)) {
        let time = record.time;
        self.session.volatile(record, &mut |event: Event<'_>| emit(time, &event));
    }
}

/// Gives the events of one record their numbers.
struct Numbered<'r, 'e> {
    next: u64,
    record: &'r Record<'r>,
    emit: Emit<'e>,
}

impl Numbered<'_, '_> {
    fn emit(&mut self, event: &Event<'_>) {
        if matches!(event.body, Body::Delta { .. }) {
            return (self.emit)(None, self.record.time, event);
        }
        // A record's numbers are the offsets of its bytes, so it can have no more events than bytes.
        if self.next >= self.record.end() {
            log::error!("the record at {} yields more events than it has bytes; one is left out", self.record.seq);
            return;
        }
        (self.emit)(Some(self.next), self.record.time, event);
        self.next += 1;
    }
}

/// Lets the state note each of the adapter's events on its way.
struct Noting<'s, 'n, 'r, 'e> {
    state: &'s mut State,
    numbered: &'n mut Numbered<'r, 'e>,
}

impl Sink for Noting<'_, '_, '_, '_> {
    fn event(&mut self, event: Event<'_>) {
        self.state.note(&event, self.numbered.next, self.numbered.record.time);
        self.numbered.emit(&event);
    }
}
