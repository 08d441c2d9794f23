//! A notice, as a browser gets it: the kind of change, the worker and the prompt's id; no text of the conversation.

use std::time::{Duration, Instant};

use data_encoding::BASE64URL_NOPAD;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::worker::publish::changes::{ChangeKind, WorkerChange};

/// Longest name of a worker in a notice, in characters.
const NAME_MAX: usize = 100;
/// Longest id of a prompt in a notice, in bytes. Ids are the agents'; a longer one is left out.
const REQUEST_BYTES_MAX: usize = 256;
/// Characters of a topic (RFC 8030, section 5.4).
const TOPIC_CHARS: usize = 32;
/// Time for which a push service keeps a notice of a worker that waits or has failed.
const TIME_OF_WAITING: Duration = Duration::from_secs(24 * 3600);
/// The same for the end of a turn.
const TIME_OF_TURN: Duration = Duration::from_secs(4 * 3600);
/// The same for a test.
const TIME_OF_TEST: Duration = Duration::from_secs(60);

/// The kind of a notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum NoticeKind {
    /// A permission is asked for.
    Permission,
    /// A question is asked.
    Question,
    /// A turn has ended.
    TurnCompleted,
    /// A worker has failed.
    Failed,
    /// A budget is used up: the server asks.
    Budget,
    /// Most of a budget is used.
    BudgetWarning,
    /// Somebody tries whether notices arrive.
    Test,
}

/// A notice.
#[derive(Clone, Debug)]
pub(super) struct Notice {
    pub(super) kind: NoticeKind,
    /// The worker's id; empty for a test.
    pub(super) worker: String,
    pub(super) name: String,
    /// The prompt's id.
    pub(super) request: Option<String>,
    /// The time at which it is of no more use.
    pub(super) ends: Instant,
    /// Attempts to deliver it so far.
    pub(super) tries: u32,
}

/// The message as the page's service worker reads it.
#[derive(Serialize)]
struct PushPayload<'n> {
    kind: NoticeKind,
    worker: &'n str,
    name: &'n str,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<&'n str>,
}

impl Notice {
    /// The notice of a change.
    pub(super) fn of(change: &WorkerChange, now: Instant) -> Self {
        let kind = match (change.kind, &change.prompt) {
            (ChangeKind::Waiting, Some(prompt)) if prompt.is_of_budget => NoticeKind::Budget,
            (ChangeKind::Waiting, Some(prompt)) if prompt.tool_name.is_some() => NoticeKind::Permission,
            (ChangeKind::Waiting, _) => NoticeKind::Question,
            (ChangeKind::TurnCompleted, _) => NoticeKind::TurnCompleted,
            (ChangeKind::Failed, _) => NoticeKind::Failed,
            (ChangeKind::Budget, _) => NoticeKind::BudgetWarning,
        };
        let request = change.prompt.as_ref().map(|prompt| &prompt.request_id);
        Self {
            kind,
            worker: change.worker.id.clone(),
            name: change.worker.name.chars().take(NAME_MAX).collect(),
            request: request.filter(|request| request.len() <= REQUEST_BYTES_MAX).cloned(),
            ends: now + time_of(kind),
            tries: 0,
        }
    }

    /// The notice of a test.
    pub(super) fn test(now: Instant) -> Self {
        let kind = NoticeKind::Test;
        let (worker, name) = (String::new(), "rs-worker".to_owned());
        Self { kind, worker, name, request: None, ends: now + time_of(kind), tries: 0 }
    }

    /// Returns whether an older one is of no use beside it: that of the same worker. A budget's warning comes once, so
    /// only another warning replaces it.
    pub(super) fn replaces(&self, older: &Self) -> bool {
        let is_warning = |notice: &Self| notice.kind == NoticeKind::BudgetWarning;
        self.worker == older.worker && is_warning(self) == is_warning(older)
    }

    /// Returns whether it is of a prompt, and so of no use once that is answered.
    pub(super) const fn is_of_prompt(&self) -> bool {
        matches!(self.kind, NoticeKind::Permission | NoticeKind::Question | NoticeKind::Budget)
    }

    /// The message.
    pub(super) fn payload(&self) -> Vec<u8> {
        let request = self.request.as_deref();
        let payload = PushPayload { kind: self.kind, worker: &self.worker, name: &self.name, request };
        serde_json::to_vec(&payload).unwrap_or_default()
    }

    /// Seconds for which a push service keeps it.
    pub(super) fn seconds(&self, now: Instant) -> u64 {
        self.ends.saturating_duration_since(now).as_secs()
    }

    /// The urgency (RFC 8030, section 5.3): a phone that saves its battery gets what is high at once.
    pub(super) const fn urgency(&self) -> &'static str {
        match self.kind {
            NoticeKind::Permission | NoticeKind::Question | NoticeKind::Budget | NoticeKind::Test => "high",
            NoticeKind::Failed | NoticeKind::TurnCompleted | NoticeKind::BudgetWarning => "normal",
        }
    }

    /// The topic: at the push service, a newer notice replaces one of the same topic that has not been delivered. A hash,
    /// so that the service does not learn the worker's id.
    pub(super) fn topic(&self) -> String {
        let mut topic = BASE64URL_NOPAD.encode(&Sha256::digest(self.worker.as_bytes()));
        topic.truncate(TOPIC_CHARS);
        topic
    }
}

const fn time_of(kind: NoticeKind) -> Duration {
    match kind {
        NoticeKind::Permission | NoticeKind::Question | NoticeKind::Budget | NoticeKind::Failed => TIME_OF_WAITING,
        NoticeKind::TurnCompleted | NoticeKind::BudgetWarning => TIME_OF_TURN,
        NoticeKind::Test => TIME_OF_TEST,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::push::encrypt::MESSAGE_BYTES_MAX;
    use crate::push::sample::notice;

    #[test]
    fn message_has_kind_worker_and_prompt_and_nothing_else() {
        let text = String::from_utf8(notice(NoticeKind::Permission, "w-1", Instant::now()).payload()).unwrap();
        assert_eq!(text, r#"{"kind":"permission","worker":"w-1","name":"api","request":"r-1"}"#);
        assert_eq!(Notice::test(Instant::now()).payload(), br#"{"kind":"test","worker":"","name":"rs-worker"}"#);
    }

    #[test]
    fn longest_message_is_within_the_bound() {
        let mut longest = notice(NoticeKind::TurnCompleted, &"f".repeat(64), Instant::now());
        longest.name = "\u{1}".repeat(NAME_MAX);
        longest.request = Some("\u{1}".repeat(REQUEST_BYTES_MAX));
        assert!(longest.payload().len() <= MESSAGE_BYTES_MAX, "{}", longest.payload().len());
    }

    #[test]
    fn topic_is_one_for_a_worker_and_hides_its_id() {
        let now = Instant::now();
        let topic = |kind, worker| notice(kind, worker, now).topic();
        let one = topic(NoticeKind::Permission, "w-1");
        assert_eq!(one, topic(NoticeKind::TurnCompleted, "w-1"));
        assert_ne!(one, topic(NoticeKind::Permission, "w-2"));
        assert!(one.len() == TOPIC_CHARS && !one.contains("w-1"), "{one}");
    }
}
