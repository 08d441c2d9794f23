//! `acp`: an editor's agent on standard input and output, which is the running server.

mod bridge;

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tungstenite::{Bytes, Error, Message, WebSocket};

use super::args::Args;
use super::http::ApiServer;
use super::workers;
use crate::percent;
use bridge::Bridge;

/// Pause before the first attempt to connect again; each failed attempt doubles it.
const RETRY_MIN: Duration = Duration::from_millis(50);
/// Longest pause before an attempt.
const RETRY_MAX: Duration = Duration::from_secs(2);
/// Buffer size for standard input, in bytes.
const READ_BYTES: usize = 64 * 1024;
/// Longest line of the editor, in bytes.
const LINE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Silence of the server after which it is asked for a sign of life, and then given up.
const SILENCE: Duration = Duration::from_secs(60);

/// A connection to the server.
struct ServerLink {
    socket: WebSocket<TcpStream>,
    heard: Instant,
    /// True if the server was asked for a sign of life.
    is_asked: bool,
    /// True if the socket has not taken all that it was given.
    is_blocked: bool,
}

/// Serves an editor until its input ends. The first connection must succeed.
pub(super) fn serve(server: &ApiServer, args: &Args) -> Result<(), String> {
    let path = address(server, args)?;
    let mut bridge = Bridge::new();
    let mut link = Some(ServerLink::open(server, &path)?);
    bridge.connected();
    let (mut pause, mut retry_at) = (RETRY_MIN, Instant::now());
    let mut input = Vec::new();
    loop {
        let (has_input, _) = wait(link.as_ref(), retry_at).map_err(|error| format!("poll: {error}"))?;
        if has_input && !read_lines(&mut input, &mut bridge)? {
            if let Some(link) = &mut link {
                let _ = link.socket.close(None).and_then(|()| link.socket.flush());
            }
            return Ok(());
        }
        let lost = match &mut link {
            Some(open) => open.exchange(&mut bridge).err(),
            None => None,
        };
        if let Some(why) = lost {
            eprintln!("rs-worker acp: {why}; connecting again");
            link = None;
            bridge.disconnected();
            (pause, retry_at) = (RETRY_MIN, Instant::now());
        }
        print(&bridge.drain_editor())?;
        if link.is_none() && Instant::now() >= retry_at {
            match ServerLink::open(server, &path) {
                Ok(open) => {
                    link = Some(open);
                    bridge.connected();
                }
                Err(error) => {
                    retry_at = Instant::now() + pause;
                    pause = (pause * 2).min(RETRY_MAX);
                    log_once(pause, &error);
                }
            }
        }
        if let Some(open) = &mut link {
            open.send(&bridge.drain_server());
        }
    }
}

/// Reports why the server is still away, when the attempts have become rare.
fn log_once(pause: Duration, error: &str) {
    if pause == RETRY_MAX {
        eprintln!("rs-worker acp: {error}");
    }
}

/// The address of the server's side, with what the sessions are bound to.
fn address(server: &ApiServer, args: &Args) -> Result<String, String> {
    let mut query = Vec::new();
    if let Some(worker) = &args.worker {
        let path = workers::path(server, worker)?;
        query.push(format!("worker={}", path.rsplit('/').next().unwrap_or_default()));
    }
    if let Some(cli) = &args.cli {
        query.push(format!("cli={}", percent::encode(cli)));
    }
    if let Some(project) = &args.project {
        let path = std::path::absolute(project).map_err(|error| format!("{project}: {error}"))?;
        let path = path.to_str().ok_or_else(|| format!("the path {} is not valid UTF-8", path.display()))?;
        query.push(format!("project={}", percent::encode(path)));
    }
    Ok(format!("/acp?{}", query.join("&")))
}

impl ServerLink {
    fn open(server: &ApiServer, path: &str) -> Result<Self, String> {
        let socket = server.socket(path)?.into_inner();
        socket.get_ref().set_nonblocking(true).map_err(|error| error.to_string())?;
        Ok(Self { socket, heard: Instant::now(), is_asked: false, is_blocked: false })
    }

    /// Hands over what the server has sent.
    fn exchange(&mut self, bridge: &mut Bridge) -> Result<(), String> {
        loop {
            match self.socket.read() {
                Ok(Message::Text(text)) => bridge.take_message(text.as_str()),
                Ok(Message::Close(_)) => return Err("the server has closed the connection".to_owned()),
                Ok(_) => {}
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(format!("the connection was lost: {error}")),
            }
            (self.heard, self.is_asked) = (Instant::now(), false);
        }
        if self.heard.elapsed() > SILENCE {
            if self.is_asked {
                return Err("the server gives no sign of life".to_owned());
            }
            (self.heard, self.is_asked) = (Instant::now(), true);
            // A failure shows at the next read.
            let _ = self.socket.send(Message::Ping(Bytes::new()));
        }
        self.flush();
        Ok(())
    }

    /// Sends messages, now or when the socket accepts them. A failure shows at the next read.
    fn send(&mut self, messages: &[String]) {
        for message in messages {
            let _ = self.socket.write(Message::text(message.as_str()));
        }
        self.flush();
    }

    fn flush(&mut self) {
        let flushed = self.socket.flush();
        self.is_blocked = matches!(flushed, Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock);
    }
}

/// Waits for the editor, the server, or the time of the next attempt; returns who has something.
fn wait(link: Option<&ServerLink>, retry_at: Instant) -> io::Result<(bool, bool)> {
    let stdin = io::stdin();
    let mut fds = vec![PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
    if let Some(link) = link {
        let mut wanted = PollFlags::POLLIN;
        wanted.set(PollFlags::POLLOUT, link.is_blocked);
        fds.push(PollFd::new(link.socket.get_ref().as_fd(), wanted));
    }
    let time = match link {
        Some(_) => SILENCE,
        None => retry_at.saturating_duration_since(Instant::now()),
    };
    let time = PollTimeout::try_from(time).unwrap_or(PollTimeout::MAX);
    match poll(&mut fds, time) {
        Ok(_) | Err(Errno::EINTR) => {}
        Err(error) => return Err(error.into()),
    }
    let is_ready = |fd: Option<&PollFd<'_>>| fd.and_then(PollFd::any).unwrap_or(false);
    Ok((is_ready(fds.first()), is_ready(fds.get(1))))
}

/// Reads what the editor has written, and hands over its whole lines. Returns false at the end.
fn read_lines(input: &mut Vec<u8>, bridge: &mut Bridge) -> Result<bool, String> {
    let mut piece = vec![0; READ_BYTES];
    // Not through the buffer of `Stdin`, from which poll knows nothing.
    let stdin = io::stdin().as_fd().try_clone_to_owned().map_err(|error| format!("standard input: {error}"))?;
    let count = match std::fs::File::from(stdin).read(&mut piece) {
        Ok(count) => count,
        Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(true),
        Err(error) => return Err(format!("standard input: {error}")),
    };
    let begin = input.len();
    input.extend_from_slice(&piece[..count]);
    let Some(end) = memchr::memrchr(b'\n', &input[begin..]).map(|at| begin + at) else {
        if input.len() > LINE_BYTES_MAX {
            return Err(format!("standard input: a line is longer than {LINE_BYTES_MAX} bytes"));
        }
        return Ok(count > 0);
    };
    for line in input[..end].split(|&byte| byte == b'\n') {
        bridge.take_line(&String::from_utf8_lossy(line));
    }
    input.drain(..=end);
    Ok(count > 0)
}

fn print(messages: &[String]) -> Result<(), String> {
    let mut out = io::stdout().lock();
    let written = messages.iter().try_for_each(|message| writeln!(out, "{message}")).and_then(|()| out.flush());
    written.map_err(|error| format!("standard output: {error}"))
}
