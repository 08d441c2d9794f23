//! Tests of the limits, deadlines and ends of connections.

use nix::errno::Errno;

use super::*;

const SHORT: Duration = Duration::from_millis(40);

#[test]
fn head_has_a_deadline_however_busy_its_sender_is() {
    let running = TestHttpServer::new(Limits { head_time: SHORT, ..Limits::default() });
    let mut silent = running.client();
    silent.expect_end();

    let mut slow = running.client();
    slow.send("GET / HTTP/1.1\r\nHost: a\r\nX: ");
    slow.stream.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
    let mut piece = [0; 1_000];
    let deadline = Instant::now() + PATIENCE;
    let answer = loop {
        assert!(Instant::now() < deadline);
        // A byte every few milliseconds would never run into a time-out of single reads.
        let _ = slow.stream.write(b"x");
        if let Ok(count) = slow.stream.read(&mut piece) {
            break String::from_utf8_lossy(&piece[..count]).into_owned();
        }
    };
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("\"detail\""), "{answer}");
}

#[test]
fn a_body_has_to_arrive_at_a_minimum_rate() {
    let limits = Limits { body_grace: SHORT, body_rate: 1_000_000_000, ..Limits::default() };
    let running = TestHttpServer::new(limits);
    for request in ["Content-Length: 10\r\n\r\nabc", "Transfer-Encoding: chunked\r\n\r\n5\r\nab"] {
        let mut client = running.client();
        let answer = client.send(format!("POST /echo HTTP/1.1\r\nHost: a\r\n{request}")).answer(Method::Post);
        assert_eq!((answer.status, answer.detail().as_str()), (408, "the request body did not arrive in time"));
        client.finish().expect_end();
    }
}

#[test]
fn received_bytes_of_a_body_extend_its_deadline() {
    // A body of 900 bytes at 1 byte a second may take 900 seconds after its first 899.
    let running = TestHttpServer::new(Limits { body_grace: SHORT, body_rate: 1, ..Limits::default() });
    let mut client = running.client();
    client.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 900\r\n\r\n").send([b'x'; 899]);
    let deadline = Instant::now() + 3 * SHORT;
    client.stream.set_read_timeout(Some(SHORT)).unwrap();
    while Instant::now() < deadline {
        let error = client.stream.read(&mut [0; 100]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    }
    client.stream.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(client.send("x").answer(Method::Post).body.len(), 900);
}

#[test]
fn an_idle_connection_is_closed_without_a_word() {
    let running = TestHttpServer::new(Limits { idle_time: SHORT, ..Limits::default() });
    let mut client = running.client();
    assert_eq!(client.get("/hello").status, 200);
    client.expect_end();
    running.wait_connections(0);
}

#[test]
fn a_client_that_reads_nothing_does_not_keep_its_thread() {
    let running = TestHttpServer::new(Limits { write_time: SHORT, ..Limits::default() });
    let mut client = running.client();
    client.send("GET /endless HTTP/1.1\r\nHost: a\r\n\r\n");
    running.entered.recv_timeout(PATIENCE).unwrap();
    running.wait_connections(0);
}

#[test]
fn connection_close_is_honoured_and_what_follows_is_not_answered() {
    let running = TestHttpServer::new(Limits::default());
    let mut client = running.client();
    client.send("GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    let answer = client.answer(Method::Get);
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
    client.expect_end();
}

#[test]
fn a_client_that_only_listens_after_its_request_is_answered() {
    let running = TestHttpServer::new(Limits::default());
    let mut client = running.client();
    client.send("GET /hello HTTP/1.1\r\nHost: a\r\n\r\nGET /stream HTTP/1.1\r\nHost: a\r\n\r\n").finish();
    assert_eq!(client.answer(Method::Get).status, 200);
    assert_eq!(client.answer(Method::Get).body.len(), 50_008);
    client.expect_end();
}

#[test]
fn client_that_goes_away_in_the_middle_leaves_nothing_behind() {
    let running = TestHttpServer::new(Limits::default());
    for part in ["", "GET / HT", "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc"] {
        running.client().send(part);
    }
    let mut client = running.client();
    client.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc").finish();
    let answer = client.answer(Method::Post);
    assert_eq!((answer.status, answer.detail().as_str()), (400, "the request body ended early"));
    client.expect_end();
    drop(client);
    running.wait_connections(0);
}

#[test]
fn a_closing_connection_lingers_only_so_long() {
    let running = TestHttpServer::new(Limits { linger_time: SHORT, ..Limits::default() });
    let mut client = running.client();
    assert_eq!(client.send("nonsense\r\n\r\n").answer(Method::Get).status, 400);
    // The client keeps its side open.
    running.wait_connections(0);
}

#[test]
fn connection_over_the_limit_gets_503_until_another_ends() {
    for limits in [
        Limits { connections: 2, ..Limits::default() },
        Limits { connections_per_loopback_address: 2, ..Limits::default() },
    ] {
        let running = TestHttpServer::new(limits);
        let (mut first, mut second) = (running.client(), running.client());
        for client in [&mut first, &mut second] {
            client.send("GET /hello HTTP/1.1\r\nHost: a\r\nAuthorization: known\r\n\r\n");
            assert_eq!(client.answer(Method::Get).status, 200);
        }
        for _ in 0..70 {
            let mut third = running.client();
            let answer = third.send("GET /hello HTTP/1.1\r\nHost: a\r\n\r\n").answer(Method::Get);
            assert_eq!((answer.status, answer.header("connection")), (503, Some("close")));
            assert!(answer.detail().starts_with("too many open connections"));
            third.expect_end();
        }
        assert_eq!(first.get("/hello").status, 200);
        drop(second);
        running.wait_connections(1);
        assert_eq!(running.client().get("/hello").status, 200);
    }
}

#[test]
fn new_connection_takes_the_place_of_the_most_silent_stranger() {
    for limits in [
        Limits { connections: 3, ..Limits::default() },
        Limits { connections_per_loopback_address: 3, ..Limits::default() },
    ] {
        let running = TestHttpServer::new(limits);
        let mut known = running.client();
        known.send("GET /hello HTTP/1.1\r\nHost: a\r\nAuthorization: known\r\n\r\n");
        assert_eq!(known.answer(Method::Get).status, 200);
        let (mut silent, mut later) = (running.client(), running.client());
        assert_eq!((silent.get("/hello").status, later.get("/hello").status), (200, 200));
        // Even in the middle of a head it is a stranger still.
        silent.send("GET /hello HTTP/1.1\r\nHost: ");
        for _ in 0..20 {
            let mut new = running.client();
            assert_eq!(new.get("/hello").status, 200);
            // With input that nobody has read, the end is a reset.
            let end = silent.stream.read(&mut [0]).map_err(|error| error.kind());
            assert!(matches!(end, Ok(0) | Err(io::ErrorKind::ConnectionReset)), "{end:?}");
            silent = std::mem::replace(&mut later, new);
        }
        assert_eq!(known.get("/hello").status, 200, "it keeps its place");
        running.wait_connections(3);
    }
}

#[test]
fn errors_of_accept_are_waited_out() {
    let (listener, service, entered, release) = TestHttpServer::parts();
    let mut failures = [Errno::EMFILE, Errno::ECONNABORTED, Errno::ENFILE, Errno::EINTR, Errno::ENOBUFS].into_iter();
    let accept = move |listener: &TcpListener| match failures.next() {
        Some(errno) => Err(errno.into()),
        None => listener.accept(),
    };
    let server = Server::start_with(listener, service, Limits::default(), accept).unwrap();
    let running = TestHttpServer { server, entered, release };
    assert_eq!(running.client().get("/hello").status, 200);
}

#[test]
fn a_stop_ends_idle_connections_and_lets_requests_end() {
    let mut running = TestHttpServer::new(Limits::default());
    let (mut idle, mut fresh, mut busy) = (running.client(), running.client(), running.client());
    assert_eq!(idle.get("/hello").status, 200);
    busy.send("GET /block HTTP/1.1\r\nHost: a\r\n\r\n");
    running.entered.recv_timeout(PATIENCE).unwrap();
    running.wait_connections(3);
    let address = running.server.address();

    running.server.stop();
    idle.expect_end();
    fresh.expect_end();
    assert!(TcpStream::connect(address).is_err(), "the port is closed");
    running.release.send(()).unwrap();
    let answer = busy.answer(Method::Get);
    assert_eq!((answer.text(), answer.header("connection")), ("\"released\"", Some("close")));
    busy.expect_end();
    assert_eq!(running.server.shutdown(PATIENCE), 0);
}

#[test]
fn a_stop_breaks_what_does_not_end_in_time() {
    let running = TestHttpServer::new(Limits::default());
    let (mut endless, mut upgraded) = (running.client(), running.client());
    endless.send("GET /endless HTTP/1.1\r\nHost: a\r\n\r\n");
    running.entered.recv_timeout(PATIENCE).unwrap();
    upgraded.send("GET /shout HTTP/1.1\r\nHost: a\r\n\r\nx");
    assert_eq!(upgraded.head().status, 101);
    assert_eq!(running.server.shutdown(SHORT), 0);
}

#[test]
fn dropping_a_server_closes_its_port() {
    let running = TestHttpServer::new(Limits::default());
    let address = running.server.address();
    drop(running);
    assert!(TcpStream::connect(address).is_err());
}
