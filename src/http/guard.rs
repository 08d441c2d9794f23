//! Who may ask: rules on a request's head, as pure functions. [`Throttle`](super::throttle::Throttle) keeps the count of
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

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use super::head::{BodyLength, Head};
use super::response::Response;

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
    /// A wrong token or cookie: 401. The secret is for [`Throttle::failed`](super::throttle::Throttle::failed).
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

    /// The answer: `{"detail": ...}`; a 401 says that a bearer token is wanted.
    pub fn response(&self) -> Response {
        let response = Response::error(self.status(), self.to_string());
        match self {
            Self::TokenWrong { cookie: true, .. } => {
                response.with_header("WWW-Authenticate", "Bearer").with_header("Set-Cookie", &clear_cookie())
            }
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

    /// Who asks. Callers ask [`Throttle::check`](super::throttle::Throttle::check) first and tell it the outcome.
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
            format!("{COOKIE}={value}; Path=/; Max-Age={COOKIE_SECONDS}; HttpOnly; SameSite=Strict{secure}")
        })
    }
}

/// The `Set-Cookie` of a logout.
pub fn clear_cookie() -> String {
    format!("{COOKIE}=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict")
}

/// The WebSocket handshake's digest is the only one among our dependencies: SHA-1 over its input and a constant. What is
/// asked of it here, that nobody finds the input, SHA-1 still gives.
fn cookie_value(token: &str) -> String {
    tungstenite::handshake::derive_accept_key(format!("{COOKIE}:{token}").as_bytes())
}

/// `host`, `host:port`, `[v6]` or `[v6]:port`, taken apart; `None` when it is none of these.
fn split_host(authority: &str) -> Option<(&str, Option<u16>)> {
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
fn plain_host(host: &str) -> Cow<'_, str> {
    let inner = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    if let Ok(address) = inner.parse::<Ipv6Addr>() {
        return address.to_string().into();
    }
    let name = host.strip_suffix('.').unwrap_or(host);
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) { name.to_ascii_lowercase().into() } else { name.into() }
}

/// Whether a page of `origin` is one that came from `host`. Ports that are left out are the scheme's own, so it holds
/// behind a proxy that adds TLS, too.
fn is_same_origin(origin: &str, host: &str) -> bool {
    let Some((scheme, authority)) = origin.split_once("://") else { return false };
    let default_port = match scheme.to_ascii_lowercase().as_str() {
        "http" => 80,
        "https" => 443,
        _ => return false,
    };
    let parts = |text| split_host(text).map(|(host, port)| (plain_host(host), port.unwrap_or(default_port)));
    parts(authority).is_some_and(|page| parts(host) == Some(page))
}

fn is_json(head: &Head) -> bool {
    let given = head.header("content-type").unwrap_or_default();
    given.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json")
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

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use proptest::prelude::*;

    use super::*;

    const TOKEN: &str = "correct horse";

    fn rules(token: Option<&str>) -> GuardRules {
        GuardRules::new(
            ["localhost", "127.0.0.1", "[::1]", "Box.Example"],
            false,
            ["https://ui.example/"],
            token.map(str::to_owned),
        )
    }

    fn head_from(peer: &str, request: &str, fields: &str) -> Head {
        let peer: SocketAddr = peer.parse().unwrap();
        let text = format!("{request} HTTP/1.1\r\n{fields}\r\n");
        Head::parse(text.as_bytes(), peer).unwrap().unwrap().0
    }

    fn head(request: &str, fields: &str) -> Head {
        head_from("127.0.0.1:50000", request, fields)
    }

    fn check(request: &str, fields: &str) -> u16 {
        rules(None).check(&head(request, fields)).map_or_else(|refusal| refusal.status(), |()| 200)
    }

    #[test]
    fn only_hosts_on_the_list_are_served() {
        for (host, status) in [
            ("localhost", 200),
            ("LOCALHOST:7788", 200),
            ("localhost.", 200),
            ("127.0.0.1:1", 200),
            ("[::1]:7788", 200),
            ("[0:0:0:0:0:0:0:1]", 200),
            ("box.example:443", 200),
            ("evil.example", 403),
            ("evil.example:7788", 403),
            ("localhost.evil.example", 403),
            ("evil.localhost", 403),
            ("127.0.0.2", 403),
            ("::1", 403),
            ("localhost:99999", 403),
            ("localhost:x", 403),
            ("localhost:80:80", 403),
            ("a@localhost", 403),
            ("localhost:80@evil.example", 403),
            ("[::1", 403),
            ("[::1]x", 403),
            ("", 403),
            (":80", 403),
        ] {
            assert_eq!(check("GET /", &format!("Host: {host}\r\n")), status, "{host}");
        }
    }

    #[test]
    fn the_answer_names_the_setting() {
        let refusal = rules(None).check(&head("GET /", "Host: evil.example\r\n")).unwrap_err();
        let response = refusal.response();
        assert_eq!(response.status(), 403);
        assert_eq!(response.content().bytes(), br#"{"detail":"host not allowed: evil.example (see ALLOWED_HOSTS)"}"#);
    }

    #[test]
    fn addresses_are_hosts_where_the_server_listens_on_all_of_them() {
        let rules = GuardRules::new(["localhost"], true, [""; 0], None);
        for (host, allowed) in
            [("192.168.1.5:7788", true), ("[fe80::1]", true), ("evil.example", false), ("1.2.3", false)]
        {
            assert_eq!(rules.check(&head("GET /", &format!("Host: {host}\r\n"))).is_ok(), allowed, "{host}");
        }
    }

    #[test]
    fn pages_of_other_origins_are_refused() {
        let upgrade = "Upgrade: websocket\r\nConnection: upgrade\r\n";
        for (host, origin, status) in [
            ("localhost:7788", "http://localhost:7788", 200),
            ("localhost:7788", "HTTP://LOCALHOST:7788", 200),
            ("localhost", "http://localhost", 200),
            ("localhost:80", "http://localhost", 200),
            ("box.example", "https://box.example", 200),
            ("localhost:7788", "https://ui.example", 200),
            ("[::1]:7788", "http://[::1]:7788", 200),
            ("localhost:7788", "null", 403),
            ("localhost:7788", "http://localhost:3000", 403),
            ("localhost:7788", "http://localhost", 403),
            ("localhost:7788", "http://127.0.0.1:7788", 403),
            ("localhost:7788", "https://evil.example", 403),
            ("localhost:7788", "https://ui.example.evil", 403),
            ("localhost:7788", "http://ui.example", 403),
            ("localhost:7788", "file://localhost:7788", 403),
            ("localhost:7788", "localhost:7788", 403),
            ("localhost:7788", "", 403),
            ("localhost", "http://localhost:443", 403),
        ] {
            for (request, more) in [("GET /", ""), ("POST /", ""), ("GET /ws/1", upgrade)] {
                let fields = format!("Host: {host}\r\nOrigin: {origin}\r\n{more}");
                assert_eq!(check(request, &fields), status, "{request} {host} {origin}");
            }
        }
    }

    #[test]
    fn what_a_browser_calls_cross_site_changes_nothing() {
        let fields = "Host: localhost\r\nSec-Fetch-Site: cross-site\r\n";
        assert_eq!(check("GET /", fields), 200, "a link from another site");
        assert_eq!(check("POST /", fields), 403);
        assert_eq!(check("DELETE /", fields), 403);
        assert_eq!(check("GET /ws", &format!("{fields}Upgrade: websocket\r\n")), 403);
        assert_eq!(check("POST /", &format!("{fields}Origin: https://ui.example\r\n")), 200, "a listed origin");
        assert_eq!(check("POST /", "Host: localhost\r\nSec-Fetch-Site: same-origin\r\n"), 200);
    }

    #[test]
    fn bodies_that_change_something_are_json() {
        for (kind, status) in [
            ("Content-Type: application/json\r\n", 200),
            ("Content-Type: Application/JSON; charset=utf-8\r\n", 200),
            ("Content-Type: text/plain\r\n", 415),
            ("Content-Type: application/x-www-form-urlencoded\r\n", 415),
            ("Content-Type: multipart/form-data; application/json\r\n", 415),
            ("Content-Type: application/jsonp\r\n", 415),
            ("", 415),
        ] {
            for length in ["Content-Length: 2\r\n", "Transfer-Encoding: chunked\r\n"] {
                assert_eq!(check("POST /", &format!("Host: localhost\r\n{kind}{length}")), status, "{kind}{length}");
            }
        }
        assert_eq!(check("POST /", "Host: localhost\r\n"), 200, "no body, no type");
        assert_eq!(check("DELETE /", "Host: localhost\r\nContent-Length: 0\r\n"), 200);
    }

    #[test]
    fn without_a_token_only_this_machine_gets_in_and_never_through_a_proxy() {
        let ask = |peer: &str, fields: &str| {
            rules(None).authenticate(&head_from(peer, "GET /", &format!("Host: localhost\r\n{fields}")))
        };
        for peer in ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
            assert_eq!(ask(peer, ""), Ok(Identity::Local), "{peer}");
        }
        assert_eq!(ask("192.0.2.1:1", ""), Err(Refusal::NotLocal));
        for header in
            ["Forwarded: for=x", "X-Forwarded-For: 127.0.0.1", "x-real-ip: 1", "Via: 1.1 proxy", "X-FORWARDED-HOST: a"]
        {
            assert_eq!(ask("127.0.0.1:1", &format!("{header}\r\n")), Err(Refusal::NotLocal), "{header}");
        }
        assert_eq!(Refusal::NotLocal.response().header("www-authenticate"), Some("Bearer"));
    }

    #[test]
    fn with_a_token_everybody_needs_it() {
        let ask =
            |fields: &str| rules(Some(TOKEN)).authenticate(&head("GET /", &format!("Host: localhost\r\n{fields}")));
        assert_eq!(ask(""), Err(Refusal::TokenMissing));
        assert_eq!(ask("Authorization: Bearer correct horse\r\n"), Ok(Identity::Token));
        assert_eq!(ask("authorization: bearer  correct horse\r\n"), Ok(Identity::Token));
        for wrong in [
            "Bearer correct hors",
            "Bearer correct horsee",
            "Bearer Correct horse",
            "Basic correct horse",
            "Bearer",
            "",
        ] {
            let refusal = ask(&format!("Authorization: {wrong}\r\n")).unwrap_err();
            assert_eq!((refusal.status(), refusal.to_string()), (401, "the token is wrong".into()), "{wrong}");
        }
        assert_eq!(ask("X-Forwarded-For: 1.2.3.4\r\nAuthorization: Bearer correct horse\r\n"), Ok(Identity::Token));
    }

    #[test]
    fn a_login_leaves_a_cookie_that_is_not_the_token() {
        let rules = rules(Some(TOKEN));
        assert!(rules.is_token(TOKEN) && !rules.is_token("") && !GuardRules::default().is_token(""));
        let set = rules.login_cookie(&head("POST /api/login", "Host: localhost\r\n")).unwrap();
        assert!(set.ends_with("; Path=/; Max-Age=2592000; HttpOnly; SameSite=Strict"), "{set}");
        assert!(!set.contains("horse"), "{set}");
        let pair = set.split(';').next().unwrap();
        let ask = |fields: &str| rules.authenticate(&head("GET /", &format!("Host: localhost\r\n{fields}")));
        assert_eq!(ask(&format!("Cookie: a=b; {pair}; c=d\r\n")), Ok(Identity::Cookie));
        assert_eq!(ask(&format!("Cookie: {COOKIE}=planted; {pair}\r\n")), Ok(Identity::Cookie));
        let refusal = ask(&format!("Cookie: {COOKIE}=correct horse\r\n")).unwrap_err();
        assert_eq!(refusal.response().header("set-cookie"), Some(clear_cookie().as_str()));
        assert_eq!(ask("Cookie: other=1\r\n"), Err(Refusal::TokenMissing));
        let https = head("POST /api/login", "Host: localhost\r\nX-Forwarded-Proto: https\r\n");
        assert!(rules.login_cookie(&https).unwrap().ends_with("; Secure"));
        assert!(!format!("{rules:?}").contains("horse"), "secrets stay out of logs");
    }

    proptest! {
        #[test]
        fn no_host_or_origin_breaks_the_guard(host in "[ -~]{0,30}", origin in "[ -~]{0,30}") {
            let _ = split_host(&host).map(|(host, _)| plain_host(host));
            let _ = is_same_origin(&origin, &host);
        }
    }
}
