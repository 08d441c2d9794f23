//! Each rule, with the exact answer.

use std::net::SocketAddr;
use std::sync::Arc;

use nix::unistd::{Uid, geteuid};
use proptest::prelude::*;

use super::*;
use crate::access::AgentSecret;
use crate::config::Secret;
use crate::http::peer::Peer;

mod browsers;

const TOKEN: &str = "correct horse";

fn rules(token: Option<&str>) -> GuardRules {
    GuardRules::new(
        ["localhost", "127.0.0.1", "[::1]", "Box.Example"],
        false,
        ["https://ui.example/"],
        token.map(|token| AuthToken::chosen(Secret::new(token))),
    )
}

/// A request of our own user.
fn head_from(peer: &str, request: &str, fields: &str) -> Head {
    head_of(Peer::owned(peer.parse().unwrap(), Ok(geteuid())), request, fields)
}

fn head_of(peer: Peer, request: &str, fields: &str) -> Head {
    let text = format!("{request} HTTP/1.1\r\n{fields}\r\n");
    Head::parse_from(text.as_bytes(), &Arc::new(peer)).unwrap().unwrap().0
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
    assert_eq!(
        response.content().bytes(),
        br#"{"detail":"host not allowed: evil.example (see ALLOWED_HOSTS)","code":"forbidden"}"#
    );
}

#[test]
fn addresses_are_hosts_where_the_server_listens_on_all() {
    let rules = GuardRules::new(["localhost"], true, [""; 0], None);
    for (host, allowed) in [("192.168.1.5:7788", true), ("[fe80::1]", true), ("evil.example", false), ("1.2.3", false)]
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
fn cross_site_requests_change_nothing() {
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
fn only_this_machine_enters_without_a_token_never_through_proxies() {
    let ask = |peer: &str, fields: &str| {
        rules(None).authenticate(&head_from(peer, "GET /", &format!("Host: localhost\r\n{fields}")))
    };
    for peer in ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
        assert_eq!(ask(peer, ""), Ok(Identity::Local), "{peer}");
    }
    assert_eq!(ask("192.0.2.1:1", ""), Err(GuardRefusal::NotLocal));
    for header in [
        "Forwarded: for=x",
        "X-Forwarded-For: 127.0.0.1",
        "x-real-ip: 1",
        "Via: 1.1 proxy",
        "X-FORWARDED-HOST: a",
        "CF-Connecting-IP: 1",
        "True-Client-IP: 1",
        "X-Forwarded-Server: a",
        "CF-Ray: x",
        "x-forwarded-scheme: a",
    ] {
        assert_eq!(ask("127.0.0.1:1", &format!("{header}\r\n")), Err(GuardRefusal::NotLocal), "{header}");
    }
    assert_eq!(GuardRefusal::NotLocal.response().header("www-authenticate"), Some("Bearer"));
}

#[test]
fn token_is_needed_by_everybody_once_set() {
    let closed = closed();
    let ask = |fields: &str| closed.authenticate(&head("GET /", &format!("Host: localhost\r\n{fields}")));
    assert_eq!(ask(""), Err(GuardRefusal::TokenMissing));
    assert_eq!(ask("Authorization: Bearer correct horse\r\n"), Ok(Identity::Token { random: false }));
    assert_eq!(ask("authorization: bearer  correct horse\r\n"), Ok(Identity::Token { random: false }));
    for wrong in
        ["Bearer correct hors", "Bearer correct horsee", "Bearer Correct horse", "Basic correct horse", "Bearer", ""]
    {
        let refusal = ask(&format!("Authorization: {wrong}\r\n")).unwrap_err();
        assert_eq!((refusal.status(), refusal.to_string()), (401, "the token is wrong".into()), "{wrong}");
    }
    assert_eq!(
        ask("X-Forwarded-For: 1.2.3.4\r\nAuthorization: Bearer correct horse\r\n"),
        Ok(Identity::Token { random: false })
    );
}

/// The `name=value` of the cookie of a new login, and its flags.
fn log_in(rules: &GuardRules, fields: &str) -> (String, String) {
    let asked = head("POST /api/login", &format!("Host: localhost\r\n{fields}"));
    let (set, _) = rules.begin_login(&asked, None).unwrap();
    let (pair, flags) = set.split_once("; ").unwrap();
    (pair.to_owned(), flags.to_owned())
}

fn closed() -> GuardRules {
    rules(Some(TOKEN)).with_local_access(LocalAccess::Token)
}

#[test]
fn login_leaves_a_random_cookie_that_its_end_makes_useless() {
    let rules = closed();
    let ((pair, flags), (second, _)) = (log_in(&rules, "User-Agent: me\r\n"), log_in(&rules, ""));
    assert_eq!(flags, "Path=/; Max-Age=2592000; HttpOnly; SameSite=Strict");
    assert!(pair.starts_with(COOKIE) && !pair.contains("horse") && pair != second, "{pair}");
    let ask = |fields: &str| rules.authenticate(&head("GET /", &format!("Host: localhost\r\n{fields}")));
    let Ok(Identity::Login(id)) = ask(&format!("Cookie: a=b; {pair}; c=d\r\n")) else { panic!("not let in") };
    assert_eq!(ask(&format!("Cookie: {COOKIE}=planted; {pair}\r\n")), Ok(Identity::Login(id.clone())));
    assert_eq!(rules.logins().list(Micros::now()).len(), 2);
    assert!(rules.logins().end(&id, None).unwrap());
    assert_eq!(ask(&format!("Cookie: {pair}\r\n")), Err(GuardRefusal::LoginEnded));
    assert!(matches!(ask(&format!("Cookie: {second}\r\n")), Ok(Identity::Login(_))), "others go on");
    assert_eq!(ask("Cookie: other=1\r\n"), Err(GuardRefusal::TokenMissing));
    let request = head("GET /", "Host: localhost\r\n");
    let answer = rules.answer(&request, &GuardRefusal::LoginEnded);
    assert_eq!(answer.header("set-cookie"), Some(rules.clear_cookie(&request).as_str()));
    assert!(rules.clear_cookie(&request).starts_with(&format!("{COOKIE}=; Path=/; Max-Age=0; ")));
    let shown = format!("{rules:?}");
    assert!(!shown.contains("horse") && shown.contains("box.example"), "secrets stay out of logs: {shown}");
    assert!(rules.needs_token() && !self::rules(None).needs_token());
}

#[test]
fn cookie_is_bound_to_the_https_host_and_base_path() {
    let tls = "X-Forwarded-Proto: https\r\n";
    let rules = closed();
    let (pair, flags) = log_in(&rules, tls);
    assert!(pair.starts_with(&format!("__Host-{COOKIE}=")) && flags.ends_with("; SameSite=Strict; Secure"), "{pair}");
    assert!(flags.starts_with("Path=/; "), "{flags}");
    let fields = format!("Host: localhost\r\nCookie: {COOKIE}=a; {COOKIE}=b; {COOKIE}=c; {COOKIE}=d; {pair}\r\n");
    assert!(matches!(rules.authenticate(&head("GET /", &fields)), Ok(Identity::Login(_))), "it is looked at first");
    let below = closed().below("/agents");
    let (pair, flags) = log_in(&below, tls);
    assert!(
        pair.starts_with(&format!("{COOKIE}=")) && flags.starts_with("Path=/agents/; ") && flags.ends_with("Secure")
    );
}

#[test]
fn at_most_four_cookies_of_our_name_are_examined() {
    let rules = closed();
    let (pair, _) = log_in(&rules, "");
    let ask = |planted: usize| {
        let planted = format!("{COOKIE}=planted; ").repeat(planted);
        rules.authenticate(&head("GET /", &format!("Host: localhost\r\nCookie: {planted}{pair}\r\n")))
    };
    assert!(matches!(ask(3), Ok(Identity::Login(_))));
    assert_eq!(ask(4), Err(GuardRefusal::LoginEnded));
}

#[test]
fn local_user_with_an_old_cookie_is_let_in() {
    let rules = rules(Some(TOKEN));
    let fields = format!("Host: localhost\r\nCookie: {COOKIE}=old\r\n");
    assert_eq!(rules.authenticate(&head("GET /", &fields)), Ok(Identity::Local));
}

#[test]
fn only_a_401_asks_for_a_token() {
    assert_eq!(GuardRefusal::ContentType.response().header("www-authenticate"), None);
    assert_eq!(GuardRefusal::TokenMissing.response().header("www-authenticate"), Some("Bearer"));
}

proptest! {
    #[test]
    fn no_host_or_origin_breaks_the_guard(host in "[ -~]{0,30}", origin in "[ -~]{0,30}") {
        let _ = split_host(&host).map(|(host, _)| plain_host(host));
        let _ = is_same_origin(&origin, &host, None);
    }
}

#[test]
fn only_what_trusted_proxies_have_written_names_the_client() {
    let proxies = ["10.0.0.0/8", "127.0.0.1", "fd00::1"].map(|text| Network::parse(text).unwrap()).to_vec();
    let (rules, none) = (rules(Some(TOKEN)).behind(proxies), rules(Some(TOKEN)));
    for (peer, fields, client) in [
        // Peers that are not proxies are not believed.
        ("192.0.2.9:1", "X-Forwarded-For: 198.51.100.1\r\n", "192.0.2.9"),
        ("10.1.2.3:1", "", "10.1.2.3"),
        ("10.1.2.3:1", "X-Forwarded-For: 198.51.100.1\r\n", "198.51.100.1"),
        // The client's own header comes before the proxy's addition.
        ("127.0.0.1:1", "X-Forwarded-For: 203.0.113.7, 198.51.100.1\r\n", "198.51.100.1"),
        ("127.0.0.1:1", "X-Forwarded-For: 203.0.113.7\r\nx-forwarded-for: 198.51.100.1\r\n", "198.51.100.1"),
        ("127.0.0.1:1", "X-Forwarded-For: 10.9.9.9, 198.51.100.1, 10.0.0.2,10.0.0.3\r\n", "198.51.100.1"),
        ("127.0.0.1:1", "X-Forwarded-For: 127.0.0.1\r\n", "127.0.0.1"),
        ("127.0.0.1:1", "X-Forwarded-For: 10.0.0.9, 10.0.0.8\r\n", "10.0.0.9"),
        // The first value that is not an address ends the list.
        ("127.0.0.1:1", "X-Forwarded-For: 198.51.100.1, unknown, 10.0.0.3\r\n", "10.0.0.3"),
        ("127.0.0.1:1", "X-Forwarded-For: 198.51.100.1,\r\n", "127.0.0.1"),
        ("127.0.0.1:1", "Forwarded: for=198.51.100.1\r\nX-Real-IP: 198.51.100.1\r\n", "127.0.0.1"),
        // With a port, as some write it; IPv6; IPv4 in IPv6.
        ("10.1.2.3:1", "X-Forwarded-For: 198.51.100.1:5000\r\n", "198.51.100.1"),
        ("[fd00::1]:1", "X-Forwarded-For: [2001:db8::7]:5000\r\n", "2001:db8::7"),
        ("[fd00::1]:1", "X-Forwarded-For: [2001:db8::7]\r\n", "2001:db8::7"),
        ("[::ffff:10.1.2.3]:1", "X-Forwarded-For: 2001:db8::8\r\n", "2001:db8::8"),
        ("10.1.2.3:1", "X-Forwarded-For: ::ffff:198.51.100.1\r\n", "198.51.100.1"),
    ] {
        let head = head_from(peer, "GET /", &format!("Host: localhost\r\n{fields}"));
        assert_eq!(rules.client(&head).to_string(), client, "{peer} {fields}");
        assert_eq!(
            none.client(&head),
            head.peer().address().ip().to_canonical(),
            "without TRUSTED_PROXIES nothing is believed"
        );
    }
}

#[test]
fn a_trusted_proxy_makes_nobody_local() {
    let trusted = rules(None).behind(vec![Network::parse("127.0.0.1").unwrap()]);
    let head = head("GET /api/workers", "Host: localhost\r\nX-Forwarded-For: 127.0.0.1\r\n");
    assert_eq!(trusted.authenticate(&head), Err(GuardRefusal::NotLocal));
}

#[test]
fn loopback_needs_no_token_from_own_user_and_root_only() {
    let local: SocketAddr = "127.0.0.1:1".parse().unwrap();
    let ask = |access: LocalAccess, token: Option<&str>, owner: Result<Uid, String>| {
        let head = head_of(Peer::owned(local, owner), "GET /", "Host: localhost\r\n");
        rules(token).with_local_access(access).authenticate(&head)
    };
    use LocalAccess::{Open, SameUser, Token};
    let (own, root, other) = (geteuid(), Uid::from_raw(0), Uid::from_raw(geteuid().as_raw() + 54_321));
    for user in [own, root] {
        assert_eq!(ask(SameUser, None, Ok(user)), Ok(Identity::Local));
        assert_eq!(ask(SameUser, Some(TOKEN), Ok(user)), Ok(Identity::Local));
        assert_eq!(ask(Token, Some(TOKEN), Ok(user)), Err(GuardRefusal::TokenMissing));
    }
    let refused = ask(SameUser, None, Ok(other)).unwrap_err();
    assert_eq!(refused, GuardRefusal::OtherUser { user: other.as_raw(), own: own.as_raw() });
    assert!(refused.status() == 401 && refused.to_string().contains(&format!("from uid {other}")), "{refused}");
    let unknown = ask(SameUser, Some(TOKEN), Err("it is gone".to_owned())).unwrap_err();
    assert!(unknown.status() == 401 && unknown.to_string().contains("not known: it is gone"), "{unknown}");
    for owner in [Ok(other), Err("it is gone".to_owned())] {
        assert_eq!(ask(Open, None, owner), Ok(Identity::Local));
    }
}

#[test]
fn agents_tokens_are_good_on_this_machine_alone() {
    let tokens = Arc::new(Tokens::in_memory());
    let agent = AgentSecret::new().unwrap();
    tokens.agents().admit("w", &agent.sha256, 1);
    let rules = rules(None).with_tokens(tokens);
    let ask = |peer: &str, more: &str| {
        let fields = format!("Host: localhost\r\nAuthorization: Bearer {}\r\n{more}", agent.secret);
        rules.authenticate(&head_from(peer, "POST /mcp", &fields)).is_ok_and(|found| found.agent_of() == Some("w"))
    };
    for here in ["127.0.0.1:50000", "[::1]:50000", "[::ffff:127.0.0.1]:50000"] {
        assert!(ask(here, ""), "{here}");
    }
    assert!(!ask("192.0.2.7:50000", ""));
    assert!(!ask("127.0.0.1:50000", "X-Forwarded-For: 192.0.2.7\r\n"), "it came through a proxy");
}
