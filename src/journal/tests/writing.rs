//! Tests of the promises of the writer.

use std::io::{ErrorKind, Read};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigSet, Signal};

use super::super::{JournalError, LINE_MAX, RECORD_MAX};
use super::*;
use crate::journal::WORKER_ID_MAX;

/// Set in a test that runs again in a process of its own, to the journal it is to use.
const AGAIN: &str = "RS_WORKER_TEST_JOURNAL";
/// Longest wait for another process.
const DEADLINE: Duration = Duration::from_secs(60);

/// A test of this module in a process of its own, killed when dropped.
struct Again(Child);

impl Again {
    fn spawn(test: &str, journal: &Path) -> Self {
        let child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "--nocapture", &format!("journal::tests::writing::{test}")])
            .env(AGAIN, journal)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self(child)
    }
}

impl Drop for Again {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn again() -> Option<PathBuf> {
    env::var_os(AGAIN).map(PathBuf::from)
}

#[test]
fn new_journal_is_private_and_names_its_owner() {
    let scratch = Scratch::new();
    let (path, start) = scratch.with(&["one", "", "three"]);
    let file = fs::read_to_string(&path).unwrap();
    assert!(file.starts_with("rs-worker-journal 1 worker-1\n1704067200000000 out one\n"), "{file}");
    assert_eq!(start, 29);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(Reader::open(&path).unwrap().worker_id(), ID);
    assert_eq!(Writer::open(&path).unwrap().worker_id(), ID);
}

#[test]
fn a_journal_is_never_made_over_a_file() {
    let scratch = Scratch::new();
    fs::write(scratch.journal(), "precious").unwrap();
    let error = Writer::create(&scratch.journal(), ID).unwrap_err();
    assert!(matches!(&error, JournalError::Io { source, .. } if source.kind() == ErrorKind::AlreadyExists), "{error}");
    assert_eq!(fs::read(scratch.journal()).unwrap(), b"precious");
}

#[test]
fn a_worker_id_must_fit_the_header() {
    let scratch = Scratch::new();
    for id in ["", "two words", "line\n", "é", &"x".repeat(WORKER_ID_MAX + 1)] {
        let error = Writer::create(&scratch.journal(), id).unwrap_err();
        assert!(matches!(error, JournalError::WorkerId { .. }), "{error}");
        assert!(!scratch.journal().exists());
    }
    let longest = "x".repeat(WORKER_ID_MAX);
    drop(Writer::create(&scratch.journal(), &longest).unwrap());
    assert_eq!(Reader::open(&scratch.journal()).unwrap().worker_id(), longest);
}

#[test]
fn foreign_files_are_refused_as_journals_with_a_remedy() {
    let scratch = Scratch::new();
    let path = scratch.journal();
    let cases: [(&[u8], &str); 12] = [
        (b"", "delete it"),
        (b"rs-work", "delete it"),
        (b"rs-worker-journal", "delete it"),
        (b"rs-worker-journal 1 worke", "delete it"),
        (b"hello", "not a journal"),
        (b"\n", "not a journal"),
        (&[b'x'; 1000], "not a journal"),
        (b"rs-worker-journals 1 x\n", "not a journal"),
        (b"rs-worker-journal 2 worker some more\n", "format 2"),
        (b"rs-worker-journal one worker\n", "damaged first line"),
        (b"rs-worker-journal 1\n", "damaged first line"),
        (b"rs-worker-journal 1 \xff\n", "damaged first line"),
    ];
    for (content, advice) in cases {
        fs::write(&path, content).unwrap();
        for error in [Writer::open(&path).unwrap_err(), Reader::open(&path).unwrap_err()] {
            let message = error.to_string();
            assert!(message.contains(advice) && message.contains(path.to_str().unwrap()), "{content:?}: {message}");
        }
        assert_eq!(fs::read(&path).unwrap(), content, "a refused file is left as it is");
    }
}

#[test]
fn one_writer_at_a_time_and_readers_beside_it() {
    let scratch = Scratch::new();
    let (path, _) = scratch.with(&["one"]);
    let writer = Writer::open(&path).unwrap();
    let syncer = writer.syncer().unwrap();
    let error = Writer::open(&path).unwrap_err();
    assert!(matches!(error, JournalError::Locked { .. }), "{error}");
    assert_eq!(payloads(&path), [b"one"]);
    drop(writer);
    let _second = Writer::open(&path).expect("a syncer does not keep the lock");
    syncer.sync().unwrap();
}

#[test]
fn children_do_not_hold_the_journal() {
    let scratch = Scratch::new();
    let (path, _) = scratch.with(&["one"]);
    let writer = Writer::open(&path).unwrap();
    let _syncer = writer.syncer().unwrap();
    let child = Again(Command::new("cat").stdin(Stdio::piped()).spawn().unwrap());
    for entry in fs::read_dir(format!("/proc/{}/fd", child.0.id())).unwrap() {
        // Files that the program opens during its start may be closed by now.
        if let Ok(file) = fs::read_link(entry.unwrap().path()) {
            assert_ne!(file, path);
        }
    }
}

#[test]
fn a_killed_writer_leaves_whole_records_and_no_lock() {
    if let Some(path) = again() {
        let mut writer = Writer::open(&path).unwrap();
        for n in 0..200_000 {
            writer.append(&lines(&[format!("record {n}"), format!("record {n} again")])).unwrap();
        }
        // Hold the lock until killed.
        io::stdin().read_to_end(&mut Vec::new()).unwrap();
        return;
    }
    let scratch = Scratch::new();
    let path = scratch.journal();
    drop(Writer::create(&path, ID).unwrap());
    let child = Again::spawn("a_killed_writer_leaves_whole_records_and_no_lock", &path);
    let reader = Reader::open(&path).unwrap();
    let deadline = Instant::now() + DEADLINE;
    while reader.size().unwrap() < 10_000 {
        assert!(Instant::now() < deadline, "the writer wrote nothing");
        thread::yield_now();
    }
    assert!(matches!(Writer::open(&path), Err(JournalError::Locked { .. })));
    drop(child);
    let writer = Writer::open(&path).unwrap();
    assert_eq!(writer.end(), reader.size().unwrap());
    let mut count = 0;
    let end = read_on(&reader, reader.start(), 4000, |entry| {
        let again = if count % 2 == 1 { " again" } else { "" };
        assert_eq!(record(entry).payload, format!("record {}{again}", count / 2).as_bytes());
        count += 1;
    });
    assert_eq!(end, writer.end());
}

#[test]
fn a_torn_last_line_is_cut_off_at_open() {
    let scratch = Scratch::new();
    let (path, _) = scratch.with(&["one", "two"]);
    let whole = fs::read(&path).unwrap();
    // Torn within the head, after it, as zeros after a power cut, and longer than any piece of the search.
    for torn in [b"17040672".to_vec(), b"1704067200000000 out x".to_vec(), vec![0; 5000], vec![b'x'; 3_000_000]] {
        fs::write(&path, [&whole[..], &torn].concat()).unwrap();
        assert_eq!(payloads(&path), [b"one", b"two"], "a reader does not see the torn line");
        let mut writer = Writer::open(&path).unwrap();
        assert_eq!((writer.end(), writer.cut()), (whole.len() as u64, torn.len() as u64));
        assert_eq!(fs::read(&path).unwrap(), whole);
        assert_eq!(writer.append(&lines(&["three"])).unwrap(), writer.end());
        drop(writer);
        assert_eq!(payloads(&path), [&b"one"[..], b"two", b"three"]);
    }
}

#[test]
fn an_append_that_fails_leaves_the_journal_as_it_was() {
    let Some(path) = again() else {
        let scratch = Scratch::new();
        let test = "an_append_that_fails_leaves_the_journal_as_it_was";
        assert!(Again::spawn(test, &scratch.journal()).0.wait().unwrap().success());
        assert!(scratch.journal().exists(), "it did run");
        return;
    };
    // A file size limit makes the kernel write what fits and refuse the rest, as a full disk does. It holds for the
    // whole process, so this runs in one of its own; blocked, the signal that comes with it does nothing.
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGXFSZ);
    signals.thread_block().unwrap();
    let (_, hard) = getrlimit(Resource::RLIMIT_FSIZE).unwrap();
    let limit = |bytes| setrlimit(Resource::RLIMIT_FSIZE, bytes, hard).unwrap();

    limit(10);
    let error = Writer::create(&path, ID).unwrap_err();
    assert!(matches!(&error, JournalError::Io { source, .. } if source.kind() == ErrorKind::FileTooLarge), "{error}");
    assert!(!path.exists(), "a journal that could not be begun is removed");
    limit(hard);

    let mut writer = Writer::create(&path, ID).unwrap();
    let end = writer.append(&lines(&["first"])).unwrap();
    let before = fs::read(&path).unwrap();
    let batch = lines(&["a".repeat(40), "b".repeat(40), "c".repeat(40)]);
    limit(end + 150);
    for _ in 0..2 {
        assert_eq!(writer.append(&batch).unwrap_err().kind(), ErrorKind::FileTooLarge);
        assert_eq!(writer.end(), end);
        assert_eq!(fs::read(&path).unwrap(), before, "the two records that fit are taken back too");
    }
    writer.append(&lines(&["short"])).expect("what fits is written");
    assert!(writer.append(&batch).is_err());
    limit(hard);
    let end = writer.append(&batch).unwrap();
    assert_eq!(fs::read(&path).unwrap(), [before, lines(&["short"]), batch].concat());
    assert_eq!(end, Reader::open(&path).unwrap().end().unwrap());
}

#[test]
fn unreadable_records_are_not_appended() {
    let scratch = Scratch::new();
    let mut writer = Writer::create(&scratch.journal(), ID).unwrap();
    let end = writer.end();
    let too_long = [vec![b'x'; RECORD_MAX], b"\n".to_vec()].concat();
    for lines in [b"no newline".to_vec(), [b"short\n", &too_long[..]].concat(), too_long] {
        assert_eq!(writer.append(&lines).unwrap_err().kind(), ErrorKind::InvalidInput);
    }
    assert_eq!((writer.append(b"").unwrap(), fs::metadata(scratch.journal()).unwrap().len()), (end, end));
}

#[test]
fn many_lines_may_be_longer_together_than_one_may_be() {
    let scratch = Scratch::new();
    let mut writer = Writer::create(&scratch.journal(), ID).unwrap();
    let end = writer.end();
    let lines = [vec![b'x'; RECORD_MAX / 2], b"\n".to_vec()].concat().repeat(3);
    assert_eq!(writer.append(&lines).unwrap(), end + lines.len() as u64);
}

#[test]
fn the_longest_line_and_the_line_after_it_are_kept() {
    let scratch = Scratch::new();
    let longest = vec![b'x'; LINE_MAX];
    let mut line = Vec::new();
    encode(&mut line, Micros(u64::MAX), Kind::OutPart, &longest);
    assert_eq!(line.len(), RECORD_MAX);
    assert_eq!(line.capacity(), line.len(), "it is made in one piece");
    drop(line);
    let (path, start) = scratch.with(&[&longest[..], b"next"]);
    let reader = Reader::open(&path).unwrap();
    let mut buf = Vec::new();
    let next = reader.read(start, 1, &mut buf).unwrap();
    assert!(record(records(&buf, start).next().unwrap()).payload == longest);
    assert_eq!(reader.read(next, 1, &mut buf).unwrap(), reader.size().unwrap());
    assert_eq!(record(records(&buf, next).next().unwrap()).payload, b"next");
    assert!(buf.capacity() < 1_000_000, "the buffer does not stay as large as one long line made it");
    assert_eq!(reader.chunk_before(reader.size().unwrap(), 1000).unwrap(), next);
    assert_eq!(reader.chunk_before(next, 1000).unwrap(), start);
    drop(Writer::open(&path).unwrap());
    assert_eq!(reader.end().unwrap(), reader.size().unwrap(), "nothing of it was cut off");
}

#[test]
fn a_file_shorter_than_its_writer_thinks_is_no_panic() {
    let scratch = Scratch::new();
    let (path, _) = scratch.with(&["one"]);
    let mut writer = Writer::open(&path).unwrap();
    let reader = Reader::open(&path).unwrap();
    let end = writer.end();
    // Another process truncates the file: the gap reads as zeros, and reading continues after it.
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(reader.start()).unwrap();
    let mut buf = Vec::new();
    assert_eq!(reader.read(end, 100, &mut buf).unwrap_err().kind(), ErrorKind::InvalidInput);
    writer.append(&lines(&["two", "three"])).unwrap();
    let mut found = Vec::new();
    read_on(&reader, reader.start(), 100, |entry| found.push(matches!(entry, Entry::Record(_))));
    assert_eq!(found, [false, true]);
    let mut zeros = vec![1; (end - reader.start()) as usize];
    fs::File::open(&path).unwrap().read_exact_at(&mut zeros, reader.start()).unwrap();
    assert!(zeros.iter().all(|&byte| byte == 0));
}
