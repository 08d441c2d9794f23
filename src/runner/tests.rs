//! Command lines of declared runners, and the shell's side of them with a real shell.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::*;
use crate::scratch::Scratch;

const ID: &str = "0b5c-1";

fn facts() -> BTreeMap<&'static str, String> {
    file::NAMES.iter().map(|&name| (name, format!("/{name}"))).collect()
}

fn runners(entries: &[&str]) -> Result<Runners, String> {
    let entries: Vec<String> = entries.iter().map(|&entry| entry.to_owned()).collect();
    Runners::new(&entries, &built_in().unwrap())
}

fn mounts() -> Mounts {
    let folder = |path: &str| path.to_owned();
    Mounts {
        home: vec![
            Mount::Read { from: folder("/real"), to: folder("/home/{to}") },
            Mount::HideFolder(folder("/early")),
        ],
        project: vec![Mount::Write { from: folder("/p"), to: folder("/p") }],
        hidden: vec![Mount::HideFile { path: folder("/.env"), with: folder("/nothing") }],
        identities: vec![(folder("/p"), "1:2".to_owned())],
    }
}

fn lines(entry: &str, project: &str) -> (Result<Vec<String>, String>, Vec<String>) {
    let (runners, facts) = (runners(&[entry]).unwrap(), facts());
    let mounts = mounts();
    let place = CommandInput { id: ID, project, also: Some("/also"), facts: &facts, mounts: &mounts };
    let runner = runners.find(None).unwrap().unwrap();
    (runner.wrap(place, &["claude", "-p", "a b"]), runner.stop(place))
}

#[test]
fn containers_get_the_project_the_variables_and_the_command() {
    let (docker, stop) = lines("docker:agents:1", "/home/me/x y");
    let docker = docker.unwrap().join("|");
    assert!(docker.starts_with("docker|run|-i|--rm|--init|--name|rs-worker-0b5c-1|--user|/uid:/gid|"), "{docker}");
    for part in [
        "|--mount|type=bind,source=/home/me/x y,target=/home/me/x y|--workdir|/home/me/x y|",
        "|--env|LC_RS_WORKER_ENV|",
        "|--mount|type=bind,source=/also,target=/also|",
        "|--|agents:1|sh|-c|",
    ] {
        assert!(docker.contains(part), "{part} is in {docker}");
    }
    assert!(docker.ends_with("|sh|claude|-p|a b"), "{docker}");
    assert_eq!(stop.join(" "), "docker rm --force rs-worker-0b5c-1");
    assert!(lines("docker:agents", "/a,b").0.unwrap_err().contains("','"));
    let (podman, stop) = lines("podman:agents", "/p");
    assert!(
        podman.unwrap().join(" ").starts_with("podman run -i --rm --init --name rs-worker-0b5c-1 --userns /userns")
    );
    assert_eq!(stop.join(" "), "podman rm --force --ignore rs-worker-0b5c-1");
}

#[test]
fn schedulers_get_the_folder_and_the_command() {
    let (kubectl, stop) = lines("kubectl:registry.example/agents:1", "/work");
    let begin = "kubectl run rs-worker-0b5c-1 -i --rm --quiet --restart=Never --image=registry.example/agents:1 --command -- sh";
    let kubectl = kubectl.unwrap();
    assert!(kubectl.join(" ").starts_with(begin), "{kubectl:?}");
    assert_eq!(
        kubectl[kubectl.len() - 6..],
        [r#"cd "$1" && shift && exec "$@""#, "sh", "/work", "claude", "-p", "a b"]
    );
    assert_eq!(stop.join(" "), "kubectl delete pod rs-worker-0b5c-1 --now --ignore-not-found");
    let (slurm, stop) = lines("slurm:gpu", "/srv/a b");
    let slurm = slurm.unwrap().join("|");
    let begin = "srun|--partition=gpu|--job-name=rs-worker-0b5c-1|--comment=rs-worker 0b5c-1|--ntasks=1|--unbuffered|";
    assert!(slurm.starts_with(begin) && slurm.contains("|--chdir=/srv/a b|--|sh|-c|"), "{slurm}");
    assert_eq!(stop.last().map(String::as_str), Some("rs-worker-0b5c-1"));
    let (nomad, stop) = lines("nomad:8ba85cef", "/work");
    let nomad = nomad.unwrap().join(" ");
    assert!(nomad.starts_with("nomad alloc exec -i=true -t=false 8ba85cef env RS_WORKER_ID=0b5c-1 sh -c"), "{nomad}");
    assert!(stop.join(" ").starts_with("nomad alloc exec -i=false -t=false 8ba85cef sh -c exec sh -c '"), "{stop:?}");
}

#[test]
fn sandbox_without_the_network_is_one_with_an_option_more() {
    let (on, off) = (lines("bwrap", "/p").0.unwrap(), lines("bwrap-offline", "/p").0.unwrap());
    let without: Vec<&String> = off.iter().filter(|word| *word != "--unshare-net").collect();
    assert_eq!(on.iter().collect::<Vec<_>>(), without);
    assert_eq!(off.len(), on.len() + 1);
    assert!(lines("bwrap", "/p").1.is_empty());
}

#[test]
fn sandbox_hides_after_all_that_it_shows() {
    let argv = lines("bwrap-offline", "/p").0.unwrap().join("|");
    let laid =
        "|--ro-bind|/real|/home/{to}|--tmpfs|/early|--unshare-net|--bind|/p|/p|--ro-bind|/nothing|/.env|--chdir|/p|";
    assert!(argv.contains(laid), "{argv}");
    assert!(argv.ends_with("|sh|/p|1:2|--|claude|-p|a b"), "{argv}");
}

#[test]
fn checked_command_runs_only_where_the_folder_is_the_same() {
    use std::os::unix::fs::MetadataExt as _;
    let folder = Scratch::new();
    let found = folder.path().metadata().unwrap();
    let run = |identity: &str, path: &Path| {
        let script = format!("{CHECK}{UNPACK}");
        Command::new("sh")
            .args(["-c", &script, "sh", path.to_str().unwrap(), identity, "--", "echo", "ran"])
            .env(ENV, packed("mine", &[]))
            .output()
            .unwrap()
    };
    let identity = format!("{}:{}", found.dev(), found.ino());
    assert_eq!(run(&identity, folder.path()).stdout, b"ran\n");
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(folder.path(), &link).unwrap();
    for other in [run("1:1", folder.path()), run(&identity, &link)] {
        assert_eq!((other.status.code(), other.stdout.as_slice()), (Some(126), &b""[..]));
        assert!(String::from_utf8_lossy(&other.stderr).contains("was replaced"));
    }
}

#[test]
fn unknown_runners_are_reported() {
    let reported = |entry: &str| runners(&[entry]).unwrap_err();
    assert!(reported("nowhere").contains("unknown runner nowhere; known are bwrap, bwrap-offline, ssh, docker"));
    assert!(reported("ssh").contains("needs a host"));
    assert!(reported("bwrap:x").contains("takes nothing"));
    assert!(reported("ssh:-oProxyCommand=id").contains("can be nothing"));
    let some = runners(&["bwrap", "ssh:a", "none"]).unwrap();
    assert_eq!(some.find(None).unwrap().unwrap().entry, "bwrap");
    assert_eq!(some.find(Some("ssh:a")).unwrap().unwrap().entry, "ssh:a");
    assert_eq!(some.find(Some("none")), Ok(None));
    assert!(some.find(Some("ssh:b")).unwrap_err().contains("bwrap, ssh:a, none"));
    assert!(runners(&["bwrap"]).unwrap().find(Some("none")).is_err(), "a sandbox is not left by asking");
    let warned = |entries: &[&str], uid| runners(entries).unwrap().setuid_warning(uid).is_some();
    assert!(warned(&["none", "bwrap"], 0) && warned(&["bwrap-offline"], 0), "agents of root leave files of root");
    assert!(!warned(&["bwrap"], 1000) && !warned(&["none"], 0) && !warned(&["ssh:a"], 0));
    let nothing = Runners::default();
    assert_eq!((nothing.find(None), nothing.find(Some("none"))), (Ok(None), Ok(None)));
    assert!(nothing.find(Some("bwrap")).is_err());
}

#[test]
fn a_file_declares_a_runner_or_its_mistake_is_reported() {
    let folder = Scratch::new();
    let load = |text: &str| {
        std::fs::write(folder.path().join("mine.json"), text).unwrap();
        load(folder.path()).map(|all| all.last().cloned().unwrap()).map_err(|error| error.to_string())
    };
    let mine = load(r#"{"from": "ssh", "argument": "build", "options": ["-F", "/etc/x"]}"#).unwrap();
    assert_eq!((mine.name.as_str(), mine.options.len(), mine.elsewhere), ("mine", 2, true));
    let runners = Runners::new(&["mine".to_owned()], &[mine]).unwrap();
    let facts = facts();
    let mounts = Mounts::default();
    let place = CommandInput { id: ID, project: "/p", also: None, facts: &facts, mounts: &mounts };
    let argv = runners.find(None).unwrap().unwrap().wrap(place, &["c"]).unwrap().join(" ");
    assert!(argv.contains("-F /etc/x -- build exec sh -c '"), "{argv}");
    for (text, reported) in [
        ("{", "EOF"),
        (r#"{"comand": []}"#, "comand"),
        (r#"{"command": ["x"]}"#, "command"),
        (r#"{"command": ["x", "{command...}", "{nothing}"]}"#, "{nothing} is unknown"),
        (r#"{"from": "later"}"#, "unknown runner later"),
        (r#"{"command": ["x", "{home...}", "{hidden...}", "{project...}", "{command...}"]}"#, "in this order"),
        (r#"{"mounts": {"write": []}, "command": ["x", "{command...}"]}"#, "in this order"),
        (r#"{"name": "ssh", "command": ["x", "{command...}"]}"#, "already"),
        (r#"{"name": "A b", "command": ["x", "{command...}"]}"#, "lower-case"),
        (r#"{"command": ["x", "{command...}"], "stop": ["{command...}"]}"#, "stop"),
    ] {
        let error = load(text).unwrap_err();
        assert!(error.contains(reported) && error.contains("mine.json"), "{text}: {error}");
    }
    assert_eq!(super::load(Path::new("/nowhere")).unwrap(), built_in().unwrap());
}

const ODD: &str = "a'b\\ \"$HOME\" `id` \n;é*";

fn odd_env() -> OsString {
    let variables = [("ODD", ODD), ("RS_WORKER_ID", ID), ("no-name", "x")];
    packed("mine", &variables.map(|(name, value)| (OsString::from(name), OsString::from(value))))
}

#[test]
fn variables_and_words_arrive_as_they_were() {
    let script = r#"printf '%s|%s|%s|%s' "$ODD" "$1" "${LC_RS_WORKER_ENV-none}" "$RS_WORKER_RUNNER""#;
    let output = Command::new("sh")
        .args(["-c", UNPACK, "sh", "sh", "-c", script, "sh", ODD])
        .env(ENV, odd_env())
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("{ODD}|{ODD}|none|mine"));
    // Nothing else is printed if there is nothing to unpack.
    let output = Command::new("sh").args(["-c", UNPACK, "sh", "true"]).env(ENV, packed("mine", &[])).output().unwrap();
    assert_eq!(output.stdout, b"");
}

/// The remote side as a connection's process would start it: in a shell of its own, whose child it is.
fn connection(folder: &Path, id: &str, script: &str) -> Child {
    let line = remote(REMOTE, &[folder.to_str().unwrap(), id, "sh", "-c", script, "sh", ODD]);
    let variables = [(OsString::from("RS_WORKER_ID"), OsString::from(id)), ("ODD".into(), ODD.into())];
    // The shell does not become its last command, so that it can be killed as the connection.
    Command::new("sh")
        .args(["-c", &format!("({line}); exit $?")])
        .env(ENV, packed("mine", &variables))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn tagged(id: &str) -> usize {
    let tag = format!("RS_WORKER_ID={id}");
    let environ = |entry: std::fs::DirEntry| std::fs::read(entry.path().join("environ")).unwrap_or_default();
    let all = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok).map(environ);
    all.filter(|text| text.split(|&byte| byte == 0).any(|one| one == tag.as_bytes())).count()
}

fn wait_until_gone(id: &str) {
    wait_until("no process is left", || tagged(id) == 0);
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::yield_now();
    }
}

#[test]
fn remote_command_gets_folder_variables_input_and_returns_its_code() {
    let folder = Scratch::new();
    let odd = folder.path().join(ODD);
    std::fs::create_dir(&odd).unwrap();
    let script = r#"read line; printf '%s|%s|%s|%s' "$ODD" "$1" "$line" "$PWD"; exit 7"#;
    let mut child = connection(&odd, "unit-a", script);
    std::io::Write::write_all(child.stdin.as_mut().unwrap(), b"hi\n").unwrap();
    let output = child.wait_with_output().unwrap();
    let place = odd.canonicalize().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("{ODD}|{ODD}|hi|{}", place.display()));
    assert_eq!(output.status.code(), Some(7));
}

/// Something that ignores its input and SIGTERM, with a child in a session of its own.
const STUBBORN: &str = "trap '' TERM; setsid sleep 1000 >/dev/null 2>&1 & echo up; while :; do sleep 1; done";

#[test]
fn nothing_remains_on_the_other_side_after_a_disconnect() {
    let folder = Scratch::new();
    let mut child = connection(folder.path(), "unit-b", STUBBORN);
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    // The environment of a process that is about to become another program cannot be read for a moment.
    wait_until("both are there", || tagged("unit-b") >= 2);
    child.kill().unwrap();
    child.wait().unwrap();
    wait_until_gone("unit-b");
}

#[test]
fn remote_stop_ends_everything_of_the_worker_and_nothing_else() {
    let folder = Scratch::new();
    let mut child = connection(folder.path(), "unit-c", STUBBORN);
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let stop = |id: &str| Command::new("sh").args(["-c", &remote(REMOTE_STOP, &[id])]).status().unwrap().success();
    assert!(stop("unit") && stop("another"));
    assert!(child.try_wait().unwrap().is_none());
    assert!(stop("unit-c"));
    assert_eq!(tagged("unit-c"), 0);
    child.wait().unwrap();
}

#[test]
fn words_of_a_file_may_begin_with_the_home_directory() {
    let folder = Scratch::new();
    let text = r#"{"from": "ssh", "argument": "build", "options": ["-F", "~/ssh.conf", "$HOME/b", "a~/b"]}"#;
    std::fs::write(folder.path().join("mine.json"), text).unwrap();
    let mine = load(folder.path()).unwrap().pop().unwrap();
    let home = crate::home::directory().unwrap();
    assert_eq!(mine.options, ["-F", &format!("{home}/ssh.conf"), &format!("{home}/b"), "a~/b"]);
}
