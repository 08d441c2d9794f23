//! Sessions that the installed CLIs have on this machine, wherever they were started.
//!
//! Claude Code, Codex and Gemini CLI keep each session in a file (`files`): these are sorted by the time of their last
//! change, and only the beginnings of those that are asked for are read, so that a long list of long files is quick.
//! OpenCode keeps its sessions in a database, which its own program is asked for (`opencode`).

mod files;
mod opencode;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use serde::Serialize;

use crate::clock::Micros;
use files::{Layout, Place, Transcript};
use opencode::Database;

/// Longest title, in characters.
const TITLE_CHARS_MAX: usize = 160;

/// Where the CLIs of this machine have their sessions.
#[derive(Debug, Default)]
pub struct Catalog {
    places: Vec<Place>,
    opencode: Option<Database>,
}

/// One session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FoundSession {
    /// The CLI's id of it: what `resume_session` takes.
    pub session_id: String,
    /// The adapter that can resume it.
    pub ai_cli_type: &'static str,
    /// Its working directory, where that can be told.
    pub project_path: Option<String>,
    /// Its first message, or what the CLI calls it.
    pub title: Option<String>,
    /// When it last grew.
    pub last_activity: Micros,
    /// Bytes of its transcript, or of its messages in the database.
    pub size_bytes: u64,
    /// Its transcript, where it has one that can be followed or held open.
    #[serde(skip)]
    pub transcript: Option<PathBuf>,
}

/// A page of sessions, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Sessions {
    /// The sessions.
    pub sessions: Vec<FoundSession>,
    /// Whether there are older ones.
    pub has_more: bool,
    /// What they are older than, when there are some.
    pub next: Option<Micros>,
}

/// What may become an entry of the list.
enum Candidate {
    File(Transcript),
    Known(FoundSession),
}

impl Candidate {
    fn time(&self) -> Micros {
        match self {
            Self::File(file) => file.changed,
            Self::Known(session) => session.last_activity,
        }
    }
}

impl Catalog {
    /// The places of the CLIs that are known here, from the server's environment. `opencode` is the program of OpenCode,
    /// by name or path, if it may be asked.
    pub fn new(env: &dyn Fn(&str) -> Option<String>, opencode: Option<&str>) -> Self {
        Self { places: files::places(env), opencode: opencode.and_then(|program| Database::new(env, program)) }
    }

    /// The `limit` sessions that last grew before `before`, newest first; more when some grew in the same moment as the
    /// last of them, so that `next` leaves none out.
    pub fn list(&self, before: Option<Micros>, limit: usize) -> Sessions {
        let mut all = self.candidates(before);
        let mut partial = None;
        if let Some(answer) = self.opencode.as_ref().map(|database| database.list(before, limit)) {
            partial = answer.oldest.filter(|_| answer.has_more);
            all.extend(answer.sessions.into_iter().map(Candidate::Known));
        }
        // What is older than the last that the database was asked for may come after one that it was not asked for.
        if let Some(oldest) = partial {
            all.retain(|candidate| candidate.time() >= oldest);
        }
        all.sort_by_key(|candidate| std::cmp::Reverse(candidate.time()));
        let (mut sessions, mut last) = (Vec::new(), None);
        let mut all = all.into_iter().peekable();
        while let Some(candidate) = all.next_if(|it| sessions.len() < limit || Some(it.time()) == last) {
            last = Some(candidate.time());
            sessions.extend(match candidate {
                Candidate::File(file) => files::read(&file, &self.places[file.place]),
                Candidate::Known(session) => Some(session),
            });
        }
        let has_more = all.peek().is_some() || partial.is_some();
        Sessions { sessions, has_more, next: last.filter(|_| has_more) }
    }

    fn candidates(&self, before: Option<Micros>) -> Vec<Candidate> {
        let found = files::collect_all(&self.places, None).into_iter();
        found.filter(|file| before.is_none_or(|before| file.changed < before)).map(Candidate::File).collect()
    }

    /// What is known of a session; of the CLI `ai_cli_type`, or of any.
    pub fn find(&self, ai_cli_type: Option<&str>, session_id: &str) -> Option<FoundSession> {
        let asked = ai_cli_type.is_none_or(|kind| kind == opencode::KIND);
        self.transcript(ai_cli_type, session_id).or_else(|| self.opencode.as_ref().filter(|_| asked)?.find(session_id))
    }

    /// As [`Catalog::find`], of the CLIs that keep files: no program is asked.
    pub fn transcript(&self, ai_cli_type: Option<&str>, session_id: &str) -> Option<FoundSession> {
        files::find(&self.places, ai_cli_type, session_id)
    }

    /// Where Claude Code keeps a file of each of its processes, if `ai_cli_type` is Claude Code.
    pub fn process_files(&self, ai_cli_type: &str) -> Option<PathBuf> {
        let is_it = |place: &&Place| place.ai_cli_type == ai_cli_type && place.layout == Layout::Claude;
        Some(self.places.iter().find(is_it)?.folder.parent()?.join("sessions"))
    }

    /// Whether a process of this CLI that has a session surely shows it: Codex holds its file open, and Claude Code keeps
    /// files of its processes, if it is not too old for that.
    pub fn shows_holders(&self, ai_cli_type: &str) -> bool {
        ai_cli_type == "codex" || self.process_files(ai_cli_type).is_some_and(|folder| folder.is_dir())
    }
}

/// A title: the first text that is one. Messages that a CLI writes itself, in angle brackets, are none.
fn as_title(text: &str) -> Option<String> {
    let text = text.trim();
    (!text.is_empty() && !text.starts_with('<')).then(|| text.chars().take(TITLE_CHARS_MAX).collect())
}
