//! An agent of the Agent Client Protocol: one session, prompts as scripts, permissions that wait for as long as it
//! takes.
//!
//! ```text
//! permission        asks once; says what was decided
//! cut N             says N words, then nothing until it is cancelled
//! deltas N [MS [FILE]]  says N words, one every MS milliseconds; with FILE, N more after it is there
//! answers           says how many answers to permission requests have come in all
//! late WORDS        ends its turn, and says the words after that
//! form              asks for a form; says what came
//! servers           says which MCP servers it was given
//! options           says the values of its options
//! opened            says how its session was opened, and which one
//! ```
//! Any other prompt is answered `You said: ...`.

use std::io::{self, BufRead, Write};
use std::process::ExitCode;

use serde_json::{Value, json};

use crate::pace;

const SESSION: &str = "session-1";

/// The agent's memory.
#[derive(Default)]
struct Agent {
    /// The id of the prompt that is being answered.
    prompt: Option<Value>,
    /// The permission request that is open, by its id.
    open: Option<u64>,
    asked: u64,
    answers: u64,
    /// The form that is open, by its id.
    form: Option<u64>,
    /// The MCP servers of the session.
    servers: Value,
    /// The values of its options.
    options: Options,
    /// The request that opened its session, and that session.
    opened: String,
}

/// Options that can be set.
struct Options {
    mode: String,
    model: String,
    effort: String,
    fast: bool,
}

impl Default for Options {
    fn default() -> Self {
        let text = str::to_owned;
        Self { mode: text("ask"), model: text("small"), effort: text("low"), fast: false }
    }
}

impl Options {
    /// The values that the protocol lists.
    fn list(&self) -> Value {
        let select = |id: &str, category: &str, value: &str, values: &[&str]| {
            let options: Vec<Value> = values.iter().map(|it| json!({"value": it, "name": it.to_uppercase()})).collect();
            json!({"id": id, "name": id, "category": category, "type": "select", "currentValue": value, "options": options})
        };
        let models = json!([{"group": "g", "name": "All", "options": [
            {"value": "small", "name": "Small"}, {"value": "large", "name": "Large", "description": "slow"},
            {"value": "refused", "name": "Refused"}]}]);
        let mut model = select("model", "model", &self.model, &[]);
        model["options"] = models;
        json!([select("mode", "mode", &self.mode, &["ask", "yolo", "refused"]), model,
            select("effort", "thought_level", &self.effort, &["low", "high", "refused"]),
            {"id": "fast", "name": "Fast", "type": "boolean", "currentValue": self.fast}])
    }

    /// Sets one; whether it is one.
    fn set(&mut self, id: &str, value: &Value) -> bool {
        let text = value.as_str().filter(|value| *value != "refused");
        let place = match (id, text) {
            ("fast", None) if value.is_boolean() => {
                self.fast = value == true;
                return true;
            }
            ("mode", Some(_)) => &mut self.mode,
            ("model", Some(_)) => &mut self.model,
            ("effort", Some(_)) => &mut self.effort,
            _ => return false,
        };
        text.unwrap_or_default().clone_into(place);
        true
    }
}

/// Plays the agent until stdin ends.
pub(crate) fn run() -> io::Result<ExitCode> {
    let mut agent = Agent::default();
    for line in io::stdin().lock().lines() {
        let line: Value = serde_json::from_str(&line?)?;
        match line["method"].as_str() {
            Some(method) => agent.request(method, &line)?,
            None => agent.answered(&line)?,
        }
    }
    Ok(ExitCode::SUCCESS)
}

impl Agent {
    fn request(&mut self, method: &str, line: &Value) -> io::Result<()> {
        let id = &line["id"];
        match method {
            "initialize" => {
                let capabilities = json!({"loadSession": true, "promptCapabilities": {}, "mcpCapabilities": {"http": true},
                    "sessionCapabilities": {"list": {}, "fork": {}}});
                respond(id, json!({"protocolVersion": 1, "agentCapabilities": capabilities, "authMethods": []}))
            }
            "session/new" | "session/load" | "session/fork" => {
                self.servers = line["params"]["mcpServers"].clone();
                let session = if method == "session/fork" { "session-2" } else { SESSION };
                let asked = line["params"]["sessionId"].as_str().unwrap_or(session);
                self.opened = format!("{method} {asked}");
                let mut opened = json!({"configOptions": self.options.list()});
                if method != "session/load" {
                    opened["sessionId"] = session.into();
                }
                respond(id, opened)
            }
            "session/list" => {
                let session = json!({"sessionId": "session-9", "cwd": "/srv/docs", "title": "An old one",
                    "updatedAt": "2026-01-02T03:04:05Z"});
                respond(id, json!({"sessions": [session]}))
            }
            "session/set_config_option" => {
                let params = &line["params"];
                if self.options.set(params["configId"].as_str().unwrap_or_default(), &params["value"]) {
                    respond(id, json!({"configOptions": self.options.list()}))
                } else {
                    print(&json!({"id": id, "error": {"code": -32602, "message": "no such value"}}))
                }
            }
            "session/prompt" => self.prompt(id, line["params"]["prompt"][0]["text"].as_str().unwrap_or_default()),
            "session/cancel" => self.end("cancelled"),
            _ => print(&json!({"id": id, "error": {"code": -32601, "message": "method not found"}})),
        }
    }

    fn prompt(&mut self, id: &Value, text: &str) -> io::Result<()> {
        self.prompt = Some(id.clone());
        match text.split_once(' ').unwrap_or((text, "")) {
            ("permission", _) => self.ask(),
            ("cut", count) => (0..count.parse().unwrap_or(1)).try_for_each(|number| say(&format!("w{number} "))),
            ("late", words) => self.late(words),
            ("form", _) => self.ask_form(),
            ("servers", _) => {
                say(&self.servers.to_string())?;
                self.end("end_turn")
            }
            ("opened", _) => {
                say(&self.opened)?;
                self.end("end_turn")
            }
            ("options", _) => {
                let Options { mode, model, effort, fast } = &self.options;
                say(&format!("{mode} {model} {effort} {fast}"))?;
                self.end("end_turn")
            }
            ("deltas", rest) => {
                pace::words(rest, say)?;
                self.end("end_turn")
            }
            ("answers", _) => {
                say(&format!("{} answers", self.answers))?;
                self.end("end_turn")
            }
            _ => {
                say(&format!("You said: {text}"))?;
                self.end("end_turn")
            }
        }
    }

    fn ask(&mut self) -> io::Result<()> {
        say("I ask first.")?;
        let id = self.asked;
        self.asked += 1;
        self.open = Some(id);
        let call = json!({"toolCallId": format!("call-{id}"), "title": "make it", "kind": "execute", "status": "pending",
                          "rawInput": {"command": "make it"}});
        update("tool_call", &call)?;
        let options = json!([{"optionId": "once", "kind": "allow_once", "name": "Allow once"},
                             {"optionId": "reject", "kind": "reject_once", "name": "Reject"}]);
        print(&json!({"id": id, "method": "session/request_permission",
                      "params": {"sessionId": SESSION, "toolCall": call, "options": options}}))
    }

    fn ask_form(&mut self) -> io::Result<()> {
        let id = self.asked;
        self.asked += 1;
        self.form = Some(id);
        let properties = json!({
            "name": {"type": "string", "title": "Name", "description": "Your name?", "minLength": 2},
            "count": {"type": "integer", "minimum": 1, "maximum": 9, "default": 3},
            "color": {"type": "string", "oneOf": [{"const": "r", "title": "Red"}, {"const": "b", "title": "Blue"}]},
            "sure": {"type": "boolean", "default": false},
        });
        let schema = json!({"type": "object", "properties": properties, "required": ["name", "color"]});
        print(&json!({"id": id, "method": "elicitation/create",
            "params": {"sessionId": SESSION, "mode": "form", "message": "Who are you?", "requestedSchema": schema}}))
    }

    fn answered(&mut self, line: &Value) -> io::Result<()> {
        if self.form.take_if(|id| line["id"] == *id).is_some() {
            say(&format!("form: {}", if line["error"].is_null() { &line["result"] } else { &line["error"] }))?;
            return self.end("end_turn");
        }
        self.answers += 1;
        let Some(id) = self.open.take_if(|id| line["id"] == *id) else { return Ok(()) };
        let outcome = &line["result"]["outcome"];
        if outcome["outcome"] == "cancelled" {
            return Ok(());
        }
        let allowed = outcome["optionId"] == "once";
        let status = if allowed { "completed" } else { "failed" };
        let content = json!([{"type": "content", "content": {"type": "text", "text": status}}]);
        update("tool_call_update", &json!({"toolCallId": format!("call-{id}"), "status": status, "content": content}))?;
        say(if allowed { "It was allowed." } else { "It was denied." })?;
        self.end("end_turn")
    }

    /// Ends the turn and says the words in one write: nobody sees a part of it, however long this process has to wait.
    fn late(&mut self, words: &str) -> io::Result<()> {
        let end = self.prompt.take().map(|id| json!({"id": id, "result": {"stopReason": "end_turn"}}));
        let lines: Vec<String> =
            end.into_iter().chain(words.split_inclusive(' ').map(said)).map(|it| line(&it)).collect();
        write(&lines.concat())
    }

    fn end(&mut self, reason: &str) -> io::Result<()> {
        match self.prompt.take() {
            Some(id) => respond(&id, json!({"stopReason": reason})),
            None => Ok(()),
        }
    }
}

fn say(text: &str) -> io::Result<()> {
    print(&said(text))
}

/// The message that says a text.
fn said(text: &str) -> Value {
    updated("agent_message_chunk", &json!({"content": {"type": "text", "text": text}}))
}

fn update(kind: &str, fields: &Value) -> io::Result<()> {
    print(&updated(kind, fields))
}

/// The message with an update of the session.
fn updated(kind: &str, fields: &Value) -> Value {
    let mut update = fields.clone();
    update["sessionUpdate"] = kind.into();
    json!({"method": "session/update", "params": {"sessionId": SESSION, "update": update}})
}

fn respond(id: &Value, result: Value) -> io::Result<()> {
    print(&json!({"id": id, "result": result}))
}

fn print(message: &Value) -> io::Result<()> {
    write(&line(message))
}

/// A message as a line.
fn line(message: &Value) -> String {
    let mut message = message.clone();
    message["jsonrpc"] = "2.0".into();
    format!("{message}\n")
}

fn write(lines: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(lines.as_bytes())?;
    stdout.flush()
}
