//! Anthropic's messages: the protocol of Claude Code.

use std::io;

use serde_json::{Value, json};

use super::conversation::{Entry, text_of};
use super::output::Output;
use super::serve::Answer;

/// Parses the messages of a request. Text that a user message carries besides tool results is a separate message only
/// when it has a script: Claude Code puts queued messages there, and its reminders.
pub(super) fn entries(body: &Value) -> Vec<Entry> {
    let mut entries = Vec::new();
    for message in body["messages"].as_array().into_iter().flatten() {
        match message["role"].as_str() {
            Some("assistant") => {
                entries.push(Entry::Assistant);
                continue;
            }
            Some("user") => {}
            _ => {
                entries.push(Entry::Other);
                continue;
            }
        }
        let is_result = |part: &&Value| part["type"] == "tool_result";
        let parts = message["content"].as_array().map_or(&[][..], Vec::as_slice);
        let results: Vec<Value> = parts.iter().filter(is_result).cloned().collect();
        if results.is_empty() {
            entries.push(Entry::User(text_of(&message["content"])));
            continue;
        }
        entries.push(Entry::ToolResult(text_of(&results.into())));
        let rest: Vec<Value> = parts.iter().filter(|part| !is_result(part)).cloned().collect();
        let rest = text_of(&rest.into());
        if rest.contains("<<") {
            entries.push(Entry::User(rest));
        }
    }
    entries
}

/// Returns the body of a failure.
pub(super) fn error(status: u16) -> Value {
    json!({"type": "error", "request_id": "req_fake",
           "error": {"type": error_type(status), "message": format!("Fake error {status}")}})
}

fn error_type(status: u16) -> &'static str {
    match status {
        400 => "invalid_request_error",
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        503 | 529 => "overloaded_error",
        _ => "api_error",
    }
}

/// Answers with the step, as one object or as a stream.
pub(super) fn answer(output: &mut Output<'_>, answer: &Answer<'_>) -> io::Result<()> {
    let step = answer.step;
    let stop = match &step.stop {
        Some(stop) => stop.as_str(),
        None if step.calls().is_empty() => "end_turn",
        None => "tool_use",
    };
    if !answer.stream {
        let mut message = message(answer, answer.tokens.1);
        message["stop_reason"] = stop.into();
        message["content"] = content(answer);
        return output.json(200, &[], &message);
    }
    output.begin()?;
    event(output, json!({"type": "message_start", "message": message(answer, 1)}))?;
    if step.error_in_stream {
        event(output, error(step.error.unwrap_or(529)))?;
        return output.end();
    }
    let mut index = 0;
    if let Some(thinking) = &step.thinking {
        let start = json!({"type": "thinking", "thinking": "", "signature": ""});
        block(output, &mut index, &start, |output, index| {
            delta(output, index, json!({"type": "thinking_delta", "thinking": thinking}))?;
            delta(output, index, json!({"type": "signature_delta", "signature": "ZmFrZQ=="}))
        })?;
    }
    if !step.words().is_empty() || step.calls().is_empty() {
        block(output, &mut index, &json!({"type": "text", "text": ""}), |output, index| {
            output.words(step, |output, word| delta(output, index, json!({"type": "text_delta", "text": word})))
        })?;
    }
    for (at, (name, input)) in step.calls().into_iter().enumerate() {
        let start = json!({"type": "tool_use", "id": call_id(answer, at), "name": name, "input": {}});
        let input = input.to_string();
        // In two pieces, which the CLIs must join; no value is split, so that recordings can be scrubbed.
        let (first, second) = input.split_at(1);
        block(output, &mut index, &start, |output, index| {
            for piece in [first, second] {
                delta(output, index, json!({"type": "input_json_delta", "partial_json": piece}))?;
            }
            Ok(())
        })?;
    }
    event(
        output,
        json!({"type": "message_delta", "delta": {"stop_reason": stop, "stop_sequence": null},
               "usage": {"output_tokens": answer.tokens.1}}),
    )?;
    event(output, json!({"type": "message_stop"}))?;
    output.end()
}

fn message(answer: &Answer<'_>, output_tokens: u64) -> Value {
    json!({
        "id": format!("msg_fake_{}", answer.number), "type": "message", "role": "assistant", "model": answer.model,
        "content": [], "stop_reason": null, "stop_sequence": null,
        "usage": {"input_tokens": answer.tokens.0, "output_tokens": output_tokens,
                  "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0},
    })
}

fn content(answer: &Answer<'_>) -> Value {
    let mut content = Vec::new();
    if let Some(thinking) = &answer.step.thinking {
        content.push(json!({"type": "thinking", "thinking": thinking, "signature": "ZmFrZQ=="}));
    }
    let text = answer.step.words().concat();
    if !text.is_empty() {
        content.push(json!({"type": "text", "text": text}));
    }
    for (at, (name, input)) in answer.step.calls().into_iter().enumerate() {
        content.push(json!({"type": "tool_use", "id": call_id(answer, at), "name": name, "input": input}));
    }
    content.into()
}

fn call_id(answer: &Answer<'_>, at: usize) -> String {
    format!("toolu_fake_{}_{at}", answer.number)
}

fn event(output: &mut Output<'_>, data: Value) -> io::Result<()> {
    output.event(data["type"].as_str(), &data)
}

fn delta(output: &mut Output<'_>, index: usize, delta: Value) -> io::Result<()> {
    event(output, json!({"type": "content_block_delta", "index": index, "delta": delta}))
}

fn block(
    output: &mut Output<'_>,
    index: &mut usize,
    start: &Value,
    inside: impl FnOnce(&mut Output<'_>, usize) -> io::Result<()>,
) -> io::Result<()> {
    event(output, json!({"type": "content_block_start", "index": *index, "content_block": start}))?;
    inside(output, *index)?;
    event(output, json!({"type": "content_block_stop", "index": *index}))?;
    *index += 1;
    Ok(())
}
