//! Pages in view. A page reports itself over its WebSocket every few seconds; a page that stops reporting is out of
//! view soon after.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};

/// Time after which a page that says nothing more is out of view. Pages say it every 15 seconds.
pub(crate) const IN_VIEW_TIME: Duration = Duration::from_secs(40);

/// The pages that are in view.
pub(crate) struct InView {
    pages: Mutex<Pages>,
    /// Wakes the courier; one mark is enough.
    changed: Sender<()>,
}

#[derive(Default)]
struct Pages {
    next: u64,
    seen: HashMap<u64, OpenPage>,
}

struct OpenPage {
    /// The only worker that it shows; `None` if it shows the list, and so what all of them do.
    worker: Option<String>,
    until: Instant,
}

/// One page. Its end takes it out of view.
pub(crate) struct PageInView {
    in_view: Arc<InView>,
    number: u64,
}

impl InView {
    /// No page, and the receiver of a mark for each change.
    pub(super) fn new() -> (Arc<Self>, Receiver<()>) {
        let (changed, changes) = bounded(1);
        (Arc::new(Self { pages: Mutex::default(), changed }), changes)
    }

    /// A page that is out of view.
    pub(crate) fn page(self: &Arc<Self>) -> PageInView {
        let mut pages = self.lock();
        pages.next += 1;
        PageInView { in_view: Arc::clone(self), number: pages.next }
    }

    /// Returns whether somebody looks at a worker, or at the list.
    pub(super) fn covers(&self, worker: &str, now: Instant) -> bool {
        self.lock()
            .seen
            .values()
            .any(|seen| seen.until > now && seen.worker.as_deref().is_none_or(|shown| shown == worker))
    }

    /// The next time at which a page goes out of view by itself.
    pub(super) fn next_end(&self, now: Instant) -> Option<Instant> {
        self.lock().seen.values().map(|seen| seen.until).filter(|until| *until > now).min()
    }

    fn lock(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PageInView {
    /// In view for [`IN_VIEW_TIME`] from now on: one worker alone, or the list.
    pub(crate) fn mark_seen(&self, worker: Option<String>, now: Instant) {
        self.in_view.lock().seen.insert(self.number, OpenPage { worker, until: now + IN_VIEW_TIME });
        let _ = self.in_view.changed.try_send(());
    }

    /// Not in view any more.
    pub(crate) fn mark_left(&self) {
        if self.in_view.lock().seen.remove(&self.number).is_some() {
            let _ = self.in_view.changed.try_send(());
        }
    }
}

impl Drop for PageInView {
    fn drop(&mut self) {
        self.mark_left();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_covers_what_it_shows_until_it_says_nothing_more() {
        let (in_view, changes) = InView::new();
        let now = Instant::now();
        let page = in_view.page();
        assert!(!in_view.covers("w", now));
        page.mark_seen(Some("w".to_owned()), now);
        assert_eq!((in_view.covers("w", now), in_view.covers("other", now)), (true, false));
        page.mark_seen(None, now + Duration::from_secs(1));
        let end = now + Duration::from_secs(1) + IN_VIEW_TIME;
        assert_eq!((in_view.covers("other", now), in_view.next_end(now)), (true, Some(end)));
        assert_eq!((in_view.covers("other", end), in_view.next_end(end)), (false, None));
        assert_eq!(changes.len(), 1);
    }

    #[test]
    fn leaving_page_is_out_of_view_at_once_others_stay() {
        let (in_view, changes) = InView::new();
        let now = Instant::now();
        let [first, second] = [in_view.page(), in_view.page()];
        first.mark_seen(None, now);
        second.mark_seen(None, now);
        changes.recv().unwrap();
        first.mark_left();
        assert!(in_view.covers("w", now) && changes.try_recv().is_ok());
        drop(second);
        assert!(!in_view.covers("w", now) && changes.try_recv().is_ok());
        first.mark_left();
        assert!(changes.try_recv().is_err(), "nothing has changed");
    }
}
