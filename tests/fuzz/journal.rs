//! Journals with any bytes in them: records are found from both sides, and a writer continues after them.

use std::fs;
use std::path::PathBuf;

use rs_worker::testing::clock::Micros;
use rs_worker::testing::journal::{Entry, Kind, Reader, Writer, encode, records};

use crate::mutate::{Mutator, files};
use crate::run::{bounded, fuzz};

const WORDS: [&str; 12] = [
    "\n",
    "\n\n",
    "rs-worker-journal 1 w\n",
    "rs-worker-journal 2 w\n",
    "1704067200000000 out x\n",
    "1 ctl {}\n",
    "1 out+ part\n",
    " err ",
    " in ",
    "\0\0\0\0",
    "99999999999999999999 out x\n",
    "out",
];

/// A folder of this process's own.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn entries(bytes: &[u8], base: u64) -> Vec<(u64, u64, bool)> {
    records(bytes, base).map(|entry| (entry.seq(), entry.end(), matches!(entry, Entry::Record(_)))).collect()
}

/// Everything after the header, in steps of random size.
fn forwards(reader: &Reader, mutator: &mut Mutator) -> Vec<(u64, u64, bool)> {
    let (mut at, mut found, mut buffer) = (reader.start(), Vec::new(), Vec::new());
    loop {
        let limit = mutator.below(9_000);
        let next = reader.read(at, limit, &mut buffer).unwrap();
        if next == at {
            return found;
        }
        assert_eq!(next, at + buffer.len() as u64);
        found.extend(entries(&buffer, at));
        at = next;
    }
}

fn backwards(reader: &Reader, end: u64, mutator: &mut Mutator) -> Vec<(u64, u64, bool)> {
    let (mut end, mut found, mut buffer) = (end, Vec::new(), Vec::new());
    while end > reader.start() {
        let first = reader.chunk_before(end, mutator.below(9_000)).unwrap();
        reader.read(first, usize::try_from(end - first).unwrap(), &mut buffer).unwrap();
        assert!(first < end);
        let mut page = entries(&buffer, first);
        page.append(&mut found);
        (end, found) = (first, page);
    }
    found
}

#[test]
fn any_file_reads_the_same_both_ways_or_is_refused() {
    let folder = Folder(std::env::temp_dir().join(format!("rs-worker-fuzz-{}", std::process::id())));
    fs::create_dir_all(&folder.0).unwrap();
    let path = folder.0.join("journal");
    let seeds: Vec<Vec<u8>> = files("tests/captures/claude", ".journal")
        .into_iter()
        .map(|journal| {
            if journal.starts_with(b"rs-worker-journal") {
                journal
            } else {
                [b"rs-worker-journal 1 w\n", &journal[..]].concat()
            }
        })
        .collect();
    fuzz("journal", |mutator| {
        let mut bytes = mutator.pick(&seeds).clone();
        let whole_lines = mutator.below(bytes.len());
        if let Some(newline) = bytes[whole_lines..].iter().position(|&byte| byte == b'\n') {
            bytes.truncate(whole_lines + newline + 1);
        }
        mutator.bytes(&mut bytes, &WORDS, &seeds);
        fs::write(&path, &bytes).unwrap();
        // Lines of one byte cost this test's own lists the most.
        bounded(64 * 1024 + 200 * bytes.len(), || read_and_write(&path, &bytes, mutator));
    });
}

fn read_and_write(path: &std::path::Path, bytes: &[u8], mutator: &mut Mutator) {
    let Ok(reader) = Reader::open(path) else {
        assert!(Writer::open(path).is_err(), "who cannot read it must not write it");
        assert_eq!(fs::read(path).unwrap(), bytes, "and leaves it as it is");
        return;
    };
    let start = reader.start();
    let expected = entries(&bytes[start as usize..], start);
    let end = reader.end().unwrap();
    assert_eq!(end, expected.last().map_or(start, |last| last.1));
    assert_eq!(forwards(&reader, mutator), expected);
    assert_eq!(backwards(&reader, end, mutator), expected);
    for _ in 0..20 {
        let offset = mutator.next() % (bytes.len() as u64 + 2);
        match reader.align(offset) {
            Err(_) => assert!(offset > bytes.len() as u64),
            Ok(aligned) => {
                let of = expected.iter().find(|entry| (entry.0..entry.1).contains(&offset)).map(|entry| entry.0);
                assert_eq!(aligned, of.unwrap_or(if offset < start { start } else { end }), "of {offset}");
            }
        }
        // Not a boundary, mostly: an error or something, and no panic.
        let _ = reader.read(offset, mutator.below(5_000), &mut Vec::new());
        let _ = reader.chunk_before(offset, mutator.below(5_000));
    }
    let mut writer = Writer::open(path).unwrap();
    assert_eq!(writer.end(), end, "a torn tail is cut off");
    let mut line = Vec::new();
    encode(&mut line, Micros(7), Kind::Out, b"more");
    assert_eq!(writer.append(&line).unwrap(), end + line.len() as u64);
    let mut buffer = Vec::new();
    reader.read(end, usize::MAX, &mut buffer).unwrap();
    assert_eq!(buffer, line);
}
