//! Full text over journals of 1 GiB: the first page, and all of it.

use std::time::Instant;

use rs_worker::testing::clock::Micros;
use rs_worker::testing::journal::{Control, Kind, Writer, encode};
use serde_json::Value;

use crate::support::http::Client;
use crate::support::server::Server;
use crate::support::stats::{judge, quantile, report};

/// Workers with a journal each.
const WORKERS: u64 = 4;
/// Bytes of each journal.
const JOURNAL_BYTES: u64 = 1024 * 1024 * 1024 / WORKERS;
/// Sample text of an agent.
const TEXT: &str =
    "The quick brown fox jumps over the lazy dog; \\\"quoted\\\", and then it does it all over again.\\n";
/// The number of times that it says it in one message.
const TIMES: usize = 12;
/// Times that each is measured.
const RUNS: usize = 9;
/// Longest that a page may take, in milliseconds: one request's time to read, and what it costs to be asked.
const BAR: f64 = 500.0;

pub(crate) fn run() {
    let mut server = Server::start();
    server.stop();
    let written: u64 = (0..WORKERS).map(|number| write_journal(&server.data(), number)).sum();
    report("journals", &format!("{:.2} GiB of {WORKERS} workers", written as f64 / (1 << 30) as f64));
    let begin = Instant::now();
    server.resume();
    let mut http = server.http();
    // It is answered when all of them are loaded.
    assert_eq!(http.get("/api/workers")["workers"].as_array().unwrap().len() as u64, WORKERS);
    report("start of the server with them, never seen before", &format!("{:.1} s", begin.elapsed().as_secs_f64()));
    for (what, query) in
        [("a common word", "lazy"), ("a word in the oldest message alone", "xylophone"), ("no match", "zzyzx")]
    {
        measure(&mut http, what, query);
    }
}

/// The journal of a worker of Claude Code that has talked for long. The first message of all has a rare word.
fn write_journal(data: &std::path::Path, number: u64) -> u64 {
    let id = format!("00000000-0000-4000-8000-{number:012}");
    let folder = data.join(&id);
    std::fs::create_dir(&folder).unwrap();
    let mut writer = Writer::create(&folder.join("journal"), &id).unwrap();
    let created = Control::Created {
        worker_id: id,
        name: format!("talker {number}"),
        project_path: data.to_str().unwrap().to_owned(),
        ai_cli_type: "claude".to_owned(),
        options: Box::default(),
        forked_from: None,
        worktree: None,
    };
    // The workers' records alternate.
    let mut time = 1_700_000_000_000_000 + number;
    let mut batch = Vec::new();
    encode(&mut batch, Micros(time), Kind::Ctl, &created.to_json());
    let mut rare = if number == 0 { "xylophone" } else { "" };
    while writer.end() < JOURNAL_BYTES {
        while batch.len() < 1024 * 1024 {
            time += 1_000;
            let text = TEXT.repeat(TIMES);
            let line = format!(
                r#"{{"type":"assistant","message":{{"id":"msg_{time}","type":"message","role":"assistant","model":"m","content":[{{"type":"text","text":"{rare} {text}"}}],"stop_reason":null,"usage":{{"input_tokens":3,"output_tokens":9}}}},"parent_tool_use_id":null,"session_id":"s","uuid":"u"}}"#
            );
            rare = "";
            encode(&mut batch, Micros(time), Kind::Out, line.as_bytes());
        }
        writer.append(&batch).unwrap();
        batch.clear();
    }
    writer.end()
}

fn measure(http: &mut Client, what: &str, query: &str) {
    let path = format!("/api/search?limit=20&q={}", query.replace(' ', "+"));
    let mut pages = Vec::new();
    let mut wholes = Vec::new();
    let (mut bytes, mut requests, mut results) = (0, 0, 0);
    for _ in 0..RUNS {
        let begin = Instant::now();
        let mut cursor = String::new();
        (bytes, requests, results) = (0, 0, 0);
        // Until there is something to show, or nothing is left.
        while results == 0 {
            let asked = Instant::now();
            let page: Value = http.get(&format!("{path}{cursor}"));
            pages.push(asked.elapsed().as_secs_f64() * 1_000.0);
            bytes += page["bytes"].as_u64().unwrap();
            requests += 1;
            results = page["results"].as_array().unwrap().len();
            let Some(next) = page["next"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        wholes.push(begin.elapsed().as_secs_f64() * 1_000.0);
    }
    let whole = quantile(&mut wholes, 0.5);
    let longest = quantile(&mut pages, 1.0);
    report(
        &format!("{what}: first results"),
        &format!(
            "{whole:.1} ms ({results} results, {requests} requests, {:.2} GiB read)",
            bytes as f64 / (1 << 30) as f64
        ),
    );
    judge(&format!("{what}: longest request"), &format!("{longest:.0} ms"), "500 ms", longest < BAR);
}
