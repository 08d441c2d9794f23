//! The notices that wait for one subscription, and when the next may be sent. Pure: callers give the time.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::notice::Notice;

/// Notices that wait for one subscription; one more drops the oldest.
pub(crate) const LANE_MAX: usize = 32;
/// Attempts to deliver one notice.
pub(super) const TRIES_MAX: u32 = 6;
/// The pause after a first failure; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause that is not the push service's wish.
const LONGEST_PAUSE: Duration = Duration::from_secs(5 * 60);
/// The longest pause that a push service can ask for.
const LONGEST_WISH: Duration = Duration::from_secs(3600);

/// One subscription's notices.
#[derive(Default)]
pub(super) struct Lane {
    waiting: VecDeque<Notice>,
    is_sending: bool,
    not_before: Option<Instant>,
    failures: u32,
}

impl Lane {
    /// Adds a notice, in the place of an older one that it [replaces](Notice::replaces). Returns whether another was dropped for want of room.
    pub(super) fn add(&mut self, notice: Notice) -> bool {
        self.waiting.retain(|other| !notice.replaces(other));
        let is_full = self.waiting.len() >= LANE_MAX;
        if is_full {
            self.waiting.pop_front();
        }
        self.waiting.push_back(notice);
        is_full
    }

    /// Takes the next notice, if one may be sent now. The caller sends it and calls [`Lane::accepted`] or [`Lane::failed`].
    pub(super) fn take(&mut self, now: Instant) -> Option<Notice> {
        self.waiting.retain(|notice| notice.ends > now);
        if self.is_sending || self.not_before.is_some_and(|at| at > now) {
            return None;
        }
        let notice = self.waiting.pop_front()?;
        self.is_sending = true;
        Some(notice)
    }

    /// The push service has the notice, or never wants it.
    pub(super) fn accepted(&mut self) {
        *self = Self { waiting: std::mem::take(&mut self.waiting), ..Self::default() };
    }

    /// The notice could not be delivered now; `wish` is the pause that the service asks for. Returns whether it is given up.
    pub(super) fn failed(&mut self, mut notice: Notice, wish: Option<Duration>, now: Instant) -> bool {
        self.is_sending = false;
        let pause = FIRST_PAUSE.saturating_mul(1 << self.failures.min(16)).min(LONGEST_PAUSE);
        self.failures += 1;
        self.not_before = Some(now + wish.map_or(pause, |wish| wish.clamp(FIRST_PAUSE, LONGEST_WISH)));
        notice.tries += 1;
        let is_given_up = notice.tries >= TRIES_MAX;
        let is_replaced = self.waiting.iter().any(|other| other.replaces(&notice));
        if !is_given_up && !is_replaced {
            self.waiting.push_front(notice);
        }
        is_given_up
    }

    /// The time at which [`Lane::take`] has something; `None` if nothing waits, or one is on its way.
    pub(super) fn due(&self, now: Instant) -> Option<Instant> {
        (!self.is_sending && !self.waiting.is_empty()).then(|| self.not_before.unwrap_or(now))
    }

    /// Returns whether a notice is on its way.
    pub(super) const fn is_sending(&self) -> bool {
        self.is_sending
    }

    /// Number of notices that wait.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::push::notice::NoticeKind::{BudgetWarning, Permission, TurnCompleted};
    use crate::push::sample::notice;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn newer_notice_replaces_an_older_one_and_each_waits() {
        let (mut lane, now) = (Lane::default(), Instant::now());
        for (kind, worker) in [(Permission, "a"), (Permission, "b"), (TurnCompleted, "a")] {
            assert!(!lane.add(notice(kind, worker, now)));
        }
        let first = lane.take(now).unwrap();
        assert_eq!((first.worker.as_str(), lane.len()), ("b", 1));
        assert!(lane.take(now).is_none() && lane.due(now).is_none() && lane.is_sending());
        lane.accepted();
        assert_eq!(lane.take(now).unwrap().kind, TurnCompleted);
    }

    #[test]
    fn warning_of_a_budget_is_replaced_by_another_alone() {
        let (mut lane, now) = (Lane::default(), Instant::now());
        for kind in [BudgetWarning, Permission, BudgetWarning, TurnCompleted] {
            lane.add(notice(kind, "a", now));
        }
        let mut next = || {
            let kind = lane.take(now).map(|notice| notice.kind);
            lane.accepted();
            kind
        };
        assert_eq!([next(), next(), next()], [Some(BudgetWarning), Some(TurnCompleted), None]);
    }

    #[test]
    fn pauses_grow_and_the_service_can_ask_for_one() {
        let (mut lane, now) = (Lane::default(), Instant::now());
        lane.add(notice(Permission, "a", now));
        for pause in [1, 2, 4].map(|seconds| SECOND * seconds) {
            let taken = lane.take(lane.due(now).unwrap()).unwrap();
            assert!(!lane.failed(taken, None, now));
            assert_eq!(lane.due(now), Some(now + pause));
            assert!(lane.take(now + pause - SECOND / 2).is_none());
        }
        for (wish, pause) in [(7, 7), (0, 1), (1_000_000, 3600)] {
            let mut lane = Lane::default();
            lane.add(notice(Permission, "a", now));
            let taken = lane.take(now).unwrap();
            lane.failed(taken, Some(SECOND * wish), now);
            assert_eq!(lane.due(now), Some(now + SECOND * pause));
        }
    }

    #[test]
    fn notice_is_dropped_after_its_attempts_or_its_lifetime() {
        let (mut lane, mut now) = (Lane::default(), Instant::now());
        lane.add(notice(Permission, "a", now));
        for attempt in 1..=TRIES_MAX {
            now = lane.due(now).unwrap();
            let taken = lane.take(now).unwrap();
            assert_eq!(lane.failed(taken, None, now), attempt == TRIES_MAX);
        }
        assert_eq!(lane.due(now), None);
        lane.add(notice(Permission, "b", now));
        assert!(lane.take(now + SECOND * 3600).is_none());
        assert_eq!(lane.len(), 0);
    }

    #[test]
    fn failed_notice_yields_to_a_newer_one_within_bounds() {
        let (mut lane, now) = (Lane::default(), Instant::now());
        lane.add(notice(Permission, "a", now));
        let taken = lane.take(now).unwrap();
        lane.add(notice(TurnCompleted, "a", now));
        lane.failed(taken, None, now);
        assert_eq!(lane.take(now + SECOND).unwrap().kind, TurnCompleted);
        let mut lane = Lane::default();
        let dropped = (0..=LANE_MAX).filter(|number| lane.add(notice(Permission, &number.to_string(), now))).count();
        assert_eq!((dropped, lane.len(), lane.take(now).unwrap().worker.as_str()), (1, LANE_MAX, "1"));
    }
}
