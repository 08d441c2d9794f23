//! The client of a request that came through trusted proxies.

use std::net::{IpAddr, SocketAddr};

use crate::config::Network;
use crate::http::head::Head;

/// The address that a request comes from: its peer's, or, if that is one of the `trusted` proxies, the last one in
/// `X-Forwarded-For` that is not a trusted proxy.
///
/// Each proxy appends the address of its peer, so the list is true from its end up to the first address that is not
/// trusted; the client may have written everything before that. If the list ends, or holds anything but an address, the
/// request comes from the proxy that reported it.
pub(super) fn client(head: &Head, trusted: &[Network]) -> IpAddr {
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(address));
    let mut client = head.peer().address().ip().to_canonical();
    if trusted.is_empty() || !is_trusted(client) {
        return client;
    }
    let lines: Vec<&str> = head
        .headers()
        .filter(|(name, _)| name.eq_ignore_ascii_case("x-forwarded-for"))
        .map(|(_, value)| value)
        .collect();
    for hop in lines.iter().rev().flat_map(|line| line.rsplit(',')) {
        let Some(address) = address(hop.trim()) else { break };
        client = address;
        if !is_trusted(client) {
            break;
        }
    }
    client
}

/// The scheme that the browser speaks, where a proxy says so: `http` or `https`. Whoever lies here is his own loss: it
/// decides about his own cookie and his own origin.
pub(super) fn scheme(head: &Head) -> Option<&'static str> {
    let proto = head.header("x-forwarded-proto").or_else(|| {
        let parts = head.header("forwarded")?.split([';', ',']);
        parts
            .filter_map(|part| part.trim().split_once('='))
            .find(|(name, _)| name.eq_ignore_ascii_case("proto"))
            .map(|it| it.1)
    })?;
    // Of several proxies, the first is the one that the browser speaks to. Some name a WebSocket's scheme.
    let first = proto.split(',').next().unwrap_or_default().trim().trim_matches('"');
    ["https", "wss"]
        .iter()
        .any(|it| it.eq_ignore_ascii_case(first))
        .then_some("https")
        .or_else(|| ["http", "ws"].iter().any(|it| it.eq_ignore_ascii_case(first)).then_some("http"))
}

/// Returns whether the browser's side of a proxy speaks TLS.
pub(super) fn is_https(head: &Head) -> bool {
    scheme(head) == Some("https")
}

/// An address, with a port or without.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    bare.parse().ok().or_else(with_port).map(|address: IpAddr| address.to_canonical())
}
