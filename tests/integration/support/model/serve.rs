//! Accepts connections, parses requests, and selects the step that answers.

use std::io::{self, BufRead, BufReader, Read};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use serde_json::{Value, json};

use super::conversation::{Entry, Place};
use super::output::Output;
use super::script::Step;
use super::{HELLO, ModelState, Request, TITLE, anthropic, chat, gemini, responses};

/// Longest request body, in bytes: a CLI may send images.
const BODY_MAX: usize = 64 * 1024 * 1024;
/// Longest line of a request's head, in bytes.
const LINE_MAX: u64 = 64 * 1024;
/// Characters of a tool's result that the answer quotes.
const QUOTED: usize = 200;

/// The protocol of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// Anthropic's messages.
    Anthropic,
    /// OpenAI's chat completions.
    Chat,
    /// OpenAI's responses.
    Responses,
    /// Gemini's generateContent; streamed or not.
    Gemini,
}

impl Dialect {
    /// Returns the protocol of a path.
    pub(super) fn of(path: &str) -> Option<Self> {
        if path.ends_with("/messages") {
            Some(Self::Anthropic)
        } else if path.ends_with("/chat/completions") {
            Some(Self::Chat)
        } else if path.ends_with("/responses") {
            Some(Self::Responses)
        } else if path.ends_with("enerateContent") {
            Some(Self::Gemini)
        } else {
            None
        }
    }

    fn entries(self, body: &Value) -> Vec<Entry> {
        match self {
            Self::Anthropic => anthropic::entries(body),
            Self::Chat => chat::entries(body),
            Self::Responses => responses::entries(body),
            Self::Gemini => gemini::entries(body),
        }
    }

    fn answer(self, output: &mut Output<'_>, answer: &Answer<'_>) -> io::Result<()> {
        match self {
            Self::Anthropic => anthropic::answer(output, answer),
            Self::Chat => chat::answer(output, answer),
            Self::Responses => responses::answer(output, answer),
            Self::Gemini => gemini::answer(output, answer),
        }
    }

    fn error(self, status: u16) -> Value {
        match self {
            Self::Anthropic => anthropic::error(status),
            Self::Chat | Self::Responses => chat::error(status),
            Self::Gemini => gemini::error(status),
        }
    }
}

/// A response and its receiver.
pub(super) struct Answer<'a> {
    /// The step to answer with.
    pub(super) step: &'a Step,
    /// Numbers the answers of this server; part of the ids in them.
    pub(super) number: u64,
    /// The requested model.
    pub(super) model: String,
    /// True if the response must be a stream.
    pub(super) stream: bool,
    /// The request.
    pub(super) body: &'a Value,
    /// Tokens to report, in and out.
    pub(super) tokens: (u64, u64),
}

/// Starts the thread that accepts connections until the state is down.
pub(super) fn spawn(shared: Arc<ModelState>, listener: TcpListener) -> JoinHandle<()> {
    let accept = move || {
        for stream in listener.incoming().flatten() {
            let mut state = shared.state();
            if state.down {
                return;
            }
            let Ok(second) = stream.try_clone() else { continue };
            let theirs = Arc::clone(&shared);
            let thread = thread::spawn(move || {
                // An interrupt is seen here as a client that disconnects in mid-answer.
                let _ = connection(&theirs, stream);
            });
            state.connections.retain(|(_, thread)| !thread.is_finished());
            state.connections.push((second, thread));
        }
    };
    thread::Builder::new().name("fake model".to_owned()).spawn(accept).unwrap()
}

fn connection(shared: &ModelState, stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let request = read_request(&stream)?;
    let mut output = Output::new(shared, &stream);
    let served = serve(shared, &request, &mut output);
    // The clone in `connections` would keep the socket open.
    let _ = stream.shutdown(std::net::Shutdown::Both);
    served
}

fn serve(shared: &ModelState, request: &Request, output: &mut Output<'_>) -> io::Result<()> {
    shared.state().requests.push(request.clone());
    let path = request.path.as_str();
    if let (Some(dialect), "POST") = (Dialect::of(path), request.method.as_str()) {
        return answer(shared, request, dialect, output);
    }
    let tokens = request.body.to_string().len() / 4;
    let reply = if path.ends_with("/count_tokens") {
        json!({"input_tokens": tokens})
    } else if path.ends_with(":countTokens") {
        json!({"totalTokens": tokens})
    } else if path.ends_with("/models") {
        let model = json!({"id": "fake-model", "type": "model", "object": "model", "display_name": "Fake",
                           "created": 0, "created_at": "2024-01-01T00:00:00Z", "owned_by": "fake"});
        json!({"object": "list", "data": [model], "models": [], "has_more": false})
    } else {
        // Telemetry, feature flags and the like need an empty response.
        json!({})
    };
    output.json(200, &[], &reply)
}

fn answer(shared: &ModelState, request: &Request, dialect: Dialect, output: &mut Output<'_>) -> io::Result<()> {
    let body = &request.body;
    let (mut step, key) = choose(shared, request, dialect);
    if let Some(status) = step.error.filter(|_| !step.error_in_stream)
        && fails_now(shared, &step, &key)
    {
        let seconds = step.retry_after.map(|seconds| seconds.to_string());
        let headers: Vec<(&str, &str)> = seconds.iter().map(|value| ("retry-after", value.as_str())).collect();
        return output.json(status, &headers, &dialect.error(status));
    }
    if step.hold.is_none() {
        step.hold = shared.state().hold_after.filter(|_| request.has_tools());
    }
    if step.silent {
        output.hold()?;
    }
    let number = {
        let mut state = shared.state();
        state.answers += 1;
        state.answers
    };
    let (model, stream) = match dialect {
        Dialect::Gemini => gemini::model_and_stream(&request.path),
        _ => (body["model"].as_str().unwrap_or("fake-model").to_owned(), body["stream"] == true),
    };
    let out_tokens = step.out_tokens.unwrap_or_else(|| (step.words().len() as u64).max(1));
    let tokens = (step.in_tokens.unwrap_or(5), out_tokens);
    dialect.answer(output, &Answer { step: &step, number, model, stream, body, tokens })
}

/// Returns the step that answers a request, and its id.
fn choose(shared: &ModelState, request: &Request, dialect: Dialect) -> (Step, String) {
    let place = Place::of(&dialect.entries(&request.body));
    let mut state = shared.state();
    if !request.has_tools() && !state.without_tools {
        let always = state.always.as_ref().filter(|step| step.error.is_some() && step.times.is_none());
        return (always.cloned().unwrap_or_else(|| Step::text(TITLE)), String::new());
    }
    let mut key = place.key;
    let queued = state.queue.front().cloned();
    let mut step = if let Some(queued) = queued {
        key = String::from("queued");
        // A step that fails several times stays at the front until it has.
        let failed = state.failures.get(&key).copied().unwrap_or(0);
        if queued.times.is_none_or(|times| failed >= times) {
            state.queue.pop_front();
        }
        queued
    } else if let Some(step) = place.step {
        step
    } else {
        key = String::from("always");
        state.always.clone().unwrap_or_default()
    };
    if step.is_empty() && (step.error.is_none() || step.times.is_some() || step.error_in_stream) {
        step.text = Some(match place.result {
            Some(result) => format!("The tool said: {}", result.chars().take(QUOTED).collect::<String>()),
            None => HELLO.to_owned(),
        });
    }
    (step, key)
}

/// Returns whether a step with an error fails this time; counts the failures of one that fails several times.
fn fails_now(shared: &ModelState, step: &Step, key: &str) -> bool {
    let Some(times) = step.times else { return true };
    let mut state = shared.state();
    let failed = state.failures.entry(key.to_owned()).or_default();
    let fails = *failed < times;
    *failed += u32::from(fails);
    if !fails && key == "queued" {
        state.failures.remove(key);
    }
    fails
}

fn read_request(stream: &TcpStream) -> io::Result<Request> {
    let mut reader = BufReader::new(stream);
    let first = read_line(&mut reader)?;
    let mut words = first.split(' ');
    let method = words.next().unwrap_or_default().to_owned();
    let path = words.next().unwrap_or_default().split('?').next().unwrap_or_default().to_owned();
    let mut headers = Vec::new();
    loop {
        let line = read_line(&mut reader)?;
        let Some((name, value)) = line.split_once(':') else { break };
        headers.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut request = Request { method, path, headers, body: Value::Null };
    if request.header("expect").is_some() {
        io::Write::write_all(&mut &*stream, b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    let body = if request.header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
        read_chunks(&mut reader)?
    } else {
        let length = request.header("content-length").and_then(|value| value.parse().ok()).unwrap_or(0);
        read_exactly(&mut reader, length)?
    };
    request.body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    Ok(request)
}

fn read_line(reader: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    if reader.take(LINE_MAX).read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(line.trim_end().to_owned())
}

fn read_exactly(reader: &mut impl Read, length: usize) -> io::Result<Vec<u8>> {
    if length > BODY_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut bytes = vec![0; length];
    reader.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn read_chunks(reader: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = read_line(reader)?;
        let digits = line.split(';').next().unwrap_or_default();
        let size = usize::from_str_radix(digits, 16).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
        if body.len() + size > BODY_MAX {
            return Err(io::ErrorKind::InvalidData.into());
        }
        body.extend(read_exactly(reader, size)?);
        read_line(reader)?;
        if size == 0 {
            return Ok(body);
        }
    }
}
