//! Repositories that an agent has armed: whatever programs their configuration names, diffs, worktrees and deletions
//! run none of them. Each trap is tried with plain git first, to prove that it is armed.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use nix::fcntl::OFlag;
use serde_json::json;

use super::{diff, folder, git, in_project, repository_at, start, try_git};
use crate::support::server::TestServer;
use crate::support::wait::{DEADLINE, eventually, pace};
use crate::support::workers::TestWorker;

/// The place of the armed configuration, seen from the project.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Repository,
    Worktree,
    Submodule,
    Nested,
}

const PLACES: [Place; 4] = [Place::Repository, Place::Worktree, Place::Submodule, Place::Nested];

/// A way to make git run a program, with the settings that arm it and a command of plain git that triggers it.
struct Trap {
    name: &'static str,
    settings: &'static [&'static str],
    springs: &'static [&'static str],
}

const fn trap(name: &'static str, settings: &'static [&'static str], springs: &'static [&'static str]) -> Trap {
    Trap { name, settings, springs }
}

/// `EVIL` is the program that records that it was run. Attributes name the driver `evil` for all files.
const TRAPS: [Trap; 10] = [
    trap("hooks", &[], &["checkout", "-q", "HEAD"]),
    trap("fsmonitor", &["core.fsmonitor=EVIL"], &["status"]),
    trap("clean", &["filter.evil.clean=EVIL", "filter.evil.smudge=EVIL"], &["diff"]),
    trap("textconv", &["diff.evil.textconv=EVIL"], &["diff"]),
    trap("external", &["diff.external=EVIL"], &["diff"]),
    trap("ssh", &["core.sshCommand=EVIL"], &["fetch", "ssh://localhost/nowhere"]),
    trap("credential", &["credential.helper=!EVIL"], &["credential", "fill"]),
    trap("pager", &["core.pager=EVIL"], &["--paginate", "log"]),
    trap("editor", &["core.editor=EVIL"], &["commit", "--allow-empty"]),
    trap("gpg", &["gpg.program=EVIL", "commit.gpgSign=true"], &["commit", "--allow-empty", "-m", "x"]),
];
/// Programs that are named after files.
const HOOKS: [&str; 5] = ["post-checkout", "post-index-change", "reference-transaction", "pre-commit", "post-merge"];

/// One project of the matrix.
struct ArmedProject {
    project: PathBuf,
    /// The working folder whose configuration is armed.
    place: PathBuf,
    /// The Git directory of that configuration.
    gitdir: PathBuf,
    evil: PathBuf,
    ran: PathBuf,
}

impl ArmedProject {
    fn new(server: &TestServer, place: Place, name: &str) -> Self {
        let top = server.dir().join(format!("{place:?}-{name}"));
        let (project, ran) = (top.join("project"), top.join("ran"));
        let evil = top.join("evil");
        fs::create_dir_all(&top).unwrap();
        fs::write(
            &evil,
            format!("#!/bin/sh\necho run >> '{}'\ncase \"$*\" in *localhost*) exit 1;; esac\ncat\n", ran.display()),
        )
        .unwrap();
        fs::set_permissions(&evil, fs::Permissions::from_mode(0o755)).unwrap();
        let (place, gitdir, project) = match place {
            Place::Repository => {
                with_attributes(&project);
                (project.clone(), project.join(".git"), project)
            }
            Place::Worktree => {
                with_attributes(&project);
                let linked = top.join("linked");
                git(&project, &["worktree", "add", "-q", linked.to_str().unwrap()]);
                (linked.clone(), project.join(".git"), linked)
            }
            Place::Submodule => {
                with_attributes(&top.join("other"));
                with_attributes(&project);
                git(&project, &["submodule", "--quiet", "add", top.join("other").to_str().unwrap(), "inner"]);
                git(&project, &["commit", "-q", "-a", "-m", "submodule"]);
                git(&project, &["config", "diff.submodule", "diff"]);
                let inner = project.join("inner");
                git(&inner, &["commit", "-q", "--allow-empty", "-m", "moved"]);
                (inner, project.join(".git/modules/inner"), project)
            }
            Place::Nested => {
                with_attributes(&project);
                let inner = project.join("inner");
                with_attributes(&inner);
                (inner.clone(), inner.join(".git"), project)
            }
        };
        Self { project, place, gitdir, evil, ran }
    }

    fn arm(&self, trap: &Trap) {
        if trap.name == "hooks" {
            fs::create_dir_all(self.gitdir.join("hooks")).unwrap();
            for hook in HOOKS {
                fs::copy(&self.evil, self.gitdir.join("hooks").join(hook)).unwrap();
            }
        }
        for setting in trap.settings {
            let (name, value) = setting.split_once('=').unwrap();
            let value = value.replace("EVIL", self.evil.to_str().unwrap());
            git(&self.place, &["config", name, &value]);
        }
        // So that there is something to look at.
        fs::write(self.place.join("a.txt"), "changed\n").unwrap();
        fs::write(self.place.join("new.txt"), "new\n").unwrap();
    }

    /// Checks that plain git runs the program, and resets the record.
    fn spring(&self, trap: &Trap) {
        // git uses a pager only on a terminal.
        if trap.name == "pager" {
            let mut command = Command::new("script");
            command.args(["--quiet", "--log-out", "/dev/null", "--command", "exec git --paginate log"]);
            command.current_dir(&self.place).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            assert!(command.status().unwrap().success());
            return self.was_sprung(trap);
        }
        let mut command = Command::new("git");
        command.arg("-C").arg(&self.place).args(["-c", "user.name=T", "-c", "user.email=t@example.org"]);
        command.args(trap.springs).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        // The question to `credential fill`.
        let asked = std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"protocol=https\nhost=x\n\n");
        drop(asked);
        let _ = child.wait();
        self.was_sprung(trap);
    }

    fn was_sprung(&self, trap: &Trap) {
        assert!(self.ran.exists(), "the trap {} in {:?} is not armed", trap.name, self.place);
        fs::remove_file(&self.ran).unwrap();
        fs::write(self.place.join("a.txt"), "changed again\n").unwrap();
    }

    #[track_caller]
    fn assert_untouched(&self, action: &str) {
        assert!(!self.ran.exists(), "{action} of {:?} has run a program of the repository", self.place);
    }

    /// Performs every operation of the server on a project, with the worker's own worktree armed too.
    fn look_make_and_delete(&self, server: &TestServer) {
        let worker = in_project(server, &self.project);
        let changes = diff(server, &worker);
        assert!(changes["diff"].is_string(), "{changes}");
        self.assert_untouched("the diff");
        server.get(&worker.path("/files")).expect(200);
        self.assert_untouched("the list of files");
        let body = json!({"args": super::IDLE, "project_path": self.project, "worktree": true});
        let other = TestWorker::create(server, "program", &body);
        self.assert_untouched("the making of a worktree");
        let tree = folder(server, &other);
        assert_eq!(fs::read_to_string(tree.join("a.txt")).unwrap(), "first\n");
        fs::write(tree.join("a.txt"), "changed\n").unwrap();
        if self.place != self.project {
            // The armed repository is inside of the worktree too: its commits must be kept.
            let _ = fs::remove_dir_all(tree.join("inner"));
            copy_with_git(&self.place, &self.gitdir, &tree.join("inner"));
        }
        diff(server, &other);
        self.assert_untouched("the worktree's diff");
        server.delete(&other.path("")).expect(409);
        self.assert_untouched("the refused deletion");
        server.delete(&other.path("?force=true")).expect(200);
        self.assert_untouched("the deletion");
        assert!(!tree.exists());
        server.delete(&worker.path("")).expect(200);
    }
}

/// A repository whose attributes name a driver for all files.
fn with_attributes(project: &Path) {
    repository_at(project);
    fs::write(project.join(".gitattributes"), "* filter=evil diff=evil\n").unwrap();
    git(project, &["add", "."]);
    git(project, &["commit", "-q", "-m", "attributes"]);
}

/// Copies a working folder and its Git directory, with its configuration, to one place.
fn copy_with_git(from: &Path, gitdir: &Path, to: &Path) {
    // For `cp`, a file that vanishes meanwhile is an error; here it is not.
    let copy = |from: &Path, to: &Path| Command::new("cp").arg("-r").args([from, to]).output().unwrap();
    copy(from, to);
    let link = to.join(".git");
    let _ = fs::remove_file(&link).or_else(|_| fs::remove_dir_all(&link));
    copy(gitdir, &link);
    assert!(link.join("HEAD").exists());
    let _ = try_git(to, &["config", "--unset", "core.worktree"]);
}

fn no_trap_is_sprung(place: Place) {
    let server = start(&format!("worktree-armed-{place:?}"), &[]);
    for trap in &TRAPS {
        let armed = ArmedProject::new(&server, place, trap.name);
        armed.arm(trap);
        armed.spring(trap);
        armed.look_make_and_delete(&server);
    }
}

#[test]
fn no_program_of_an_armed_repository_is_run() {
    no_trap_is_sprung(Place::Repository);
}

#[test]
fn no_program_of_an_armed_worktree_is_run() {
    no_trap_is_sprung(Place::Worktree);
}

#[test]
fn no_program_of_an_armed_submodule_is_run() {
    no_trap_is_sprung(Place::Submodule);
}

#[test]
fn no_program_of_an_armed_nested_repository_is_run() {
    no_trap_is_sprung(Place::Nested);
}

/// A loop that runs beside the test until it is dropped.
struct Beside(Arc<AtomicBool>, Option<thread::JoinHandle<()>>);

impl Beside {
    fn run(mut step: impl FnMut() + Send + 'static) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&over);
        let thread = thread::spawn(move || {
            while !seen.load(Ordering::Relaxed) {
                step();
                pace(std::time::Duration::from_micros(500));
            }
        });
        Self(over, Some(thread))
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
        let _ = self.1.take().map(thread::JoinHandle::join);
    }
}

/// The text of a configuration that names the program as a filter.
fn evil_config(armed: &ArmedProject, before: &str) -> String {
    let evil = armed.evil.display();
    format!("{before}[filter \"evil\"]\n\tclean = {evil}\n\tsmudge = {evil}\n[diff]\n\texternal = {evil}\n")
}

/// Waits until plain git is trapped.
fn spring_with_diff(armed: &ArmedProject) {
    eventually(DEADLINE, "plain git is caught", || {
        fs::write(armed.place.join("a.txt"), format!("changed {:?}\n", std::time::Instant::now())).unwrap();
        try_git(&armed.place, &["diff"]);
        armed.ran.exists().then_some(())
    });
}

#[test]
fn configuration_swapped_between_two_reads_runs_nothing() {
    let server = start("worktree-swapped", &[]);
    for place in PLACES {
        let armed = ArmedProject::new(&server, place, "swapped");
        let config = armed.gitdir.join("config");
        let good = fs::read_to_string(&config).unwrap();
        let texts = [good.clone(), evil_config(&armed, &good)];
        let (next, mut turn) = (armed.gitdir.join("next"), 0);
        let beside = Beside::run(move || {
            turn += 1;
            let swapped = fs::write(&next, &texts[turn % 2]).and_then(|()| fs::rename(&next, &config));
            let _ = swapped;
        });
        spring_with_diff(&armed);
        // A program that plain git has started may still be about to record it.
        fs::remove_file(&armed.ran).unwrap();
        for _ in 0..5 {
            armed.look_make_and_delete(&server);
        }
        drop(beside);
    }
}

#[test]
fn configuration_included_through_a_pipe_runs_nothing() {
    let server = start("worktree-pipe", &[]);
    for place in PLACES {
        let armed = ArmedProject::new(&server, place, "pipe");
        let pipe = armed.gitdir.join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        git(&armed.place, &["config", "include.path", pipe.to_str().unwrap()]);
        let evil = evil_config(&armed, "");
        let beside = Beside::run(move || {
            use std::os::unix::fs::OpenOptionsExt as _;
            let flags = OFlag::O_NONBLOCK.bits();
            if let Ok(mut reader) = fs::OpenOptions::new().write(true).custom_flags(flags).open(&pipe) {
                let _ = std::io::Write::write_all(&mut reader, evil.as_bytes());
            }
        });
        spring_with_diff(&armed);
        fs::remove_file(&armed.ran).unwrap();
        armed.look_make_and_delete(&server);
        drop(beside);
    }
}

/// A repository outside of the project with a secret file, and its last commit.
fn foreign(server: &TestServer) -> (PathBuf, String) {
    let other = server.dir().join("foreign");
    repository_at(&other);
    fs::write(other.join("secret.txt"), "the secret\n").unwrap();
    git(&other, &["add", "."]);
    git(&other, &["commit", "-q", "-m", "secret"]);
    let head = git(&other, &["rev-parse", "HEAD"]);
    (other, head)
}

#[test]
fn links_out_of_a_repository_are_not_followed() {
    use std::os::unix::fs::symlink;
    let mut server = crate::support::workers::server_for_programs("worktree-links", &[]);
    let (other, head) = foreign(&server);
    let roots = server.dir().join("projects");
    fs::create_dir(&roots).unwrap();
    server.set_env("PROJECT_ROOTS", roots.to_str().unwrap());
    server.start();
    let foreign = other.join(".git");
    type Arm<'a> = (&'a str, &'a dyn Fn(&Path));
    let arms: [Arm<'_>; 6] = [
        ("gitfile", &|project| {
            fs::remove_dir_all(project.join(".git")).unwrap();
            fs::write(project.join(".git"), format!("gitdir: {}\n", foreign.display())).unwrap();
        }),
        ("gitlink", &|project| {
            fs::remove_dir_all(project.join(".git")).unwrap();
            symlink(&foreign, project.join(".git")).unwrap();
        }),
        ("commondir", &|project| {
            fs::write(project.join(".git/commondir"), foreign.to_str().unwrap()).unwrap();
            fs::write(project.join(".git/HEAD"), format!("{head}\n")).unwrap();
        }),
        ("refs", &|project| {
            fs::remove_dir_all(project.join(".git/refs")).unwrap();
            fs::remove_dir_all(project.join(".git/objects")).unwrap();
            symlink(foreign.join("refs"), project.join(".git/refs")).unwrap();
            symlink(foreign.join("objects"), project.join(".git/objects")).unwrap();
        }),
        ("alternates", &|project| {
            fs::write(project.join(".git/objects/info/alternates"), format!("{}/objects\n", foreign.display()))
                .unwrap();
            fs::write(project.join(".git/HEAD"), format!("{head}\n")).unwrap();
        }),
        ("worktree", &|project| {
            git(project, &["config", "core.worktree", other.to_str().unwrap()]);
        }),
    ];
    for (name, arm) in arms {
        let project = roots.join(name);
        repository_at(&project);
        let worker = in_project(&server, &project);
        arm(&project);
        let answer = server.get(&worker.path("/diff"));
        assert!(!answer.text().contains("secret"), "{name}: {}", answer.text());
        let answer = server.get(&worker.path("/files"));
        assert!(!answer.text().contains("secret"), "{name}: {}", answer.text());
        let body = json!({"name": name, "project_path": project, "ai_cli_type": "program", "args": super::IDLE, "worktree": true});
        let made = server.post("/api/workers", &body);
        if made.status == 201 {
            let path = made.json()["worktree"]["path"].as_str().unwrap().to_owned();
            assert!(!Path::new(&path).join("secret.txt").exists(), "{name}: the worktree has the secret");
        }
        assert_eq!(git(&other, &["worktree", "list", "--porcelain"]).matches("worktree ").count(), 1, "{name}");
        assert_eq!(git(&other, &["branch", "--list", "rs-worker/*"]), "", "{name}");
    }
}
