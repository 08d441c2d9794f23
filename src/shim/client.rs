//! The server's side: starting a shim, and taking apart what it sends.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

use super::protocol::{self, Versions};
use super::spec::Spec;
use crate::adapter::Launch;
use crate::journal::{RECORD_MAX, Record};

/// Name of the file in the worker's folder that a shim's own log goes to.
pub const LOG: &str = "shim.log";
/// Permissions of the log: its owner alone.
const LOG_MODE: u32 = 0o600;
/// Most bytes to read from a shim at once.
const READ_MAX: usize = 256 * 1024;
/// Bytes asked of a shim by the first reads; doubled while reads come back full. A worker that says little costs little.
const READ_START: usize = 8 * 1024;

/// What a shim is to run.
#[derive(Clone, Copy, Debug)]
pub struct ShimSpec<'a> {
    /// The worker's folder. Its journal must exist and be locked by nobody.
    pub dir: &'a Path,
    /// The worker's id.
    pub worker_id: &'a str,
    /// The adapter's part.
    pub launch: &'a Launch,
    /// The CLI's working directory.
    pub cwd: &'a Path,
    /// The whole environment of shim and CLI; `launch.env` is added to it. It stays out of command lines and files.
    pub env: &'a [(OsString, OsString)],
    /// Time between SIGTERM and SIGKILL where a stop does not say.
    pub grace: Duration,
}

/// Starts a shim with the program `exe`, this build's own. The shim then opens the journal, listens, and starts the CLI,
/// in this order; so [`connect`](super::connect) is to be tried until it works or the shim has ended. How it went is in
/// the journal, or else in [`LOG`].
///
/// The caller must `wait` for the returned process some time, or it stays a zombie until the server ends.
///
/// # Errors
/// When the log cannot be opened or the system cannot start a process.
pub fn spawn(exe: &Path, spec: &ShimSpec<'_>) -> io::Result<Child> {
    let log = OpenOptions::new().append(true).create(true).mode(LOG_MODE).open(spec.dir.join(LOG))?;
    let launch = spec.launch;
    let mut argv: Vec<OsString> = Vec::new();
    if !launch.program.as_os_str().is_empty() {
        argv.push(launch.program.clone().into());
        argv.extend(launch.args.iter().map(OsString::from));
    }
    let args = Spec {
        dir: spec.dir.to_owned(),
        worker_id: spec.worker_id.to_owned(),
        cwd: spec.cwd.to_owned(),
        grace: spec.grace,
        volatile: launch.volatile.clone(),
        keep: launch.one_process_per_turn,
        eof_first: launch.stop_by_eof,
        argv,
    };
    // An end of input at once, as `/dev/null` gives it, which is not there in an empty root.
    let (no_input, _) = io::pipe()?;
    Command::new(exe)
        .args(args.to_args())
        .env_clear()
        .envs(spec.env.iter().map(|(name, value)| (name, value)))
        .envs(launch.env.iter().map(|(name, value)| (name, value)))
        .stdin(no_input)
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
}

/// What a shim said first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Greeting {
    /// The version in which to attach.
    pub version: u32,
    /// Where the journal ended then.
    pub end: u64,
}

/// Waits for the greeting on a new connection of a server that speaks these versions. A shim says nothing more before it
/// is told to `attach`.
///
/// # Errors
/// When the connection ends, or there is no version that both speak: then the error's kind is `Unsupported`.
pub fn greeted(mut socket: &UnixStream, versions: Versions) -> io::Result<Greeting> {
    let mut incoming = Incoming::new(0);
    loop {
        let count = match socket.read(incoming.space()) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        incoming.filled(count);
        match incoming.next_item() {
            Some(FromShim::Greeting { version, end, .. }) => {
                let version =
                    versions.with(version).map_err(|text| io::Error::new(io::ErrorKind::Unsupported, text))?;
                return Ok(Greeting { version, end });
            }
            Some(_) => return Err(io::Error::other("what listens there is no shim")),
            None => {}
        }
    }
}

/// One thing that a shim said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FromShim<'a> {
    /// Its first line.
    Greeting {
        /// The protocol that it speaks.
        version: u32,
        /// Its process id.
        pid: i32,
        /// The journal's end when the connection began.
        end: u64,
    },
    /// The next record of the journal.
    Record(Record<'a>),
    /// A line of the journal that is no record.
    Garbage {
        /// Its offset.
        seq: u64,
        /// Its length with the newline.
        len: u64,
    },
    /// A volatile line; its `seq` is the offset that the next record will have, its `len` means nothing.
    Volatile(Record<'a>),
    /// A command was done.
    Ok {
        /// Which.
        id: u64,
        /// The journal's end then.
        offset: u64,
    },
    /// A command was not done. With id 0 it was `attach`, or one that could not be read, and the connection ends.
    No {
        /// Which.
        id: u64,
        /// Why, for people.
        reason: &'a str,
    },
    /// The journal cannot be written and the CLI waits; empty when that is over.
    Warn(&'a str),
}

/// The bytes from a shim, and how far into the journal they have come.
///
/// ```text
/// loop { n = stream.read(incoming.space())?; incoming.filled(n); while let Some(said) = incoming.next_item() { ... } }
/// ```
#[derive(Debug)]
pub struct Incoming {
    /// Read bytes stand in `start..end`; the first `searched` of them are known to have no newline.
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    searched: usize,
    seq: u64,
    /// How much to ask for.
    ask: usize,
}

impl Incoming {
    /// For a connection that attaches at the journal's offset `seq`.
    pub fn new(seq: u64) -> Self {
        Self { buffer: Vec::new(), start: 0, end: 0, searched: 0, seq, ask: READ_START }
    }

    /// The offset after the last record that came: where to attach next.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// Room for the next read; never empty.
    ///
    /// It ends what was returned before: take everything with [`next_item`](Self::next_item) first.
    pub fn space(&mut self) -> &mut [u8] {
        let len = self.end - self.start;
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, len);
        }
        let usual = 2 * self.ask;
        if self.buffer.len() > 2 * usual && len <= self.ask {
            self.resize(usual);
        } else if self.buffer.len() - len < self.ask {
            // Doubling keeps the copying of a long line in proportion to its length.
            self.resize((2 * len).max(usual));
        }
        &mut self.buffer[len..]
    }

    /// `count` bytes were read into [`space`](Self::space).
    pub fn filled(&mut self, count: usize) {
        self.end += count;
        if count >= self.ask {
            self.ask = (self.ask * 2).min(READ_MAX);
        }
    }

    /// A buffer of this size with the same unread bytes. A new one, because zeroed memory takes no room until it is
    /// written to, and zeroing by hand would write to all of it.
    fn resize(&mut self, size: usize) {
        let mut buffer = vec![0; size];
        buffer[..self.end].copy_from_slice(&self.buffer[..self.end]);
        self.buffer = buffer;
    }

    /// Whether a line has come that is longer than any that a shim sends: the connection is to be closed.
    pub fn is_overlong(&self) -> bool {
        self.searched > RECORD_MAX + b"v ".len()
    }

    /// The next thing that has come as a whole.
    pub fn next_item(&mut self) -> Option<FromShim<'_>> {
        let Some(at) = memchr::memchr(b'\n', &self.buffer[self.start + self.searched..self.end]) else {
            self.searched = self.end - self.start;
            return None;
        };
        let (from, newline) = (self.start, self.start + self.searched + at);
        (self.start, self.searched) = (newline + 1, 0);
        let line = &self.buffer[from..newline];
        let said = if line.first().is_some_and(u8::is_ascii_alphabetic) { parse(line, self.seq) } else { None };
        if said.is_some() {
            return said;
        }
        let (seq, len) = (self.seq, line.len() as u64 + 1);
        self.seq += len;
        Some(Record::parse(line, seq).map_or(FromShim::Garbage { seq, len }, FromShim::Record))
    }
}

/// A line that is not of the journal.
fn parse(line: &[u8], seq: u64) -> Option<FromShim<'_>> {
    if let Some(line) = line.strip_prefix(b"v ") {
        return Record::parse(line, seq).map(FromShim::Volatile);
    }
    // Reasons and warnings are made by the shim as text.
    let line = std::str::from_utf8(line).ok()?;
    let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
    match verb {
        "ok" => {
            let (id, offset) = rest.split_once(' ')?;
            Some(FromShim::Ok { id: id.parse().ok()?, offset: offset.parse().ok()? })
        }
        "no" => {
            let (id, reason) = rest.split_once(' ').unwrap_or((rest, ""));
            Some(FromShim::No { id: id.parse().ok()?, reason })
        }
        "warn" => Some(FromShim::Warn(rest)),
        protocol::GREETING => {
            let mut words = rest.split(' ');
            let mut next = || words.next().and_then(|word| word.parse::<u64>().ok());
            let (version, pid, end) = (next()?, next()?, next()?);
            Some(FromShim::Greeting { version: u32::try_from(version).ok()?, pid: i32::try_from(pid).ok()?, end })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{FromShim, Incoming};

    const SAID: &[u8] = b"rs-worker-shim 1 42 100\n7 out hello\nv 8 out {\"d\"}\nok 3 112\n\n9 err \xff\nno 0 go away\nwarn full\nwarn\n";

    fn shown(said: FromShim<'_>) -> String {
        match said {
            FromShim::Record(record) => format!("{} {:?} at {}", record.kind.as_str(), record.payload, record.seq),
            FromShim::Volatile(record) => format!("v {:?} at {}", record.payload, record.seq),
            other => format!("{other:?}"),
        }
    }

    proptest! {
        #[test]
        fn what_a_shim_says_is_taken_apart_the_same_in_any_pieces(size in 1_usize..SAID.len()) {
            let mut incoming = Incoming::new(100);
            let mut said = Vec::new();
            for piece in SAID.chunks(size) {
                incoming.space()[..piece.len()].copy_from_slice(piece);
                incoming.filled(piece.len());
                while let Some(item) = incoming.next_item() {
                    said.push(shown(item));
                }
            }
            prop_assert_eq!(said, [
                "Greeting { version: 1, pid: 42, end: 100 }",
                "out [104, 101, 108, 108, 111] at 100",
                "v [123, 34, 100, 34, 125] at 112",
                "Ok { id: 3, offset: 112 }",
                "Garbage { seq: 112, len: 1 }",
                "err [255] at 113",
                "No { id: 0, reason: \"go away\" }",
                "Warn(\"full\")",
                "Warn(\"\")",
            ]);
            prop_assert_eq!(incoming.seq(), 121);
        }
    }
}
