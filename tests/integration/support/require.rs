//! Preconditions of tests: capabilities of the machine that not every user has, such as mount namespaces.

use std::io::Write as _;
use std::path::PathBuf;

/// Environment variable that turns each skipped test into a failed one. CI sets it, so that every test it reports ran.
const REQUIRE_ALL: &str = "RS_WORKER_TEST_REQUIRE_ALL";

/// Returns what the test needs, or `None` after a note on stderr; the test then returns at once.
///
/// # Panics
///
/// Panics if it is missing and `RS_WORKER_TEST_REQUIRE_ALL` is set.
pub(crate) fn require<T>(need: &str, found: Result<T, impl std::fmt::Display>) -> Option<T> {
    match found {
        Ok(found) => Some(found),
        Err(error) => {
            let note = format!("skipped: this test needs {need}: {error}");
            assert!(std::env::var_os(REQUIRE_ALL).is_none(), "{note} ({REQUIRE_ALL} is set)");
            print_skipped(&note);
            None
        }
    }
}

/// Prints that a test was skipped. The test runner hides what the macros print in tests that pass, so this goes past it.
pub(crate) fn print_skipped(note: &str) {
    let test = std::thread::current().name().unwrap_or("?").to_owned();
    let _ = writeln!(std::io::stderr().lock(), "{test}: {note}");
}

/// Requires that a program is in `PATH` or in the folders of system daemons.
///
/// # Panics
///
/// As [`require`] does.
pub(crate) fn require_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    let found = folders.map(|folder| folder.join(name)).find(|file| file.is_file());
    require(name, found.ok_or("it is not installed (make install-test-deps installs it)"))
}

/// Requires that a program runs and succeeds.
///
/// # Panics
///
/// As [`require`] does.
pub(crate) fn require_command(need: &str, command: &mut std::process::Command) -> Option<()> {
    let output = command.output().map_err(|error| error.to_string());
    let succeeded = output.and_then(|output| match output.status.success() {
        true => Ok(()),
        false => Err(format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim())),
    });
    require(need, succeeded)
}
