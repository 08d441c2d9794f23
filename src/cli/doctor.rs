//! `doctor`: checks everything that a server needs, and advises what to do.

use std::fs;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit};
use serde::Serialize;
use serde_json::json;

use super::args::Args;
use super::http::ApiServer;
use super::output::{field, print};
use super::progress::Progress;
use super::runner_checks::{self, RunnerCheck};
use super::terminal::plain;
use crate::adapter::acp::{gemini, opencode};
use crate::adapter::{claude, codex, declared};
use crate::cgroup::Delegation;
use crate::config::{Config, LocalAccess};
use crate::hook;
use crate::probe::{self, VERSION_TIMEOUT, login};
use crate::runner::Runners;
use crate::token;

/// Time limit for a port to answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Minimum number of inotify watches of a user: one for each followed session folder, besides those of editors.
const WATCHES_MIN: u64 = 8_192;
/// Minimum number of inotify instances of a user.
const INSTANCES_MIN: u64 = 128;
/// File descriptors of the process besides its connections: journals, sockets of shims, log.
const DESCRIPTORS_BESIDE: u64 = 256;
/// Minimum free space for journals, in bytes.
const SPACE_MIN: u64 = 256 * 1024 * 1024;

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum CheckState {
    Ok,
    Note,
    Problem,
}

/// One check.
#[derive(Serialize)]
struct DoctorCheck {
    name: String,
    state: CheckState,
    found: String,
    /// Advice.
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<String>,
}

fn check(name: &str, state: CheckState, found: impl Into<String>, advice: Option<String>) -> DoctorCheck {
    DoctorCheck { name: name.to_owned(), state, found: found.into(), advice }
}

/// Performs all checks; returns whether none found a problem.
pub(super) fn run(args: &Args) -> Result<bool, String> {
    let progress = Progress::of("looking");
    let mut checks = Vec::new();
    match Config::from_system() {
        Ok(config) => {
            let reported = format!("read in {}", config.working_dir.display());
            checks.push(check("settings", CheckState::Ok, reported, None));
            for warning in &config.warnings {
                checks.push(check("settings", CheckState::Note, warning.clone(), None));
            }
            checks.push(data_folder(&config.workers_base_dir));
            checks.push(token_found(&config));
            checks.extend(runners(&config));
            checks.extend(hook_command(&config));
            checks.push(server(&config, args));
            clis(&config, &mut checks);
            checks.push(descriptors(config.limits.max_connections as u64));
        }
        Err(error) => {
            let advice = "correct it in .env or the environment; .env.example describes each setting".to_owned();
            checks.push(check("settings", CheckState::Problem, error.to_string(), Some(advice)));
        }
    }
    checks.push(limits());
    checks.push(inotify("max_user_watches", WATCHES_MIN));
    checks.push(inotify("max_user_instances", INSTANCES_MIN));
    drop(progress);
    let well = checks.iter().all(|check| check.state != CheckState::Problem);
    if args.json {
        print(&json!({"ok": well, "checks": checks}).to_string())?;
        return Ok(well);
    }
    for check in &checks {
        let state = match check.state {
            CheckState::Ok => "ok",
            CheckState::Note => "note",
            CheckState::Problem => "PROBLEM",
        };
        print(&plain(&format!("{state:<8} {:<22} {}", check.name, check.found)))?;
        if let Some(advice) = &check.advice {
            print(&plain(&format!("{:<31} -> {advice}", "")))?;
        }
    }
    Ok(well)
}

/// Looks whether limits of workers would be enforced for a server in the control group of this process.
fn limits() -> DoctorCheck {
    match Delegation::look() {
        Ok(()) => check("limits of workers", CheckState::Ok, "can be enforced", None),
        Err(reason) => {
            let advice = "for `memory`, `cpu` and `pids` of workers, see Memory in docs/operations.md".to_owned();
            check("limits of workers", CheckState::Note, format!("not enforced from here: {reason}"), Some(advice))
        }
    }
}

/// Checks the program of `HOOK_COMMAND`, where one is set.
fn hook_command(config: &Config) -> Option<DoctorCheck> {
    let program = config.hook.command.as_ref()?;
    Some(match hook::check(program, &hook::hook_roots(config)) {
        Ok(_) => check("hook", CheckState::Ok, program.display().to_string(), None),
        Err(why) => check(
            "hook",
            CheckState::Problem,
            why,
            Some("correct HOOK_COMMAND; docs/operations.md describes it".into()),
        ),
    })
}

fn data_folder(folder: &Path) -> DoctorCheck {
    // A missing folder will be created below its nearest existing ancestor.
    let there = folder.ancestors().find(|above| above.is_dir()).unwrap_or(Path::new("/"));
    let probe = there.join(format!(".rs-worker-doctor-{}", std::process::id()));
    let written =
        fs::OpenOptions::new().write(true).create_new(true).open(&probe).and_then(|_| fs::remove_file(&probe));
    if let Err(error) = written {
        let advice = format!("give it to the server's user (chown), or set WORKERS_BASE_DIR; now: {}", there.display());
        return check("data folder", CheckState::Problem, format!("{}: {error}", folder.display()), Some(advice));
    }
    match nix::sys::statvfs::statvfs(there) {
        Ok(space) if space.blocks_available() * space.fragment_size() < SPACE_MIN => {
            let advice =
                "delete workers that are no longer needed, or move WORKERS_BASE_DIR to a larger disk".to_owned();
            check(
                "data folder",
                CheckState::Problem,
                format!("{}: the disk is almost full", folder.display()),
                Some(advice),
            )
        }
        _ => check("data folder", CheckState::Ok, format!("{} is writable", folder.display()), None),
    }
}

fn token_found(config: &Config) -> DoctorCheck {
    if !config.needs_token() {
        let reported = match config.local_access {
            LocalAccess::Open => "not needed: LOCAL_ACCESS=open accepts every user of this machine",
            LocalAccess::SameUser | LocalAccess::Token => "not needed on this machine by the server's own user",
        };
        return check("token", CheckState::Ok, reported, None);
    }
    if config.auth_token.is_some() {
        return check("token", CheckState::Ok, "AUTH_TOKEN", None);
    }
    let file = &config.auth_token_file;
    match token::read(file) {
        Ok(Some(_)) => check("token", CheckState::Ok, file.display().to_string(), None),
        Ok(None) => check("token", CheckState::Note, format!("{} is created at the first start", file.display()), None),
        Err(error) => {
            let advice = "run this as the server's user, or set AUTH_TOKEN_FILE".to_owned();
            check("token", CheckState::Problem, error.to_string(), Some(advice))
        }
    }
}

/// Checks the configured runners.
fn runners(config: &Config) -> Vec<DoctorCheck> {
    let advice = |text: &str| Some(text.to_owned());
    let runners = match Runners::of(config) {
        Err(error) => {
            let advice = advice("correct RUNNER; docs/runners.md describes it");
            return vec![check("runners", CheckState::Problem, error, advice)];
        }
        Ok(runners) => runners,
    };
    let warning = runners.setuid_warning(nix::unistd::geteuid().as_raw());
    let warned = warning.map(|it| check("runners", CheckState::Note, it, advice("see docs/security.md, Agents")));
    let checked = runner_checks::all(&runners).into_iter().map(|RunnerCheck { entry, failure }| {
        let name = format!("runner {entry}");
        match failure {
            None => check(&name, CheckState::Ok, "can be used", None),
            Some(failure) => {
                let advice = advice("workers that use it can't start until this is mended; see docs/runners.md");
                check(&name, CheckState::Problem, failure, advice)
            }
        }
    });
    warned.into_iter().chain(checked).collect()
}

fn server(config: &Config, args: &Args) -> DoctorCheck {
    let problem = |found: String, advice: &str| check("server", CheckState::Problem, found, Some(advice.to_owned()));
    let server = match ApiServer::find(args.url.clone(), args.token.clone()) {
        Ok(server) => server,
        Err(reported) => return problem(reported, "correct --url, --token or the settings"),
    };
    match server.json("GET", "/api/health", None) {
        Ok(health) if health["version"] == env!("CARGO_PKG_VERSION") => {
            check("server", CheckState::Ok, format!("running at {}", server.place()), None)
        }
        Ok(health) => {
            let found = format!("running at {} in version {}", server.place(), field(&health, "version"));
            check(
                "server",
                CheckState::Note,
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
                    check("server", CheckState::Note, format!("not running at {}", server.place()), Some(advice))
                }
                Err(error) => {
                    problem(format!("{}: {error}", server.place()), "set HOST and PORT to an address of this machine")
                }
            }
        }
    }
}

/// A CLI in the settings.
struct KnownCli<'c> {
    kind: &'static str,
    binary: &'c str,
    has_key: bool,
    /// The command that installs it.
    install: &'static str,
    /// The setting that names its program.
    setting: &'static str,
}

fn clis(config: &Config, checks: &mut Vec<DoctorCheck>) {
    let known = [
        KnownCli {
            kind: "claude",
            binary: &config.claude.binary,
            has_key: config.claude.api_key.is_some(),
            install: claude::INSTALL,
            setting: "CLAUDE_BINARY",
        },
        KnownCli {
            kind: "opencode",
            binary: &config.opencode.binary,
            has_key: config.opencode.api_key.is_some(),
            install: opencode::INSTALL,
            setting: "OPENCODE_BINARY",
        },
        KnownCli {
            kind: "codex",
            binary: &config.codex.binary,
            has_key: config.codex.api_key.is_some(),
            install: codex::INSTALL,
            setting: "CODEX_BINARY",
        },
        KnownCli {
            kind: "gemini",
            binary: &config.gemini.binary,
            has_key: config.gemini.api_key.is_some(),
            install: gemini::INSTALL,
            setting: "GEMINI_BINARY",
        },
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
                    None => check(cli.kind, CheckState::Ok, found + ", logged in", None),
                    Some(login) => {
                        let advice = format!("log in: {}; or set {}", login.command, login.setting);
                        check(cli.kind, CheckState::Note, found + ", no login found", Some(advice))
                    }
                });
            }
            Err(error) => {
                let state = if cli.kind == config.default_ai_cli { CheckState::Problem } else { CheckState::Note };
                let mut advice = format!("install it: {}; or set {}", cli.install, cli.setting);
                if enabled.is_some() {
                    advice += "; or remove it from ENABLED_AI_CLIS";
                }
                checks.push(check(cli.kind, state, error.to_string(), Some(advice)));
            }
        }
    }
    let loaded = declared::load(&config.adapters_dir, &known.each_ref().map(|cli| cli.kind));
    usable += loaded.adapters.len();
    for error in &loaded.errors {
        let advice = Some("correct the file; adapters/README.md describes the format".to_owned());
        checks.push(check("adapters", CheckState::Problem, error.to_string(), advice));
    }
    if usable == 0 {
        let advice = Some("install a CLI, or declare one in a file (see docs/agents.md)".to_owned());
        checks.push(check("CLIs", CheckState::Problem, "no worker can run", advice));
    }
}

fn inotify(name: &str, least: u64) -> DoctorCheck {
    let read = fs::read_to_string(format!("/proc/sys/fs/inotify/{name}"));
    let value = read.and_then(|text| text.trim().parse::<u64>().map_err(io::Error::other));
    let name = format!("inotify {}", name.trim_start_matches("max_user_"));
    match value {
        Ok(value) if value >= least => check(&name, CheckState::Ok, value.to_string(), None),
        Ok(value) => {
            let setting = name.replace("inotify ", "fs.inotify.max_user_");
            let advice = format!("sysctl {setting}={least}, and the same in a file of /etc/sysctl.d");
            check(&name, CheckState::Problem, format!("{value}, fewer than {least}"), Some(advice))
        }
        Err(error) => check(&name, CheckState::Note, format!("cannot be read: {error}"), None),
    }
}

fn descriptors(connections: u64) -> DoctorCheck {
    let wanted = connections + DESCRIPTORS_BESIDE;
    match getrlimit(Resource::RLIMIT_NOFILE) {
        // The server raises the soft limit up to the hard one at its start.
        Ok((_, hard)) if hard >= wanted => check("descriptors", CheckState::Ok, hard.to_string(), None),
        Ok((_, hard)) => {
            let advice = "LimitNOFILE= of the systemd unit, ulimit -n, or a lower MAX_CONNECTIONS".to_owned();
            check("descriptors", CheckState::Problem, format!("{hard}, fewer than {wanted}"), Some(advice))
        }
        Err(error) => check("descriptors", CheckState::Note, error.to_string(), None),
    }
}
/// Returns the generation of OpenCode: the second has the same command, but other files.
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
