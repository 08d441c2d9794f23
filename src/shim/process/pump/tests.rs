use proptest::prelude::*;

use super::{Pump, PumpStream, RecordBatch, VolatileMark};
use crate::clock::Micros;
use crate::journal::{Control, Entry, Kind, records};
use crate::shim::spec::LineKinds;

/// Puts `chunks` through a pump and gives the records back, as kind and payload.
fn pumped(chunks: &[Vec<u8>], line_max: usize) -> Vec<(Kind, Vec<u8>)> {
    let mut pump = Pump::new(PumpStream::Out, line_max);
    let mut batch = RecordBatch::default();
    for chunk in chunks {
        let mut rest = &chunk[..];
        while !rest.is_empty() {
            let space = pump.space();
            let count = rest.len().min(space.len());
            space[..count].copy_from_slice(&rest[..count]);
            pump.filled(count, Micros(7), &LineKinds::default(), &mut batch);
            rest = &rest[count..];
        }
    }
    pump.finish(Micros(8), &mut batch);
    records(&batch.records, 0)
        .map(|entry| match entry {
            Entry::Record(record) => (record.kind, record.payload.to_vec()),
            Entry::Garbage { .. } => panic!("a record that cannot be read back"),
        })
        .collect()
}

/// The bytes that the records encode.
fn bytes_of(records: &[(Kind, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (kind, payload) in records {
        if *kind != Kind::Ctl {
            bytes.extend_from_slice(payload);
        }
        if *kind == Kind::Out {
            bytes.push(b'\n');
        }
    }
    bytes
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), Just(0), Just(0xff), any::<u8>()], 0..60)
}

proptest! {
    #[test]
    fn any_bytes_in_any_pieces_come_back_the_same(chunks in prop::collection::vec(bytes(), 0..12)) {
        let whole = chunks.concat();
        let records = pumped(&chunks, 1024);
        prop_assert_eq!(bytes_of(&records), whole.clone());
        let lines = whole.iter().filter(|&&byte| byte == b'\n').count();
        prop_assert_eq!(records.iter().filter(|(kind, _)| *kind == Kind::Out).count(), lines);
        let unfinished = usize::from(whole.last().is_some_and(|&last| last != b'\n'));
        prop_assert_eq!(records.iter().filter(|(kind, _)| *kind == Kind::OutPart).count(), unfinished);
    }

    #[test]
    fn lines_past_the_limit_are_cut_with_one_notice(
        chunks in prop::collection::vec(bytes(), 0..12), line_max in 1_usize..9
    ) {
        let whole = chunks.concat();
        let records = pumped(&chunks, line_max);
        prop_assert_eq!(bytes_of(&records), whole.clone());
        let too_long = whole.split(|&byte| byte == b'\n').filter(|line| line.len() > line_max).count();
        let said = records.iter().filter(|(kind, _)| *kind == Kind::Ctl).count();
        prop_assert_eq!(said, too_long);
        prop_assert!(records.iter().all(|(kind, payload)| *kind == Kind::Ctl || payload.len() <= line_max));
    }
}

#[test]
fn a_line_split_record_names_the_stream_and_the_limit() {
    let records = pumped(&[b"abcdef\n".to_vec()], 4);
    assert_eq!(Control::from_json(&records[0].1), Control::LineSplit { stream: "out".into(), limit: 4 });
    assert_eq!(records[1], (Kind::OutPart, b"abcd".to_vec()));
    assert_eq!(records[2], (Kind::Out, b"ef".to_vec()));
}

/// Lines that begin with a tilde are volatile.
fn tilde() -> LineKinds {
    LineKinds { volatile: vec![b"~".to_vec()], message_ends: Vec::new() }
}

#[test]
fn volatile_lines_stay_between_the_records_around_them() {
    let mut pump = Pump::new(PumpStream::Out, 1024);
    let mut batch = RecordBatch::default();
    let text = b"a\n~1\n~2\nb\n~3\n";
    pump.space()[..text.len()].copy_from_slice(text);
    pump.filled(text.len(), Micros(7), &tilde(), &mut batch);
    assert_eq!(batch.records, b"7 out a\n7 out b\n");
    assert_eq!(batch.volatile, b"v 7 out ~1\nv 7 out ~2\nv 7 out ~3\n");
    assert_eq!(batch.marks, [VolatileMark { at: 8, end: 22 }, VolatileMark { at: 16, end: 33 }]);
    assert!(batch.finishes_message);
    assert_eq!(batch.current_from, 22);
}

#[test]
fn no_line_of_stderr_is_volatile() {
    let mut pump = Pump::new(PumpStream::Err, 1024);
    let mut batch = RecordBatch::default();
    pump.space()[..3].copy_from_slice(b"~1\n");
    pump.filled(3, Micros(7), &tilde(), &mut batch);
    assert_eq!(batch.records, b"7 err ~1\n");
    assert!(batch.volatile.is_empty() && !batch.finishes_message);
}

#[test]
fn long_line_in_small_reads_passes_whole_and_buffers_shrink() {
    let line: Vec<u8> = (0..5_000_000_u32).map(|n| (n % 251) as u8).map(|byte| byte.max(11)).collect();
    let mut text = line.clone();
    text.extend_from_slice(b"\nshort\n");
    let mut pump = Pump::new(PumpStream::Out, 8_000_000);
    let mut batch = RecordBatch::default();
    for chunk in text.chunks(60_001) {
        pump.space()[..chunk.len()].copy_from_slice(chunk);
        pump.filled(chunk.len(), Micros(7), &LineKinds::default(), &mut batch);
    }
    assert!(batch.records[6..].starts_with(&line));
    assert!(batch.records.ends_with(b"\n7 out short\n"));
    assert!(pump.buffer.len() <= 2 * super::READ_MAX);
}
