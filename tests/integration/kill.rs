//! The server is killed again and again, and no client misses a line.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::support::clis;
use crate::support::processes;
use crate::support::random::Random;
use crate::support::server::TestServer;
use crate::support::wait::{DEADLINE, eventually, pace, within};
use crate::support::workers::{TestWorker, run, server_for_programs};
use crate::support::ws::{WsClient, WsReceipt};

/// Number of kills of the server. At about half of them a shim or a CLI is killed too.
const KILLS: &str = "RS_WORKER_TEST_KILLS";
const KILLS_DEFAULT: u64 = 5;
/// Kills of the server that are always accompanied by one of a shim or a CLI: so both happen.
const MIXED_AT_LEAST: u64 = 2;
/// Workers, and clients of each.
const WORKERS: usize = 10;
const CLIENTS: usize = 3;
/// Longest time from a start of the server to its kill: sometimes it is not even ready then.
const LIFE_MS_MAX: u64 = 500;
/// Longest time without a server.
const DEATH_MS_MAX: u64 = 100;
/// Time for which a client reads before it checks whether the test is over.
const LOOK: Duration = Duration::from_millis(50);

/// Facts that the clients of one worker need.
#[derive(Default)]
struct Course {
    /// The last event, once no more will come; else 0.
    last_seq: AtomicU64,
    /// True if the test has failed elsewhere: no client waits any longer.
    given_up: AtomicBool,
}

/// Sets `given_up` for all, however the scope is left.
struct Release<'c>(&'c [Course]);

impl Drop for Release<'_> {
    fn drop(&mut self) {
        self.0.iter().for_each(|course| course.given_up.store(true, Ordering::Relaxed));
    }
}

/// A client that reconnects with its cursor whenever the connection ends; returns the numbered frames that it received.
fn follow(addr: SocketAddr, id: &str, course: &Course) -> Vec<Value> {
    let mut frames: Vec<Value> = Vec::new();
    let is_over = |frames: &[Value]| {
        let last = course.last_seq.load(Ordering::Relaxed);
        let reached = frames.last().is_some_and(|frame| frame["seq"].as_u64().unwrap() >= last);
        (last > 0 && reached) || course.given_up.load(Ordering::Relaxed)
    };
    while !is_over(&frames) {
        let since = frames.last().map_or(0, |frame| frame["seq"].as_u64().unwrap());
        let path = format!("/ws/{id}?since={since}");
        let connected = within(DEADLINE, || match WsClient::try_connect(addr, &path, &[]) {
            Ok(connected) => Some(connected.expect("the server lets its client in")),
            Err(_) if is_over(&frames) => panic!("the test has ended"),
            Err(_) => None,
        });
        let mut client = connected.expect("the server comes back");
        while !is_over(&frames) {
            match client.receive(LOOK) {
                WsReceipt::Frame(frame) if frame["type"] == "output" && frame["seq"].is_u64() => frames.push(frame),
                WsReceipt::Frame(_) | WsReceipt::Nothing => {}
                WsReceipt::Closed(_) => break,
            }
            client.frames.clear();
        }
    }
    frames
}

/// A process that was killed beside the server.
struct Struck {
    /// The index of its worker.
    at: usize,
    /// True for its shim, false for its CLI.
    is_shim: bool,
    /// Number of ends of the worker before.
    ends: usize,
}

/// Returns the number of ends of a worker, from its journal.
fn ends(server: &TestServer, worker: &TestWorker) -> usize {
    worker.controls(server, "exited").len() + worker.controls(server, "shim_lost").len()
}

/// Kills the shim or the CLI of a worker, whether or not a server runs.
fn strike(server: &TestServer, workers: &[TestWorker], is_shim: bool, random: &mut Random) -> Struck {
    let at = random.below(workers.len() as u64) as usize;
    let worker = &workers[at];
    let ends = ends(server, worker);
    let started = worker.controls(server, "started").pop().unwrap();
    let field = if is_shim { "shim_pid" } else { "pid" };
    let victim = processes::process(started[field].as_i64().unwrap() as i32).expect("it runs");
    assert!(processes::signal(&victim, Signal::SIGKILL));
    Struck { at, is_shim, ends }
}

/// Waits until the API has reported how the worker ended, and starts it again.
fn reported_and_started_again(server: &TestServer, worker: &TestWorker, struck: &Struck) {
    let exit = worker.wait_event(server, "exit", struck.ends + 1);
    if struck.is_shim {
        let shown = worker.wait_status(server, "stopped");
        assert!(shown["reason"].as_str().unwrap().contains("process is gone"), "{shown}");
        assert!(exit["content"].as_str().unwrap().contains("process is gone"), "{exit}");
    } else {
        worker.wait_status(server, "failed");
        assert_eq!(exit["signal"], "SIGKILL", "{exit}");
    }
    server.wait_no_processes_of(&worker.id);
    worker.call(server, "start").expect(200);
    eventually(DEADLINE, "it runs again", || worker.show(server)["pid"].is_i64().then_some(()));
}

/// One run of a worker's CLI, according to the journal.
#[derive(Default)]
struct Run {
    pid: i64,
    /// The last line that is in the journal.
    last: u64,
    lost_its_shim: bool,
}

/// Returns the runs of a worker's CLI. Each counts its lines from 1, and none is missing between the first and the
/// last.
fn runs(server: &TestServer, worker: &TestWorker) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for (kind, payload) in worker.journal(server) {
        if kind == "ctl" {
            let control: Value = serde_json::from_str(&payload).unwrap();
            match control["type"].as_str().unwrap() {
                "started" => runs.push(Run { pid: control["pid"].as_i64().unwrap(), ..Run::default() }),
                "shim_lost" => runs.last_mut().unwrap().lost_its_shim = true,
                _ => {}
            }
        } else if kind == "out" {
            let run = runs.last_mut().expect("nothing is printed before the start");
            assert_eq!(number(&payload), run.last + 1, "of process {}", run.pid);
            run.last += 1;
        }
    }
    runs
}

/// Asserts that the journal has every line of a CLI that its shim could have written: only a killed shim leaves lines
/// in the pipe.
fn assert_nothing_is_missing(tally: &Path, run: &Run) {
    let taken = fs::read_to_string(tally.join(run.pid.to_string())).unwrap();
    let taken: u64 = if taken.is_empty() { 0 } else { taken.parse().unwrap() };
    // The line after it may be in the pipe, and not counted yet.
    assert!(run.last <= taken + 1, "{} of {taken} lines are in the journal", run.last);
    assert!(run.lost_its_shim || run.last >= taken, "{} of {taken} lines are in the journal", run.last);
}

/// Returns the numbers of the lines of a worker's CLIs in its journal.
fn journaled(server: &TestServer, worker: &TestWorker) -> Vec<u64> {
    let records = worker.journal(server).into_iter().filter(|(kind, _)| kind == "out");
    records.map(|(_, line)| number(&line)).collect()
}

fn number(line: &str) -> u64 {
    line.strip_prefix("line ").unwrap_or_else(|| panic!("not a line: {line}")).parse().unwrap()
}

#[test]
fn every_client_gets_every_line_once_through_repeated_server_kills() {
    let kills = std::env::var(KILLS).ok().and_then(|text| text.parse().ok()).unwrap_or(KILLS_DEFAULT);
    let mut random = Random::new();
    let mut server = server_for_programs("kill", &[]);
    server.start();
    let fake = clis::fake_cli();
    let tally = server.dir().join("tally");
    fs::create_dir(&tally).unwrap();
    let line = [fake.to_str().unwrap(), "lines", "forever", "--rate", "200", "--tally", tally.to_str().unwrap()];
    let workers: Vec<TestWorker> = (0..WORKERS).map(|_| run(&server, &line)).collect();
    let pids: Vec<Value> = workers.iter().map(|it| it.wait_status(&server, "idle")["pid"].clone()).collect();
    let courses: Vec<Course> = (0..WORKERS).map(|_| Course::default()).collect();
    let addr = server.addr();
    let mut starts = vec![1; WORKERS];
    let got: Vec<Vec<Value>> = std::thread::scope(|scope| {
        let _release = Release(&courses);
        let mut clients = Vec::new();
        for (worker, course) in workers.iter().zip(&courses) {
            for _ in 0..CLIENTS {
                clients.push(scope.spawn(move || follow(addr, &worker.id, course)));
            }
        }
        let mut mixed = 0;
        for kill in 0..kills {
            pace(Duration::from_millis(random.below(LIFE_MS_MAX)));
            server.kill9();
            pace(Duration::from_millis(random.below(DEATH_MS_MAX)));
            // Half of the time it is killed at any moment of its start, and not only when it is ready.
            if kill >= MIXED_AT_LEAST && random.below(2) == 0 {
                server.spawn();
                continue;
            }
            let is_shim = mixed % 2 == 0;
            let unseen = (random.below(2) == 0).then(|| strike(&server, &workers, is_shim, &mut random));
            server.start();
            let struck = unseen.unwrap_or_else(|| strike(&server, &workers, is_shim, &mut random));
            reported_and_started_again(&server, &workers[struck.at], &struck);
            starts[struck.at] += 1;
            mixed += 1;
        }
        server.kill9();
        server.start();
        for ((worker, pid), starts) in workers.iter().zip(&pids).zip(&starts) {
            let shown = worker.wait_status(&server, "idle");
            assert!(*starts > 1 || shown["pid"] == *pid, "nobody has disturbed it: {shown}");
        }
        for (worker, course) in workers.iter().zip(&courses) {
            worker.call(&server, "stop").expect(200);
            let last = server.get(&worker.path("/messages?types=all&limit=1")).expect(200).json();
            course.last_seq.store(last["messages"][0]["seq"].as_u64().unwrap(), Ordering::Relaxed);
        }
        // Each has its own deadline for the remaining events.
        let deadline = || clients.iter().all(|client| client.is_finished()).then_some(());
        let done = within(DEADLINE, deadline);
        courses.iter().for_each(|course| course.given_up.store(true, Ordering::Relaxed));
        let got = clients.into_iter().map(|client| client.join().unwrap()).collect();
        assert!(done.is_some(), "some client has not got to the end");
        got
    });
    let mut lines = 0;
    for (index, (worker, starts)) in workers.iter().zip(&starts).enumerate() {
        let printed = journaled(&server, worker);
        let runs = runs(&server, worker);
        assert_eq!(runs.len(), *starts);
        assert_eq!(worker.events_of(&server, "exit").len(), *starts, "the API tells of each end");
        runs.iter().for_each(|run| assert_nothing_is_missing(&tally, run));
        lines += printed.len();
        for frames in &got[index * CLIENTS..(index + 1) * CLIENTS] {
            let seqs: Vec<u64> = frames.iter().map(|frame| frame["seq"].as_u64().unwrap()).collect();
            assert!(seqs.windows(2).all(|pair| pair[0] < pair[1]), "in order, once each");
            let reported: Vec<u64> = frames
                .iter()
                .filter(|frame| frame["content"]["type"] == "assistant")
                .map(|frame| number(frame["content"]["content"].as_str().unwrap()))
                .collect();
            assert_eq!(reported, printed);
            assert_eq!(frames.last().unwrap()["content"]["status"], "stopped");
        }
    }
    let ends = starts.iter().sum::<usize>() - WORKERS;
    println!("{kills} kills of the server, {ends} of shims and CLIs, {lines} lines to {CLIENTS} clients each");
}

#[test]
fn messages_sent_during_server_kills_reach_the_cli_once() {
    let mut random = Random::new();
    let mut server = server_for_programs("kill-messages", &[]);
    server.start();
    let worker = TestWorker::create(&server, "claude", &json!({}));
    worker.wait_status(&server, "idle");
    let addr = server.addr();
    const MESSAGES: usize = 40;
    std::thread::scope(|scope| {
        let (worker, client) = (&worker, server.client.clone());
        let sender = scope.spawn(move || {
            for number in 0..MESSAGES {
                let body =
                    json!({"content": format!("echo message {number}"), "client_message_id": number.to_string()});
                let headers = [("content-type", "application/json")];
                let path = worker.path("/messages");
                eventually(DEADLINE, "the message is accepted", || {
                    let reply = client.try_request("POST", &path, &headers, body.to_string().as_bytes());
                    reply.ok().filter(|reply| reply.status == 202)
                });
            }
        });
        while !sender.is_finished() {
            pace(Duration::from_millis(random.below(60)));
            server.kill9();
            server.start();
        }
        sender.join().unwrap();
    });
    assert_eq!(server.addr(), addr);
    worker.wait_turn(&server, MESSAGES);
    worker.wait_status(&server, "idle");
    let answers: Vec<String> = worker
        .events_of(&server, "turn_completed")
        .iter()
        .map(|turn| turn["result"].as_str().unwrap().to_owned())
        .collect();
    let wanted: Vec<String> = (0..MESSAGES).map(|number| format!("message {number}")).collect();
    assert_eq!(answers, wanted);
}
