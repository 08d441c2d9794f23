//! One client of a terminal: its received requests, and the next update for it.
//!
//! A client acknowledges each update that it has drawn, and only then the next one is made, from the present screen. So
//! a client that lags costs only the rows that were sent last.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use alacritty_terminal::term::TermMode;
use data_encoding::BASE64;

use crate::terminal::ansi::Painter;
use crate::terminal::emulator::{Emulator, Shape, Size};
use crate::terminal::message::{CursorPlace, HostReply, HostRequest, Modes, REQUEST_BYTES_MAX, ScreenUpdate};
use crate::terminal::rows::{CellRun, hash};

/// Shortest time between two updates: 30 a second.
const UPDATE_INTERVAL: Duration = Duration::from_millis(33);
/// Maximum number of updates that a client has not acknowledged.
const UNDRAWN_MAX: u32 = 2;
/// Buffer size for requests, in bytes.
const READ_BYTES: usize = 16 * 1024;
/// Maximum number of scrollback lines in one response.
const HISTORY_LINES_MAX: usize = 100;

/// The format in which a client receives the screen.
enum ScreenFormat {
    /// Not announced yet.
    Unknown,
    /// Rows, with the hashes of those that it has.
    Rows(Vec<u64>),
    /// Bytes for a terminal.
    Bytes(Box<Painter>),
}

/// One connection.
pub(super) struct TerminalClient {
    stream: UnixStream,
    requests: Vec<u8>,
    output: Vec<u8>,
    written: usize,
    form: ScreenFormat,
    /// Its own size.
    size: Size,
    /// Updates that may be sent before its next acknowledgement.
    credit: u32,
    /// The generation of the screen that it has.
    seen: Option<u64>,
    sent_at: Option<Instant>,
    gone: bool,
}

impl TerminalClient {
    /// # Errors
    /// Fails when the system refuses.
    pub(super) fn new(stream: UnixStream, size: Size) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream,
            requests: Vec::new(),
            output: Vec::new(),
            written: 0,
            form: ScreenFormat::Unknown,
            size,
            credit: UNDRAWN_MAX,
            seen: None,
            sent_at: None,
            gone: false,
        })
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

    pub(super) const fn is_gone(&self) -> bool {
        self.gone
    }

    /// Returns whether it has the newest screen.
    pub(super) fn has(&self, generation: u64) -> bool {
        self.seen == Some(generation) && self.output.is_empty()
    }

    /// Returns whether output waits for it.
    pub(super) const fn wants_room(&self) -> bool {
        self.written < self.output.len()
    }

    /// Returns whether its requests are read: a client that does not read its responses is not served.
    pub(super) const fn is_served(&self) -> bool {
        !self.wants_room()
    }

    /// Begins to serve it, in this format.
    pub(super) fn begin(&mut self, bytes: bool, size: Size) {
        self.form = if bytes { ScreenFormat::Bytes(Box::new(Painter::new())) } else { ScreenFormat::Rows(Vec::new()) };
        (self.size, self.seen, self.credit) = (size, None, UNDRAWN_MAX);
    }

    /// Stores its own size.
    pub(super) fn resized(&mut self, size: Size) {
        self.size = size;
        self.seen = None;
        if let ScreenFormat::Bytes(painter) = &mut self.form {
            painter.forget();
        }
    }

    /// Stores its acknowledgement of an update.
    pub(super) fn has_drawn(&mut self) {
        self.credit = (self.credit + 1).min(UNDRAWN_MAX);
    }

    /// Reads its requests.
    pub(super) fn read(&mut self) {
        let length = self.requests.len();
        self.requests.resize(length + READ_BYTES, 0);
        let read = self.stream.read(&mut self.requests[length..]);
        self.requests.truncate(length + read.as_ref().copied().unwrap_or(0));
        match read {
            Ok(0) => self.gone = true,
            Ok(_) => {}
            Err(error) => self.gone = !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted),
        }
        if self.requests.len() > REQUEST_BYTES_MAX + READ_BYTES && !self.requests.contains(&b'\n') {
            log::warn!("a client sends a line of more than {REQUEST_BYTES_MAX} bytes: closed");
            self.gone = true;
        }
    }

    /// Returns whether a complete request waits.
    pub(super) fn has_request(&self) -> bool {
        self.requests.contains(&b'\n')
    }

    /// Returns the next request. Malformed lines are skipped.
    pub(super) fn next(&mut self) -> Option<HostRequest> {
        while let Some(end) = memchr::memchr(b'\n', &self.requests) {
            let line: Vec<u8> = self.requests.drain(..=end).collect();
            match serde_json::from_slice(&line) {
                Ok(request) => return Some(request),
                Err(error) => log::debug!("a request cannot be read: {error}"),
            }
        }
        None
    }

    /// Returns the time at which it is due for an update of `generation`; `None` while it can't receive one or needs
    /// none.
    pub(super) fn due(&self, generation: u64, now: Instant) -> Option<Instant> {
        let can = self.credit > 0 && self.output.is_empty() && !matches!(self.form, ScreenFormat::Unknown);
        (can && self.seen != Some(generation)).then(|| self.sent_at.map_or(now, |sent| sent + UPDATE_INTERVAL))
    }

    /// Sends it the present screen.
    pub(super) fn update(&mut self, screen: &Emulator, rows: &[Vec<CellRun>], generation: u64, now: Instant) {
        match &mut self.form {
            ScreenFormat::Unknown => return,
            ScreenFormat::Bytes(painter) => {
                let data = BASE64.encode(painter.paint(screen, rows, self.size).as_bytes());
                self.send(&HostReply::Bytes { data });
            }
            ScreenFormat::Rows(hashes) => {
                hashes.resize(rows.len(), 0);
                let mut lines = Vec::new();
                for ((at, row), had) in rows.iter().enumerate().zip(hashes.iter_mut()) {
                    let hash = hash(row);
                    if std::mem::replace(had, hash) != hash {
                        lines.push((at, row.as_slice()));
                    }
                }
                let title = screen.title();
                let update = shown(screen, &title, lines);
                self.send(&HostReply::Screen(update));
            }
        }
        self.credit -= 1;
        (self.seen, self.sent_at) = (Some(generation), Some(now));
    }

    /// Sends scrollback lines.
    pub(super) fn send_history(&mut self, screen: &Emulator, above: usize, count: usize) {
        let lines = screen.lines_above(above, count.min(HISTORY_LINES_MAX));
        self.send(&HostReply::History { above, lines });
    }

    /// Sends a line.
    pub(super) fn send(&mut self, answer: &HostReply<'_>) {
        match serde_json::to_writer(&mut self.output, answer) {
            Ok(()) => self.output.push(b'\n'),
            Err(error) => {
                log::error!("an answer cannot be written: {error}");
                self.gone = true;
            }
        }
        self.write();
    }

    /// Writes as much as the socket accepts.
    pub(super) fn write(&mut self) {
        while self.written < self.output.len() {
            match self.stream.write(&self.output[self.written..]) {
                Ok(count) => self.written += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => {
                    self.gone = true;
                    break;
                }
            }
        }
        (self.output, self.written) = (Vec::new(), 0);
    }
}

/// Builds an update with these rows.
fn shown<'a>(screen: &Emulator, title: &'a str, lines: Vec<(usize, &'a [CellRun])>) -> ScreenUpdate<'a> {
    let (size, mode, cursor) = (screen.size(), screen.mode(), screen.cursor());
    let shape = match cursor.shape {
        Shape::Block => "block",
        Shape::Bar => "bar",
        Shape::Underline => "underline",
    };
    ScreenUpdate {
        cols: size.cols,
        rows: size.rows,
        cursor: CursorPlace { row: cursor.row, col: cursor.col, visible: cursor.visible, shape },
        title,
        modes: Modes {
            mouse: mode.intersects(TermMode::MOUSE_MODE),
            alternate: mode.contains(TermMode::ALT_SCREEN),
            bracketed_paste: mode.contains(TermMode::BRACKETED_PASTE),
            application_cursor: mode.contains(TermMode::APP_CURSOR),
        },
        history: screen.history(),
        scrolled: screen.scrolled(),
        bells: screen.bells(),
        lines,
    }
}
