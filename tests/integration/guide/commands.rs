//! Every command of `docs/deployment.md` and `docs/operations.md` is run by a test, or no test can run it unchanged:
//! then the table gives the reason, and the check that replaces it.

use super::project_file;

/// Programs that a command begins with.
const PROGRAMS: [&str; 12] = [
    "make",
    "apt",
    "systemctl",
    "systemd-sysusers",
    "systemd-analyze",
    "runuser",
    "loginctl",
    "journalctl",
    "docker",
    "nginx",
    "rs-worker",
    "curl",
];

/// A command, the file and the test that run it or check its parts, and the reason if it is not run unchanged.
type Proof = (&'static str, &'static str, &'static str, &'static str);

const INSTALLED: &str = "make_install_and_uninstall_affect_only_their_own_files";
const PACKAGED: &str = "debian_package_upgrades_and_leaves_settings_and_data_on_removal";
const UNITS: &str = "systemd_has_nothing_against_the_units";

const PROOFS: [Proof; 13] = [
    ("make static", "packages.rs", INSTALLED, "the tests build the program once, without the release's optimisation"),
    ("make install", "packages.rs", INSTALLED, ""),
    ("make uninstall", "packages.rs", INSTALLED, ""),
    ("make deb", "packages.rs", PACKAGED, ""),
    ("apt install ./target/rs-worker_*.deb", "packages.rs", PACKAGED, "it would change the machine"),
    ("systemd-sysusers", "packages.rs", PACKAGED, "it makes a user of the machine"),
    ("systemctl enable --now rs-worker", "units.rs", UNITS, "it needs systemd as the first process"),
    ("runuser -l rs-worker -c claude", "units.rs", UNITS, "it needs that user and a person who logs in"),
    ("systemctl --user enable --now rs-worker", "units.rs", UNITS, "it needs systemd as the first process"),
    ("loginctl enable-linger", "units.rs", UNITS, "it needs systemd as the first process"),
    (
        "docker compose -f deploy/compose.yaml exec rs-worker claude",
        "containers.rs",
        "the_compose_file_names_files_and_settings_that_exist",
        "it needs Docker and a person who logs in",
    ),
    ("rs-worker doctor", "../command_line/doctor.rs", "server_that_runs_well_has_no_problem_of_its_own", ""),
    ("journalctl -u rs-worker", "units.rs", UNITS, "it needs systemd as the first process"),
];

/// Returns the commands of a document: code in the text that begins with a program.
fn commands(document: &str) -> Vec<String> {
    let text = project_file(document).split_whitespace().collect::<Vec<_>>().join(" ");
    // The text between backquotes is every second piece; a fence of three leaves empty pieces, so the order is kept.
    let code = text.split('`').skip(1).step_by(2).map(str::to_owned);
    code.filter(|code| PROGRAMS.contains(&code.split(' ').next().unwrap_or_default()))
        .filter(|code| code.contains(['-', ' ']))
        .collect()
}

#[test]
fn documented_operator_commands_are_run_by_tests_or_excused() {
    let mut found: Vec<String> = ["docs/deployment.md", "docs/operations.md"].into_iter().flat_map(commands).collect();
    found.retain(|command| command != "rs-worker");
    assert!(found.len() >= 8, "{found:?}");
    for command in &found {
        assert!(PROOFS.iter().any(|(known, ..)| known == command), "no test runs `{command}`, see PROOFS");
    }
    for (command, file, test, _) in PROOFS {
        assert!(found.iter().any(|found| found == command), "no document has `{command}` any more");
        let text = project_file(&format!("tests/integration/deploy/{file}"));
        assert!(text.contains(&format!("fn {test}()")), "{test} is not in {file}");
    }
}
