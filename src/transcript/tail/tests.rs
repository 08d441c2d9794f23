//! The tail alone, on files that are treated in all ways.

use std::fs::{self, OpenOptions};
use std::io::Write as _;

use super::*;
use crate::scratch::Scratch;

const LINE_MAX: usize = 1_000_000;

struct Bench {
    _folder: Scratch,
    path: PathBuf,
    tail: Tail,
}

impl Bench {
    fn new(text: &str) -> Self {
        let folder = Scratch::new();
        let path = folder.path().join("session.jsonl");
        fs::write(&path, text).unwrap();
        let tail = Tail::new(path.clone(), Position::default(), LINE_MAX);
        Self { _folder: folder, path, tail }
    }

    fn append(&self, text: &str) {
        OpenOptions::new().append(true).open(&self.path).unwrap().write_all(text.as_bytes()).unwrap();
    }

    /// All that there is to read now, with the changes.
    fn rest(&mut self) -> (Vec<String>, Vec<TailChange>) {
        let (mut lines, mut changes) = (Vec::new(), Vec::new());
        loop {
            let looked = self.tail.look().unwrap();
            changes.extend(looked.change);
            lines.extend(self.tail.lines().map(|(line, _)| String::from_utf8(line.to_vec()).unwrap()));
            self.tail.commit();
            if !looked.more {
                return (lines, changes);
            }
        }
    }

    /// Replaces the tail by another one at the same position, as a restart does.
    fn reopen(&mut self) {
        self.tail = Tail::new(self.path.clone(), self.tail.position(), LINE_MAX);
    }
}

fn found(lines: &[&str], changes: &[TailChange]) -> (Vec<String>, Vec<TailChange>) {
    (lines.iter().map(|&line| line.to_owned()).collect(), changes.to_vec())
}

#[test]
fn a_partial_line_is_given_when_its_newline_comes() {
    let mut bench = Bench::new("one\ntw");
    assert_eq!(bench.rest(), found(&["one"], &[]));
    assert_eq!(bench.rest(), found(&[], &[]));
    bench.append("o");
    bench.reopen();
    assert_eq!(bench.rest(), found(&[], &[]));
    bench.append("\n\nthree\n");
    assert_eq!(bench.rest(), found(&["two", "", "three"], &[]));
}

#[test]
fn a_batch_that_was_not_kept_is_given_again() {
    let mut bench = Bench::new("one\ntwo\n");
    assert!(bench.tail.look().unwrap().more);
    assert_eq!(bench.tail.lines().count(), 2);
    assert_eq!(bench.rest(), found(&["one", "two"], &[]));
}

#[test]
fn many_lines_come_in_batches_and_all_of_them_once() {
    let lines: Vec<String> = (0..100_000).map(|n| format!("{{\"line\":{n}}}")).collect();
    let mut bench = Bench::new(&(lines.join("\n") + "\n"));
    assert_eq!(bench.rest().0, lines);
}

#[test]
fn line_over_a_batch_is_whole_until_the_limit() {
    let long = "x".repeat(LINE_MAX);
    let longer = "y".repeat(LINE_MAX + 1);
    let mut bench = Bench::new(&format!("{long}\n{longer}\nend\n"));
    let lines = bench.rest().0;
    assert_eq!(lines.iter().map(String::len).collect::<Vec<_>>(), [LINE_MAX, LINE_MAX, 1, 3]);
    bench.append(&long[..LINE_MAX - 3]);
    assert_eq!(bench.rest(), found(&[], &[]));
    bench.append("\n");
    assert_eq!(bench.rest().0[0].len(), LINE_MAX - 3);
}

#[test]
fn a_file_that_was_cut_is_read_from_its_beginning() {
    let mut bench = Bench::new("one\ntwo\n");
    bench.rest();
    fs::write(&bench.path, "new\n").unwrap();
    assert_eq!(bench.rest(), found(&["new"], &[TailChange::Rewritten]));
}

#[test]
fn rewritten_and_longer_file_is_noticed() {
    for restart in [false, true] {
        let mut bench = Bench::new("one\ntwo\n");
        bench.rest();
        fs::write(&bench.path, "three\nfour\nfive\n").unwrap();
        if restart {
            bench.reopen();
        }
        assert_eq!(bench.rest(), found(&["three", "four", "five"], &[TailChange::Rewritten]));
    }
}

#[test]
fn replaced_file_is_read_whole_before_the_new_one() {
    let mut bench = Bench::new("one\n");
    bench.rest();
    bench.append("two\n");
    let new = bench.path.with_extension("new");
    fs::write(&new, "three\n").unwrap();
    fs::rename(&new, &bench.path).unwrap();
    assert_eq!(bench.rest(), found(&["two", "three"], &[TailChange::Replaced]));
}

#[test]
fn renamed_file_is_followed_under_its_new_name() {
    let mut bench = Bench::new("one\n");
    bench.rest();
    let moved = bench.path.with_extension("moved");
    fs::rename(&bench.path, &moved).unwrap();
    bench.path = moved;
    bench.append("two\n");
    assert_eq!(bench.rest(), found(&["two"], &[]));
    assert!(bench.tail.look().unwrap().missing);
    bench.tail.rename(bench.path.clone());
    bench.append("three\n");
    assert_eq!(bench.rest(), found(&["three"], &[]));
    assert!(!bench.tail.look().unwrap().missing);
}

#[test]
fn a_file_that_is_not_there_yet_is_waited_for() {
    let mut bench = Bench::new("");
    fs::remove_file(&bench.path).unwrap();
    assert!(bench.tail.look().unwrap().missing);
    fs::write(&bench.path, "one\n").unwrap();
    assert_eq!(bench.rest(), found(&["one"], &[]));
}

#[test]
fn non_regular_files_are_refused_at_once() {
    let mut bench = Bench::new("");
    fs::remove_file(&bench.path).unwrap();
    nix::unistd::mkfifo(&bench.path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    bench.tail.look().unwrap_err();
}
