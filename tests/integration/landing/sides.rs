//! Two sides that git can combine or not: kinds of conflicts, and files of all kinds.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use serde_json::{Value, json};

use super::{Scene, commit, git};

/// Conflicts by path.
#[track_caller]
fn kinds(answer: &Value) -> BTreeMap<String, String> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    answer["conflicts"].as_array().unwrap().iter().map(|it| (text(&it["path"]), text(&it["kind"]))).collect()
}

#[test]
fn conflicts_of_each_kind_are_named_and_nothing_is_changed() {
    let scene = Scene::new("sides-conflicts");
    let side = &scene.project;
    fs::write(side.join("gone.txt"), "gone\n").unwrap();
    fs::write(side.join("moved.txt"), "a\nb\nc\nd\ne\nf\n").unwrap();
    fs::write(side.join("picture.bin"), [0_u8, 1, 2]).unwrap();
    commit(side, "grüße.txt", "hello\n");
    git(&scene.tree, &["merge", "-q", "--ff-only", "main"]);
    // The agent's side.
    fs::write(scene.tree.join("a.txt"), "one\nagent\nthree\n").unwrap();
    fs::write(scene.tree.join("gone.txt"), "still there\n").unwrap();
    git(&scene.tree, &["mv", "moved.txt", "renamed.txt"]);
    fs::write(scene.tree.join("picture.bin"), [0_u8, 9, 9]).unwrap();
    commit(&scene.tree, "grüße.txt", "agent\n");
    // The other author's side.
    fs::write(scene.project.join("a.txt"), "one\nsomebody\nthree\n").unwrap();
    fs::remove_file(scene.project.join("gone.txt")).unwrap();
    fs::remove_file(scene.project.join("moved.txt")).unwrap();
    fs::write(scene.project.join("picture.bin"), [0_u8, 7, 7]).unwrap();
    commit(&scene.project, "grüße.txt", "somebody\n");
    let refs = scene.refs();
    let found = kinds(&scene.dry_run());
    assert_eq!(found["a.txt"], "contents");
    assert_eq!(found["grüße.txt"], "contents");
    assert_eq!(found["gone.txt"], "modify/delete");
    assert_eq!(found["renamed.txt"], "rename/delete");
    assert_eq!(found["picture.bin"], "binary");
    for (what, body) in [
        ("/land", json!({"strategy": "merge"})),
        ("/land", json!({"strategy": "squash"})),
        ("/land", json!({"strategy": "rebase"})),
        ("/update", json!({"strategy": "merge"})),
        ("/update", json!({"strategy": "rebase"})),
    ] {
        let (code, answer) = scene.refused(what, &body);
        assert_eq!(code, "conflicts", "{what} {body}");
        assert!(kinds(&answer).contains_key("a.txt"));
        let ask = answer["ask"].as_str().unwrap();
        let verb = if body["strategy"] == "rebase" { "git rebase main" } else { "git merge main" };
        assert!(ask.contains(verb) && ask.contains("- a.txt (contents)"), "{ask}");
    }
    assert_eq!(scene.refs(), refs);
    scene.assert_clean(&scene.tree);
    scene.assert_clean(&scene.project);
}

#[test]
fn files_of_all_kinds_land_with_the_checkout() {
    let scene = Scene::new("sides-kinds");
    commit(&scene.project, "dir/inner.txt", "x\n");
    git(&scene.tree, &["merge", "-q", "--ff-only", "main"]);
    let tree = &scene.tree;
    // A folder becomes a file, a file becomes a folder, a file becomes a link, and one becomes a program.
    fs::remove_dir_all(tree.join("dir")).unwrap();
    fs::write(tree.join("dir"), "a file now\n").unwrap();
    fs::remove_dir_all(tree.join("part")).unwrap();
    symlink("dir", tree.join("part")).unwrap();
    fs::remove_file(tree.join("a.txt")).unwrap();
    fs::create_dir_all(tree.join("a.txt/deep")).unwrap();
    fs::write(tree.join("a.txt/deep/file name.txt"), "deep\n").unwrap();
    fs::write(tree.join("grüße.sh"), "#!/bin/sh\r\n").unwrap();
    fs::write(tree.join("data.bin"), [0_u8, 255, 13, 10]).unwrap();
    fs::write(tree.join(".gitattributes"), "*.crlf text eol=crlf\n").unwrap();
    fs::write(tree.join("windows.crlf"), "a\r\nb\r\n").unwrap();
    fs::set_permissions(tree.join("grüße.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    git(tree, &["add", "-A"]);
    git(tree, &["commit", "-q", "-m", "kinds"]);
    scene.post("/land", &json!({"strategy": "squash"}), 200);
    let at = |name: &str| fs::read(scene.project.join(name)).unwrap();
    assert_eq!(at("dir"), b"a file now\n");
    assert_eq!(at("a.txt/deep/file name.txt"), b"deep\n");
    assert_eq!(at("grüße.sh"), b"#!/bin/sh\r\n");
    assert_eq!(at("data.bin"), [0_u8, 255, 13, 10]);
    assert_eq!(at("windows.crlf"), b"a\r\nb\r\n");
    assert_eq!(fs::read_link(scene.project.join("part")).unwrap(), Path::new("dir"));
    let mode = fs::metadata(scene.project.join("grüße.sh")).unwrap().permissions().mode();
    assert_eq!(mode & 0o100, 0o100, "it is a program");
    scene.assert_clean(&scene.project);
    assert_eq!(git(&scene.project, &["rev-parse", "main^{tree}"]), git(tree, &["rev-parse", "topic^{tree}"]));
    // The reverse changes.
    git(tree, &["reset", "-q", "--hard", "main"]);
    git(tree, &["revert", "--no-edit", "HEAD"]);
    scene.post("/land", &json!({"strategy": "squash"}), 200);
    assert_eq!(at("dir/inner.txt"), b"x\n");
    assert_eq!(at("a.txt"), b"one\ntwo\nthree\n");
    scene.assert_clean(&scene.project);
}

#[test]
fn line_ends_of_a_checkout_are_those_of_its_settings() {
    let scene = Scene::new("sides-crlf");
    git(&scene.project, &["config", "core.autocrlf", "true"]);
    git(&scene.project, &["rm", "-q", "--cached", "-r", "."]);
    git(&scene.project, &["reset", "-q", "--hard"]);
    commit(&scene.tree, "a.txt", "one\r\nTWO\r\nthree\r\n");
    scene.post("/land", &json!({"strategy": "squash"}), 200);
    assert_eq!(fs::read_to_string(scene.project.join("a.txt")).unwrap(), "one\r\nTWO\r\nthree\r\n");
    assert_eq!(git(&scene.project, &["cat-file", "-s", "main:a.txt"]), "14");
    scene.assert_clean(&scene.project);
}

#[test]
fn submodules_are_landed_as_commits_and_not_entered() {
    let scene = Scene::new("sides-submodule");
    let inner = scene.server.dir().join("inner");
    fs::create_dir(&inner).unwrap();
    git(&inner, &["init", "-q"]);
    commit(&inner, "x.txt", "x\n");
    git(&scene.tree, &["submodule", "--quiet", "add", inner.to_str().unwrap(), "sub"]);
    git(&scene.tree, &["commit", "-q", "-m", "submodule"]);
    scene.post("/land", &json!({"strategy": "squash"}), 200);
    assert!(git(&scene.project, &["ls-files", "--stage", "sub"]).starts_with("160000"));
    assert!(scene.project.join("sub").is_dir());
    scene.assert_clean(&scene.project);
    // Its next commit is one more change, which a commit of the server's takes.
    commit(&scene.tree.join("sub"), "x.txt", "moved\n");
    let head = git(&scene.tree.join("sub"), &["rev-parse", "HEAD"]);
    assert_eq!(scene.dry_run()["uncommitted"], json!(["sub"]));
    scene.post("/commit", &json!({"message": "moved"}), 200);
    assert!(git(&scene.tree, &["ls-tree", "HEAD", "sub"]).contains(&head));
    scene.assert_clean(&scene.tree);
    scene.post("/land", &json!({"strategy": "rebase"}), 200);
    assert!(git(&scene.project, &["ls-tree", "main", "sub"]).contains(&head));
}

#[test]
fn landings_work_in_all_formats_of_repositories() {
    let server = super::prepared("sides-formats", &[]);
    let scene = Scene::started(server);
    for options in [&["--object-format=sha256"][..], &["--ref-format=reftable"]] {
        let project = scene.server.dir().join(options[0].trim_start_matches('-'));
        fs::create_dir(&project).unwrap();
        if !super::try_git(&project, &[&["init", "-q"], options].concat()).status.success() {
            assert_eq!(options[0], "--ref-format=reftable", "only an old git does not know it");
            continue;
        }
        commit(&project, "a.txt", "first\n");
        let body = json!({"args": super::IDLE, "project_path": project, "worktree": {"branch": "topic"}});
        let worker = crate::support::workers::TestWorker::create(&scene.server, "program", &body);
        let tree = worker.show(&scene.server)["worktree"]["path"].as_str().unwrap().to_owned();
        fs::write(Path::new(&tree).join("a.txt"), "ours\n").unwrap();
        scene.server.post(&worker.path("/commit"), &json!({"message": "ours"})).expect(200);
        assert_eq!(git(Path::new(&tree), &["status", "--porcelain"]), "");
        commit(&project, "b.txt", "theirs\n");
        scene.server.post(&worker.path("/update"), &json!({"strategy": "rebase"})).expect(200);
        scene.server.post(&worker.path("/land"), &json!({"strategy": "squash"})).expect(200);
        assert_eq!(fs::read_to_string(project.join("a.txt")).unwrap(), "ours\n");
        assert_eq!(git(&project, &["status", "--porcelain"]), "", "{options:?}");
        git(&project, &["fsck"]);
    }
}
