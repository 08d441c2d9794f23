//! The manual page, generated from the table of commands.

use std::fmt::Write as _;

use super::commands;
use super::help::{COMMON, EXIT_CODES};

/// Returns the page in the language of `man`.
pub(super) fn page() -> String {
    let mut page = format!(
        ".TH RS-WORKER 1 \"\" \"rs-worker {}\" \"User Commands\"\n.SH NAME\nrs\\-worker \\- start, supervise and stream AI \
         coding CLIs\n.SH SYNOPSIS\n.B rs\\-worker\n[\\fICOMMAND\\fR] [\\fIARGUMENTS\\fR]\n.SH COMMANDS\nWORKER is a name, an id, \
         or the beginning of an id.\n",
        env!("CARGO_PKG_VERSION")
    );
    for command in commands::all() {
        let line = format!("rs-worker {} {}", command.name, command.usage);
        let _ = write!(page, ".SS \"{}\"\n{}.\n.PP\n", escaped(line.trim_end()), escaped(&sentence(command.about)));
        let _ = write!(page, ".nf\n{}.fi\n", escaped(command.more));
    }
    let _ = write!(page, ".SH OPTIONS\nAll commands but serve take these.\n.PP\n.nf\n{}.fi\n", escaped(COMMON));
    let _ = write!(page, ".SH EXIT STATUS\n{}", escaped(EXIT_CODES));
    page + ".SH FILES\n.TP\n.I .env\nSettings, in the directory in which the server is started.\n.TP\n.I data/workers\nThe \
            workers' journals (WORKERS_BASE_DIR).\n.TP\n.I data/auth_token\nThe token that clients send, where one is \
            needed.\n.TP\n.I logs/app.log\nThe log (LOG_FILE).\n"
}

fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// Escapes text so that the formatter reads neither requests nor escapes in it.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for line in text.split_inclusive('\n') {
        if line.starts_with(['.', '\'']) {
            escaped += "\\&";
        }
        for letter in line.chars() {
            match letter {
                '\\' => escaped += "\\e",
                '-' => escaped += "\\-",
                '"' => escaped += "\\(dq",
                letter => escaped.push(letter),
            }
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manual_page_has_every_command_and_escapes_its_text() {
        let page = page();
        for command in commands::all() {
            assert!(page.contains(&format!("rs\\-worker {}", escaped(command.name))), "{}", command.name);
        }
        let known = ["TH", "SH", "SS", "PP", "nf", "fi", "B", "TP", "I"];
        for line in page.lines().filter(|line| line.starts_with('.')) {
            let request = line[1..].split(' ').next().unwrap_or_default();
            assert!(known.contains(&request), "{line}");
        }
        assert_eq!(escaped(".x\n'y\na\\b"), "\\&.x\n\\&'y\na\\eb");
    }
}
