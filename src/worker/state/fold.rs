//! The fold of a worker: its adapter's session and its own state, over the same records.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::adapter::kit::session::is_session_id;
use crate::adapter::{Activity, Adapter, Session};
use crate::clock::Micros;
use crate::event::{Body, Event, SessionFacts, TurnEnd};
use crate::journal::{Control, Kind, Record};
use crate::worker::state::status::Status;
use crate::worker::state::{State, Traits};

/// Changes when the same records give other events or another state than before: saved states of other versions are
/// then thrown away, and made anew from the journal.
pub(crate) const FOLD_VERSION: u32 = 19;

/// The fold of one worker at one position of its journal.
pub struct Fold {
    adapter: Arc<dyn Adapter>,
    session: Box<dyn Session>,
    /// The fold over the lines of a session that is followed, as long as one is.
    transcript: Option<Box<dyn Session>>,
    state: State,
}

#[derive(Serialize, Deserialize)]
struct SavedFold<S> {
    state: S,
    session: Value,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    transcript: Option<Value>,
}

impl Fold {
    /// Creates the fold before the first record.
    pub fn new(adapter: Arc<dyn Adapter>) -> Self {
        let session = adapter.open();
        Self { adapter, session, transcript: None, state: State::default() }
    }

    /// Restores the fold that [`Fold::save`] returned; `None` when this build cannot read it.
    pub fn restore(adapter: &Arc<dyn Adapter>, saved: &[u8]) -> Option<Self> {
        let saved: SavedFold<State> = serde_json::from_slice(saved).ok()?;
        let session = adapter.restore(&saved.session)?;
        let transcript = match &saved.transcript {
            Some(transcript) => Some(adapter.restore_transcript(transcript)?),
            None => None,
        };
        Some(Self { adapter: Arc::clone(adapter), session, transcript, state: saved.state })
    }

    /// Returns the time of the last record in a saved fold, without restoring it.
    pub fn saved_time(saved: &[u8]) -> Option<Micros> {
        #[derive(Deserialize)]
        struct SavedHead {
            state: StateHead,
        }
        #[derive(Deserialize)]
        struct StateHead {
            last_activity: u64,
        }
        let saved: SavedHead = serde_json::from_slice(saved).ok()?;
        Some(Micros(saved.state.last_activity))
    }

    /// Returns the fold as one line of JSON.
    pub fn save(&self) -> Vec<u8> {
        let transcript = self.transcript.as_ref().map(|transcript| transcript.save());
        let saved = SavedFold { state: &self.state, session: self.session.save(), transcript };
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

    /// Takes the next record and adds its events to `out`, which is empty: the adapter's, then the worker's own, then a
    /// change of status. [`numbered`](crate::event::numbered) gives them their sequence numbers.
    pub fn record<'r>(&mut self, record: &Record<'r>, out: &mut Vec<Event<'r>>) {
        let control = (record.kind == Kind::Ctl).then(|| Control::from_json(record.payload));
        match &control {
            Some(Control::Following { .. }) if self.transcript.is_none() => {
                self.transcript = self.adapter.open_transcript();
            }
            Some(Control::Launching { .. }) => self.transcript = None,
            _ => {}
        }
        let Self { session, transcript, state, adapter } = self;
        let session = transcript.as_mut().unwrap_or(session);
        if let (Some(follow), Kind::Out | Kind::OutPart) = (&mut state.follow, record.kind) {
            follow.advance(record.payload, record.kind == Kind::Out);
        }
        state.last_activity = record.time.0;
        // While a CLI starts, only the missing answer shows that it is not ready.
        let is_sign = matches!(record.kind, Kind::Out | Kind::OutPart) && state.awaited().is_none();
        if is_sign && state.stalled.take().is_some() {
            state.revision += 1;
        }
        session.record(record, control.as_ref(), out);
        note_all(state, record, out);
        if let Some(control) = &control {
            let traits = Traits {
                cli: adapter.cli(),
                acknowledges: session.acknowledges(),
                answers_settings: session.answers_settings(),
            };
            state.control(control, record, &traits, out);
        }
        out.extend(state.review.take_event());
        state.end_interrupt(out);
        let activity = session.activity();
        state.note_activity(activity);
        let awaited = if activity == Activity::Starting { session.awaits() } else { None };
        state.note_awaited(awaited, record.time.0);
        let (status, reason) = state.derive_status(activity);
        // A worker that is asleep stays stopped while the reason for its sleep changes.
        let is_other_sleep =
            status == Status::Stopped && state.hibernated.is_some() && reason != state.reason.as_deref();
        if status != state.status || is_other_sleep {
            let reason = reason.map(str::to_owned);
            let body = Body::Status { status: status.as_str(), reason: reason.clone().map(Into::into) };
            out.push(Event::new(reason.clone().unwrap_or_else(|| status.as_str().to_owned()), body));
            state.revision += 1;
            state.status = status;
            state.reason = reason;
        }
        drop_unnumbered(record, out);
    }

    /// Takes a volatile line and adds its deltas to `out`. Changes nothing that is saved.
    pub fn volatile<'e>(&'e mut self, record: &Record<'e>, out: &mut Vec<Event<'e>>) {
        self.session.volatile(record, out);
    }
}

/// Passes the adapter's events to the state in their order, each with its number.
fn note_all(state: &mut State, record: &Record<'_>, events: &mut [Event<'_>]) {
    let mut next = record.seq;
    for event in events {
        drop_unusable_facts(&mut event.body);
        if let Body::TurnCompleted(TurnEnd { message_ids, .. }) = &mut event.body {
            message_ids.get_or_insert_with(|| state.sent_since_last_turn());
        }
        state.note(event, next, record.time);
        if !matches!(event.body, Body::Delta { .. }) {
            next = (next + 1).min(record.end());
        }
    }
}

/// Drops the events for which a record has no numbers: its numbers are the offsets of its bytes.
fn drop_unnumbered(record: &Record<'_>, events: &mut Vec<Event<'_>>) {
    let numbers = record.end() - record.seq;
    if events.len() as u64 <= numbers {
        return;
    }
    let (mut next, seq) = (0, record.seq);
    events.retain(|event| {
        let is_live = matches!(event.body, Body::Delta { .. });
        next += u64::from(!is_live);
        is_live || next <= numbers
    });
    if next > numbers {
        log::error!("the record at {seq} yields {} more events than it has bytes; they are left out", next - numbers);
    }
}

/// Removes facts of a session that are empty or invalid: they must not replace known ones.
fn drop_unusable_facts(body: &mut Body<'_>) {
    if let Body::Session(SessionFacts { session_id, model, cwd, permission_mode, .. }) = body {
        session_id.take_if(|id| !is_session_id(id));
        for fact in [model, cwd, permission_mode] {
            fact.take_if(|fact| fact.trim().is_empty());
        }
    }
}
