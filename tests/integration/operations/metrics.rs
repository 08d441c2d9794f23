//! `GET /metrics`, read by the parser of Prometheus' own library.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Map, Value, json};

use crate::support::server::TestServer;
use crate::support::wait::{DEADLINE, eventually, within};
use crate::support::workers::{TestWorker, run_script, server_for_programs};
use crate::wire::builder;

/// The samples of `GET /metrics` by name and labels.
struct Samples(Map<String, Value>);

impl Samples {
    fn of(server: &TestServer) -> Self {
        let reply = server.get("/metrics").expect(200);
        assert_eq!(reply.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
        let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/venv/bin/python");
        assert!(python.exists(), "{} is missing: run `make install-test-deps` first", python.display());
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/read_metrics.py");
        let piped = Stdio::piped;
        let mut child =
            Command::new(python).arg(script).stdin(piped()).stdout(piped()).stderr(piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(reply.text().as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let (printed, said) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        assert!(output.status.success(), "{said}\n{}", reply.text());
        Self(serde_json::from_str(&printed).unwrap())
    }

    #[track_caller]
    fn get(&self, sample: &str) -> f64 {
        let value = self.0.get(sample).unwrap_or_else(|| panic!("no {sample} among {:#?}", self.0.keys()));
        value.as_f64().unwrap()
    }

    /// Returns the count of a sample, 0 where it is left out.
    fn count(&self, sample: &str) -> f64 {
        self.0.get(sample).map_or(0.0, |value| value.as_f64().unwrap())
    }
}

#[test]
fn real_metrics_read_by_prometheus_count_a_workers_work() {
    let server = builder().start();
    let worker = TestWorker::create(&server, "claude", &json!({}));
    worker.wait_status(&server, "idle");
    worker.say(&server, "echo one");
    worker.wait_turn(&server, 1);
    worker.say(&server, "fail for once");
    worker.wait_turn(&server, 2);
    worker.say(&server, "permission Bash {\"command\":\"ls\"}");
    let prompt = worker.wait_prompt(&server);
    let asked = Samples::of(&server);
    assert_eq!(asked.get("rs_worker_prompts_waiting{cli=\"claude\",kind=\"permission\"}"), 1.0);
    assert_eq!(asked.get("rs_worker_prompt_answer_seconds_count"), 0.0);
    assert_eq!(asked.get("rs_worker_workers{cli=\"claude\",status=\"waiting\"}"), 1.0);
    worker.answer(&server, &prompt, &json!({"option_id": "allow"})).expect(200);
    worker.wait_turn(&server, 3);
    worker.wait_status(&server, "idle");
    let reported = worker.show(&server);

    let counted = Samples::of(&server);
    assert_eq!(counted.get("rs_worker_turns_total{cli=\"claude\",outcome=\"completed\"}"), 2.0);
    assert_eq!(counted.get("rs_worker_turns_total{cli=\"claude\",outcome=\"failed\"}"), 1.0);
    for (kind, field) in [("input", "input_tokens"), ("output", "output_tokens")] {
        let sample = format!("rs_worker_tokens_total{{cli=\"claude\",kind=\"{kind}\"}}");
        assert_eq!(counted.get(&sample), reported["usage"][field].as_f64().unwrap(), "{kind}");
        assert!(counted.get(&sample) > 0.0);
    }
    let cost = counted.get("rs_worker_cost_usd_total{cli=\"claude\"}");
    assert!(cost > 0.0 && (cost - reported["cost_usd"].as_f64().unwrap()).abs() < 1e-9, "{cost}");
    assert_eq!(counted.get("rs_worker_prompts_waiting{cli=\"claude\",kind=\"permission\"}"), 0.0);
    assert_eq!(counted.get("rs_worker_prompts_total{cli=\"claude\",kind=\"permission\"}"), 1.0);
    assert_eq!(counted.get("rs_worker_prompts_resolved_total{by=\"user\",cli=\"claude\"}"), 1.0);
    assert_eq!(counted.get("rs_worker_prompt_answer_seconds_count"), 1.0);
    assert_eq!(counted.get("rs_worker_workers{cli=\"claude\",status=\"idle\"}"), 1.0);
    assert_eq!(counted.get("rs_worker_running_workers"), 1.0);

    // Every event of its history, and no more than a few that are live only.
    let events = worker.events(&server).len() as f64;
    assert_eq!(counted.get("rs_worker_events_total{cli=\"claude\"}"), events);
    let journal = worker.dir(&server).join("journal").metadata().unwrap().len() as f64;
    assert_eq!(counted.get("rs_worker_journal_bytes{cli=\"claude\"}"), journal);
    let bytes = |stream: &str| counted.get(&format!("rs_worker_cli_bytes_total{{cli=\"claude\",stream=\"{stream}\"}}"));
    let lines = |kind: &str| -> usize {
        worker.journal(&server).iter().filter(|(record, _)| record == kind).map(|(_, line)| line.len() + 1).sum()
    };
    assert_eq!(bytes("stdin"), lines("in") as f64);
    assert!(bytes("stdout") >= lines("out") as f64, "volatile lines are printed too");
    eventually(DEADLINE, "the disk's answers", || {
        (Samples::of(&server).get("rs_worker_journal_sync_seconds_count") >= 3.0).then_some(())
    });
}

#[test]
fn real_metrics_count_requests_by_route_never_by_path() {
    let mut server = server_for_programs("metrics", &[]);
    server.start();
    let before = Samples::of(&server);
    let worker = run_script(&server, "sleep 1000");
    for _ in 0..3 {
        worker.show(&server);
    }
    server.get("/api/workers/no-such-worker").expect(404);
    server.get("/no/such/path").expect(404);
    server.client.request("PUT", "/api/workers", &[("Content-Type", "application/json")], b"{}").expect(405);
    server.client.request("GET", "/api/health", &[("Host", "evil.example")], b"").expect(403);
    crate::support::http::raw(server.addr(), b"no request at all\r\n\r\n", DEADLINE);
    let sample = |method: &str, route: &str, status: u16| {
        format!("rs_worker_http_requests_total{{method=\"{method}\",route=\"{route}\",status=\"{status}\"}}")
    };
    let duration = "rs_worker_http_request_duration_seconds_count{method=\"GET\",route=\"/api/workers/{id}\"}";
    let none = |status| (sample("none", "none", status), 1.0);
    let mut wanted = vec![
        (sample("POST", "/api/workers", 201), 1.0),
        (sample("GET", "/api/workers/{id}", 200), 3.0),
        (sample("GET", "/api/workers/{id}", 404), 1.0),
        (duration.to_owned(), 4.0),
    ];
    wanted.extend([404, 405, 403, 400].map(none));
    // A request is counted after its response, a moment after the client has received it.
    let (mut after, mut looks) = (Samples::of(&server), 1.0);
    let counted = |after: &Samples, looks: f64| -> Vec<(String, f64, f64)> {
        // The request for the previous metrics was not counted yet.
        let own = (sample("GET", "/metrics", 200), looks);
        let all = wanted.iter().chain([&own]);
        all.map(|(name, wanted)| (name.clone(), after.count(name) - before.count(name), *wanted)).collect()
    };
    let _ = within(DEADLINE, || {
        let is_counted = counted(&after, looks).iter().all(|(_, count, wanted)| count == wanted);
        if !is_counted {
            (after, looks) = (Samples::of(&server), looks + 1.0);
        }
        is_counted.then_some(())
    });
    for (name, count, wanted) in counted(&after, looks) {
        assert_eq!(count, wanted, "{name}");
    }
    let names: Vec<&String> = after.0.keys().collect();
    assert!(names.iter().all(|name| !name.contains("no-such") && !name.contains(&worker.id)), "{names:#?}");
}

#[test]
fn real_metrics_report_the_process_its_queues_and_its_clients() {
    let server = builder().env("MAX_QUEUE", "7").env("MAX_WORKERS", "3").start();
    let worker = TestWorker::create(&server, "claude", &json!({}));
    worker.wait_status(&server, "idle");
    worker.say(&server, "hang");
    worker.wait_status(&server, "busy");
    worker.say(&server, "echo first");
    worker.say(&server, "echo second");
    let mut client = worker.watch(&server);
    client.wait_for("the replay's end", DEADLINE, |frame| frame["type"] == "replay_complete");
    // The connections of earlier requests may end a moment later.
    let connections = "rs_worker_queue_depth{queue=\"connections\"}";
    let samples = eventually(DEADLINE, "the connections of earlier requests have ended", || {
        Some(Samples::of(&server)).filter(|samples| samples.get(connections) <= 2.0)
    });
    let queue = |name: &str| {
        (
            samples.get(&format!("rs_worker_queue_depth{{queue=\"{name}\"}}")),
            samples.get(&format!("rs_worker_queue_capacity{{queue=\"{name}\"}}")),
        )
    };
    assert_eq!(queue("messages"), (2.0, 7.0));
    assert_eq!(queue("shim_commands"), (0.0, 256.0));
    assert_eq!(queue("connections"), (2.0, 1024.0), "the WebSocket, and this request's");
    assert_eq!(samples.get("rs_worker_clients{protocol=\"websocket\"}"), 1.0);
    assert_eq!(samples.get("rs_worker_clients{protocol=\"sse\"}"), 0.0);
    assert_eq!(samples.get("rs_worker_subscriptions"), 1.0);
    assert_eq!(samples.get("rs_worker_running_workers_max"), 3.0);
    for (protocol, direction) in [("http", "in"), ("http", "out"), ("websocket", "out")] {
        let sample = format!("rs_worker_client_bytes_total{{direction=\"{direction}\",protocol=\"{protocol}\"}}");
        assert!(samples.get(&sample) > 100.0, "{sample}");
    }
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let rss: f64 = rss.trim().trim_end_matches(" kB").parse().unwrap();
    let reported = samples.get("process_resident_memory_bytes");
    assert!((reported / 1024.0 - rss).abs() < rss / 2.0, "{reported} bytes, {rss} KiB");
    let threads = std::fs::read_dir(format!("/proc/{}/task", server.pid())).unwrap().count() as f64;
    assert!((samples.get("process_threads") - threads).abs() <= 2.0, "{threads}");
    assert!(samples.get("process_open_fds") > 5.0 && samples.get("process_max_fds") >= 1024.0);
    assert!(samples.get("process_start_time_seconds") > 1.7e9 && samples.get("process_cpu_seconds_total") >= 0.0);
}

#[test]
fn metrics_need_the_token_where_the_api_does() {
    let server = builder().env("AUTH_TOKEN", "a-token-for-prometheus").start();
    let answer = server.get("/metrics").expect(401);
    assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
    server.client.with("Authorization", "Bearer a-token-for-prometheus").get("/metrics").expect(200);
}
