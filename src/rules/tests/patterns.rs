//! Patterns of rules that allow, which are refused for what their wildcards could do.

use super::support::rule;
use crate::private_list::ListEntry as _;
use crate::rules::Effect;

fn is_taken(pattern: &str) -> bool {
    rule(Effect::Allow, &[pattern], &[]).check().is_ok()
}

#[test]
fn wildcard_behind_a_toolchain_is_refused() {
    for pattern in ["cargo +nightly **", "cargo +nightly *", "cargo @x **", "git %x **", "npm ./x **"] {
        assert!(!is_taken(pattern), "{pattern}");
    }
    for pattern in ["cargo +nightly fmt", "cargo +nightly fmt --check", "cargo test **", "git cat-file *"] {
        assert!(is_taken(pattern), "{pattern}");
    }
}

#[test]
fn variants_of_programs_take_no_wildcards_either() {
    let variants = "vim.basic vim.tiny nc.openbsd nc.traditional busybox.static bash.exe mawk-1.3 gxargs gtimeout \
        genv gnice ipython ipython3 pypy3 lua5.4 clang++ g++-12 c++ runghc sbcl dart duckdb sshpass autossh \
        original-awk git-shell xterm pre-commit doas.real";
    for program in variants.split_ascii_whitespace() {
        assert!(!is_taken(&format!("{program} *")), "{program}");
    }
    for program in ["grep", "gcov", "gzip.x", "pytest", "eslint", "prettier", "ruff", "gofmt", "groups", "gtop"] {
        assert!(is_taken(&format!("{program} *")), "{program}");
    }
}

#[test]
fn commands_of_git_that_run_programs_take_no_wildcards() {
    for command in ["upload-archive", "receive-pack", "maintenance", "subtree", "imap-send", "symbolic-ref", "citool"] {
        assert!(!is_taken(&format!("git {command} **")), "{command}");
    }
}
