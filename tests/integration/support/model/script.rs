//! The model's script: steps, given by the test or written into a prompt.

use serde::Deserialize;
use serde_json::Value;

/// One answer of the model. In a prompt it is a JSON object with these fields, all optional.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Step {
    /// The answer's text.
    pub(crate) text: Option<String>,
    /// Text of a reasoning block before it.
    pub(crate) thinking: Option<String>,
    /// The name of a tool to call after the text,
    pub(crate) tool: Option<String>,
    /// and its input.
    pub(crate) input: Value,
    /// Several tools to call at once, as `[name, input]`.
    pub(crate) tools: Vec<(String, Value)>,
    /// Instead of `text`: this many deltas `w0 `, `w1 `, ...
    pub(crate) n: Option<usize>,
    /// Bytes of padding in each of those.
    pub(crate) pad: usize,
    /// Milliseconds between two deltas.
    pub(crate) delay_ms: u64,
    /// Stop after this many deltas until the test releases the stream. 0 is after the headers and first event.
    pub(crate) hold: Option<usize>,
    /// Stop before the response's headers until the test releases it.
    pub(crate) silent: bool,
    /// The stop reason to report instead of the usual one.
    pub(crate) stop: Option<String>,
    /// Answer with this HTTP status,
    pub(crate) error: Option<u16>,
    /// only the first so many times (the answer is then the rest of the step),
    pub(crate) times: Option<u32>,
    /// with this `Retry-After` in seconds,
    pub(crate) retry_after: Option<u32>,
    /// or with 200 and an error event inside the stream.
    pub(crate) error_in_stream: bool,
    /// Cut the connection after this many deltas.
    pub(crate) cut: Option<usize>,
    /// Input tokens to report; 5 when absent.
    pub(crate) in_tokens: Option<u64>,
    /// Output tokens to report; the number of deltas when absent.
    pub(crate) out_tokens: Option<u64>,
}

impl Step {
    /// Answers with a text.
    pub(crate) fn text(text: &str) -> Self {
        Self { text: Some(text.to_owned()), ..Self::default() }
    }

    /// Calls a tool.
    pub(crate) fn tool(name: &str, input: Value) -> Self {
        Self { tool: Some(name.to_owned()), input, ..Self::default() }
    }

    /// Streams `count` deltas.
    pub(crate) fn deltas(count: usize) -> Self {
        Self { n: Some(count), ..Self::default() }
    }

    /// Fails with an HTTP status.
    pub(crate) fn error(status: u16) -> Self {
        Self { error: Some(status), ..Self::default() }
    }

    /// ... only the first `count` times; then it answers with `text`.
    pub(crate) fn times(mut self, count: u32, text: &str) -> Self {
        self.times = Some(count);
        self.text = Some(text.to_owned());
        self
    }

    /// ... with a `Retry-After`, in seconds.
    pub(crate) fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// ... after a reasoning block.
    pub(crate) fn thinking(mut self, text: &str) -> Self {
        self.thinking = Some(text.to_owned());
        self
    }

    /// ... stopping after so many deltas until the test releases it.
    pub(crate) fn hold_after(mut self, deltas: usize) -> Self {
        self.hold = Some(deltas);
        self
    }

    /// Returns the text, split into deltas.
    pub(super) fn words(&self) -> Vec<String> {
        match (self.n, &self.text) {
            (Some(count), _) => {
                let pad = "x".repeat(self.pad);
                (0..count).map(|number| format!("w{number}{pad} ")).collect()
            }
            (None, Some(text)) => text.split_inclusive(char::is_whitespace).map(str::to_owned).collect(),
            (None, None) => Vec::new(),
        }
    }

    /// Returns the tools to call, with their inputs.
    pub(super) fn calls(&self) -> Vec<(&str, &Value)> {
        let one = self.tool.as_deref().map(|name| (name, &self.input));
        one.into_iter().chain(self.tools.iter().map(|(name, input)| (name.as_str(), input))).collect()
    }

    /// Returns whether the step is empty.
    pub(super) fn is_empty(&self) -> bool {
        self.text.is_none() && self.n.is_none() && self.calls().is_empty()
    }
}

/// Parses the last script in a text: a JSON list of steps, or one step, between `<<` and `>>`. A script inside a string
/// of another (a sub-agent's prompt) belongs to that one.
///
/// A malformed script becomes a step that reports the error, so that the author of the test sees it.
pub(super) fn script_in(text: &str) -> Option<Vec<Step>> {
    let mut found = None;
    let mut rest = text;
    while let Some(start) = rest.find("<<") {
        rest = &rest[start + 2..];
        let first = rest.trim_start();
        if !first.starts_with(['[', '{']) {
            continue;
        }
        match value_before_marker(rest).or_else(|| unescaped(rest)) {
            Some((value, after)) => {
                found = Some(steps(value));
                rest = after;
            }
            None => found = Some(vec![Step::text("The script in the prompt is no JSON followed by >>.")]),
        }
    }
    found
}

fn value_before_marker(text: &str) -> Option<(Value, &str)> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    let value = values.next()?.ok()?;
    let after = text[values.byte_offset()..].trim_start().strip_prefix(">>")?;
    Some((value, after))
}

/// Parses a script in a prompt that has reached the model as the inside of a JSON string.
fn unescaped(text: &str) -> Option<(Value, &str)> {
    let end = text.rfind(">>")?;
    let inner: String = serde_json::from_str(&format!("\"{}\"", &text[..end])).ok()?;
    Some((serde_json::from_str(&inner).ok()?, &text[end + 2..]))
}

fn steps(value: Value) -> Vec<Step> {
    let list = match value {
        Value::Array(list) => list,
        one => vec![one],
    };
    let read = list.into_iter().map(serde_json::from_value).collect::<Result<Vec<Step>, _>>();
    read.unwrap_or_else(|error| vec![Step::text(&format!("The script in the prompt has a wrong step: {error}."))])
}
