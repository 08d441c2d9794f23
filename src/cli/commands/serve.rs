//! The command that runs the server.

use crate::cli::command::Subcommand;

/// The commands, in the order of the help.
pub(super) const COMMANDS: &[Subcommand] = &[
    Subcommand {
        name: "serve",
        usage: "[--host ADDRESS] [--port PORT]",
        about: "run the server; the default command",
        options: &["--host", "--port"],
        takes_worker: false,
        more: "Settings come from .env in the working directory and from the environment; .env.example explains each. The options
override both. Commands find the server by the same settings, in the same directory; they need --url for a server
that got another address from an option.

  rs-worker serve                              at HOST and PORT, which are 127.0.0.1 and 7788 unless set
  rs-worker serve --port 8080
  nohup rs-worker serve --host 0.0.0.0 &       for other machines, with a token; survives the terminal
",
    },
];
