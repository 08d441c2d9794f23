//! Loading files, and the mistakes in them.

use serde_json::json;

use super::*;
use crate::adapter::declared::{AdapterLoadError, load};

struct Folder(PathBuf);

impl Folder {
    fn new(files: &[(&str, &str)]) -> Self {
        let path = std::env::temp_dir().join(format!("rs-worker-declared-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir(&path).unwrap();
        for (name, content) in files {
            std::fs::write(path.join(name), content).unwrap();
        }
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const CAT: &str = r#"{"family": "text", "command": ["cat"]}"#;

#[test]
fn files_of_a_folder_load_by_name_despite_broken_ones() {
    let folder = Folder::new(&[
        ("b.json", CAT),
        ("a.json", CAT),
        ("c.json", "{\n  \"family\": \"text\"\n  \"command\": [\"cat\"]\n}"),
        ("d.json", r#"{"type": "a", "family": "text", "command": ["cat"]}"#),
        ("e.json", r#"{"type": "claude", "family": "text", "command": ["cat"]}"#),
        ("f.json", r#"{"family": "text", "command": ["cat"], "comand": []}"#),
        ("g.json", "\u{feff}\u{0}"),
        ("h.json", ""),
        ("README.md", "# not an adapter"),
        ("z.json", r#"{"type": "last", "name": "Last", "family": "text", "command": ["./run.sh"]}"#),
    ]);
    std::fs::create_dir(folder.0.join("folder.json")).unwrap();
    let loaded = load(&folder.0, &["claude"]);
    let kinds: Vec<&str> = loaded.adapters.iter().map(|adapter| adapter.cli().kind.as_str()).collect();
    assert_eq!(kinds, ["a", "b", "last"]);
    let at = |name: &str| folder.0.join(name).display().to_string();
    let errors: Vec<String> = loaded.errors.iter().map(ToString::to_string).collect();
    assert_eq!(errors[0], format!("{}:3:3: not valid JSON: expected `,` or `}}`; fix it there", at("c.json")));
    assert_eq!(
        errors[1],
        format!("{}: type: `a` is taken by {}; give this one another `type`", at("d.json"), at("a.json"))
    );
    assert_eq!(
        errors[2],
        format!("{}: type: `claude` is taken by a built-in adapter; give this one another `type`", at("e.json"))
    );
    assert!(
        errors[3]
            .starts_with(&format!("{}: comand: unknown field `comand`; remove it, or write one of: ", at("f.json")))
    );
    assert!(errors[3].contains("resume_command"), "{}", errors[3]);
    assert!(errors[4].starts_with(&format!("{}:1:1: not valid JSON", at("g.json"))), "{}", errors[4]);
    assert!(errors[5].starts_with(&format!("{}:1:0: not valid JSON", at("h.json"))), "{}", errors[5]);
    assert_eq!(errors.len(), 6);
    let last = loaded.adapters[2].cli();
    assert_eq!((last.name.as_str(), loaded.adapters[0].cli().name.as_str()), ("Last", "a"));
    assert_eq!(last.binary, at("run.sh"), "a program with a relative path stands beside its file");
}

#[test]
fn missing_folder_has_no_adapters_and_unreadable_files_are_reported() {
    let folder = Folder::new(&[("a.json", CAT)]);
    let none = load(&folder.0.join("missing"), &[]);
    assert!(none.adapters.is_empty() && none.errors.is_empty());
    let file = load(&folder.0.join("a.json"), &[]);
    assert!(matches!(file.errors[..], [AdapterLoadError::Read { .. }]), "{:?}", file.errors);
    std::os::unix::fs::symlink("nowhere", folder.0.join("b.json")).unwrap();
    std::fs::write(folder.0.join("c.json"), vec![b' '; 1024 * 1024 + 1]).unwrap();
    let loaded = load(&folder.0, &[]);
    assert_eq!(loaded.adapters.len(), 1);
    assert!(
        matches!(loaded.errors[..], [AdapterLoadError::Read { .. }, AdapterLoadError::TooLong { .. }]),
        "{:?}",
        loaded.errors
    );
}

/// A file that is right, with one field replaced, and the place and a word of the error that it must give.
fn mistake(base: &Value, field: &str, value: Value, place: &str, word: &str) {
    let mut file = base.clone();
    file[field] = value;
    match DeclaredAdapter::parse(file.to_string().as_bytes(), Path::new("/adapters/test.json")) {
        Err(AdapterLoadError::Invalid { place: found, reason, .. }) => {
            assert_eq!(found, place, "{file}: {reason}");
            assert!(reason.contains(word), "{file}: {reason}");
        }
        other => panic!("{file}: {other:?}"),
    }
}

#[test]
fn every_mistake_is_reported_with_its_place_and_remedy() {
    let text = json!({"family": "text", "command": ["p"]});
    for (field, value, place, word) in [
        ("type", json!("Upper Case"), "type", "a-z"),
        ("type", json!(""), "type", "a-z"),
        ("type", json!(1), "type", "write a string"),
        ("family", json!("xml"), "family", "text, jsonl"),
        ("mode", json!("once"), "mode", "session, per_message"),
        ("command", json!("p"), "command", "write a list"),
        ("command", json!([]), "command", "name a program"),
        ("command", json!(["{model}"]), "command[0]", "plainly"),
        ("command", json!(["p", 1]), "command[1]", "write a string"),
        ("command", json!(["p", "{modle}"]), "command[1]", "{model}"),
        ("command", json!(["p", "{message}"]), "command", "per_message"),
        ("resume_command", json!(["p", ["a", 1]]), "resume_command[1][1]", "write a string"),
        ("env", json!([]), "env", "NAME"),
        ("env", json!({"A=B": "x"}), "env.A=B", "without `=`"),
        ("env", json!({"A": "{message}"}), "env.A", "into the command"),
        ("input", json!({}), "input.encoding", "\"line\" or \"json\""),
        ("input", json!({"encoding": "line", "template": {}}), "input.template", "unknown field"),
        ("input", json!({"encoding": "json"}), "input.template", "missing"),
        ("input", json!({"encoding": "json", "template": {"a": "b"}}), "input.template", "{message}"),
        ("input", json!({"encoding": "json", "template": ["{message}", "{model}"]}), "input.template", "{model}"),
        ("interrupt", json!("sigterm"), "interrupt", "sigint"),
        ("interrupt", json!({"line": "a\nb"}), "interrupt.line", "one line"),
        ("ready", json!({"when": {}}), "ready", "prefix"),
        ("turn_end", json!({"line": ""}), "turn_end.line", "one line"),
        ("turn_end", json!({"line": "a", "prefix": "b"}), "turn_end.prefix", "unknown field"),
        ("stop_by_eof", json!("yes"), "stop_by_eof", "true or false"),
        ("volatile", json!([""]), "volatile[0]", "beginning"),
        ("choices", json!({"model": ["a"]}), "choices.model", "{model}"),
        ("fields", json!([]), "fields", "unknown field"),
        ("version_args", json!([1]), "version_args[0]", "write a string"),
    ] {
        mistake(&text, field, value, place, word);
    }
    let jsonl = json!({"family": "jsonl", "command": ["p"], "fields": []});
    let rule = |rule: Value| json!([{"when": {"type": "ok"}, "event": "ignore"}, rule]);
    for (value, place, word) in [
        (json!([1]), "fields[0]", "write an object"),
        (rule(json!({"event": "ignore"})), "fields[1].when", "missing"),
        (rule(json!({"when": {"a": null}, "event": "ignore"})), "fields[1].when.a", "exists"),
        (rule(json!({"when": {"a..b": 1}, "event": "ignore"})), "fields[1].when.a..b", "not a path"),
        (rule(json!({"when": {}})), "fields[1].event", "missing"),
        (rule(json!({"when": {}, "event": "say"})), "fields[1].event", "assistant (text of the agent)"),
        (rule(json!({"when": {}, "event": "assistant"})), "fields[1].content", "missing"),
        (rule(json!({"when": {}, "event": "assistant", "content": 1})), "fields[1].content", "a path"),
        (rule(json!({"when": {}, "event": "assistant", "content": "a", "id": "b"})), "fields[1].id", "message_id"),
        (rule(json!({"when": {}, "event": "usage", "usage": {"input": "a"}})), "fields[1].usage.input", "input_tokens"),
        (rule(json!({"when": {}, "event": "delta", "content": "a", "of": "x"})), "fields[1].of", "assistant, thinking"),
    ] {
        mistake(&jsonl, "fields", value, place, word);
    }
    mistake(&jsonl, "turn_end", json!({"line": "x"}), "turn_end", "unknown field");
    mistake(&jsonl, "tool_kinds", json!({"bash": "run"}), "tool_kinds.bash", "execute");
    let each = json!({"family": "text", "mode": "per_message", "command": ["p", "{message}"]});
    mistake(&each, "resume_command", json!(["p"]), "resume_command", "both");
    mistake(&each, "ready", json!({"line": "x"}), "ready", "remove");
    mistake(&each, "interrupt", json!({"line": "x"}), "interrupt", "sigint");
}

#[test]
fn capabilities_of_a_file_differ_from_what_it_states() {
    let adapter = declared(&json!({"family": "jsonl", "command": ["p", ["-m", "{model}"]], "resume_command": ["p"],
        "env": {"MODE": "{permission_mode}"}, "interrupt": "sigint", "choices": {"model": ["a", "b"]}, "comment": "x",
        "fields": [{"when": {}, "event": "part", "content": "t"}]}));
    assert_eq!(adapter.cli().capabilities, ["deltas", "interrupt", "resume"]);
    for more in [json!({"mode": "per_message"}), json!({"turn_end": {"line": "> "}})] {
        let mut file = json!({"family": "text", "command": ["p"]});
        file.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        assert_eq!(declared(&file).cli().capabilities[0], "turns", "{file}");
    }
    assert_eq!(
        json!(adapter.cli().config_options),
        json!([
        {"name": "model", "label": "Model", "choices": ["a", "b"]}, {"name": "permission_mode", "label": "Permission mode"}])
    );
}

#[test]
fn a_state_fits_only_the_file_that_made_it() {
    let first = declared(&json!({"family": "text", "command": ["p"]}));
    let other = declared(&json!({"family": "text", "command": ["p", "x"]}));
    let saved = first.open().save();
    assert!(first.restore(&saved).is_some());
    assert!(other.restore(&saved).is_none());
    for wrong in [json!(null), json!({}), json!({"version": 1, "file": saved["file"], "state": {}}), json!([1])] {
        assert!(first.restore(&wrong).is_none(), "{wrong}");
    }
    let mut newer = saved.clone();
    newer["state"]["new_field"] = json!(1);
    assert!(first.restore(&newer).is_none());
}
