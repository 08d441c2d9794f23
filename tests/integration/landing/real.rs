//! The work loop with the real Claude Code, all by the command line.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use super::{git, set_person};
use crate::support::clis;
use crate::support::model::{FakeModel, Step};
use crate::support::server::TestServer;
use crate::support::workers::TestWorker;

const CODE: &str = "alpha\nbravo\ncharlie\ndelta\necho\n";

fn start(model: &FakeModel) -> TestServer {
    let mut server = TestServer::builder()
        .name("land-real")
        .env("CLAUDE_BINARY", clis::claude())
        .env("ANTHROPIC_BASE_URL", model.url())
        .env("ANTHROPIC_API_KEY", clis::FAKE_KEY)
        .env("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1")
        .env("DISABLE_TELEMETRY", "1")
        .env("CLAUDE_CODE_MAX_RETRIES", "1")
        .env("STOP_GRACE_SECS", "2")
        .prepare();
    set_person(&server, "");
    server.start();
    server
}

fn run(mut command: Command) -> (bool, String) {
    let Output { status, stdout, stderr } = command.stdin(Stdio::null()).output().unwrap();
    (status.success(), String::from_utf8([stdout, stderr].concat()).unwrap())
}

/// Runs a command of the command line that must succeed.
#[track_caller]
fn done(server: &TestServer, args: &[&str]) -> String {
    let (succeeded, text) = run(server.command(args.iter().copied()));
    assert!(succeeded, "{args:?}: {text}");
    text
}

#[track_caller]
fn refused(server: &TestServer, args: &[&str]) -> String {
    let (succeeded, text) = run(server.command(args.iter().copied()));
    assert!(!succeeded, "{args:?}: {text}");
    text
}

/// A repository that needs a setup, and the operator's file about it.
fn repository(server: &TestServer) -> PathBuf {
    let project = server.project();
    git(&project, &["init", "-q"]);
    fs::write(project.join("code.txt"), CODE).unwrap();
    fs::write(project.join(".gitignore"), ".env.local\nbuilt\n").unwrap();
    fs::write(project.join(".worktreeinclude"), ".env.local\n").unwrap();
    git(&project, &["add", "."]);
    git(&project, &["commit", "-q", "-m", "Begin"]);
    fs::write(project.join(".env.local"), "KEY=1\n").unwrap();
    let files = server.dir().join("data/project-files");
    fs::create_dir_all(&files).unwrap();
    let file = json!({"path": project, "setup": ["cat .env.local > built"], "preset": "quick"});
    fs::write(files.join("project.json"), file.to_string()).unwrap();
    let preset = json!({"ai_cli_type": "claude", "permission_mode": "acceptEdits", "effort": "low"});
    server.put("/api/presets/quick", &preset).expect(200);
    project
}

/// A worker in a new worktree, once it is set up.
fn create(server: &TestServer, project: &Path, name: &str) -> (TestWorker, PathBuf) {
    let id = done(server, &["new", name, project.to_str().unwrap(), "--worktree"]).trim().to_owned();
    let worker = TestWorker { id };
    worker.wait_status(server, "idle");
    let tree = PathBuf::from(worker.show(server)["worktree"]["path"].as_str().unwrap());
    assert_eq!(fs::read_to_string(tree.join("built")).unwrap(), "KEY=1\n", "it was set up");
    (worker, tree)
}

fn edit(tree: &Path, from: &str, to: &str) -> [Step; 2] {
    let file = tree.join("code.txt");
    let change = json!({"file_path": file, "old_string": from, "new_string": to});
    [Step::tool("Read", json!({"file_path": file})), Step::tool("Edit", change)]
}

fn respond(model: &FakeModel, steps: impl IntoIterator<Item = Step>, then: &str) {
    steps.into_iter().chain([Step::text(then)]).for_each(|step| model.respond_with(step));
}

/// Writes three comments in an editor, and sends them as one message.
fn review(server: &TestServer) -> String {
    let editor = server.dir().join("editor");
    let script = "#!/bin/sh\nsed -i -e '/^> .* +BRAVO$/a First comment' -e '/^> .* +DELTA$/a Second comment' \
                  -e '/^> .* echo$/a Third comment' \"$1\"\n";
    fs::write(&editor, script).unwrap();
    fs::set_permissions(&editor, fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = server.command(["review", "first", "--send"]);
    command.env_remove("VISUAL").env("EDITOR", &editor).env("TMPDIR", server.dir());
    let (succeeded, text) = run(command);
    assert!(succeeded, "{text}");
    text
}

#[test]
fn real_claude_is_reviewed_resolves_and_lands_by_command_line() {
    let model = FakeModel::start();
    let server = start(&model);
    let project = repository(&server);
    let (first, first_tree) = create(&server, &project, "first");
    let (second, second_tree) = create(&server, &project, "second");

    // One writes code, gets three line comments in one message, and answers them.
    let [read, upper] = edit(&first_tree, "bravo", "BRAVO");
    let [_, other] = edit(&first_tree, "delta", "DELTA");
    respond(&model, [read, upper, other], "Written.");
    assert!(done(&server, &["send", "first", "Shout."]).contains("Written."));
    let [read, again] = edit(&first_tree, "BRAVO", "Bravo");
    respond(&model, [read, again], "All three are answered.");
    review(&server);
    first.wait_turn(&server, 2);
    let messages = first.events_of(&server, "user");
    assert_eq!(messages.len(), 2, "three comments are one message");
    let said = messages[1]["content"].as_str().unwrap();
    for part in ["First comment", "Second comment", "Third comment", "BRAVO", "code.txt"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let heard = model.turns().iter().any(|request| request.body["messages"].to_string().contains("Second comment"));
    assert!(heard, "the comments reach the model");
    let comments = server.get(&first.path("/review")).expect(200).json()["comments"].clone();
    let states: Vec<&Value> = comments.as_array().unwrap().iter().map(|comment| &comment["state"]).collect();
    assert_eq!(states.len(), 3);
    assert!(states.contains(&&json!("addressed")), "{comments}");

    // Another one changes the same line.
    let [read, change] = edit(&second_tree, "bravo", "beta");
    respond(&model, [read, change], "Changed.");
    done(&server, &["send", "second", "Use Greek."]);

    done(&server, &["commit", "first", "-m", "Shout"]);
    let text = done(&server, &["land", "first", "--squash", "--into", "main", "-m", "Shout"]);
    assert!(text.starts_with("landed on main"), "{text}");
    assert_eq!(fs::read_to_string(project.join("code.txt")).unwrap(), "alpha\nBravo\ncharlie\nDELTA\necho\n");

    // Its conflicting work is refused with the conflict, resolved by the agent, and landed too.
    done(&server, &["commit", "second", "-m", "Use Greek"]);
    let before = git(&project, &["rev-parse", "main"]);
    let text = refused(&server, &["land", "second", "--squash", "--into", "main"]);
    assert!(text.contains("code.txt"), "{text}");
    assert_eq!(git(&project, &["rev-parse", "main"]), before);
    let text = refused(&server, &["update", "second"]);
    assert!(text.contains("- code.txt (contents)"), "{text}");
    assert_eq!(git(&second_tree, &["status", "--porcelain"]), "");
    let merge = json!({"command": "git merge -q -X ours -m Resolve main", "description": "Merge main"});
    respond(&model, [Step::tool("Bash", merge)], "Resolved.");
    let sending =
        server.command(["send", "second", &text]).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let prompt = second.wait_prompt(&server);
    done(&server, &["permissions", "allow", "second", prompt["request_id"].as_str().unwrap()]);
    let answer = sending.wait_with_output().unwrap();
    assert!(String::from_utf8_lossy(&answer.stdout).contains("Resolved."), "{answer:?}");
    done(&server, &["land", "second", "--squash", "--into", "main", "-m", "Use Greek", "--delete"]);
    assert_eq!(fs::read_to_string(project.join("code.txt")).unwrap(), "alpha\nbeta\ncharlie\nDELTA\necho\n");
    assert_eq!(git(&project, &["log", "--format=%s", "main"]), "Use Greek\nShout\nBegin");
    assert_eq!(git(&project, &["status", "--porcelain"]), "");
    assert!(!second_tree.exists());
}
