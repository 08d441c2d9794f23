//! An agent of the Agent Client Protocol: one session, prompts as scripts, permissions that wait for as long as it takes.
//!
//! ```text
//! permission        asks once; says what was decided
//! cut N             says N words, then nothing until it is cancelled
//! answers           says how many answers to permission requests have come in all
//! ```
//! Any other prompt is answered `You said: ...`.

use std::io::{self, BufRead, Write};
use std::process::ExitCode;

use serde_json::{Value, json};

const SESSION: &str = "session-1";

/// What the agent remembers.
#[derive(Default)]
struct Agent {
    /// The id of the prompt that is being answered.
    prompt: Option<Value>,
    /// The permission request that is open, by its id.
    open: Option<u64>,
    asked: u64,
    answers: u64,
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
                let capabilities = json!({"loadSession": true, "promptCapabilities": {}});
                respond(id, json!({"protocolVersion": 1, "agentCapabilities": capabilities, "authMethods": []}))
            }
            "session/new" => respond(id, json!({"sessionId": SESSION})),
            "session/load" => respond(id, json!({})),
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

    fn answered(&mut self, line: &Value) -> io::Result<()> {
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

    fn end(&mut self, reason: &str) -> io::Result<()> {
        match self.prompt.take() {
            Some(id) => respond(&id, json!({"stopReason": reason})),
            None => Ok(()),
        }
    }
}

fn say(text: &str) -> io::Result<()> {
    update("agent_message_chunk", &json!({"content": {"type": "text", "text": text}}))
}

fn update(kind: &str, fields: &Value) -> io::Result<()> {
    let mut update = fields.clone();
    update["sessionUpdate"] = kind.into();
    print(&json!({"method": "session/update", "params": {"sessionId": SESSION, "update": update}}))
}

fn respond(id: &Value, result: Value) -> io::Result<()> {
    print(&json!({"id": id, "result": result}))
}

fn print(message: &Value) -> io::Result<()> {
    let mut message = message.clone();
    message["jsonrpc"] = "2.0".into();
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{message}")?;
    stdout.flush()
}
