//! Bytes that clients send on a WebSocket.

use std::io::Write as _;
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rs_worker::testing::websocket::{CloseReason, Incoming, MessageReader, ReaderLimits};

use crate::mutate::Mutator;
use crate::run::{bounded, fuzz};

/// Longest message that the reader takes.
const MESSAGE_MAX: usize = 10_000;

/// A masked frame.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        short @ ..126 => bytes.push(0x80 | short as u8),
        middle @ 126..65_536 => {
            bytes.push(0x80 | 126);
            bytes.extend((middle as u16).to_be_bytes());
        }
        long => {
            bytes.push(0x80 | 127);
            bytes.extend((long as u64).to_be_bytes());
        }
    }
    let mask = [1, 2, 3, 4];
    bytes.extend(mask);
    bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

fn frames(mutator: &mut Mutator) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..=mutator.below(6) {
        let first =
            *mutator.pick(&[0x81, 0x81, 0x81, 0x01, 0x00, 0x80, 0x82, 0x02, 0x88, 0x89, 0x8a, 0xc1, 0x83, 0xff]);
        let mut payload = match mutator.below(4) {
            0 => br#"{"type":"message","content":"caf\u00e9 "}"#.to_vec(),
            1 => "é🦀".repeat(mutator.below(200)).into_bytes(),
            2 => vec![b'x'; mutator.below(2 * MESSAGE_MAX)],
            _ => mutator.pick(&[&b"\x03\xe8bye"[..], b"\x03", b"", b"\xff\xff", b"\x03\xed"]).to_vec(),
        };
        if mutator.once_in(4) {
            mutator.bytes(&mut payload, &["\u{0}", "é"], &[]);
        }
        bytes.extend(frame(first, &payload));
    }
    bytes
}

#[test]
fn any_bytes_of_a_client_end_in_a_reasoned_close() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    fuzz("WebSocket input", |mutator| {
        let mut bytes = frames(mutator);
        if !mutator.once_in(4) {
            mutator.bytes(&mut bytes, &["\u{1}", "~", "\u{7f}"], &[]);
        }
        // A message in pieces, its text, a copy of it, and buffers.
        bounded(256 * 1024 + 8 * MESSAGE_MAX + 4 * bytes.len(), || read(&listener, mutator, &bytes));
    });
}

fn read(listener: &TcpListener, mutator: &mut Mutator, bytes: &[u8]) {
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let linger = nix::libc::linger { l_onoff: 1, l_linger: 0 };
    nix::sys::socket::setsockopt(&client, nix::sys::socket::sockopt::Linger, &linger).unwrap();
    let (server, _) = listener.accept().unwrap();
    let early = mutator.below(bytes.len() + 1);
    // Bytes that do not fit the socket's buffers are left out.
    client.set_nonblocking(true).unwrap();
    let mut rest = &bytes[early..];
    while let Ok(count @ 1..) = client.write(rest) {
        rest = &rest[count..];
    }
    client.shutdown(Shutdown::Write).unwrap();
    let sent = Arc::new(Mutex::new(Vec::new()));
    let control = Arc::clone(&sent);
    let limits = ReaderLimits { message_bytes: MESSAGE_MAX, ping_interval: Duration::from_secs(20) };
    let out = move |frames: &[u8]| control.lock().unwrap().extend_from_slice(frames);
    let mut reader = MessageReader::new(Arc::new(server), bytes[..early].to_vec(), Box::new(out), limits);
    let reason = loop {
        match reader.next(None) {
            Incoming::Text(text) => assert!(text.len() <= MESSAGE_MAX),
            Incoming::Binary | Incoming::Tick => {}
            Incoming::Closed(reason) => break reason,
        }
    };
    let closes = control_frames(&sent.lock().unwrap());
    match reason {
        CloseReason::Refused(code, text) => {
            assert!([1002, 1007, 1009].contains(&code), "{code} {text}");
            assert_eq!(closes, 1, "the peer is told");
        }
        CloseReason::Peer(_) => assert_eq!(closes, 1, "a close is answered"),
        CloseReason::Lost => assert_eq!(closes, 0),
        CloseReason::Silent => panic!("it has not been silent for long"),
    }
}

/// Takes apart what the reader has written: whole control frames. Gives the number of closes, the last of all.
fn control_frames(mut bytes: &[u8]) -> usize {
    let mut closes = 0;
    while let [first, length, rest @ ..] = bytes {
        assert!(matches!(first, 0x88..=0x8a) && *length <= 125, "{first:#x} {length}");
        assert_eq!(closes, 0, "nothing follows a close");
        closes += usize::from(*first == 0x88);
        bytes = &rest[usize::from(*length)..];
    }
    assert!(bytes.is_empty());
    closes
}
