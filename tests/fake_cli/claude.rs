//! Claude Code's stream-json protocol: the lines that go in and out, turns, control requests.
//!
//! One thread reads stdin, the main thread plays the turns. A line that the real CLI cannot read ends it, and so it
//! does here. Messages that come while a turn runs wait for its end.

mod print;

use std::collections::VecDeque;
use std::fs;
use std::io::{self, BufRead, BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError, sync_channel};
use std::thread;
use std::time::Instant;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::script;

/// Input lines that wait to be looked at.
const LINES_WAITING: usize = 1_024;
/// Bytes gathered before a write.
const BUFFER: usize = 64 * 1024;

/// Input that the reading thread hands over.
enum Input {
    /// A JSON object.
    Line(Value),
    /// A line that ends the program, with the message for stderr.
    Broken(String),
    /// Stdin has ended.
    End,
}

/// The end of a turn.
pub(crate) enum TurnEnd {
    /// An answer.
    Answer(String),
    /// The text was printed already; this is the result to repeat.
    Said(String),
    /// An interrupt.
    Interrupted,
    /// An error on the model's side.
    Failed(String),
    /// Everything was printed by the script, the result too.
    Played,
    /// The program ends now, in the middle of the turn.
    Exit(u8),
}

/// The program's state.
pub(crate) struct Claude {
    out: BufWriter<io::Stdout>,
    input: Receiver<Input>,
    waiting: VecDeque<Value>,
    ended: bool,
    broken: Option<String>,
    /// Set by an `interrupt` request, taken by the turn.
    interrupted: bool,
    /// Answers to our own requests that nobody has looked at yet.
    answers: Vec<Value>,
    session_id: String,
    model: String,
    permission_mode: String,
    /// The arguments, for scripts that show them.
    pub(crate) args: Vec<String>,
    replays: bool,
    deltas: bool,
    asks: bool,
    turns: u64,
    failed_last: bool,
}

/// Plays the CLI until stdin ends.
pub(crate) fn run(args: &[String]) -> io::Result<ExitCode> {
    let option = |name: &str| args.iter().position(|word| word == name).and_then(|at| args.get(at + 1)).cloned();
    let flag = |name: &str| args.iter().any(|word| word == name);
    if option("--output-format").as_deref() != Some("stream-json") || !flag("--verbose") {
        eprintln!("Error: fake_cli plays stream-json only: --output-format stream-json --verbose");
        return Ok(ExitCode::FAILURE);
    }
    let resumed = option("--resume");
    if let Some(id) = &resumed
        && !memory(id).exists()
    {
        eprintln!("No conversation found with session ID: {id}");
        return Ok(ExitCode::FAILURE);
    }
    let chosen = option("--session-id");
    let session_id = if flag("--fork-session") { chosen } else { resumed.clone().or(chosen) };
    let session_id = session_id.unwrap_or_else(|| Uuid::new_v4().to_string());
    if let Some(from) = resumed.filter(|from| *from != session_id) {
        fs::copy(memory(&from), memory(&session_id))?;
    }
    let (sender, input) = sync_channel(LINES_WAITING);
    // Never joined: it sits in a read that only the end of stdin finishes, and ends with the process.
    thread::spawn(move || {
        for line in io::stdin().lock().lines() {
            let read = match line {
                Ok(line) if line.is_empty() => continue,
                Ok(line) => match serde_json::from_str(&line) {
                    Ok(value) => Input::Line(value),
                    Err(error) => Input::Broken(format!("Error parsing streaming input line: {line}: {error}")),
                },
                Err(error) => Input::Broken(format!("Error reading stdin: {error}")),
            };
            if sender.send(read).is_err() {
                return;
            }
        }
        let _ = sender.send(Input::End);
    });
    let mut claude = Claude {
        out: BufWriter::with_capacity(BUFFER, io::stdout()),
        input,
        waiting: VecDeque::new(),
        ended: false,
        broken: None,
        interrupted: false,
        answers: Vec::new(),
        session_id,
        model: option("--model").unwrap_or_else(|| "fake-model".to_owned()),
        permission_mode: option("--permission-mode").unwrap_or_else(|| "default".to_owned()),
        args: args.to_vec(),
        replays: flag("--replay-user-messages"),
        deltas: flag("--include-partial-messages"),
        asks: option("--permission-prompt-tool").as_deref() == Some("stdio"),
        turns: 0,
        failed_last: false,
    };
    claude.play()
}

/// The file that remembers the messages of a session, one a line, in the way of the real CLI's transcripts.
fn memory(session_id: &str) -> PathBuf {
    let home = std::env::var_os("HOME").map_or_else(|| PathBuf::from("."), PathBuf::from);
    home.join(".fake_cli").join(session_id)
}

impl Claude {
    fn play(&mut self) -> io::Result<ExitCode> {
        loop {
            self.out.flush()?;
            if let Some(message) = &self.broken {
                eprintln!("{message}");
                return Ok(ExitCode::FAILURE);
            }
            // An interrupt of an idle CLI has no effect.
            self.interrupted = false;
            if let Some(message) = self.waiting.pop_front() {
                if let Some(code) = self.turn(&message)? {
                    self.out.flush()?;
                    return Ok(ExitCode::from(code));
                }
            } else if self.ended {
                return Ok(ExitCode::from(u8::from(self.failed_last)));
            } else {
                self.listen(None)?;
            }
        }
    }

    /// Takes input: what is there already, or the next until `deadline` (without one, however long it takes).
    pub(crate) fn listen(&mut self, deadline: Option<Instant>) -> io::Result<()> {
        self.out.flush()?;
        let next = match deadline {
            None => self.input.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(deadline) => self.input.recv_timeout(deadline.saturating_duration_since(Instant::now())),
        };
        match next {
            Ok(input) => self.take(input),
            Err(RecvTimeoutError::Timeout) => Ok(()),
            Err(RecvTimeoutError::Disconnected) => {
                self.ended = true;
                // With stdin at its end there is nothing to wake a waiting turn but its deadline.
                match deadline {
                    Some(deadline) => thread::sleep(deadline.saturating_duration_since(Instant::now())),
                    None => thread::park(),
                }
                Ok(())
            }
        }
    }

    /// Takes the input that is there, without waiting or flushing.
    pub(crate) fn look(&mut self) -> io::Result<()> {
        loop {
            match self.input.try_recv() {
                Ok(input) => self.take(input)?,
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => return Ok(()),
            }
        }
    }

    fn take(&mut self, input: Input) -> io::Result<()> {
        let line = match input {
            Input::Line(line) => line,
            Input::Broken(message) => {
                self.broken = Some(message);
                return Ok(());
            }
            Input::End => {
                self.ended = true;
                return Ok(());
            }
        };
        match line["type"].as_str() {
            Some("user") if line["message"]["role"] == "user" => self.waiting.push_back(line),
            Some("user") => self.broken = Some("Error: Expected message role 'user'".to_owned()),
            Some("control_request") if line["request"].is_object() => self.control(&line)?,
            Some("control_request") => self.broken = Some("Error: control_request without request".to_owned()),
            Some("control_response") => self.answers.push(line["response"].clone()),
            _ => {}
        }
        Ok(())
    }

    fn control(&mut self, line: &Value) -> io::Result<()> {
        let request = &line["request"];
        let mut answer = json!({"subtype": "success", "request_id": line["request_id"]});
        let mut status = None;
        match request["subtype"].as_str().unwrap_or_default() {
            "initialize" => {
                answer["response"] = json!({
                    "commands": [{"name": "compact", "description": "Compacts the conversation", "argumentHint": ""}],
                    "agents": [], "models": [{"value": "default", "displayName": "Default"}],
                    "account": {"apiKeySource": "none"}, "output_style": "default", "pid": std::process::id(),
                });
            }
            "interrupt" => self.interrupted = true,
            "set_model" => {
                self.model = request["model"].as_str().unwrap_or("fake-model").to_owned();
                let text = format!("<local-command-stdout>Set model to {}</local-command-stdout>", self.model);
                self.line(json!({"type": "user", "message": {"role": "user", "content": text}, "isReplay": true,
                                 "parent_tool_use_id": null}))?;
            }
            // As the real one, unless it was started with it.
            "set_permission_mode" if request["mode"] == "bypassPermissions" => {
                answer["subtype"] = "error".into();
                answer["error"] =
                    "Cannot set permission mode to bypassPermissions because the session was not launched \
                                   with --dangerously-skip-permissions"
                        .into();
            }
            "set_permission_mode" => {
                self.permission_mode = request["mode"].as_str().unwrap_or("default").to_owned();
                answer["response"] = json!({"mode": self.permission_mode});
                status = Some(json!({"type": "system", "subtype": "status", "status": null,
                                     "permissionMode": self.permission_mode}));
            }
            other => {
                answer["subtype"] = "error".into();
                answer["error"] = format!("Unsupported control request subtype: {other}").into();
            }
        }
        self.raw(&json!({"type": "control_response", "response": answer}).to_string())?;
        if let Some(status) = status {
            self.line(status)?;
        }
        self.out.flush()
    }

    /// One turn; gives the exit code when the program is to end within it.
    fn turn(&mut self, message: &Value) -> io::Result<Option<u8>> {
        let text = text_of(&message["message"]["content"]);
        self.turns += 1;
        remember(&self.session_id, &text)?;
        self.line(json!({
            "type": "system", "subtype": "init", "cwd": std::env::current_dir()?, "model": self.model,
            "permissionMode": self.permission_mode, "tools": ["Bash", "Read", "Write"], "mcp_servers": [],
            "slash_commands": ["compact"], "apiKeySource": "none", "claude_code_version": "2.1.197",
        }))?;
        self.line(json!({"type": "system", "subtype": "status", "status": "requesting"}))?;
        self.out.flush()?;
        if self.replays {
            let mut replay = json!({"type": "user", "message": message["message"], "isReplay": true,
                                    "parent_tool_use_id": null});
            if !message["uuid"].is_null() {
                replay["uuid"] = message["uuid"].clone();
            }
            self.line(replay)?;
        }
        let end = script::play(self, &text)?;
        self.failed_last = matches!(end, TurnEnd::Interrupted | TurnEnd::Failed(_));
        match end {
            TurnEnd::Exit(code) => return Ok(Some(code)),
            TurnEnd::Played => {}
            TurnEnd::Answer(text) => {
                self.say(&text)?;
                self.result("success", false, &text)?;
            }
            TurnEnd::Said(text) => self.result("success", false, &text)?,
            TurnEnd::Failed(text) => {
                self.assistant(&json!([{"type": "text", "text": text}]))?;
                self.result("success", true, &text)?;
            }
            TurnEnd::Interrupted => {
                self.interrupted = false;
                self.user(&json!([{"type": "text", "text": "[Request interrupted by user]"}]))?;
                self.result("error_during_execution", true, "")?;
            }
        }
        self.out.flush()?;
        Ok(None)
    }

    /// Returns whether the turn has been interrupted, after a look at the input.
    pub(crate) fn is_interrupted(&mut self) -> io::Result<bool> {
        self.look()?;
        Ok(self.interrupted || self.broken.is_some())
    }

    /// Returns whether stdin has ended.
    pub(crate) fn is_at_end(&self) -> bool {
        self.ended
    }

    /// Returns the number of messages that the session remembers, this turn's too.
    pub(crate) fn remembered(&self) -> usize {
        fs::read_to_string(memory(&self.session_id)).map_or(0, |text| text.lines().count())
    }

    /// Returns the number of times that the session was asked this, this turn included.
    pub(crate) fn times_asked(&self, prompt: &str) -> usize {
        let line = Value::from(prompt).to_string();
        let remembered = fs::read_to_string(memory(&self.session_id)).unwrap_or_default();
        remembered.lines().filter(|other| **other == line).count()
    }

    /// Asks for a permission and waits for the answer, an interrupt, or the end of stdin (`None`). Without
    /// `--permission-prompt-tool stdio` it is refused at once, as the real CLI does.
    pub(crate) fn ask(&mut self, tool: &str, tool_use_id: &str, input: &Value) -> io::Result<Option<Value>> {
        if !self.asks {
            return Ok(Some(json!({"behavior": "deny", "message": "This tool needs a permission."})));
        }
        let id = std::env::var("FAKE_REQUEST_ID").unwrap_or_else(|_| Uuid::new_v4().to_string());
        self.raw(
            &json!({"type": "control_request", "request_id": id,
                    "request": {"subtype": "can_use_tool", "tool_name": tool, "display_name": tool, "input": input,
                                "permission_suggestions": [], "tool_use_id": tool_use_id}})
            .to_string(),
        )?;
        loop {
            if self.is_interrupted()? {
                self.raw(&json!({"type": "control_cancel_request", "request_id": id}).to_string())?;
                return Ok(None);
            }
            if let Some(at) = self.answers.iter().position(|answer| answer["request_id"] == id.as_str()) {
                let answer = self.answers.swap_remove(at);
                let refused = json!({"behavior": "deny", "message": answer["error"]});
                return Ok(Some(if answer["subtype"] == "success" { answer["response"].clone() } else { refused }));
            }
            if self.ended {
                return Ok(None);
            }
            self.listen(None)?;
        }
    }
}

fn remember(session_id: &str, text: &str) -> io::Result<()> {
    let path = memory(session_id);
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    let mut file = fs::OpenOptions::new().create(true).append(true).open(path)?;
    writeln!(file, "{}", Value::from(text))
}

fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            let texts: Vec<&str> = parts.iter().filter_map(|part| part["text"].as_str()).collect();
            texts.join("\n")
        }
        _ => String::new(),
    }
}
