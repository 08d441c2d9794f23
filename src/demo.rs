//! The demo agent: shows an example of a turn, without a CLI, a key or the network. It touches no file.
//!
//! It is this program again (`rs-worker demo-agent`), and talks the Agent Client Protocol on stdin and stdout.

use std::io::{self, BufRead as _, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

use serde_json::{Value, json};

use crate::thread::Thread;

/// The type that workers name.
pub(crate) const KIND: &str = "demo";
/// The argument that makes this program the demo agent.
pub(crate) const ARGUMENT: &str = "demo-agent";

/// Lines of stdin that wait.
const LINES_MAX: usize = 64;
/// Characters of the user's message that are repeated.
const ECHO_CHARS_MAX: usize = 200;
/// Pause between two words.
const WORD_PAUSE: Duration = Duration::from_millis(25);
/// Pause between two steps.
const STEP_PAUSE: Duration = Duration::from_millis(300);
/// The id of the demo's permission request.
const ASKED: &str = "demo-permission";

const FACTS: &str = "\
A worker keeps on working when you close this page, and when the server restarts.\n\n\
| step | what you saw |\n| --- | --- |\n| plan | a list that was ticked off |\n| tool | a file that was read |\n\
| permission | a question that waited for you |\n\n\
```rust\nfn main() {\n    println!(\"Nothing was changed.\");\n}\n```\n\n\
To work with a real agent, install a CLI and choose it under **New worker**.";

/// The reason that a turn does not continue.
enum Stop {
    /// The user interrupted it.
    Interrupted,
    /// The client has gone.
    Closed,
}

/// A session with a client.
struct Demo {
    lines: Receiver<String>,
    /// The step's number: ids of tool calls are unique.
    calls: u64,
}

/// The description of the agent as an adapter's file. `program` is this program.
pub(crate) fn adapter_file(program: &Path) -> String {
    json!({
        "type": KIND,
        "name": "Demo agent",
        "description": "Shows what a worker does. Needs no CLI and no key, and changes nothing",
        "family": "acp",
        "command": [program, ARGUMENT],
    })
    .to_string()
}

/// Runs the agent until its stdin closes.
pub(crate) fn main() -> ExitCode {
    let (sender, lines) = sync_channel(LINES_MAX);
    let reader = Thread::spawn("stdin", move || {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    if let Err(error) = reader {
        eprintln!("rs-worker demo-agent: no thread can be started: {error}");
        return ExitCode::FAILURE;
    }
    Demo { lines, calls: 0 }.serve();
    ExitCode::SUCCESS
}

fn send(message: &Value) -> Result<(), Stop> {
    let mut out = io::stdout().lock();
    writeln!(out, "{message}").and_then(|()| out.flush()).map_err(|_| Stop::Closed)
}

impl Demo {
    fn serve(&mut self) {
        while let Ok(line) = self.lines.recv() {
            let Ok(message) = serde_json::from_str::<Value>(&line) else { continue };
            let (Some(method), Some(id)) = (message["method"].as_str(), message.get("id")) else { continue };
            let result = match method {
                "initialize" => Ok(json!({
                    "protocolVersion": 1,
                    "agentCapabilities": {"loadSession": true},
                    "authMethods": [],
                })),
                "session/new" => Ok(json!({"sessionId": "demo"})),
                "session/load" => Ok(json!({})),
                "session/prompt" => match self.turn(&message["params"]) {
                    Ok(()) => Ok(json!({"stopReason": "end_turn"})),
                    Err(Stop::Interrupted) => Ok(json!({"stopReason": "cancelled"})),
                    Err(Stop::Closed) => return,
                },
                _ => Err(json!({"code": -32601, "message": format!("the demo agent offers no {method}")})),
            };
            let answer = match result {
                Ok(result) => json!({"jsonrpc": "2.0", "id": id, "result": result}),
                Err(error) => json!({"jsonrpc": "2.0", "id": id, "error": error}),
            };
            if send(&answer).is_err() {
                return;
            }
        }
    }

    /// One turn: some words, a plan, a tool, a permission, and the end.
    fn turn(&mut self, params: &Value) -> Result<(), Stop> {
        let session = &params["sessionId"];
        let asked = params["prompt"].as_array().into_iter().flatten().find_map(|block| block["text"].as_str());
        let echo: String = asked.unwrap_or_default().chars().take(ECHO_CHARS_MAX).collect();
        self.emit_text(
            session,
            &format!("You wrote: “{}”. This is the demo agent; here is a short turn.", echo.trim()),
        )?;
        let plan = |done: usize| {
            let steps = ["Read a file", "Run a command, if you allow it", "Sum up"];
            let status = |at: usize| match at {
                at if at < done => "completed",
                at if at == done => "in_progress",
                _ => "pending",
            };
            let entries: Vec<Value> = steps
                .iter()
                .enumerate()
                .map(|(at, step)| json!({"content": step, "priority": "medium", "status": status(at)}))
                .collect();
            json!({"sessionUpdate": "plan", "entries": entries})
        };
        update(session, plan(0))?;
        let read = self.call();
        update(session, tool(&read, "Read README.md", "read", &json!({"path": "README.md"})))?;
        self.pause(STEP_PAUSE)?;
        update(session, finished(&read, "completed", "# A project\n\nThese lines are made up: no file was opened."))?;
        update(session, plan(1))?;
        let run = self.call();
        let command = tool(&run, "echo hello", "execute", &json!({"command": "echo hello"}));
        update(session, command)?;
        match self.ask(session, &run)? {
            true => update(session, finished(&run, "completed", "hello"))?,
            false => update(session, finished(&run, "failed", "You did not allow it."))?,
        }
        update(session, plan(2))?;
        self.emit_text(session, FACTS)?;
        update(session, plan(3))
    }

    fn call(&mut self) -> String {
        self.calls += 1;
        format!("call-{}", self.calls)
    }

    /// Asks for the command to be allowed, and waits for the answer.
    fn ask(&mut self, session: &Value, call: &str) -> Result<bool, Stop> {
        let option = |id: &str, name: &str| json!({"optionId": id, "name": name, "kind": id});
        let options = [
            option("allow_once", "Allow once"),
            option("allow_always", "Always allow echo"),
            option("reject_once", "Deny"),
        ];
        let params = json!({
            "sessionId": session,
            "toolCall": {"toolCallId": call, "title": "echo hello", "kind": "execute", "rawInput": {"command": "echo hello"}},
            "options": options,
        });
        let id = format!("{ASKED}-{}", self.calls);
        send(&json!({"jsonrpc": "2.0", "id": id, "method": "session/request_permission", "params": params}))?;
        loop {
            let line = self.lines.recv().map_err(|_| Stop::Closed)?;
            let Ok(message) = serde_json::from_str::<Value>(&line) else { continue };
            if message["method"] == "session/cancel" {
                return Err(Stop::Interrupted);
            }
            if message["id"] == json!(id) && message.get("method").is_none() {
                let chosen = message["result"]["outcome"]["optionId"].as_str().unwrap_or_default();
                return Ok(chosen.starts_with("allow"));
            }
        }
    }

    /// Says a text word by word.
    fn emit_text(&mut self, session: &Value, text: &str) -> Result<(), Stop> {
        for word in text.split_inclusive(' ') {
            let content = json!({"type": "text", "text": word});
            update(session, json!({"sessionUpdate": "agent_message_chunk", "content": content}))?;
            self.pause(WORD_PAUSE)?;
        }
        Ok(())
    }

    /// Waits, unless the user interrupts.
    fn pause(&mut self, time: Duration) -> Result<(), Stop> {
        match self.lines.recv_timeout(time) {
            Err(RecvTimeoutError::Timeout) => Ok(()),
            Err(RecvTimeoutError::Disconnected) => Err(Stop::Closed),
            Ok(line) if line.contains("session/cancel") => Err(Stop::Interrupted),
            Ok(_) => Ok(()),
        }
    }
}

fn update(session: &Value, update: Value) -> Result<(), Stop> {
    let params = json!({"sessionId": session, "update": update});
    send(&json!({"jsonrpc": "2.0", "method": "session/update", "params": params}))
}

fn tool(call: &str, title: &str, kind: &str, input: &Value) -> Value {
    json!({"sessionUpdate": "tool_call", "toolCallId": call, "title": title, "kind": kind, "status": "pending", "rawInput": input})
}

fn finished(call: &str, status: &str, text: &str) -> Value {
    let content = json!([{"type": "content", "content": {"type": "text", "text": text}}]);
    json!({"sessionUpdate": "tool_call_update", "toolCallId": call, "status": status, "content": content})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapter::Adapter as _;
    use crate::adapter::declared::DeclaredAdapter;

    #[test]
    fn adapter_of_the_demo_is_a_declared_one_without_secrets() {
        let file = adapter_file(Path::new("/opt/rs-worker"));
        let adapter = DeclaredAdapter::parse(file.as_bytes(), Path::new("/built-in/demo.json")).unwrap();
        assert_eq!((adapter.cli().kind.as_str(), adapter.cli().binary.as_str()), (KIND, "/opt/rs-worker"));
        assert!(adapter.secret_env().is_empty());
    }
}
