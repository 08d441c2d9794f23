//! The program `rs-worker`.

fn main() {}
