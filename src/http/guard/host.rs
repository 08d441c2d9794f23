//! Hosts and origins as headers write them, and when two of them are the same.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv6Addr};

/// The parts of `host`, `host:port`, `[v6]` or `[v6]:port`; `None` for anything else.
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

/// Returns whether a page of `origin` came from `host`. A missing port is the scheme's default.
///
/// `said` is the scheme that a proxy names. Where none does, a name of this machine itself is served without TLS; behind any
/// other name there may be a proxy that adds TLS and does not say so.
pub(super) fn is_same_origin(origin: &str, host: &str, said: Option<&str>) -> bool {
    let Some((scheme, authority)) = origin.split_once("://") else { return false };
    let scheme = scheme.to_ascii_lowercase();
    let default_port = match scheme.as_str() {
        "http" => 80,
        "https" => 443,
        _ => return false,
    };
    if said.map_or_else(|| scheme == "https" && is_loopback(host), |said| said != scheme) {
        return false;
    }
    let parts = |text| split_host(text).map(|(host, port)| (plain_host(host), port.unwrap_or(default_port)));
    parts(authority).is_some_and(|page| parts(host) == Some(page))
}

/// Returns whether a host is a name of the machine that asks.
fn is_loopback(host: &str) -> bool {
    let Some((name, _)) = split_host(host) else { return false };
    let name = plain_host(name);
    name == "localhost" || name.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
}
