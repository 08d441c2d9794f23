//! Settings: errors that stop the start, precedence, the banner, and the place of the log.

use std::fs;

use serde_json::json;

use crate::support::clis;
use crate::support::server::TestServer;
use crate::support::wait::{DEADLINE, eventually};
use crate::wire::{LOOP, builder, declare, server, start};

#[test]
fn wrong_value_stops_the_start_with_setting_and_allowed_values() {
    for (name, value, allowed) in [
        ("PORT", "seven", "a whole number from 0 to 65535"),
        ("PORT", "65536", "a whole number from 0 to 65535"),
        ("PORT", "-1", "a whole number from 0 to 65535"),
        ("HOST", "not an address", "an IP address or `localhost`"),
        ("DEBUG", "perhaps", "`true` or `false`"),
        ("LOG_LEVEL", "loud", "`error`, `warn`, `info`, `debug` or `trace`"),
        ("MAX_WORKERS", "0", "a whole number from 1 to 1000"),
        ("WORKER_TIMEOUT", "5 minutes", "a whole number of seconds from 1 to 604800"),
        ("ON_EXIT", "maybe", "`leave` or `stop`"),
        ("WORKER_ENV", "dirty", "`inherit` or `clean`"),
        ("DEFAULT_AI_CLI", "Claude Code", "a name of lower-case letters, digits, `-` and `_`"),
        ("MAX_BODY_BYTES", "1GiB", "a number of bytes from 1KiB to 32MiB"),
        ("PROJECT_ROOTS", "relative/path", "absolute paths"),
        ("OPENCODE_API_BASE", "ftp://example", "`http://` or `https://`"),
        ("ALLOWED_ORIGINS", "example", "origins like `https://name:port`"),
    ] {
        let mut server = builder().env(name, value).prepare();
        let (status, output) = server.start_in_vain();
        assert_eq!(status.code(), Some(1), "{name}={value}");
        for part in [name, &format!("{value:?}"), allowed, "the configuration is invalid; nothing was started"] {
            assert!(output.contains(part), "no {part} in {output}");
        }
        assert!(!server.dir().join("logs").exists(), "nothing was made");
    }
}

#[test]
fn all_wrong_values_are_reported_at_once_with_their_places() {
    let mut server = builder().dotenv("MAX_WORKERS=many\nthis is no line\n").env("LOG_LEVEL", "loud").prepare();
    let (_, output) = server.start_in_vain();
    for part in ["MAX_WORKERS is \"many\"", ".env, line 1", "line 2", "LOG_LEVEL is \"loud\""] {
        assert!(output.contains(part), "no {part} in {output}");
    }
}

#[test]
fn a_wrong_secret_is_not_repeated() {
    let mut server = builder().env("AUTH_TOKEN", "too-short").env("CLAUDE_API_KEY", "sk with-spaces").prepare();
    let (status, output) = server.start_in_vain();
    assert!(!status.success());
    assert!(output.contains("AUTH_TOKEN") && output.contains("CLAUDE_API_KEY"), "{output}");
    assert!(!output.contains("too-short") && !output.contains("with-spaces"), "{output}");
}

#[test]
fn file_wins_over_environment_and_keys_have_second_names() {
    let dotenv = "MAX_WORKERS=3\nexport WORKER_TIMEOUT='60' # seconds\nMAX_QUEUE=\n";
    let server = start(
        builder()
            .dotenv(dotenv)
            .env("MAX_WORKERS", "4")
            .env("MAX_QUEUE", "5")
            .env("ANTHROPIC_API_KEY", "sk-ant-api03-0123456789-xyz9"),
    );
    assert_eq!(server.get("/api/health").json()["max_workers"], 3);
    let banner = server.output();
    for line in [
        "Max Workers: 3 (from .env)",
        "Worker Timeout: 60s (from .env)",
        "API Key (from .env): Not set",
        "API Key (from env): sk-ant-a...xyz9 ✅ (ANTHROPIC_API_KEY)",
    ] {
        assert!(banner.contains(line), "no {line:?} in {banner}");
    }
    assert!(banner.lines().any(|line| line.contains(": 5") && line.ends_with("(from env)")), "{banner}");
}

#[test]
fn key_in_the_file_is_used_instead_of_the_environments() {
    let server = start(
        builder()
            .dotenv("CLAUDE_API_KEY=sk-ant-from-the-dotenv-file\n")
            .env("ANTHROPIC_API_KEY", "sk-ant-env-0123456789"),
    );
    let banner = server.output();
    assert!(banner.contains("API Key (from .env): sk-ant-f...file ✅"), "{banner}");
    assert!(banner.contains("API Key (from env): Not used"), "{banner}");
    let id = server.create_worker("claude", &json!({}));
    crate::wire::say(&server, &id, "env ANTHROPIC_API_KEY");
    crate::wire::wait_event(&server, &id, "assistant", "sk-ant-from-the-dotenv-file");
}

#[test]
fn banner_shows_where_to_go_and_which_clis_were_found() {
    let server = start(builder().env("OPENCODE_BINARY", "no-such-program"));
    let banner = server.output();
    for line in [
        "Starting AI Code Worker Manager",
        "Host: 127.0.0.1",
        &format!("Port: {}", server.addr().port()),
        "Default AI CLI: claude",
        &format!("Binary: {} (2.1.197", clis::fake_cli().display()),
        "Binary: no-such-program (not found)",
        "Declared: loop in ",
        "AI Code Worker Manager started successfully!",
        &format!("Access at: http://{}", server.addr()),
    ] {
        assert!(banner.contains(line), "no {line:?} in {banner}");
    }
}

#[test]
fn broken_adapter_is_reported_with_its_place_while_others_load() {
    let mut server = builder().prepare();
    declare(&server, LOOP, &json!({"family": "text", "command": ["cat"]}));
    fs::write(server.dir().join("adapters/broken.json"), "{\n  \"family\": \"text\"\n  \"command\": []\n}").unwrap();
    fs::write(server.dir().join("adapters/wrong.json"), r#"{"family": "nonsense", "command": ["cat"]}"#).unwrap();
    server.start();
    let banner = server.output();
    assert!(banner.contains("broken.json:3:3"), "{banner}");
    assert!(banner.contains("wrong.json") && banner.contains("Declared: loop in "), "{banner}");
    server.create_worker(LOOP, &json!({}));
}

#[test]
fn a_name_that_is_no_setting_is_warned_of() {
    let server = start(builder().dotenv("MAX_WORKER=3\n"));
    let warning = ".env, line 1: MAX_WORKER is not a setting of rs-worker; did you mean MAX_WORKERS?";
    server.wait_output(warning);
}

#[test]
fn log_goes_to_the_terminal_and_a_rotated_file() {
    use std::fmt::Write as _;
    let mut dotenv = String::new();
    for number in 0..2_000 {
        writeln!(dotenv, "SOMETHING_THAT_IS_NO_SETTING_AND_IS_WARNED_OF_{number}=1").unwrap();
    }
    let builder = builder().dotenv(&dotenv).env("LOG_MAX_BYTES", "64KiB").env("LOG_KEEP", "2");
    let mut server = start(builder.env("LOG_FILE", "./elsewhere/own.log"));
    server.terminate();
    let folder = server.dir().join("elsewhere");
    let mut files: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    files.sort();
    assert_eq!(files, ["own.log", "own.log.1", "own.log.2"]);
    for file in &files {
        let length = fs::metadata(folder.join(file)).unwrap().len();
        assert!((1..=64 * 1024).contains(&length), "{length} bytes");
    }
    assert!(fs::read_to_string(folder.join("own.log")).unwrap().contains("stopping"));
    let output = server.output();
    assert!(output.contains("WARNED_OF_0 ") && output.contains("WARNED_OF_1999 ") && output.contains("stopping"));
    server.start();
}

#[test]
fn port_or_data_folder_that_is_taken_stops_the_start() {
    let server = server();
    let mut second = TestServer::builder().env("PORT", server.addr().port().to_string()).prepare();
    let (status, output) = second.start_in_vain();
    assert_eq!(status.code(), Some(1));
    assert!(
        output.contains(&format!("cannot listen on {}", server.addr())) && output.contains("see HOST and PORT"),
        "{output}"
    );
    second.set_env("PORT", "0");
    second.set_env("WORKERS_BASE_DIR", server.data_dir().to_str().unwrap());
    let (status, output) = second.start_in_vain();
    assert_eq!(status.code(), Some(1));
    let expected = format!("another server (pid {}) uses {}", server.pid(), server.data_dir().display());
    assert!(output.contains(&expected), "no {expected} in {output}");
    server.get("/health").expect(200);
}

#[test]
fn the_command_line_explains_itself() {
    let server = TestServer::builder().prepare();
    let run = |args: &[&str]| {
        let done = server.command(args.iter().copied()).output().unwrap();
        (done.status.code(), String::from_utf8(done.stdout).unwrap(), String::from_utf8(done.stderr).unwrap())
    };
    assert_eq!(run(&["--version"]), (Some(0), format!("rs-worker {}\n", env!("CARGO_PKG_VERSION")), String::new()));
    let (code, help, _) = run(&["--help"]);
    assert!(code == Some(0) && help.contains("rs-worker [serve]"), "{help}");
    let (code, _, error) = run(&["dance"]);
    assert!(code == Some(2) && error.starts_with("rs-worker: unknown command: dance"), "{error}");
}

#[test]
fn on_exit_setting_decides_the_fate_of_workers() {
    let mut server = server();
    let id = crate::wire::idle_worker(&server, LOOP);
    server.terminate();
    let reported = server.output();
    assert!(
        reported.contains("1 workers work on without the server: test") && reported.contains("rs-worker stop --all"),
        "{reported}"
    );
    assert!(!server.processes_of(&id).is_empty(), "it works on");
    let done = server.command(["stop", "--all"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&done.stdout), "1 worker stopped\n", "{done:?}");
    server.wait_no_processes_of(&id);
    server.set_env("ON_EXIT", "stop");
    server.start();
    server.wait_status(&id, "stopped");
    server.post(&format!("/api/workers/{id}/start"), &json!({})).expect(200);
    server.wait_status(&id, "idle");
    server.terminate();
    eventually(DEADLINE, "the end of all", || server.processes_of(&id).is_empty().then_some(()));
    server.start();
}
