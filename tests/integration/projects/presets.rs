//! Presets: by the API, in requests for workers, from project files and on the command line.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::{describe, start};
use crate::support::server::{TestServer, wait_file};
use crate::support::workers::TestWorker;

/// Requests a worker with these fields.
fn ask(server: &TestServer, more: &Value) -> (u16, Value) {
    let mut body = json!({"name": "x", "project_path": server.project()});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let reply = server.post("/api/workers", &body);
    (reply.status, reply.json())
}

/// A preset of a program that prints its variables.
fn printing() -> Value {
    let script = "echo $A $B {{word}} > seen; exec sleep 1000";
    json!({"ai_cli_type": "program", "args": ["sh", "-c", script], "env": {"A": "preset", "B": "preset"}, "worktree": true})
}

#[test]
fn preset_fills_in_what_a_request_leaves_out() {
    let server = start("presets-used", &[]);
    let put = server.put("/api/presets/print", &printing()).expect(200);
    assert!(!put.text().contains("\"preset\""), "{}", put.text());
    let (status, made) =
        ask(&server, &json!({"preset": "print", "placeholders": {"word": "x y"}, "env": {"B": "request"}}));
    assert_eq!(status, 201, "{made}");
    let tree = PathBuf::from(made["worktree"]["path"].as_str().unwrap());
    assert_eq!(wait_file(&tree.join("seen"), "\n"), "preset request x y\n");
    for (more, reported) in [
        (json!({"preset": "print"}), "needs a value for the placeholder word"),
        (json!({"preset": "print", "placeholders": {"word": "", "other": ""}}), "has no placeholder other"),
        (json!({"preset": "none"}), "preset not found"),
        (json!({"placeholders": {"word": "x"}}), "need a preset that has them"),
    ] {
        let (status, answer) = ask(&server, &more);
        assert!(status == 400 && answer.to_string().contains(reported), "{more}: {status} {answer}");
    }
    // Fields of the request itself need no values.
    let (status, made) = ask(&server, &json!({"preset": "print", "args": ["sleep", "1000"]}));
    assert_eq!(status, 201, "{made}");
    server.delete("/api/presets/print").expect(200);
    server.get("/api/presets/print").expect(404);
}

#[test]
fn preset_cannot_name_a_runner_that_is_not_allowed() {
    let server = start("presets-runner", &[]);
    let mut preset = printing();
    preset["runner"] = json!("docker:image");
    server.put("/api/presets/print", &preset).expect(200);
    let (status, answer) = ask(&server, &json!({"preset": "print", "placeholders": {"word": "x"}}));
    assert!(status == 400 && answer["field"] == "runner", "{status} {answer}");
}

#[test]
fn names_of_presets_lead_to_no_other_files() {
    let server = start("presets-names", &[]);
    for name in ["..%2Fpwned", "%2E%2E", "Upper", "a.b", "x%00"] {
        let status = server.put(&format!("/api/presets/{name}"), &json!({"model": "m"})).status;
        assert!((400..=404).contains(&status), "{name}: {status}");
    }
    assert!(!server.dir().join("data/pwned.json").exists());
    assert_eq!(fs::read_dir(server.dir().join("data/presets")).unwrap().count(), 0);
}

#[test]
fn preset_for_one_cli_is_refused_for_another() {
    let server = start("presets-cli-named", &[]);
    server.put("/api/presets/print", &printing()).expect(200);
    let (status, answer) =
        ask(&server, &json!({"preset": "print", "placeholders": {"word": "x"}, "ai_cli_type": "claude"}));
    assert!(status == 400 && answer["field"] == "preset", "{status} {answer}");
    assert!(answer.to_string().contains("is for program, not for claude"), "{answer}");
}

#[test]
fn new_command_uses_the_preset_of_the_project_file() {
    let server = start("presets-usual", &[]);
    let mut preset = printing();
    preset["args"][2] = json!("echo usual > seen; exec sleep 1000");
    server.put("/api/presets/usual", &preset).expect(200);
    describe(&server, "shop.json", &json!({"preset": "usual"}));
    let inside = server.project().join("inside");
    fs::create_dir_all(&inside).unwrap();
    let shown = server.get(&format!("/api/projects?path={}", inside.display())).expect(200).json();
    assert_eq!(shown["projects"][0]["preset"], "usual", "{shown}");
    let none = server.get("/api/projects?path=/usr").expect(200).json();
    assert_eq!(none, json!({"projects": []}));
    let project = server.project();
    let made = |more: &[&str]| {
        let args = ["new", "x", project.to_str().unwrap()].into_iter().chain(more.iter().copied());
        let output = server.command(args).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let id = String::from_utf8(output.stdout).unwrap();
        server.get(&format!("/api/workers/{}", id.trim())).expect(200).json()
    };
    let tree = PathBuf::from(made(&[])["worktree"]["path"].as_str().unwrap());
    assert_eq!(wait_file(&tree.join("seen"), "\n"), "usual\n");
    for without in [["--preset", ""], ["--cli", "claude"]] {
        assert_eq!(made(&without)["worktree"], Value::Null, "{without:?}");
    }
    // A request to the API uses a preset only if it names one.
    let (status, made) = ask(&server, &json!({"ai_cli_type": "program", "args": ["sleep", "1000"]}));
    assert_eq!((status, &made["worktree"]), (201, &Value::Null), "{made}");
}

#[test]
fn command_line_lists_and_uses_presets() {
    let server = start("presets-cli", &[]);
    server.put("/api/presets/print", &printing()).expect(200);
    let run = |args: &[&str]| {
        let output = server.command(args.iter().copied()).output().unwrap();
        (
            output.status.success(),
            String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap(),
        )
    };
    let (ok, listed) = run(&["presets"]);
    assert!(ok && listed.contains("print  program") && listed.contains("word"), "{listed}");
    let project = server.project();
    let (ok, id) = run(&["new", "x", project.to_str().unwrap(), "--preset", "print", "--set", "word=hi"]);
    assert!(ok, "{id}");
    let shown = server.get(&format!("/api/workers/{}", id.trim())).expect(200).json();
    let tree = PathBuf::from(shown["worktree"]["path"].as_str().unwrap());
    assert_eq!(wait_file(&tree.join("seen"), "\n"), "preset preset hi\n");
    let (ok, refused) = run(&["new", "x", project.to_str().unwrap(), "--preset", "print"]);
    assert!(!ok && refused.contains("placeholder word"), "{refused}");
    assert!(fs::read_dir(server.dir().join("data/presets")).unwrap().count() == 1);
}

#[test]
fn effort_of_a_preset_is_one_that_its_cli_has() {
    let server = start("presets-effort", &[]);
    server.put("/api/presets/hard", &json!({"ai_cli_type": "claude", "effort": "high"})).expect(200);
    let (status, made) = ask(&server, &json!({"preset": "hard"}));
    assert_eq!(status, 201, "{made}");
    assert_eq!(made["next_start"]["effort"], "high");
    let worker = TestWorker { id: made["id"].as_str().unwrap().to_owned() };
    worker.wait_status(&server, "idle");
    let shown = worker.show(&server);
    assert_eq!(shown["config"]["effort"], "high");
    let argv = shown["process"]["argv"].to_string();
    assert!(argv.contains("\"--effort\",\"high\""), "{argv}");
    for (more, reported) in [
        (json!({"preset": "hard", "effort": "sideways"}), "one of low, medium"),
        (json!({"ai_cli_type": "program", "args": ["sleep", "1"], "effort": "high"}), "has no effort"),
    ] {
        let (status, answer) = ask(&server, &more);
        assert!(status == 400 && answer["field"] == "effort", "{status} {answer}");
        assert!(answer["detail"].as_str().unwrap().contains(reported), "{answer}");
    }
    let body = json!({"name": "g", "project_path": server.project(), "prompt": "echo x",
        "attempts": [{"ai_cli_type": "claude", "effort": "sideways"}]});
    assert_eq!(server.post("/api/groups", &body).expect(400).json()["field"], "attempts");
    assert_eq!(server.worker_ids().len(), 1);
}
