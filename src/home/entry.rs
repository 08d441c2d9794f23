//! Files and folders of the home directory that a sandbox shows, as settings, adapters and declarations write them:
//! `.m2`, `.m2:rw`, `.cargo/*`.

use std::path::{Component, Path};

/// Longest entry, in bytes.
const ENTRY_MAX: usize = 512;

/// The access that a sandbox gives to a file or folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// The real one, read-only: `:ro`, or nothing.
    ReadOnly,
    /// The real one, and what is written there is seen outside: `:rw`.
    Shared,
    /// A copy of the file, made anew at each start; changes stay in the sandbox: `:copy`.
    Copy,
    /// Not the real one: an empty one that belongs to the worker: `:own`.
    Own,
}

impl Access {
    const ALL: [(&'static str, Self); 4] =
        [("ro", Self::ReadOnly), ("rw", Self::Shared), ("copy", Self::Copy), ("own", Self::Own)];
}

/// One file or folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HomeEntry {
    /// Its path below the home directory, without `.`, `..` or slashes at its ends.
    pub path: String,
    /// True if it means everything in that folder, in a folder that is the worker's own: `.cargo/*`.
    pub children: bool,
    /// True if it is a folder that is made where it is missing: `.mycli/sessions/`.
    pub folder: bool,
    /// The way in which it is shown.
    pub access: Access,
}

/// One entry of `SANDBOX_HOME`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum HomeChange {
    /// Shows more, or shows it otherwise.
    Show(HomeEntry),
    /// Shows neither this nor what is below it: `-.nvm`.
    Hide(String),
}

impl HomeEntry {
    /// Reads `PATH`, `PATH/`, `PATH/*`, with `:ro`, `:rw`, `:copy` or `:own` behind it; the path may begin with `~/`.
    ///
    /// # Errors
    /// A sentence for people.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (path, access) = match text.rsplit_once(':') {
            Some((path, word)) => {
                let found = Access::ALL.iter().find(|(name, _)| *name == word);
                let access = found.ok_or_else(|| format!("{text:?}: after the colon must be ro, rw, copy or own"))?;
                (path, access.1)
            }
            None => (text, Access::ReadOnly),
        };
        let (path, children) = path.strip_suffix("/*").map_or((path, false), |path| (path, true));
        if children && access != Access::ReadOnly {
            return Err(format!("{text:?}: the entries of a folder can only be shown read-only"));
        }
        Ok(Self { path: below_home(path)?, children, folder: path.ends_with('/'), access })
    }
}

impl HomeChange {
    /// Reads an entry, or `-PATH`.
    ///
    /// # Errors
    /// A sentence for people.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        match text.strip_prefix('-') {
            Some(path) => below_home(path).map(Self::Hide),
            None => HomeEntry::parse(text).map(Self::Show),
        }
    }
}

/// A path below the home directory in its plain form.
fn below_home(path: &str) -> Result<String, String> {
    let wrong = || format!("{path:?} must be a path below the home directory, such as .m2 or ~/.m2");
    let spelled = super::SPELLINGS.iter().find_map(|spelling| path.strip_prefix(spelling)?.strip_prefix('/'));
    let below = spelled.unwrap_or(path);
    if below.len() > ENTRY_MAX || below.starts_with(['/', '~', '$', '-']) || below.contains(char::is_control) {
        return Err(wrong());
    }
    let mut parts = Vec::new();
    for part in Path::new(below).components() {
        match part {
            Component::Normal(name) => parts.push(name.to_str().ok_or_else(wrong)?),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return Err(wrong()),
        }
    }
    if parts.is_empty() { Err(wrong()) } else { Ok(parts.join("/")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_name_a_path_below_home_and_an_access() {
        for (text, path, children, folder, access) in [
            (".m2", ".m2", false, false, Access::ReadOnly),
            ("~/.m2/", ".m2", false, true, Access::ReadOnly),
            ("$HOME/./a b/:rw", "a b", false, true, Access::Shared),
            (".config//x/y.json:copy", ".config/x/y.json", false, false, Access::Copy),
            (".cache/x:own", ".cache/x", false, false, Access::Own),
            (".cargo/*", ".cargo", true, false, Access::ReadOnly),
            (".cargo/*:ro", ".cargo", true, false, Access::ReadOnly),
        ] {
            let entry = HomeEntry { path: path.to_owned(), children, folder, access };
            assert_eq!(HomeEntry::parse(text), Ok(entry), "{text}");
        }
        assert_eq!(HomeChange::parse("-~/.nvm"), Ok(HomeChange::Hide(".nvm".to_owned())));
        for text in ["", "~", ".", "/etc", "..", "a/../b", "~bob/x", "$X/y", "a:rx", "a/*:rw", "--", "a\nb", "/*"] {
            assert!(HomeChange::parse(text).is_err(), "{text}");
        }
    }
}
