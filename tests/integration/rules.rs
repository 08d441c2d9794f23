//! Rules that answer permission prompts, from the API through the server to the CLI and into the history.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::real_claude_worker;
use crate::support::model::FakeModel;
use crate::support::random::Random;
use crate::support::server::TestServer;
use crate::support::wait::{DEADLINE, eventually, pace};
use crate::support::workers::{TestWorker, server_for_programs};

/// Kills of the server between prompts and their answers.
const KILLS: usize = 6;
/// Longest time from a message to such a kill.
const KILL_AFTER_MS_MAX: u64 = 60;
/// Rules for a look at the time that they take.
const MANY: usize = 1_000;

fn start(name: &str) -> (TestServer, TestWorker) {
    let mut server = server_for_programs(name, &[]);
    server.start();
    let worker = TestWorker::create(&server, "claude", &json!({}));
    worker.wait_status(&server, "idle");
    (server, worker)
}

fn add(server: &TestServer, rule: &Value) -> Value {
    server.post("/api/rules", rule).expect(201).json()
}

fn ask(server: &TestServer, worker: &TestWorker, command: &str) {
    worker.say(server, &format!("permission Bash {}", json!({"command": command})));
}

/// The `count`-th answer of a prompt: decision, author and rule.
fn answer(server: &TestServer, worker: &TestWorker, count: usize) -> [Value; 3] {
    let event = worker.wait_event(server, "permission_resolved", count);
    ["decision", "by", "rule"].map(|field| event[field].clone())
}

#[test]
fn rules_answer_prompts_and_the_history_names_them() {
    let (server, worker) = start("rules");
    let allow = add(&server, &json!({"name": "status", "effect": "allow", "commands": ["git status"]}));
    add(&server, &json!({"name": "no push", "effect": "deny", "commands": ["git push **"]}));
    let mut client = worker.watch(&server);
    ask(&server, &worker, "git status");
    assert_eq!(answer(&server, &worker, 1), [json!("allow_once"), json!("rule"), json!("status")]);
    let live = client.wait_for_event("permission_resolved", DEADLINE);
    assert_eq!(live["rule"], "status");
    assert!(worker.wait_turn(&server, 1)["is_error"] == false);

    ask(&server, &worker, "git add . && git push");
    assert_eq!(answer(&server, &worker, 2), [json!("deny"), json!("rule"), json!("no push")]);
    worker.wait_turn(&server, 2);
    let result = worker.events_of(&server, "tool_result").pop().unwrap();
    assert!(result["content"].as_str().unwrap().contains("no push"), "the agent gets the reason: {result}");

    let markdown = server.get(&worker.path("/export?format=md")).expect(200).text();
    assert!(markdown.contains("> allow_once (rule status)"), "{markdown}");
    let control = worker.controls(&server, "permission_answered").remove(0);
    assert_eq!((&control["by"], &control["rule"]), (&json!("rule"), &json!("status")));

    server.delete(&format!("/api/rules/{}", allow["id"].as_str().unwrap())).expect(200);
    ask(&server, &worker, "git status");
    let prompt = worker.wait_prompt(&server);
    let answered = worker.answer(&server, &prompt, &json!({"option_id": "allow_once"})).expect(200).json();
    assert_eq!(answered["answer"]["by"], "user", "a removed rule answers nothing");
}

#[test]
fn prompts_for_people_wait_whatever_the_rules_say() {
    let (server, worker) = start("rules-people");
    add(&server, &json!({"name": "all", "effect": "deny"}));
    add(&server, &json!({"name": "status", "effect": "allow", "commands": ["git status"]}));
    let request = |tool: &str, flag: &str| {
        let input = json!({"command": "git status"});
        let mut request = json!({"subtype": "can_use_tool", "tool_name": tool, "input": input, "tool_use_id": "t"});
        request[flag] = json!(true);
        json!({"type": "control_request", "request_id": "for-people", "request": request})
    };
    let others = [("Bash", "requires_user_interaction"), ("ExitPlanMode", "x")].map(|(tool, flag)| {
        let other = TestWorker::create(&server, "claude", &json!({}));
        other.wait_status(&server, "idle");
        other.say(&server, &format!("raw {}", request(tool, flag)));
        other.wait_prompt(&server);
        other
    });
    ask(&server, &worker, "git status");
    assert_eq!(answer(&server, &worker, 1)[1], "rule", "a prompt after them is answered");
    for other in others {
        let prompt = other.wait_prompt(&server);
        let answered = other.answer(&server, &prompt, &json!({"option_id": "deny"})).expect(200).json();
        assert_eq!(answered["answer"]["by"], "user");
    }
}

#[test]
fn hostile_links_and_folders_make_rules_ask() {
    let (server, worker) = start("rules-hostile");
    let project = server.project();
    add(&server, &json!({"name": "cat", "effect": "allow", "commands": ["cat **"]}));
    add(&server, &json!({"name": "edit", "effect": "allow", "tool": "Edit", "paths": ["src/**"]}));
    fs::create_dir(project.join("src")).unwrap();
    fs::write(project.join("src/a"), "a").unwrap();
    ask(&server, &worker, "cat src/a");
    assert_eq!(answer(&server, &worker, 1)[2], "cat");
    worker.wait_turn(&server, 1);

    fs::remove_file(project.join("src/a")).unwrap();
    symlink("/etc/passwd", project.join("src/a")).unwrap();
    let refuse = |prompt: &Value| {
        worker.answer(&server, prompt, &json!({"option_id": "deny"})).expect(200);
    };
    ask(&server, &worker, "cat src/a");
    refuse(&worker.wait_prompt(&server));
    worker.say(&server, &format!("permission Edit {}", json!({"file_path": project.join("src/a"), "old_string": "a"})));
    refuse(&worker.wait_prompt(&server));
    worker.wait_turn(&server, 3);

    // The project itself becomes a link to another folder.
    let elsewhere = server.project_named("elsewhere");
    fs::create_dir(elsewhere.join("src")).unwrap();
    fs::write(elsewhere.join("src/a"), "a").unwrap();
    fs::rename(&project, server.dir().join("moved")).unwrap();
    symlink(&elsewhere, &project).unwrap();
    ask(&server, &worker, "cat src/a");
    refuse(&worker.wait_prompt(&server));
    worker.wait_turn(&server, 4);
    let by_rule = worker.controls(&server, "permission_answered").iter().filter(|it| it["by"] == "rule").count();
    assert_eq!(by_rule, 1);
}

#[test]
fn server_killed_between_prompt_and_answer_decides_again() {
    let (mut server, worker) = start("rules-kill");
    ask(&server, &worker, "git status");
    worker.wait_prompt(&server);
    server.kill9();
    // As if the rule had been there, and the server had not come to it.
    let rule = json!({"id": "x", "name": "status", "effect": "allow", "commands": ["git status"]});
    let file = server.data_dir().join(".rules");
    fs::write(&file, json!({"version": 1, "rules": [rule]}).to_string()).unwrap();
    fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    server.start();
    assert_eq!(answer(&server, &worker, 1), [json!("allow_once"), json!("rule"), json!("status")]);

    let mut random = Random::new();
    for turn in 2..2 + KILLS {
        worker.wait_turn(&server, turn - 1);
        ask(&server, &worker, "git status");
        pace(Duration::from_millis(random.below(KILL_AFTER_MS_MAX)));
        server.kill9();
        server.start();
        assert_eq!(answer(&server, &worker, turn)[1], "rule");
    }
    worker.wait_turn(&server, 1 + KILLS);
    assert_eq!(worker.controls(&server, "permission_answered").len(), 1 + KILLS, "each prompt is answered once");
}

#[test]
fn rules_are_checked_changed_previewed_and_proposed() {
    let (server, worker) = start("rules-api");
    for (field, wrong) in [
        ("commands", json!({"name": "x", "effect": "allow", "commands": ["sudo *"]})),
        ("commands", json!({"name": "x", "effect": "allow"})),
        ("paths", json!({"name": "x", "effect": "allow", "paths": ["../x"]})),
        ("name", json!({"name": "", "effect": "deny"})),
        ("project", json!({"name": "x", "effect": "deny", "project": "here"})),
    ] {
        let refused = server.post("/api/rules", &wrong).expect(400).json();
        assert_eq!(refused["field"], field, "{refused}");
    }
    server.post("/api/rules", &json!({"name": "x", "effect": "maybe"})).expect(422);
    ask(&server, &worker, "cargo test 'a b' && git status");
    let prompt = worker.wait_prompt(&server);
    let path = worker.path(&format!("/permission-rule/{}", prompt["request_id"].as_str().unwrap()));
    let proposal = server.get(&path).expect(200).json();
    assert_eq!(proposal["rule"]["commands"], json!(["cargo test 'a b'", "git status"]));
    assert!(proposal["reach"].as_str().unwrap().contains("exactly these words"), "{proposal}");
    worker.answer(&server, &prompt, &json!({"option_id": "allow_once"})).expect(200);
    worker.wait_turn(&server, 1);
    let rule = add(&server, &proposal["rule"]);
    ask(&server, &worker, "git status && cargo test 'a b'");
    assert_eq!(answer(&server, &worker, 2)[2], rule["name"]);
    worker.wait_turn(&server, 2);

    ask(&server, &worker, "curl http://x");
    let prompt = worker.wait_prompt(&server);
    let path = worker.path(&format!("/permission-rule/{}", prompt["request_id"].as_str().unwrap()));
    // curl with exactly these words is understood; a substitution is not.
    server.get(&path).expect(200);
    worker.answer(&server, &prompt, &json!({"option_id": "deny"})).expect(200);
    worker.wait_turn(&server, 3);
    ask(&server, &worker, "echo $(id)");
    let prompt = worker.wait_prompt(&server);
    let path = worker.path(&format!("/permission-rule/{}", prompt["request_id"].as_str().unwrap()));
    server.get(&path).expect(409);

    let wide = json!({"name": "x", "effect": "allow", "commands": ["cargo test **", "git status"], "days": 2});
    let preview = server.post("/api/rules/preview", &wide).expect(200).json();
    let seen: Vec<(&Value, &Value)> =
        preview["prompts"].as_array().unwrap().iter().map(|it| (&it["by"], &it["decision"])).collect();
    assert_eq!(
        seen,
        [(&json!("user"), &json!("allow_once")), (&json!("rule"), &json!("allow_once"))],
        "only what the rule would have answered: {preview}"
    );
    assert_eq!(preview["complete"], true);

    let one = format!("/api/rules/{}", rule["id"].as_str().unwrap());
    let changed = server.patch(&one, &json!({"effect": "deny", "note": "no"})).expect(200).json();
    assert_eq!((&changed["effect"], &changed["note"], &changed["name"]), (&json!("deny"), &json!("no"), &rule["name"]));
    assert_eq!(server.get(&one).expect(200).json(), changed);
    assert_eq!(server.get("/api/rules").expect(200).json()["rules"], json!([changed]));
    server.delete(&one).expect(200);
    server.delete(&one).expect(404);
}

#[test]
fn command_line_adds_previews_lists_and_removes_rules() {
    let (server, _worker) = start("rules-cli");
    let run = |args: &[&str]| {
        let output = server.command(args.iter().copied()).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let id = run(&[
        "rules",
        "add",
        "allow",
        "--name",
        "tests",
        "--command",
        "cargo test **",
        "--project",
        ".",
        "--expires",
        "30d",
        "-m",
        "for now",
    ]);
    let listed = run(&["rules"]);
    assert!(listed.contains(id.trim()) && listed.contains("command=cargo test **"), "{listed}");
    assert!(listed.contains("expires_at=") && listed.contains("note=for now"), "{listed}");
    assert_eq!(run(&["rules", "preview", "allow", "--command", "cargo test **"]), "");
    run(&["rules", "rm", "tests"]);
    assert_eq!(run(&["rules", "ls"]), "");
    let wrong = server.command(["rules", "add", "allow", "--name", "x", "--command", "sh *"]).output().unwrap();
    assert!(!wrong.status.success() && String::from_utf8_lossy(&wrong.stderr).contains("wildcard for sh"));
}

#[test]
fn thousand_rules_are_decided_without_delay() {
    let (mut server, worker) = start("rules-many");
    server.terminate();
    let rule = |number: usize| {
        let effect = if number.is_multiple_of(2) { "allow" } else { "deny" };
        let commands = [format!("git diff a{number}"), format!("cargo test t{number} **")];
        json!({"id": number.to_string(), "name": "n", "effect": effect, "commands": commands})
    };
    let mut rules: Vec<Value> = (0..MANY - 1).map(rule).collect();
    rules.push(json!({"id": "last", "name": "last", "effect": "allow", "commands": ["git status"]}));
    let file = server.data_dir().join(".rules");
    fs::write(&file, json!({"version": 1, "rules": rules}).to_string()).unwrap();
    fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    server.start();
    server.post(&worker.path("/start"), &json!({}));
    worker.wait_status(&server, "idle");
    let begin = Instant::now();
    ask(&server, &worker, "git status");
    assert_eq!(answer(&server, &worker, 1)[2], "last");
    println!("a prompt was answered after {:?} with {MANY} rules", begin.elapsed());
    let refused = server.post("/api/rules", &json!({"name": "one more", "effect": "deny"})).expect(409).json();
    assert!(refused["detail"].as_str().unwrap().contains("remove some"), "{refused}");
}

#[test]
fn real_rule_from_one_prompt_answers_the_next() {
    let model = FakeModel::start();
    let server = real_claude_worker::start(&model);
    let worker = real_claude_worker::create(&server);
    let say = |text: &str| {
        let input = json!({"command": "touch made-by-rule", "description": "a test's command"});
        worker.say(&server, &format!("<<{}>>", json!([{"tool": "Bash", "input": input}, {"text": text}])));
    };
    say("Once.");
    let prompt = worker.wait_prompt(&server);
    let path = worker.path(&format!("/permission-rule/{}", prompt["request_id"].as_str().unwrap()));
    let proposal = server.get(&path).expect(200).json();
    worker.answer(&server, &prompt, &json!({"option_id": "deny"})).expect(200);
    worker.wait_turn(&server, 1);
    let made = server.project().join("made-by-rule");
    assert!(!made.exists());

    let rule = add(&server, &proposal["rule"]);
    say("Twice.");
    assert_eq!(worker.wait_turn(&server, 2)["result"], "Twice.");
    assert_eq!(answer(&server, &worker, 2), [json!("allow_once"), json!("rule"), rule["name"].clone()]);
    eventually(DEADLINE, "the command's file", || made.exists().then_some(()));
}
