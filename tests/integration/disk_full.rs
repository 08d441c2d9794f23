//! A disk that is full for a while: the CLI waits, the API reports it, nothing is lost.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::support::clis;
use crate::support::processes;
use crate::support::require::require_command;
use crate::support::server::TestServer;
use crate::support::temp::TempDir;
use crate::support::wait::{DEADLINE, eventually};
use crate::support::workers::{TestWorker, declare_programs, run, run_script};

/// Size of the disk.
const DISK_MIB: usize = 4;
/// Size of the file that fills most of it at first.
const BALLAST_BYTES: usize = 3 * 1024 * 1024;
/// Lines that the CLI prints; more than fit beside the ballast, and fewer than fit without it.
const LINES: usize = 1_800;
/// Bytes of a line.
const PAD: &str = "1000";

/// A small, separate file system.
pub(crate) struct Disk {
    pub(crate) path: PathBuf,
    _dir: TempDir,
}

impl Disk {
    /// Mounts it. Returns `None`, as [`require_command`] does, for a user who can't mount.
    pub(crate) fn mount() -> Option<Self> {
        let dir = TempDir::new("disk");
        let path = dir.dir("mounted");
        let size = format!("size={DISK_MIB}m,mode=700");
        let mut mount = Command::new("mount");
        require_command("a small disk of its own", mount.args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(&path))?;
        Some(Self { path, _dir: dir })
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: a test that fails may have left a process in it.
        let _ = Command::new("umount").arg("-l").arg(&self.path).status();
    }
}

fn warning(server: &TestServer, worker: &TestWorker) -> Option<String> {
    worker.show(server)["warning"].as_str().map(str::to_owned)
}

#[test]
fn full_disk_lets_a_worker_be_deleted() {
    let Some(disk) = Disk::mount() else { return };
    let data = disk.path.join("workers");
    fs::write(disk.path.join("ballast"), vec![0; BALLAST_BYTES]).unwrap();
    let mut server = TestServer::builder()
        .name("disk-full-delete")
        .env("WORKERS_BASE_DIR", &data)
        .env("STOP_GRACE_SECS", "1")
        .prepare();
    declare_programs(&server);
    server.start();
    let fake = clis::fake_cli();
    let worker = run(&server, &[fake.to_str().unwrap(), "lines", &LINES.to_string(), "--pad", PAD]);
    eventually(DEADLINE, "the warning", || warning(&server, &worker));
    server.delete(&worker.path("")).expect(200);
    let folder = data.join(&worker.id).display().to_string();
    assert_eq!(processes::find(|_| false, |command| command.contains(&folder)), [], "its shim has ended");
    assert!(!data.join(&worker.id).exists());
    drop(server);
    drop(disk);
}

/// Fills it to the last byte.
fn fill(disk: &Disk) {
    let mut ballast = fs::File::create(disk.path.join("ballast")).unwrap();
    let block = [0; 1024];
    while ballast.write_all(&block).is_ok() {}
}

#[track_caller]
fn wait_said(server: &TestServer, worker: &TestWorker, text: &str) {
    eventually(DEADLINE, "the answer", || {
        worker.events_of(server, "assistant").iter().any(|event| event["content"] == text).then_some(())
    });
}

#[test]
fn full_disks_of_log_and_temporary_files_disturb_no_worker() {
    let (Some(log), Some(temporary)) = (Disk::mount(), Disk::mount()) else { return };
    let mut server = TestServer::builder()
        .name("disk-full-log")
        .env("LOG_FILE", log.path.join("app.log"))
        .env("LOG_LEVEL", "DEBUG")
        .env("TMPDIR", &temporary.path)
        .prepare();
    declare_programs(&server);
    server.start();
    fill(&log);
    fill(&temporary);
    let worker = run_script(&server, "read line; echo \"after $line\"; exec cat");
    worker.say(&server, "the disks");
    wait_said(&server, &worker, "after the disks");
    server.restart();
    worker.say(&server, "still here");
    wait_said(&server, &worker, "still here");
    let folder = server.data_dir().join(&worker.id).display().to_string();
    server.delete(&worker.path("")).expect(200);
    assert_eq!(processes::find(|_| false, |command| command.contains(&folder)), [], "its shim has ended");
}

fn journal_size(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |metadata| metadata.len())
}

#[test]
fn cli_waits_while_the_disk_is_full_and_loses_nothing() {
    let Some(disk) = Disk::mount() else { return };
    let data = disk.path.join("workers");
    let ballast = disk.path.join("ballast");
    fs::write(&ballast, vec![0; BALLAST_BYTES]).unwrap();
    let mut server =
        TestServer::builder().name("disk-full").env("WORKERS_BASE_DIR", &data).env("STOP_GRACE_SECS", "1").prepare();
    declare_programs(&server);
    server.start();
    let fake = clis::fake_cli();
    let count = LINES.to_string();
    let worker =
        run(&server, &["sh", "-c", "\"$@\"; read wait", "sh", fake.to_str().unwrap(), "lines", &count, "--pad", PAD]);
    let mut client = worker.watch(&server);
    let reported = eventually(DEADLINE, "the warning", || warning(&server, &worker));
    assert!(reported.contains("cannot be written"), "{reported}");
    let ready = server.get("/api/ready").expect(503).json();
    assert_eq!(ready["detail"], "the journals of 1 workers cannot be written (is the disk full?)");
    // The warning overtakes the records before it.
    worker.wait_status(&server, "idle");
    let journal = data.join(&worker.id).join("journal");
    let full = journal_size(&journal);
    assert!(full < (LINES * 1_000) as u64);

    // A server that is killed and started meanwhile learns of it too.
    server.kill9();
    server.start();
    eventually(DEADLINE, "the warning after a restart", || warning(&server, &worker));
    client.wait_for_close(DEADLINE);
    let mut client = worker.watch_since(&server, client.last_seq().unwrap_or(0));

    fs::remove_file(&ballast).unwrap();
    client.wait_for("the last line", DEADLINE, |frame| {
        frame["content"]["content"].as_str().is_some_and(|text| text.starts_with(&format!("line {LINES}x")))
    });
    eventually(DEADLINE, "the warning is gone", || warning(&server, &worker).is_none().then_some(()));
    eventually(DEADLINE, "a server that is ready", || (server.get("/api/ready").status == 200).then_some(()));
    let lines: Vec<u64> = worker
        .events_of(&server, "assistant")
        .iter()
        .map(|event: &Value| event["content"].as_str().unwrap().trim_end_matches('x')[5..].parse().unwrap())
        .collect();
    assert_eq!(lines, (1..=LINES as u64).collect::<Vec<_>>());
    worker.call(&server, "stop").expect(200);
    server.delete(&worker.path("")).expect(200);
    drop(server);
    drop(disk);
}
