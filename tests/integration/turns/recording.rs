//! Recorded trees: their contents, and the files that they leave out.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use serde_json::json;

use super::{SHELL, changes, kept, repository, start, trees, turn, turns, worker};
use crate::support::wait::{DEADLINE, eventually};
use crate::support::workers::TestWorker;
use crate::worktree::{git, repository_at, try_git};

#[test]
fn turn_is_recorded_with_all_its_changes() {
    let server = start("turns-changes", &[]);
    let project = repository(&server);
    fs::write(project.join(".gitignore"), "ignored\n").unwrap();
    fs::write(project.join("own.txt"), "a person's, not committed\n").unwrap();
    let worker = worker(&server, &json!({}));
    let first = turn(
        &server,
        &worker,
        "echo more >> a.txt; rm part/b.txt; printf 'x\\000y' > picture; echo n > 'näme 名.txt'; echo no > ignored; ln -s a.txt link",
    );
    assert_eq!(
        changes(&server, &project, &worker, &first),
        ["M a.txt", "A link", "A näme 名.txt", "D part/b.txt", "A picture"]
    );
    assert_eq!((&first["changed"], &first["late"]), (&json!(true), &json!(false)));
    let [before, after] = trees(&server, &worker, &first);
    assert_eq!(git(&project, &["show", &format!("{before}:own.txt")]), "a person's, not committed");
    let second = turn(&server, &worker, "true");
    assert_eq!(second["changed"], false);
    assert_eq!(kept(&project, &worker).len(), 2);
    assert!(kept(&project, &worker).contains(&after));
    let third = turn(&server, &worker, "mv a.txt c.txt; chmod +x c.txt");
    assert_eq!(changes(&server, &project, &worker, &third), ["D a.txt", "A c.txt"]);
    git(&project, &["fsck", "--strict", "--full"]);
    git(&project, &["gc", "-q", "--prune=now"]);
    git(&project, &["cat-file", "-e", &format!("{before}:part/b.txt")]);
    let fourth = turn(&server, &worker, "echo again > part-of-it");
    assert_eq!(changes(&server, &project, &worker, &fourth), ["A part-of-it"]);

    let of = |turn: &serde_json::Value| {
        let turn = turn["turn_id"].as_str().unwrap();
        server.get(&worker.path(&format!("/diff?scope=turn&turn={turn}"))).expect(200).json()
    };
    let answer = of(&first);
    assert!(answer["diff"].as_str().unwrap().contains("\n+more\n"), "{answer}");
    assert_eq!(answer["files"].as_array().unwrap().len(), 5, "{answer}");
    assert_eq!(answer["turns"].as_array().unwrap().len(), 4);
    assert_eq!(of(&second)["diff"], "");
    server.get(&worker.path("/diff?scope=turn&turn=none")).expect(404);
    server.get(&worker.path("/diff?scope=turn")).expect(422);

    let steps = server.get(&worker.path("/file-history?path=a.txt")).expect(200).json();
    let steps: Vec<_> =
        steps["steps"].as_array().unwrap().iter().map(|step| (&step["turn_id"], &step["change"])).collect();
    assert_eq!(steps, [(&third["turn_id"], &json!("deleted")), (&first["turn_id"], &json!("modified"))]);
}

#[test]
fn recording_touches_neither_index_nor_files_nor_log() {
    let server = start("turns-untouched", &[]);
    let project = repository(&server);
    fs::write(project.join("staged.txt"), "staged\n").unwrap();
    git(&project, &["add", "staged.txt"]);
    fs::write(project.join("staged.txt"), "staged and changed\n").unwrap();
    let worker = worker(&server, &json!({}));
    let seen = || {
        let of = |name: &str| fs::metadata(project.join(name)).unwrap().modified().unwrap();
        let index = (of(".git/index"), fs::read(project.join(".git/index")).unwrap());
        (index, of("staged.txt"), fs::read(project.join(".git/HEAD")).unwrap(), of("a.txt"))
    };
    let before = seen();
    turn(&server, &worker, "echo new > new.txt");
    assert!(before == seen(), "nothing but the object folder and the reference is new");
    assert_eq!(git(&project, &["log", "--all", "--oneline"]).lines().count(), 1);
    assert_eq!(git(&project, &["status", "--porcelain"]), "AM staged.txt\n?? new.txt");
}

#[test]
fn trees_end_with_their_worker_and_are_not_commits() {
    let server = start("turns-deleted", &[]);
    let project = repository(&server);
    let here = worker(&server, &json!({}));
    let there = worker(&server, &json!({"worktree": true}));
    turn(&server, &here, "echo x > x");
    turn(&server, &there, "echo x > x; rm x");
    assert!(!kept(&project, &there).is_empty());
    for worker in [&there, &here] {
        let answer = server.delete(&worker.path("")).expect(200).json();
        assert!(!answer.to_string().contains("kept"), "{answer}");
    }
    assert_eq!(git(&project, &["for-each-ref", "refs/rs-worker"]), "");
}

#[test]
fn nothing_is_recorded_when_off_or_without_a_repository() {
    let server = start("turns-off", &[("TURN_TREES", "false")]);
    let project = repository(&server);
    let off = worker(&server, &json!({}));
    off.say(&server, "echo x > x");
    off.wait_turn(&server, 1);
    assert_eq!(turns(&server, &off)["recording"], false);

    let on = start("turns-plain", &[]);
    fs::create_dir_all(on.project()).unwrap();
    let plain = worker(&on, &json!({}));
    plain.say(&on, "echo x > x");
    plain.wait_turn(&on, 1);
    plain.say(&on, "echo y > y");
    plain.wait_turn(&on, 2);
    for (server, worker, count) in [(&server, &off, 1), (&on, &plain, 2)] {
        assert_eq!(worker.controls(server, "tree_recorded"), [] as [serde_json::Value; 0]);
        let turns = turns(server, worker);
        assert_eq!(turns["turns"].as_array().unwrap().len(), count);
        assert_eq!(turns["turns"][0]["has_trees"], false);
    }
    assert_eq!(git(&project, &["for-each-ref", "refs/rs-worker"]), "");
}

#[test]
fn repositories_of_all_kinds_are_recorded() {
    let kinds: [(&str, &[&str]); 4] = [
        ("plain", &[]),
        ("reftable", &["--ref-format=reftable"]),
        ("sha256", &["--object-format=sha256"]),
        ("sparse", &[]),
    ];
    let server = start("turns-kinds", &[]);
    for (name, options) in kinds {
        let project = server.dir().join(format!("of-{name}"));
        fs::create_dir_all(&project).unwrap();
        if !try_git(&project, &[&["init", "-q"], options].concat()).status.success() {
            assert_eq!(name, "reftable", "only an old git does not know it");
            continue;
        }
        repository_at(&project);
        if name == "sparse" {
            git(&project, &["sparse-checkout", "set", "part"]);
            fs::remove_file(project.join("a.txt")).unwrap_or_default();
            git(&project, &["sparse-checkout", "set", "--no-cone", "part/"]);
        }
        let worker = worker(&server, &json!({"project_path": project, "worktree": name == "plain"}));
        let done = turn(&server, &worker, "echo more >> part/b.txt; echo n > part/new");
        assert_eq!(changes(&server, &project, &worker, &done), ["M part/b.txt", "A part/new"], "{name}");
        let [before, _] = trees(&server, &worker, &done);
        assert_eq!(git(&project, &["show", &format!("{before}:a.txt")]), "first", "{name}");
    }
}

#[test]
fn submodules_are_recorded_by_their_commit_and_not_entered() {
    let server = start("turns-submodule", &[]);
    let project = repository(&server);
    let other = server.dir().join("other");
    repository_at(&other);
    git(&project, &["submodule", "add", "-q", other.to_str().unwrap(), "sub"]);
    git(&project, &["commit", "-q", "-m", "sub"]);
    // A program that git would run if it entered the submodule.
    git(&project.join("sub"), &["config", "core.fsmonitor", &format!("touch {}/ran; false", server.dir().display())]);
    let worker = worker(&server, &json!({}));
    let commit = "git -C sub -c user.name=T -c user.email=t@e -c core.fsmonitor=false commit -q --allow-empty -m x";
    let done = turn(&server, &worker, &format!("echo x > sub/inside; git init -q own; echo y > own/file; {commit}"));
    assert_eq!(changes(&server, &project, &worker, &done), ["M sub"]);
    assert!(!server.dir().join("ran").exists());
}

#[test]
fn files_that_are_too_large_are_named_and_left_out() {
    let server = start("turns-large", &[]);
    let project = repository(&server);
    let worker = worker(&server, &json!({}));
    let done = turn(&server, &worker, "truncate -s 40M huge; echo x > small");
    assert_eq!(done["left_out"], json!(["huge"]));
    assert_eq!(changes(&server, &project, &worker, &done), ["A small"]);
    fs::remove_file(project.join("huge")).unwrap();
    let many = "for n in $(seq 40); do truncate -s 40M huge$n; done";
    worker.say(&server, many);
    let ended = eventually(DEADLINE, "the end of the turn", || {
        let turns = turns(&server, &worker);
        let turn = turns["turns"][0].clone();
        (turns["turns"].as_array().unwrap().len() == 2 && turn["ended_at"].is_string()).then_some(turn)
    });
    assert_eq!(ended["has_trees"], false, "too much is not recorded at all");
}

#[test]
fn hostile_folder_that_becomes_a_link_gives_nothing_away() {
    let server = start("turns-hostile", &[]);
    let project = repository(&server);
    let secrets = server.dir().join("secrets");
    fs::create_dir(&secrets).unwrap();
    fs::write(secrets.join("b.txt"), "the secret\n").unwrap();
    let worker = worker(&server, &json!({}));
    turn(&server, &worker, "true");
    let secret_id = git(&project, &["hash-object", secrets.join("b.txt").to_str().unwrap()]);
    // A link in place of a folder with a recorded file, and a filter program for its files.
    fs::remove_dir_all(project.join("part")).unwrap();
    symlink(&secrets, project.join("part")).unwrap();
    let ran = server.dir().join("ran");
    fs::write(project.join(".gitattributes"), "* filter=evil\n").unwrap();
    git(&project, &["config", "filter.evil.clean", &format!("touch {}; cat", ran.display())]);
    git(&project, &["config", "core.fsmonitor", &format!("touch {}; false", ran.display())]);
    let hook = project.join(".git/hooks/reference-transaction");
    fs::write(&hook, format!("#!/bin/sh\ntouch {}\n", ran.display())).unwrap();
    fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let done = turn(&server, &worker, "echo x > x");
    assert!(!ran.exists(), "no program of the repository runs");
    assert!(!try_git(&project, &["cat-file", "-e", &secret_id]).status.success(), "the secret is not an object");
    let [before, _] = trees(&server, &worker, &done);
    assert!(git(&project, &["ls-tree", &before]).contains("120000"), "the link is recorded as one");
}

#[test]
fn damaged_index_of_ours_and_removed_reference_are_made_anew() {
    let server = start("turns-damaged", &[]);
    let project = repository(&server);
    let worker = worker(&server, &json!({}));
    turn(&server, &worker, "echo x > x");
    git(&project, &["update-ref", "-d", &format!("refs/rs-worker/{}/turns", worker.id)]);
    git(&project, &["gc", "-q", "--prune=now"]);
    for entry in fs::read_dir(worker.dir(&server)).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_str().unwrap().starts_with("turn-index-") {
            fs::write(path, "not an index").unwrap();
        }
    }
    let done = turn(&server, &worker, "echo y > y");
    assert_eq!(changes(&server, &project, &worker, &done), ["A y"]);
}

#[test]
fn folders_are_listed_within_the_project_alone() {
    let server = start("turns-tree", &[]);
    let project = repository(&server);
    fs::create_dir_all(project.join("part/deep")).unwrap();
    symlink("/etc", project.join("out")).unwrap();
    let worker = worker(&server, &json!({}));
    let list = |path: &str| server.get(&worker.path(&format!("/tree?path={path}")));
    let entries = |path: &str| -> Vec<String> {
        let listed = list(path).expect(200).json();
        listed["entries"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| format!("{} {}", it["kind"].as_str().unwrap(), it["name"].as_str().unwrap()))
            .collect()
    };
    assert_eq!(entries(""), ["folder part", "file a.txt", "link out"]);
    assert_eq!(entries("part"), ["folder deep", "file b.txt"]);
    for (path, status) in
        [("..", 400), ("/etc", 400), (".git", 400), ("part/../..", 400), ("out", 404), ("a.txt", 404), ("none", 404)]
    {
        list(path).expect(status);
    }
    // The folder of the project itself becomes a link.
    let moved = server.dir().join("moved");
    fs::rename(&project, &moved).unwrap();
    symlink(Path::new("/etc"), &project).unwrap();
    list("").expect(409);
}

#[test]
fn project_on_another_machine_is_refused_with_words() {
    let server = start("turns-elsewhere", &[("RUNNER", "none,ssh:nowhere.invalid")]);
    let project = repository(&server);
    let body = json!({"project_path": project, "runner": "ssh:nowhere.invalid", "args": []});
    let worker = TestWorker::create(&server, SHELL, &body);
    for path in ["/tree", "/file-history?path=a.txt"] {
        let refused = server.get(&worker.path(path)).expect(409).json();
        assert!(refused["detail"].as_str().unwrap().contains("on another machine"), "{refused}");
    }
}
