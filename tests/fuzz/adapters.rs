//! Lines of CLIs, in any order and with anything in them: a worker's whole fold continues, can be saved and restored at
//! any place, and takes commands.

use std::sync::Arc;

use rs_worker::testing::adapter::acp::{Gemini, GeminiSettings, OpenCode, OpenCodeSettings};
use rs_worker::testing::adapter::claude::{Claude, ClaudeSettings};
use rs_worker::testing::adapter::codex::{Codex, CodexSettings};
use rs_worker::testing::adapter::declared::DeclaredAdapter;
use rs_worker::testing::adapter::{Adapter, Command, Message, PermissionAnswer};
use rs_worker::testing::clock::Micros;
use rs_worker::testing::event::numbered;
use rs_worker::testing::journal::{By, Control, EndedProcess, Entry, Kind, Record, records};
use rs_worker::testing::wire::{self, Output};
use rs_worker::testing::worker::fold::Fold;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::mutate::{Mutator, files, project_file};
use crate::run::{bounded, fuzz};

/// The id of the messages in the cases.
const MESSAGE: &str = "6dd2e0c5-1b8e-4ea7-a1b7-0f7ea9ac5d6c";
/// Records of one case.
const RECORDS_MAX: usize = 60;
/// Lines of one capture that are used: the later ones of long ones are all alike.
const LINES_MAX: usize = 100;
/// Memory that a fold may need beside what its input's size gives, in bytes.
const FOLD_BYTES: usize = 32 * 1024 * 1024;
/// Bytes of memory for each byte of input: JSON as a tree, events, saved states, this test's copies.
const BYTES_PER_INPUT_BYTE: usize = 200;

const WORDS: [&str; 60] = [
    "type",
    "subtype",
    "message",
    "content",
    "text",
    "id",
    "uuid",
    "request_id",
    "request",
    "response",
    "tool_name",
    "input",
    "tool_use_id",
    "is_error",
    "assistant",
    "user",
    "result",
    "system",
    "control_request",
    "control_response",
    "control_cancel_request",
    "can_use_tool",
    "stream_event",
    "init",
    "tool_use",
    "tool_result",
    "thinking",
    "AskUserQuestion",
    "TodoWrite",
    "questions",
    "options",
    "method",
    "params",
    "jsonrpc",
    "session/update",
    "session/prompt",
    "session/request_permission",
    "sessionUpdate",
    "agent_message_chunk",
    "tool_call",
    "tool_call_update",
    "plan",
    "initialize",
    "sessionId",
    "toolCallId",
    "stopReason",
    "rawInput",
    "error",
    "code",
    "thread/started",
    "turn/started",
    "turn/completed",
    "item/started",
    "item/completed",
    "item/agentMessage/delta",
    "threadId",
    "turnId",
    "itemId",
    "item",
    "rs-worker-initialize",
];

/// One line of a journal that a case may use.
#[derive(Clone)]
struct Line {
    kind: Kind,
    payload: Vec<u8>,
}

/// The records of journals and the lines of captures.
fn lines(folder: &str) -> Vec<Line> {
    let journals = files(folder, ".journal");
    let captures = files(folder, ".jsonl");
    let from_journals = journals.iter().flat_map(|journal| {
        records(journal, 0).filter_map(|entry| match entry {
            Entry::Record(record) => Some(Line { kind: record.kind, payload: record.payload.to_vec() }),
            Entry::Garbage { .. } => None,
        })
    });
    let from_captures = captures.iter().flat_map(|capture| {
        let lines = capture.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
        lines.take(LINES_MAX).map(|line| Line { kind: Kind::Out, payload: line.to_vec() })
    });
    from_journals.chain(from_captures).chain(controls()).collect()
}

/// Records that shim and server write of a worker.
fn controls() -> Vec<Line> {
    let id = || MESSAGE.to_owned();
    let ended = vec![EndedProcess { pid: 1, name: "x".into(), signal: "SIGKILL".into() }];
    let exited = |exit_code, signal, shim_stays| Control::Exited {
        exit_code,
        signal,
        stderr_tail: "x".into(),
        ended: ended.clone(),
        shim_stays,
        out_of_memory: None,
    };
    [
        Control::Launching { session_id: Some("s".into()), resume: false, settings: None, limits: None },
        Control::Started { pid: 1, start_time: 2, shim_pid: 3, shim_start_time: 4, argv: vec!["x".into()] },
        Control::MessageQueued {
            message_id: id(),
            client_message_id: Some("c".into()),
            content: "hello".into(),
            attachments: Vec::new(),
            steer: false,
            sent_hash: None,
            review: Vec::new(),
        },
        Control::MessageDelivered {
            message_id: id(),
            client_message_id: None,
            content: "hello".into(),
            attachments: Vec::new(),
        },
        Control::MessageEdited { message_id: id(), content: "other".into() },
        Control::MessageRemoved { message_id: id(), reason: None },
        Control::PermissionAnswered {
            request_id: "r".into(),
            decision: "allow".into(),
            message: None,
            answers: Some(json!({"a": "b"})),
            updated_input: None,
            by: By::User,
            rule: None,
        },
        Control::InterruptRequested { by: By::User },
        Control::StopRequested { by: By::User, reason: None },
        Control::Stalled { reason: "x".into() },
        Control::LineSplit { stream: "stdout".into(), limit: 7 },
        Control::Renamed { name: "x".into() },
        Control::Configured { model: Some("m".into()), permission_mode: Some("plan".into()) },
        exited(Some(0), None, false),
        exited(Some(1), None, true),
        exited(None, Some("SIGKILL".into()), false),
        Control::ShimLost { ended: ended.clone(), imported: false },
        Control::SpawnFailed { error: "x".into(), missing: false },
    ]
    .map(|control| Line { kind: Kind::Ctl, payload: control.to_json() })
    .into()
}

fn created() -> Line {
    let created = Control::Created {
        worker_id: "w".into(),
        name: "n".into(),
        project_path: "/p".into(),
        ai_cli_type: "x".into(),
        options: Box::default(),
        forked_from: None,
        worktree: None,
    };
    Line { kind: Kind::Ctl, payload: created.to_json() }
}

/// A case's records: runs of real ones, some of them changed, doubled, swapped or left out.
fn case(mutator: &mut Mutator, all: &[Line], controls: &[Line], payloads: &[Vec<u8>]) -> Vec<Line> {
    let mut chosen = vec![created()];
    while chosen.len() < RECORDS_MAX {
        let start = mutator.below(all.len());
        let count = mutator.below(30) + 1;
        chosen.extend(all[start..].iter().take(count).cloned());
        if mutator.once_in(3) {
            break;
        }
    }
    chosen.truncate(RECORDS_MAX);
    for _ in 0..mutator.below(8) {
        let at = mutator.below(chosen.len());
        chosen.insert(at, mutator.pick(controls).clone());
    }
    for line in &mut chosen {
        if mutator.once_in(4) {
            line.payload = mutator.json(&line.payload, &WORDS, payloads);
            line.payload.retain(|&byte| byte != b'\n');
        }
        if mutator.once_in(40) {
            line.kind = *mutator.pick(&[Kind::Out, Kind::OutPart, Kind::Err, Kind::ErrPart, Kind::In, Kind::Ctl]);
        }
    }
    for _ in 0..mutator.below(4) {
        let (a, b) = (mutator.below(chosen.len()), mutator.below(chosen.len()));
        chosen.swap(a, b);
    }
    chosen
}

/// Folds a record and gives what clients would be sent.
fn take(fold: &mut Fold, line: &Line, seq: u64) -> Vec<u8> {
    let len = line.payload.len() as u64 + 22;
    let record =
        Record { seq, time: Micros(1_700_000_000_000_000 + seq), kind: line.kind, payload: &line.payload, len };
    let mut sent = Vec::new();
    let mut last = None;
    let mut lines = wire::RawLines::default();
    let mut events = Vec::new();
    fold.record(&record, &mut events);
    for (number, event) in numbered(&record, &events) {
        assert!(number.is_none() || number > last, "numbers grow");
        assert!(number.is_none_or(|number| (seq..seq + len).contains(&number)), "and are the record's own");
        last = number.or(last);
        let begin = sent.len();
        let raw = lines.next(seq, &line.payload);
        wire::append_output(&mut sent, "w", &Output { seq: number, time: record.time, event, raw, more: None });
        let frame: &RawValue = serde_json::from_slice(&sent[begin..]).expect("JSON, whatever the CLI prints");
        // Values at the nesting limit of the parser are nested deeper in a frame.
        if let Ok(frame) = serde_json::from_str::<Value>(frame.get()) {
            let content = &frame["content"];
            assert!(content["type"].is_string() && content["content"].is_string(), "{frame}");
        }
    }
    sent
}

/// Returns the deepest nesting of a JSON text.
fn depth(json: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    for byte in json {
        match byte {
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

fn command(mutator: &mut Mutator, fold: &Fold) {
    let prompt = fold.state().prompts.first().map(|prompt| prompt.request_id.clone()).unwrap_or_else(|| "r".to_owned());
    let attachment = [json!({"media_type": "image/png", "data": "eA=="}), json!({"media_type": 1}), json!(null)];
    let message = Message { id: MESSAGE, content: "hi\n\u{0}", attachments: &attachment };
    let answer = PermissionAnswer {
        option_id: (*mutator.pick(&["allow", "deny", "x", "", "allow_always"])).to_owned(),
        message: mutator.once_in(2).then(|| "why".to_owned()),
        updated_input: mutator.once_in(2).then(|| json!({"command": "x"})),
        interrupt: mutator.once_in(2),
    };
    let answers = json!({"a question": ["x"], "other": 1});
    let commands = [
        Command::Message(&message),
        Command::Steer(&message),
        Command::Interrupt,
        Command::Permission { request_id: &prompt, answer: &answer },
        Command::Answer { request_id: &prompt, answers: &answers },
        Command::SetModel(Some("m")),
        Command::SetModel(None),
        Command::SetPermissionMode("plan"),
    ];
    let _ = fold.session().encode(mutator.pick(&commands));
}

fn run(name: &str, adapter: Arc<dyn Adapter>, all: &[Line]) {
    let payloads: Vec<Vec<u8>> = all.iter().map(|line| line.payload.clone()).collect();
    let controls = controls();
    fuzz(name, |mutator| {
        let case = case(mutator, all, &controls, &payloads);
        let size: usize = case.iter().map(|line| line.payload.len()).sum();
        bounded(FOLD_BYTES + BYTES_PER_INPUT_BYTE * size, || {
            let mut fold = Fold::new(Arc::clone(&adapter));
            // A second fold that is saved and restored at random places must report the same.
            let mut other = Fold::new(Arc::clone(&adapter));
            let mut seq = 100;
            for line in &case {
                let reported = take(&mut fold, line, seq);
                if mutator.once_in(6) {
                    let saved = other.save();
                    match Fold::restore(&adapter, &saved) {
                        Some(restored) => other = restored,
                        // Then the journal is folded from its beginning.
                        None => assert!(depth(&saved) > 100, "it reads what it saved"),
                    }
                }
                assert!(reported == take(&mut other, line, seq), "a restored fold tells something else");
                if mutator.once_in(6) {
                    let record = Record { seq, time: Micros(seq), kind: Kind::Out, payload: &line.payload, len: 1 };
                    fold.volatile(&record, &mut Vec::new());
                }
                seq += line.payload.len() as u64 + 22;
                let _ = fold.session().due();
                if mutator.once_in(6) {
                    command(mutator, &fold);
                }
            }
            assert!(fold.save() == other.save(), "a restored fold has another state");
        });
    });
}

#[test]
fn claude_code_can_print_anything() {
    let adapter = Claude::new(ClaudeSettings { binary: "claude".into(), model: None, api_key: None });
    run("claude", Arc::new(adapter), &lines("tests/captures/claude"));
}

#[test]
fn opencode_can_print_anything() {
    let settings = OpenCodeSettings { binary: "opencode".into(), api_key: None, api_base: None, model: None };
    run("opencode", Arc::new(OpenCode::new(settings)), &lines("tests/captures/opencode"));
}

#[test]
fn gemini_can_print_anything() {
    let settings = GeminiSettings { binary: "gemini".into(), api_key: None, model: None };
    run("gemini", Arc::new(Gemini::new(settings)), &lines("tests/captures/gemini"));
}

#[test]
fn codex_can_print_anything() {
    let settings = CodexSettings { binary: "codex".into(), api_key: None, model: None };
    run("codex", Arc::new(Codex::new(settings)), &lines("tests/captures/codex"));
}

#[test]
fn a_declared_cli_can_print_anything() {
    let path = project_file("adapters/examples/codex-exec.json");
    let adapter = DeclaredAdapter::read(&path).unwrap();
    run("declared", Arc::new(adapter), &lines("tests/captures/codex"));
}
