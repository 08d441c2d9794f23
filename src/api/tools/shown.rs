//! The parts of the API's answers that a model needs, bounded.

use serde_json::{Map, Value, json};

/// Longest text of one event, in characters.
pub(super) const TEXT_CHARS_MAX: usize = 4_000;
/// Longest texts of all events of one answer, in characters.
const PAGE_CHARS_MAX: usize = 40_000;
/// Longest answer of an agent, in characters.
pub(super) const ANSWER_CHARS_MAX: usize = 16_000;
/// Longest diff, in characters.
pub(super) const DIFF_CHARS_MAX: usize = 60_000;

/// The fields of a worker that a model needs.
const WORKER_FIELDS: [&str; 16] = [
    "id",
    "name",
    "status",
    "reason",
    "project_path",
    "ai_cli_type",
    "model",
    "permission_mode",
    "parent",
    "open_prompts",
    "queued_messages",
    "turns",
    "cost_usd",
    "last_text",
    "last_activity",
    "last_seq",
];

/// Cuts a text; returns whether it was longer.
pub(super) fn cut(text: &str, chars_max: usize) -> (String, bool) {
    match text.char_indices().nth(chars_max) {
        Some((end, _)) => (text[..end].to_owned(), true),
        None => (text.to_owned(), false),
    }
}

/// A worker.
pub(super) fn worker(summary: &Value) -> Value {
    let field = |name: &str| (name.to_owned(), summary.get(name).cloned().unwrap_or(Value::Null));
    Value::Object(WORKER_FIELDS.map(field).into_iter().collect())
}

/// An event of a conversation.
fn event(event: &Value) -> Value {
    let content = event["content"].as_str().unwrap_or_default();
    let input = &event["input"];
    let text = if content.is_empty() && !input.is_null() { input.to_string() } else { content.to_owned() };
    let (text, is_cut) = cut(&text, TEXT_CHARS_MAX);
    let mut shown = json!({"seq": event["seq"], "time": event["timestamp"], "type": event["type"], "text": text});
    let more = [("tool", &event["name"]), ("tool", &event["tool_name"]), ("request_id", &event["request_id"])];
    for (name, value) in more.into_iter().filter(|(_, value)| value.is_string()) {
        shown[name] = value.clone();
    }
    if event["is_error"] == true {
        shown["is_error"] = json!(true);
    }
    if is_cut {
        shown["truncated"] = json!(true);
    }
    shown
}

fn chars(shown: &Value) -> usize {
    shown["text"].as_str().unwrap_or_default().chars().count()
}

/// The events of a page, oldest first, and whether some of them are left out: the oldest, or those at the end.
pub(super) fn events(page: &Value, keep_newest: bool) -> (Vec<Value>, bool) {
    let mut all: Vec<Value> = page["messages"].as_array().into_iter().flatten().map(event).collect();
    if keep_newest {
        all.reverse();
    }
    let mut left = PAGE_CHARS_MAX;
    let fits = |shown: &Value| {
        let chars = chars(shown);
        let fits = chars <= left;
        left = left.saturating_sub(chars);
        fits
    };
    let count = all.len();
    let mut kept: Vec<Value> = all.into_iter().take_while(fits).collect();
    if keep_newest {
        kept.reverse();
    }
    let is_cut = kept.len() < count;
    (kept, is_cut)
}

/// An open prompt.
pub(super) fn prompt(prompt: &Value) -> Value {
    let (text, is_cut) = cut(prompt["content"].as_str().unwrap_or_default(), TEXT_CHARS_MAX);
    let mut shown = Map::new();
    for name in ["worker_id", "worker_name", "request_id", "type", "tool_name", "timestamp"] {
        shown.insert(name.to_owned(), prompt.get(name).cloned().unwrap_or(Value::Null));
    }
    shown.insert("text".to_owned(), json!(text));
    shown.insert("truncated".to_owned(), json!(is_cut));
    let options = prompt["options"].as_array().into_iter().flatten();
    let options: Vec<Value> =
        options.filter_map(|option| option.get("id").or_else(|| option.get("option_id")).cloned()).collect();
    shown.insert("options".to_owned(), Value::Array(options));
    let questions = prompt.get("questions").filter(|questions| questions.to_string().len() <= TEXT_CHARS_MAX);
    shown.insert("questions".to_owned(), questions.cloned().unwrap_or(Value::Null));
    Value::Object(shown)
}

/// The changes of a worker; `path` is the only file whose diff is wanted, and `stat` leaves all diffs out.
pub(super) fn diff(changes: &Value, path: Option<&str>, stat: bool) -> Value {
    let whole = changes["diff"].as_str().unwrap_or_default();
    let wanted = match path {
        _ if stat => String::new(),
        None => whole.to_owned(),
        Some(path) => parts(whole).filter(|part| is_of(part, path)).collect(),
    };
    let (diff, is_cut) = cut(&wanted, DIFF_CHARS_MAX);
    let file = |file: &Value| json!({"path": file["path"], "status": file["status"], "added": file["added"], "removed": file["removed"]});
    let files: Vec<Value> = changes["files"].as_array().into_iter().flatten().take(FILES_MAX).map(file).collect();
    let commit = |commit: &Value| json!({"id": commit["id"], "subject": commit["subject"]});
    let commits: Vec<Value> =
        changes["commits"].as_array().into_iter().flatten().take(COMMITS_MAX).map(commit).collect();
    let truncated = is_cut || (!stat && changes["truncated"] == true);
    json!({
        "git": changes["git"],
        "scope": changes["scope"],
        "files": files,
        "commits": commits,
        "diff": diff,
        "truncated": truncated,
    })
}

/// Files and commits of a diff that are listed.
const FILES_MAX: usize = 500;
const COMMITS_MAX: usize = 100;

/// The parts of a diff, one for each file.
fn parts(diff: &str) -> impl Iterator<Item = &str> {
    let starts: Vec<usize> = diff
        .match_indices("diff --git ")
        .map(|(at, _)| at)
        .filter(|at| *at == 0 || diff.as_bytes()[at - 1] == b'\n')
        .collect();
    let ends: Vec<usize> = starts.iter().skip(1).copied().chain([diff.len()]).collect();
    starts.into_iter().zip(ends).map(|(start, end)| &diff[start..end])
}

fn is_of(part: &str, path: &str) -> bool {
    let line = part.lines().next().unwrap_or_default();
    line.ends_with(&format!(" b/{path}")) || line.ends_with(&format!(" \"b/{path}\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(cut("h\u{e9}llo", 2), ("h\u{e9}".to_owned(), true));
        assert_eq!(cut("abc", 3), ("abc".to_owned(), false));
    }

    #[test]
    fn pages_keep_whole_events_up_to_their_bound() {
        let long = "x".repeat(TEXT_CHARS_MAX + 1);
        let messages: Vec<Value> =
            (0..20).map(|seq| json!({"seq": seq, "type": "assistant", "content": long})).collect();
        let page = json!({"messages": messages});
        let (newest, is_cut) = events(&page, true);
        assert!(is_cut && newest.len() == PAGE_CHARS_MAX / TEXT_CHARS_MAX);
        assert_eq!((&newest.last().unwrap()["seq"], &newest[0]["truncated"]), (&json!(19), &json!(true)));
        let (oldest, _) = events(&page, false);
        assert_eq!((oldest[0]["seq"].clone(), oldest.len()), (json!(0), newest.len()));
    }

    #[test]
    fn diff_of_one_file_has_no_other() {
        let text = "diff --git a/x b/x\n+1\n+diff --git a/y b/y\ndiff --git a/y b/y\n+2\n";
        let changes = json!({"git": true, "diff": text, "files": [{"path": "x", "added": 2}], "scope": "base"});
        assert_eq!(diff(&changes, Some("y"), false)["diff"], "diff --git a/y b/y\n+2\n");
        assert_eq!(diff(&changes, None, false)["diff"], text);
        assert_eq!(diff(&changes, None, true)["diff"], "");
        assert_eq!(diff(&changes, Some("z"), false)["diff"], "");
    }
}
