//! A worker that is made of another one's exported history.
//!
//! An export's lines carry the records of the journal that their events come from ([`append_records`]); an import takes
//! those alone, since everything else follows from them. The values of environment variables and the idempotency key do
//! not leave the server, so a worker that had some gets other sequence numbers on its way; all else is the same.

use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};

use super::archive::into_io;
use super::commands::check_name;
use super::error::WorkerError;
use super::fold::Fold;
use super::registry::Registry;
use super::status::Process;
use super::worker::Worker;
use crate::adapter::Adapter;
use crate::clock::Micros;
use crate::journal::{Control, Kind, LINE_MAX, Record, Writer, encode, records};
use crate::wire;

/// A line of an export, of which the event is not looked at.
#[derive(Deserialize)]
struct Line {
    #[serde(default)]
    records: Vec<Recorded>,
}

/// A record of a journal as an export carries it.
#[derive(Deserialize)]
struct Recorded {
    time: u64,
    kind: String,
    text: Option<String>,
    /// The payload when it is not UTF-8.
    hex: Option<String>,
}

/// An export that was read.
pub struct Import {
    /// What its worker was made as.
    pub created: Control,
    time: Micros,
    /// The records after that.
    lines: Vec<u8>,
}

/// Puts the records into the object of an exported event as its last field.
pub fn append_records(event: &mut Vec<u8>, records: &[Value]) {
    if !records.is_empty() {
        event.pop();
        event.extend_from_slice(if event.last() == Some(&b'{') { b"\"records\":" } else { b",\"records\":" });
        wire::append_json(event, &records);
        event.push(b'}');
    }
}

/// A record as an export carries it.
#[must_use]
pub fn exported(record: &Record<'_>) -> Value {
    let kept = (record.kind == Kind::Ctl).then(|| without_secrets(record.payload)).flatten();
    let payload = kept.as_deref().unwrap_or(record.payload);
    let (time, kind) = (record.time.0, record.kind.as_str());
    match std::str::from_utf8(payload) {
        Ok(text) => json!({"time": time, "kind": kind, "text": text}),
        Err(_) => {
            let hex: String = payload.iter().map(|byte| format!("{byte:02x}")).collect();
            json!({"time": time, "kind": kind, "hex": hex})
        }
    }
}

/// What made a worker, without what nobody else is told.
fn without_secrets(payload: &[u8]) -> Option<Vec<u8>> {
    match Control::from_json(payload) {
        Control::Created { worker_id, name, project_path, ai_cli_type, mut options, forked_from, worktree }
            if !options.env.is_empty() || options.idempotency_key.is_some() =>
        {
            options.env.clear();
            options.idempotency_key = None;
            let created =
                Control::Created { worker_id, name, project_path, ai_cli_type, options, forked_from, worktree };
            Some(created.to_json())
        }
        _ => None,
    }
}

impl Import {
    /// Reads an export.
    ///
    /// # Errors
    /// When a line is broken, which is named, or the records do not begin with a worker's making.
    pub fn parse(body: &[u8]) -> Result<Self, WorkerError> {
        let mut import: Option<Self> = None;
        for (at, line) in
            body.split(|&byte| byte == b'\n').enumerate().filter(|(_, line)| !line.trim_ascii().is_empty())
        {
            let broken = |why: String| WorkerError::Invalid(format!("line {}: {why}", at + 1));
            let line: Line = serde_json::from_slice(line)
                .map_err(|error| broken(format!("not a line of a JSONL export: {error}")))?;
            for recorded in &line.records {
                let (kind, payload) = recorded.read().map_err(broken)?;
                let created = (kind == Kind::Ctl).then(|| Control::from_json(&payload));
                let created = created.filter(|control| matches!(control, Control::Created { .. }));
                match &mut import {
                    Some(_) if created.is_some() => return Err(broken("a worker is made once".to_owned())),
                    Some(import) => encode(&mut import.lines, Micros(recorded.time), kind, &payload),
                    None => {
                        let none = || broken("the first record is not the making of a worker".to_owned());
                        let created = created.ok_or_else(none)?;
                        import = Some(Self { created, time: Micros(recorded.time), lines: Vec::new() });
                    }
                }
            }
        }
        import.ok_or_else(|| {
            let told = "there is nothing to import: it takes what export?format=jsonl gives, of this version or later";
            WorkerError::Invalid(told.to_owned())
        })
    }

    /// Writes the journal of a worker whose making is `created`, in the empty folder `dir`, as one that is stopped.
    pub(super) fn write(
        &self,
        dir: &std::path::Path,
        id: &str,
        created: &Control,
        adapter: &Arc<dyn Adapter>,
    ) -> Result<PathBuf, WorkerError> {
        // A folder without a journal of that name is no worker, should the server die here.
        let (unfinished, journal) = (dir.join("journal.new"), dir.join("journal"));
        let mut writer = Writer::create(&unfinished, id).map_err(into_io)?;
        let base = writer.end();
        let mut lines = Vec::new();
        encode(&mut lines, self.time, Kind::Ctl, &created.to_json());
        lines.extend_from_slice(&self.lines);
        let mut fold = Fold::new(Arc::clone(adapter));
        let mut last = self.time;
        for entry in records(&lines, base) {
            if let crate::journal::Entry::Record(record) = entry {
                last = record.time;
                fold.record(&record, &mut |_, _, _| {});
            }
        }
        if fold.state().is_running() {
            encode(&mut lines, last, Kind::Ctl, &Control::ShimLost { ended: Vec::new() }.to_json());
        } else if matches!(fold.state().process, Process::Following) {
            let told = "it follows a session of the machine that it comes from: take it over there, then export it";
            return Err(WorkerError::Invalid(told.to_owned()));
        }
        writer.append(&lines)?;
        writer.syncer()?.sync()?;
        fs::rename(&unfinished, &journal)?;
        Ok(journal)
    }
}

impl Registry {
    /// Makes a stopped worker of an exported history, with its project in the resolved and allowed `project_path`.
    ///
    /// # Errors
    /// When the history cannot be a stopped worker's, or the disk does not take it. Then nothing is left of it.
    pub fn import(&self, import: &Import, project_path: String) -> Result<Arc<Worker>, WorkerError> {
        let id = uuid::Uuid::new_v4().to_string();
        let mut created = import.created.clone();
        if let Control::Created { worker_id, project_path: path, name, options, worktree, .. } = &mut created {
            check_name(name)?;
            id.clone_into(worker_id);
            *path = project_path;
            // It stands for a request that was never made here.
            options.idempotency_key = None;
            options.env.clear();
            // It is the other worker's: nobody removes it with this one.
            *worktree = None;
        }
        let Control::Created { ai_cli_type, .. } = &created else {
            return Err(WorkerError::Invalid("the first record is not the making of a worker".to_owned()));
        };
        let adapter = (self.find_adapter)(ai_cli_type);
        let dir = self.base.join(&id);
        fs::DirBuilder::new().mode(0o700).create(&dir)?;
        let loaded = import.write(&dir, &id, &created, &adapter).and_then(|_| Ok(self.load(&dir)?));
        match loaded {
            Ok(worker) => {
                self.write().insert(id, Arc::clone(&worker));
                worker.tell_feed();
                Ok(worker)
            }
            Err(error) => {
                self.discard(&id, &dir);
                Err(error)
            }
        }
    }
}

impl Recorded {
    fn read(&self) -> Result<(Kind, Vec<u8>), String> {
        let kind = Kind::parse(self.kind.as_bytes()).ok_or_else(|| format!("no kind of record: {:?}", self.kind))?;
        let payload = match (&self.text, &self.hex) {
            (Some(text), None) => text.clone().into_bytes(),
            (None, Some(hex)) => from_hex(hex).ok_or("hex should be pairs of hexadecimal digits")?,
            _ => return Err("a record has either text or hex".to_owned()),
        };
        if payload.contains(&b'\n') || payload.len() > LINE_MAX {
            return Err(format!("a record is one line of at most {LINE_MAX} bytes"));
        }
        Ok((kind, payload))
    }
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text.chars().map(|c| c.to_digit(16).map(|digit| digit as u8)).collect();
    let (pairs, rest) = digits.as_ref()?.as_chunks::<2>();
    rest.is_empty().then(|| pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_utf8_survives_as_hexadecimal_digits() {
        let record = Record { seq: 0, time: Micros(7), kind: Kind::Out, payload: &[0xff, 0x00, b'a'], len: 9 };
        let recorded: Recorded = serde_json::from_value(exported(&record)).unwrap();
        assert_eq!(recorded.read(), Ok((Kind::Out, vec![0xff, 0x00, b'a'])));
        for wrong in ["f", "0g", "é"] {
            assert_eq!(from_hex(wrong), None);
        }
    }

    #[test]
    fn environment_variables_and_keys_stay_here() {
        let made = br#"{"type":"created","worker_id":"w","name":"n","project_path":"p","ai_cli_type":"c","options":{"model":"m","env":[["K","secret"]],"idempotency_key":"key"}}"#;
        let record = Record { seq: 0, time: Micros(7), kind: Kind::Ctl, payload: made, len: 9 };
        let text = exported(&record).to_string();
        assert!(
            text.contains("\\\"model\\\":\\\"m\\\"") && !text.contains("secret") && !text.contains("key"),
            "{text}"
        );
    }
}
