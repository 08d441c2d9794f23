//! The accept loop, and the server's stop. The loop runs on a thread of its own and never blocks on a client; nothing
//! but a stop ends it.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, PipeReader, PipeWriter, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::limits::Limits;
use super::response::{Length, Persistence, Response};
use super::serve::serve;
use super::table::{ConnectionTable, Full};
use super::{ServedResponse, Service};
use crate::thread::Thread;

/// Wait after the first error of `accept` (no more file descriptors, mostly); it doubles with each further one.
const BACK_OFF_FIRST: Duration = Duration::from_millis(10);
/// Longest wait after an error of `accept`.
const BACK_OFF_MAX: Duration = Duration::from_secs(1);
/// Refused connections that are kept for the linger time, so that their peers can read why.
const REFUSED_MAX: usize = 64;
/// Wait for the threads of connections that were broken at the end of a stop.
const ABORT_TIME: Duration = Duration::from_secs(1);

/// A running HTTP server. Dropping it breaks all connections; [`Server::shutdown`] is the polite way.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    table: Arc<ConnectionTable>,
    /// Closing it wakes and ends the accept loop. Declared before the thread, which is joined when it is dropped.
    wake: Option<PipeWriter>,
    accepting: Option<Thread>,
}

impl Server {
    /// Starts to accept connections of `listener`.
    ///
    /// # Errors
    /// Fails when the listener cannot be set up, or its thread cannot be started.
    pub fn start(listener: TcpListener, service: Arc<dyn Service>, limits: Limits) -> io::Result<Self> {
        Self::start_with(listener, service, limits, TcpListener::accept)
    }

    /// Works like [`Self::start`], with an `accept` that a test can let fail.
    pub(super) fn start_with(
        listener: TcpListener,
        service: Arc<dyn Service>,
        limits: Limits,
        accept: impl FnMut(&TcpListener) -> io::Result<(TcpStream, SocketAddr)> + Send + 'static,
    ) -> io::Result<Self> {
        let address = listener.local_addr()?;
        listener.set_nonblocking(true)?;
        let (woken, wake) = io::pipe()?;
        let table = Arc::new(ConnectionTable::default());
        let door = Door { table: Arc::clone(&table), service, limits: Arc::new(limits), refused: VecDeque::new() };
        let accepting = Thread::spawn("http accept", move || door.run(&listener, &woken, accept))?;
        Ok(Self { address, table, wake: Some(wake), accepting: Some(accepting) })
    }

    /// The address that it listens on.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the number of open connections, upgraded ones included.
    #[cfg(test)]
    pub fn connections(&self) -> usize {
        self.table.len()
    }

    /// Stops accepting, closes the port, and ends the connections that wait for a request. Requests in progress continue;
    /// their connections end after the answer. Returns at once.
    pub fn stop(&mut self) {
        drop(self.wake.take());
        drop(self.accepting.take());
        self.table.stop();
    }

    /// Stops, waits up to `grace` for requests in progress, streams and upgraded connections to end, and breaks what is
    /// left. Returns how many connections still have a thread then: those whose service is stuck.
    pub fn shutdown(mut self, grace: Duration) -> usize {
        self.stop();
        let left = self.table.wait_empty(Instant::now() + grace);
        if left == 0 {
            return 0;
        }
        log::info!("closing {left} connections whose requests did not end in time");
        self.table.abort();
        self.table.wait_empty(Instant::now() + ABORT_TIME)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
        self.table.abort();
    }
}

/// The accept loop's state.
struct Door {
    table: Arc<ConnectionTable>,
    service: Arc<dyn Service>,
    limits: Arc<Limits>,
    /// Connections that were answered 503, oldest first, and when they are closed.
    refused: VecDeque<(Instant, Arc<TcpStream>)>,
}

impl Door {
    fn run(
        mut self,
        listener: &TcpListener,
        woken: &PipeReader,
        mut accept: impl FnMut(&TcpListener) -> io::Result<(TcpStream, SocketAddr)>,
    ) {
        let mut back_off = Duration::ZERO;
        loop {
            let stop = if back_off.is_zero() {
                wait(Some(listener), woken, self.refused.front().map(|(close_at, _)| *close_at))
            } else {
                wait(None, woken, Some(Instant::now() + back_off))
            };
            if stop {
                break;
            }
            self.close_refused(Instant::now());
            back_off = match self.accept_all(listener, &mut accept) {
                Ok(()) => Duration::ZERO,
                Err(error) => {
                    let wait = (back_off * 2).clamp(BACK_OFF_FIRST, BACK_OFF_MAX);
                    log::warn!("cannot accept connections: {error}; trying again in {} ms", wait.as_millis());
                    wait
                }
            };
        }
        self.refused.iter().for_each(|(_, stream)| drain(stream));
    }

    fn accept_all(
        &mut self,
        listener: &TcpListener,
        accept: &mut impl FnMut(&TcpListener) -> io::Result<(TcpStream, SocketAddr)>,
    ) -> io::Result<()> {
        loop {
            match accept(listener) {
                Ok((stream, peer)) => self.admit(stream, peer),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                // The peer has gone again, or a signal came: neither says anything about the next one.
                Err(error) if matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::Interrupted) => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn admit(&mut self, stream: TcpStream, peer: SocketAddr) {
        let admission = match self.table.admit(stream, peer, &self.limits) {
            Ok(admission) => admission,
            Err((Full::Server, stream)) => return self.refuse(stream.into(), "too many open connections"),
            Err((Full::Address, stream)) => {
                return self.refuse(stream.into(), "too many open connections from this address");
            }
        };
        let stream = Arc::clone(&admission.entry().stream);
        let (service, limits) = (Arc::clone(&self.service), Arc::clone(&self.limits));
        let body = move || serve(&admission, &*service, &limits);
        match Thread::spawn(format!("http {}", peer.port()), body) {
            // The table knows of it and a stop waits for it there, with a bound that joining would not have: its
            // service may be stuck.
            Ok(thread) => thread.detach(),
            Err(error) => {
                log::warn!("no thread for a connection from {peer}: {error}");
                self.refuse(stream, "no thread for one more connection");
            }
        }
    }

    /// Answers 503 without waiting for anything.
    fn refuse(&mut self, stream: Arc<TcpStream>, detail: &str) {
        let mut answer = Vec::new();
        let response = Response::error(503, detail).with_header("Retry-After", "1");
        let content = response.print_head(Length::Content, Persistence::Close, &mut answer);
        answer.extend_from_slice(content.bytes());
        // A new socket's send buffer has room for it; a peer that is gone needs no answer.
        let _ = stream.set_nonblocking(true).and_then(|()| (&*stream).write_all(&answer));
        let _ = stream.shutdown(Shutdown::Write);
        self.service.answered(ServedResponse { tag: None, status: 503, time: Duration::ZERO });
        if self.refused.len() >= REFUSED_MAX
            && let Some((_, oldest)) = self.refused.pop_front()
        {
            drain(&oldest);
        }
        self.refused.push_back((Instant::now() + self.limits.linger_time, stream));
    }

    fn close_refused(&mut self, now: Instant) {
        while self.refused.front().is_some_and(|(close_at, _)| *close_at <= now)
            && let Some((_, stream)) = self.refused.pop_front()
        {
            drain(&stream);
        }
    }
}

/// Throws away what a refused peer has sent: closing with unread input would reset the connection, and the peer might
/// never read its 503.
fn drain(mut stream: &TcpStream) {
    const READS_MAX: usize = 4;
    let mut sink = [0; 16 * 1024];
    for _ in 0..READS_MAX {
        if !matches!(stream.read(&mut sink), Ok(1..)) {
            break;
        }
    }
}

/// Waits for a connection, the deadline or the stop; true for the stop.
fn wait(listener: Option<&TcpListener>, woken: &PipeReader, deadline: Option<Instant>) -> bool {
    let timeout = match deadline {
        // Rounded up, so that the deadline has passed when the wait ends.
        Some(deadline) => {
            let left = deadline.saturating_duration_since(Instant::now()) + Duration::from_millis(1);
            PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
        }
        None => PollTimeout::NONE,
    };
    let mut fds = vec![PollFd::new(woken.as_fd(), PollFlags::POLLIN)];
    fds.extend(listener.map(|listener| PollFd::new(listener.as_fd(), PollFlags::POLLIN)));
    match poll(&mut fds, timeout) {
        Ok(_) => fds.first().and_then(PollFd::any).unwrap_or(false),
        Err(Errno::EINTR) => false,
        Err(error) => {
            // Only a lack of kernel memory comes here, and nothing that could wake us is left to wait on.
            log::warn!("cannot wait for connections: {error}");
            std::thread::sleep(BACK_OFF_FIRST);
            false
        }
    }
}
