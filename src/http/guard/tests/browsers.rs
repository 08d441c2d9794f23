//! Rules that browsers need: pages of other origins, links from other sites, answers for people.

use super::*;

#[test]
fn only_pages_of_listed_origins_may_read_answers() {
    let rules = rules(None);
    let share = |origin: &str| {
        rules.shared(&head("GET /", &format!("Host: localhost\r\n{origin}")), Response::error(404, "no"))
    };
    let shared = share("Origin: https://ui.example\r\n");
    assert_eq!(shared.header("access-control-allow-origin"), Some("https://ui.example"));
    assert_eq!(
        (shared.header("vary"), shared.header("access-control-allow-credentials")),
        (Some("Origin"), Some("true"))
    );
    assert!(shared.header("access-control-expose-headers").unwrap().contains("Retry-After"));
    for other in ["http://localhost", "null", "https://evil.example", "https://ui.example.evil", ""] {
        let answer = share(&format!("Origin: {other}\r\n"));
        assert_eq!(
            (answer.header("access-control-allow-origin"), answer.header("vary")),
            (None, Some("Origin")),
            "{other}"
        );
    }
    assert_eq!(share("").header("vary"), Some("Origin"));
    let without = GuardRules::new(["localhost"], false, [""; 0], None);
    assert_eq!(without.shared(&head("GET /", "Host: localhost\r\n"), Response::new(200)).header("vary"), None);
}

#[test]
fn preflights_are_answered_to_listed_origins_alone() {
    let rules = rules(None);
    let ask = |request: &str, fields: &str| {
        rules.preflight(&head(request, &format!("Host: localhost\r\n{fields}")), "GET, POST")
    };
    let asks = "Access-Control-Request-Method: POST\r\n";
    let answer = ask("OPTIONS /api/workers", &format!("Origin: https://ui.example\r\n{asks}")).unwrap();
    assert_eq!((answer.status(), answer.header("access-control-allow-methods")), (204, Some("GET, POST")));
    assert!(answer.header("access-control-allow-headers").unwrap().contains("Content-Type"));
    assert_eq!(answer.header("access-control-allow-private-network"), None);
    let private = format!("Origin: https://ui.example\r\n{asks}Access-Control-Request-Private-Network: true\r\n");
    assert!(ask("OPTIONS /", &private).unwrap().header("access-control-allow-private-network").is_some());
    assert!(ask("OPTIONS /", &format!("Origin: https://evil.example\r\n{asks}")).is_none());
    assert!(ask("OPTIONS /", "Origin: https://ui.example\r\n").is_none());
    assert!(ask("GET /", &format!("Origin: https://ui.example\r\n{asks}")).is_none());
}

#[test]
fn other_sites_may_link_to_pages_and_to_nothing_else() {
    let rules = rules(None).below("/x");
    for site in ["cross-site", "same-site"] {
        let ask = |path: &str| {
            let fields = format!("Host: localhost\r\nSec-Fetch-Site: {site}\r\nSec-Fetch-Mode: navigate\r\n");
            rules.check(&head(&format!("GET {path}"), &fields)).is_ok()
        };
        for open in ["/x/", "/x/static/js/app.js", "/x/docs", "/x/health", "/x/apidocs", "/api"] {
            assert!(ask(open), "{site} {open}");
        }
        for closed in [
            "/x/api/workers",
            "/x/api/v1/search?q=a",
            "/x/api",
            "/x/ws",
            "/x/ws/1",
            "/x/metrics",
            "/x/api/none",
            "/x/mcp",
            "/x/acp",
        ] {
            assert!(!ask(closed), "{site} {closed}");
        }
    }
    for site in ["same-origin", "none"] {
        let fields = format!("Host: localhost\r\nSec-Fetch-Site: {site}\r\n");
        assert!(rules.check(&head("GET /x/api/workers", &fields)).is_ok(), "{site}");
    }
}

#[test]
fn origin_has_the_scheme_that_the_browser_speaks() {
    for (fields, http, https) in [
        ("Host: localhost:7788", 200, 403),
        ("Host: 127.0.0.1:7788", 200, 403),
        ("Host: [::1]:7788", 200, 403),
        ("Host: box.example:7788", 200, 200),
        ("Host: box.example:7788\r\nX-Forwarded-Proto: https", 403, 200),
        ("Host: box.example:7788\r\nX-Forwarded-Proto: wss", 403, 200),
        ("Host: box.example:7788\r\nX-Forwarded-Proto: https, http", 403, 200),
        ("Host: box.example:7788\r\nForwarded: for=1.2.3.4;proto=https", 403, 200),
        ("Host: box.example:7788\r\nX-Forwarded-Proto: http", 200, 403),
        ("Host: localhost:7788\r\nX-Forwarded-Proto: https", 403, 200),
    ] {
        let host = fields.split("\r\n").next().unwrap().trim_start_matches("Host: ");
        for (scheme, status) in [("http", http), ("https", https)] {
            let fields = format!("{fields}\r\nOrigin: {scheme}://{host}\r\n");
            assert_eq!(check("GET /api/workers", &fields), status, "{fields}");
        }
    }
}

#[test]
fn compressed_bodies_are_refused_with_the_word() {
    let ask = |coding: &str| {
        let fields = format!(
            "Host: localhost\r\nContent-Type: application/json\r\nContent-Length: 2\r\nContent-Encoding: {coding}\r\n"
        );
        rules(None).check(&head("POST /", &fields))
    };
    let refusal = ask("gzip").unwrap_err();
    assert!(refusal.status() == 415 && refusal.to_string().contains("gzip"), "{refusal}");
    assert_eq!(refusal.response().header("accept-encoding"), Some("identity"));
    assert_eq!(ask("identity"), Ok(()));
}

#[test]
fn person_who_uses_an_unknown_name_gets_a_page() {
    let fields = "Host: My<Box>.lan:7788\r\nAccept: text/html,*/*\r\n";
    let request = head("GET /", fields);
    let page = rules(None).answer(&request, &rules(None).check(&request).unwrap_err());
    assert_eq!((page.status(), page.header("content-type")), (403, Some("text/html; charset=utf-8")));
    assert!(page.header("content-security-policy").unwrap().contains("default-src 'none'"));
    let text = String::from_utf8(page.content().bytes().to_vec()).unwrap();
    assert!(text.contains("ALLOWED_HOSTS=my&lt;box&gt;.lan ") && !text.contains("<box>"), "{text}");
    let probe = head("GET /health", "Host: pod.cluster.local\r\n");
    assert_eq!(rules(None).check_probe(&probe), Ok(()));
}
