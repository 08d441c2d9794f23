//! The log has the life cycle of the server and of each worker, and the banner has the addresses.

use std::fs;

use nix::sys::signal::Signal;
use serde_json::json;

use crate::support::server::TestServer;
use crate::support::wait::{DEADLINE, eventually};
use crate::support::workers::{TestWorker, server_for_programs};

fn log(server: &TestServer) -> String {
    fs::read_to_string(server.dir().join("logs/app.log")).unwrap_or_default()
}

/// Waits for a line that has all of these texts.
#[track_caller]
fn wait_line(server: &TestServer, level: &str, texts: &[&str]) {
    let fits = |line: &str| line.contains(level) && texts.iter().all(|text| line.contains(text));
    eventually(DEADLINE, &format!("a line with {texts:?}"), || log(server).lines().any(fits).then_some(()));
}

#[test]
fn log_reports_the_life_of_server_and_workers() {
    let mut server = server_for_programs("life-log", &[("OPENCODE_BINARY", "/nowhere/opencode")]);
    server.start();
    let address = format!("http://{}", server.addr());
    wait_line(&server, "INFO", &["rs-worker", env!("CARGO_PKG_VERSION"), "started", &address, "0 workers"]);
    server.get("/api/workers/nobody").expect(404);
    let worker = TestWorker::create(&server, "claude", &json!({"name": "docs"}));
    let pid = worker.wait_status(&server, "idle")["pid"].to_string();
    wait_line(&server, "INFO", &[&worker.id, "(docs) created", "claude"]);
    wait_line(&server, "INFO", &[&worker.id, "(docs) started", "claude", &format!("pid {pid}")]);
    worker.call(&server, "stop").expect(200);
    wait_line(&server, "INFO", &[&worker.id, "(docs) ended"]);
    server.delete(&worker.path("")).expect(200);
    wait_line(&server, "INFO", &[&worker.id, "(docs) deleted"]);
    let broken = TestWorker::create(&server, "opencode", &json!({"name": "broken"}));
    wait_line(&server, "WARN", &[&broken.id, "(broken) failed", "/nowhere/opencode"]);
    // In the log of a refusal, the status follows the path; the digits alone occur in many times and ids.
    assert!(!log(&server).contains(": 404 "), "refused requests are only logged at debug");
    let left: Vec<TestWorker> =
        (0..2).map(|_| TestWorker::create(&server, "claude", &json!({"name": "twin"}))).collect();
    left.iter().for_each(|worker| drop(worker.wait_status(&server, "idle")));
    server.terminate();
    wait_line(&server, "INFO", &["stopping"]);
    let text = log(&server);
    assert!(!text.contains("\\n"), "{text}");
    for worker in &left {
        assert!(text.contains(&format!("twin ({})", &worker.id[..8])), "two of one name are told apart: {text}");
    }
}

#[test]
fn refused_requests_are_logged_at_debug_without_their_query() {
    let server = TestServer::builder().name("debug-log").env("DEBUG", "true").start();
    server.get("/api/workers/nobody?secret=hush").expect(404);
    wait_line(&server, "DEBUG", &["GET /api/workers/nobody: 404 ", "Worker not found: nobody"]);
    assert!(!log(&server).contains("hush"));
}

#[test]
fn the_banner_names_the_api_documents() {
    let server = TestServer::builder().name("banner").env("BASE_PATH", "/agents").start();
    let line = format!("API Docs: http://{}/agents/docs\n", server.addr());
    server.wait_output(&line);
    server.get("/agents/docs").expect(200);
}

#[test]
fn hangup_ends_the_server_unless_ignored_at_the_start() {
    let mut server = TestServer::builder().name("hangup").under(&["env", "--default-signal=HUP"]).start();
    assert!(server.stop_with(Signal::SIGHUP).is_some_and(|status| status.success()));
    let mut server = TestServer::builder().name("nohup").under(&["nohup"]).start();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(server.pid()), Signal::SIGHUP).unwrap();
    server.get("/health").expect(200);
    assert!(server.is_running());
    assert!(server.stop_with(Signal::SIGTERM).is_some_and(|status| status.success()));
}

#[test]
fn options_of_serve_win_over_env_and_dotenv() {
    let server = TestServer::builder().name("options").prepare();
    let run = |args: &[&str]| {
        let output = server.command(args.iter().copied()).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    for (args, code, named) in [
        (&["serve", "--port", "70000"][..], 2, "PORT is \"70000\" (--port)"),
        (&["--host", "nowhere"], 2, "HOST is \"nowhere\" (--host)"),
        (&["serve", "--prot", "1"], 2, "--prot"),
        (&["serve", "now"], 2, "now"),
    ] {
        let (found, reported) = run(args);
        assert!(found == Some(code) && reported.contains(named), "{args:?}: {found:?} {reported}");
    }
    let help = server.command(["serve", "--help"]).output().unwrap();
    assert!(help.status.success() && String::from_utf8_lossy(&help.stdout).contains("--port"));
    let help = server.command(["stop", "--help"]).output().unwrap();
    assert!(String::from_utf8_lossy(&help.stdout).contains("rs-worker stop --all"));
    let options = ["--host", "127.0.0.1", "--port", "0"];
    let server = TestServer::builder().dotenv("PORT=1\nHOST=127.0.0.9\n").arguments(&options).start();
    server.get("/health").expect(200);
    assert!(server.output().contains("(from the command line)"), "{}", server.output());
}
