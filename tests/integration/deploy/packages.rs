//! `make install`, `make uninstall` and the Debian package, into temporary folders.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use super::{project_file, project_path};
use crate::support::require::require_command;
use crate::support::temp::TempDir;
use crate::support::workers::{run_script, server_for_programs};

const PROGRAM: &str = env!("CARGO_BIN_EXE_rs-worker");

#[track_caller]
fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let reported = String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned();
    assert!(output.status.success(), "{command:?}: {reported}");
    output
}

fn make(target: &str, prefix: &str, destdir: &Path) {
    let mut make = Command::new("make");
    make.current_dir(project_path("")).args(["--no-print-directory", target]);
    make.args([format!("PROGRAM={PROGRAM}"), format!("PREFIX={prefix}"), format!("DESTDIR={}", destdir.display())]);
    run(make.env_remove("MAKEFLAGS"));
}

/// Returns the files below a folder, by their relative paths, with their modes.
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

/// Files that an installation brings below its prefix.
const INSTALLED: [&str; 13] = [
    "bin/rs-worker",
    "lib/systemd/system/rs-worker.service",
    "lib/sysusers.d/rs-worker.conf",
    "share/bash-completion/completions/rs-worker",
    "share/doc/rs-worker/Caddyfile",
    "share/doc/rs-worker/README.md",
    "share/doc/rs-worker/copyright",
    "share/doc/rs-worker/env.example",
    "share/doc/rs-worker/nginx.conf",
    "share/fish/vendor_completions.d/rs-worker.fish",
    "share/man/man1/rs-worker.1",
    "share/systemd/user/rs-worker.service",
    "share/zsh/site-functions/_rs-worker",
];
/// Below this, each example of an adapter is installed.
const EXAMPLES: &str = "share/doc/rs-worker/adapters/";
/// Below this, the documentation is installed.
const DOCUMENTS: &str = "share/doc/rs-worker/docs/";

/// Checks what is installed below a prefix.
#[track_caller]
fn assert_installed(installed: &BTreeMap<String, u32>) {
    let names = installed.keys().map(String::as_str).filter(|name| !name.starts_with(DOCUMENTS));
    let (examples, others): (Vec<&str>, Vec<&str>) = names.partition(|name| name.starts_with(EXAMPLES));
    for document in ["configuration.md", "decisions/README.md"] {
        assert!(installed.contains_key(&format!("{DOCUMENTS}{document}")), "{document} is not installed");
    }
    assert_eq!(others, INSTALLED);
    assert_eq!(examples.len(), fs::read_dir(project_path("adapters/examples")).unwrap().count(), "{examples:?}");
    assert!(examples.iter().any(|name| name.ends_with("/shell.json")), "{examples:?}");
}

#[test]
fn make_install_and_uninstall_affect_only_their_own_files() {
    let dir = TempDir::new("install");
    let into = dir.path().join("opt/rs");
    make("install", "/opt/rs", dir.path());
    let installed = files(&into);
    assert_installed(&installed);
    for (name, mode) in &installed {
        assert_eq!(*mode, if name == "bin/rs-worker" { 0o755 } else { 0o644 }, "{name}");
    }
    let reported = run(Command::new(into.join("bin/rs-worker")).arg("--version")).stdout;
    assert_eq!(reported, run(Command::new(PROGRAM).arg("--version")).stdout);
    for unit in ["lib/systemd/system/rs-worker.service", "share/systemd/user/rs-worker.service"] {
        let text = fs::read_to_string(into.join(unit)).unwrap();
        assert!(text.contains("\nExecStart=/opt/rs/bin/rs-worker serve\n"), "{text}");
    }
    for name in installed.keys().filter(|name| name.ends_with(".md")) {
        let text = fs::read_to_string(into.join(name)).unwrap();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = target.split('#').next().unwrap();
            let leads = file.is_empty() || target.contains("://") || into.join(name).with_file_name(file).exists();
            assert!(leads, "the installed {name} links to {target}, which is not installed");
        }
    }
    let manual = fs::read_to_string(into.join("share/man/man1/rs-worker.1")).unwrap();
    assert_eq!(
        manual.into_bytes(),
        run(Command::new(PROGRAM).arg("man")).stdout,
        "the manual page is the program's own"
    );
    // An installation over an existing one is an upgrade. Files of others stay at an uninstallation.
    make("install", "/opt/rs", dir.path());
    fs::write(into.join("bin/other"), "").unwrap();
    make("uninstall", "/opt/rs", dir.path());
    assert_eq!(files(&into).into_keys().collect::<Vec<_>>(), ["bin/other"]);
    assert!(!into.join("share/doc/rs-worker").exists());
}

#[test]
fn release_has_binary_package_materials_and_checksums() {
    let Some(()) = require_command("dpkg-deb", Command::new("dpkg-deb").arg("--version")) else { return };
    let Some(()) = require_command("python3", Command::new("python3").arg("--version")) else { return };
    let dir = TempDir::new("release");
    let out = dir.path().join("files");
    run(Command::new(project_path("deploy/build-release")).arg(PROGRAM).arg(&out));
    let names: Vec<String> = files(&out).into_keys().collect();
    let name = format!("rs-worker-{}-linux-{}", env!("CARGO_PKG_VERSION"), std::env::consts::ARCH);
    assert_eq!(names.len(), 4, "{names:?}");
    assert!(names.contains(&name) && names.contains(&format!("{name}.cdx.json")), "{names:?}");
    assert!(names.iter().any(|name| name.ends_with(".deb")), "{names:?}");
    run(Command::new("sha256sum").args(["--check", "--strict", "SHA256SUMS"]).current_dir(&out));
    assert_eq!(fs::read_to_string(out.join("SHA256SUMS")).unwrap().lines().count(), 3);

    let text = fs::read_to_string(out.join(format!("{name}.cdx.json"))).unwrap();
    let materials: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(materials["metadata"]["component"]["version"], env!("CARGO_PKG_VERSION"));
    let crates: Vec<&str> =
        materials["components"].as_array().unwrap().iter().filter_map(|it| it["name"].as_str()).collect();
    assert!(crates.contains(&"serde_json") && crates.contains(&"tiny_http"), "{crates:?}");
    assert!(!crates.contains(&"proptest") && !crates.contains(&"aide"), "neither tests nor build scripts: {crates:?}");
}

#[test]
fn debian_package_upgrades_and_leaves_settings_and_data_on_removal() {
    let Some(()) = require_command("dpkg-deb", Command::new("dpkg-deb").arg("--version")) else { return };
    let dir = TempDir::new("deb");
    run(Command::new(project_path("deploy/build-deb")).args([PROGRAM, dir.path().to_str().unwrap()]));
    let package = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path()).next().unwrap();
    let version = env!("CARGO_PKG_VERSION");
    let name = package.file_name().unwrap().to_str().unwrap();
    assert!(name.starts_with(&format!("rs-worker_{version}_")) && name.ends_with(".deb"), "{name}");
    let field = |field: &str| run(Command::new("dpkg-deb").arg("-f").arg(&package).arg(field)).stdout;
    assert_eq!(String::from_utf8(field("Package")).unwrap(), "rs-worker\n");
    assert_eq!(field("Depends").trim_ascii(), b"", "a static program depends on nothing");

    // In an empty root, dpkg runs the package's scripts outside of it, which the scripts support.
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
    assert_installed(&installed);
    run(Command::new(root.join("usr/bin/rs-worker")).arg("--version"));
    let settings = root.join("etc/rs-worker/rs-worker.env");
    let shipped = fs::read_to_string(&settings).unwrap();
    assert!(
        shipped.starts_with("# Settings of the service rs-worker.") && !shipped.contains("Copy this file"),
        "{shipped}"
    );
    let entries = |text: &str| text.lines().filter(|line| line.contains('=')).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(entries(&shipped), entries(&project_file(".env.example")), "it has every setting");
    assert_eq!(settings.metadata().unwrap().permissions().mode() & 0o777, 0o600);

    // Changed settings survive an upgrade and a removal; the data survives a purge too.
    fs::write(&settings, "PORT=7799\n").unwrap();
    let journal = dir.dir("root/var/lib/rs-worker/workers/w").join("journal");
    fs::write(&journal, "work").unwrap();
    dpkg(&["--install", package.to_str().unwrap()]);
    dpkg(&["--remove", "rs-worker"]);
    assert!(!root.join("usr/bin/rs-worker").exists());
    assert_eq!(fs::read_to_string(&settings).unwrap(), "PORT=7799\n");
    let reported = String::from_utf8(dpkg(&["--purge", "rs-worker"]).stdout).unwrap();
    assert!(reported.contains("the workers' data is still in /var/lib/rs-worker"), "{reported}");
    assert_eq!(fs::read_to_string(&journal).unwrap(), "work");
}

#[test]
fn an_installation_into_a_home_brings_nothing_of_the_system() {
    let dir = TempDir::new("install-home");
    let prefix = dir.path().join(".local");
    let install = |arguments: &[&str]| {
        let mut command = Command::new(project_path("deploy/install"));
        run(command.args(arguments).arg(&prefix).env("HOME", dir.path()));
    };
    install(&[PROGRAM]);
    let installed = files(&prefix);
    assert!(installed.contains_key("bin/rs-worker") && installed.contains_key("share/man/man1/rs-worker.1"));
    assert!(installed.contains_key("share/systemd/user/rs-worker.service"));
    assert!(!installed.keys().any(|name| name.starts_with("lib/")), "{installed:?}");
    install(&["--remove"]);
    assert_eq!(fs::read_dir(&prefix).unwrap().count(), 0, "no empty folders are left");
}

#[test]
fn removal_ends_server_and_agents_where_no_service_manager_runs() {
    if Path::new("/run/systemd/system").exists() {
        return;
    }
    let mut server = server_for_programs("prerm", &[]);
    server.start();
    let worker = run_script(&server, "sleep 1000");
    worker.wait_status(&server, "idle");
    // The user of the service is the one that runs the tests.
    let bin = server.dir().join("stand-ins");
    fs::create_dir(&bin).unwrap();
    let stand_in = |name: &str, script: &str| {
        fs::write(bin.join(name), format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(bin.join(name), fs::Permissions::from_mode(0o755)).unwrap();
    };
    stand_in("getent", "exit 0");
    stand_in("runuser", r#"[ "$1 $2 $3" = "-u rs-worker --" ] && shift 3 && exec "$@""#);
    std::os::unix::fs::symlink(PROGRAM, bin.join("rs-worker")).unwrap();
    let prerm = |action: &str| {
        let mut prerm = Command::new(project_path("deploy/debian/prerm"));
        prerm.arg(action).env("RS_WORKER_DATA", server.data_dir()).current_dir(server.dir());
        run(prerm.env("PATH", format!("{}:{}", bin.display(), std::env::var("PATH").unwrap())));
    };
    prerm("upgrade");
    assert!(!server.processes_of(&worker.id).is_empty(), "an upgrade leaves the agents");
    prerm("remove");
    assert_eq!(server.processes_of(&worker.id), []);
    assert!(!server.is_running());
}
