//! Tools that read: workers, conversations, searches, changes and prompts.

use serde_json::{Value, json};

use super::session::{SessionCall, ToolResult, path};
use super::shown;

/// Bounds of numbers of entries, and their defaults.
pub(super) const WORKERS: (u64, u64) = (1, 200);
const WORKERS_DEFAULT: u64 = 50;
pub(super) const EVENTS: (u64, u64) = (1, 100);
const EVENTS_DEFAULT: u64 = 20;
pub(super) const RESULTS: (u64, u64) = (1, 50);
const RESULTS_DEFAULT: u64 = 20;
/// Bounds of cursors.
pub(super) const CURSORS: (u64, u64) = (0, u64::MAX >> 1);
/// Open prompts that are listed.
const PROMPTS_MAX: usize = 50;
/// Longest snippet of a search result, in characters.
const SNIPPET_CHARS_MAX: usize = 500;

pub(super) fn list_workers(tool: &mut SessionCall<'_, '_>) -> ToolResult {
    let limit = tool.arguments.number("limit", WORKERS)?.unwrap_or(WORKERS_DEFAULT);
    let mut query = vec![("limit", limit.to_string())];
    for name in ["status", "project", "cursor"] {
        query.extend(tool.arguments.text(name)?.filter(|text| !text.is_empty()).map(|text| (name, text)));
    }
    let page = tool.get("/api/workers", &query)?;
    let workers: Vec<Value> = page["workers"].as_array().into_iter().flatten().map(shown::worker).collect();
    Ok(json!({"workers": workers, "next": page["next"]}))
}

pub(super) fn read(tool: &mut SessionCall<'_, '_>) -> ToolResult {
    let id = tool.arguments.worker_id()?;
    let limit = tool.arguments.number("limit", EVENTS)?.unwrap_or(EVENTS_DEFAULT);
    let (since, before) = (tool.arguments.number("since", CURSORS)?, tool.arguments.number("before", CURSORS)?);
    page(tool, &id, (since, before), limit)
}

/// A page of a conversation: the newest events, those before a cursor, or the first ones after one.
pub(super) fn page(
    tool: &SessionCall<'_, '_>,
    id: &str,
    (since, before): (Option<u64>, Option<u64>),
    limit: u64,
) -> ToolResult {
    let mut query = vec![("limit", limit.to_string())];
    query.extend(since.map(|since| ("since", since.to_string())));
    query.extend(before.map(|before| ("before", before.to_string())));
    let page = tool.get(&path(id, "/messages"), &query)?;
    let (messages, is_cut) = shown::events(&page, since.is_none());
    let seq = |event: Option<&Value>| event.map_or(Value::Null, |event| event["seq"].clone());
    let has_more = is_cut || page["has_more"] == true;
    // After the last event there may be others that are not part of the conversation.
    let cursor = if since.is_some() && has_more { seq(messages.last()) } else { page["last_seq"].clone() };
    Ok(json!({
        "first_seq": seq(messages.first()),
        "cursor": cursor,
        "has_more": has_more,
        "resync_required": page["resync_required"] == true,
        "messages": messages,
    }))
}

pub(super) fn search(tool: &mut SessionCall<'_, '_>) -> ToolResult {
    let mut query = vec![("q", tool.arguments.required_text("query")?)];
    let limit = tool.arguments.number("limit", RESULTS)?.unwrap_or(RESULTS_DEFAULT);
    query.push(("limit", limit.to_string()));
    for name in ["worker_id", "cursor"] {
        query.extend(tool.arguments.text(name)?.filter(|text| !text.is_empty()).map(|text| (name, text)));
    }
    let found = tool.get("/api/search", &query)?;
    let result = |hit: &Value| {
        let (snippet, _) = shown::cut(hit["snippet"].as_str().unwrap_or_default(), SNIPPET_CHARS_MAX);
        json!({
            "worker_id": hit["worker_id"],
            "worker_name": hit["worker_name"],
            "seq": hit["seq"],
            "type": hit["type"],
            "time": hit["timestamp"],
            "snippet": snippet,
        })
    };
    let results: Vec<Value> = found["results"].as_array().into_iter().flatten().map(result).collect();
    Ok(json!({"results": results, "next": found["next"]}))
}

pub(super) fn diff(tool: &mut SessionCall<'_, '_>) -> ToolResult {
    let id = tool.arguments.worker_id()?;
    let (stat, file) = (tool.arguments.flag("stat")?, tool.arguments.text("path")?);
    let scope = tool.arguments.text("scope")?.filter(|scope| !scope.is_empty());
    let query: Vec<(&str, String)> = scope.map(|scope| ("scope", scope)).into_iter().collect();
    let changes = tool.get(&path(&id, "/diff"), &query)?;
    Ok(shown::diff(&changes, file.as_deref(), stat))
}

pub(super) fn list_prompts(tool: &mut SessionCall<'_, '_>) -> ToolResult {
    let found = tool.get("/api/permissions", &[])?;
    let all = found["permissions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let prompts: Vec<Value> = all.iter().take(PROMPTS_MAX).map(shown::prompt).collect();
    Ok(json!({"prompts": prompts, "has_more": all.len() > PROMPTS_MAX}))
}
