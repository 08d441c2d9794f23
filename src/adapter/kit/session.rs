//! The ids of sessions and prompts, and the words in which CLIs say that a session or a login is missing.

use super::text::cut;
use crate::fnv;
use crate::journal::Record;

/// Longest reason that a sentence of ours repeats, in bytes.
const REASON_MAX: usize = 500;

/// The text of an error that says that a CLI is not logged in: what the CLI said, and what to do.
pub(crate) fn not_logged_in(name: &str, why: &str, advice: &[&str]) -> String {
    let said = format!("{name} is not logged in: {}", why.trim());
    let sentences = std::iter::once(said.as_str()).chain(advice.iter().copied());
    let sentences = sentences.map(|text| text.trim().trim_end_matches('.')).filter(|text| !text.is_empty());
    sentences.map(|text| format!("{text}.")).collect::<Vec<_>>().join(" ")
}

/// Returns true for an id that was not well-formed as the CLI printed it: an answer with what was read of it reaches nobody.
pub(crate) fn is_damaged(id: &str) -> bool {
    id.contains(char::REPLACEMENT_CHARACTER)
}

/// Our id of a prompt in `record`. A line may have several messages, so it is not one that `is_open`.
pub(crate) fn ask_id(record: &Record<'_>, is_open: impl Fn(&str) -> bool) -> String {
    let mut id = format!("ask-{}", record.seq);
    let mut others = 1;
    while is_open(&id) {
        others += 1;
        id = format!("ask-{}-{others}", record.seq);
    }
    id
}

/// Longest id of a session, in bytes.
const SESSION_ID_MAX: usize = 256;

/// Returns true for a text that can be the id of a session. A broken one must not replace the one that is known.
pub(crate) fn is_session_id(id: &str) -> bool {
    !id.is_empty() && id.len() <= SESSION_ID_MAX && !id.chars().any(|c| c.is_control() || c.is_whitespace())
}

/// Returns true for a session's id that can also be on a command line, where one that begins with `-` would be a flag.
pub(crate) fn is_session_argument(id: &str) -> bool {
    is_session_id(id) && !id.starts_with('-')
}

/// The CLIs' words for the thing that they resume.
const SESSION_WORDS: [&str; 6] = ["session", "conversation", "thread", "rollout", "chat", "transcript"];
/// Their words for its absence.
const GONE_WORDS: [&str; 13] = [
    "not found",
    "notfound",
    "no conversation found",
    "no rollout found",
    "no session found",
    "no such",
    "does not exist",
    "doesn't exist",
    "unknown",
    "expired",
    "could not find",
    "cannot find",
    "no longer",
];
/// Their words for an obstacle that may pass: another process, the machine, the network, a limit, a missing login.
const TEMPORARY_WORDS: [&str; 40] = [
    "active writer",
    "already in use",
    "already open",
    "in use by",
    "locked",
    "lock held",
    "is busy",
    "timed out",
    "timeout",
    "try again",
    "temporarily",
    "unavailable",
    "overloaded",
    "connection refused",
    "econnrefused",
    "server error",
    "bad gateway",
    "connection reset",
    "econnreset",
    "enotfound",
    "etimedout",
    "network",
    "fetch failed",
    "error sending request",
    "dns",
    "no space left",
    "too many open files",
    "out of memory",
    "rate limit",
    "rate_limit",
    "ratelimit",
    "too many requests",
    "usage limit",
    "quota",
    "not logged in",
    "log in",
    "login",
    "api key",
    "unauthorized",
    "authentication",
];
/// Their words for a reason that is not about the session, so that a new one would be refused too.
const OTHER_WORDS: [&str; 7] =
    ["configuration", "invalid config", "model", "unknown option", "unrecognized", "unexpected argument", "usage:"];

/// Returns true if one line of the text means that a CLI does not have the session that it was to resume. There is
/// nothing but words to go by; they must name both the thing and its absence.
pub(crate) fn says_session_is_gone(text: &str) -> bool {
    text.lines().any(|line| {
        let line = without_paths(line);
        let has = |words: &[&str]| words.iter().any(|word| line.contains(word));
        has(&SESSION_WORDS) && has(&GONE_WORDS) && !has(&TEMPORARY_WORDS)
    })
}

/// Returns true for a refusal that a later try may not meet: another process has the session, the provider is away.
pub(crate) fn is_temporary(text: &str) -> bool {
    let text = without_paths(text);
    TEMPORARY_WORDS.iter().any(|word| text.contains(word))
}

/// Returns true for a refusal after which the session is kept: it is [temporary](is_temporary), or about something else.
pub(crate) fn may_pass(text: &str) -> bool {
    let lower = without_paths(text);
    is_temporary(text) || OTHER_WORDS.iter().any(|word| lower.contains(word))
}

/// The text in lower case without what looks like a path: its names are the user's, and mean nothing here.
fn without_paths(text: &str) -> String {
    let is_path = |word: &&str| word.trim_start_matches(['"', '\'', '`', '(']).starts_with(['/', '~']);
    let words = text.split_whitespace().filter(|word| !is_path(word));
    words.collect::<Vec<_>>().join(" ").to_lowercase()
}

/// A session id that follows from the one before and a place in the journal: a fold must not make up another one each
/// time. It has the form of a UUID.
pub(crate) fn next_session_id(before: &str, seq: u64) -> String {
    let half = |part: u8| fnv::hash(format!("{before} {seq} {part}").as_bytes());
    let bytes = (u128::from(half(0)) << 64) | u128::from(half(1));
    uuid::Builder::from_random_bytes(bytes.to_be_bytes()).into_uuid().to_string()
}

/// The text of the event that says that a session could not be taken up and what follows.
pub(crate) fn session_gone(name: &str, session: &str, why: &str) -> String {
    let why = why.trim().trim_end_matches('.');
    let session = if session.is_empty() { "the session".to_owned() } else { format!("session {session}") };
    format!(
        "{name}: {session} can't be resumed ({}): a new session was started, which does not know the \
         conversation so far; a message with `with_history` repeats it",
        cut(why.to_owned(), REASON_MAX)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_login_is_reported_in_whole_sentences() {
        let text = not_logged_in("Agent", "try again.. ", &["Log in with it.", "", "It offers: a key"]);
        assert_eq!(text, "Agent is not logged in: try again. Log in with it. It offers: a key.");
        assert_eq!(not_logged_in("Agent", "no key", &[]), "Agent is not logged in: no key.");
    }

    #[test]
    fn missing_session_is_distinguished_from_a_taken_one() {
        for gone in [
            "No conversation found with session ID: 7",
            "no rollout found for thread id 7",
            "NotFoundError: Session not found: s",
            "warning\nError: no such session: x",
            "the session has expired",
        ] {
            assert!(says_session_is_gone(gone), "{gone}");
        }
        for other in [
            "thread 7 already has an active writer",
            "session is locked",
            "file not found: x",
            "unknown option --resume",
            "",
        ] {
            assert!(!says_session_is_gone(other), "{other}");
        }
        assert!(
            is_temporary("Thread 7 already has an active writer") && is_temporary("connect ECONNREFUSED 127.0.0.1")
        );
        assert!(!is_temporary("Internal error"));
    }
}
