//! Gemini's generateContent and streamGenerateContent: the protocol of the Gemini CLI.

use std::io;

use serde_json::{Value, json};

use super::conversation::{Entry, text_of};
use super::output::Output;
use super::serve::Answer;

/// Parses the contents of a request.
pub(super) fn entries(body: &Value) -> Vec<Entry> {
    let contents = body["contents"].as_array().into_iter().flatten();
    contents
        .map(|content| {
            let parts = &content["parts"];
            let mut results = parts.as_array().into_iter().flatten().map(|part| &part["functionResponse"]["response"]);
            match results.find(|response| !response.is_null()) {
                _ if content["role"] == "model" => Entry::Assistant,
                Some(response) => Entry::ToolResult(response.to_string()),
                None => Entry::User(text_of(parts)),
            }
        })
        .collect()
}

/// Returns the model that a path names (`/v1beta/models/M:streamGenerateContent`), and whether it requests a stream.
pub(super) fn model_and_stream(path: &str) -> (String, bool) {
    let last = path.rsplit('/').next().unwrap_or_default();
    let (model, method) = last.split_once(':').unwrap_or((last, ""));
    (model.to_owned(), method == "streamGenerateContent")
}

/// Returns the body of a failure.
pub(super) fn error(status: u16) -> Value {
    let word = match status {
        400 => "INVALID_ARGUMENT",
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        429 => "RESOURCE_EXHAUSTED",
        503 => "UNAVAILABLE",
        _ => "INTERNAL",
    };
    json!({"error": {"code": status, "message": format!("Fake error {status}"), "status": word}})
}

/// Answers with the step, as one object or as a stream.
pub(super) fn answer(output: &mut Output<'_>, answer: &Answer<'_>) -> io::Result<()> {
    let step = answer.step;
    let calls: Vec<Value> = step
        .calls()
        .into_iter()
        .enumerate()
        .map(|(at, (name, input))| {
            json!({"functionCall": {"id": format!("call_fake_{}_{at}", answer.number), "name": name, "args": input}})
        })
        .collect();
    let stop = step.stop.as_deref().unwrap_or("STOP");
    if !answer.stream {
        let text = if wants_json(answer.body) { routing_answer() } else { step.words().concat() };
        let mut parts = vec![json!({"text": text})];
        parts.extend(calls);
        return output.json(200, &[], &frame(answer, &parts, Some(stop)));
    }
    output.begin()?;
    if step.error_in_stream {
        output.event(None, &error(step.error.unwrap_or(500)))?;
        return output.end();
    }
    if let Some(thinking) = &step.thinking {
        output.event(None, &frame(answer, &[json!({"text": thinking, "thought": true})], None))?;
    }
    output.words(step, |output, word| output.event(None, &frame(answer, &[json!({"text": word})], None)))?;
    let last = if calls.is_empty() { vec![json!({"text": ""})] } else { calls };
    output.event(None, &frame(answer, &last, Some(stop)))?;
    output.end()
}

/// Returns whether an object is required: the CLI asks the model who speaks next and which model should answer.
fn wants_json(body: &Value) -> bool {
    body["generationConfig"]["responseMimeType"].as_str().is_some_and(|kind| kind.contains("json"))
}

fn routing_answer() -> String {
    json!({"reasoning": "fake", "next_speaker": "user", "model_choice": "flash", "complexity_reasoning": "fake",
           "complexity_score": 1})
    .to_string()
}

fn frame(answer: &Answer<'_>, parts: &[Value], finish: Option<&str>) -> Value {
    let (input, output) = answer.tokens;
    let mut candidate = json!({"content": {"role": "model", "parts": parts}, "index": 0});
    if let Some(finish) = finish {
        candidate["finishReason"] = finish.into();
    }
    json!({"candidates": [candidate], "modelVersion": answer.model, "responseId": format!("fake{}", answer.number),
           "usageMetadata": {"promptTokenCount": input, "candidatesTokenCount": output,
                             "totalTokenCount": input + output}})
}
