//! Diffs and lists of files: their format, their limits, and git's failures.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;

use super::crash::wrapped_git;
use super::{diff, git, in_project, repository, repository_at, start};
use crate::support::http::Raw;
use crate::support::server::TestServer;
use crate::support::wait::{DEADLINE, eventually};
use crate::support::workers::{TestWorker, server_for_programs};

/// Returns the files of a project that match a few letters.
#[track_caller]
fn files(server: &TestServer, worker: &TestWorker) -> Vec<String> {
    let answer = server.get(&worker.path("/files")).expect(200).json();
    answer["files"].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_users_settings_do_not_change_the_diffs_form() {
    let mut server = server_for_programs("look-form", &[]);
    let project = repository(&server);
    let settings = "[diff]\n noprefix = true\n mnemonicPrefix = true\n renames = false\n context = 0\n algorithm = patience\n \
                    interHunkContext = 9\n wsErrorHighlight = all\n external = false\n orderFile = /nowhere\n submodule = log\n\
                    relative = false\n dstPrefix = x/\n indentHeuristic = false\n colorMoved = zebra\n statGraphWidth = 3\n\
                    [color]\n ui = always\n diff = always\n[core]\n quotePath = true\n pager = false\n abbrev = 4\n";
    let home = server.dir().join("own-home");
    fs::create_dir(&home).unwrap();
    server.set_env("HOME", home.to_str().unwrap());
    server.start();
    let worker = in_project(&server, &project);
    let long = "a\nb\nc\nd\ne\nf\ng\nh\n";
    fs::write(project.join("näme 名.txt"), long).unwrap();
    fs::write(project.join("old name.txt"), long.repeat(3)).unwrap();
    git(&project, &["add", "."]);
    git(&project, &["commit", "-q", "-m", "more"]);
    fs::write(project.join("näme 名.txt"), long.replace('e', "E")).unwrap();
    git(&project, &["mv", "old name.txt", "new name.txt"]);
    fs::write(project.join("neü.txt"), "new\n").unwrap();
    let usual = diff(&server, &worker)["diff"].as_str().unwrap().to_owned();
    for part in ["+++ b/näme 名.txt", "+++ b/neü.txt", "rename from old name.txt", "\n b\n"] {
        assert!(usual.contains(part), "{part:?} is in {usual}");
    }
    fs::write(home.join(".gitconfig"), settings).unwrap();
    assert_eq!(diff(&server, &worker)["diff"], usual);
    for setting in settings.split('[').flat_map(|section| {
        let mut lines = section.lines();
        let name = lines.next().unwrap_or_default().trim_end_matches(']').to_owned();
        lines
            .filter_map(move |line| {
                line.split_once(" = ").map(|(key, value)| (format!("{name}.{}", key.trim()), value.to_owned()))
            })
            .collect::<Vec<_>>()
    }) {
        git(&project, &["config", &setting.0, &setting.1]);
    }
    assert_eq!(diff(&server, &worker)["diff"], usual, "nor do the repository's");
}

#[test]
fn files_that_the_user_ignores_everywhere_are_not_new() {
    let mut server = server_for_programs("look-ignored", &[]);
    let project = repository(&server);
    let home = server.dir().join("own-home");
    fs::create_dir_all(home.join(".config/git")).unwrap();
    fs::write(home.join(".config/git/ignore"), "*.usual\n").unwrap();
    server.set_env("HOME", home.to_str().unwrap());
    server.start();
    let worker = in_project(&server, &project);
    for name in ["x.usual", "x.named", "x.info", "x.txt"] {
        fs::write(project.join(name), "x\n").unwrap();
    }
    fs::write(project.join(".git/info/exclude"), "*.info\n").unwrap();
    assert_eq!(files(&server, &worker), ["a.txt", "x.txt", "x.named", "part/b.txt"]);
    fs::write(home.join("mine"), "*.named\n").unwrap();
    fs::write(home.join("more"), "[core]\n excludesFile = ~/mine\n").unwrap();
    fs::write(home.join(".gitconfig"), "[include]\n path = more\n").unwrap();
    assert_eq!(files(&server, &worker), ["a.txt", "x.txt", "x.usual", "part/b.txt"]);
}

#[test]
fn odd_names_come_out_whole() {
    let server = start("look-names", &[]);
    let project = repository(&server);
    let names: [&[u8]; 6] = [b"tab\there", b"new\nline", b"quo\"te", b"back\\slash", b"inv\xff\xfealid", b" space "];
    for name in names {
        fs::write(project.join(OsStr::from_bytes(name)), "x\n").unwrap();
    }
    let worker = in_project(&server, &project);
    let listed = files(&server, &worker);
    for name in names {
        let name = String::from_utf8_lossy(name).into_owned();
        assert!(listed.contains(&name), "{name:?} is in {listed:?}");
    }
    let changes = diff(&server, &worker);
    let text = changes["diff"].as_str().unwrap();
    assert_eq!(text.matches("\n+x\n").count(), names.len(), "{text}");
    assert!(text.contains("+++ \"b/tab\\there\"") && text.contains("+++ \"b/new\\nline\""), "{text}");
    assert!(text.contains("b/inv\u{fffd}\u{fffd}alid"), "{text}");
    assert_eq!(git(&project, &["ls-files"]), "a.txt\npart/b.txt", "the project's own index is as it was");
}

#[test]
fn failures_of_git_are_errors_with_its_words() {
    let server = start("look-broken", &[]);
    type Break<'a> = (&'a str, &'a dyn Fn(&Path), &'a str);
    let breaks: [Break<'_>; 9] = [
        ("index", &|git| fs::write(git.join("index"), "garbage").unwrap(), "index file"),
        (
            "index-pipe",
            &|git| {
                fs::remove_file(git.join("index")).unwrap();
                nix::unistd::mkfifo(&git.join("index"), nix::sys::stat::Mode::S_IRWXU).unwrap();
            },
            "not a regular file",
        ),
        ("head", &|git| fs::remove_file(git.join("HEAD")).unwrap(), "HEAD: it is missing"),
        ("head-text", &|git| fs::write(git.join("HEAD"), "garbage").unwrap(), "names no commit"),
        (
            "objects",
            &|git| {
                for entry in fs::read_dir(git.join("objects")).unwrap().flatten() {
                    if entry.file_name().len() == 2 {
                        fs::remove_dir_all(entry.path()).unwrap();
                    }
                }
            },
            "git ",
        ),
        ("config", &|git| fs::write(git.join("config"), "[core\n").unwrap(), "line 2 is not understood"),
        (
            "config-pipe",
            &|git| {
                fs::remove_file(git.join("config")).unwrap();
                nix::unistd::mkfifo(&git.join("config"), nix::sys::stat::Mode::S_IRWXU).unwrap();
            },
            "not a regular file",
        ),
        (
            "format",
            &|git| {
                fs::write(git.join("config"), "[core]\nrepositoryformatversion = 1\n[extensions]\nfuture = true\n")
                    .unwrap();
            },
            "extensions.future",
        ),
        (
            "ref-pipe",
            &|git| {
                fs::create_dir_all(git.join("refs/tags")).unwrap();
                nix::unistd::mkfifo(&git.join("refs/tags/x"), nix::sys::stat::Mode::S_IRWXU).unwrap();
            },
            "not a regular file",
        ),
    ];
    for (name, damage, words) in breaks {
        let project = server.dir().join(name);
        repository_at(&project);
        fs::write(project.join("a.txt"), "changed\n").unwrap();
        let worker = in_project(&server, &project);
        damage(&project.join(".git"));
        let answer = server.get(&worker.path("/diff")).expect(409).json()["detail"].as_str().unwrap().to_owned();
        assert!(answer.contains(words), "{name}: {answer}");
        if name != "objects" {
            server.get(&worker.path("/files")).expect(409);
        }
    }
    let plain = server.dir().join("plain");
    fs::create_dir(&plain).unwrap();
    fs::write(plain.join("x.txt"), "").unwrap();
    let worker = in_project(&server, &plain);
    assert_eq!(diff(&server, &worker)["git"], false, "no repository is an answer");
    assert_eq!(files(&server, &worker), ["x.txt"]);
}

#[test]
fn large_new_files_are_named_with_their_size() {
    let server = start("look-large", &[]);
    let project = repository(&server);
    for number in 0..100 {
        File::create(project.join(format!("big{number}"))).unwrap().set_len(500 << 20).unwrap();
    }
    fs::write(project.join("small.txt"), "small\n").unwrap();
    let worker = in_project(&server, &project);
    let began = Instant::now();
    let changes = diff(&server, &worker);
    assert!(changes["diff"].as_str().unwrap().contains("+small"), "{changes}");
    let listed = changes["not_shown"].as_array().unwrap();
    assert_eq!(listed.len(), 100);
    assert_eq!(listed[0], json!({"path": "big0", "size": 500 << 20, "reason": "it is larger than 1 MiB"}));
    assert!(began.elapsed() < DEADLINE, "{:?}", began.elapsed());
}

#[test]
fn submodules_and_repositories_inside_are_shown_without_entering() {
    let server = start("look-inside", &[]);
    let project = repository(&server);
    let other = server.dir().join("other");
    repository_at(&other);
    git(&project, &["submodule", "--quiet", "add", other.to_str().unwrap(), "sub"]);
    git(&project, &["commit", "-q", "-a", "-m", "submodule"]);
    let before = git(&project.join("sub"), &["rev-parse", "HEAD"]);
    git(&project.join("sub"), &["commit", "-q", "--allow-empty", "-m", "moved"]);
    let after = git(&project.join("sub"), &["rev-parse", "HEAD"]);
    repository_at(&project.join("nested"));
    let worker = in_project(&server, &project);
    let changes = diff(&server, &worker);
    let text = changes["diff"].as_str().unwrap();
    assert!(text.contains(&format!("-Subproject commit {before}\n+Subproject commit {after}")), "{text}");
    assert_eq!(changes["not_shown"], json!([{"path": "nested", "reason": "it is a git repository of its own"}]));
    // A worker in the submodule sees its contents.
    fs::write(project.join("sub/a.txt"), "changed\n").unwrap();
    let inner = in_project(&server, &project.join("sub"));
    assert!(diff(&server, &inner)["diff"].as_str().unwrap().contains("+changed"));
}

#[test]
fn one_look_at_a_time_runs_for_a_worker() {
    let mut server = server_for_programs("look-shared", &[]);
    let project = repository(&server);
    wrapped_git(
        &mut server,
        "case \"$*\" in *' diff '*) mkdir \"$dir/lock\" || touch \"$dir/two\"; sleep 0.1; rmdir \"$dir/lock\";; esac\n\
         exec \"$real\" \"$@\"\n",
    );
    server.start();
    let worker = in_project(&server, &project);
    std::thread::scope(|scope| {
        let asked: Vec<_> = (0..12).map(|_| scope.spawn(|| diff(&server, &worker)["git"].clone())).collect();
        assert!(asked.into_iter().all(|asked| asked.join().unwrap() == true));
    });
    assert!(!server.dir().join("two").exists(), "two looks ran at once");
}

/// Attempts of a timed diff on a machine that may be busy: one of them must end in time.
const TIMED_LOOKS: usize = 5;

#[test]
fn a_look_ends_when_its_client_has_gone() {
    let mut server = server_for_programs("look-gone", &[]);
    let project = repository(&server);
    wrapped_git(
        &mut server,
        "case \"$*\" in *' diff '*) echo $$ > \"$dir/pid\"; exec sleep 1000;; esac\nexec \"$real\" \"$@\"\n",
    );
    server.start();
    let worker = in_project(&server, &project);
    let file = server.dir().join("pid");
    let mut took = Vec::new();
    // Half of the time after which it would be ended anyway.
    while took.last().is_none_or(|took| *took >= Duration::from_secs(5)) {
        assert!(took.len() < TIMED_LOOKS, "git is ended, long before its time is over: {took:?}");
        let mut client = Raw::connect(server.addr()).unwrap();
        client.send(format!("GET {} HTTP/1.1\r\nHost: localhost\r\n\r\n", worker.path("/diff")).as_bytes()).unwrap();
        let pid: i32 = eventually(DEADLINE, "git is at work", || fs::read_to_string(&file).ok()?.trim().parse().ok());
        fs::remove_file(&file).unwrap();
        let begin = Instant::now();
        drop(client);
        let is_over = || !Path::new(&format!("/proc/{pid}/exe")).exists();
        eventually(DEADLINE, "git is ended", || is_over().then_some(()));
        took.push(begin.elapsed());
    }
    eventually(DEADLINE, "nothing is left of the look", || {
        let mut entries = fs::read_dir(server.data_dir()).unwrap().flatten();
        (!entries.any(|entry| entry.file_name().to_string_lossy().starts_with(".git-"))).then_some(())
    });
}

#[test]
fn a_look_that_takes_too_long_is_an_error() {
    let mut server = server_for_programs("look-slow", &[]);
    let project = repository(&server);
    wrapped_git(&mut server, "case \"$*\" in *' diff '*) exec sleep 1000;; esac\nexec \"$real\" \"$@\"\n");
    server.start();
    let worker = in_project(&server, &project);
    let answer = server.get(&worker.path("/diff")).expect(503).json()["detail"].to_string();
    assert!(answer.contains("has not ended within 10 seconds (at git diff)"), "{answer}");
}

#[test]
fn objects_of_any_size_do_not_exhaust_the_memory() {
    let server = start("look-memory", &[]);
    let project = repository(&server);
    // A commit whose object claims to have 60 GiB, in zlib's uncompressed form.
    let head = format!("commit {}\0", 60_u64 << 30);
    let size = u16::try_from(head.len()).unwrap();
    let (mut low, mut high) = (1_u32, 0_u32);
    for byte in head.bytes() {
        low = (low + u32::from(byte)) % 65521;
        high = (high + low) % 65521;
    }
    let mut object = vec![0x78, 0x01, 0x01];
    object.write_all(&[size.to_le_bytes(), (!size).to_le_bytes()].concat()).unwrap();
    object.write_all(head.as_bytes()).unwrap();
    object.write_all(&(high << 16 | low).to_be_bytes()).unwrap();
    let id = "11".repeat(20);
    fs::create_dir_all(project.join(".git/objects/11")).unwrap();
    fs::write(project.join(".git/objects/11").join(&id[2..]), object).unwrap();
    fs::write(project.join(".git/refs/heads/main"), format!("{id}\n")).unwrap();
    let worker = in_project(&server, &project);
    let answer = server.get(&worker.path("/diff")).expect(409).json()["detail"].to_string();
    assert!(answer.contains("git "), "{answer}");
}
