//! Commands to lines of the app server's stdin, and what its protocol wants to be written by itself.

use nix::sys::signal::Signal;
use serde_json::{Map, Value, json};

use crate::adapter::codex::state::{CodexState, Handshake, Prompt};
use crate::adapter::codex::{MODEL_LIST, modes};
use crate::adapter::kit::prompt::{no_answer, not_open, takes_a_decision, unknown_answer};
use crate::adapter::kit::{Attachment, attachment::IMAGES};
use crate::adapter::{Action, Command, Message, PermissionAnswer, Refusal};

/// Longest message that the CLI takes, in characters.
const MESSAGE_CHARS_MAX: usize = 1_048_576;

/// Returns the lines that the protocol needs next.
pub(super) fn due(state: &CodexState) -> Option<Action> {
    if !state.running {
        return None;
    }
    if state.failed.is_some() {
        // It would wait for nothing; the next start tries again.
        return Some(Action::Signal(Signal::SIGTERM as i32));
    }
    match state.handshake {
        Handshake::Reopen => return Some(write(&open(state))),
        Handshake::New => return Some(write(&initialize(state))),
        Handshake::Greeted => {
            let initialized = json!({"method": "initialized"});
            let models = request(state, MODEL_LIST, json!({}));
            return Some(Action::Write(vec![line(&initialized), line(&open(state)), line(&models)]));
        }
        Handshake::Greeting | Handshake::Opening | Handshake::Done => {}
    }
    if !state.declines.is_empty() {
        return Some(Action::Write(state.declines.iter().map(line).collect()));
    }
    if state.interrupt { interrupt(state) } else { None }
}

/// A command as lines of stdin.
pub(super) fn encode(state: &CodexState, command: &Command<'_>) -> Result<Action, Refusal> {
    match command {
        // A message to a running turn joins it; when the turn has just ended, it begins one.
        Command::Message(message) | Command::Steer(message) => Ok(write(&turn(state, message)?)),
        // The request to interrupt is in the journal: what cannot be written yet is due as soon as it can.
        Command::Interrupt => Ok(interrupt(state).unwrap_or(Action::Write(Vec::new()))),
        Command::SetModel(Some(model)) if !model.trim().is_empty() => Ok(Action::Write(Vec::new())),
        Command::SetModel(_) => Err(Refusal::Invalid("Codex needs the name of a model".to_owned())),
        Command::SetOption { option, .. } => {
            Err(Refusal::Unsupported(format!("Codex has no option {option} that can be set")))
        }
        Command::SetPermissionMode(mode) => modes::find(mode).map(|_| Action::Write(Vec::new())),
        Command::Permission { request_id, answer } => {
            let prompt = open_prompt(state, request_id)?;
            Ok(answered(prompt, permission(prompt, answer)?))
        }
        Command::Answer { request_id, answers } => {
            let prompt = open_prompt(state, request_id)?;
            Ok(answered(prompt, answer(prompt, answers)?))
        }
        Command::Decline { request_id, cancel } => {
            let prompt = open_prompt(state, request_id)?;
            let action = if *cancel { "cancel" } else { "decline" };
            let none = match (&prompt.form, prompt.questions.is_empty()) {
                (Some(_), _) => json!({"action": action, "content": null}),
                (None, false) => json!({"answers": {}}),
                (None, true) => {
                    return Err(Refusal::Invalid("this is a permission prompt: it takes a decision".to_owned()));
                }
            };
            Ok(answered(prompt, none))
        }
    }
}

fn line(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}

fn write(value: &Value) -> Action {
    Action::Write(vec![line(value)])
}

/// A request whose id is unique within the process: what it asks, and the count of those written before it.
fn request(state: &CodexState, method: &str, params: Value) -> Value {
    json!({"id": format!("{method}-{}", state.requests_written), "method": method, "params": params})
}

fn initialize(state: &CodexState) -> Value {
    let version = env!("CARGO_PKG_VERSION");
    let client = json!({"name": "rs-worker", "title": "rs-worker", "version": version});
    request(state, "initialize", json!({"clientInfo": client, "capabilities": null}))
}

/// The request that gives the process its session.
fn open(state: &CodexState) -> Value {
    let (wanted, opening) = (&state.wanted, &state.opening);
    let mut params = Map::new();
    let method = match (&opening.resume, &opening.fork_from) {
        (Some(thread), _) => {
            params.insert("threadId".to_owned(), thread.as_str().into());
            "thread/resume"
        }
        (None, Some(thread)) => {
            params.insert("threadId".to_owned(), thread.as_str().into());
            "thread/fork"
        }
        (None, None) => "thread/start",
    };
    if params.contains_key("threadId") {
        // The earlier conversation is in our journal, or in the CLI's own file.
        params.insert("excludeTurns".to_owned(), true.into());
    }
    let texts = [("cwd", Some(&wanted.cwd)), ("model", wanted.model.as_ref())];
    let texts = texts.into_iter().chain([("developerInstructions", opening.system_prompt.as_ref())]);
    for (key, text) in texts {
        if let Some(text) = text.filter(|text| !text.trim().is_empty()) {
            params.insert(key.to_owned(), text.as_str().into());
        }
    }
    if let Some(mode) = wanted.permission_mode.as_deref().and_then(|mode| modes::find(mode).ok()) {
        mode.for_thread(&mut params);
    }
    request(state, method, Value::Object(params))
}

/// A message, with the model and the mode when they are not those that the session has.
fn turn(state: &CodexState, message: &Message<'_>) -> Result<Value, Refusal> {
    if let Some(reason) = &state.failed {
        return Err(Refusal::Invalid(format!("Codex has no session: {reason}")));
    }
    if state.facts.session_id.is_empty() || !state.is_ready() {
        return Err(Refusal::Invalid("Codex is still starting".to_owned()));
    }
    let mut input = message.attachments.iter().map(image).collect::<Result<Vec<_>, _>>()?;
    if !message.content.trim().is_empty() {
        input.push(json!({"type": "text", "text": message.content}));
    }
    if input.is_empty() {
        return Err(Refusal::Invalid("the message is empty".to_owned()));
    }
    // Characters are never more than bytes, so most messages need not be counted.
    if message.content.len() > MESSAGE_CHARS_MAX && message.content.chars().count() > MESSAGE_CHARS_MAX {
        let reason = format!("the message is too long: Codex takes {MESSAGE_CHARS_MAX} characters");
        return Err(Refusal::Invalid(reason));
    }
    let mut params = Map::new();
    params.insert("threadId".to_owned(), state.facts.session_id.as_str().into());
    params.insert("clientUserMessageId".to_owned(), message.id.into());
    if let Some(model) = state.wanted.model.as_ref().filter(|model| **model != state.facts.model) {
        params.insert("model".to_owned(), model.as_str().into());
    }
    let mode = state.wanted.permission_mode.as_ref().filter(|mode| **mode != state.facts.permission_mode);
    if let Some(mode) = mode.and_then(|mode| modes::find(mode).ok()) {
        mode.for_turn(&mut params);
    }
    params.insert("input".to_owned(), input.into());
    let id = format!("message-{}", message.id);
    Ok(json!({"id": id, "method": "turn/start", "params": params}))
}

fn image(attachment: &Value) -> Result<Value, Refusal> {
    let Attachment { media_type, data, .. } = Attachment::read(attachment)?;
    if !IMAGES.contains(&media_type) {
        let known = IMAGES.join(", ");
        return Err(Refusal::Invalid(format!("Codex takes no {media_type}; it takes {known}")));
    }
    Ok(json!({"type": "image", "url": format!("data:{media_type};base64,{data}")}))
}

/// The request to end the turn, when the CLI has said which turn it is.
fn interrupt(state: &CodexState) -> Option<Action> {
    let params = json!({"threadId": state.facts.session_id, "turnId": state.turn_id()?});
    Some(write(&request(state, "turn/interrupt", params)))
}

fn answered(prompt: &Prompt, result: Value) -> Action {
    write(&json!({"id": prompt.request, "result": result}))
}

fn open_prompt<'s>(state: &'s CodexState, id: &str) -> Result<&'s Prompt, Refusal> {
    state.prompt(id).ok_or_else(|| not_open(id))
}

/// The result that an answer to a permission prompt means.
fn permission(prompt: &Prompt, answer: &PermissionAnswer) -> Result<Value, Refusal> {
    if prompt.choices.is_empty() {
        return Err(Refusal::Invalid("this is a question: it takes answers".to_owned()));
    }
    if answer.updated_input.is_some() {
        return Err(Refusal::Invalid("Codex takes no changed input: allow it as it is, or deny it".to_owned()));
    }
    let id = match answer.option_id.as_str() {
        "allow" => "allow_once",
        "deny" | "reject" | "reject_once" if answer.interrupt => "cancel",
        "reject" | "reject_once" => "deny",
        id => id,
    };
    let choice = prompt.choices.iter().find(|choice| choice.option.id == id);
    choice
        .map(|choice| choice.result.clone())
        .ok_or_else(|| unknown_answer(id, prompt.choices.iter().map(|choice| choice.option.id.as_str())))
}

/// Answers to questions: an object by the question's id, text or number (from 0), or a list in their order. Several
/// answers to one question may be a list.
fn answer(prompt: &Prompt, answers: &Value) -> Result<Value, Refusal> {
    if let Some(form) = &prompt.form {
        return Ok(json!({"action": "accept", "content": form.content(answers).map_err(Refusal::Invalid)?}));
    }
    if prompt.questions.is_empty() {
        return Err(takes_a_decision());
    }
    let mut given = Map::new();
    for (at, question) in prompt.questions.iter().enumerate() {
        let answer = match answers {
            Value::Array(list) => list.get(at),
            Value::Object(fields) => {
                let keys = [&question.id, &question.question, &at.to_string()];
                keys.into_iter().find_map(|key| fields.get(key))
            }
            _ => None,
        };
        let texts = answer.map(chosen).unwrap_or_default();
        if !texts.is_empty() {
            given.insert(question.id.clone(), json!({"answers": texts}));
        }
    }
    if given.is_empty() {
        return Err(no_answer(prompt.questions.iter().map(|question| question.question.as_str())));
    }
    Ok(json!({"answers": given}))
}

/// One answer as the CLI wants it: a list of texts.
fn chosen(answer: &Value) -> Vec<String> {
    match answer {
        Value::String(text) => vec![text.clone()],
        Value::Number(number) => vec![number.to_string()],
        Value::Bool(yes) => vec![if *yes { "Yes" } else { "No" }.to_owned()],
        Value::Array(list) => list.iter().flat_map(chosen).collect(),
        Value::Null | Value::Object(_) => Vec::new(),
    }
}
