//! A value that must not leak by accident: API keys and the auth token. A leaf: it imports no other module.

use std::fmt;

/// The shortest secret of which some characters are shown, in characters: half of it stays hidden.
const SHOWN_FROM: usize = 24;
/// Characters shown of a long secret's beginning.
const HEAD: usize = 8;
/// Characters shown of a long secret's end.
const TAIL: usize = 4;
/// Shown instead of a secret that is too short to show any of it.
const HIDDEN: &str = "********";

/// A secret text. `Debug` and `Display` write it masked, so it cannot reach a log or an answer unless somebody calls
/// [`Secret::expose`].
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret itself, for a child's environment or a comparison.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Secret {
    /// `sk-ant-a...xyz9`; a secret of fewer than 24 characters is hidden whole, and so is its length.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.chars().count();
        if count < SHOWN_FROM {
            return f.write_str(HIDDEN);
        }
        self.0.chars().take(HEAD).try_for_each(|letter| write!(f, "{letter}"))?;
        f.write_str("...")?;
        self.0.chars().skip(count - TAIL).try_for_each(|letter| write!(f, "{letter}"))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::Secret;

    #[test]
    fn long_secret_shows_its_ends_and_a_short_one_nothing() {
        let key = Secret::new("sk-ant-api03-0123456789-wxyz9");
        assert_eq!(key.to_string(), "sk-ant-a...xyz9");
        assert_eq!(format!("{key:?}"), "Secret(sk-ant-a...xyz9)");
        assert_eq!(key.expose(), "sk-ant-api03-0123456789-wxyz9");
        assert_eq!(Secret::new("12345678901234567890123").to_string(), "********");
        assert_eq!(Secret::new("ab").to_string(), "********");
        assert_eq!(Secret::new("ä".repeat(30)).to_string(), "ääääääää...ääää");
    }
}
