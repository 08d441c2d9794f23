//! `send` and `logs`: a worker's events, followed until a turn has ended or for good.

use std::io::{self, BufRead, Read};

use serde_json::{Value, json};

use super::http::Server;
use super::progress::Progress;
use super::{Args, field, plain, print, workers};

/// Longest prompt that is read from standard input, in bytes; the server has its own bound.
const PROMPT_MAX: u64 = 64 * 1024 * 1024;

/// Sends a message and prints the answer of its turn; whether the turn ended well.
pub(super) fn send(server: &Server, worker: &str, text: &[&str], as_json: bool) -> Result<bool, String> {
    let path = workers::path(server, worker)?;
    let content = if text == ["-"] { prompt()? } else { text.join(" ") };
    let sent = server.json("POST", &format!("{path}/messages"), Some(&json!({"content": content})))?;
    if !workers::tells_turns(server, &path)? {
        eprintln!(
            "rs-worker send: sent; this CLI does not tell when it has answered: `rs-worker logs -f {worker}` shows what it says"
        );
        return if as_json { print(&sent.to_string()).map(|()| true) } else { Ok(true) };
    }
    let message = field(&sent, "message_id").to_owned();
    // One before the message: its own event is what the turn is known by.
    let since = sent["seq"].as_u64().unwrap_or_default().saturating_sub(1);
    let (mut ours, mut answer) = (false, Vec::new());
    let stream = server.open("GET", &format!("{path}/events?since={since}"), None)?;
    let mut well = None;
    let progress = Progress::of("waiting for the answer");
    follow(stream, &mut |event| {
        match field(event, "type") {
            "user" if field(event, "message_id") == message => ours = true,
            "assistant" if ours => answer.push(field(event, "content").to_owned()),
            "permission_request" | "question" if ours => eprintln!(
                "rs-worker send: it waits for an answer: {} (rs-worker permissions allow {worker} {})",
                plain(field(event, "content")),
                plain(field(event, "request_id"))
            ),
            "turn_completed" if ours => {
                well = Some(event["is_error"] == false && field(event, "stop_reason") == "end_turn");
                if as_json {
                    print(&event.to_string())?;
                }
            }
            "exit" if ours => return Err(format!("the worker's program has ended: {}", field(event, "content"))),
            "status" if !ours && field(event, "status") == "stopped" => {
                eprintln!("rs-worker send: the worker was stopped; the message waits for its next start");
            }
            "status" if field(event, "status") == "failed" => {
                return Err(format!("the worker has failed: {}", field(event, "content")));
            }
            _ => {}
        }
        Ok(well.is_none())
    })?;
    drop(progress);
    if !as_json && !answer.is_empty() {
        print(&plain(&answer.join("\n")))?;
    }
    well.ok_or_else(|| "the server closed the stream before the turn ended".to_owned())
}

fn prompt() -> Result<String, String> {
    let mut text = String::new();
    io::stdin()
        .lock()
        .take(PROMPT_MAX)
        .read_to_string(&mut text)
        .map_err(|error| format!("standard input: {error}"))?;
    Ok(text)
}

/// Prints a worker's history, and with `-f` all that follows.
pub(super) fn logs(server: &Server, worker: &str, args: &Args) -> Result<(), String> {
    let path = workers::path(server, worker)?;
    if !args.follow {
        let export = server.open("GET", &format!("{path}/export?format=md"), None)?;
        for line in export.lines() {
            print(&plain(&line.map_err(|error| format!("the history is not whole: {error}"))?))?;
        }
        return Ok(());
    }
    follow(server.open("GET", &format!("{path}/events?since=0"), None)?, &mut |event| {
        let line = if args.json {
            event.to_string()
        } else {
            plain(&format!("{} {:<18} {}", field(event, "timestamp"), field(event, "type"), field(event, "content")))
        };
        print(&line).map(|()| true)
    })
}

/// Gives each event of a stream to `take`, until it wants no more or the stream ends.
fn follow(stream: impl BufRead, take: &mut dyn FnMut(&Value) -> Result<bool, String>) -> Result<(), String> {
    for line in stream.lines() {
        let line = line.map_err(|error| format!("the stream of events was lost: {error}"))?;
        let Some(data) = line.strip_prefix("data: ") else { continue };
        let frame: Value = serde_json::from_str(data).map_err(|error| format!("an event is no JSON: {error}"))?;
        if frame["type"] == "output" && !take(&frame["content"])? {
            break;
        }
    }
    Ok(())
}
