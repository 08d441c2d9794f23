//! Commands that create, list and end workers.

use crate::cli::command::Subcommand;

/// The commands, in the order of the help.
pub(super) const COMMANDS: &[Subcommand] = &[
    Subcommand {
        name: "ls",
        usage: "[--names] [--status STATUS,...] [--project DIR]",
        about: "list the workers",
        options: &["--names", "--status", "--project"],
        takes_worker: false,
        more: "  rs-worker ls              a table
  rs-worker ls --names      the names only, one per line
  rs-worker ls --json       all fields of each worker
  rs-worker ls --status waiting,stalled --project ~/src/app
                            those that wait for somebody or are silent, in this project and its worktrees
",
    },
    Subcommand {
        name: "new",
        usage: "NAME [DIR] [--cli CLI] [--model MODEL] [--effort LEVEL] [--worktree] [--mcp] [--preset NAME] [--set KEY=VALUE]",
        about: "create a worker for a project directory (default: this one) and print its id",
        options: &["--cli", "--model", "--effort", "--worktree", "--mcp", "--preset", "--set"],
        takes_worker: false,
        more: "  rs-worker new docs                           with the default CLI, in this directory
  rs-worker new docs /srv/docs --cli codex     with Codex, in another directory
  rs-worker new docs --model opus --effort high
  rs-worker new docs --worktree                in a new git worktree and branch of this project
  rs-worker new lead --mcp                     its agent may start workers below it (docs/attach.md)
  rs-worker new fix --preset fix --set issue=7 by a preset, with a value for its placeholder {{issue}}
",
    },
    Subcommand {
        name: "presets",
        usage: "",
        about: "list the presets of new workers",
        options: &[],
        takes_worker: false,
        more: "  rs-worker presets          their names, CLIs, models and placeholders
  rs-worker presets --json   all fields; of the environment, the names only
",
    },
    Subcommand {
        name: "handover",
        usage: "WORKER [TEXT] --cli CLI [--model MODEL] [--effort LEVEL] [--name NAME] [--copy [--leave-uncommitted]] [--file] [--force]",
        about: "continue a worker's conversation in another CLI or model and print the new worker's id",
        options: &["--cli", "--model", "--effort", "--name", "--copy", "--leave-uncommitted", "--file", "--force"],
        takes_worker: true,
        more: "The new worker gets the newest part of the conversation with its first message, and TEXT at the end of it. It works in
the folder of WORKER, which must be stopped, unless --force is given. With --copy it works in a new git worktree that begins at
the last commit of that folder and gets its uncommitted changes, but for ignored and very large files, which the first
message names. --leave-uncommitted leaves all of them behind. With --file more of the conversation is passed, in a file
of the project that git ignores.

  rs-worker stop docs && rs-worker handover docs --cli codex
  rs-worker handover docs 'Review this work.' --cli gemini --copy --file
  rs-worker handover docs --model opus --copy          the same CLI, with another model
",
    },
    Subcommand {
        name: "best",
        usage: "DIR --prompt TEXT --attempt CLI[:MODEL]|preset:NAME ... [--name NAME] [--base COMMIT]",
        about: "give one prompt to several CLIs and models, each in its own worktree, and print the group's id",
        options: &["--prompt", "--attempt", "--name", "--base"],
        takes_worker: false,
        more: "All of them begin at the same commit: that of the project, or COMMIT. `rs-worker group` compares them.

  rs-worker best . --prompt 'Fix the flaky test' --attempt claude:opus --attempt codex
  rs-worker best /srv/shop --prompt \"$(cat task.md)\" --attempt claude:opus --attempt claude:haiku --base main
",
    },
    Subcommand {
        name: "group",
        usage: "[GROUP [check | diff WORKER WORKER | keep WORKER [--force]]]",
        about: "list the groups; compare the workers of one, check their work, or keep one of them and delete the others",
        options: &["--force", "--stat"],
        takes_worker: false,
        more: "GROUP is a name, an id, or the beginning of an id. A worker with uncommitted changes or commits of its own is not deleted;
--force discards uncommitted changes and keeps commits.

  rs-worker group
  rs-worker group 'Fix the flaky test'
  rs-worker group 3f2a check                  by the check command of the project file
  rs-worker group 3f2a diff 81c0 9e44         from the files of one worker to those of another
  rs-worker group 3f2a keep 'Fix the flaky test 2: codex' --force
",
    },
    Subcommand {
        name: "stop",
        usage: "WORKER | --all",
        about: "stop a worker's processes; --all: those that a stopped server left running",
        options: &["--all"],
        takes_worker: true,
        more: "  rs-worker stop docs       its history and session stay; start, or the next message, resumes it
  rs-worker stop --all      if no server runs here: stop the workers that the last one left running
",
    },
    Subcommand {
        name: "start",
        usage: "WORKER",
        about: "start a stopped worker and resume its session",
        options: &[],
        takes_worker: true,
        more: "  rs-worker start docs
",
    },
    Subcommand {
        name: "prepare",
        usage: "WORKER",
        about: "set up the worktree of a stopped worker again, then start it",
        options: &[],
        takes_worker: true,
        more: "  rs-worker prepare docs     after a setup that failed
",
    },
    Subcommand {
        name: "rm",
        usage: "WORKER [--force]",
        about: "delete a worker and its history",
        options: &["--force"],
        takes_worker: true,
        more: "  rs-worker export docs jsonl > docs.jsonl && rs-worker rm docs
  rs-worker rm docs --force       even with uncommitted changes in its worktree
",
    },
];
