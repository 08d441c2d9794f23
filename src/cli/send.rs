//! `send` and `logs`: follow a worker's events, until the end of a turn or without an end.

use std::io::{self, BufRead, Read};

use serde_json::{Value, json};

use super::args::Args;
use super::http::ApiServer;
use super::output::{emit_note, field, print, print_json};
use super::progress::Progress;
use super::terminal::plain;
use super::workers;

/// Longest prompt that is read from standard input, in bytes; the server has its own limit.
const PROMPT_MAX: u64 = 64 * 1024 * 1024;

/// The code of the error which reports that a new session was started, because the CLI could not resume its own.
const SESSION_LOST: &str = "session_not_found";

/// The line for a message that waits until a person answers a prompt of an earlier one.
const BEHIND_A_PROMPT: &str =
    "rs-worker send: the worker waits for an answer to an earlier prompt; `rs-worker permissions` lists it";

/// The end of a message's turn.
enum SendOutcome {
    /// Succeeded, or at least has an answer.
    Answered,
    /// Failed or was interrupted; the text says which.
    TurnFailed(String),
}

/// Sends a message, waits for the end of the turn that answers it and prints the answer. Returns whether the turn
/// succeeded; standard error has the reason otherwise.
pub(super) fn send(server: &ApiServer, worker: &str, text: &[&str], args: &Args) -> Result<bool, String> {
    let as_json = args.json;
    let path = workers::path(server, worker)?;
    let content = if text == ["-"] { prompt()? } else { text.join(" ") };
    let before = server.json("GET", &path, None)?;
    let turns = workers::reports_turns(server, &before)?;
    let message = json!({"content": content, "with_history": args.with_history});
    let sent = server.json("POST", &format!("{path}/messages"), Some(&message))?;
    // The event before the message's own, which identifies its turn.
    let since = sent["seq"].as_u64().unwrap_or_default().saturating_sub(1);
    let mut waiting = PendingMessage {
        server,
        path: &path,
        worker,
        message: field(&sent, "message_id"),
        turns,
        as_json,
        delivered: false,
        answer: Vec::new(),
        trouble: None,
        session_lost: false,
        failed: None,
    };
    let stream = server.open("GET", &format!("{path}/events?since={since}"), None)?;
    match field(&before, "status") {
        "waiting" => emit_note(BEHIND_A_PROMPT),
        "stalled" => drop(waiting.check()?),
        _ => {}
    }
    let progress = Progress::of("waiting for the answer");
    let mut outcome = None;
    follow(stream, &mut |event| {
        outcome = match event {
            Some(event) => waiting.take(event)?,
            // No event has arrived for a while.
            None => waiting.look()?,
        };
        Ok(outcome.is_none())
    })?;
    drop(progress);
    let outcome = outcome.ok_or_else(|| "the server closed the stream before the turn ended".to_owned())?;
    if !turns {
        emit_note(&format!(
            "rs-worker send: sent; this CLI does not report the end of its turns: `rs-worker logs -f {worker}` follows \
             what it prints"
        ));
        return if as_json { print_json(&sent).map(|()| true) } else { Ok(true) };
    }
    if !as_json && !waiting.answer.is_empty() {
        print(&plain(&waiting.answer.join("\n")))?;
    }
    if let SendOutcome::TurnFailed(why) = &outcome {
        emit_note(&format!("rs-worker send: {}", plain(why)));
    }
    Ok(matches!(outcome, SendOutcome::Answered))
}

/// A sent message, and its result so far.
struct PendingMessage<'s> {
    server: &'s ApiServer,
    path: &'s str,
    worker: &'s str,
    message: &'s str,
    /// True if the CLI reports the end of its turns.
    turns: bool,
    as_json: bool,
    /// True once the CLI has the message.
    delivered: bool,
    /// Text of the agent in the running turn.
    answer: Vec<String>,
    /// The last error since the message was sent.
    trouble: Option<String>,
    /// True if the CLI has lost its session since the message was sent: another run may answer it.
    session_lost: bool,
    /// The end of a turn without an answer for that reason.
    failed: Option<String>,
}

impl PendingMessage<'_> {
    /// Applies the next event of the worker. Returns how the message's turn has ended, once it has.
    fn take(&mut self, event: &Value) -> Result<Option<SendOutcome>, String> {
        let text = || field(event, "content").to_owned();
        match field(event, "type") {
            "message_state" if field(event, "message_id") == self.message => return self.state(event),
            "user" if field(event, "message_id") == self.message => self.is_delivered(),
            // Text of a sub-agent is addressed to the agent.
            "assistant" if self.delivered && event["parent_tool_call_id"].is_null() => self.answer.push(text()),
            "permission_request" | "question" if self.delivered => emit_note(&format!(
                "rs-worker send: it waits for an answer: {} (rs-worker permissions allow {} {})",
                plain(field(event, "content")),
                self.worker,
                plain(field(event, "request_id"))
            )),
            "permission_request" | "question" => emit_note(BEHIND_A_PROMPT),
            "turn_completed" => return self.turn_ended(event),
            "error" => {
                self.session_lost |= field(event, "code") == SESSION_LOST;
                self.trouble = Some(text());
                self.check()?;
            }
            "status" if field(event, "status") == "stalled" && self.delivered => {
                emit_note(&format!("rs-worker send: still waiting: {}", plain(field(event, "content"))));
            }
            "exit" | "status" => drop(self.check()?),
            _ => {}
        }
        Ok(None)
    }

    fn state(&mut self, event: &Value) -> Result<Option<SendOutcome>, String> {
        match field(event, "state") {
            "removed" => Err(self.because("the message was taken back from the queue")),
            "lost" => Err(self.because("the CLI ended before it took the message; send it again")),
            // Put back into the queue: another run of the CLI answers it.
            "queued" => {
                (self.delivered, self.session_lost, self.failed) = (false, false, None);
                Ok(None)
            }
            // The history does not repeat a message that was put back.
            "delivered" if self.turns => {
                self.is_delivered();
                Ok(None)
            }
            _ if self.turns => Ok(None),
            _ => Ok(Some(SendOutcome::Answered)),
        }
    }

    fn is_delivered(&mut self) {
        (self.delivered, self.session_lost) = (true, false);
        self.answer.clear();
    }

    fn turn_ended(&mut self, event: &Value) -> Result<Option<SendOutcome>, String> {
        let answers = |ids: &Vec<Value>| ids.iter().any(|id| id.as_str() == Some(self.message));
        // Events of earlier versions do not name their messages.
        if !event["message_ids"].as_array().map_or(self.delivered, answers) {
            self.answer.clear();
            self.trouble = None;
            return Ok(None);
        }
        let is_answered = event["is_error"] == false && field(event, "stop_reason") == "end_turn";
        let goes_back = self.session_lost && !is_answered;
        if self.as_json && !goes_back {
            print_json(event)?;
        }
        let reason = field(event, "stop_reason");
        if is_answered {
            return Ok(Some(SendOutcome::Answered));
        }
        let result = Some(field(event, "result").to_owned()).filter(|text| !text.is_empty());
        // Some CLIs print the error as a message too.
        self.answer.retain(|text| self.trouble.as_ref() != Some(text) && result.as_ref() != Some(text));
        let why = self.trouble.take().or(result).map_or_else(String::new, |why| format!(": {why}"));
        let failed = format!("the turn ended with {reason}{why}");
        if goes_back {
            // The message goes to the new session, unless that fails.
            self.failed = Some(failed);
            return Ok(None);
        }
        Ok(Some(SendOutcome::TurnFailed(failed)))
    }

    /// Reads the worker when no event has arrived for a while. Returns an outcome if the message is not on its way any
    /// more.
    fn look(&mut self) -> Result<Option<SendOutcome>, String> {
        let worker = self.check()?;
        let is_over = field(&worker, "status") == "idle" && worker["queued_messages"] == 0;
        Ok(self.failed.take_if(|_| is_over).map(SendOutcome::TurnFailed))
    }

    /// Fails when the worker does not run any more or does not respond, so that no answer will come.
    fn check(&self) -> Result<Value, String> {
        let worker = self.server.json("GET", self.path, None)?;
        let reason = field(&worker, "reason");
        match field(&worker, "status") {
            "failed" => Err(self.because(&format!("the worker has failed: {reason}"))),
            "stopped" if self.delivered => Err(self.because("the worker has stopped before it answered")),
            "stopped" => Err(self.because("the worker is stopped; the message waits for its next start")),
            "stalled" if !self.delivered => Err(self.because(&format!(
                "the worker does not respond, and the message waits in its queue: {reason}; stop and start the worker, or \
                 wait for it"
            ))),
            _ => Ok(worker),
        }
    }

    /// Formats `what` with the last error, unless it says the same.
    fn because(&self, what: &str) -> String {
        match &self.trouble {
            Some(trouble) if !what.contains(trouble.as_str()) => format!("{what} ({trouble})"),
            _ => what.to_owned(),
        }
    }
}

fn prompt() -> Result<String, String> {
    let mut text = String::new();
    io::stdin()
        .lock()
        .take(PROMPT_MAX)
        .read_to_string(&mut text)
        .map_err(|error| format!("standard input: {error}"))?;
    // The shell adds the end of the last line.
    text.truncate(text.trim_end_matches(['\n', '\r']).len());
    Ok(text)
}

/// Prints a worker's history, and with `-f` follows it.
pub(super) fn logs(server: &ApiServer, worker: &str, args: &Args) -> Result<(), String> {
    let path = workers::path(server, worker)?;
    if !args.follow {
        let export = server.open("GET", &format!("{path}/export?format=md"), None)?;
        for line in export.lines() {
            print(&plain(&line.map_err(|error| format!("the history is not whole: {error}"))?))?;
        }
        return Ok(());
    }
    follow(server.open("GET", &format!("{path}/events?since=0"), None)?, &mut |event| {
        let Some(event) = event else { return Ok(true) };
        let line = if args.json {
            event.to_string()
        } else {
            plain(&format!("{} {:<18} {}", field(event, "timestamp"), field(event, "type"), field(event, "content")))
        };
        print(&line).map(|()| true)
    })
}

/// Passes each event of a stream to `take`, and `None` whenever none arrived for a while, until `take` breaks or the
/// stream ends.
fn follow(stream: impl BufRead, take: &mut dyn FnMut(Option<&Value>) -> Result<bool, String>) -> Result<(), String> {
    for line in stream.lines() {
        let line = line.map_err(|error| format!("the stream of events was lost: {error}"))?;
        let wants_more = match line.strip_prefix("data: ") {
            None if line.starts_with(':') => take(None)?,
            None => true,
            Some(data) => {
                let frame: Value =
                    serde_json::from_str(data).map_err(|error| format!("an event is not JSON: {error}"))?;
                frame["type"] != "output" || take(Some(&frame["content"]))?
            }
        };
        if !wants_more {
            break;
        }
    }
    Ok(())
}
