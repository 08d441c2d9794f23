//! The addresses of remotes: what git is given of them, and what people see. Both are the same text, without a password.

/// Longest address, in bytes.
const ADDRESS_BYTES_MAX: usize = 2048;
/// Longest user in an address of the web, in bytes: GitHub's longest name. Longer ones are tokens.
const WEB_USER_BYTES_MAX: usize = 39;
/// Beginnings of tokens that are used as users.
const TOKENS: [&str; 8] = ["ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "x-token"];

/// A protocol by which git pushes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::worker) enum Protocol {
    /// The user's own `ssh`.
    Ssh,
    /// HTTP over TLS.
    Https,
    /// HTTP.
    Http,
}

impl Protocol {
    /// Its name, as git has it.
    pub(in crate::worker) const fn name(self) -> &'static str {
        match self {
            Self::Ssh => "ssh",
            Self::Https => "https",
            Self::Http => "http",
        }
    }
}

/// An address to which git can push, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::worker) struct Address {
    pub(in crate::worker) protocol: Protocol,
    /// The user, unless it may be a secret.
    user: Option<String>,
    /// The host's name, or its address, with the brackets that IPv6 has.
    pub(in crate::worker) host: String,
    pub(in crate::worker) port: Option<u16>,
    /// The path as it is written, with the slash that it begins with in a URL.
    pub(in crate::worker) path: String,
    /// True for `user@host:path`.
    is_short: bool,
}

impl Address {
    /// Takes an address apart.
    ///
    /// # Errors
    /// The reason why nothing is pushed to it, for people. It does not repeat the address.
    pub(in crate::worker) fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() || text.len() > ADDRESS_BYTES_MAX || text.contains(char::is_control) {
            return Err("the remote's address is empty, too long, or has control characters".to_owned());
        }
        let Some((scheme, rest)) = text.split_once("://") else { return Self::short(text) };
        let protocol = match scheme.to_ascii_lowercase().as_str() {
            "ssh" => Protocol::Ssh,
            "https" => Protocol::Https,
            "http" => Protocol::Http,
            "file" => return Err(local()),
            _ => return Err("the remote's address is not one of ssh, https or http".to_owned()),
        };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        if path.len() < 2 {
            return Err("the remote's address has no path".to_owned());
        }
        let (user, place) = match authority.rsplit_once('@') {
            Some((user, place)) => (user, place),
            None => ("", authority),
        };
        let (host, port) = match place.rfind(':').filter(|colon| !place[*colon..].contains(']')) {
            Some(colon) => (&place[..colon], Some(port_of(&place[colon + 1..])?)),
            None => (place, None),
        };
        Ok(Self {
            protocol,
            user: user_of(user, protocol)?,
            host: host_of(host)?,
            port,
            path: path.to_owned(),
            is_short: false,
        })
    }

    /// `user@host:path`.
    fn short(text: &str) -> Result<Self, String> {
        let colon = match text.find("]:") {
            Some(bracket) if text.contains('[') => Some(bracket + 1),
            _ => text.find(':'),
        };
        let Some((before, path)) = colon.map(|colon| (&text[..colon], &text[colon + 1..])) else {
            return Err(local());
        };
        if before.contains('/') {
            return Err(local());
        }
        if path.is_empty() || path.starts_with([':', '-']) {
            return Err("the remote's address names a program or has no path".to_owned());
        }
        let (user, host) = before.rsplit_once('@').unwrap_or(("", before));
        let (user, host) = (user_of(user, Protocol::Ssh)?, host_of(host)?);
        Ok(Self { protocol: Protocol::Ssh, user, host, port: None, path: path.to_owned(), is_short: true })
    }

    /// The address as git is given it, and as people see it.
    pub(in crate::worker) fn text(&self) -> String {
        let user = self.user.as_ref().map(|user| format!("{user}@")).unwrap_or_default();
        let (host, path) = (&self.host, &self.path);
        if self.is_short {
            return format!("{user}{host}:{path}");
        }
        let port = self.port.map(|port| format!(":{port}")).unwrap_or_default();
        format!("{}://{user}{host}{port}{path}", self.protocol.name())
    }
}

fn local() -> String {
    "the remote is a folder of this machine: a push would run that repository's hooks and settings as the server's user, \
     and an agent may have written them; use ssh or https"
        .to_owned()
}

fn port_of(text: &str) -> Result<u16, String> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let port = is_number.then(|| text.parse().ok()).flatten();
    port.filter(|port| *port != 0).ok_or_else(|| "the port of the remote's address is not a number".to_owned())
}

fn host_of(host: &str) -> Result<String, String> {
    let is_inner = |inner: &str| inner.parse::<std::net::Ipv6Addr>().is_ok();
    let is_name = !host.is_empty()
        && !host.starts_with(['-', '.'])
        && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
    let is_v6 = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).is_some_and(is_inner);
    // A name in other letters may look like another one.
    let refused = || "the host of the remote's address is not a name of letters, digits, dots and hyphens".to_owned();
    (is_name || is_v6).then(|| host.to_owned()).ok_or_else(refused)
}

/// The user of an address, unless it is or comes with a secret: those of the repository are not used.
fn user_of(user: &str, protocol: Protocol) -> Result<Option<String>, String> {
    let is_ssh = protocol == Protocol::Ssh;
    if user.is_empty() {
        return Ok(None);
    }
    if !is_ssh
        && (user.contains(':') || user.len() > WEB_USER_BYTES_MAX || TOKENS.iter().any(|it| user.starts_with(it)))
    {
        return Ok(None);
    }
    let is_plain = !user.starts_with('-')
        && user.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._+~".contains(&byte) || !is_ssh && byte == b'%');
    let refused = || "the user of the remote's address has characters that are not allowed, or a password".to_owned();
    is_plain.then(|| Some(user.to_owned())).ok_or_else(refused)
}

/// Text of git or of another machine without the user part of addresses, which may be a secret.
pub(in crate::worker) fn without_users(text: &str) -> String {
    let (mut clean, mut rest) = (String::new(), text);
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        clean.push_str(before);
        let end = after.find(|char: char| char == '/' || char.is_whitespace() || char == '\'').unwrap_or(after.len());
        rest = after;
        if let Some(user) = after[..end].rfind('@') {
            rest = &after[user + 1..];
        }
    }
    clean + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_kept_without_their_secrets() {
        for (given, text) in [
            ("git@github.com:ada/steps.git", "git@github.com:ada/steps.git"),
            ("ssh://git@host.example:2222/a/b.git", "ssh://git@host.example:2222/a/b.git"),
            ("SSH://[::1]:22/x", "ssh://[::1]:22/x"),
            ("git@[::1]:a/b", "git@[::1]:a/b"),
            ("work:a/b", "work:a/b"),
            ("https://github.com/ada/steps", "https://github.com/ada/steps"),
            ("https://ada@host:8443/a/b", "https://ada@host:8443/a/b"),
            ("https://ada:secret@host/a/b", "https://host/a/b"),
            ("https://a:b@c@host/a/b", "https://host/a/b"),
            ("https://ghp_0123456789@github.com/a/b", "https://github.com/a/b"),
            ("https://0123456789012345678901234567890123456789@host/a", "https://host/a"),
            ("http://127.0.0.1:80/x?y", "http://127.0.0.1:80/x?y"),
        ] {
            assert_eq!(Address::parse(given).map(|found| found.text()), Ok(text.to_owned()), "{given}");
        }
    }

    #[test]
    fn addresses_that_could_run_a_program_are_refused() {
        for text in [
            "",
            "ext::sh -c evil",
            "fd::3",
            "ext::ssh://host/x",
            "foo::https://host/x",
            "ext://host/x",
            "git://host/x",
            "file:///srv/x.git",
            "/srv/x.git",
            "../x.git",
            "~/x.git",
            "x.git",
            "./a:b",
            "-oProxyCommand=evil:x",
            "-oProxyCommand=evil@host:x",
            "ssh://-oProxyCommand=evil/x",
            "ssh://-oProxyCommand=evil@host/x",
            "ssh://host:-p/x",
            "ssh://host",
            "ssh://a:b@host/x",
            "a b@host:x",
            "host:-x",
            "host::x",
            "https://höst/x",
            "https:///x",
            "https://host:0/x",
            "https://host:99999/x",
            "https://host/x\ny",
            "https://host\u{0}/x",
            "ssh://[::1/x",
            "[user@host:22]:x",
            "$(evil):x",
            "`evil`@host:x",
        ] {
            assert!(Address::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn users_in_other_texts_are_hidden() {
        let text = "fatal: 'https://a:b@host/x' and ssh://git@host/y, http://host/@z https://t@h";
        assert_eq!(without_users(text), "fatal: 'https://host/x' and ssh://host/y, http://host/@z https://h");
    }
}
