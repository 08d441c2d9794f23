//! Tests of requests and their responses.

use proptest::prelude::*;

use super::*;

#[test]
fn a_connection_carries_many_requests() {
    let running = TestHttpServer::new(Limits::default());
    let mut client = running.client();
    for _ in 0..3 {
        let answer = client.get("/hello");
        assert_eq!((answer.status, answer.text()), (200, r#"{"hello":"world"}"#));
        assert_eq!(answer.header("connection"), None);
        assert!(answer.header("date").is_some());
    }
    assert_eq!(running.server.connections(), 1);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let running = TestHttpServer::new(Limits::default());
    let mut client = running.client();
    let mut all = String::new();
    for number in 0..20 {
        let body = format!("number {number}");
        all += &format!("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        all += "\r\n\r\nPOST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nc\r\n0\r\n\r\n";
    }
    client.send(all);
    for number in 0..20 {
        assert_eq!(client.answer(Method::Post).text(), format!("number {number}"));
        assert_eq!(client.answer(Method::Post).text(), "c");
    }
}

#[test]
fn head_is_answered_as_get_without_the_content() {
    let running = TestHttpServer::new(Limits::default());
    let mut client = running.client();
    let mut head =
        |path: &str| client.send(format!("HEAD {path} HTTP/1.1\r\nHost: a\r\n\r\n")).answer(Method::Head).head;
    assert!(head("/hello").contains("\r\nContent-Length: 17\r\n"));
    assert!(head("/long").contains(&format!("\r\nContent-Length: {LONG_BYTES}\r\n")));
    assert!(head("/stream").contains("\r\nTransfer-Encoding: chunked\r\n"));
    assert_eq!(client.get("/hello").text(), r#"{"hello":"world"}"#, "nothing was left over");
}

#[test]
fn answers_without_content_end_at_their_head() {
    let running = TestHttpServer::new(Limits::default());
    let mut client = running.client();
    let empty = client.get("/empty");
    assert_eq!((empty.status, empty.header("content-length")), (204, None));
    let same = client.get("/same");
    assert_eq!((same.status, same.header("content-length")), (304, Some("5")));
    assert_eq!(client.get("/hello").status, 200);
}

#[test]
fn long_answers_come_whole() {
    let running = TestHttpServer::new(Limits::default());
    let answer = running.client().get("/long");
    assert_eq!(answer.body.len(), LONG_BYTES);
}

#[test]
fn streams_come_in_chunks_and_the_connection_stays() {
    let running = TestHttpServer::new(Limits::default());
    let mut client = running.client();
    for _ in 0..2 {
        let answer = client.get("/stream");
        assert_eq!(answer.text(), format!("one two {}", "3".repeat(50_000)));
    }
}

#[test]
fn a_stream_that_fails_has_no_end() {
    let running = TestHttpServer::new(Limits::default());
    let mut client = running.client();
    client.send("GET /torn HTTP/1.1\r\nHost: a\r\n\r\n");
    client.head();
    assert_eq!(client.take_through(b"half\r\n"), b"4\r\nhalf\r\n");
    client.expect_end();
}

#[test]
fn http_1_0_gets_lengths_or_a_closed_connection() {
    let running = TestHttpServer::new(Limits::default());
    let mut client = running.client();
    let answer = client.send("GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").answer(Method::Get);
    assert_eq!((answer.header("connection"), answer.text()), (Some("keep-alive"), r#"{"hello":"world"}"#));
    let answer = client.send("GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").answer(Method::Get);
    assert_eq!((answer.header("connection"), answer.header("transfer-encoding")), (Some("close"), None));
    assert_eq!(answer.body.len(), 50_008);

    let mut client = running.client();
    let answer = client.send("GET /hello HTTP/1.0\r\n\r\n").answer(Method::Get);
    assert_eq!(answer.header("connection"), Some("close"));
    client.expect_end();
}

#[test]
fn bodies_are_read_by_length_and_in_chunks() {
    let running = TestHttpServer::new(Limits::default());
    let mut client = running.client();
    let body = vec![b'x'; 3_000_000];
    client.send(format!("POST /large HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len())).send(&body);
    assert_eq!(client.answer(Method::Post).body, body);
    client.send("POST /large HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n");
    for chunk in body.chunks(100_000) {
        client.send(format!("{:x};ext=1\r\n", chunk.len())).send(chunk).send("\r\n");
    }
    client.send("0\r\nTrailer: ignored\r\n\r\n");
    assert_eq!(client.answer(Method::Post).body, body);
}

#[test]
fn body_over_the_limit_is_refused_before_it_is_read() {
    let running = TestHttpServer::new(Limits::default());
    for request in [
        format!("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", ECHO_MAX + 1),
        format!("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n", ECHO_MAX + 1),
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551615\r\n\r\n".to_owned(),
        "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5000\r\n\r\n".to_owned(),
    ] {
        let mut client = running.client();
        let answer = client.send(&request).answer(Method::Post);
        assert_eq!(answer.status, 413, "{request}");
        assert_eq!(answer.detail(), "the request body is longer than 1000 bytes");
        assert_eq!(answer.header("connection"), Some("close"));
        client.expect_end();
    }
}

#[test]
fn an_error_reaches_a_client_that_goes_on_sending() {
    let running = TestHttpServer::new(Limits::default());
    let mut client = running.client();
    client.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4000000\r\n\r\n");
    // More than the sockets hold: this only ends because the server keeps reading.
    client.send(vec![b'x'; 4_000_000]);
    assert_eq!(client.finish().answer(Method::Post).status, 413);
    client.expect_end();
}

#[test]
fn a_client_that_waits_for_100_continue_gets_it() {
    let running = TestHttpServer::new(Limits::default());
    let mut client = running.client();
    client.send("POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 5\r\n\r\n");
    assert_eq!(client.head().status, 100);
    assert_eq!(client.send("hello").answer(Method::Post).text(), "hello");
}

#[test]
fn request_that_is_refused_by_its_head_costs_no_body() {
    let running = TestHttpServer::new(Limits::default());
    let mut client = running.client();
    assert_eq!(client.get("/refused").status, 401);
    assert_eq!(client.get("/hello").status, 200, "without a body the connection stays");
    client.send("POST /refused HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 900\r\n\r\n");
    let answer = client.answer(Method::Post);
    assert_eq!((answer.status, answer.header("connection")), (401, Some("close")));
    client.expect_end();
}

#[test]
fn malformed_requests_get_a_json_error_and_a_close() {
    let running = TestHttpServer::new(Limits::default());
    for (request, status) in [
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: br\r\n\r\n", 501),
        ("BREW / HTTP/1.1\r\nHost: a\r\n\r\n", 501),
        ("GET / HTTP/3.0\r\nHost: a\r\n\r\n", 505),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        ("\x16\x03\x01\x00\x05hello", 400),
        ("\0\0\0\0", 400),
        ("GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET /a/%2e%2e/b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET / HTTP/1.1\nHost: a\n\n", 400),
    ] {
        let mut client = running.client();
        let answer = client.send(request).answer(Method::Get);
        assert_eq!(answer.status, status, "{request:?}");
        assert!(!answer.detail().is_empty());
        assert_eq!(
            (answer.header("connection"), answer.header("content-type")),
            (Some("close"), Some("application/json"))
        );
        client.expect_end();
    }
}

#[test]
fn cookies_of_other_ports_do_not_keep_a_browser_out() {
    let running = TestHttpServer::new(Limits::default());
    let ask = |cookies: usize, more: &str| {
        let cookies = "name=0123456789abcdef; ".repeat(cookies / 23);
        let mut client = running.client();
        client.send(format!("GET /hello HTTP/1.1\r\nHost: a\r\n{more}Cookie: {cookies}\r\n\r\n"));
        client.answer(Method::Get)
    };
    for bytes in [100, 15_000, 17_000, 23_000, 45_000] {
        assert_eq!(ask(bytes, "").status, 200, "{bytes}");
    }
    assert_eq!(ask(23_000, &format!("X: {}\r\n", "a".repeat(17_000))).status, 431, "only cookies have more room");
    let refused = ask(70_000, "");
    assert_eq!((refused.status, refused.header("content-type")), (431, Some("application/json")));
    let page = ask(70_000, "Accept: text/html,*/*\r\n");
    assert_eq!((page.status, page.header("content-type")), (431, Some("text/html; charset=utf-8")));
    let text = String::from_utf8(page.body.clone()).unwrap();
    assert!(text.contains("Delete the cookies of this host"), "{text}");
}

#[test]
fn heads_over_the_limits_are_431() {
    let running = TestHttpServer::new(Limits::default());
    for (head, status) in [
        (format!("GET /{} HTTP/1.1\r\n", "a".repeat(20_000)), 431),
        (format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "a".repeat(16_400)), 431),
        (format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "a".repeat(16_000)), 200),
        (format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: 1\r\n".repeat(64)), 431),
        (format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: 1\r\n".repeat(63)), 200),
    ] {
        assert_eq!(running.client().send(&head).answer(Method::Get).status, status, "{head}");
    }
}

#[test]
fn panic_of_the_service_is_a_500_and_no_more() {
    let running = TestHttpServer::new(Limits::default());
    let mut client = running.client();
    for path in ["/panic", "/unsure"] {
        assert_eq!(client.get(path).status, 500);
    }
    assert_eq!(client.get("/hello").status, 200);
}

#[test]
fn an_upgrade_gets_the_bytes_that_came_with_the_request() {
    let running = TestHttpServer::new(Limits::default());
    let mut client = running.client();
    client.send("GET /shout HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: shout\r\n\r\nearly");
    let answer = client.answer(Method::Get);
    assert_eq!(
        (answer.status, answer.header("connection"), answer.header("upgrade")),
        (101, Some("upgrade"), Some("shout"))
    );
    assert_eq!(client.take(5), b"EARLY");
    client.send("later");
    assert_eq!(client.take(5), b"LATER");
    assert_eq!(running.server.connections(), 1);
    client.finish().expect_end();
    running.wait_connections(0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn however_a_request_is_cut_it_is_the_same(cuts in prop::collection::vec(0_usize..330, 0..12), chunked in any::<bool>()) {
        const HEADERS: &str = "Host: localhost\r\nAccept: text/html\r\nX-Long: 0123456789012345678901234567890123456789\r\n";
        let body = "{\"text\": \"some content with \r\n\r\n in it\"}";
        let framed = if chunked {
            format!("Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n", body.len())
        } else {
            format!("Content-Length: {}\r\n\r\n{body}", body.len())
        };
        let request = format!("PUT /reflect?q=a+b&since=%31 HTTP/1.1\r\n{HEADERS}{framed}");
        let running = TestHttpServer::new(Limits::default());
        let mut client = running.client();
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(request.len())).collect();
        cuts.extend([0, request.len()]);
        cuts.sort_unstable();
        for pair in cuts.windows(2) {
            client.send(&request[pair[0]..pair[1]]);
            std::thread::yield_now();
        }
        let seen: Value = serde_json::from_slice(&client.answer(Method::Put).body).unwrap();
        prop_assert_eq!(&seen["path"], "/reflect");
        prop_assert_eq!(&seen["query"], &json!({"q": "a b", "since": "1", "raw": "q=a+b&since=%31"}));
        prop_assert_eq!(&seen["headers"][1], &json!(["Accept", "text/html"]));
        prop_assert_eq!(&seen["body"], body);
    }

    #[test]
    fn no_bytes_break_the_server(bytes in prop::collection::vec(any::<u8>(), 1..200), tail in "(\r\n\r\n)?") {
        let running = TestHttpServer::new(Limits::default());
        let mut client = running.client();
        client.send(&bytes).send(tail).finish();
        while client.more() > 0 {}
        prop_assert_eq!(running.client().get("/hello").status, 200);
    }
}
