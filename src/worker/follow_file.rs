//! The files of one followed session: its own, and one for each sub-agent.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::state::{FILES_MAX, Follow};
use crate::journal::{Control, LINE_MAX};
use crate::transcript::{Tail, holders};

/// How long a sub-agent's file is left alone when nothing says yet which tool call has started it.
const META_TIMEOUT: Duration = Duration::from_secs(2);
/// Longest file beside a sub-agent's transcript that is read, in bytes.
const META_BYTES_MAX: u64 = 64 * 1024;

/// One file.
pub(super) struct Source {
    /// Its name in the journal; empty for the session's own.
    pub(super) name: String,
    pub(super) tail: Tail,
    /// The tool call that started the sub-agent.
    parent: Option<String>,
    /// Whether it has lost its name, and whether people were told.
    pub(super) missing: bool,
    pub(super) told_missing: bool,
    /// Whether the last look failed.
    pub(super) failed: bool,
}

impl Source {
    fn new(name: String, path: PathBuf, parent: Option<String>, follow: &Follow) -> Self {
        let tail = Tail::new(path, follow.position(&name), LINE_MAX);
        Self { name, tail, parent, missing: false, told_missing: false, failed: false }
    }

    /// The session's own file.
    pub(super) fn own(path: PathBuf, follow: &Follow) -> Self {
        Self::new(String::new(), path, None, follow)
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        self.tail.path()
    }

    /// The record that says that its lines follow, from `offset` on.
    pub(super) fn place(&self, offset: u64, inode: u64) -> Control {
        Control::Transcript { file: self.name.clone(), offset, inode, parent_tool_call_id: self.parent.clone() }
    }
}

/// The transcripts of sub-agents that are not among `known`: `<session>/subagents/agent-*.jsonl`, as Claude Code has them.
pub(super) fn sub_agents(own: &Path, known: &[Source], follow: &Follow) -> Vec<Source> {
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
        Some(Source::new(name, path, Some(parent), follow))
    });
    fresh.take(left).collect()
}

/// The tool call that started a sub-agent, from the file beside its transcript.
fn started_by(path: &Path) -> Option<String> {
    let meta = path.with_extension("meta.json");
    if fs::metadata(&meta).ok()?.len() > META_BYTES_MAX {
        return None;
    }
    let meta: serde_json::Value = serde_json::from_slice(&fs::read(meta).ok()?).ok()?;
    Some(meta.get("toolUseId")?.as_str()?.to_owned())
}
