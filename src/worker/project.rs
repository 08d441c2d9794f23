//! Where a worker may work.

use std::path::{Path, PathBuf};

use super::error::WorkerError;

/// The resolved form of a project path: an existing folder, within the allowed roots (none: anywhere).
///
/// Symbolic links are resolved first, so that none leads out of a root.
///
/// # Errors
/// When it is no such folder.
pub fn resolve(path: &str, roots: &[PathBuf]) -> Result<String, WorkerError> {
    let given = Path::new(path);
    if !given.is_absolute() {
        return Err(WorkerError::Invalid(format!("project_path must be absolute: {path}")));
    }
    let resolved = given.canonicalize();
    // What is outside is answered the same whether it is there or not: nobody can look around that way.
    let place = resolved.as_ref().ok().cloned().or_else(|| nearest(given));
    if !roots.is_empty() && !place.is_some_and(|place| roots.iter().any(|root| place.starts_with(root))) {
        return Err(WorkerError::Invalid(format!("project_path is outside of PROJECT_ROOTS: {path}")));
    }
    let resolved = resolved.map_err(|error| {
        WorkerError::Invalid(match error.kind() {
            std::io::ErrorKind::NotFound => format!("project_path does not exist: {path}"),
            _ => format!("project_path cannot be used: {path}: {error}"),
        })
    })?;
    if !resolved.is_dir() {
        return Err(WorkerError::Invalid(format!("project_path is not a directory: {path}")));
    }
    let text = resolved.into_os_string().into_string();
    text.map_err(|_| WorkerError::Invalid(format!("project_path is not valid UTF-8 once resolved: {path}")))
}

/// The nearest folder above `path` that is there, resolved.
fn nearest(path: &Path) -> Option<PathBuf> {
    path.ancestors().find_map(|above| above.canonicalize().ok())
}
