//! Declared adapter files: refused with a reason, or an adapter that works.

use std::path::{Path, PathBuf};

use rs_worker::testing::adapter::declared::DeclaredAdapter;
use rs_worker::testing::adapter::{Adapter, Command, LaunchRequest, Message, SessionChoice};
use rs_worker::testing::clock::Micros;
use rs_worker::testing::journal::{Control, Kind, Record, WorkerOptions};
use serde_json::{Value, json};

use crate::mutate::{Mutator, files};
use crate::run::{bounded, fuzz};

/// Lines of a capture that are fed to each adapter.
const LINES: usize = 60;

fn words(seeds: &[Vec<u8>]) -> Vec<String> {
    fn collect(value: &Value, words: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                for (key, value) in fields {
                    words.push(key.clone());
                    collect(value, words);
                }
            }
            Value::Array(items) => items.iter().for_each(|item| collect(item, words)),
            Value::String(text) if text.len() < 60 => words.push(text.clone()),
            _ => {}
        }
    }
    let mut words = vec!["{{content}}".to_owned(), "{{".to_owned(), "$.a[0]".to_owned(), "a.b.*".to_owned()];
    seeds.iter().for_each(|seed| collect(&serde_json::from_slice(seed).unwrap(), &mut words));
    words.sort();
    words.dedup();
    words
}

#[test]
fn any_file_is_refused_or_an_adapter_that_works() {
    let seeds = files("adapters/examples", ".json");
    let words = words(&seeds);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let folders = ["codex", "gemini", "opencode"].map(|cli| format!("tests/captures/{cli}"));
    let mut captures: Vec<Vec<u8>> = folders.iter().flat_map(|folder| files(folder, ".jsonl")).collect();
    captures.extend(folders.iter().flat_map(|folder| files(folder, ".journal")).map(|journal| printed(&journal)));
    fuzz("declared adapter files", |mutator| {
        let seed = mutator.pick(&seeds).clone();
        let mut bytes = seed;
        for _ in 0..=mutator.below(4) {
            bytes = mutator.json(&bytes, &words, &seeds);
        }
        let capture = mutator.pick(&captures);
        let size = bytes.len() + capture.len();
        bounded(16 * 1024 * 1024 + 64 * size, || match DeclaredAdapter::parse(&bytes, Path::new("fuzz.json")) {
            Err(error) => assert!(!error.to_string().is_empty()),
            Ok(adapter) => work(&adapter, capture, mutator),
        });
    });
}

/// The lines of a journal that the CLI printed.
fn printed(journal: &[u8]) -> Vec<u8> {
    let lines = journal.split(|&byte| byte == b'\n').filter_map(|line| Record::parse(line, 0));
    let lines = lines.filter(|record| record.kind == Kind::Out).map(|record| record.payload);
    lines.collect::<Vec<_>>().join(&b'\n')
}

fn work(adapter: &DeclaredAdapter, capture: &[u8], mutator: &mut Mutator) {
    let options = WorkerOptions {
        model: mutator.once_in(2).then(|| "m{{content}}\u{0}".to_owned()),
        permission_mode: mutator.once_in(2).then(|| "plan".to_owned()),
        args: vec!["--x".to_owned()],
        ..WorkerOptions::default()
    };
    let session = *mutator.pick(&[
        SessionChoice::New("6dd2e0c5-1b8e-4ea7-a1b7-0f7ea9ac5d6c"),
        SessionChoice::Resume("r"),
        SessionChoice::Fork { from: "f", new: "n" },
    ]);
    let _ = adapter.launch(&LaunchRequest { project_path: &PathBuf::from("/p"), options: &options, session });
    let mut session = adapter.open();
    let created = json!({"type": "created", "worker_id": "w", "name": "n", "project_path": "/p", "ai_cli_type": "x"});
    let mut seq = 100;
    let mut take = |session: &mut Box<dyn rs_worker::testing::adapter::Session>, kind: Kind, payload: &[u8]| {
        let control = (kind == Kind::Ctl).then(|| Control::from_json(payload));
        let len = payload.len() as u64 + 22;
        let record = Record { seq, time: Micros(seq), kind, payload, len };
        let mut events = Vec::new();
        session.record(&record, control.as_ref(), &mut events);
        assert!((events.len() as u64) < len, "a record has room for its events' numbers");
        seq += len;
    };
    take(&mut session, Kind::Ctl, created.to_string().as_bytes());
    let message = Message { id: "m1", content: "hello \"{{content}}\" $(x)\n", attachments: &[] };
    let _ = session.encode(&Command::Message(&message));
    for line in capture.split(|&byte| byte == b'\n').take(LINES) {
        take(&mut session, *mutator.pick(&[Kind::Out, Kind::Out, Kind::Out, Kind::OutPart, Kind::Err]), line);
        if mutator.once_in(8) {
            session = adapter.restore(&session.save()).expect("it reads what it saved");
        }
        let _ = (session.due(), session.activity());
    }
    let _ = session.encode(&Command::Interrupt);
}
