//! The paths of the programs that act as the CLI: the real ones, and the fake one.

use std::path::{Path, PathBuf};

/// Names a directory with `node_modules/.bin` to use instead of `target/clis`.
pub(crate) const CLIS: &str = "RS_WORKER_TEST_CLIS";

/// The key of the real CLIs. It is not checked.
pub(crate) const FAKE_KEY: &str = "sk-ant-fake-0123456789abcdef";

/// Returns the path of the real Claude Code.
///
/// # Panics
/// Fails when it is not installed, with the command that installs it.
pub(crate) fn claude() -> PathBuf {
    real("claude")
}

/// The folder in which the real CLIs are installed.
pub(crate) fn folder() -> PathBuf {
    std::env::var_os(CLIS).map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target/clis"), PathBuf::from)
}

/// Returns the path of a real CLI by the name of its command.
///
/// # Panics
/// As [`claude`].
pub(crate) fn real(name: &str) -> PathBuf {
    let path = folder().join("node_modules/.bin").join(name);
    assert!(
        path.exists(),
        "{} is missing: `make install-test-deps` installs the real CLIs that tests named real_ drive \
         (`make check` runs the tests that need none of them)",
        path.display()
    );
    path
}

/// Returns the path of the program in `tests/fake_cli`.
///
/// # Panics
/// Fails when it was not built: naming one test target leaves the examples out.
pub(crate) fn fake_cli() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let profile = test.ancestors().nth(2).unwrap();
    let path = profile.join("examples/fake_cli");
    assert!(path.exists(), "{} is missing: run `cargo build --example fake_cli` first", path.display());
    path
}

/// The whole environment in which the real Claude Code talks only to a fake model.
pub(crate) fn claude_env(home: &Path, model_url: &str) -> Vec<(String, String)> {
    let mut env = quiet_env(home);
    env.push(("ANTHROPIC_BASE_URL".into(), model_url.into()));
    env.push(("ANTHROPIC_API_KEY".into(), FAKE_KEY.into()));
    env
}

/// The variables that name the folder for temporary files of the tests (`tests/in-scratch`), as far as they are set.
/// Without them the real CLIs leave files in `/tmp`.
pub(crate) fn temporary() -> impl Iterator<Item = (String, String)> {
    ["TMPDIR", "CLAUDE_CODE_TMPDIR"].into_iter().filter_map(|name| Some((name.to_owned(), std::env::var(name).ok()?)))
}

/// The environment that isolates any real CLI: its own HOME, no telemetry, no updates. Without a model and a key.
pub(crate) fn quiet_env(home: &Path) -> Vec<(String, String)> {
    let path = std::env::var("PATH").unwrap_or_default();
    [
        ("PATH", path.as_str()),
        ("HOME", home.to_str().unwrap()),
        ("LANG", "C.UTF-8"),
        ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1"),
        ("DISABLE_TELEMETRY", "1"),
        ("DISABLE_AUTOUPDATER", "1"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into_iter()
    .chain(temporary())
    .collect()
}
