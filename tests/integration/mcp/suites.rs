//! Clients that others wrote: the conformance suite of MCP, and its inspector.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::support::server::TestServer;
use crate::wire::{LOOP, server};

/// The scenarios of the conformance suite for servers that offer only tools, and no particular ones.
const SCENARIOS: [&str; 4] = ["server-initialize", "ping", "tools-list", "dns-rebinding-protection"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A program of `tests/mcp`.
#[track_caller]
fn program(name: &str) -> PathBuf {
    let path = root().join("target/mcp/node_modules/.bin").join(name);
    assert!(path.exists(), "{} is missing: `make install-test-deps` installs it", path.display());
    path
}

/// Runs one of them with the Node.js of the tests, and returns its output.
#[track_caller]
fn run(server: &TestServer, name: &str, args: &[&str]) -> String {
    let path = std::env::var("PATH").unwrap_or_default();
    let ran = Command::new(program(name))
        .args(args)
        .env("PATH", format!("{}:{path}", root().join("target/node/bin").display()))
        .env("HOME", server.home())
        .current_dir(server.dir())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert!(ran.status.success(), "{name} {args:?}: {}\n{text}\n{}", ran.status, String::from_utf8_lossy(&ran.stderr));
    text
}

#[test]
fn real_conformance_suite_passes_where_it_applies() {
    let server = server();
    let url = format!("http://localhost:{}/mcp", server.addr().port());
    for scenario in SCENARIOS {
        let text = run(&server, "conformance", &["server", "--url", &url, "--scenario", scenario]);
        assert!(text.contains("0 failed") && !text.contains("Passed: 0/"), "{scenario}: {text}");
    }
}

/// Asks by the inspector's command line.
#[track_caller]
fn inspected(server: &TestServer, target: &[&str], args: &[&str]) -> Value {
    let text = run(server, "mcp-inspector", &[&["--cli"], target, args].concat());
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn real_inspector_lists_and_calls_tools_by_both_transports() {
    let server = server();
    let url = format!("http://{}/mcp", server.addr());
    let http: &[&str] = &[&url, "--transport", "http"];
    let base = format!("http://{}", server.addr());
    let binary = env!("CARGO_BIN_EXE_rs-worker");
    let url_option = format!("RS_WORKER_URL={base}");
    let stdio: &[&str] = &["-e", &url_option, binary, "mcp"];
    let project = format!("project_path={}", server.project().display());
    let cli = format!("ai_cli_type={LOOP}");
    for (at, target) in [http, stdio].into_iter().enumerate() {
        let listed = inspected(&server, target, &["--method", "tools/list"]);
        assert_eq!(listed["tools"].as_array().unwrap().len(), 10, "{listed}");
        let create = [
            "--method",
            "tools/call",
            "--tool-name",
            "create_worker",
            "--tool-arg",
            "name=one",
            "--tool-arg",
            &project,
            "--tool-arg",
            &cli,
            "--tool-arg",
            "message=hello",
        ];
        let made = inspected(&server, target, &create)["structuredContent"].clone();
        let id = format!("worker_id={}", made["worker"]["id"].as_str().unwrap());
        let waited = inspected(&server, target, &["--method", "tools/call", "--tool-name", "wait", "--tool-arg", &id]);
        assert_eq!(waited["structuredContent"]["answer"], "you said: hello", "{at}: {waited}");
        assert_eq!(waited["structuredContent"]["settled"], json!(true));
    }
}
