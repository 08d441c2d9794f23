//! The list of project files, and the fields of requests that they fill in.

use std::fs;

use serde_json::json;

use super::{IDLE, describe, git, start};
use crate::support::wait::{DEADLINE, eventually};
use crate::support::workers::TestWorker;

#[test]
fn project_files_are_listed_without_their_secrets() {
    let server = start("projects-listed", &[]);
    assert_eq!(server.get("/api/projects").expect(200).json(), json!({"projects": []}));
    describe(&server, "shop.json", &json!({"name": "Shop", "env": {"KEY": "a-secret"}, "setup": ["true"]}));
    describe(&server, "wrong.json", &json!({"setup": "true"}));
    let answer = server.get("/api/projects").expect(200);
    assert!(!answer.text().contains("a-secret"));
    let projects = answer.json()["projects"].clone();
    assert_eq!((&projects[0]["name"], &projects[0]["env"]), (&json!("Shop"), &json!(["KEY"])));
    assert_eq!((&projects[0]["setup"], &projects[0]["teardown"]), (&json!(true), &json!(false)));
    let error = projects[1]["error"].as_str().unwrap();
    assert!(error.starts_with("setup: must be a list"), "{error}");
}

#[test]
fn new_worker_gets_base_and_environment_of_its_project_file() {
    let server = start("projects-applied", &[]);
    let project = server.project();
    git(&project, &["branch", "stable"]);
    fs::write(project.join("a.txt"), "second\n").unwrap();
    git(&project, &["commit", "-q", "-am", "more"]);
    describe(&server, "shop.json", &json!({"base": "stable", "env": {"A": "file", "B": "file"}}));
    let script = "echo $A-$B > seen; exec sleep 1000";
    let body = json!({"args": ["sh", "-c", script], "worktree": true, "env": {"B": "request"}});
    let worker = TestWorker::create(&server, "program", &body);
    let folder = worker.show(&server)["worktree"]["path"].as_str().unwrap().to_owned();
    let seen = eventually(DEADLINE, "the environment", || {
        fs::read_to_string(format!("{folder}/seen")).ok().filter(|it| it.ends_with('\n'))
    });
    assert_eq!(seen, "file-request\n");
    assert_eq!(fs::read_to_string(format!("{folder}/a.txt")).unwrap(), "first\n");
}

#[test]
fn broken_project_file_refuses_workers_of_its_project() {
    let server = start("projects-broken", &[]);
    describe(&server, "shop.json", &json!({"setup_secs": "long"}));
    let body = json!({"name": "x", "project_path": server.project(), "ai_cli_type": "program", "args": IDLE, "worktree": true});
    let detail = server.post("/api/workers", &body).expect(409).json()["detail"].to_string();
    assert!(detail.contains("shop.json: setup_secs: must be a whole number"), "{detail}");
    let listed = server.get("/api/workers").expect(200).json();
    assert_eq!(listed["workers"], json!([]));
}
