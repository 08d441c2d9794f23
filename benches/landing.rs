//! The look before a landing and a push in a large repository, beside the two commands of git that it can't do without.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use serde_json::json;

use crate::support::process::memory;
use crate::support::server::Server;
use crate::support::stats::{quantile, report};
use crate::support::wait_for;
use crate::turns::{CHANGED, FILES, FOLDERS, make_repository};

/// Looks that are measured.
const RUNS: usize = 7;

pub(crate) fn run() {
    let mut server = Server::prepare();
    let folder = server.data().parent().unwrap().to_owned();
    let adapter = json!({"family": "text", "command": ["cat"]});
    fs::write(folder.join("adapters/cat.json"), adapter.to_string()).unwrap();
    let project = folder.join("project");
    make_repository(&project);
    git(&project, &["branch", "-M", "main"]);
    git(&project, &["remote", "add", "origin", "https://git.example.org/ada/steps.git"]);
    fs::write(project.join("theirs"), "theirs\n").unwrap();
    git(&project, &["add", "."]);
    git(&project, &["commit", "-q", "-m", "theirs"]);
    git(&project, &["checkout", "-q", "-b", "topic", "HEAD~1"]);
    // Some files are changed in a commit, and as many others in none.
    append(&project, 0..CHANGED);
    git(&project, &["commit", "-q", "-a", "-m", "ours"]);
    append(&project, CHANGED..2 * CHANGED);
    server.resume();
    let mut http = server.http();
    let body = json!({"name": "landing", "project_path": project, "ai_cli_type": "cat"});
    let id = http.post("/api/workers", &body)["id"].as_str().unwrap().to_owned();
    let path = format!("/api/workers/{id}");
    wait_for("the worker", || http.get(&path)["status"] == "idle");
    let before = memory(server.pid());
    let (mut floor, mut ours) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let begin = Instant::now();
        git(&project, &["merge-tree", "--write-tree", "main", "topic"]);
        git(&project, &["status", "--porcelain", "--untracked-files=all"]);
        floor.push(begin.elapsed().as_secs_f64() * 1e3);
        let begin = Instant::now();
        let dry = http.get(&format!("{path}/land?into=main"));
        ours.push(begin.elapsed().as_secs_f64() * 1e3);
        assert_eq!((&dry["ahead"], dry["remotes"][0]["problem"].is_null()), (&json!(1), true));
        assert_eq!(dry["uncommitted"].as_array().unwrap().len(), CHANGED);
    }
    let after = memory(server.pid());
    let of = |samples: &mut Vec<f64>| quantile(samples, 0.5);
    let (floor, ours) = (of(&mut floor), of(&mut ours));
    report("plain git merge-tree and git status", &format!("{floor:.0} ms"));
    report("a dry run", &format!("{ours:.0} ms ({:.1} times)", ours / floor));
    let grown = (after.private - before.private) / 1024.0;
    report("memory that the server has grown by", &format!("{grown:.1} MiB"));
}

fn append(project: &Path, files: std::ops::Range<usize>) {
    assert!(files.end <= FILES);
    for file in files {
        let path = project.join(format!("d{}/f{file}", file % FOLDERS));
        let text = fs::read_to_string(&path).unwrap();
        fs::write(path, text + "more\n").unwrap();
    }
}

fn git(project: &Path, args: &[&str]) {
    let settings = ["-c", "user.name=Bench", "-c", "user.email=bench@example.org"];
    let mut command = Command::new("git");
    let ran = command.arg("-C").arg(project).args(settings).args(args).stdout(Stdio::null()).status().unwrap();
    assert!(ran.success(), "git {args:?}");
}
