//! OpenAI's chat completions: the protocol of OpenCode and many others for a custom provider.

use std::io;

use serde_json::{Value, json};

use super::conversation::{Entry, text_of};
use super::output::Output;
use super::serve::Answer;

/// Parses the messages of a request.
pub(super) fn entries(body: &Value) -> Vec<Entry> {
    let messages = body["messages"].as_array().into_iter().flatten();
    messages
        .map(|message| match message["role"].as_str() {
            Some("user") => Entry::User(text_of(&message["content"])),
            Some("assistant") => Entry::Assistant,
            Some("tool") => Entry::ToolResult(text_of(&message["content"])),
            _ => Entry::Other,
        })
        .collect()
}

/// Returns the body of a failure, for chat completions and responses.
pub(super) fn error(status: u16) -> Value {
    json!({"error": {"message": format!("Fake error {status}"), "type": "api_error", "param": null, "code": null}})
}

/// Answers with the step, as one object or as a stream.
pub(super) fn answer(output: &mut Output<'_>, answer: &Answer<'_>) -> io::Result<()> {
    let step = answer.step;
    let usual = if step.calls().is_empty() { "stop" } else { "tool_calls" };
    let stop = step.stop.as_deref().unwrap_or(usual);
    if !answer.stream {
        let text = step.words().concat();
        let mut message =
            json!({"role": "assistant", "content": if text.is_empty() { Value::Null } else { text.into() }});
        if !step.calls().is_empty() {
            message["tool_calls"] = calls(answer).into();
        }
        let choice = json!({"index": 0, "message": message, "finish_reason": stop});
        let mut whole = frame(answer, "chat.completion", vec![choice]);
        whole["usage"] = usage(answer);
        return output.json(200, &[], &whole);
    }
    output.begin()?;
    delta(output, answer, json!({"role": "assistant", "content": ""}), None)?;
    if step.error_in_stream {
        output.event(None, &error(step.error.unwrap_or(500)))?;
        return output.end();
    }
    if let Some(thinking) = &step.thinking {
        delta(output, answer, json!({"reasoning_content": thinking}), None)?;
    }
    output.words(step, |output, word| delta(output, answer, json!({"content": word}), None))?;
    for call in calls(answer) {
        delta(output, answer, json!({"tool_calls": [call]}), None)?;
    }
    delta(output, answer, json!({}), Some(stop))?;
    let mut last = frame(answer, "chat.completion.chunk", Vec::new());
    last["usage"] = usage(answer);
    output.event(None, &last)?;
    output.chunk("data: [DONE]\n\n")?;
    output.end()
}

fn delta(output: &mut Output<'_>, answer: &Answer<'_>, delta: Value, finish: Option<&str>) -> io::Result<()> {
    let choice = json!({"index": 0, "delta": delta, "finish_reason": finish});
    output.event(None, &frame(answer, "chat.completion.chunk", vec![choice]))
}

fn frame(answer: &Answer<'_>, object: &str, choices: Vec<Value>) -> Value {
    json!({"id": format!("chatcmpl-fake-{}", answer.number), "object": object, "created": 1_704_067_200,
           "model": answer.model, "choices": choices})
}

fn calls(answer: &Answer<'_>) -> Vec<Value> {
    let calls = answer.step.calls().into_iter().enumerate();
    calls
        .map(|(at, (name, input))| {
            json!({"index": at, "id": format!("call_fake_{}_{at}", answer.number), "type": "function",
                   "function": {"name": name, "arguments": input.to_string()}})
        })
        .collect()
}

fn usage(answer: &Answer<'_>) -> Value {
    let (input, output) = answer.tokens;
    json!({"prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output})
}
