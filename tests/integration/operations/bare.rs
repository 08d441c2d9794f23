//! A bare machine: the messages of `make` for missing programs, and the remains of tests and of ignored signals.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::support::server::TestServer;
use crate::support::temp::TempDir;
use crate::support::wait::{DEADLINE, eventually};
use crate::support::workers::{TestWorker, declare_programs};

fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Runs `make toolchain` with a `cargo` and a `rustc` of this version. Returns whether it succeeds, and its output.
fn toolchain(version: Option<&str>) -> (bool, String) {
    let dir = TempDir::new("toolchain");
    let mut make = Command::new("make");
    make.args(["--no-print-directory", "toolchain"]).current_dir(project()).env_remove("MAKEFLAGS");
    match version {
        None => drop(make.arg("CARGO=no-such-cargo")),
        Some(version) => {
            let rustc = dir.path().join("rustc");
            fs::write(&rustc, format!("#!/bin/sh\necho 'rustc {version} (0 2022-01-01)'\n")).unwrap();
            fs::set_permissions(&rustc, fs::Permissions::from_mode(0o755)).unwrap();
            let path = std::env::var("PATH").unwrap();
            make.arg("CARGO=true").env("PATH", format!("{}:{path}", dir.path().display()));
        }
    }
    let output = make.output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn make_names_a_missing_and_a_too_old_rust() {
    let oldest = env!("CARGO_PKG_RUST_VERSION");
    let (content, reported) = toolchain(None);
    assert!(!content && reported.contains(oldest) && reported.contains("rustup"), "{reported}");
    let (content, reported) = toolchain(Some("1.65.0"));
    assert!(
        !content && reported.contains(oldest) && reported.contains("1.65.0") && reported.contains("rustup"),
        "{reported}"
    );
    for new in [&format!("{oldest}.0"), "1.100.2-nightly", "2.0.0"] {
        let (content, reported) = toolchain(Some(new));
        assert!(content, "{new}: {reported}");
    }
}

/// Runs the script that installs a missing C compiler with only these programs. Returns its success and its output.
fn install_linker(programs: &TempDir) -> (bool, String) {
    for name in ["bash", "env", "id", "sh"] {
        let found = Command::new("sh").args(["-c", &format!("command -v {name}")]).output().unwrap();
        let found = String::from_utf8(found.stdout).unwrap();
        std::os::unix::fs::symlink(found.trim(), programs.path().join(name)).unwrap();
    }
    let mut script = Command::new(project().join("build/install-linker"));
    let output = script.env("PATH", programs.path()).output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn missing_c_compiler_is_installed_or_named() {
    let programs = TempDir::new("linker");
    let (installed, said) = install_linker(&programs);
    assert!(!installed && said.contains("apt-get install build-essential"), "{said}");

    let programs = TempDir::new("linker-apt");
    for (name, script) in [("apt-get", "#!/bin/sh\necho apt-get \"$@\"\n"), ("sudo", "#!/bin/sh\nshift\nexec \"$@\"\n")]
    {
        let path = programs.path().join(name);
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    // For `sudo -n true`.
    std::os::unix::fs::symlink("/bin/true", programs.path().join("true")).unwrap();
    let (installed, said) = install_linker(&programs);
    assert!(installed && said.contains("apt-get update") && said.contains("gcc libc6-dev"), "{said}");
}

#[test]
fn tests_in_scratch_leave_nothing_unless_they_fail() {
    let dir = TempDir::new("scratch");
    let home = dir.dir("home");
    let temporary = dir.dir("tmp");
    let script = "mkdir -p ~/.config && echo x > ~/.config/x && mktemp && echo \"$CLAUDE_CODE_TMPDIR\"";
    let run = |script: &str| {
        let mut scratch = Command::new(project().join("tests/in-scratch"));
        scratch.args(["sh", "-c", script]).env("HOME", &home).env("TMPDIR", &temporary);
        scratch.output().unwrap()
    };
    let output = run(script);
    assert!(output.status.success(), "{output:?}");
    let reported = String::from_utf8(output.stdout).unwrap();
    assert!(reported.lines().all(|line| line.starts_with(temporary.to_str().unwrap())), "{reported}");
    let left = || fs::read_dir(&home).unwrap().count() + fs::read_dir(&temporary).unwrap().count();
    assert_eq!(left(), 0);
    let output = run(&format!("{script}; exit 7"));
    assert_eq!((output.status.code(), left()), (Some(7), 1), "what a failed test left is kept");
    assert!(String::from_utf8(output.stderr).unwrap().contains("is kept in"));
}

#[test]
fn scratch_folder_is_open_to_second_users_without_its_home() {
    let dir = TempDir::new("scratch-modes");
    let script = "umask 077; exec \"$0\" sh -c 'stat -c %a \"${TMPDIR%/*}\" \"$TMPDIR\" \"$HOME\"; echo \"$TMPDIR\"'";
    let mut shell = Command::new("sh");
    shell.args(["-c", script]).arg(project().join("tests/in-scratch"));
    let output = shell.env("TMPDIR", dir.path()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let reported = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = reported.lines().collect();
    assert_eq!(lines[..3], ["711", "711", "700"], "{reported}");
    let added = lines[3].strip_prefix(dir.path().to_str().unwrap()).unwrap();
    assert!(added.len() <= 15, "sockets below it have room: {added}");
}

#[test]
fn signals_ignored_at_the_servers_start_reach_a_cli() {
    let ignoring = ["sh", "-c", "trap '' HUP INT QUIT USR1; exec \"$0\" \"$@\""];
    let mut server = TestServer::builder().name("ignored").under(&ignoring).prepare();
    declare_programs(&server);
    server.start();
    let script = "grep SigIgn /proc/self/status; sleep 1000";
    let worker = TestWorker::create(&server, "program", &json!({"args": ["sh", "-c", script]}));
    let line = eventually(DEADLINE, "the line", || worker.events_of(&server, "assistant").pop());
    let content = line["content"].as_str().unwrap();
    let ignored = u64::from_str_radix(content.strip_prefix("SigIgn:\t").unwrap(), 16).unwrap();
    // Above the standard signals are those that the C library keeps to itself.
    assert_eq!(ignored & u64::from(i32::MAX.cast_unsigned()), 0, "{content}");
}
