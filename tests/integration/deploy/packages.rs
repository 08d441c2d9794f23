//! `make install`, `make uninstall` and the Debian package, into folders of their own.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use super::{project_file, project_path};
use crate::support::temp::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_rs-worker");

#[track_caller]
fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let told = String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned();
    assert!(output.status.success(), "{command:?}: {told}");
    output
}

fn make(target: &str, prefix: &str, destdir: &Path) {
    let mut make = Command::new("make");
    make.current_dir(project_path("")).args(["--no-print-directory", target]);
    make.args([format!("PROGRAM={PROGRAM}"), format!("PREFIX={prefix}"), format!("DESTDIR={}", destdir.display())]);
    run(make.env_remove("MAKEFLAGS"));
}

/// The files below a folder, by their paths in it, with their modes.
fn files(dir: &Path) -> BTreeMap<String, u32> {
    let mut found = BTreeMap::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(dir).unwrap().display().to_string();
                found.insert(name, entry.metadata().unwrap().permissions().mode() & 0o7777);
            }
        }
    }
    found
}

/// What an installation brings below its prefix.
const INSTALLED: [&str; 9] = [
    "bin/rs-worker",
    "lib/systemd/system/rs-worker.service",
    "lib/sysusers.d/rs-worker.conf",
    "share/doc/rs-worker/Caddyfile",
    "share/doc/rs-worker/README.md",
    "share/doc/rs-worker/copyright",
    "share/doc/rs-worker/env.example",
    "share/doc/rs-worker/nginx.conf",
    "share/systemd/user/rs-worker.service",
];

#[test]
fn make_install_brings_the_program_and_its_services_and_uninstall_takes_away_just_these() {
    let dir = TempDir::new("install");
    let into = dir.path().join("opt/rs");
    make("install", "/opt/rs", dir.path());
    let installed = files(&into);
    assert_eq!(installed.keys().map(String::as_str).collect::<Vec<_>>(), INSTALLED);
    for (name, mode) in &installed {
        assert_eq!(*mode, if name == "bin/rs-worker" { 0o755 } else { 0o644 }, "{name}");
    }
    let told = run(Command::new(into.join("bin/rs-worker")).arg("--version")).stdout;
    assert_eq!(told, run(Command::new(PROGRAM).arg("--version")).stdout);
    for unit in ["lib/systemd/system/rs-worker.service", "share/systemd/user/rs-worker.service"] {
        let text = fs::read_to_string(into.join(unit)).unwrap();
        assert!(text.contains("\nExecStart=/opt/rs/bin/rs-worker serve\n"), "{text}");
    }
    // Again, over what is there: an upgrade. What is not ours stays at an uninstallation.
    make("install", "/opt/rs", dir.path());
    fs::write(into.join("bin/other"), "").unwrap();
    make("uninstall", "/opt/rs", dir.path());
    assert_eq!(files(&into).into_keys().collect::<Vec<_>>(), ["bin/other"]);
    assert!(!into.join("share/doc/rs-worker").exists());
}

#[test]
fn the_debian_package_installs_upgrades_and_is_removed_and_leaves_peoples_settings_and_data() {
    if Command::new("dpkg-deb").arg("--version").output().is_err() {
        eprintln!("not checked: there is no dpkg-deb here");
        return;
    }
    let dir = TempDir::new("deb");
    run(Command::new(project_path("deploy/build-deb")).args([PROGRAM, dir.path().to_str().unwrap()]));
    let package = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path()).next().unwrap();
    let version = env!("CARGO_PKG_VERSION");
    let name = package.file_name().unwrap().to_str().unwrap();
    assert!(name.starts_with(&format!("rs-worker_{version}_")) && name.ends_with(".deb"), "{name}");
    let field = |field: &str| run(Command::new("dpkg-deb").arg("-f").arg(&package).arg(field)).stdout;
    assert_eq!(String::from_utf8(field("Package")).unwrap(), "rs-worker\n");
    assert_eq!(field("Depends").trim_ascii(), b"", "a static program depends on nothing");

    // A root of its own, in which there is nothing: dpkg runs the package's scripts outside of it, as they allow.
    let root = dir.dir("root");
    for folder in ["var/lib/dpkg/info", "var/lib/dpkg/updates", "var/lib/dpkg/triggers"] {
        dir.dir(&format!("root/{folder}"));
    }
    fs::write(root.join("var/lib/dpkg/status"), "").unwrap();
    let dpkg = |args: &[&str]| {
        let mut dpkg = Command::new("dpkg");
        dpkg.arg(format!("--root={}", root.display()))
            .args(["--force-script-chrootless", "--force-not-root"])
            .args(args);
        run(dpkg.env("PATH", format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap())))
    };
    dpkg(&["--install", package.to_str().unwrap()]);
    let installed = files(&root.join("usr"));
    assert_eq!(installed.keys().map(String::as_str).collect::<Vec<_>>(), INSTALLED);
    run(Command::new(root.join("usr/bin/rs-worker")).arg("--version"));
    let settings = root.join("etc/rs-worker/rs-worker.env");
    assert_eq!(fs::read_to_string(&settings).unwrap(), project_file(".env.example"));
    assert_eq!(settings.metadata().unwrap().permissions().mode() & 0o777, 0o600);

    // An upgrade leaves settings that people have changed, and a removal too; the data stays at a purge.
    fs::write(&settings, "PORT=7799\n").unwrap();
    let journal = dir.dir("root/var/lib/rs-worker/workers/w").join("journal");
    fs::write(&journal, "work").unwrap();
    dpkg(&["--install", package.to_str().unwrap()]);
    dpkg(&["--remove", "rs-worker"]);
    assert!(!root.join("usr/bin/rs-worker").exists());
    assert_eq!(fs::read_to_string(&settings).unwrap(), "PORT=7799\n");
    let told = String::from_utf8(dpkg(&["--purge", "rs-worker"]).stdout).unwrap();
    assert!(told.contains("the workers' data is still in /var/lib/rs-worker"), "{told}");
    assert_eq!(fs::read_to_string(&journal).unwrap(), "work");
}
