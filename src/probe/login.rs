//! The files that show that a known CLI is logged in. Only their presence is checked.

use std::ffi::OsString;
use std::path::PathBuf;

/// A CLI's login: a variable with a key, or a file.
pub(crate) struct CliLogin {
    /// The type that workers name.
    pub(crate) kind: &'static str,
    /// Variables that hold a key.
    variables: &'static [&'static str],
    /// The variable that moves its folder, the folder below the home otherwise, and the file in it.
    file: (&'static str, &'static str, &'static str),
    /// The command that logs in.
    pub(crate) command: &'static str,
    /// The setting that takes a key instead.
    pub(crate) setting: &'static str,
}

const KNOWN: [CliLogin; 4] = [
    CliLogin {
        kind: "claude",
        variables: &["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN"],
        file: ("CLAUDE_CONFIG_DIR", ".claude", ".credentials.json"),
        command: "claude /login",
        setting: "CLAUDE_API_KEY",
    },
    CliLogin {
        kind: "opencode",
        variables: &[],
        file: ("", ".local/share/opencode", "auth.json"),
        command: "opencode auth login",
        setting: "OPENCODE_API_KEY",
    },
    CliLogin {
        kind: "codex",
        variables: &["OPENAI_API_KEY", "CODEX_API_KEY"],
        file: ("CODEX_HOME", ".codex", "auth.json"),
        command: "codex login",
        setting: "CODEX_API_KEY",
    },
    CliLogin {
        kind: "gemini",
        variables: &["GEMINI_API_KEY", "GOOGLE_API_KEY"],
        file: ("", ".gemini", "oauth_creds.json"),
        command: "gemini",
        setting: "GEMINI_API_KEY",
    },
];

/// The login of the CLI `kind`; `None` when it is not known.
pub(crate) fn of(kind: &str) -> Option<&'static CliLogin> {
    KNOWN.iter().find(|login| login.kind == kind)
}

impl CliLogin {
    /// Returns whether somebody is logged in: a key is in the settings (`has_key`) or in the environment, or the CLI's file
    /// is there. `env` reads the environment.
    pub(crate) fn is_there(&self, has_key: bool, env: &dyn Fn(&str) -> Option<OsString>) -> bool {
        let set = |name: &str| env(name).filter(|value| !value.is_empty());
        let (moved, usual, file) = self.file;
        let folder = set(moved).map(PathBuf::from).or_else(|| set("HOME").map(|home| PathBuf::from(home).join(usual)));
        has_key
            || self.variables.iter().any(|name| set(name).is_some())
            || folder.is_some_and(|folder| folder.join(file).is_file())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn login_is_found_in_settings_environment_and_file() {
        let home = std::env::temp_dir().join(format!("rs-worker-login-{}", std::process::id()));
        let codex = of("codex").unwrap();
        let nothing = |name: &str| (name == "HOME").then(|| home.clone().into_os_string());
        assert!(!codex.is_there(false, &nothing));
        assert!(codex.is_there(true, &nothing));
        assert!(codex.is_there(false, &|name| (name == "OPENAI_API_KEY").then(|| "key".into())));
        assert!(!codex.is_there(false, &|name| (name == "OPENAI_API_KEY").then(OsString::new)));
        std::fs::create_dir_all(home.join(".codex")).unwrap();
        std::fs::write(home.join(".codex/auth.json"), "{}").unwrap();
        assert!(codex.is_there(false, &nothing));
        assert!(of("unknown").is_none());
        std::fs::remove_dir_all(&home).unwrap();
    }
}
