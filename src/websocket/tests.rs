//! The reader on real sockets, against tungstenite's client and against hand-made bytes.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tungstenite::protocol::Role;
use tungstenite::{Message, WebSocket};

use super::*;

const PATIENCE: Duration = Duration::from_secs(20);
const LIMITS: ReaderLimits = ReaderLimits { message_bytes: 1_000, ping_interval: Duration::from_secs(3_600) };

/// A reader whose control frames go straight to the socket, and the client's side of it.
fn pair(early: Vec<u8>, limits: ReaderLimits) -> (MessageReader, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let server = Arc::new(listener.accept().unwrap().0);
    let out = Arc::clone(&server);
    let control = move |bytes: &[u8]| (&*out).write_all(bytes).unwrap();
    (MessageReader::new(server, early, Box::new(control), limits), client)
}

fn next(reader: &mut MessageReader) -> Incoming {
    reader.next(Some(Instant::now() + PATIENCE))
}

/// A masked frame with a mask of zeros.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    if payload.len() < 126 {
        bytes.push(0x80 | payload.len() as u8);
    } else {
        bytes.push(0x80 | 126);
        bytes.extend_from_slice(&(payload.len() as u16).to_be_bytes());
    }
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(payload);
    bytes
}

/// The code of the close frame that `client` gets next.
fn close_code(client: &mut TcpStream) -> u16 {
    let mut head = [0; 4];
    client.read_exact(&mut head).unwrap();
    assert_eq!(head[0], 0x88, "{head:?}");
    u16::from_be_bytes([head[2], head[3]])
}

#[test]
fn real_clients_messages_come_whole_and_pings_are_answered() {
    let (mut reader, stream) = pair(Vec::new(), LIMITS);
    let mut client = WebSocket::from_raw_socket(stream, Role::Client, None);
    client.send(Message::text("one")).unwrap();
    client.send(Message::Ping("are you there".into())).unwrap();
    client.send(Message::binary(vec![1, 2])).unwrap();
    client.send(Message::text("zwei ✓")).unwrap();
    assert_eq!(next(&mut reader), Incoming::Text("one".into()));
    assert_eq!(next(&mut reader), Incoming::Binary);
    assert_eq!(next(&mut reader), Incoming::Text("zwei ✓".into()));
    assert_eq!(client.read().unwrap(), Message::Pong("are you there".into()));
}

#[test]
fn bytes_that_came_with_the_handshake_come_first() {
    let mut early = frame(0x81, b"early");
    early.extend_from_slice(&frame(0x81, b"split")[..4]);
    let (mut reader, mut client) = pair(early, LIMITS);
    client.write_all(&frame(0x81, b"split")[4..]).unwrap();
    assert_eq!(next(&mut reader), Incoming::Text("early".into()));
    assert_eq!(next(&mut reader), Incoming::Text("split".into()));
}

#[test]
fn fragments_make_one_message_with_control_frames_between_them() {
    let (mut reader, mut client) = pair(Vec::new(), LIMITS);
    for part in [frame(0x01, "a✓".as_bytes()[..3].as_ref()), frame(0x89, b"x"), frame(0x80, &"✓".as_bytes()[2..])] {
        client.write_all(&part).unwrap();
    }
    assert_eq!(next(&mut reader), Incoming::Text("a✓".into()));
}

#[test]
fn a_close_is_answered_and_stays_the_last_word() {
    let (mut reader, mut client) = pair(Vec::new(), LIMITS);
    client.write_all(&frame(0x88, &1001_u16.to_be_bytes())).unwrap();
    for _ in 0..2 {
        assert_eq!(next(&mut reader), Incoming::Closed(CloseReason::Peer(1001)));
    }
    assert_eq!(close_code(&mut client), 1001);

    let (mut reader, mut client) = pair(Vec::new(), LIMITS);
    client.write_all(&frame(0x88, b"")).unwrap();
    assert_eq!(next(&mut reader), Incoming::Closed(CloseReason::Peer(1005)));
    drop(client.write_all(&frame(0x81, b"after the end")));
}

#[test]
fn protocol_errors_close_with_the_right_code() {
    let unmasked = b"\x81\x02hi".to_vec();
    let huge = b"\x81\xff\x00\x00\x00\xff\xff\xff\xff\xff\0\0\0\0".to_vec();
    let mut fragments = frame(0x01, &[b'x'; 900]);
    fragments.extend(frame(0x80, &[b'x'; 101]));
    for (bytes, code) in [
        (frame(0x81, b"\xff\xfe"), 1007),
        (frame(0x81, &[b'x'; 1_001]), 1009),
        (huge, 1009),
        (fragments, 1009),
        (unmasked, 1002),
        (frame(0xc1, b"reserved bit"), 1002),
        (frame(0x83, b"reserved opcode"), 1002),
        (frame(0x80, b"continues nothing"), 1002),
        (frame(0x09, b"fragmented ping"), 1002),
        (frame(0x89, &[0; 126]), 1002),
        (frame(0x88, b"x"), 1002),
    ] {
        let (mut reader, mut client) = pair(Vec::new(), LIMITS);
        client.write_all(&bytes).unwrap();
        let Incoming::Closed(CloseReason::Refused(reported, reason)) = next(&mut reader) else { panic!("{bytes:?}") };
        assert_eq!(reported, code, "{reason}: {bytes:?}");
        assert_eq!(close_code(&mut client), code);
    }
}

#[test]
fn a_lost_connection_is_distinguished_from_a_close() {
    let (mut reader, client) = pair(Vec::new(), LIMITS);
    drop(client);
    assert_eq!(next(&mut reader), Incoming::Closed(CloseReason::Lost));
}

#[test]
fn a_deadline_ends_the_wait_and_nothing_is_lost() {
    let (mut reader, mut client) = pair(Vec::new(), LIMITS);
    assert_eq!(reader.next(Some(Instant::now())), Incoming::Tick);
    let bytes = frame(0x81, b"in two parts");
    client.write_all(&bytes[..5]).unwrap();
    assert_eq!(reader.next(Some(Instant::now() + Duration::from_millis(20))), Incoming::Tick);
    client.write_all(&bytes[5..]).unwrap();
    assert_eq!(next(&mut reader), Incoming::Text("in two parts".into()));
}

#[test]
fn a_silent_peer_is_pinged_twice_and_then_given_up() {
    let limits = ReaderLimits { ping_interval: Duration::from_millis(20), ..LIMITS };
    let (mut reader, mut client) = pair(Vec::new(), limits);
    assert_eq!(reader.next(None), Incoming::Closed(CloseReason::Silent));
    let mut seen = [0; 4];
    client.read_exact(&mut seen).unwrap();
    assert_eq!(seen, [0x89, 0, 0x89, 0]);
}

#[test]
fn a_peer_that_answers_pings_is_kept() {
    let limits = ReaderLimits { ping_interval: Duration::from_millis(200), ..LIMITS };
    let (mut reader, stream) = pair(Vec::new(), limits);
    let answering = std::thread::spawn(move || {
        let mut client = WebSocket::from_raw_socket(stream, Role::Client, None);
        for _ in 0..4 {
            assert!(matches!(client.read().unwrap(), Message::Ping(_)));
        }
        client.send(Message::text("still here")).unwrap();
        client
    });
    assert_eq!(next(&mut reader), Incoming::Text("still here".into()));
    drop(answering.join().unwrap());
}

#[test]
fn lingering_ends_with_the_peer_or_the_deadline() {
    const LINGER: Duration = Duration::from_millis(20);
    let (mut reader, mut client) = pair(Vec::new(), LIMITS);
    let began = Instant::now();
    reader.linger(LINGER);
    assert!(began.elapsed() >= LINGER, "a silent peer is waited for until the deadline");
    assert_eq!(client.read(&mut [0; 1]).unwrap(), 0, "the peer is sent the end of the stream");
    let (mut reader, client) = pair(Vec::new(), LIMITS);
    drop(client);
    let began = Instant::now();
    reader.linger(PATIENCE);
    assert!(began.elapsed() < PATIENCE, "a peer that is gone is not waited for");
}
