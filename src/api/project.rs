//! Where a worker may work.

use std::path::{Path, PathBuf};

use super::error::ApiError;

/// The resolved form of a project path: an existing folder, within the allowed roots.
///
/// Symbolic links are resolved first, so that none leads out of a root.
pub(super) fn resolve(path: &str, roots: &[PathBuf]) -> Result<String, ApiError> {
    let given = Path::new(path);
    if !given.is_absolute() {
        return Err(ApiError::bad_request(format!("project_path must be absolute: {path}")));
    }
    let resolved = given.canonicalize().map_err(|error| {
        ApiError::bad_request(match error.kind() {
            std::io::ErrorKind::NotFound => format!("project_path does not exist: {path}"),
            _ => format!("project_path cannot be used: {path}: {error}"),
        })
    })?;
    // Who may not know what is there is told the same, whatever it is.
    if !roots.is_empty() && !roots.iter().any(|root| resolved.starts_with(root)) {
        return Err(ApiError::bad_request(format!("project_path is outside of PROJECT_ROOTS: {path}")));
    }
    if !resolved.is_dir() {
        return Err(ApiError::bad_request(format!("project_path is not a directory: {path}")));
    }
    resolved
        .into_os_string()
        .into_string()
        .map_err(|_| ApiError::bad_request(format!("project_path is not valid UTF-8 once resolved: {path}")))
}
