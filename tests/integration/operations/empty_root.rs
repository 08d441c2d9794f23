//! The static program in an empty root: a folder with the program, a stub of a CLI and `/proc`. No `/dev`, no
//! `/etc`, no shell, no libraries.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::require::require;
use crate::support::server::TestServer;
use crate::support::temp::TempDir;
use crate::support::workers::TestWorker;

/// Commands that create a mount namespace: as the superuser, or in a user namespace if the system allows it.
const NAMESPACES: [&[&str]; 2] = [&["unshare", "--mount"], &["unshare", "--map-root-user", "--mount"]];
/// Mounts `/proc` in the root folder `$0` and becomes the program in it.
const ENTER: &str = "mount --rbind /proc \"$0/proc\" && exec chroot \"$0\" \"$@\"";

fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Returns a command for a namespace that this user can create; `None` if the system refuses.
fn namespace() -> Option<&'static [&'static str]> {
    let works = |words: &&&[&str]| {
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).args(["mount", "--bind", "/proc", "/proc"]);
        command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    };
    NAMESPACES.iter().find(works).copied()
}

/// Returns the static program that `RS_WORKER_TEST_STATIC` names, if it is set; else a debug build, made in the way in
/// which `make static` makes the release.
fn static_program() -> PathBuf {
    if let Some(path) = std::env::var_os("RS_WORKER_TEST_STATIC") {
        return PathBuf::from(path);
    }
    let made =
        Command::new("make").args(["--no-print-directory", "-s", "static-debug"]).current_dir(project()).output();
    let made = made.unwrap();
    let said = String::from_utf8_lossy(&made.stderr);
    assert!(made.status.success(), "make static-debug: {said}");
    PathBuf::from(String::from_utf8(made.stdout).unwrap().trim())
}

fn build_stand_in(to: &Path) {
    let source = project().join("tests/fake_cli/stand_in.rs");
    let mut command = Command::new("rustc");
    command.args(["--edition", "2024", "-C", "target-feature=+crt-static", "-o"]).arg(to).arg(source);
    let built = command.output().unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
}

/// All that is in the folder, without what is below `/proc`.
fn names(root: &Path) -> Vec<String> {
    let entries = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = entries.collect();
    names.sort();
    names
}

#[test]
fn static_program_alone_serves_the_page_and_runs_a_worker() {
    let found = namespace().ok_or("none of the ways to make one works");
    let Some(namespace) = require("a mount namespace", found) else { return };
    let dir = TempDir::new("empty-root");
    let root = dir.dir("root");
    dir.dir("root/proc");
    dir.dir("root/project");
    fs::copy(static_program(), root.join("rs-worker")).unwrap();
    build_stand_in(&root.join("cli"));
    let adapter = json!({
        "family": "text",
        "command": ["/cli"],
        "version_args": ["--version"],
        "input": {"encoding": "line"},
        "turn_end": {"line": "<<END>>"},
    });
    dir.dir("root/adapters");
    fs::write(root.join("adapters/stand-in.json"), adapter.to_string()).unwrap();
    assert_eq!(names(&root), ["adapters", "cli", "proc", "project", "rs-worker"]);

    let root_text = root.to_str().unwrap();
    let under: Vec<&str> = namespace.iter().copied().chain(["sh", "-c", ENTER, root_text]).collect();
    let mut server = TestServer::builder()
        .name("empty-root")
        .binary(Path::new("/rs-worker"))
        .under(&under)
        // A token is created, which needs the system's random numbers.
        .env("HOST", "0.0.0.0")
        .env("WORKERS_BASE_DIR", "/data/workers")
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin:/")
        .env("HOME", "/")
        .env("DEFAULT_AI_CLI", "stand-in")
        .start();
    let token = fs::read_to_string(root.join("data/auth_token")).unwrap();
    server.client = server.client.with("Authorization", &format!("Bearer {}", token.trim()));
    assert!(server.output().contains("stand-in"), "the banner came to its end: {}", server.output());

    let page = server.get("/").expect(200).text();
    let script = page.split('"').find(|text| text.ends_with("js/joined/list.js")).unwrap_or_else(|| panic!("{page}"));
    server.get(&format!("/{script}")).expect(200);
    server.get("/api/ready").expect(200);
    let clis = server.get("/api/ai-clis").expect(200).json();
    let stand_in = clis["available_clis"].as_array().unwrap().iter().find(|cli| cli["type"] == "stand-in").unwrap();
    assert_eq!((&stand_in["installed"], &stand_in["version"]), (&json!(true), &json!("1.2.3")), "{clis}");

    let made =
        server.post("/api/workers", &json!({"name": "alone", "project_path": "/project", "ai_cli_type": "stand-in"}));
    assert_eq!(made.status, 201, "{}\n{}", made.text(), server.log());
    let worker = TestWorker { id: made.json()["id"].as_str().unwrap().to_owned() };
    worker.wait_status(&server, "idle");
    worker.say(&server, "is anybody there?");
    worker.wait_turn(&server, 1);
    worker.call(&server, "stop").expect(200);
    worker.wait_status(&server, "stopped");
    worker.say(&server, "again");
    worker.wait_turn(&server, 2);
    let said: Vec<Value> =
        worker.events_of(&server, "assistant").into_iter().map(|event| event["content"].clone()).collect();
    assert_eq!(said, ["you said: is anybody there?", "you said: again"]);
    worker.call(&server, "stop").expect(200);
    assert!(server.terminate().success(), "{}", server.log());
    assert!(!names(&root).contains(&"dev".to_owned()));
}
