//! Tests of bodies that the service reads as they come.

use super::*;

/// Asks for `path` with a body of this length.
fn head(path: &str, length: u64) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n")
}

fn counted(answer: &Answer) -> (u64, u64) {
    assert_eq!(answer.status, 200, "{}", answer.text());
    serde_json::from_slice(&answer.body).unwrap()
}

/// Bytes that are not all the same, and their sum.
fn bytes(count: usize) -> (Vec<u8>, u64) {
    let bytes: Vec<u8> = (0..count).map(|at| (at % 251) as u8).collect();
    let sum = bytes.iter().map(|&byte| u64::from(byte)).sum();
    (bytes, sum)
}

#[test]
fn a_long_body_comes_whole_and_the_connection_stays() {
    let running = TestHttpServer::new(Limits::default());
    let mut client = running.client();
    let (body, sum) = bytes(5_000_000);
    for _ in 0..2 {
        client.send(head("/count", body.len() as u64)).send(&body);
        assert_eq!(counted(&client.answer(Method::Post)), (5_000_000, sum));
        client.send("POST /count HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
        for chunk in body.chunks(70_001) {
            client.send(format!("{:x};ext=1\r\n", chunk.len())).send(chunk).send("\r\n");
        }
        client.send("0\r\nTrailer: ignored\r\n\r\n");
        assert_eq!(counted(&client.answer(Method::Post)), (5_000_000, sum));
    }
    client.send(head("/count", 3) + "abc" + &head("/count", 0) + &head("/echo", 2) + "xy");
    assert_eq!(counted(&client.answer(Method::Post)).0, 3);
    assert_eq!(counted(&client.answer(Method::Post)).0, 0);
    assert_eq!(client.answer(Method::Post).text(), "xy");
}

#[test]
fn a_long_body_over_its_limit_is_refused() {
    let running = TestHttpServer::new(Limits::default());
    let chunked = "POST /count HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    for request in [
        head("/count", COUNT_MAX + 1),
        head("/count", u64::MAX),
        format!("{chunked}{:x}\r\n", COUNT_MAX + 1),
        format!("{chunked}1\r\nx\r\n{COUNT_MAX:x}\r\n"),
        format!("{chunked}ffffffffffffffffffff\r\n"),
    ] {
        let mut client = running.client();
        let answer = client.send(&request).answer(Method::Post);
        assert_eq!(answer.status, 413, "{request}");
        assert_eq!(answer.detail(), format!("the request body is longer than {COUNT_MAX} bytes"));
        assert_eq!((answer.header("connection"), answer.header("x-finished")), (Some("close"), Some("yes")));
        client.expect_end();
    }
}

#[test]
fn a_body_that_breaks_off_is_the_transports_to_answer() {
    let running = TestHttpServer::new(Limits { body_grace: Duration::from_secs(1), ..Limits::default() });
    let chunked = "POST /count HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (request, finish, status, detail) in [
        (head("/count", 10) + "abc", true, 400, "the request body ended early"),
        (format!("{chunked}5\r\nab"), true, 400, "the request body ended early"),
        (format!("{chunked}5\r\nabcde"), true, 400, "the request body ended early"),
        (format!("{chunked}2\r\nabX"), false, 400, "the chunked body is broken: CR LF does not follow the data"),
        (head("/count", 10) + "abc", false, 408, "the request body did not arrive in time"),
        (format!("{chunked}5\r\nab"), false, 408, "the request body did not arrive in time"),
    ] {
        let mut client = running.client();
        client.send(&request);
        if finish {
            client.finish();
        }
        let answer = client.answer(Method::Post);
        assert_eq!((answer.status, answer.detail().as_str()), (status, detail), "{request}");
        assert_eq!(answer.header("connection"), Some("close"));
    }
    assert_eq!(running.client().get("/hello").status, 200);
}

#[test]
fn a_fast_sender_that_stops_has_earned_no_time() {
    let grace = Duration::from_millis(300);
    let running = TestHttpServer::new(Limits { body_grace: grace, body_rate: 1, ..Limits::default() });
    let mut client = running.client();
    // By the rate alone, these bytes are worth months.
    client.send(head("/count", 20_000_000)).send(vec![b'x'; 10_000_000]);
    let answer = client.answer(Method::Post);
    assert_eq!(answer.status, 408);
}

#[test]
fn steady_sender_may_take_longer_than_the_grace() {
    let grace = Duration::from_secs(2);
    let running = TestHttpServer::new(Limits { body_grace: grace, body_rate: 1, ..Limits::default() });
    let mut client = running.client();
    let (began, piece) = (Instant::now(), vec![1; 70_000]);
    client.send("POST /count HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    let mut sent = 0;
    client.stream.set_read_timeout(Some(grace / 20)).unwrap();
    while began.elapsed() < grace * 5 / 4 {
        client.send(format!("{:x}\r\n", piece.len())).send(&piece).send("\r\n");
        sent += piece.len() as u64;
        assert!(client.stream.peek(&mut [0]).is_err(), "it was not cut off");
    }
    client.stream.set_read_timeout(Some(PATIENCE)).unwrap();
    client.send("0\r\n\r\n");
    assert_eq!(counted(&client.answer(Method::Post)), (sent, sent));
}

#[test]
fn a_drip_of_bytes_does_not_hold_a_connection() {
    let running = TestHttpServer::new(Limits {
        body_grace: Duration::from_millis(200),
        body_rate: 64 << 10,
        ..Limits::default()
    });
    let mut client = running.client();
    client.send("POST /count HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.stream.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
    let deadline = Instant::now() + PATIENCE;
    let mut byte = [0];
    while client.stream.peek(&mut byte).is_err() {
        assert!(Instant::now() < deadline, "it is held for good");
        client.send("1;and an extension\r\nx\r\n");
    }
    client.stream.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(client.answer(Method::Post).status, 408);
}

#[test]
fn answer_before_the_end_of_the_body_closes_the_connection() {
    let running = TestHttpServer::new(Limits::default());
    for chunked in [false, true] {
        let mut client = running.client();
        let smuggled = "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n";
        if chunked {
            client.send("POST /count/4 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
            client.send(format!("{:x}\r\nxxxx{smuggled}\r\n0\r\n\r\n", smuggled.len() + 4));
        } else {
            client.send(head("/count/4", smuggled.len() as u64 + 4) + "xxxx" + smuggled);
        }
        let answer = client.answer(Method::Post);
        assert_eq!((counted(&answer).0, answer.header("connection")), (4, Some("close")));
        client.expect_end();
    }
    // A client that keeps sending reads the answer all the same.
    let mut client = running.client();
    client.send(head("/count/4", 4_000_000)).send(vec![1; 4_000_000]);
    assert_eq!(counted(&client.finish().answer(Method::Post)), (4, 4));
}

#[test]
fn client_gets_100_continue_once_the_body_is_wanted() {
    let running = TestHttpServer::new(Limits::default());
    let waiting = |path: &str, length: u64| {
        format!("POST {path} HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n")
    };
    let mut client = running.client();
    assert_eq!(client.send(waiting("/count", 5)).head().status, 100);
    assert_eq!(counted(&client.send("hello").answer(Method::Post)).0, 5);
    let answer = client.send(waiting("/count/0", 5)).answer(Method::Post);
    assert_eq!((counted(&answer).0, answer.header("connection")), (0, Some("close")), "nothing is asked for");
    client.expect_end();
    let answer = running.client().send(waiting("/count", COUNT_MAX + 1)).answer(Method::Post);
    assert_eq!(answer.status, 413);
}
