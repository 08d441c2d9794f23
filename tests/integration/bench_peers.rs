//! The bench of other managers (`benches/peers/agents`) measures running programs, and ends what it has started.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::model::FakeModel;

/// Time limit of a hanging bench, in seconds.
const SECS_MAX: &str = "300";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Runs a program of the bench, and returns its output.
fn bench(program: &str, args: &[&str]) -> String {
    let python: PathBuf = root().join("target/venv/bin/python");
    assert!(python.exists(), "{} is missing: run `make install-test-deps` first", python.display());
    let output = Command::new("timeout")
        .arg(SECS_MAX)
        .arg(python)
        .arg(root().join("benches/peers/agents").join(program))
        .args(args)
        .env("RS_WORKER_BENCH_PROGRAM", env!("CARGO_BIN_EXE_rs-worker"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program}: {printed}");
    printed
}

#[test]
fn real_bench_of_peers_passes_its_own_checks() {
    let printed = bench("check.py", &[]);
    assert!(printed.contains("\nOK"), "{printed}");
}

#[test]
fn real_bench_of_peers_measures_worker_and_bare_agent() {
    let model = FakeModel::start();
    let args = ["--peers", "pipe", "rs-worker", "--measures", "start", "turns", "flood", "--rounds", "1", "--model"];
    let printed = bench("bench.py", &[&args[..], &[&model.url()]].concat());
    assert!(!printed.contains("did not run"), "{printed}");
    let row = |label: &str| {
        let line = printed.lines().find(|line| line.starts_with(&format!("| {label} |")));
        line.unwrap_or_else(|| panic!("{label}: {printed}")).split(" | ").map(str::to_owned).collect::<Vec<_>>()
    };
    let is_figure = |cell: &str| cell.trim_end_matches(" |").replace(',', "").parse::<f64>().is_ok_and(|it| it > 0.0);
    for label in ["first text at the client, ms", "end of turn, ms"] {
        assert!(row(label)[1..].iter().all(|cell| is_figure(cell)), "{printed}");
    }
    assert!(is_figure(&row("start to first HTTP answer, ms")[2]), "{printed}");
    assert_eq!(row("2,000 deltas: received as deltas")[1..], ["2,000", "2,000 |"], "{printed}");
}
