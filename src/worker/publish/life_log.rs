//! A worker's life cycle in the server's log: started, ended, failed. The registry logs creation and deletion.

use crate::event::{Body, Event};
use crate::journal::{Control, Kind, Record};

/// The worker of a log line, as in `worker 0f3a (docs)`.
pub(in crate::worker) fn named(id: &str, name: &str) -> String {
    format!("worker {id} ({name})")
}

/// Logs a start of the CLI.
pub(in crate::worker) fn record(id: &str, name: &str, kind: &str, record: &Record<'_>) {
    if record.kind != Kind::Ctl || !log::log_enabled!(log::Level::Info) {
        return;
    }
    // Messages with their attachments are control records too, and long.
    if !record.payload.starts_with(br#"{"type":"started""#) {
        return;
    }
    if let Control::Started { pid, shim_pid, .. } = Control::from_json(record.payload) {
        log::info!("{} started: {kind}, pid {pid}, shim {shim_pid}", named(id, name));
    }
}

/// Logs the end of the CLI's process and a failure of the worker.
pub(in crate::worker) fn event(id: &str, name: &str, event: &Event<'_>) {
    match &event.body {
        Body::Exit { .. } => log::info!("{} ended: {}", named(id, name), event.content),
        Body::Status { status: "failed", reason } => {
            let reason = reason.as_deref().unwrap_or("no reason is known");
            log::warn!("{} failed: {reason}", named(id, name));
        }
        _ => {}
    }
}
