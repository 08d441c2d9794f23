//! `doctor`: whether all is there that a server needs, and what to do where it is not.

use std::fs;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit};
use serde::Serialize;
use serde_json::json;

use super::http::Server;
use super::progress::Progress;
use super::{Args, plain, print};
use crate::adapter::declared;
use crate::adapter::probe::{self, VERSION_TIMEOUT};
use crate::config::Config;
use crate::token;

/// How long a port may take to be answered.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Least inotify watches of a user: one for each folder of sessions that is followed, beside what editors take.
const WATCHES_MIN: u64 = 8_192;
/// Least inotify instances of a user.
const INSTANCES_MIN: u64 = 128;
/// Descriptors of the process beside its connections: journals, sockets of shims, log.
const DESCRIPTORS_BESIDE: u64 = 256;
/// Least space where journals are written, in bytes.
const SPACE_MIN: u64 = 256 * 1024 * 1024;

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Ok,
    Note,
    Problem,
}

/// One thing that was looked at.
#[derive(Serialize)]
struct Check {
    name: String,
    state: State,
    found: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<String>,
}

fn check(name: &str, state: State, found: impl Into<String>, advice: Option<String>) -> Check {
    Check { name: name.to_owned(), state, found: found.into(), advice }
}

/// Looks at all; whether nothing is a problem.
pub(super) fn run(args: &Args) -> Result<bool, String> {
    let progress = Progress::of("looking");
    let mut checks = Vec::new();
    match Config::from_system() {
        Ok(config) => {
            let told = format!("read in {}", config.working_dir.display());
            checks.push(check("settings", State::Ok, told, None));
            for warning in &config.warnings {
                checks.push(check("settings", State::Note, warning.clone(), None));
            }
            checks.push(data_folder(&config.workers_base_dir));
            checks.push(token_found(&config));
            checks.push(server(&config, args));
            clis(&config, &mut checks);
            checks.push(descriptors(config.limits.max_connections as u64));
        }
        Err(error) => {
            let advice = "correct it in .env or the environment; .env.example says what each setting takes".to_owned();
            checks.push(check("settings", State::Problem, error.to_string(), Some(advice)));
        }
    }
    checks.push(inotify("max_user_watches", WATCHES_MIN));
    checks.push(inotify("max_user_instances", INSTANCES_MIN));
    drop(progress);
    let well = checks.iter().all(|check| check.state != State::Problem);
    if args.json {
        print(&json!({"ok": well, "checks": checks}).to_string())?;
        return Ok(well);
    }
    for check in &checks {
        let state = match check.state {
            State::Ok => "ok",
            State::Note => "note",
            State::Problem => "PROBLEM",
        };
        print(&plain(&format!("{state:<8} {:<22} {}", check.name, check.found)))?;
        if let Some(advice) = &check.advice {
            print(&plain(&format!("{:<31} -> {advice}", "")))?;
        }
    }
    Ok(well)
}

fn data_folder(folder: &Path) -> Check {
    // One that is not there yet is made below the nearest that is.
    let there = folder.ancestors().find(|above| above.is_dir()).unwrap_or(Path::new("/"));
    let probe = there.join(format!(".rs-worker-doctor-{}", std::process::id()));
    let written =
        fs::OpenOptions::new().write(true).create_new(true).open(&probe).and_then(|_| fs::remove_file(&probe));
    if let Err(error) = written {
        let advice = format!(
            "give it to the user that runs the server (chown), or set WORKERS_BASE_DIR; now: {}",
            there.display()
        );
        return check("data folder", State::Problem, format!("{}: {error}", folder.display()), Some(advice));
    }
    match nix::sys::statvfs::statvfs(there) {
        Ok(space) if space.blocks_available() * space.fragment_size() < SPACE_MIN => {
            let advice =
                "delete workers that are no longer needed, or move WORKERS_BASE_DIR to a larger disk".to_owned();
            check("data folder", State::Problem, format!("{}: the disk is almost full", folder.display()), Some(advice))
        }
        _ => check("data folder", State::Ok, format!("{} can be written", folder.display()), None),
    }
}

fn token_found(config: &Config) -> Check {
    if !config.needs_token() {
        return check("token", State::Ok, "none is needed on a loopback address", None);
    }
    if config.auth_token.is_some() {
        return check("token", State::Ok, "AUTH_TOKEN", None);
    }
    let file = &config.auth_token_file;
    match token::read(file) {
        Ok(Some(_)) => check("token", State::Ok, file.display().to_string(), None),
        Ok(None) => check("token", State::Note, format!("{} is made at the first start", file.display()), None),
        Err(error) => {
            let advice = "run this as the user that runs the server, or set AUTH_TOKEN_FILE".to_owned();
            check("token", State::Problem, error.to_string(), Some(advice))
        }
    }
}

fn server(config: &Config, args: &Args) -> Check {
    let problem = |found: String, advice: &str| check("server", State::Problem, found, Some(advice.to_owned()));
    let server = match Server::find(args.url.clone(), args.token.clone()) {
        Ok(server) => server,
        Err(told) => return problem(told, "correct --url, --token or the settings"),
    };
    match server.json("GET", "/api/health", None) {
        Ok(health) if health["version"] == env!("CARGO_PKG_VERSION") => {
            check("server", State::Ok, format!("runs at {}", server.place()), None)
        }
        Ok(health) => {
            let found = format!("runs at {} in version {}", server.place(), super::field(&health, "version"));
            check(
                "server",
                State::Note,
                found,
                Some(format!("this program is {}; restart it", env!("CARGO_PKG_VERSION"))),
            )
        }
        Err(told) if server.is_elsewhere() => problem(told, "start it there, or correct --url and --token"),
        Err(told) => {
            let address = (config.host, config.port);
            let taken = TcpStream::connect_timeout(&address.into(), CONNECT_TIMEOUT).is_ok();
            match TcpListener::bind(address) {
                _ if taken => problem(
                    format!("{} is taken: {told}", server.place()),
                    "another program listens there: end it, or set PORT; or the token is wrong",
                ),
                Ok(_) => {
                    let advice = "start one: rs-worker serve".to_owned();
                    check("server", State::Note, format!("none runs at {}", server.place()), Some(advice))
                }
                Err(error) => {
                    problem(format!("{}: {error}", server.place()), "set HOST and PORT to an address of this machine")
                }
            }
        }
    }
}

/// A CLI, and where it keeps that somebody is logged in: a variable with a key, or a file.
struct Known<'c> {
    kind: &'static str,
    binary: &'c str,
    key: bool,
    variables: &'static [&'static str],
    /// The variable that moves its folder, the folder below the home otherwise, and the file in it.
    file: (&'static str, &'static str, &'static str),
    login: &'static str,
}

fn clis(config: &Config, checks: &mut Vec<Check>) {
    let known = [
        Known {
            kind: "claude",
            binary: &config.claude_binary,
            key: config.claude_api_key.is_some(),
            variables: &["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN"],
            file: ("CLAUDE_CONFIG_DIR", ".claude", ".credentials.json"),
            login: "run claude and log in, or set CLAUDE_API_KEY",
        },
        Known {
            kind: "opencode",
            binary: &config.opencode_binary,
            key: config.opencode_api_key.is_some(),
            variables: &[],
            file: ("", ".local/share/opencode", "auth.json"),
            login: "run opencode auth login, or set OPENCODE_API_KEY",
        },
        Known {
            kind: "codex",
            binary: &config.codex_binary,
            key: config.codex_api_key.is_some(),
            variables: &["OPENAI_API_KEY", "CODEX_API_KEY"],
            file: ("CODEX_HOME", ".codex", "auth.json"),
            login: "run codex login, or set CODEX_API_KEY",
        },
        Known {
            kind: "gemini",
            binary: &config.gemini_binary,
            key: config.gemini_api_key.is_some(),
            variables: &["GEMINI_API_KEY", "GOOGLE_API_KEY"],
            file: ("", ".gemini", "oauth_creds.json"),
            login: "run gemini and log in, or set GEMINI_API_KEY",
        },
    ];
    let path = std::env::var_os("PATH");
    let mut usable = 0;
    for cli in known.iter().filter(|cli| config.enabled_ai_clis.iter().any(|kind| kind == cli.kind)) {
        match probe::find_binary(cli.binary, path.as_deref()) {
            Ok(program) => {
                usable += 1;
                let version = probe::version(&program, &["--version".to_owned()], VERSION_TIMEOUT);
                let version = version.unwrap_or_else(|| "does not say its version".to_owned());
                let found = format!("{} ({version})", program.display());
                checks.push(match cli.is_logged_in() {
                    true => check(cli.kind, State::Ok, found + ", logged in", None),
                    false => check(cli.kind, State::Note, found + ", no login found", Some(cli.login.to_owned())),
                });
            }
            Err(error) => {
                let state = if cli.kind == config.default_ai_cli { State::Problem } else { State::Note };
                let advice =
                    "install it, name its program in the settings, or leave it out of ENABLED_AI_CLIS".to_owned();
                checks.push(check(cli.kind, state, error.to_string(), Some(advice)));
            }
        }
    }
    let loaded = declared::load(&config.adapters_dir, &known.each_ref().map(|cli| cli.kind));
    usable += loaded.adapters.len();
    for error in &loaded.errors {
        let advice = Some("correct the file; the README tells what it may hold".to_owned());
        checks.push(check("adapters", State::Problem, error.to_string(), advice));
    }
    if usable == 0 {
        let advice = Some("install a CLI, or declare one in a file (see the README)".to_owned());
        checks.push(check("CLIs", State::Problem, "no worker can run", advice));
    }
}

impl Known<'_> {
    fn is_logged_in(&self) -> bool {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let (moved, usual, file) = self.file;
        let folder = set(moved).map(PathBuf::from).or_else(|| set("HOME").map(|home| PathBuf::from(home).join(usual)));
        self.key
            || self.variables.iter().any(|name| set(name).is_some())
            || folder.is_some_and(|folder| folder.join(file).is_file())
    }
}

fn inotify(name: &str, least: u64) -> Check {
    let read = fs::read_to_string(format!("/proc/sys/fs/inotify/{name}"));
    let value = read.and_then(|text| text.trim().parse::<u64>().map_err(io::Error::other));
    let name = format!("inotify {}", name.trim_start_matches("max_user_"));
    match value {
        Ok(value) if value >= least => check(&name, State::Ok, value.to_string(), None),
        Ok(value) => {
            let setting = name.replace("inotify ", "fs.inotify.max_user_");
            let advice = format!("sysctl {setting}={least}, and the same in a file of /etc/sysctl.d");
            check(&name, State::Problem, format!("{value}, fewer than {least}"), Some(advice))
        }
        Err(error) => check(&name, State::Note, format!("cannot be read: {error}"), None),
    }
}

fn descriptors(connections: u64) -> Check {
    let wanted = connections + DESCRIPTORS_BESIDE;
    match getrlimit(Resource::RLIMIT_NOFILE) {
        // The server raises the soft limit up to the hard one by itself.
        Ok((_, hard)) if hard >= wanted => check("descriptors", State::Ok, hard.to_string(), None),
        Ok((_, hard)) => {
            let advice = "LimitNOFILE= of the systemd unit, ulimit -n, or a lower MAX_CONNECTIONS".to_owned();
            check("descriptors", State::Problem, format!("{hard}, fewer than {wanted}"), Some(advice))
        }
        Err(error) => check("descriptors", State::Note, error.to_string(), None),
    }
}
