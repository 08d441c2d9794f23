//! Measures the real program on loopback, each figure beside a floor or a peer that is measured in the same run.
//!
//! ```text
//! cargo bench                        all of them
//! cargo bench -- latency memory      some of them: throughput latency requests access memory startup history search
//!                                    turns landing growth peers
//! cargo bench -- --write             all of them, and the figures into the table of docs/measurements.md
//! ```
//!
//! The bench starts itself again for its other roles: the CLI that prints, the relay that is the floor for streams, and
//! the responder that is the floor for requests. So all of them are built with the same optimisation.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a bench that cannot go on says so and ends")]

mod access;
mod growth;
mod history;
mod landing;
mod latency;
mod memory;
mod peers;
mod requests;
mod search;
mod startup;
mod support;
mod throughput;
mod turns;

/// A bench: its name, and what runs it.
type Bench = (&'static str, fn());

const BENCHES: [Bench; 12] = [
    ("throughput", throughput::run),
    ("latency", latency::run),
    ("requests", requests::run),
    ("access", access::run),
    ("memory", memory::run),
    ("startup", startup::run),
    ("history", history::run),
    ("search", search::run),
    ("turns", turns::run),
    ("landing", landing::run),
    ("peers", peers::run),
    ("growth", growth::run),
];

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["printer", rest @ ..] => return support::printer::run(rest),
        ["relay", rest @ ..] => return support::relay::run(rest),
        ["responder", length] => return support::responder::run(length),
        _ => {}
    }
    let writes = words.contains(&"--write");
    // Cargo adds `--bench`.
    let wanted: Vec<&str> = words.into_iter().filter(|word| !word.starts_with("--")).collect();
    if let Some(unknown) = wanted.iter().find(|word| BENCHES.iter().all(|(name, _)| name != *word)) {
        let names: Vec<&str> = BENCHES.iter().map(|(name, _)| *name).collect();
        println!("there is no bench {unknown}; there are: {}", names.join(" "));
        std::process::exit(2);
    }
    if writes && !wanted.is_empty() {
        println!("the table in docs/measurements.md is of one run of all benches: give --write alone");
        std::process::exit(2);
    }
    if writes {
        support::report::around_table();
    }
    let machine = support::machine();
    println!("{machine}");
    for (name, run) in BENCHES {
        if wanted.is_empty() || wanted.contains(&name) {
            println!("\n{name}");
            support::report::begin(name);
            run();
        }
    }
    if writes {
        support::report::write(&machine);
    }
}
