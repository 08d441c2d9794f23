//! Scopes of a diff: the two sides that are compared.

use crate::worker::place::git::{Git, GitError, SHORT_BYTES};

/// Shortest abbreviation of a commit's id that git accepts.
const ID_CHARS_MIN: usize = 4;
/// Longest id of a commit.
const ID_CHARS_MAX: usize = 64;

/// The scope of a diff.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum DiffScope {
    /// Everything since the worker's worktree began; without a worktree, since the last commit.
    #[default]
    Base,
    /// Everything since the last commit.
    Head,
    /// The same as `head`, by the name that fits before a commit.
    Uncommitted,
    /// One commit, compared with its first parent.
    Commit(String),
    /// One turn.
    Turn {
        /// Its id.
        id: String,
        /// The trees of the files before and after it, once they are known; a running turn has no tree after it.
        trees: Option<(String, Option<String>)>,
    },
}

/// The two sides of a comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Sides {
    /// The changes from this commit or tree to the project's present files, including new ones.
    ToFolder(String),
    /// The changes from one commit or tree to another.
    Between(String, String),
}

impl DiffScope {
    /// Parses the name of a scope; a commit's needs its id. The error is a field of the request with what is wrong with
    /// it.
    ///
    /// # Errors
    /// Fails when the scope does not exist, or the id is not valid.
    pub(crate) fn parse(
        name: Option<&str>,
        commit: Option<&str>,
        turn: Option<&str>,
    ) -> Result<Self, (&'static str, String)> {
        match (name, turn) {
            (Some("turn"), None) => return Err(("turn", "Field required".to_owned())),
            (Some("turn"), Some(id)) if commit.is_none() => return Ok(Self::Turn { id: id.to_owned(), trees: None }),
            (Some("turn"), Some(_)) => return Err(("commit", "Input is allowed with scope=commit only".to_owned())),
            (_, Some(_)) => return Err(("turn", "Input is allowed with scope=turn only".to_owned())),
            (_, None) => {}
        }
        match (name, commit) {
            (None | Some("base"), None) => Ok(Self::Base),
            (Some("head"), None) => Ok(Self::Head),
            (Some("uncommitted"), None) => Ok(Self::Uncommitted),
            (Some("commit"), None) => Err(("commit", "Field required".to_owned())),
            (Some("commit"), Some(id)) if is_abbreviated_id(id) => Ok(Self::Commit(id.to_owned())),
            (Some("commit"), Some(id)) => Err(("commit", format!("Input should be the id of a commit, not {id:?}"))),
            (Some("base" | "head" | "uncommitted") | None, Some(_)) => {
                Err(("commit", "Input is allowed with scope=commit only".to_owned()))
            }
            (Some(name), _) => {
                Err(("scope", format!("Input should be base, head, uncommitted, commit or turn, not {name:?}")))
            }
        }
    }

    /// Returns its name on the wire.
    pub(crate) fn as_str(&self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::Head => "head",
            Self::Uncommitted => "uncommitted",
            Self::Commit(_) => "commit",
            Self::Turn { .. } => "turn",
        }
    }

    /// Returns the sides that it compares in a repository.
    pub(super) fn sides(&self, git: &Git<'_>, begun_at: Option<&str>) -> Result<Sides, GitError> {
        match self {
            Self::Base => base(git, begun_at).map(Sides::ToFolder),
            Self::Head | Self::Uncommitted => base(git, None).map(Sides::ToFolder),
            Self::Turn { id, trees } => match trees {
                Some((before, Some(after))) => Ok(Sides::Between(before.clone(), after.clone())),
                Some((before, None)) => Ok(Sides::ToFolder(before.clone())),
                None => Err(GitError::NoCommit { id: id.clone() }),
            },
            Self::Commit(id) => {
                let missing = || GitError::NoCommit { id: id.clone() };
                let commit = known(git, id)?.ok_or_else(missing)?;
                let parent = known(git, &format!("{commit}^1"))?;
                Ok(Sides::Between(parent.unwrap_or_else(|| git.empty_ids().tree.to_owned()), commit))
            }
        }
    }
}

fn is_abbreviated_id(text: &str) -> bool {
    (ID_CHARS_MIN..=ID_CHARS_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Resolves a name to the id of a commit.
fn known(git: &Git<'_>, name: &str) -> Result<Option<String>, GitError> {
    git.line(&["rev-parse", "--verify", "--quiet", &format!("{name}^{{commit}}")])
}

/// Returns the commit to compare with: the base of the worktree, the last commit, or the empty tree.
pub(super) fn base(git: &Git<'_>, begun_at: Option<&str>) -> Result<String, GitError> {
    for name in [begun_at, Some("HEAD")].into_iter().flatten() {
        if known(git, name)?.is_some() {
            return Ok(name.to_owned());
        }
    }
    if git.line(&["rev-parse", "--verify", "--quiet", "HEAD"])?.is_some() {
        // HEAD names a missing commit: git reports it.
        git.output(&["cat-file", "-e", "HEAD^{commit}"], SHORT_BYTES)?;
    }
    Ok(git.empty_ids().tree.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_read_by_name_and_ids_are_checked() {
        assert_eq!(DiffScope::parse(None, None, None), Ok(DiffScope::Base));
        for name in ["base", "head", "uncommitted"] {
            assert_eq!(DiffScope::parse(Some(name), None, None).unwrap().as_str(), name);
            assert_eq!(DiffScope::parse(Some(name), Some("abcd"), None).unwrap_err().0, "commit");
        }
        assert_eq!(DiffScope::parse(Some("commit"), Some("c0ffee"), None), Ok(DiffScope::Commit("c0ffee".to_owned())));
        for id in ["", "HEAD", "abc", "--all", "c0ffee^", "c0ffee:secret", &"a".repeat(65)] {
            assert_eq!(DiffScope::parse(Some("commit"), Some(id), None).unwrap_err().0, "commit", "{id}");
        }
        let turn = DiffScope::Turn { id: "t1".to_owned(), trees: None };
        assert_eq!(DiffScope::parse(Some("turn"), None, Some("t1")), Ok(turn));
        for (name, commit, turn, field) in [
            (Some("turn"), None, None, "turn"),
            (Some("turn"), Some("c0ffee"), Some("t1"), "commit"),
            (Some("head"), None, Some("t1"), "turn"),
            (None, None, Some("t1"), "turn"),
        ] {
            assert_eq!(DiffScope::parse(name, commit, turn).unwrap_err().0, field);
        }
        assert_eq!(DiffScope::parse(Some("everything"), None, None).unwrap_err().0, "scope");
    }
}
