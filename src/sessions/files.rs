//! Session files.
//!
//! * Claude Code: `$CLAUDE_CONFIG_DIR` or `~/.claude`, `projects/<folder>/<session id>.jsonl`.
//! * Codex: `$CODEX_HOME` or `~/.codex`, `sessions/<year>/<month>/<day>/rollout-<time>-<session id>.jsonl`, or
//!   `.jsonl.zst` when it has been idle for a week.
//! * Gemini CLI: `$GEMINI_CLI_HOME` or `~`, `.gemini/tmp/<project>/chats/session-<minute>-<beginning of the id>.jsonl`; the
//!   project's path is in `.gemini/tmp/<project>/.project_root`.
//!
//! (As observed with Claude Code 2.1, Codex 0.169 and Gemini CLI 0.61.)

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::found::{FoundSession, as_title};
use crate::clock::Micros;
use crate::{json, packed};

/// Bytes of a transcript that are looked at for its project and title.
const HEAD_BYTES: u64 = 64 * 1024;
/// Bytes of the file with a project's path that are read.
const PATH_BYTES_MAX: u64 = 4096;
/// Transcripts that are looked for; of more than that, some are not seen.
const FILES_MAX: usize = 20_000;
/// Folders below the one of a CLI: Codex has one for each year, month and day.
const DEPTH_MAX: usize = 4;

/// The folder of a CLI's transcripts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TranscriptFolder {
    /// The adapter that can resume them.
    pub(super) ai_cli_type: &'static str,
    /// The folder.
    pub(super) folder: PathBuf,
    pub(super) layout: Layout,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    Claude,
    Codex,
    Gemini,
}

/// One file.
pub(super) struct TranscriptFile {
    path: PathBuf,
    /// The index of its place.
    pub(super) place: usize,
    pub(super) changed: Micros,
    size: u64,
}

/// The places of the CLIs that are known here.
pub(super) fn places(env: &dyn Fn(&str) -> Option<String>) -> Vec<TranscriptFolder> {
    let folder = |name: &str| env(name).filter(|path| !path.is_empty()).map(PathBuf::from);
    let home = |below: &str| Some(folder("HOME")?.join(below));
    let claude = folder("CLAUDE_CONFIG_DIR").or_else(|| home(".claude")).map(|base| base.join("projects"));
    let codex = folder("CODEX_HOME").or_else(|| home(".codex")).map(|base| base.join("sessions"));
    let gemini = folder("GEMINI_CLI_HOME").or_else(|| folder("HOME")).map(|base| base.join(".gemini/tmp"));
    [("claude", claude, Layout::Claude), ("codex", codex, Layout::Codex), ("gemini", gemini, Layout::Gemini)]
        .into_iter()
        .filter_map(|(ai_cli_type, folder, layout)| Some(TranscriptFolder { ai_cli_type, folder: folder?, layout }))
        .collect()
}

/// All files, of the CLI `ai_cli_type` or of any.
pub(super) fn collect_all(places: &[TranscriptFolder], ai_cli_type: Option<&str>) -> Vec<TranscriptFile> {
    let mut files = Vec::new();
    for (index, place) in places.iter().enumerate() {
        if ai_cli_type.is_none_or(|wanted| place.ai_cli_type == wanted) {
            collect(&place.folder, index, place.layout, DEPTH_MAX, &mut files);
        }
    }
    files
}

/// Finds the transcripts below a folder. What cannot be read is passed over: it is not ours.
fn collect(folder: &Path, place: usize, layout: Layout, depth: usize, files: &mut Vec<TranscriptFile>) {
    let Ok(entries) = folder.read_dir() else { return };
    for entry in entries.filter_map(Result::ok) {
        if files.len() >= FILES_MAX {
            return;
        }
        let (path, Ok(kind)) = (entry.path(), entry.file_type()) else { continue };
        let has_sessions = match layout {
            // Claude keeps its sub-agents' transcripts in folders beside the session's file.
            Layout::Claude => depth == DEPTH_MAX,
            Layout::Codex => depth > 1,
            Layout::Gemini => depth == DEPTH_MAX || (depth == DEPTH_MAX - 1 && entry.file_name() == "chats"),
        };
        if kind.is_dir() && has_sessions {
            collect(&path, place, layout, depth - 1, files);
        } else if kind.is_file()
            && is_transcript(&path, layout)
            && let Ok(metadata) = entry.metadata()
        {
            let changed = metadata.modified().map(micros).unwrap_or_default();
            files.push(TranscriptFile { path, place, changed, size: metadata.len() });
        }
    }
}

/// Returns whether a file is a session's, by its name. Codex packs those that have been idle for a week; beside an
/// unpacked one a packed one is about to go.
fn is_transcript(path: &Path, layout: Layout) -> bool {
    if packed::is_packed(path) {
        return layout == Layout::Codex && !path.with_extension("").is_file();
    }
    path.extension().is_some_and(|extension| extension == "jsonl")
}

/// The first bytes of a transcript, unpacked.
fn head(path: &Path) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    let mut head = Vec::new();
    if packed::is_packed(path) {
        packed::reader(file)?.take(HEAD_BYTES).read_to_end(&mut head)?;
    } else {
        file.take(HEAD_BYTES).read_to_end(&mut head)?;
    }
    Ok(head)
}

fn micros(time: SystemTime) -> Micros {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    Micros(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}

/// Reads a transcript's beginning. `None` when it is not a session that can be resumed.
pub(super) fn read(file: &TranscriptFile, place: &TranscriptFolder) -> Option<FoundSession> {
    let head = head(&file.path).ok()?;
    let id = id_in_name(&file.path, place.layout)?;
    let mut found = FoundSession {
        session_id: id.to_owned(),
        ai_cli_type: place.ai_cli_type.into(),
        project_path: (place.layout == Layout::Gemini).then(|| gemini_project(&file.path)).flatten(),
        title: None,
        last_activity: file.changed,
        size_bytes: file.size,
        transcript: Some(file.path.clone()),
    };
    // The last line may be cut; then it is not JSON, and nothing is read from it.
    for line in head.split(|&byte| byte == b'\n') {
        let Some(line) = json::value(line) else { continue };
        match place.layout {
            Layout::Claude => note_claude(&mut found, &line),
            Layout::Codex => note_codex(&mut found, &line),
            Layout::Gemini => note_gemini(&mut found, &line),
        }
        if found.project_path.is_some() && found.title.is_some() {
            break;
        }
    }
    match place.layout {
        // Its name has the beginning of the id only, sub-agents have files of the same kind, and each start leaves a file
        // behind in which nobody has said anything.
        Layout::Gemini => (found.title.is_some() && found.session_id.len() > id.len()).then_some(found),
        Layout::Claude | Layout::Codex => Some(found),
    }
}

/// Returns the part of a file's name that is the session's id: all of it, a UUID, or with Gemini its beginning.
fn id_in_name(path: &Path, layout: Layout) -> Option<&str> {
    let name = path.file_name()?.to_str()?;
    let stem = name.strip_suffix(packed::SUFFIX).or_else(|| path.file_stem()?.to_str())?;
    let id = match layout {
        Layout::Claude => stem,
        Layout::Codex => stem.get(stem.len().checked_sub(36)?..)?,
        Layout::Gemini => {
            let (_, beginning) = stem.strip_prefix("session-")?.rsplit_once('-')?;
            return (!beginning.is_empty()).then_some(beginning);
        }
    };
    uuid::Uuid::try_parse(id).is_ok().then_some(id)
}

/// The directory of the project that a file of Gemini CLI belongs to.
fn gemini_project(file: &Path) -> Option<String> {
    let mut path = String::new();
    let root = file.parent()?.parent()?.join(".project_root");
    File::open(root).ok()?.take(PATH_BYTES_MAX).read_to_string(&mut path).ok()?;
    let path = path.trim_end_matches('\n');
    path.starts_with('/').then(|| path.to_owned())
}

fn note_claude(found: &mut FoundSession, line: &Value) {
    let text = |name: &str| line.get(name).and_then(Value::as_str).map(str::to_owned);
    found.project_path = found.project_path.take().or_else(|| text("cwd"));
    let title = match line.get("type").and_then(Value::as_str) {
        Some("summary") => text("summary"),
        Some("user") if line.get("isMeta") != Some(&Value::Bool(true)) => {
            line.get("message").and_then(|message| message.get("content")).and_then(first_text)
        }
        _ => None,
    };
    note_title(found, title);
}

fn note_codex(found: &mut FoundSession, line: &Value) {
    let Some(payload) = line.get("payload") else { return };
    match line.get("type").and_then(Value::as_str) {
        Some("session_meta") => {
            found.project_path = payload.get("cwd").and_then(Value::as_str).map(str::to_owned);
        }
        Some("response_item") if payload.get("role").and_then(Value::as_str) == Some("user") => {
            note_title(found, payload.get("content").and_then(first_text));
        }
        _ => {}
    }
}

fn note_gemini(found: &mut FoundSession, line: &Value) {
    if let Some(id) = line.get("sessionId").and_then(Value::as_str)
        && id.starts_with(&found.session_id)
        && line.get("kind").is_none_or(|kind| kind == "main")
    {
        id.clone_into(&mut found.session_id);
    }
    let many = line.get("$set").and_then(|set| set.get("messages")).and_then(Value::as_array);
    let messages = many.map_or(std::slice::from_ref(line), Vec::as_slice);
    for message in messages.iter().filter(|message| message.get("type").and_then(Value::as_str) == Some("user")) {
        note_title(found, message.get("content").and_then(first_text));
    }
}

fn note_title(found: &mut FoundSession, title: Option<String>) {
    if found.title.is_none() {
        found.title = title.as_deref().and_then(as_title);
    }
}

/// The text of a message's content, which is one text or a list of parts.
fn first_text(content: &Value) -> Option<String> {
    match content {
        Value::String(text) => Some(text.clone()),
        Value::Array(parts) => parts.iter().find_map(|part| part.get("text")?.as_str()).map(str::to_owned),
        _ => None,
    }
}

/// A session with a file, and what the file says about it.
pub(super) fn find(places: &[TranscriptFolder], ai_cli_type: Option<&str>, session_id: &str) -> Option<FoundSession> {
    collect_all(places, ai_cli_type).iter().find_map(|file| {
        let place = &places[file.place];
        let id = id_in_name(&file.path, place.layout)?;
        let may_be = match place.layout {
            Layout::Gemini => session_id.starts_with(id),
            Layout::Claude | Layout::Codex => session_id == id,
        };
        let mut found = may_be.then(|| read(file, place)).flatten().filter(|found| found.session_id == session_id)?;
        found.transcript = Some(fs::canonicalize(&file.path).unwrap_or_else(|_| file.path.clone()));
        Some(found)
    })
}
