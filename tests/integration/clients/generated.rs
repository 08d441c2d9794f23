//! A client that openapi-python-client generates from the OpenAPI document.

use std::path::Path;
use std::process::Command;

use super::{project_file, python_program};
use crate::wire::{builder, start};

const TOKEN: &str = "the-token-of-this-test";

/// Runs a program, which must succeed, and returns its output.
#[track_caller]
fn run(command: &mut Command, folder: &Path) -> String {
    // The generator searches for the program that formats its output.
    let path = std::env::join_paths([python_program("python").parent().unwrap()]).unwrap();
    let ran = command.current_dir(folder).env("PATH", path).env("PYTHONDONTWRITEBYTECODE", "1").output().unwrap();
    let (said, reported) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success(), "{command:?}: {}\n{said}\n{reported}", ran.status);
    said.into_owned()
}

#[test]
fn real_generated_client_makes_a_worker_and_reads_its_history() {
    let server = start(builder().env("AUTH_TOKEN", TOKEN));
    let folder = server.dir();
    let address = format!("http://{}", server.addr());
    let document = format!("{address}/openapi.json");
    // A warning means that a part of the document was left out.
    let args = ["generate", "--meta", "none", "--output-path", "rs_worker_client", "--fail-on-warning", "--url"];
    run(Command::new(python_program("openapi-python-client")).args(args).arg(document), folder);
    let script = std::fs::read_to_string(project_file("tests/python/generated_client.py")).unwrap();
    std::fs::write(folder.join("example.py"), script).unwrap();
    let project = server.project();
    let said = run(Command::new(python_program("python")).args(["example.py", &address, TOKEN]).arg(&project), folder);
    let wanted = "user echo hello\nassistant hello\nanswered deny\ndeleted\n404 Worker not found\n";
    assert_eq!(said, wanted);
}
