//! Heads that are understood and heads that are not.

use proptest::prelude::*;

use super::*;

fn peer() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 40_000))
}

fn parse(text: &str) -> Result<Head, HeadError> {
    Head::parse(text.as_bytes(), peer()).map(|found| found.expect("a whole head").0)
}

fn status(text: &str) -> u16 {
    parse(text).expect_err(text).status()
}

#[test]
fn a_head_is_taken_apart() {
    let head = parse(
        "POST /api/workers/a%20b?since=1&q=x+y HTTP/1.1\r\nHost: localhost:7788\r\n\
         CONTENT-type:  application/json \r\nContent-Length: 12\r\nAccept: a\r\naccept: b\r\n\r\n",
    )
    .unwrap();
    assert_eq!(head.method(), Method::Post);
    assert_eq!(head.path(), "/api/workers/a b");
    assert_eq!(head.query_value("q"), Some("x y"));
    assert_eq!(head.query_value("none"), None);
    assert_eq!(head.header("Content-Type"), Some("application/json"));
    assert_eq!(head.header("ACCEPT"), Some("a"));
    assert!(head.header_has("accept", "B"));
    assert_eq!(head.host(), Some("localhost:7788"));
    assert_eq!(head.body_length(), BodyLength::Known(12));
    assert!(head.keeps_alive());
    assert_eq!(head.peer().address(), peer());
}

#[test]
fn keep_alive_follows_version_and_connection() {
    for (text, keep) in [
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", true),
        ("GET / HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n\r\n", false),
        ("GET / HTTP/1.0\r\n\r\n", false),
        ("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", true),
    ] {
        assert_eq!(parse(text).unwrap().keeps_alive(), keep, "{text}");
    }
}

#[test]
fn ambiguous_framing_is_refused() {
    for (fields, expected) in [
        ("Host: a\r\nHost: a\r\n", 400),
        ("", 400),
        ("Host: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n", 400),
        ("Host: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n", 400),
        ("Host: a\r\nContent-Length: 5, 5\r\n", 400),
        ("Host: a\r\nContent-Length: +5\r\n", 400),
        ("Host: a\r\nContent-Length: -1\r\n", 400),
        ("Host: a\r\nContent-Length: 0x10\r\n", 400),
        ("Host: a\r\nContent-Length: \r\n", 400),
        ("Host: a\r\nContent-Length: 18446744073709551616\r\n", 400),
        ("Host: a\r\nTransfer-Encoding: gzip, chunked\r\n", 501),
        ("Host: a\r\nTransfer-Encoding: identity\r\n", 501),
        ("Host: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", 400),
        ("Host: a\r\nTransfer-Encoding : chunked\r\n", 400),
        ("Host: a\r\nX: 1\r\n folded\r\n", 400),
        ("Host: a\r\nX: 1\n", 400),
        ("Host: a\r\nX: a\0b\r\n", 400),
        ("Host: a\r\nOrigin: http://a\r\norigin: null\r\n", 400),
        ("Host: a\r\nExpect: a-pony\r\n", 417),
    ] {
        assert_eq!(status(&format!("POST / HTTP/1.1\r\n{fields}\r\n")), expected, "{fields}");
    }
    assert_eq!(status("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), 400);
    assert_eq!(status("GET / HTTP/1.1\nHost: a\n\n"), 400);
}

#[test]
fn targets_and_versions_are_checked() {
    for (line, expected) in [
        ("GET / HTTP/2.0", 505),
        ("GET / HTTP/1.2", 505),
        ("GET / HTTP/0.9", 505),
        ("GET / FTP/1.1", 400),
        ("GET /", 400),
        ("GET  / HTTP/1.1", 400),
        ("CONNECT a:80 HTTP/1.1", 501),
        ("get / HTTP/1.1", 501),
        ("GET * HTTP/1.1", 400),
        ("GET a HTTP/1.1", 400),
        ("GET /../a HTTP/1.1", 400),
        ("GET /%00 HTTP/1.1", 400),
        ("GET /?q=%zz HTTP/1.1", 400),
        ("GET http://other/ HTTP/1.1", 400),
        ("PRI * HTTP/2.0", 400),
    ] {
        assert_eq!(status(&format!("{line}\r\nHost: a\r\n\r\n")), expected, "{line}");
    }
    assert_eq!(parse("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n").unwrap().path(), "*");
    assert_eq!(parse("GET http://A/x HTTP/1.1\r\nHost: a\r\n\r\n").unwrap().path(), "/x");
}

#[test]
fn other_protocols_are_reported_at_once() {
    assert_eq!(Head::parse(b"\x16\x03\x01\x02\x00", peer()).unwrap_err().status(), 400);
    assert_eq!(Head::parse(b"SSH-2.0-OpenSSH_9.9\r\n", peer()).unwrap_err().status(), 400);
}

#[test]
fn one_field_too_many_is_431() {
    let head = |count: usize| format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(count));
    assert_eq!(parse(&head(HEAD_FIELDS_MAX - 1)).unwrap().headers().count(), HEAD_FIELDS_MAX);
    assert_eq!(status(&head(HEAD_FIELDS_MAX)), 431);
}

proptest! {
    #[test]
    fn any_bytes_are_a_head_a_beginning_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        match Head::parse(&bytes, peer()) {
            Ok(Some((_, length))) => prop_assert!(bytes[..length].ends_with(b"\n")),
            Ok(None) => prop_assert!(!bytes.windows(4).any(|four| four == b"\r\n\r\n")),
            Err(error) => prop_assert!((400..600).contains(&error.status())),
        }
    }

    #[test]
    fn anything_that_looks_like_http_is_parsed_without_a_panic(
        text in "(GET|POST|X) [/a-z%0-9?&=.*:#]{0,20} HTTP/[0-2].[0-2]\r\n((Host|X|Content-Length|Expect): ?[ -~é]{0,9}\r?\n){0,4}\r\n"
    ) {
        if let Ok(Some((head, length))) = Head::parse(text.as_bytes(), peer()) {
            prop_assert_eq!(length, text.len());
            prop_assert!(!head.path().split('/').any(|segment| segment == ".."));
        }
    }

    #[test]
    fn the_beginning_of_a_good_head_is_never_an_error(cut in 0_usize..72) {
        let text = "PATCH /api/workers/1?x=%20 HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n";
        let cut = cut.min(text.len() - 1);
        prop_assert_eq!(Head::parse(&text.as_bytes()[..cut], peer()), Ok(None));
    }
}
