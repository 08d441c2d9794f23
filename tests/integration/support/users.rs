//! A second user of this machine: an id that belongs to no account and no file.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use nix::unistd::geteuid;

use super::clis;
use super::require::{require, require_command, require_program};
use super::server::{Builder, TestServer};

/// The user's id, and that of the user's group.
pub(crate) const STRANGER: u32 = 54_321;

/// Returns a command that runs as this user; `None`, as [`require`] does, if the tests are neither root nor may become
/// root by sudo.
pub(crate) fn command_of(uid: u32, words: &[&str]) -> Option<Command> {
    if geteuid().is_root() {
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).uid(uid).gid(uid);
        return Some(command);
    }
    require_command("root, or sudo without a password, for a second user", Command::new("sudo").args(["-n", "true"]))?;
    let uid = uid.to_string();
    let mut command = Command::new("sudo");
    command.args(["-n", "setpriv", "--reuid", &uid, "--regid", &uid, "--clear-groups"]).args(words);
    Some(command)
}

/// Returns status and body of this user's curl for `url`; `None` as [`command_of`] does.
pub(crate) fn curl_of(uid: u32, url: &str, more: &[&str]) -> Option<(u16, String)> {
    require_program("curl")?;
    let words = [&["curl", "--silent", "--show-error", "--max-time", "60", "--write-out", "\n%{http_code}", url], more];
    let output = command_of(uid, &words.concat())?.current_dir("/").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (body, status) = text.rsplit_once('\n').unwrap_or(("", &text));
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    Some((status.parse().unwrap_or_else(|_| panic!("curl: {errors}{text}")), body.to_owned()))
}

/// Returns a server that runs as this user; `None`, as [`require`] does, if the tests are not root.
pub(crate) fn serve_as_stranger(builder: Builder) -> Option<TestServer> {
    let is_root = if geteuid().is_root() { Ok(()) } else { Err("this user is not root") };
    require("root, to run a server as another user", is_root)?;
    let stranger = STRANGER.to_string();
    let words = ["setpriv", "--reuid", &stranger, "--regid", &stranger, "--clear-groups"];
    let mut server = builder.under(&words).prepare();
    // This user may not be able to reach the folder of this build.
    let reachable = |program: &Path| {
        let copy = server.dir().join(program.file_name().unwrap());
        fs::copy(program, &copy).unwrap();
        copy
    };
    let (program, cli) = (reachable(Path::new(env!("CARGO_BIN_EXE_rs-worker"))), reachable(&clis::fake_cli()));
    server.set_binary(&program);
    server.set_env("CLAUDE_BINARY", cli.to_str().unwrap());
    owned_by(STRANGER, server.dir());
    server.start();
    Some(server)
}

/// Gives a folder with its contents to this user.
#[track_caller]
pub(crate) fn owned_by(uid: u32, folder: &Path) {
    let done = Command::new("chown").arg("-R").arg(uid.to_string()).arg(folder).status().unwrap();
    assert!(done.success());
}
