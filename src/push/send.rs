//! One notice to one subscription: an encrypted POST to its push service (RFC 8030).

use std::io;
use std::time::{Duration, Instant};

use super::encrypt::{CODING, encrypt};
use super::notice::Notice;
use super::subscription::PushSubscription;
use super::vapid::Vapid;
use crate::clock::Micros;
use crate::outbound::{self, OutboundResponse, OutboundTarget, Post, RequestFailure};

/// Time that one attempt may take.
const SEND_TIME: Duration = Duration::from_secs(10);

/// The sender's side of all messages.
pub(super) struct Sender {
    pub(super) vapid: Vapid,
    /// The address of the operator, for push services.
    pub(super) contact: String,
    /// True if push services inside the own network are allowed.
    pub(super) allow_private: bool,
}

/// The fate of a notice.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NoticeOutcome {
    /// The push service has it.
    Accepted,
    /// The subscription has ended.
    Gone,
    /// May be taken later, after the pause that the service asks for.
    Later(Option<Duration>),
    /// Will never be taken.
    Refused,
}

impl Sender {
    /// Sends a notice and reads the push service's answer.
    ///
    /// # Errors
    /// Fails when there is no answer.
    pub(super) fn send(&self, notice: &Notice, to: &PushSubscription) -> Result<OutboundResponse, RequestFailure> {
        let invalid = |mistake: String| RequestFailure::Io(io::Error::new(io::ErrorKind::InvalidData, mistake));
        let target = to.target().map_err(invalid)?;
        let body = encrypt(&notice.payload(), &to.receiver().map_err(invalid)?)?;
        let seconds = Micros::now().0 / 1_000_000;
        let authorization = self.vapid.authorization(&origin(&target), &self.contact, seconds)?;
        let headers = [
            ("Authorization", authorization.as_str()),
            ("Content-Encoding", CODING),
            ("Content-Type", "application/octet-stream"),
            ("TTL", &notice.seconds(Instant::now()).to_string()),
            ("Urgency", notice.urgency()),
            ("Topic", &notice.topic()),
        ];
        outbound::send(&Post {
            target: &target,
            headers: &headers,
            body: &body,
            allow_private: self.allow_private,
            wants_text: true,
            deadline: Instant::now() + SEND_TIME,
        })
    }
}

/// The fate of a notice by the push service's answer.
pub(super) fn outcome(answer: &Result<OutboundResponse, RequestFailure>) -> NoticeOutcome {
    match answer {
        Ok(OutboundResponse { status: 200..=299, .. }) => NoticeOutcome::Accepted,
        Ok(OutboundResponse { status: 404 | 410, .. }) => NoticeOutcome::Gone,
        Ok(OutboundResponse { status: 408 | 425 | 429 | 500.., retry_after, .. }) => {
            NoticeOutcome::Later(seconds(retry_after.as_deref()))
        }
        Ok(_) | Err(RequestFailure::Private(_)) => NoticeOutcome::Refused,
        Err(RequestFailure::Io(error)) if error.kind() == io::ErrorKind::InvalidData => NoticeOutcome::Refused,
        Err(RequestFailure::Io(_)) => NoticeOutcome::Later(None),
    }
}

/// A `Retry-After` in seconds; a date is not read, and the usual pause is made.
fn seconds(retry_after: Option<&str>) -> Option<Duration> {
    retry_after?.parse().ok().map(Duration::from_secs)
}

/// The origin of an address as browsers write it.
fn origin(target: &OutboundTarget) -> String {
    let (scheme, usual) = if target.tls { ("https", 443) } else { ("http", 80) };
    let host = if target.host.contains(':') { format!("[{}]", target.host) } else { target.host.to_ascii_lowercase() };
    if target.port == usual { format!("{scheme}://{host}") } else { format!("{scheme}://{host}:{}", target.port) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answer_decides_what_becomes_of_a_notice() {
        let of = |status, retry_after: Option<&str>| {
            outcome(&Ok(OutboundResponse { status, retry_after: retry_after.map(str::to_owned), text: String::new() }))
        };
        for (status, wanted) in [
            (201, NoticeOutcome::Accepted),
            (404, NoticeOutcome::Gone),
            (410, NoticeOutcome::Gone),
            (429, NoticeOutcome::Later(None)),
            (503, NoticeOutcome::Later(None)),
            (400, NoticeOutcome::Refused),
            (403, NoticeOutcome::Refused),
            (413, NoticeOutcome::Refused),
            (302, NoticeOutcome::Refused),
        ] {
            assert_eq!(of(status, None), wanted, "{status}");
        }
        assert_eq!(of(429, Some("30")), NoticeOutcome::Later(Some(Duration::from_secs(30))));
        assert_eq!(of(429, Some("Fri, 31 Dec 1999 23:59:59 GMT")), NoticeOutcome::Later(None));
        assert_eq!(outcome(&Err(RequestFailure::Private("x".to_owned()))), NoticeOutcome::Refused);
        assert_eq!(outcome(&Err(io::Error::from(io::ErrorKind::TimedOut).into())), NoticeOutcome::Later(None));
    }

    #[test]
    fn origin_is_that_of_browsers() {
        for (url, wanted) in [
            ("https://Push.Example/a/b?c", "https://push.example"),
            ("https://push.example:8443/a", "https://push.example:8443"),
            ("http://[::1]:8080/", "http://[::1]:8080"),
        ] {
            assert_eq!(origin(&OutboundTarget::parse(url).unwrap()), wanted);
        }
    }
}
