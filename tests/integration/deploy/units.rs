//! The systemd units, checked by systemd's own tools.

use std::fs;
use std::process::{Command, Output};

use rs_worker::testing::config::SETTINGS;

use super::{project_file, project_path};
use crate::support::require::require;
use crate::support::temp::TempDir;

/// Maximum exposure of the unit in `systemd-analyze security`, in tenths; a unit without settings has 96. The unit's
/// comments list what it leaves open, and why.
const EXPOSURE_MAX: u32 = 35;

/// Runs `systemd-analyze`. Returns `None`, as [`require`] does, if it is not installed.
fn analyze(args: &[&str]) -> Option<Output> {
    require("systemd-analyze", Command::new("systemd-analyze").args(args).output())
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
}

/// Returns the unit with the program of this build, which must exist for systemd to accept the unit.
fn unit(dir: &TempDir, name: &str) -> String {
    let text = project_file(&format!("deploy/{name}"));
    let installed = "/usr/bin/rs-worker";
    assert!(text.contains(&format!("ExecStart={installed} serve")), "{text}");
    let path = dir.path().join(name);
    fs::write(&path, text.replace(installed, env!("CARGO_BIN_EXE_rs-worker"))).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn systemd_has_nothing_against_the_units() {
    let dir = TempDir::new("units");
    for name in ["rs-worker.service", "rs-worker-user.service"] {
        // Names like `%E` are resolved for the system manager, not for a session; all else is checked in the same way.
        let path = unit(&dir, name);
        let Some(verified) = analyze(&["verify", "--man=no", &path]) else { return };
        let reported = text(&verified);
        let ours: Vec<&str> = reported.lines().filter(|line| line.contains("rs-worker")).collect();
        assert!(verified.status.success() && ours.is_empty(), "{name}: {reported}");
    }
    // The check detects errors.
    let broken = dir.path().join("broken.service");
    fs::write(&broken, project_file("deploy/rs-worker.service").replace("KillMode=process", "KillMod=process"))
        .unwrap();
    let Some(verified) = analyze(&["verify", "--man=no", broken.to_str().unwrap()]) else { return };
    assert!(text(&verified).contains("KillMod"), "{}", text(&verified));
}

#[test]
fn the_services_exposure_is_low() {
    let dir = TempDir::new("units");
    let path = unit(&dir, "rs-worker.service");
    let threshold = EXPOSURE_MAX.to_string();
    let args = ["security", "--offline=true", "--no-pager", "--threshold", &threshold, &path];
    let Some(judged) = analyze(&args) else { return };
    assert!(judged.status.success(), "{}", text(&judged));
}

#[test]
fn agents_outlive_a_stop_of_the_service_with_their_files() {
    for name in ["rs-worker.service", "rs-worker-user.service"] {
        let unit = project_file(&format!("deploy/{name}"));
        let has = |line: &str| unit.lines().any(|other| other == line);
        assert!(has("KillMode=process") && has("OOMPolicy=continue"), "{name}");
        // Each of these restricts processes that are left when the service stops.
        for taken in ["PrivateTmp=", "RemoveIPC=", "RuntimeDirectory=", "ExecStopPost=", "DynamicUser="] {
            assert!(!unit.lines().any(|line| line.starts_with(taken)), "{name}: {taken}");
        }
    }
}

#[test]
fn the_units_and_the_compose_file_set_settings_that_exist() {
    let known = |name: &str| SETTINGS.iter().any(|setting| setting.name == name) || ["HOME", "PATH"].contains(&name);
    for name in ["rs-worker.service", "rs-worker-user.service"] {
        let unit = project_file(&format!("deploy/{name}"));
        for line in unit.lines().filter_map(|line| line.strip_prefix("Environment=")) {
            assert!(known(line.split('=').next().unwrap()), "{name}: {line}");
        }
    }
    assert!(project_path("deploy/rs-worker.sysusers").exists());
}
