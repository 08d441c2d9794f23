//! A real sshd on loopback, with keys and settings of its own.

use std::fs::{self, File};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};

use super::require::require_program;
use super::temp::TempDir;
use super::wait::{DEADLINE, eventually};

/// A server of ssh, ended when this is dropped.
pub(crate) struct Sshd {
    child: Child,
    dir: TempDir,
}

impl Sshd {
    /// Starts one. Returns `None`, as [`require_program`] does, where it is not installed.
    pub(crate) fn start() -> Option<Self> {
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
        // The folder for unauthenticated sessions of an sshd that runs as root.
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

    /// The settings of a client, in which the server is the host `there`.
    pub(crate) fn config(&self) -> String {
        self.dir.path().join("config").display().to_string()
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
