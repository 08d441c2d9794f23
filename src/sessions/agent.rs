//! Sessions as agents list them by the Agent Client Protocol (`session/list`).
//!
//! An agent takes seconds to start. So each is asked on a thread of its own, its answer is kept, and a caller that asks for a
//! list waits a moment for the first answer only; after that it gets the last one, with a note of how old it is or why
//! there is none. Agents run in `/`, where no project's configuration concerns them.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::found::{FoundSession, as_title};
use super::opencode::{self, Database, DatabaseStamp};
use crate::adapter::acp::{AgentSession, ListStep, SessionListing};
use crate::clock::Micros;
use crate::json::time;
use crate::probe;
use crate::subprocess::{self, Bounds, Dialog, DialogReply};
use crate::thread::Thread;

/// Time for which an answer counts before the agent is asked again.
const KEPT_FOR: Duration = Duration::from_secs(60);
/// Time for which the answer of an agent with a database counts although that has changed: a working agent changes it
/// all the time.
const CHANGED_AFTER: Duration = Duration::from_secs(10);
/// Longest wait of a list for agents that have not answered yet.
const FIRST_WAIT: Duration = Duration::from_secs(2);

/// An agent that can be asked for its sessions.
#[derive(Clone, Debug)]
pub(crate) struct ListingAgent {
    /// The adapter's type.
    pub kind: String,
    /// The program, by name or path.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// Its whole environment.
    pub env: Vec<(OsString, OsString)>,
    /// Its database, where it has one: it is asked when that has changed, and read by the agent's own command when the
    /// agent does not list its sessions.
    pub(super) database: Option<Arc<Database>>,
}

impl ListingAgent {
    /// An agent that starts as `program` with these arguments and this whole environment.
    pub(crate) fn new(kind: &str, program: PathBuf, args: Vec<String>, env: Vec<(OsString, OsString)>) -> Self {
        Self { kind: kind.to_owned(), program, args, env, database: None }
    }

    /// Returns whether it may have any sessions.
    fn may_list(&self) -> bool {
        self.database.as_ref().is_none_or(|database| database.exists())
    }
}

/// The state of one agent's list, for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct ListingNote {
    /// The adapter's type.
    pub ai_cli_type: String,
    /// The time of the last listing of its sessions; absent before the first time.
    pub listed_at: Option<Micros>,
    /// The reason why the list is missing or stale: the agent is being asked, or could not be.
    pub note: Option<String>,
}

/// All agents that can be asked.
#[derive(Debug, Default)]
pub(super) struct Agents {
    agents: Vec<ListingAgent>,
    shared: Arc<ListingState>,
    threads: Mutex<Vec<Thread>>,
}

#[derive(Debug, Default)]
struct ListingState {
    lists: Mutex<HashMap<String, LastAnswer>>,
    changed: Condvar,
    stop: AtomicBool,
}

/// The last answer of an agent.
#[derive(Debug, Default)]
struct LastAnswer {
    sessions: Vec<FoundSession>,
    listed_at: Option<Micros>,
    asked: Option<Instant>,
    asking: bool,
    failed: Option<String>,
    /// The state of its database when it last listed them.
    stamp: Option<DatabaseStamp>,
}

impl LastAnswer {
    fn is_due(&self, agent: &ListingAgent) -> bool {
        let Some(asked) = self.asked else { return !self.asking };
        let since = asked.elapsed();
        let due = match (&agent.database, self.failed.is_none()) {
            (Some(database), true) => since >= CHANGED_AFTER && self.stamp != Some(database.stamp()),
            _ => since >= KEPT_FOR,
        };
        due && !self.asking
    }
}

impl ListingState {
    fn lists(&self) -> MutexGuard<'_, HashMap<String, LastAnswer>> {
        self.lists.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Agents {
    pub(super) fn new(agents: Vec<ListingAgent>) -> Self {
        Self { agents, shared: Arc::default(), threads: Mutex::default() }
    }

    /// The sessions of all agents as far as they are known by now, with a note on each agent.
    pub(super) fn list(&self) -> (Vec<FoundSession>, Vec<ListingNote>) {
        self.ask_those_due();
        let deadline = Instant::now() + FIRST_WAIT;
        let mut lists = self.shared.lists();
        while lists.values().any(|kept| kept.asking && kept.listed_at.is_none() && kept.failed.is_none()) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            lists = self.shared.changed.wait_timeout(lists, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        let (mut sessions, mut notes) = (Vec::new(), Vec::new());
        for agent in &self.agents {
            let Some(kept) = lists.get(&agent.kind) else { continue };
            sessions.extend(kept.sessions.iter().cloned());
            let asking = kept.asking.then(|| "the agent is being asked; list again in a moment".to_owned());
            let note = kept.failed.clone().or(asking);
            notes.push(ListingNote { ai_cli_type: agent.kind.clone(), listed_at: kept.listed_at, note });
        }
        (sessions, notes)
    }

    /// A session of the lists that are known; no agent is asked.
    pub(super) fn find(&self, ai_cli_type: Option<&str>, session_id: &str) -> Option<FoundSession> {
        let lists = self.shared.lists();
        let mut wanted = lists.iter().filter(|(kind, _)| ai_cli_type.is_none_or(|wanted| wanted == kind.as_str()));
        wanted.find_map(|(_, kept)| kept.sessions.iter().find(|session| session.session_id == session_id).cloned())
    }

    fn ask_those_due(&self) {
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        threads.retain(|thread| !thread.is_finished());
        for agent in self.agents.iter().filter(|agent| agent.may_list()) {
            {
                let mut lists = self.shared.lists();
                let kept = lists.entry(agent.kind.clone()).or_default();
                if !kept.is_due(agent) {
                    continue;
                }
                (kept.asking, kept.asked) = (true, Some(Instant::now()));
            }
            let (agent, shared) = (agent.clone(), Arc::clone(&self.shared));
            let kind = agent.kind.clone();
            match Thread::spawn(format!("list {kind}"), move || ask(&agent, &shared)) {
                Ok(thread) => threads.push(thread),
                Err(error) => self.shared.answered(&kind, Err(format!("no thread to ask it: {error}")), None),
            }
        }
    }
}

impl Drop for Agents {
    fn drop(&mut self) {
        // The threads are joined next.
        self.shared.stop.store(true, Ordering::Relaxed);
    }
}

impl ListingState {
    /// Keeps an answer: sessions with a note, or the reason why there are none.
    fn answered(
        &self,
        kind: &str,
        answer: Result<(Vec<FoundSession>, Option<String>), String>,
        stamp: Option<DatabaseStamp>,
    ) {
        let mut lists = self.lists();
        let kept = lists.entry(kind.to_owned()).or_default();
        (kept.asking, kept.stamp) = (false, stamp);
        match answer {
            Ok((sessions, note)) => {
                (kept.sessions, kept.listed_at, kept.failed) = (sessions, Some(Micros::now()), note);
            }
            Err(why) => {
                log::debug!("the sessions of {kind} cannot be listed: {why}");
                kept.failed = Some(why);
            }
        }
        self.changed.notify_all();
    }
}

fn ask(agent: &ListingAgent, shared: &ListingState) {
    let path = agent.env.iter().find(|(name, _)| name == "PATH").map(|(_, path)| path.as_os_str());
    let program = probe::find_binary(&agent.program.to_string_lossy(), path).map_err(|error| error.to_string());
    let answer = program.and_then(|program| {
        let mut command = Command::new(program);
        command
            .args(&agent.args)
            .current_dir("/")
            .env_clear()
            .envs(agent.env.iter().map(|(name, value)| (name, value)));
        list(&mut command, BOUNDS, &shared.stop)
    });
    let found = |session| found(&agent.kind, session);
    let mut answer = answer.map(|sessions| (sessions.into_iter().map(found).collect(), None));
    if let (Err(why), Some(database)) = (&answer, &agent.database) {
        answer = match database.list() {
            Ok(found) => Ok((found, Some(format!("listed by the CLI's own command, its newest sessions only: {why}")))),
            Err(second) => Err(format!("{why}; {second}")),
        };
    }
    // Asking changes the database's files themselves.
    shared.answered(&agent.kind, answer, agent.database.as_ref().map(|database| database.stamp()));
}

fn found(kind: &str, session: AgentSession) -> FoundSession {
    FoundSession {
        session_id: session.session_id,
        ai_cli_type: kind.to_owned().into(),
        project_path: session.cwd,
        title: session.title.as_deref().filter(|title| !title.starts_with(opencode::NO_TITLE)).and_then(as_title),
        last_activity: session.updated_at.as_deref().and_then(time::parse).unwrap_or(Micros(0)),
        size_bytes: 0,
        transcript: None,
    }
}

/// The time that an agent has for its list, and the bytes of its output that are read. Some take 20 s to start.
const BOUNDS: Bounds = Bounds { time: Duration::from_secs(30), bytes: 4 * 1024 * 1024 };

/// Runs the agent and asks it for its sessions. `command` is its whole command line, environment and folder.
///
/// # Errors
/// Fails when it cannot be run, does not answer in time, or has no list; in words.
fn list(command: &mut Command, bounds: Bounds, stop: &AtomicBool) -> Result<Vec<AgentSession>, String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let mut listing = SessionListing::default();
    let first = listing.begin();
    let mut outcome = Err(String::new());
    let ended = subprocess::converse(command, &first, bounds, stop, &mut |line| match listing.line(line) {
        ListStep::Write(line) => DialogReply::Write(line),
        ListStep::Wait => DialogReply::Wait,
        ListStep::Done(sessions) => {
            outcome = Ok(sessions);
            DialogReply::Done
        }
        ListStep::Failed(why) => {
            outcome = Err(format!("{program}: {why}"));
            DialogReply::Done
        }
    });
    match ended.map_err(|error| format!("{program} cannot be run: {error}"))? {
        Dialog::Done => outcome,
        Dialog::Closed(Some(code)) => {
            Err(format!("{program} ended with exit code {code} before it had listed its sessions"))
        }
        Dialog::Closed(None) => Err(format!("{program} was killed before it had listed its sessions")),
        Dialog::GivenUp => Err(format!("{program} did not list its sessions within {} s", bounds.time.as_secs())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent(script: &str, time: Duration) -> Result<Vec<AgentSession>, String> {
        list(Command::new("sh").args(["-c", script]), Bounds { time, ..BOUNDS }, &AtomicBool::new(false))
    }

    #[test]
    fn agent_lists_its_sessions_and_is_gone() {
        let script = r#"read l; echo '{"id":1,"result":{"agentCapabilities":{"sessionCapabilities":{"list":{}}}}}'
            read l; echo '{"id":2,"result":{"sessions":[{"sessionId":"s1","cwd":"/p","title":"One"}]}}'; exec sleep 1000"#;
        let sessions = agent(script, Duration::from_secs(120)).unwrap();
        assert_eq!((sessions.len(), sessions[0].session_id.as_str()), (1, "s1"));
    }

    #[test]
    fn agents_answer_is_kept_with_a_note_of_its_age() {
        let script = r#"read l; echo '{"id":1,"result":{"agentCapabilities":{"sessionCapabilities":{"list":{}}}}}'
            read l; echo '{"id":2,"result":{"sessions":[{"sessionId":"s1","cwd":"/p","updatedAt":"2026-01-01T00:00:00Z"}]}}'"#;
        let agent = |kind: &str, script: &str| {
            ListingAgent::new(kind, "/bin/sh".into(), vec!["-c".to_owned(), script.to_owned()], Vec::new())
        };
        let agents = Agents::new(vec![agent("one", script), agent("two", "exit 1")]);
        let deadline = Instant::now() + Duration::from_secs(120);
        let (sessions, notes) = loop {
            let listed = agents.list();
            if listed
                .1
                .iter()
                .all(|note| note.listed_at.is_some() || note.note.as_deref().is_some_and(|it| it.contains("ended")))
                || Instant::now() > deadline
            {
                break listed;
            }
        };
        assert_eq!((sessions.len(), sessions[0].ai_cli_type.as_ref()), (1, "one"));
        assert!(notes[0].note.is_none() && notes[0].listed_at.is_some(), "{notes:?}");
        assert!(notes[1].listed_at.is_none(), "{notes:?}");
        assert!(agents.find(Some("one"), "s1").is_some() && agents.find(Some("two"), "s1").is_none());
    }

    #[test]
    fn failed_second_list_keeps_the_first_with_a_note() {
        let scratch = crate::scratch::Scratch::new();
        let asked = scratch.path().join("asked");
        let script = format!(
            r#"[ -e '{0}' ] && exit 3; : > '{0}'
            read l; echo '{{"id":1,"result":{{"agentCapabilities":{{"sessionCapabilities":{{"list":{{}}}}}}}}}}'
            read l; echo '{{"id":2,"result":{{"sessions":[{{"sessionId":"s1","cwd":"/p"}}]}}}}'"#,
            asked.display()
        );
        let agent = ListingAgent::new("one", "/bin/sh".into(), vec!["-c".to_owned(), script], Vec::new());
        let agents = Agents::new(vec![agent.clone()]);
        ask(&agent, &agents.shared);
        let first = agents.shared.lists().get("one").and_then(|kept| kept.listed_at);
        assert!(first.is_some());
        ask(&agent, &agents.shared);
        agents.shared.lists().get_mut("one").unwrap().asked = Some(Instant::now());
        let (sessions, notes) = agents.list();
        assert_eq!((sessions.len(), sessions[0].session_id.as_str()), (1, "s1"));
        assert_eq!(notes[0].listed_at, first, "it says how old the list is");
        assert!(notes[0].note.as_deref().is_some_and(|note| note.contains("exit code 3")), "{notes:?}");
        assert!(agents.find(Some("one"), "s1").is_some());
    }

    #[test]
    fn agent_without_a_list_gives_its_reason() {
        assert_eq!(
            agent("exit 3", Duration::from_secs(120)),
            Err("sh ended with exit code 3 before it had listed its sessions".to_owned())
        );
        assert_eq!(
            agent("sleep 1000", Duration::from_millis(200)),
            Err("sh did not list its sessions within 0 s".to_owned())
        );
    }
}
