//! Tests of the probe.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::known::Times;
use super::*;

/// Longest that a test waits for what must happen.
const DEADLINE: Duration = Duration::from_secs(60);

struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("rs-worker-probe-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str, mode: u32) -> PathBuf {
        let path = self.0.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, "#!/bin/sh\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn shell(script: &str) -> (PathBuf, Vec<String>) {
    (PathBuf::from("/bin/sh"), vec!["-c".to_owned(), script.to_owned()])
}

fn asked(script: &str) -> Option<String> {
    let (program, args) = shell(script);
    version(&program, &args, DEADLINE)
}

#[test]
fn name_is_found_in_the_first_folder_with_an_executable() {
    let folder = Folder::new();
    folder.file("a/tool", 0o644);
    let second = folder.file("b/tool", 0o755);
    folder.file("c/tool", 0o755);
    let path = format!("relative::{0}/a:{0}/b:{0}/c", folder.0.display());
    assert_eq!(find_binary("tool", Some(path.as_ref())), Ok(second.clone()));
    assert_eq!(find_binary(second.to_str().unwrap(), None), Ok(second));
}

#[test]
fn unusable_programs_are_reported_with_the_reason() {
    let folder = Folder::new();
    let plain = folder.file("a/tool", 0o644);
    let path = folder.0.join("a");
    let refused = Err(FindError::NotExecutable { path: plain.clone() });
    assert_eq!(find_binary("tool", Some(path.as_os_str())), refused);
    assert_eq!(find_binary(plain.to_str().unwrap(), None), refused);
    assert_eq!(find_binary("a", Some(folder.0.as_os_str())), Err(FindError::NotOnPath { name: "a".into() }));
    assert_eq!(find_binary("", Some(folder.0.as_os_str())), Err(FindError::NotOnPath { name: "".into() }));
    assert_eq!(find_binary("tool", None), Err(FindError::NotOnPath { name: "tool".into() }));
    let gone = folder.0.join("gone");
    assert_eq!(find_binary(gone.to_str().unwrap(), None), Err(FindError::NoFile { path: gone }));
}

#[test]
fn version_is_the_first_version_like_word_of_the_output() {
    for (output, found) in [
        ("2.1.197 (Claude Code)\n", Some("2.1.197")),
        ("\ncodex-cli v0.169.0\nmore 1.2\n", Some("0.169.0")),
        ("tool/1.2.3-beta.1+build linux\n", Some("1.2.3-beta.1+build")),
        ("Python 3.11.7.\n", Some("3.11.7")),
        ("usage: tool\n1.2.3\n", None),
        ("version seven\n", None),
        ("1.2<script>\n", None),
        ("", None),
    ] {
        assert_eq!(parse_version(output.as_bytes()).as_deref(), found, "{output:?}");
    }
    assert_eq!(asked("echo tool 1.2.3").as_deref(), Some("1.2.3"));
    assert_eq!(asked("echo tool 1.2.3 >&2"), None);
    assert_eq!(version(Path::new("/nonexistent/tool"), &[], DEADLINE), None);
}

#[test]
fn version_check_of_programs_gets_no_stdin_or_keys() {
    assert_eq!(asked("read line || echo 1.0").as_deref(), Some("1.0"));
    let names = asked("env | cut -d= -f1 | tr '\\n' . | sed 's/^/1.0./; s/.$//'");
    for name in names.as_deref().unwrap_or_default().trim_start_matches("1.0.").split('.') {
        assert!(VERSION_ENV.contains(&name) || ["PWD", "OLDPWD", "SHLVL", "_"].contains(&name), "{name}");
    }
}

#[test]
fn flood_of_output_is_drained_and_not_kept() {
    assert_eq!(
        asked("echo v1.2; i=0; while [ $i -lt 3000 ]; do echo 123456789; i=$((i+1)); done").as_deref(),
        Some("1.2")
    );
}

#[test]
fn program_that_says_nothing_is_given_up_at_the_deadline() {
    let (program, args) = shell("sleep 3600");
    assert_eq!(version(&program, &args, Duration::from_millis(50)), None);
}

#[test]
fn program_that_is_given_up_is_killed_with_its_group() {
    let folder = Folder::new();
    let pids = folder.0.join("pids");
    // Both the shell and what it starts in the background would sleep for an hour.
    let script = format!("sleep 3600 & echo $$ $! > {0}.new; mv {0}.new {0}; wait", pids.display());
    let (program, args) = shell(&script);
    let stop = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&stop);
    let asking = std::thread::spawn(move || version_unless(&program, &args, DEADLINE, &asked));
    wait_until("the program runs", || pids.exists());
    stop.store(true, Ordering::Relaxed);
    assert_eq!(asking.join().unwrap(), None);
    for pid in std::fs::read_to_string(&pids).unwrap().split_whitespace() {
        // The parent that adopts the background process may not have waited for it yet: dead is enough.
        wait_until("it is dead", || {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            stat.rsplit(')').next().is_none_or(|rest| rest.is_empty() || rest.starts_with(" Z"))
        });
    }
}

fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !holds() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        std::thread::yield_now();
    }
}

/// Times that no test has to wait for.
const AT_ONCE: Times = Times { look_again: Duration::ZERO, ask_again: Duration::ZERO, version: VERSION_TIMEOUT };

fn wanted(binary: &str, args: Option<Vec<String>>) -> ProbeTarget {
    ProbeTarget { binary: binary.to_owned(), version_args: args }
}

#[test]
fn programs_are_found_beside_the_caller_and_answers_cached() {
    let path = std::ffi::OsString::from("/usr/bin:/bin");
    let (_, args) = shell("echo 7.8.9");
    let (sh, silent) = (wanted("sh", Some(args)), wanted("sh", None));
    let missing = wanted("no-such-program", Some(vec!["--version".to_owned()]));
    let probes = Probes::start([sh.clone(), silent.clone(), missing.clone(), sh.clone()], Some(&path));
    let found = probes.get(&sh, DEADLINE).unwrap();
    assert!(found.path.is_ok());
    assert_eq!(found.version.as_deref(), Some("7.8.9"));
    assert_eq!(probes.get(&silent, DEADLINE).unwrap().version, None);
    assert_eq!(
        probes.get(&missing, DEADLINE).unwrap().path,
        Err(FindError::NotOnPath { name: "no-such-program".into() })
    );
    assert_eq!(probes.get(&sh, Duration::ZERO).unwrap(), found);
    assert_eq!(probes.get(&wanted("cat", None), DEADLINE), None);
}

#[test]
fn nobody_waits_for_a_slow_program_neither_asking_nor_ending() {
    let (_, args) = shell("sleep 3600");
    let slow = wanted("/bin/sh", Some(args));
    let probes = Probes::start([slow.clone()], None);
    assert_eq!(probes.get(&slow, Duration::ZERO), None);
    drop(probes);
}

/// Puts a program in the place of another as package managers do, in one step.
fn install(folder: &Folder, name: &str, script: &str) {
    let new = folder.file("new", 0o755);
    std::fs::write(&new, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::rename(new, folder.0.join(name)).unwrap();
}

#[test]
fn program_changed_on_disk_is_reported_at_the_next_check() {
    let folder = Folder::new();
    let agent = wanted("agent", Some(vec!["--version".to_owned()]));
    let probes = Probes::start_with([agent.clone()], Some(folder.0.as_os_str()), AT_ONCE);
    assert!(probes.get(&agent, DEADLINE).unwrap().path.is_err());
    for version in ["1.0.0", "2.0.0"] {
        install(&folder, "agent", &format!("echo {version}"));
        // It cannot be run while a process that another test just makes still has the file open.
        wait_until(version, || probes.get(&agent, DEADLINE).unwrap().version.as_deref() == Some(version));
    }
    std::fs::remove_file(folder.0.join("agent")).unwrap();
    assert!(probes.get(&agent, DEADLINE).unwrap().path.is_err());
}

#[test]
fn unchanged_program_is_checked_once_unless_it_had_no_version() {
    let folder = Folder::new();
    let asked = folder.0.join("asked");
    let count = || std::fs::read_to_string(&asked).map_or(0, |text| text.lines().count());
    let (reports, mute) = (format!("echo x >> {}; echo 1.2.3", asked.display()), folder.0.join("tell"));
    install(&folder, "tells", &reports);
    install(&folder, "later", &format!("[ -e {} ] && echo 4.5.6", mute.display()));
    let all = ["tells", "later"].map(|name| wanted(name, Some(vec!["--version".to_owned()])));
    let probes = Probes::start_with(all.clone(), Some(folder.0.as_os_str()), AT_ONCE);
    let later = probes.get(&all[1], DEADLINE).unwrap();
    assert!(later.path.is_ok() && later.version.is_none(), "it is there and says nothing: {later:?}");
    std::fs::write(&mute, "").unwrap();
    wait_until("the version of the other", || {
        probes.get(&all[0], DEADLINE).unwrap();
        probes.get(&all[1], Duration::ZERO).unwrap().version.as_deref() == Some("4.5.6")
    });
    assert_eq!(count(), 1);
}

#[test]
fn slow_program_gets_more_time_until_it_reports_its_version() {
    let (_, args) = shell("sleep 1; echo 1.2.3");
    let slow = wanted("/bin/sh", Some(args));
    let times = Times { version: Duration::from_millis(500), ..AT_ONCE };
    let probes = Probes::start_with([slow.clone()], None, times);
    assert_eq!(probes.get(&slow, DEADLINE).unwrap().version, None, "the first time is too short");
    wait_until("its version", || probes.get(&slow, DEADLINE).unwrap().version.as_deref() == Some("1.2.3"));
}

#[test]
fn versions_are_compared_by_their_numbers() {
    for (version, oldest, older) in [
        ("2.9.7", "2.10.0", true),
        ("2.10.0", "2.10.0", false),
        ("2.10.0-beta.1", "2.10.0", false),
        ("10.0", "9.9.9", false),
        ("0.99.3", "0.100.0", true),
        ("1", "1.0.1", true),
    ] {
        assert_eq!(super::is_older(version, oldest), older, "{version} and {oldest}");
    }
}
