//! Each rule, with the exact answer.

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
    let ask = |fields: &str| rules(Some(TOKEN)).authenticate(&head("GET /", &format!("Host: localhost\r\n{fields}")));
    assert_eq!(ask(""), Err(Refusal::TokenMissing));
    assert_eq!(ask("Authorization: Bearer correct horse\r\n"), Ok(Identity::Token));
    assert_eq!(ask("authorization: bearer  correct horse\r\n"), Ok(Identity::Token));
    for wrong in
        ["Bearer correct hors", "Bearer correct horsee", "Bearer Correct horse", "Basic correct horse", "Bearer", ""]
    {
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
    assert_eq!(rules.answer(&refusal).header("set-cookie"), Some(rules.clear_cookie().as_str()));
    let below = rules.clone().below("/agents");
    let set = below.login_cookie(&head("POST /agents/api/login", "Host: localhost\r\n")).unwrap();
    assert!(set.contains("; Path=/agents/; "), "{set}");
    let cleared = below.answer(&refusal).header("set-cookie").map(str::to_owned);
    assert_eq!(cleared.as_deref(), Some("rs_worker_token=; Path=/agents/; Max-Age=0; HttpOnly; SameSite=Strict"));
    assert_eq!(ask("Cookie: other=1\r\n"), Err(Refusal::TokenMissing));
    let https = head("POST /api/login", "Host: localhost\r\nX-Forwarded-Proto: https\r\n");
    assert!(rules.login_cookie(&https).unwrap().ends_with("; Secure"));
    let shown = format!("{rules:?}");
    assert!(!shown.contains("horse") && shown.contains("box.example"), "secrets stay out of logs: {shown}");
    let other = GuardRules { token: Some("another".into()), cookie: Some(cookie_value("another")), ..rules.clone() };
    let refused = other.authenticate(&head("GET /", &format!("Host: localhost\r\nCookie: {pair}\r\n")));
    assert_eq!(refused.unwrap_err().status(), 401, "a new token ends all logins");
    assert!(rules.needs_token() && !GuardRules::default().needs_token());
    let cleared = rules.clear_cookie();
    assert!(cleared.starts_with(&format!("{COOKIE}=; ")) && cleared.contains("; Max-Age=0; "), "{cleared}");
}

#[test]
fn only_a_401_asks_for_a_token_and_only_a_listed_origin_is_named() {
    assert_eq!(Refusal::ContentType.response().header("www-authenticate"), None);
    assert_eq!(Refusal::TokenMissing.response().header("www-authenticate"), Some("Bearer"));
    let named = |origin: &str| {
        let head = head("GET /", &format!("Host: localhost\r\nOrigin: {origin}\r\n"));
        rules(None).cors_origin(&head).map(str::to_owned)
    };
    assert_eq!(named("https://ui.example").as_deref(), Some("https://ui.example"));
    for other in ["http://localhost", "null", "https://evil.example"] {
        assert_eq!(named(other), None, "{other}");
    }
}

proptest! {
    #[test]
    fn no_host_or_origin_breaks_the_guard(host in "[ -~]{0,30}", origin in "[ -~]{0,30}") {
        let _ = split_host(&host).map(|(host, _)| plain_host(host));
        let _ = is_same_origin(&origin, &host);
    }
}

#[test]
fn only_what_trusted_proxies_have_written_tells_the_client() {
    let proxies = ["10.0.0.0/8", "127.0.0.1", "fd00::1"].map(|text| Network::parse(text).unwrap()).to_vec();
    let (rules, none) = (rules(Some(TOKEN)).behind(proxies), rules(Some(TOKEN)));
    for (peer, fields, client) in [
        // Who is no proxy is believed nothing.
        ("192.0.2.9:1", "X-Forwarded-For: 198.51.100.1\r\n", "192.0.2.9"),
        ("10.1.2.3:1", "", "10.1.2.3"),
        ("10.1.2.3:1", "X-Forwarded-For: 198.51.100.1\r\n", "198.51.100.1"),
        // What the client itself has sent stands before what the proxy has added.
        ("127.0.0.1:1", "X-Forwarded-For: 203.0.113.7, 198.51.100.1\r\n", "198.51.100.1"),
        ("127.0.0.1:1", "X-Forwarded-For: 203.0.113.7\r\nx-forwarded-for: 198.51.100.1\r\n", "198.51.100.1"),
        ("127.0.0.1:1", "X-Forwarded-For: 10.9.9.9, 198.51.100.1, 10.0.0.2,10.0.0.3\r\n", "198.51.100.1"),
        ("127.0.0.1:1", "X-Forwarded-For: 127.0.0.1\r\n", "127.0.0.1"),
        ("127.0.0.1:1", "X-Forwarded-For: 10.0.0.9, 10.0.0.8\r\n", "10.0.0.9"),
        // What is no address ends the list.
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
        assert_eq!(none.client(&head), head.peer().ip().to_canonical(), "without TRUSTED_PROXIES nothing is believed");
    }
}

#[test]
fn a_trusted_proxy_makes_nobody_local() {
    let trusted = rules(None).behind(vec![Network::parse("127.0.0.1").unwrap()]);
    let head = head("GET /api/workers", "Host: localhost\r\nX-Forwarded-For: 127.0.0.1\r\n");
    assert_eq!(trusted.authenticate(&head), Err(Refusal::NotLocal));
}
