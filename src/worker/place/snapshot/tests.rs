//! Trees of a project's files, compared with those that the real git makes of them.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::record::LOOSE_MAX;
use super::{ProjectTree, ProjectTrees, is_plain};
use crate::scratch::Scratch;
use crate::worker::place::git::{GitBudget, MirrorFolder};

/// Number of plain files beside the others, more than are kept as loose objects.
const MANY: usize = LOOSE_MAX + 8;

/// Number of projects that are tested at once.
const THREADS: usize = 4;

struct TestProject {
    scratch: Scratch,
    folder: PathBuf,
}

impl TestProject {
    fn new(options: &[&str]) -> Self {
        let scratch = Scratch::new();
        let folder = scratch.path().canonicalize().unwrap().join("project");
        fs::create_dir(&folder).unwrap();
        fs::create_dir(scratch.path().join("data")).unwrap();
        let project = Self { scratch, folder };
        project.git(&[&["init", "-q"], options].concat());
        project.write("first", "first\n");
        project.commit();
        project
    }

    fn git(&self, args: &[&str]) -> String {
        let settings = ["-c", "user.name=Test", "-c", "user.email=test@example.org"];
        let ran = Command::new("git").arg("-C").arg(&self.folder).args(settings).args(args).output().unwrap();
        assert!(ran.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&ran.stderr));
        String::from_utf8(ran.stdout).unwrap().trim().to_owned()
    }

    fn commit(&self) {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "--allow-empty", "-m", "all"]);
    }

    fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn remove(&self, path: &str) {
        let path = self.folder.join(path);
        let is_folder = path.symlink_metadata().unwrap().is_dir();
        if is_folder { fs::remove_dir_all(path) } else { fs::remove_file(path) }.unwrap();
    }

    /// Changes so many plain files.
    fn change_others(&self, count: usize, content: &str) {
        for file in 0..count {
            self.write(&format!("others/{}/{file}", file % 3), format!("{content} {file}\n"));
        }
    }

    fn mode(&self, path: &str, mode: u32) {
        fs::set_permissions(self.folder.join(path), fs::Permissions::from_mode(mode)).unwrap();
    }

    /// Records the tree, which must be in the repository with all its objects.
    #[track_caller]
    fn take(&self) -> (String, Vec<String>) {
        let data = self.scratch.path().join("data");
        let place = MirrorFolder { data: &data, roots: &[] };
        let project = ProjectTrees { folder: &self.folder, dir: &data, worker: "tester", place };
        let taken = project.take(GitBudget::of_time(Duration::from_secs(60))).unwrap().unwrap();
        project.keep(&taken, []).unwrap();
        let ProjectTree { tree, left_out, .. } = taken;
        self.git(&["fsck", "--strict", "--connectivity-only", "refs/rs-worker/tester/turns"]);
        (tree, left_out)
    }

    /// Returns the tree that git makes of the files, with a separate index.
    fn expected(&self) -> String {
        let index = self.scratch.path().join("expected.index");
        let _ = fs::remove_file(&index);
        let own = self.folder.join(".git/index");
        fs::copy(&own, &index).unwrap();
        // With its time, by which git detects that a file may have changed in the second of its entry.
        let copy = fs::File::options().write(true).open(&index).unwrap();
        copy.set_modified(own.metadata().unwrap().modified().unwrap()).unwrap();
        let run = |args: &[&str]| {
            let mut command = Command::new("git");
            command.arg("-C").arg(&self.folder).args(args).env("GIT_INDEX_FILE", &index);
            let ran = command.output().unwrap();
            assert!(ran.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&ran.stderr));
            String::from_utf8(ran.stdout).unwrap().trim().to_owned()
        };
        run(&["add", "-A"]);
        run(&["write-tree"])
    }

    #[track_caller]
    fn check(&self, what: &str) {
        let expected = self.expected();
        let (tree, left_out) = self.take();
        let differs = || self.git(&["diff", "--raw", "--no-renames", &tree, &expected]);
        assert!(tree == expected, "{what}: ours and git's differ: {}", differs());
        assert_eq!(left_out, [""; 0], "{what}");
    }
}

/// A change of files, with the settings of the repository.
type Change = (&'static str, &'static [&'static str], fn(&TestProject));

const CHANGES: [Change; 18] = [
    ("autocrlf", &["core.autocrlf=true"], |it| {
        it.write("windows", "a\r\nb\r\n");
        it.write("mixed", "a\r\nb\n");
        it.write("unix", "a\nb\n");
        it.write("binary", b"a\r\n\0");
        it.write("first", "first\r\n");
    }),
    ("autocrlf=input", &["core.autocrlf=input"], |it| it.write("windows", "a\r\nb\r\n")),
    ("text=auto", &["core.eol=crlf"], |it| {
        it.write(".gitattributes", "* text=auto\n*.bin -text\n");
        it.write("windows", "a\r\nb\r\n");
        it.write("x.bin", "a\r\nb\r\n");
    }),
    ("eol", &[], |it| {
        it.write("deep/.gitattributes", "*.bat eol=crlf\n*.sh text eol=lf\n");
        it.write("deep/a.bat", "a\r\nb\r\n");
        it.write("deep/a.sh", "a\r\nb\r\n");
        it.write("a.sh", "a\r\nb\r\n");
    }),
    ("ident", &[], |it| {
        it.write(".gitattributes", "*.c ident\nsub/*.c -ident\n");
        it.write("a.c", "$Id: 1234 $\n");
        it.write("sub/a.c", "$Id: 1234 $\n");
        it.write("a.h", "$Id: 1234 $\n");
    }),
    ("encoding", &[], |it| {
        it.write(
            ".gitattributes",
            "*.txt working-tree-encoding=UTF-16LE-BOM\n*.lat working-tree-encoding=ISO-8859-1\n",
        );
        it.write("a.txt", b"\xff\xfea\0\n\0");
        it.write("a.lat", b"\xe4\n");
        it.write("a.other", b"\xe4\n");
    }),
    ("attributes of the repository alone", &[], |it| {
        it.write(".git/info/attributes", "*.lat working-tree-encoding=ISO-8859-1\n");
        it.write("a.lat", b"\xe4\n");
    }),
    ("attributes that were there before", &[], |it| {
        it.write(".gitattributes", "*.lat working-tree-encoding=ISO-8859-1\n");
        it.commit();
        it.write("a.lat", b"\xe4\n");
    }),
    ("attributes that go away", &[], |it| {
        it.write(".gitattributes", "*.lat working-tree-encoding=ISO-8859-1\n");
        it.write("a.lat", b"\xe4\n");
        it.commit();
        it.remove(".gitattributes");
        it.write("a.lat", b"\xe5\n");
    }),
    ("attributes that become a link", &[], |it| {
        it.write("real", "*.lat working-tree-encoding=ISO-8859-1\n");
        symlink("real", it.folder.join(".gitattributes")).unwrap();
        it.write("a.lat", b"\xe4\n");
    }),
    ("links and programs", &[], |it| {
        it.write("program", "#!/bin/sh\n");
        it.write("was-program", "x");
        it.mode("was-program", 0o755);
        symlink("first", it.folder.join("becomes-file")).unwrap();
        it.commit();
        it.mode("program", 0o755);
        it.mode("was-program", 0o644);
        it.remove("becomes-file");
        it.write("becomes-file", "x");
        it.remove("first");
        symlink("no\r\nwhere", it.folder.join("first")).unwrap();
        symlink("/", it.folder.join("root")).unwrap();
    }),
    ("names", &[], |it| {
        for name in
            ["ä ö", "日本/語", "new\nline", "quo\"te", "back\\slash", "tab\t", " space ", "-dash", ":(top)x", "#"]
        {
            it.write(name, format!("{name}\n"));
        }
        fs::write(it.folder.join(OsStr::from_bytes(b"\xff\xfe")), "x").unwrap();
    }),
    ("contents", &[], |it| {
        it.write("empty", "");
        it.write("same", "first\n");
        it.write("no-end", "x");
        it.write("long", vec![b'x'; 3 * 1024 * 1024]);
        it.write("commands", "data 3\nabc\nblob\nmark :1\ndata 2\nxx\nreset refs/heads/evil\nfrom main\n\ndone\n");
        it.write("marks", ":1 0000\n");
    }),
    ("a folder becomes a file", &[], |it| {
        it.write("place/a/b", "x");
        it.write("place/c", "x");
        it.commit();
        it.remove("place");
        it.write("place", "file");
    }),
    ("a file becomes a folder", &[], |it| {
        it.write("place", "file");
        it.commit();
        it.remove("place");
        it.write("place/a/b", "x");
    }),
    ("removals", &[], |it| {
        it.write("gone/a", "x");
        it.write("gone/b", "x");
        it.write("stays", "x");
        it.commit();
        it.remove("gone");
        it.remove("first");
    }),
    ("files in conflict", &[], |it| {
        it.git(&["checkout", "-q", "-b", "other"]);
        it.write("first", "other\n");
        it.commit();
        it.git(&["checkout", "-q", "-"]);
        it.write("first", "mine\n");
        it.commit();
        let settings = ["-c", "user.name=T", "-c", "user.email=t@e"];
        let merge =
            Command::new("git").arg("-C").arg(&it.folder).args(settings).args(["merge", "-q", "other"]).output();
        assert!(!merge.unwrap().status.success());
    }),
    ("no modes, names of any case", &["core.fileMode=false", "core.ignoreCase=true"], |it| {
        it.write("program", "x");
        it.mode("program", 0o755);
        it.write("a\r", "x\r\n");
    }),
];

#[test]
fn trees_of_few_and_many_files_match_those_of_git() {
    fn check((name, settings, change): &Change, count: usize, format: &str) {
        let what = format!("{name}, {count} other files, {format}");
        let project = TestProject::new(&[&format!("--object-format={format}")]);
        for setting in *settings {
            let (name, value) = setting.split_once('=').unwrap();
            project.git(&["config", name, value]);
        }
        project.change_others(count, "first");
        change(&project);
        project.check(&what);
        project.change_others(count, "second");
        project.check(&format!("{what}, the second time"));
    }
    std::thread::scope(|scope| {
        for part in CHANGES.chunks(CHANGES.len().div_ceil(THREADS)) {
            scope.spawn(move || {
                for change in part {
                    check(change, 1, "sha1");
                    check(change, MANY, "sha1");
                }
                check(&part[0], MANY, "sha256");
            });
        }
    });
}

#[test]
fn files_that_become_what_they_were_are_known_objects() {
    let project = TestProject::new(&[]);
    for content in ["first", "second", "first"] {
        project.change_others(MANY, content);
        project.check(content);
    }
}

#[test]
fn only_working_files_are_plain() {
    for path in ["a", "a/b c", ".gitignore", "x/.github/y"] {
        assert!(is_plain(Path::new(path)), "{path}");
    }
    for path in ["", "/a", "../a", "a/../../b", ".git/config", "sub/.git/hooks/x", "a/.GIT/x", ".git"] {
        assert!(!is_plain(Path::new(path)), "{path}");
    }
}

#[test]
fn files_that_cannot_be_recorded_are_named_among_many() {
    let project = TestProject::new(&[]);
    project.change_others(MANY, "first");
    fs::File::create(project.folder.join("huge")).unwrap().set_len(33 * 1024 * 1024).unwrap();
    let (tree, left_out) = project.take();
    assert_eq!(left_out, ["huge"]);
    fs::remove_file(project.folder.join("huge")).unwrap();
    assert_eq!(tree, project.expected());
}

#[test]
fn many_files_become_packs_and_few_single_objects() {
    let project = TestProject::new(&[]);
    let packs = || {
        let count = project.git(&["count-objects", "-v"]);
        let value = |name: &str| {
            let line = count.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.trim().parse::<usize>().unwrap()
        };
        (value("count:"), value("packs:"))
    };
    let (before, _) = packs();
    project.change_others(MANY, "first");
    project.take();
    let (loose, many) = packs();
    assert!(loose - before <= LOOSE_MAX && (1..=2).contains(&many), "{loose} objects, {many} packs");
    project.change_others(2, "second");
    project.take();
    let (more, still) = packs();
    assert!(more > loose && still == many, "{more} objects, {still} packs");
    assert!(!Path::new(&project.folder.join(".git/refs/heads/evil")).exists());
}
