//! A real Podman with storage and settings of its own, and an image that is made of programs of this machine.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use nix::unistd::Uid;
use serde_json::{Value, json};

use super::require::{require, require_program};
use super::temp::TempDir;

/// The image.
pub(crate) const IMAGE: &str = "localhost/rs-worker-tools";
/// Programs of the image besides those that a test adds.
const PROGRAMS: [&str; 10] = ["sh", "env", "cat", "sleep", "stat", "ls", "mkdir", "touch", "setsid", "id"];

/// Its storage, removed when this is dropped, with all containers.
pub(crate) struct Podman {
    dir: TempDir,
}

impl Podman {
    /// Makes the image, with `programs` in it besides the usual ones. Returns `None`, as [`require`] does, where Podman is
    /// not installed or can't be used: other users than root need ranges of ids in `/etc/subuid`.
    pub(crate) fn start(programs: &[&Path]) -> Option<Self> {
        require_program("podman")?;
        require("root, or a range of ids in /etc/subuid", has_ids())?;
        let dir = TempDir::new("podman");
        let at = |name: &str| dir.path().join(name);
        fs::write(
            at("storage.conf"),
            format!(
                "[storage]\ndriver = \"vfs\"\nrunroot = {:?}\ngraphroot = {:?}\n",
                at("run").display().to_string(),
                at("graph").display().to_string()
            ),
        )
        .unwrap();
        // runc runs on machines with both versions of cgroups; what it can't raise there, limits of files, stays as it is.
        let settings = "[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=4096:4096\"]\nnetns = \"host\"\n\
                        [engine]\nruntime = \"runc\"\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\n";
        fs::write(at("containers.conf"), settings).unwrap();
        let podman = Self { dir };
        podman.import(programs);
        Some(podman)
    }

    /// Variables with which the server finds it.
    pub(crate) fn variables(&self) -> [(&'static str, String); 2] {
        let at = |name: &str| self.dir.path().join(name).display().to_string();
        [("CONTAINERS_CONF", at("containers.conf")), ("CONTAINERS_STORAGE_CONF", at("storage.conf"))]
    }

    /// Runs it.
    pub(crate) fn run(&self, args: &[&str]) -> Output {
        Command::new("podman").args(args).envs(self.variables()).stdin(Stdio::null()).output().unwrap()
    }

    /// The names of all containers, running or not.
    pub(crate) fn containers(&self) -> Vec<String> {
        let listed = self.run(&["ps", "--all", "--format", "{{.Names}}"]);
        assert!(listed.status.success(), "{listed:?}");
        String::from_utf8_lossy(&listed.stdout).lines().map(str::to_owned).collect()
    }

    /// The command line and the environment of a container's first process, as Podman shows them to everybody who may ask it.
    pub(crate) fn inspect(&self, name: &str) -> Value {
        let shown = self.run(&["inspect", name]);
        serde_json::from_slice(&shown.stdout).unwrap_or(json!(null))
    }

    fn import(&self, programs: &[&Path]) {
        let root = self.dir.path().join("root");
        for folder in ["tmp", "etc", "proc", "dev", "sys"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        fs::write(root.join("etc/passwd"), "root:x:0:0::/root:/bin/sh\n").unwrap();
        let usual = PROGRAMS.iter().map(|name| require_program(name).unwrap());
        for program in usual.chain(programs.iter().map(|&path| path.to_owned())) {
            place(&root, &program);
        }
        let archive = self.dir.path().join("root.tar");
        let packed = Command::new("tar").arg("-C").arg(&root).arg("-cf").arg(&archive).arg(".").status().unwrap();
        assert!(packed.success());
        let imported = self.run(&["import", archive.to_str().unwrap(), IMAGE]);
        assert!(imported.status.success(), "{imported:?}");
        fs::remove_dir_all(&root).unwrap();
        fs::remove_file(archive).unwrap();
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        self.run(&["rm", "--all", "--force", "--time", "0"]);
        self.run(&["rmi", "--all", "--force"]);
    }
}

/// Puts a program and the libraries that it is linked with into the file system of the image, at `/bin/NAME`.
fn place(root: &Path, program: &Path) {
    let target = root.join("bin").join(program.file_name().unwrap());
    copy(program, &target);
    let linked = Command::new("ldd").arg(program).output().unwrap();
    let linked = String::from_utf8_lossy(&linked.stdout).into_owned();
    let libraries: BTreeSet<&str> = linked.split_whitespace().filter(|word| word.starts_with('/')).collect();
    for library in libraries {
        copy(Path::new(library), &root.join(library.trim_start_matches('/')));
    }
}

fn copy(from: &Path, to: &Path) {
    if !to.exists() {
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        let from: PathBuf = from.canonicalize().unwrap();
        fs::copy(&from, to).unwrap();
    }
}

fn has_ids() -> Result<(), String> {
    let name = std::env::var("USER").unwrap_or_default();
    let listed = File::open("/etc/subuid").and_then(std::io::read_to_string).unwrap_or_default();
    let has_range = listed.lines().any(|line| line.starts_with(&format!("{name}:")));
    if Uid::effective().is_root() || has_range { Ok(()) } else { Err(format!("there is none for {name:?}")) }
}
