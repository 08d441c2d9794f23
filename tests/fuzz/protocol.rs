//! Frames between server and shim, in both directions.

use std::ffi::OsStr;

use rs_worker::testing::shim::protocol::{self, BODY_MAX, HEADER_MAX, ParsedCommand, ShimCommand, parse_command};
use rs_worker::testing::shim::{FromShim, IncomingBytes};

use crate::mutate::Mutator;
use crate::run::{bounded, fuzz};

const WORDS: [&str; 20] = [
    "attach ",
    "append ",
    "run ",
    "eof ",
    "signal ",
    "stop ",
    "sync ",
    "ctl {",
    "in ",
    "\n",
    "\0",
    " ",
    "ok 1 2\n",
    "no 1 x\n",
    "warn\n",
    "v 1 out x\n",
    "rs-worker-shim 1 2 3\n",
    "1704067200000000 out x\n",
    "18446744073709551615",
    "83886080",
];

/// Commands as a server writes them.
fn commands(mutator: &mut Mutator) -> Vec<u8> {
    let body = vec![b'x'; mutator.below(300)];
    let run = protocol::run_body(OsStr::new("program"), [OsStr::new("a"), OsStr::new("")]);
    let mut lines = Vec::new();
    protocol::input_line(&mut lines, b"{\"type\":\"user\"}\nsecond");
    let mut bytes = Vec::new();
    let all = [
        ShimCommand::Attach { version: 1, offset: 100 },
        ShimCommand::Append(&lines),
        ShimCommand::Append(&body),
        ShimCommand::Run(&run),
        ShimCommand::Eof,
        ShimCommand::Signal(2),
        ShimCommand::Stop { grace_ms: 5_000 },
        ShimCommand::Sync,
    ];
    for id in 0..mutator.below(6) {
        protocol::encode_command(&mut bytes, id as u64, mutator.pick(&all));
    }
    bytes
}

#[test]
fn any_bytes_of_a_server_are_commands_incomplete_or_refused() {
    fuzz("shim protocol, from the server", |mutator| {
        let mut bytes = commands(mutator);
        mutator.bytes(&mut bytes, &WORDS, &[]);
        // Parsing borrows; whatever sizes are announced, nothing is allocated for them.
        bounded(4 * 1024, || {
            let mut rest = bytes.as_slice();
            loop {
                match parse_command(rest) {
                    ParsedCommand::Command { len, command, .. } => {
                        assert!(len > 0 && len <= rest.len() && command.fits());
                        // The same command in fewer bytes is incomplete, and says how many it needs if it knows.
                        match parse_command(&rest[..len - 1]) {
                            ParsedCommand::Incomplete(wanted) => assert!(wanted.is_none_or(|wanted| wanted == len)),
                            other => panic!("{other:?} of one byte less than a command"),
                        }
                        rest = &rest[len..];
                    }
                    ParsedCommand::Incomplete(wanted) => {
                        assert!(wanted.is_none_or(|wanted| wanted > rest.len() && wanted <= BODY_MAX + HEADER_MAX));
                        assert!(wanted.is_some() || rest.len() < HEADER_MAX, "a header ends somewhere");
                        break;
                    }
                    ParsedCommand::Malformed(_) => break,
                }
            }
        });
    });
}

fn shim_says(mutator: &mut Mutator) -> Vec<u8> {
    let lines: [&[u8]; 10] = [
        b"rs-worker-shim 1 42 100\n",
        b"1704067200000000 out {\"type\":\"system\",\"subtype\":\"init\"}\n",
        b"1704067200000001 ctl {\"type\":\"exited\",\"exit_code\":0}\n",
        b"v 1704067200000000 out {\"type\":\"stream_event\"}\n",
        b"ok 7 4096\n",
        b"no 7 the CLI is gone\n",
        b"warn the disk is full\n",
        b"warn\n",
        b"1 err \xff\xfe\n",
        b"\n",
    ];
    let count = mutator.below(12);
    (0..count).flat_map(|_| mutator.pick(&lines).to_vec()).collect()
}

#[test]
fn any_bytes_of_a_shim_parse_the_same_in_pieces() {
    fuzz("shim protocol, from the shim", |mutator| {
        let mut bytes = shim_says(mutator);
        mutator.bytes(&mut bytes, &WORDS, &[]);
        let newlines = bytes.iter().filter(|&&byte| byte == b'\n').count();
        let mut take = |largest: usize| {
            let (mut incoming, mut rest, mut said) = (IncomingBytes::new(100), bytes.as_slice(), Vec::new());
            while !rest.is_empty() {
                let space = incoming.space();
                let size = (mutator.below(largest) + 1).min(rest.len()).min(space.len());
                space[..size].copy_from_slice(&rest[..size]);
                incoming.filled(size);
                rest = &rest[size..];
                while let Some(item) = incoming.next_item() {
                    said.push(match item {
                        FromShim::Record(record) => format!("{record:?}"),
                        other => format!("{other:?}"),
                    });
                }
                assert!(!incoming.is_overlong());
            }
            (said, incoming.seq())
        };
        // The buffer of a connection, the text of this test, and no more.
        let (whole, in_pieces) = bounded(8 * 1024 * 1024 + 64 * bytes.len(), || (take(bytes.len().max(1)), take(7)));
        assert_eq!(whole, in_pieces);
        assert_eq!(whole.0.len(), newlines, "every line is something");
        assert!(whole.1 <= 100 + bytes.len() as u64);
    });
}
