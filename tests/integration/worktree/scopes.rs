//! Scopes of diffs: what each compares, and its lists of files and commits.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::{IDLE, folder, git, in_project, in_worktree, repository, start};
use crate::support::server::TestServer;
use crate::support::workers::TestWorker;

fn scope(server: &TestServer, worker: &TestWorker, query: &str) -> Value {
    server.get(&worker.path(&format!("/diff?{query}"))).expect(200).json()
}

/// The names of the files of a diff, with the kind of each change.
fn files(diff: &Value) -> Vec<String> {
    let files = diff["files"].as_array().unwrap().iter();
    files.map(|file| format!("{} {}", file["status"].as_str().unwrap(), file["path"].as_str().unwrap())).collect()
}

fn hash_of(project: &Path, name: &str) -> String {
    git(project, &["hash-object", "--", name])
}

#[test]
fn each_scope_compares_its_own_two_sides() {
    let server = start("scope-sides", &[]);
    let project = repository(&server);
    let worker = in_worktree(&server, &json!({}));
    let tree = folder(&server, &worker);
    fs::write(tree.join("a.txt"), "second\n").unwrap();
    git(&tree, &["commit", "-qam", "Change a\n\nwith a body"]);
    fs::write(tree.join("part/b.txt"), "changed\n").unwrap();
    git(&tree, &["add", "."]);
    fs::write(tree.join("new.txt"), "one\ntwo\n").unwrap();

    let all = scope(&server, &worker, "scope=base");
    assert_eq!(files(&all), ["modified a.txt", "added new.txt", "modified part/b.txt"]);
    assert_eq!((&all["scope"], &all["git"]), (&json!("base"), &json!(true)));
    assert_eq!(scope(&server, &worker, "")["diff"], all["diff"], "it is the default");
    for name in ["head", "uncommitted"] {
        let open = scope(&server, &worker, &format!("scope={name}"));
        assert_eq!(files(&open), ["added new.txt", "modified part/b.txt"]);
        assert_eq!(open["scope"], name);
        assert!(!open["diff"].as_str().unwrap().contains("a.txt"));
    }
    let commits = all["commits"].as_array().unwrap();
    assert_eq!(commits.iter().map(|it| it["subject"].as_str().unwrap()).collect::<Vec<_>>(), ["Change a"]);
    let id = commits[0]["id"].as_str().unwrap();
    assert_eq!(id, git(&tree, &["rev-parse", "HEAD"]));
    for id in [id, &id[..8]] {
        let one = scope(&server, &worker, &format!("scope=commit&commit={id}"));
        assert_eq!(files(&one), ["modified a.txt"]);
        assert!(one["diff"].as_str().unwrap().contains("-first\n+second\n"));
    }
    let begin = git(&project, &["rev-parse", "HEAD"]);
    let first = scope(&server, &worker, &format!("scope=commit&commit={begin}"));
    assert_eq!(files(&first), ["added a.txt", "added part/b.txt"], "one without a parent");
}

#[test]
fn files_are_listed_with_kinds_counts_and_hashes() {
    let server = start("scope-files", &[]);
    let project = repository(&server);
    let long: String = (0..40).map(|n| format!("line {n}\n")).collect();
    for (name, content) in [("old ü.txt", long.as_bytes()), ("bin", b"\0\x01"), ("run.sh", b"x\n"), ("gone", b"g\n")] {
        fs::write(project.join(name), content).unwrap();
    }
    fs::write(project.join("crlf.txt"), "one\r\ntwo\r\n").unwrap();
    git(&project, &["add", "."]);
    git(&project, &["commit", "-qm", "more"]);
    let old = |name: &str| git(&project, &["rev-parse", &format!("HEAD:{name}")]);
    let (gone, crlf) = (old("gone"), old("crlf.txt"));
    git(&project, &["mv", "old ü.txt", "new \"名\".txt"]);
    fs::write(project.join("bin"), b"\0\x02").unwrap();
    fs::write(project.join("crlf.txt"), "one\r\n2\r\n").unwrap();
    fs::remove_file(project.join("gone")).unwrap();
    fs::set_permissions(project.join("run.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", project.join("link")).unwrap();
    let worker = in_project(&server, &project);
    let found = scope(&server, &worker, "");
    let of = |name: &str| found["files"].as_array().unwrap().iter().find(|file| file["path"] == name).unwrap().clone();
    let renamed = of("new \"名\".txt");
    assert_eq!((&renamed["status"], &renamed["old_path"]), (&json!("renamed"), &json!("old ü.txt")));
    assert_eq!(renamed["old_hash"], renamed["new_hash"]);
    assert_eq!((&of("bin")["binary"], &of("bin")["new_hash"]), (&json!(true), &json!(hash_of(&project, "bin"))));
    let changed = of("crlf.txt");
    assert_eq!((&changed["old_hash"], &changed["new_hash"]), (&json!(crlf), &json!(hash_of(&project, "crlf.txt"))));
    assert_eq!((&changed["added"], &changed["removed"], &changed["binary"]), (&json!(1), &json!(1), &json!(false)));
    assert_eq!((&of("gone")["old_hash"], &of("gone")["new_hash"]), (&json!(gone), &Value::Null));
    assert_eq!((&of("gone")["status"], &of("run.sh")["status"]), (&json!("deleted"), &json!("mode")));
    assert_eq!(of("link")["status"], "added");
    // The link's own content, and not that of the file to which it leads.
    fs::write(project.join("target"), "/etc/passwd").unwrap();
    assert_eq!(of("link")["new_hash"], hash_of(&project, "target"));
}

#[test]
fn commits_are_those_since_the_worker_began() {
    let server = start("scope-commits", &[]);
    let project = repository(&server);
    let worker = in_project(&server, &project);
    let later = "2099-01-01T00:00:00Z";
    let commit = |subject: &str, time: &str| {
        let made = Command::new("git")
            .arg("-C")
            .arg(&project)
            .args(["-c", "user.name=Test", "-c", "user.email=test@example.org", "commit", "-q", "--allow-empty"])
            .args(["-m", subject])
            .env("GIT_COMMITTER_DATE", time)
            .status();
        assert!(made.unwrap().success(), "{subject}");
    };
    commit("Long before", "2001-01-01T00:00:00Z");
    commit("With \u{1} and ü", later);
    let subjects = |query: &str| -> Vec<String> {
        let commits = scope(&server, &worker, query)["commits"].as_array().unwrap().clone();
        commits.iter().map(|it| it["subject"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(subjects("scope=head"), ["With \u{1} and ü"]);
    assert!(scope(&server, &worker, "")["commits"][0]["time"].as_str().unwrap().starts_with("2099-01-01T00:00:00"));
    for n in 0..120 {
        commit(&format!("number {n}"), later);
    }
    let many = subjects("");
    assert_eq!((many.len(), many[0].as_str()), (100, "number 119"));
}

#[test]
fn unknown_scopes_and_commits_are_refused() {
    let server = start("scope-refused", &[]);
    let project = repository(&server);
    let worker = in_project(&server, &project);
    for (query, status, field) in [
        ("scope=everything", 422, "scope"),
        ("scope=commit", 422, "commit"),
        ("commit=abcdef", 422, "commit"),
        ("scope=head&commit=abcdef", 422, "commit"),
        ("scope=commit&commit=HEAD", 422, "commit"),
        ("scope=commit&commit=--output%3D%2Ftmp%2Fx", 422, "commit"),
    ] {
        let answer = server.get(&worker.path(&format!("/diff?{query}"))).expect(status).json();
        assert_eq!(answer["field"], field, "{query}: {answer}");
    }
    let blob = git(&project, &["rev-parse", "HEAD:a.txt"]);
    for id in ["0123456789abcdef0123456789abcdef01234567", &blob] {
        let answer = server.get(&worker.path(&format!("/diff?scope=commit&commit={id}"))).expect(404).json();
        assert!(answer["detail"].as_str().unwrap().contains(id), "{answer}");
    }
    let plain = server.dir().join("plain");
    fs::create_dir(&plain).unwrap();
    let worker = TestWorker::create(&server, "program", &json!({"args": IDLE, "project_path": plain}));
    let none = scope(&server, &worker, "scope=head");
    assert_eq!((&none["git"], &none["files"], &none["scope"]), (&json!(false), &json!([]), &json!("head")));
}
