//! A real Slurm on loopback: munged, slurmctld and slurmd, with settings and a key of their own.

use std::fs::{self, File};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Output, Stdio};

use super::require::require_program;
use super::temp::TempDir;
use super::wait::{DEADLINE, eventually};

/// Most attempts to end the jobs that a failed test has left.
const JOB_ENDS_MAX: usize = 200;

/// A cluster of one node with the partition `short`, ended when this is dropped.
pub(crate) struct Slurm {
    munged: Child,
    controller: Child,
    node: Child,
    dir: TempDir,
}

impl Slurm {
    /// Starts one. Returns `None`, as [`require_program`] does, where it is not installed.
    pub(crate) fn start() -> Option<Self> {
        for program in ["munged", "slurmctld", "slurmd", "srun"] {
            require_program(program)?;
        }
        let dir = TempDir::new("slurm");
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let at = |name: &str| dir.path().join(name).display().to_string();
        for name in ["munge", "state", "spool"] {
            fs::create_dir(at(name)).unwrap();
            fs::set_permissions(at(name), fs::Permissions::from_mode(0o755)).unwrap();
        }
        fs::write(at("munge/key"), [7; 128]).unwrap();
        fs::set_permissions(at("munge/key"), fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(at("slurm.conf"), settings(&at)).unwrap();
        let munged = Command::new(program("munged"))
            .args(["--foreground", "--force", &format!("--socket={}", at("munge/socket"))])
            .args([format!("--key-file={}", at("munge/key")), format!("--log-file={}", at("munge/log"))])
            .args([format!("--pid-file={}", at("munge/pid")), format!("--seed-file={}", at("munge/seed"))])
            .stdin(Stdio::null())
            .stderr(File::create(at("munged.err")).unwrap())
            .spawn()
            .unwrap();
        eventually(DEADLINE, "munged listens", || fs::metadata(at("munge/socket")).ok());
        let controller = daemon(&dir, "slurmctld");
        let node = daemon(&dir, "slurmd");
        let slurm = Self { munged, controller, node, dir };
        slurm.wait_ready();
        Some(slurm)
    }

    /// The file of its settings, for `SLURM_CONF`.
    pub(crate) fn config(&self) -> String {
        self.dir.path().join("slurm.conf").display().to_string()
    }

    /// Runs one of its client programs.
    pub(crate) fn run(&self, program: &str, args: &[&str]) -> Output {
        Command::new(program).args(args).env("SLURM_CONF", self.config()).stdin(Stdio::null()).output().unwrap()
    }

    /// The names of the jobs that it lists: those that wait, run, or are being ended.
    pub(crate) fn jobs(&self) -> Vec<String> {
        let listed = self.run("squeue", &["--noheader", "--format=%j"]);
        String::from_utf8_lossy(&listed.stdout).lines().map(str::to_owned).collect()
    }

    /// Kills the controller and the node's daemon, and starts them again. Jobs belong to neither.
    pub(crate) fn kill_daemons(&mut self) {
        for child in [&mut self.controller, &mut self.node] {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        self.controller = daemon(&self.dir, "slurmctld");
        self.node = daemon(&self.dir, "slurmd");
        self.wait_ready();
    }

    fn wait_ready(&self) {
        eventually(DEADLINE, "the node can take jobs", || {
            let listed = self.run("sinfo", &["--noheader", "--format=%t"]);
            let state = String::from_utf8_lossy(&listed.stdout).trim().to_owned();
            ["idle", "mix", "alloc"].contains(&state.as_str()).then_some(())
        });
    }
}

impl Drop for Slurm {
    fn drop(&mut self) {
        // Jobs outlive the daemons, so they are ended first.
        for _ in 0..JOB_ENDS_MAX {
            let jobs = self.jobs();
            for job in &jobs {
                self.run("scancel", &["--full", "--signal=KILL", &format!("--name={job}")]);
                self.run("scancel", &[&format!("--name={job}")]);
            }
            if jobs.is_empty() {
                break;
            }
        }
        for child in [&mut self.node, &mut self.controller, &mut self.munged] {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Debian has the daemons in a folder that is not in the PATH of everybody.
fn program(name: &str) -> String {
    let folders = ["/usr/sbin", "/usr/local/sbin"];
    let found = folders.map(|folder| format!("{folder}/{name}")).into_iter().find(|path| fs::metadata(path).is_ok());
    found.unwrap_or_else(|| name.to_owned())
}

fn daemon(dir: &TempDir, name: &str) -> Child {
    let config = dir.path().join("slurm.conf").display().to_string();
    let log = File::options().create(true).append(true).open(dir.path().join(format!("{name}.err"))).unwrap();
    Command::new(program(name))
        .args(["-D", "-f", &config])
        .env("SLURM_CONF", &config)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap()
}

/// Its node has more processors than the machine, so that jobs of other tests never wait for one.
fn settings(at: &impl Fn(&str) -> String) -> String {
    let port = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let host = host.trim().split('.').next().unwrap();
    format!(
        "ClusterName=test\nSlurmctldHost={host}(127.0.0.1)\nSlurmUser=root\nSlurmdUser=root\nAuthType=auth/munge\n\
         AuthInfo=socket={socket}\nCryptoType=crypto/munge\nSlurmctldPort={controller}\nSlurmdPort={node}\n\
         StateSaveLocation={state}\nSlurmdSpoolDir={spool}\nSlurmctldPidFile={ctld_pid}\nSlurmdPidFile={slurmd_pid}\n\
         SlurmctldLogFile={ctld_log}\nSlurmdLogFile={slurmd_log}\nSlurmdParameters=config_overrides\n\
         ProctrackType=proctrack/linuxproc\nTaskPlugin=task/none\nSchedulerType=sched/builtin\n\
         SelectType=select/cons_tres\nSelectTypeParameters=CR_Core\nReturnToService=2\nKillWait=2\nMpiDefault=none\n\
         JobAcctGatherType=jobacct_gather/none\nAccountingStorageType=accounting_storage/none\nOverTimeLimit=0\n\
         NodeName={host} NodeAddr=127.0.0.1 CPUs=64 RealMemory=1000 State=UNKNOWN\n\
         PartitionName=short Nodes={host} Default=YES MaxTime=INFINITE State=UP\n",
        socket = at("munge/socket"),
        controller = port(),
        node = port(),
        state = at("state"),
        spool = at("spool"),
        ctld_pid = at("ctld.pid"),
        slurmd_pid = at("slurmd.pid"),
        ctld_log = at("ctld.log"),
        slurmd_log = at("slurmd.log"),
    )
}
