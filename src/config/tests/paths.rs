//! The home directory in the values of settings.

use std::collections::BTreeSet;
use std::path::Path;

use crate::config::load::ConfigError;
use crate::config::*;

fn load(dotenv: &str, env: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let find = |name: &str| env.iter().find(|it| it.0 == name).map(|it| it.1.into());
    Config::load(Path::new("/srv/rs"), Some(dotenv), &find)
}

fn refusal(dotenv: &str, env: &[(&str, &str)]) -> String {
    load(dotenv, env).unwrap_err().to_string()
}

/// The settings that take paths, with one that names the home directory and the field that it goes to.
type PathSetting = (&'static str, &'static str, fn(&Config) -> String);

const PATH_SETTINGS: [PathSetting; 15] = [
    ("WORKERS_BASE_DIR", "~/d", |c| c.workers_base_dir.display().to_string()),
    ("WORKTREE_DIR", "$HOME/d", |c| c.worktree_dir.display().to_string()),
    ("PROJECTS_DIR", "~/d", |c| c.projects_dir.display().to_string()),
    ("PRESETS_DIR", "~/d", |c| c.presets_dir.display().to_string()),
    ("RUNNERS_DIR", "${HOME}/d", |c| c.runners_dir.display().to_string()),
    ("ADAPTERS_DIR", "~//d", |c| c.adapters_dir.display().to_string()),
    ("STATIC_DIR", "~/d", |c| c.static_dir.clone().unwrap_or_default().display().to_string()),
    ("AUTH_TOKEN_FILE", "~/d", |c| c.auth_token_file.display().to_string()),
    ("LOG_FILE", "~/d", |c| c.log_file.display().to_string()),
    ("HOOK_COMMAND", "~/d", |c| c.hook.command.clone().unwrap_or_default().display().to_string()),
    ("CLAUDE_BINARY", "~/d", |c| c.claude.binary.clone()),
    ("OPENCODE_BINARY", "$HOME/d", |c| c.opencode.binary.clone()),
    ("GEMINI_BINARY", "${HOME}/d", |c| c.gemini.binary.clone()),
    ("CODEX_BINARY", "~/d", |c| c.codex.binary.clone()),
    ("PROJECT_ROOTS", "/a:~/d:$HOME/d", |c| c.project_roots.last().unwrap().display().to_string()),
];

#[test]
fn every_path_setting_expands_the_home_directory_or_refuses() {
    for (name, value, read) in PATH_SETTINGS {
        for (text, env) in [(format!("{name}={value}"), String::new()), (String::new(), value.to_owned())] {
            let config = load(&text, &[("HOME", "/home/me"), (name, &env)]).unwrap();
            assert_eq!(
                (read(&config).as_str(), config.shown(name).contains("/home/me/d")),
                ("/home/me/d", true),
                "{name}"
            );
        }
        for refused in ["~bob/d", "$XDG_DATA_HOME/d", "${USER}"] {
            let problem = refusal(&format!("{name}={refused}"), &[("HOME", "/home/me")]);
            assert!(problem.contains(refused) && problem.contains("`~/` is the home directory"), "{name}: {problem}");
        }
        assert!(!refusal(&format!("{name}={value}"), &[]).is_empty(), "{name}: there is no home directory");
    }
    let paths: BTreeSet<&str> = SETTINGS.iter().filter(|it| it.allowed().contains("`~/`")).map(|it| it.name).collect();
    assert_eq!(paths, PATH_SETTINGS.iter().map(|it| it.0).collect(), "every setting that takes a path is here");
}
