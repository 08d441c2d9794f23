//! `doctor`.

use serde_json::Value;

use super::{printed, run, start};
use crate::support::server::TestServer;

fn checks(server: &TestServer) -> (Option<i32>, Value) {
    let output = run(server, &["doctor", "--json"]);
    (output.status.code(), serde_json::from_slice(&output.stdout).unwrap())
}

#[track_caller]
fn of<'c>(checks: &'c Value, name: &str) -> &'c Value {
    let all = checks["checks"].as_array().unwrap();
    all.iter().find(|check| check["name"] == name).unwrap_or_else(|| panic!("no {name}: {checks}"))
}

#[test]
fn server_that_runs_well_has_no_problem_of_its_own() {
    let server = start("doctor", &[]);
    let (_, reported) = checks(&server);
    for name in ["settings", "data folder", "token", "server"] {
        assert_eq!(of(&reported, name)["state"], "ok", "{reported}");
    }
    let claude = of(&reported, "claude")["found"].as_str().unwrap();
    assert!(claude.contains('('), "it tells the version: {claude}");
    let problems = reported["checks"].as_array().unwrap().iter().filter(|check| check["state"] == "problem").count();
    assert_eq!(reported["ok"], problems == 0, "{reported}");
    let output = run(&server, &["doctor"]);
    assert_eq!(output.status.success(), problems == 0);
    assert!(String::from_utf8(output.stdout).unwrap().contains("data folder"));
}

#[test]
fn each_problem_is_reported_with_a_remedy_and_exits_1() {
    let mut server = start("doctor-problems", &[]);
    server.set_env("CLAUDE_BINARY", "no-such-program");
    server.set_env("WORKERS_BASE_DIR", "/proc/nowhere");
    let (code, reported) = checks(&server);
    assert_eq!((code, &reported["ok"]), (Some(1), &Value::Bool(false)), "{reported}");
    for (name, advice) in [
        ("claude", "install it: npm install -g @anthropic-ai/claude-code; or set CLAUDE_BINARY"),
        ("data folder", "WORKERS_BASE_DIR"),
    ] {
        let check = of(&reported, name);
        assert_eq!(check["state"], "problem", "{check}");
        assert!(check["advice"].as_str().unwrap().contains(advice), "{check}");
    }
    server.set_env("PORT", "no port");
    let (code, reported) = checks(&server);
    assert!(code == Some(1) && of(&reported, "settings")["state"] == "problem", "{reported}");
}

#[test]
fn setuid_files_of_a_root_servers_agents_are_warned_of() {
    let mut server = start("doctor-root", &[("RUNNER", "none,bwrap")]);
    let (_, reported) = checks(&server);
    let warned = reported["checks"].as_array().unwrap().iter().find(|check| check["name"] == "runners");
    if !nix::unistd::geteuid().is_root() {
        assert!(warned.is_none() && !server.log().contains("setuid"), "{reported}");
        return;
    }
    let warned = warned.unwrap_or_else(|| panic!("no warning: {reported}"));
    assert!(
        warned["state"] == "note" && warned["found"].as_str().unwrap().contains("bwrap can leave a setuid"),
        "{warned}"
    );
    server.wait_output("bwrap can leave a setuid program of root");
    server.set_env("RUNNER", "nonsense");
    assert_eq!(of(&checks(&server).1, "runners")["state"], "problem");
}

#[test]
fn stopped_server_is_fine_and_a_foreign_one_a_problem() {
    let mut server = start("doctor-none", &[]);
    assert!(printed(&server, &["ls"]).starts_with("ID "));
    server.terminate();
    assert_eq!(of(&checks(&server).1, "server")["state"], "note");
    let stranger = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    server.set_env("PORT", &stranger.local_addr().unwrap().port().to_string());
    let answering = std::thread::spawn(move || {
        // One connection queries the server, another checks whether the port is taken.
        for _ in 0..2 {
            drop(stranger.accept().unwrap());
        }
    });
    let (code, reported) = checks(&server);
    answering.join().unwrap();
    assert!(code == Some(1) && of(&reported, "server")["state"] == "problem", "{reported}");
}

#[test]
fn a_wrong_token_is_distinguished_from_a_strange_server() {
    let server = start("doctor-token", &[("AUTH_TOKEN", "0123456789abcdef0123456789abcdef")]);
    let output = run(&server, &["doctor", "--json", "--token", "fedcba9876543210fedcba9876543210"]);
    let reported: Value = serde_json::from_slice(&output.stdout).unwrap();
    let check = of(&reported, "server");
    assert_eq!(check["state"], "problem", "{check}");
    assert!(check["found"].as_str().unwrap().contains("data/auth_token"), "{check}");
    assert!(check["advice"].as_str().unwrap().contains("--token"), "{check}");
}
