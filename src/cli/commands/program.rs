//! Commands about the program itself.

use crate::cli::command::Subcommand;

/// The commands, in the order of the help.
pub(super) const COMMANDS: &[Subcommand] = &[
    Subcommand {
        name: "doctor",
        usage: "",
        about: "check what is installed, logged in, writable and reachable, and print what to do",
        options: &[],
        takes_worker: false,
        more: "Exits with 1 if something is a problem.

  rs-worker doctor
  rs-worker doctor --json | jq '.checks[] | select(.state == \"problem\")'
",
    },
    Subcommand {
        name: "man",
        usage: "",
        about: "print the manual page",
        options: &[],
        takes_worker: false,
        more: "  rs-worker man | man -l -
  rs-worker man > ~/.local/share/man/man1/rs-worker.1
  rs-worker man | groff -man -Tutf8
",
    },
    Subcommand {
        name: "completions",
        usage: "bash|zsh|fish",
        about: "print a shell's completions, which know the workers' names",
        options: &[],
        takes_worker: false,
        more: "  source <(rs-worker completions bash)                                        for this shell
  rs-worker completions zsh > \"${fpath[1]}/_rs-worker\"
  rs-worker completions fish > ~/.config/fish/completions/rs-worker.fish
",
    },
];
