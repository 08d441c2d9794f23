//! A project's contents: paths to choose from, files to mention in a message, and the agent's changes.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::error::ApiError;
use super::{ApiCall, RouteResult};
use crate::http::Response;
use crate::worker::WorkerError;
use crate::worker::place::look::{DiffScope, Files};

/// Maximum number of completions.
const COMPLETIONS_MAX: usize = 50;
/// Maximum number of folder entries that are read for a completion.
const ENTRIES_MAX: usize = 10_000;
/// `GET /api/paths?prefix=/home/me/pro`: folders in which a worker may work.
pub(super) fn paths(call: &ApiCall<'_>) -> RouteResult {
    let prefix = call.head().query_value("prefix").unwrap_or_default();
    let roots = &call.api.settings.project_roots;
    let mut paths: Vec<String> = if prefix.is_empty() {
        roots.iter().filter_map(|root| root.to_str().map(str::to_owned)).collect()
    } else {
        complete(prefix, roots)
    };
    paths.sort();
    paths.truncate(COMPLETIONS_MAX);
    Ok(Response::json(200, &json!({"paths": paths})).into())
}

fn complete(prefix: &str, roots: &[PathBuf]) -> Vec<String> {
    let Some((folder, begin)) = prefix.rsplit_once('/') else { return Vec::new() };
    let folder = if folder.is_empty() { Path::new("/") } else { Path::new(folder) };
    if !folder.is_absolute() {
        return Vec::new();
    }
    let Ok(entries) = folder.read_dir() else { return Vec::new() };
    entries
        .take(ENTRIES_MAX)
        .filter_map(Result::ok)
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.starts_with(begin) && (begin.starts_with('.') || !name.starts_with('.')))
        .map(|name| folder.join(name))
        .filter(|path| is_on_the_way(path, roots))
        .filter_map(|path| path.into_os_string().into_string().ok())
        .collect()
}

/// Returns whether a worker may work in this folder, or in one below it.
fn is_on_the_way(path: &Path, roots: &[PathBuf]) -> bool {
    let Ok(resolved) = path.canonicalize() else { return false };
    let allowed =
        roots.is_empty() || roots.iter().any(|root| resolved.starts_with(root) || root.starts_with(&resolved));
    allowed && resolved.is_dir()
}

/// `GET /api/workers/{id}/files?q=main`: files of the project whose path has the letters of `q` in their order.
pub(super) fn list(call: &ApiCall<'_>) -> RouteResult {
    let wanted = call.head().query_value("q").unwrap_or_default().to_lowercase();
    let looked = call.worker()?.look_at_files(&|| call.request.client.has_gone())?;
    let Files { paths, by_git } = looked.as_ref().as_ref().map_err(WorkerError::from)?;
    let mut files: Vec<&str> =
        paths.split('\0').filter(|path| !path.is_empty() && has_letters(&path.to_lowercase(), &wanted)).collect();
    // Paths with adjacent letters come before paths with scattered ones; short paths before long ones.
    files.sort_by_key(|path| (!path.to_lowercase().contains(&wanted), path.len(), *path));
    files.truncate(COMPLETIONS_MAX);
    Ok(Response::json(200, &json!({"files": files, "git": by_git})).into())
}

fn has_letters(text: &str, wanted: &str) -> bool {
    let mut letters = text.chars();
    wanted.chars().all(|letter| letters.any(|other| other == letter))
}

/// `GET /api/workers/{id}/diff?scope=base|head|uncommitted|commit|turn&commit=&turn=`: the diff since the base of the
/// worker's worktree, or of another scope; new files included.
pub(super) fn diff(call: &ApiCall<'_>) -> RouteResult {
    let (head, worker) = (call.head(), call.worker()?);
    let scope = DiffScope::parse(head.query_value("scope"), head.query_value("commit"), head.query_value("turn"))
        .map_err(|(field, text)| ApiError::mistake("query", field, text, "value_error"))?;
    let looked = worker.look_at_changes(&scope, &|| call.request.client.has_gone())?;
    match looked.as_ref() {
        Ok(Some(changes)) => {
            let mut answer = serde_json::to_value(changes).map_err(std::io::Error::other)?;
            answer["git"] = json!(true);
            answer["turns"] = worker.turns()["turns"].take();
            Ok(Response::json(200, &answer).into())
        }
        Ok(None) => {
            let detail = "the project is not under git";
            Ok(Response::json(200, &json!({"git": false, "diff": "", "scope": scope.as_str(), "files": [], "commits": [], "detail": detail})).into())
        }
        Err(error) => Err(WorkerError::from(error).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_must_come_in_their_order() {
        assert!(has_letters("src/main.rs", "smrs"));
        assert!(has_letters("anything", ""));
        assert!(!has_letters("src/main.rs", "rsm"));
    }

    #[test]
    fn completion_shows_folders_within_and_towards_the_roots() {
        let scratch = crate::scratch::Scratch::new();
        let top = scratch.path().canonicalize().unwrap();
        for folder in ["work/one", "work/other", "work/.hidden", "elsewhere"] {
            std::fs::create_dir_all(top.join(folder)).unwrap();
        }
        std::fs::write(top.join("work/ordinary-file"), "").unwrap();
        std::os::unix::fs::symlink(top.join("elsewhere"), top.join("work/out")).unwrap();
        let root = [top.join("work")];
        let complete = |begin: &str| {
            let mut found = complete(&format!("{}/{begin}", top.display()), &root);
            found.sort();
            found.iter().map(|path| path[top.as_os_str().len() + 1..].to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(complete(""), ["work"]);
        assert_eq!(complete("work/o"), ["work/one", "work/other"]);
        assert_eq!(complete("work/.h"), ["work/.hidden"]);
        assert_eq!(complete("elsewhere/"), Vec::<String>::new());
    }
}
