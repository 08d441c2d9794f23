//! The app server of Codex: one thread, turns that are scripts.
//!
//! ```text
//! deltas N [MS [FILE]]  thinks and says N words, in turns, one of each every MS milliseconds; with FILE, N more after it
//!                       is there
//! tokens N              uses N tokens
//! ```
//! Any other prompt is answered `You said: ...`.

use std::io::{self, BufRead as _, Write as _};
use std::process::ExitCode;

use serde_json::{Value, json};

use crate::pace;

const THREAD: &str = "thread-1";

/// Plays the app server until stdin ends.
pub(crate) fn run() -> io::Result<ExitCode> {
    let mut turns = 0;
    for line in io::stdin().lock().lines() {
        let line: Value = serde_json::from_str(&line?)?;
        let id = &line["id"];
        match line["method"].as_str().unwrap_or_default() {
            "thread/start" | "thread/resume" | "thread/fork" => {
                let thread = json!({"id": THREAD});
                respond(id, &json!({"thread": thread, "model": "fake", "approvalPolicy": "on-request"}))?;
            }
            "turn/start" => {
                turns += 1;
                turn(id, turns, line["params"]["input"][0]["text"].as_str().unwrap_or_default())?;
            }
            _ if id.is_null() => {}
            _ => respond(id, &json!({}))?,
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn turn(id: &Value, number: u64, prompt: &str) -> io::Result<()> {
    let turn = format!("turn-{number}");
    let turn_as = |status: &str| json!({"id": turn, "status": status, "items": []});
    respond(id, &json!({"turn": turn_as("inProgress")}))?;
    notify("turn/started", &json!({"threadId": THREAD, "turn": turn_as("inProgress")}))?;
    let item = |kind: &str| format!("{kind}-{number}");
    let piece = |method: &str, item: &str, text: &str| {
        notify(method, &json!({"threadId": THREAD, "turnId": turn, "itemId": item, "delta": text, "summaryIndex": 0}))
    };
    if let Some(count) = prompt.strip_prefix("tokens ").and_then(|count| count.parse::<u64>().ok()) {
        let counts = json!({"inputTokens": count, "outputTokens": 0, "totalTokens": count});
        let total = json!({"inputTokens": count * number, "outputTokens": 0, "totalTokens": count * number});
        let usage = json!({"total": total, "last": counts, "modelContextWindow": 100_000});
        notify("thread/tokenUsage/updated", &json!({"threadId": THREAD, "turnId": turn, "tokenUsage": usage}))?;
    }
    let (mut thought, mut said) = (String::new(), String::new());
    match prompt.strip_prefix("deltas ") {
        Some(script) => pace::words(script, |word| {
            thought.push_str(word);
            said.push_str(word);
            piece("item/reasoning/summaryTextDelta", &item("thought"), word)?;
            piece("item/agentMessage/delta", &item("message"), word)
        })?,
        None => said = format!("You said: {prompt}"),
    }
    let completed = |item: Value| notify("item/completed", &json!({"threadId": THREAD, "turnId": turn, "item": item}));
    if !thought.is_empty() {
        completed(json!({"type": "reasoning", "id": item("thought"), "summary": [thought], "content": []}))?;
    }
    completed(json!({"type": "agentMessage", "id": item("message"), "text": said}))?;
    notify("turn/completed", &json!({"threadId": THREAD, "turn": turn_as("completed")}))
}

fn respond(id: &Value, result: &Value) -> io::Result<()> {
    print(&format!(r#"{{"id":{id},"result":{result}}}"#))
}

fn notify(method: &str, params: &Value) -> io::Result<()> {
    print(&format!(r#"{{"method":"{method}","params":{params}}}"#))
}

fn print(line: &str) -> io::Result<()> {
    let mut stdout = io::stdout();
    writeln!(stdout, "{line}")?;
    stdout.flush()
}
