//! Execution of the server's commands.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::link::Link;
use super::run::{Shim, WaitingAppend, Work};
use crate::clock::Micros;
use crate::journal::{Kind, LINE_MAX, encode};
use crate::shim::protocol::{BODY_MAX, HEADER_MAX, ParsedCommand, ShimCommand, Versions, parse_command};

/// Most `append` commands, and bytes of them, that wait for a journal that cannot be written.
const WAITING_MAX: usize = 1024;
/// See [`WAITING_MAX`].
const WAITING_BYTES_MAX: usize = BODY_MAX;
/// Most `sync` commands that wait for the disk.
const SYNCS_MAX: usize = 64;

/// The reason why an `append` was not done.
enum AppendFailure {
    /// Invalid.
    Refused(&'static str),
    /// The journal cannot be written now.
    Disk,
}

impl Shim {
    /// Reads commands from the server and executes them. At the end of its input the connection is closed, after every
    /// complete command was executed; then the next server is accepted.
    pub(super) fn receive(&mut self) {
        let is_open = self.link.as_mut().is_some_and(Link::read);
        self.execute_input(!is_open);
        if !is_open {
            self.hang_up();
        }
    }

    /// Closes the connection. Commands without an ack are forgotten: they are not in the journal, so they never were.
    pub(super) fn hang_up(&mut self) {
        self.link = None;
        self.waiting.clear();
        self.syncs.clear();
    }

    /// Executes the commands that have come, as long as the server reads its acks (`to_the_end`: all of them).
    pub(super) fn execute_input(&mut self, to_the_end: bool) {
        let Some(link) = &mut self.link else { return };
        let input = std::mem::take(&mut link.input);
        let (mut used, mut needed) = (0, HEADER_MAX);
        while let Some(link) = &mut self.link
            && (to_the_end || link.wants_input())
        {
            match parse_command(&input[used..]) {
                ParsedCommand::Incomplete(len) => {
                    needed = len.unwrap_or(HEADER_MAX);
                    break;
                }
                ParsedCommand::Malformed(reason) => return self.refuse(reason),
                ParsedCommand::Command { id, command, len } => {
                    used += len;
                    self.execute(id, &command);
                }
            }
        }
        if let Some(link) = &mut self.link {
            (link.input, link.input_needed) = (input, needed);
            link.forget_input(used);
        }
    }

    fn execute(&mut self, id: u64, command: &ShimCommand<'_>) {
        let is_attached = self.link.as_ref().is_some_and(|link| link.is_attached());
        match *command {
            ShimCommand::Attach { version, offset } if !is_attached => self.attach(version, offset),
            ShimCommand::Attach { .. } => self.refuse("this connection is attached already"),
            _ if !is_attached => self.refuse("the first command must be attach"),
            ShimCommand::Append(body) => self.append(id, body),
            ShimCommand::Run(body) => {
                let done = self.run_next(body);
                self.ack(id, done);
            }
            ShimCommand::Eof => {
                let done = self.running().map(|running| running.child.stdin.close_when_written());
                self.ack(id, done);
            }
            ShimCommand::Signal(number) => {
                let done = self.signal(number);
                self.ack(id, done);
            }
            ShimCommand::Stop { grace_ms } => {
                self.stop(Duration::from_millis(grace_ms));
                self.ack(id, Ok(()));
            }
            ShimCommand::Sync => self.sync(id),
            ShimCommand::Unknown => self.ack(id, Err("unknown command".to_owned())),
        }
    }

    fn ack(&mut self, id: u64, done: Result<(), String>) {
        let line = match done {
            Ok(()) => format!("ok {id} {}", self.store.end()),
            Err(reason) => format!("no {id} {reason}"),
        };
        if let Some(link) = &mut self.link {
            link.queue_line(&line);
        }
    }

    /// Sends the peer the reason why its connection is useless, and closes it.
    fn refuse(&mut self, reason: &str) {
        log::warn!("a connection is closed: {reason}");
        if let Some(link) = &mut self.link {
            link.queue_line(&format!("no 0 {reason}"));
            self.store.serve(link);
        }
        self.hang_up();
    }

    fn attach(&mut self, version: u32, offset: u64) {
        if !Versions::OWN.has(version) {
            let Versions { oldest, newest } = Versions::OWN;
            return self.refuse(&format!("this shim speaks protocol {oldest} to {newest}, not {version}"));
        }
        if let Err(reason) = self.store.check_offset(offset) {
            return self.refuse(&reason);
        }
        if let Some(link) = &mut self.link {
            link.attach(version, offset);
            if let Some(warning) = self.store.warning() {
                link.queue_line(&warning);
            }
        }
    }

    fn append(&mut self, id: u64, body: &[u8]) {
        if !self.store.is_failing() {
            match self.try_append(id, body) {
                Ok(()) => return,
                Err(AppendFailure::Refused(reason)) => return self.ack(id, Err(reason.to_owned())),
                Err(AppendFailure::Disk) => {}
            }
        }
        let bytes: usize = self.waiting.iter().map(|waiting| waiting.body.len()).sum();
        if self.waiting.len() >= WAITING_MAX || bytes + body.len() > WAITING_BYTES_MAX {
            return self.ack(id, Err("the journal cannot be written".to_owned()));
        }
        self.waiting.push_back(WaitingAppend { id, body: body.to_vec() });
    }

    /// Executes the appends that waited for the disk; returns whether none is left.
    pub(super) fn append_waiting(&mut self) -> bool {
        while let Some(WaitingAppend { id, body }) = self.waiting.pop_front() {
            match self.try_append(id, &body) {
                Ok(()) => {}
                Err(AppendFailure::Refused(reason)) => self.ack(id, Err(reason.to_owned())),
                Err(AppendFailure::Disk) => {
                    self.waiting.push_front(WaitingAppend { id, body });
                    return false;
                }
            }
        }
        true
    }

    fn try_append(&mut self, id: u64, body: &[u8]) -> Result<(), AppendFailure> {
        self.check_body(body).map_err(AppendFailure::Refused)?;
        let now = Micros::now();
        self.store.batch.reserve(body.len());
        for line in lines(body) {
            let (kind, payload) = kind_of(line).unwrap_or((Kind::Ctl, line));
            encode(&mut self.store.batch.records, now, kind, payload);
        }
        if !self.store.commit(self.link.as_mut(), Instant::now()) {
            self.store.batch.clear();
            return Err(AppendFailure::Disk);
        }
        if let Work::Running(running) = &mut self.work {
            let inputs = lines(body).filter_map(|line| kind_of(line).filter(|(kind, _)| *kind == Kind::In));
            inputs.for_each(|(_, line)| running.child.stdin.push(line));
            running.child.stdin.write();
        }
        self.ack(id, Ok(()));
        Ok(())
    }

    /// Accepts a body whole or not at all: every line must be a record, and the CLI must accept every input.
    fn check_body(&self, body: &[u8]) -> Result<(), &'static str> {
        let mut input = None;
        for line in lines(body) {
            let (kind, payload) = kind_of(line).ok_or("a line of the body is neither ctl nor in")?;
            if payload.len() > LINE_MAX {
                return Err("a line of the body is too long");
            }
            if kind == Kind::In {
                *input.get_or_insert(0) += payload.len() + 1;
            }
        }
        match (&self.work, input) {
            (_, None) => Ok(()),
            (Work::Running(running), Some(bytes)) if running.child.exit.is_none() => running.child.stdin.accepts(bytes),
            (_, Some(_)) => Err("the CLI is not running"),
        }
    }

    fn run_next(&mut self, body: &[u8]) -> Result<(), String> {
        match self.work {
            Work::Idle if self.store.is_failing() => Err("the journal cannot be written".to_owned()),
            Work::Idle => {
                let argv: Vec<OsString> =
                    body.split(|&byte| byte == 0).map(|arg| OsString::from_vec(arg.to_vec())).collect();
                self.start(&argv)
            }
            Work::Running(_) => Err("a process is running already".to_owned()),
            Work::Leaving { .. } => Err("the shim is about to end".to_owned()),
        }
    }

    fn signal(&mut self, number: i32) -> Result<(), String> {
        let signal = Signal::try_from(number).map_err(|_| format!("unknown signal {number}"))?;
        let group = self.running()?.child.group().ok_or("the CLI is not running")?;
        killpg(Pid::from_raw(group), signal).map_err(|errno| errno.desc().to_owned())
    }

    fn running(&mut self) -> Result<&mut super::running::CliProcess, String> {
        match &mut self.work {
            Work::Running(running) => Ok(running),
            _ => Err("the CLI is not running".to_owned()),
        }
    }

    fn sync(&mut self, id: u64) {
        if self.syncs.len() >= SYNCS_MAX {
            return self.ack(id, Err("too many are waiting for the disk".to_owned()));
        }
        self.syncs.push((id, self.store.end()));
        self.store.sync.request(Instant::now(), self.store.end());
        self.ack_syncs();
    }

    /// Acknowledges the `sync` commands whose records are on the disk.
    pub(super) fn ack_syncs(&mut self) {
        let synced = self.store.sync.synced();
        while let Some(&(id, end)) = self.syncs.first()
            && end <= synced
        {
            self.syncs.remove(0);
            self.ack(id, Ok(()));
        }
        if !self.syncs.is_empty() {
            self.store.sync.request(Instant::now(), self.store.end());
        }
    }
}

/// The lines of an `append`'s body; the last one may lack its newline.
fn lines(body: &[u8]) -> impl Iterator<Item = &[u8]> {
    body.strip_suffix(b"\n").unwrap_or(body).split(|&byte| byte == b'\n').filter(|_| !body.is_empty())
}

fn kind_of(line: &[u8]) -> Option<(Kind, &[u8])> {
    let is = |word: &str, kind| line.strip_prefix(word.as_bytes()).map(|payload| (kind, payload));
    is("ctl ", Kind::Ctl).or_else(|| is("in ", Kind::In))
}
