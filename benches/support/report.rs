//! The figures of one run as a table in docs/measurements.md, between two marks.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The marks between which the README has the table.
const BEGIN: &str = "<!-- figures: begin -->\n";
const END: &str = "<!-- figures: end -->\n";

/// One figure.
struct Row {
    bench: &'static str,
    what: String,
    figure: String,
    /// Its goal, and whether the figure reaches it.
    bar: String,
}

static ROWS: Mutex<(&'static str, Vec<Row>)> = Mutex::new(("", Vec::new()));

fn rows() -> MutexGuard<'static, (&'static str, Vec<Row>)> {
    ROWS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Figures that follow are those of this bench.
pub(crate) fn begin(bench: &'static str) {
    rows().0 = bench;
}

/// Notes a figure.
pub(crate) fn note(what: &str, figure: &str, bar: String) {
    let (bench, rows) = &mut *rows();
    rows.push(Row { bench, what: what.to_owned(), figure: figure.to_owned(), bar });
}

/// Writes the noted figures into docs/measurements.md. `machine` says where they come from.
pub(crate) fn write(machine: &str) {
    let mut table = format!("One run of `make bench` on {machine}.\n\n");
    table.push_str("| bench | what | figure | bar |\n| --- | --- | --- | --- |\n");
    for row in &rows().1 {
        let _ = writeln!(table, "| `{}` | {} | {} | {} |", row.bench, row.what, row.figure, row.bar);
    }
    let (before, after) = around_table();
    std::fs::write(document(), format!("{before}{BEGIN}{table}{END}{after}")).unwrap();
}

/// The document before and after its table. Read before the benches run, so that a missing mark costs no run.
pub(crate) fn around_table() -> (String, String) {
    let text = std::fs::read_to_string(document()).unwrap();
    let (before, rest) = text.split_once(BEGIN).expect("docs/measurements.md has the mark where the table begins");
    let (_, after) = rest.split_once(END).expect("docs/measurements.md has the mark where the table ends");
    (before.to_owned(), after.to_owned())
}

fn document() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/measurements.md")
}
