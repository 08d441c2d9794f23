//! Symbolic links as the system follows them: the only part of rules besides their file that looks at the disk.

use std::path::{Component, Path, PathBuf};

/// Follows all links of an absolute path. Its last parts may be missing; a link that leads nowhere gives `None`.
///
/// An agent can put another link in the place between this look and the use of the path.
pub(crate) fn resolve(path: &Path) -> Option<PathBuf> {
    let mut missing = Vec::new();
    // A slash or a dot at the end would have the system follow a link there before this looks at it.
    let clean: PathBuf = path.components().collect();
    let mut known = clean.as_path();
    loop {
        match known.symlink_metadata() {
            Ok(_) => break,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                // Without a name at its end a path has `..` there, whose meaning is that of a folder that is missing.
                let Some(Component::Normal(name)) = known.components().next_back() else { return None };
                missing.push(name);
                known = known.parent()?;
            }
            Err(_) => return None,
        }
    }
    let mut resolved = known.canonicalize().ok()?;
    resolved.extend(missing.into_iter().rev());
    Some(resolved)
}
