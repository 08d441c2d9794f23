use proptest::prelude::*;
use serde_json::json;

use super::*;

/// A line that is one value after repairs.
#[track_caller]
fn one(line: &[u8]) -> Value {
    match read(line) {
        Read::Lenient(LenientLine { mut values, broken: None }) if values.len() == 1 => values.remove(0),
        other => panic!("{}: {other:?}", String::from_utf8_lossy(line)),
    }
}

/// A line that cannot be read to its end.
#[track_caller]
fn broken(line: &str) -> (Vec<Value>, MalformedJson) {
    match read(line.as_bytes()) {
        Read::Lenient(LenientLine { values, broken: Some(broken) }) => (values, broken),
        other => panic!("{line}: {other:?}"),
    }
}

#[test]
fn refused_lines_are_read_leniently() {
    let cases: [(&[u8], Value); 27] = [
        (br#"{"a":"\ud83a half"}"#, json!({"a": "\u{fffd} half"})),
        (br#"{"a":"half \udc00"}"#, json!({"a": "half \u{fffd}"})),
        (br#"{"a":"\ud83d\ude00\ud83d"}"#, json!({"a": "\u{1f600}\u{fffd}"})),
        (br#"{"a":"\ud83d\ud83d\ude00"}"#, json!({"a": "\u{fffd}\u{1f600}"})),
        (br#"{"a":"\ud83d\u0041"}"#, json!({"a": "\u{fffd}A"})),
        (br#"{"a":"\ud83d"}"#, json!({"a": "\u{fffd}"})),
        (b"{\"a\":\"\xff\xfe\",\"b\":\"\xf0\x9f\"}", json!({"a": "\u{fffd}\u{fffd}", "b": "\u{fffd}"})),
        (b"\xef\xbb\xbf{\"a\":1}", json!({"a": 1})),
        (b"{\"a\":\"tab\there\x01\"}", json!({"a": "tab\there\u{1}"})),
        (b"\0{\"a\"\0:\x071}\0\0", json!({"a": 1})),
        (b"\x1b[0m\x1b]0;title\x07{\"a\":1}\x1b[K", json!({"a": 1})),
        (br#"{"a":NaN,"b":-Infinity,"c":[Infinity,nan]}"#, json!({"a": null, "b": null, "c": [null, null]})),
        (br#"{"a":1e999,"b":-1e999}"#, json!({"a": null, "b": null})),
        (br#"{"a":01,"b":.5,"c":+1,"d":1.}"#, json!({"a": 1.0, "b": 0.5, "c": 1.0, "d": 1.0})),
        (br#"{"a":"C:\Users\x41"}"#, json!({"a": r"C:\Users\x41"})),
        (br#"{"a":"\u12"}"#, json!({"a": r"\u12"})),
        (br#"{"a":"\u"}"#, json!({"a": r"\u"})),
        (br#"{"a":NaN,"a":2}"#, json!({"a": 2})),
        (br#"{"a":NaN,"b":[],"c":{},"d":[[],{}]}"#, json!({"a": null, "b": [], "c": {}, "d": [[], {}]})),
        (br#" [ NaN , true , false , null , "" ] "#, json!([null, true, false, null, ""])),
        (br#"{"a":NaN,"b":"\"\\\/\b\f\n\r\t"}"#, json!({"a": null, "b": "\"\\/\u{8}\u{c}\n\r\t"})),
        (br#"{"":NaN}"#, json!({"": null})),
        (b"\r{\"a\":NaN}\r", json!({"a": null})),
        (br#"{"a":123456789012345678901234567890,"b":NaN}"#, json!({"a": 1.2345678901234568e29, "b": null})),
        (br#"{"a":-0,"b":NaN}"#, json!({"a": -0.0, "b": null})),
        (b"{\"a\":\xff1}", json!({"a": 1})),
        ("{\"a\":NaN,\"b\":\"äß\u{2028}\"}".as_bytes(), json!({"a": null, "b": "äß\u{2028}"})),
    ];
    for (line, expected) in cases {
        assert_eq!(one(line), expected, "{}", String::from_utf8_lossy(line));
        assert_eq!(value(line), Some(expected.clone()));
        assert_eq!(serde_json::from_slice::<Value>(&repaired(line).unwrap()).unwrap(), expected);
    }
}

#[test]
fn several_values_on_one_line_are_read_in_order() {
    let two = br#"{"a":1} {"b":2}[3]"#;
    let Read::Lenient(read) = read(two) else { panic!("not strict") };
    assert_eq!(read, LenientLine { values: vec![json!({"a": 1}), json!({"b": 2}), json!([3])], broken: None });
    assert_eq!(value(two), Some(json!({"a": 1})));
    let (values, rest) = broken(&"{}".repeat(VALUES_MAX + 1));
    assert_eq!((values.len(), rest.text.as_str()), (VALUES_MAX, "{}"));
}

#[test]
fn text_that_breaks_is_kept_with_the_members_before_it() {
    for (line, members) in [
        (r#"{"a":1,"b":{"c":2"#, json!({"a": 1})),
        (r#"{"a":1,"b":"cut off"#, json!({"a": 1})),
        (r#"{"a":1,"b":2,}"#, json!({"a": 1, "b": 2})),
        (r#"{"a":[1,2}"#, json!({})),
        (r#"{"a":1]"#, json!({"a": 1})),
        (r#"{"a":words}"#, json!({})),
        (r#"{"a" 1}"#, json!({})),
        ("{a:1}", json!({})),
        ("[1,2", json!({})),
        ("true story", json!({})),
        ("12 monkeys", json!({})),
        (r#""a" text"#, json!({})),
        ("plain text {\"a\":1}", json!({})),
        ("{", json!({})),
    ] {
        let (values, rest) = broken(line);
        assert_eq!((values, rest.text.as_str(), Value::Object(rest.members)), (Vec::new(), line, members), "{line}");
        assert_eq!((value(line.as_bytes()), repaired(line.as_bytes())), (None, None), "{line}");
    }
    let (values, rest) = broken(r#"{"a":1}npm warn {"b":"#);
    assert_eq!((values, rest.text.as_str()), (vec![json!({"a": 1})], r#"npm warn {"b":"#));
    for blank in ["", " \r", "\0", "\u{feff}"] {
        assert_eq!(read(blank.as_bytes()), Read::Lenient(LenientLine::default()), "{blank:?}");
    }
}

#[test]
fn no_depth_of_nesting_overflows_the_stack() {
    let nested = |depth: usize| format!("{}1{}", r#"{"a":["#.repeat(depth), "]}".repeat(depth));
    let mut inner = one(nested(100_000).as_bytes());
    for _ in 0..DEPTH_MAX / 2 {
        inner = inner["a"][0].take();
    }
    let text = inner.as_str().expect("what is deeper is text");
    assert!(text.starts_with(r#"{"a":[{"a":["#) && text.ends_with("]}]}"), "and whole");
    assert_eq!(text.len(), nested(100_000 - DEPTH_MAX / 2).len());
    let (values, rest) = broken(&"[".repeat(1_000_000));
    assert_eq!((values.len(), rest.text.len()), (0, 1_000_000));
    let (_, rest) = broken(&format!(r#"{{"id":7,"a":{}}}"#, nested(100_000).replace("]}", "]]")));
    assert_eq!(rest.members["id"], 7);
}

proptest! {
    #[test]
    fn well_formed_values_are_the_same_after_a_repair(text in ".*", number in any::<i64>(), float in any::<f64>()) {
        let value = json!({"text": text, "list": [number, {"float": float}], text: null});
        let line = format!("\u{feff}{value}");
        prop_assert_eq!(one(line.as_bytes()), serde_json::from_str::<Value>(&value.to_string()).unwrap());
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(line in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(&line);
    }

    #[test]
    fn any_json_like_text_is_read_without_a_panic(line in r#"[\[\]{}",:\\udD8Nn0-9aeE+\-. \x1b\x00]{0,80}"#) {
        let _ = read(line.as_bytes());
    }
}
