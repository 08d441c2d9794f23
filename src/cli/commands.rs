//! The table of commands, from which help, completions, manual page and program are made.

/// One command.
pub(super) struct Command {
    pub(super) name: &'static str,
    /// The arguments after the name.
    pub(super) usage: &'static str,
    /// One line.
    pub(super) about: &'static str,
    /// Options of its own.
    pub(super) options: &'static [&'static str],
    /// True if its first argument is a worker.
    pub(super) takes_worker: bool,
    /// Details and examples.
    pub(super) more: &'static str,
}

/// All commands, in the order of the help.
pub(super) const COMMANDS: [Command; 17] = [
    Command {
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
    Command {
        name: "ls",
        usage: "[--names]",
        about: "list the workers",
        options: &["--names"],
        takes_worker: false,
        more: "  rs-worker ls              a table
  rs-worker ls --names      the names only, one per line
  rs-worker ls --json       all fields of each worker
",
    },
    Command {
        name: "new",
        usage: "NAME [DIR] [--cli CLI] [--worktree]",
        about: "create a worker for a project directory (default: this one) and print its id",
        options: &["--cli", "--worktree"],
        takes_worker: false,
        more: "  rs-worker new docs                           with the default CLI, in this directory
  rs-worker new docs /srv/docs --cli codex     with Codex, in another directory
  rs-worker new docs --worktree                in a new git worktree and branch of this project
",
    },
    Command {
        name: "send",
        usage: "WORKER TEXT [--with-history]",
        about: "send a message, wait for the end of the turn and print the answer; - reads TEXT from standard input",
        options: &["--with-history"],
        takes_worker: true,
        more: "Exit codes: 0 the turn succeeded; 3 it failed or was interrupted; 1 no answer will come, because the worker cannot
start or was stopped, or the connection was lost. Standard error has the reason. It also shows a permission prompt,
and the command waits for its decision.
--with-history puts the newest part of the conversation before the text, for an agent whose session is lost.

  rs-worker send docs 'Write the changelog of this week'
  git diff | rs-worker send docs -
",
    },
    Command {
        name: "attach",
        usage: "WORKER",
        about: "chat with a worker: stream its output; every line you type is a message",
        options: &[],
        takes_worker: true,
        more: "While a permission prompt is open, a line answers it: y (once), a (always) or n, which a reason may follow.
A question is answered with the number of an option or with words. Ctrl-C interrupts the turn. Ctrl-D detaches; the
worker continues. From a pipe, each line waits for the end of the previous turn.

  rs-worker attach docs
  printf 'Run the tests\\ny\\n' | rs-worker attach docs     the second line answers the prompt
",
    },
    Command {
        name: "logs",
        usage: "WORKER [-f]",
        about: "print the history; -f follows it",
        options: &["--follow"],
        takes_worker: true,
        more: "  rs-worker logs docs | less
  rs-worker logs docs -f --json | jq .type
",
    },
    Command {
        name: "search",
        usage: "TEXT [--worker WORKER] [--kind KINDS] [--limit N]",
        about: "find text in all conversations, newest first",
        options: &["--worker", "--kind", "--limit"],
        takes_worker: false,
        more: "Searches messages and tool inputs and outputs, ignoring case. KINDS are event types, separated by commas.

  rs-worker search deadlock
  rs-worker search 'cargo test' --worker docs --kind tool_call --limit 5
",
    },
    Command {
        name: "stop",
        usage: "WORKER | --all",
        about: "stop a worker's processes; --all: those that a stopped server left running",
        options: &["--all"],
        takes_worker: true,
        more: "  rs-worker stop docs       its history and session stay; start, or the next message, resumes it
  rs-worker stop --all      if no server runs here: stop the workers that the last one left running
",
    },
    Command {
        name: "start",
        usage: "WORKER",
        about: "start a stopped worker and resume its session",
        options: &[],
        takes_worker: true,
        more: "  rs-worker start docs
",
    },
    Command {
        name: "rm",
        usage: "WORKER [--force]",
        about: "delete a worker and its history",
        options: &["--force"],
        takes_worker: true,
        more: "  rs-worker export docs jsonl > docs.jsonl && rs-worker rm docs
  rs-worker rm docs --force       even with uncommitted changes in its worktree
",
    },
    Command {
        name: "permissions",
        usage: "[allow|deny WORKER REQUEST]",
        about: "list the open prompts of all workers, or answer one",
        options: &[],
        takes_worker: false,
        more: "  rs-worker permissions
  rs-worker permissions allow docs toolu_01
",
    },
    Command {
        name: "export",
        usage: "WORKER [md|json|jsonl]",
        about: "write a worker's history to standard output",
        options: &[],
        takes_worker: true,
        more: "  rs-worker export docs > docs.md              to read
  rs-worker export docs jsonl > docs.jsonl     to keep, and to import
",
    },
    Command {
        name: "import",
        usage: "FILE [--project DIR]",
        about: "create a stopped worker from a JSONL export and print its id; - reads from standard input",
        options: &["--project"],
        takes_worker: false,
        more: "  rs-worker import docs.jsonl
  rs-worker import docs.jsonl --project /srv/docs     if its project is elsewhere on this machine
",
    },
    Command {
        name: "login-link",
        usage: "",
        about: "print a link that logs one browser in, once, within ten minutes",
        options: &[],
        takes_worker: false,
        more: "  rs-worker login-link
  rs-worker login-link --json
",
    },
    Command {
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
    Command {
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
    Command {
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

/// Options that all commands take.
pub(super) const COMMON: &str = "  --json         print JSON
  --url URL      another server than that of .env and the environment (or RS_WORKER_URL)
  --token TOKEN  its token (or RS_WORKER_TOKEN, which other users of this machine cannot see)
";

/// The exit codes, the same for all commands.
pub(super) const EXIT_CODES: &str =
    "Exit codes: 0 success, 1 failure, 2 wrong arguments, 3 (send, attach) the turn failed or was interrupted.
";

/// The names of those options.
pub(super) const COMMON_OPTIONS: [&str; 4] = ["--json", "--url", "--token", "--help"];

pub(super) fn find(name: &str) -> Option<&'static Command> {
    COMMANDS.iter().find(|command| command.name == name)
}

/// Returns the list of commands.
#[must_use]
pub(crate) fn help() -> String {
    let mut text = String::from("Commands (WORKER is a name, an id, or the beginning of an id):\n");
    for command in &COMMANDS {
        text += &format!(
            "  {:<38}  {}\n",
            format!("rs-worker {} {}", command.name, command.usage).trim_end(),
            command.about
        );
    }
    text += "  rs-worker COMMAND --help                explain a command, with examples\n\n";
    text + COMMON + "\n" + EXIT_CODES
}

/// Returns the help of one command, with examples.
#[must_use]
pub(crate) fn help_of(name: &str) -> String {
    let Some(Command { name, usage, about, more, .. }) = find(name) else { return help() };
    // The server itself asks no server.
    let common = if *name == "serve" { "" } else { COMMON };
    format!(
        "rs-worker {name}: {about}\n\nUsage: {}\n\n{more}\n{common}",
        format!("rs-worker {name} {usage}").trim_end()
    )
}
