//! What is in a project: paths to choose from, files to name in a message, and what the agent has changed.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;

use super::error::ApiError;
use super::{Call, Handled};
use crate::http::Response;
use crate::subprocess::{Answer, Bounds};
use crate::worker::{git, project};

/// Entries of a completion.
const COMPLETIONS_MAX: usize = 50;
/// Entries of a folder that are looked at for a completion.
const ENTRIES_MAX: usize = 10_000;
/// Bounds of a list of files from git.
const LIST: Bounds = Bounds { time: Duration::from_secs(5), bytes: 4 * 1024 * 1024 };
/// Bounds of a diff from git; a longer one is cut, and the answer says so.
const DIFF: Bounds = Bounds { time: Duration::from_secs(10), bytes: 4 * 1024 * 1024 };
/// New files whose content is part of a diff.
const NEW_FILES_MAX: usize = 100;
/// The tree without files, which git always knows: what a repository without commits is compared with.
const EMPTY_TREE: &str = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";

/// `GET /api/paths?prefix=/home/me/pro`: folders that a worker may work in.
pub(super) fn paths(call: &Call<'_>) -> Handled {
    let prefix = call.head().query_value("prefix").unwrap_or_default();
    let roots = &call.api.project_roots;
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

/// Whether a worker may work in this folder, or in one below it.
fn is_on_the_way(path: &Path, roots: &[PathBuf]) -> bool {
    let Ok(resolved) = path.canonicalize() else { return false };
    let allowed =
        roots.is_empty() || roots.iter().any(|root| resolved.starts_with(root) || root.starts_with(&resolved));
    allowed && resolved.is_dir()
}

/// `GET /api/workers/{id}/files?q=main`: files of the project whose path has the letters of `q` in their order.
pub(super) fn list(call: &Call<'_>) -> Handled {
    let folder = folder(call)?;
    let wanted = call.head().query_value("q").unwrap_or_default().to_lowercase();
    let answer =
        git::ask(&folder, &["ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate"], LIST);
    let answer = answer.ok().filter(|answer| answer.code == Some(0) || answer.cut);
    let listed = answer.is_some();
    // Not every project is under git, and git is not everywhere.
    let text = answer.map_or_else(|| walk(&folder), |answer| String::from_utf8_lossy(&answer.output).into_owned());
    let mut files: Vec<&str> =
        text.split('\0').filter(|path| !path.is_empty() && has_letters(&path.to_lowercase(), &wanted)).collect();
    // What has the letters together stands before what has them scattered; short paths before long ones.
    files.sort_by_key(|path| (!path.to_lowercase().contains(&wanted), path.len(), *path));
    files.truncate(COMPLETIONS_MAX);
    Ok(Response::json(200, &json!({"files": files, "git": listed})).into())
}

/// The files below a folder, each with a NUL behind it, the near ones first. Hidden files and folders are left out, and
/// links are not followed.
fn walk(top: &Path) -> String {
    let mut found = String::new();
    let mut folders = VecDeque::from([top.to_owned()]);
    let mut left = ENTRIES_MAX;
    while let Some(folder) = folders.pop_front() {
        for entry in folder.read_dir().into_iter().flatten().filter_map(Result::ok) {
            if left == 0 {
                return found;
            }
            left -= 1;
            let (path, Ok(kind)) = (entry.path(), entry.file_type()) else { continue };
            if entry.file_name().as_encoded_bytes().starts_with(b".") {
                continue;
            }
            if kind.is_dir() {
                folders.push_back(path);
            } else if let Some(name) = path.strip_prefix(top).ok().and_then(Path::to_str) {
                found.push_str(name);
                found.push('\0');
            }
        }
    }
    found
}

fn has_letters(text: &str, wanted: &str) -> bool {
    let mut letters = text.chars();
    wanted.chars().all(|letter| letters.any(|other| other == letter))
}

/// `GET /api/workers/{id}/diff`: what differs from the last commit, or from the commit that the worker's worktree began
/// at; new files included.
pub(super) fn diff(call: &Call<'_>) -> Handled {
    let folder = folder(call)?;
    let inside = git::ask(&folder, &["rev-parse", "--is-inside-work-tree"], LIST)?;
    if inside.code != Some(0) {
        let detail = "the project is not under git";
        return Ok(Response::json(200, &json!({"git": false, "diff": "", "detail": detail})).into());
    }
    let known = |name: &str| -> Result<bool, ApiError> {
        let commit = format!("{name}^{{commit}}");
        Ok(git::ask(&folder, &["rev-parse", "--verify", "--quiet", &commit], LIST)?.code == Some(0))
    };
    let begun_at = call.worker()?.state().worktree.as_ref().map(|tree| tree.base.clone());
    let base = match &begun_at {
        Some(commit) if known(commit)? => commit,
        _ if known("HEAD")? => "HEAD",
        _ => EMPTY_TREE,
    };
    let mut changed = git::ask_of_files(&folder, &[&DIFF_FLAGS[..], &[base, "--", "."]].concat(), DIFF)?;
    add_new_files(&folder, &mut changed)?;
    let text = String::from_utf8_lossy(&changed.output);
    Ok(Response::json(200, &json!({"git": true, "diff": text, "truncated": changed.cut, "base": base})).into())
}

/// No program that the repository names runs for a diff that somebody looks at.
const DIFF_FLAGS: [&str; 6] =
    ["diff", "--no-ext-diff", "--no-textconv", "--no-color", "--ignore-submodules=dirty", "--relative"];

fn add_new_files(folder: &Path, changed: &mut Answer) -> Result<(), ApiError> {
    let listed = git::ask(folder, &["ls-files", "-z", "--others", "--exclude-standard"], LIST)?;
    let text = String::from_utf8_lossy(&listed.output).into_owned();
    for (index, path) in text.split('\0').filter(|path| !path.is_empty()).enumerate() {
        if index == NEW_FILES_MAX || changed.output.len() >= DIFF.bytes {
            changed.cut = true;
            break;
        }
        let bounds = Bounds { bytes: DIFF.bytes - changed.output.len(), ..DIFF };
        // git exits with 1 when the two differ, which they do.
        let added =
            git::ask_of_files(folder, &[&DIFF_FLAGS[..4], &["--no-index", "--", "/dev/null", path]].concat(), bounds)?;
        changed.output.extend_from_slice(&added.output);
        changed.cut |= added.cut;
    }
    Ok(())
}

/// The worker's folder, as long as it is one and allowed.
fn folder(call: &Call<'_>) -> Result<PathBuf, ApiError> {
    let state = call.worker()?.state();
    Ok(project::resolve(&state.project_path, &call.api.project_roots)?.into())
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
    fn a_project_without_git_has_files_too_the_near_ones_first() {
        let scratch = crate::scratch::Scratch::new();
        std::fs::create_dir_all(scratch.path().join("a/b")).unwrap();
        std::fs::create_dir(scratch.path().join(".hidden")).unwrap();
        for file in ["a/b/deep.rs", "near.rs", ".hidden/key", ".env"] {
            std::fs::write(scratch.path().join(file), "").unwrap();
        }
        std::os::unix::fs::symlink(scratch.path(), scratch.path().join("a/round")).unwrap();
        assert_eq!(walk(scratch.path()), "near.rs\0a/round\0a/b/deep.rs\0");
        assert_eq!(walk(&scratch.path().join("nowhere")), "");
    }

    #[test]
    fn completion_shows_folders_within_the_roots_and_on_the_way_to_them() {
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
