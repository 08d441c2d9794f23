//! Requests of this machine: the ones that need no token.

use nix::unistd::{Uid, geteuid};

use super::GuardRefusal;
use crate::config::LocalAccess;
use crate::http::head::Head;

/// Headers that proxies and content networks add. A request with one of them did not come straight from its peer.
const PROXY_HEADERS: [&str; 26] = [
    "forwarded",
    "via",
    "x-real-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-originating-ip",
    "x-remote-ip",
    "x-remote-addr",
    "x-proxyuser-ip",
    "x-original-host",
    "x-original-url",
    "x-original-forwarded-for",
    "x-envoy-external-address",
    "x-envoy-original-path",
    "x-appengine-user-ip",
    "x-azure-clientip",
    "x-amzn-trace-id",
    "x-varnish",
    "client-ip",
    "proxy-client-ip",
    "wl-proxy-client-ip",
    "true-client-ip",
    "fastly-client-ip",
    "fly-client-ip",
    "cf-connecting-ip",
    "cdn-loop",
];
/// The beginnings of more of them.
const PROXY_PREFIXES: [&str; 3] = ["x-forwarded-", "cf-ray", "cf-connecting-"];

/// Returns whether a request without a token may pass because it comes from this machine.
///
/// # Errors
/// The reason why not.
pub(super) fn check(access: LocalAccess, head: &Head) -> Result<(), GuardRefusal> {
    if access == LocalAccess::Token {
        return Err(GuardRefusal::TokenMissing);
    }
    if !head.peer().address().ip().to_canonical().is_loopback() || is_proxied(head) {
        return Err(GuardRefusal::NotLocal);
    }
    if access == LocalAccess::Open {
        return Ok(());
    }
    let own = geteuid();
    match head.peer().owner() {
        Ok(user) if user == own || user == Uid::from_raw(0) => Ok(()),
        Ok(user) => Err(GuardRefusal::OtherUser { user: user.as_raw(), own: own.as_raw() }),
        Err(why) => Err(GuardRefusal::UnknownUser(why)),
    }
}

/// Returns whether a request was made on this machine: over loopback, or from the address that it was sent to.
pub(super) fn is_from_here(head: &Head) -> bool {
    let peer = head.peer();
    let ip = peer.address().ip().to_canonical();
    let own = peer.stream().and_then(|stream| stream.local_addr().ok()).map(|address| address.ip().to_canonical());
    (ip.is_loopback() || own == Some(ip)) && !is_proxied(head)
}

fn is_proxied(head: &Head) -> bool {
    let starts_with = |name: &str, prefix: &str| {
        name.get(..prefix.len()).is_some_and(|beginning| beginning.eq_ignore_ascii_case(prefix))
    };
    head.headers().any(|(name, _)| {
        PROXY_HEADERS.iter().any(|proxy| proxy.eq_ignore_ascii_case(name))
            || PROXY_PREFIXES.iter().any(|prefix| starts_with(name, prefix))
    })
}
