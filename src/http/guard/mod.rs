//! Access rules on a request's head, as pure functions. [`Throttle`](crate::http::throttle::Throttle) counts failed
//! attempts beside it.
//!
//! The purpose of each rule. The server runs commands for every request that passes them:
//! - **Host**: the name in it must be one of ours. A page on the web can have its own name resolve to 127.0.0.1 (DNS
//!   rebinding); its requests are then same-origin to the browser, and only this name gives them away. An address
//!   instead of a name cannot be rebound.
//! - **Origin**: browsers say which page a request comes from. It must be ours, on the WebSocket upgrade too, which
//!   browsers allow across sites.
//! - **Content type**: a form on another site cannot send JSON. The type is asked for only where there is a body: a
//!   request without one is covered by the Origin rule, since browsers send `Origin` with every POST.
//! - **Token**: whoever has the server's own may do everything; one that was made for somebody has a scope. Programs of the server's own user need none over loopback, unless one is
//!   set ([`LocalAccess`]); requests that say that they came through a proxy are never taken for theirs.

#[cfg(test)]
mod tests;

mod cookie;
mod cors;
mod forwarded;
mod host;
mod local;
mod refusal;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

pub(crate) use cookie::COOKIE;
use host::{is_same_origin, plain_host, split_host};
pub(crate) use refusal::GuardRefusal;

use crate::access::{Identity, SECRET_PREFIX, Token, TokenOrigin, Tokens};
use crate::clock::Micros;
use crate::config::{LocalAccess, Network};
use crate::http::head::{BodyLength, Head};
use crate::http::page;
use crate::http::response::Response;
use crate::logins::{FoundLogin, Logins};
use crate::token::AuthToken;

/// Paths below which nothing is for pages of other sites: what is there reveals or costs something.
pub(crate) const CLOSED_TO_SITES: [&str; 5] = ["/acp", "/api", "/mcp", "/metrics", "/ws"];

/// The rules, from the configuration.
#[derive(Clone)]
pub struct GuardRules {
    hosts: Vec<String>,
    address_hosts: bool,
    origins: Vec<String>,
    token: Option<AuthToken>,
    logins: Arc<Logins>,
    tokens: Arc<Tokens>,
    /// The path prefix of the server; empty is the root.
    base_path: String,
    /// Proxies whose `X-Forwarded-For` is trusted.
    proxies: Vec<Network>,
    /// Which requests over loopback need no token.
    local: LocalAccess,
}

impl fmt::Debug for GuardRules {
    /// Formats the rules without the secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuardRules")
            .field("hosts", &self.hosts)
            .field("address_hosts", &self.address_hosts)
            .field("origins", &self.origins)
            .field("token", &self.token.is_some())
            .field("local", &self.local)
            .finish_non_exhaustive()
    }
}

impl GuardRules {
    /// Rules for the given names and token.
    ///
    /// `hosts`: names that `Host` may have, without port, in any case of letters (`localhost`, `127.0.0.1`, `[::1]` or
    /// `::1`). `address_hosts`: whether any IP address is allowed there too (for a server that listens on all addresses).
    /// `origins`: pages of other origins that may call us, as `https://example.com`.
    pub fn new(
        hosts: impl IntoIterator<Item = impl AsRef<str>>,
        address_hosts: bool,
        origins: impl IntoIterator<Item = impl AsRef<str>>,
        token: Option<AuthToken>,
    ) -> Self {
        Self {
            hosts: hosts.into_iter().map(|host| plain_host(host.as_ref()).into_owned()).collect(),
            address_hosts,
            origins: origins
                .into_iter()
                .map(|origin| origin.as_ref().trim_end_matches('/').to_ascii_lowercase())
                .collect(),
            token,
            logins: Arc::new(Logins::in_memory()),
            tokens: Arc::new(Tokens::in_memory()),
            base_path: String::new(),
            proxies: Vec::new(),
            local: LocalAccess::SameUser,
        }
    }

    /// The same with other rules for requests over loopback. Without any, those of the server's own user need no token.
    pub fn with_local_access(self, local: LocalAccess) -> Self {
        Self { local, ..self }
    }

    /// The same with logins that are kept.
    pub fn with_logins(self, logins: Arc<Logins>) -> Self {
        Self { logins, ..self }
    }

    /// The same with tokens that are kept.
    pub(crate) fn with_tokens(self, tokens: Arc<Tokens>) -> Self {
        Self { tokens, ..self }
    }

    /// The same for a server whose paths begin with `base_path`, as in `/agents`. Its cookie goes there alone, so that
    /// other sites under the same name do not get it, and two servers there keep apart.
    pub fn below(self, base_path: &str) -> Self {
        Self { base_path: base_path.to_owned(), ..self }
    }

    /// The same for a server behind these proxies.
    pub fn behind(self, proxies: Vec<Network>) -> Self {
        Self { proxies, ..self }
    }

    /// The address that a request comes from, as far as it is known: what the throttle counts failed tries by. It lets
    /// nobody in: a client behind a proxy is never local, whatever the proxy says.
    pub fn client(&self, head: &Head) -> IpAddr {
        forwarded::client(head, &self.proxies)
    }

    /// The logins of browsers.
    pub fn logins(&self) -> &Arc<Logins> {
        &self.logins
    }

    /// The tokens with scopes.
    pub(crate) fn tokens(&self) -> &Arc<Tokens> {
        &self.tokens
    }

    /// The answer to a request that is refused. A cookie of no use is deleted; a person gets a page that says what to do.
    pub fn answer(&self, head: &Head, refusal: &GuardRefusal) -> Response {
        match refusal {
            GuardRefusal::Host(host) if page::reads_pages(head) => refusal::host_page(host),
            GuardRefusal::LoginEnded => refusal.response().with_header("Set-Cookie", &self.clear_cookie(head)),
            _ => refusal.response(),
        }
    }

    /// The rules that hold for every request, upgrades included: Host, Origin, content type.
    ///
    /// # Errors
    /// The first rule that the request breaks.
    pub fn check(&self, head: &Head) -> Result<(), GuardRefusal> {
        self.check_host(head)?;
        self.check_probe(head)
    }

    /// The same for paths that probes ask by whatever name or address they have, or by none: all rules but that of Host.
    /// The answer of such a path must be the same for everybody, since a page whose name is bound to our address reads it.
    ///
    /// # Errors
    /// The first rule that the request breaks.
    pub fn check_probe(&self, head: &Head) -> Result<(), GuardRefusal> {
        self.check_origin(head)?;
        if head.method().changes_state() && head.body_length() != BodyLength::None {
            if let Some(coding) = head.header("content-encoding").filter(|it| !it.eq_ignore_ascii_case("identity")) {
                return Err(GuardRefusal::ContentCoding(coding.to_owned()));
            }
            if !is_json(head) {
                return Err(GuardRefusal::ContentType);
            }
        }
        Ok(())
    }

    fn check_host(&self, head: &Head) -> Result<(), GuardRefusal> {
        let given = head.host().unwrap_or_default();
        let allowed = split_host(given).is_some_and(|(host, _)| {
            let host = plain_host(host);
            self.hosts.iter().any(|listed| *listed == host) || (self.address_hosts && host.parse::<IpAddr>().is_ok())
        });
        if allowed { Ok(()) } else { Err(GuardRefusal::Host(given.to_owned())) }
    }

    fn check_origin(&self, head: &Head) -> Result<(), GuardRefusal> {
        let Some(origin) = head.header("origin") else { return self.check_site(head) };
        let own = is_same_origin(origin, head.host().unwrap_or_default(), forwarded::scheme(head));
        if own || self.lists_origin(origin) { Ok(()) } else { Err(GuardRefusal::Origin(origin.to_owned())) }
    }

    /// A request without an origin, which browsers send for links, images, scripts and the like: what another site has
    /// asked for may be a page of ours, and nothing else.
    fn check_site(&self, head: &Head) -> Result<(), GuardRefusal> {
        let is_foreign = |site: &str| ["cross-site", "same-site"].iter().any(|it| it.eq_ignore_ascii_case(site));
        let acts = head.method().changes_state() || head.header("upgrade").is_some();
        let path = head.path().strip_prefix(self.base_path.as_str()).unwrap_or_default();
        let is_closed = || {
            CLOSED_TO_SITES
                .iter()
                .any(|closed| path.strip_prefix(closed).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
        };
        match head.header("sec-fetch-site") {
            Some(site) if is_foreign(site) && (acts || is_closed()) => Err(GuardRefusal::CrossSite),
            _ => Ok(()),
        }
    }

    fn lists_origin(&self, origin: &str) -> bool {
        self.origins.iter().any(|listed| listed.eq_ignore_ascii_case(origin)) && origin != "null"
    }

    /// Identifies the client. [`Throttle::count`](crate::http::throttle::Throttle::count) has the last word on tokens.
    ///
    /// # Errors
    /// The reason why authentication failed.
    pub fn authenticate(&self, head: &Head) -> Result<Identity, GuardRefusal> {
        let now = Micros::now();
        if let Some(secret) = head.header("authorization").map(|given| bearer(given).unwrap_or_default()) {
            match self.identify_secret(head, secret, now) {
                Some(identity) => return Ok(identity),
                // A local program that names a token wants its scope, and not more when it has ended.
                None if self.token.is_some() || secret.starts_with(SECRET_PREFIX) => {
                    return Err(GuardRefusal::TokenWrong { secret: secret.to_owned() });
                }
                None => {}
            }
        }
        let mut ended = false;
        // Cookies are shared by all ports of a host, so another program can put one of the same name beside ours.
        for secret in cookie::examined(head) {
            if let Some(identity) = self.identify_login(head, secret, now) {
                return Ok(identity);
            }
            ended = true;
        }
        self.check_local(head).map_err(|refusal| if ended { GuardRefusal::LoginEnded } else { refusal })
    }

    /// The credential of a secret, which is the server's own token or one with a scope.
    pub(crate) fn identify_secret(&self, head: &Head, secret: &str, now: Micros) -> Option<Identity> {
        if let Some(token) = self.token.as_ref().filter(|token| token.matches(secret)) {
            return Some(Identity::Token { random: token.is_random() });
        }
        if !secret.starts_with(SECRET_PREFIX) {
            return None;
        }
        let address = self.client(head).to_string();
        let found = self.tokens.find(secret, &origin(&address, head), now).map(Identity::Scoped);
        // An agent may print its token, and whoever reads that may be anywhere. The agent itself is on this machine.
        found.filter(|identity| identity.agent_of().is_none() || local::is_from_here(head))
    }

    fn identify_login(&self, head: &Head, secret: &str, now: Micros) -> Option<Identity> {
        let FoundLogin { id: login, token } = self.logins.find(secret, now)?;
        // A server whose own token was taken away has no logins that may do everything.
        let Some(token) = token else { return self.token.is_some().then_some(Identity::Login(login)) };
        let address = self.client(head).to_string();
        let token = self.tokens.of_login(&token, &origin(&address, head), now)?;
        Some(Identity::ScopedLogin { login, token })
    }

    fn check_local(&self, head: &Head) -> Result<Identity, GuardRefusal> {
        match local::check(self.local, head) {
            Ok(()) => Ok(Identity::Local),
            // If there is a token, it opens every way in.
            Err(GuardRefusal::NotLocal) if self.token.is_some() => Err(GuardRefusal::TokenMissing),
            Err(refusal) => Err(refusal),
        }
    }

    /// The token that clients can send.
    pub const fn token(&self) -> Option<&AuthToken> {
        self.token.as_ref()
    }

    /// Returns whether nobody gets in without a token or a login.
    pub fn needs_token(&self) -> bool {
        self.local == LocalAccess::Token
    }

    /// Begins a login, with the scope of a token if there is one, and gives its `Set-Cookie` and its identity.
    ///
    /// # Errors
    /// Fails when the system has no random bytes.
    pub(crate) fn begin_login(&self, head: &Head, token: Option<&Token>) -> std::io::Result<(String, Identity)> {
        let agent = head.header("user-agent").unwrap_or_default();
        let id = token.map(|token| token.id.as_str());
        let begun = self.logins.begin(&self.client(head).to_string(), agent, id, Micros::now())?;
        let identity = match token {
            None => Identity::Login(begun.id),
            Some(token) => Identity::ScopedLogin { login: begun.id, token: Arc::new(token.clone()) },
        };
        Ok((cookie::set(head, &self.base_path, &begun.secret), identity))
    }

    /// The names of the logins whose cookies a request carries: one, as a rule.
    pub fn logins_of(&self, head: &Head) -> Vec<String> {
        cookie::examined(head).filter_map(|secret| Some(self.logins.find(secret, Micros::now())?.id)).collect()
    }

    /// The `Set-Cookie` that takes a login's cookie away.
    pub fn clear_cookie(&self, head: &Head) -> String {
        cookie::clear(head, &self.base_path)
    }
}

fn is_json(head: &Head) -> bool {
    let given = head.header("content-type").unwrap_or_default();
    let given = given.split(';').next().unwrap_or_default().trim();
    // Neither can be sent by another site's page without asking first.
    ["application/json", "application/x-ndjson"].iter().any(|json| given.eq_ignore_ascii_case(json))
}

fn bearer(value: &str) -> Option<&str> {
    let (scheme, secret) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| secret.trim())
}

/// The place that a secret comes from, for the token's last use and its connections.
fn origin<'o>(address: &'o str, head: &'o Head) -> TokenOrigin<'o> {
    TokenOrigin { address, connection: head.peer().stream() }
}
