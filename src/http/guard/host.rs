//! Hosts and origins as headers write them, and when two of them are the same.

use std::borrow::Cow;
use std::net::Ipv6Addr;

/// `host`, `host:port`, `[v6]` or `[v6]:port`, taken apart; `None` when it is none of these.
pub(super) fn split_host(authority: &str) -> Option<(&str, Option<u16>)> {
    let (host, rest) = if authority.starts_with('[') {
        authority.split_at(authority.find(']')? + 1)
    } else {
        authority.split_at(authority.find(':').unwrap_or(authority.len()))
    };
    let port = match rest.strip_prefix(':') {
        Some("") => None,
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => Some(digits.parse().ok()?),
        None if rest.is_empty() => None,
        _ => return None,
    };
    (!host.is_empty()).then_some((host, port))
}

/// A host's one spelling: lower case, IPv6 addresses in their short form without brackets, no dot at the end.
pub(super) fn plain_host(host: &str) -> Cow<'_, str> {
    let inner = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    if let Ok(address) = inner.parse::<Ipv6Addr>() {
        return address.to_string().into();
    }
    let name = host.strip_suffix('.').unwrap_or(host);
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) { name.to_ascii_lowercase().into() } else { name.into() }
}

/// Whether a page of `origin` is one that came from `host`. Ports that are left out are the scheme's own, so it holds
/// behind a proxy that adds TLS, too.
pub(super) fn is_same_origin(origin: &str, host: &str) -> bool {
    let Some((scheme, authority)) = origin.split_once("://") else { return false };
    let default_port = match scheme.to_ascii_lowercase().as_str() {
        "http" => 80,
        "https" => 443,
        _ => return false,
    };
    let parts = |text| split_host(text).map(|(host, port)| (plain_host(host), port.unwrap_or(default_port)));
    parts(authority).is_some_and(|page| parts(host) == Some(page))
}
