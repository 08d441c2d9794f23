//! The setup of a worktree and the check of its work in a sandbox: the operator's commands run files that agents write.

use serde_json::json;

use super::{look, repository, sandboxed, write};
use crate::support::processes;
use crate::support::require::require_program;
use crate::support::wait::{DEADLINE, eventually};

#[test]
fn setup_runs_in_the_sandbox_of_its_worker() {
    let Some(_) = require_program("bwrap") else { return };
    let mut file = None;
    let server = sandboxed("setup-sandbox", "bwrap", |server| {
        repository(&server.project());
        let place = server.dir().join("data/project-files/shop.json");
        let setup = format!(
            "echo $OWN > made; cat {} > read; touch {}/escaped; true",
            place.display(),
            server.project().display()
        );
        let described = json!({
            "path": server.project(), "name": "SECRET-NAME", "env": {"OWN": "mine"}, "setup": [setup],
        });
        write(&place, &described.to_string());
        file = Some(place);
    });
    let (worker, seen) = look(&server, "cat made; echo read: $(cat read)", &json!({"worktree": true}));
    assert_eq!(seen, "mine\nread:\n");
    assert!(!server.project().join("escaped").exists());
    assert_eq!(worker.show(&server)["preparing"]["state"], "done");
    assert!(std::fs::read_to_string(file.unwrap()).unwrap().contains("SECRET-NAME"));
}

#[test]
fn check_runs_in_its_sandbox_and_ends_with_its_processes() {
    let Some(_) = require_program("bwrap") else { return };
    let server = sandboxed("check-sandbox", "bwrap", |server| {
        repository(&server.project());
        let place = server.dir().join("data/project-files/shop.json");
        let first = format!("echo $OWN; cat {}; touch {}/escaped; pwd", place.display(), server.project().display());
        let last = "setsid sleep 4243 & trap '' TERM; sleep 4243";
        let described = json!({"path": server.project(), "name": "SECRET-NAME", "env": {"OWN": "mine"},
            "check": [format!("{first}; true"), last], "check_secs": 3});
        write(&place, &described.to_string());
    });
    let attempt = json!({"ai_cli_type": "program", "args": ["sh", "-c", "read line"]});
    let new = json!({"name": "g", "project_path": server.project(), "prompt": "end", "attempts": [attempt]});
    let group = server.post("/api/groups", &new).expect(201).json();
    let path = format!("/api/groups/{}", group["id"].as_str().unwrap());
    let tree = group["workers"][0]["worktree"]["path"].as_str().unwrap();
    eventually(DEADLINE, "a check", || {
        let begun = server.post(&format!("{path}/check"), &json!({})).expect(200).json();
        (begun["checked"] != json!([])).then_some(())
    });
    let ended = eventually(DEADLINE, "the end of the check", || {
        let check = server.get(&path).expect(200).json()["workers"][0]["check"].clone();
        (check["state"] == "failed").then_some(check)
    });
    assert!(ended["error"].as_str().unwrap().contains("the time limit of 3 s is over"), "{ended}");
    let output = ended["output"].as_str().unwrap();
    assert!(output.starts_with("mine\n") && output.ends_with(tree), "{output}");
    assert!(!output.contains("SECRET-NAME") && !server.project().join("escaped").exists(), "{output}");
    let id = group["workers"][0]["id"].as_str().unwrap();
    let left = processes::with_env("RS_WORKER_ID", &format!("{id}-check"));
    assert!(left.is_empty(), "{left:?}");
}
