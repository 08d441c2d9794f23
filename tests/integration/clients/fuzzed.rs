//! schemathesis makes requests from the OpenAPI document, valid and invalid ones, alone and in sequences, and validates
//! the server's responses against the document, with all of its checks.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use super::{project_file, python_program};
use crate::support::server::TestServer;
use crate::support::wait::{DEADLINE, eventually};
use crate::wire::{LOOP, builder, events, idle_worker, say, start};
use crate::worktree::repository_at;

const TOKEN: &str = "the-token-of-this-test";
/// Time limit of a hanging run. It takes half a minute on an idle machine.
const RUN_SECS_MAX: &str = "600";
/// More than a run creates, so that it gets other responses than that there are too many.
const WORKERS_MAX: &str = "150";

/// Workers in the states that routes need, and the values for the parameters in the configuration.
fn scene(server: &TestServer) -> BTreeMap<&'static str, String> {
    repository_at(&server.project());
    fs::write(server.project().join("dot.png"), "not a picture").unwrap();
    let idle = idle_worker(server, "claude");
    say(server, &idle, "echo hello");
    eventually(DEADLINE, "a turn's end", || {
        (server.get(&format!("/api/workers/{idle}")).json()["turns"] == 1).then_some(())
    });
    let picture = image_of_a_tool(server, &idle);
    let asking = idle_worker(server, "claude");
    say(server, &asking, "permission Bash {\"command\":\"ls\"}");
    server.wait_status(&asking, "waiting");
    let prompts = server.get("/api/permissions").expect(200).json();
    // One whose prompt nothing else answers or withdraws.
    let proposing = idle_worker(server, "claude");
    say(server, &proposing, "permission Bash {\"command\":\"ls\"}");
    server.wait_status(&proposing, "waiting");
    let proposed = server.get("/api/permissions").expect(200).json();
    let proposed = proposed["permissions"].as_array().unwrap().iter().find(|prompt| prompt["worker_id"] == proposing);
    let proposed = proposed.unwrap()["request_id"].as_str().unwrap().to_owned();
    let busy = idle_worker(server, "claude");
    say(server, &busy, "hang");
    server.wait_status(&busy, "busy");
    let turn = eventually(DEADLINE, "a recorded turn", || {
        let turns = server.get(&format!("/api/workers/{busy}/turns")).expect(200).json();
        (turns["turns"][0]["can_restore"] == true).then(|| turns["turns"][0]["turn_id"].as_str().unwrap().to_owned())
    });
    let waits = |content| say(server, &busy, content)["message_id"].as_str().unwrap().to_owned();
    for preset in ["first", "second"] {
        server.put(&format!("/api/presets/{preset}"), &json!({"model": "m"})).expect(200);
    }
    let (first, second) = (waits("first"), waits("second"));
    let repository = server.dir().join("repository");
    repository_at(&repository);
    let attempts = json!([{"ai_cli_type": "claude"}]);
    let new = json!({"name": "g", "project_path": repository, "prompt": "hello", "attempts": attempts});
    let group = server.post("/api/groups", &new).expect(201).json();
    let new = json!({"name": "fuzzed", "effect": "allow", "commands": ["git status"]});
    let rule = server.post("/api/rules", &new).expect(201).json();
    let new = json!({"name": "fuzzed", "scope": "worker", "worker": "none", "limits": {"turns": 1}});
    let budget = server.post("/api/budgets", &new).expect(201).json();
    let when = json!({"cron": "0 2 29 2 *", "time_zone": "UTC"});
    let new = json!({"name": "fuzzed", "when": when, "target": {"worker": idle}, "text": "hello", "paused": true});
    let schedule = server.post("/api/schedules", &new).expect(201).json();
    BTreeMap::from([
        ("BUDGET", budget["id"].as_str().unwrap().to_owned()),
        ("SCHEDULE", schedule["id"].as_str().unwrap().to_owned()),
        ("RULE", rule["id"].as_str().unwrap().to_owned()),
        ("TOKEN", TOKEN.to_owned()),
        ("PROJECT", server.project().display().to_string()),
        ("DOOMED", idle_worker(server, LOOP)),
        ("PROMPT", prompts["permissions"][0]["request_id"].as_str().unwrap().to_owned()),
        ("IDLE", idle),
        ("PICTURE", picture),
        ("ASKING", asking),
        ("PROPOSING", proposing),
        ("PROPOSED", proposed),
        ("BUSY", busy),
        ("TURN", turn),
        ("FIRST", first),
        ("ATTEMPT", group["workers"][0]["id"].as_str().unwrap().to_owned()),
        ("GROUP", group["id"].as_str().unwrap().to_owned()),
        ("SECOND", second),
    ])
}

/// Makes the agent's tool return an image, and returns the number of that event.
fn image_of_a_tool(server: &TestServer, worker: &str) -> String {
    let source = json!({"type": "base64", "media_type": "image/gif", "data": "R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"});
    let result = json!({"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "image", "source": source}]});
    let line = json!({"type": "user", "message": {"role": "user", "content": [result]}});
    say(server, worker, &format!("raw {line}"));
    let event = eventually(DEADLINE, "an image", || {
        events(server, worker).into_iter().find(|event| event["images"][0]["media_type"] == "image/gif")
    });
    server.wait_status(worker, "idle");
    event["seq"].to_string()
}

/// Returns the operations of the document, as `GET /api/workers`.
fn operations(document: &Value) -> BTreeSet<String> {
    let paths = document["paths"].as_object().unwrap().iter();
    paths
        .flat_map(|(path, methods)| {
            methods.as_object().unwrap().keys().map(move |method| format!("{} {path}", method.to_uppercase()))
        })
        .collect()
}

#[test]
fn real_schemathesis_finds_only_documented_answers() {
    let mut server =
        start(builder().env("AUTH_TOKEN", TOKEN).env("MAX_WORKERS", WORKERS_MAX).env("STOP_GRACE_SECS", "1"));
    server.client = server.client.with("authorization", &format!("Bearer {TOKEN}"));
    let mut configuration = fs::read_to_string(project_file("tests/python/schemathesis.toml")).unwrap();
    for (name, value) in scene(&server) {
        configuration = configuration.replace(&format!("${{{name}}}"), &value);
    }
    let folder = server.dir().join("schemathesis");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("schemathesis.toml"), configuration).unwrap();
    fs::copy(project_file("tests/python/openapi_hooks.py"), folder.join("openapi_hooks.py")).unwrap();
    let answers = folder.join("answers");

    let url = format!("http://{}/openapi.json", server.addr());
    let ran = Command::new("timeout")
        .arg(RUN_SECS_MAX)
        .arg(python_program("schemathesis"))
        .args(["--config-file", "schemathesis.toml", "run", &url, "--checks", "all", "--warnings", "off"])
        .current_dir(&folder)
        .env("ANSWERS", &answers)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success(), "{}\n{said}\n{}", ran.status, String::from_utf8_lossy(&ran.stderr));

    // It has read the document at its start, and does not request it again.
    let mut asked = BTreeMap::from([("GET /openapi.json".to_owned(), BTreeSet::from([200]))]);
    for line in fs::read_to_string(answers).unwrap().lines() {
        let (operation, status) = line.rsplit_once(' ').unwrap();
        asked.entry(operation.to_owned()).or_default().insert(status.parse().unwrap());
    }
    let all = operations(&server.get("/openapi.json").json());
    assert_eq!(asked.keys().cloned().collect::<BTreeSet<_>>(), all, "every route is asked");
    // There are not only refusals: reads succeed, and most changes require a certain state.
    for (operation, statuses) in asked.iter().filter(|(operation, _)| operation.starts_with("GET /api")) {
        assert!(statuses.contains(&200), "{operation} was never answered well: {statuses:?}");
    }
    for operation in ["POST /api/workers", "POST /api/workers/{id}/messages", "DELETE /api/workers/{id}"] {
        assert!(asked[operation].iter().any(|status| status / 100 == 2), "{operation}: {:?}", asked[operation]);
    }
    server.post("/api/login", &json!({"token": TOKEN})).expect(200);
}
