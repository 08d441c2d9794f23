//! Which living processes have a session, so that no second one begins to write it.
//!
//! Three signs are looked for: the file that Claude Code keeps of each of its processes, a session's id among the
//! arguments of a process, and an open transcript. A process that shows none of them is not found, so the time of the
//! last write is asked too ([`written_lately`]).

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::Deserialize;

use crate::{json, procfs};

/// A session that was written so short a time ago is taken to be in use, by any process.
const LATELY: Duration = Duration::from_secs(3);
/// Longest file of a process of Claude Code that is read, in bytes.
const PROCESS_FILE_BYTES_MAX: u64 = 64 * 1024;

/// The state of one of Claude Code's processes, in `sessions/<pid>.json`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ProcessFile {
    pid: i32,
    session_id: String,
    /// The start time of the process, as in `/proc/<pid>/stat`.
    proc_start: Option<String>,
}

/// A session as its processes may be known by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeldSession<'s> {
    /// Its id.
    pub session_id: &'s str,
    /// Its transcript, where it is known.
    pub transcript: Option<&'s Path>,
    /// The folder in which Claude Code keeps the files of its processes.
    pub process_files: Option<&'s Path>,
}

/// A process that has a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SessionHolder {
    /// Its id.
    pub pid: i32,
    /// Serves many sessions and their terminals, like Codex's daemon, and must not be ended for one.
    pub is_daemon: bool,
}

/// A living process, other than this one, that has the session and that `ours` does not own to. A terminal is preferred to
/// a daemon: the daemon keeps the session as long as the terminal runs.
pub(crate) fn find(session: HeldSession<'_>, ours: &dyn Fn(i32) -> bool) -> Option<SessionHolder> {
    let other = |pid: &i32| *pid != std::process::id().cast_signed() && !ours(*pid);
    let holder = |pid: i32| SessionHolder { pid, is_daemon: is_daemon(&arguments(pid)) };
    let mut daemon = None;
    for found in
        reported(session).filter(other).chain(pids().filter(|pid| other(pid) && has(*pid, session))).map(holder)
    {
        if !found.is_daemon {
            return Some(found);
        }
        daemon = daemon.or(Some(found));
    }
    daemon
}

/// Returns whether these are the arguments of Codex's daemon: `codex app-server --listen unix://...`, with any options
/// before.
fn is_daemon(arguments: &[u8]) -> bool {
    let mut arguments = arguments.split(|&byte| byte == 0).skip_while(|&argument| argument != b"app-server");
    arguments.next().is_some()
        && arguments.any(|argument| argument.strip_prefix(b"--listen=").unwrap_or(argument).starts_with(b"unix://"))
}

fn arguments(pid: i32) -> Vec<u8> {
    fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default()
}

/// The processes that Claude Code lists.
fn reported(session: HeldSession<'_>) -> impl Iterator<Item = i32> {
    let entries = session.process_files.and_then(|folder| folder.read_dir().ok()).into_iter().flatten().flatten();
    let read = |path: PathBuf| -> Option<ProcessFile> {
        if fs::metadata(&path).ok()?.len() > PROCESS_FILE_BYTES_MAX {
            return None;
        }
        serde_json::from_value(json::value(&fs::read(path).ok()?)?).ok()
    };
    let files = entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|it| it == "json"));
    let files: Vec<ProcessFile> = files.filter_map(read).filter(|file| file.session_id == session.session_id).collect();
    // The number of a process that has ended may belong to another now.
    let lives = |file: &ProcessFile| {
        let start = procfs::start_time(file.pid)?;
        file.proc_start.as_ref().is_none_or(|reported| *reported == start.to_string()).then_some(file.pid)
    };
    files.into_iter().filter_map(move |file| lives(&file))
}

fn pids() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// Returns whether a process names the session among its arguments, or has its transcript open.
fn has(pid: i32, session: HeldSession<'_>) -> bool {
    let names_it = arguments(pid).split(|&byte| byte == 0).any(|argument| {
        let value = argument.iter().position(|&byte| byte == b'=').map(|at| &argument[at + 1..]);
        argument == session.session_id.as_bytes() || value == Some(session.session_id.as_bytes())
    });
    names_it || session.transcript.is_some_and(|transcript| has_open(pid, transcript))
}

/// Returns whether a process has the file open for writing.
fn has_open(pid: i32, file: &Path) -> bool {
    let Ok(wanted) = fs::metadata(file) else { return false };
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    descriptors.into_iter().any(|descriptor| {
        let is_it =
            fs::metadata(descriptor.path()).is_ok_and(|open| (open.dev(), open.ino()) == (wanted.dev(), wanted.ino()));
        is_it && is_written(pid, &descriptor.file_name().to_string_lossy())
    })
}

fn is_written(pid: i32, descriptor: &str) -> bool {
    let info = fs::read_to_string(format!("/proc/{pid}/fdinfo/{descriptor}")).unwrap_or_default();
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
    // The last two bits of the flags, which are octal, say how it was opened; 0 is for reading alone.
    flags.and_then(|flags| u32::from_str_radix(flags.trim(), 8).ok()).is_some_and(|flags| flags & 3 != 0)
}

/// Returns the time since the last write of the file, when that is short.
pub(crate) fn written_lately(file: &Path) -> Option<Duration> {
    let written = fs::metadata(file).and_then(|metadata| metadata.modified()).ok()?;
    let ago = SystemTime::now().duration_since(written).unwrap_or_default();
    (ago < LATELY).then_some(ago)
}

/// Returns whether the file has not been written for so long.
pub(crate) fn is_silent_for(file: &Path, time: Duration) -> bool {
    let written = fs::metadata(file).and_then(|metadata| metadata.modified());
    written.is_ok_and(|written| SystemTime::now().duration_since(written).unwrap_or_default() >= time)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn process_is_identified_by_its_file_while_it_lives() {
        let folder = Scratch::new();
        let pid = std::process::id().cast_signed();
        let start = procfs::start_time(pid).unwrap();
        let session = HeldSession { session_id: "s", transcript: None, process_files: Some(folder.path()) };
        let put = |session: &str, start: &str| {
            let text = format!(r#"{{"pid":{pid},"sessionId":"{session}","procStart":"{start}","status":"idle"}}"#);
            fs::write(folder.path().join("1.json"), text).unwrap();
        };
        put("s", &start.to_string());
        assert_eq!(reported(session).collect::<Vec<_>>(), [pid]);
        put("other", &start.to_string());
        assert_eq!(reported(session).count(), 0);
        put("s", "1");
        assert_eq!(reported(session).count(), 0, "another process has the number now");
        fs::write(folder.path().join("1.json"), "{").unwrap();
        assert_eq!(reported(session).count(), 0);
    }

    #[test]
    fn codex_daemon_is_known_by_its_arguments() {
        let is = |line: &str| is_daemon(line.replace(' ', "\0").as_bytes());
        assert!(is("/opt/codex app-server --listen unix:///run/codex.sock "));
        assert!(is("codex -c model=\"m\" app-server --listen=unix:// "));
        assert!(!is("codex app-server "), "a client's own server on its pipes");
        assert!(!is("codex app-server --listen stdio:// "));
        assert!(!is("codex --listen unix:// resume "));
    }

    #[test]
    fn an_open_transcript_counts_when_it_is_open_for_writing() {
        let folder = Scratch::new();
        let file = folder.path().join("a");
        let pid = std::process::id().cast_signed();
        let written = fs::File::create(&file).unwrap();
        assert!(has_open(pid, &file));
        drop(written);
        let _read = fs::File::open(&file).unwrap();
        assert!(!has_open(pid, &file));
        assert!(written_lately(&file).is_some());
    }
}
