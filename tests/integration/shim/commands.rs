//! Commands, and their refusals.

use std::ffi::OsStr;
use std::io::Write;
use std::time::Duration;

use rs_worker::testing::adapter::Launch;
use rs_worker::testing::journal::{Control, Kind};
use rs_worker::testing::shim::protocol::{ShimCommand, VERSION, control_line, input_line, run_body};

use super::{Worker, sh};

#[test]
fn greeting_names_the_protocol_the_process_and_the_journals_end() {
    let worker = Worker::running("greeting", "read wait");
    let mut server = worker.dial();
    server.hear("the greeting", |heard| heard.greeting.is_some());
    let (version, pid, end) = server.heard.greeting.unwrap();
    assert_eq!((version, pid), (VERSION, worker.pid()));
    assert_eq!(end as usize, std::fs::read(worker.dir.join("journal")).unwrap().len());
}

#[test]
fn nonsense_closes_the_connection_and_the_shim_lives() {
    let worker = Worker::running("nonsense", "read wait");
    let start = worker.start();
    let cases: [(&[u8], &str); 6] = [
        (b"hello\n", "a command needs a number after its verb"),
        (b"sync 1\n", "the first command must be attach"),
        (b"attach 99 0\n", "this shim speaks protocol 1 to 2, not 99"),
        (b"attach 1 99999999\n", "is not between"),
        (&[b'x'; 300], "the first line of a command is too long"),
        (b"append 1 999999999999\n", "the body of a command is too long"),
    ];
    for (bytes, reason) in cases {
        let mut server = worker.dial();
        server.stream.write_all(bytes).unwrap();
        let heard = server.hear_all();
        assert!(heard.no.len() == 1 && heard.no[0].0 == 0 && heard.no[0].1.contains(reason), "{:?}", heard.no);
    }
    let mut server = worker.dial();
    server.send(0, &ShimCommand::Attach { version: VERSION, offset: start + 3 });
    assert!(server.hear_all().no[0].1.contains("is within the record at"));

    let mut server = worker.attach(start);
    server.stream.write_all(b"freeze 7 now\n").unwrap();
    server.send(8, &ShimCommand::Sync);
    server.hear("both answers", |heard| heard.has_ok(8));
    assert_eq!(server.heard.no, [(7, "unknown command".to_owned())]);
}

#[test]
fn a_peer_that_never_attaches_is_cut_and_hears_nothing() {
    let worker = Worker::running("silent", "read wait");
    let mut silent = worker.dial();
    silent.hear("the greeting", |heard| heard.greeting.is_some());
    let mut server = worker.attach(worker.start());
    server.hear("the first record", |heard| !heard.records.is_empty());
    assert!(silent.hear_all().records.is_empty());
    server.send(1, &ShimCommand::Sync);
    server.hear("an answer after the other peer is gone", |heard| heard.has_ok(1));
}

#[test]
fn an_append_is_all_or_nothing() {
    let worker = Worker::running("all-or-nothing", "exec cat");
    let mut server = worker.attach(worker.start());
    server.hear("the start", |heard| !heard.records.is_empty());
    server.send(1, &ShimCommand::Append(b"ctl {}\nout forged\nin x\n"));
    server.send(2, &ShimCommand::Append(b""));
    server.send(3, &ShimCommand::Eof);
    server.send(4, &ShimCommand::Append(b"ctl {\"type\":\"renamed\",\"name\":\"n\"}\nin late\n"));
    server.hear("the answers", |heard| heard.no.len() == 2 && heard.has_ok(2) && heard.has_ok(3));
    assert_eq!(server.heard.no[0], (1, "a line of the body is neither ctl nor in".to_owned()));
    // The CLI may have ended by now; it does not matter here.
    assert!(["the CLI's stdin is closed", "the CLI is not running"].contains(&server.heard.no[1].1.as_str()));
    assert!(worker.records().iter().all(|(kind, _)| *kind == Kind::Ctl));
    assert!(worker.controls().iter().all(|control| !matches!(control, Control::Renamed { .. } | Control::Unknown)));
}

#[test]
fn cli_that_ignores_its_input_fills_a_bound_not_memory() {
    let worker = Worker::running("no-reader", "while :; do sleep 1; done");
    let mut server = worker.attach(worker.start());
    let mut body = Vec::new();
    input_line(&mut body, &vec![b'x'; 50 * 1024 * 1024]);
    server.send(1, &ShimCommand::Append(&body));
    server.hear("the first", |heard| heard.has_ok(1));
    server.send(2, &ShimCommand::Append(&body));
    server.hear("the second", |heard| !heard.no.is_empty());
    assert_eq!(server.heard.no, [(2, "the CLI does not read its input".to_owned())]);
    assert_eq!(worker.payloads(Kind::In).len(), 1);
}

#[test]
fn a_large_input_reaches_the_cli_whole() {
    let worker = Worker::running("large-input", "head -c 30000001 | cksum; read wait");
    let mut server = worker.attach(worker.start());
    let line: Vec<u8> = (0..30_000_000_u32).map(|n| b'a' + (n % 23) as u8).collect();
    let mut body = Vec::new();
    input_line(&mut body, &line);
    server.send(1, &ShimCommand::Append(&body));
    let done = |heard: &super::Heard| heard.order.iter().any(|(_, payload)| payload.ends_with(" 30000001"));
    server.hear("the checksum", done);
    assert_eq!(worker.payloads(Kind::In), [line]);
}

#[test]
fn a_signal_reaches_the_clis_group() {
    let mut worker = Worker::running(
        "signal-command",
        "trap 'echo interrupted; exit 3' INT; echo ready; while :; do sleep 0.1; done",
    );
    let mut server = worker.attach(worker.start());
    server.hear("the trap", |heard| heard.has_out("ready"));
    server.send(1, &ShimCommand::Signal(9999));
    server.send(2, &ShimCommand::Signal(2));
    server.hear("the answers", |heard| heard.has_ok(2) && heard.no.len() == 1);
    assert_eq!(server.heard.no[0], (1, "unknown signal 9999".to_owned()));
    server.hear_all();
    assert_eq!(worker.exited().exit_code, Some(3));
    assert_eq!(worker.payloads(Kind::Out).last().unwrap(), b"interrupted");
}

#[test]
fn a_shim_that_is_kept_runs_one_process_after_another() {
    let mut worker = Worker::new("keep");
    worker.launch(&Launch { one_process_per_turn: true, ..Launch::default() });
    let mut server = worker.attach(worker.start());
    let args = ["-c", "read word; cat; echo got $word; exit $word"].map(OsStr::new);
    let body = run_body(OsStr::new("/bin/sh"), args);
    for turn in 1..=2_u64 {
        let mut input = Vec::new();
        input_line(&mut input, turn.to_string().as_bytes());
        server.send(10 * turn, &ShimCommand::Run(&body));
        server.send(10 * turn + 1, &ShimCommand::Append(&input));
        server.send(10 * turn + 2, &ShimCommand::Eof);
        let exits = |heard: &super::Heard| heard.order.iter().filter(|(_, text)| text.contains("\"exited\"")).count();
        server.hear("the end of the turn", |heard| exits(heard) as u64 == turn);
        assert!(server.heard.has_ok(10 * turn + 2) && server.heard.has_out(&format!("got {turn}")));
    }
    server.send(40, &ShimCommand::Run(&run_body(OsStr::new("/no/such/program"), [])));
    server.hear("the refusal", |heard| !heard.no.is_empty());
    assert_eq!(server.heard.no, [(40, "program /no/such/program does not exist".to_owned())]);
    server.send(50, &ShimCommand::Stop { grace_ms: 100 });
    server.hear_all();
    assert!(worker.ended().success());
    let stays: Vec<_> = worker
        .controls()
        .into_iter()
        .filter_map(|control| match control {
            Control::Exited { exit_code, shim_stays, .. } => Some((exit_code, shim_stays)),
            _ => None,
        })
        .collect();
    assert_eq!(stays, [(Some(1), true), (Some(2), true), (None, false)]);
}

#[test]
fn records_without_input_can_be_appended_when_nothing_runs() {
    let mut worker = Worker::new("idle");
    worker.launch(&Launch { one_process_per_turn: true, ..Launch::default() });
    let mut server = worker.attach(worker.start());
    let mut body = Vec::new();
    control_line(&mut body, &Control::Renamed { name: "new".into() });
    server.send(1, &ShimCommand::Append(&body));
    input_line(&mut body, b"x");
    server.send(2, &ShimCommand::Append(&body));
    server.hear("the answers", |heard| heard.has_ok(1) && heard.no.len() == 1);
    assert_eq!(server.heard.no[0], (2, "the CLI is not running".to_owned()));
    assert_eq!(worker.controls(), [Control::Renamed { name: "new".into() }]);
}

#[test]
fn closing_stdin_ends_a_cli_that_stops_without_a_signal() {
    let mut worker = Worker::new("eof-first");
    let launch = Launch { stop_by_eof: true, ..sh("trap 'exit 9' TERM; echo ready; cat; echo bye; exit 4") };
    worker.launch_in(&launch, &worker.dir.clone(), Duration::from_secs(60));
    let mut server = worker.attach(worker.start());
    server.hear("the trap", |heard| heard.has_out("ready"));
    server.send(1, &ShimCommand::Stop { grace_ms: 60_000 });
    server.hear_all();
    assert!(server.heard.has_ok(1));
    let exited = worker.exited();
    assert_eq!((exited.exit_code, exited.ended), (Some(4), vec![]));
}
