//! Commands for what workers change: from the diff to merged code.

use crate::cli::command::Subcommand;

/// The commands, in the order of the help.
pub(super) const COMMANDS: &[Subcommand] = &[
    Subcommand {
        name: "diff",
        usage: "WORKER [--stat] [--scope SCOPE]",
        about: "print the changes in a worker's project; --stat: only its files, with counts of lines",
        options: &["--stat", "--scope"],
        takes_worker: true,
        more: "SCOPE is base (the default: since the worker's worktree began, or since the last commit without one), head or
uncommitted (since the last commit), or the id of a commit.

  rs-worker diff docs --stat
  rs-worker diff docs --scope head | less
  rs-worker diff docs --json | jq -r '.commits[].id'
",
    },
    Subcommand {
        name: "review",
        usage: "WORKER [--send] [--scope SCOPE]",
        about: "write comments on a worker's changes in $EDITOR; --send: send all drafts to the agent as one message",
        options: &["--send", "--scope"],
        takes_worker: true,
        more: "The editor shows the diff with > before each line. Write a comment below its line; ^3 on its first line is
for the three lines above. Comments are drafts until they are sent, on the page as well. If something fails, the text
is kept in a file, which the error names.

  rs-worker review docs
  EDITOR='code --wait' rs-worker review docs --send
  rs-worker review docs --json | jq '.comments[] | {file, state, text}'
",
    },
    Subcommand {
        name: "restore",
        usage: "WORKER [FILE...] [--turn TURN] [--dry-run]",
        about: "restore files to what they were before a turn",
        options: &["--turn", "--dry-run"],
        takes_worker: true,
        more: "FILE is a file or a folder by its path in the project; without one, all files. TURN is the last turn if left out.
What is overwritten is recorded first, and the command prints how to get it back.

  rs-worker restore docs --dry-run              shows what would change
  rs-worker restore docs                        undoes the changes since the last turn began
  rs-worker restore docs src/main.rs --turn 8f2c
",
    },
    Subcommand {
        name: "commit",
        usage: "WORKER -m MESSAGE [FILE...]",
        about: "commit what has changed in a worker's folder; FILE: these files only, by their paths in the repository",
        options: &["--message"],
        takes_worker: true,
        more: "Author and signature are those of the user that runs the server (git config --global). Hooks do not run.

  rs-worker commit docs -m 'Describe the build'
  rs-worker commit docs -m 'Describe the build' docs/build.md
",
    },
    Subcommand {
        name: "update",
        usage: "WORKER [--rebase] [--from BRANCH]",
        about: "bring another branch's commits into a worker's branch, by merge or rebase",
        options: &["--merge", "--rebase", "--from"],
        takes_worker: true,
        more: "With conflicts nothing is changed; the command prints them, and a message that asks the agent to resolve them.

  rs-worker update docs                        merge the branch that the project has checked out
  rs-worker update docs --rebase --from origin/main
",
    },
    Subcommand {
        name: "land",
        usage: "WORKER [--merge|--squash|--rebase] [--into BRANCH] [-m TEXT] [--delete] [--leave-uncommitted] [--dry-run]",
        about: "land a worker's commits on another branch; --dry-run: print what each strategy would do",
        options: &["--merge", "--squash", "--rebase", "--into", "--message", "--dry-run", "--delete", "--leave-uncommitted"],
        takes_worker: true,
        more: "A branch that is checked out advances with its files, if nothing in that folder is uncommitted. Without --into it is
the branch that the project has checked out, main or master. --message is for --merge and --squash. --delete deletes
the worker afterwards if no work is lost. --leave-uncommitted lands although some files of the worker are in no commit.

  rs-worker land docs --dry-run
  rs-worker land docs --squash --into main -m 'Describe the build' --delete
",
    },
    Subcommand {
        name: "push",
        usage: "WORKER [--remote REMOTE] [--to ADDRESS] [--force-with-lease]",
        about: "push a worker's commits to a remote, at an address that you confirm",
        options: &["--remote", "--branch", "--to", "--set-upstream", "--force-with-lease", "--dry-run"],
        takes_worker: true,
        more: "An agent can change the address of a remote. So the command shows it and asks; --to ADDRESS answers. The remote is the
one that the branch follows, else origin. Keys and credentials are those of the user that runs the server. With
--force-with-lease[=ID] commits there that are not here are replaced, if the branch there is still ID (the commit that was
last seen there). --dry-run prints the remotes.

  rs-worker push docs
  rs-worker push docs --to git@github.com:ada/docs.git --set-upstream
  rs-worker push docs --dry-run
",
    },
    Subcommand {
        name: "pr",
        usage: "WORKER [--remote REMOTE] [--into BRANCH] [-m TITLE] [--to ADDRESS]",
        about: "open a pull request of a worker's pushed branch, or print the page for it",
        options: &["--remote", "--branch", "--into", "--message", "--body", "--draft", "--to"],
        takes_worker: true,
        more: "gh or glab opens it where the user that runs the server is logged in; else the command prints the page on which you open
it. Without -m and --body, title and text are as the commits say.

  rs-worker pr docs
  rs-worker pr docs --into main -m 'Describe the build' --draft
",
    },
];
