//! Sessions that the installed CLIs have on this machine, wherever they were started.
//!
//! Claude Code, Codex and Gemini CLI keep each session in a file (`files`): these are sorted by the time of their last
//! change, and only the beginnings of the requested ones are read, so that a long list of long files is quick. OpenCode
//! and other agents of the Agent Client Protocol list their sessions themselves (`agent`); where OpenCode doesn't, its
//! own program reads its database (`opencode`).

mod agent;
mod files;
mod fork;
mod found;
mod opencode;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;

use crate::clock::Micros;
use agent::Agents;
pub(crate) use agent::{ListingAgent, ListingNote};
use files::{Layout, TranscriptFile, TranscriptFolder};
pub(crate) use fork::{ForkBase, ForkShare};
pub(crate) use found::FoundSession;
use opencode::Database;

/// The places of the CLIs' sessions on this machine.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    places: Vec<TranscriptFolder>,
    opencode: Option<Arc<Database>>,
    agents: Agents,
}

/// A page of sessions, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Sessions {
    /// The sessions.
    pub sessions: Vec<FoundSession>,
    /// Older sessions exist.
    pub has_more: bool,
    /// The time before which they are, when there are some.
    pub next: Option<Micros>,
    /// The state of the lists that agents are asked for.
    pub agents: Vec<ListingNote>,
}

/// A possible entry of the list.
enum Candidate {
    File(TranscriptFile),
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
    pub(crate) fn new(env: &dyn Fn(&str) -> Option<String>, opencode: Option<&str>) -> Self {
        let opencode = opencode.and_then(|program| Database::new(env, program)).map(Arc::new);
        Self { places: files::places(env), opencode, agents: Agents::default() }
    }

    /// The catalog with agents that are asked for their own lists.
    pub(crate) fn with_agents(self, agents: Vec<ListingAgent>) -> Self {
        let database = |agent: &ListingAgent| self.opencode.clone().filter(|_| agent.kind == opencode::KIND);
        let agents = agents.into_iter().map(|agent| ListingAgent { database: database(&agent), ..agent }).collect();
        Self { agents: Agents::new(agents), ..self }
    }

    /// The `limit` sessions that last grew before `before`, newest first; more when some grew in the same moment as the
    /// last of them, so that `next` leaves none out.
    pub(crate) fn list(&self, before: Option<Micros>, limit: usize) -> Sessions {
        let mut all = self.candidates(before);
        let (of_agents, agents) = self.agents.list();
        let of_agents =
            of_agents.into_iter().filter(|session| before.is_none_or(|before| session.last_activity < before));
        all.extend(of_agents.map(Candidate::Known));
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
        let has_more = all.peek().is_some();
        Sessions { sessions, has_more, next: last.filter(|_| has_more), agents }
    }

    fn candidates(&self, before: Option<Micros>) -> Vec<Candidate> {
        let found = files::collect_all(&self.places, None).into_iter();
        found.filter(|file| before.is_none_or(|before| file.changed < before)).map(Candidate::File).collect()
    }

    /// Finds a session; of the CLI `ai_cli_type`, or of any.
    pub(crate) fn find(&self, ai_cli_type: Option<&str>, session_id: &str) -> Option<FoundSession> {
        let asked = ai_cli_type.is_none_or(|kind| kind == opencode::KIND);
        self.transcript(ai_cli_type, session_id)
            .or_else(|| self.agents.find(ai_cli_type, session_id))
            .or_else(|| self.opencode.as_ref().filter(|_| asked)?.find(session_id))
    }

    /// Works like [`Catalog::find`], for CLIs that keep files: it runs no program.
    pub(crate) fn transcript(&self, ai_cli_type: Option<&str>, session_id: &str) -> Option<FoundSession> {
        files::find(&self.places, ai_cli_type, session_id)
    }

    /// The parts of earlier sessions that a forked session of Codex shares, oldest first.
    pub(crate) fn fork_bases(&self, ai_cli_type: &str, transcript: &std::path::Path) -> Vec<ForkBase> {
        if ai_cli_type != "codex" {
            return Vec::new();
        }
        fork::bases(transcript, &|id| self.transcript(Some("codex"), id)?.transcript)
    }

    /// The folder in which Claude Code keeps a file of each of its processes, if `ai_cli_type` is Claude Code.
    pub(crate) fn process_files(&self, ai_cli_type: &str) -> Option<PathBuf> {
        let is_it = |place: &&TranscriptFolder| place.ai_cli_type == ai_cli_type && place.layout == Layout::Claude;
        Some(self.places.iter().find(is_it)?.folder.parent()?.join("sessions"))
    }

    /// Returns whether a process of this CLI that has a session surely shows it: Codex holds its file open, and Claude
    /// Code keeps files of its processes, if it is not too old for that.
    pub(crate) fn shows_holders(&self, ai_cli_type: &str) -> bool {
        ai_cli_type == "codex" || self.process_files(ai_cli_type).is_some_and(|folder| folder.is_dir())
    }
}
