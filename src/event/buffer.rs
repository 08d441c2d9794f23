//! The events of one record, in a vector whose memory is used again for the next.

use super::{Body, Event};
use crate::journal::Record;

/// Most events for which memory is kept between records.
const EVENTS_KEPT_MAX: usize = 1_024;

/// The memory of a vector of events between two records. Events borrow from their record, so that the vector itself
/// cannot outlive it.
#[derive(Debug, Default)]
pub(crate) struct EventBuffer {
    spare: Vec<Event<'static>>,
}

impl EventBuffer {
    /// Takes the memory out as an empty vector.
    pub(crate) fn take<'r>(&mut self) -> Vec<Event<'r>> {
        std::mem::take(&mut self.spare)
    }

    /// Drops the events and keeps their memory.
    pub(crate) fn put_back(&mut self, mut events: Vec<Event<'_>>) {
        events.clear();
        if events.capacity() <= EVENTS_KEPT_MAX {
            // Nothing is left to convert: the collection happens in place, and gives the memory another lifetime.
            self.spare = events.into_iter().map_while(|_| None).collect();
        }
    }
}

/// Gives the events of a record their sequence numbers, which are the offsets of its bytes. A delta has none, also when it
/// comes from a record: it is live only, and the whole message that follows is what the journal has.
pub fn numbered<'e, 'r>(
    record: &Record<'_>,
    events: &'e [Event<'r>],
) -> impl Iterator<Item = (Option<u64>, &'e Event<'r>)> + use<'e, 'r> {
    let mut next = record.seq;
    events.iter().map(move |event| {
        let is_live = matches!(event.body, Body::Delta { .. });
        let seq = (!is_live).then_some(next);
        next += u64::from(!is_live);
        (seq, event)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_of_events_is_used_again() {
        let mut buffer = EventBuffer::default();
        let mut places = Vec::new();
        for line in ["one", "two", "three"] {
            let text = line.to_owned();
            let mut events = buffer.take();
            assert!(events.is_empty());
            events.push(Event::new(text.as_str(), Body::Stderr {}));
            places.push((events.as_ptr().addr(), events.capacity()));
            buffer.put_back(events);
        }
        assert_eq!(places[0], places[1]);
        assert_eq!(places[1], places[2]);
    }

    #[test]
    fn memory_of_a_flood_is_given_back() {
        let mut buffer = EventBuffer::default();
        let mut events = buffer.take();
        events.extend((0..=EVENTS_KEPT_MAX).map(|_| Event::new("x", Body::Stderr {})));
        buffer.put_back(events);
        assert_eq!(buffer.take().capacity(), 0);
    }
}
