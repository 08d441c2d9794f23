//! Tests of the journal.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::{env, fs, io, process};

use super::{Entry, Kind, Reader, Record, Writer, encode, records};
use crate::clock::Micros;

mod properties;
mod reading;
mod writing;

/// A folder of its own for each test, gone at its end.
struct Scratch {
    folder: PathBuf,
}

impl Scratch {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("rs-worker-journal-{}-{}", process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let folder = env::temp_dir().join(name);
        fs::create_dir(&folder).unwrap();
        Self { folder }
    }

    fn journal(&self) -> PathBuf {
        self.folder.join("journal")
    }

    /// A journal with these records after the header; also the offset of the first.
    fn with(&self, payloads: &[impl AsRef<[u8]>]) -> (PathBuf, u64) {
        let path = self.journal();
        let mut writer = Writer::create(&path, ID).unwrap();
        let start = writer.end();
        writer.append(&lines(payloads)).unwrap();
        (path, start)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.folder).unwrap();
    }
}

const ID: &str = "worker-1";

/// The kind and time of the n-th record of a test.
fn stamp(n: usize) -> (Micros, Kind) {
    let kinds = [Kind::Out, Kind::OutPart, Kind::Err, Kind::ErrPart, Kind::In, Kind::Ctl];
    (Micros(1_704_067_200_000_000 + n as u64), kinds[n % kinds.len()])
}

fn lines(payloads: &[impl AsRef<[u8]>]) -> Vec<u8> {
    let mut lines = Vec::new();
    for (n, payload) in payloads.iter().enumerate() {
        let (time, kind) = stamp(n);
        encode(&mut lines, time, kind, payload.as_ref());
    }
    lines
}

/// Reads on from `offset` until there is no more, `limit` bytes at a time.
fn read_on(reader: &Reader, mut offset: u64, limit: usize, mut each: impl FnMut(Entry<'_>)) -> u64 {
    let mut buf = Vec::new();
    loop {
        let next = reader.read(offset, limit, &mut buf).unwrap();
        if next == offset {
            assert!(buf.is_empty());
            return offset;
        }
        records(&buf, offset).for_each(&mut each);
        offset = next;
    }
}

/// The payloads of all records, which must have no garbage between them.
fn payloads(path: &Path) -> Vec<Vec<u8>> {
    let reader = Reader::open(path).unwrap();
    let mut found = Vec::new();
    read_on(&reader, reader.start(), 1000, |entry| found.push(record(entry).payload.to_vec()));
    found
}

fn record(entry: Entry<'_>) -> Record<'_> {
    match entry {
        Entry::Record(record) => record,
        Entry::Garbage { seq, len } => panic!("{len} bytes of garbage at {seq}"),
    }
}

/// Reads the records that end at the boundary `end`: as many as fit in `limit` bytes, but one at least. Returns the
/// offset of the first of them.
fn read_before(reader: &Reader, end: u64, limit: usize, buf: &mut Vec<u8>) -> io::Result<u64> {
    let from = reader.chunk_before(end, limit)?;
    if from == end {
        buf.clear();
        return Ok(end);
    }
    reader.read(from, usize::try_from(end - from).unwrap(), buf)?;
    Ok(from)
}
