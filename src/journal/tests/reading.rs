//! Tests of the promises of readers.

use std::io::{ErrorKind, Write as _};
use std::time::{Duration, Instant};
use std::{iter, thread};

use super::super::{JournalError, RECORD_MAX};
use super::*;

/// Longest wait for another thread.
const DEADLINE: Duration = Duration::from_secs(60);

#[test]
fn a_read_is_what_fits_but_one_record_at_least() {
    let scratch = Scratch::new();
    // Each record is 30 bytes: 16 digits, ` out ` or another kind, and a payload that makes up for the kind's length.
    let payloads: Vec<String> = (0..6).map(|n| "x".repeat(30 - 16 - 3 - stamp(n).1.as_str().len())).collect();
    let (path, start) = scratch.with(&payloads);
    let reader = Reader::open(&path).unwrap();
    let mut buf = Vec::new();
    for (limit, count) in [(0, 1), (1, 1), (30, 1), (59, 1), (60, 2), (61, 2), (179, 5), (180, 6), (usize::MAX, 6)] {
        assert_eq!(reader.read(start, limit, &mut buf).unwrap(), start + 30 * count, "{limit}");
        assert_eq!(buf.len() as u64, 30 * count);
        let end = reader.size().unwrap();
        assert_eq!(read_before(&reader, end, limit, &mut buf).unwrap(), end - 30 * count, "{limit}");
        assert_eq!(buf.len() as u64, 30 * count);
    }
}

#[test]
fn read_at_the_end_is_empty_and_beyond_an_error() {
    let scratch = Scratch::new();
    let (path, start) = scratch.with(&["one"]);
    let reader = Reader::open(&path).unwrap();
    let end = reader.size().unwrap();
    let mut buf = b"old".to_vec();
    assert_eq!(reader.read(end, 100, &mut buf).unwrap(), end);
    assert!(buf.is_empty());
    assert_eq!(reader.align(end).unwrap(), end);
    for result in [
        reader.read(end + 1, 100, &mut buf),
        reader.read(start - 1, 100, &mut buf),
        reader.read(u64::MAX, 100, &mut buf),
        read_before(&reader, end + 1, 100, &mut buf),
        reader.align(end + 1),
        reader.chunk_before(end + 1, 100),
    ] {
        assert_eq!(result.unwrap_err().kind(), ErrorKind::InvalidInput);
        assert!(buf.is_empty());
    }
}

#[test]
fn from_line_to_line_each_reports_its_time() {
    let scratch = Scratch::new();
    let path = scratch.journal();
    let mut writer = Writer::create(&path, ID).unwrap();
    let times = [0, 1_704_067_200_000_000, u64::MAX].map(Micros);
    let mut boundaries = vec![writer.end()];
    for time in times {
        let mut line = Vec::new();
        encode(&mut line, time, Kind::Ctl, b"{}");
        boundaries.push(writer.append(&line).unwrap());
    }
    drop(writer);
    let reader = Reader::open(&path).unwrap();
    for (pair, time) in boundaries.windows(2).zip(times) {
        assert_eq!(reader.time_at(pair[0]).unwrap(), Some(time));
        assert_eq!(reader.next(pair[0]).unwrap(), Some(pair[1]));
    }
    let end = *boundaries.last().unwrap();
    assert_eq!((reader.next(end).unwrap(), reader.time_at(end).unwrap()), (None, None));
    assert_eq!(reader.time_at(end - 3).unwrap(), None, "that is no beginning of a record");
    fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"1704067200000003 out torn").unwrap();
    assert_eq!(reader.next(end).unwrap(), None, "a line that is being written is none yet");
}

#[test]
fn a_buffer_stays_near_what_is_asked_for() {
    let scratch = Scratch::new();
    let (path, start) = scratch.with(&["x".repeat(3_000)]);
    let reader = Reader::open(&path).unwrap();
    let kept = 16 * 1024;
    for (before, after) in [(kept, kept), (kept + 1, 4 * 1024)] {
        let mut buf = Vec::with_capacity(before);
        reader.read(start, 1, &mut buf).unwrap();
        assert_eq!(buf.capacity(), after, "{before}");
    }
    let mut buf = Vec::new();
    reader.read(start, usize::MAX, &mut buf).unwrap();
    assert_eq!(buf.capacity() as u64, reader.size().unwrap() - start, "no more than there is");
}

#[test]
fn an_empty_journal_has_nothing_either_way() {
    let scratch = Scratch::new();
    let start = Writer::create(&scratch.journal(), ID).unwrap().end();
    let reader = Reader::open(&scratch.journal()).unwrap();
    let mut buf = Vec::new();
    assert_eq!(reader.start(), start);
    assert_eq!(reader.end().unwrap(), start);
    assert_eq!(reader.read(start, 100, &mut buf).unwrap(), start);
    assert_eq!(read_before(&reader, start, 100, &mut buf).unwrap(), start);
    assert_eq!(reader.chunk_before(0, 100).unwrap(), start);
    assert_eq!(reader.align(0).unwrap(), start);
}

#[test]
fn lines_of_20_mib_pass_among_short_ones() {
    let scratch = Scratch::new();
    let long = vec![0xff; 20 * 1024 * 1024];
    let all = [&b"short"[..], &long, b"", &long, b"last"];
    let (path, start) = scratch.with(&all);
    assert!(payloads(&path) == all);
    let reader = Reader::open(&path).unwrap();
    let middle = start + reader.size().unwrap() / 2;
    let mut buf = Vec::new();
    let from = reader.align(middle + 1_000_000).unwrap();
    assert_eq!(from, reader.chunk_before(reader.align(reader.size().unwrap() - 2).unwrap(), 5).unwrap());
    reader.read(from, 100_000, &mut buf).unwrap();
    assert!(record(records(&buf, from).next().unwrap()).payload == long);
}

#[test]
fn garbage_is_passed_over_with_its_place() {
    let scratch = Scratch::new();
    let path = scratch.journal();
    drop(Writer::create(&path, ID).unwrap());
    let good = lines(&["good"]);
    let garbage: [&[u8]; 14] = [
        b"",
        b" ",
        b"\0\0\0\0",
        b"\xff\xfe\r",
        b"hello there you",
        b"1704067200000000",
        b"1704067200000000 ",
        b"1704067200000000 out",
        b"1704067200000000 outs x",
        b"1704067200000000  out x",
        b" 1704067200000000 out x",
        b"-1 out x",
        b"18446744073709551616 out x",
        b"99999999999999999999999999999999 out x",
    ];
    let mut file = fs::read(&path).unwrap();
    let mut expected = Vec::new();
    for line in garbage {
        expected.push((true, file.len() as u64));
        file.extend_from_slice(&good);
        expected.push((false, file.len() as u64));
        file.extend_from_slice(line);
        file.push(b'\n');
    }
    fs::write(&path, &file).unwrap();
    for limit in [1, 50, 100_000] {
        let reader = Reader::open(&path).unwrap();
        let mut found = Vec::new();
        let end = read_on(&reader, reader.start(), limit, |entry| match entry {
            Entry::Record(record) => found.push((record.payload == b"good", record.seq)),
            Entry::Garbage { seq, len } => {
                assert_eq!(len, garbage[found.len() / 2].len() as u64 + 1);
                found.push((false, seq));
            }
        });
        assert_eq!((found, end), (expected.clone(), file.len() as u64));
    }
    assert_eq!(Writer::open(&path).unwrap().cut(), 0, "damage in the middle is served, not cut off");
}

#[test]
fn line_over_the_record_limit_is_skipped_in_bounded_memory() {
    let scratch = Scratch::new();
    let (path, _) = scratch.with(&["before"]);
    let hole = fs::metadata(&path).unwrap().len();
    let file = fs::OpenOptions::new().append(true).open(&path).unwrap();
    file.set_len(hole + 3 * RECORD_MAX as u64).unwrap();
    let reader = Reader::open(&path).unwrap();
    let mut buf = Vec::new();
    assert_eq!(reader.read(hole, 100, &mut buf).unwrap(), hole, "as yet it is a line that is being written");
    let after = reader.size().unwrap() + 1;
    io::Write::write_all(&mut &file, &[b"\n", &lines(&["after"])[..]].concat()).unwrap();

    assert_eq!((reader.read(hole, 100, &mut buf).unwrap(), buf.len()), (after, 0));
    assert!(buf.capacity() <= RECORD_MAX);
    let mut found = Vec::new();
    let end = read_on(&reader, reader.start(), 100, |entry| found.push(record(entry).payload.to_vec()));
    assert_eq!((found, end), (vec![b"before".to_vec(), b"after".to_vec()], reader.size().unwrap()));
    assert_eq!(reader.align(hole + 100_000_000).unwrap(), hole);
    assert_eq!(read_before(&reader, after, 100, &mut buf).unwrap(), hole);
    assert!(buf.is_empty());
}

#[test]
fn followers_of_a_live_writer_see_every_record_once() {
    const COUNT: usize = 20_000;
    let scratch = Scratch::new();
    let path = scratch.journal();
    let mut writer = Writer::create(&path, ID).unwrap();
    let follow = |limit: usize| {
        let reader = Reader::open(&path).unwrap();
        move || {
            let deadline = Instant::now() + DEADLINE;
            let (mut offset, mut seen) = (reader.start(), 0);
            while seen < COUNT {
                let next = read_on(&reader, offset, limit, |entry| {
                    let record = record(entry);
                    assert!(record.payload.starts_with(format!("{seen} ").as_bytes()));
                    assert_eq!(record.payload.len(), payload(seen).len());
                    seen += 1;
                });
                assert!(reader.align(next).unwrap() == next && reader.end().unwrap() >= next);
                assert!(Instant::now() < deadline, "{seen} of {COUNT} records arrived");
                offset = next;
            }
            offset
        }
    };
    let followers = [thread::spawn(follow(1)), thread::spawn(follow(5_000)), thread::spawn(follow(1_000_000))];
    for first in (0..COUNT).step_by(4) {
        let batch: Vec<_> = (first..first + 4).map(payload).collect();
        writer.append(&lines(&batch)).unwrap();
    }
    for follower in followers {
        assert_eq!(follower.join().unwrap(), writer.end());
    }

    fn payload(n: usize) -> String {
        format!("{n} {}", "x".repeat(n * 7919 % 900))
    }
}

#[test]
fn a_half_written_line_appears_when_it_is_whole() {
    let scratch = Scratch::new();
    let (path, _) = scratch.with(&["one"]);
    let mut file = fs::OpenOptions::new().append(true).open(&path).unwrap();
    let reader = Reader::open(&path).unwrap();
    let offset = reader.size().unwrap();
    let line = lines(&["two"]);
    let mut buf = Vec::new();
    for byte in &line[..line.len() - 1] {
        io::Write::write_all(&mut file, &[*byte]).unwrap();
        assert_eq!(reader.read(offset, 100, &mut buf).unwrap(), offset);
        assert_eq!(reader.end().unwrap(), offset);
        assert_eq!(reader.align(reader.size().unwrap()).unwrap(), offset);
    }
    io::Write::write_all(&mut file, b"\n").unwrap();
    assert_eq!(reader.read(offset, 100, &mut buf).unwrap(), offset + line.len() as u64);
    assert_eq!(buf, line);
}

#[test]
fn a_line_longer_than_any_record_is_garbage() {
    for (len, is_record) in [(RECORD_MAX, true), (RECORD_MAX + 1, false)] {
        let mut line = b"1 out ".to_vec();
        line.resize(len - 1, b'x');
        line.push(b'\n');
        let entry = records(&line, 7).next().unwrap();
        assert_eq!(matches!(entry, Entry::Record(_)), is_record);
        assert_eq!((entry.seq(), entry.end()), (7, 7 + line.len() as u64));
    }
}

#[test]
fn entries_end_where_the_last_newline_is() {
    let whole = lines(&["one", "two"]);
    let torn = [&whole[..], b"1704067200000000 out thr"].concat();
    let mut entries = records(&torn, 1000);
    assert_eq!(entries.by_ref().map(|entry| record(entry).payload).collect::<Vec<_>>(), [b"one", b"two"]);
    assert_eq!(entries.offset(), 1000 + whole.len() as u64);
    assert!(entries.next().is_none());
    let ends: Vec<u64> = records(&torn, 1000).map(|entry| entry.end()).collect();
    let seqs = records(&torn, 1000).map(|entry| entry.seq()).chain(iter::once(ends[1]));
    assert!(seqs.eq([1000, ends[0], ends[1]]));
}

#[test]
fn endless_first_line_and_missing_file_are_distinct_errors() {
    let scratch = Scratch::new();
    let (path, start) = scratch.with(&["one"]);
    let header = fs::read(&path).unwrap()[..start as usize - 1].to_vec();
    // As long as the header may still be whole, it is one that a crash has cut.
    fs::write(&path, &header).unwrap();
    assert!(matches!(Reader::open(&path), Err(JournalError::HalfHeader { .. })));
    fs::write(&path, [&header[..], &[b'x'; 4096]].concat()).unwrap();
    assert!(matches!(Reader::open(&path), Err(JournalError::NotAJournal { .. })));

    let missing = Reader::open(&scratch.folder.join("nowhere")).unwrap_err();
    let source = std::error::Error::source(&missing).and_then(|source| source.downcast_ref::<io::Error>());
    assert_eq!(source.map(io::Error::kind), Some(ErrorKind::NotFound));
    let other = JournalError::NotAJournal { path };
    assert!(std::error::Error::source(&other).is_none());
}
