//! Servers that connect and disconnect: each receives everything from its offset on, once, in order.

use std::fs;

use rs_worker::testing::adapter::LinePattern;
use rs_worker::testing::journal::{Kind, Reader};
use rs_worker::testing::shim::protocol::{ShimCommand, control_line, input_line};

use super::{Worker, eventually, sh};

#[test]
fn reattached_server_gets_the_rest_once_from_any_record() {
    let worker =
        Worker::running("reattach", "i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); done; read wait");
    let mut offset = worker.start();
    let mut all = Vec::new();
    let mut wanted = 0;
    while !all.ends_with(b"line 2999\n") {
        // Each server reads a little more and disconnects, as if killed.
        let mut server = worker.attach(offset);
        wanted += 20_000;
        let enough = |records: &[u8]| all.len() + records.len() >= wanted || records.ends_with(b"line 2999\n");
        server.hear("more lines", |heard| enough(&heard.records));
        all.extend_from_slice(&server.heard.records);
        offset = server.incoming.seq();
    }
    assert_eq!(all, worker.journal(worker.start()));
    let lines = worker.payloads(Kind::Out);
    assert!(lines.iter().enumerate().all(|(i, line)| *line == format!("line {i}").into_bytes()));
    assert_eq!(lines.len(), 3000);

    let reader = Reader::open(&worker.dir.join("journal")).unwrap();
    let middle = reader.align(offset / 2).unwrap();
    let mut server = worker.attach(middle);
    server.hear("the end", |heard| heard.has_out("line 2999"));
    assert_eq!(server.heard.records, worker.journal(middle));
}

#[test]
fn cli_continues_without_a_server() {
    let mut worker = Worker::running("alone", "i=0; while [ $i -lt 2000 ]; do echo line $i; i=$((i+1)); done");
    assert_eq!(worker.exited().exit_code, Some(0));
    assert_eq!(worker.payloads(Kind::Out).len(), 2000);
}

#[test]
fn lagging_server_delays_no_other_and_gets_everything() {
    let script =
        "yes 'a line of some length, to fill the buffers of the socket many times over' | head -n 400000; echo end";
    let worker = Worker::running("lag", &format!("{script}; read wait"));
    let start = worker.start();
    let mut server = worker.attach(start);
    // The CLI can write all its output although this server has not read a byte.
    eventually("all is in the journal", || {
        let journal = fs::read(worker.dir.join("journal")).unwrap();
        journal.ends_with(b" out end\n").then_some(())
    });
    server.send(9, &ShimCommand::Sync);
    server.hear("all", |heard| heard.has_out("end") && heard.has_ok(9));
    assert!(server.heard.records == worker.journal(start));
    // After catching up, it is served live again.
    let mut body = Vec::new();
    input_line(&mut body, b"go on");
    server.send(10, &ShimCommand::Append(&body));
    server.hear("live again", |heard| heard.has_ok(10));
}

#[test]
fn the_last_record_reaches_a_server_that_lags() {
    let script = "yes 'a line of some length, to fill the buffers of the socket many times over' | head -n 100000";
    let mut worker = Worker::running("farewell", script);
    let start = worker.start();
    let mut server = worker.attach(start);
    server.hear_all();
    assert!(server.heard.records == worker.journal(start));
    assert_eq!(worker.exited().exit_code, Some(0));
}

#[test]
fn volatile_lines_are_live_in_place_but_not_journaled() {
    let mut worker = Worker::new("volatile");
    let mut launch = sh("read go; printf 'a\\n~1\\n~2\\nb\\n~3\\n'; read go; echo c; read go");
    launch.volatile = vec![b"~".to_vec()];
    worker.launch(&launch);
    let mut body = Vec::new();
    input_line(&mut body, b"go");
    let mut server = worker.attach(worker.start());
    server.send(1, &ShimCommand::Append(&body));
    server.hear("the last delta", |heard| heard.volatile.len() == 3);
    let order: Vec<_> = server.heard.order.iter().filter(|(kind, _)| matches!(*kind, "out" | "v")).cloned().collect();
    let expected = [("out", "a"), ("v", "~1"), ("v", "~2"), ("out", "b"), ("v", "~3")];
    assert_eq!(order, expected.map(|(kind, payload)| (kind, payload.to_owned())));
    assert_eq!(worker.payloads(Kind::Out), [b"a", b"b"]);

    // The unfinished message is sent to the next server, after the records, until its end.
    drop(server);
    let mut server = worker.attach(worker.start());
    server.hear("the delta so far", |heard| !heard.volatile.is_empty());
    assert_eq!(server.heard.order.last().unwrap(), &("v", "~3".to_owned()));
    server.send(2, &ShimCommand::Append(&body));
    server.hear("the finished message", |heard| heard.has_out("c"));
    drop(server);
    let mut server = worker.attach(worker.start());
    server.send(3, &ShimCommand::Sync);
    server.hear("an answer", |heard| heard.has_ok(3));
    assert!(server.heard.volatile.is_empty());
}

/// A worker whose message of 60,000 pieces begins with what `script` waits for.
fn long_message(name: &str, script: &str) -> Worker {
    let mut worker = Worker::new(name);
    let pieces = "seq -f '~%020.0f and some more text, as pieces of messages have it' 60000";
    let mut launch = sh(&format!("{script} {pieces}; echo printed; read go"));
    launch.volatile = vec![b"~".to_vec()];
    launch.message_ends = vec![LinePattern { begins: b"end".to_vec(), lacks: Vec::new() }];
    worker.launch(&launch);
    worker
}

/// Returns the pieces of that message.
fn pieces() -> Vec<String> {
    (1..=60_000).map(|number| format!("~{number:020} and some more text, as pieces of messages have it")).collect()
}

#[track_caller]
fn wait_printed(worker: &Worker) {
    eventually("all is printed", || worker.payloads(Kind::Out).contains(&b"printed".to_vec()).then_some(()));
}

#[test]
fn a_long_message_is_kept_from_its_beginning() {
    let worker = long_message("long-message", "");
    wait_printed(&worker);
    let mut server = worker.attach(worker.start());
    server.hear("what is left in the ring", |heard| {
        heard.repeats.first().is_some_and(|&lines| heard.volatile.len() as u64 == lines)
    });
    assert!(!server.heard.volatile.is_empty() && server.heard.repeats.len() == 1);
    let order = server.heard.order.iter().filter(|(kind, line)| matches!(*kind, "out" | "v") && line != "printed");
    assert!(order.map(|(_, line)| line).eq(&pieces()));
}

#[test]
fn a_server_that_lags_misses_no_volatile_line() {
    let worker = long_message("volatile-lag", "read go;");
    let mut server = worker.attach(worker.start());
    let mut body = Vec::new();
    input_line(&mut body, b"go");
    server.send(1, &ShimCommand::Append(&body));
    // It reads when everything has been printed, which is more than the socket holds.
    wait_printed(&worker);
    let last = pieces().pop();
    server.hear("the last piece", |heard| heard.volatile.last() == last.as_ref());
    assert!(server.heard.repeats.len() > 1, "it is told that lines come again");
    // The contents by then: the records, and the volatile lines since the last announcement.
    let again = usize::try_from(*server.heard.repeats.last().unwrap()).unwrap();
    let kept = worker.payloads(Kind::Out).len() - 1;
    assert!(kept > 0 && kept + again <= 60_000);
    let mut seen: Vec<&String> =
        server.heard.order.iter().map(|(_, line)| line).filter(|it| it.starts_with('~')).collect();
    seen.sort_unstable();
    seen.dedup();
    assert!(seen.into_iter().eq(&pieces()));
}

#[test]
fn only_the_lines_that_are_named_end_a_message() {
    let mut worker = Worker::new("message-ends");
    let mut launch = sh("printf '~1\\nnoise\\n~2\\nend of another one\\n'; read go; printf 'end\\n~3\\n'; read go");
    launch.volatile = vec![b"~".to_vec()];
    launch.message_ends = vec![LinePattern { begins: b"end".to_vec(), lacks: b"another".to_vec() }];
    worker.launch(&launch);
    let pieces = |worker: &Worker, last: &str| {
        let mut server = worker.attach(worker.start());
        server.hear("the pieces so far", |heard| heard.volatile.last().is_some_and(|line| line == last));
        server.heard.volatile.clone()
    };
    let mut server = worker.attach(worker.start());
    server.hear("the other end", |heard| heard.has_out("end of another one"));
    drop(server);
    assert_eq!(pieces(&worker, "~2"), ["~1", "~2"]);
    let mut server = worker.attach(worker.start());
    let mut body = Vec::new();
    input_line(&mut body, b"go");
    server.send(1, &ShimCommand::Append(&body));
    server.hear("the end", |heard| heard.has_out("end") && heard.volatile.last().is_some_and(|line| line == "~3"));
    drop(server);
    assert_eq!(pieces(&worker, "~3"), ["~3"]);
}

#[test]
fn writes_in_progress_at_a_kill_are_recorded_before_it() {
    let mut worker = Worker::new("unfinished");
    // It waits until a server is attached, which might come after its end otherwise.
    let mut launch = sh("read go; printf 'a\\n~1\\nb\\n~2\\n~3\\n'; kill -9 $$");
    launch.volatile = vec![b"~".to_vec()];
    worker.launch(&launch);
    let mut server = worker.attach(worker.start());
    let mut body = Vec::new();
    input_line(&mut body, b"go");
    server.send(1, &ShimCommand::Append(&body));
    server.hear("the last of it", |heard| heard.has_out("~3"));
    server.hear("the end", |heard| heard.order.last().is_some_and(|(kind, _)| *kind == "ctl"));
    assert_eq!(worker.payloads(Kind::Out), [&b"a"[..], b"b", b"~2", b"~3"]);
}

#[test]
fn dead_servers_commands_take_effect_before_the_next_ones() {
    let worker = Worker::running("in-flight", "exec cat");
    let mut sent = Vec::new();
    for round in 0..40_u64 {
        // It sends all this and disconnects without having read anything.
        let mut dying = worker.attach(worker.start());
        for part in 0..5 {
            let line = format!("{round} {part}");
            let mut body = Vec::new();
            control_line(&mut body, &crate::shim::delivered(&line));
            input_line(&mut body, line.as_bytes());
            dying.send(part, &ShimCommand::Append(&body));
            sent.push(line.into_bytes());
        }
        dying.send(9, &ShimCommand::Sync);
        drop(dying);
        let mut next = worker.dial();
        next.hear("the greeting", |heard| heard.greeting.is_some());
        assert_eq!(worker.payloads(Kind::In), sent);
        drop(next);
    }
    let mut server = worker.attach(worker.start());
    server.hear("the last output", |heard| heard.has_out("39 4"));
    assert_eq!(worker.payloads(Kind::Out), sent);
}
