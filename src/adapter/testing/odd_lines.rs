//! Every adapter on lines that are not well-formed JSON: a request in them is asked, or reported. For tests.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::adapter::REQUEST_NOT_UNDERSTOOD;
use crate::adapter::acp::{Gemini, GeminiSettings};
use crate::adapter::claude::{Claude, ClaudeSettings};
use crate::adapter::codex::{Codex, CodexSettings};
use crate::adapter::testing::recorded::{OwnedRecord, TestFold};
use crate::adapter::{Action, Adapter, Command, PermissionAnswer};
use crate::journal::Kind;

/// A permission request of each protocol; `HERE` is text in its input.
fn asking() -> [(Arc<dyn Adapter>, &'static str); 3] {
    let claude = ClaudeSettings { binary: "claude".into(), model: None, api_key: None };
    let codex = CodexSettings { binary: "codex".into(), model: None, api_key: None };
    [
        (
            Arc::new(Claude::new(claude)),
            r#"{"type":"control_request","request_id":"p","request":{"subtype":"can_use_tool","tool_name":"Bash","input":{"command":"echo HERE"},"tool_use_id":"t"}}"#,
        ),
        (
            Arc::new(Codex::new(codex)),
            r#"{"id":7,"method":"item/commandExecution/requestApproval","params":{"itemId":"i","command":"echo HERE"}}"#,
        ),
        (
            Arc::new(Gemini::new(GeminiSettings { binary: "gemini".into(), ..GeminiSettings::default() })),
            r#"{"jsonrpc":"2.0","id":7,"method":"session/request_permission","params":{"toolCall":{"toolCallId":"t","title":"echo HERE"},"options":[{"optionId":"a","name":"Allow","kind":"allow_once"}]}}"#,
        ),
    ]
}

/// The events of one type that a line of stdout brings about.
fn events(reported: &mut TestFold, line: &[u8], kind: &str) -> Vec<Value> {
    reported.take_events();
    reported.take(&OwnedRecord::new(Kind::Out, line));
    reported.take_events().into_iter().filter(|event| event["type"] == kind).collect()
}

fn started(adapter: &Arc<dyn Adapter>) -> TestFold {
    let mut reported = TestFold::new(Arc::clone(adapter));
    reported.take(&OwnedRecord::started());
    reported
}

#[test]
fn requests_in_odd_lines_are_asked() {
    let deep = format!("{}1{}", "[".repeat(5_000), "]".repeat(5_000));
    for (adapter, request) in asking() {
        let with = |text: &str| request.replace("HERE", text).into_bytes();
        let beside = |json: &str| request.replacen('{', &format!("{{\"more\":{json},"), 1).into_bytes();
        let around = |before: &[u8], after: &[u8]| [before, request.as_bytes(), after].concat();
        let bytes = |text: &[u8]| {
            let (before, after) = request.split_once("HERE").unwrap();
            [before.as_bytes(), text, after.as_bytes()].concat()
        };
        let lines = [
            with(r"\ud83a"),
            with(r"\udc00\ud83d\ude00"),
            with(r"\x"),
            with("\t\u{1}"),
            bytes(b"\xff\xed\xa0\x80\xf0\x9f"),
            bytes(b"\0"),
            beside("NaN"),
            beside("[-Infinity,1e999]"),
            beside(&deep),
            beside("1,\"more\":2"),
            around(b"\xef\xbb\xbf", b""),
            around(b"\0\x1b[?25l", b"\r"),
            around(br#"{"method":"x","params":{}}"#, b""),
            around(b"", br#"{"method":"x","params":{}}"#),
            around(b"", b"npm notice"),
            around(b"[", b"]"),
            around(b"[[", b"],{}]"),
            around(b"[null,1,", b",\"x\"]"),
            with(r"\ud83a\ud83a").into_iter().chain(*b"\r").collect(),
            beside(r#"{"\udc00":[],"\udc00":{}}"#),
            beside(&"9".repeat(5_000)),
            beside(&format!("{}1{}", "{\"a\":".repeat(5_000), "}".repeat(5_000))),
        ];
        for line in lines {
            let mut reported = started(&adapter);
            let asked = events(&mut reported, &line, "permission_request");
            assert_eq!(asked.len(), 1, "{}: {}", adapter.cli().kind, String::from_utf8_lossy(&line));
            reported.save_and_restore();
            let id = asked[0]["request_id"].as_str().unwrap();
            let answer = PermissionAnswer { option_id: "allow".to_owned(), ..PermissionAnswer::default() };
            let answer = reported.session.encode(&Command::Permission { request_id: id, answer: &answer });
            assert!(matches!(answer, Ok(Action::Write(_))), "{answer:?}");
        }
    }
}

#[test]
fn two_requests_on_one_line_are_two_prompts() {
    for (adapter, request) in asking() {
        let mut reported = started(&adapter);
        let other = request.replacen("\"p\"", "\"q\"", 1).replacen(":7", ":8", 1);
        let asked = events(&mut reported, format!("{request} {other}").as_bytes(), "permission_request");
        let ids: Vec<_> = asked.iter().map(|prompt| &prompt["request_id"]).collect();
        assert!(ids.len() == 2 && ids[0] != ids[1], "{}: {ids:?}", adapter.cli().kind);
    }
}

#[test]
fn unreadable_requests_warn_people_and_are_declined() {
    for (adapter, request) in asking() {
        let cut = &request[..request.find("HERE").unwrap()];
        for line in [
            cut.to_owned(),
            format!("{cut}\"}} ]"),
            format!("warning: {request}"),
            request.replace(':', " "),
            json!(request).to_string(),
        ] {
            let mut reported = started(&adapter);
            let errors = events(&mut reported, line.as_bytes(), "error");
            assert_eq!(errors.len(), 1, "{}: {line}", adapter.cli().kind);
            assert_eq!(errors[0]["code"], REQUEST_NOT_UNDERSTOOD);
        }
        let mut reported = started(&adapter);
        reported.write_due();
        events(&mut reported, cut.as_bytes(), "error");
        reported.save_and_restore();
        let declined = reported.write_due().iter().map(Value::to_string).collect::<String>();
        let id = if adapter.cli().kind == "claude" { r#""request_id":"p""# } else { r#""id":7"# };
        assert!(declined.contains(id) && declined.contains("could not read"), "{declined}");
        assert_eq!(events(&mut reported, b"plain text", "error"), Vec::<Value>::new());
        assert_eq!(events(&mut reported, br#"{"type":"assistant","message":{"#, "error"), Vec::<Value>::new());
    }
}

#[test]
fn request_whose_id_is_damaged_warns_and_is_no_prompt() {
    for (adapter, request) in asking() {
        let odd = request.replacen("\"p\"", r#""\ud83a""#, 1).replacen(":7", r#":"\ud83a""#, 1);
        let mut reported = started(&adapter);
        reported.take_events();
        reported.take(&OwnedRecord::new(Kind::Out, odd.into_bytes()));
        let events = reported.take_events();
        let codes: Vec<&Value> = events.iter().filter(|event| event["type"] == "error").map(|it| &it["code"]).collect();
        assert_eq!(codes, [REQUEST_NOT_UNDERSTOOD], "{}: {events:?}", adapter.cli().kind);
        assert!(events.iter().all(|event| event["type"] != "permission_request"), "nobody could answer it");
    }
}

#[test]
fn unknown_requests_warn_people_and_are_declined() {
    for (adapter, request) in asking() {
        let unknown = ["can_use_tool", "item/commandExecution/requestApproval", "session/request_permission"]
            .iter()
            .fold(request.to_owned(), |request, known| request.replace(known, "ask_the_moon"));
        let mut reported = started(&adapter);
        reported.write_due();
        let errors = events(&mut reported, unknown.as_bytes(), "error");
        assert_eq!(errors[0]["code"], REQUEST_NOT_UNDERSTOOD, "{}", adapter.cli().kind);
        assert!(errors[0]["content"].as_str().unwrap().contains("ask_the_moon"));
        assert_eq!(reported.write_due().len(), 1, "{}: it is declined", adapter.cli().kind);
    }
}

#[test]
fn allowed_claude_input_keeps_half_a_pair() {
    let [(claude, request), ..] = asking();
    for (before, after) in [("", ""), ("\u{feff}", ""), ("{\"type\":\"keep_alive\"}", "{\"type\":\"keep_alive\"}")] {
        let mut reported = started(&claude);
        let line = format!("{before}{}{after}", request.replace("HERE", r"\ud83a \u00e9"));
        events(&mut reported, line.as_bytes(), "permission_request");
        reported.save_and_restore();
        let answer = PermissionAnswer { option_id: "allow".to_owned(), ..PermissionAnswer::default() };
        let answer = reported.session.encode(&Command::Permission { request_id: "p", answer: &answer });
        let Ok(Action::Write(lines)) = answer else { panic!("{answer:?}") };
        let line = str::from_utf8(&lines[0]).unwrap();
        assert!(line.contains(r#""updatedInput":{"command":"echo \ud83a \u00e9"}"#), "{line}");
        reported.take(&OwnedRecord::new(Kind::In, lines[0].clone()));
        assert_eq!(reported.session.save()["prompts"], json!([]), "the answer is seen, though no value can hold it");
    }
    let mut reported = started(&claude);
    reported.take(&OwnedRecord::new(Kind::Out, request.replace("HERE", "x\",\"n\":NaN,\"m\":\"")));
    let answer = PermissionAnswer { option_id: "allow".to_owned(), ..PermissionAnswer::default() };
    let Ok(Action::Write(lines)) = reported.session.encode(&Command::Permission { request_id: "p", answer: &answer })
    else {
        panic!("not allowed");
    };
    let line: Value = serde_json::from_slice(&lines[0]).unwrap();
    assert_eq!(line["response"]["response"], json!({"behavior": "allow"}), "an input that was changed is not repeated");
}

#[test]
fn broken_session_ids_do_not_replace_the_good_one() {
    let [(claude, _), ..] = asking();
    let mut reported = started(&claude);
    let init = |id: &str, model: &str| {
        json!({"type": "system", "subtype": "init", "session_id": id, "model": model, "permissionMode": model,
            "tools": [], "mcp_servers": [], "slash_commands": [], "cwd": "/project"})
        .to_string()
    };
    reported.take(&OwnedRecord::new(Kind::Out, init("good", "m")));
    for id in ["", "-rf", " ", "a b", "a\nb", "\u{0}", &"x".repeat(10_000)] {
        let sessions = events(&mut reported, init(id, "").as_bytes(), "session");
        assert_eq!(sessions, Vec::<Value>::new(), "{id:?}: nothing has changed");
    }
    let facts = reported.session.save()["facts"].clone();
    assert_eq!(
        (&facts["session_id"], &facts["model"], &facts["permission_mode"]),
        (&json!("good"), &json!("m"), &json!("m"))
    );
}
