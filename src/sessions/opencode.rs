//! Sessions of OpenCode, which are in a database (SQLite): its own program is asked for them (`opencode db`), since it
//! knows how to read what it may be writing just now.
//!
//! Starting it takes seconds. So it is asked only when there is a database, and the answer is kept as long as that stays
//! the same, and for a while when it does not. As observed with OpenCode 1.18; an older one that cannot be asked so has no
//! sessions here.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use serde::Deserialize;

use super::{FoundSession, as_title};
use crate::adapter::probe;
use crate::clock::Micros;
use crate::subprocess::{self, Bounds};

/// The name of the adapter.
pub(super) const KIND: &str = "opencode";
/// How long the program may take, and what of its answer is kept.
const BOUNDS: Bounds = Bounds { time: Duration::from_secs(15), bytes: 1024 * 1024 };
/// Most sessions of one answer: the program does not give all of a long one (more than 128 KiB) when the system is busy.
const SESSIONS_MAX: usize = 100;
/// How long an answer counts although the database has changed: while an agent works, it changes all the time.
const KEPT_FOR: Duration = Duration::from_secs(10);
/// Longest id that is asked for.
const ID_BYTES_MAX: usize = 64;
/// How OpenCode calls a session that has no title yet.
const NO_TITLE: &str = "New session - ";

/// The columns of an answer; the first message is asked for since most titles come late or never.
const SELECT: &str = "SELECT s.id AS id, s.directory AS directory, substr(s.title, 1, 160) AS title, \
     s.time_updated AS updated, (SELECT substr(json_extract(p.data, '$.text'), 1, 160) FROM part p \
     WHERE p.session_id = s.id AND json_extract(p.data, '$.type') = 'text' ORDER BY p.id LIMIT 1) AS first, \
     (SELECT coalesce(sum(octet_length(p.data)), 0) FROM part p WHERE p.session_id = s.id) AS size FROM session s \
     WHERE s.parent_id IS NULL AND s.time_archived IS NULL";

/// The database and the program that reads it.
#[derive(Debug)]
pub(super) struct Database {
    program: String,
    path: PathBuf,
    /// The answer to the last question. The lock is held while the program is asked, so that it runs once at a time.
    last: Mutex<Option<Kept>>,
}

#[derive(Debug)]
struct Kept {
    question: String,
    stamp: Stamp,
    asked: Instant,
    answer: Answer,
}

/// What changes with the database: time and length of its file, and of its log.
type Stamp = [Option<(SystemTime, u64)>; 2];

/// Some sessions, newest first.
#[derive(Clone, Debug, Default)]
pub(super) struct Answer {
    pub(super) sessions: Vec<FoundSession>,
    /// Whether there are older ones.
    pub(super) has_more: bool,
    /// The time of the last one.
    pub(super) oldest: Option<Micros>,
}

/// A row of the program's answer.
#[derive(Deserialize)]
struct Row {
    id: String,
    directory: String,
    title: Option<String>,
    /// Milliseconds since 1970.
    updated: u64,
    first: Option<String>,
    size: u64,
}

impl Database {
    /// The database of this environment, which `program` can read.
    pub(super) fn new(env: &dyn Fn(&str) -> Option<String>, program: &str) -> Option<Self> {
        let folder = |name: &str| env(name).filter(|path| !path.is_empty()).map(PathBuf::from);
        let data = folder("XDG_DATA_HOME").or_else(|| Some(folder("HOME")?.join(".local/share")))?;
        Some(Self { program: program.to_owned(), path: data.join("opencode/opencode.db"), last: Mutex::default() })
    }

    /// The sessions that last grew before `before`, at most `limit` and not more than one answer holds.
    pub(super) fn list(&self, before: Option<Micros>, limit: usize) -> Answer {
        let limit = limit.min(SESSIONS_MAX);
        let before = before.map(|before| format!(" AND s.time_updated < {}", before.0.div_ceil(1_000)));
        let before = before.unwrap_or_default();
        // One more tells whether there are more.
        let mut answer = self.ask(format!("{SELECT}{before} ORDER BY s.time_updated DESC LIMIT {}", limit + 1));
        answer.has_more = answer.sessions.len() > limit;
        answer.sessions.truncate(limit);
        answer.oldest = answer.sessions.last().map(|session| session.last_activity);
        answer
    }

    /// One session.
    pub(super) fn find(&self, session_id: &str) -> Option<FoundSession> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if session_id.len() > ID_BYTES_MAX || !session_id.starts_with("ses_") || !session_id.bytes().all(plain) {
            return None;
        }
        self.ask(format!("{SELECT} AND s.id = '{session_id}' LIMIT 1")).sessions.pop()
    }

    fn stamp(&self) -> Stamp {
        let log = self.path.with_extension("db-wal");
        let stamp = |path: &Path| {
            let metadata = path.metadata().ok()?;
            Some((metadata.modified().ok()?, metadata.len()))
        };
        [stamp(&self.path), stamp(&log)]
    }

    fn ask(&self, question: String) -> Answer {
        if !self.path.is_file() {
            return Answer::default();
        }
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let stamp = self.stamp();
        let holds =
            |kept: &&Kept| kept.question == question && (kept.stamp == stamp || kept.asked.elapsed() < KEPT_FOR);
        if let Some(kept) = last.as_ref().filter(holds) {
            return kept.answer.clone();
        }
        match self.run(&question) {
            Ok(sessions) => {
                let answer = Answer { sessions, ..Answer::default() };
                // Asking changes the log's file itself.
                let stamp = self.stamp();
                *last = Some(Kept { question, stamp, asked: Instant::now(), answer: answer.clone() });
                answer
            }
            Err(why) => {
                log::warn!("the sessions of OpenCode cannot be listed: {why}");
                Answer::default()
            }
        }
    }

    fn run(&self, question: &str) -> Result<Vec<FoundSession>, String> {
        let path = std::env::var_os("PATH");
        let program = probe::find_binary(&self.program, path.as_deref()).map_err(|error| error.to_string())?;
        let mut command = Command::new(&program);
        // Without plug-ins, and where no project has any.
        command.args(["db", "--pure", "--format", "json", question]).current_dir("/");
        command
            .env_clear()
            .envs(probe::own_env())
            .envs([("OPENCODE_DISABLE_AUTOUPDATE", "1"), ("OPENCODE_DISABLE_MODELS_FETCH", "1")]);
        let answer =
            subprocess::ask(&mut command, BOUNDS, &AtomicBool::new(false)).map_err(|error| error.to_string())?;
        if answer.code != Some(0) {
            let how = answer.code.map_or_else(|| "was too slow".to_owned(), |code| format!("ended with {code}"));
            return Err(format!("`{} db` {how}", program.display()));
        }
        let rows: Vec<Row> = serde_json::from_slice(&answer.output).map_err(|error| error.to_string())?;
        Ok(rows.into_iter().map(found).collect())
    }
}

fn found(row: Row) -> FoundSession {
    let title = row.title.as_deref().filter(|title| !title.starts_with(NO_TITLE)).and_then(as_title);
    FoundSession {
        session_id: row.id,
        ai_cli_type: KIND,
        project_path: Some(row.directory),
        title: title.or_else(|| row.first.as_deref().and_then(as_title)),
        last_activity: Micros(row.updated.saturating_mul(1_000)),
        size_bytes: row.size,
        transcript: None,
    }
}
