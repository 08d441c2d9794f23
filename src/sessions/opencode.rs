//! The database (SQLite) in which OpenCode keeps its sessions.
//!
//! OpenCode lists its sessions itself, as an agent ([`super::agent`]). Where it doesn't, and for one session that no list
//! has yet, its own command reads the database (`opencode db`), since it knows how to read what it may be writing just
//! now. Starting it takes seconds, so it is asked only when there is a database. As observed with OpenCode 1.18.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use serde::Deserialize;

use super::found::{FoundSession, as_title};
use crate::json;
use crate::json::time;
use crate::probe;
use crate::subprocess::{self, Bounds};

/// The name of the adapter.
pub(super) const KIND: &str = "opencode";
/// Longest time of the program, and the kept bytes of its answer.
const BOUNDS: Bounds = Bounds { time: Duration::from_secs(15), bytes: 1024 * 1024 };
/// Most sessions of one answer: the program does not give all of a long one (more than 128 KiB) when the system is busy.
const SESSIONS_MAX: usize = 100;
/// Longest id that is asked for.
const ID_BYTES_MAX: usize = 64;
/// The beginning of the title that OpenCode gives a session without one.
pub(super) const NO_TITLE: &str = "New session - ";

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
    /// Held while the program is asked, so that it runs once at a time.
    asking: Mutex<()>,
}

/// The properties that change with the database: time and length of its file, and of its log.
pub(super) type DatabaseStamp = [Option<(SystemTime, u64)>; 2];

/// A row of the program's answer.
#[derive(Deserialize)]
struct SessionRow {
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
        Some(Self { program: program.to_owned(), path: data.join("opencode/opencode.db"), asking: Mutex::default() })
    }

    /// Returns whether OpenCode has been used here.
    pub(super) fn exists(&self) -> bool {
        self.path.is_file()
    }

    /// The newest sessions.
    ///
    /// # Errors
    /// Fails when the program can't be asked, in words.
    pub(super) fn list(&self) -> Result<Vec<FoundSession>, String> {
        let _one = self.asking.lock().unwrap_or_else(PoisonError::into_inner);
        self.run(&format!("{SELECT} ORDER BY s.time_updated DESC LIMIT {SESSIONS_MAX}"))
    }

    /// One session.
    pub(super) fn find(&self, session_id: &str) -> Option<FoundSession> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if session_id.len() > ID_BYTES_MAX || !session_id.starts_with("ses_") || !session_id.bytes().all(plain) {
            return None;
        }
        if !self.exists() {
            return None;
        }
        let _one = self.asking.lock().unwrap_or_else(PoisonError::into_inner);
        let found = self.run(&format!("{SELECT} AND s.id = '{session_id}' LIMIT 1"));
        found.inspect_err(|why| log::warn!("OpenCode's session {session_id} can't be looked up: {why}")).ok()?.pop()
    }

    /// The state of its files.
    pub(super) fn stamp(&self) -> DatabaseStamp {
        let log = self.path.with_extension("db-wal");
        let stamp = |path: &Path| {
            let metadata = path.metadata().ok()?;
            Some((metadata.modified().ok()?, metadata.len()))
        };
        [stamp(&self.path), stamp(&log)]
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
        let rows = json::value(&answer.output).ok_or("its answer is not JSON")?;
        let rows: Vec<SessionRow> = serde_json::from_value(rows).map_err(|error| error.to_string())?;
        Ok(rows.into_iter().map(found).collect())
    }
}

fn found(row: SessionRow) -> FoundSession {
    let title = row.title.as_deref().filter(|title| !title.starts_with(NO_TITLE)).and_then(as_title);
    FoundSession {
        session_id: row.id,
        ai_cli_type: KIND.into(),
        project_path: Some(row.directory),
        title: title.or_else(|| row.first.as_deref().and_then(as_title)),
        last_activity: time::of_number(row.updated).unwrap_or_default(),
        size_bytes: row.size,
        transcript: None,
    }
}
