//! The server is killed again and again, and nobody misses a line.

use std::net::SocketAddr;
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
use crate::support::ws::{Received, WsClient};

/// How many kills of the server. From [`MIXED_FROM`] on shims and CLIs are killed too.
const KILLS: &str = "RS_WORKER_TEST_KILLS";
const KILLS_DEFAULT: u64 = 5;
const MIXED_FROM: u64 = 10;
/// Workers, and clients of each.
const WORKERS: usize = 10;
const CLIENTS: usize = 3;
/// Longest time from a start of the server to its kill: sometimes it is not even ready then.
const LIFE_MS_MAX: u64 = 500;
/// Longest time without a server.
const DEATH_MS_MAX: u64 = 100;
/// How long a client listens before it looks whether the test is over.
const LOOK: Duration = Duration::from_millis(50);

/// What the clients of one worker need to know.
#[derive(Default)]
struct Course {
    /// The last event, once nothing more will come; else 0.
    last_seq: AtomicU64,
    /// The test has failed elsewhere: nobody waits any longer.
    given_up: AtomicBool,
}

/// Sets `given_up` for all, however the scope is left.
struct Release<'c>(&'c [Course]);

impl Drop for Release<'_> {
    fn drop(&mut self) {
        self.0.iter().for_each(|course| course.given_up.store(true, Ordering::Relaxed));
    }
}

/// A client that comes back with its cursor whenever the connection ends; gives the numbered frames that it got.
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
                Received::Frame(frame) if frame["type"] == "output" && frame["seq"].is_u64() => frames.push(frame),
                Received::Frame(_) | Received::Nothing => {}
                Received::Closed(_) => break,
            }
            client.frames.clear();
        }
    }
    frames
}

/// Kills the shim or the CLI of a worker, waits until the API has told how it ended, and starts it again.
fn kill_one(server: &TestServer, worker: &TestWorker, random: &mut Random) {
    let started = worker.controls(server, "started").pop().unwrap();
    let exits = worker.events_of(server, "exit").len();
    let is_shim = random.below(2) == 0;
    let field = if is_shim { "shim_pid" } else { "pid" };
    let pid = started[field].as_i64().unwrap() as i32;
    let victim = processes::process(pid).expect("it runs");
    assert!(processes::signal(&victim, Signal::SIGKILL));
    let exit = worker.wait_event(server, "exit", exits + 1);
    if is_shim {
        let shown = worker.wait_status(server, "stopped");
        assert!(shown["reason"].as_str().unwrap().contains("shim"), "{shown}");
        assert!(exit["content"].as_str().unwrap().contains("shim was killed"), "{exit}");
    } else {
        worker.wait_status(server, "failed");
        assert_eq!(exit["signal"], "SIGKILL", "{exit}");
    }
    server.wait_no_processes_of(&worker.id);
    worker.call(server, "start").expect(200);
    eventually(DEADLINE, "it runs again", || worker.show(server)["pid"].is_i64().then_some(()));
}

/// The numbers of the lines that a worker's CLIs have printed, as its journal has them.
fn journaled(server: &TestServer, worker: &TestWorker) -> Vec<u64> {
    let records = worker.journal(server).into_iter().filter(|(kind, _)| kind == "out");
    records.map(|(_, line)| number(&line)).collect()
}

fn number(line: &str) -> u64 {
    line.strip_prefix("line ").unwrap_or_else(|| panic!("not a line: {line}")).parse().unwrap()
}

/// Every CLI counts from 1, so the numbers fall into runs without a gap.
fn assert_runs(numbers: &[u64], runs: usize, who: &str) {
    let mut found = 0;
    for (index, &number) in numbers.iter().enumerate() {
        if number == 1 {
            found += 1;
        } else {
            assert!(index > 0 && numbers[index - 1] + 1 == number, "{who}: {number} after {}", numbers[index - 1]);
        }
    }
    assert!(found <= runs, "{who}: {found} runs");
}

#[test]
fn every_client_gets_every_line_once_while_the_server_is_killed_again_and_again() {
    let kills = std::env::var(KILLS).ok().and_then(|text| text.parse().ok()).unwrap_or(KILLS_DEFAULT);
    let mut random = Random::new();
    let mut server = server_for_programs("kill", &[]);
    server.start();
    let fake = clis::fake_cli();
    let line = [fake.to_str().unwrap(), "lines", "forever", "--rate", "200"];
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
        for _ in 0..kills {
            pace(Duration::from_millis(random.below(LIFE_MS_MAX)));
            server.kill9();
            pace(Duration::from_millis(random.below(DEATH_MS_MAX)));
            // Half of the time it is killed at any moment of its start, and not only when it is ready.
            if random.below(2) == 0 {
                server.start();
                if kills >= MIXED_FROM {
                    let at = random.below(WORKERS as u64) as usize;
                    kill_one(&server, &workers[at], &mut random);
                    starts[at] += 1;
                }
            } else {
                server.spawn();
            }
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
        // Each has its own deadline for what is still to come.
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
        assert_runs(&printed, *starts, "the CLIs' own output");
        assert_eq!(worker.controls(&server, "started").len(), *starts);
        lines += printed.len();
        for frames in &got[index * CLIENTS..(index + 1) * CLIENTS] {
            let seqs: Vec<u64> = frames.iter().map(|frame| frame["seq"].as_u64().unwrap()).collect();
            assert!(seqs.windows(2).all(|pair| pair[0] < pair[1]), "in order, once each");
            let told: Vec<u64> = frames
                .iter()
                .filter(|frame| frame["content"]["type"] == "assistant")
                .map(|frame| number(frame["content"]["content"].as_str().unwrap()))
                .collect();
            assert_eq!(told, printed);
            assert_eq!(frames.last().unwrap()["content"]["status"], "stopped");
        }
    }
    println!("{kills} kills, {lines} lines to {CLIENTS} clients each");
}

#[test]
fn messages_that_are_sent_while_the_server_is_killed_reach_the_cli_once() {
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
