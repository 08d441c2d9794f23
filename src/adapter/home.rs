//! The entries of known CLIs in the home directory, for sandboxes: those that they need to work, and none that names a
//! program which runs outside too.
//!
//! Sessions and logins are shared, so that a session can be resumed outside and a renewed login is good for all.
//! Settings, commands, hooks and plugins are read-only. Everything else is the worker's own, and so is whatever a later
//! version adds. (As observed with Claude Code 2.1, Codex 0.169, Gemini CLI 0.61 and OpenCode 1.18.)

use std::path::Path;

use crate::home::HomeEntry;

const CLAUDE: &[&str] = &[
    ".claude/projects/:rw",
    ".claude/.credentials.json:rw",
    ".claude/settings.json",
    ".claude/settings.local.json",
    ".claude/CLAUDE.md",
    ".claude/agents",
    ".claude/commands",
    ".claude/hooks",
    ".claude/keybindings.json",
    ".claude/local",
    ".claude/output-styles",
    ".claude/plugins",
    ".claude/rules",
    ".claude/skills",
    ".claude/statusline.sh",
    ".claude/workflows",
    // It names MCP servers, which are programs, and Claude Code changes it all the time.
    ".claude.json:copy",
];

const CODEX: &[&str] = &[
    ".codex/sessions/:rw",
    ".codex/archived_sessions/:rw",
    ".codex/auth.json:rw",
    ".codex/config.toml",
    ".codex/AGENTS.md",
    ".codex/AGENTS.override.md",
    ".codex/hooks",
    ".codex/hooks.json",
    ".codex/managed_config.toml",
    ".codex/packages",
    ".codex/plugins",
    ".codex/prompts",
    ".codex/requirements.toml",
    ".codex/rules",
    ".codex/skills",
    ".codex/themes",
    ".codex/installation_id:copy",
    ".codex/models_cache.json:copy",
];

const GEMINI: &[&str] = &[
    ".gemini/tmp/:rw",
    // It runs the ripgrep that it keeps there.
    ".gemini/tmp/bin/:own",
    ".gemini/oauth_creds.json:rw",
    ".gemini/gemini-credentials.json:rw",
    ".gemini/google_accounts.json:rw",
    ".gemini/settings.json",
    ".gemini/system-defaults.json",
    ".gemini/.env",
    ".gemini/GEMINI.md",
    ".gemini/agents",
    ".gemini/commands",
    ".gemini/extensions",
    ".gemini/hooks",
    ".gemini/keybindings.json",
    ".gemini/policies",
    ".gemini/skills",
    ".gemini/installation_id:copy",
    ".gemini/projects.json:copy",
    ".gemini/state.json:copy",
    ".gemini/trustedFolders.json:copy",
    ".gemini/user_id:copy",
];

const OPENCODE: &[&str] = &[
    ".local/share/opencode/:rw",
    // Programs that it runs, and repositories whose settings git obeys.
    ".local/share/opencode/bin/:own",
    ".local/share/opencode/repos/:own",
    ".local/share/opencode/snapshot/:own",
    ".local/share/opencode/worktree/:own",
    // A login may name an address that plugins are loaded from.
    ".local/share/opencode/auth.json:copy",
    ".local/share/opencode/mcp-auth.json:copy",
    ".config/opencode/*",
    ".opencode/bin",
];

/// The entries of a CLI by the name of its program; none of one that is not known.
pub(super) fn of_program(program: &str) -> Vec<HomeEntry> {
    let entries = match Path::new(program).file_name().and_then(|name| name.to_str()) {
        Some("claude" | "claude-agent-acp") => CLAUDE,
        Some("codex" | "codex-acp") => CODEX,
        Some("gemini") => GEMINI,
        Some("opencode") => OPENCODE,
        _ => &[],
    };
    entries.iter().filter_map(|entry| HomeEntry::parse(entry).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_entries_of_known_programs_can_be_read() {
        for (program, entries) in [("claude", CLAUDE), ("/a/codex", CODEX), ("gemini", GEMINI), ("opencode", OPENCODE)]
        {
            assert_eq!(of_program(program).len(), entries.len(), "{program}");
        }
        assert_eq!(of_program("env"), []);
    }
}
