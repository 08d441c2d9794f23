//! Schedules, from the API through the clock to the CLI, with the server killed at any moment.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::support::random::Random;
use crate::support::server::TestServer;
use crate::support::wait::{DEADLINE, eventually, pace};
use crate::support::workers::{TestWorker, server_for_programs};

/// Slots while the server is killed.
const SLOTS: u64 = 16;
/// Time between two of them.
const SLOT_EVERY: Duration = Duration::from_millis(350);

fn start(name: &str) -> (TestServer, TestWorker) {
    let mut server = server_for_programs(name, &[]);
    server.start();
    let worker = TestWorker::create(&server, "claude", &json!({}));
    worker.wait_status(&server, "idle");
    (server, worker)
}

/// The time of the clock, as text.
fn iso(at: SystemTime) -> String {
    let since = at.duration_since(UNIX_EPOCH).unwrap();
    let at = format!("@{}.{:06}", since.as_secs(), since.subsec_micros());
    let out = Command::new("date").args(["-u", "-d", &at, "+%FT%T.%6NZ"]).output().unwrap();
    String::from_utf8(out.stdout).unwrap().trim().to_owned()
}

fn soon(after: Duration) -> Value {
    json!({"at": iso(SystemTime::now() + after)})
}

fn leap_day() -> Value {
    json!({"cron": "0 2 29 2 *", "time_zone": "Europe/Berlin"})
}

/// Adds a schedule for a worker; `more` is merged into the request.
#[track_caller]
fn add(server: &TestServer, worker: &TestWorker, when: &Value, more: &Value) -> String {
    let mut new = json!({"name": "test", "when": when, "target": {"worker": worker.id}, "text": "echo hello"});
    new.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let made = server.post("/api/schedules", &new).expect(201).json();
    made["id"].as_str().unwrap().to_owned()
}

#[track_caller]
fn runs(server: &TestServer, schedule: &str) -> Vec<Value> {
    let runs = server.get(&format!("/api/schedules/{schedule}/runs")).expect(200).json();
    runs["runs"].as_array().unwrap().clone()
}

/// Waits until the last run of a schedule has this state.
#[track_caller]
fn wait_run(server: &TestServer, schedule: &str, state: &str) -> Value {
    eventually(DEADLINE, &format!("a run that is {state}"), || {
        runs(server, schedule).first().filter(|run| run["state"] == state).cloned()
    })
}

#[track_caller]
fn run_now(server: &TestServer, schedule: &str) {
    server.post(&format!("/api/schedules/{schedule}/run"), &json!({})).expect(202);
}

/// Counts the messages of schedules in a worker's journal, by key.
fn accepted(server: &TestServer, worker: &TestWorker) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for message in worker.controls(server, "message_queued") {
        *counts.entry(message["client_message_id"].as_str().unwrap_or_default().to_owned()).or_default() += 1;
    }
    counts
}

#[test]
fn schedule_runs_once_and_its_history_has_the_answer() {
    let (server, worker) = start("schedule-once");
    let when = soon(Duration::from_millis(600));
    let id = add(&server, &worker, &when, &json!({"text": "echo on {{date}}"}));
    let before = server.get(&format!("/api/schedules/{id}")).expect(200).json();
    assert_eq!(before["next"], json!([when["at"]]));
    let run = wait_run(&server, &id, "completed");
    assert_eq!((&run["slot"], &run["cause"], &run["queued"]), (&when["at"], &json!("time"), &json!(false)));
    let date = &when["at"].as_str().unwrap()[..10];
    assert_eq!(run["result"], format!("on {date}"));
    let key = format!("schedule:{id}:{}", when["at"].as_str().unwrap());
    assert_eq!(accepted(&server, &worker), BTreeMap::from([(key, 1)]));
    let after = server.get(&format!("/api/schedules/{id}")).expect(200).json();
    assert_eq!((&after["next"], &after["last_run"]["state"]), (&json!([]), &json!("completed")));
}

#[test]
fn slots_run_exactly_once_while_the_server_is_killed() {
    let (mut server, worker) = start("schedule-kill");
    let mut random = Random::new();
    let begin = SystemTime::now() + Duration::from_secs(4);
    let schedules: Vec<(String, String)> = (0..SLOTS)
        .map(|slot| {
            let at = iso(begin + SLOT_EVERY * u32::try_from(slot).unwrap());
            (add(&server, &worker, &json!({"at": at}), &json!({"text": format!("echo {slot}")})), at)
        })
        .collect();
    let end = begin + SLOT_EVERY * u32::try_from(SLOTS).unwrap();
    while SystemTime::now() < end {
        pace(Duration::from_millis(random.below(700)));
        server.kill9();
        pace(Duration::from_millis(random.below(200)));
        server.start();
    }
    for (slot, (id, at)) in schedules.iter().enumerate() {
        let run = wait_run(&server, id, "completed");
        assert_eq!((&run["slot"], &run["result"]), (&json!(at), &json!(slot.to_string())));
        assert_eq!(runs(&server, id).len(), 1);
    }
    let expected = schedules.iter().map(|(id, at)| (format!("schedule:{id}:{at}"), 1)).collect();
    assert_eq!(accepted(&server, &worker), expected, "each slot is in the journal once");
}

#[test]
fn minutely_schedule_runs_each_minute_while_the_server_is_killed() {
    let (mut server, worker) = start("schedule-minute");
    let mut random = Random::new();
    let id =
        add(&server, &worker, &json!({"cron": "* * * * *", "time_zone": "UTC"}), &json!({"text": "echo {{time}}"}));
    let minute = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() / 60;
    let next = server.get(&format!("/api/schedules/{id}")).expect(200).json()["next"][0].clone();
    let slot = |minute: u64| iso(UNIX_EPOCH + Duration::from_secs(minute * 60));
    let first = (minute()..minute() + 3).find(|minute| slot(*minute) == next).unwrap();
    let began = Instant::now();
    // Two changes of the minute, with kills around each.
    while minute() < first + 1 {
        let left = 60_000 - SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() % 60_000;
        // Mostly near the slot.
        let near = u64::try_from(left).unwrap().saturating_sub(600).min(5_000);
        pace(Duration::from_millis(near + random.below(600)));
        server.kill9();
        server.start();
        assert!(began.elapsed() < Duration::from_secs(180), "two minutes pass");
    }
    eventually(DEADLINE, "two completed runs", || {
        let runs = runs(&server, &id);
        (runs.len() == 2 && runs.iter().all(|run| run["state"] == "completed")).then_some(())
    });
    let expected = [first, first + 1].map(|minute| (format!("schedule:{id}:{}", slot(minute)), 1)).into();
    assert_eq!(accepted(&server, &worker), expected);
}

#[test]
fn missed_slots_run_once_or_are_skipped_as_set() {
    let (mut server, worker) = start("schedule-missed");
    let when = soon(Duration::from_millis(900));
    let [once, never] = ["run_once", "skip"]
        .map(|missed| add(&server, &worker, &when, &json!({"missed": missed, "text": "echo late"})));
    server.kill9();
    pace(Duration::from_secs(1));
    server.start();
    let run = wait_run(&server, &once, "completed");
    assert_eq!((&run["cause"], &run["slot"]), (&json!("missed"), &when["at"]));
    let skipped = wait_run(&server, &never, "skipped");
    assert_eq!((&skipped["cause"], &skipped["missed"]), (&json!("missed"), &json!(1)));
    assert!(skipped["reason"].as_str().unwrap().contains("missed"), "{skipped}");
    server.restart();
    assert_eq!((runs(&server, &once).len(), runs(&server, &never).len()), (1, 1));
    assert_eq!(accepted(&server, &worker).len(), 1);
}

#[test]
fn busy_worker_queues_or_skips_as_set() {
    let (server, worker) = start("schedule-busy");
    let [queues, skips] =
        ["queue", "skip"].map(|busy| add(&server, &worker, &leap_day(), &json!({"busy": busy, "text": "echo then"})));
    worker.say(&server, "permission Bash {\"command\":\"true\"}");
    let prompt = worker.wait_prompt(&server);
    run_now(&server, &skips);
    assert_eq!(wait_run(&server, &skips, "skipped")["reason"], "the worker is busy");
    run_now(&server, &queues);
    assert_eq!(wait_run(&server, &queues, "sent")["queued"], true);
    assert_eq!(server.get("/api/permissions").expect(200).json()["permissions"].as_array().unwrap().len(), 1);
    worker.answer(&server, &prompt, &json!({"option_id": "allow"})).expect(200);
    assert_eq!(wait_run(&server, &queues, "completed")["result"], "then");
    assert_eq!(accepted(&server, &worker).len(), 2, "the person's message, and one of a schedule");
}

#[test]
fn result_of_the_last_run_is_put_into_the_next() {
    let (server, worker) = start("schedule-result");
    let id = add(&server, &worker, &leap_day(), &json!({"text": "echo <{{last_result}}>"}));
    run_now(&server, &id);
    assert_eq!(wait_run(&server, &id, "completed")["result"], "<(no result yet)>");
    server.patch(&format!("/api/schedules/{id}"), &json!({"text": "echo {{last_result}}!"})).expect(200);
    run_now(&server, &id);
    eventually(DEADLINE, "the second result", || {
        (runs(&server, &id)[0]["result"] == "<(no result yet)>!").then_some(())
    });
}

#[test]
fn each_run_of_a_preset_is_a_new_worker() {
    let (mut server, _) = start("schedule-preset");
    let preset = json!({"ai_cli_type": "claude", "initial_message": "echo {{what}}"});
    server.put("/api/presets/nightly", &preset).expect(200);
    let target = json!({"preset": "nightly", "values": {"what": "filled"}, "project_path": server.project()});
    let new = json!({"name": "audit", "when": leap_day(), "target": target});
    let made = server.post("/api/schedules", &new).expect(201).json();
    let id = made["id"].as_str().unwrap();
    run_now(&server, id);
    let first = wait_run(&server, id, "completed");
    assert_eq!(first["result"], "filled");
    server.patch(&format!("/api/schedules/{id}"), &json!({"text": "echo own"})).expect(200);
    run_now(&server, id);
    server.kill9();
    server.start();
    let second = eventually(DEADLINE, "the second run", || {
        runs(&server, id).first().filter(|run| run["result"] == "own").cloned()
    });
    assert_ne!(first["worker_id"], second["worker_id"]);
    let workers = server.get("/api/workers").expect(200).json();
    let named = |worker: &&Value| worker["name"].as_str().unwrap().starts_with("audit 20");
    assert_eq!(workers["workers"].as_array().unwrap().iter().filter(named).count(), 2);
    server.delete("/api/presets/nightly").expect(200);
    run_now(&server, id);
    assert!(wait_run(&server, id, "failed")["reason"].as_str().unwrap().contains("nightly"));
}

#[test]
fn paused_schedule_has_no_slots_until_it_is_resumed() {
    let (server, worker) = start("schedule-pause");
    let when = soon(Duration::from_millis(900));
    let id = add(&server, &worker, &when, &json!({"paused": true}));
    let path = format!("/api/schedules/{id}");
    assert_eq!(server.get(&path).expect(200).json()["next"], json!([]));
    pace(Duration::from_secs(1));
    server.patch(&path, &json!({"paused": false})).expect(200);
    // A run that a person asks for comes after whatever the resumed schedule would do.
    run_now(&server, &id);
    wait_run(&server, &id, "completed");
    let causes: Vec<Value> = runs(&server, &id).iter().map(|run| run["cause"].clone()).collect();
    assert_eq!(causes, ["person"]);
    server.delete(&path).expect(200);
    server.get(&path).expect(404);
    assert_eq!(server.data_dir().join(".schedule-runs").read_dir().unwrap().count(), 0);
}

#[test]
fn what_can_never_run_is_refused_with_its_field() {
    let (server, worker) = start("schedule-refused");
    let target = json!({"worker": worker.id});
    for (field, change) in [
        ("when", json!({"when": {"at": "2020-01-01T00:00:00Z"}})),
        ("when", json!({"when": {"cron": "61 * * * *"}})),
        ("when", json!({"when": {"cron": "* * * * *", "time_zone": "Mars/Olympus"}})),
        ("target", json!({"target": {"worker": "none"}})),
        ("target", json!({"target": {"preset": "none", "project_path": "/"}})),
        ("text", json!({"text": "{{nothing}}"})),
        ("text", json!({"text": ""})),
        ("name", json!({"name": " "})),
    ] {
        let mut new = json!({"name": "n", "when": {"cron": "* * * * *"}, "target": target, "text": "hello"});
        new.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let refused = server.post("/api/schedules", &new).expect(400).json();
        assert_eq!(refused["field"], field, "{refused}");
    }
    let both = json!({"when": {"at": "2099-01-01T00:00:00Z", "cron": "* * * * *"}});
    server.post("/api/schedules/preview", &both).expect(422);
    let preview = json!({"when": {"cron": "30 2 29 3 *", "time_zone": "Europe/Berlin"}});
    let next = server.post("/api/schedules/preview", &preview).expect(200).json();
    assert_eq!(next["next"].as_array().unwrap().len(), 5);
}

#[test]
fn worker_that_is_gone_is_named_in_the_history() {
    let (server, worker) = start("schedule-gone");
    let [waits, fails] = ["a", "b"].map(|name| add(&server, &worker, &leap_day(), &json!({"name": name})));
    worker.say(&server, "hang");
    worker.wait_status(&server, "busy");
    run_now(&server, &waits);
    wait_run(&server, &waits, "sent");
    server.delete(&worker.path("?force=true")).expect(200);
    run_now(&server, &fails);
    assert!(wait_run(&server, &fails, "failed")["reason"].as_str().unwrap().contains(&worker.id));
    server.get("/api/schedules").expect(200);
}
