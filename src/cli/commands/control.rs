//! Commands for what is allowed: prompts, rules, tokens, audit.

use crate::cli::command::Subcommand;

/// The commands, in the order of the help.
pub(super) const COMMANDS: &[Subcommand] = &[
    Subcommand {
        name: "permissions",
        usage: "[allow|deny WORKER REQUEST]",
        about: "list the open prompts of all workers, or answer one",
        options: &[],
        takes_worker: false,
        more: "  rs-worker permissions
  rs-worker permissions allow docs toolu_01
",
    },
    Subcommand {
        name: "rules",
        usage: "[ls | add EFFECT ... | preview EFFECT ... | rm RULE]",
        about: "list, add, try out or remove rules that answer permission prompts",
        options: &[
            "--name",
            "--command",
            "--path",
            "--tool",
            "--cli",
            "--project",
            "--worker",
            "--expires",
            "--message",
            "--days",
        ],
        takes_worker: false,
        more: "EFFECT is allow, ask or deny. --command is a command of literal words, with * for one word and a last ** for more; --path
is a file, or a folder with /** at its end; both can be repeated. --tool, --cli, --project and --worker limit the rule.
--expires is a time from now, as in 12h or 30d. -m is a note. preview prints which prompts of the last --days (7) the rule
would have answered, and how people answered them. RULE is an id, the beginning of one, or a name. See docs/rules.md.

  rs-worker rules add allow --name tests --command 'cargo test **' --project .
  rs-worker rules add deny --name push --command 'git push **'
  rs-worker rules preview allow --command 'git diff **' --days 14
  rs-worker rules rm tests
",
    },
    Subcommand {
        name: "budgets",
        usage: "[ls | add NAME ... | rm BUDGET]",
        about: "list, add or remove limits of cost, tokens, turns and running time",
        options: &[
            "--cost",
            "--tokens",
            "--turns",
            "--running-secs",
            "--total",
            "--project",
            "--preset",
            "--worker",
            "--message",
        ],
        takes_worker: false,
        more: "A budget is for each day in UTC, or with --total for all time; for all workers, or those of one --project, --preset or
--worker. --cost is in US dollars, --running-secs is the time in which turns run. A budget that is used up interrupts turns
after the running tool, holds the queues and asks. -m is a note. BUDGET is an id, the beginning of one, or a name. See
docs/budgets.md.

  rs-worker budgets add daily --cost 20
  rs-worker budgets add docs --worker docs --turns 50 --total
  rs-worker budgets
  rs-worker budgets rm daily
",
    },
    Subcommand {
        name: "schedules",
        usage: "[ls | add TEXT ... | rm|run|pause|resume|runs SCHEDULE]",
        about: "list, add, remove, run or pause schedules, which send messages by the clock; runs: print a history",
        options: &[
            "--name",
            "--at",
            "--cron",
            "--time-zone",
            "--worker",
            "--preset",
            "--set",
            "--project",
            "--missed",
            "--busy",
            "--message",
        ],
        takes_worker: false,
        more: "--at is a time, as in 2026-11-30T09:00:00Z, or one from now, as in 90m or 2d. --cron has five fields: minute, hour, day of
the month, month, day of the week; --time-zone is by default that of this machine. The message goes to --worker, or to a
new worker from --preset each time, with --set KEY=VALUE and in --project (here by default). TEXT may have {{date}}, {{time}} and
{{last_result}}; with a preset it may be left out. --missed is run_once (the default) or skip, for slots that came while
the server did not run; --busy is queue (the default) or skip. -m is a note. SCHEDULE is an id, the beginning of one, or a
name. See docs/schedules.md.

  rs-worker schedules add --name nightly --cron '0 2 * * *' --worker docs 'Check the links. Last time: {{last_result}}'
  rs-worker schedules add --name later --at 90m --preset review
  rs-worker schedules runs nightly
",
    },
    Subcommand {
        name: "login-link",
        usage: "",
        about: "print a link that logs one browser in, once, within ten minutes",
        options: &[],
        takes_worker: false,
        more: "  rs-worker login-link
  rs-worker login-link --json
",
    },
    Subcommand {
        name: "token",
        usage: "ls|add NAME|rm NAME|pair NAME [--scope SCOPE] [--worker WORKER]... [--project DIR]... [--expires TIME]",
        about: "list, make and end tokens with a scope, or log a device in with one by a QR code",
        options: &["--scope", "--worker", "--project", "--expires", "--page"],
        takes_worker: false,
        more: "A scope is read, answer (read, and answer prompts), send (answer, and send messages, stop, start and interrupt) or admin
(everything). --worker and --project narrow a token: it sees nothing else. --expires is as in 12h, 30d or 8w.
`add` prints the secret, once. `pair` prints a link that logs one device in, within ten minutes; with --scope it makes the
token first. --page is the address by which the device reaches the page. `rm` ends the token, the devices that it has
logged in, and what they have open.

  rs-worker token add grafana --scope read
  rs-worker token pair phone --scope answer --page https://box.example/
  rs-worker token add ci --scope send --project . --expires 30d
  rs-worker token ls
  rs-worker token rm phone
",
    },
    Subcommand {
        name: "audit",
        usage: "[--worker WORKER] [--who NAME] [--limit N]",
        about: "print who has changed what, from where, and with what outcome",
        options: &["--worker", "--who", "--limit"],
        takes_worker: false,
        more: "  rs-worker audit
  rs-worker audit --worker docs --limit 200
  rs-worker audit --who phone --json | jq '.entries[] | select(.refused)'
",
    },
];
