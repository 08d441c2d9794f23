//! The files of one followed session: its own, and one for each sub-agent.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::journal::{Control, LINE_MAX};
use crate::json;
use crate::transcript::{Tail, holders};
use crate::worker::state::{FILES_MAX, Follow};

/// Time for which a sub-agent's file is not read while its tool call is unknown.
const META_TIMEOUT: Duration = Duration::from_secs(2);
/// Longest metadata file of a sub-agent's transcript that is read, in bytes.
const META_BYTES_MAX: u64 = 64 * 1024;

/// One followed file.
pub(in crate::worker) struct FollowSource {
    /// Its name in the journal; empty for the session's own.
    pub(in crate::worker) name: String,
    pub(in crate::worker) tail: Tail,
    /// The tool call that started the sub-agent.
    parent: Option<String>,
    /// The file was renamed or removed, and clients were notified.
    pub(in crate::worker) missing: bool,
    pub(in crate::worker) reported_missing: bool,
    /// The last read failed.
    pub(in crate::worker) failed: bool,
}

impl FollowSource {
    fn new(name: String, path: PathBuf, parent: Option<String>, follow: &Follow) -> Self {
        let tail = Tail::new(path, follow.position(&name), LINE_MAX);
        Self { name, tail, parent, missing: false, reported_missing: false, failed: false }
    }

    /// Creates the entry of the session's own file.
    pub(in crate::worker) fn own(path: PathBuf, follow: &Follow) -> Self {
        Self::new(String::new(), path, None, follow)
    }

    /// Returns the path of the file.
    pub(in crate::worker) fn path(&self) -> &Path {
        self.tail.path()
    }

    /// Returns the record that announces lines of this file, from `offset` on.
    pub(in crate::worker) fn place(&self, offset: u64, inode: u64) -> Control {
        Control::Transcript { file: self.name.clone(), offset, inode, parent_tool_call_id: self.parent.clone() }
    }
}

/// Finds the transcripts of sub-agents that are not in `known`: `<session>/subagents/agent-*.jsonl`, the layout of
/// Claude Code.
pub(in crate::worker) fn sub_agents(own: &Path, known: &[FollowSource], follow: &Follow) -> Vec<FollowSource> {
    let folder = own.with_extension("").join("subagents");
    let entries = folder.read_dir().into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "jsonl"))
        .collect();
    paths.sort();
    let left = FILES_MAX.saturating_sub(known.len());
    let fresh = paths.into_iter().filter_map(|path| {
        let name = path.file_stem()?.to_str()?.to_owned();
        if known.iter().any(|source| source.name == name) {
            return None;
        }
        let parent = match started_by(&path) {
            Some(call) => call,
            None if holders::is_silent_for(&path, META_TIMEOUT) => name.clone(),
            None => return None,
        };
        Some(FollowSource::new(name, path, Some(parent), follow))
    });
    fresh.take(left).collect()
}

/// Reads the tool call that started a sub-agent from the file beside its transcript.
fn started_by(path: &Path) -> Option<String> {
    let meta = path.with_extension("meta.json");
    if fs::metadata(&meta).ok()?.len() > META_BYTES_MAX {
        return None;
    }
    let meta = json::value(&fs::read(meta).ok()?)?;
    Some(meta.get("toolUseId")?.as_str()?.to_owned())
}
