//! What is written of the settings for people: `.env.example` and the README's table.

use std::fmt::Write as _;

use super::settings::{Group, SETTINGS};

/// Where the values of settings come from, for the heads of [`env_example`] and the README's table.
pub const PRECEDENCE: &str = "The `.env` file in the working directory is asked first, then the environment: a value \
                              in `.env` wins over one in the environment, and an empty value counts as unset.";

/// The text of `.env.example`. Every setting is commented out, so that a copy of the file sets nothing by itself: what
/// stands in `.env` wins over the environment, also when it is only the default.
#[doc(hidden)]
pub fn env_example() -> String {
    let head = "Settings of rs-worker. Copy this file to `.env` in the directory in which the server is started, and take \
                the `#` off the lines that you change; as it is, every line shows the default. It may hold keys, so keep \
                it to yourself: chmod 600 .env";
    let mut text = format!("{}#\n{}", comment(head), comment(PRECEDENCE));
    for group in Group::ALL {
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

/// The README's table of settings, in Markdown.
#[doc(hidden)]
pub fn config_table_markdown() -> String {
    let mut text = String::from("| Setting | Default | Meaning | Allowed |\n| --- | --- | --- | --- |\n");
    for it in Group::ALL.iter().flat_map(|group| SETTINGS.iter().filter(move |it| it.group == *group)) {
        let default = if it.default.is_empty() { "unset".to_owned() } else { format!("`{}`", it.default) };
        let _ = writeln!(text, "| `{}` | {default} | {} | {} |", it.name, it.doc, it.allowed());
    }
    text
}
