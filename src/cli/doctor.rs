//! `doctor`: whether all is there that a server needs, and what to do where it is not.

use std::fs;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit};
use serde::Serialize;
use serde_json::json;

use super::args::Args;
use super::http::Server;
use super::output::{field, print};
use super::progress::Progress;
use super::terminal::plain;
use crate::adapter::declared;
use crate::config::{Config, LocalAccess};
use crate::probe::{self, VERSION_TIMEOUT, login};
use crate::runner::Runners;
use crate::token;

/// Time in which a port must answer.
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
    /// Advice.
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
            let reported = format!("read in {}", config.working_dir.display());
            checks.push(check("settings", State::Ok, reported, None));
            for warning in &config.warnings {
                checks.push(check("settings", State::Note, warning.clone(), None));
            }
            checks.push(data_folder(&config.workers_base_dir));
            checks.push(token_found(&config));
            checks.extend(runners(&config));
            checks.push(server(&config, args));
            clis(&config, &mut checks);
            checks.push(descriptors(config.limits.max_connections as u64));
        }
        Err(error) => {
            let advice = "correct it in .env or the environment; .env.example describes each setting".to_owned();
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
        let advice = format!("give it to the server's user (chown), or set WORKERS_BASE_DIR; now: {}", there.display());
        return check("data folder", State::Problem, format!("{}: {error}", folder.display()), Some(advice));
    }
    match nix::sys::statvfs::statvfs(there) {
        Ok(space) if space.blocks_available() * space.fragment_size() < SPACE_MIN => {
            let advice =
                "delete workers that are no longer needed, or move WORKERS_BASE_DIR to a larger disk".to_owned();
            check("data folder", State::Problem, format!("{}: the disk is almost full", folder.display()), Some(advice))
        }
        _ => check("data folder", State::Ok, format!("{} is writable", folder.display()), None),
    }
}

fn token_found(config: &Config) -> Check {
    if !config.needs_token() {
        let reported = match config.local_access {
            LocalAccess::Open => "not needed: LOCAL_ACCESS=open accepts every user of this machine",
            LocalAccess::SameUser | LocalAccess::Token => "not needed on this machine by the server's own user",
        };
        return check("token", State::Ok, reported, None);
    }
    if config.auth_token.is_some() {
        return check("token", State::Ok, "AUTH_TOKEN", None);
    }
    let file = &config.auth_token_file;
    match token::read(file) {
        Ok(Some(_)) => check("token", State::Ok, file.display().to_string(), None),
        Ok(None) => check("token", State::Note, format!("{} is created at the first start", file.display()), None),
        Err(error) => {
            let advice = "run this as the server's user, or set AUTH_TOKEN_FILE".to_owned();
            check("token", State::Problem, error.to_string(), Some(advice))
        }
    }
}

/// The runners, where there is something to say of them.
fn runners(config: &Config) -> Option<Check> {
    let advice = |text: &str| Some(text.to_owned());
    match Runners::of(config) {
        Err(error) => {
            Some(check("runners", State::Problem, error, advice("correct RUNNER; docs/runners.md describes it")))
        }
        Ok(runners) => runners
            .setuid_warning(nix::unistd::geteuid().as_raw())
            .map(|warning| check("runners", State::Note, warning, advice("see docs/security.md, Agents"))),
    }
}

fn server(config: &Config, args: &Args) -> Check {
    let problem = |found: String, advice: &str| check("server", State::Problem, found, Some(advice.to_owned()));
    let server = match Server::find(args.url.clone(), args.token.clone()) {
        Ok(server) => server,
        Err(reported) => return problem(reported, "correct --url, --token or the settings"),
    };
    match server.json("GET", "/api/health", None) {
        Ok(health) if health["version"] == env!("CARGO_PKG_VERSION") => {
            check("server", State::Ok, format!("running at {}", server.place()), None)
        }
        Ok(health) => {
            let found = format!("running at {} in version {}", server.place(), field(&health, "version"));
            check(
                "server",
                State::Note,
                found,
                Some(format!("this program is {}; restart it", env!("CARGO_PKG_VERSION"))),
            )
        }
        Err(error) if error.is_unauthorized() => problem(
            format!("running at {}, but refused the request: {error}", server.place()),
            "run this in the server's directory, or give --token",
        ),
        Err(reported) if server.is_elsewhere() => {
            problem(reported.into(), "start it there, or correct --url and --token")
        }
        Err(reported) => {
            let address = (config.host, config.port);
            let taken = TcpStream::connect_timeout(&address.into(), CONNECT_TIMEOUT).is_ok();
            match TcpListener::bind(address) {
                _ if taken => problem(
                    format!("{} is taken: {reported}", server.place()),
                    "another program listens there: stop it, or set PORT",
                ),
                Ok(_) => {
                    let advice = "start one: rs-worker serve".to_owned();
                    check("server", State::Note, format!("not running at {}", server.place()), Some(advice))
                }
                Err(error) => {
                    problem(format!("{}: {error}", server.place()), "set HOST and PORT to an address of this machine")
                }
            }
        }
    }
}

/// A CLI as the settings have it.
struct Known<'c> {
    kind: &'static str,
    binary: &'c str,
    has_key: bool,
}

fn clis(config: &Config, checks: &mut Vec<Check>) {
    let known = [
        Known { kind: "claude", binary: &config.claude.binary, has_key: config.claude.api_key.is_some() },
        Known { kind: "opencode", binary: &config.opencode.binary, has_key: config.opencode.api_key.is_some() },
        Known { kind: "codex", binary: &config.codex.binary, has_key: config.codex.api_key.is_some() },
        Known { kind: "gemini", binary: &config.gemini.binary, has_key: config.gemini.api_key.is_some() },
    ];
    let path = std::env::var_os("PATH");
    let mut usable = 0;
    let enabled = config.enabled_ai_clis.as_deref();
    for cli in known.iter().filter(|cli| enabled.is_none_or(|enabled| enabled.iter().any(|kind| kind == cli.kind))) {
        match probe::find_binary(cli.binary, path.as_deref()) {
            Ok(program) => {
                usable += 1;
                let version = probe::version(&program, &["--version".to_owned()], VERSION_TIMEOUT);
                let version = version.unwrap_or_else(|| "version unknown".to_owned());
                let generation = if cli.kind == "opencode" { opencode_generation(&version) } else { "" };
                let found = format!("{} ({version}{generation})", program.display());
                let login =
                    login::of(cli.kind).filter(|login| !login.is_there(cli.has_key, &|name| std::env::var_os(name)));
                checks.push(match login {
                    None => check(cli.kind, State::Ok, found + ", logged in", None),
                    Some(login) => {
                        let advice = format!("run {}, or set {}", login.command, login.setting);
                        check(cli.kind, State::Note, found + ", no login found", Some(advice))
                    }
                });
            }
            Err(error) => {
                let state = if cli.kind == config.default_ai_cli { State::Problem } else { State::Note };
                let mut advice = "install it, or set its program in the settings".to_owned();
                if enabled.is_some() {
                    advice += ", or remove it from ENABLED_AI_CLIS";
                }
                checks.push(check(cli.kind, state, error.to_string(), Some(advice)));
            }
        }
    }
    let loaded = declared::load(&config.adapters_dir, &known.each_ref().map(|cli| cli.kind));
    usable += loaded.adapters.len();
    for error in &loaded.errors {
        let advice = Some("correct the file; adapters/README.md describes the format".to_owned());
        checks.push(check("adapters", State::Problem, error.to_string(), advice));
    }
    if usable == 0 {
        let advice = Some("install a CLI, or declare one in a file (see docs/agents.md)".to_owned());
        checks.push(check("CLIs", State::Problem, "no worker can run", advice));
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
/// The generation of OpenCode: the second has the same command, but other files.
fn opencode_generation(version: &str) -> &'static str {
    let number = version.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()));
    match number.and_then(|number| number.split('.').next()) {
        Some("1") => ", generation 1",
        Some("2") => ", generation 2: not tested with rs-worker",
        _ => ", of an unknown generation",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opencode_generation_is_named_by_its_version() {
        assert_eq!(opencode_generation("1.18.33"), ", generation 1");
        assert_eq!(opencode_generation("opencode 2.0.11"), ", generation 2: not tested with rs-worker");
        assert_eq!(opencode_generation("version unknown"), ", of an unknown generation");
    }
}
