//! A stub of a CLI for an otherwise empty root: each line `x` is answered `you said: x`, in a separate turn. Built by the test
//! that needs it, as one static program.

use std::io::{self, BufRead as _, Write as _};

fn main() -> io::Result<()> {
    let mut out = io::stdout();
    if std::env::args().nth(1).as_deref() == Some("--version") {
        eprintln!("a word on stderr, which goes nowhere");
        return writeln!(out, "1.2.3");
    }
    for line in io::stdin().lock().lines() {
        writeln!(out, "you said: {}\n<<END>>", line?)?;
        out.flush()?;
    }
    Ok(())
}
