//! The event loop of a terminal's process.

use std::io::{self, ErrorKind};
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

use data_encoding::BASE64;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};

use super::client::TerminalClient;
use super::pty::Pty;
use crate::shim::{Signals, end_tree_below};
use crate::terminal::emulator::{Emulator, Size};
use crate::terminal::keys;
use crate::terminal::message::{HostReply, HostRequest};
use crate::terminal::spec::HostSpec;

/// Maximum number of clients; further ones wait in the backlog.
const CLIENTS_MAX: usize = 8;
/// Buffer size for the program's output, in bytes.
const READ_BYTES: usize = 64 * 1024;
/// Time for which the process of an ended program waits for a client to receive its last screen.
const LAST_SCREEN: Duration = Duration::from_secs(10);
/// Time limit for reading the remaining output of an ended program.
const LAST_OUTPUT: Duration = Duration::from_millis(500);

/// The end of the program.
#[derive(Clone, Debug, Default)]
struct ProgramEnd {
    code: Option<i32>,
    signal: Option<String>,
}

/// A terminal.
pub(super) struct Host {
    spec: HostSpec,
    signals: Signals,
    listener: UnixListener,
    pty: Pty,
    program: i32,
    screen: Emulator,
    /// Grows with every change of the screen.
    generation: u64,
    clients: Vec<TerminalClient>,
    /// True if a client has received the screen.
    was_seen: bool,
    ended: Option<ProgramEnd>,
    stops: bool,
    buffer: Vec<u8>,
}

/// The descriptors that are ready.
#[derive(Default)]
struct ReadyDescriptors {
    signals: bool,
    listener: bool,
    pty_in: bool,
    pty_out: bool,
    clients: Vec<(bool, bool)>,
}

impl Host {
    pub(super) fn new(
        spec: HostSpec,
        signals: Signals,
        listener: UnixListener,
        pty: Pty,
        program: i32,
        screen: Emulator,
    ) -> Self {
        Self {
            spec,
            signals,
            listener,
            pty,
            program,
            screen,
            generation: 0,
            clients: Vec::new(),
            was_seen: false,
            ended: None,
            stops: false,
            buffer: vec![0; READ_BYTES],
        }
    }

    /// Serves until the program has ended, and then ends its remaining processes.
    ///
    /// # Errors
    /// Fails when the system fails to wait.
    pub(super) fn run(mut self) -> io::Result<()> {
        self.reap();
        while self.ended.is_none() && !self.stops {
            let ready = self.wait(None)?;
            self.turn(&ready);
        }
        self.read_rest();
        // Shells exit on SIGHUP and ignore SIGTERM.
        hang_up(self.program, self.ended.is_some());
        end_tree_below(Some(std::process::id().cast_signed()), &self.spec.tag, self.spec.grace);
        self.reap();
        self.send_end()
    }

    fn wait(&self, deadline: Option<Instant>) -> io::Result<ReadyDescriptors> {
        let now = Instant::now();
        let served = |client: &TerminalClient| client.is_served() && !self.is_choked();
        let mut fds = vec![
            PollFd::new(self.signals.fd(), PollFlags::POLLIN),
            PollFd::new(
                std::os::fd::AsFd::as_fd(&self.listener),
                if self.clients.len() < CLIENTS_MAX { PollFlags::POLLIN } else { PollFlags::empty() },
            ),
        ];
        let has_pty = !self.pty.is_closed();
        if has_pty {
            let mut wanted = PollFlags::POLLIN;
            wanted.set(PollFlags::POLLOUT, self.pty.wants_room());
            fds.push(PollFd::new(self.pty.fd(), wanted));
        }
        for client in &self.clients {
            let mut wanted = PollFlags::empty();
            wanted.set(PollFlags::POLLIN, served(client));
            wanted.set(PollFlags::POLLOUT, client.wants_room());
            fds.push(PollFd::new(client.fd(), wanted));
        }
        let due = self.clients.iter().filter_map(|client| client.due(self.generation, now));
        let until = due.chain(self.screen.shown_by()).chain(deadline).min();
        let waits = self.clients.iter().any(|client| served(client) && client.has_request());
        let timeout = match until {
            _ if waits => PollTimeout::ZERO,
            None => PollTimeout::NONE,
            Some(until) => {
                let left = until.saturating_duration_since(now).as_micros().div_ceil(1000);
                PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
            }
        };
        match poll(&mut fds, timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        let any = |fd: &PollFd<'_>, what: PollFlags| fd.revents().is_some_and(|flags| flags.intersects(what));
        let (bad, readable) = (PollFlags::POLLHUP | PollFlags::POLLERR, PollFlags::POLLIN);
        let mut ready = ReadyDescriptors {
            signals: any(&fds[0], readable),
            listener: any(&fds[1], readable),
            ..ReadyDescriptors::default()
        };
        if has_pty {
            ready.pty_in = any(&fds[2], readable | bad);
            ready.pty_out = any(&fds[2], PollFlags::POLLOUT);
        }
        let clients = &fds[2 + usize::from(has_pty)..];
        ready.clients = clients.iter().map(|fd| (any(fd, readable | bad), any(fd, PollFlags::POLLOUT))).collect();
        Ok(ready)
    }

    /// Returns whether too much input waits for the program to accept more from clients.
    fn is_choked(&self) -> bool {
        self.pty.room() == 0
    }

    fn turn(&mut self, ready: &ReadyDescriptors) {
        if ready.signals {
            let wakeup = self.signals.read();
            self.stops |= wakeup.stop;
            if wakeup.child {
                self.reap();
            }
        }
        if ready.pty_out {
            self.pty.write();
        }
        if ready.pty_in {
            self.read_output();
        }
        if self.screen.shown_by().is_some_and(|by| by <= Instant::now()) {
            self.screen.show();
            self.generation += 1;
        }
        for (at, &(input, output)) in ready.clients.iter().enumerate() {
            if output {
                self.clients[at].write();
            }
            if input {
                self.clients[at].read();
            }
        }
        for at in 0..self.clients.len() {
            while self.clients[at].is_served() && !self.is_choked() {
                let Some(request) = self.clients[at].next() else { break };
                self.take(at, request);
            }
        }
        if ready.listener {
            self.accept();
        }
        self.update();
        self.clients.retain(|client| !client.is_gone());
    }

    fn accept(&mut self) {
        match self.listener.accept().and_then(|(stream, _)| TerminalClient::new(stream, self.screen.size())) {
            Ok(client) => self.clients.push(client),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => log::warn!("a client cannot be let in: {error}"),
        }
    }

    /// Reads output once.
    fn read_output(&mut self) -> bool {
        let Ok(count @ 1..) = self.pty.read(&mut self.buffer) else { return false };
        self.screen.feed(&self.buffer[..count]);
        self.generation += 1;
        let answers = self.screen.take_answers();
        if answers.len() <= self.pty.room() {
            self.pty.push(&answers);
        }
        true
    }

    /// Sends the screen to the clients that can receive it.
    fn update(&mut self) {
        let now = Instant::now();
        let generation = self.generation;
        let is_due = |client: &TerminalClient| client.due(generation, now).is_some_and(|due| due <= now);
        if !self.clients.iter().any(is_due) {
            return;
        }
        let rows = self.screen.rows();
        for client in self.clients.iter_mut().filter(|client| is_due(client)) {
            client.update(&self.screen, &rows, generation, now);
            self.was_seen = true;
        }
    }

    fn take(&mut self, at: usize, request: HostRequest) {
        let mode = self.screen.mode();
        let place = |row: u16, col: u16| (usize::from(row), usize::from(col));
        match request {
            HostRequest::Hello { bytes, cols, rows, dark } => {
                let size = Size::new(cols, rows);
                self.screen.set_dark(dark);
                self.clients[at].begin(bytes, size);
                self.resize(size);
            }
            HostRequest::Ready => self.clients[at].has_drawn(),
            HostRequest::Key { key, held } => self.pty.push(&keys::key(&key, held, mode)),
            HostRequest::Text { text } => self.pty.push(text.as_bytes()),
            HostRequest::Input { data } => match BASE64.decode(data.as_bytes()) {
                Ok(bytes) => self.pty.push(&bytes),
                Err(error) => log::debug!("input is not in Base64: {error}"),
            },
            HostRequest::Paste { text } => self.pty.push(&keys::pasted(&text, mode)),
            HostRequest::Wheel { lines, row, col, held } => {
                if let Some(bytes) = keys::wheel(lines, place(row, col), held, mode) {
                    self.pty.push(&bytes);
                }
            }
            HostRequest::Mouse { action, button, row, col, held } => {
                self.pty.push(&keys::mouse(action, button, place(row, col), held, mode));
            }
            HostRequest::Resize { cols, rows } => {
                let size = Size::new(cols, rows);
                self.clients[at].resized(size);
                self.resize(size);
            }
            HostRequest::History { above, count } => self.clients[at].send_history(&self.screen, above, count),
            HostRequest::End => self.stops = true,
        }
    }

    /// Sets the size that a client requested last.
    fn resize(&mut self, size: Size) {
        if size != self.screen.size() {
            self.screen.resize(size);
            self.pty.resize(size);
        }
        self.generation += 1;
    }

    /// Reaps every child that has ended: the program, and orphans that were reparented to this process.
    fn reap(&mut self) {
        loop {
            let (pid, ended) = match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, code)) => (pid, ProgramEnd { code: Some(code), signal: None }),
                Ok(WaitStatus::Signaled(pid, signal, _)) => {
                    (pid, ProgramEnd { code: None, signal: Some(signal.to_string()) })
                }
                Err(Errno::EINTR | Errno::EINVAL) => continue,
                _ => return,
            };
            if pid.as_raw() == self.program {
                self.ended = Some(ended);
            }
        }
    }

    /// Reads the remaining output of the program.
    fn read_rest(&mut self) {
        let deadline = Instant::now() + LAST_OUTPUT;
        while Instant::now() < deadline && self.read_output() {}
        if self.screen.shown_by().is_some() {
            self.screen.show();
        }
        self.generation += 1;
    }

    /// Sends the last screen and the end to all clients. If no client has received the screen yet, waits for one.
    fn send_end(mut self) -> io::Result<()> {
        let deadline = Instant::now() + LAST_SCREEN;
        let ended = self.ended.clone().unwrap_or_default();
        loop {
            let waits = self.clients.iter().any(|client| !client.has(self.generation));
            if (self.was_seen && !waits) || self.stops || Instant::now() >= deadline {
                break;
            }
            let ready = self.wait(Some(deadline))?;
            self.turn(&ready);
        }
        for client in &mut self.clients {
            client.send(&HostReply::Ended { code: ended.code, signal: ended.signal.clone() });
        }
        while self.clients.iter().any(|client| client.wants_room() && !client.is_gone()) && Instant::now() < deadline {
            let ready = self.wait(Some(deadline))?;
            self.turn(&ready);
        }
        Ok(())
    }
}

/// Sends SIGHUP to the program's session leader, unless it has ended.
fn hang_up(program: i32, has_ended: bool) {
    if !has_ended && let Some(process) = crate::shim::tree::Process::read(program) {
        process.signal(Signal::SIGHUP);
        process.signal(Signal::SIGCONT);
    }
}
