//! Sessions that the installed CLIs have on this machine, wherever they were started: what their transcript files tell,
//! and what OpenCode tells, which has a database instead ([`opencode`]).
//!
//! * Claude Code: `$CLAUDE_CONFIG_DIR` or `~/.claude`, `projects/<folder>/<session id>.jsonl`.
//! * Codex: `$CODEX_HOME` or `~/.codex`, `sessions/<year>/<month>/<day>/rollout-<time>-<session id>.jsonl`.
//!
//! * Gemini CLI: `~/.gemini/tmp/<folder>/chats/session-<time>-<part of the id>.jsonl`, the project in `.project_root`.
//!
//! (The layouts are as observed with Claude Code 2.1, Codex 0.169 and Gemini CLI 0.33.) Files are sorted by the time of their last change,
//! and only the beginnings of those that are asked for are read, so that a long list of long files is quick.

pub mod opencode;

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;
use serde_json::Value;

use crate::clock::Micros;

/// Bytes of a transcript that are looked at for its project and title.
const HEAD_BYTES: u64 = 64 * 1024;
/// Longest title, in characters.
const TITLE_CHARS_MAX: usize = 160;
/// Transcripts that are looked for; of more than that, some are not seen.
const FILES_MAX: usize = 20_000;
/// Folders below the one of a CLI: Codex has one for each year, month and day.
const DEPTH_MAX: usize = 4;

/// Bytes of the session's id at the end of the name of Gemini CLI's file.
const GEMINI_ID_PART: usize = 8;

/// Where a CLI keeps its transcripts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The adapter that can resume them.
    pub ai_cli_type: &'static str,
    /// The folder.
    pub folder: PathBuf,
    layout: Layout,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layout {
    Claude,
    Codex,
    Gemini,
}

/// One session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FoundSession {
    /// The CLI's id of it: what `resume_session` takes.
    pub session_id: String,
    /// The adapter that can resume it.
    pub ai_cli_type: &'static str,
    /// Its working directory, where the transcript's beginning tells.
    pub project_path: Option<String>,
    /// Its first message, or what the CLI calls it.
    pub title: Option<String>,
    /// When it last grew.
    pub last_activity: Micros,
    /// Bytes of its transcript, or of its messages in a database.
    pub size_bytes: u64,
}

/// A page of sessions, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Sessions {
    /// The sessions.
    pub sessions: Vec<FoundSession>,
    /// Whether there are older ones.
    pub has_more: bool,
}

struct Transcript {
    path: PathBuf,
    place: usize,
    changed: Micros,
    size: u64,
}

/// The places of the CLIs that are known here, from the server's environment.
pub fn places(env: &dyn Fn(&str) -> Option<String>) -> Vec<Place> {
    let home = env("HOME").filter(|home| !home.is_empty()).map(PathBuf::from);
    let place = |ai_cli_type, variable: &str, folder: &str, below: &str, layout| {
        let own = env(variable).filter(|own| !own.is_empty()).map(PathBuf::from);
        let base = own.or_else(|| Some(home.as_ref()?.join(folder)))?;
        Some(Place { ai_cli_type, folder: base.join(below), layout })
    };
    let claude = place("claude", "CLAUDE_CONFIG_DIR", ".claude", "projects", Layout::Claude);
    let codex = place("codex", "CODEX_HOME", ".codex", "sessions", Layout::Codex);
    let gemini = home.as_ref().map(|home| home.join(".gemini").join("tmp"));
    let gemini = gemini.map(|folder| Place { ai_cli_type: "gemini", folder, layout: Layout::Gemini });
    claude.into_iter().chain(codex).chain(gemini).collect()
}

/// The `limit` sessions that last grew before `before`, newest first. `others` are those that lie in no file.
pub fn list(places: &[Place], others: Vec<FoundSession>, before: Option<Micros>, limit: usize) -> Sessions {
    let mut files = Vec::new();
    for (index, place) in places.iter().enumerate() {
        collect(&place.folder, index, place.layout, DEPTH_MAX, &mut files);
    }
    files.retain(|file| before.is_none_or(|before| file.changed < before));
    files.sort_by(|a, b| (b.changed, &a.path).cmp(&(a.changed, &b.path)));
    let mut sessions = others;
    sessions.retain(|found| before.is_none_or(|before| found.last_activity < before));
    // A file that is no session costs no place on the page.
    let mut wanted = limit + 1;
    for file in &files {
        if wanted == 0 {
            break;
        }
        if let Some(found) = read(file, &places[file.place]) {
            sessions.push(found);
            wanted -= 1;
        }
    }
    sessions.sort_by(|a, b| (b.last_activity, &a.session_id).cmp(&(a.last_activity, &b.session_id)));
    let has_more = sessions.len() > limit;
    sessions.truncate(limit);
    Sessions { sessions, has_more }
}

/// Finds the transcripts below a folder. What cannot be read is passed over: it is not ours.
fn collect(folder: &Path, place: usize, layout: Layout, depth: usize, files: &mut Vec<Transcript>) {
    let Ok(entries) = folder.read_dir() else { return };
    for entry in entries.filter_map(Result::ok) {
        if files.len() >= FILES_MAX {
            return;
        }
        let (path, Ok(kind)) = (entry.path(), entry.file_type()) else { continue };
        // Claude keeps its sub-agents' transcripts in folders beside the session's file.
        let below = match layout {
            Layout::Claude => depth == DEPTH_MAX,
            Layout::Codex => depth > 1,
            Layout::Gemini => depth == DEPTH_MAX || (depth == DEPTH_MAX - 1 && entry.file_name() == "chats"),
        };
        if kind.is_dir() && below {
            collect(&path, place, layout, depth - 1, files);
        } else if kind.is_file()
            && path.extension().is_some_and(|extension| extension == "jsonl")
            && let Ok(metadata) = entry.metadata()
        {
            let changed = metadata.modified().map(micros).unwrap_or_default();
            files.push(Transcript { path, place, changed, size: metadata.len() });
        }
    }
}

fn micros(time: SystemTime) -> Micros {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    Micros(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}

/// Reads a transcript's beginning. `None` when it is no session that could be resumed.
fn read(file: &Transcript, place: &Place) -> Option<FoundSession> {
    let mut head = Vec::new();
    File::open(&file.path).ok()?.take(HEAD_BYTES).read_to_end(&mut head).ok()?;
    let stem = file.path.file_stem()?.to_str()?;
    let mut found = FoundSession {
        session_id: session_id(stem, place.layout).unwrap_or_default(),
        ai_cli_type: place.ai_cli_type,
        project_path: None,
        title: None,
        last_activity: file.changed,
        size_bytes: file.size,
    };
    if place.layout == Layout::Gemini {
        let root = file.path.parent().and_then(Path::parent).map(|folder| folder.join(".project_root"));
        found.project_path = root.and_then(|root| fs::read_to_string(root).ok()).map(|root| root.trim().to_owned());
    }
    // The last line may be cut; then it is no JSON, and nothing is read from it.
    for line in head.split(|&byte| byte == b'\n') {
        let Ok(line) = serde_json::from_slice::<Value>(line) else { continue };
        match place.layout {
            Layout::Claude => note_claude(&mut found, &line),
            Layout::Codex => note_codex(&mut found, &line),
            Layout::Gemini => note_gemini(&mut found, &line),
        }
        if found.project_path.is_some() && found.title.is_some() {
            break;
        }
    }
    // Gemini CLI makes a file before anything is said; such a session cannot be resumed.
    let is_empty = place.layout == Layout::Gemini && found.title.is_none();
    (!found.session_id.is_empty() && !is_empty).then_some(found)
}

/// The session's id, where it ends the file's name; it is a UUID.
fn session_id(stem: &str, layout: Layout) -> Option<String> {
    let id = match layout {
        Layout::Claude => stem,
        Layout::Codex => stem.get(stem.len().checked_sub(36)?..)?,
        Layout::Gemini => return None,
    };
    uuid::Uuid::try_parse(id).is_ok().then(|| id.to_owned())
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
    if let Some(id) = line.get("sessionId").and_then(Value::as_str).filter(|id| uuid::Uuid::try_parse(id).is_ok()) {
        id.clone_into(&mut found.session_id);
    }
    if line.get("type").and_then(Value::as_str) == Some("user") {
        note_title(found, line.get("content").and_then(first_text));
    }
}

/// Takes a title. Messages that a CLI writes itself, in angle brackets, are none.
fn note_title(found: &mut FoundSession, title: Option<String>) {
    let Some(title) = title else { return };
    let title = title.trim();
    if found.title.is_none() && !title.is_empty() && !title.starts_with('<') {
        found.title = Some(title.chars().take(TITLE_CHARS_MAX).collect());
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

/// Where Claude Code keeps a file of each of its processes, if `ai_cli_type` is Claude Code.
pub fn process_files(places: &[Place], ai_cli_type: &str) -> Option<PathBuf> {
    let claude = places.iter().find(|place| place.ai_cli_type == ai_cli_type && place.layout == Layout::Claude)?;
    Some(claude.folder.parent()?.join("sessions"))
}

/// The transcript of a session, where there is one, and what it tells of itself; of the CLI `ai_cli_type`, or of any.
pub fn find(places: &[Place], ai_cli_type: Option<&str>, session_id: &str) -> Option<(PathBuf, FoundSession)> {
    let mut files = Vec::new();
    let wanted = |place: &Place| ai_cli_type.is_none_or(|wanted| place.ai_cli_type == wanted);
    let wanted = places.iter().enumerate().filter(|(_, place)| wanted(place));
    for (index, place) in wanted {
        collect(&place.folder, index, place.layout, DEPTH_MAX, &mut files);
    }
    let may_be_it = |file: &&Transcript| {
        let stem = file.path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let part = |bytes: usize| session_id.get(..bytes).is_some_and(|part| stem.ends_with(part));
        part(session_id.len()) || (places[file.place].layout == Layout::Gemini && part(GEMINI_ID_PART))
    };
    let mut found = files.iter().filter(may_be_it).filter_map(|file| Some((file, read(file, &places[file.place])?)));
    let (file, found) = found.find(|(_, found)| found.session_id == session_id)?;
    Some((fs::canonicalize(&file.path).unwrap_or_else(|_| file.path.clone()), found))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::scratch::Scratch;

    const CAPTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/captures");

    fn home() -> (Scratch, Vec<Place>) {
        let scratch = Scratch::new();
        let text = scratch.path().to_str().unwrap().to_owned();
        let places = places(&move |name| (name == "HOME").then(|| text.clone()));
        (scratch, places)
    }

    fn put(place: &Place, below: &str, from: Option<&str>, seconds: u64) {
        let path = place.folder.join(below);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        match from {
            Some(from) => drop(fs::copy(format!("{CAPTURES}/{from}"), &path).unwrap()),
            None => fs::write(&path, "not json\n").unwrap(),
        }
        let time = UNIX_EPOCH + Duration::from_secs(seconds);
        File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
    }

    #[test]
    fn sessions_are_listed_newest_first_with_project_and_first_message() {
        let (_home, places) = home();
        let ids: Vec<String> = (1..5).map(|n| format!("0000000{n}-0000-4000-8000-000000000000")).collect();
        put(&places[0], &format!("-project/{}.jsonl", ids[0]), Some("claude/hello.transcript.jsonl"), 1_000);
        put(&places[0], &format!("-project/{}.jsonl", ids[1]), Some("claude/two_turns.transcript.jsonl"), 3_000);
        put(&places[0], &format!("-project/{}.jsonl", ids[2]), None, 2_000);
        put(&places[0], &format!("-project/{}/subagents/agent-1.jsonl", ids[0]), Some("claude/hello.jsonl"), 9_000);
        put(&places[0], "-project/notes.txt", None, 9_000);
        let all = list(&places, Vec::new(), None, 10);
        let seen: Vec<_> = all.sessions.iter().map(|found| found.session_id.clone()).collect();
        assert_eq!(seen, [ids[1].clone(), ids[2].clone(), ids[0].clone()]);
        assert!(!all.has_more);
        assert_eq!(all.sessions[2].project_path.as_deref(), Some("/project"));
        assert_eq!(all.sessions[2].title.as_deref(), Some("hi"));
        assert_eq!(all.sessions[1].title, None);

        let first = list(&places, Vec::new(), None, 1);
        assert!(first.has_more);
        let next = list(&places, Vec::new(), Some(first.sessions[0].last_activity), 1);
        assert_eq!(next.sessions[0].session_id, ids[2]);
        assert!(find(&places, Some("claude"), &ids[0]).unwrap().0.ends_with(format!("{}.jsonl", ids[0])));
        assert_eq!(find(&places, None, &ids[3]), None);
    }

    #[test]
    fn sessions_of_gemini_cli_have_a_message_and_those_without_files_stand_among_them() {
        let (home, places) = home();
        let (id, empty) = ("a3c7eb3a-8ae2-4506-91b7-fdd1bf5b738f", "b3c7eb3a-8ae2-4506-91b7-fdd1bf5b738f");
        let folder = home.path().join(".gemini/tmp/mine");
        fs::create_dir_all(folder.join("chats")).unwrap();
        fs::create_dir_all(folder.join("logs")).unwrap();
        fs::write(folder.join(".project_root"), "/project\n").unwrap();
        let header = |id: &str| format!(r#"{{"sessionId":"{id}","kind":"main"}}"#);
        let user = |text: &str| format!(r#"{{"type":"user","content":[{{"text":"{text}"}}]}}"#);
        let chat = |id: &str| folder.join(format!("chats/session-2026-11-26T16-36-{}.jsonl", &id[..8]));
        let lines = [header(id), user("<session_context>"), user("hi"), user("and again")].join("\n");
        fs::write(chat(id), lines).unwrap();
        fs::write(chat(empty), header(empty)).unwrap();
        fs::write(folder.join("logs/session-2026-11-26T16-36-cccccccc.jsonl"), header(id)).unwrap();

        let (path, found) = find(&places, None, id).unwrap();
        assert_eq!(path, fs::canonicalize(chat(id)).unwrap());
        assert_eq!((found.ai_cli_type, found.title.as_deref()), ("gemini", Some("hi")));
        assert_eq!(found.project_path.as_deref(), Some("/project"));
        assert_eq!(find(&places, None, empty), None, "there is nothing to go on with");

        let other = |id: &str, micros| FoundSession {
            session_id: id.to_owned(),
            last_activity: Micros(micros),
            ai_cli_type: "opencode",
            ..found.clone()
        };
        let others = vec![other("old", 1), other("new", u64::MAX)];
        let ids = |page: &Sessions| page.sessions.iter().map(|found| found.session_id.clone()).collect::<Vec<_>>();
        let page = list(&places, others.clone(), None, 2);
        assert_eq!((ids(&page), page.has_more), (vec!["new".to_owned(), id.to_owned()], true));
        let rest = list(&places, others, Some(page.sessions[1].last_activity), 2);
        assert_eq!((ids(&rest), rest.has_more), (vec!["old".to_owned()], false));
    }

    #[test]
    fn a_home_without_clis_has_no_sessions() {
        let (_home, places) = home();
        assert_eq!(list(&places, Vec::new(), None, 10), Sessions { sessions: Vec::new(), has_more: false });
    }
}
