//! OpenCode's sessions. They lie in an SQLite database, so OpenCode itself is asked (`opencode db`), and no more often than
//! the database changes.
//!
//! (The tables are as observed with OpenCode 1.1, in `$XDG_DATA_HOME/opencode/opencode.db` or below `~/.local/share`.)

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use serde::Deserialize;

use super::{FoundSession, TITLE_CHARS_MAX};
use crate::adapter::probe;
use crate::clock::Micros;
use crate::subprocess::{self, Bounds};

/// The adapter that resumes them.
pub const KIND: &str = "opencode";
/// Sessions that are asked for: the newest.
const SESSIONS_MAX: usize = 1_000;
/// Bounds of the question. A start of OpenCode takes one to three seconds.
const BOUNDS: Bounds = Bounds { time: Duration::from_secs(15), bytes: 4 * 1024 * 1024 };
/// How long an answer is good while the database changes: OpenCode at work changes it all the time.
const FRESH: Duration = Duration::from_secs(10);

/// When the database and its log were changed, and their lengths.
type Stamp = [Option<(SystemTime, u64)>; 2];

/// Asks OpenCode.
#[derive(Debug)]
pub struct OpenCodeSessions {
    binary: String,
    database: PathBuf,
    last: Mutex<Last>,
}

/// The last answer.
#[derive(Debug, Default)]
struct Last {
    stamp: Stamp,
    asked: Option<Instant>,
    sessions: Vec<FoundSession>,
}

#[derive(Deserialize)]
struct Row {
    id: String,
    directory: String,
    title: Option<String>,
    time_updated: u64,
    bytes: Option<u64>,
}

impl OpenCodeSessions {
    /// By the program `binary`, with the database where the server's environment has it; `None` without a home.
    pub fn new(binary: &str, env: &dyn Fn(&str) -> Option<String>) -> Option<Self> {
        let folder = |name: &str| env(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let data = folder("XDG_DATA_HOME").or_else(|| Some(folder("HOME")?.join(".local/share")))?;
        Some(Self {
            binary: binary.to_owned(),
            database: data.join("opencode/opencode.db"),
            last: Mutex::new(Last::default()),
        })
    }

    /// Its newest sessions, in any order; none where it cannot be asked.
    pub fn sessions(&self) -> Vec<FoundSession> {
        if !self.database.exists() {
            return Vec::new();
        }
        // Who asks meanwhile waits for the same answer.
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = last.asked.is_some_and(|asked| asked.elapsed() < FRESH);
        if !fresh && (last.asked.is_none() || last.stamp != stamp(&self.database)) {
            match self.ask() {
                Ok(sessions) => last.sessions = sessions,
                Err(why) => log::warn!("the sessions of OpenCode cannot be listed: {why}"),
            }
            // Its own end changes the files too.
            last.stamp = stamp(&self.database);
            last.asked = Some(Instant::now());
        }
        last.sessions.clone()
    }

    /// The session with this id.
    pub fn find(&self, session_id: &str) -> Option<FoundSession> {
        let found = session_id.starts_with("ses_").then(|| self.sessions())?;
        found.into_iter().find(|found| found.session_id == session_id)
    }

    fn ask(&self) -> Result<Vec<FoundSession>, String> {
        let path = std::env::var_os("PATH");
        let program = probe::find_binary(&self.binary, path.as_deref()).map_err(|error| error.to_string())?;
        let query = format!(
            "SELECT id, directory, title, time_updated, \
             (SELECT sum(octet_length(data)) FROM part WHERE session_id = session.id) AS bytes \
             FROM session WHERE parent_id IS NULL AND time_archived IS NULL \
             ORDER BY time_updated DESC LIMIT {SESSIONS_MAX}"
        );
        let mut command = Command::new(program);
        command.args(["db", "--format", "json", &query]).current_dir("/").env_clear().envs(probe::own_env());
        let answer =
            subprocess::ask(&mut command, BOUNDS, &AtomicBool::new(false)).map_err(|error| error.to_string())?;
        match answer.code {
            Some(0) if !answer.cut => {}
            Some(0) => return Err(format!("it said more than {} bytes", BOUNDS.bytes)),
            Some(code) => {
                return Err(format!("`opencode db` ended with {code}; is it a version without that command?"));
            }
            None => return Err(format!("`opencode db` took more than {} s", BOUNDS.time.as_secs())),
        }
        rows(&answer.output)
    }
}

fn rows(json: &[u8]) -> Result<Vec<FoundSession>, String> {
    let rows: Vec<Row> =
        serde_json::from_slice(json).map_err(|error| format!("its answer is not understood: {error}"))?;
    let found = |row: Row| FoundSession {
        session_id: row.id,
        ai_cli_type: KIND,
        project_path: Some(row.directory),
        title: row.title.map(|title| title.chars().take(TITLE_CHARS_MAX).collect()),
        last_activity: Micros(row.time_updated.saturating_mul(1_000)),
        size_bytes: row.bytes.unwrap_or(0),
    };
    Ok(rows.into_iter().map(found).collect())
}

fn stamp(database: &Path) -> Stamp {
    let of = |path: &Path| {
        let metadata = fs::metadata(path).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    };
    [of(database), of(&database.with_extension("db-wal"))]
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::scratch::Scratch;

    /// An OpenCode that answers from a file, and counts how often it was asked.
    fn fake(scratch: &Scratch, answer: &str) -> OpenCodeSessions {
        let folder = scratch.path();
        fs::create_dir_all(folder.join("opencode")).unwrap();
        fs::write(folder.join("opencode/opencode.db"), "").unwrap();
        fs::write(folder.join("answer"), answer).unwrap();
        let binary = folder.join("opencode.sh");
        let script = format!("#!/bin/sh\necho x >> {0}/asked\nexec cat {0}/answer\n", folder.display());
        fs::write(&binary, script).unwrap();
        fs::set_permissions(&binary, fs::Permissions::from_mode(0o755)).unwrap();
        let data = folder.to_str().unwrap().to_owned();
        OpenCodeSessions::new(binary.to_str().unwrap(), &move |name| (name == "XDG_DATA_HOME").then(|| data.clone()))
            .unwrap()
    }

    #[test]
    fn its_answer_is_told_and_it_is_asked_once_for_each_state_of_its_database() {
        let scratch = Scratch::new();
        let row = r#"[{"id":"ses_1","directory":"/p","title":"T","time_updated":1795711038903,"bytes":587},
            {"id":"ses_2","directory":"/q","title":null,"time_updated":1,"bytes":null}]"#;
        let asked = fake(&scratch, row);
        let found = asked.sessions();
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].title.as_deref(), found[0].size_bytes), (Some("T"), 587));
        assert_eq!(found[0].last_activity.to_string(), "2026-11-26T16:37:18.903000Z");
        assert_eq!(asked.find("ses_2").unwrap().project_path.as_deref(), Some("/q"));
        assert_eq!(asked.find("other"), None);
        assert_eq!(fs::read_to_string(scratch.path().join("asked")).unwrap(), "x\n");
    }

    #[test]
    fn without_a_database_it_is_not_asked_and_nonsense_is_no_session() {
        let scratch = Scratch::new();
        let asked = fake(&scratch, "no json");
        assert_eq!(asked.sessions(), []);
        fs::remove_file(scratch.path().join("opencode/opencode.db")).unwrap();
        assert_eq!(asked.sessions(), []);
        assert_eq!(fs::read_to_string(scratch.path().join("asked")).unwrap(), "x\n");
    }
}
