//! Servers that are killed at each step of a command that moves a branch: afterwards it is done or not, never half
//! done, and no commit is lost.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use super::{Scene, commit, git, prepared, try_git};
use crate::support::random::Random;
use crate::support::wait::{DEADLINE, eventually, pace};
use crate::worktree::crash::wrapped_git;

/// A `git` that hangs at the command named in the file `armed`, as long as its caller runs. With a `+` before
/// the name the command is run first.
const HANGS: &str = r#"
armed=$(cat "$dir/armed" 2>/dev/null) || exec "$real" "$@"
case "$*" in *"${armed#+}"*) ;; *) exec "$real" "$@";; esac
case $armed in +*) "$real" "$@";; esac
touch "$dir/reached"
while kill -0 $PPID 2>/dev/null; do sleep 0.05; done
"#;

/// The steps of a move with files, by the git commands in them.
const STEPS: [&str; 8] = [
    "merge-tree",
    "checkout-index",
    "diff-files",
    "update-index -z --index-info",
    "+update-index -z --index-info",
    "+update-index --no-split-index",
    "update-ref --stdin",
    "+update-ref --stdin",
];

/// A scene with work on both sides, whose server can be killed.
struct Torn {
    scene: Scene,
    /// All commits that existed before.
    commits: Vec<String>,
}

impl Torn {
    fn new(name: &str) -> Self {
        let mut server = prepared(name, &[]);
        wrapped_git(&mut server, HANGS);
        let scene = Scene::started(server);
        commit(&scene.tree, "a.txt", "one\nTWO\nthree\n");
        fs::remove_file(scene.tree.join("part/b.txt")).unwrap();
        commit(&scene.tree, "sub/new.txt", "new\n");
        commit(&scene.project, "c.txt", "theirs\n");
        let mut torn = Self { scene, commits: Vec::new() };
        torn.commits = torn.reachable();
        torn
    }

    fn reachable(&self) -> Vec<String> {
        let listed = git(&self.scene.project, &["rev-list", "--all"]);
        listed.lines().map(str::to_owned).collect()
    }

    /// Sends a request on a separate thread, since no response comes.
    fn ask(&self, what: &str, body: &Value) -> std::thread::JoinHandle<()> {
        let (client, path, body) = (self.scene.server.client.clone(), self.scene.worker.path(what), body.to_string());
        std::thread::spawn(move || {
            let headers = [("content-type", "application/json")];
            // The server is killed meanwhile.
            let _ = client.try_request("POST", &path, &headers, body.as_bytes());
        })
    }

    fn arm(&self, step: &str) -> PathBuf {
        fs::write(self.scene.server.dir().join("armed"), step).unwrap();
        let reached = self.scene.server.dir().join("reached");
        let _ = fs::remove_file(&reached);
        reached
    }

    fn disarm(&self) {
        let _ = fs::remove_file(self.scene.server.dir().join("armed"));
    }

    /// Starts the server again and waits until no move is left to complete.
    #[track_caller]
    fn start(&mut self) {
        self.scene.server.start();
        eventually(DEADLINE, "an end of what was begun", || {
            let begun = self.scene.worker.controls(&self.scene.server, "branch_moving").len();
            (begun == self.scene.worker.controls(&self.scene.server, "branch_moved").len()).then_some(())
        });
        assert_eq!(self.scene.dry_run()["pending"], Value::Null);
    }

    /// Asserts that nothing is half done in either folder, and that each earlier commit can be reached.
    #[track_caller]
    fn assert_whole(&self, step: &str) {
        for folder in [&self.scene.project, &self.scene.tree] {
            assert_eq!(git(folder, &["status", "--porcelain"]), "", "{step}: {}", folder.display());
        }
        assert!(!self.scene.project.join(".git/index.lock").exists(), "{step}");
        let now = self.reachable();
        for commit in &self.commits {
            assert!(now.contains(commit), "{step}: {commit} is lost");
        }
        git(&self.scene.project, &["fsck", "--no-dangling"]);
    }
}

/// Kills the server at this step of a command, and afterwards repeats the command if it was not done.
#[track_caller]
fn killed_at(name: &str, step: &str, (what, body): (&str, &Value), half: impl Fn(&Scene)) {
    let mut torn = Torn::new(name);
    let reached = torn.arm(step);
    let asked = torn.ask(what, body);
    eventually(DEADLINE, step, || reached.exists().then_some(()));
    torn.scene.server.kill9();
    asked.join().unwrap();
    torn.disarm();
    half(&torn.scene);
    torn.start();
    torn.assert_whole(step);
    let again = torn.scene.server.post(&torn.scene.worker.path(what), body);
    assert!(again.status == 200 || again.json()["code"] == "nothing_to_do", "{step}: {}", again.text());
    torn.assert_whole(step);
    let folder = if what == "/land" { &torn.scene.project } else { &torn.scene.tree };
    let text = |file: &str| fs::read_to_string(folder.join(file)).unwrap();
    assert_eq!((text("a.txt"), text("c.txt")), ("one\nTWO\nthree\n".to_owned(), "theirs\n".to_owned()), "{step}");
    assert!(!folder.join("part/b.txt").exists() && folder.join("sub/new.txt").exists(), "{step}");
}

#[test]
fn landing_killed_at_any_step_is_done_or_not() {
    for (number, step) in STEPS.iter().enumerate() {
        killed_at(&format!("torn-land-{number}"), step, ("/land", &json!({"strategy": "squash"})), |_| {});
    }
}

#[test]
fn update_killed_at_any_step_is_done_or_not() {
    for (number, step) in STEPS.iter().enumerate().skip(1) {
        let body = json!({"strategy": "rebase"});
        killed_at(&format!("torn-update-{number}"), step, ("/update", &body), |_| {});
    }
}

#[test]
fn landing_that_is_killed_between_two_files_is_completed() {
    let landed = |scene: &Scene| {
        // Some files are there already, and one is half written.
        let id = scene.worker.controls(&scene.server, "branch_moving")[0]["id"].as_str().unwrap().to_owned();
        fs::write(scene.project.join("a.txt"), "one\nTWO\nthree\n").unwrap();
        fs::create_dir(scene.project.join("sub")).unwrap();
        fs::write(scene.project.join(format!("sub/.rs-worker-{id}")), "ne").unwrap();
    };
    killed_at("torn-files", "diff-files", ("/land", &json!({"strategy": "merge"})), landed);
}

#[test]
fn files_changed_after_the_crash_are_kept() {
    let mut torn = Torn::new("torn-edited");
    let reached = torn.arm("update-index -z --index-info");
    let asked = torn.ask("/land", &json!({"strategy": "squash"}));
    eventually(DEADLINE, "the files are there", || reached.exists().then_some(()));
    torn.scene.server.kill9();
    asked.join().unwrap();
    torn.disarm();
    fs::write(torn.scene.project.join("a.txt"), "somebody's\n").unwrap();
    torn.start();
    assert_eq!(fs::read_to_string(torn.scene.project.join("a.txt")).unwrap(), "somebody's\n");
    assert_eq!(git(&torn.scene.project, &["status", "--porcelain"]), "M a.txt");
    assert_eq!(git(&torn.scene.project, &["show", "main:a.txt"]), "one\nTWO\nthree");
}

#[test]
fn branch_moved_after_the_crash_is_left_alone() {
    let mut torn = Torn::new("torn-moved");
    let reached = torn.arm("diff-files");
    let asked = torn.ask("/land", &json!({"strategy": "squash"}));
    eventually(DEADLINE, "the landing has begun", || reached.exists().then_some(()));
    torn.scene.server.kill9();
    asked.join().unwrap();
    torn.disarm();
    // The lock means that a process is at work, so only a person may remove it.
    assert!(!try_git(&torn.scene.project, &["commit", "-q", "--allow-empty", "-m", "x"]).status.success());
    fs::remove_file(torn.scene.project.join(".git/index.lock")).unwrap();
    let theirs = commit(&torn.scene.project, "d.txt", "somebody's\n");
    torn.start();
    torn.assert_whole("moved");
    assert_eq!(git(&torn.scene.project, &["rev-parse", "main"]), theirs);
    assert_eq!(torn.scene.worker.controls(&torn.scene.server, "branch_moved")[0]["end"], "left");
    torn.scene.worker.wait_event(&torn.scene.server, "notice", 1);
}

#[test]
fn commands_killed_at_random_moments_leave_nothing_half_done() {
    let mut torn = Torn::new("torn-random");
    torn.disarm();
    let mut random = Random::new();
    let kills = std::env::var("RS_WORKER_TEST_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(5);
    for round in 0..kills {
        let wait = Duration::from_millis(random.below(400));
        commit(&torn.scene.tree, "a.txt", &format!("round {round}\n"));
        torn.commits = torn.reachable();
        let (what, body) = match random.below(3) {
            0 => ("/update", json!({"strategy": "rebase"})),
            1 => ("/land", json!({"strategy": "merge"})),
            _ => ("/land", json!({"strategy": "squash"})),
        };
        let asked = torn.ask(what, &body);
        pace(wait);
        torn.scene.server.kill9();
        asked.join().unwrap();
        torn.start();
        torn.assert_whole(&format!("round {round}: {what} {body} after {wait:?}"));
        commit(&torn.scene.project, "c.txt", &format!("theirs {round}\n"));
    }
}
