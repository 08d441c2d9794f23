//! Imported histories.

use std::fs;

use serde_json::{Value, json};

use super::{Scene, commit, git};
use crate::support::workers::TestWorker;

/// A record in the format of an export.
fn record(control: &Value) -> Value {
    json!({"time": 1_700_000_000_000_000_u64, "kind": "ctl", "text": control.to_string()})
}

#[test]
fn imported_history_moves_no_branch_and_changes_no_file() {
    let mut scene = Scene::new("landing-imported");
    let old = git(&scene.project, &["rev-parse", "main"]);
    let new = commit(&scene.tree, "theirs.txt", "theirs\n");
    let tree = |commit: &str| json!({"tree": git(&scene.project, &["rev-parse", &format!("{commit}^{{tree}}")])});
    let id = "0b5c6f0e-2f1e-4c5e-9a53-5d5f0b0d3c11";
    // Records that would make a killed server complete a move, and names that git would read as options.
    let written = scene.server.dir().join("written");
    let option = json!({"tree": format!("--output={}", written.display())});
    let records = [
        json!({"type": "created", "worker_id": "w", "name": "foreign", "project_path": scene.project, "ai_cli_type": "program"}),
        json!({"type": "branch_moving", "id": id, "operation": "land", "about": "Landed", "branch": "refs/heads/main",
               "old": old, "new": new, "folder": scene.project, "files": true}),
        json!({"type": "restore_begun", "restore_id": id, "target": tree(&new), "recorded": tree(&old)}),
        json!({"type": "restore_begun", "restore_id": "../../../x", "target": option, "recorded": tree(&old)}),
        json!({"type": "tree_recorded", "turn_id": "t", "at": "begin", "tree": option["tree"]}),
        json!({"type": "preparing", "step": "begun"}),
    ];
    let records: Vec<Value> = records.iter().map(record).collect();
    let foreign = scene.server.post("/api/import", &json!({"records": records})).expect(201).json();
    let foreign = TestWorker { id: foreign["id"].as_str().unwrap().to_owned() };
    scene.server.kill9();
    scene.server.start();
    scene.worker.wait_status(&scene.server, "idle");
    let dry = scene.server.get(&foreign.path("/land")).expect(200).json();
    assert_eq!(dry["pending"], Value::Null, "{dry}");
    scene.server.get(&foreign.path("/restore?turn=t")).expect(404);
    scene.server.get(&foreign.path("/diff?scope=turn&turn=t")).expect(404);
    assert_eq!(git(&scene.project, &["rev-parse", "main"]), old);
    assert!(!scene.project.join("theirs.txt").exists() && !written.exists());
    assert_eq!(foreign.show(&scene.server)["status"], "stopped");
    scene.assert_clean(&scene.project);
    assert_eq!(fs::read_to_string(scene.project.join("a.txt")).unwrap(), "one\ntwo\nthree\n");
}
