//! Workers behind a real sshd on loopback, with keys and settings of its own.

use std::fs::{self, File};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::json;

use super::{a_turn_with_a_killed_server, nothing_is_left, prepared, started, written};
use crate::support::require::require_program;
use crate::support::server::TestServer;
use crate::support::temp::TempDir;
use crate::support::wait::{DEADLINE, eventually};
use crate::support::workers::{TestWorker, run_script};

const ODD: &str = "a'b\\ \"$HOME\" `id` \né*";

/// A server of ssh, ended when this is dropped.
struct Sshd {
    child: Child,
    dir: TempDir,
}

impl Sshd {
    /// Starts one. Returns `None`, as [`require_program`] does, where it is not installed.
    fn start() -> Option<Self> {
        let (program, _) = (require_program("sshd")?, require_program("ssh")?);
        let dir = TempDir::new("sshd");
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let at = |name: &str| dir.path().join(name).display().to_string();
        for name in ["host", "key"] {
            let keygen = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f", &at(name)]).status();
            assert!(keygen.unwrap().success());
        }
        fs::copy(at("key.pub"), at("authorized")).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let settings = [
            format!("Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nPidFile none", at("host")),
            format!("AuthorizedKeysFile {}\nStrictModes no\nUsePAM no\nAcceptEnv LANG LC_*", at("authorized")),
            "PasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\n"
                .to_owned(),
        ];
        fs::write(at("sshd_config"), settings.join("\n")).unwrap();
        let client = format!(
            "Host there\n HostName 127.0.0.1\n Port {port}\n IdentityFile {}\n IdentitiesOnly yes\n \
             UserKnownHostsFile {}\n StrictHostKeyChecking no\n LogLevel ERROR\n",
            at("key"),
            at("known")
        );
        fs::write(at("config"), client).unwrap();
        // Where sshd puts those that are not logged in yet, when it runs as root.
        let _ = fs::create_dir_all("/run/sshd");
        let log = File::create(at("log")).unwrap();
        // Tests that run under nohup ignore SIGHUP, by which sshd ends what a lost connection leaves.
        let child = Command::new("env")
            .arg("--default-signal=HUP")
            .arg(program)
            .args(["-D", "-e", "-f", &at("sshd_config")])
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        eventually(DEADLINE, "sshd listens", || TcpStream::connect(("127.0.0.1", port)).ok());
        Some(Self { child, dir })
    }

    fn config(&self) -> String {
        self.dir.path().join("config").display().to_string()
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server whose workers run behind `sshd`.
fn server(name: &str, sshd: &Sshd) -> TestServer {
    let server = prepared(name, "there");
    fs::create_dir(server.dir().join("runners")).unwrap();
    let declared = json!({"from": "ssh", "argument": "there", "options": ["-F", sshd.config()]});
    fs::write(server.dir().join("runners/there.json"), declared.to_string()).unwrap();
    server
}

#[test]
fn folder_words_and_variables_arrive_on_the_other_machine_as_they_were() {
    let Some(sshd) = Sshd::start() else { return };
    let mut server = server("ssh-odd", &sshd);
    server.set_env("SECRET_OF_THE_SERVER", "x");
    server.start();
    let project = server.project().join(ODD);
    fs::create_dir(&project).unwrap();
    let script = r#"{ printf '%s\n%s\n%s\n' "$ODD" "$1" "$PWD"; env; echo end; } > out"#;
    let more = json!({"args": ["sh", "-c", script, "sh", ODD], "project_path": project, "env": {"ODD": ODD}});
    let worker = TestWorker::create(&server, "program", &more);
    let out = written(&project.join("out"));
    assert!(out.starts_with(&format!("{ODD}\n{ODD}\n{}\n", project.display())), "{out}");
    assert!(out.contains("SSH_CONNECTION=127.0.0.1") && !out.contains("SECRET_OF"), "{out}");
    let argv = started(&server, &worker)["argv"].to_string();
    assert!(!argv.contains("ODD="), "no variable stands on a command line: {argv}");
    // What is on the other machine is not looked for here.
    let absent = json!({"name": "x", "project_path": "/no/such/folder", "ai_cli_type": "claude"});
    let id = server.post("/api/workers", &absent).expect(201).json()["id"].as_str().unwrap().to_owned();
    let failed = server.wait_status(&id, "failed");
    assert!(failed["reason"].to_string().contains("126"), "{failed}");
    let up = json!({"name": "x", "project_path": "/srv/../etc", "ai_cli_type": "claude"});
    server.post("/api/workers", &up).expect(400);
    let tree = json!({"name": "x", "project_path": project, "ai_cli_type": "claude", "worktree": true});
    server.post("/api/workers", &tree).expect(400);
}

#[test]
fn an_agent_on_another_machine_asks_outlives_the_server_and_goes_on() {
    let Some(sshd) = Sshd::start() else { return };
    let mut server = server("ssh-turn", &sshd);
    server.start();
    a_turn_with_a_killed_server(&mut server);
}

#[test]
fn nothing_is_left_on_another_machine_after_a_stop_or_when_the_connection_dies() {
    let Some(sshd) = Sshd::start() else { return };
    let mut server = server("ssh-stop", &sshd);
    server.start();
    nothing_is_left(&server);
    // The same command line without a shim: nobody on this side ends what is on the other when ssh is killed.
    let worker = run_script(&server, "sleep 1000");
    let started = started(&server, &worker);
    worker.call(&server, "stop").expect(200);
    let argv: Vec<&str> = started["argv"].as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
    let mut ssh = Command::new(argv[0])
        .args(&argv[1..])
        .env("LC_RS_WORKER_ENV", "A=1")
        .current_dir(Path::new("/"))
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    eventually(DEADLINE, "it runs there", || (!server.processes_of(&worker.id).is_empty()).then_some(()));
    ssh.kill().unwrap();
    ssh.wait().unwrap();
    server.wait_no_processes_of(&worker.id);
}
