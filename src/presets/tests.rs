//! Presets in a scratch folder.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Map, Value, json};

use super::{PresetError, Presets};
use crate::scratch::Scratch;

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        other => panic!("not an object: {other}"),
    }
}

fn values(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn nothing(_: &str) -> bool {
    false
}

#[test]
fn preset_is_a_private_file_and_hides_its_secrets() {
    let scratch = Scratch::new();
    let presets = Presets::new(&scratch.path().join("presets"));
    let fields = json!({"model": "opus", "env": {"KEY": "a-secret"}, "initial_message": "Fix {{issue}} in {{ part }}"});
    let shown = presets.put("fix", object(fields), None).unwrap().shown();
    assert_eq!(shown, presets.get("fix").unwrap().shown());
    assert_eq!((&shown["env"], &shown["placeholders"]), (&json!(["KEY"]), &json!(["issue", "part"])));
    assert!(!shown.to_string().contains("a-secret"));
    let mode = scratch.path().join("presets/fix.json").metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // A value that is not sent again stays.
    let again = presets.put("fix", object(json!({"env": {"KEY": null, "B": "b"}})), None).unwrap();
    assert_eq!(again.fill(&values(&[]), nothing).unwrap()["env"], json!({"B": "b", "KEY": "a-secret"}));
    assert!(matches!(presets.put("fix", object(json!({"env": {"C": null}})), None), Err(PresetError::Invalid(_))));
    let copied = presets.put("copy", object(json!({"env": {"KEY": null}})), Some("fix")).unwrap();
    assert_eq!(copied.fill(&values(&[]), nothing).unwrap()["env"], json!({"KEY": "a-secret"}));
    presets.remove("fix").unwrap();
    assert!(matches!(presets.get("fix"), Err(PresetError::Missing(_))));
    assert!(matches!(presets.remove("fix"), Err(PresetError::Missing(_))));
}

#[test]
fn placeholders_are_filled_once_and_a_missing_one_is_named() {
    let scratch = Scratch::new();
    let presets = Presets::new(scratch.path());
    let fields = json!({"args": ["--{{a}}"], "system_prompt": "{{a}} {{}} {{ not one } {{b}}", "worktree": {"branch": "x-{{b}}"}});
    let preset = presets.put("p", object(fields), None).unwrap();
    let filled = preset.fill(&values(&[("a", "{{b}}"), ("b", "2")]), nothing).unwrap();
    assert_eq!(filled["args"], json!(["--{{b}}"]));
    assert_eq!(filled["system_prompt"], json!("{{b}} {{}} {{ not one } 2"));
    assert_eq!(filled["worktree"], json!({"branch": "x-2"}));
    let one = values(&[("a", "1")]);
    assert_eq!(preset.fill(&one, nothing).unwrap_err(), "the preset p needs a value for the placeholder b");
    let more = values(&[("a", "1"), ("b", "2"), ("c", "3")]);
    assert_eq!(preset.fill(&more, nothing).unwrap_err(), "the preset p has no placeholder c");
    // Fields that the worker sets itself need no values.
    let filled = preset.fill(&values(&[("a", "1")]), |field| matches!(field, "worktree" | "system_prompt")).unwrap();
    assert_eq!(Value::Object(filled), json!({"args": ["--1"]}));
}

#[test]
fn values_of_placeholders_cannot_grow_without_end() {
    let scratch = Scratch::new();
    let fields = json!({"system_prompt": "{{a}}".repeat(10_000)});
    let preset = Presets::new(scratch.path()).put("p", object(fields), None).unwrap();
    assert!(preset.fill(&values(&[("a", &"x".repeat(100))]), nothing).is_ok());
    let why = preset.fill(&values(&[("a", &"x".repeat(1_000_000))]), nothing).unwrap_err();
    assert!(why.contains("filled with more than"), "{why}");
}

#[test]
fn presets_are_at_most_as_many_as_can_be_listed() {
    let scratch = Scratch::new();
    let presets = Presets::new(scratch.path());
    for number in 0..super::FILES_MAX {
        std::fs::write(scratch.path().join(format!("p{number}.json")), "{}").unwrap();
    }
    assert!(matches!(presets.put("more", object(json!({})), None), Err(PresetError::File(_))));
    presets.put("p1", object(json!({"model": "m"})), None).unwrap();
    assert_eq!(presets.list().unwrap().len(), super::FILES_MAX);
}

#[test]
fn mistakes_in_presets_name_the_field() {
    let scratch = Scratch::new();
    let presets = Presets::new(scratch.path());
    for (fields, reported) in [
        (json!({"model": 1}), "model: must be a text"),
        (json!({"ai_cli_type": "{{cli}}"}), "ai_cli_type: must have no placeholder"),
        (json!({"args": [1]}), "args: must be a list of texts"),
        (json!({"env": {"A=B": "x"}}), "env.A=B: not a variable"),
        (json!({"worktree": "yes"}), "worktree: must be true, false, or an object"),
        (json!({"worktree": {"name": "x"}}), "worktree.name: unknown field; known fields: base, branch"),
        (json!({"project_path": "/x"}), "project_path: unknown field; known fields: ai_cli_type"),
    ] {
        let why = presets.put("p", object(fields.clone()), None).unwrap_err().to_string();
        assert!(why.starts_with(reported), "{fields}: {why}");
        std::fs::write(scratch.path().join("p.json"), fields.to_string()).unwrap();
        let listed = presets.list().unwrap();
        assert!(listed[0]["error"].as_str().unwrap().contains(reported), "{fields}: {listed:?}");
    }
    for name in ["", "../x", "A", "a/b", ".x"] {
        assert!(matches!(presets.get(name), Err(PresetError::Invalid(_))), "{name}");
    }
}
