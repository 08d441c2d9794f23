//! What the commands are: the one table that help, completions and the program itself go by.

/// One command.
pub(super) struct Command {
    pub(super) name: &'static str,
    /// What stands behind the name.
    pub(super) usage: &'static str,
    /// One line.
    pub(super) about: &'static str,
    /// Options of its own.
    pub(super) options: &'static [&'static str],
    /// Whether its first word is a worker.
    pub(super) takes_worker: bool,
    /// What more there is to know, and examples.
    pub(super) more: &'static str,
}

/// All commands, in the order of the help.
pub(super) const COMMANDS: [Command; 14] = [
    Command {
        name: "ls",
        usage: "[--names]",
        about: "list the workers",
        options: &["--names"],
        takes_worker: false,
        more: "  rs-worker ls              a table
  rs-worker ls --names      the names alone, one a line
  rs-worker ls --json       all that is known of each
",
    },
    Command {
        name: "new",
        usage: "NAME [DIR] [--cli CLI] [--worktree]",
        about: "make a worker for a project directory (here, when DIR is left out), and print its id",
        options: &["--cli", "--worktree"],
        takes_worker: false,
        more: "  rs-worker new docs                           of the default CLI, in this directory
  rs-worker new docs /srv/docs --cli codex     of Codex, elsewhere
  rs-worker new docs --worktree                in a new git worktree and branch of this project
",
    },
    Command {
        name: "send",
        usage: "WORKER TEXT",
        about: "send a message, wait for the turn's end and print the answer; TEXT - is standard input",
        options: &[],
        takes_worker: true,
        more: "It ends with 0 when the turn ended well and with 3 when it failed or was cut short.

  rs-worker send docs 'Write the changelog of this week'
  git diff | rs-worker send docs -
",
    },
    Command {
        name: "attach",
        usage: "WORKER",
        about: "talk with a worker: what it says comes as it comes, and each line that you type is a message",
        options: &[],
        takes_worker: true,
        more: "While a permission prompt is open, a line answers it: y (once), a (always) or n, which a reason may follow.
A question is answered with the number of an option or with words. Ctrl-C interrupts the turn, Ctrl-D detaches; the
worker goes on. From a pipe, each line waits for the end of the turn before it.

  rs-worker attach docs
  printf 'Run the tests\\ny\\n' | rs-worker attach docs     the second line answers the prompt that the first leads to
",
    },
    Command {
        name: "logs",
        usage: "WORKER [-f]",
        about: "print the history; -f goes on with what comes",
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
        more: "Messages, tool inputs and outputs are searched, in any case of letters. KINDS are event types, with commas between.

  rs-worker search deadlock
  rs-worker search 'cargo test' --worker docs --kind tool_call --limit 5
",
    },
    Command {
        name: "stop",
        usage: "WORKER",
        about: "end a worker's processes",
        options: &[],
        takes_worker: true,
        more: "  rs-worker stop docs       its history and session stay: start, or the next message, goes on with them
",
    },
    Command {
        name: "start",
        usage: "WORKER",
        about: "start a stopped worker, with its session",
        options: &[],
        takes_worker: true,
        more: "  rs-worker start docs
",
    },
    Command {
        name: "rm",
        usage: "WORKER [--force]",
        about: "delete a worker with its history",
        options: &["--force"],
        takes_worker: true,
        more: "  rs-worker export docs jsonl > docs.jsonl && rs-worker rm docs
  rs-worker rm docs --force       with what is not committed in its worktree
",
    },
    Command {
        name: "permissions",
        usage: "[allow|deny WORKER REQUEST]",
        about: "list what waits for an answer, or answer it",
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
        about: "make a stopped worker of a JSONL export, and print its id; FILE - is standard input",
        options: &["--project"],
        takes_worker: false,
        more: "  rs-worker import docs.jsonl
  rs-worker import docs.jsonl --project /srv/docs     when its project lies elsewhere here
",
    },
    Command {
        name: "doctor",
        usage: "",
        about: "check what is installed, logged in, writable and reachable, and say what to do",
        options: &[],
        takes_worker: false,
        more: "It ends with 1 when something is a problem.

  rs-worker doctor
  rs-worker doctor --json | jq '.checks[] | select(.state == \"problem\")'
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

/// What all of them take.
const COMMON: &str = "  --json         print JSON
  --url URL      the server, when it is another one than that of .env and the environment (or RS_WORKER_URL)
  --token TOKEN  its token (or RS_WORKER_TOKEN, which other users of this machine do not see)
";

/// The names of those options.
pub(super) const COMMON_OPTIONS: [&str; 4] = ["--json", "--url", "--token", "--help"];

pub(super) fn find(name: &str) -> Option<&'static Command> {
    COMMANDS.iter().find(|command| command.name == name)
}

/// What the commands are.
#[must_use]
pub fn help() -> String {
    let mut text =
        String::from("Commands that ask a running server (WORKER is a name, an id, or the beginning of an id):\n");
    for command in &COMMANDS {
        text += &format!(
            "  {:<38}  {}\n",
            format!("rs-worker {} {}", command.name, command.usage).trim_end(),
            command.about
        );
    }
    text += "  rs-worker COMMAND --help                tell more of a command, with examples\n\n";
    text + COMMON
        + "\nA command ends with 1 when it could not do its work and with 2 when its arguments make no sense.\n"
}

/// What one command is, with examples.
#[must_use]
pub fn help_of(name: &str) -> String {
    let Some(Command { name, usage, about, more, .. }) = find(name) else { return help() };
    format!(
        "rs-worker {name}: {about}\n\nUsage: {}\n\n{more}\n{COMMON}",
        format!("rs-worker {name} {usage}").trim_end()
    )
}
