//! Notices of pushes and pull requests.

use crate::event::{Body, Event};
use crate::journal::{RemoteEnd, RemoteStep};

/// The notice of something that was sent to another machine, or may have been.
pub(super) fn notice<'e>(begun: &RemoteStep, end: RemoteEnd, text: &str) -> Option<Event<'e>> {
    let more = if text.is_empty() { String::new() } else { format!(": {text}") };
    let is_push = begun.operation == "push";
    let (words, code) = match end {
        RemoteEnd::Done if is_push => (format!("{}{more}", begun.about), "pushed"),
        RemoteEnd::Done => (format!("{}{more}", begun.about), "pull_request_opened"),
        RemoteEnd::Unknown => {
            let words = if is_push { "May have been pushed" } else { "May have been opened" };
            (format!("{words}: {}{more}. Trying again is safe.", begun.about), "remote_unknown")
        }
        RemoteEnd::Failed | RemoteEnd::Other => return None,
    };
    Some(Event::new(words, Body::notice(code)))
}
