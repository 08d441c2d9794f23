//! Commands that talk with workers and read what they said.

use crate::cli::command::Subcommand;

/// The commands, in the order of the help.
pub(super) const COMMANDS: &[Subcommand] = &[
    Subcommand {
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
    Subcommand {
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
    Subcommand {
        name: "shell",
        usage: "WORKER [--join TERMINAL] [-- PROGRAM ARGS]",
        about: "open a terminal where a worker works: a shell, or another program",
        options: &["--join"],
        takes_worker: true,
        more: "The terminal is in the worker's folder and runner, has its environment without the server's keys, and outlives the
connection and the server. It ends with its program, and when the worker is stopped or deleted. Enter ~ . detaches;
--join comes back. The exit code is the program's.

  rs-worker shell docs
  rs-worker shell docs -- claude /login      log a CLI in on a server without a screen
  rs-worker shell docs --join 1a2b3c4d       come back to a terminal
",
    },
    Subcommand {
        name: "acp",
        usage: "[--worker WORKER | --cli CLI] [--project DIR]",
        about: "be an editor's agent: the Agent Client Protocol on standard input and output",
        options: &["--worker", "--cli", "--project"],
        takes_worker: false,
        more: "The editor's sessions are workers of the running server, and outlive the editor and the server.
--worker makes all sessions this worker. --project replaces the folder that the editor names.

  rs-worker acp                            new sessions are workers of the default CLI
  rs-worker acp --worker docs              continue a worker in the editor
  ssh HOST rs-worker acp --cli codex --project /srv/docs
",
    },
    Subcommand {
        name: "logs",
        usage: "WORKER [-f]",
        about: "print the history; -f follows it",
        options: &["--follow"],
        takes_worker: true,
        more: "  rs-worker logs docs | less
  rs-worker logs docs -f --json | jq .type
",
    },
    Subcommand {
        name: "mcp",
        usage: "[--agent]",
        about: "serve the Model Context Protocol on standard input and output, for agents that start a program",
        options: &["--agent"],
        takes_worker: false,
        more: "Relays each line to /mcp of the server. --url and --token name it, or RS_WORKER_URL and RS_WORKER_TOKEN. A token with a
scope limits what the agent may do: rs-worker token add NAME --scope send --project . See docs/attach.md.
--agent is for the agents of workers: it takes the token of the agent that has started it, and does nothing without one.

  claude mcp add rs-worker -- rs-worker mcp
  codex mcp add rs-worker -- rs-worker mcp
",
    },
    Subcommand {
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
    Subcommand {
        name: "export",
        usage: "WORKER [md|json|jsonl]",
        about: "write a worker's history to standard output",
        options: &[],
        takes_worker: true,
        more: "  rs-worker export docs > docs.md              to read
  rs-worker export docs jsonl > docs.jsonl     to keep, and to import
",
    },
    Subcommand {
        name: "import",
        usage: "FILE [--project DIR]",
        about: "create a stopped worker from a JSONL export and print its id; - reads from standard input",
        options: &["--project"],
        takes_worker: false,
        more: "  rs-worker import docs.jsonl
  rs-worker import docs.jsonl --project /srv/docs     if its project is elsewhere on this machine
",
    },
];
