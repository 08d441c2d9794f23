//! Properties that hold for any bytes.

use proptest::collection::vec;
use proptest::prelude::*;

use super::super::JournalError;
use super::*;

/// Anything that a line may hold.
fn payload() -> impl Strategy<Value = Vec<u8>> {
    let bytes = vec(any::<u8>(), 0..120);
    let awkward = prop_oneof![
        Just(b"".to_vec()),
        Just(b" ".to_vec()),
        Just(b"\r".to_vec()),
        Just(b"\0\0".to_vec()),
        Just(b"1704067200000000 out looks like a record".to_vec()),
        Just(b"rs-worker-journal 1 worker-2".to_vec()),
        Just("é\u{2028}\u{85}".as_bytes().to_vec()),
    ];
    // Longer than the pieces of a search.
    let long = (4_000..20_000_usize, any::<u8>()).prop_map(|(len, byte)| vec![byte; len]);
    prop_oneof![6 => bytes, 3 => awkward, 1 => long].prop_map(|mut payload| {
        payload.retain(|&byte| byte != b'\n');
        payload
    })
}

/// A file with a header and any content at all, mostly whole and broken records.
fn content() -> impl Strategy<Value = Vec<u8>> {
    let line = prop_oneof![
        4 => payload().prop_map(|payload| lines(&[payload])),
        1 => payload().prop_map(|mut payload| { payload.push(b'\n'); payload }),
        1 => vec(any::<u8>(), 0..50),
    ];
    vec(line, 0..12).prop_map(|lines| lines.concat())
}

fn limit() -> impl Strategy<Value = usize> {
    prop_oneof![0..200_usize, 3_000..6_000_usize, 0..100_000_usize]
}

fn write_file(scratch: &Scratch, content: &[u8]) -> Vec<u8> {
    let file = [format!("rs-worker-journal 1 {ID}\n").as_bytes(), content].concat();
    fs::write(scratch.journal(), &file).unwrap();
    file
}

/// Offsets of all lines and of their end, found in the plainest way.
fn boundaries(file: &[u8]) -> Vec<u64> {
    (1..=file.len()).filter(|&at| file[at - 1] == b'\n').map(|at| at as u64).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_bytes_in_are_the_same_bytes_out(batches in vec(vec(payload(), 0..5), 0..5), limit in limit()) {
        let scratch = Scratch::new();
        let mut writer = Writer::create(&scratch.journal(), ID).unwrap();
        let mut expected = Vec::new();
        for batch in &batches {
            writer.append(&lines(batch)).unwrap();
            expected.extend(batch.iter().enumerate().map(|(n, payload)| (stamp(n), payload.clone())));
        }
        let reader = Reader::open(&scratch.journal()).unwrap();
        let (mut found, mut bytes) = (Vec::new(), Vec::new());
        let mut at = reader.start();
        let end = read_on(&reader, reader.start(), limit, |entry| {
            let record = record(entry);
            assert_eq!(record.seq, at);
            at = record.end();
            found.push(((record.time, record.kind), record.payload.to_vec()));
            encode(&mut bytes, record.time, record.kind, record.payload);
        });
        prop_assert_eq!(found, expected);
        prop_assert_eq!(end, writer.end());
        prop_assert_eq!(&bytes[..], &fs::read(scratch.journal()).unwrap()[reader.start() as usize..]);
    }

    #[test]
    fn any_time_and_kind_is_read_back(time in any::<u64>(), n in 0..6_usize, payload in payload(), seq in 0..1_u64 << 60) {
        let mut line = Vec::new();
        encode(&mut line, Micros(time), stamp(n).1, &payload);
        let len = line.len() as u64;
        let record = Record { seq, time: Micros(time), kind: stamp(n).1, payload: &payload, len };
        prop_assert_eq!(records(&line, seq).collect::<Vec<_>>(), [Entry::Record(record)]);
    }

    #[test]
    fn file_cut_at_any_byte_opens_with_its_whole_records(content in content()) {
        let scratch = Scratch::new();
        let file = write_file(&scratch, &content);
        let boundaries = boundaries(&file);
        let step = 1 + file.len() / 120;
        for cut in (0..file.len()).rev().step_by(step).chain(boundaries.iter().map(|&at| at as usize)) {
            fs::write(scratch.journal(), &file[..cut]).unwrap();
            let opened = Writer::open(&scratch.journal());
            let Some(&last) = boundaries.iter().rfind(|&&at| at as usize <= cut) else {
                assert!(matches!(opened, Err(JournalError::HalfHeader { .. })));
                continue;
            };
            let mut writer = opened.unwrap();
            prop_assert_eq!((writer.end(), writer.cut()), (last, cut as u64 - last));
            prop_assert_eq!(&fs::read(scratch.journal()).unwrap()[..], &file[..last as usize]);
            writer.append(&lines(&["next"])).unwrap();
            prop_assert_eq!(fs::read(scratch.journal()).unwrap(), [&file[..last as usize], &lines(&["next"])].concat());
        }
    }

    #[test]
    fn every_byte_leads_to_its_record(content in content()) {
        let scratch = Scratch::new();
        let file = write_file(&scratch, &content);
        let reader = Reader::open(&scratch.journal()).unwrap();
        let boundaries = boundaries(&file);
        let step = 1 + file.len() / 2_000;
        let near = boundaries.iter().flat_map(|&at| [at - 1, at, at + 1]).filter(|&at| at <= file.len() as u64);
        for offset in (0..=file.len() as u64).step_by(step).chain(near) {
            let expected = boundaries.iter().rfind(|&&at| at <= offset).unwrap_or(&boundaries[0]);
            prop_assert_eq!(reader.align(offset).unwrap(), *expected);
        }
        prop_assert_eq!(reader.end().unwrap(), *boundaries.last().unwrap());
    }

    #[test]
    fn reading_from_any_record_gives_the_rest_of_all_records(content in content(), limit in limit()) {
        let scratch = Scratch::new();
        let file = write_file(&scratch, &content);
        let reader = Reader::open(&scratch.journal()).unwrap();
        let boundaries = boundaries(&file);
        let all: Vec<Entry<'_>> = records(&file[boundaries[0] as usize..], boundaries[0]).collect();
        prop_assert_eq!(all.len(), boundaries.len() - 1);
        for (n, &from) in boundaries.iter().enumerate() {
            let mut rest = all[n..].iter();
            let end = read_on(&reader, from, limit, |entry| assert_eq!(Some(&entry), rest.next()));
            prop_assert!(rest.next().is_none());
            prop_assert_eq!(end, *boundaries.last().unwrap());
        }
    }

    #[test]
    fn walking_back_sees_every_record_once(content in content(), limit in limit()) {
        let scratch = Scratch::new();
        let file = write_file(&scratch, &content);
        let reader = Reader::open(&scratch.journal()).unwrap();
        let boundaries = boundaries(&file);
        let (mut end, mut buf, mut seen) = (reader.end().unwrap(), Vec::new(), Vec::new());
        while end > reader.start() {
            let from = read_before(&reader, end, limit, &mut buf).unwrap();
            prop_assert!(from < end);
            prop_assert_eq!(&buf[..], &file[from as usize..end as usize]);
            // It fits or is one record, and one record more would not fit.
            prop_assert!(buf.len() <= limit || records(&buf, from).count() == 1);
            let longer = boundaries.iter().rfind(|&&at| at < from);
            prop_assert!(longer.is_none_or(|&at| end - at > limit as u64));
            seen.splice(0..0, records(&buf, from).map(|entry| entry.seq()));
            end = from;
        }
        prop_assert_eq!(&seen[..], &boundaries[..boundaries.len() - 1]);
    }

    #[test]
    fn read_ends_at_a_record_boundary_given_as_limit(content in content(), from in any::<prop::sample::Index>()) {
        let scratch = Scratch::new();
        let boundaries = boundaries(&write_file(&scratch, &content));
        let reader = Reader::open(&scratch.journal()).unwrap();
        let from = from.index(boundaries.len());
        let mut buf = Vec::new();
        for &to in &boundaries[from + 1..] {
            let next = reader.read(boundaries[from], (to - boundaries[from]) as usize, &mut buf).unwrap();
            prop_assert_eq!(next, to);
        }
    }
}
