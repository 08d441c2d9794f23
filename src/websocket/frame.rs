//! Frames that a server sends, as bytes appended to a buffer. Server frames are not masked, so a payload can be written
//! straight into the buffer that goes to the socket, and one buffer can go to many sockets.

/// Opcode of a text frame, with the FIN bit.
const TEXT: u8 = 0x81;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;

/// Longest payload of a control frame, in bytes.
pub(crate) const CONTROL_MAX: usize = 125;
/// Length of a header whose length field has 16 bits: what is set aside before the payload's length is known.
const HEADER_SET_ASIDE: usize = 4;
/// Longest payload whose length is in the second byte.
const SHORT_MAX: usize = 125;
/// Values of the second byte when 16 or 64 bits of length follow.
const LENGTH_16: u8 = 126;
const LENGTH_64: u8 = 127;

/// Appends a ping; of a payload over [`CONTROL_MAX`] only the beginning.
pub(crate) fn encode_ping(buffer: &mut Vec<u8>, payload: &[u8]) {
    encode(buffer, PING, &payload[..payload.len().min(CONTROL_MAX)]);
}

/// Appends a close frame: 1000 normal, 1001 going away, 1002 protocol, 1003 no such data, 1007 not UTF-8, 1008 policy,
/// 1009 too big, 1011 internal error, 1012 restart, 1013 try later. Of a long reason only the beginning is sent.
pub(crate) fn encode_close(buffer: &mut Vec<u8>, code: u16, reason: &str) {
    let mut payload = Vec::with_capacity(CONTROL_MAX);
    payload.extend_from_slice(&code.to_be_bytes());
    let end = (0..=reason.len().min(CONTROL_MAX - 2)).rev().find(|&end| reason.is_char_boundary(end));
    payload.extend_from_slice(&reason.as_bytes()[..end.unwrap_or(0)]);
    encode(buffer, CLOSE, &payload);
}

/// Returns whether the last of these whole control frames is a close.
pub(super) fn ends_in_close(mut frames: &[u8]) -> bool {
    let mut last = 0;
    // A control frame's length is always in its second byte.
    while let [first, length, rest @ ..] = frames {
        last = *first;
        frames = rest.get(usize::from(*length)..).unwrap_or_default();
    }
    last == CLOSE
}

/// A frame that a server sends.
pub(crate) struct ServerFrame<'f> {
    /// All of its bytes.
    pub(crate) whole: &'f [u8],
    /// Its payload.
    pub(crate) payload: &'f [u8],
}

impl ServerFrame<'_> {
    /// Returns whether it is a text frame.
    pub(crate) fn is_text(&self) -> bool {
        self.whole.first() == Some(&TEXT)
    }
}

/// Takes the first of these whole frames, and returns it with those after it. `None` at their end.
pub(crate) fn take_first(frames: &[u8]) -> Option<(ServerFrame<'_>, &[u8])> {
    let (header, length) = match *frames.get(1)? {
        LENGTH_16 => (4, u64::from(u16::from_be_bytes(*frames.get(2..)?.first_chunk()?))),
        LENGTH_64 => (10, u64::from_be_bytes(*frames.get(2..)?.first_chunk()?)),
        short => (2, u64::from(short)),
    };
    let end = usize::try_from(length).ok()?.checked_add(header)?;
    let (whole, rest) = frames.split_at_checked(end)?;
    Some((ServerFrame { whole, payload: &whole[header..] }, rest))
}

/// The place where a frame that is being written begins, for [`end_text`].
#[derive(Debug)]
#[must_use = "a frame that is begun must be ended"]
pub(crate) struct Mark(usize);

/// Begins a text frame: whatever is appended to `buffer` until [`end_text`] is its payload.
pub(crate) fn begin_text(buffer: &mut Vec<u8>) -> Mark {
    let mark = Mark(buffer.len());
    buffer.extend_from_slice(&[0; HEADER_SET_ASIDE]);
    mark
}

/// Ends the text frame that began at `mark`. Payloads of 126 bytes to 64 KiB, which is what events mostly are, stay
/// where they were written; shorter and longer ones are moved by a few bytes.
///
/// # Panics
/// Panics when `buffer` is shorter than it was after [`begin_text`].
pub(crate) fn end_text(buffer: &mut Vec<u8>, mark: Mark) {
    let start = mark.0;
    let payload = start + HEADER_SET_ASIDE;
    let length = buffer.len() - payload;
    let (header, used) = header(TEXT, length);
    let header = &header[..used];
    if used < HEADER_SET_ASIDE {
        buffer.copy_within(payload.., start + used);
        buffer.truncate(start + used + length);
    } else if used > HEADER_SET_ASIDE {
        buffer.resize(start + used + length, 0);
        buffer.copy_within(payload..payload + length, start + used);
    }
    buffer[start..start + used].copy_from_slice(header);
}

fn encode(buffer: &mut Vec<u8>, opcode: u8, payload: &[u8]) {
    let (header, used) = header(opcode, payload.len());
    buffer.reserve(used + payload.len());
    buffer.extend_from_slice(&header[..used]);
    buffer.extend_from_slice(payload);
}

/// The shortest header for a payload of this length, and how many of its bytes are used.
fn header(opcode: u8, length: usize) -> ([u8; 10], usize) {
    let mut header = [0; 10];
    header[0] = opcode;
    if length <= SHORT_MAX {
        header[1] = length as u8;
        (header, 2)
    } else if let Ok(length) = u16::try_from(length) {
        header[1] = LENGTH_16;
        header[2..4].copy_from_slice(&length.to_be_bytes());
        (header, 4)
    } else {
        header[1] = LENGTH_64;
        header[2..].copy_from_slice(&(length as u64).to_be_bytes());
        (header, 10)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;
    use tungstenite::protocol::{Role, WebSocketConfig};
    use tungstenite::{Message, WebSocket};

    use super::*;

    /// Reads `bytes` as a client would.
    fn read(bytes: Vec<u8>) -> Vec<Message> {
        let config = WebSocketConfig::default().max_frame_size(None).max_message_size(None);
        let mut client = WebSocket::from_raw_socket(Cursor::new(bytes), Role::Client, Some(config));
        std::iter::from_fn(|| client.read().ok()).collect()
    }

    #[test]
    fn every_length_of_header_is_the_shortest_and_is_understood() {
        for (length, header) in [(0, 2), (1, 2), (125, 2), (126, 4), (65_535, 4), (65_536, 10), (200_000, 10)] {
            let text = "x".repeat(length);
            let mut whole = Vec::new();
            encode(&mut whole, TEXT, text.as_bytes());
            assert_eq!(whole.len(), header + length);
            let mut straight = b"before".to_vec();
            let mark = begin_text(&mut straight);
            straight.extend_from_slice(text.as_bytes());
            end_text(&mut straight, mark);
            assert_eq!(straight[6..], whole);
            assert_eq!(read(whole), [Message::text(text)]);
        }
    }

    #[test]
    fn control_frames_are_understood_and_cut_to_their_limit() {
        let mut buffer = Vec::new();
        encode_ping(&mut buffer, b"p");
        encode_ping(&mut buffer, &[7; 300]);
        encode_close(&mut buffer, 1009, &"é".repeat(100));
        assert!(ends_in_close(&buffer));
        let seen = read(buffer);
        assert_eq!(seen[..2], [Message::Ping("p".into()), Message::Ping(vec![7; CONTROL_MAX].into())]);
        let Message::Close(Some(close)) = &seen[2] else { panic!("{seen:?}") };
        assert_eq!((u16::from(close.code), close.reason.as_str()), (1009, "é".repeat(61).as_str()));
    }

    #[test]
    fn a_close_is_known_from_other_control_frames() {
        let frames = |closes: bool| {
            let mut buffer = Vec::new();
            encode_ping(&mut buffer, &[CLOSE; CONTROL_MAX]);
            if closes {
                encode_close(&mut buffer, 1000, "");
            }
            buffer
        };
        assert!(ends_in_close(&frames(true)));
        assert!(!ends_in_close(&frames(false)));
        assert!(!ends_in_close(b""));
    }

    proptest! {
        #[test]
        fn texts_written_one_after_another_are_read_one_after_another(
            texts in prop::collection::vec((".{0,40}", 0_usize..3_000, any::<bool>()), 0..10)
        ) {
            let texts: Vec<(String, bool)> =
                texts.into_iter().map(|(text, more, straight)| (text + &"y".repeat(more), straight)).collect();
            let mut buffer = Vec::new();
            for (text, straight) in &texts {
                if *straight {
                    let mark = begin_text(&mut buffer);
                    buffer.extend_from_slice(text.as_bytes());
                    end_text(&mut buffer, mark);
                } else {
                    encode(&mut buffer, TEXT, text.as_bytes());
                }
            }
            let expected: Vec<Message> = texts.into_iter().map(|(text, _)| Message::text(text)).collect();
            let mut rest = buffer.as_slice();
            for message in &expected {
                let (frame, left) = take_first(rest).unwrap();
                prop_assert!(frame.is_text());
                prop_assert_eq!(frame.payload, message.to_text().unwrap().as_bytes());
                rest = left;
            }
            prop_assert!(take_first(rest).is_none());
            prop_assert_eq!(read(buffer), expected);
        }
    }
}
