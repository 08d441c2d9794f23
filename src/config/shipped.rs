//! The generated documents of the settings: `.env.example` and `docs/configuration.md`.

use std::fmt::Write as _;

use super::settings::{SETTINGS, SettingGroup};

/// The order in which sources of settings are read, for the head of [`env_example`].
pub(crate) const PRECEDENCE: &str = "Settings are read from `.env` in the working directory first, then from the environment: a \
                              value in `.env` wins, and an empty value counts as unset.";

/// The text of `.env.example`. Every setting is commented out, so that a copy of the file sets nothing: a value in `.env`
/// wins over the environment, even if it is the default.
#[doc(hidden)]
pub(crate) fn env_example() -> String {
    let head = "Settings of rs-worker. Copy this file to `.env` in the directory in which you start the server. Uncomment \
                a line to change it; commented lines show the defaults. The file may hold keys: chmod 600 .env";
    let mut text = format!("{}#\n{}", comment(head), comment(PRECEDENCE));
    for group in SettingGroup::ALL {
        let _ = write!(text, "\n# ---- {} ----\n", group.title());
        for it in SETTINGS.iter().filter(|it| it.group == group) {
            let paragraph = format!("{} Allowed: {}.", it.doc, it.allowed());
            let _ = write!(text, "\n{}#{}={}\n", comment(&paragraph), it.name, it.default);
        }
    }
    text
}

/// Columns of `.env.example`.
const COLUMNS: usize = 100;

fn comment(paragraph: &str) -> String {
    let mut text = String::from("#");
    let mut column = 1;
    for word in paragraph.split_whitespace() {
        let width = word.chars().count() + 1;
        if column + width > COLUMNS {
            text.push_str("\n#");
            column = 1;
        }
        text.push(' ');
        text.push_str(word);
        column += width;
    }
    text.push('\n');
    text
}

/// The text of `docs/configuration.md`.
#[doc(hidden)]
pub(crate) fn configuration_markdown() -> String {
    let mut text = format!("# Configuration\n\n{}\n", CONFIGURATION_HEAD.trim());
    for group in SettingGroup::ALL {
        let _ = write!(
            text,
            "\n## {}\n\n| setting | default | meaning | allowed |\n| --- | --- | --- | --- |\n",
            group.title()
        );
        for it in SETTINGS.iter().filter(|it| it.group == group) {
            let default = if it.default.is_empty() { "unset".to_owned() } else { format!("`{}`", it.default) };
            let _ = writeln!(text, "| `{}` | {default} | {} | {} |", it.name, it.doc, it.allowed());
        }
    }
    text + "\n" + CONFIGURATION_FOOT
}

const CONFIGURATION_HEAD: &str = "
<!-- Generated from src/config/settings.rs: run the tests of `config` with UPDATE_EXAMPLE=1 to write it again. -->

Settings are read from `.env` in the working directory first, then from the environment: a value in `.env` wins, and an
empty value counts as unset. Keys that `.env` does not have come from `ANTHROPIC_API_KEY`, `OPENCODE_API_KEY` and the like. An
invalid value stops the start with a message that names the setting, the value and what is allowed.
[`.env.example`](../.env.example) has every setting with its default. `rs-worker serve --host ADDRESS --port PORT` overrides two
of them.
";

const CONFIGURATION_FOOT: &str = "\
## Environment of a CLI

A worker's CLI receives the server's environment, since agents need your toolchains. Removed are the settings and the token, every other
CLI's keys, and what describes the session that the server itself was started in, such as `CLAUDECODE`. `WORKER_ENV=clean` passes a short
list instead: `PATH`, `HOME`, `USER`, `LOGNAME`, `SHELL`, `LANG`, `LC_*`, `TERM`, `TMPDIR`, `TZ`, `XDG_*`, proxies and certificate
locations, and what `WORKER_ENV_PASS` names.
";
