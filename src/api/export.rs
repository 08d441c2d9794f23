//! A worker's history as a file.

use std::io::{self, Write};
use std::sync::Arc;

use serde_json::Value;

use super::error::ApiError;
use super::{ApiCall, RouteResult};
use crate::event::{Body, Event};
use crate::http::{Reply, Response};
use crate::wire;
use crate::worker::Worker;
use crate::worker::history::export;
use crate::worker::history::walk::{Step, WalkedEvent};
use crate::worker::publish::summary::Summary;

/// Buffer size of the output, in bytes.
const PIECE_BYTES: usize = 64 * 1024;
/// Size of records from which on they get a separate line, in bytes: an import limits the length of a line.
const RECORDS_BYTES_MAX: usize = 1024 * 1024;

#[derive(Clone, Copy)]
enum ExportFormat {
    Markdown,
    Json,
    Jsonl,
}

/// `GET /api/workers/{id}/export?format=md|json|jsonl`
pub(super) fn export(call: &ApiCall<'_>) -> RouteResult {
    let worker = call.worker()?;
    let (format, ending, content_type) = match call.head().query_value("format").unwrap_or("md") {
        "md" | "markdown" => (ExportFormat::Markdown, "md", "text/markdown; charset=utf-8"),
        "json" => (ExportFormat::Json, "json", "application/json"),
        "jsonl" => (ExportFormat::Jsonl, "jsonl", "application/x-ndjson"),
        other => {
            let text = format!("Input should be md, json or jsonl, not {other:?}");
            return Err(ApiError::mistake("query", "format", text, "enum"));
        }
    };
    let safe: String = worker
        .state()
        .name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_') { c } else { '-' })
        .collect();
    let response = Response::new(200)
        .with_header("Content-Type", content_type)
        .with_header("Content-Disposition", &format!("attachment; filename=\"{safe}.{ending}\""));
    let (summary, sees_all) = (call.summary(&worker), call.sees_everything());
    Ok(Reply::Stream(response, Box::new(move |out| write_all(&worker, &summary, (format, sees_all), out))))
}

fn write_all(
    worker: &Arc<Worker>,
    summary: &Summary,
    (format, sees_all): (ExportFormat, bool),
    out: &mut dyn Write,
) -> io::Result<()> {
    let until = worker.views().end();
    let mut walk = worker.archive().walk(0)?;
    let mut piece = Vec::new();
    let mut first = true;
    match format {
        ExportFormat::Markdown => {
            let state = worker.state();
            writeln!(piece, "# {}\n\n{} in `{}`\n", state.name, state.ai_cli_type, state.project_path)?;
        }
        ExportFormat::Json => {
            piece.extend_from_slice(b"{\"worker\":");
            wire::append_json(&mut piece, summary);
            piece.extend_from_slice(b",\"events\":[");
        }
        ExportFormat::Jsonl => {}
    }
    let (mut records, mut recorded) = (Vec::new(), 0);
    let mut at = 0;
    while at < until {
        let reached = walk.step_records(until, &mut |step| match (format, step) {
            // An import reads the records, which go with the next event.
            (ExportFormat::Jsonl, Step::Record(record)) => {
                records.push(export::exported(record, sees_all));
                recorded += record.payload.len();
                if recorded > RECORDS_BYTES_MAX {
                    append_line(&mut piece, b"{}".to_vec(), &mut records);
                    recorded = 0;
                }
            }
            (_, Step::Record(_)) => {}
            (format, Step::Event(walked)) => match format {
                ExportFormat::Markdown => append_markdown(&mut piece, walked.output.event),
                ExportFormat::Json => {
                    if !std::mem::take(&mut first) {
                        piece.push(b',');
                    }
                    append_event(&mut piece, walked);
                }
                ExportFormat::Jsonl => {
                    append_line(&mut piece, walked.to_json(), &mut records);
                    recorded = 0;
                }
            },
        })?;
        if reached == at {
            break;
        }
        at = reached;
        if piece.len() >= PIECE_BYTES {
            out.write_all(&piece)?;
            out.flush()?;
            piece.clear();
        }
    }
    if matches!(format, ExportFormat::Json) {
        piece.extend_from_slice(b"]}\n");
    }
    if !records.is_empty() {
        append_line(&mut piece, b"{}".to_vec(), &mut records);
    }
    out.write_all(&piece)
}

/// Appends a line of a JSONL export: an object with the records since the line before.
fn append_line(piece: &mut Vec<u8>, mut object: Vec<u8>, records: &mut Vec<Value>) {
    export::append_records(&mut object, records);
    records.clear();
    piece.extend_from_slice(&object);
    piece.push(b'\n');
}

fn append_event(piece: &mut Vec<u8>, walked: &WalkedEvent<'_>) {
    piece.extend_from_slice(&walked.to_json());
}

/// Writes the conversation for people; events that only programs need are left out.
fn append_markdown(piece: &mut Vec<u8>, event: &Event<'_>) {
    let text = &event.content;
    let written = match &event.body {
        Body::User { .. } => format!("## User\n\n{text}\n\n"),
        Body::Assistant { .. } => format!("{text}\n\n"),
        Body::Thinking { .. } => format!("<details><summary>Thinking</summary>\n\n{text}\n\n</details>\n\n"),
        Body::ToolCall { name, .. } => format!("**{name}**\n\n{}\n", fenced(text)),
        Body::ToolResult { is_error, .. } => {
            format!("{}\n\n{}\n", if *is_error { "Failed:" } else { "Result:" }, fenced(text))
        }
        Body::PermissionRequest { tool_name, .. } => format!("> May {tool_name} run? {text}\n\n"),
        Body::PermissionResolved { decision, rule: Some(rule), .. } => format!("> {decision} (rule {rule})\n\n"),
        Body::PermissionResolved { decision, by, updated_input: Some(input), .. } => {
            format!("> {decision} ({by}), with another input:\n\n{}\n", fenced(&input.to_string()))
        }
        Body::PermissionResolved { decision, by, .. } => format!("> {decision} ({by})\n\n"),
        Body::Question { .. } | Body::Plan { .. } | Body::Notice { .. } => format!("> {text}\n\n"),
        Body::Error { .. } => format!("> **Error:** {text}\n\n"),
        Body::TurnCompleted { .. } => "---\n\n".to_owned(),
        _ => return,
    };
    piece.extend_from_slice(written.as_bytes());
}

/// Writes a code block whose fence is longer than any in the text.
fn fenced(text: &str) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    format!("{fence}\n{text}\n{fence}\n")
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_fence_is_longer_than_any_inside_it() {
        assert_eq!(super::fenced("a"), "```\na\n```\n");
        assert_eq!(super::fenced("````x"), "`````\n````x\n`````\n");
    }
}
