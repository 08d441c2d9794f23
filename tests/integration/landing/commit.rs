//! Commits of what an agent has changed.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::process::Command;

use serde_json::json;

use super::{Scene, commit, git, prepared, set_person, shown};
use crate::support::require::require_program;

#[test]
fn person_commits_everything_an_agent_changed() {
    let scene = Scene::new("commit-all");
    let tree = &scene.tree;
    fs::write(tree.join("a.txt"), "one\nTWO\nthree\n").unwrap();
    fs::remove_file(tree.join("part/b.txt")).unwrap();
    fs::write(tree.join("grüße und mehr.txt"), "hello\n").unwrap();
    fs::write(tree.join("run.sh"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(tree.join("run.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(tree.join("data.bin"), [0_u8, 255, 1, 0, 13, 10]).unwrap();
    symlink("a.txt", tree.join("link")).unwrap();
    git(tree, &["add", "run.sh"]);
    let dry = scene.dry_run();
    let changed = json!(["a.txt", "data.bin", "grüße und mehr.txt", "link", "part/b.txt", "run.sh"]);
    assert_eq!((&dry["uncommitted"], &dry["author"]), (&changed, &json!("Person <person@example.org>")));
    let made = scene.post("/commit", &json!({"message": "All of it\n\nwith words"}), 200);
    assert_eq!((&made["branch"], &made["files"]), (&json!("topic"), &changed));
    assert_eq!(git(tree, &["rev-parse", "topic"]), made["commit"].as_str().unwrap());
    let log = git(tree, &["log", "-1", "--format=%an <%ae>|%cn <%ce>|%B"]);
    assert_eq!(log, "Person <person@example.org>|Person <person@example.org>|All of it\n\nwith words");
    let listed = git(tree, &["-c", "core.quotePath=false", "ls-tree", "-r", "HEAD"]);
    assert!(listed.contains("100755") && listed.contains("120000") && listed.contains("grüße und mehr.txt"));
    assert!(!listed.contains("b.txt"));
    scene.assert_clean(tree);
    assert_eq!(scene.refused("/commit", &json!({"message": "again"})).0, "nothing_to_commit");
    let notice = scene.worker.wait_event(&scene.server, "notice", 1);
    assert_eq!((&notice["code"], &notice["content"]), (&json!("branch_moved"), &json!("Committed 6 files: All of it")));
    let log = git(tree, &["reflog", "-1", "--format=%gs"]);
    assert_eq!(log, "rs-worker: Committed 6 files: All of it");
}

#[test]
fn chosen_files_are_committed_and_the_rest_stays_staged() {
    let scene = Scene::new("commit-chosen");
    let tree = &scene.tree;
    fs::write(tree.join("a.txt"), "chosen\n").unwrap();
    fs::write(tree.join("part/b.txt"), "staged\n").unwrap();
    git(tree, &["add", "part/b.txt"]);
    fs::write(tree.join("part/b.txt"), "staged and changed\n").unwrap();
    fs::write(tree.join("new.txt"), "new\n").unwrap();
    let made = scene.post("/commit", &json!({"message": "one", "files": ["a.txt"]}), 200);
    assert_eq!(made["files"], json!(["a.txt"]));
    assert_eq!(git(tree, &["diff", "--name-only", "HEAD~1", "HEAD"]), "a.txt");
    assert_eq!(git(tree, &["status", "--porcelain"]), "MM part/b.txt\n?? new.txt");
    assert_eq!(shown(tree, ":part/b.txt"), "staged");
    let unknown = scene.post("/commit", &json!({"message": "x", "files": ["a.txt"]}), 400);
    assert_eq!(unknown["field"], "files");
    scene.post("/commit", &json!({"message": " "}), 422);
    scene.post("/commit", &json!({"message": "x", "files": []}), 422);
}

#[test]
fn line_ends_are_stored_as_the_attributes_say() {
    let scene = Scene::new("commit-crlf");
    let tree = &scene.tree;
    commit(tree, ".gitattributes", "*.txt text eol=crlf\n*.bin -text\n");
    fs::write(tree.join("new.txt"), "a\r\nb\r\n").unwrap();
    fs::write(tree.join("raw.bin"), "a\r\n").unwrap();
    scene.post("/commit", &json!({"message": "ends"}), 200);
    let size = |what: &str| git(tree, &["cat-file", "-s", what]);
    assert_eq!((size("HEAD:new.txt"), size("HEAD:raw.bin")), ("4".to_owned(), "3".to_owned()));
    scene.assert_clean(tree);
}

#[test]
fn commit_is_refused_in_a_merge_without_branch_or_name() {
    let scene = Scene::new("commit-refused");
    let tree = &scene.tree;
    commit(&scene.project, "a.txt", "theirs\n");
    commit(tree, "a.txt", "ours\n");
    assert!(!super::try_git(tree, &["merge", "-q", "main"]).status.success());
    let (code, answer) = scene.refused("/commit", &json!({"message": "x"}));
    assert_eq!(code, "in_progress");
    assert!(answer["detail"].as_str().unwrap().contains("a merge is in progress"));
    git(tree, &["merge", "--abort"]);
    fs::write(tree.join("new.txt"), "new\n").unwrap();
    git(tree, &["checkout", "-q", "--detach"]);
    assert!(scene.refused("/commit", &json!({"message": "x"})).1["detail"].as_str().unwrap().contains("no branch"));
    git(tree, &["checkout", "-q", "topic"]);
    fs::write(scene.server.dir().join("home/.gitconfig"), "").unwrap();
    // An agent can write the repository's own author name.
    git(tree, &["config", "user.name", "Agent"]);
    git(tree, &["config", "user.email", "agent@example.org"]);
    let (code, answer) = scene.refused("/commit", &json!({"message": "x"}));
    assert_eq!(code, "no_author");
    assert!(answer["detail"].as_str().unwrap().contains("git config --global user.name"), "{answer}");
    assert_eq!(scene.dry_run()["author"], json!(null));
}

#[test]
fn hooks_filters_and_signing_programs_of_the_repository_never_run() {
    let scene = Scene::new("commit-traps");
    let (tree, ran) = (&scene.tree, scene.server.dir().join("ran"));
    let evil = scene.server.dir().join("evil");
    fs::write(&evil, format!("#!/bin/sh\necho run >> '{}'\ncat\n", ran.display())).unwrap();
    fs::set_permissions(&evil, fs::Permissions::from_mode(0o755)).unwrap();
    let evil = evil.to_str().unwrap();
    let hooks = [
        "pre-commit",
        "commit-msg",
        "prepare-commit-msg",
        "post-commit",
        "reference-transaction",
        "post-checkout",
        "post-index-change",
        "post-merge",
        "pre-rebase",
        "post-rewrite",
    ];
    for hook in hooks {
        fs::copy(evil, scene.project.join(".git/hooks").join(hook)).unwrap();
    }
    for (name, value) in [
        ("gpg.program", evil),
        ("commit.gpgSign", "true"),
        ("core.fsmonitor", evil),
        ("core.editor", evil),
        ("filter.evil.clean", evil),
        ("filter.evil.smudge", evil),
        ("merge.evil.driver", evil),
    ] {
        git(&scene.project, &["config", name, value]);
    }
    fs::write(tree.join("a.txt"), "changed\n").unwrap();
    scene.post("/commit", &json!({"message": "quiet"}), 200);
    fs::write(tree.join(".gitattributes"), "*.txt merge=evil\n").unwrap();
    scene.post("/commit", &json!({"message": "attributes"}), 200);
    scene.post("/land", &json!({"strategy": "squash"}), 200);
    fs::write(tree.join(".gitattributes"), "*.txt filter=evil\n").unwrap();
    fs::write(tree.join("new.txt"), "x\n").unwrap();
    let (code, answer) = scene.refused("/commit", &json!({"message": "filtered"}));
    assert_eq!((code.as_str(), &answer["files"]), ("filtered", &json!(["new.txt"])));
    assert!(!ran.exists(), "nothing was run");
    // The traps work.
    let _ = super::try_git(tree, &["commit", "-q", "-a", "-m", "x"]);
    assert!(ran.exists());
}

#[test]
fn commits_are_signed_as_the_user_has_set() {
    let server = prepared("commit-signed", &[]);
    let key = server.dir().join("home/key");
    if require_program("ssh-keygen").is_none() {
        return;
    }
    let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key).status();
    assert!(made.unwrap().success());
    let signing = format!("\tsigningkey = {}.pub\n[commit]\n\tgpgsign = true\n[gpg]\n\tformat = ssh\n", key.display());
    set_person(&server, &signing);
    let scene = Scene::started(server);
    fs::write(scene.tree.join("a.txt"), "signed\n").unwrap();
    assert_eq!(scene.dry_run()["signs"], true);
    scene.post("/commit", &json!({"message": "signed"}), 200);
    assert!(git(&scene.tree, &["cat-file", "commit", "HEAD"]).contains("gpgsig -----BEGIN SSH SIGNATURE-----"));
}
