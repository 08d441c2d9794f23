//! The parts of a worker that lists show and clients can set.

use serde::{Deserialize, Serialize};

use crate::event::{Body, Event};
use crate::journal::ListingChange;

/// Characters of the latest message that are stored.
const TEXT_CHARS_MAX: usize = 140;
/// Maximum number of windows of a plan.
const WINDOWS_MAX: usize = 4;
/// Characters of a window's name and status.
const NAME_CHARS_MAX: usize = 40;

/// The use of a model's context window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Context {
    /// Tokens in it.
    pub tokens: u64,
    /// The context window in tokens, if the CLI reports it.
    pub window: Option<u64>,
}

/// A window of the provider's plan, as last reported by the CLI.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PlanWindow {
    /// The CLI's name for it, as in `five_hour`.
    pub window: String,
    /// `allowed`, `warning` or `rejected`.
    pub status: String,
    /// The used part, in percent.
    pub used_percent: Option<u64>,
    /// The time of the window's end, in microseconds since the Unix epoch.
    pub resets_at: Option<u64>,
}

/// The parts of a worker that lists show.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Listing {
    /// True if lists show it before workers that are not pinned.
    pub pinned: bool,
    /// True if lists hide it.
    pub archived: bool,
    /// Time until which lists hide it, in microseconds since the Unix epoch.
    pub snoozed_until: Option<u64>,
    /// The first line of the agent's latest message.
    pub last_text: Option<String>,
    /// The use of the context, as last reported by the CLI.
    pub context: Option<Context>,
    /// The windows of the plan.
    pub plan: Vec<PlanWindow>,
}

impl Listing {
    /// Applies a change that a client requested.
    pub(super) fn change(&mut self, change: &ListingChange) {
        let ListingChange { pinned, archived, snoozed_until } = *change;
        self.pinned = pinned.unwrap_or(self.pinned);
        self.archived = archived.unwrap_or(self.archived);
        if let Some(until) = snoozed_until {
            self.snoozed_until = Some(until).filter(|until| *until > 0);
        }
    }

    /// Applies an event. Lists see it with the next change of the worker's state, so that an agent's messages cause no
    /// extra frames.
    pub(super) fn note(&mut self, event: &Event<'_>) {
        match &event.body {
            Body::Assistant { parent_tool_call_id: None, .. } => {
                if let Some(line) = event.content.lines().map(str::trim).find(|line| !line.is_empty()) {
                    self.last_text = Some(line.chars().take(TEXT_CHARS_MAX).collect());
                }
            }
            Body::Usage { context_tokens: Some(tokens), context_window, .. } => {
                let known = self.context.and_then(|context| context.window);
                self.context = Some(Context { tokens: *tokens, window: context_window.or(known) });
            }
            Body::RateLimit { status, resets_at, window: Some(window), used_percent } => {
                let window: String = window.chars().take(NAME_CHARS_MAX).collect();
                self.plan.retain(|known| known.window != window);
                let status = status.chars().take(NAME_CHARS_MAX).collect();
                let resets_at = resets_at.map(|time| time.0);
                self.plan.push(PlanWindow { window, status, used_percent: *used_percent, resets_at });
                if self.plan.len() > WINDOWS_MAX {
                    self.plan.remove(0);
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str, parent: Option<&'static str>) -> Event<'static> {
        Event::new(text.to_owned(), Body::Assistant { message_id: None, parent_tool_call_id: parent.map(Into::into) })
    }

    #[test]
    fn absent_fields_of_a_change_leave_the_listing_alone() {
        let mut listing = Listing::default();
        listing.change(&ListingChange { pinned: Some(true), snoozed_until: Some(5), ..ListingChange::default() });
        listing.change(&ListingChange { archived: Some(true), ..ListingChange::default() });
        assert_eq!((listing.pinned, listing.archived, listing.snoozed_until), (true, true, Some(5)));
        listing.change(&ListingChange { snoozed_until: Some(0), ..ListingChange::default() });
        assert_eq!((listing.pinned, listing.snoozed_until), (true, None));
    }

    #[test]
    fn listing_keeps_the_first_line_of_the_agents_own_message() {
        let mut listing = Listing::default();
        listing.note(&said("\n  All tests pass.  \nNow the next one.", None));
        listing.note(&said("a sub-agent speaks", Some("call")));
        listing.note(&said(" \n", None));
        assert_eq!(listing.last_text.as_deref(), Some("All tests pass."));
        listing.note(&said(&"ä".repeat(1_000), None));
        assert_eq!(listing.last_text.map(|text| text.chars().count()), Some(TEXT_CHARS_MAX));
    }

    #[test]
    fn windows_of_a_plan_are_kept_by_name_and_bounded() {
        let mut listing = Listing::default();
        let mut report = |window: String, percent| {
            let (status, window) = ("warning".into(), Some(window.into()));
            listing.note(&Event::new(
                "",
                Body::RateLimit { status, resets_at: None, window, used_percent: Some(percent) },
            ));
        };
        report("five_hour".to_owned(), 80);
        report("seven_day".to_owned(), 20);
        report("five_hour".to_owned(), 90);
        (0..2).for_each(|n| report(format!("{n}").repeat(500), 1));
        let used: Vec<_> = listing.plan.iter().map(|window| (window.window.len(), window.used_percent)).collect();
        assert_eq!(used, [(9, Some(20)), (9, Some(90)), (NAME_CHARS_MAX, Some(1)), (NAME_CHARS_MAX, Some(1))]);
    }

    #[test]
    fn context_keeps_the_window_that_was_reported_before() {
        let mut listing = Listing::default();
        let usage = |tokens, window| {
            let (context_tokens, context_window) = (Some(tokens), window);
            Event::new("", Body::Usage { usage: crate::event::Usage::default(), context_tokens, context_window })
        };
        listing.note(&usage(10, Some(200)));
        listing.note(&usage(20, None));
        assert_eq!(listing.context, Some(Context { tokens: 20, window: Some(200) }));
    }
}
