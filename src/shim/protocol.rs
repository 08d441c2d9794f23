//! The protocol of server and shim on the unix socket.
//!
//! Text lines both ways, so that an old shim and a newer server can be read side by side with `socat`.
//!
//! **From the shim**, distinguished by the first byte of a line:
//! ```text
//! rs-worker-shim <protocol> <shim pid> <journal end>    once, first
//! 1704067200000000 out {"type":"system",...}            a record, the same bytes as in the journal, in order
//! v 1704067200000000 out {"type":"stream_event",...}    a volatile line: not in the journal
//! repeats <lines>                                       so many volatile lines follow: all of the message that is being
//!                                                       written, of which some may have been sent before (version 2)
//! ok <id> <offset>                                      command <id> was done; the journal ended there then
//! no <id> <reason>                                      command <id> was not done, and why
//! warn <text>                                           the journal cannot be written; the CLI waits
//! warn                                                  it can be written again
//! ```
//! **From the server**: `attach` first, then commands in any number. `<id>` is any number that the server chooses.
//! ```text
//! attach <protocol> <offset>        send every record from <offset> on, then live
//! append <id> <bytes>\n<body>       body: lines `ctl <json>` or `in <line>`; one write to the journal, then each `in`
//!                                   line goes to the CLI's stdin
//! run <id> <bytes>\n<body>          body: NUL-separated program and arguments; starts the next process (one process a turn)
//! eof <id>                          close the CLI's stdin
//! signal <id> <number>              to the CLI's process group
//! stop <id> <grace ms>              the stop ladder
//! sync <id>                         fdatasync the journal
//! ```
//! `ok` comes after the records that a command made, to a server that has caught up; to one that lags it comes earlier.
//! `stop` is answered when it begins; its end is an `exited` record and then the end of the connection. A command without
//! an answer when the connection ends may have been done or not: the journal shows which. Of several servers one is heard at a
//! time: the next is greeted when every command of the one before was carried out. The records that a shim wrote but
//! did not get sent before it ended are in the journal.
//!
//! **Versions.** A greeting names the newest version that its shim speaks. The server attaches in the newest one that both
//! speak, and the connection is in that version: so a newer server can talk to the shims that an older build has started,
//! and after a step back an older server to newer ones. A verb that a shim does not know is answered
//! `no <id> unknown command`.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use crate::journal::Control;

/// Versions of this protocol that one side speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Versions {
    /// The oldest.
    pub oldest: u32,
    /// The newest.
    pub newest: u32,
}

impl Versions {
    /// The versions of this build.
    pub const OWN: Self = Self { oldest: OLDEST, newest: VERSION };

    /// Returns whether this side speaks `version`.
    pub fn has(self, version: u32) -> bool {
        (self.oldest..=self.newest).contains(&version)
    }

    /// The version in which a server of these versions talks to a shim whose newest is `theirs`.
    ///
    /// # Errors
    /// Fails when the shim is too old: a sentence for people. A shim that is too new refuses `attach` itself.
    pub fn with(self, theirs: u32) -> Result<u32, String> {
        if theirs < self.oldest {
            let oldest = self.oldest;
            return Err(format!(
                "the worker's shim speaks protocol {theirs}, and this build {oldest} or later: restart the worker"
            ));
        }
        Ok(self.newest.min(theirs))
    }
}

/// The newest version that this build speaks.
pub const VERSION: u32 = 2;
/// The oldest version that this build speaks. Raising it cuts off the workers that an older build has left running: they
/// can only be stopped and started again.
pub(crate) const OLDEST: u32 = 1;
/// The oldest version in which volatile lines are repeated with notice ([`FromShim::Repeats`](super::FromShim::Repeats)), so
/// that none is lost to a server that lags.
pub(crate) const REPEATS: u32 = 2;
/// First word of a shim's greeting.
pub(crate) const GREETING: &str = "rs-worker-shim";
/// First bytes of a volatile line, on the socket and in the shim's ring.
pub(crate) const VOLATILE_MARK: &[u8] = b"v ";
/// Longest header line of a command, in bytes.
pub const HEADER_MAX: usize = 256;
/// Longest body of a command, in bytes: the longest line and some records beside it.
pub const BODY_MAX: usize = 80 * 1024 * 1024;

/// One command of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShimCommand<'a> {
    /// Send every record from `offset` on, then live.
    Attach {
        /// The version that the server wants to speak.
        version: u32,
        /// A record boundary of the journal.
        offset: u64,
    },
    /// Record and write these lines; see [`control_line`] and [`input_line`].
    Append(&'a [u8]),
    /// Start the next process of a CLI with one process a turn; see [`run_body`].
    Run(&'a [u8]),
    /// Close the CLI's stdin when all that was accepted for it is written.
    Eof,
    /// Send a signal to the CLI's process group.
    Signal(i32),
    /// End the process tree, then the shim.
    Stop {
        /// Time between SIGTERM and SIGKILL, in milliseconds.
        grace_ms: u64,
    },
    /// Bring the journal to the disk.
    Sync,
    /// A verb that is unknown to this build.
    Unknown,
}

/// The first command in the bytes from a server.
#[derive(Debug, PartialEq, Eq)]
pub enum ParsedCommand<'a> {
    /// The first command is not there as a whole; in all it has this many bytes, where that is known.
    Incomplete(Option<usize>),
    /// A command, its id (0 for `attach`), and how many bytes it took.
    Command {
        /// The number that the answer repeats.
        id: u64,
        /// The command.
        command: ShimCommand<'a>,
        /// Bytes of header and body.
        len: usize,
    },
    /// The beginning of the next command cannot be found: the connection is useless.
    Malformed(&'static str),
}

/// Appends a command to what will be written to the shim. `id` is not sent with `attach`. A body longer than
/// [`BODY_MAX`] is refused by the shim, which then closes the connection; see [`ShimCommand::fits`].
pub fn encode_command(buffer: &mut Vec<u8>, id: u64, command: &ShimCommand<'_>) {
    use std::io::Write;
    // Writing into memory cannot fail.
    let _ = match command {
        ShimCommand::Attach { version, offset } => writeln!(buffer, "attach {version} {offset}"),
        ShimCommand::Append(body) => writeln!(buffer, "append {id} {}", body.len()),
        ShimCommand::Run(body) => writeln!(buffer, "run {id} {}", body.len()),
        ShimCommand::Eof => writeln!(buffer, "eof {id}"),
        ShimCommand::Signal(number) => writeln!(buffer, "signal {id} {number}"),
        ShimCommand::Stop { grace_ms } => writeln!(buffer, "stop {id} {grace_ms}"),
        ShimCommand::Sync => writeln!(buffer, "sync {id}"),
        ShimCommand::Unknown => Ok(()),
    };
    if let ShimCommand::Append(body) | ShimCommand::Run(body) = command {
        buffer.extend_from_slice(body);
    }
}

impl ShimCommand<'_> {
    /// Returns whether a shim accepts a command of this size.
    pub fn fits(&self) -> bool {
        !matches!(self, ShimCommand::Append(body) | ShimCommand::Run(body) if body.len() > BODY_MAX)
    }
}

/// Adds a `ctl` record to the body of an `append`.
pub fn control_line(body: &mut Vec<u8>, control: &Control) {
    body.extend_from_slice(b"ctl ");
    body.extend_from_slice(&control.to_json());
    body.push(b'\n');
}

/// Adds a line for the CLI's stdin, given without its newline, to the body of an `append`. What has newlines inside is
/// as many lines.
pub fn input_line(body: &mut Vec<u8>, line: &[u8]) {
    for line in line.split(|&byte| byte == b'\n') {
        body.extend_from_slice(b"in ");
        body.extend_from_slice(line);
        body.push(b'\n');
    }
}

/// The body of a `run`. Neither program nor arguments can contain a NUL.
pub fn run_body<'a>(program: &'a OsStr, args: impl IntoIterator<Item = &'a OsStr>) -> Vec<u8> {
    let mut body = program.as_bytes().to_vec();
    for arg in args {
        body.push(0);
        body.extend_from_slice(arg.as_bytes());
    }
    body
}

/// Reads the first command in `bytes`.
pub fn parse_command(bytes: &[u8]) -> ParsedCommand<'_> {
    let Some(header_len) = memchr::memchr(b'\n', &bytes[..bytes.len().min(HEADER_MAX)]) else {
        if bytes.len() >= HEADER_MAX {
            return ParsedCommand::Malformed("the first line of a command is too long");
        }
        return ParsedCommand::Incomplete(None);
    };
    let Ok(header) = std::str::from_utf8(&bytes[..header_len]) else {
        return ParsedCommand::Malformed("the first line of a command is not text");
    };
    let mut words = header.split(' ');
    let verb = words.next().unwrap_or_default();
    let Some(first) = words.next().and_then(|word| word.parse::<u64>().ok()) else {
        return ParsedCommand::Malformed("a command needs a number after its verb");
    };
    let second = words.next();
    if words.next().is_some() && KNOWN.contains(&verb) {
        return ParsedCommand::Malformed("a command has too many words");
    }
    let body_start = header_len + 1;
    let (command, len) = match (verb, second) {
        ("attach", Some(offset)) => match (u32::try_from(first), offset.parse()) {
            (Ok(version), Ok(offset)) => (ShimCommand::Attach { version, offset }, body_start),
            _ => return ParsedCommand::Malformed("attach needs a version and an offset"),
        },
        ("append" | "run", Some(size)) => match size.parse::<usize>() {
            Ok(size) if size <= BODY_MAX => match bytes.get(body_start..body_start + size) {
                Some(body) if verb == "run" => (ShimCommand::Run(body), body_start + size),
                Some(body) => (ShimCommand::Append(body), body_start + size),
                None => return ParsedCommand::Incomplete(Some(body_start + size)),
            },
            Ok(_) => return ParsedCommand::Malformed("the body of a command is too long"),
            Err(_) => return ParsedCommand::Malformed("append and run need a size"),
        },
        ("signal", Some(number)) => match number.parse() {
            Ok(number) => (ShimCommand::Signal(number), body_start),
            Err(_) => return ParsedCommand::Malformed("signal needs a number"),
        },
        ("stop", Some(grace_ms)) => match grace_ms.parse() {
            Ok(grace_ms) => (ShimCommand::Stop { grace_ms }, body_start),
            Err(_) => return ParsedCommand::Malformed("stop needs milliseconds"),
        },
        ("eof", None) => (ShimCommand::Eof, body_start),
        ("sync", None) => (ShimCommand::Sync, body_start),
        (verb, _) if KNOWN.contains(&verb) => {
            return ParsedCommand::Malformed("a command has the wrong number of words");
        }
        _ => (ShimCommand::Unknown, body_start),
    };
    let id = if verb == "attach" { 0 } else { first };
    ParsedCommand::Command { id, command, len }
}

/// The verbs of this version.
const KNOWN: [&str; 7] = ["attach", "append", "run", "eof", "signal", "stop", "sync"];

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use proptest::prelude::*;

    use super::*;

    fn first(bytes: &[u8]) -> (u64, ShimCommand<'_>, usize) {
        match parse_command(bytes) {
            ParsedCommand::Command { id, command, len } => (id, command, len),
            other => panic!("{other:?} instead of a command"),
        }
    }

    #[test]
    fn every_command_is_read_back_as_it_was_written() {
        let body = run_body(OsStr::new("claude"), [OsStr::new("-p"), OsStr::new("a\nb")]);
        assert_eq!(body, b"claude\0-p\0a\nb");
        let commands = [
            ShimCommand::Attach { version: 1, offset: u64::MAX },
            ShimCommand::Append(b"ctl {}\nin \xff\n"),
            ShimCommand::Append(b""),
            ShimCommand::Run(&body),
            ShimCommand::Eof,
            ShimCommand::Signal(2),
            ShimCommand::Stop { grace_ms: 5000 },
            ShimCommand::Sync,
        ];
        let mut bytes = Vec::new();
        for (id, command) in (0..).zip(&commands) {
            encode_command(&mut bytes, id, command);
        }
        let mut rest = &bytes[..];
        for (id, expected) in (0..).zip(&commands) {
            let (found, command, len) = first(rest);
            assert_eq!((found, command), (id, *expected));
            for cut in 0..len {
                assert!(matches!(parse_command(&rest[..cut]), ParsedCommand::Incomplete(_)), "cut at {cut}");
            }
            rest = &rest[len..];
        }
        assert!(rest.is_empty());
    }

    #[test]
    fn a_body_says_how_long_the_command_will_be() {
        assert_eq!(parse_command(b"append 7 100\nctl"), ParsedCommand::Incomplete(Some(113)));
    }

    #[test]
    fn unknown_verb_with_an_id_does_not_break_the_stream() {
        assert_eq!(first(b"freeze 9 a b c\nsync 10\n"), (9, ShimCommand::Unknown, 15));
    }

    #[test]
    fn commands_without_a_clear_end_are_malformed() {
        let long = vec![b'a'; HEADER_MAX];
        let too_large = format!("append 1 {}\n", BODY_MAX + 1);
        let cases: [&[u8]; 9] = [
            b"\n",
            b"sync\n",
            b"sync x\n",
            b"append 1\n",
            b"append 1 -5\n",
            b"stop 1 2 3\n",
            b"\xff\xfe 1\n",
            &long,
            too_large.as_bytes(),
        ];
        for case in cases {
            assert!(matches!(parse_command(case), ParsedCommand::Malformed(_)), "{case:?}");
        }
    }

    #[test]
    fn a_line_with_newlines_is_as_many_lines() {
        let mut body = Vec::new();
        input_line(&mut body, b"one\ntwo");
        assert_eq!(body, b"in one\nin two\n");
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_parser_panic_or_read_too_far(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            if let ParsedCommand::Command { len, .. } = parse_command(&bytes) {
                prop_assert!(len <= bytes.len());
            }
        }
    }
}
