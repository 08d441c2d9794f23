//! Worktrees created for workers, and refusals.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{diff, folder, git, in_worktree, refused, repository, repository_at, start, try_git};
use crate::support::clis;
use crate::support::workers::{TestWorker, server_for_programs};

#[test]
fn several_workers_of_one_project_have_their_own_branches() {
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

    // Committed, uncommitted and untracked work is separate, and all of it is in the diff.
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
fn worktree_that_cannot_be_is_refused_with_what_to_do() {
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
    assert!(refused(&server, &json!({"resume_session": "s"}), 400).contains("omit worktree"));
    // A folder that is not in the commit.
    let part = server.project().join("later");
    fs::create_dir(&part).unwrap();
    assert!(refused(&server, &json!({"project_path": part}), 400).contains("no folder later"));
    assert!(server.worker_ids().is_empty(), "nothing is left of them");
    assert_eq!(git(&server.project(), &["worktree", "list", "--porcelain"]).matches("worktree ").count(), 1);
}

#[test]
fn server_without_git_reports_it() {
    let mut server = server_for_programs("worktree-no-git", &[]);
    repository(&server);
    let bin = server.dir().join("bin");
    fs::create_dir(&bin).unwrap();
    server.set_env("PATH", bin.to_str().unwrap());
    server.start();
    let reported = refused(&server, &json!({"ai_cli_type": "claude"}), 503);
    assert!(reported.contains("git is not installed"), "{reported}");
}

#[test]
fn worker_of_a_subfolder_works_there_in_its_worktree() {
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
fn project_roots_hold_the_repository_while_worktrees_may_be_elsewhere() {
    let mut server = server_for_programs("worktree-roots", &[]);
    let project = repository(&server);
    server.set_env("PROJECT_ROOTS", project.to_str().unwrap());
    server.start();
    let worker = in_worktree(&server, &json!({}));
    worker.wait_status(&server, "idle");
    server.get(&worker.path("/diff")).expect(200);
    worker.call(&server, "restart").expect(200);
    worker.wait_status(&server, "idle");
    // A repository that extends beyond the roots is not allowed by a folder of it.
    server.kill9();
    server.set_env("PROJECT_ROOTS", project.join("part").to_str().unwrap());
    server.start();
    assert!(refused(&server, &json!({"project_path": project.join("part")}), 400).contains("PROJECT_ROOTS"));
    worker.call(&server, "stop").expect(200);
    let reported = worker.call(&server, "start").expect(400).text();
    assert!(reported.contains("PROJECT_ROOTS"), "{reported}");
}

#[test]
fn worktree_removed_by_hand_is_made_again_with_its_commits() {
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
    // A worker whose worktree is gone can be deleted: its branch has the commits.
    worker.call(&server, "stop").expect(200);
    fs::remove_dir_all(&path).unwrap();
    let message = server.delete(&worker.path("")).expect(200).json()["message"].to_string();
    assert!(message.contains("is kept"), "{message}");
}

#[test]
fn fork_shares_the_worktree_and_the_command_line_manages_one() {
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

#[test]
fn worktrees_of_all_formats_work_with_plain_git() {
    let server = start("worktree-formats", &[]);
    type Set<'a> = (&'a str, &'a [&'a str], &'a dyn Fn(&Path) -> PathBuf);
    let linked = |project: &Path| {
        let tree = project.with_extension("linked");
        git(project, &["worktree", "add", "-q", tree.to_str().unwrap()]);
        tree
    };
    let sparse = |project: &Path| {
        git(project, &["sparse-checkout", "set", "part"]);
        project.to_owned()
    };
    let crlf = |project: &Path| {
        git(project, &["config", "core.autocrlf", "true"]);
        project.to_owned()
    };
    let packed = |project: &Path| {
        git(project, &["gc", "-q"]);
        project.to_owned()
    };
    let submodule = |project: &Path| {
        let outer = project.with_extension("outer");
        repository_at(&outer);
        git(&outer, &["submodule", "--quiet", "add", project.to_str().unwrap(), "sub"]);
        outer.join("sub")
    };
    let borrowed = |project: &Path| {
        let clone = project.with_extension("borrowed");
        git(project, &["clone", "-q", "--shared", ".", clone.to_str().unwrap()]);
        clone
    };
    let same = |project: &Path| project.to_owned();
    let sets: [Set<'_>; 9] = [
        ("plain", &[], &same),
        ("sha256", &["--object-format=sha256"], &same),
        ("reftable", &["--ref-format=reftable"], &same),
        ("linked", &[], &linked),
        ("sparse", &[], &sparse),
        ("crlf", &[], &crlf),
        ("packed", &[], &packed),
        ("submodule", &[], &submodule),
        ("borrowed", &[], &borrowed),
    ];
    for (name, options, change) in sets {
        let project = server.dir().join(format!("formats/{name}"));
        fs::create_dir_all(&project).unwrap();
        if !try_git(&project, &[&["init", "-q"], options].concat()).status.success() {
            assert_eq!(name, "reftable", "only an old git does not know it");
            continue;
        }
        repository_at(&project);
        let project = change(&project);
        let worker = in_worktree(&server, &json!({"name": name, "project_path": project}));
        let tree = folder(&server, &worker);
        assert_eq!(git(&tree, &["status", "--porcelain"]), "", "{name}");
        assert_eq!(tree.join("a.txt").exists(), name != "sparse" || tree.join("a.txt").exists(), "{name}");
        let ends = if name == "crlf" { "second\r\n" } else { "second\n" };
        assert_eq!(fs::read_to_string(tree.join("part/b.txt")).unwrap(), ends, "{name}");
        assert_eq!(diff(&server, &worker)["diff"], "", "{name}");
        fs::write(tree.join("part/b.txt"), "more\n").unwrap();
        git(&tree, &["commit", "-q", "-a", "-m", "more"]);
        git(&tree, &["fsck"]);
        assert!(diff(&server, &worker)["diff"].as_str().unwrap().contains("+more"), "{name}");
        let branch = worker.show(&server)["worktree"]["branch"].as_str().unwrap().to_owned();
        git(&tree, &["checkout", "-q", "--detach"]);
        let lost = git(&tree, &["commit-tree", "-p", "HEAD", "-m", "lost", "HEAD^{tree}"]);
        git(&tree, &["checkout", "-q", &lost]);
        let message = server.delete(&worker.path("?force=true")).expect(200).json()["message"].to_string();
        assert!(message.contains(&lost[..12]) && message.contains("1 commit of its own"), "{name}: {message}");
        assert!(!tree.exists());
        assert_eq!(git(&project, &["log", "-1", "--format=%s", &branch]), "more", "{name}");
        git(&project, &["fsck"]);
        let kept = git(&project, &["worktree", "list", "--porcelain"]);
        assert!(!kept.contains(tree.to_str().unwrap()), "{name}: {kept}");
    }
}
