//! The cookie of a login.

use super::forwarded;
use crate::http::head::Head;
use crate::logins::LOGIN_DAYS;

/// The cookie that a login leaves in the browser.
pub(crate) const COOKIE: &str = "rs_worker_session";
/// The same where the browser speaks TLS and the server has the whole name to itself: browsers take this name from such a
/// server alone, so that no other port of the host and nobody on the wire can put one in its place.
const HOST_COOKIE: &str = "__Host-rs_worker_session";
/// Cookies of our names that are examined. Other ports of the host can set more of them.
const EXAMINED_MAX: usize = 4;
/// Time that the browser keeps it, in seconds.
const SECONDS: u64 = LOGIN_DAYS * 24 * 60 * 60;

/// The values of the cookies that may be ours, those that nobody else can have set first.
pub(super) fn examined(head: &Head) -> impl Iterator<Item = &str> {
    named(head, HOST_COOKIE).chain(named(head, COOKIE)).take(EXAMINED_MAX)
}

fn named<'a>(head: &'a Head, name: &'a str) -> impl Iterator<Item = &'a str> {
    head.headers()
        .filter(|(key, _)| key.eq_ignore_ascii_case("cookie"))
        .flat_map(|(_, value)| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(move |(key, _)| *key == name)
        .map(|(_, value)| value)
}

/// The `Set-Cookie` that gives the browser a cookie with this value.
pub(super) fn set(head: &Head, base_path: &str, value: &str) -> String {
    written(forwarded::is_https(head), base_path, value, SECONDS)
}

/// The `Set-Cookie` that takes the cookie away again.
pub(super) fn clear(head: &Head, base_path: &str) -> String {
    written(forwarded::is_https(head), base_path, "", 0)
}

fn written(https: bool, base_path: &str, value: &str, seconds: u64) -> String {
    let name = if https && base_path.is_empty() { HOST_COOKIE } else { COOKIE };
    let secure = if https { "; Secure" } else { "" };
    format!("{name}={value}; Path={base_path}/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}")
}
