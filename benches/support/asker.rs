//! The CLI that asks: an agent of the Agent Client Protocol, which makes the prompts that a message asks for.
//!
//! ```text
//! ask COUNT COMMAND    that many prompts for the shell command, one after the other, each once the one before is answered
//! ```

use std::io::{self, BufRead, Lines, StdinLock, Write};

use serde_json::{Value, json};

/// Serves until stdin closes.
pub(crate) fn run() {
    let mut lines = io::stdin().lock().lines();
    // A client that has gone away is the usual end.
    while let Some(message) = next(&mut lines) {
        let (Some(method), Some(id)) = (message["method"].as_str(), message.get("id")) else { continue };
        let result = match method {
            "initialize" => json!({"protocolVersion": 1, "agentCapabilities": {}, "authMethods": []}),
            "session/new" => json!({"sessionId": "asker"}),
            "session/prompt" => {
                ask(&mut lines, &message["params"]);
                json!({"stopReason": "end_turn"})
            }
            _ => json!({}),
        };
        send(&json!({"jsonrpc": "2.0", "id": id, "result": result}));
    }
}

/// Makes the prompts of one turn.
fn ask(lines: &mut Lines<StdinLock<'_>>, params: &Value) {
    let text = params["prompt"].as_array().into_iter().flatten().find_map(|block| block["text"].as_str());
    let Some((count, command)) = text.and_then(|text| text.strip_prefix("ask ")?.split_once(' ')) else { return };
    let option = |id: &str| json!({"optionId": id, "name": id, "kind": id});
    let options = ["allow_once", "allow_always", "reject_once"].map(option);
    for number in 0..count.parse::<u64>().unwrap_or(0) {
        let id = format!("asked-{number}");
        let call = json!({
            "toolCallId": format!("call-{number}"), "title": command, "kind": "execute", "rawInput": {"command": command},
        });
        let params = json!({"sessionId": "asker", "toolCall": call, "options": options});
        send(&json!({"jsonrpc": "2.0", "id": id, "method": "session/request_permission", "params": params}));
        while let Some(message) = next(lines) {
            if message["id"] == json!(id) {
                break;
            }
        }
    }
}

fn next(lines: &mut Lines<StdinLock<'_>>) -> Option<Value> {
    serde_json::from_str(&lines.next()?.ok()?).ok()
}

fn send(message: &Value) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{message}").and_then(|()| out.flush());
}
