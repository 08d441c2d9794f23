//! The records of a journal in the format of an export.

use serde_json::{Value, json};

use crate::journal::{Control, Kind, Record};
use crate::wire;

/// Adds the records to the object of an exported event as its last field.
pub(crate) fn append_records(event: &mut Vec<u8>, records: &[Value]) {
    if !records.is_empty() {
        event.pop();
        event.extend_from_slice(if event.last() == Some(&b'{') { b"\"records\":" } else { b",\"records\":" });
        wire::append_json(event, &records);
        event.push(b'}');
    }
}

/// One record in the format of an export; for a client that does not see all workers, without those that this one comes from.
#[must_use]
pub(crate) fn exported(record: &Record<'_>, sees_all: bool) -> Value {
    let kept = (record.kind == Kind::Ctl).then(|| without_secrets(record.payload, sees_all)).flatten();
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

/// Returns the creation record of a worker without its secrets, and without its origin unless the client `sees_all`.
fn without_secrets(payload: &[u8], sees_all: bool) -> Option<Vec<u8>> {
    let Control::Created { worker_id, name, project_path, ai_cli_type, mut options, mut forked_from, worktree } =
        Control::from_json(payload)
    else {
        return None;
    };
    if sees_all && options.env.is_empty() && options.idempotency_key.is_none() {
        return None;
    }
    options.env.clear();
    options.idempotency_key = None;
    options.request_hash = None;
    if !sees_all {
        (options.parent, options.handover, forked_from) = (None, None, None);
    }
    let created = Control::Created { worker_id, name, project_path, ai_cli_type, options, forked_from, worktree };
    Some(created.to_json())
}
