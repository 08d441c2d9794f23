//! The real Claude Code as a worker: from the API through server, shim and CLI to a fake model, and back.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::support::clis;
use crate::support::model::{FakeModel, HELLO, Step};
use crate::support::processes;
use crate::support::server::{Builder, TestServer, wait_file};
use crate::support::wait::{DEADLINE, eventually};
use crate::support::workers::TestWorker;
use crate::support::ws::WsClient;
use crate::unfinished::{PIECES_MIN, kill_in_mid_message};

/// A server with the real Claude Code, which talks only to `model` and gives up after one retry.
pub(crate) fn start(model: &FakeModel) -> TestServer {
    builder(model).start()
}

/// Such a server, not started.
pub(crate) fn builder(model: &FakeModel) -> Builder {
    TestServer::builder()
        .name("claude-worker")
        .env("CLAUDE_BINARY", clis::claude())
        .env("ANTHROPIC_BASE_URL", model.url())
        .env("ANTHROPIC_API_KEY", clis::FAKE_KEY)
        .env("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1")
        .env("DISABLE_TELEMETRY", "1")
        .env("CLAUDE_CODE_MAX_RETRIES", "1")
        .env("STOP_GRACE_SECS", "2")
}

pub(crate) fn create(server: &TestServer) -> TestWorker {
    TestWorker::create(server, "claude", &json!({}))
}

/// Builds a prompt that makes the model run a command and then answer with a text.
fn bash(command: &str, more: &Value, then: &str) -> String {
    let mut input = json!({"command": command, "description": "a test's command"});
    for (name, value) in more.as_object().into_iter().flatten() {
        input[name] = value.clone();
    }
    format!("<<{}>>", json!([{"tool": "Bash", "input": input}, {"text": then}]))
}

/// Returns the numbered output frames that a client has received.
fn numbered(client: &WsClient) -> Vec<Value> {
    client.frames.iter().filter(|frame| frame["type"] == "output" && frame["seq"].is_u64()).cloned().collect()
}

/// Reads until a client has seen so many turns end.
fn wait_turns(client: &mut WsClient, turns: usize) {
    while client.events().iter().filter(|event| event["type"] == "turn_completed").count() < turns {
        client.wait_for_event("turn_completed", DEADLINE);
    }
}

#[test]
fn real_two_turns_share_a_process_and_clients_agree() {
    let model = FakeModel::start();
    let server = start(&model);
    let worker = create(&server);
    let mut first = worker.watch(&server);
    let mut second = worker.watch(&server);
    let pid = worker.wait_status(&server, "idle")["pid"].clone();
    assert!(pid.is_i64());

    first.send_json(&json!({"type": "message", "content": "hi there", "client_message_id": "one", "ref": 7}));
    let ack = first.wait_for("the ack", DEADLINE, |frame| frame["type"] == "ack");
    assert_eq!((&ack["ref"], &ack["client_message_id"]), (&json!(7), &json!("one")));
    let done = first.wait_for_event("turn_completed", DEADLINE);
    assert_eq!(
        (&done["result"], &done["is_error"], &done["stop_reason"]),
        (&json!(HELLO), &json!(false), &json!("end_turn"))
    );
    assert!(first.events().iter().any(|event| event["type"] == "delta"), "a live client sees the text grow");

    // The same message again is the same message.
    second.send_json(&json!({"type": "message", "content": "hi there", "client_message_id": "one", "ref": 8}));
    let again = second.wait_for("the ack", DEADLINE, |frame| frame["type"] == "ack");
    assert_eq!(again["message_id"], ack["message_id"]);

    model.respond_with(Step::text("The second answer.").thinking("let me see"));
    worker.say(&server, "and again");
    let done = worker.wait_turn(&server, 2);
    assert_eq!(done["result"], "The second answer.");
    let shown = worker.wait_status(&server, "idle");
    assert_eq!((&shown["pid"], &shown["turns"]), (&pid, &json!(2)), "one process for both turns");
    assert!(shown["usage"]["output_tokens"].as_u64().unwrap() > 0 && shown["cost_usd"].as_f64().unwrap() > 0.0);

    let turns = model.turns();
    assert_eq!(turns.len(), 2);
    assert!(turns[1].body["messages"].to_string().contains("hi there"), "the second turn knows the first");
    assert_eq!(turns[0].header("x-api-key"), Some(clis::FAKE_KEY));

    let states: Vec<Value> = worker.events_of(&server, "message_state").iter().map(|it| it["state"].clone()).collect();
    assert_eq!(json!(states), json!(["queued", "delivered", "consumed", "queued", "delivered", "consumed"]));

    wait_turns(&mut first, 2);
    wait_turns(&mut second, 2);
    let mut late = worker.watch(&server);
    wait_turns(&mut late, 2);
    let end = numbered(&late).last().unwrap()["seq"].as_u64().unwrap();
    let up_to_end = |client: &WsClient| -> Vec<Value> {
        numbered(client).into_iter().filter(|frame| frame["seq"].as_u64().unwrap() <= end).collect()
    };
    assert_eq!(up_to_end(&first), up_to_end(&late));
    assert_eq!(up_to_end(&second), up_to_end(&late));
    let unknown = worker.events_of(&server, "unknown");
    assert!(unknown.is_empty(), "every line of the real CLI is understood: {unknown:#?}");
}

#[test]
fn real_tool_calls_are_allowed_denied_and_given_other_input() {
    let model = FakeModel::start();
    let server = start(&model);
    let worker = create(&server);

    worker.say(&server, &bash("echo made > made.txt", &json!({}), "Made."));
    let prompt = worker.wait_prompt(&server);
    assert_eq!((&prompt["tool_name"], &prompt["input"]["command"]), (&json!("Bash"), &json!("echo made > made.txt")));
    assert_eq!(worker.show(&server)["status"], "waiting");
    worker.answer(&server, &prompt, &json!({"option_id": "allow_once"})).expect(200);
    assert_eq!(worker.wait_turn(&server, 1)["result"], "Made.");
    assert_eq!(std::fs::read_to_string(server.project().join("made.txt")).unwrap(), "made\n");

    worker.say(&server, &bash("echo no > denied.txt", &json!({}), "Understood."));
    let prompt = worker.wait_prompt(&server);
    worker.answer(&server, &prompt, &json!({"option_id": "deny", "message": "not in this house"})).expect(200);
    assert_eq!(worker.wait_turn(&server, 2)["result"], "Understood.");
    assert!(!server.project().join("denied.txt").exists());
    let result = worker.events_of(&server, "tool_result").pop().unwrap();
    assert_eq!(result["is_error"], true);
    let reported = model.turns().last().unwrap().body["messages"].to_string();
    assert!(reported.contains("not in this house"), "the model is told why: {reported}");

    worker.say(&server, &bash("echo wrong > changed.txt", &json!({}), "Changed."));
    let prompt = worker.wait_prompt(&server);
    let other = json!({"command": "echo right > changed.txt", "description": "a better one"});
    worker.answer(&server, &prompt, &json!({"option_id": "allow_once", "updated_input": other})).expect(200);
    assert_eq!(worker.wait_turn(&server, 3)["result"], "Changed.");
    assert_eq!(std::fs::read_to_string(server.project().join("changed.txt")).unwrap(), "right\n");

    let decisions: Vec<Value> =
        worker.events_of(&server, "permission_resolved").iter().map(|it| it["decision"].clone()).collect();
    assert_eq!(json!(decisions), json!(["allow_once", "deny", "allow_once"]));
}

#[test]
fn real_interrupt_ends_a_stream_and_the_next_message_works() {
    let model = FakeModel::start();
    let server = start(&model);
    let worker = create(&server);
    let mut client = worker.watch(&server);
    model.respond_with(Step::deltas(500).hold_after(5));
    worker.say(&server, "go on and on");
    model.wait_held(1);
    client.wait_for_event("delta", DEADLINE);
    worker.call(&server, "interrupt").expect(200);
    assert_eq!(worker.wait_turn(&server, 1)["stop_reason"], "interrupted");
    worker.assert_pieces_are_kept(&server, &mut client);
    worker.say(&server, "hi");
    assert_eq!(worker.wait_turn(&server, 2)["result"], HELLO);
    model.release();
}

#[test]
fn real_partial_text_before_a_kill_is_in_the_history() {
    let model = FakeModel::start();
    let server = start(&model);
    for kills in [true, false] {
        let worker = create(&server);
        let mut client = worker.watch(&server);
        model.respond_with(Step::deltas(500).thinking("let me see").hold_after(5));
        worker.say(&server, "go on and on");
        client.wait_for("the fifth word", DEADLINE, |frame| {
            frame["content"]["of"] == "assistant"
                && frame["content"]["content"].as_str().is_some_and(|it| it.contains("w4"))
        });
        if kills {
            let pid = worker.show(&server)["pid"].as_i64().unwrap();
            kill(Pid::from_raw(i32::try_from(pid).unwrap()), Signal::SIGKILL).unwrap();
        } else {
            worker.call(&server, "stop").expect(200);
        }
        worker.assert_pieces_are_kept(&server, &mut client);
        let thought = worker.events_of(&server, "thinking");
        assert_eq!(thought.len(), 1, "what came whole is not told again: {thought:#?}");
        server.wait_no_processes_of(&worker.id);
        model.release();
    }
}

#[test]
fn real_api_errors_are_reported_and_the_worker_continues() {
    let mut model = FakeModel::start();
    let server = start(&model);
    let worker = create(&server);
    let mut turns = 0;
    for status in [401, 429, 500] {
        model.always(Step::error(status).retry_after(0));
        worker.say(&server, "hi");
        turns += 1;
        let done = worker.wait_turn(&server, turns);
        assert_eq!((&done["is_error"], &done["stop_reason"]), (&json!(true), &json!("error")), "{status}: {done}");
        let errors = worker.events_of(&server, "error");
        assert!(
            errors.iter().any(|error| error["content"].as_str().unwrap().contains(&status.to_string())),
            "{errors:#?}"
        );
    }
    model.down();
    worker.say(&server, "hi");
    turns += 1;
    assert_eq!(worker.wait_turn(&server, turns)["is_error"], true);
    model.reset();
    model.up();
    worker.say(&server, "hi");
    assert_eq!(worker.wait_turn(&server, turns + 1)["result"], HELLO);
    assert_eq!(worker.wait_status(&server, "idle")["turns"], 5);
}

#[test]
fn real_a_message_to_a_stopped_worker_resumes_its_session() {
    let model = FakeModel::start();
    let server = start(&model);
    let worker = create(&server);
    worker.say(&server, "remember the word rhubarb");
    worker.wait_turn(&server, 1);
    let before = worker.show(&server);
    let stopped = worker.call(&server, "stop").expect(200).json();
    assert_eq!((&stopped["status"], &stopped["pid"]), (&json!("stopped"), &Value::Null));
    assert_eq!(server.processes_of(&worker.id), []);

    worker.say(&server, "which word?");
    worker.wait_turn(&server, 2);
    let after = worker.show(&server);
    assert_eq!(after["session_id"], before["session_id"]);
    assert_ne!(after["pid"], before["pid"]);
    let asked = model.turns().last().unwrap().body["messages"].to_string();
    assert!(asked.contains("rhubarb") && asked.contains("which word?"), "{asked}");
}

#[test]
fn real_prompt_survives_a_server_kill_and_is_answered_once() {
    let model = FakeModel::start();
    let mut server = start(&model);
    let worker = create(&server);
    worker.say(&server, &bash("echo once >> once.txt", &json!({}), "Done."));
    let before = worker.wait_prompt(&server);
    let pid = worker.show(&server)["pid"].clone();
    server.kill9();
    server.start();
    let prompt = worker.wait_prompt(&server);
    assert_eq!(prompt, before);
    let shown = worker.show(&server);
    assert_eq!((&shown["status"], &shown["pid"]), (&json!("waiting"), &pid));

    // Several clients answer at once: one of them is the first.
    let answers: Vec<u16> = std::thread::scope(|scope| {
        let (worker, server, prompt) = (&worker, &server, &prompt);
        let asked: Vec<_> = ["allow_once", "deny", "allow_once", "deny"]
            .map(|option| scope.spawn(move || worker.answer(server, prompt, &json!({"option_id": option})).status))
            .into();
        asked.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(answers.iter().filter(|&&status| status == 200).count(), 1, "{answers:?}");
    assert_eq!(answers.iter().filter(|&&status| status == 409).count(), 3, "{answers:?}");
    let late = worker.answer(&server, &prompt, &json!({"option_id": "deny"})).expect(409).json();
    assert_eq!(late["answer"]["by"], "user");
    assert_eq!(worker.wait_turn(&server, 1)["result"], "Done.");

    let id = prompt["request_id"].as_str().unwrap();
    let written = worker.journal(&server).into_iter().filter(|(kind, line)| kind == "in" && line.contains(id)).count();
    assert_eq!(written, 1, "the CLI was told once");
    let allowed = late["answer"]["decision"] == "allow_once";
    assert_eq!(server.project().join("once.txt").exists(), allowed);
}

#[test]
fn real_messages_wait_and_steered_ones_join_the_running_turn() {
    let model = FakeModel::start();
    let server = start(&model);
    let worker = create(&server);
    model.respond_with(Step::deltas(20).hold_after(3));
    worker.say(&server, "first");
    model.wait_held(1);
    for text in ["second", "third"] {
        assert_eq!(worker.say(&server, text)["state"], "queued");
    }
    let queue = server.get(&worker.path("/queue")).expect(200).json();
    assert_eq!(queue["queue"].as_array().unwrap().len(), 2);
    model.release();
    worker.wait_turn(&server, 3);
    let order: Vec<String> = worker
        .events(&server)
        .into_iter()
        .filter(|event| event["type"] == "user" || event["type"] == "turn_completed")
        .map(
            |event| if event["type"] == "user" { event["content"].as_str().unwrap().to_owned() } else { "done".into() },
        )
        .collect();
    assert_eq!(order, ["first", "done", "second", "done", "third", "done"]);

    worker.say(&server, &bash("touch tool.txt", &json!({}), "Both."));
    let prompt = worker.wait_prompt(&server);
    let steered = json!({"content": "and mind the gap", "steer": true});
    let steered = server.post(&worker.path("/messages"), &steered).expect(202).json();
    assert_ne!(steered["state"], "queued");
    worker.answer(&server, &prompt, &json!({"option_id": "allow_once"})).expect(200);
    worker.wait_turn(&server, 4);
    let asked = model.turns().last().unwrap().body["messages"].to_string();
    assert!(asked.contains("mind the gap"), "the same turn takes it up: {asked}");
    let shown = worker.wait_status(&server, "idle");
    assert_eq!((&shown["turns"], &shown["queued_messages"]), (&json!(4), &json!(0)));
}

#[test]
fn real_model_and_mode_changes_in_a_run_persist() {
    let model = FakeModel::start();
    let server = start(&model);
    let worker = create(&server);
    worker.wait_status(&server, "idle");
    let changed = json!({"model": "claude-opus-4-5", "permission_mode": "acceptEdits", "name": "other"});
    let shown = server.patch(&worker.path(""), &changed).expect(200).json();
    assert_eq!(shown["name"], "other");
    worker.say(&server, "hi");
    worker.wait_turn(&server, 1);
    assert!(
        model.turns()[0].body["model"].as_str().unwrap().contains("opus-4-5"),
        "{}",
        model.turns()[0].body["model"]
    );
    let shown = worker.show(&server);
    assert_eq!(shown["permission_mode"], "acceptEdits");
    worker.call(&server, "restart").expect(200);
    worker.say(&server, "hi");
    worker.wait_turn(&server, 2);
    assert!(model.turns()[1].body["model"].as_str().unwrap().contains("opus-4-5"));
    assert_eq!(worker.show(&server)["permission_mode"], "acceptEdits");
    server.patch(&worker.path(""), &json!({"permission_mode": "nonsense"})).expect(400);
}

#[test]
fn real_refused_permission_mode_is_not_used_after_a_restart() {
    let model = FakeModel::start();
    let server = start(&model);
    let worker = create(&server);
    worker.wait_status(&server, "idle");
    server.patch(&worker.path(""), &json!({"permission_mode": "bypassPermissions"})).expect(200);
    assert_eq!(worker.wait_event(&server, "setting", 1)["state"], "refused");
    worker.call(&server, "restart").expect(200);
    worker.say(&server, "hi");
    worker.wait_turn(&server, 1);
    let shown = worker.show(&server);
    assert_ne!(shown["permission_mode"], "bypassPermissions");
    assert_eq!(shown["next_start"]["permission_mode"], Value::Null);
}

#[test]
fn real_fork_continues_the_session_and_leaves_the_original_unchanged() {
    let model = FakeModel::start();
    let server = start(&model);
    let worker = create(&server);
    worker.call(&server, "fork").expect(409);
    worker.say(&server, "remember the word rhubarb");
    worker.wait_turn(&server, 1);
    let forked = worker.call(&server, "fork").expect(201).json();
    let fork = TestWorker { id: forked["id"].as_str().unwrap().to_owned() };
    assert_eq!(forked["forked_from"], worker.id);
    fork.say(&server, "which word?");
    fork.wait_turn(&server, 1);
    let asked = model.turns().last().unwrap().body["messages"].to_string();
    assert!(asked.contains("rhubarb") && asked.contains("which word?"), "{asked}");
    let (old, new) = (worker.show(&server), fork.show(&server));
    assert!(new["session_id"].is_string());
    assert_ne!(new["session_id"], old["session_id"]);

    worker.say(&server, "what else?");
    worker.wait_turn(&server, 2);
    let asked = model.turns().last().unwrap().body["messages"].to_string();
    assert!(!asked.contains("which word?"), "the original knows nothing of its fork: {asked}");
}

#[test]
fn real_background_command_ends_with_its_worker_and_is_named() {
    let model = FakeModel::start();
    let server = start(&model);
    let worker = create(&server);
    let command = "echo $$ > pid.txt; exec sleep 1000";
    worker.say(&server, &bash(command, &json!({"run_in_background": true}), "It runs."));
    let prompt = worker.wait_prompt(&server);
    worker.answer(&server, &prompt, &json!({"option_id": "allow_once"})).expect(200);
    assert_eq!(worker.wait_turn(&server, 1)["result"], "It runs.");
    let pid: i32 = wait_file(&server.project().join("pid.txt"), "\n").trim().parse().unwrap();
    let sleeper = eventually(DEADLINE, "the tool's sleep", || {
        processes::process(pid).filter(|process| process.command.starts_with("sleep"))
    });
    worker.call(&server, "stop").expect(200);
    assert!(!processes::is_alive(&sleeper));
    assert_eq!(server.processes_of(&worker.id), []);
    let exit = worker.events_of(&server, "exit").pop().unwrap();
    let ended = exit["ended"].as_array().unwrap();
    assert!(ended.iter().any(|process| process["pid"] == pid && process["name"] == "sleep"), "{exit}");
}

#[test]
fn real_claude_streams_over_kills_without_losing_a_piece() {
    let model = FakeModel::start();
    let mut server = start(&model);
    let worker = create(&server);
    model.respond_with(Step { delay_ms: 5, ..Step::deltas(1000) }.hold_after(500));
    kill_in_mid_message(
        &mut server,
        &worker,
        "go on and on",
        |_| PIECES_MIN,
        |_| {
            model.wait_held(1);
            model.release();
        },
    );
}
