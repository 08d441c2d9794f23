//! Properties of any input.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::journal::By;

/// One record of any kind.
#[derive(Clone, Debug)]
enum Any {
    Out(Vec<u8>),
    OutPart(Vec<u8>),
    Err(Vec<u8>),
    Json(String),
    Started,
    Exited(Option<i32>, bool),
    Delivered,
    Interrupted,
    Launching(bool),
    Lost,
}

fn any_record() -> impl Strategy<Value = Any> {
    let bytes = || {
        let line = proptest::collection::vec(any::<u8>().prop_filter("no newline", |byte| *byte != b'\n'), 0..40);
        prop_oneof![line, Just(b"end".to_vec()), Just(b"\x1b[1mready".to_vec()), Just(b"ready".to_vec())]
    };
    prop_oneof![
        4 => bytes().prop_map(Any::Out),
        1 => bytes().prop_map(Any::OutPart),
        1 => bytes().prop_map(Any::Err),
        6 => any_json().prop_map(Any::Json),
        1 => Just(Any::Started),
        1 => (proptest::option::of(0..3), any::<bool>()).prop_map(|(code, stays)| Any::Exited(code, stays)),
        2 => Just(Any::Delivered),
        1 => Just(Any::Interrupted),
        1 => any::<bool>().prop_map(Any::Launching),
        1 => Just(Any::Lost),
    ]
}

/// Objects that often match a rule, and often not.
fn any_json() -> impl Strategy<Value = String> {
    let value = prop_oneof![
        Just(json!(null)),
        Just(json!("text")),
        Just(json!(-1.5)),
        Just(json!(7)),
        Just(json!({"path": "p", "text": "t"})),
        Just(json!([{"text": "a"}, "b"])),
    ];
    let kinds = vec!["part", "thought", "said", "tool", "usage", "begin", "end", "session", "plan", "error", "new"];
    (proptest::sample::select(kinds), value.clone(), value)
        .prop_map(|(kind, a, b)| json!({"type": kind, "a": a, "b": b, "s": "s1"}).to_string())
}

fn journal(records: &[Any]) -> Journal {
    let mut journal = Journal::launched(WorkerOptions::default());
    for record in records {
        match record {
            Any::Out(line) => journal.push(Kind::Out, line),
            Any::OutPart(line) => journal.push(Kind::OutPart, line),
            Any::Err(line) => journal.push(Kind::Err, line),
            Any::Json(line) => journal.out(line),
            Any::Started => journal.started(),
            Any::Exited(code, stays) => journal.exited(*code, *stays),
            Any::Delivered => journal.delivered("m"),
            Any::Interrupted => journal.ctl(&Control::InterruptRequested { by: By::User }),
            Any::Launching(resume) => {
                journal.ctl(&Control::Launching {
                    session_id: Some("s2".into()),
                    resume: *resume,
                    settings: None,
                    limits: None,
                });
            }
            Any::Lost => journal.ctl(&Control::ShimLost { ended: Vec::new(), imported: false }),
        }
    }
    journal
}

fn adapters() -> Vec<DeclaredAdapter> {
    let fields = json!([
        {"when": {"type": "part"}, "event": "part", "content": "a", "message_id": "b"},
        {"when": {"type": "thought"}, "event": "part", "content": "a", "of": "thinking"},
        {"when": {"type": ["said", "end"]}, "event": "assistant", "content": "a", "message_id": "b"},
        {"when": {"type": "tool"}, "event": "tool_call", "tool_call_id": "a", "name": "b", "input": ".", "locations": "b"},
        {"when": {"type": "tool"}, "event": "tool_result", "tool_call_id": "a", "output": "b", "is_error": {"a": 7}},
        {"when": {"type": "usage"}, "event": "usage", "usage": {"input_tokens": "a", "output_tokens": "b", "cumulative": true}},
        {"when": {"type": "begin"}, "event": "turn_started"},
        {"when": {"type": "end"}, "event": "turn_completed", "usage": {"input_tokens": "a"}, "cost_usd": "b", "result": "b"},
        {"when": {"type": "session"}, "event": "session", "session_id": "a", "model": "b"},
        {"when": {"type": "plan"}, "event": "plan", "entries": "a"},
        {"when": {"type": "error"}, "event": "error", "code": "a", "content": "b"},
        {"when": {"b": 7}, "event": "notice", "content": "a"},
    ]);
    vec![
        declared(&json!({"family": "text", "command": ["p"]})),
        declared(
            &json!({"family": "text", "command": ["p"], "ready": {"line": "ready"}, "turn_end": {"prefix": "end"}}),
        ),
        declared(&json!({"family": "text", "mode": "per_message", "command": ["p", "{session_id}", "{message}"]})),
        declared(
            &json!({"family": "jsonl", "command": ["p"], "fields": fields, "ready": {"when": {"type": "session"}}}),
        ),
        declared(&json!({"family": "jsonl", "mode": "per_message", "command": ["p"], "fields": fields,
            "session_id": "s", "ids_restart": true})),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn fold_of_any_records_can_be_cut_without_overlapping_turns(
        records in proptest::collection::vec(any_record(), 0..60),
    ) {
        let journal = journal(&records);
        for adapter in adapters() {
            assert_any_cut_gives_the_same(&adapter, &journal);
            let mut open = None;
            for event in events(&adapter, &journal) {
                match event["type"].as_str() {
                    Some("turn_started") => {
                        prop_assert!(open.is_none());
                        open = Some(event["turn_id"].clone());
                    }
                    Some("turn_completed") => prop_assert_eq!(open.take(), Some(event["turn_id"].clone())),
                    _ => {}
                }
            }
        }
    }

    #[test]
    fn no_text_of_a_plain_program_is_lost(lines in proptest::collection::vec("[^\x1b\r\n]{0,20}", 0..30)) {
        let mut journal = Journal::launched(WorkerOptions::default());
        journal.started();
        lines.iter().for_each(|line| journal.out(line));
        let reported = events(&adapters()[0], &journal);
        let reported: Vec<&str> = reported.iter().filter_map(|event| event["content"].as_str()).collect();
        let words: Vec<&str> = lines.iter().map(String::as_str).filter(|line| !line.trim().is_empty()).collect();
        prop_assert_eq!(reported, words, "all but blank lines");
    }

    #[test]
    fn any_file_is_loaded_or_refused_and_never_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = DeclaredAdapter::parse(&bytes, Path::new("/adapters/x.json"));
    }

    #[test]
    fn any_value_in_any_field_loads_or_is_refused(
        field in proptest::sample::select(vec!["type", "mode", "command", "resume_command", "env", "input", "interrupt",
            "volatile", "ready", "session_id", "tool_kinds", "fields", "choices", "version_args", "secret_env"]),
        value in any_value(),
    ) {
        let mut file = json!({"family": "jsonl", "command": ["p"], "fields": []});
        file[field] = value;
        let _ = DeclaredAdapter::parse(file.to_string().as_bytes(), Path::new("/adapters/x.json"));
    }

    #[test]
    fn pieces_of_any_size_give_their_whole_text(sizes in proptest::collection::vec(0_usize..70_000, 1..8)) {
        let adapter = &adapters()[3];
        let mut journal = Journal::launched(WorkerOptions::default());
        journal.started();
        let mut whole = String::new();
        for (at, size) in sizes.iter().enumerate() {
            let text = char::from(b'a' + at as u8).to_string().repeat(*size);
            journal.out(&json!({"type": "part", "a": text}).to_string());
            whole.push_str(&text);
        }
        journal.exited(Some(0), false);
        let reported = events(adapter, &journal);
        let reported = reported.iter().filter(|event| event["type"] == "assistant");
        let texts: Vec<&str> = reported.filter_map(|event| event["content"].as_str()).collect();
        prop_assert_eq!(texts.concat(), whole);
        let fits = |text: &&str| text.len() <= crate::adapter::declared::MESSAGE_BYTES_MAX;
        prop_assert!(texts.iter().all(fits));
    }
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[a-z{}$.]{0,12}".prop_map(Value::from),
        proptest::sample::select(vec!["{message}", "{model}", "line", "json", "when", "assistant"])
            .prop_map(Value::from),
    ];
    let keys =
        vec!["when", "event", "content", "encoding", "template", "line", "prefix", "type", "not", "exists", "value"];
    leaf.prop_recursive(4, 24, 4, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::vec((proptest::sample::select(keys.clone()), inner), 0..4)
                .prop_map(|members| members.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
        ]
    })
}
