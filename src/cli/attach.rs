//! `attach`: a conversation with a worker in a terminal, or from a pipe.
//!
//! One thread follows the worker's events with a cursor, over any number of connections, and prints them; the main
//! thread reads lines and sends them; a third waits for Ctrl-C. They share the state of the conversation ([`AttachSession`]),
//! and none of them locks it during a request to the server. The threads that wait for the server and for signals end
//! with the process.

use std::collections::{HashSet, VecDeque};
use std::io::{self, BufRead as _, IsTerminal as _, Stdout};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal};
use serde_json::{Value, json};

use super::http::{ApiServer, Socket};
use super::output::{emit_note, field};
use super::prompt::{TerminalPrompt, TypedAnswer};
use super::screen::ConversationScreen;
use super::terminal::plain;
use super::workers;
use crate::percent;
use crate::thread::Thread;

/// Events of the history that are shown at the start.
const SHOWN: usize = 10;
/// Pause before the first reconnection; each failed attempt doubles it.
const RETRY_MIN: Duration = Duration::from_millis(100);
/// Longest pause before a reconnection.
const RETRY_MAX: Duration = Duration::from_secs(5);
/// Lines of a tool's input or output that are shown.
const TOOL_LINES: usize = 6;

/// State shared by the threads.
#[derive(Default)]
struct AttachSession {
    open: VecDeque<TerminalPrompt>,
    /// Messages of this client that the worker has not begun, by the client's ids.
    sent: HashSet<String>,
    in_turn: bool,
    /// True if the last turn succeeded.
    well: bool,
    /// The reason for the end.
    ended: Option<String>,
}

struct AttachState {
    talk: Mutex<AttachSession>,
    changed: Condvar,
    screen: Mutex<ConversationScreen<Stdout>>,
    /// True if the typed line was just shown.
    typed: bool,
    /// True if the CLI reports the end of a turn.
    turns: bool,
}

impl AttachState {
    fn talk(&self) -> MutexGuard<'_, AttachSession> {
        self.talk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn screen(&self) -> MutexGuard<'_, ConversationScreen<Stdout>> {
        self.screen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Prints a notice beside the conversation.
    fn report(&self, text: &str) {
        // If the line cannot be ended, the next event reports the reason.
        let _ = self.screen().end_line();
        emit_note(&plain(text).to_string());
    }

    /// Waits until the worker has processed all messages, or asks something; returns whether to continue. A CLI that
    /// does not report the end of a turn is done when it has the message.
    fn wait_for_turn(&self) -> Result<(), String> {
        let mut talk = self.talk();
        while talk.ended.is_none() && talk.open.is_empty() && ((self.turns && talk.in_turn) || !talk.sent.is_empty()) {
            talk = self.changed.wait(talk).unwrap_or_else(PoisonError::into_inner);
        }
        talk.ended.clone().map_or(Ok(()), Err)
    }
}

/// Chats until the input ends; returns whether the last turn succeeded.
pub(super) fn attach(server: &ApiServer, worker: &str) -> Result<bool, String> {
    let path = workers::path(server, worker)?;
    let typed = io::stdin().is_terminal();
    let in_terminal = io::stdout().is_terminal();
    let shared = Arc::new(AttachState {
        talk: Mutex::new(AttachSession { well: true, ..AttachSession::default() }),
        changed: Condvar::new(),
        screen: Mutex::new(ConversationScreen::new(io::stdout(), in_terminal)),
        typed: typed && in_terminal,
        turns: workers::reports_turns(server, &server.json("GET", &path, None)?)?,
    });
    let since = begin(server, &path, &shared)?;
    interrupt_at_ctrl_c(server, &path, &shared).map_err(|error| error.to_string())?;
    let reading = {
        let (server, path, shared) = (server.clone(), path.clone(), Arc::clone(&shared));
        move || {
            let why = follow(&server, &path, since, &shared);
            shared.talk().ended = Some(why);
            shared.changed.notify_all();
        }
    };
    // The thread ends with the process: it may wait forever for the server.
    Thread::spawn("events", reading).map_err(|error| error.to_string())?.detach();
    talk(server, &path, &shared, typed)
}

/// Makes Ctrl-C end the worker's turn instead of this program. Must be called before there are other threads, which
/// would get the signal otherwise.
fn interrupt_at_ctrl_c(server: &ApiServer, path: &str, shared: &Arc<AttachState>) -> io::Result<()> {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGINT);
    signals.thread_block()?;
    let (server, path, shared) = (server.clone(), path.to_owned(), Arc::clone(shared));
    let interrupting = move || {
        while signals.wait().is_ok() {
            if let Err(reported) = server.json("POST", &format!("{path}/interrupt"), Some(&json!({}))) {
                shared.report(&format!("rs-worker attach: {reported}"));
            }
        }
    };
    // The thread ends with the process: the signal may never come.
    Thread::spawn("interrupt", interrupting)?.detach();
    Ok(())
}

/// The last event that was seen: its number and its time.
#[derive(Clone, Default)]
struct AttachCursor {
    seq: u64,
    timestamp: String,
}

impl AttachCursor {
    /// Moves to an event, or to the end of the history, which `of` has under these field names.
    fn advance(&mut self, of: &Value, seq: &str, timestamp: &str) -> Option<()> {
        self.seq = of[seq].as_u64()?;
        field(of, timestamp).clone_into(&mut self.timestamp);
        Some(())
    }

    fn query(&self) -> String {
        format!("since={}&at={}", self.seq, percent::encode(&self.timestamp))
    }
}

/// Shows the newest events and open prompts; returns the cursor to continue from.
fn begin(server: &ApiServer, path: &str, shared: &AttachState) -> Result<AttachCursor, String> {
    let page = server.json("GET", &format!("{path}/messages?limit={SHOWN}"), None)?;
    for event in page["messages"].as_array().into_iter().flatten() {
        if let Some(text) = rendered(event) {
            shared.screen().line(&text)?;
        }
    }
    let status = server.json("GET", path, None)?;
    let waiting = server.json("GET", "/api/permissions", None)?;
    // From here on a lost connection is reestablished, so the greeting is printed only now.
    let (name, is) = (field(&status, "name"), field(&status, "status"));
    shared.report(&format!("[{name} is {is}; Ctrl-C interrupts, Ctrl-D detaches]"));
    let id = field(&status, "id");
    let open: Vec<TerminalPrompt> = waiting["permissions"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|it| it["worker_id"] == id)
        .map(TerminalPrompt::new)
        .collect();
    open.iter().try_for_each(|prompt| shared.screen().line(&prompt.text()))?;
    let mut talk = shared.talk();
    talk.open.extend(open);
    talk.in_turn = matches!(field(&status, "status"), "busy" | "waiting");
    let mut cursor = AttachCursor::default();
    let moved = cursor.advance(&page, "last_seq", "last_timestamp");
    moved.map(|()| cursor).ok_or_else(|| "the server did not report the end of the history".to_owned())
}

/// Reads lines and sends them.
fn talk(server: &ApiServer, path: &str, shared: &AttachState, typed: bool) -> Result<bool, String> {
    for line in io::stdin().lock().lines() {
        let line = line.map_err(|error| format!("standard input: {error}"))?;
        if let Some(why) = shared.talk().ended.clone() {
            return Err(why);
        }
        if !typed {
            shared.wait_for_turn()?;
        }
        if let Err(reported) = take(server, path, shared, &line) {
            if !typed {
                return Err(reported);
            }
            shared.report(&format!("rs-worker attach: {reported}"));
        }
    }
    if !typed {
        shared.wait_for_turn()?;
    }
    let talk = shared.talk();
    if let (false, Some(prompt)) = (typed, talk.open.front()) {
        shared.report(&format!("rs-worker attach: it waits for an answer:\n{}", prompt.text()));
    }
    Ok(typed || (talk.well && talk.open.is_empty()))
}

/// A line is an answer while a prompt is open, else a message.
fn take(server: &ApiServer, path: &str, shared: &AttachState, line: &str) -> Result<(), String> {
    let answered = {
        let mut talk = shared.talk();
        talk.open.front_mut().map(|prompt| (prompt.request_id.clone(), prompt.answer(line), prompt.text()))
    };
    match answered {
        Some((request, TypedAnswer::Post(answer), _)) => {
            server.json("POST", &format!("{path}/permissions/{}", percent::encode(&request)), Some(&answer))?;
            shared.talk().open.retain(|prompt| prompt.request_id != request);
            Ok(())
        }
        Some((_, TypedAnswer::More, next)) => shared.screen().line(&next),
        Some((_, TypedAnswer::Again(keys), _)) => Err(format!("it waits for an answer: {keys}")),
        None if line.trim().is_empty() => Ok(()),
        None => {
            let id = uuid::Uuid::new_v4().to_string();
            shared.talk().sent.insert(id.clone());
            let message = json!({"content": line, "client_message_id": id});
            server.json("POST", &format!("{path}/messages"), Some(&message)).map_err(|error| {
                shared.talk().sent.remove(&id);
                String::from(error)
            })?;
            Ok(())
        }
    }
}

/// Prints events until the stream ends for good, and returns the reason.
fn follow(server: &ApiServer, path: &str, mut since: AttachCursor, shared: &AttachState) -> String {
    let mut pause = RETRY_MIN;
    let mut lost = false;
    loop {
        let reported = match server.socket(&format!("{}?{}", socket_path(path), since.query())) {
            Ok(socket) => {
                if std::mem::take(&mut lost) {
                    shared.report("[connected again]");
                }
                pause = RETRY_MIN;
                match read(socket, &mut since, shared) {
                    Ok(()) => "the stream ended".to_owned(),
                    Err(reported) => reported,
                }
            }
            Err(error) => error.into(),
        };
        match server.json("GET", path, None) {
            Err(error) if error.is_final() => return error.into(),
            _ if shared.talk().ended.is_some() => return reported,
            _ => {}
        }
        if !std::mem::replace(&mut lost, true) {
            shared.report(&format!("[{reported}; reconnecting]"));
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(RETRY_MAX);
    }
}

/// Opens the WebSocket of the worker with this path.
fn socket_path(path: &str) -> String {
    format!("/ws/{}", path.rsplit('/').next().unwrap_or_default())
}

fn read(mut socket: Socket, since: &mut AttachCursor, shared: &AttachState) -> Result<(), String> {
    while let Some(frame) = socket.read()? {
        if frame["type"] == "resync_required" {
            shared.report("[the worker's history is another one now; from its beginning:]");
        }
        if frame["type"] != "output" {
            continue;
        }
        since.advance(&frame, "seq", "timestamp");
        note(&frame["content"], shared)?;
        shared.changed.notify_all();
    }
    Ok(())
}

/// Shows an event, then updates the shared state, so that a waiting thread finds the event shown.
fn note(event: &Value, shared: &AttachState) -> Result<(), String> {
    let kind = field(event, "type");
    let ours = kind == "user" && shared.talk().sent.contains(field(event, "client_message_id"));
    let asks = matches!(kind, "permission_request" | "question");
    let known = asks && shared.talk().open.iter().any(|prompt| prompt.request_id == field(event, "request_id"));
    if asks && !known {
        shared.screen().line(&TerminalPrompt::new(event).text())?;
    } else if kind == "delta" && field(event, "of") == "assistant" {
        let offset = event["offset"].as_u64().unwrap_or_default();
        shared.screen().piece(field(event, "message_id"), offset, field(event, "content"))?;
    } else if kind == "assistant" {
        shared.screen().message(field(event, "message_id"), &plain(field(event, "content")))?;
    } else if let (Some(text), false) = (rendered(event), asks || (ours && shared.typed)) {
        shared.screen().line(&text)?;
    }
    let mut talk = shared.talk();
    match kind {
        "user" if ours => {
            talk.sent.remove(field(event, "client_message_id"));
            talk.in_turn = true;
        }
        "turn_started" => talk.in_turn = true,
        "turn_completed" => {
            talk.in_turn = false;
            talk.well = event["is_error"] == false && field(event, "stop_reason") == "end_turn";
        }
        "permission_request" | "question" if !known => talk.open.push_back(TerminalPrompt::new(event)),
        "permission_resolved" | "question_resolved" => {
            talk.open.retain(|prompt| prompt.request_id != field(event, "request_id"));
        }
        "status" if field(event, "status") == "failed" => {
            talk.in_turn = false;
            talk.well = false;
            talk.sent.clear();
        }
        "exit" => talk.in_turn = false,
        _ => {}
    }
    Ok(())
}

/// Formats an event for people; `None` for one that is not shown.
fn rendered(event: &Value) -> Option<String> {
    let text = plain(field(event, "content"));
    Some(match field(event, "type") {
        "user" => format!("> {}", text.replace('\n', "\n> ")),
        "assistant" => text,
        "tool_call" => format!("* {}", first_lines(&text)),
        "tool_result" if event["is_error"] == true => format!("  failed: {}", first_lines(&text)),
        "tool_result" => format!("  {}", first_lines(&text)),
        "plan" | "notice" => format!("  {}", first_lines(&text)),
        "permission_resolved" => format!("  {} ({})", plain(field(event, "decision")), plain(field(event, "by"))),
        "error" => format!("! {text}"),
        "turn_completed" if field(event, "stop_reason") != "end_turn" => {
            format!("[the turn ended: {}]", plain(field(event, "stop_reason")))
        }
        "exit" => format!("[{text}]"),
        "status" if field(event, "status") == "failed" => format!("[failed: {text}]"),
        _ => return None,
    })
}

fn first_lines(text: &str) -> String {
    let mut lines = text.lines();
    let mut shown = lines.by_ref().take(TOOL_LINES).collect::<Vec<_>>().join("\n  ");
    let left = lines.count();
    if left > 0 {
        shown += &format!("\n  ... {left} lines more");
    }
    shown
}
