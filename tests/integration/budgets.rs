//! Budgets: warnings, interrupted turns, held queues and the prompt, over kills of the server.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};

use crate::real_claude_worker;
use crate::support::clis;
use crate::support::http::Client;
use crate::support::model::FakeModel;
use crate::support::random::Random;
use crate::support::server::TestServer;
use crate::support::wait::{DEADLINE, eventually, pace};
use crate::support::workers::TestWorker;

/// Cost of a turn of the fake CLI, in US dollars.
const TURN_USD: f64 = 0.000_15;
/// Tokens of one of its turns.
const TURN_TOKENS: u64 = 10;
/// Kills of the server while a budget is used up.
const KILLS: u64 = 6;
/// Longest time from a message to such a kill.
const KILL_AFTER_MS_MAX: u64 = 80;

fn server(name: &str, settings: &[(&str, &str)]) -> TestServer {
    let fake = clis::fake_cli();
    let builder = TestServer::builder().name(name).env("CLAUDE_BINARY", &fake).env("CODEX_BINARY", &fake);
    let builder = builder.env("STOP_GRACE_SECS", "1");
    settings.iter().fold(builder, |builder, (name, value)| builder.env(name, value)).start()
}

fn worker(server: &TestServer) -> TestWorker {
    let worker = TestWorker::create(server, "claude", &json!({}));
    worker.wait_status(server, "idle");
    worker
}

fn add(server: &TestServer, budget: &Value) -> Value {
    server.post("/api/budgets", budget).expect(201).json()
}

fn show(server: &TestServer, budget: &Value) -> Value {
    server.get(&format!("/api/budgets/{}", budget["id"].as_str().unwrap())).expect(200).json()
}

fn steps(server: &TestServer, worker: &TestWorker, step: &str) -> Vec<Value> {
    worker.controls(server, "budget").into_iter().filter(|it| it["step"] == step).collect()
}

fn results(server: &TestServer, worker: &TestWorker) -> Vec<String> {
    let turns = worker.events_of(server, "turn_completed");
    turns.iter().map(|turn| turn["result"].as_str().unwrap_or_default().to_owned()).collect()
}

#[test]
fn warning_comes_once_and_the_prompt_holds_the_queue() {
    let server = server("budget", &[]);
    let worker = worker(&server);
    let budget = add(&server, &json!({"name": "few", "limits": {"turns": 5}}));
    for turn in 1..=3 {
        worker.say(&server, "echo before");
        worker.wait_turn(&server, turn);
    }
    assert!(steps(&server, &worker, "warned").is_empty(), "60 % are used");
    worker.say(&server, "echo before");
    let notice = eventually(DEADLINE, "a warning", || worker.events_of(&server, "notice").pop());
    assert_eq!(notice["code"], "budget_warning");
    assert!(notice["content"].as_str().unwrap().contains("4 of 5 turns"), "{notice}");

    worker.say(&server, "echo last");
    let prompt = worker.wait_prompt(&server);
    worker.wait_turn(&server, 5);
    let options: Vec<&str> =
        prompt["options"].as_array().unwrap().iter().map(|it| it["id"].as_str().unwrap()).collect();
    assert_eq!(options, ["once_more", "raise", "double", "stop"]);
    let ack = worker.say(&server, "echo held");
    assert_eq!((&ack["state"], &ack["held_by_budget"]), (&json!("queued"), &json!("few")));
    let shown = show(&server, &budget);
    assert_eq!((&shown["state"], &shown["percent"], &shown["used"]["turns"]), (&json!("over"), &json!(100), &json!(5)));
    assert_eq!(shown["held"][0]["worker_id"], worker.id.as_str());
    assert_eq!(steps(&server, &worker, "warned").len(), 1);

    // One more turn, and the next message asks again.
    worker.say(&server, "echo held too");
    let answered = worker.answer(&server, &prompt, &json!({"decision": "allow"})).expect(200).json();
    assert_eq!((&answered["answer"]["decision"], &answered["answer"]["by"]), (&json!("once_more"), &json!("user")));
    worker.wait_turn(&server, 6);
    let again = worker.wait_prompt(&server);
    assert_ne!(again["request_id"], prompt["request_id"]);
    worker.answer(&server, &again, &json!({"option_id": "raise"})).expect(200);
    worker.wait_turn(&server, 7);
    assert_eq!(results(&server, &worker)[4..], ["last", "held", "held too"]);
    assert_eq!(show(&server, &budget)["limits"], json!({"turns": 8}), "from the 6 that are used");
}

#[test]
fn stop_keeps_the_queue_held_until_a_raise() {
    let server = server("budget-stop", &[]);
    let worker = worker(&server);
    let budget = add(&server, &json!({"name": "one", "limits": {"turns": 1}, "period": "total"}));
    worker.say(&server, "echo one");
    worker.say(&server, "echo two");
    let prompt = worker.wait_prompt(&server);
    worker.answer(&server, &prompt, &json!({"option_id": "stop"})).expect(200);
    worker.answer(&server, &prompt, &json!({"option_id": "once_more"})).expect(409);
    let ack = worker.say(&server, "echo three");
    assert_eq!(ack["held_by_budget"], "one");
    let path = format!("/api/budgets/{}", budget["id"].as_str().unwrap());
    assert_eq!(worker.wait_status(&server, "idle")["queued_messages"], 2);
    assert_eq!(results(&server, &worker), ["one"]);
    server.patch(&path, &json!({"limits": {"turns": 3}})).expect(200);
    worker.wait_turn(&server, 3);
    assert_eq!(results(&server, &worker), ["one", "two", "three"]);
    worker.wait_prompt(&server);
    server.delete(&path).expect(200);
    let withdrawn = worker.wait_event(&server, "permission_resolved", 2);
    assert_eq!((&withdrawn["decision"], &withdrawn["by"]), (&json!("cancelled"), &json!("budget")));
}

#[test]
fn turn_is_interrupted_after_its_running_tool() {
    let server = server("budget-tool", &[]);
    let worker = worker(&server);
    let done = server.project().join("done");
    worker.say(&server, &format!("work {}", done.display()));
    worker.wait_event(&server, "tool_call", 1);
    add(&server, &json!({"name": "short", "limits": {"running_secs": 0, "tokens": 1_000_000}}));
    eventually(DEADLINE, "a warning", || (!steps(&server, &worker, "warned").is_empty()).then_some(()));
    assert!(worker.controls(&server, "interrupt_requested").is_empty(), "the tool runs");
    fs::write(&done, "").unwrap();
    assert_eq!(worker.wait_turn(&server, 1)["stop_reason"], "interrupted");
    worker.wait_prompt(&server);
    let kinds: Vec<Value> = worker.events(&server).into_iter().map(|event| event["type"].clone()).collect();
    let at = |kind: &str| kinds.iter().position(|it| *it == kind).unwrap();
    assert!(at("tool_result") < at("turn_completed") && at("tool_result") < at("permission_request"));
    assert_eq!(worker.controls(&server, "interrupt_requested")[0]["by"], "budget");
}

#[test]
fn tool_that_runs_too_long_is_interrupted() {
    let server = server("budget-tool-long", &[("BUDGET_TOOL_WAIT_SECS", "1")]);
    let worker = worker(&server);
    worker.say(&server, &format!("work {}", server.project().join("never").display()));
    worker.wait_event(&server, "tool_call", 1);
    add(&server, &json!({"name": "short", "limits": {"running_secs": 0}}));
    assert_eq!(worker.wait_turn(&server, 1)["stop_reason"], "interrupted");
    worker.wait_prompt(&server);
    assert!(worker.events_of(&server, "tool_result").is_empty());
}

#[test]
fn used_up_budget_of_all_workers_asks_once() {
    let server = server("budget-all", &[]);
    let workers = [worker(&server), worker(&server), worker(&server)];
    add(&server, &json!({"name": "shared", "limits": {"turns": 2}}));
    for worker in &workers {
        worker.say(&server, "echo a");
        worker.say(&server, "echo b");
    }
    let prompts = || server.get("/api/permissions").expect(200).json()["permissions"].as_array().unwrap().clone();
    let turns = || workers.iter().map(|worker| worker.show(&server)["turns"].as_u64().unwrap()).sum::<u64>();
    for extra in 0..4 {
        let prompt = eventually(DEADLINE, "one prompt", || (turns() == 2 + extra).then(prompts)?.pop());
        assert_eq!(prompts().len(), 1);
        let asking = workers.iter().find(|worker| worker.id == prompt["worker_id"]).unwrap();
        asking.answer(&server, &prompt, &json!({"option_id": "once_more"})).expect(200);
    }
    eventually(DEADLINE, "all turns", || (turns() == 6).then_some(()));
    for worker in &workers {
        assert_eq!(results(&server, worker), ["a", "b"]);
    }
}

#[test]
fn agent_without_a_cost_is_counted_in_tokens() {
    let server = server("budget-tokens", &[("BUDGET_TOKEN_PRICE", "10")]);
    let worker = TestWorker::create(&server, "codex", &json!({}));
    worker.wait_status(&server, "idle");
    let other = self::worker(&server);
    let budget = add(&server, &json!({"name": "cost", "limits": {"cost_usd": 1.0}}));
    other.say(&server, "echo with a cost");
    other.wait_turn(&server, 1);
    assert_eq!(show(&server, &budget)["counts"], "reported");
    // 50,000 tokens at 10 dollars per million.
    worker.say(&server, "tokens 50000");
    worker.wait_turn(&server, 1);
    let shown = eventually(DEADLINE, "the estimate", || {
        let shown = show(&server, &budget);
        (shown["counts"] == "tokens").then_some(shown)
    });
    assert_eq!(shown["counted_in_tokens"], json!([worker.id]));
    assert_eq!(shown["used"]["estimated_cost_usd"], 0.5);
    assert!((shown["used"]["cost_usd"].as_f64().unwrap() - 0.5 - TURN_USD).abs() < 1e-9, "{shown}");
    worker.say(&server, "tokens 60000");
    let prompt = eventually(DEADLINE, "a prompt", || {
        server.get("/api/permissions").expect(200).json()["permissions"].as_array().unwrap().first().cloned()
    });
    assert!(prompt["content"].as_str().unwrap().contains("estimated from tokens"), "{prompt}");
}

#[test]
fn budgets_hold_over_kills_of_the_server() {
    let mut server = server("budget-kills", &[]);
    let worker = worker(&server);
    let budget = add(&server, &json!({"name": "kills", "limits": {"turns": 1}, "period": "total"}));
    worker.say(&server, "echo 0");
    worker.wait_turn(&server, 1);
    let mut random = Random::new();
    for turn in 1..=KILLS {
        worker.say(&server, &format!("echo {turn}"));
        pace(Duration::from_millis(random.below(KILL_AFTER_MS_MAX)));
        server.kill9();
        server.start();
        let prompt = worker.wait_prompt(&server);
        let inbox = server.get("/api/permissions").expect(200).json();
        assert_eq!(inbox["permissions"].as_array().unwrap().len(), 1, "{inbox}");
        assert_eq!(worker.show(&server)["turns"], turn, "no turn slips through");
        let asked = server.post(
            &worker.path(&format!("/permissions/{}", prompt["request_id"].as_str().unwrap())),
            &json!({"option_id": "once_more"}),
        );
        asked.expect(200);
        pace(Duration::from_millis(random.below(KILL_AFTER_MS_MAX)));
        server.kill9();
        server.start();
        worker.wait_turn(&server, usize::try_from(turn).unwrap() + 1);
    }
    let expected: Vec<String> = (0..=KILLS).map(|turn| turn.to_string()).collect();
    assert_eq!(results(&server, &worker), expected);
    let used = show(&server, &budget)["used"].clone();
    let turns = worker.events_of(&server, "turn_completed");
    let cost: f64 = turns.iter().map(|turn| turn["cost_usd"].as_f64().unwrap()).sum();
    assert_eq!((&used["turns"], &used["tokens"]), (&json!(KILLS + 1), &json!((KILLS + 1) * TURN_TOKENS)));
    assert!((used["cost_usd"].as_f64().unwrap() - cost).abs() < 1e-9, "{used} {cost}");
    server.delete(&worker.path("")).expect(200);
    assert_eq!(show(&server, &budget)["used"], used, "a deleted worker counts");
}

#[test]
fn kill_between_a_raise_and_its_answer_raises_once() {
    let mut server = server("budget-raise", &[]);
    let worker = worker(&server);
    let budget = add(&server, &json!({"name": "raised", "limits": {"turns": 2}}));
    for text in ["echo 1", "echo 2", "echo 3"] {
        worker.say(&server, text);
    }
    let prompt = worker.wait_prompt(&server);
    // As a server leaves it that is killed after the file and before the journal.
    server.kill9();
    let file = server.data_dir().join(".budgets");
    let mut stored: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    stored["budgets"][0]["limits"]["turns"] = json!(3);
    stored["budgets"][0]["revision"] = json!(1);
    fs::write(&file, stored.to_string()).unwrap();
    server.start();
    worker.wait_turn(&server, 3);
    worker.answer(&server, &prompt, &json!({"option_id": "raise"})).expect(409);
    assert_eq!(show(&server, &budget)["limits"]["turns"], 3);
}

#[test]
fn cli_can_neither_answer_nor_replace_the_prompt() {
    let server = server("budget-hostile", &[]);
    let worker = worker(&server);
    add(&server, &json!({"name": "one", "limits": {"turns": 1}}));
    server.post("/api/rules", &json!({"name": "all", "effect": "deny"})).expect(201);
    worker.say(&server, "echo 1");
    let prompt = worker.wait_prompt(&server);
    let id = prompt["request_id"].as_str().unwrap();
    worker.answer(&server, &prompt, &json!({"option_id": "once_more"})).expect(200);
    // The next prompt has an id that the CLI cannot know; the CLI is given it here.
    worker.say(&server, "echo 2");
    worker.wait_turn(&server, 2);
    worker.say(&server, "echo 3");
    let open = worker.wait_prompt(&server);
    let open_id = open["request_id"].as_str().unwrap();
    assert_ne!(open_id, id);
    let proposal = worker.path(&format!("/permission-rule/{open_id}"));
    assert!(server.get(&proposal).expect(400).text().contains("no rule answers"));
    worker.call(&server, "stop").expect(200);
    let kept = worker.wait_prompt(&server);
    assert_eq!(kept["request_id"], open_id, "the end of the CLI leaves it open");
    worker.answer(&server, &kept, &json!({"answers": {}})).expect(400);
    worker.answer(&server, &kept, &json!({"option_id": "once_more"})).expect(200);
    worker.call(&server, "start").expect(200);
    worker.wait_turn(&server, 3);
    assert_eq!(results(&server, &worker), ["1", "2", "3"]);
}

#[test]
fn raise_needs_the_scope_of_the_server() {
    let server = server("budget-scope", &[("AUTH_TOKEN", "a-token-for-this-test"), ("LOCAL_ACCESS", "same-user")]);
    let worker = worker(&server);
    add(&server, &json!({"name": "one", "limits": {"turns": 1}}));
    let token = |name: &str, body: Value| {
        let mut new = json!({"name": name});
        new.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
        let made = server.post("/api/tokens", &new).expect(201).json();
        made["secret"].as_str().unwrap().to_owned()
    };
    let answering = token("phone", json!({"scope": "answer"}));
    let narrowed = token("narrow", json!({"scope": "admin", "workers": [worker.id]}));
    worker.say(&server, "echo 1");
    worker.say(&server, "echo 2");
    let prompt = worker.wait_prompt(&server);
    let path = worker.path(&format!("/permissions/{}", prompt["request_id"].as_str().unwrap()));
    let with = |secret: &str| Client::new(server.addr()).with("authorization", &format!("Bearer {secret}"));
    for secret in [&answering, &narrowed] {
        for option in ["raise", "allow_always"] {
            with(secret).post(&path, &json!({"option_id": option})).expect(403);
        }
    }
    with(&answering).post(&path, &json!({"option_id": "once_more"})).expect(200);
    worker.wait_turn(&server, 2);
}

#[test]
fn budgets_are_checked_changed_and_listed() {
    let server = server("budget-api", &[]);
    for (status, field, wrong) in [
        (400, "name", json!({"name": "", "limits": {"turns": 1}})),
        (400, "limits", json!({"name": "x"})),
        (400, "project", json!({"name": "x", "limits": {"turns": 1}, "project": "here"})),
        (422, "scope", json!({"name": "x", "limits": {"turns": 1}, "project": "/", "worker": "w"})),
        (422, "scope", json!({"name": "x", "limits": {"turns": 1}, "scope": "preset"})),
        (422, "limits", json!({"name": "x", "limits": {"turns": -1}})),
        (422, "limits", json!({"name": "x", "limits": {"cost_usd": "1"}})),
        (422, "limits", json!({"name": "x", "limits": {"euros": 1}})),
        (422, "period", json!({"name": "x", "limits": {"turns": 1}, "period": "week"})),
    ] {
        let refused = server.post("/api/budgets", &wrong).expect(status).text();
        assert!(refused.contains(field), "{refused}");
    }
    let made = add(&server, &json!({"name": "p", "project": server.project(), "limits": {"cost_usd": 1.25}}));
    assert_eq!((&made["scope"], &made["project"]), (&json!("project"), &json!(server.project())));
    let path = format!("/api/budgets/{}", made["id"].as_str().unwrap());
    let change = json!({"limits": {"cost_usd": null, "tokens": 5}, "scope": "all", "period": "total"});
    let changed = server.patch(&path, &change).expect(200).json();
    assert_eq!((&changed["limits"], &changed["scope"]), (&json!({"tokens": 5}), &json!("all")));
    assert_eq!((&changed["period"], &changed["name"]), (&json!("total"), &json!("p")));
    assert_eq!(server.get("/api/budgets").expect(200).json()["budgets"], json!([changed]));
    server.delete(&path).expect(200);
    server.delete(&path).expect(404);
}

#[test]
fn command_line_adds_lists_and_removes_budgets() {
    let server = server("budget-cli", &[]);
    let run = |args: &[&str]| {
        let output = server.command(args.iter().copied()).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let id = run(&["budgets", "add", "daily", "--cost", "2.5", "--turns", "9", "--project", ".", "-m", "for now"]);
    let listed = run(&["budgets"]);
    assert!(listed.contains(id.trim()) && listed.contains("cost_usd=0.0/2.5"), "{listed}");
    assert!(listed.contains("turns=0/9") && listed.contains("note=for now"), "{listed}");
    run(&["budgets", "rm", "daily"]);
    assert_eq!(run(&["budgets", "ls"]), "");
}

#[test]
fn preset_budgets_count_the_workers_of_the_preset() {
    let server = server("budget-preset", &[]);
    server.put("/api/presets/cheap", &json!({"model": "m"})).expect(200);
    let with = TestWorker::create(&server, "claude", &json!({"preset": "cheap"}));
    let without = worker(&server);
    let budget = add(&server, &json!({"name": "p", "preset": "cheap", "limits": {"turns": 9}}));
    for worker in [&with, &without] {
        worker.wait_status(&server, "idle");
        worker.say(&server, "echo x");
        worker.wait_turn(&server, 1);
    }
    let shown = show(&server, &budget);
    assert_eq!((&shown["used"]["turns"], &shown["workers"]), (&json!(1), &json!(1)));
}

#[test]
fn unusable_file_of_budgets_keeps_the_server_from_starting() {
    let mut server = server("budget-file", &[]);
    server.terminate();
    let file = server.data_dir().join(".budgets");
    fs::write(&file, "{").unwrap();
    fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let (status, said) = server.start_in_vain();
    assert!(!status.success() && said.contains("repair or remove the file"), "{said}");
    fs::remove_file(&file).unwrap();
    server.start();
}

#[test]
fn real_worker_reaches_its_budget_and_asks() {
    let model = FakeModel::start();
    let server = real_claude_worker::start(&model);
    let worker = real_claude_worker::create(&server);
    let budget = add(&server, &json!({"name": "real", "worker": worker.id, "limits": {"tokens": 1_000}}));
    let file = server.project().join("read-by-a-test");
    fs::write(&file, "a line").unwrap();
    // The first request uses the budget up; the turn would stream for long after it.
    let read = json!({"tool": "Read", "input": {"file_path": file}, "in_tokens": 2_000});
    worker.say(&server, &format!("<<{}>>", json!([read, {"n": 2_000, "delay_ms": 50}])));
    worker.say(&server, "second");
    let prompt = worker.wait_prompt(&server);
    assert_eq!(prompt["tool_name"], "Budget");
    assert_eq!(worker.wait_turn(&server, 1)["stop_reason"], "interrupted");
    assert_eq!(show(&server, &budget)["state"], "over");
    worker.answer(&server, &prompt, &json!({"option_id": "double"})).expect(200);
    let ended = worker.wait_turn(&server, 2);
    assert_ne!(ended["is_error"], true, "{ended}");
}
