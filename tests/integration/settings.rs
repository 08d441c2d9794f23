//! A permission mode or a model that the CLI has refused is not the worker's setting.

use serde_json::json;

use crate::support::clis;
use crate::support::server::TestServer;
use crate::support::workers::TestWorker;

fn server() -> TestServer {
    TestServer::builder().env("CLAUDE_BINARY", clis::fake_cli()).env("STOP_GRACE_SECS", "1").start()
}

/// Returns the command line with which the worker's CLI runs now, as the CLI reports it.
fn args(server: &TestServer, worker: &TestWorker, answers: usize) -> String {
    worker.say(server, "args");
    worker.wait_event(server, "assistant", answers)["content"].as_str().unwrap().to_owned()
}

#[test]
fn refused_permission_mode_is_used_by_no_later_start() {
    let mut server = server();
    let worker = TestWorker::create(&server, "claude", &json!({}));
    worker.wait_status(&server, "idle");
    server.patch(&worker.path(""), &json!({"permission_mode": "bypassPermissions"})).expect(200);
    let refused = worker.wait_event(&server, "setting", 1);
    assert_eq!((&refused["value"], &refused["state"]), (&json!("bypassPermissions"), &json!("refused")));
    assert_eq!(worker.events_of(&server, "error")[0]["code"], "request_refused");
    let shown = worker.show(&server);
    assert_eq!(shown["next_start"], json!({"model": null, "permission_mode": null, "effort": null}));
    assert_ne!(shown["permission_mode"], "bypassPermissions");

    worker.call(&server, "restart").expect(200);
    worker.wait_status(&server, "idle");
    let after_restart = args(&server, &worker, 1);
    server.kill9();
    server.start();
    worker.call(&server, "stop").expect(200);
    let after_message = args(&server, &worker, 2);
    for args in [after_restart, after_message] {
        assert!(!args.contains("bypassPermissions") && !args.contains("--permission-mode"), "{args}");
    }
}

#[test]
fn accepted_settings_apply_to_a_stopped_workers_next_start() {
    let server = server();
    let worker = TestWorker::create(&server, "claude", &json!({}));
    worker.wait_status(&server, "idle");
    server.patch(&worker.path(""), &json!({"permission_mode": "plan"})).expect(200);
    assert_eq!(worker.wait_event(&server, "setting", 1)["state"], "applied");
    let shown = worker.show(&server);
    assert_eq!((&shown["permission_mode"], &shown["next_start"]["permission_mode"]), (&json!("plan"), &json!("plan")));
    worker.say(&server, "echo remember me");
    worker.wait_turn(&server, 1);
    worker.call(&server, "stop").expect(200);
    let wished = json!({"permission_mode": "acceptEdits", "model": "other"});
    let shown = server.patch(&worker.path(""), &wished).expect(200).json();
    assert_eq!(shown["next_start"], json!({"model": "other", "permission_mode": "acceptEdits", "effort": null}));
    let args = args(&server, &worker, 2);
    assert!(args.contains("--model other") && args.contains("--permission-mode acceptEdits"), "{args}");
    worker.call(&server, "fork").expect(201);
}
