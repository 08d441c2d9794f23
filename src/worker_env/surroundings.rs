//! Variables that describe the process that started the server. They are wrong for an agent, which runs elsewhere,
//! later and for another purpose, so no agent inherits them. `WORKER_ENV_PASS` passes one that it names in full.
//!
//! Not here, because users set them for all their programs: `GIT_ASKPASS`, `GIT_EDITOR`, `GIT_AUTHOR_NAME` and its kin,
//! `SSH_ASKPASS`, `SSH_AUTH_SOCK`, `npm_config_*`. `WORKER_ENV=clean` leaves most of them out.

/// The names; a `*` at the end matches any ending.
const NAMES: &[&str] = &[
    // One repository: all of `git rev-parse --local-env-vars`, and what git sets for its hooks and aliases. An agent's
    // git would work on the server's repository instead of its project's.
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_CONFIG",
    "GIT_CONFIG_COUNT",
    "GIT_CONFIG_KEY_*",
    "GIT_CONFIG_PARAMETERS",
    "GIT_CONFIG_VALUE_*",
    "GIT_DIR",
    "GIT_GRAFT_FILE",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_INTERNAL_SUPER_PREFIX",
    "GIT_NAMESPACE",
    "GIT_NO_REPLACE_OBJECTS",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_PUSH_OPTION_*",
    "GIT_QUARANTINE_PATH",
    "GIT_REFLOG_ACTION",
    "GIT_REPLACE_REF_BASE",
    "GIT_SHALLOW_FILE",
    "GIT_WORK_TREE",
    // One commit: git sets them while it amends or rebases, and every commit of an agent would have that date.
    "GIT_AUTHOR_DATE",
    "GIT_COMMITTER_DATE",
    // One service: systemd's sockets, watchdog, folders and credentials.
    "CACHE_DIRECTORY",
    "CONFIGURATION_DIRECTORY",
    "CREDENTIALS_DIRECTORY",
    "INVOCATION_ID",
    "JOURNAL_STREAM",
    "LISTEN_FDNAMES",
    "LISTEN_FDS",
    "LISTEN_PID",
    "LOGS_DIRECTORY",
    "MAINPID",
    "MANAGERPID",
    "MEMORY_PRESSURE_WATCH",
    "MEMORY_PRESSURE_WRITE",
    "NOTIFY_SOCKET",
    "RUNTIME_DIRECTORY",
    "STATE_DIRECTORY",
    "SYSTEMD_EXEC_PID",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
    // One build: make's job server, and what cargo and npm pass to the program that they run.
    "CARGO_BIN_NAME",
    "CARGO_CRATE_NAME",
    "CARGO_MAKEFLAGS",
    "CARGO_MANIFEST_*",
    "CARGO_PKG_*",
    "CARGO_PRIMARY_PACKAGE",
    "INIT_CWD",
    "MAKEFILES",
    "MAKEFLAGS",
    "MAKELEVEL",
    "MAKE_TERMERR",
    "MAKE_TERMOUT",
    "MFLAGS",
    "RUST_RECURSION_COUNT",
    "npm_command",
    "npm_execpath",
    "npm_lifecycle_*",
    "npm_node_execpath",
    "npm_package_*",
    // One shell and one terminal: an agent has no terminal, and these would let it draw in somebody's window.
    "GNOME_TERMINAL_*",
    "ITERM_SESSION_ID",
    "KITTY_*",
    "KONSOLE_*",
    "OLDPWD",
    "PWD",
    "SHLVL",
    "SSH_CLIENT",
    "SSH_CONNECTION",
    "SSH_TTY",
    "STY",
    "TERM_SESSION_ID",
    "TMUX",
    "TMUX_PANE",
    "VSCODE_*",
    "WEZTERM_*",
    "WINDOW",
    "WINDOWID",
    "ZELLIJ*",
    "_",
    // One session of an agent: a worker that was started from within one is not part of it. (Others that begin with
    // `CLAUDE_CODE_` or `CODEX_` are people's settings.)
    "AI_AGENT",
    "CLAUDECODE",
    "CLAUDE_CODE_CHILD_SESSION",
    "CLAUDE_CODE_ENTRYPOINT",
    "CLAUDE_CODE_EXECPATH",
    "CLAUDE_CODE_SESSION_ID",
    "CLAUDE_CODE_SSE_PORT",
    "CLAUDE_ENV_FILE",
    "CLAUDE_PROJECT_DIR",
    "CODEX_SANDBOX",
    "CODEX_SANDBOX_NETWORK_DISABLED",
    "CODEX_THREAD_ID",
    "CURSOR_AGENT",
    "CURSOR_TRACE_ID",
    "GEMINI_CLI",
    "OPENCODE",
    "OPENCODE_PID",
    "QWEN_CODE",
    "RS_WORKER_ID",
    "RS_WORKER_RUNNER",
    // The server that its commands use, and not that of its worker.
    "RS_WORKER_URL",
];

/// Returns whether a variable describes the server's surroundings.
pub(super) fn has(name: &str) -> bool {
    NAMES.iter().any(|pattern| super::pattern::fits(pattern, name))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn all_local_variables_of_the_installed_git_are_known() {
        let output = Command::new("git").args(["rev-parse", "--local-env-vars"]).output().unwrap();
        let names = String::from_utf8(output.stdout).unwrap();
        assert!(names.contains("GIT_DIR"), "{names}");
        let unknown: Vec<&str> = names.lines().filter(|name| !has(name)).collect();
        assert!(unknown.is_empty(), "{unknown:?}");
    }

    #[test]
    fn endings_are_any_only_where_a_star_says_so() {
        for name in ["GIT_CONFIG_KEY_0", "GIT_CONFIG_VALUE_12", "CARGO_PKG_NAME", "npm_package_json", "_"] {
            assert!(has(name), "{name}");
        }
        for name in ["GIT_ASKPASS", "GIT_SSH_COMMAND", "SSH_AUTH_SOCK", "CARGO_HOME", "npm_config_registry", "__x"] {
            assert!(!has(name), "{name}");
        }
    }
}
