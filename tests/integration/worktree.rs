//! Workers in git worktrees of their own, with real git: several on one project, and nothing that is lost by itself.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::support::clis;
use crate::support::server::TestServer;
use crate::support::wait::{DEADLINE, eventually};
use crate::support::workers::{TestWorker, server_for_programs};

/// A program that does nothing until it is told to end.
const IDLE: [&str; 2] = ["sleep", "1000"];

/// Runs git in a folder, with settings of the test's own, and gives what it prints.
#[track_caller]
fn git(folder: &Path, args: &[&str]) -> String {
    let settings = ["-c", "user.name=Test", "-c", "user.email=test@example.org", "-c", "init.defaultBranch=main"];
    let output = Command::new("git")
        .arg("-C")
        .arg(folder)
        .args(settings)
        .args(args)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .output()
        .unwrap();
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A repository with one commit in the project's folder.
fn repository(server: &TestServer) -> PathBuf {
    let project = server.project();
    git(&project, &["init", "-q"]);
    fs::create_dir(project.join("part")).unwrap();
    fs::write(project.join("a.txt"), "first\n").unwrap();
    fs::write(project.join("part/b.txt"), "second\n").unwrap();
    git(&project, &["add", "."]);
    git(&project, &["commit", "-q", "-m", "begin"]);
    project
}

fn start(name: &str, more: &[(&str, &str)]) -> TestServer {
    let mut server = server_for_programs(name, more);
    server.start();
    server
}

/// A worker in a worktree, which does nothing.
#[track_caller]
fn in_worktree(server: &TestServer, more: &Value) -> TestWorker {
    let mut body = json!({"args": IDLE, "worktree": true});
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    TestWorker::create(server, "program", &body)
}

fn folder(server: &TestServer, worker: &TestWorker) -> PathBuf {
    PathBuf::from(worker.show(server)["worktree"]["path"].as_str().unwrap())
}

/// What a request for a worker in a worktree is refused with.
#[track_caller]
fn refused(server: &TestServer, more: &Value, status: u16) -> String {
    let mut body = json!({"name": "x", "project_path": server.project(), "ai_cli_type": "program", "args": IDLE, "worktree": true});
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    server.post("/api/workers", &body).expect(status).json()["detail"].to_string()
}

#[track_caller]
fn delete_refused(server: &TestServer, worker: &TestWorker) -> String {
    server.delete(&worker.path("")).expect(409).json()["detail"].as_str().unwrap().to_owned()
}

#[test]
fn several_workers_of_one_project_work_on_branches_of_their_own() {
    let server = start("worktrees", &[]);
    let project = repository(&server);
    let base = git(&project, &["rev-parse", "HEAD"]);
    let one = in_worktree(&server, &json!({"name": "Fix the login!"}));
    let other = in_worktree(&server, &json!({"worktree": {"branch": "topic/search", "base": "HEAD"}}));
    let shown = one.wait_status(&server, "idle");
    let tree = &shown["worktree"];
    let path = PathBuf::from(tree["path"].as_str().unwrap());
    assert_eq!((&tree["base"], &tree["project"]), (&json!(base), &json!(project.canonicalize().unwrap())));
    assert_eq!(shown["project_path"], tree["path"]);
    assert_eq!(path.parent().unwrap(), server.dir().join("data/worktrees").canonicalize().unwrap());
    let branch = format!("rs-worker/fix-the-login-{}", &one.id[..8]);
    assert_eq!(tree["branch"], branch);
    assert_eq!(git(&path, &["symbolic-ref", "--short", "HEAD"]), branch);
    let second = folder(&server, &other);
    assert_eq!(git(&second, &["symbolic-ref", "--short", "HEAD"]), "topic/search");

    // Committed, uncommitted and untracked work is its own, and all of it is in its diff.
    fs::write(path.join("a.txt"), "first\ncommitted line\n").unwrap();
    git(&path, &["commit", "-q", "-a", "-m", "more"]);
    fs::write(path.join("part/b.txt"), "second\nuncommitted line\n").unwrap();
    fs::write(path.join("new.txt"), "untracked line\n").unwrap();
    let diff = server.get(&one.path("/diff")).expect(200).json();
    for line in ["+committed line", "+uncommitted line", "+untracked line"] {
        assert!(diff["diff"].as_str().unwrap().contains(line), "{line} is in {diff}");
    }
    assert_eq!(diff["base"], base);
    assert_eq!(server.get(&other.path("/diff")).expect(200).json()["diff"], "");
    assert_eq!(git(&project, &["status", "--porcelain"]), "", "the project itself is as it was");
}

#[test]
fn a_worker_with_unsaved_work_is_not_deleted_and_is_told_how() {
    let server = start("worktree-delete", &[]);
    let project = repository(&server);
    let worker = in_worktree(&server, &json!({"worktree": {"branch": "topic"}}));
    let path = folder(&server, &worker);
    worker.wait_status(&server, "idle");
    fs::write(path.join("new.txt"), "untracked\n").unwrap();
    let told = delete_refused(&server, &worker);
    assert!(told.contains("new.txt") && told.contains("?force=true"), "{told}");
    assert_eq!(worker.show(&server)["status"], "idle", "it works on");
    fs::remove_file(path.join("new.txt")).unwrap();
    fs::write(path.join("a.txt"), "changed\n").unwrap();
    assert!(delete_refused(&server, &worker).contains("a.txt"));
    git(&path, &["commit", "-q", "-a", "-m", "own"]);
    let told = delete_refused(&server, &worker);
    assert!(told.contains("1 commit that no other branch has"), "{told}");

    // Once the commits are elsewhere, nothing is lost: worktree and branch go.
    git(&project, &["merge", "-q", "topic"]);
    server.delete(&worker.path("")).expect(200);
    assert!(!path.exists());
    assert_eq!(git(&project, &["branch", "--list", "topic"]), "");
    assert_eq!(git(&project, &["worktree", "list", "--porcelain"]).matches("worktree ").count(), 1);

    // With force, what is not committed is lost; commits are not.
    let worker = in_worktree(&server, &json!({"worktree": {"branch": "topic"}}));
    let path = folder(&server, &worker);
    fs::write(path.join("a.txt"), "again\n").unwrap();
    git(&path, &["commit", "-q", "-a", "-m", "kept"]);
    fs::write(path.join("new.txt"), "lost\n").unwrap();
    let message = server.delete(&worker.path("?force=true")).expect(200).json()["message"].to_string();
    assert!(message.contains("branch topic is kept") && message.contains("1 commit"), "{message}");
    assert!(!path.exists());
    assert_eq!(git(&project, &["log", "-1", "--format=%s", "topic"]), "kept");
    assert_eq!(server.delete(&format!("{}?force=perhaps", worker.path(""))).status, 404);

    // A head that no branch has is lost with the worktree, so it counts.
    let worker = in_worktree(&server, &json!({}));
    let path = folder(&server, &worker);
    git(&path, &["checkout", "-q", "--detach"]);
    git(&path, &["commit", "-q", "--allow-empty", "-m", "nowhere"]);
    assert!(delete_refused(&server, &worker).contains("1 commit"));
}

#[test]
fn a_worktree_in_which_another_worker_works_stays() {
    let server = start("worktree-shared", &[]);
    repository(&server);
    let worker = in_worktree(&server, &json!({}));
    let path = folder(&server, &worker);
    let guest = TestWorker::create(&server, "program", &json!({"args": IDLE, "project_path": path}));
    let told = delete_refused(&server, &worker);
    assert!(told.contains(&guest.id), "{told}");
    server.delete(&guest.path("")).expect(200);
    assert!(path.exists(), "it was not the guest's");
    server.delete(&worker.path("")).expect(200);
    assert!(!path.exists());
}

#[test]
fn a_worktree_that_cannot_be_is_refused_with_what_to_do() {
    let server = start("worktree-errors", &[]);
    assert!(refused(&server, &json!({}), 400).contains("no git working folder"));
    git(&server.project(), &["init", "-q"]);
    assert!(refused(&server, &json!({}), 400).contains("no commit yet"));
    git(&server.project(), &["commit", "-q", "--allow-empty", "-m", "begin"]);
    git(&server.project(), &["branch", "taken"]);
    assert!(refused(&server, &json!({"worktree": {"branch": "taken"}}), 409).contains("taken is there already"));
    for branch in ["a..b", "-d", "a b", "x.lock"] {
        assert!(refused(&server, &json!({"worktree": {"branch": branch}}), 400).contains("no branch of this name"));
    }
    for base in ["nowhere", "--all"] {
        assert!(refused(&server, &json!({"worktree": {"base": base}}), 400).contains("no commit"));
    }
    assert!(refused(&server, &json!({"worktree": 1}), 422).contains("boolean"));
    assert!(refused(&server, &json!({"worktree": {"branch": 1}}), 422).contains("branch"));
    assert!(refused(&server, &json!({"resume_session": "s"}), 400).contains("leave worktree out"));
    // A folder that is not in the commit.
    let part = server.project().join("later");
    fs::create_dir(&part).unwrap();
    assert!(refused(&server, &json!({"project_path": part}), 400).contains("no folder later"));
    assert!(server.worker_ids().is_empty(), "nothing is left of them");
    assert_eq!(git(&server.project(), &["worktree", "list", "--porcelain"]).matches("worktree ").count(), 1);
}

#[test]
fn a_server_without_git_says_so() {
    let mut server = server_for_programs("worktree-no-git", &[]);
    repository(&server);
    let bin = server.dir().join("bin");
    fs::create_dir(&bin).unwrap();
    server.set_env("PATH", bin.to_str().unwrap());
    server.start();
    let told = refused(&server, &json!({"ai_cli_type": "claude"}), 503);
    assert!(told.contains("git is not installed"), "{told}");
}

#[test]
fn a_worker_of_a_part_of_a_repository_works_in_that_part_of_its_worktree() {
    let server = start("worktree-part", &[]);
    let part = repository(&server).join("part");
    let worker = in_worktree(&server, &json!({"project_path": part}));
    let shown = worker.wait_status(&server, "idle");
    let path = folder(&server, &worker);
    assert_eq!(shown["project_path"], json!(path.join("part")));
    let cwd = fs::read_link(format!("/proc/{}/cwd", shown["pid"])).unwrap();
    assert_eq!(cwd, path.join("part"));
}

#[test]
fn the_same_idempotency_key_is_the_same_worktree() {
    let server = start("worktree-twice", &[]);
    let project = repository(&server);
    let wanted = json!({"worktree": {"branch": "topic"}, "idempotency_key": "k"});
    let one = in_worktree(&server, &wanted);
    let same = in_worktree(&server, &wanted);
    assert_eq!(one.id, same.id);
    assert_eq!(git(&project, &["worktree", "list", "--porcelain"]).matches("worktree ").count(), 2);
}

#[test]
fn project_roots_hold_the_repository_and_the_worktree_may_be_elsewhere() {
    let mut server = server_for_programs("worktree-roots", &[]);
    let project = repository(&server);
    server.set_env("PROJECT_ROOTS", project.to_str().unwrap());
    server.start();
    let worker = in_worktree(&server, &json!({}));
    worker.wait_status(&server, "idle");
    server.get(&worker.path("/diff")).expect(200);
    worker.call(&server, "restart").expect(200);
    worker.wait_status(&server, "idle");
    // A repository that reaches out of the roots is not brought in by a folder of it.
    server.kill9();
    server.set_env("PROJECT_ROOTS", project.join("part").to_str().unwrap());
    server.start();
    assert!(refused(&server, &json!({"project_path": project.join("part")}), 400).contains("PROJECT_ROOTS"));
    worker.call(&server, "stop").expect(200);
    let told = worker.call(&server, "start").expect(400).text();
    assert!(told.contains("PROJECT_ROOTS"), "{told}");
}

#[test]
fn no_program_that_the_repository_names_is_run() {
    let server = start("worktree-hostile", &[]);
    let project = repository(&server);
    let ran = server.dir().join("ran");
    let script = server.dir().join("script");
    fs::write(&script, format!("#!/bin/sh\necho \"$0 $*\" >> '{}'\ncat\n", ran.display())).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let program = script.to_str().unwrap();
    fs::write(project.join(".gitattributes"), "* filter=evil diff=evil\n").unwrap();
    git(&project, &["add", "."]);
    git(&project, &["commit", "-q", "-m", "attributes"]);
    for hook in ["post-checkout", "post-index-change", "reference-transaction"] {
        fs::create_dir_all(project.join(".git/hooks")).unwrap();
        fs::copy(&script, project.join(".git/hooks").join(hook)).unwrap();
    }
    let included = project.join(".git/more");
    fs::write(&included, format!("[filter \"evil\"]\n smudge = {program}\n clean = {program}\n required = true\n"))
        .unwrap();
    for (name, value) in [
        ("include.path", included.to_str().unwrap()),
        ("core.fsmonitor", program),
        ("diff.external", program),
        ("diff.evil.textconv", program),
        ("core.pager", program),
        ("core.sshCommand", program),
    ] {
        git(&project, &["config", name, value]);
    }
    let worker = in_worktree(&server, &json!({}));
    let path = folder(&server, &worker);
    assert_eq!(fs::read_to_string(path.join("a.txt")).unwrap(), "first\n");
    fs::write(path.join("a.txt"), "changed\n").unwrap();
    fs::write(path.join("new.txt"), "new\n").unwrap();
    let diff = server.get(&worker.path("/diff")).expect(200).json();
    assert!(diff["diff"].as_str().unwrap().contains("+changed"), "{diff}");
    delete_refused(&server, &worker);
    server.delete(&worker.path("?force=true")).expect(200);
    assert_eq!(fs::read_to_string(&ran).unwrap_or_default(), "", "a program of the repository was run");
}

/// A `git` that does not come back from making a worktree, after `before` was done, for as long as its caller lives.
fn hanging_git(server: &mut TestServer, before: &str) -> PathBuf {
    let bin = server.dir().join("bin");
    fs::create_dir_all(&bin).unwrap();
    let path = std::env::var("PATH").unwrap();
    let real = std::env::split_paths(&path).map(|dir| dir.join("git")).find(|file| file.exists()).unwrap();
    let (real, reached) = (real.display().to_string(), server.dir().join("reached"));
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in *'worktree add'*) {};;\n*) exec {real} \"$@\";; esac\n\
         touch {}\nwhile kill -0 $PPID 2>/dev/null; do sleep 0.05; done\n",
        before
            .replace("GIT_DIR_OF", "sed -n 's/^gitdir: //p'")
            .replace("$tree)", "$tree/.git)")
            .replace("GIT", &format!("{real} \"$@\"")),
        reached.display(),
    );
    fs::write(bin.join("git"), script).unwrap();
    fs::set_permissions(bin.join("git"), fs::Permissions::from_mode(0o755)).unwrap();
    server.set_env("PATH", &format!("{}:{path}", bin.display()));
    reached
}

/// A server that is killed while it makes a worktree has a worker that can be started as if nothing had been.
#[track_caller]
fn killed_while_making(name: &str, before: &str) {
    let mut server = server_for_programs(name, &[]);
    let project = repository(&server);
    let reached = hanging_git(&mut server, before);
    server.start();
    let (addr, body) = (
        server.client.clone(),
        json!({"name": "torn", "project_path": project, "ai_cli_type": "program", "args": IDLE, "worktree": {"branch": "topic"}}),
    );
    let asking = std::thread::spawn(move || {
        addr.try_request("POST", "/api/workers", &[("content-type", "application/json")], body.to_string().as_bytes())
    });
    eventually(DEADLINE, "git is at work", || reached.exists().then_some(()));
    server.kill9();
    let _ = asking.join();
    server.set_env("PATH", &std::env::var("PATH").unwrap());
    server.start();
    let [id] = server.worker_ids().try_into().expect("one worker");
    let worker = TestWorker { id };
    worker.call(&server, "start").expect(200);
    worker.wait_status(&server, "idle");
    let path = folder(&server, &worker);
    assert_eq!(git(&path, &["symbolic-ref", "--short", "HEAD"]), "topic");
    assert_eq!(git(&path, &["status", "--porcelain"]), "", "it is whole");
    server.delete(&worker.path("")).expect(200);
    assert_eq!(git(&project, &["worktree", "list", "--porcelain"]).matches("worktree ").count(), 1);
    assert_eq!(git(&project, &["branch", "--list", "topic"]), "");
}

#[test]
fn a_server_that_is_killed_before_git_has_begun_blocks_nothing() {
    killed_while_making("worktree-torn-before", ":");
}

#[test]
fn a_server_that_is_killed_after_git_has_ended_blocks_nothing() {
    killed_while_making("worktree-torn-after", "GIT");
}

#[test]
fn a_worktree_that_git_left_half_made_is_made_whole() {
    // As git leaves it when it is killed in mid-checkout: known, locked, and with files missing.
    let half = "GIT; for a in \"$@\"; do case $a in */worktrees/*) tree=$a;; esac; done; \
                echo initializing > \"$(GIT_DIR_OF $tree)/locked\"; rm $tree/a.txt";
    killed_while_making("worktree-torn-half", half);
}

#[test]
fn a_worktree_that_was_removed_by_hand_is_made_again_with_its_commits() {
    let server = start("worktree-gone", &[]);
    repository(&server);
    let worker = in_worktree(&server, &json!({}));
    let path = folder(&server, &worker);
    fs::write(path.join("a.txt"), "kept\n").unwrap();
    git(&path, &["commit", "-q", "-a", "-m", "kept"]);
    worker.call(&server, "stop").expect(200);
    fs::remove_dir_all(&path).unwrap();
    worker.call(&server, "start").expect(200);
    worker.wait_status(&server, "idle");
    assert_eq!(fs::read_to_string(path.join("a.txt")).unwrap(), "kept\n");
    // And a worker whose worktree is gone can be deleted: its branch has the commits.
    worker.call(&server, "stop").expect(200);
    fs::remove_dir_all(&path).unwrap();
    let message = server.delete(&worker.path("")).expect(200).json()["message"].to_string();
    assert!(message.contains("is kept"), "{message}");
}

#[test]
fn a_fork_works_in_the_same_worktree_and_the_command_line_makes_and_deletes_one() {
    let server = start("worktree-cli", &[]);
    let project = repository(&server);
    assert!(clis::fake_cli().exists());
    let run = |args: &[&str]| server.command(args.iter().copied()).output().unwrap();
    let made = run(&["new", "bob", project.to_str().unwrap(), "--cli", "claude", "--worktree"]);
    assert!(made.status.success(), "{made:?}");
    let bob = TestWorker { id: String::from_utf8(made.stdout).unwrap().trim().to_owned() };
    bob.wait_status(&server, "idle");
    bob.say(&server, "hello");
    bob.wait_turn(&server, 1);
    let fork = server.post(&bob.path("/fork"), &json!({})).expect(201).json();
    assert_eq!(fork["project_path"], bob.show(&server)["project_path"]);
    assert_eq!(fork["worktree"], Value::Null);
    server.delete(&format!("/api/workers/{}", fork["id"].as_str().unwrap())).expect(200);
    fs::write(folder(&server, &bob).join("new.txt"), "x").unwrap();
    let refused = run(&["rm", "bob"]);
    assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("new.txt"), "{refused:?}");
    assert!(run(&["rm", "bob", "--force"]).status.success());
    assert!(server.worker_ids().is_empty());
}
