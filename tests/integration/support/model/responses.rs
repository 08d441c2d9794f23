//! OpenAI's responses: the protocol of Codex.

use std::io;

use serde_json::{Value, json};

use super::conversation::{Entry, text_of};
use super::output::Output;
use super::serve::Answer;

/// Parses the input items of a request.
pub(super) fn entries(body: &Value) -> Vec<Entry> {
    if let Some(text) = body["input"].as_str() {
        return vec![Entry::User(text.to_owned())];
    }
    let items = body["input"].as_array().into_iter().flatten();
    items
        .map(|item| match (item["type"].as_str().unwrap_or("message"), item["role"].as_str()) {
            ("message", Some("user")) => Entry::User(text_of(&item["content"])),
            ("message", Some("assistant")) => Entry::Assistant,
            (kind, _) if kind.ends_with("_output") => Entry::ToolResult(text_of(&item["output"])),
            (kind, _) if kind.ends_with("_call") => Entry::Assistant,
            _ => Entry::Other,
        })
        .collect()
}

/// Answers with the step, as one object or as a stream.
pub(super) fn answer(output: &mut Output<'_>, answer: &Answer<'_>) -> io::Result<()> {
    let items = items(answer);
    if !answer.stream {
        return output.json(200, &[], &response(answer, "completed", &items));
    }
    let mut events = Events { output, number: 0 };
    events.output.begin()?;
    events.send("response.created", json!({"response": response(answer, "in_progress", &[])}))?;
    if answer.step.error_in_stream {
        let mut failed = response(answer, "failed", &[]);
        failed["error"] = json!({"code": "server_error", "message": "Fake error in the stream"});
        events.send("response.failed", json!({"response": failed}))?;
        return events.output.end();
    }
    for (index, item) in items.iter().enumerate() {
        let mut begun = item.clone();
        begun["status"] = "in_progress".into();
        if item["type"] == "message" {
            begun["content"] = json!([]);
        }
        events.send("response.output_item.added", json!({"output_index": index, "item": begun}))?;
        events.inside(answer, index, item)?;
        events.send("response.output_item.done", json!({"output_index": index, "item": item}))?;
    }
    events.send("response.completed", json!({"response": response(answer, "completed", &items)}))?;
    events.output.end()
}

/// Events of one stream, numbered.
struct Events<'o, 'a> {
    output: &'o mut Output<'a>,
    number: u64,
}

impl Events<'_, '_> {
    fn send(&mut self, kind: &str, mut data: Value) -> io::Result<()> {
        self.number += 1;
        data["type"] = kind.into();
        data["sequence_number"] = self.number.into();
        self.output.event(Some(kind), &data)
    }

    fn inside(&mut self, answer: &Answer<'_>, index: usize, item: &Value) -> io::Result<()> {
        let id = &item["id"];
        match item["type"].as_str() {
            Some("reasoning") => {
                let text = &item["summary"][0]["text"];
                let place = json!({"item_id": id, "output_index": index, "summary_index": 0});
                let empty = json!({"type": "summary_text", "text": ""});
                self.send("response.reasoning_summary_part.added", with(&place, "part", &empty))?;
                self.send("response.reasoning_summary_text.delta", with(&place, "delta", text))?;
                self.send("response.reasoning_summary_text.done", with(&place, "text", text))
            }
            Some("message") => {
                let place = json!({"item_id": id, "output_index": index, "content_index": 0});
                let empty = json!({"type": "output_text", "text": "", "annotations": []});
                self.send("response.content_part.added", with(&place, "part", &empty))?;
                let mut number = self.number;
                self.output.words(answer.step, |output, word| {
                    number += 1;
                    let mut data = with(&place, "delta", &word.into());
                    data["type"] = "response.output_text.delta".into();
                    data["sequence_number"] = number.into();
                    output.event(Some("response.output_text.delta"), &data)
                })?;
                self.number = number;
                self.send("response.output_text.done", with(&place, "text", &item["content"][0]["text"]))
            }
            Some("function_call") => {
                let place = json!({"item_id": id, "output_index": index});
                self.send("response.function_call_arguments.delta", with(&place, "delta", &item["arguments"]))
            }
            _ => Ok(()),
        }
    }
}

fn with(place: &Value, name: &str, value: &Value) -> Value {
    let mut data = place.clone();
    data[name] = value.clone();
    data
}

fn items(answer: &Answer<'_>) -> Vec<Value> {
    let number = answer.number;
    let mut items = Vec::new();
    if let Some(thinking) = &answer.step.thinking {
        items.push(json!({"type": "reasoning", "id": format!("rs_fake_{number}"),
                          "summary": [{"type": "summary_text", "text": thinking}]}));
    }
    let text = answer.step.words().concat();
    if !text.is_empty() {
        items.push(json!({"type": "message", "id": format!("msg_fake_{number}"), "role": "assistant",
                          "status": "completed",
                          "content": [{"type": "output_text", "text": text, "annotations": []}]}));
    }
    for (at, (name, input)) in answer.step.calls().into_iter().enumerate() {
        let mut item = json!({"id": format!("fc_fake_{number}_{at}"), "call_id": format!("call_fake_{number}_{at}"),
                              "name": name, "status": "completed"});
        if is_custom(answer.body, name) {
            item["type"] = "custom_tool_call".into();
            item["input"] = input.as_str().map_or_else(|| input.to_string(), str::to_owned).into();
        } else {
            item["type"] = "function_call".into();
            item["arguments"] = input.to_string().into();
        }
        items.push(item);
    }
    items
}

/// Returns whether the request offers that tool as one with free-text input (Codex's `apply_patch`).
fn is_custom(body: &Value, name: &str) -> bool {
    let mut tools = body["tools"].as_array().into_iter().flatten();
    tools.any(|tool| tool["name"] == name && tool["type"] == "custom")
}

fn response(answer: &Answer<'_>, status: &str, items: &[Value]) -> Value {
    let (input, output) = answer.tokens;
    let usage = json!({"input_tokens": input, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": output,
                       "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": input + output});
    json!({"id": format!("resp_fake_{}", answer.number), "object": "response", "created_at": 1_704_067_200,
           "status": status, "model": answer.model, "output": items,
           "usage": if status == "completed" { usage } else { Value::Null }})
}
