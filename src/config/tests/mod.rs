//! Tests of the configuration, rule by rule.

use std::collections::HashMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::*;
use crate::scratch::Scratch;

mod local_access;
mod paths;

const CWD: &str = "/srv/rs";

fn load(dotenv: &str, env: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let env: HashMap<String, OsString> =
        env.iter().map(|(name, value)| ((*name).to_owned(), OsString::from(value))).collect();
    Config::load(Path::new(CWD), Some(dotenv), &|name| env.get(name).cloned())
}

fn good(dotenv: &str, env: &[(&str, &str)]) -> Config {
    load(dotenv, env).unwrap_or_else(|error| panic!("{error}"))
}

fn problems(dotenv: &str, env: &[(&str, &str)]) -> Vec<String> {
    match load(dotenv, env) {
        Err(ConfigError::Wrong(problems)) => problems,
        other => panic!("expected problems, found {other:?}"),
    }
}

#[test]
fn every_setting_has_the_documented_default() {
    let config = Config::load(Path::new(CWD), None, &|_| None).unwrap();
    assert_eq!((config.host.to_string(), config.port, config.debug), ("127.0.0.1".into(), 7788, false));
    assert_eq!((config.base_path.as_str(), &config.static_dir), ("", &None));
    assert!(!config.static_inline_styles);
    assert_eq!((config.max_workers, config.worker_timeout), (10, Duration::from_secs(300)));
    assert_eq!(config.workers_base_dir, Path::new("/srv/rs/data/workers"));
    assert_eq!((config.max_queue, config.on_exit, config.stop_grace), (100, OnExit::Leave, Duration::from_secs(5)));
    assert_eq!((config.idle_stop, config.resend_after_limit, config.resend_attempts), (None, false, 3));
    assert_eq!(config.worker_env, WorkerEnvMode::Inherit);
    assert!(config.worker_env_pass.is_empty());
    assert_eq!((config.default_ai_cli.as_str(), config.claude.binary.as_str()), ("claude", "claude"));
    assert_eq!(config.enabled_ai_clis, None);
    assert_eq!(config.opencode.binary, "opencode");
    assert_eq!(config.adapters_dir, Path::new("/srv/rs/adapters"));
    assert_eq!((&config.claude.model, &config.claude.api_key), (&None, &None));
    assert_eq!((&config.opencode.model, &config.opencode.api_base, &config.opencode.api_key), (&None, &None, &None));
    assert_eq!(config.project_roots, Vec::<PathBuf>::new());
    assert_eq!(config.auth_token, None);
    assert_eq!(config.auth_token_file, Path::new("/srv/rs/data/auth_token"));
    assert!(config.allowed_hosts.is_empty() && config.allowed_origins.is_empty());
    let seconds = Duration::from_secs;
    let limits = ConnectionLimits {
        max_connections: 1024,
        max_connections_per_address: 256,
        head_timeout: seconds(10),
        keep_alive: seconds(60),
        body_timeout: seconds(30),
        write_timeout: seconds(30),
        max_body_bytes: 25 << 20,
        import_max_bytes: 4 << 30,
        max_ws_message_bytes: 25 << 20,
        ws_ping: seconds(20),
        subscriber_queue_bytes: 1 << 20,
    };
    assert_eq!(config.limits, limits);
    assert_eq!((config.log_level, config.log_max_bytes, config.log_keep), (LevelFilter::Info, 10 << 20, 5));
    assert_eq!(config.log_file, Path::new("/srv/rs/logs/app.log"));
    assert!(config.warnings.is_empty());
    assert!(SETTINGS.iter().all(|setting| config.source(setting.name) == ValueSource::Default));
}

#[test]
fn a_value_in_dotenv_wins_over_the_environment() {
    let config = good("\nPORT=1000\nHOST=", &[("PORT", "2000"), ("HOST", "::1"), ("MAX_WORKERS", "3")]);
    assert_eq!((config.port, config.source("PORT")), (1000, ValueSource::DotEnv(2)));
    assert_eq!((config.host.to_string(), config.source("HOST")), ("::1".into(), ValueSource::Environment("HOST")));
    assert_eq!((config.max_workers, config.source("MAX_WORKERS")), (3, ValueSource::Environment("MAX_WORKERS")));
    assert_eq!(config.source("DEBUG"), ValueSource::Default);
}

#[test]
fn last_of_two_lines_counts_and_the_first_warns() {
    let config = good("PORT=1\nPORT=2\n", &[]);
    assert_eq!((config.port, config.source("PORT")), (2, ValueSource::DotEnv(2)));
    assert_eq!(config.warnings, [".env, line 1: PORT is set again in line 2, which counts"]);
}

#[test]
fn empty_values_count_as_unset() {
    let config = good("PORT=\nCLAUDE_MODEL=''\n", &[("PORT", ""), ("CLAUDE_MODEL", " "), ("AUTH_TOKEN", "")]);
    assert_eq!((config.port, config.source("PORT")), (7788, ValueSource::Default));
    assert_eq!((config.claude.model, config.auth_token), (None, None));
}

#[test]
fn a_key_missing_from_dotenv_comes_from_the_environment() {
    let env = [("ANTHROPIC_API_KEY", "sk-ant-from-anthropic-key"), ("OPENCODE_API_KEY", "oc-key")];
    let config = good("CLAUDE_API_KEY=\n", &env);
    assert_eq!(config.claude.api_key.as_ref().unwrap().expose(), "sk-ant-from-anthropic-key");
    assert_eq!(config.source("CLAUDE_API_KEY"), ValueSource::Environment("ANTHROPIC_API_KEY"));
    assert_eq!(config.opencode.api_key.as_ref().unwrap().expose(), "oc-key");
    assert_eq!(config.source("OPENCODE_API_KEY"), ValueSource::Environment("OPENCODE_API_KEY"));

    let config = good("", &[env[0], ("CLAUDE_API_KEY", "own-name")]);
    assert_eq!(config.claude.api_key.as_ref().unwrap().expose(), "own-name");
    assert_eq!(config.source("CLAUDE_API_KEY"), ValueSource::Environment("CLAUDE_API_KEY"));

    let config = good("CLAUDE_API_KEY=from-file\n", &env);
    assert_eq!(config.claude.api_key.as_ref().unwrap().expose(), "from-file");
    assert_eq!(config.source("CLAUDE_API_KEY"), ValueSource::DotEnv(1));
}

#[test]
fn all_wrong_values_and_lines_are_reported_at_once() {
    let found = problems("PORT=70000\nnonsense\nWORKER_TIMEOUT=soon\n", &[("DEBUG", "*"), ("LOG_MAX_BYTES", "1")]);
    assert_eq!(
        found,
        [
            ".env, line 2: expected NAME=VALUE",
            r#"PORT is "70000" (.env, line 1), but must be a whole number from 0 to 65535"#,
            r#"DEBUG is "*" (environment variable DEBUG), but must be `true` or `false`"#,
            r#"WORKER_TIMEOUT is "soon" (.env, line 3), but must be a whole number of seconds from 1 to 604800"#,
            "LOG_MAX_BYTES is \"1\" (environment variable LOG_MAX_BYTES), but must be a number of bytes from 64KiB to \
             1GiB, with an optional `KiB`, `MiB` or `GiB`",
        ]
    );
    let text = ConfigError::Wrong(vec!["one".into(), "two".into()]).to_string();
    assert_eq!(text, "the configuration is invalid; nothing was started\n  one\n  two");
}

#[test]
fn a_wrong_value_is_named_with_what_is_allowed() {
    for (line, expected) in [
        ("HOST=box", r#"HOST is "box" (.env, line 1), but must be an IP address or `localhost`"#),
        ("PORT=-1", r#"PORT is "-1" (.env, line 1), but must be a whole number from 0 to 65535"#),
        ("ON_EXIT=kill", r#"ON_EXIT is "kill" (.env, line 1), but must be `leave` or `stop`"#),
        ("WORKER_ENV=all", r#"WORKER_ENV is "all" (.env, line 1), but must be `inherit` or `clean`"#),
        (
            "LOG_LEVEL=loud",
            r#"LOG_LEVEL is "loud" (.env, line 1), but must be `error`, `warn`, `info`, `debug` or `trace`"#,
        ),
        (
            "PROJECT_ROOTS=/a:b",
            r#"PROJECT_ROOTS is "/a:b" (.env, line 1), but must be absolute paths, separated by colons; `~/` is the home directory"#,
        ),
        (
            "DEFAULT_AI_CLI='Claude Code'",
            "DEFAULT_AI_CLI is \"Claude Code\" (.env, line 1), but must be a name of lower-case letters, digits, `-` \
             and `_`",
        ),
        (
            "ENABLED_AI_CLIS=,",
            "ENABLED_AI_CLIS is \",\" (.env, line 1), but must be names of lower-case letters, digits, `-` and `_`, \
             separated by commas",
        ),
        (
            "OPENCODE_API_BASE=api.opencode.com",
            "OPENCODE_API_BASE is \"api.opencode.com\" (.env, line 1), but must be an `http://` or `https://` address \
             without a user name",
        ),
        (
            "ALLOWED_HOSTS=*",
            "ALLOWED_HOSTS is \"*\" (.env, line 1), but must be host names or IP addresses without ports, separated by \
             commas",
        ),
        (
            "ALLOWED_ORIGINS=*",
            "ALLOWED_ORIGINS is \"*\" (.env, line 1), but must be origins like `https://name:port`, separated by commas",
        ),
        (
            "WORKER_ENV_PASS=A-B",
            "WORKER_ENV_PASS is \"A-B\" (.env, line 1), but must be names of environment variables, or prefixes that \
             end in `*`, separated by commas",
        ),
        (
            r#"LOG_FILE="a\nb""#,
            "LOG_FILE is \"a\\nb\" (.env, line 1), but must be a path, relative to the working directory; `~/` is the home directory",
        ),
        (
            r#"CLAUDE_BINARY="a\nb""#,
            "CLAUDE_BINARY is \"a\\nb\" (.env, line 1), but must be the name of a program in `PATH`, or a path to one; `~/` is the home directory",
        ),
        (
            r#"CLAUDE_MODEL="a\nb""#,
            "CLAUDE_MODEL is \"a\\nb\" (.env, line 1), but must be one line of at most 4096 bytes",
        ),
    ] {
        assert_eq!(problems(line, &[]), [expected], "{line}");
    }
    let long = "9".repeat(500);
    let expected = format!(
        r#"PORT is "{}..." (environment variable PORT), but must be a whole number from 0 to 65535"#,
        "9".repeat(80)
    );
    assert_eq!(problems("", &[("PORT", &long)]), [expected]);
}

#[test]
fn a_wrong_secret_is_masked_in_the_message() {
    assert_eq!(
        problems("AUTH_TOKEN=hunter2\n", &[("ANTHROPIC_API_KEY", "sk-ant-0123456789 0123456789")]),
        [
            "CLAUDE_API_KEY is \"sk-ant-0...6789\" (environment variable ANTHROPIC_API_KEY), but must be at most 4096 \
             printable ASCII characters without spaces",
            "AUTH_TOKEN is \"********\" (.env, line 1), but must be 16 to 4096 printable ASCII characters without spaces",
        ]
    );
}

#[test]
fn a_value_that_is_not_text_is_refused() {
    let env = |name: &str| (name == "CLAUDE_BINARY").then(|| OsString::from_vec(vec![0xff]));
    let error = Config::load(Path::new(CWD), None, &env).unwrap_err().to_string();
    assert_eq!(
        error,
        "the configuration is invalid; nothing was started\n  CLAUDE_BINARY is not UTF-8 text (environment variable \
         CLAUDE_BINARY)"
    );
}

#[test]
fn no_secret_is_in_what_debug_prints() {
    let secrets =
        [("CLAUDE_API_KEY", "sk-claude-0123456789-0123456789"), ("AUTH_TOKEN", "token-0123456789-0123456789")];
    let config = good("OPENCODE_API_KEY=short\n", &secrets);
    let printed = format!("{config:?}");
    for secret in ["0123456789", "short"] {
        assert!(!printed.contains(secret), "{printed}");
    }
    assert_eq!(config.shown("CLAUDE_API_KEY"), "sk-claud...6789");
    assert_eq!(config.shown("OPENCODE_API_KEY"), "********");
}

#[test]
fn unknown_names_in_dotenv_are_warned_of_with_a_guess() {
    let config = good("PROT=1\nANTHROPIC_API_KEY=x\nworker_time_out=9\nSOMETHING_ELSE=1\n", &[]);
    assert_eq!(
        config.warnings,
        [
            ".env, line 1: PROT is not a setting of rs-worker; did you mean PORT?",
            ".env, line 2: ANTHROPIC_API_KEY is not a setting of rs-worker; did you mean CLAUDE_API_KEY?",
            ".env, line 3: worker_time_out is not a setting of rs-worker; did you mean WORKER_TIMEOUT?",
            ".env, line 4: SOMETHING_ELSE is not a setting of rs-worker",
        ]
    );
    assert_eq!(config.port, 7788);
    assert!(good(&format!("{}=1", "A".repeat(100_000)), &[]).warnings[0].len() < 200);
}

#[test]
fn debug_means_log_level_debug_unless_that_is_set() {
    let config = good("DEBUG=true", &[]);
    assert!(config.debug);
    assert_eq!((config.log_level, config.shown("LOG_LEVEL")), (LevelFilter::Debug, "debug"));
    assert_eq!(good("DEBUG=1\nLOG_LEVEL=warn", &[]).log_level, LevelFilter::Warn);
    assert_eq!(good("LOG_LEVEL=WARNING", &[]).log_level, LevelFilter::Warn);
}

#[test]
fn base_path_is_plain_and_ends_without_a_slash() {
    for (given, base) in [("/agents", "/agents"), ("/a.b/c~d/", "/a.b/c~d"), ("/", "")] {
        assert_eq!(good(&format!("BASE_PATH={given}"), &[]).base_path, base);
    }
    let long = format!("/{}", "x".repeat(256));
    for bad in ["agents", "//", "/a//b", "/a/../b", "/.", "/a b", "/a%20b", "/a?b", "/a;b", "http://x/", long.as_str()]
    {
        let problems = problems(&format!("BASE_PATH={bad}"), &[]);
        assert!(problems.len() == 1 && problems[0].contains("BASE_PATH"), "{problems:?}");
    }
}

#[test]
fn paths_count_from_the_working_directory() {
    let config =
        good("WORKERS_BASE_DIR=w/x\nLOG_FILE=/var/log/rs.log\nCLAUDE_BINARY=bin/claude\nSTATIC_DIR=static", &[]);
    assert_eq!(config.workers_base_dir, Path::new("/srv/rs/w/x"));
    assert_eq!(config.auth_token_file, Path::new("/srv/rs/w/auth_token"));
    assert_eq!(config.shown("AUTH_TOKEN_FILE"), "/srv/rs/w/auth_token");
    assert_eq!(config.log_file, Path::new("/var/log/rs.log"));
    assert_eq!(config.claude.binary, "/srv/rs/bin/claude");
    assert_eq!(config.static_dir.as_deref(), Some(Path::new("/srv/rs/static")));
    let config = good("AUTH_TOKEN_FILE=./token\nPROJECT_ROOTS=/home/me/code/:/srv//p:\n", &[]);
    assert_eq!(config.auth_token_file, Path::new("/srv/rs/token"));
    assert_eq!(config.project_roots, [Path::new("/home/me/code"), Path::new("/srv/p")]);
}

#[test]
fn the_bind_address_decides_whether_a_token_is_needed() {
    for (host, needed) in [
        ("127.0.0.1", false),
        ("localhost", false),
        ("127.8.9.1", false),
        ("::1", false),
        ("0.0.0.0", true),
        ("::", true),
        ("192.168.0.7", true),
        ("::ffff:127.0.0.1", true),
    ] {
        assert_eq!(good(&format!("HOST={host}"), &[]).needs_token(), needed, "{host}");
    }
    assert!(good("AUTH_TOKEN=0123456789abcdef", &[]).needs_token());
}

#[test]
fn host_names_are_local_bound_and_allowed_ones() {
    assert_eq!(good("", &[]).host_names(), ["localhost", "127.0.0.1", "[::1]"]);
    let config = good("HOST=192.168.0.7\nALLOWED_HOSTS=Box.Local, fe80::1,localhost", &[]);
    assert_eq!(config.host_names(), ["localhost", "127.0.0.1", "[::1]", "192.168.0.7", "box.local", "[fe80::1]"]);
    assert_eq!(good("HOST=0.0.0.0", &[]).host_names(), ["localhost", "127.0.0.1", "[::1]"]);
}

#[test]
fn missing_dotenv_or_a_folder_of_that_name_is_accepted() {
    let folder = Scratch::new();
    assert_eq!(Config::from_dir(folder.path(), &|_| None).unwrap().port, 7788);
    std::fs::create_dir(folder.path().join(DOTENV)).unwrap();
    assert_eq!(Config::from_dir(folder.path(), &|_| None).unwrap().port, 7788);
}

#[test]
fn a_dotenv_that_cannot_be_read_stops_the_start() {
    let folder = Scratch::new();
    let path = folder.path().join(DOTENV);
    std::fs::write(&path, [b'A', b'=', 0xff]).unwrap();
    let error = Config::from_dir(folder.path(), &|_| None).unwrap_err().to_string();
    assert_eq!(error, format!("cannot read {}: stream did not contain valid UTF-8", path.display()));
    std::fs::write(&path, vec![b'#'; 1024 * 1024 + 1]).unwrap();
    let error = Config::from_dir(folder.path(), &|_| None).unwrap_err().to_string();
    assert_eq!(error, format!("cannot read {}: it is larger than 1048576 bytes", path.display()));
}

#[test]
fn dotenv_with_a_key_that_others_can_read_warns() {
    let folder = Scratch::new();
    let path = folder.path().join(DOTENV);
    std::fs::write(&path, "PORT=1\nCLAUDE_API_KEY=abc\n").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let config = Config::from_dir(folder.path(), &|_| None).unwrap();
    let path_text = path.display();
    assert_eq!(
        config.warnings,
        [format!("{path_text} holds CLAUDE_API_KEY and can be read by others (mode 0644); run: chmod 600 {path_text}")]
    );
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    assert!(Config::from_dir(folder.path(), &|_| None).unwrap().warnings.is_empty());
}

#[test]
fn names_are_unique_and_every_default_is_allowed() {
    let mut names: Vec<_> = SETTINGS.iter().flat_map(Setting::environment_names).collect();
    names.sort_unstable();
    let count = names.len();
    names.dedup();
    assert_eq!(names.len(), count);
    assert!(SETTINGS.iter().all(|setting| !setting.doc.is_empty() && !setting.allowed().is_empty()));
    let mut order: Vec<_> = SETTINGS.iter().map(|setting| setting.group).collect();
    order.dedup();
    assert_eq!(order, SettingGroup::ALL, "the table is grouped, in the order in which groups are shown");
}

fn repository_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

#[test]
fn the_example_file_names_every_setting_and_no_other() {
    let path = repository_file(".env.example");
    let made = env_example();
    if std::env::var_os("UPDATE_EXAMPLE").is_some() {
        std::fs::write(&path, &made).unwrap();
    }
    let shipped = std::fs::read_to_string(&path).unwrap();
    assert_eq!(shipped, made, "to write it again, run the tests with UPDATE_EXAMPLE=1");
    let lines = shipped.lines().filter_map(|line| line.strip_prefix('#')).filter(|line| !line.starts_with(' '));
    let named: Vec<_> = lines.filter_map(|line| line.split_once('=')).map(|(name, _)| name).collect();
    assert_eq!(named, SETTINGS.iter().map(|setting| setting.name).collect::<Vec<_>>());
}

#[test]
fn example_file_sets_nothing_and_uncommented_the_defaults() {
    let shipped = std::fs::read_to_string(repository_file(".env.example")).unwrap();
    let shows = |config: &Config| SETTINGS.iter().map(|it| config.shown(it.name).to_owned()).collect::<Vec<_>>();
    let defaults = good("", &[]);
    let as_shipped = good(&shipped, &[("PORT", "9000")]);
    assert_eq!((as_shipped.port, as_shipped.warnings.len()), (9000, 0));

    let comment = |line: &str| line.starts_with("# ") || line == "#";
    let uncommented: String = shipped
        .lines()
        .filter(|line| !comment(line))
        .map(|line| format!("{}\n", line.trim_start_matches('#')))
        .collect();
    let config = good(&uncommented, &[]);
    assert_eq!(shows(&config), shows(&defaults));
    assert!(config.warnings.is_empty());
    assert!(config.source("PORT").is_dotenv());
}

#[test]
fn configuration_document_has_a_row_for_every_setting() {
    let made = configuration_markdown();
    let path = repository_file("docs/configuration.md");
    if std::env::var_os("UPDATE_EXAMPLE").is_some() {
        std::fs::write(&path, &made).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), made, "to write it again, run the tests with UPDATE_EXAMPLE=1");
    let rows: Vec<_> = made.lines().filter(|line| line.starts_with("| `")).collect();
    assert_eq!(rows.len(), SETTINGS.len());
    assert!(rows.iter().all(|row| row.matches('|').count() == 5), "a `|` in a cell breaks the table");
}
