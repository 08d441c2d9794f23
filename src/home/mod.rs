//! The home directory: in paths that people write, since no shell expands `~/` and `$HOME/` in settings and
//! declarations, and the parts of it that a sandbox shows. A leaf: it imports no other module.

mod entry;
mod usual;

use std::fmt;
use std::path::PathBuf;

pub(crate) use entry::{Access, HomeChange, HomeEntry};
pub(crate) use usual::usual;

/// Spellings of the home directory at the beginning of a path.
const SPELLINGS: [&str; 3] = ["~", "$HOME", "${HOME}"];

/// The reason that a path cannot be expanded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unexpandable {
    /// Begins with the home directory, and `HOME` is not set to an absolute path.
    NoHome,
    /// Begins with another user's home directory: `~name`.
    OtherUser,
    /// Begins with another variable: `$NAME`.
    Variable,
}

impl fmt::Display for Unexpandable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoHome => "HOME is not set to an absolute path, so write the whole path",
            Self::OtherUser => "other users' home directories are not looked up, so write the whole path (`./~` is a file of that name)",
            Self::Variable => {
                "of variables only HOME is expanded here, so write the whole path (`./$` is a file of that name)"
            }
        })
    }
}

/// The home directory that the environment names.
pub(crate) fn directory() -> Option<String> {
    std::env::var("HOME").ok()
}

/// `path` with the home directory instead of a `~`, `$HOME` or `${HOME}` at its beginning.
///
/// # Errors
/// Fails when it begins with another user's home directory or another variable, or the home directory is unknown.
pub(crate) fn expand(path: &str, home: Option<&str>) -> Result<String, Unexpandable> {
    if let Some(rest) = below_home(path) {
        let home = home.filter(|home| home.starts_with('/')).ok_or(Unexpandable::NoHome)?;
        let joined = PathBuf::from(home).join(rest.trim_start_matches('/'));
        return Ok(joined.to_string_lossy().into_owned());
    }
    let letter = |char: char| char.is_ascii_alphabetic() || char == '_' || char == '{';
    match path.chars().next() {
        Some('~') => Err(Unexpandable::OtherUser),
        Some('$') if path[1..].starts_with(letter) => Err(Unexpandable::Variable),
        _ => Ok(path.to_owned()),
    }
}

/// Works like [`expand`], for a word that may not be a path: one that cannot be expanded is returned unchanged.
pub(crate) fn expand_word(word: &str, home: Option<&str>) -> String {
    expand(word, home).unwrap_or_else(|_| word.to_owned())
}

/// The part behind the home directory, when `path` is it or below it.
fn below_home(path: &str) -> Option<&str> {
    let rests = SPELLINGS.iter().filter_map(|spelling| path.strip_prefix(spelling));
    rests.into_iter().find(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_home_are_expanded_at_the_beginning_only() {
        for (path, expanded) in [
            ("~", "/home/me/"),
            ("~/a b", "/home/me/a b"),
            ("~//a", "/home/me/a"),
            ("$HOME", "/home/me/"),
            ("$HOME/a", "/home/me/a"),
            ("${HOME}/a", "/home/me/a"),
            ("/a/~/$HOME", "/a/~/$HOME"),
            ("a~", "a~"),
            ("./~/a", "./~/a"),
            ("$", "$"),
            ("$1/a", "$1/a"),
            ("", ""),
        ] {
            assert_eq!(expand(path, Some("/home/me")), Ok(expanded.to_owned()), "{path}");
        }
    }

    #[test]
    fn unexpandable_text_is_refused_and_a_word_stays() {
        use Unexpandable::{NoHome, OtherUser, Variable};
        for (path, why) in
            [("~bob/a", OtherUser), ("~+", OtherUser), ("$HOMES/a", Variable), ("${X}/a", Variable), ("$x", Variable)]
        {
            assert_eq!(expand(path, Some("/home/me")), Err(why), "{path}");
            assert_eq!(expand_word(path, Some("/home/me")), path);
        }
        assert_eq!(expand("~/a", None), Err(NoHome));
        assert_eq!(expand("~/a", Some("relative")), Err(NoHome));
    }
}
