//! The frames that wait to be written to one connection, and the thread that writes them.

use std::cell::OnceCell;
use std::collections::VecDeque;
use std::io;
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use nix::sys::socket::{MsgFlags, send};

use crate::metrics;

/// Most bytes of replies and control frames that wait for a client. One that asks and never reads is closed.
const REPLIES_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Whole frames that are offered to many. Most clients take them at once; they are copied, once for all others, when one
/// has to wait.
#[derive(Debug)]
pub struct Frames<'f> {
    bytes: &'f [u8],
    shared: OnceCell<Arc<[u8]>>,
}

impl<'f> Frames<'f> {
    /// Frames in the memory of their maker.
    pub const fn new(bytes: &'f [u8]) -> Self {
        Self { bytes, shared: OnceCell::new() }
    }

    /// Returns whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    fn share(&self) -> Arc<[u8]> {
        Arc::clone(self.shared.get_or_init(|| Arc::from(self.bytes)))
    }
}

/// The fate of an offered batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// Written, or waits in the queue.
    Taken,
    /// The queue is full: the batch was not taken.
    Full,
    /// The connection has ended.
    Closed,
}

/// The result of a step of catching up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CatchUpStep {
    /// More follows.
    More,
    /// Caught up.
    Done,
    /// Can't continue: the connection is to be closed.
    Failed,
}

/// Something that a connection has fallen behind with.
pub trait CatchUp: Send + Sync {
    /// Appends the next frames. They are written before anything that is offered from now on.
    fn step(&self, frames: &mut Vec<u8>) -> CatchUpStep;
}

/// Turns the frames of a connection into those of another protocol. It is called on the connection's writer thread, in
/// the order in which the frames are written.
pub(crate) trait Translate: Send {
    /// Appends what becomes of whole frames.
    fn translate(&mut self, frames: &[u8], out: &mut Vec<u8>);
}

/// The outgoing side of one connection.
pub struct Outbox {
    socket: Arc<TcpStream>,
    /// For a connection of another protocol: then its writer thread alone writes.
    translator: Option<Mutex<Box<dyn Translate>>>,
    queue_bytes_max: usize,
    inner: Mutex<OutboxInner>,
    wake: Condvar,
}

#[derive(Default)]
struct OutboxInner {
    queue: VecDeque<Chunk>,
    queued_bytes: usize,
    reply_bytes: usize,
    behind: VecDeque<Arc<dyn CatchUp>>,
    /// The writer thread is in a write: nobody else may write now.
    writing: bool,
    /// No more is taken; what is queued is still written.
    ending: bool,
    /// The socket is of no use any more.
    closed: bool,
}

struct Chunk {
    bytes: Arc<[u8]>,
    written: usize,
    is_reply: bool,
}

impl Outbox {
    /// The outbox of `socket`, which holds at most about `queue_bytes_max` bytes of batches.
    pub fn new(socket: Arc<TcpStream>, queue_bytes_max: usize) -> Self {
        Self { socket, translator: None, queue_bytes_max, inner: Mutex::default(), wake: Condvar::new() }
    }

    /// As [`Outbox::new`], for a connection whose frames are translated before they are written.
    pub(crate) fn translated(socket: Arc<TcpStream>, queue_bytes_max: usize, translator: Box<dyn Translate>) -> Self {
        Self { translator: Some(Mutex::new(translator)), ..Self::new(socket, queue_bytes_max) }
    }

    fn lock(&self) -> MutexGuard<'_, OutboxInner> {
        // No code of ours panics while it holds this lock in a way that leaves it inconsistent.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a batch of whole frames: writes it at once where that does not block, else queues it within the bound. A
    /// batch is taken whole or not at all; one that is larger than the bound is taken when nothing else waits.
    pub fn offer(&self, frames: &Frames<'_>) -> Offer {
        let mut inner = self.lock();
        if inner.closed || inner.ending {
            return Offer::Closed;
        }
        if !inner.queue.is_empty() || inner.writing {
            if inner.queued_bytes + frames.bytes.len() > self.queue_bytes_max {
                return Offer::Full;
            }
            self.enqueue(&mut inner, frames.share(), 0, false);
            return Offer::Taken;
        }
        match self.send_now(frames.bytes) {
            Ok(written) if written == frames.bytes.len() => Offer::Taken,
            Ok(written) => {
                self.enqueue(&mut inner, frames.share(), written, false);
                Offer::Taken
            }
            Err(_) => {
                self.close(&mut inner);
                Offer::Closed
            }
        }
    }

    /// Takes a reply or a control frame: it is queued behind what waits already, and closes the connection when the
    /// client leaves too many of them unread.
    pub fn reply(&self, frame: &[u8]) {
        self.take_reply(&mut self.lock(), frame);
    }

    /// Takes the last frame of the connection, a close: what is queued already is written before it, and nothing after
    /// it, as the protocol wants. What the client has fallen behind with is left to its next connection.
    pub fn finish_with(&self, frame: &[u8]) {
        let mut inner = self.lock();
        // Before the frame, which may be written at once: whoever is served in between would write after it.
        inner.behind.clear();
        self.take_reply(&mut inner, frame);
        inner.ending = true;
        self.wake.notify_one();
    }

    fn take_reply(&self, inner: &mut OutboxInner, frame: &[u8]) {
        if inner.closed || inner.ending {
            return;
        }
        let mut written = 0;
        if inner.queue.is_empty() && !inner.writing {
            match self.send_now(frame) {
                Ok(count) if count == frame.len() => return,
                Ok(count) => written = count,
                Err(_) => return self.close(inner),
            }
        }
        if inner.reply_bytes + frame.len() > REPLIES_BYTES_MAX {
            log::info!("a client leaves its replies unread: closed");
            return self.close(inner);
        }
        self.enqueue(inner, Arc::from(frame), written, true);
    }

    /// Has the writer thread serve `what` until it has caught up.
    pub fn fall_behind(&self, what: Arc<dyn CatchUp>) {
        let mut inner = self.lock();
        if !inner.closed && !inner.ending {
            inner.behind.push_back(what);
            self.wake.notify_one();
        }
    }

    /// Returns whether nothing waits to be written: the client reads as fast as frames come.
    #[cfg(test)]
    pub fn is_drained(&self) -> bool {
        let inner = self.lock();
        inner.queue.is_empty() && inner.behind.is_empty() && !inner.writing
    }

    /// Bytes that wait for the client in memory.
    pub fn queued_bytes(&self) -> usize {
        self.lock().queued_bytes
    }

    /// Writes what is queued, and then ends.
    pub fn finish(&self) {
        let mut inner = self.lock();
        inner.ending = true;
        inner.behind.clear();
        self.wake.notify_one();
    }

    /// Ends at once; the socket is shut down, so its reader ends too.
    pub fn abort(&self) {
        self.close(&mut self.lock());
    }

    fn close(&self, inner: &mut OutboxInner) {
        inner.closed = true;
        inner.queue.clear();
        inner.behind.clear();
        // It may be gone already, which is as good.
        let _ = self.socket.shutdown(Shutdown::Both);
        self.wake.notify_one();
    }

    fn enqueue(&self, inner: &mut OutboxInner, bytes: Arc<[u8]>, written: usize, is_reply: bool) {
        let waiting = bytes.len() - written;
        inner.queued_bytes += waiting;
        if is_reply {
            inner.reply_bytes += waiting;
        }
        inner.queue.push_back(Chunk { bytes, written, is_reply });
        self.wake.notify_one();
    }

    /// Writes what the socket takes without blocking: 0 when it takes nothing.
    fn send_now(&self, bytes: &[u8]) -> io::Result<usize> {
        if self.translator.is_some() {
            return Ok(0);
        }
        match send(self.socket.as_raw_fd(), bytes, MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL) {
            Ok(count) => {
                metrics::WEBSOCKET_SENT.add(count as u64);
                Ok(count)
            }
            Err(nix::errno::Errno::EAGAIN | nix::errno::Errno::EINTR) => Ok(0),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes all of it, blocking; the socket's own write time-out bounds how long it may take nothing at all.
    fn send_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match send(self.socket.as_raw_fd(), bytes, MsgFlags::MSG_NOSIGNAL) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    metrics::WEBSOCKET_SENT.add(count as u64);
                    bytes = &bytes[count..];
                }
                Err(nix::errno::Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Writes whole frames, translated where the connection has another protocol.
    fn write_frames(&self, frames: &[u8]) -> io::Result<()> {
        let Some(translator) = &self.translator else { return self.send_all(frames) };
        let mut translated = Vec::new();
        translator.lock().unwrap_or_else(PoisonError::into_inner).translate(frames, &mut translated);
        self.send_all(&translated)
    }

    /// The body of the connection's writer thread: returns when the connection has ended.
    pub fn run_writer(&self) {
        let mut frames = Vec::new();
        let mut inner = self.lock();
        loop {
            if inner.closed {
                return;
            }
            if let Some(chunk) = inner.queue.pop_front() {
                let waiting = chunk.bytes.len() - chunk.written;
                inner.queued_bytes -= waiting;
                if chunk.is_reply {
                    inner.reply_bytes -= waiting;
                }
                inner = self.write_unlocked(inner, |outbox| outbox.write_frames(&chunk.bytes[chunk.written..]));
            } else if inner.ending {
                return self.close(&mut inner);
            } else if let Some(what) = inner.behind.pop_front() {
                let mut step = CatchUpStep::Done;
                inner = self.write_unlocked(inner, |outbox| {
                    frames.clear();
                    step = what.step(&mut frames);
                    outbox.write_frames(&frames)
                });
                match step {
                    CatchUpStep::More if !inner.closed && !inner.ending => inner.behind.push_back(what),
                    CatchUpStep::Failed => return self.close(&mut inner),
                    CatchUpStep::More | CatchUpStep::Done => {}
                }
                if inner.behind.is_empty() {
                    frames = Vec::new();
                }
            } else {
                inner = self.wake.wait(inner).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    /// Runs a blocking write without the lock, while `writing` keeps everybody else off the socket.
    fn write_unlocked<'a>(
        &'a self,
        mut inner: MutexGuard<'a, OutboxInner>,
        write: impl FnOnce(&Self) -> io::Result<()>,
    ) -> MutexGuard<'a, OutboxInner> {
        inner.writing = true;
        drop(inner);
        let result = write(self);
        let mut inner = self.lock();
        inner.writing = false;
        if result.is_err() {
            self.close(&mut inner);
        }
        inner
    }
}

#[cfg(test)]
mod tests;
