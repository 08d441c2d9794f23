//! Project files of the operator, and their effect on new workers.

mod files;
mod include;
mod presets;
mod setup;

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::server::TestServer;
use crate::support::workers::server_for_programs;

/// A program that does nothing until it is signalled to end.
const IDLE: [&str; 2] = ["sleep", "1000"];

/// Runs git in a folder, with the test's own settings, and returns its output.
#[track_caller]
fn git(folder: &Path, args: &[&str]) -> String {
    let settings = ["-c", "user.name=Test", "-c", "user.email=test@example.org", "-c", "init.defaultBranch=main"];
    let mut command = Command::new("git");
    command.arg("-C").arg(folder).args(settings).args(args);
    let output = command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1").output().unwrap();
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A server whose project is a repository with one commit.
fn start(name: &str, more: &[(&str, &str)]) -> TestServer {
    let mut server = server_for_programs(name, more);
    let project = server.project();
    git(&project, &["init", "-q"]);
    fs::write(project.join(".gitignore"), "*.local\nnode_modules/\n").unwrap();
    fs::write(project.join("a.txt"), "first\n").unwrap();
    git(&project, &["add", "."]);
    git(&project, &["commit", "-q", "-m", "begin"]);
    server.start();
    server
}

/// Writes a project file for the server's project.
fn describe(server: &TestServer, file: &str, fields: &Value) {
    let folder = server.dir().join("data/project-files");
    fs::create_dir_all(&folder).unwrap();
    let mut object = fields.clone();
    object["path"] = server.project().to_str().unwrap().into();
    fs::write(folder.join(file), object.to_string()).unwrap();
}
