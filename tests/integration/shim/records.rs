//! Records: every byte that the CLI prints and reads, and how it starts and ends.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use nix::sys::signal::Signal;
use rs_worker::testing::adapter::Launch;
use rs_worker::testing::journal::{Control, Kind};
use rs_worker::testing::shim::protocol::{ShimCommand, control_line, input_line};

use super::{GRACE, Worker, eventually, sh};

#[test]
fn a_journal_holds_exactly_what_the_cli_printed() {
    let mut worker = Worker::running("bytes", r"printf 'a\000b\r\n\377\376\n\nlast'; printf 'e 1\n\ne2' >&2");
    assert_eq!(worker.exited().exit_code, Some(0));
    assert_eq!(worker.payloads(Kind::Out), [&b"a\0b\r"[..], b"\xff\xfe", b""]);
    assert_eq!(worker.payloads(Kind::OutPart), [b"last"]);
    assert_eq!(worker.payloads(Kind::Err), [&b"e 1"[..], b""]);
    assert_eq!(worker.payloads(Kind::ErrPart), [b"e2"]);
}

#[test]
fn line_of_20_mib_passes_whole_through_a_small_shim() {
    let script = "head -c 20971520 /dev/zero | tr '\\0' x; echo; echo end; read wait";
    let worker = Worker::running("long-line", script);
    let mut server = worker.attach(worker.start());
    server.hear("the end of the output", |heard| heard.has_out("end"));
    let lines = worker.payloads(Kind::Out);
    assert_eq!(lines[0].len(), 20_971_520);
    assert!(lines[0].iter().all(|&byte| byte == b'x'));
    let status = fs::read_to_string(format!("/proc/{}/status", worker.pid())).unwrap();
    let kib = |name: &str| -> u64 {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_ascii_whitespace().nth(1).unwrap().parse().unwrap()
    };
    println!("shim after a 20 MiB line: VmRSS {} KiB, RssAnon {} KiB", kib("VmRSS"), kib("RssAnon"));
    assert!(kib("RssAnon") < 6 * 1024, "{status}");
}

#[test]
fn input_to_the_cli_is_journaled_before_its_answer() {
    let worker = Worker::running("input", "exec cat");
    let mut server = worker.attach(worker.start());
    let mut body = Vec::new();
    control_line(&mut body, &crate::shim::delivered("m1"));
    input_line(&mut body, b"one\xff");
    input_line(&mut body, b"");
    input_line(&mut body, b"two");
    server.send(5, &ShimCommand::Append(&body));
    server.hear("the answer and the output", |heard| heard.has_ok(5) && heard.has_out("two"));
    let kinds: Vec<Kind> = worker.records().iter().map(|(kind, _)| *kind).collect();
    assert_eq!(kinds[..5], [Kind::Ctl, Kind::Ctl, Kind::In, Kind::In, Kind::In]);
    assert_eq!(worker.payloads(Kind::In), [&b"one\xff"[..], b"", b"two"]);
    assert_eq!(worker.payloads(Kind::Out), worker.payloads(Kind::In));
    assert_eq!(server.heard.records, worker.journal(worker.start()));
}

#[test]
fn first_record_identifies_the_processes_and_the_last_their_end() {
    let mut worker = Worker::running("exit", "echo $$; echo oops >&2; exit 7");
    let exited = worker.exited();
    assert_eq!((exited.exit_code, exited.signal, exited.stderr_tail.as_str()), (Some(7), None, "oops\n"));
    let Control::Started { pid, start_time, shim_pid, argv, .. } = &worker.controls()[0] else { panic!() };
    assert_eq!(worker.payloads(Kind::Out), [pid.to_string().into_bytes()]);
    assert!(*start_time > 0 && *shim_pid > 0 && pid != shim_pid);
    assert_eq!(argv[..2], ["/bin/sh", "-c"]);
    assert!(!worker.dir.join("shim.sock").exists());

    let mut worker = Worker::running("signal", "kill -KILL $$");
    let exited = worker.exited();
    assert_eq!((exited.exit_code, exited.signal.as_deref()), (None, Some("SIGKILL")));
}

#[test]
fn cli_starts_with_clean_signals_users_umask_and_its_tag() {
    let script = "grep -E '^Sig(Blk|Ign)' /proc/self/status; umask; echo $RS_WORKER_ID; pwd";
    let mut worker = Worker::running("clean", script);
    worker.exited();
    let lines = worker.payloads(Kind::Out);
    let text: Vec<_> = lines.iter().map(|line| String::from_utf8_lossy(line)).collect();
    assert_eq!(text[0], "SigBlk:\t0000000000000000");
    let ignored = u64::from_str_radix(text[1].strip_prefix("SigIgn:\t").unwrap(), 16).unwrap();
    for signal in [Signal::SIGHUP, Signal::SIGINT, Signal::SIGPIPE, Signal::SIGTERM, Signal::SIGCHLD] {
        assert_eq!(ignored & (1 << (signal as u32 - 1)), 0, "{signal}");
    }
    assert_ne!(text[2], "0077");
    assert_eq!(text[3], worker.id);
    assert_eq!(text[4], worker.dir.to_string_lossy());
}

#[test]
fn a_program_that_cannot_start_is_explained() {
    let failure = |name: &str, program: &Path, cwd: Option<&Path>| {
        let mut worker = Worker::new(name);
        let plain = worker.dir.join("plain");
        fs::write(&plain, "#!/no/such/interpreter\n").unwrap();
        let launch = Launch { program: program.to_owned(), ..Launch::default() };
        let dir = worker.dir.clone();
        worker.launch_in(&launch, cwd.unwrap_or(&dir), GRACE);
        assert!(worker.ended().success());
        match worker.controls().pop() {
            Some(Control::SpawnFailed { error, .. }) => error.replace(&dir.to_string_lossy().into_owned(), "DIR"),
            other => panic!("{other:?}"),
        }
    };
    let missing = Path::new("no-such-program");
    assert_eq!(
        failure("missing", missing, None),
        "program no-such-program was not found in PATH: install it, or set its full path"
    );
    assert_eq!(failure("no-file", Path::new("/no/such/file"), None), "program /no/such/file does not exist");
    assert_eq!(failure("mode", Path::new("./plain"), None), "DIR/./plain is not executable: chmod +x it");
    assert_eq!(
        failure("no-cwd", Path::new("/bin/sh"), Some(Path::new("/no/such/folder"))),
        "the working directory /no/such/folder does not exist"
    );
}

#[test]
fn a_script_without_its_interpreter_is_explained() {
    let mut worker = Worker::new("interpreter");
    let script = worker.dir.join("script");
    fs::write(&script, "#!/no/such/interpreter\n").unwrap();
    fs::set_permissions(&script, Permissions::from_mode(0o755)).unwrap();
    worker.launch(&Launch { program: script, ..Launch::default() });
    assert!(worker.ended().success());
    let Some(Control::SpawnFailed { error, .. }) = worker.controls().pop() else { panic!() };
    assert!(error.ends_with("the interpreter that its first line names does not exist"), "{error}");
}

#[test]
fn files_of_a_shim_are_private_even_below_long_paths() {
    let mut worker = Worker::new("modes");
    let deep = worker.dir.join("d".repeat(120)).join("e".repeat(120));
    fs::create_dir_all(&deep).unwrap();
    drop(rs_worker::testing::journal::Writer::create(&deep.join("journal"), &worker.id).unwrap());
    let top = std::mem::replace(&mut worker.dir, deep);
    worker.launch(&sh("read wait"));
    drop(worker.attach(worker.start()));
    for file in ["shim.sock", "shim.log", "journal"] {
        let mode = fs::metadata(worker.dir.join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    worker.dir = top;
}

#[test]
fn a_second_shim_for_the_same_worker_does_not_start() {
    let worker = Worker::running("second", "read wait");
    drop(worker.attach(worker.start()));
    let mut second = Worker { id: worker.id.clone(), dir: worker.dir.clone(), shim: None };
    second.launch(&sh("echo never"));
    assert!(!second.ended().success());
    assert!(second.log().contains("is being written by another process"));
    std::mem::forget(second);
    assert!(worker.payloads(Kind::Out).is_empty());
    eventually("the first one still listens", || rs_worker::testing::shim::connect(&worker.dir).ok());
}
