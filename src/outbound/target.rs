//! The address that messages are sent to, taken apart.

use std::net::{IpAddr, Ipv6Addr};

/// A web address.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct OutboundTarget {
    /// True if it is `https`.
    pub(crate) tls: bool,
    /// The name or address, IPv6 without brackets.
    pub(crate) host: String,
    /// The port.
    pub(crate) port: u16,
    /// The value of `Host`.
    pub(crate) authority: String,
    /// Path and query.
    pub(crate) path: String,
}

impl OutboundTarget {
    /// Takes an address apart.
    ///
    /// # Errors
    /// The mistake, as the end of a sentence about it. The address itself is not in the text: it may hold a secret.
    pub(crate) fn parse(url: &str) -> Result<Self, String> {
        let wrong = |mistake: &str| mistake.to_owned();
        let (tls, rest) = match url.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (false, rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (true, rest),
            _ => return Err(wrong("must begin with http:// or https://")),
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        if authority.contains('@') {
            return Err(wrong("must have no user name in it"));
        }
        let (host, port) = split_port(authority).ok_or_else(|| wrong("has no host and port that can be read"))?;
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        if !path.bytes().chain(host.bytes()).all(|byte| byte.is_ascii_graphic()) {
            return Err(wrong("must be of printable ASCII characters; write others as %20"));
        }
        let port = port.unwrap_or(if tls { 443 } else { 80 });
        Ok(Self { tls, host, port, authority: authority.to_owned(), path })
    }

    /// The address, where one is written instead of a name.
    pub(crate) fn literal_address(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

/// Host (without brackets) and port.
fn split_port(authority: &str) -> Option<(String, Option<u16>)> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']')?;
            host.parse::<Ipv6Addr>().ok()?;
            (host, if after.is_empty() { None } else { Some(after.strip_prefix(':')?) })
        }
        None => authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port))),
    };
    let port = match port {
        Some(port) => Some(port.parse().ok().filter(|&port: &u16| port > 0)?),
        None => None,
    };
    (!host.is_empty()).then(|| (host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_apart() {
        let parts = |url: &str| {
            let target = OutboundTarget::parse(url).unwrap();
            (target.tls, target.host, target.port, target.path)
        };
        let of = |tls, host: &str, port, path: &str| (tls, host.to_owned(), port, path.to_owned());
        assert_eq!(parts("http://example.org"), of(false, "example.org", 80, "/"));
        assert_eq!(parts("HTTPS://example.org:8443/a/b?c=d#e"), of(true, "example.org", 8443, "/a/b?c=d"));
        assert_eq!(parts("http://[::1]:80?x=1"), of(false, "::1", 80, "/?x=1"));
        assert_eq!(parts("https://[2001:db8::1]/"), of(true, "2001:db8::1", 443, "/"));
        for url in [
            "example.org",
            "ftp://x",
            "http://",
            "http://:80",
            "http://a:b@c",
            "http://a:0",
            "http://a:99999",
            "http://[::1",
            "http://[x]/",
            "http://[::1]x",
            "http://a/\u{e9}",
            "http://a b/",
        ] {
            assert!(OutboundTarget::parse(url).is_err(), "{url}");
        }
    }
}
