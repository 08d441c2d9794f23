//! Globs as shells expand them, for rules that refuse or ask: a bracket could be any one character.

use std::ffi::OsStr;
use std::path::Path;

/// Returns whether a shell could expand a text.
pub(crate) fn has_glob(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

/// Returns whether a glob matches a word. Takes time by the product of both lengths at most.
pub(crate) fn matches(glob: &[u8], word: &[u8]) -> bool {
    let (mut at, mut seen) = (0, 0);
    // The last star, and the place in the word up to which it is used for characters.
    let mut star: Option<(usize, usize)> = None;
    while seen < word.len() {
        let next = match glob.get(at) {
            Some(b'*') => {
                star = Some((at, seen));
                at += 1;
                continue;
            }
            Some(b'?') => Some(at + 1),
            Some(b'[') => Some(glob[at..].iter().position(|byte| *byte == b']').map_or(glob.len(), |end| at + end + 1)),
            Some(byte) if *byte == word[seen] => Some(at + 1),
            _ => None,
        };
        match (next, star) {
            (Some(next), _) => (at, seen) = (next, seen + 1),
            (None, Some((begin, taken))) => {
                star = Some((begin, taken + 1));
                (at, seen) = (begin + 1, taken + 1);
            }
            (None, None) => return false,
        }
    }
    glob[at..].iter().all(|byte| *byte == b'*')
}

/// Returns whether a path with globs could name `path`, a folder above it, or, if `below` is set, something in it.
pub(crate) fn could_name(glob: &Path, path: &Path, below: bool) -> bool {
    let (globs, names) = (parts(glob), parts(path));
    let is_near = globs.len() <= names.len() || below;
    is_near && globs.iter().zip(&names).all(|(glob, name)| matches_name(glob, name))
}

fn parts(path: &Path) -> Vec<&[u8]> {
    path.components().map(|part| OsStr::as_encoded_bytes(part.as_os_str())).collect()
}

/// A hidden name is matched by a glob with the dot alone.
fn matches_name(glob: &[u8], name: &[u8]) -> bool {
    (name.first() != Some(&b'.') || glob.first() == Some(&b'.')) && matches(glob, name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_match_as_in_a_shell() {
        for (glob, word, matched) in [
            ("*", "", true),
            ("a*c", "abc", true),
            ("a*c", "abd", false),
            ("*.rs", "main.rs", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("[ab]c", "zc", true),
            ("r[", "rm", true),
            ("", "a", false),
            ("a", "", false),
        ] {
            assert_eq!(matches(glob.as_bytes(), word.as_bytes()), matched, "{glob} {word}");
        }
        assert!(!matches("*a".repeat(2_000).as_bytes(), "b".repeat(4_000).as_bytes()), "in bounded time");
    }

    #[test]
    fn paths_with_globs_name_files_and_the_folders_above_them() {
        let could = |glob: &str, below| could_name(Path::new(glob), Path::new("/p/.env"), below);
        assert!(could("/p/.e*", false) && could("/?/.env", false) && could("/*", false));
        assert!(!could("/p/*", false), "a star does not name what is hidden");
        assert!(!could("/p/.env/x", false) && could("/p/.e*/x", true));
    }
}
