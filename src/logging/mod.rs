//! The log: one line per event, to stderr and to a file that is rotated when it is full.
//!
//! Threads that log never wait for a terminal or a disk: simplelog formats the line, and a bounded queue takes it to
//! the thread `log`, the only one that writes. When the queue is full, the line is dropped and counted, and a later
//! line reports the count; a full disk costs only lines of the log. Control characters in a message are escaped, so
//! that input of a peer or a CLI can neither forge a line nor move a terminal's cursor.

mod rotating;

use std::fmt::{self, Write as _};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use log::{LevelFilter, Log, Metadata, Record};
use simplelog::{ConfigBuilder, LevelPadding, ThreadLogMode, WriteLogger};

use crate::clock::Micros;
use crate::config::Config;
use crate::thread::Thread;
pub(crate) use rotating::{RotatingFile, numbered};

/// Lines that wait for the log thread.
const QUEUE_LINES: usize = 1024;
/// Bytes of a message; the rest of a longer one is cut off. With [`QUEUE_LINES`] this bounds the queue's memory.
const MESSAGE_MAX: usize = 16 * 1024;
/// Longest wait of a flush, or of the end of the program, for the log thread, which a terminal may be holding up.
const FLUSH_WAIT: Duration = Duration::from_secs(2);
/// The target under which this crate logs. Other crates' lines are only taken from `warn` up: what they say below it
/// is about their insides, and tungstenite's trace would hold what people write.
const OWN_TARGET: &str = "rs_worker";

/// An error that prevents the log.
#[derive(Debug)]
pub(crate) enum LogError {
    /// The file cannot be opened.
    Open {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// The log thread cannot be started.
    Thread(io::Error),
    /// The process has a logger already.
    Twice,
}

impl fmt::Display for LogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open { path, source } => {
                write!(
                    f,
                    "cannot open the log file {}: {source}; set LOG_FILE to a path that can be written",
                    path.display()
                )
            }
            Self::Thread(source) => write!(f, "cannot start the log thread: {source}"),
            Self::Twice => f.write_str("the log was set up twice"),
        }
    }
}

impl std::error::Error for LogError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Open { source, .. } | Self::Thread(source) => Some(source),
            Self::Twice => None,
        }
    }
}

/// The running log. Dropping it writes what waits and ends the thread; lines after that go to stderr alone.
#[derive(Debug)]
#[must_use = "the log ends when this is dropped"]
pub(crate) struct Logging {
    queue: Sender<LogJob>,
    thread: Option<Thread>,
}

/// Sets up the log for the whole process, panics included. Call it once, and keep what it returns.
///
/// # Errors
/// See [`LogError`]. A full disk is not an error: the file is tried again with every line.
pub(crate) fn init(config: &Config) -> Result<Logging, LogError> {
    let mut file = RotatingFile::new(config.log_file.clone(), config.log_max_bytes, config.log_keep);
    match file.open() {
        Err(source) if !is_full(&source) => return Err(LogError::Open { path: config.log_file.clone(), source }),
        _ => {}
    }
    let (logger, logging) = start(config.log_level, file, io::stderr()).map_err(LogError::Thread)?;
    log::set_boxed_logger(Box::new(logger)).map_err(|_| LogError::Twice)?;
    log::set_max_level(config.log_level);
    let earlier = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        earlier(panic);
        log::error!("{panic}");
        log::logger().flush();
    }));
    Ok(logging)
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

fn start(
    level: LevelFilter,
    file: RotatingFile,
    terminal: impl Write + Send + 'static,
) -> io::Result<(Logger, Logging)> {
    let (queue, jobs) = bounded(QUEUE_LINES);
    let dropped = Arc::new(AtomicU64::new(0));
    let mut printer = Printer { file, terminal, failing: false, dropped: Arc::clone(&dropped) };
    let thread = Thread::spawn("log", move || printer.run(&jobs))?;
    let lines = LogLines { line: Vec::new(), queue: queue.clone(), dropped };
    let format = ConfigBuilder::new()
        .set_time_format_rfc3339()
        .set_level_padding(LevelPadding::Right)
        .set_thread_level(LevelFilter::Error)
        .set_thread_mode(ThreadLogMode::Names)
        .set_target_level(LevelFilter::Debug)
        .set_location_level(LevelFilter::Off)
        .build();
    let inner = WriteLogger::new(level, format, lines);
    Ok((Logger { level, inner, queue: queue.clone() }, Logging { queue, thread: Some(thread) }))
}

impl Drop for Logging {
    fn drop(&mut self) {
        // A terminal that takes nothing must not hold up the end of the program: the thread is left to die with it.
        let (done, ended) = bounded(1);
        let reported = self.queue.send_timeout(LogJob::End(done), FLUSH_WAIT).is_ok();
        if (!reported || ended.recv_timeout(FLUSH_WAIT).is_err())
            && let Some(thread) = self.thread.take()
        {
            thread.detach();
        }
    }
}

/// A task of the log thread.
enum LogJob {
    /// A line with its newline.
    Line(Vec<u8>),
    /// Say when all lines before this are written.
    Flush(Sender<()>),
    /// The same, and write no more.
    End(Sender<()>),
}

/// The log thread's side: it alone writes.
struct Printer<W> {
    file: RotatingFile,
    terminal: W,
    /// True if the last line could not be written to the file, which is said once.
    failing: bool,
    dropped: Arc<AtomicU64>,
}

impl<W: Write> Printer<W> {
    fn run(&mut self, jobs: &Receiver<LogJob>) {
        for job in jobs {
            match job {
                LogJob::Line(line) => self.print(&line),
                // The waiting thread may have given up.
                LogJob::Flush(done) => {
                    let _ = done.send(());
                }
                LogJob::End(done) => {
                    let _ = done.send(());
                    return;
                }
            }
        }
    }

    fn print(&mut self, line: &[u8]) {
        let dropped = self.dropped.swap(0, Ordering::Relaxed);
        if dropped > 0 {
            self.put(
                format!("{} [WARN ] {dropped} lines came faster than they could be written\n", Micros::now())
                    .as_bytes(),
            );
        }
        self.put(line);
    }

    /// The file comes first: a terminal may be slow. A closed terminal does not stop the log.
    fn put(&mut self, line: &[u8]) {
        let written = self.file.write(line);
        let _ = self.terminal.write_all(line);
        if let Err(error) = &written
            && !self.failing
        {
            let text = format!("{} [ERROR] cannot write the log file: {error}\n", Micros::now());
            let _ = self.terminal.write_all(text.as_bytes());
        }
        self.failing = written.is_err();
    }
}

/// The writer behind simplelog: collects a line and queues it. It never waits and never fails.
struct LogLines {
    line: Vec<u8>,
    queue: Sender<LogJob>,
    dropped: Arc<AtomicU64>,
}

impl Write for LogLines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.line.extend_from_slice(bytes);
        if self.line.ends_with(b"\n") {
            match self.queue.try_send(LogJob::Line(std::mem::take(&mut self.line))) {
                Ok(()) => {}
                Err(TrySendError::Full(_)) => drop(self.dropped.fetch_add(1, Ordering::Relaxed)),
                Err(TrySendError::Disconnected(job)) => {
                    if let LogJob::Line(line) = job {
                        let _ = io::stderr().write_all(&line);
                    }
                }
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The logger that `log` calls.
struct Logger {
    level: LevelFilter,
    inner: Box<WriteLogger<LogLines>>,
    queue: Sender<LogJob>,
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let own = metadata.target().starts_with(OWN_TARGET);
        metadata.level() <= if own { self.level } else { self.level.min(LevelFilter::Warn) }
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let message = LogMessage::of(*record.args());
        self.inner.log(
            &Record::builder()
                .metadata(record.metadata().clone())
                .args(format_args!("{message}"))
                .module_path(record.module_path())
                .file(record.file())
                .line(record.line())
                .build(),
        );
    }

    /// Waits until the lines so far are written, for a time.
    fn flush(&self) {
        let (done, written) = bounded(1);
        if self.queue.send_timeout(LogJob::Flush(done), FLUSH_WAIT).is_ok() {
            let _ = written.recv_timeout(FLUSH_WAIT);
        }
    }
}

/// A message as one line of bounded length.
#[derive(Default)]
struct LogMessage {
    text: String,
    /// Bytes that were cut off.
    cut: usize,
}

impl LogMessage {
    fn of(arguments: fmt::Arguments<'_>) -> Self {
        let mut message = Self::default();
        // `write_str` below has no errors; one from a `Display` of the arguments leaves what came before it.
        let _ = message.write_fmt(arguments);
        message
    }
}

impl fmt::Write for LogMessage {
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        for (at, letter) in piece.char_indices() {
            if self.text.len() >= MESSAGE_MAX {
                self.cut += piece.len() - at;
                break;
            }
            if letter.is_control() && letter != '\t' {
                self.text.extend(letter.escape_default());
            } else {
                self.text.push(letter);
            }
        }
        Ok(())
    }
}

impl fmt::Display for LogMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        if self.cut > 0 { write!(f, "... ({} bytes more)", self.cut) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests;
