//! Terminals of a worker. Each has a folder among the worker's own, with the socket of its process. A terminal exists
//! as long as that process runs, and the server stores nothing of it.

use std::ffi::OsString;
use std::fs::{self, DirBuilder};
use std::io::{self, ErrorKind};
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::clock::Micros;
use crate::shim;
use crate::terminal::{self, FOLDER, Size, TerminalSpec};
use crate::thread::Thread;
use crate::worker::error::WorkerError;
use crate::worker::run::worker::Worker;

/// Maximum number of terminals of one worker.
const TERMINALS_MAX: usize = 4;
/// Maximum number of words of a program's command line.
const ARGUMENTS_MAX: usize = 100;
/// Time limit for a terminal's process to listen.
const START_TIME: Duration = Duration::from_secs(10);
/// Pause between two checks whether it listens.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// Length of a terminal's id, in hexadecimal digits.
const ID_LENGTH: usize = 8;
/// Name in a terminal's folder of the file that describes it.
const ABOUT: &str = "about.json";
/// The default command: the user's shell.
const SHELL: [&str; 3] = ["sh", "-c", r#"s=${SHELL:-/bin/bash}; [ -x "$s" ] || s=/bin/sh; exec "$s""#];

/// A terminal, for lists.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct TerminalInfo {
    /// Its id.
    pub(crate) id: String,
    /// The program and its arguments; empty for a shell.
    pub(crate) program: Vec<String>,
    /// The time of its start.
    pub(crate) created_at: String,
}

impl Worker {
    fn terminals_dir(&self) -> PathBuf {
        self.dir().join(FOLDER)
    }

    /// Returns the folder of a terminal. An id is checked before it becomes a path.
    fn terminal_dir(&self, id: &str) -> Result<PathBuf, WorkerError> {
        let is_id = id.len() == ID_LENGTH && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let dir = self.terminals_dir().join(id);
        if is_id && dir.is_dir() { Ok(dir) } else { Err(WorkerError::NotFound(format!("Terminal {id} not found"))) }
    }

    fn terminal_tag(&self, id: &str) -> String {
        terminal::tag(self.id(), id)
    }

    /// Starts a terminal: a shell, or `program`, in the worker's folder and runner.
    ///
    /// # Errors
    /// Fails when there are too many, the worker's folder cannot be used, or the system cannot start it.
    pub(crate) fn open_terminal(&self, program: Vec<String>, size: Size) -> Result<TerminalInfo, WorkerError> {
        if program.len() > ARGUMENTS_MAX || program.first().is_some_and(String::is_empty) {
            return Err(WorkerError::Invalid(format!("program has a name and at most {ARGUMENTS_MAX} words")));
        }
        let _claim = self.claim(FOLDER.to_owned());
        if self.core().deleted {
            return Err(WorkerError::NotFound(format!("Worker {} not found", self.id())));
        }
        if self.living_terminals().len() >= TERMINALS_MAX {
            return Err(WorkerError::Limit(format!(
                "a worker can have {TERMINALS_MAX} terminals at most: end one, or use it"
            )));
        }
        let id = uuid::Uuid::new_v4().simple().to_string()[..ID_LENGTH].to_owned();
        let info = TerminalInfo { id, program, created_at: Micros::now().iso().as_str().to_owned() };
        let dir = self.terminals_dir().join(&info.id);
        DirBuilder::new().recursive(true).mode(0o700).create(&dir)?;
        let started = self.start_terminal(&info, &dir, size);
        if started.is_err() {
            terminal::clear(&dir, &self.terminal_tag(&info.id), self.launcher.grace);
        }
        started.map(|()| info)
    }

    fn start_terminal(&self, info: &TerminalInfo, dir: &Path, size: Size) -> Result<(), WorkerError> {
        let words: Vec<&str> = match info.program.as_slice() {
            [] => SHELL.to_vec(),
            program => program.iter().map(String::as_str).collect(),
        };
        let tag = self.terminal_tag(&info.id);
        let plan = self.launcher.plan_terminal(self.adapter().as_ref(), self.id(), &tag, &self.state(), &words)?;
        fs::write(dir.join(ABOUT), serde_json::to_vec(info).map_err(io::Error::other)?)?;
        let argv: Vec<OsString> = plan.argv.iter().map(OsString::from).collect();
        let grace = self.launcher.grace;
        let spec = TerminalSpec { dir, tag: &tag, argv: &argv, cwd: &plan.cwd, env: &plan.env, size, grace };
        let mut process = terminal::spawn(&self.launcher.exe, &spec)?;
        let listens = wait_until_it_listens(&mut process, dir);
        // It is reaped when it exits, which may be long after this.
        let (folder, own_tag) = (dir.to_owned(), tag.clone());
        let reaping = move || {
            match process.wait() {
                Ok(status) if status.success() => {}
                ended => log::error!("the process of the terminal {own_tag} failed: {ended:?}"),
            }
            terminal::clear(&folder, &own_tag, grace);
        };
        Thread::spawn("terminal", reaping)?.detach();
        listens
    }

    /// Returns the terminals of the worker, the oldest first.
    pub(crate) fn terminals(&self) -> Vec<TerminalInfo> {
        let _claim = self.claim(FOLDER.to_owned());
        self.living_terminals()
    }

    /// Does the same as [`Self::terminals`], for a caller that has the claim. Removes the remains of terminals that
    /// were killed.
    fn living_terminals(&self) -> Vec<TerminalInfo> {
        let mut infos = Vec::new();
        for id in self.terminal_ids() {
            let dir = self.terminals_dir().join(&id);
            // A terminal that cannot be reached for another reason, such as a lack of file descriptors, may be running.
            let is_gone = |error: io::Error| matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused);
            if shim::connect(&dir).is_err_and(is_gone) {
                terminal::clear(&dir, &self.terminal_tag(&id), self.launcher.grace);
                continue;
            }
            let about = fs::read(dir.join(ABOUT)).ok().and_then(|text| serde_json::from_slice(&text).ok());
            infos.extend(about);
        }
        infos.sort_by(|a: &TerminalInfo, b| (&a.created_at, &a.id).cmp(&(&b.created_at, &b.id)));
        infos
    }

    fn terminal_ids(&self) -> Vec<String> {
        let entries = fs::read_dir(self.terminals_dir()).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
    }

    /// Connects to a terminal.
    ///
    /// # Errors
    /// Fails when no terminal has this id.
    pub(crate) fn terminal(&self, id: &str) -> Result<UnixStream, WorkerError> {
        let dir = self.terminal_dir(id)?;
        shim::connect(&dir).map_err(|_| WorkerError::NotFound(format!("Terminal {id} has ended")))
    }

    /// Ends a terminal with its whole process tree.
    ///
    /// # Errors
    /// Fails when no terminal has this id.
    pub(crate) fn end_terminal(&self, id: &str) -> Result<(), WorkerError> {
        let dir = self.terminal_dir(id)?;
        terminal::end(&dir, &self.terminal_tag(id), self.launcher.grace);
        Ok(())
    }

    /// Ends all terminals; returns their number.
    pub(crate) fn end_terminals(&self) -> usize {
        let _claim = self.claim(FOLDER.to_owned());
        let ids = self.terminal_ids();
        std::thread::scope(|scope| {
            for id in &ids {
                let end = move || {
                    let dir = self.terminals_dir().join(id);
                    terminal::end(&dir, &self.terminal_tag(id), self.launcher.grace);
                };
                // Without threads for it, they end one after another.
                if std::thread::Builder::new().spawn_scoped(scope, end).is_err() {
                    end();
                }
            }
        });
        ids.len()
    }
}

/// Waits until a terminal's process accepts connections.
fn wait_until_it_listens(process: &mut Child, dir: &Path) -> Result<(), WorkerError> {
    let deadline = Instant::now() + START_TIME;
    while shim::connect(dir).is_err() {
        let ended = process.try_wait()?;
        if ended.is_some() || Instant::now() >= deadline {
            let why = ended.map_or_else(|| "it does not answer".to_owned(), |status| status.to_string());
            return Err(WorkerError::Unavailable(format!("the process of the terminal did not start: {why}")));
        }
        std::thread::sleep(LOOK_EVERY);
    }
    Ok(())
}
