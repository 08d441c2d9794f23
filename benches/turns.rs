//! Recording the files of a repository at both ends of a turn, and the look at what a restore would change.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use serde_json::{Value, json};

use crate::support::server::Server;
use crate::support::stats::{judge, quantile, report};
use crate::support::wait_for;

/// Files of the repository.
pub(crate) const FILES: usize = 10_000;
/// Folders that they are in.
pub(crate) const FOLDERS: usize = 100;
/// Files that a turn changes.
pub(crate) const CHANGED: usize = 1_000;
/// Turns that are measured.
const RUNS: usize = 7;
/// Longest that a recording may take, in milliseconds.
const BAR: f64 = 300.0;

pub(crate) fn run() {
    let mut server = Server::prepare();
    let folder = server.data().parent().unwrap().to_owned();
    let script = "while read -r line; do eval \"$line\"; echo '<<END>>'; done";
    let adapter = json!({
        "family": "text",
        "command": ["sh", "-c", script],
        "input": {"encoding": "line"},
        "turn_end": {"line": "<<END>>"},
    });
    fs::write(folder.join("adapters/shell.json"), adapter.to_string()).unwrap();
    let project = folder.join("project");
    make_repository(&project);
    server.resume();
    let mut http = server.http();
    let body = json!({"name": "turns", "project_path": project, "ai_cli_type": "shell"});
    let id = http.post("/api/workers", &body)["id"].as_str().unwrap().to_owned();
    let path = format!("/api/workers/{id}");
    wait_for("the worker", || http.get(&path)["status"] == "idle");
    let journal = server.data().join(&id).join("journal");
    let mut turn = |script: &str| {
        let count = recorded(&journal).len();
        http.post(&format!("{path}/messages"), &json!({"content": script}));
        wait_for("the turn's files are recorded", || recorded(&journal).len() == count + 2);
        recorded(&journal).split_off(count)
    };
    let first = turn("sleep 1");
    report("10,000 files, the first time", &format!("{:.0} ms", first[0]));
    let (mut unchanged, mut changed) = (Vec::new(), Vec::new());
    for run in 0..RUNS {
        unchanged.extend(turn("sleep 1"));
        let names = format!("for n in $(seq 0 {}); do echo '{run}' >> d$((n % {FOLDERS}))/f$n; done", CHANGED - 1);
        changed.push(turn(&format!("sleep 1; {names}"))[1]);
    }
    report("nothing has changed", &figure(&mut unchanged));
    let mut floor = by_plain_git(&folder.join("plain"));
    let (plain, ours) = (quantile(&mut floor, 0.5), quantile(&mut changed, 0.5));
    report("plain git add and git write-tree of 1,000 changed files", &figure(&mut floor));
    let text = format!("{}, {:.2} times plain git", figure(&mut changed), ours / plain);
    judge("1,000 of them have changed", &text, "300 ms", ours <= BAR);
    let turns = http.get(&format!("{path}/turns"));
    let turn_id = turns["turns"][0]["turn_id"].as_str().unwrap().to_owned();
    let mut looks = Vec::new();
    for _ in 0..RUNS {
        let begin = Instant::now();
        let shown = http.get(&format!("{path}/restore?turn={turn_id}"));
        assert_eq!(shown["count"], CHANGED);
        looks.push(begin.elapsed().as_secs_f64() * 1e3);
    }
    report("a look at what the restore of 1,000 files would change", &figure(&mut looks));
}

/// The time in which git itself adds the same changes to an index and writes its tree, in milliseconds.
fn by_plain_git(project: &Path) -> Vec<f64> {
    fs::create_dir(project).unwrap();
    make_repository(project);
    let mut times = Vec::new();
    for run in 0..RUNS {
        for file in 0..CHANGED {
            let path = project.join(format!("d{}/f{file}", file % FOLDERS));
            let text = fs::read_to_string(&path).unwrap();
            fs::write(path, format!("{text}{run}\n")).unwrap();
        }
        let begin = Instant::now();
        for args in [&["add", "-A"][..], &["write-tree"]] {
            let ran = Command::new("git").arg("-C").arg(project).args(args).stdout(Stdio::null()).status().unwrap();
            assert!(ran.success());
        }
        times.push(begin.elapsed().as_secs_f64() * 1e3);
    }
    times
}

fn figure(samples: &mut [f64]) -> String {
    format!("{:.0} ms (longest {:.0} ms)", quantile(samples, 0.5), quantile(samples, 1.0))
}

pub(crate) fn make_repository(project: &Path) {
    for folder in 0..FOLDERS {
        fs::create_dir(project.join(format!("d{folder}"))).unwrap();
    }
    for file in 0..FILES {
        let text = format!("file {file}\n").repeat(100);
        fs::write(project.join(format!("d{}/f{file}", file % FOLDERS)), text).unwrap();
    }
    for args in [&["init", "-q"][..], &["add", "."], &["commit", "-q", "-m", "all"]] {
        let settings = ["-c", "user.name=Bench", "-c", "user.email=bench@example.org"];
        let ran = Command::new("git").arg("-C").arg(project).args(settings).args(args).status().unwrap();
        assert!(ran.success());
    }
}

/// The time from each end of a turn to its record of the files, in milliseconds.
fn recorded(journal: &Path) -> Vec<f64> {
    let text = fs::read_to_string(journal).unwrap();
    let (mut times, mut last) = (Vec::new(), 0_u64);
    for line in text.lines().skip(1) {
        let mut words = line.splitn(3, ' ');
        let (Some(time), Some(kind), Some(payload)) = (words.next(), words.next(), words.next()) else { continue };
        let time: u64 = time.parse().unwrap();
        let control: Value = serde_json::from_str(payload).unwrap_or_default();
        if kind == "ctl" && control["type"] == "tree_recorded" {
            times.push((time - last) as f64 / 1e3);
        } else if control["type"] == "message_delivered" || payload == "<<END>>" {
            last = time;
        }
    }
    times
}
