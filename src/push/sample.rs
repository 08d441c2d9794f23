//! Subscriptions and notices for the unit tests of these rooms.

use std::time::{Duration, Instant};

use data_encoding::BASE64URL_NOPAD;

use super::encrypt::{AUTH_BYTES, point, random_key};
use super::notice::{Notice, NoticeKind};
use super::subscription::NewSubscription;

/// A subscription at this address, with keys of its own.
pub(super) fn at(endpoint: &str) -> NewSubscription {
    NewSubscription {
        endpoint: endpoint.to_owned(),
        p256dh: BASE64URL_NOPAD.encode(&point(&random_key().unwrap().public_key())),
        auth: BASE64URL_NOPAD.encode(&[7; AUTH_BYTES]),
        ..NewSubscription::default()
    }
}

/// A notice of a worker, which is of use for an hour.
pub(super) fn notice(kind: NoticeKind, worker: &str, now: Instant) -> Notice {
    let (worker, name) = (worker.to_owned(), "api".to_owned());
    Notice { kind, worker, name, request: Some("r-1".to_owned()), ends: now + Duration::from_secs(3600), tries: 0 }
}
