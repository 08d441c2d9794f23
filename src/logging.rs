//! The log: one line an event, to stderr and to a file that is set aside when it is full.
//!
//! Threads that log never wait for a terminal or a disk: simplelog formats the line, and a queue of bounded length takes
//! it to the thread `log`, which alone writes. When the queue is full the line is dropped and counted, and a line says
//! so later; a full disk costs lines of the log and nothing else. Control characters in a message are escaped, so what a
//! peer or a CLI sent can neither forge a line nor move a terminal's cursor.

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
use rotating::RotatingFile;

/// Lines that wait for the log thread.
const QUEUE_LINES: usize = 1024;
/// Bytes of a message; the rest of a longer one is cut off. With [`QUEUE_LINES`] this bounds the queue's memory.
const MESSAGE_MAX: usize = 16 * 1024;
/// How long a flush, or the end of the program, waits for the log thread, which a terminal may be holding up.
const FLUSH_WAIT: Duration = Duration::from_secs(2);
/// The target under which this crate logs. Other crates' lines are only taken from `warn` up: what they say below it
/// is about their insides, and tungstenite's trace would hold what people write.
const OWN_TARGET: &str = "rs_worker";

/// Why there is no log.
#[derive(Debug)]
pub enum LogError {
    /// The file cannot be opened.
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The log thread cannot be started.
    Thread(io::Error),
    /// There is a logger already.
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
pub struct Logging {
    queue: Sender<Job>,
    thread: Option<Thread>,
}

/// Sets up the log for the whole process, panics included. Call it once, and keep what it returns.
///
/// # Errors
/// See [`LogError`]. A full disk is none: the file is tried again with every line.
pub fn init(config: &Config) -> Result<Logging, LogError> {
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
    let lines = Lines { line: Vec::new(), queue: queue.clone(), dropped };
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
        let told = self.queue.send_timeout(Job::End(done), FLUSH_WAIT).is_ok();
        if (!told || ended.recv_timeout(FLUSH_WAIT).is_err())
            && let Some(thread) = self.thread.take()
        {
            thread.detach();
        }
    }
}

/// What the log thread is given to do.
enum Job {
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
    /// Whether the last line could not be written to the file, which is said once.
    failing: bool,
    dropped: Arc<AtomicU64>,
}

impl<W: Write> Printer<W> {
    fn run(&mut self, jobs: &Receiver<Job>) {
        for job in jobs {
            match job {
                Job::Line(line) => self.print(&line),
                // Whoever waited may have given up.
                Job::Flush(done) => {
                    let _ = done.send(());
                }
                Job::End(done) => {
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

    /// The file comes first: a terminal may take its time. A terminal that is gone is no reason to stop.
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

/// What simplelog writes into: collects a line and queues it. It never waits and never fails.
struct Lines {
    line: Vec<u8>,
    queue: Sender<Job>,
    dropped: Arc<AtomicU64>,
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.line.extend_from_slice(bytes);
        if self.line.ends_with(b"\n") {
            match self.queue.try_send(Job::Line(std::mem::take(&mut self.line))) {
                Ok(()) => {}
                Err(TrySendError::Full(_)) => drop(self.dropped.fetch_add(1, Ordering::Relaxed)),
                Err(TrySendError::Disconnected(job)) => {
                    if let Job::Line(line) = job {
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
    inner: Box<WriteLogger<Lines>>,
    queue: Sender<Job>,
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
        let message = Message::of(*record.args());
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
        if self.queue.send_timeout(Job::Flush(done), FLUSH_WAIT).is_ok() {
            let _ = written.recv_timeout(FLUSH_WAIT);
        }
    }
}

/// A message as one line of bounded length.
#[derive(Default)]
struct Message {
    text: String,
    /// Bytes that were cut off.
    cut: usize,
}

impl Message {
    fn of(arguments: fmt::Arguments<'_>) -> Self {
        let mut message = Self::default();
        // `write_str` below has no errors; one from a `Display` of the arguments leaves what came before it.
        let _ = message.write_fmt(arguments);
        message
    }
}

impl fmt::Write for Message {
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

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        if self.cut > 0 { write!(f, "... ({} bytes more)", self.cut) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use log::Level;

    use super::*;
    use crate::scratch::Scratch;

    /// A terminal that remembers what it was given, and takes nothing while `hold` has a message waiting.
    #[derive(Clone)]
    struct Terminal(Sender<Vec<u8>>);

    impl Write for Terminal {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.send(bytes.to_vec()).map_err(io::Error::other)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn write(logger: &Logger, level: Level, target: &str, message: &str) {
        logger.log(&Record::builder().level(level).target(target).args(format_args!("{message}")).build());
    }

    fn logging(level: LevelFilter, path: &Path) -> (Logger, Logging) {
        start(level, RotatingFile::new(path.to_owned(), 1 << 20, 1), io::sink()).unwrap()
    }

    fn messages(text: &str) -> Vec<&str> {
        text.lines().map(|line| line.split_once("] ").unwrap().1).collect()
    }

    #[test]
    fn a_line_has_its_time_in_utc_its_level_its_thread_and_its_message() {
        let folder = Scratch::new();
        let path = folder.path().join("app.log");
        let (logger, logging) = logging(LevelFilter::Info, &path);
        let thread = Thread::spawn("reader", move || write(&logger, Level::Info, "rs_worker::x", "hello")).unwrap();
        drop(thread);
        drop(logging);
        let text = std::fs::read_to_string(path).unwrap();
        let (time, rest) = text.split_once(' ').unwrap();
        assert!(time.len() >= 20 && time.starts_with("20") && time.contains('T') && time.ends_with('Z'), "{time}");
        assert_eq!(rest, "[INFO ] (reader) hello\n");
    }

    #[test]
    fn a_message_is_one_line_whatever_is_in_it() {
        let folder = Scratch::new();
        let path = folder.path().join("app.log");
        let (logger, logging) = logging(LevelFilter::Info, &path);
        let forged = "a\n2024-01-01T00:00:00Z [ERROR] forged\r\x1b[2J\tb";
        Thread::spawn("t", move || write(&logger, Level::Warn, "rs_worker", forged)).unwrap();
        drop(logging);
        let text = std::fs::read_to_string(path).unwrap();
        assert_eq!(messages(&text), [r"(t) a\n2024-01-01T00:00:00Z [ERROR] forged\r\u{1b}[2J".to_owned() + "\tb"]);
    }

    #[test]
    fn a_long_message_is_cut() {
        let message = Message::of(format_args!("{}{}", "ä".repeat(MESSAGE_MAX / 2), "more")).to_string();
        assert_eq!(message, format!("{}... (4 bytes more)", "ä".repeat(MESSAGE_MAX / 2)));
    }

    #[test]
    fn levels_count_and_other_crates_only_warn() {
        let folder = Scratch::new();
        let path = folder.path().join("app.log");
        let (logger, logging) = logging(LevelFilter::Debug, &path);
        Thread::spawn("t", move || {
            write(&logger, Level::Trace, "rs_worker", "1");
            write(&logger, Level::Debug, "rs_worker::hub", "2");
            write(&logger, Level::Info, "tungstenite", "3");
            write(&logger, Level::Warn, "tungstenite", "4");
        })
        .unwrap();
        drop(logging);
        let text = std::fs::read_to_string(path).unwrap();
        assert_eq!(messages(&text), ["(t) rs_worker::hub: 2", "(t) 4"]);
    }

    #[test]
    fn a_stuck_terminal_delays_nobody_and_lost_lines_are_counted() {
        let folder = Scratch::new();
        let path = folder.path().join("app.log");
        let (terminal, shown) = bounded(0);
        let file = RotatingFile::new(path.clone(), 1 << 30, 1);
        let (logger, logging) = start(LevelFilter::Info, file, Terminal(terminal)).unwrap();
        // The terminal takes nothing: these calls return all the same, and what finds no room is dropped.
        let count = QUEUE_LINES + 100;
        for number in 0..count {
            write(&logger, Level::Info, "rs_worker", &number.to_string());
        }
        let taker = Thread::spawn("taker", move || shown.iter().for_each(drop)).unwrap();
        logger.flush();
        write(&logger, Level::Info, "rs_worker", "last");
        logger.flush();
        drop(logging);
        drop(taker);
        let text = std::fs::read_to_string(path).unwrap();
        let lost: usize = messages(&text)
            .iter()
            .filter_map(|it| it.strip_suffix(" lines came faster than they could be written"))
            .map(|number| number.parse::<usize>().unwrap())
            .sum();
        let lines = text.lines().filter(|line| !line.contains("lines came faster")).count();
        assert!(lost >= 98, "{lost} lines were dropped");
        assert_eq!(lines + lost, count + 1);
        assert!(text.ends_with("last\n"));
    }

    #[test]
    fn a_full_disk_is_said_once_on_the_terminal_and_logging_goes_on() {
        let (terminal, shown) = bounded(100);
        let file = RotatingFile::new("/dev/full".into(), 1 << 20, 1);
        let (logger, logging) = start(LevelFilter::Info, file, Terminal(terminal)).unwrap();
        write(&logger, Level::Info, "rs_worker", "one");
        write(&logger, Level::Info, "rs_worker", "two");
        drop(logging);
        let lines: Vec<String> = shown.try_iter().map(|line| String::from_utf8(line).unwrap()).collect();
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert!(lines[0].ends_with("one\n"));
        assert!(lines[1].contains("[ERROR] cannot write the log file: No space left on device"), "{}", lines[1]);
        assert!(lines[2].ends_with("two\n"));
    }

    #[test]
    fn a_log_file_that_cannot_be_opened_stops_the_start() {
        let folder = Scratch::new();
        std::fs::write(folder.path().join("logs"), "in the way").unwrap();
        let config = Config::load(folder.path(), None, &|_| None).unwrap();
        let error = init(&config).unwrap_err().to_string();
        let path = folder.path().join("logs/app.log");
        let start = format!("cannot open the log file {}: ", path.display());
        assert!(error.starts_with(&start), "{error}");
        assert!(error.ends_with("; set LOG_FILE to a path that can be written"), "{error}");
    }
}
