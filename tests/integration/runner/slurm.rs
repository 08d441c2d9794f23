//! Workers that are jobs of a real Slurm on loopback.

use std::fs;
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::{STUBBORN, a_turn_with_a_killed_server, nothing_is_left, prepared, started, written};
use crate::support::processes;
use crate::support::server::TestServer;
use crate::support::slurm::Slurm;
use crate::support::wait::{DEADLINE, eventually};
use crate::support::workers::{TestWorker, run_script};

/// A server whose workers are jobs of `slurm`.
fn server(name: &str, slurm: &Slurm) -> TestServer {
    let mut server = prepared(name, "slurm:short");
    server.set_env("SLURM_CONF", &slurm.config());
    server
}

fn job(worker: &TestWorker) -> String {
    format!("rs-worker-{}", worker.id)
}

/// Waits until Slurm lists the worker's job, or no job.
#[track_caller]
fn wait_jobs(slurm: &Slurm, wanted: &[String]) {
    eventually(DEADLINE, "Slurm lists these jobs alone", || (slurm.jobs() == wanted).then_some(()));
}

#[test]
fn slurm_job_names_its_worker_and_no_key() {
    let Some(slurm) = Slurm::start() else { return };
    let mut server = server("slurm-odd", &slurm);
    server.set_env("SECRET_OF_THE_SERVER", "x");
    server.start();
    let script = "{ printf '%s\n' \"$KEY\" \"$PWD\" \"$SLURM_JOB_NAME\"; env; echo end; } > out; sleep 1000";
    let more = json!({"args": ["sh", "-c", script], "env": {"KEY": "a'b $x"}});
    let worker = TestWorker::create(&server, "program", &more);
    let out = written(&server.project().join("out"));
    assert!(out.starts_with(&format!("a'b $x\n{}\n{}\n", server.project().display(), job(&worker))), "{out}");
    assert!(out.contains("SLURM_JOB_ID=") && !out.contains("SECRET_OF"), "{out}");
    let argv = started(&server, &worker)["argv"].to_string();
    assert!(!argv.contains("KEY=") && argv.contains(&format!("--comment=rs-worker {}", worker.id)), "{argv}");
    let shown = slurm.run("scontrol", &["show", "job"]);
    assert!(!String::from_utf8_lossy(&shown.stdout).contains("a'b"), "{shown:?}");
    worker.call(&server, "stop").expect(200);
    assert_eq!(slurm.jobs(), [""; 0], "stop means stopped");
}

#[test]
fn slurm_agent_asks_outlives_server_and_daemons_and_continues() {
    let Some(mut slurm) = Slurm::start() else { return };
    let mut server = server("slurm-turn", &slurm);
    server.start();
    let worker = run_script(&server, "echo up > up; while [ ! -e go ]; do sleep 0.1; done; echo end > out; sleep 1000");
    eventually(DEADLINE, "it runs", || fs::metadata(server.project().join("up")).ok());
    slurm.kill_daemons();
    fs::write(server.project().join("go"), "").unwrap();
    written(&server.project().join("out"));
    wait_jobs(&slurm, &[job(&worker)]);
    worker.call(&server, "stop").expect(200);
    wait_jobs(&slurm, &[]);
    a_turn_with_a_killed_server(&mut server);
    wait_jobs(&slurm, &[]);
}

#[test]
fn stop_cancels_a_job_that_ignores_signals() {
    let Some(slurm) = Slurm::start() else { return };
    let mut server = server("slurm-stop", &slurm);
    server.start();
    nothing_is_left(&server);
    wait_jobs(&slurm, &[]);
    // The same command line without a shim: no process on this side ends the job.
    let worker = run_script(&server, "sleep 1000");
    let argv = started(&server, &worker)["argv"].clone();
    worker.call(&server, "stop").expect(200);
    let argv: Vec<&str> = argv.as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
    let at = argv.iter().position(|&word| word == "--").unwrap();
    let mut client = Command::new("setsid")
        .args(&argv[..=at])
        .args(["sh", "-c", STUBBORN])
        .env("SLURM_CONF", slurm.config())
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_jobs(&slurm, &[job(&worker)]);
    // A stop of a worker that has stopped here checks the other side again.
    worker.call(&server, "stop").expect(200);
    wait_jobs(&slurm, &[]);
    client.wait().unwrap();
    assert_eq!(processes::with_env("SLURM_JOB_NAME", &job(&worker)), []);
}

#[test]
fn lost_srun_is_reported_and_the_worker_starts_again() {
    let Some(slurm) = Slurm::start() else { return };
    let mut server = server("slurm-lost", &slurm);
    server.start();
    let worker = TestWorker::create(&server, "claude", &json!({"env": {"HOME": server.home()}}));
    let pid = worker.wait_status(&server, "idle")["pid"].as_i64().unwrap();
    assert!(processes::signal(&processes::process(pid as i32).unwrap(), Signal::SIGKILL));
    let failed = worker.wait_status(&server, "failed");
    assert!(failed["reason"].to_string().contains("SIGKILL"), "{failed}");
    wait_jobs(&slurm, &[]);
    worker.say(&server, "hello");
    assert_eq!(worker.wait_turn(&server, 1)["is_error"], Value::Bool(false));
    wait_jobs(&slurm, &[job(&worker)]);
}

#[test]
fn time_limit_of_a_job_is_reported_as_that() {
    let Some(slurm) = Slurm::start() else { return };
    let mut server = server("slurm-limit", &slurm);
    server.start();
    let worker = TestWorker::create(&server, "claude", &json!({"env": {"HOME": server.home()}}));
    worker.wait_status(&server, "idle");
    let id = String::from_utf8(slurm.run("squeue", &["--noheader", "--format=%i"]).stdout).unwrap();
    let shorter =
        slurm.run("scontrol", &["update", &format!("JobId={}", id.trim()), "TimeLimit=1", "EndTime=now+1seconds"]);
    assert!(shorter.status.success(), "{shorter:?}");
    let failed = worker.wait_status(&server, "failed");
    let reason = failed["reason"].as_str().unwrap();
    assert!(reason.contains("DUE TO TIME LIMIT") && reason.contains("a message starts it again"), "{reason}");
    worker.say(&server, "hello");
    assert_eq!(worker.wait_turn(&server, 1)["is_error"], Value::Bool(false));
}

#[test]
fn doctor_checks_the_configured_runners() {
    let Some(slurm) = Slurm::start() else { return };
    let mut server = server("slurm-doctor", &slurm);
    server.set_env("RUNNER", "slurm:short,slurm:absent");
    let output = server.command(["doctor"]).stdin(Stdio::null()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("ok       runner slurm:short") && text.contains("PROBLEM  runner slurm:absent"), "{text}");
    assert!(text.contains("invalid partition specified: absent"), "{text}");
}
