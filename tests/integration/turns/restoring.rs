//! Files restored to what they were before a turn, and discarded changes.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::process::Command;

use serde_json::{Value, json};

use super::{changes, prepare, repository, start, trees, turn, turns, worker};
use crate::support::server::TestServer;
use crate::support::wait::{DEADLINE, eventually};
use crate::support::workers::TestWorker;
use crate::worktree::{git, try_git, wrapped_git};

#[track_caller]
fn restore(server: &TestServer, worker: &TestWorker, turn: &Value, files: &[&str]) -> Value {
    server.post(&worker.path("/restore"), &json!({"turn": turn, "files": files})).expect(200).json()
}

fn read(path: &std::path::Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned()
}

#[test]
fn all_files_return_and_overwritten_work_can_come_back() {
    let server = start("restore-all", &[]);
    let project = repository(&server);
    fs::write(project.join("picture"), b"\x00\xff\x00old").unwrap();
    fs::write(project.join("lines.txt"), "one\r\ntwo\r\n").unwrap();
    fs::write(project.join("näme 名.txt"), "x\n").unwrap();
    fs::write(project.join("tool"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(project.join("tool"), fs::Permissions::from_mode(0o755)).unwrap();
    symlink("a.txt", project.join("link")).unwrap();
    let worker = worker(&server, &json!({}));
    let script = "printf new > picture; echo three >> lines.txt; mv 'näme 名.txt' moved.txt; rm tool link; \
                  rm -r part; echo file > part; mkdir -p deep/er; echo x > deep/er/new; echo more >> a.txt";
    let done = turn(&server, &worker, script);

    let shown =
        server.get(&worker.path(&format!("/restore?turn={}", done["turn_id"].as_str().unwrap()))).expect(200).json();
    assert_eq!(shown["count"], 10, "{shown}");
    assert!(shown["diff"].as_str().unwrap().contains("-three"), "{shown}");
    assert_eq!(read(&project.join("picture")), "new", "a look changes nothing");
    let one = server.get(&worker.path(&format!("/restore?turn={}&file=a.txt", done["turn_id"].as_str().unwrap())));
    assert_eq!(one.expect(200).json()["files"], json!([{"path": "a.txt", "change": "modified"}]));

    let answer = restore(&server, &worker, &done["turn_id"], &[]);
    assert_eq!((&answer["changed"], &answer["untouched"]), (&json!(10), &json!([])));
    assert_eq!(fs::read(project.join("picture")).unwrap(), b"\x00\xff\x00old");
    assert_eq!(read(&project.join("lines.txt")), "one\r\ntwo\r\n");
    assert_eq!(read(&project.join("näme 名.txt")), "x\n");
    assert_eq!(read(&project.join("part/b.txt")), "second\n");
    assert_eq!(fs::read_link(project.join("link")).unwrap().to_str(), Some("a.txt"));
    assert_ne!(fs::metadata(project.join("tool")).unwrap().permissions().mode() & 0o100, 0);
    assert!(!project.join("deep").exists() && !project.join("moved.txt").exists());

    let back = restore(&server, &worker, &answer["recorded"], &[]);
    assert_eq!(back["changed"], 10);
    assert_eq!(read(&project.join("part")), "file\n");
    assert_eq!(read(&project.join("deep/er/new")), "x\n");
    assert_eq!(changes(&server, &project, &worker, &turn(&server, &worker, "true")), [] as [&str; 0]);
    assert_eq!(turns(&server, &worker)["restores"].as_array().unwrap().len(), 2);
    git(&project, &["fsck", "--strict"]);
}

#[test]
fn one_file_is_restored_and_the_others_stay() {
    let server = start("restore-one", &[]);
    let project = repository(&server);
    let worker = worker(&server, &json!({}));
    let done = turn(&server, &worker, "echo more >> a.txt; echo more >> part/b.txt; echo x > part/new");
    let answer = restore(&server, &worker, &done["turn_id"], &["part"]);
    assert_eq!(answer["changed"], 2);
    assert_eq!(read(&project.join("a.txt")), "first\nmore\n");
    assert_eq!(read(&project.join("part/b.txt")), "second\n");
    assert!(!project.join("part/new").exists());
    assert_eq!(restore(&server, &worker, &done["turn_id"], &["part"])["recorded"], Value::Null, "nothing differs");
}

#[test]
fn line_endings_of_working_files_come_back_as_they_were() {
    let server = start("restore-crlf", &[]);
    let project = repository(&server);
    git(&project, &["config", "core.autocrlf", "true"]);
    fs::write(project.join("lines.txt"), "one\r\ntwo\r\n").unwrap();
    git(&project, &["add", "."]);
    git(&project, &["commit", "-q", "-m", "lines"]);
    let worker = worker(&server, &json!({}));
    let done = turn(&server, &worker, "echo changed > lines.txt");
    restore(&server, &worker, &done["turn_id"], &[]);
    assert_eq!(read(&project.join("lines.txt")), "one\r\ntwo\r\n");
    assert_eq!(git(&project, &["status", "--porcelain", "lines.txt"]), "");
}

#[test]
fn files_that_trees_cannot_give_back_are_left() {
    let server = start("restore-left", &[]);
    let project = repository(&server);
    fs::write(project.join(".gitattributes"), "*.big filter=lfs\n").unwrap();
    fs::write(project.join(".gitignore"), "secret.env\n").unwrap();
    fs::write(project.join("a.big"), "content\n").unwrap();
    fs::write(project.join("secret.env"), "key\n").unwrap();
    let worker = worker(&server, &json!({}));
    let done = turn(&server, &worker, "echo more >> a.big; : > .gitignore; truncate -s 40M huge; echo n > new");
    let answer = restore(&server, &worker, &done["turn_id"], &[]);
    let untouched: Vec<&str> =
        answer["untouched"].as_array().unwrap().iter().map(|it| it["path"].as_str().unwrap()).collect();
    assert_eq!(untouched, ["a.big", "secret.env"]);
    assert_eq!(read(&project.join("secret.env")), "key\n", "a file that was ignored is not taken for a new one");
    assert_eq!(read(&project.join(".gitignore")), "secret.env\n");
    assert!(project.join("huge").exists() && !project.join("new").exists());
}

#[test]
fn restore_is_refused_with_words() {
    let server = start("restore-refused", &[]);
    let project = repository(&server);
    let worker = worker(&server, &json!({}));
    let done = turn(&server, &worker, "echo x > x");
    let refused = |body: Value, status: u16| {
        server.post(&worker.path("/restore"), &body).expect(status).json()["detail"].to_string()
    };
    for file in ["../a", "/etc/passwd", ".git/config", "part/.git/hooks/x", ""] {
        refused(json!({"turn": done["turn_id"], "files": [file]}), 400);
    }
    assert!(refused(json!({"turn": "none"}), 404).contains("no such turn"));
    let gate = server.dir().join("gate");
    worker.say(&server, &format!("until [ -e '{}' ]; do sleep 0.01; done", gate.display()));
    worker.wait_status(&server, "busy");
    assert!(refused(json!({"turn": done["turn_id"]}), 409).contains("a turn runs"));
    fs::write(gate, "").unwrap();
    worker.wait_turn(&server, 2);
    fs::rename(project.join(".git"), server.dir().join("git-elsewhere")).unwrap();
    assert!(refused(json!({"turn": done["turn_id"]}), 409).contains("not under git"));
}

#[test]
fn hostile_links_and_trees_write_nothing_outside_the_project() {
    let server = start("restore-hostile", &[]);
    let project = repository(&server);
    let outside = server.dir().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("b.txt"), "somebody else's\n").unwrap();
    let worker = worker(&server, &json!({}));
    let done = turn(&server, &worker, "echo more >> part/b.txt");
    // The folder of a file has become a link to a folder outside.
    fs::rename(project.join("part"), project.join("away")).unwrap();
    symlink(&outside, project.join("part")).unwrap();
    let answer = restore(&server, &worker, &done["turn_id"], &["part/b.txt"]);
    assert_eq!(answer["changed"], 0, "{answer}");
    assert_eq!(read(&outside.join("b.txt")), "somebody else's\n");
    // With the link itself selected too, the link is removed and the folder restored.
    restore(&server, &worker, &done["turn_id"], &["part"]);
    assert_eq!(read(&project.join("part/b.txt")), "second\n");
    assert_eq!(read(&outside.join("b.txt")), "somebody else's\n");
    // The file itself is a link to one outside: the link is replaced, and not followed.
    fs::remove_file(project.join("a.txt")).unwrap();
    symlink(outside.join("b.txt"), project.join("a.txt")).unwrap();
    restore(&server, &worker, &done["turn_id"], &["a.txt"]);
    assert_eq!(read(&project.join("a.txt")), "first\n");
    assert_eq!(read(&outside.join("b.txt")), "somebody else's\n");
    // Hooks and filters of the repository do not run.
    let ran = server.dir().join("ran");
    git(&project, &["config", "filter.evil.smudge", &format!("touch {}; cat", ran.display())]);
    fs::write(project.join(".git/info/attributes"), "* filter=evil\n").unwrap();
    fs::write(project.join("a.txt"), "changed\n").unwrap();
    restore(&server, &worker, &done["turn_id"], &["a.txt"]);
    assert!(!ran.exists());
}

#[test]
fn file_and_hunk_are_discarded_and_recorded_first() {
    let server = start("restore-discard", &[]);
    let project = repository(&server);
    let lines = |from: usize| (from..from + 30).map(|n| format!("line {n}\n")).collect::<String>();
    fs::write(project.join("long.txt"), lines(0)).unwrap();
    git(&project, &["add", "."]);
    git(&project, &["commit", "-q", "-m", "long"]);
    let worker = worker(&server, &json!({}));
    let changed = lines(0).replace("line 2\n", "LINE 2\n").replace("line 25\n", "");
    fs::write(project.join("long.txt"), &changed).unwrap();
    fs::write(project.join("new.txt"), "n\n").unwrap();
    let discard = |body: Value| server.post(&worker.path("/discard"), &body);
    let diff = server.get(&worker.path("/diff")).expect(200).json()["diff"].as_str().unwrap().to_owned();
    let headers: Vec<&str> = diff.lines().filter(|line| line.starts_with("@@") && line.contains("line")).collect();
    let hash = git(&project, &["hash-object", "long.txt"]);
    discard(json!({"file": "long.txt", "hunk": {"header": headers[0], "hash": "0123456"}})).expect(409);
    discard(json!({"file": "long.txt", "hunk": {"header": "@@ -1,2 +1,2 @@", "hash": hash}})).expect(409);
    let header = diff.lines().find(|line| line.starts_with("@@ -1,")).unwrap_or(headers[0]);
    let answer = discard(json!({"file": "long.txt", "hunk": {"header": header, "hash": hash}})).expect(200).json();
    assert_eq!(answer["changed"], 1);
    assert_eq!(read(&project.join("long.txt")), lines(0).replace("line 25\n", ""), "the other hunk stays");
    discard(json!({"file": "long.txt"})).expect(200);
    assert_eq!(read(&project.join("long.txt")), lines(0));
    discard(json!({"file": "long.txt"})).expect(404);
    discard(json!({"file": "new.txt"})).expect(200);
    assert!(!project.join("new.txt").exists());
    restore(&server, &worker, &answer["recorded"], &[]);
    assert_eq!(read(&project.join("long.txt")), changed, "what was discarded is recorded");
    assert_eq!(read(&project.join("new.txt")), "n\n");
    assert_eq!(git(&project, &["diff", "--cached"]), "", "the index is as it was");
}

#[test]
fn command_line_shows_and_restores() {
    let server = start("restore-cli", &[]);
    let project = repository(&server);
    let worker = worker(&server, &json!({"name": "docs"}));
    turn(&server, &worker, "echo more >> a.txt");
    let run = |args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_rs-worker"))
            .args(["restore", "docs"])
            .args(args)
            .args(["--url", &format!("http://{}", server.addr())])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(run(&["--dry-run"]), "modified  a.txt\n1 file would change\n");
    assert_eq!(read(&project.join("a.txt")), "first\nmore\n");
    let done = run(&["a.txt"]);
    assert!(done.starts_with("1 file restored\n"), "{done}");
    assert_eq!(read(&project.join("a.txt")), "first\n");
    let undo = done.split("--turn ").nth(1).unwrap().trim();
    run(&["--turn", undo]);
    assert_eq!(read(&project.join("a.txt")), "first\nmore\n");
}

/// A server that is killed at this subcommand of git in a restore leaves nothing half done after the next start.
#[track_caller]
fn killed_at(name: &str, command: &str) {
    let mut server = prepare(name, &[]);
    let project = repository(&server);
    server.start();
    let first = worker(&server, &json!({}));
    let names: Vec<String> = (0..40).map(|n| format!("part/f{n}")).collect();
    for file in &names {
        fs::write(project.join(file), "old\n").unwrap();
    }
    let done = turn(&server, &first, "for f in part/f*; do echo new > $f; done; rm a.txt; echo n > added");
    let script = format!(
        "case \"$*\" in *'{command}'*) ;;\n*) exec \"$real\" \"$@\";; esac\n\
         touch \"$dir/reached\"\nwhile kill -0 $PPID 2>/dev/null; do sleep 0.05; done\n"
    );
    server.kill9();
    wrapped_git(&mut server, &script);
    server.start();
    let (client, path, turn_id) = (server.client.clone(), first.path("/restore"), done["turn_id"].clone());
    let asking = std::thread::spawn(move || {
        let body = json!({"turn": turn_id}).to_string();
        client.try_request("POST", &path, &[("content-type", "application/json")], body.as_bytes())
    });
    let reached = server.dir().join("reached");
    eventually(DEADLINE, "git is at work", || reached.exists().then_some(()));
    server.kill9();
    let _ = asking.join();
    let begun = first.controls(&server, "restore_begun").len();
    server.set_env("PATH", &std::env::var("PATH").unwrap());
    server.start();
    eventually(DEADLINE, "no restore is open", || {
        (first.controls(&server, "restore_done").len() == begun).then_some(())
    });
    let expected = if begun == 1 { "old\n" } else { "new\n" };
    for file in &names {
        assert_eq!(read(&project.join(file)), expected, "{file}");
    }
    assert_eq!(project.join("a.txt").exists(), begun == 1);
    assert_eq!(project.join("added").exists(), begun == 0);
    first.say(&server, "echo again > again");
    eventually(DEADLINE, "the agent works again", || project.join("again").exists().then_some(()));
}

#[test]
fn server_killed_before_a_restore_begins_changes_nothing() {
    killed_at("restore-torn-before", "mktree");
}

#[test]
fn server_killed_before_the_first_file_completes_its_restore() {
    killed_at("restore-torn-begun", "checkout-index");
}

#[test]
fn restore_killed_between_files_completes_without_new_work() {
    let mut server = prepare("restore-torn-half", &[]);
    let project = repository(&server);
    server.start();
    let worker = worker(&server, &json!({}));
    for file in ["one", "two", "three", "four"] {
        fs::write(project.join(file), "old\n").unwrap();
    }
    let done = turn(&server, &worker, "for f in one two three four; do echo new > $f; done");
    let [before, after] = trees(&server, &worker, &done);
    server.post(&worker.path("/stop"), &json!({})).expect(200);
    worker.wait_status(&server, "stopped");
    server.kill9();
    // The state after the kill: one file done, one half written beside its path, two to do, of which one was changed.
    let id = "6f1c2f3e-0000-4000-8000-000000000001";
    let begun = json!({"type": "restore_begun", "restore_id": id, "turn_id": done["turn_id"], "target": {"tree": before}, "recorded": {"tree": after}});
    let journal = worker.dir(&server).join("journal");
    let last = read(&journal).lines().last().unwrap().split(' ').next().unwrap().to_owned();
    let mut text = fs::read(&journal).unwrap();
    text.extend_from_slice(format!("{last} ctl {begun}\n").as_bytes());
    fs::write(&journal, text).unwrap();
    fs::write(project.join("one"), "old\n").unwrap();
    fs::write(project.join(format!(".rs-worker-{id}")), "ol").unwrap();
    fs::write(project.join("four"), "a person's\n").unwrap();
    server.start();
    let ended = eventually(DEADLINE, "the restore is completed", || worker.controls(&server, "restore_done").pop());
    assert_eq!((&ended["changed"], &ended["error"]), (&json!(3), &Value::Null));
    for (file, content) in [("one", "old\n"), ("two", "old\n"), ("three", "old\n"), ("four", "a person's\n")] {
        assert_eq!(read(&project.join(file)), content, "{file}");
    }
    assert!(!project.join(format!(".rs-worker-{id}")).exists());
    assert!(try_git(&project, &["fsck"]).status.success());
}
