//! Random output of the app server: the fold accepts all of it, and can be saved and restored.

use proptest::prelude::*;
use serde_json::{Map, Value};

use super::{adapter, ready};
use crate::adapter::testing::recorded::{OwnedRecord, TestFold};
use crate::journal::{By, Control, Kind};

/// Words that the fold looks for, so that random lines get past its first look.
#[rustfmt::skip]
const WORDS: [&str; 62] = [
    "initialize", "thread/start", "thread/resume", "turn/start", "turn/steer", "turn/interrupt", "turn/started",
    "turn/completed", "turn/plan/updated", "item/started", "item/completed", "item/agentMessage/delta",
    "item/reasoning/summaryTextDelta", "item/reasoning/summaryPartAdded", "item/commandExecution/requestApproval",
    "item/fileChange/requestApproval", "item/permissions/requestApproval", "item/tool/requestUserInput",
    "mcpServer/elicitation/request", "item/tool/call", "serverRequest/resolved", "thread/tokenUsage/updated",
    "thread/settings/updated", "thread/closed", "account/rateLimits/updated", "error", "warning", "configWarning",
    "mcpServer/startupStatus/updated", "hook/completed", "userMessage", "agentMessage", "reasoning", "commandExecution",
    "fileChange", "mcpToolCall", "dynamicToolCall", "functionCallOutput", "collabAgentToolCall", "spawnAgent", "webSearch",
    "imageView", "imageGeneration", "plan", "contextCompaction", "completed", "interrupted", "failed", "inProgress",
    "declined", "accept", "cancel", "acceptWithExecpolicyAmendment", "form", "url", "add", "update", "delete", "thread-1",
    "t1", "usageLimitExceeded", "unauthorized",
];

#[rustfmt::skip]
const KEYS: [&str; 64] = [
    "id", "method", "params", "result", "error", "thread", "threadId", "turn", "turnId", "item", "itemId", "type", "text",
    "status", "content", "summary", "summaryIndex", "delta", "clientId", "clientUserMessageId", "command",
    "commandActions", "aggregatedOutput", "exitCode", "durationMs", "changes", "path", "kind", "diff", "move_path", "server",
    "tool", "arguments", "structuredContent", "contentItems", "success", "output", "receiverThreadIds", "agentsStates",
    "query", "availableDecisions", "questions", "question", "options", "permissions", "mode", "requestedSchema", "properties",
    "requestId", "message", "willRetry", "codexErrorInfo", "tokenUsage", "total", "last", "inputTokens", "rateLimits",
    "primary", "usedPercent", "resetsAt", "plan", "step", "model", "approvalPolicy",
];

fn word() -> impl Strategy<Value = String> {
    prop_oneof![4 => prop::sample::select(WORDS.to_vec()).prop_map(str::to_owned), 1 => "[ -~é🦀\u{0}]{0,12}"]
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof![9 => prop::sample::select(KEYS.to_vec()).prop_map(str::to_owned), 1 => word()]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (0_u64..4).prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        word().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 48, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((key(), inner), 0..7)
                .prop_map(|fields| Value::Object(fields.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

fn entry() -> impl Strategy<Value = OwnedRecord> {
    let kind =
        prop::sample::select(vec![Kind::Out, Kind::Out, Kind::Out, Kind::In, Kind::Err, Kind::OutPart, Kind::Ctl]);
    let bytes = prop::collection::vec(any::<u8>().prop_filter("a line", |byte| *byte != b'\n'), 0..40);
    let line = (prop::option::of(word()), prop::option::of(0_u64..4), value()).prop_map(|(method, id, params)| {
        let mut line = Map::new();
        line.extend(id.map(|id| ("id".to_owned(), id.into())));
        let name = if method.is_some() { "params" } else { "result" };
        line.extend(method.map(|method| ("method".to_owned(), method.into())));
        line.insert(name.to_owned(), params);
        Value::Object(line).to_string().into_bytes()
    });
    let interrupt = Control::InterruptRequested { by: By::User };
    let control =
        prop::sample::select(vec![OwnedRecord::started(), OwnedRecord::exited(), OwnedRecord::control(&interrupt)]);
    prop_oneof![
        1 => control,
        1 => (kind.clone(), bytes).prop_map(|(kind, bytes)| OwnedRecord::new(kind, bytes)),
        1 => (kind.clone(), value()).prop_map(|(kind, value)| OwnedRecord::new(kind, value.to_string())),
        8 => (kind, line).prop_map(|(kind, line)| OwnedRecord::new(kind, line)),
    ]
}

fn check(mut whole: TestFold, mut cut: TestFold, entries: &[OwnedRecord]) -> Result<(), TestCaseError> {
    for entry in entries {
        whole.take(entry);
        if whole.is_volatile(entry) {
            continue;
        }
        cut.save_and_restore();
        cut.take(entry);
        prop_assert_eq!(whole.session.save(), cut.session.save());
        prop_assert_eq!(whole.session.due(), cut.session.due());
    }
    let mut reported = whole.take_events();
    // The cut fold was not given the volatile lines.
    let mut reported_cut = cut.take_events();
    reported.retain(|event| event["type"] != "delta");
    reported_cut.retain(|event| event["type"] != "delta");
    prop_assert_eq!(reported, reported_cut);
    Ok(())
}

proptest! {
    #[test]
    fn no_line_stops_the_fold(entries in prop::collection::vec(entry(), 1..30)) {
        check(TestFold::new(adapter()), TestFold::new(adapter()), &entries)?;
        check(ready(), ready(), &entries)?;
    }
}
