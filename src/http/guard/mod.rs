//! Who may ask: rules on a request's head, as pure functions. [`Throttle`](crate::http::throttle::Throttle) keeps the count of
//! failed tries beside it.
//!
//! What each rule is for, since the server runs commands for whoever gets past them:
//! - **Host**: the name in it must be one of ours. A page on the web can have its own name resolve to 127.0.0.1 (DNS
//!   rebinding); its requests are then same-origin to the browser, and only this name gives them away. An address
//!   instead of a name cannot be rebound.
//! - **Origin**: browsers say which page a request comes from. It must be ours, on the WebSocket upgrade too, which
//!   browsers allow across sites.
//! - **Content type**: a form on another site cannot send JSON. The type is asked for only where there is a body: a
//!   request without one is covered by the Origin rule, since browsers send `Origin` with every POST.
//! - **Token**: whoever has it may do everything. Programs of this machine need none unless one is set; requests that
//!   came through a proxy are never taken for theirs.

#[cfg(test)]
mod tests;

mod forwarded;
mod host;

use std::fmt;
use std::net::IpAddr;

use host::{is_same_origin, plain_host, split_host};

use crate::config::Network;
use crate::http::head::{BodyLength, Head};
use crate::http::response::Response;

/// The cookie that a login leaves in the browser.
pub const COOKIE: &str = "rs_worker_token";
/// How long the browser keeps it, in seconds: 30 days.
pub const COOKIE_SECONDS: u32 = 30 * 24 * 60 * 60;
/// Headers that proxies add. A request with one of them did not come straight from its peer.
const PROXY_HEADERS: [&str; 6] =
    ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip", "via"];

/// The rules, from the configuration.
#[derive(Clone, Default)]
pub struct GuardRules {
    hosts: Vec<String>,
    address_hosts: bool,
    origins: Vec<String>,
    token: Option<String>,
    /// What the cookie carries instead of the token.
    cookie: Option<String>,
    /// The path below which the server's paths stand; empty is the root.
    base_path: String,
    /// Proxies that are believed whom they got a request from.
    proxies: Vec<Network>,
}

impl fmt::Debug for GuardRules {
    /// Without the secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuardRules")
            .field("hosts", &self.hosts)
            .field("address_hosts", &self.address_hosts)
            .field("origins", &self.origins)
            .field("token", &self.token.is_some())
            .finish_non_exhaustive()
    }
}

/// Why a request is refused. Its text is the answer's `detail`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A Host that is not on the list: 403.
    Host(String),
    /// Another site's page: 403.
    Origin(String),
    /// A browser that says that another site sent this: 403.
    CrossSite,
    /// A body that is not JSON: 415.
    ContentType,
    /// No token, where one is needed: 401.
    TokenMissing,
    /// A wrong token or cookie: 401. The secret is for [`Throttle::failed`](crate::http::throttle::Throttle::failed).
    TokenWrong {
        /// What was tried.
        secret: String,
        /// Whether it came in the cookie, which the answer then deletes.
        cookie: bool,
    },
    /// It came through a proxy, or from another machine, and no token is set that could let it in: 401.
    NotLocal,
}

impl Refusal {
    /// The status of the answer.
    pub const fn status(&self) -> u16 {
        match self {
            Self::Host(_) | Self::Origin(_) | Self::CrossSite => 403,
            Self::ContentType => 415,
            Self::TokenMissing | Self::TokenWrong { .. } | Self::NotLocal => 401,
        }
    }

    /// The answer: `{"detail": ...}`; a 401 says that a bearer token is wanted. [`GuardRules::answer`] also takes a wrong
    /// cookie away.
    pub fn response(&self) -> Response {
        let response = Response::error(self.status(), self.to_string());
        match self {
            _ if self.status() == 401 => response.with_header("WWW-Authenticate", "Bearer"),
            _ => response,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(host) => write!(f, "host not allowed: {host} (see ALLOWED_HOSTS)"),
            Self::Origin(origin) => write!(f, "origin not allowed: {origin} (see ALLOWED_ORIGINS)"),
            Self::CrossSite => f.write_str("requests from other sites are not allowed (see ALLOWED_ORIGINS)"),
            Self::ContentType => f.write_str("the body must be JSON, with Content-Type: application/json"),
            Self::TokenMissing => f.write_str("a token is needed: send it as Authorization: Bearer, or log in"),
            Self::TokenWrong { .. } => f.write_str("the token is wrong"),
            Self::NotLocal => f.write_str(
                "only programs of this machine get in without a token, and not through a proxy (see AUTH_TOKEN)",
            ),
        }
    }
}

impl std::error::Error for Refusal {}

/// How a request showed that it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity {
    /// By the token.
    Token,
    /// By the cookie of a login.
    Cookie,
    /// By coming straight from this machine, where no token is set.
    Local,
}

impl GuardRules {
    /// Rules for the given names and token.
    ///
    /// `hosts`: names that `Host` may have, without port, in any case of letters (`localhost`, `127.0.0.1`, `[::1]` or
    /// `::1`). `address_hosts`: whether any IP address may stand there too (for a server that listens on all addresses).
    /// `origins`: pages of other origins that may call us, as `https://example.com`. An empty `token` is none.
    pub fn new(
        hosts: impl IntoIterator<Item = impl AsRef<str>>,
        address_hosts: bool,
        origins: impl IntoIterator<Item = impl AsRef<str>>,
        token: Option<String>,
    ) -> Self {
        let token = token.filter(|token| !token.is_empty());
        Self {
            hosts: hosts.into_iter().map(|host| plain_host(host.as_ref()).into_owned()).collect(),
            address_hosts,
            origins: origins
                .into_iter()
                .map(|origin| origin.as_ref().trim_end_matches('/').to_ascii_lowercase())
                .collect(),
            cookie: token.as_deref().map(cookie_value),
            token,
            base_path: String::new(),
            proxies: Vec::new(),
        }
    }

    /// The same for a server whose paths stand below `base_path`, as in `/agents`. Its cookie goes there alone, so that
    /// other sites under the same name do not get it, and two servers there keep apart.
    pub fn below(self, base_path: &str) -> Self {
        Self { base_path: base_path.to_owned(), ..self }
    }

    /// The same for a server behind these proxies.
    pub fn behind(self, proxies: Vec<Network>) -> Self {
        Self { proxies, ..self }
    }

    /// The address that a request comes from, as far as it is known: what the throttle counts failed tries by. It lets
    /// nobody in: who comes through a proxy is never local, whatever the proxy says.
    pub fn client(&self, head: &Head) -> IpAddr {
        forwarded::client(head, &self.proxies)
    }

    /// The answer to a request that is refused. A wrong cookie is deleted.
    pub fn answer(&self, refusal: &Refusal) -> Response {
        match refusal {
            Refusal::TokenWrong { cookie: true, .. } => {
                refusal.response().with_header("Set-Cookie", &self.clear_cookie())
            }
            _ => refusal.response(),
        }
    }

    /// The rules that hold for every request, upgrades included: Host, Origin, content type.
    ///
    /// # Errors
    /// The first rule that the request breaks.
    pub fn check(&self, head: &Head) -> Result<(), Refusal> {
        self.check_host(head)?;
        self.check_origin(head)?;
        if head.method().changes_state() && head.body_length() != BodyLength::None && !is_json(head) {
            return Err(Refusal::ContentType);
        }
        Ok(())
    }

    fn check_host(&self, head: &Head) -> Result<(), Refusal> {
        let given = head.host().unwrap_or_default();
        let allowed = split_host(given).is_some_and(|(host, _)| {
            let host = plain_host(host);
            self.hosts.iter().any(|listed| *listed == host) || (self.address_hosts && host.parse::<IpAddr>().is_ok())
        });
        if allowed { Ok(()) } else { Err(Refusal::Host(given.to_owned())) }
    }

    fn check_origin(&self, head: &Head) -> Result<(), Refusal> {
        let Some(origin) = head.header("origin") else {
            // Old browsers send neither header with some requests; the content type and SameSite=Strict cover those.
            let acts = head.method().changes_state() || head.header("upgrade").is_some();
            return match head.header("sec-fetch-site") {
                Some(site) if acts && site.eq_ignore_ascii_case("cross-site") => Err(Refusal::CrossSite),
                _ => Ok(()),
            };
        };
        if self.lists_origin(origin) || is_same_origin(origin, head.host().unwrap_or_default()) {
            Ok(())
        } else {
            Err(Refusal::Origin(origin.to_owned()))
        }
    }

    fn lists_origin(&self, origin: &str) -> bool {
        self.origins.iter().any(|listed| listed.eq_ignore_ascii_case(origin)) && origin != "null"
    }

    /// The origin that an answer's `Access-Control-Allow-Origin` may name: the request's, where it is a listed one.
    pub fn cors_origin<'a>(&self, head: &'a Head) -> Option<&'a str> {
        head.header("origin").filter(|origin| self.lists_origin(origin))
    }

    /// Who asks. Callers ask [`Throttle::check`](crate::http::throttle::Throttle::check) first and tell it the outcome.
    ///
    /// # Errors
    /// Why it is nobody whom we let in.
    pub fn authenticate(&self, head: &Head) -> Result<Identity, Refusal> {
        let (Some(token), Some(cookie)) = (&self.token, &self.cookie) else {
            return if is_local(head) { Ok(Identity::Local) } else { Err(Refusal::NotLocal) };
        };
        if let Some(given) = head.header("authorization") {
            let secret = bearer(given).unwrap_or_default();
            return if same_secret(secret, token) {
                Ok(Identity::Token)
            } else {
                Err(Refusal::TokenWrong { secret: secret.to_owned(), cookie: false })
            };
        }
        // Cookies are shared by all ports of a host, so another program can put one of the same name beside ours.
        let mut wrong = None;
        for given in cookies(head, COOKIE) {
            if same_secret(given, cookie) {
                return Ok(Identity::Cookie);
            }
            wrong = Some(Refusal::TokenWrong { secret: given.to_owned(), cookie: true });
        }
        Err(wrong.unwrap_or(Refusal::TokenMissing))
    }

    /// Whether a token is set at all.
    pub const fn needs_token(&self) -> bool {
        self.token.is_some()
    }

    /// Whether this is the token, for a login. Takes the same time for every wrong one of its length.
    pub fn is_token(&self, secret: &str) -> bool {
        self.token.as_deref().is_some_and(|token| same_secret(secret, token))
    }

    /// The `Set-Cookie` of a login with the right token; `None` when no token is set.
    ///
    /// The cookie does not carry the token but a digest of it, so that what can be read in a browser's profile is good
    /// for this server alone and gives the token away to nobody; and it outlives a restart of the server, which a random
    /// session would not. A new token ends all logins.
    pub fn login_cookie(&self, head: &Head) -> Option<String> {
        let secure = if is_https(head) { "; Secure" } else { "" };
        self.cookie.as_ref().map(|value| {
            let base = &self.base_path;
            format!("{COOKIE}={value}; Path={base}/; Max-Age={COOKIE_SECONDS}; HttpOnly; SameSite=Strict{secure}")
        })
    }

    /// The `Set-Cookie` of a logout.
    pub fn clear_cookie(&self) -> String {
        format!("{COOKIE}=; Path={}/; Max-Age=0; HttpOnly; SameSite=Strict", self.base_path)
    }
}

/// The WebSocket handshake's digest is the only one among our dependencies: SHA-1 over its input and a constant. What is
/// asked of it here, that nobody finds the input, SHA-1 still gives.
fn cookie_value(token: &str) -> String {
    tungstenite::handshake::derive_accept_key(format!("{COOKIE}:{token}").as_bytes())
}

fn is_json(head: &Head) -> bool {
    let given = head.header("content-type").unwrap_or_default();
    let given = given.split(';').next().unwrap_or_default().trim();
    // Neither can be sent by another site's page without asking first.
    ["application/json", "application/x-ndjson"].iter().any(|json| given.eq_ignore_ascii_case(json))
}

fn is_local(head: &Head) -> bool {
    head.peer().ip().to_canonical().is_loopback()
        && !head.headers().any(|(name, _)| PROXY_HEADERS.iter().any(|proxy| proxy.eq_ignore_ascii_case(name)))
}

/// Whether the browser's side of a proxy speaks TLS. Whoever lies here only hides the cookie from himself.
fn is_https(head: &Head) -> bool {
    head.header("x-forwarded-proto").is_some_and(|proto| proto.eq_ignore_ascii_case("https"))
        || head.header("forwarded").is_some_and(|value| value.to_ascii_lowercase().contains("proto=https"))
}

fn bearer(value: &str) -> Option<&str> {
    let (scheme, secret) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| secret.trim())
}

fn cookies<'a>(head: &'a Head, name: &'a str) -> impl Iterator<Item = &'a str> {
    head.headers()
        .filter(|(key, _)| key.eq_ignore_ascii_case("cookie"))
        .flat_map(|(_, value)| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(move |(key, _)| *key == name)
        .map(|(_, value)| value)
}

/// Compares without a hint of where the first difference is. The length is no secret.
fn same_secret(given: &str, secret: &str) -> bool {
    if given.len() != secret.len() {
        return false;
    }
    let difference =
        given.bytes().zip(secret.bytes()).fold(0, |all, (one, other)| std::hint::black_box(all | (one ^ other)));
    difference == 0
}
