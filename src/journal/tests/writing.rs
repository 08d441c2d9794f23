//! What the writer promises.

use std::fs;

use super::*;

#[test]
fn what_was_appended_is_read_back() {
    let scratch = Scratch::new();
    let (path, start) = scratch.with(&["one", "", "three"]);
    assert_eq!(payloads(&path), [&b"one"[..], b"", b"three"]);
    let file = fs::read_to_string(&path).unwrap();
    assert!(file.starts_with("rs-worker-journal 1 worker-1\n1704067200000000 out one\n"), "{file}");
    assert_eq!(start, 29);
}
