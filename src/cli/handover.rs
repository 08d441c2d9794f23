//! `handover`: continues a conversation in another CLI or model.

use serde_json::{Value, json};

use super::args::Args;
use super::http::ApiServer;
use super::output::{field, print, print_json};
use super::progress::Progress;
use super::terminal::plain;
use super::workers;

/// Creates the new worker and prints its id.
pub(super) fn hand_over(server: &ApiServer, worker: &str, text: &str, args: &Args) -> Result<(), String> {
    let path = format!("{}/handover", workers::path(server, worker)?);
    // A repeated request, after a lost connection, returns the same worker.
    let mut body = json!({"idempotency_key": uuid::Uuid::new_v4().to_string(), "force": args.force});
    body["where"] = json!(if args.copy { "copy" } else { "same" });
    body["as"] = json!(if args.file { "file" } else { "message" });
    if args.leave_uncommitted {
        body["uncommitted"] = json!("leave");
    }
    let texts = [("ai_cli_type", &args.cli), ("model", &args.model), ("effort", &args.effort), ("name", &args.name)];
    for (name, value) in texts.into_iter().filter_map(|(name, value)| Some((name, value.as_ref()?))) {
        body[name] = Value::from(value.as_str());
    }
    if !text.is_empty() {
        body["text"] = json!(text);
    }
    let progress = Progress::of("handing the conversation over");
    let made = server.json("POST", &path, Some(&body))?;
    drop(progress);
    note_carried(&made["carried"]);
    if args.json { print_json(&made) } else { print(field(&made, "id")) }
}

/// Reports the uncommitted changes that are not in the copy.
fn note_carried(carried: &Value) {
    let count = carried["left_out_count"].as_u64().unwrap_or_default();
    let named: Vec<&str> = carried["left_out"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if let Some(more) = (count > 0).then(|| count.saturating_sub(named.len() as u64)) {
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        eprintln!("uncommitted changes that are not in the copy: {}{more}", plain(&named.join(", ")));
    }
}
