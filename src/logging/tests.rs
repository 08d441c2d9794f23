//! Tests of the log's contents, and of slow readers of it.

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
fn line_has_utc_time_level_thread_and_message() {
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
    let message = LogMessage::of(format_args!("{}{}", "ä".repeat(MESSAGE_MAX / 2), "more")).to_string();
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
fn full_disk_is_reported_once_while_logging_continues() {
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
